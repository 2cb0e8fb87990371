"""Networks written as TOML load back to the same networks."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padviz
from padviz.axis.operations import Adaptive, Fit, Op, Transposed, Window
from padviz.axis.resize import Resize
from padviz.network.layer import Kind, Layer
from padviz.network.network import Network
from padviz.sources.toml.build import parse
from padviz.sources.toml.load import zoo
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import run
from tests.strategies import networks
from tests.sweeps import ALIKE, sampled


def read_back(network: Network) -> Network:
    return parse(tomllib.loads(to_toml(network)), network.name)


def assert_same(network: Network, back: Network) -> None:
    assert back.layers == network.layers
    for field in ("name", "targets", "title", "source", "size", "fixed"):
        assert getattr(back, field) == getattr(network, field)


@pytest.mark.parametrize("name", sampled(zoo(), "", ALIKE))
def test_the_zoo_round_trips(name: str) -> None:
    network = padviz.load(name)
    back = read_back(network)
    assert_same(network, back)
    assert (padviz.usage(back).counts == padviz.usage(network).counts).all()


@given(networks())
def test_random_networks_round_trip(drawn: tuple[list[dict[str, Any]], tuple[int, int]]) -> None:
    steps, size = drawn
    network = parse({"layers": steps, "size": list(size), "title": 'a "title"', "source": "a\\b"}, "drawn")
    back = read_back(network)
    assert_same(network, back)
    np.testing.assert_array_equal(padviz.usage(back).counts, padviz.usage(network).counts)


@pytest.mark.parametrize(
    ("kind", "height", "width"),
    [
        ("conv", Window(3, 2, 2, (1, 2), "reflect"), Window(5, 1, 3, "same_lower", "circular")),
        ("conv", Window(3, padding="same"), Window(1)),
        ("pad", Window(1, padding=(-1, 2)), Window(1, padding=(0, 3), mode="circular")),
        ("crop", Window(1, 2, padding=(-1, 0)), Window(1, 3, padding=(1, -5))),
        ("maxpool", Window(3, 3, 2, (0, 1), ceil=True), Window(3, 3, 2, (0, 1), ceil=True)),
        ("avgpool", Window(2, 1, padding="same_upper"), Window(3, 1, padding="same_upper")),
        ("convtranspose", Transposed(4, 2, 1, (1, 0), 1), Transposed(2, 3, 2, (0, 0), 2)),
        ("adaptive", Adaptive(7), Adaptive(1)),
        ("global", Adaptive(1), Adaptive(1)),
        ("resize", Resize(scale=Fraction(1, 3)), Resize(scale=Fraction(10_001, 20_000))),
        ("resize", Resize(7, linear=True, align_corners=True), Resize(9, linear=True, align_corners=True)),
        ("resize", Resize(3, cubic=True, grid="asymmetric"), Resize(4, cubic=True, grid="asymmetric")),
        ("resize", Resize(3, rounding="round_prefer_ceil"), Resize(4, rounding="round_prefer_ceil")),
        ("gate", None, None),
        ("identity", None, None),
    ],
)
def test_every_operation_can_be_written(kind: Kind, height: Op | None, width: Op | None) -> None:
    layers = (Layer("input", "input", ()), Layer('odd "name"\n\x7f\\é', kind, (0,), (height, width)))
    network = Network("one", layers, (layers[1].name,), "One", size=(40, 60))
    assert_same(network, read_back(network))


@pytest.mark.parametrize(
    ("kind", "op", "other"),
    [
        ("conv", Window(3, 2, padding=(1, 0)), Window(1)),
        ("crop", Window(1, padding=(-1, -2)), Window(1)),
        ("pad", Window(1, padding=(1, 2), mode="reflect"), Window(1)),
        ("maxpool", Window(3, 2), Window(1)),
        ("convtranspose", Transposed(3, 2), Transposed(1)),
        ("resize", Resize(scale=Fraction(3, 2)), Resize(scale=Fraction(1))),
    ],
)
def test_what_acts_on_one_axis_alone_is_written_for_both(kind: Kind, op: Op, other: Op) -> None:
    for ops, filled in (((op, None), (op, other)), ((None, op), (other, op))):
        layers = (Layer("input", "input", ()), Layer("c", kind, (0,), ops))
        back = read_back(network := Network("one", layers, ("c",), "One", size=(12, 18)))
        assert back.layers[1].ops == filled
        assert (padviz.usage(back).counts == padviz.usage(network).counts).all()


@pytest.mark.parametrize(
    ("kind", "ops"),
    [
        ("adaptive", (Adaptive(3), None)),
        ("resize", (Resize(5), Resize(scale=Fraction(2)))),
        ("resize", (Resize(5), Resize(7, rounding="ceil"))),
    ],
)
def test_two_axes_that_differ_more_than_a_description_can_say_are_an_error(
    kind: Kind, ops: tuple[Op | None, Op | None]
) -> None:
    layers = (Layer("input", "input", ()), Layer("c", kind, (0,), ops))
    with pytest.raises(padviz.PadvizError, match="one: layer 'c' cannot be described"):
        to_toml(Network("one", layers, ("c",), "One"))


@pytest.mark.parametrize(("kind", "op"), [("resize", Resize(linear=True)), ("crop", Fit())])
def test_layers_that_follow_a_size_round_trip(kind: Kind, op: Op) -> None:
    pool = Layer("pool", "maxpool", (0,), (Window(2, 2), Window(2, 2)))
    layers = (
        Layer("input", "input", ()),
        pool,
        Layer("back", kind, (1,), (op, op), like=0),
        Layer("sum", "add", (2, 0)),
    )
    assert_same(network := Network("two", layers, ("sum", "pool"), "Two"), read_back(network))


def test_a_network_whose_target_must_be_chosen_round_trips() -> None:
    network = replace(padviz.load("vgg11"), targets=())
    assert "target = []" in to_toml(network)
    assert_same(network, read_back(network))


@pytest.mark.parametrize("fixed", [(0,), (1,), (0, 1)])
def test_a_network_of_one_size_round_trips(fixed: tuple[int, ...]) -> None:
    network = replace(padviz.load("vgg11"), fixed=fixed)
    assert_same(network, read_back(network))


def test_what_a_description_cannot_hold_is_an_error() -> None:
    window = Window(3, mean=True)
    layers = (Layer("input", "input", ()), Layer("c", "conv", (0,), (window, window)))
    with pytest.raises(padviz.PadvizError, match="one: layer 'c' cannot be described"):
        to_toml(Network("one", layers, ("c",), "One"))


def test_convert_prints_or_writes_what_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    assert run("convert", "resnet18", "--size", "96x128", "-o", str(path)).exit_code == 0
    back = padviz.load(path)
    assert back.layers == padviz.load("resnet18").layers
    assert back.size == (96, 128)
    assert run("convert", "resnet18", "--size", "96x128").stdout == path.read_text()
    again = run("convert", "resnet18", "-o", str(path))
    assert (again.exit_code, again.stderr) == (2, f"padviz: -o: '{path}' exists; add --overwrite to replace it\n")
    assert run("convert", "resnet18", "-o", str(path), "--overwrite").exit_code == 0
    assert padviz.load(path).size == (224, 224)


def test_convert_refuses_another_suffix(tmp_path: Path) -> None:
    result = run("convert", "resnet18", "-o", str(tmp_path / "net.png"))
    assert result.exit_code == 2
    assert "use .toml" in result.stderr
