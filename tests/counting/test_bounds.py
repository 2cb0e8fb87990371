"""Work follows the size of a map, not what a description makes of its period."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import padviz
from padviz.counting.walking.tiling import Tiling
from padviz.errors import SizeError
from padviz.figures.maps.views import LEAST, block_of
from padviz.geometry.reaching.near_padding import near_padding
from padviz.network.graph import backward
from padviz.sources.toml.build import parse
from tests import naive
from tests.geometry.test_padding import steps_of
from tests.sweeps import SLOW


def test_blocks_are_those_of_all_divisors() -> None:
    for n, period, least in ((n, p, k) for n in (7, 250, 1900) for p in range(1, 70) for k in (1, 2, 5, 30)):
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
WIDE = [{**BRANCH, "name": "a.c"}, {**BRANCH, "name": "b.c"}, {"op": "add", "name": "sum", "from": ["a.c", "b.c"]}]
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


def test_long_periods_cost_nothing_and_what_would_take_forever_is_refused_at_once(tmp_path: Path) -> None:
    for name, layers in NETS.items():
        (tmp_path / f"{name}.toml").write_text(f"layers = [{', '.join(map(inline, layers))}]")
    asked = json.dumps([command.split() for command in COMMANDS])
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    options: Any = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120, "env": environment}
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


def test_layers_whose_units_are_too_many_to_follow_have_no_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.geometry.reaching.reach.MOST_UNITS", 50_000)
    with pytest.raises(padviz.PadvizError, match="net, r3: its receptive fields do not repeat in a map of"):
        padviz.fields(parse({"layers": FINE}, "net"), 20_000)


def test_counts_too_wide_for_their_map_are_refused_before_any_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(network: Any, seeds: Any, pull: Any) -> Any:
        assert all(isinstance(seed, int) for seed in seeds.values()), "arrays are walked"
        return backward(network, seeds, pull)

    monkeypatch.setattr("padviz.counting.walking.walks.backward", checked)
    with pytest.raises(SizeError, match="repeats nothing, and is larger than padviz counts"):
        padviz.usage("resnet152", 9000, unit=(slice(0, 100), slice(0, 100)))


def test_windows_overlap_less_often_in_a_smaller_map() -> None:
    assert padviz.usage(parse({"layers": WIDE}, "wide"), 512).max == 2 * 512**2


def test_windows_with_a_weight_for_each_of_many_rows_and_taps_are_refused() -> None:
    network = parse({"layers": [{"op": "conv", "name": "c", "kernel": 1001, "padding": 500}]}, "wide")
    with pytest.raises(SizeError, match=r"^wide, c: its 1001 taps weigh otherwise in too many rows under partial"):
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
    [("reflect", "1.205942"), ("partial", "1.124046"), ("symmetric", "1.000000"), ("circular", "1.000000")],
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
