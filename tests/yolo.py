"""A detector with the head of YOLOv8 on a short body: what the ways to read a network meet in it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.torch_calls import to_onnx

WIDTH = 4
CLASSES = 3
BINS = 16  # that a side of a box is distributed over


def conv(read: int, made: int, kernel: int = 1, stride: int = 1) -> nn.Module:
    made_by = nn.Conv2d(read, made, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(made_by, nn.BatchNorm2d(made), nn.SiLU())


class DFL(nn.Module):
    """The mean of a distribution over bins, as a convolution that reads the flattened positions as an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, _, a = x.shape
        return self.conv(x.view(b, 4, BINS, a).transpose(2, 1).softmax(1)).view(b, 4, a)


class Detect(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.cv2 = nn.ModuleList(self.branch(width, 4 * BINS) for width in widths)
        self.cv3 = nn.ModuleList(self.branch(width, CLASSES) for width in widths)
        self.dfl = DFL()

    @staticmethod
    def branch(width: int, made: int) -> nn.Sequential:
        return nn.Sequential(
            conv(width, width, 3), conv(width, width, 3), nn.Conv2d(width, made, 1)
        )

    def forward(self, maps: list[Tensor]) -> Any:
        maps = [
            torch.cat((box(x), kind(x)), 1)
            for x, box, kind in zip(maps, self.cv2, self.cv3, strict=True)
        ]
        flat = torch.cat([x.view(x.shape[0], 4 * BINS + CLASSES, -1) for x in maps], 2)
        anchors, strides = self.grid(maps)
        box, kind = flat.split((4 * BINS, CLASSES), 1)
        left, right = self.dfl(box).chunk(2, 1)
        first, last = anchors - left, anchors + right
        decoded = torch.cat(((first + last) / 2, last - first), 1) * strides
        return torch.cat((decoded, kind.sigmoid()), 1), maps

    @staticmethod
    def grid(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Where the units lie, and the stride of each."""
        points, strides = [], []
        for x, stride in zip(maps, (8, 16, 32), strict=True):
            rows, cols = (torch.arange(n) + 0.5 for n in x.shape[2:])
            points.append(torch.stack(torch.meshgrid(cols, rows, indexing="xy"), -1).view(-1, 2))
            strides.append(torch.full((len(points[-1]), 1), stride))
        return torch.cat(points).T.unsqueeze(0), torch.cat(strides).T


class YoloV8(nn.Module):
    """Body and heads; `raw` returns the maps beside the boxes, as the module does while it is no export."""

    def __init__(self, raw: bool = True) -> None:
        super().__init__()
        w = WIDTH
        self.raw = raw
        self.stem = nn.Sequential(conv(3, w, 3, 2), conv(w, w, 3, 2))
        self.p3, self.p4, self.p5 = (conv(w, w, 3, 2) for _ in range(3))
        self.up, self.top3 = nn.Upsample(scale_factor=2, mode="nearest"), conv(2 * w, w)
        self.detect = Detect((w, w, w))

    def forward(self, x: Tensor) -> Any:
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        boxes, maps = self.detect([self.top3(torch.cat((self.up(p4), p3), 1)), p4, self.p5(p4)])
        return (boxes, maps) if self.raw else boxes


def exported(
    folder: Path, exporter: str = "old", size: tuple[int, int] = (64, 96), opened: bool = True
) -> Path:
    """The file that one of PyTorch's exporters writes of it."""
    path = folder / f"yolo-{exporter}.onnx"
    options: dict[str, Any] = {"dynamo": True, "external_data": False}
    if exporter == "old":
        options = {"opset_version": 14, "input_names": ["images"], "output_names": ["output0"]}
        if opened:
            options["dynamic_axes"] = {"images": {2: "h", 3: "w"}}
    return to_onnx(YoloV8(raw=False), path, torch.zeros(1, 3, *size), **options)
