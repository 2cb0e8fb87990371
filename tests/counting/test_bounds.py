"""Work follows the size of a map, not what a description makes of its period."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import padviz
from padviz.axis.operations import taps_of
from padviz.counting.walking.tiling import Tiling
from padviz.errors import SizeError
from padviz.figures.maps.views import LEAST, block_of
from padviz.geometry.reaching.near_padding import near_padding
from padviz.network.graph import backward
from padviz.network.network import MOST_TAPS
from padviz.sources.toml.build import parse
from padviz.sources.toml.load import zoo
from tests import naive
from tests.flat import flat_steps
from tests.sweeps import SLOW


class Period(int):
    """A period that counts how often it is divided."""

    divided = 0

    def __mod__(self, other: int) -> int:
        Period.divided += 1
        return int(self) % other


def test_blocks_are_found_without_listing_a_long_period() -> None:
    Period.divided = 0
    assert block_of(Tiling(1000, period=Period(10**6)), 3) == 4
    assert Period.divided <= 1000


def test_blocks_are_those_of_all_divisors() -> None:
    for n, period, least in ((n, p, k) for n in (7, 250, 1900) for p in range(1, 70) for k in (1, 2, 5, 30)):
        low = min(least, max(1, n // LEAST))
        parts = [part for part in range(1, period + 1) if period % part == 0]
        larger = next((part for part in parts if part >= low), period)
        expected = larger if n >= LEAST * larger else max(part for part in parts if part <= low)
        expected = -(-low // period) * period if low >= period else expected
        assert block_of(Tiling(n, period=period), least) == expected


FINE = """
size = 224
layers = [
    {op = "conv", name = "a", kernel = 3, padding = 1},
    {op = "resize", name = "r1", scale = 1.3333},
    {op = "conv", name = "b", kernel = 3, padding = 1},
    {op = "resize", name = "r2", scale = 1.3333, mode = "linear"},
    {op = "conv", name = "c", kernel = 3, padding = 1},
    {op = "resize", name = "r3", scale = 1.3333},
    {op = "conv", name = "d", kernel = 3, padding = 1},
]
"""
FINER = """
layers = [
    {op = "resize", name = "r", scale = "100000007/75000000"},
    {op = "conv", name = "a", kernel = 3, padding = 1},
]
"""
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from padviz.__main__ import main
main()
"""


def limited(*args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command that may take 3 GB of addresses, of which libraries take most, and a minute of a busy machine."""
    (folder / "net.toml").write_text(FINE)
    (folder / "finer.toml").write_text(FINER)
    (folder / "many.toml").write_text(MANY)
    command = [sys.executable, "-c", LIMITED, *args]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.mark.parametrize("command", ["usage", "coverage", "uneven", "layers"])
def test_a_period_of_a_hundred_million_units_costs_nothing(command: str, tmp_path: Path) -> None:
    run = limited(command, "net.toml", "--size", "224", folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("command", ["usage", "uneven"])
def test_a_period_of_one_resize_costs_nothing(command: str, tmp_path: Path) -> None:
    run = limited(command, "finer.toml", "--size", "224", folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")


def test_near_padding_follows_no_unit_that_no_padding_touches(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(FINE)
    assert max(near_padding(padviz.load(tmp_path / "net.toml"), 1_000_000)[-1].height) < 10


@SLOW
def test_layers_whose_units_are_too_many_to_follow_have_no_field(tmp_path: Path) -> None:
    run = limited("layers", "net.toml", "--size", "1000000", "--format", "json", folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert {layer["field"] for layer in json.loads(run.stdout)["layers"]} == {None}
    with pytest.raises(
        padviz.PadvizError, match="net, r3: its receptive fields do not repeat in a map of 2370191 units"
    ):
        padviz.fields(tmp_path / "net.toml", 1_000_000)


def test_a_resize_to_a_row_that_looks_at_one_row_alone_ends() -> None:
    """All units that it might have look at row 0, so that none would be the last to see past the border."""
    steps = [{"op": "conv", "name": "c", "kernel": 3, "padding": 1}]
    steps.append({"op": "resize", "name": "r", "size": 1, "mode": "linear", "align_corners": True})
    row = near_padding(parse({"layers": steps}, "net"), 8)[-1]
    assert row.height == (1, 0)


def test_maps_without_room_for_a_period_are_counted_as_others_are(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(FINE)
    network = padviz.load(tmp_path / "net.toml")
    found = padviz.usage(network, 20)
    assert found.summary().method == "dense"
    assert found.counts.tolist() == naive.usage(flat_steps(network), (20, 20), [*network.targets])


MANY = """
layers = [{op = "block", use = "b", name = "s{}", repeat = 700}]
[blocks]
b = [{op = "conv", name = "c", kernel = 4096, padding = 4095}]
"""


def test_more_taps_than_any_network_has_are_refused_before_they_are_laid(tmp_path: Path) -> None:
    run = limited("usage", "many.toml", folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    line = "many, s24.c: from the image to it, windows have more than 100000 taps on an axis"
    assert run.stderr.startswith(f"padviz: {line}")
    assert len(run.stderr.splitlines()) == 1


def test_no_network_of_the_zoo_has_a_tenth_of_the_taps() -> None:
    for name in zoo():
        layers = padviz.load(name).layers
        assert max(sum(taps_of(layer.ops[axis]) for layer in layers) for axis in (0, 1)) < MOST_TAPS / 10


def test_counts_too_wide_for_their_map_are_refused_before_any_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = lambda network, seeds, pull: backward(network, checked(seeds), pull)  # noqa: E731
    monkeypatch.setattr("padviz.counting.walking.walks.backward", counted)

    def checked(seeds: Any) -> Any:
        assert all(isinstance(seed, int) for seed in seeds.values()), "arrays are walked"
        return seeds

    with pytest.raises(SizeError, match="repeats nothing, and is larger than padviz counts"):
        padviz.usage("resnet152", 9000, unit=(slice(0, 100), slice(0, 100)))


BRANCHES = """
layers = [
    {op = "add", name = "sum", branches = [
        [{op = "conv", name = "a.c", kernel = 2047, padding = 1023}],
        [{op = "conv", name = "b.c", kernel = 2047, padding = 1023}],
    ]},
]
"""


@pytest.mark.parametrize("command", ["usage", "coverage"])
def test_windows_that_overlap_too_often_are_refused_before_any_number_is_added(command: str, tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text(BRANCHES)
    run = limited(command, "wide.toml", "--size", "8192", folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("padviz: wide, a.c: its windows overlap too often: the map takes ")
    assert run.stderr.endswith(" billion additions; use a smaller --size\n")
    assert len(run.stderr.splitlines()) == 1


def test_windows_overlap_less_often_in_a_smaller_map_and_in_a_chain(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text(BRANCHES)
    found = padviz.usage(tmp_path / "wide.toml", 512)
    assert found.max == 2 * 512**2
    assert padviz.usage(padviz.load(tmp_path / "wide.toml"), 8192, layer="a.c").max == 2047**2


@pytest.mark.parametrize(("kernel", "counted"), [(401, True), (1001, False)])
def test_windows_with_a_weight_for_each_of_many_rows_and_taps_are_refused(kernel: int, counted: bool) -> None:
    steps = [{"op": "conv", "name": "c", "kernel": kernel, "padding": kernel // 2}]
    network = parse({"layers": steps}, "wide")
    if counted:
        assert padviz.usage(network, 4096, "partial").max > kernel**2
        return
    with pytest.raises(SizeError, match=r"^wide, c: its 1001 taps weigh otherwise in too many rows under partial"):
        padviz.usage(network, 4096, "partial")
