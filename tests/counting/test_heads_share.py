"""Several targets with the same weight each, against a calculation with fractions."""

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padviz
from padviz.errors import PadvizError
from padviz.network.targets import last_maps
from padviz.sources.toml.build import parse
from tests import naive
from tests.strategies import networks
from tests.sweeps import examples

HEADS = ["backbone.features.21", "backbone.extra.0.7.3", "backbone.extra.1.2"]
STEPS = [
    {"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1},
    {"op": "conv", "name": "p3", "kernel": 3, "padding": 1},
    {"op": "conv", "name": "p5", "from": "a", "kernel": 5, "stride": 2, "padding": 2},
    {"op": "conv", "name": "deep", "kernel": 3, "padding": 1},
]
TWO = parse({"layers": STEPS, "target": []}, "two")


def shared(maps: list[Any]) -> Any:
    """The sum over heads of the paths to a head over all paths to it, times those of the head that has the most."""
    fractions = [np.array([[Fraction(n) for n in row] for row in each]) for each in maps]
    totals = [each.sum() for each in fractions]
    return sum(each / (total or 1) for each, total in zip(fractions, totals, strict=True)) * max(totals)


def test_random_networks_share_as_fractions_do() -> None:
    compared: Counter[int] = Counter()

    @given(network=networks())
    @examples(30)
    def check(network: Any) -> None:
        steps, size = network
        try:
            made = parse({"layers": steps, "target": []}, "random")
            heads = list(last_maps(made))
            counts = padviz.usage(made, size, heads="share")
        except PadvizError:
            return
        maps = [naive.usage(steps, size, [head]) for head in heads]
        compared[len(heads)] += 1
        if len(heads) == 1:
            np.testing.assert_array_equal(counts.counts, padviz.usage(made, size, layer=heads).counts)
            assert counts.summary().heads == "sum"
            return
        assert counts.summary().heads == "share"
        np.testing.assert_allclose(counts.counts, shared(maps).astype(float), rtol=1e-12, atol=0)

    check()
    assert compared[2] + compared[3] > 1


@pytest.mark.parametrize("options", [{}, {"padding": "partial"}, {"pooling": "mean"}])
def test_heads_of_a_detector_share_and_added_they_stay_exact(options: dict[str, Any]) -> None:
    counts = padviz.usage("ssd300_vgg16", 300, layer=HEADS, heads="share", **options)
    alone = [padviz.usage("ssd300_vgg16", 300, layer=head, **options) for head in HEADS]
    most = max(each.total for each in alone)
    expected = sum(each.counts.astype(np.float64) * float(Fraction(most) / Fraction(each.total)) for each in alone)
    assert counts.counts.dtype == np.float64
    np.testing.assert_allclose(counts.counts, expected, rtol=1e-12)
    assert counts.total == pytest.approx(len(HEADS) * most, rel=1e-12)
    assert counts.target.layer == HEADS
    if not options:
        added = padviz.usage("ssd300_vgg16", 300, layer=HEADS, heads="sum")
        assert (added.counts == sum(each.counts for each in alone)).all()
        assert added.counts.dtype == np.int64


def test_a_tiled_map_shares_as_a_dense_one_and_so_does_its_interior() -> None:
    counts = padviz.usage(TWO, 400, heads="share")
    alone = [padviz.usage(TWO, 400, layer=head) for head in ("p3", "deep")]
    assert counts.tiled
    assert counts.target.layer == ["p3", "deep"]
    assert counts.weights == pytest.approx([max(a.total for a in alone) / each.total for each in alone], rel=1e-15)
    expected = sum(each.counts * weight for each, weight in zip(alone, counts.weights, strict=True))
    np.testing.assert_allclose(counts.counts, expected, rtol=1e-12)
    share = counts.share()
    np.testing.assert_allclose(share[40:-40, 40:-40], 1, rtol=1e-12)
    assert share[0, 0] < 1


def test_heads_that_do_the_same_have_the_same_weight() -> None:
    """Of one kernel and of another by turns, each with a convolution after it: one of each kind is counted for all."""
    steps: list[dict[str, Any]] = [{"op": "conv", "name": "stem", "kernel": 3, "padding": 1, "stride": 2}]
    for i in range(8):
        steps.append({"op": "conv", "name": f"a{i}", "from": "stem", "kernel": 1 + 2 * (i % 2), "padding": i % 2})
        steps.append({"op": "conv", "name": f"b{i}", "from": f"a{i}", "kernel": 3, "padding": 1})
    network = parse({"layers": steps, "target": []}, "many")
    totals = [padviz.usage(network, 32, layer=f"b{i}").total for i in range(2)]
    assert padviz.usage(network, 32, heads="share").weights == tuple(max(totals) / total for total in totals) * 4
