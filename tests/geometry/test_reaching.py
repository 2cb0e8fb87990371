"""Receptive fields, units near padding, where units are centred, and layers that make each position depend on all."""

import re
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import padviz
from padviz.analyses.uneven import verdict
from padviz.geometry.ledger import ledger
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.geometry.reaching.reach import Reach
from padviz.geometry.receptive_fields import (
    fields_of_units,
    grid_in_words,
    grid_offsets,
    reaches_of,
)
from padviz.network.sizes import resolve_each
from padviz.sources.toml.load import parse
from padviz.sources.toml.write import to_toml
from tests import naive
from tests.sources.test_onnx_ops import model_of, saved
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
        assert [reach.interval(unit) for unit in range(m)] == [
            (min(each), max(each)) for each in seen
        ]
        assert reach.size == max(max(each) - min(each) + 1 for each in seen)
        centres = [Fraction(min(each) + max(each), 2) for each in seen]
        assert reach.on_the_line(m) == (
            centres == [centres[0] + unit * reach.stride for unit in range(m)]
        )
        assert reach.mean_centre(m) == sum(centres) / m


@pytest.mark.parametrize("scales", [None, LONG], ids=["short", "long"])
@given(data=st.data())
def test_units_see_what_their_taps_reach(scales: list[Any] | None, data: Any) -> None:
    follow(*data.draw(networks(scales=scales)))


ODD = tomllib.loads(Path(__file__).with_name("odd.toml").read_text())


@pytest.mark.parametrize("case", ODD)
def test_odd_units_see_what_their_taps_reach(case: str) -> None:
    follow(ODD[case]["layers"], (16, 9) if "crop" in str(ODD[case]) else (5, 6))


def follow(steps: list[dict[str, Any]], size: tuple[int, int]) -> None:
    net = parse({"layers": steps}, "random")
    for axis in (0, 1):
        fields = naive.Fields(steps, axis, size)
        alone = any(step["op"] == "resize" and fields.sizes[step["name"]] == 1 for step in steps)
        check(reaches := reaches_of(net, axis, size[axis]), net, fields)
        for row, reach in zip(near_padding(net, size), reaches[1:], strict=True):
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
    reach, units = (
        reaches_of(network, 0, size)[-1],
        resolve_each(network, (size, size))[0].sizes[-1],
    )
    return Fraction(sum(sum(reach.interval(unit)) for unit in range(units)), 2 * units) - Fraction(
        size - 1, 2
    )


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 8, 3, 2, 1),),
        (nn.Conv2d(3, 16, 3, 2, 1), nn.PixelShuffle(2), nn.Conv2d(4, 3, 3, 1, 1)),
        (nn.MaxPool2d(2), nn.Upsample(scale_factor=3, mode="bilinear"), nn.Conv2d(3, 3, 3, 2, 1)),
    ],
)
@pytest.mark.parametrize("size", [64, 67])
def test_a_chain_has_a_grid_and_the_audit_says_what_fields_says(
    layers: tuple[nn.Module, ...], size: int
) -> None:
    network = padviz.load(nn.Sequential(*layers), size=size)
    row = padviz.fields(network, size)[-1]
    assert row.height.offset == mean_centre(network, size)
    assert row.parts_at is None
    off = float(row.height.offset)
    place = f"{abs(off):.3g} px {'above' if off < 0 else 'below'} and" if off else "on the image"
    assert f"the sampling grid is centred {place}" in padviz.audit(network, size).symmetry


