"""Reference values: published geometry, worked out once and checked from both kernels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import padviz
from tests import naive
from tests.flat import flat_steps
from tests.sweeps import SLOW

ENGINES = ["numpy", "numba"]


@pytest.mark.parametrize("engine", ENGINES)
def test_vgg19_at_512(engine: str) -> None:
    found = padviz.usage("vgg19", 512, engine=engine)
    corner = 6998130578404
    assert found.max == 9**16 == 1853020188851841
    assert found.counts[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [corner] * 4
    assert (found.counts == found.counts[::-1]).all()
    assert (found.counts == found.counts[:, ::-1]).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("padding", "ratio"), [("reflect", "1.205942"), ("partial", "1.124046")])
def test_vgg19_bright_band(engine: str, padding: str, ratio: str) -> None:
    found = padviz.usage("vgg19", 512, padding=padding, engine=engine)
    inside = found.counts[256, 256]
    assert float(inside) == pytest.approx(9**16, rel=1e-12)
    assert f"{float(found.max) / float(inside):.6f}" == ratio


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("padding", ["symmetric", "circular"])
def test_vgg19_flat(engine: str, padding: str) -> None:
    found = padviz.usage("vgg19", 512, padding=padding, engine=engine)
    assert found.min == found.max == 9**16


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "first", "last", "most"),
    [
        ("resnet50", 59303702250160, 2397971307776, 5446707337650568),
        ("resnet18", 9616253250768, 397660071184, 1069267747142592),
    ],
)
def test_resnets_at_224(engine: str, name: str, first: int, last: int, most: int) -> None:
    found = padviz.usage(name, 224, engine=engine)
    assert (int(found.counts[0, 0]), int(found.counts[-1, -1]), found.max) == (first, last, most)


@cache
def python_ints(name: str, size: tuple[int, int]) -> Any:
    """The counts of the slow twin, once for both engines."""
    net = padviz.load(name)
    return naive.usage(flat_steps(net), size, list(net.targets))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["resnet152", pytest.param("densenet201", marks=SLOW)])
def test_deep_networks_equal_python_ints(engine: str, name: str) -> None:
    """Every pixel at a small size and at 224, where the maxima are far beyond 64 bits."""
    for size in ((64, 96), (224, 224)):
        found = padviz.usage(name, size, engine=engine)
        assert found.counts.dtype == object
        assert found.counts.tolist() == python_ints(name, size)
    assert found.max.bit_length() == {"resnet152": 165, "densenet201": 326}[name]  # type: ignore[union-attr]
    assert all(type(count) is int for count in found.counts.flat)


def test_mean_pooling_weighs_each_tap() -> None:
    count, mean = (padviz.usage("vgg19", 64, pooling=pooling) for pooling in ("count", "mean"))
    np.testing.assert_allclose(mean.counts, count.counts / 4**5, rtol=1e-12)


def test_layers_add_up() -> None:
    heads = padviz.load("ssd300_vgg16").targets
    alone = [padviz.usage("ssd300_vgg16", 300, layer=head).counts for head in heads]
    assert (sum(alone) == padviz.usage("ssd300_vgg16", 300).counts).all()
    assert (alone[0] + alone[2] == padviz.usage("ssd300_vgg16", 300, layer=[heads[0], heads[2]]).counts).all()
