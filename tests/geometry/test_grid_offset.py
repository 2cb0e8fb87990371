"""Where the units of a layer are centred, relative to the image; rows that are padded before a window."""

from __future__ import annotations

import tomllib
from fractions import Fraction
from pathlib import Path

import pytest
from torch import nn

import padviz
from padviz.advice.verdict import audit
from padviz.geometry.ledger import ledger
from padviz.geometry.receptive_fields import grid_in_words, grid_offsets, reaches_of
from padviz.network.sizes import resolve_each
from padviz.reports.windows.uneven import verdict
from padviz.sources.toml.build import parse
from tests.cli.test_cli import run


def last(name: str, size: int | tuple[int, int]) -> tuple[float | None, float | None]:
    return padviz.fields(name, size)[-1].offsets


def described(steps: list[str], side: str = "") -> padviz.Network:
    return parse(tomllib.loads(f"layers = [{', '.join(steps)}]".replace("SIDE", side)), "net")


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_reference_values(name: str) -> None:
    assert last(name, 224) == (-15.5, -15.5)
    assert last(name, 225) == (0, 0)
    assert last(name, (224, 225)) == (-15.5, 0)


@pytest.mark.parametrize(("name", "size"), [("resnet18", 224), ("densenet121", 97), ("googlenet", 150), ("unet", 572)])
def test_it_is_the_mean_centre_of_all_units_minus_the_images_centre(name: str, size: int) -> None:
    network = padviz.load(name)
    sizes = resolve_each(network, (size, size))[0].sizes
    reaches = reaches_of(network, 0, (size, size))
    checked = 0
    for row in padviz.fields(network, size):
        at = network.index[row.layer]
        if row.height.offset is not None:
            centres = [Fraction(sum(reaches[at].of(unit)), 2) for unit in range(sizes[at])]
            assert row.height.offset == sum(centres) / len(centres) - Fraction(size - 1, 2)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("size", range(32, 48))
def test_padding_on_the_other_side_turns_its_sign(size: int) -> None:
    steps = [f'{{op = "conv", name = "c{i}", kernel = 3, stride = 2, padding = "same_SIDE"}}' for i in range(3)]
    near, far = (padviz.fields(described(steps, side), size)[-1] for side in ("lower", "upper"))
    assert near.height.offset is not None
    assert near.height.offset == -far.height.offset
    assert (near.height.offset < 0) == (size % 8 != 1)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 8, 3, 2, 1),),
        (nn.Conv2d(3, 16, 3, 1, 1), nn.PixelShuffle(2)),
        (nn.Conv2d(3, 16, 3, 2, 1), nn.PixelShuffle(2), nn.Conv2d(4, 3, 3, 1, 1)),
        (nn.MaxPool2d(2), nn.Upsample(scale_factor=2)),
        (nn.MaxPool2d(2), nn.Upsample(scale_factor=3, mode="bilinear"), nn.Conv2d(3, 3, 3, 2, 1)),
    ],
)
@pytest.mark.parametrize("size", [64, 67])
def test_a_chain_has_a_grid_and_the_audit_says_what_fields_says(layers: tuple[nn.Module, ...], size: int) -> None:
    network = padviz.load(nn.Sequential(*layers), size=size)
    reach, row = reaches_of(network, 0, (size, size))[-1], padviz.fields(network, size)[-1]
    units = resolve_each(network, (size, size))[0].sizes[-1]
    mean = Fraction(sum(sum(reach.of(unit)) for unit in range(units)), 2 * units)
    assert row.height.offset == mean - Fraction(size - 1, 2)
    assert row.parts_at is None
    off = float(row.height.offset)
    place = f"{abs(off):.3g} px {'above' if off < 0 else 'below'} and" if off else "on the image"
    assert f"the sampling grid is centred {place}" in audit(network, size).symmetry


@pytest.mark.parametrize("name", ["unet", "unet_padded"])
def test_the_branches_of_a_u_net_agree(name: str) -> None:
    network = padviz.load(name)
    row = padviz.fields(network, network.size)[-1]
    assert (row.offsets, row.parts_at) == ((0, 0), None)
    assert "the sampling grid is centred on the image" in audit(network, network.size).symmetry


def test_where_branches_are_centred_differently_the_layer_is_named(tmp_path: Path) -> None:
    steps = [
        '{op = "conv", name = "a", kernel = 3, padding = [[2, 0], [1, 1]]}',
        '{op = "conv", name = "b", kernel = 3, padding = 1, from = "input"}',
        '{op = "add", name = "sum", from = ["a", "b"]}',
        '{op = "conv", name = "out", kernel = 1}',
    ]
    path = tmp_path / "apart.toml"
    path.write_text(f"layers = [{', '.join(steps)}]")
    row = padviz.fields(str(path), 57)[-1]
    assert row.offsets == (None, 0)
    assert grid_in_words(row) == "not defined: branches have different centres, first at sum"
    screen = " ".join(run("uneven", str(path), "--size", "57").stdout.split())
    assert "Sampling-grid offset of out: not defined: branches have different centres, first at sum." in screen


def test_where_fields_cannot_be_followed_uneven_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.geometry.reaching.positions.MOST_UNITS", 50_000)
    steps = '{op = "conv", name = "c", kernel = 3, padding = 1}, {op = "resize", name = "r", scale = "99991/99989"}'
    network = described([steps])
    assert grid_offsets(network, (9989, 9989)) == {}
    assert [*grid_offsets(network, (989, 989))] == ["c", "r"]


@pytest.mark.parametrize("apart", [True, False])
def test_it_is_said_where_a_pad_is_counted_to_a_convolution(apart: bool) -> None:
    pads = [nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3, 2)] if apart else [nn.Conv2d(3, 8, 3, 2, 1)]
    network = padviz.load(nn.Sequential(*pads), size=32)
    for said in (audit(network, 32).symmetry, " ".join(verdict(network, ledger(network, 32)))):
        assert ("ows that are padded before 1 are counted as its padding" in said) == apart
