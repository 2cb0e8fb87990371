"""What is read at one size and asked at another: right, refused, or said to be assumed."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.network.baked import notes_at
from padviz.sources.tracing.sizes.rows import Probes, Turns, following, tracked
from tests.soak import resized
from tests.torch_oracle import conv, counted


class Doing(nn.Module):
    """Something that depends on the size, and a convolution after it."""

    def __init__(self, what: Callable[[Tensor], Tensor], kernel: int = 3, stride: int = 3) -> None:
        super().__init__()
        self.what, self.conv = what, conv(kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.what(x))  # type: ignore[no-any-return]


def threes(x: Tensor) -> Tensor:
    return functional.pad(x, (0, -x.shape[3] % 3, 0, -x.shape[2] % 3))


def exported(module: nn.Module, path: Path, size: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.zeros((1, 1, size, size), dtype=torch.float64),), path, input_names=["x"],
            dynamic_axes={"x": {2: "h", 3: "w"}}, dynamo=False,
        )  # fmt: skip
    return path


@pytest.mark.parametrize("form", ["module", "file"])
@pytest.mark.parametrize("size", [224, 225, 32])
def test_a_pad_to_a_multiple_that_no_window_has_is_refused_at_other_sizes(form: str, size: int, tmp_path: Path) -> None:
    module = Doing(threes)
    source = module if form == "module" else exported(module, tmp_path / "net.onnx", size)
    network = padviz.load(source, size=(size, size))
    np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(module, (size, size)))
    for other in (size - 1, size + 1, size + 2):
        with pytest.raises(PadvizError, match="its size is built in"):
            padviz.usage(network, other)


@pytest.mark.parametrize("form", ["module", "file"])
def test_a_pad_that_is_the_same_at_each_size_is_known_to_be(form: str, tmp_path: Path) -> None:
    module = Doing(lambda x: functional.pad(x, (0, x.shape[3] // 2 - (x.shape[3] - 1) // 2 - x.shape[3] % 2 + 1)), 2, 1)
    source = module if form == "module" else exported(module, tmp_path / "net.onnx", 32)
    network = padviz.load(source, size=(32, 32))
    assert network.fixed in ((), (1,))  # a pad of two columns or of one is no rule
    for size in ((9, 32), (40, 32)):
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(module, size))


def least(x: Tensor) -> Tensor:
    return functional.pad(x, (0, max(20 - x.shape[3], 0), 0, max(20 - x.shape[2], 0)))


def branching(x: Tensor) -> Tensor:
    return functional.pad(x, (1, 1, 1, 1)) if x.shape[2] < 20 else x


def plainly(x: Tensor) -> Tensor:
    return functional.pad(x, (0, max(20 - int(x.shape[3]), 0), 0, 0))


@pytest.mark.parametrize("what", [least, branching, plainly])
def test_what_happens_below_the_size_read_alone_is_said(what: Callable[[Tensor], Tensor]) -> None:
    module = Doing(what, 3, 1)
    network = padviz.load(module, size=(64, 64))
    assert (network.fixed, network.notes, notes_at(network, (64, 64))) == ((), (), ())
    (note,) = padviz.usage(network, 16).notes
    assert note.startswith("it is read at 64 x 64, and ")
    assert note.endswith("other sizes are assumed to be alike")
    np.testing.assert_array_equal(padviz.usage(network, (48, 30)).counts, counted(module, (48, 30)))


def test_random_modules_are_right_at_other_sizes_or_say_that_they_may_not_be() -> None:
    found = resized.run("7", 0, 15)
    assert found["failures"] == []
    assert found["asked"]["right"] > 10


ROUNDINGS = (math.floor, math.ceil, math.trunc, round, abs, operator.neg)
PAIRS: tuple[Callable[[Any, Any], Any], ...] = (
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.truediv,
    lambda a, b: max(a, b), lambda a, b: min([a, b]),
)  # fmt: skip


def worked_out(rng: Random, rows: list[Any]) -> Any:
    """A number that is worked out of others at random; the same of each seed."""
    values = [*rows, 1, 2, 3, 7]
    for _ in range(8):
        how = rng.choice(PAIRS)
        a, b = rng.choice(values), rng.choice([2, 3, 5] if how in PAIRS[3:6] else values)
        values.append(rng.choice(ROUNDINGS)(how(a, b)))
    return values[-1]


@pytest.mark.parametrize("seed", range(40))
def test_a_number_carries_along_what_it_is_at_all_sizes(seed: int) -> None:
    probes = Probes.around((30, 41))
    turns = Turns(np.full(probes.axes[0].shape, -1))
    with following():
        rows = [tracked(n, over, turns) for n, over in zip(probes.size, probes.axes, strict=True)]
        found = worked_out(Random(seed), rows)
    assert found == worked_out(Random(seed), [*probes.size])
    over = np.broadcast_to(getattr(found, "over", found), probes.axes[0].shape)
    for at in range(0, len(over), 97):
        assert over[at] == worked_out(Random(seed), [int(n[at]) for n in probes.axes])


def test_a_comparison_keeps_the_sizes_that_turn_the_same_way() -> None:
    probes = Probes.around((30, 41))
    turns = Turns(np.full(probes.axes[0].shape, -1))
    height, width = (tracked(n, over, turns) for n, over in zip(probes.size, probes.axes, strict=True))
    assert height < width
    assert width % 2
    tall, wide = probes.axes
    expected = np.where(tall >= wide, 0, np.where(wide % 2 == 0, 1, -1))
    np.testing.assert_array_equal(turns.first, expected)
