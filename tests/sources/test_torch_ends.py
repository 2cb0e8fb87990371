"""What goes on by the values of maps ends a network: the last maps before it are the heads, and one line says so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.network.targets import last_maps
from tests.sweeps import sampled as some
from tests.torch_calls import count
from tests.torch_oracle import conv, counted

SIZE = (24, 41)


class Points(nn.Module):
    """A detector of points: their scores and, made after the points are picked, their descriptors."""

    def __init__(self, picked: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body, self.scores, self.words, self.picked = conv(stride=2), conv(padding=1), conv(5, padding=2), picked

    def forward(self, x: Tensor) -> Any:
        x = self.body(x)
        points = self.picked(self.scores(x).sigmoid())
        return points, self.words(x)


def places(scores: Tensor) -> Tensor:
    return torch.nonzero(scores[0, 0] > 0.5).float()


def where(scores: Tensor) -> list[Tensor]:
    places = torch.where(scores[0, 0] > 0.5)
    return [scores[0, 0][places], torch.stack(places, 1).flip(1)]


def suppressed(scores: Tensor) -> Tensor:
    points = places(scores)
    return points[torchvision.ops.nms(torch.cat([points, points + 1], 1), points[:, 0], 0.5)]


def sampled(scores: Tensor) -> Tensor:
    found = functional.grid_sample(scores, places(scores)[None, None])
    return functional.conv2d(found, torch.ones(1, 1, 3, 3), padding=1)


PICKED: dict[str, Callable[[Tensor], Any]] = {
    "nonzero": places,
    "where": where,
    "mask": lambda scores: scores[scores > 0.5],
    "masked_select": lambda scores: scores.masked_select(scores > 0.5),
    "unique": lambda scores: torch.unique(scores, return_inverse=True, return_counts=True),
    "suppressed": suppressed,
    "topk": lambda scores: scores.flatten(1).topk(3)[1],
    "sampled": sampled,
}


@pytest.mark.parametrize("name", PICKED)
def test_what_picks_positions_by_their_values_is_skipped(name: str) -> None:
    network = padviz.load(Points(PICKED[name]), 32)
    assert last_maps(network) == ("scores", "words")
    (note,) = network.notes
    assert note.startswith("analysed up to the heads scores, words; skipped ")
    assert note.endswith("picks positions by their values")
    for head in ("scores", "words"):
        alone = nn.Sequential(conv(stride=2), getattr(Points(PICKED[name]), head))
        np.testing.assert_array_equal(padviz.usage(network, SIZE, layer=head).counts, counted(alone, SIZE))


READS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.max().item(),
    "bool": lambda x: bool((x > 0.5).any()),
    "int": lambda x: range(int(x.sum())),
    "tolist": lambda x: x.flatten().tolist(),
    "numpy": lambda x: x.cpu().numpy(),
    "an index": lambda x: torch.arange(99)[x.mean().long()],
    "caught": lambda x: [x.mean().item() for _ in range(2)],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_forward_ends_where_it_reads_the_values_of_a_map(read: Callable[[Tensor], Any]) -> None:
    network = padviz.load(Reading(read), 32)
    assert network.targets == ("b",)
    assert network.notes[0].startswith("analysed up to the head b; skipped ")
    assert network.notes[0].endswith("and what follows: it reads the values of a map")
    np.testing.assert_array_equal(padviz.usage(network, SIZE).counts, counted(Reading(lambda x: x), SIZE))


class Reading(nn.Module):
    """Two convolutions, and what reads their map; before a third one if it is `early`."""

    def __init__(self, read: Callable[[Tensor], Any], early: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.read, self.early = conv(5, padding=2), conv(padding=1, stride=2), read, early
        self.c = conv(padding=1) if early else nn.Identity()

    def forward(self, x: Tensor) -> Any:
        try:
            x = self.b(self.a(x))
            return self.c(x / self.read(x)) if self.early else self.read(x)
        except Exception:
            return x


def test_what_reads_values_before_the_last_convolution_is_an_error_that_names_it() -> None:
    early = Reading(lambda x: x.max().item(), early=True)
    with pytest.raises(
        PadvizError, match=r"item reads the values of a map, and c has not run by then; `layer` b stops"
    ):
        padviz.usage(early, 32)
    np.testing.assert_array_equal(padviz.usage(early, 32, layer="b").counts, counted(Reading(lambda x: x), (32, 32)))


def placed(x: Tensor) -> Tensor:
    whole = x.new_full((1, 1, 40, 44), 0)
    whole[0, :, 3 : 3 + x.shape[2], : x.shape[3]].copy_(x[0])
    return whole


def placed_at_once(x: Tensor) -> Tensor:
    whole = torch.zeros(1, 1, 40, 44, dtype=x.dtype)
    whole[..., 3 : 3 + x.shape[2], : x.shape[3]] = x
    return whole


def shifted(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole[:, :, 1:, :] = x[:, :, :-1, :]
    return whole + x


def without_the_first_row(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole[:, :, 1:].copy_(x[:, :, 1:])
    return whole


@pytest.mark.parametrize("place", [placed, placed_at_once, shifted, without_the_first_row])
def test_a_map_that_is_put_into_a_canvas_is_padded(place: Callable[[Tensor], Tensor]) -> None:
    class Placing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(padding=1), conv(5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(place(self.a(x)))

    for size in [(32, 32), SIZE]:
        np.testing.assert_array_equal(padviz.usage(Placing(), size).counts, counted(Placing(), size))


class Detecting(nn.Module):
    """Two levels, decoded by their strides; returned with the maps that the heads read, as in training."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([conv(padding=1, stride=2), conv(padding=1, stride=2)])
        self.heads = nn.ModuleList([conv(padding=1), conv(padding=1)])
        self.strides = torch.tensor([2.0, 4.0])

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = [x := body(x) for body in self.body]
        boxes = [head(map_).flatten(2) for head, map_ in zip(self.heads, maps, strict=True)]
        scales = [box.new_full(box.shape[2:], stride) for box, stride in zip(boxes, self.strides, strict=True)]
        return torch.cat(boxes, 2) * torch.cat(scales), maps


