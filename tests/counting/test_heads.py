"""Several heads with the same weight, bounds on the work, and reference values."""

import json
import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padviz
from padviz.counting.walking.tiling import Tiling
from padviz.errors import PadvizError, SizeError
from padviz.figures.maps.views import LEAST, block_of
from padviz.geometry.reaching.near_padding import near_padding
from padviz.network.graph import backward
from padviz.network.targets import last_maps
from padviz.sources.toml.load import parse
from tests import naive
from tests.geometry.test_padding import steps_of
from tests.strategies import networks
from tests.sweeps import SLOW, examples

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
    return sum(each / (total or 1) for each, total in zip(fractions, totals, strict=True)) * max(
        totals
    )


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
            np.testing.assert_array_equal(
                counts.counts, padviz.usage(made, size, layer=heads).counts
            )
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
    expected = sum(
        each.counts.astype(np.float64) * float(Fraction(most) / Fraction(each.total))
        for each in alone
    )
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
    assert counts.weights == pytest.approx(
        [max(a.total for a in alone) / each.total for each in alone], rel=1e-12
    )
    expected = sum(each.counts * weight for each, weight in zip(alone, counts.weights, strict=True))
    np.testing.assert_allclose(counts.counts, expected, rtol=1e-12)
    share = counts.share()
    np.testing.assert_allclose(share[40:-40, 40:-40], 1, rtol=1e-12)
    assert share[0, 0] < 1


def test_heads_that_do_the_same_have_the_same_weight() -> None:
    """Of one kernel and of another by turns, each with a convolution after it: one of each kind is counted for all."""
    steps: list[dict[str, Any]] = [
        {"op": "conv", "name": "stem", "kernel": 3, "padding": 1, "stride": 2}
    ]
    for i in range(8):
        steps.append(
            {
                "op": "conv",
                "name": f"a{i}",
                "from": "stem",
                "kernel": 1 + 2 * (i % 2),
                "padding": i % 2,
            }
        )
        steps.append({"op": "conv", "name": f"b{i}", "from": f"a{i}", "kernel": 3, "padding": 1})
    network = parse({"layers": steps, "target": []}, "many")
    totals = [padviz.usage(network, 32, layer=f"b{i}").total for i in range(2)]
    assert (
        padviz.usage(network, 32, heads="share").weights
        == tuple(max(totals) / total for total in totals) * 4
    )