def test_units_at_the_corners_see_the_corners() -> None:
    net = parse(
        {"layers": [{"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1}]}, "net"
    )
    assert fields_of_units(net, (8, 11), "a") == {
        "centre": ((3, 5), (5, 7)),
        "top left": ((-1, 1), (-1, 1)),
        "top right": ((-1, 1), (9, 11)),
        "bottom left": ((5, 7), (-1, 1)),
        "bottom right": ((5, 7), (9, 11)),
    }


def test_a_grid_that_rounding_alone_moves_is_centred() -> None:
    """Nearest rows, of which 41 are made of 32, are off by a fraction of a pixel on average."""
    resized = padviz.load(
        nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Upsample((41, 41), mode="nearest-exact")),
        size=32,
    )
    row = padviz.fields(resized, 32)[-1]
    assert 0 < abs(row.height.offset) < 0.05
    assert grid_in_words(row) == "height 0 px, width 0 px"
    assert "the sampling grid is centred on the image" in padviz.audit(resized, 32).symmetry


class Means(nn.Module):
    """Two convolutions, between which each position sees the mean of its row."""

    def __init__(self, padding: tuple[int, int]) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=padding), nn.Conv2d(8, 8, 3, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return self.b(y + y.mean(3, keepdim=True))


@pytest.mark.parametrize("padding", [(1, 1), (1, 0), (0, 1)])
def test_a_mean_of_rows_makes_positions_depend_on_their_rows_alone(
    padding: tuple[int, int],
) -> None:
    audit = padviz.audit(Means(padding), 64)
    if padding[1]:  # rows that read padding at their ends do so everywhere
        assert (
            "mean (global pooling) makes every position depend on all along the width."
            in audit.padding
        )
    else:
        assert "Every unit" not in audit.padding


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
    assert (
        "Sampling-grid offset of out: not defined: branches have different centres, first at sum."
        in said
    )


def test_where_fields_cannot_be_followed_uneven_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.geometry.reaching.reach.MOST_UNITS", 9_000)
    steps = '{op = "conv", name = "c", kernel = 3, padding = 1}, {op = "resize", name = "r", scale = "99991/99989"}'
    network = described([steps])
    assert grid_offsets(network, (9989, 9989)) == {}
    assert [*grid_offsets(network, (989, 989))] == ["c", "r"]


@pytest.mark.parametrize("apart", [True, False])
def test_it_is_said_where_a_pad_is_counted_to_a_convolution(apart: bool) -> None:
    pads = [nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3, 2)] if apart else [nn.Conv2d(3, 8, 3, 2, 1)]
    network = padviz.load(nn.Sequential(*pads), size=32)
    for said in (
        padviz.audit(network, 32).symmetry,
        " ".join(verdict(network, ledger(network, (32, 32)))),
    ):
        assert ("ows that are padded before 1 are counted as its padding" in said) == apart


def net(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *middle, nn.Conv2d(4, 4, 3, padding=1))


class Gated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


class Swishing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.norm(x))


GLOBAL = [
    (nn.InstanceNorm2d(4), "1", "instance norm"),
    (nn.GroupNorm(2, 4), "1", "group norm"),
    (nn.LayerNorm([4, 32, 32]), "1", "layer norm"),
    (nn.BatchNorm2d(4, track_running_stats=False), "1", "batch norm"),
    (Swishing(), "1.norm", "group norm"),
    (Gated(), "1_2", "gate"),
]


@pytest.mark.parametrize(("middle", "layer", "why"), GLOBAL, ids=lambda each: str(each)[:12])
def test_each_position_depends_on_all_behind_a_global_layer(
    middle: nn.Module, layer: str, why: str, tmp_path: Path
) -> None:
    network = padviz.load(net(middle), size=(32, 32))
    first, *_, last = near_padding(network, (32, 32))
    assert (first.height, first.barrier) == ((1, 1), None)
    assert last.barrier == (layer, why)
    with pytest.raises(padviz.PadvizError, match=f"no tiles are exact: {re.escape(layer)} .{why}"):
        padviz.tiles(network, 32, 16)
    (tmp_path / "net.toml").write_text(to_toml(network))
    assert padviz.load(str(tmp_path / "net.toml")).layers == network.layers
    if "norm" in why:  # which paths pass
        plain, normed = padviz.usage(net(nn.ReLU()), 32), padviz.usage(network, 32)
        np.testing.assert_array_equal(plain.counts, normed.counts)
        assert plain.target == normed.target


