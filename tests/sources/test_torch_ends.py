"""What goes on by the values of maps ends a network: the last maps before it are the heads, and one line says so."""

from __future__ import annotations

from collections.abc import Callable
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


def suppressed(scores: Tensor) -> Tensor:
    points = places(scores)
    return points[torchvision.ops.nms(torch.cat([points, points + 1], 1), points[:, 0], 0.5)]


def sampled(scores: Tensor) -> Tensor:
    found = functional.grid_sample(scores, places(scores)[None, None])
    return functional.conv2d(found, torch.ones(1, 1, 3, 3), padding=1)


PICKED: dict[str, Callable[[Tensor], Any]] = {
    "nonzero": places,
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


def shifted(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole[:, :, 1:, :] = x[:, :, :-1, :]
    return whole + x


@pytest.mark.parametrize("place", [placed, shifted])
def test_a_map_that_is_put_into_a_canvas_is_padded(place: Callable[[Tensor], Tensor]) -> None:
    class Placing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(padding=1), conv(5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(place(self.a(x)))

    for size in [(32, 32), SIZE]:
        np.testing.assert_array_equal(padviz.usage(Placing(), size).counts, counted(Placing(), size))
