"""Units that are called right are those that a tile computes as the whole image does, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

import padviz
from padviz.cutting.context import context_on
from padviz.cutting.right_units import Cut, right_units
from padviz.errors import PadvizError
from padviz.geometry.reaching.lattice import context_of, lattice_on
from tests.sweeps import examples

MODES = {"zero": "constant", "replicate": "replicate", "reflect": "reflect"}


@st.composite
def steps(draw: Any) -> list[tuple[Any, ...]]:
    """Layers of a fully convolutional network, one after another, with skips around some."""
    pads = st.tuples(*[st.integers(0, 3)] * 2)
    kinds = st.one_of(
        st.tuples(
            st.just("conv"), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2), pads, st.sampled_from([*MODES])
        ),
        st.tuples(st.just("same"), st.integers(1, 5), st.integers(1, 2)),
        st.tuples(st.just("pool"), st.integers(2, 3), st.integers(1, 2), st.booleans()),
        st.tuples(st.just("up"), st.integers(1, 4), st.integers(1, 2), st.integers(0, 1)),
        st.tuples(st.just("resize"), st.sampled_from(["nearest", "bilinear"])),
        st.tuples(st.just("cut"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("skip"), st.integers(1, 2)),
    )
    return draw(st.lists(kinds, min_size=1, max_size=5))


class Net(nn.Module):
    """The layers of `steps` along the height, with weights of their own; the width is one column."""

    def __init__(self, laid: list[tuple[Any, ...]]) -> None:
        super().__init__()
        self.laid = laid

    def weights(self, kernel: int, i: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(i)
        return torch.rand(1, 1, kernel, 1, generator=generator, dtype=torch.float64) + 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i, (kind, *figures) in enumerate(self.laid):
            x = getattr(self, kind)(x, i, *figures)
        return x

    def conv(
        self, x: torch.Tensor, i: int, kernel: int, stride: int, dilation: int, pads: Any, mode: str
    ) -> torch.Tensor:
        most = dilation * (kernel - 1)  # units that read nothing but padding are all alike, wherever they are
        padded = F.pad(x, (0, 0, min(pads[0], most), min(pads[1], most)), mode=MODES[mode])
        return F.conv2d(padded, self.weights(kernel, i), None, (stride, 1), 0, (dilation, 1)) + 1

    def same(self, x: torch.Tensor, i: int, kernel: int, stride: int) -> torch.Tensor:
        total = max((-(-x.shape[2] // stride) - 1) * stride + kernel - x.shape[2], 0)
        padded = F.pad(x, (0, 0, total // 2, total - total // 2))
        return F.conv2d(padded, self.weights(kernel, i), None, (stride, 1)) + 1

    def pool(self, x: torch.Tensor, i: int, kernel: int, stride: int, ceil: bool) -> torch.Tensor:
        return F.avg_pool2d(x, (kernel, 1), (stride, 1), ceil_mode=ceil, count_include_pad=False)

    def up(self, x: torch.Tensor, i: int, kernel: int, stride: int, pad: int) -> torch.Tensor:
        weights = self.weights(max(kernel, stride), i)
        return F.conv_transpose2d(x, weights, None, (stride, 1), (pad, 0)) + 1

    def resize(self, x: torch.Tensor, i: int, mode: str) -> torch.Tensor:
        return F.interpolate(x, scale_factor=(2, 1), mode=mode)

    def cut(self, x: torch.Tensor, i: int, before: int, after: int) -> torch.Tensor:
        return x[:, :, before : x.shape[2] - after]

    def skip(self, x: torch.Tensor, i: int, pad: int) -> torch.Tensor:
        return x + F.conv2d(x, self.weights(2 * pad + 1, i), None, 1, (pad, 0))


@given(laid=steps(), extra=st.integers(0, 70), at=st.integers(0, 4), periods=st.integers(1, 8))
@examples(40)
def test_right_units_are_those_that_a_tile_computes_as_the_whole_does(
    laid: list[tuple[Any, ...]], extra: int, at: int, periods: int
) -> None:
    n = 40 + extra
    model, image = Net(laid), torch.rand(1, 1, n, 1, dtype=torch.float64)
    try:
        network = padviz.load(model, size=(n, 1))
        step = lattice_on(network, 0, n).step
    except (PadvizError, RuntimeError):
        assume(False)
    start = min(at * step, (n - 1) // step * step)
    length = min(n - start, (n % step) + periods * step)
    assume((n - length) % step == 0)
    try:
        whole, tile = model(image), model(image[:, :, start : start + length])
        offset, right, barrier, _ = right_units(network, 0, Cut(n, start, length))[-1]
    except (PadvizError, RuntimeError):
        assume(False)
    assert barrier is None
    assert offset is not None
    assert len(right) == tile.shape[2]
    there = whole[0, 0, :, 0].numpy()
    for j, value in enumerate(tile[0, 0, :, 0].numpy()):
        alike = 0 <= j + offset < len(there) and np.isclose(there[j + offset], value, rtol=1e-12)
        assert alike >= right[j], (j, offset)
        assert alike == right[j] or ("resize", "nearest") in laid, (j, offset)  # which makes copies of a row


@given(laid=steps(), n=st.integers(60, 140))
@examples(40)
def test_context_from_one_walk_is_that_of_every_unit_looked_at(laid: list[tuple[Any, ...]], n: int) -> None:
    try:
        network = padviz.load(Net(laid), size=(n, n))
        (context,) = context_on(network, 0, n)
    except (PadvizError, RuntimeError):
        assume(False)
    assert (found := context_of(network, (n, n)))
    assert found[0] == (context.before, context.after)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"),
        nn.Upsample(size=(50, 60)),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        nn.AdaptiveAvgPool2d(8),
        nn.InstanceNorm2d(1),
    ],
)
def test_no_context_is_told_from_one_walk_where_none_is_exact(layer: nn.Module) -> None:
    network = padviz.load(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), layer, nn.Conv2d(1, 1, 3)), size=(64, 64))
    assert context_of(network, (64, 64)) is None
