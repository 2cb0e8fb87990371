"""Networks written as TOML load back to the same networks."""

import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padviz
from padviz.network.layer import Kind, Layer
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Op, Transposed, Window
from padviz.network.resize import Resize
from padviz.sources.toml.build import parse
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import run
from tests.strategies import networks


def read_back(network: Network) -> Network:
    return parse(tomllib.loads(to_toml(network)), network.name)


def round_trips(network: Network, counts: bool = True) -> None:
    back = read_back(network)
    for field in ("layers", "name", "targets", "title", "source", "size", "fixed"):
        assert getattr(back, field) == getattr(network, field)
    if counts:
        np.testing.assert_array_equal(padviz.usage(back).counts, padviz.usage(network).counts)


@given(networks())
def test_random_networks_round_trip(drawn: tuple[list[dict[str, Any]], tuple[int, int]]) -> None:
    steps, size = drawn
    round_trips(parse({"layers": steps, "size": list(size), "title": 'a "title"', "source": "a\\b"}, "drawn"))


ODD = 'odd "name"\n\x7f\\é'


def one(kind: Kind, height: Op | None, width: Op | None, name: str = ODD) -> Network:
    layers = (Layer("input", "input", ()), Layer(name, kind, (0,), (height, width)))
    return Network("one", layers, (name,), "One", size=(40, 60))


@pytest.mark.parametrize(
    "network",
    [
        one("conv", Window(3, 2, 2, (1, 2), "reflect"), Window(5, 1, 3, "same_lower", "circular")),
        one("pad", Window(1, padding=(-1, 2)), Window(1, padding=(0, 3), mode="circular")),
        one("crop", Window(1, 2, padding=(-1, 0)), Window(1, 3, padding=(1, -5))),
        one("avgpool", Window(2, 1, padding="same_upper"), Window(3, 1, padding="same_upper")),
        one("global", Adaptive(1), Adaptive(1)),
        one("resize", Resize(scale=Fraction(1, 3)), Resize(scale=Fraction(10_001, 20_000))),
        one("resize", Resize(7, linear=True, align_corners=True), Resize(9, linear=True, align_corners=True)),
        one("identity", None, None),
        *(replace(padviz.load("vgg11"), fixed=axes) for axes in ((0,), (1,), (0, 1))),
        replace(padviz.load("vgg11"), targets=()),
    ],
    ids=lambda network: network.layers[-1].kind,
)
def test_what_random_networks_lack_round_trips_too(network: Network) -> None:
    round_trips(network, counts=False)


@pytest.mark.parametrize(
    ("kind", "op", "other"),
    [
        ("conv", Window(3, 2, padding=(1, 0)), Window(1)),
        ("crop", Window(1, padding=(-1, -2)), Window(1)),
        ("convtranspose", Transposed(3, 2), Transposed(1)),
        ("resize", Resize(scale=Fraction(3, 2)), Resize(scale=Fraction(1))),
    ],
)
def test_what_acts_on_one_axis_alone_is_written_for_both(kind: Kind, op: Op, other: Op) -> None:
    for ops, filled in (((op, None), (op, other)), ((None, op), (other, op))):
        back = read_back(network := one(kind, *ops))
        assert back.layers[1].ops == filled
        assert (padviz.usage(back).counts == padviz.usage(network).counts).all()


@pytest.mark.parametrize(
    "network",
    [
        one("adaptive", Adaptive(3), None, "c"),
        one("resize", Resize(5), Resize(scale=Fraction(2)), "c"),
        one("resize", Resize(5), Resize(7, rounding="ceil"), "c"),
        one("conv", Window(3, mean=True), Window(3, mean=True), "c"),
    ],
    ids=lambda network: str(network.layers[-1].ops),
)
def test_what_a_description_cannot_say_is_an_error(network: Network) -> None:
    with pytest.raises(padviz.PadvizError, match="one: layer 'c' cannot be described"):
        to_toml(network)


def test_convert_prints_or_writes_what_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    assert run("convert", "resnet18", "--size", "96x128", "-o", str(path)).exit_code == 0
    back = padviz.load(path)
    assert back.layers == padviz.load("resnet18").layers
    assert back.size == (96, 128)
    assert run("convert", "resnet18", "--size", "96x128").stdout == path.read_text()
    assert "use .toml" in run("convert", "resnet18", "-o", str(tmp_path / "net.png")).stderr
