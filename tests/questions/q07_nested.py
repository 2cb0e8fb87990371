"""A nested U-Net joins maps at each of its nodes: the first that doubles 67 rows to 134 meets 135."""

from pathlib import Path

from tests.questions.exported import exported, nearest
from tests.questions.question import Question

NESTED = """
import torch
from torch import nn
from torch.nn.functional import interpolate


def block(before):
    return nn.Sequential(nn.Conv2d(before, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1), nn.ReLU())


class NestedUnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.nodes = nn.ModuleDict(
            {
                f"conv{level}_{step}": block(2 * (step + 1) if step else 3 if level == 0 else 2)
                for step in range(5)
                for level in range(5 - step)
            }
        )
        self.finals = nn.ModuleList([nn.Conv2d(2, 1, 1) for _ in range(4)])

    def forward(self, x):
        maps = [[] for _ in range(5)]
        for level in range(5):
            x = self.nodes[f"conv{level}_0"](x if level == 0 else self.pool(x))
            maps[level].append(x)
        for step in range(1, 5):
            for level in range(5 - step):
                joined = maps[level] + [GROWN]
                maps[level].append(self.nodes[f"conv{level}_{step}"](torch.cat(joined, 1)))
        return sum(final(map) for final, map in zip(self.finals, maps[0][1:])) / 4
"""
GROWN = 'interpolate(maps[level + 1][-1], maps[level][0].shape[-2:], mode="bilinear", align_corners=False)'


def truth(folder: Path) -> list[str]:
    height, width = nearest(folder / "nested.onnx", (1080, 3840), 64)
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=7,
    group="Sizes",
    asked="A nested U-Net with deep supervision fails at 1080 x 3840, as a basic one does at 700 x 700. Must the image "
    "be square?",
    threads=(
        "zonasw/unet-nested-multiple-classification#3",
        "bigmb/Unet-Segmentation-Pytorch-Nest-of-Unets#52",
    ),
    ended="four levels deep, sizes have to divide by 16 (#52).",
    files={
        "nested.onnx": exported(
            NESTED.replace("GROWN", "self.up(maps[level + 1][-1])"), "NestedUnet"
        )
    },
    control={"nested.onnx": exported(NESTED.replace("GROWN", GROWN), "NestedUnet")},
    commands=("padviz sizes nested.onnx --size 1080x3840",),
    answer=(
        "refused by  /Concat_3: its branches disagree in height: /conv3_0/conv3_0.2/Conv",
        "            has 135, /up_3/Resize has 134",
        "accepts     multiples of 16",
        "pad to      1088 x 3840: 8 px at the bottom",
    ),
    cause=(
        "/up_3/Resize has 134",
        "multiples of 16",
    ),
    do="No: the sides need not be equal, but each must be a multiple of 16. Pad the height to 1088.",
    truth=truth,
)