class ChannelsLast(nn.Module):
    """A layer norm over channels, which are last for it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


LOCAL = [
    nn.BatchNorm2d(4),
    nn.InstanceNorm2d(4, track_running_stats=True),
    nn.LocalResponseNorm(2),
    nn.Softmax2d(),
    ChannelsLast(),
]


@pytest.mark.parametrize("middle", LOCAL)
def test_what_takes_each_position_alone_makes_no_layer(middle: nn.Module) -> None:
    network = padviz.load(net(middle), size=(32, 32))
    assert [layer.name for layer in network.layers] == ["input", "0", "2"]
    assert near_padding(network, (32, 32))[-1].barrier is None


LAST = "t = Transpose <perm = [0, 2, 3, 1]> (a)\n u = LayerNormalization <axis = -1> (t, s)\n"
NODES = {
    "b = InstanceNormalization (a, s, s)": "instance norm",
    "b = MeanVarianceNormalization (a)": "norm over positions",
    "b = LayerNormalization <axis = 1> (a, s)": "layer norm",
    "b = LayerNormalization <axis = -1> (a, s)": "layer norm",
    "b = GroupNormalization <num_groups = 1> (a, [1.0], [0.0])": "group norm",
    "b = LpNormalization <axis = 3> (a)": "norm over positions",
    "b = Softmax <axis = 3> (a)": "softmax over positions",
    f"{LAST} b = Transpose <perm = [0, 3, 1, 2]> (u)": "",
    "b = MeanVarianceNormalization <axes = [1]> (a)": "",
    "b = LpNormalization <axis = 1> (a)": "",
    "b = Softmax <axis = 1> (a)": "",
    "b = BatchNormalization (a, s, s, s, s)": "",
    "b = BatchNormalization <training_mode = 1> (a, s, s, s, s)": "batch norm",
    "b = Relu (a)": "",
}


@pytest.mark.parametrize("nodes", NODES)
def test_onnx_norms_over_positions_are_global(nodes: str, tmp_path: Path) -> None:
    body = f"""s = Constant <value = float[4] {{1, 1, 1, 1}}> ()\n a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x4)
    {nodes}\n y = Conv <pads = [1, 1, 1, 1]> (b, w3x3x4)"""
    row = near_padding(padviz.load(saved(model_of(body, 18), tmp_path), size=(16, 16)), (16, 16))[
        -1
    ]
    assert (row.layer, (row.barrier or ("", ""))[1]) == ("y", NODES[nodes])


@pytest.mark.parametrize(
    ("training", "kinds"), [(1, [("identity", "batch norm")]), (0, [("gate", "")])]
)
def test_a_batch_norm_by_computed_statistics_is_global(
    training: int, kinds: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Exporters write both where PyTorch tracks none; in training mode the statistics are only updated."""
    body = f"""s = Constant <value = float[4] {{1, 1, 1, 1}}> ()\n a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x4)
    m = ReduceMean <axes = [0, 2, 3], keepdims = 0> (a)
    b = BatchNormalization <training_mode = {training}> (a, s, s, m, m)\n y = Conv (b, w3x3x4)"""
    network = padviz.load(saved(model_of(body, 17), tmp_path))
    assert [(layer.kind, layer.everywhere) for layer in network.layers[1:]] == [
        ("conv", ""),
        *kinds,
        ("conv", ""),
    ]


def test_a_norm_of_what_is_pooled_makes_no_layer(tmp_path: Path) -> None:
    """Scores that are a mean over all positions belong to the head, though each is of one that is looked at."""
    body = """shape = Constant <value = int64[3] {1, 4, 48}> ()\n rows = Constant <value = int64[1] {1}> ()
    scale = Constant <value = float[1] {1.0}> ()\n a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x4)
    k = Reshape (a, shape)\n q = Transpose <perm = [0, 2, 1]> (k)\n scores = MatMul (q, k)
    mean = ReduceMean (scores, rows)\n y = LayerNormalization (mean, scale)"""
    network = padviz.load(saved(model_of(body, 18), tmp_path), size=(6, 8))
    assert (network.targets, [layer.name for layer in network.layers]) == (("a",), ["input", "a"])
