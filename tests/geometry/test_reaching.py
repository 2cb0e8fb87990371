"""Receptive fields, units near padding and where units are centred, by periods and unit by unit, as tap by tap."""

import tomllib
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import padviz
from padviz.advice.verdict import audit
from padviz.analyses.uneven import verdict
from padviz.geometry.ledger import ledger
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.geometry.reaching.reach import Reach, by_periods, by_positions
from padviz.geometry.receptive_fields import grid_in_words, grid_offsets, reaches_of
from padviz.network.sizes import resolve_each, sizes_of
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
        assert [reach.interval(unit) for unit in range(m)] == [(min(each), max(each)) for each in seen]
        assert reach.size == max(max(each) - min(each) + 1 for each in seen)
        centres = [Fraction(min(each) + max(each), 2) for each in seen]
        assert reach.on_the_line(m) == (centres == [centres[0] + unit * reach.stride for unit in range(m)])
        assert reach.mean_centre(m) == sum(centres) / m


@pytest.mark.parametrize("scales", [None, LONG], ids=["short", "long"])
@given(data=st.data())
def test_units_see_what_their_taps_reach(scales: list[Any] | None, data: Any) -> None:
    follow(*data.draw(networks(scales=scales)))


CUBIC = {"op": "resize", "name": "up", "mode": "cubic", "grid": "asymmetric"}
SPREAD = {"op": "convtranspose", "name": "spread", "kernel": 3, "stride": 2, "dilation": 2}
EVEN = [{"op": "conv", "name": "c", "kernel": 4, "padding": 2}, {"op": "conv", "name": "d", "kernel": 2, "padding": 2}]
PADDED = {"op": "conv", "name": "a", "kernel": 3, "padding": 1}
LINEAR = {"op": "resize", "name": "up", "mode": "linear"}
ODD = {
    # A cubic resize that looks at a row itself reads it alone; of a dilated transposed convolution some units do.
    "units that see less far than the one before": [{**CUBIC, "scale": 2}, *EVEN],
    "and those of a long period": [{**CUBIC, "scale": "20011/10007"}, *EVEN],
    "and those that a dilated one spreads": [{**CUBIC, "scale": 2}, SPREAD, *EVEN],
    "and both": [{**CUBIC, "scale": "20011/10007"}, SPREAD, *EVEN],
    # Between corners that are one there is no distance, so units far from them have none either.
    "a row that is all of the map": [
        {**PADDED, "stride": 6},
        {**LINEAR, "scale": 3, "align_corners": True},
        {**PADDED, "name": "c"},
    ],
    "a resize to one row by corners": [PADDED, {**LINEAR, "scale": "1/5", "grid": "align_corners"}],
    "a resize to one row by PyTorch": [PADDED, {**LINEAR, "scale": "1/5", "grid": "pytorch_half_pixel"}],
    # All units that it might have look at row 0, so that none would be the last to see past the border.
    "rows that a crop takes where a window pads": [
        {"op": "crop", "name": "cut", "padding": 2},
        {"op": "conv", "name": "c", "kernel": 5, "padding": 2},
    ],
    "rows beside those that a transposed one cuts off": [
        {"op": "convtranspose", "name": "up", "kernel": 2, "stride": 2, "padding": 1},
        PADDED,
    ],
    "and a crop of one side behind a stride": [
        {"op": "convtranspose", "name": "up", "kernel": 3},
        {"op": "conv", "name": "c", "kernel": 1, "stride": 2, "padding": [[0, 1], [0, 0]]},
        {"op": "crop", "name": "cut", "padding": [[5, 0], [0, 0]]},
    ],
    "a resize to one row by its size": [PADDED, {**LINEAR, "size": 1, "align_corners": True}],
}


@pytest.mark.parametrize("case", ODD)
def test_odd_units_see_what_their_taps_reach(case: str) -> None:
    follow(ODD[case], (16, 9) if "crop" in str(ODD[case]) else (5, 6))