def test_the_heads_of_a_detector_are_no_maps_that_they_read() -> None:
    network = padviz.load(Detecting(), 32)
    skipped = "skipped cat and what follows: it joins the positions of several maps"
    assert network.notes == (f"analysed up to the heads heads.0, heads.1; {skipped}",)
    for i in range(2):
        alone = nn.Sequential(*Detecting().body[: i + 1], Detecting().heads[i])
        np.testing.assert_array_equal(padviz.usage(network, SIZE, layer=f"heads.{i}").counts, counted(alone, SIZE))


RCNN = {"min_size": 64, "max_size": 96}  # which images of that size stay as they are
DETECTORS: dict[str, Any] = {
    "fasterrcnn_resnet50_fpn": RCNN,
    "fasterrcnn_mobilenet_v3_large_320_fpn": RCNN,
    "maskrcnn_resnet50_fpn": RCNN,
    "keypointrcnn_resnet50_fpn": RCNN,
    "retinanet_resnet50_fpn": RCNN,
    "fcos_resnet50_fpn": RCNN,
    "ssd300_vgg16": {},
    "ssdlite320_mobilenet_v3_large": {},
}
LASTS = ("cls_logits", "bbox_pred", "bbox_reg", "bbox_ctrness")


class Heads(nn.Module):
    """The maps that a detector makes boxes of."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone, self.maps = detector.backbone, []
        head = detector.rpn.head if hasattr(detector, "rpn") else detector.head
        self.heads = [head] if hasattr(detector, "rpn") else [head.classification_head, head.regression_head]
        for name, module in head.named_modules():
            if name.split(".")[-1] in LASTS or name.split(".")[-2:-1] == ["module_list"]:
                module.register_forward_hook(lambda module, args, out: self.maps.append(out))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [*self.backbone(x).values()]
        for head in self.heads:
            with suppress(RuntimeError):  # the oracle joins no positions
                head(features)
        return self.maps


@pytest.mark.parametrize(
    "name",
    some(
        DETECTORS,
        "fasterrcnn_resnet50_fpn keypointrcnn_resnet50_fpn ssd300_vgg16",
        "maskrcnn_resnet50_fpn retinanet_resnet50_fpn",
    ),
)
def test_detectors_of_torchvision_are_counted_as_shipped(name: str) -> None:
    detector = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, **DETECTORS[name])
    size = (64, 96) if DETECTORS[name] else (300, 300) if "300" in name else (320, 320)
    found = padviz.usage(detector, size, heads="sum")
    assert "joins the positions of several maps" in found.notes[0]
    np.testing.assert_allclose(found.counts.astype(float), count(Heads(detector.double()), size)[0], rtol=1e-13)