def test_blocks_are_those_of_all_divisors() -> None:
    for n, period, least in (
        (n, p, k) for n in (7, 250, 1900) for p in range(1, 70) for k in (1, 2, 5, 30)
    ):
        low = min(least, max(1, n // LEAST))
        parts = [part for part in range(1, period + 1) if period % part == 0]
        larger = next((part for part in parts if part >= low), period)
        expected = larger if n >= LEAST * larger else max(part for part in parts if part <= low)
        expected = -(-low // period) * period if low >= period else expected
        assert block_of(Tiling(n, period=period), least) == expected


CONV = {"op": "conv", "kernel": 3, "padding": 1}
FINE = [
    {**CONV, "name": "a"},
    {"op": "resize", "name": "r1", "scale": 1.3333},
    {**CONV, "name": "b"},
    {"op": "resize", "name": "r2", "scale": 1.3333, "mode": "linear"},
    {**CONV, "name": "c"},
    {"op": "resize", "name": "r3", "scale": 1.3333},
    {**CONV, "name": "d"},
]
FINER = [{"op": "resize", "name": "r", "scale": "100000007/75000000"}, {**CONV, "name": "a"}]
BRANCH = {"op": "conv", "kernel": 2047, "padding": 1023, "from": "input"}
WIDE = [
    {**BRANCH, "name": "a.c"},
    {**BRANCH, "name": "b.c"},
    {"op": "add", "name": "sum", "from": ["a.c", "b.c"]},
]
TAPS = [{"op": "conv", "name": f"s{i}.c", "kernel": 4096, "padding": 4095} for i in range(700)]
NETS = {"fine": FINE, "finer": FINER, "wide": WIDE, "many": TAPS}
OFTEN = "wide, a.c: its windows overlap too often: the map takes "
LIMITED = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from click.testing import CliRunner
from padviz.cli import cli
for words in json.load(sys.stdin):
    made = CliRunner().invoke(cli, words)
    print(json.dumps([made.exit_code, made.stderr]), flush=True)
"""
COMMANDS = {  # what may take 3 GB of addresses, of which libraries take most: the line that it ends with, or none
    **{f"{command} fine.toml --size 224": "" for command in ("coverage", "layers")},
    **{f"{command} finer.toml --size 224": "" for command in ("usage", "uneven")},
    "usage many.toml": "many, s24.c: the windows up to it have more than 100000 taps on an axis",
    **{f"{command} wide.toml --size 8192": OFTEN for command in ("usage", "coverage")},
}


def test_long_periods_cost_nothing_and_what_would_take_forever_is_refused_at_once(
    tmp_path: Path,
) -> None:
    for name, layers in NETS.items():
        (tmp_path / f"{name}.toml").write_text(f"layers = [{', '.join(map(inline, layers))}]")
    asked = json.dumps([command.split() for command in COMMANDS])
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    options: Any = {
        "cwd": tmp_path,
        "capture_output": True,
        "text": True,
        "timeout": 120,
        "env": environment,
    }
    done = subprocess.run([sys.executable, "-c", LIMITED], input=asked, **options)
    found = dict(zip(COMMANDS, map(json.loads, done.stdout.splitlines()), strict=True))
    for command, says in COMMANDS.items():
        code, stderr = found[command]
        assert code == (2 if says else 0), command
        assert len(stderr.splitlines()) == bool(says), stderr
        assert stderr.startswith(f"padviz: {says}" if says else "")
        assert says != OFTEN or stderr.endswith(" billion additions; use a smaller --size\n")


def inline(step: dict[str, Any]) -> str:
    return f"{{{', '.join(f'{key} = {json.dumps(value)}' for key, value in step.items())}}}"


def test_near_padding_follows_no_unit_that_no_padding_touches() -> None:
    assert max(near_padding(parse({"layers": FINE}, "net"), (1_000_000, 1_000_000))[-1].height) < 10


def test_layers_whose_units_are_too_many_to_follow_have_no_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("padviz.geometry.reaching.reach.MOST_UNITS", 50_000)
    with pytest.raises(
        padviz.PadvizError, match="net, r3: its receptive fields do not repeat in a map of"
    ):
        padviz.fields(parse({"layers": FINE}, "net"), 20_000)


def test_counts_too_wide_for_their_map_are_refused_before_any_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def checked(network: Any, seeds: Any, pull: Any) -> Any:
        assert all(isinstance(seed, int) for seed in seeds.values()), "arrays are walked"
        return backward(network, seeds, pull)

    monkeypatch.setattr("padviz.counting.walking.walks.backward", checked)
    with pytest.raises(SizeError, match="repeats nothing, and is larger than padviz counts"):
        padviz.usage("resnet152", 9000, unit=(slice(0, 100), slice(0, 100)))


def test_windows_overlap_less_often_in_a_smaller_map() -> None:
    assert padviz.usage(parse({"layers": WIDE}, "wide"), 512).max == 2 * 512**2


def test_windows_with_a_weight_for_each_of_many_rows_and_taps_are_refused() -> None:
    network = parse(
        {"layers": [{"op": "conv", "name": "c", "kernel": 1001, "padding": 500}]}, "wide"
    )
    with pytest.raises(
        SizeError, match=r"^wide, c: its 1001 taps weigh otherwise in too many rows under partial"
    ):
        padviz.usage(network, 4096, "partial")


def test_vgg19_at_512() -> None:
    found = padviz.usage("vgg19", 512)
    corner = 6998130578404
    assert found.max == 9**16 == 1853020188851841
    assert found.counts[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [corner] * 4
    assert (found.counts == found.counts[::-1]).all()
    assert (found.counts == found.counts[:, ::-1]).all()


@pytest.mark.parametrize(
    ("padding", "ratio"),
    [
        ("reflect", "1.205942"),
        ("partial", "1.124046"),
        ("symmetric", "1.000000"),
        ("circular", "1.000000"),
    ],
)
def test_vgg19_bright_band(padding: str, ratio: str) -> None:
    found = padviz.usage("vgg19", 512, padding=padding)
    inside = found.counts[256, 256]
    assert float(inside) == pytest.approx(9**16, rel=1e-12)
    assert f"{float(found.max) / float(inside):.6f}" == ratio
    if padding in ("symmetric", "circular"):
        assert found.min == found.max == 9**16


@pytest.mark.parametrize(
    ("name", "size", "bits"),
    [("resnet152", (64, 96), 155), pytest.param("densenet201", (224, 224), 326, marks=SLOW)],
)
def test_deep_networks_equal_python_ints(name: str, size: tuple[int, int], bits: int) -> None:
    """Every pixel, where the maxima are far beyond 64 bits."""
    expected = naive.usage(steps_of(name), size, [*padviz.load(name).targets])
    for engine in ("numpy", "numba"):
        found = padviz.usage(name, size, engine=engine)
        assert found.counts.dtype == object
        assert found.counts.tolist() == expected
        assert found.max.bit_length() == bits  # type: ignore[union-attr]
        assert all(type(count) is int for count in found.counts.flat)
    assert padviz.usage("resnet152", 224).max.bit_length() == 165  # type: ignore[union-attr]
