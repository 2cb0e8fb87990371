"""Receptive fields and margins, by periods and unit by unit, as tap by tap on an axis without ends."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.audit.reaching.periods import by_periods
from padviz.audit.reaching.positions import by_positions
from padviz.audit.reaching.reach import Reach
from padviz.network.sizes import sizes_of
from padviz.sources.toml.build import parse
from tests import naive
from tests.strategies import networks

LONG = [1.3333, "9973/10007", "100000007/75000000", 2]
FAR = 250  # units beyond a map of 24, which no padding of six small layers touches


def check(reaches: tuple[Reach, ...], net: padviz.Network, fields: naive.Fields) -> None:
    n = fields.sizes["input"]
    for layer, reach in zip(net.layers, reaches, strict=True):
        assert reach.whole == (layer.name in fields.whole)
        m = fields.sizes[layer.name]
        if reach.whole:
            continue
        seen = [fields.of(layer.name, unit) for unit in range(m)]
        assert [reach.of(unit) for unit in range(m)] == [(min(each), max(each)) for each in seen]
        assert reach.size == max(max(each) - min(each) + 1 for each in seen)
        centres = [Fraction(min(each) + max(each), 2) for each in seen]
        if reach.parts_at is None:
            assert centres == [centres[0] + unit * reach.stride for unit in range(m)]
        if reach.stride and not reach.uneven_strides:
            before = [unit for unit in range(FAR) if min(fields.of(layer.name, unit)) < 0]
            after = [unit for unit in range(FAR) if max(fields.of(layer.name, m - 1 - unit)) >= n]
            assert reach.touched == (max(before, default=-1) + 1, max(after, default=-1) + 1)


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