def follow(steps: list[dict[str, Any]], size: tuple[int, int]) -> None:
    net = parse({"layers": steps}, "random")
    for axis in (0, 1):
        fields, sizes = naive.Fields(steps, axis, size), sizes_of(net, axis, size[axis])
        alone = any(step["op"] == "resize" and fields.sizes[step["name"]] == 1 for step in steps)
        check(by_positions(net, axis, sizes), net, fields)
        if reaches := by_periods(net, axis, sizes):
            check(reaches, net, fields)
        for row, reach in zip(near_padding(net, size), by_positions(net, axis, sizes)[1:], strict=True):
            if not reach.whole:
                check_near(row, axis, fields, alone)


def check_near(row: NearPadding, axis: int, fields: naive.Fields, alone: bool) -> None:
    """Where a resize makes one row, which all units past it would read as well, either end may be named."""
    m = fields.sizes[row.layer]
    before = [unit for unit in range(FAR) if fields.touches(row.layer, unit, after=False)]
    after = [unit for unit in range(FAR) if fields.touches(row.layer, m - 1 - unit, after=True)]
    touched = tuple(min(max(units, default=-1) + 1, m) for units in (before, after))
    found = (row.height, row.width)[axis]
    if alone:
        touched, found = ((min(sum(each), m), 0) for each in (touched, found))
    assert found == touched


def described(steps: list[str]) -> padviz.Network:
    return parse(tomllib.loads(f"layers = [{', '.join(steps)}]"), "net")


def mean_centre(network: padviz.Network, size: int) -> Fraction:
    """The mean centre of all units of the last layer along the height, from the image's centre on."""
    reach, units = reaches_of(network, 0, size)[-1], resolve_each(network, (size, size))[0].sizes[-1]
    return Fraction(sum(sum(reach.interval(unit)) for unit in range(units)), 2 * units) - Fraction(size - 1, 2)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 8, 3, 2, 1),),
        (nn.Conv2d(3, 16, 3, 2, 1), nn.PixelShuffle(2), nn.Conv2d(4, 3, 3, 1, 1)),
        (nn.MaxPool2d(2), nn.Upsample(scale_factor=3, mode="bilinear"), nn.Conv2d(3, 3, 3, 2, 1)),
    ],
)
@pytest.mark.parametrize("size", [64, 67])
def test_a_chain_has_a_grid_and_the_audit_says_what_fields_says(layers: tuple[nn.Module, ...], size: int) -> None:
    network = padviz.load(nn.Sequential(*layers), size=size)
    row = padviz.fields(network, size)[-1]
    assert row.height.offset == mean_centre(network, size)
    assert row.parts_at is None
    off = float(row.height.offset)
    place = f"{abs(off):.3g} px {'above' if off < 0 else 'below'} and" if off else "on the image"
    assert f"the sampling grid is centred {place}" in audit(network, size).symmetry


def test_where_branches_are_centred_differently_the_layer_is_named() -> None:
    steps = [
        '{op = "conv", name = "a", kernel = 3, padding = [[2, 0], [1, 1]]}',
        '{op = "conv", name = "b", kernel = 3, padding = 1, from = "input"}',
        '{op = "add", name = "sum", from = ["a", "b"]}',
        '{op = "conv", name = "out", kernel = 1}',
    ]
    network = described(steps)
    row = padviz.fields(network, 57)[-1]
    assert row.offsets == (None, 0)
    assert grid_in_words(row) == "not defined: branches have different centres, first at sum"
    said = " ".join(verdict(network, ledger(network, (57, 57))))
    assert "Sampling-grid offset of out: not defined: branches have different centres, first at sum." in said


def test_where_fields_cannot_be_followed_uneven_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.geometry.reaching.reach.MOST_UNITS", 25_000)
    steps = '{op = "conv", name = "c", kernel = 3, padding = 1}, {op = "resize", name = "r", scale = "99991/99989"}'
    network = described([steps])
    assert grid_offsets(network, (9989, 9989)) == {}
    assert [*grid_offsets(network, (989, 989))] == ["c", "r"]


@pytest.mark.parametrize("apart", [True, False])
def test_it_is_said_where_a_pad_is_counted_to_a_convolution(apart: bool) -> None:
    pads = [nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3, 2)] if apart else [nn.Conv2d(3, 8, 3, 2, 1)]
    network = padviz.load(nn.Sequential(*pads), size=32)
    for said in (audit(network, 32).symmetry, " ".join(verdict(network, ledger(network, (32, 32))))):
        assert ("ows that are padded before 1 are counted as its padding" in said) == apart
