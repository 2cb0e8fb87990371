"""Several targets with the same weight each, against a calculation with fractions."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padviz
from padviz import CountMap
from padviz.counting.usage import usage
from padviz.errors import PadvizError
from padviz.network.targets import last_maps
from padviz.sources.toml.build import parse
from padviz.sources.toml.write import to_toml
from tests import naive
from tests.cli.test_cli import run
from tests.strategies import networks
from tests.sweeps import examples

pytestmark = pytest.mark.usefixtures("elsewhere")

HEADS = ["backbone.features.21", "backbone.extra.0.7.3", "backbone.extra.1.2"]
TWO = [
    {"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": 1},
    {"op": "conv", "name": "p3", "kernel": 3, "padding": 1},
    {"op": "conv", "name": "p5", "from": "a", "kernel": 5, "stride": 2, "padding": 2},
    {"op": "conv", "name": "deep", "kernel": 3, "padding": 1},
]


def shared(maps: list[Any]) -> list[list[Fraction]]:
    """The sum over heads of the paths to a head over all paths to it, times those of the head that has the most."""
    totals = [sum(Fraction(n) for row in each for n in row) for each in maps]
    rows, cols = len(maps[0]), len(maps[0][0])
    return [
        [
            sum((Fraction(each[y][x]) / t for each, t in zip(maps, totals, strict=True) if t), Fraction()) * max(totals)
            for x in range(cols)
        ]
        for y in range(rows)
    ]


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
        expected = np.array([[float(n) for n in row] for row in shared(maps)])
        np.testing.assert_allclose(counts.counts, expected, rtol=1e-12, atol=0)

    check()
    assert compared[2] + compared[3] > 1


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("options", [{}, {"padding": "reflect"}, {"padding": "partial"}, {"pooling": "mean"}])
def test_heads_of_a_detector_share(engine: str, options: dict[str, Any]) -> None:
    counts = padviz.usage("ssd300_vgg16", 300, layer=HEADS, heads="share", engine=engine, **options)
    alone = [padviz.usage("ssd300_vgg16", 300, layer=head, **options) for head in HEADS]
    most = max(each.total for each in alone)
    expected = sum(each.counts.astype(np.float64) * float(Fraction(most) / Fraction(each.total)) for each in alone)
    assert counts.counts.dtype == np.float64
    np.testing.assert_allclose(counts.counts, expected, rtol=1e-12)
    assert counts.total == pytest.approx(len(HEADS) * most, rel=1e-12)
    assert counts.target.layer == HEADS


def test_a_tiled_map_shares_as_a_dense_one_and_so_does_its_interior() -> None:
    made = parse({"layers": TWO, "target": ["p3", "deep"]}, "two")
    counts = padviz.usage(made, 400, heads="share")
    alone = [padviz.usage(made, 400, layer=head) for head in ("p3", "deep")]
    assert counts.tiled
    expected = sum(each.counts * (max(a.total for a in alone) / each.total) for each in alone)
    np.testing.assert_allclose(counts.counts, expected, rtol=1e-12)
    share = counts.share()
    np.testing.assert_allclose(share[40:-40, 40:-40], 1, rtol=1e-12)
    assert share[0, 0] < 1


def test_each_head_has_the_same_weight() -> None:
    made = parse({"layers": TWO, "target": []}, "two")
    counts = padviz.usage(made, 64, heads="share")
    assert counts.target.layer == ["p3", "deep"]
    assert counts.weights is not None
    weighted = [
        padviz.usage(made, 64, layer=head).total * weight
        for head, weight in zip(("p3", "deep"), counts.weights, strict=True)
    ]
    assert weighted[0] == pytest.approx(weighted[1], rel=1e-15)
    assert min(counts.weights) == 1


def test_one_target_stays_exact_and_a_sum_is_as_ever() -> None:
    assert padviz.usage("vgg11", 64, heads="share").counts.dtype == np.int64
    exact = padviz.usage("ssd300_vgg16", 300, layer=HEADS)
    assert exact.counts.dtype == np.int64
    assert (exact.counts == padviz.usage("ssd300_vgg16", 300, layer=HEADS, heads="sum").counts).all()
    with pytest.raises(PadvizError, match=r"^heads: 'each' is not known; use sum or share"):
        padviz.usage("vgg11", heads="each")


def test_the_command_shares_and_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = parse({"layers": TWO, "target": []}, "two")
    Path("two.toml").write_text(to_toml(made))
    assert "have the same weight; --heads sum adds them, --layer names some" in run("usage", "two.toml").stderr
    result = run("usage", "two.toml", "--size", "64", "--heads", "share", "-o", "two.npz")
    assert result.exit_code == 0, result.output
    assert "heads           each of the same weight: a path to them counts" in result.stdout
    facts = json.loads(run("usage", "two.toml", "--heads", "share", "--format", "json", "-o", "b.npz").stdout)
    assert facts["heads"] == "share"
    assert facts["target"]["layer"] == ["p3", "deep"]
    found = run("compare", "two.toml", "--size", "32,64", "--heads", "share", "--format", "json", "-o", "c.png")
    assert [each["heads"] for each in json.loads(found.stdout)["results"]] == ["share", "share"]


def test_heads_that_do_the_same_are_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty of one kernel and twenty of another, each with a convolution after it."""
    steps: list[dict[str, Any]] = [{"op": "conv", "name": "stem", "kernel": 3, "padding": 1, "stride": 2}]
    for i in range(40):
        steps.append({"op": "conv", "name": f"a{i}", "from": "stem", "kernel": 1 + 2 * (i % 2), "padding": i % 2})
        steps.append({"op": "conv", "name": f"b{i}", "from": f"a{i}", "kernel": 3, "padding": 1})
    network = parse({"layers": steps, "target": []}, "many")
    asked: list[Any] = []

    def counted(*args: Any, **options: Any) -> CountMap:
        asked.append(options.get("layer"))
        return usage(*args, **options)

    monkeypatch.setattr("padviz.counting.usage.usage", counted)
    found = counted(network, 32, heads="share")
    totals = [usage(network, 32, layer=f"b{i}").total for i in range(2)]
    assert found.weights == tuple(max(totals) / total for total in totals) * 20
    assert asked == [None, "b0", "b1"]
