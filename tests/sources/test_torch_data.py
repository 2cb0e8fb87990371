"""Small constants keep their data: what a forward decides and works out by them is followed, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

import padviz
from padviz.errors import PadvizError
from tests.torch_oracle import conv, counted

SIZES = [(16, 16), (20, 33)]


class Deciding(nn.Module):
    """Two convolutions, and what a function of the module and its map makes between them."""

    def __init__(self, between: Callable[[Deciding, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.between = conv(5, padding=2), conv(padding=1), between
        self.register_buffer("strides", torch.tensor([2.0, 4.0]))
        self.times = torch.tensor(3)
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self, self.a(x)))


def each_time(module: Deciding, x: Tensor) -> Tensor:
    for _ in range(module.times):
        x = module.a(x)
    return x


def once_more(module: Deciding, x: Tensor) -> Tensor:
    module.seen += 1
    return module.a(x) if module.seen > 0 else x


def in_grids(module: Deciding, x: Tensor) -> Tensor:
    rows = torch.arange(2, device=x.device, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(rows, rows, indexing="ij")) * x.new_full((1,), module.strides[1])
    assert grid.max().item() == 4
    return x[:, :, int(grid[0, 1, 1]) :]


def to_whole_strides(module: Deciding, x: Tensor) -> Tensor:
    """Pad as codecs do: by tensors, and by the length that the map has."""
    frames = torch.ceil((x.shape[3] - module.times) / module.times + 1).to(torch.int64)
    return functional.pad(x, (module.times // 2, frames * module.times - x.shape[3], 0, 1))


DECIDED: dict[str, Callable[[Deciding, Tensor], Tensor]] = {
    "item": lambda module, x: x[:, :, module.strides[1].item() // 1 == 4 :],
    "tolist": lambda module, x: x[:, :, :, int(module.strides.tolist()[0]) :],
    "index": lambda module, x: x[:, :, module.times :],
    "numpy": lambda module, x: x[:, :, : -int(module.strides.numpy().max())],
    "range": each_time,
    "in place": once_more,
    "grids": in_grids,
    "padding": to_whole_strides,
    "moved": lambda module, x: x[:, :, int(module.strides.to(x.device).to(x)[0].cpu()) :],
    "a type": lambda module, x: x[:, :, module.times.type_as(x).int() :],
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_a_forward_makes_of_small_constants_is_followed(name: str) -> None:
    module = Deciding(DECIDED[name])
    before = {key: value.clone() for key, value in module.state_dict().items()}
    network = padviz.load(module)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    for size in SIZES:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Deciding(DECIDED[name]), size))


def filled(x: Tensor, whole: Tensor) -> Tensor:
    whole[:] = x
    return whole


WRITES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # a map to zeros, and what goes on
    "filled": filled,
    "added": lambda x, whole: whole.add_(x),
    "given out": lambda x, whole: torch.mul(x, 1, out=whole),
}
REFUSED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "through a slice": lambda x, whole: (whole, whole[:, :][:, :, 1:].copy_(x[:, :, 1:]))[0],
    "through an older view": lambda x, whole: (whole[:, :], whole.add_(x))[0],
    "each in place": lambda x, whole: (whole, torch._foreach_add_([whole], [x]))[0],
}


def written(name: str) -> nn.Module:
    write = (WRITES | REFUSED)[name]
    return Deciding(lambda module, x: write(x, torch.zeros(x.shape, dtype=x.dtype)) + x)  # a function of one map


@pytest.mark.parametrize("name", WRITES)
def test_a_map_that_is_written_to_a_constant_with_data_is_a_map(name: str) -> None:
    for size in SIZES:
        expected = counted(Deciding(lambda module, x: x), size)
        np.testing.assert_array_equal(padviz.usage(written(name), size).counts, expected)


@pytest.mark.parametrize("name", REFUSED)
def test_a_part_of_a_constant_that_is_written_to_is_refused(name: str) -> None:
    with pytest.raises(PadvizError, match=r"`layer` .* stops before it"):
        padviz.usage(written(name), 16)


def written_by_weights(module: Deciding, x: Tensor) -> Tensor:
    kept = torch.zeros(3, 3)
    kept[:] = module.b.weight[0, 0]
    return x[:, :, int(kept[0, 0]) :]


@pytest.mark.parametrize(
    "between",
    [written_by_weights, lambda module, x: x[:, :, int(module.b.weight[0, 0, 0, 0]) :]],
    ids=["copied", "read"],
)
def test_no_weight_decides(between: Callable[[Deciding, Tensor], Tensor]) -> None:
    with pytest.raises(PadvizError, match=r"^Deciding: its forward fails on .* weights"):
        padviz.usage(Deciding(between), 16)
