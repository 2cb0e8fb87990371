"""Raw heads of detectors: channels that hold boxes beside class scores are not taken for classes."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz.errors import PadvizError
from tests import yolo


class Picked(nn.Module):
    """A network of whose outputs some are returned."""

    def __init__(self, net: nn.Module, pick: Callable[[Any], Any]) -> None:
        super().__init__()
        self.net, self.pick = net, pick

    def forward(self, x: Tensor) -> Any:
        return self.pick(self.net(x))


class Coarse(nn.Module):
    """Maps at strides of 8, 16 and 32 by a convolution each, with so many channels."""

    def __init__(self, *channels: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.ModuleList(nn.Conv2d(4 if i else 3, 4, 3, 2 if i else 8, 1) for i in range(len(channels)))
        self.head = nn.ModuleList(nn.Conv2d(4, n, 1) for n in channels)
        for down in self.down:
            down.weight.data *= 4  # so that the maps react

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for down, head in zip(self.down, self.head, strict=True):
            x = down(x)
            maps.append(head(x))
        return maps


class Beside(nn.Module):
    """Two maps of one size, the boxes first or the class scores."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.one, self.other = nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, first, 1), nn.Conv2d(4, second, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.down(x)
        return self.one(x), self.other(x)


TOGETHER = "has boxes beside class scores: it is '{0}' and '{1}' together; name a map inside with `layer`: '{0}'"
ALONE = "may have boxes beside class scores, as a detector's raw head; name the channel that has scores with `class`"
SEVERAL = "may have boxes beside class scores: 3 maps have as many channels, as a detector's raw heads; name the"
HEADS: dict[str, tuple[nn.Module, dict[str, Any], str]] = {
    "boxes and maps": (yolo.YoloV8(), {}, TOGETHER.format("detect.cv3.0.2", "detect.cv2.0.2")),
    "maps alone": (
        Picked(yolo.YoloV8(), itemgetter(1)), {}, TOGETHER.format("net.detect.cv3.0.2", "net.detect.cv2.0.2")),
    "one of them, by name": (yolo.YoloV8(), {"layer": "output.1"}, "together; name a map inside"),
    "three of 255": (Coarse(255, 255, 255), {}, f"'output.0' of 255 x 12 x 20 {SEVERAL}"),
    "one inside": (Coarse(18, 18, 18), {"layer": "head.0"}, f"'head.0' of 18 x 12 x 20 {SEVERAL}"),
    "one of 255": (Coarse(255), {}, ALONE),
    "one of 144": (Coarse(144), {}, ALONE),
    "by anchors": (
        Picked(Coarse(255), lambda maps: maps[0].reshape(1, 3, 85, 12, 20).permute(0, 1, 3, 4, 2)), {},
        "nor class scores: 'output' of 3 x 12 x 20 x 85"),
    "boxes first": (Beside(64, 80), {}, "may be boxes, and 'other' their class scores; name a map inside with"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADS)
def test_boxes_of_raw_heads_are_no_classes(kind: str) -> None:
    net, asked, said = HEADS[kind]
    with pytest.raises(PadvizError) as refused:
        padviz.detect(net.eval(), size=(96, 160), **asked)
    assert said in str(refused.value)


@pytest.mark.parametrize(("net", "asked", "output"), [
    (Coarse(255, 255, 255), {"class_": 4}, "output.0"),
    (Beside(64, 80), {"layer": "output.1"}, "output.1"),
    (Beside(80, 64), {}, "output.0"),
    (Beside(1, 2), {}, "output.0"),
    (Coarse(19), {}, "output"),  # as many classes as Cityscapes
    (Coarse(1, 1, 1), {}, "output.0"),
])  # fmt: skip
def test_maps_that_cannot_be_boxes_or_are_asked_for_are_looked_at(net: nn.Module, asked: Any, output: str) -> None:
    assert padviz.detect(net.eval(), size=(96, 160), step=48, contrast=1.0, **asked).output == output
