"""A chain's map is the product of two vectors: counts and figures are those of the dense walk, exactly."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz import CountMap
from padviz.counting.count import coverages
from padviz.counting.shares import interior, rims
from padviz.counting.shares.summary import Rim
from padviz.counting.walking import walks
from padviz.engine import core
from padviz.engine.product import Product
from padviz.errors import PadvizError
from padviz.sources.toml.build import parse
from tests.counting.alike import assert_figures_alike
from tests.sweeps import examples

SCHEMES = (None, "zero", "valid", "full", "replicate", "reflect", "symmetric", "circular", "partial", "zero/circular")


@st.composite
def chains(draw: Any) -> list[dict[str, Any]]:
    """Windows one after another; from 12 of gain 49 on, counts pass int64."""
    steps = []
    for i in range(draw(st.integers(1, 14))):
        kernel = [draw(st.sampled_from((1, 3, 4, 7))) for _ in "hw"]
        stride = [draw(st.sampled_from((1, 1, 1, 2))) if i < 3 else 1 for _ in "hw"]
        pads = [[draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))] for k in kernel]
        dilation = [draw(st.sampled_from((1, 1, 2))) for _ in "hw"]
        window = {"kernel": kernel, "stride": stride, "padding": pads, "dilation": dilation}
        steps.append({"op": "conv", "name": f"c{i}", **window})
    return steps


def counted(steps: list[dict[str, Any]], *asked: Any, dense: bool, **options: Any) -> CountMap:
    """A map, by the road that networks with branches take if it is `dense`."""
    with pytest.MonkeyPatch.context() as patch:
        if dense:
            patch.setattr(walks, "is_chain", lambda network: False)
        network = parse({"layers": steps}, "chain")
        found = padviz.usage(network, *asked, **options)
        assert isinstance(found.core, Product) is not dense
        interior._interior.cache_clear()  # what the other road made
        rims._depths.cache_clear()
        _ = found.share_reason, found.rims
        return found


def assert_alike(one: CountMap, other: CountMap) -> None:
    """The same counts and figures; floats as near as sums in another order are."""
    if one.core.exact:
        assert (one.counts == other.counts).all()
        assert (one.counts_at(slice(None, None, 3), -1) == other.counts_at(slice(None, None, 3), -1)).all()
    np.testing.assert_allclose(one.counts.astype(float), other.counts.astype(float), rtol=1e-12)
    assert_figures_alike(one.summary(), other.summary(), one.core.exact)
    np.testing.assert_allclose(one.relative((5, 7)), other.relative((5, 7)), rtol=1e-9)
    assert one.border_use((3, 4)) == pytest.approx(other.border_use((3, 4)), rel=1e-9)
    if one.share_reason is None:
        for blocks in ((1, 1), (5, 7)):
            np.testing.assert_allclose(one.share(blocks), other.share(blocks), rtol=1e-9)


@given(
    steps=chains(),
    size=st.sampled_from([(60, 60), (60, 47), (33, 90), (200, 40)]),
    scheme=st.sampled_from(SCHEMES),
    pooling=st.sampled_from(["count", "mean"]),
    engine=st.sampled_from(["numpy", "numba"]),
    in_parts=st.booleans(),
)
@examples(10)
def test_usage_and_coverage_of_a_chain_are_those_of_the_dense_walk(
    steps: Any, size: tuple[int, int], scheme: str | None, pooling: str, engine: str, in_parts: bool
) -> None:
    network, layers = parse({"layers": steps}, "chain"), [each["name"] for each in steps[:: max(1, len(steps) // 2)]]
    try:
        usage = counted(steps, size, scheme, dense=True, pooling=pooling, engine="numpy")
    except PadvizError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "is_chain", lambda network: False)
        theirs = coverages(network, size, scheme, layers, engine="numpy")
    with pytest.MonkeyPatch.context() as patch:
        if in_parts:
            patch.setattr(core, "AT_ONCE", 3000)
        assert_alike(counted(steps, size, scheme, dense=False, pooling=pooling, engine=engine), usage)
        for one, other in zip(coverages(network, size, scheme, layers, engine=engine), theirs, strict=True):
            assert isinstance(one.core, Product)
            assert not isinstance(other.core, Product)
            assert one.full == other.full
            assert_alike(one, other)


@pytest.mark.parametrize("scheme", [None, "replicate", "reflect", "full"])
def test_shares_at_the_thresholds_are_compared_exactly(scheme: str | None) -> None:
    """Under 2 taps the first row is read once: exactly half of its due, and not starved; mirrored, just 3 / 2."""
    steps = [{"op": "conv", "name": "c", "kernel": [2, 1], "padding": [[1, 1], [0, 0]]}]
    mirrored = padviz.usage(parse({"layers": steps}, "two"), (12, 5), "reflect")
    assert mirrored.share().T[0].tolist() == [1, 1.5, *[1] * 8, 1.5, 1]
    assert (mirrored.shares.figures.overused, mirrored.summary().overused_rim) == (0, Rim([0, 0], [0, 0]))
    steps = [{"op": "conv", "name": "c", "kernel": [2, 1], "padding": 0}]
    assert padviz.usage(parse({"layers": steps}, "two"), 9, scheme).shares.figures.starved == 0
    for kernel, padding in (([3, 3], 1), ([4, 2], [[2, 1], [1, 0]]), ([2, 4], 0), ([1, 6], 0)):
        steps = [{"op": "conv", "name": "c", "kernel": kernel, "padding": padding}]
        assert_alike(counted(steps, (12, 17), scheme, dense=False), counted(steps, (12, 17), scheme, dense=True))


@pytest.mark.parametrize("padding", [[0, 1], [1, 0]])
def test_counts_are_floats_on_both_axes_where_one_of_them_weighs(padding: list[int]) -> None:
    steps = [{"op": "conv", "name": f"c{i}", "kernel": 20, "padding": padding} for i in range(30)]
    one, other = (counted(steps, 620, "partial", dense=dense) for dense in (False, True))
    assert not one.core.exact
    assert_alike(one, other)


def test_a_large_product_is_never_there_as_a_whole() -> None:
    steps = [{"op": "conv", "name": f"c{i}", "kernel": 2047, "padding": 1023} for i in range(3)]
    found = padviz.usage(parse({"layers": steps}, "three"), 4096)
    assert found.summary().method == "dense"
    assert found.relative((64, 64)).shape == found.share((64, 64)).shape == (64, 64)
    assert prod(found.core.shape) > core.AT_ONCE
    assert "whole" not in vars(found.core)
