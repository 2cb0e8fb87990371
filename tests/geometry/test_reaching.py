"""Receptive fields and units near padding, by periods and unit by unit, as tap by tap on an axis without ends."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

import padviz
from padviz.errors import PadvizError
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.geometry.reaching.periods import by_periods
from padviz.geometry.reaching.positions import by_positions
from padviz.geometry.reaching.reach import Reach
from padviz.network.sizes import sizes_of
from padviz.sources.toml.build import parse
from tests import naive
from tests.strategies import networks

LONG = [1.3333, "9973/10007", "100000007/75000000", 2]
FAR = 250  # units beyond a map of 24, which no padding of six small layers touches


def check(reaches: tuple[Reach, ...], net: padviz.Network, fields: naive.Fields) -> None:
    for layer, reach in zip(net.layers, reaches, strict=True):
        assert reach.whole == (layer.name in fields.whole)
        m = fields.sizes[layer.name]
        if reach.whole:
            continue
        seen = [fields.of(layer.name, unit) for unit in range(m)]
        assert [reach.of(unit) for unit in range(m)] == [(min(each), max(each)) for each in seen]
        assert reach.size == max(max(each) - min(each) + 1 for each in seen)
        centres = [Fraction(min(each) + max(each), 2) for each in seen]
        assert reach.on_the_line(m) == (centres == [centres[0] + unit * reach.stride for unit in range(m)])
        assert reach.mean_centre(m) == sum(centres) / m


@pytest.mark.parametrize("scales", [None, LONG], ids=["short", "long"])
@given(data=st.data())
def test_units_see_what_their_taps_reach(scales: list[Any] | None, data: Any) -> None:
    follow(*data.draw(networks(scales=scales)))


@pytest.mark.parametrize("scale", [2, "20011/10007"])
@pytest.mark.parametrize("dilated", [False, True])
def test_units_may_see_less_far_than_the_one_before(scale: Any, dilated: bool) -> None:
    """A cubic resize that looks at a row itself reads it alone; of a dilated transposed convolution some units do."""
    cubic = {"op": "resize", "name": "up", "scale": scale, "mode": "cubic", "grid": "asymmetric"}
    spread = {"op": "convtranspose", "name": "spread", "kernel": 3, "stride": 2, "dilation": 2}
    window = {"op": "conv", "name": "c", "kernel": 4, "padding": 2}
    follow([cubic, *([spread] if dilated else []), window, {**window, "name": "d", "kernel": 2}], (5, 6))


def test_a_row_that_is_all_of_the_map_is_read_by_all_that_is_made_of_it() -> None:
    """Between corners that are one there is no distance, so units far from them have none either."""
    one, window = ({"op": "conv", "name": name, "kernel": 3, "padding": 1} for name in "ac")
    corners = {"op": "resize", "name": "up", "scale": 3, "mode": "linear", "align_corners": True}
    follow([{**one, "stride": 6}, corners, window], (6, 5))


@pytest.mark.parametrize("grid", ["align_corners", "pytorch_half_pixel"])
def test_a_resize_to_one_row_looks_at_the_first_wherever_it_is(grid: str) -> None:
    padded = {"op": "conv", "name": "a", "kernel": 3, "padding": 1}
    follow([padded, {"op": "resize", "name": "one", "scale": "1/5", "mode": "linear", "grid": grid}], (5, 6))


def follow(steps: list[dict[str, Any]], size: tuple[int, int]) -> None:
    net = parse({"layers": steps}, "random")
    for axis in (0, 1):
        fields, sizes = naive.Fields(steps, axis, size), sizes_of(net, axis, size[axis])
        check(by_positions(net, axis, sizes), net, fields)
        if reaches := by_periods(net, axis, sizes):
            check(reaches, net, fields)
        for row, reach in zip(near_padding(net, size), by_positions(net, axis, sizes)[1:], strict=True):
            if not reach.whole:
                check_near(row, axis, fields)


def check_near(row: NearPadding, axis: int, fields: naive.Fields) -> None:
    m = fields.sizes[row.layer]
    before = [unit for unit in range(FAR) if fields.touches(row.layer, unit, after=False)]
    after = [unit for unit in range(FAR) if fields.touches(row.layer, m - 1 - unit, after=True)]
    touched = max(before, default=-1) + 1, max(after, default=-1) + 1
    assert (row.height, row.width)[axis] == tuple(min(each, m) for each in touched)


@st.composite
def cropping(draw: Any) -> list[tuple[Any, ...]]:
    """Convolutions that pad, transposed ones, and slices, one after another."""
    amounts = st.tuples(*[st.integers(0, 2)] * 4)
    conv = st.tuples(st.just("conv"), st.integers(1, 5), st.integers(1, 2), st.integers(1, 2), amounts)
    up = st.tuples(st.just("up"), st.integers(1, 4), st.integers(1, 2), st.integers(0, 2))
    cut = st.tuples(st.just("cut"), amounts, st.integers(1, 2))
    return draw(st.lists(st.one_of(conv, up, cut), min_size=1, max_size=5))


class Around(nn.Module):
    """The layers of `cropping`; what lies outside of a side of any of them has a value of its own."""

    def __init__(self, laid: list[tuple[Any, ...]]) -> None:
        super().__init__()
        self.laid = laid
        self.values = (0.0,) * 4  # left, right, top, bottom

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for kind, *figures in self.laid:
            if kind == "conv":
                kernel, stride, dilation, pads = figures
                x = F.conv2d(self.padded(x, pads), torch.ones(1, 1, kernel, kernel), None, stride, 0, dilation)
            elif kind == "up":
                kernel, stride, pad = figures
                more = kernel if any(self.values) else 0  # as far as a unit reads past the end
                x = self.padded(x, (more,) * 4)
                x = F.conv_transpose2d(x, torch.ones(1, 1, kernel, kernel), None, stride, pad + stride * more)
            else:
                (left, right, top, bottom), step = figures
                x = x[..., top : x.shape[-2] - bottom : step, left : x.shape[-1] - right : step]
        return x

    def padded(self, x: torch.Tensor, pads: Any) -> torch.Tensor:
        for side, (pad, value) in enumerate(zip(pads, self.values, strict=True)):
            x = F.pad(x, [pad if i == side else 0 for i in range(4)], value=value)
        return x


@given(laid=cropping(), size=st.tuples(st.integers(9, 40), st.integers(9, 40)))
@example(laid=[("cut", (2,) * 4, 1), ("conv", 5, 1, 1, (2,) * 4)], size=(16, 16))
@example(laid=[("up", 2, 2, 1), ("conv", 3, 1, 1, (1,) * 4)], size=(16, 16))
@example(laid=[("up", 3, 1, 0), ("conv", 1, 2, 1, (0, 0, 0, 1)), ("cut", (0, 0, 5, 0), 1)], size=(9, 16))
@settings(deadline=None)
def test_units_near_padding_are_those_that_change_with_what_is_padded(laid: list[tuple[Any, ...]], size: Any) -> None:
    model = Around(laid)
    image = torch.zeros(1, 1, *size)
    try:
        plain = model(image)
        assert min(plain.shape) > 0
        assert model(image + 1).any()  # rows of nothing but padding show no change along them
        network = padviz.load(model, size=size)
        rows = near_padding(network, size)
        sides = [*rows[-1].width, *rows[-1].height]
    except (RuntimeError, AssertionError, IndexError, PadvizError):
        return
    for side in range(4):
        axis = 1 if side < 2 else 0
        maps = [(row.height, row.width)[axis] for row in rows]
        if any(sum(touched) >= m for touched, m in zip(maps, sizes_of(network, axis, size[axis])[1:], strict=True)):
            continue  # where both borders meet, padding of one end stands where a unit near the other would be
        model.values = tuple(float(each == side) for each in range(4))
        changed = (model(image) != plain)[0, 0].any(dim=0 if side < 2 else 1).nonzero().ravel().tolist()
        n = plain.shape[-1 if side < 2 else -2]
        assert sides[side] == ((n - min(changed) if side % 2 else max(changed) + 1) if changed else 0)
