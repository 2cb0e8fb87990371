"""Maps made of a core equal maps counted whole, in every pixel and every figure."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from numpy.typing import NDArray

import padviz
from padviz import CountMap
from padviz.axis.padding_modes import MODES, SCHEMES
from padviz.counting import coverage, request
from padviz.counting.walking import stable_rows
from padviz.counting.walking.stable_rows import growth
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import WHOLE, count_backward, count_forward
from padviz.engine import tally
from padviz.engine.apply import apply
from padviz.engine.core import Core
from padviz.engine.limbs import to_ints
from padviz.errors import PadvizError
from padviz.network.sizes import resolve
from padviz.reports.counts import write_counts
from padviz.sources.toml.build import parse
from padviz.sources.toml.load import zoo
from tests import naive
from tests.dense import dense as matrix_of
from tests.strategies import networks
from tests.sweeps import SLOW, every_third, examples, thirds

FAR = 100_000  # rows, more than any core
SHORT = {
    "ssd300_vgg16": 310,
    "inception_v3": 160,
    "convnext_tiny": 160,
    "unet": 196,
}  # the other axis, where 97 rows are too few


def assert_same(found: CountMap, core: Core) -> None:
    """Every count and every figure of a map, against those of the map that was counted whole."""
    tally = core.whole
    if tally.dtype.kind == "f":
        np.testing.assert_allclose(found.counts, tally[0], rtol=1e-12, atol=0)
        return
    assert (found.expanded() == tally).all()
    assert len(tally) > 1 or (found.counts == tally[0]).all()
    height, width = tally.shape[1:]
    counted = getattr(found, "value", found)
    whole = replace(counted, core=core, rows=Tiling(height), cols=Tiling(width)).summary()
    assert whole.method == "dense"
    assert figures(found.summary()) == figures(whole)
    assert shares(found.summary()) == pytest.approx(shares(whole), rel=1e-9, abs=1e-12)


def figures(summary: padviz.Summary) -> dict[str, Any]:
    """All figures of a map, whichever way it was counted; fair shares, which are floats, aside."""
    return {**to_builtins(summary), "method": None, "share": None}


def shares(summary: padviz.Summary) -> list[float]:
    """The figures of its fair shares, one after another."""
    found = summary.share
    if found is None:
        return []
    sides = found.skew.height, found.skew.width, found.least, found.most, found.ripple
    return [found.starved, found.overused, found.unused, *sides, *found.rings]


def compare(network: padviz.Network, size: tuple[int, int], scheme: str | None, pooling: str = "count") -> set[str]:
    """Usage and coverage against dense walks; which methods were used."""
    asked = request.prepare_request(network, size, scheme, None, pooling, "auto")
    usage = padviz.usage(network, size, scheme, pooling=pooling)
    assert_same(usage, count_backward(asked.walk(size, "auto"), WHOLE))
    coverages = coverage.coverages(network, size, scheme, pooling=pooling)
    for found, (core, _) in zip(coverages, count_forward(asked.walk(size, "auto")), strict=True):
        assert_same(found, core)
    return {usage.summary().method}


@cache
def core_of(name: str, scheme: str | None, axis: int = 0) -> tuple[int, int]:
    """The core of a network of the zoo on an axis, and its period; (0, 0) where the scheme does not suit it."""
    asked = request.prepare_request(padviz.load(name), (FAR, FAR), scheme, None, "count", "auto")
    try:
        tiling = stable_rows.usage_tiling(asked.walked, axis, FAR, asked.at)
    except PadvizError:
        return 0, 0
    assert tiling.copies > 0
    return tiling.kept, tiling.period


@pytest.mark.parametrize(("name", "scheme"), thirds(zoo(), [None, *SCHEMES]))
@given(data=st.data())
@examples(2)
def test_a_tiled_map_is_the_dense_one(name: str, scheme: str | None, data: Any) -> None:
    core, period = core_of(name, scheme)
    if not core:  # branches that valid and full take apart: refused, and tested as such
        assert scheme in ("valid", "full")
        return
    long = data.draw(st.integers(core + period, 3 * core), "long")
    short = SHORT.get(name, 97) if scheme != "valid" else 1100
    other = data.draw(st.integers(core + period, 3 * core), "other") if core < 450 else short
    size = (long, other) if data.draw(st.booleans(), "upright") else (other, long)
    pooling = data.draw(st.sampled_from(["count", "mean"]), "pooling")
    assert compare(padviz.load(name), size, scheme, pooling) == {"tiled"}


@pytest.mark.parametrize("name", every_third(zoo()))
def test_sizes_of_every_remainder_are_tiled_alike(name: str) -> None:
    core, period = core_of(name, None)
    network = padviz.load(name)
    for long in range(2 * core, 2 * core + period):
        size = (long, SHORT.get(name, 64))
        asked = request.prepare_request(network, size, None, None, "count", "auto")
        found = padviz.usage(network, size)
        assert found.rows.copies
        assert (found.expanded() == count_backward(asked.walk(size, "auto"), WHOLE).whole).all()


def test_random_networks_are_tiled_right() -> None:
    methods: list[str] = []

    @given(
        network=networks(most=8, modes=[*MODES]),
        size=st.tuples(st.integers(20, 120), st.integers(3, 60)),
        pooling=st.sampled_from(["count", "mean"]),
    )
    @examples(25)
    def compared(network: Any, size: tuple[int, int], pooling: str) -> None:
        steps, _ = network
        try:
            methods.extend(compare(parse({"layers": steps}, "random"), size, None, pooling))
        except PadvizError:
            methods.append("refused")

    compared()
    assert methods.count("tiled") >= 4


@given(
    start=st.integers(0, 9), period=st.integers(1, 7), copies=st.integers(0, 5), rest=st.integers(0, 9), data=st.data()
)
def test_an_index_visits_the_core_in_order_and_repeats_one_period(
    start: int, period: int, copies: int, rest: int, data: Any
) -> None:
    tiling = Tiling(start + (copies + 1) * period + rest, start, period, copies)
    index = tiling.index.tolist()
    assert index[: start + period] == list(range(start + period))
    assert index[len(index) - rest :] == list(range(tiling.kept - rest, tiling.kept))
    assert index[start : start + (copies + 1) * period] == list(range(start, start + period)) * (copies + 1)
    assert tiling.times_within([slice(None)])[0].tolist() == [index.count(row) for row in range(tiling.kept)]
    part = data.draw(st.slices(tiling.n).filter(lambda rows: rows.step in (None, 1)))
    assert tiling.times_within([part])[0].tolist() == [index[part].count(row) for row in range(tiling.kept)]
    assert tiling.first.tolist() == [index.index(row) for row in range(tiling.kept)]
    pairs = set(zip(*(each.tolist() for each in tiling.mirrored()), strict=True))
    facing = list(zip(index, index[::-1], strict=True))[: len(index) // 2]
    assert pairs == {(min(pair), max(pair)) for pair in facing}
    values = np.arange(3.0 * tiling.kept).reshape(-1, 3) ** 2
    block = data.draw(st.integers(1, tiling.n))
    expected = [values[index[at : at + block]].mean(axis=0) for at in range(0, tiling.n, block)]
    np.testing.assert_allclose(tiling.means(values, block), expected)


def test_a_core_does_not_grow_with_the_input() -> None:
    sizes = [padviz.usage("resnet50", n).tally.shape for n in (512, 2048, 65536)]
    assert sizes == [(1, 448, 448)] * 3
    assert padviz.usage("resnet50", (65537, 224)).tally.shape == (1, 417, 224)  # an even size has less of a border


def assert_naive(steps: list[dict[str, Any]], size: tuple[int, int], pooling: str = "count") -> None:
    """What is counted whole has no tiled twin: its counts are those of the slow loops."""
    network = parse({"layers": steps}, "naive")
    asked = steps, size, [steps[-1]["name"]]
    found = padviz.usage(network, size, pooling=pooling)
    np.testing.assert_allclose(found.counts, np.array(naive.usage(*asked, pooling), np.float64), rtol=1e-12, atol=0)
    coverage = padviz.coverage(network, size)
    expected = naive.coverage(steps, size, steps[-1]["name"])
    np.testing.assert_allclose(coverage.counts, np.array(expected, np.float64), rtol=1e-12, atol=0)
    assert found.summary().method == "dense"


CONV = {"op": "conv", "name": "c", "kernel": 3, "padding": 1}
UNTILED: dict[str, list[dict[str, Any]]] = {
    "a resize to a fixed size": [{"op": "resize", "name": "r", "size": 9}, CONV],
    "an adaptive pool": [{"op": "adaptive", "name": "a", "output": 4}],
    "the mean of the whole image": [
        {"op": "adaptive", "name": "a", "output": 1},
        {"op": "resize", "name": "r", "size": 5},
    ],
    "corners that are aligned": [
        {"op": "resize", "name": "r", "scale": 2, "mode": "linear", "align_corners": True},
    ],
}


@pytest.mark.parametrize("what", UNTILED)
def test_what_does_not_repeat_is_counted_whole(what: str) -> None:
    assert_naive(UNTILED[what], (60, 55), "mean")


def test_single_units_are_counted_whole() -> None:
    found = padviz.usage("vgg19", 512, unit=(3, 4))
    assert (found.summary().method, found.tally.shape) == ("dense", (1, 512, 512))
    assert padviz.usage("vgg19", 512).summary().method == "tiled"


LIKE = {
    "a wide window and its inverse": [
        {"op": "conv", "kernel": 101, "from": "input"},
        {"op": "convtranspose", "name": "b", "kernel": 101},
        {"op": "conv", "kernel": 3, "padding": 1, "from": "input"},
        {"op": "crop", "like": "b"},
    ],
    "a wide reflection": [
        {"op": "pad", "padding": 50, "mode": "reflect", "from": "input"},
        {"op": "crop", "name": "b", "padding": 50},
        {"op": "conv", "kernel": 3, "padding": 1, "from": "input"},
        {"op": "resize", "like": "b"},
    ],
}


@pytest.mark.parametrize("what", LIKE)
def test_a_core_holds_layers_of_which_only_the_size_is_followed(what: str) -> None:
    assert compare(parse({"layers": LIKE[what]}, what), (300, 450), None) == {"tiled"}


def test_a_global_mean_that_is_spread_out_again_is_counted_whole() -> None:
    spread = {"op": "resize", "name": "r", "like": "input", "mode": "linear", "align_corners": True}
    assert_naive([{"op": "global", "name": "g"}, spread], (64, 64))


def test_branches_that_grow_apart_are_counted_whole() -> None:
    branches: list[dict[str, Any]] = [
        {"op": "conv", "name": "c", "from": "input", "kernel": 2, "stride": 2},
        {"op": "resize", "name": "r", "from": "input", "size": 15},
    ]
    steps = [*branches, {"op": "add", "name": "sum", "from": ["c", "r"]}]
    assert growth(parse({"layers": steps}, "parted"), 0) is None
    assert_naive(steps, (30, 30))


def dense(found: CountMap) -> Any:
    """The counts of a tiled usage map, from a walk through every position."""
    assert found.tiled
    asked = request.prepare_request(found.network, found.size, found.padding, None, found.pooling, "auto")
    return to_ints(count_backward(asked.walk(found.size, "auto"), WHOLE).whole)


def assert_equal(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Integers are equal, and floats as near as they can be."""
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)
    else:
        assert (found == expected).all()


def test_parts_of_a_map_are_read_without_the_rest() -> None:
    found = padviz.usage("resnet152", (1800, 64))
    expected = dense(found)
    assert found.rows.copies
    assert (found.counts_at(slice(3, 9), [0, -1]) == expected[3:9][:, [0, -1]]).all()
    assert (found.counts_at(slice(880, 990), slice(None)) == expected[880:990]).all()
    assert (found.counts_at(range(2), slice(None)) == expected[:2]).all()
    assert found.at(-1, 5) == expected[-1, 5] == found.counts_at([1799], [5])[0, 0]
    assert "counts" not in vars(found)


@pytest.mark.parametrize(
    "which", [3, -1, [0, 5, 5], range(2, 7), slice(None, None, 90), np.array([1, 299]), np.arange(300) < 4]
)
def test_positions_are_numpys(which: Any, tmp_path: Path) -> None:
    found = padviz.usage("vgg11", 300)
    expected = dense(found)[np.atleast_1d(np.arange(300)[which])[:, None], np.atleast_1d(np.arange(300)[which])]
    assert (found.counts_at(which, which) == expected).all()
    write_counts(found, tmp_path / "map.npz")
    assert (padviz.read_counts(tmp_path / "map.npz", which, which) == expected).all()


@pytest.mark.parametrize("which", [300, -301, [0, 300], "a", 1.5, None, [[1, 2]], (0, 1)])
def test_what_is_no_position_says_so(which: Any, tmp_path: Path) -> None:
    found = padviz.usage("vgg11", 300)
    write_counts(found, tmp_path / "map.npz")
    for ask in (found.counts_at, lambda rows, cols: padviz.read_counts(tmp_path / "map.npz", rows, cols)):
        with pytest.raises(PadvizError, match="of its 300 columns, or no position; use whole numbers from 0 to 299"):
            ask(0, which)
    with pytest.raises(PadvizError, match="rows"):
        found.at(300, 0)


@pytest.mark.parametrize("name", ["resnet50", "resnet152"])
def test_a_file_keeps_the_core_and_is_read_back_in_full_or_in_part(name: str, tmp_path: Path) -> None:
    found = padviz.usage(name, (2500, 70))
    expected = dense(found)
    write_counts(found, tmp_path / "map.npz")
    assert (padviz.read_counts(tmp_path / "map.npz") == expected).all()
    part = padviz.read_counts(tmp_path / "map.npz", range(1000, 1100), [-1, 0])
    assert (part == expected[1000:1100][:, [-1, 0]]).all()
    with np.load(tmp_path / "map.npz") as data:
        assert data["core"].shape == found.tally.shape[1:]
        assert (len(data["rows"]), len(data["cols"])) == (2500, 70)
    write_counts(found, tmp_path / "map.npy")
    assert (padviz.read_counts(tmp_path / "map.npy") == expected).all()


def test_a_huge_map_is_written_small_and_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = padviz.usage("resnet50", 65536)
    write_counts(huge, tmp_path / "huge.npz")
    assert (tmp_path / "huge.npz").stat().st_size < 2_000_000
    assert padviz.read_counts(tmp_path / "huge.npz", [0], [0]) == [[59303702250160]]

    def too_large(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("padviz.reports.counts.from_bytes", too_large)
    write_counts(padviz.usage("resnet152", 65536), tmp_path / "wide.npz")
    with pytest.raises(PadvizError, match=r"wide.npz: its 65536 x 65536 counts .* read_counts\(path, rows, cols\)"):
        padviz.read_counts(tmp_path / "wide.npz", [0], [0])


HUGE = [
    ("usage", "resnet50", "65536", 300e6),
    ("audit", "resnet18", "1000000x33", 300e6),
    pytest.param("usage", "densenet201", "1000000", 400e6, marks=SLOW),
]


@pytest.mark.parametrize(("command", "name", "size", "most"), HUGE)
def test_a_huge_map_takes_little_memory_with_its_picture(
    command: str, name: str, size: str, most: float, tmp_path: Path
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells how much memory a process had")
    code = """
import re, sys
from padviz.cli import cli
try:
    cli(sys.argv[1:])
finally:
    print(re.search("VmHWM:(.*)kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""
    asked = [command, name, "--size", size, "-o", str(tmp_path / "map.png")]
    run = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert (tmp_path / "map.png").exists()
    assert int(run.stderr) * 1024 < most


@pytest.mark.parametrize(("name", "pooling"), [("resnet50", "count"), ("resnet152", "count"), ("resnet50", "mean")])
def test_files_are_written_some_rows_at_a_time(
    name: str, pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("padviz.reports.counts.AT_A_TIME", 1000)
    found = padviz.usage(name, (1500, 70), pooling=pooling)
    expected = dense(found)
    write_counts(found, tmp_path / "map.npy")
    assert_equal(padviz.read_counts(tmp_path / "map.npy"), expected)
    write_counts(found, tmp_path / "map.csv")
    read = float if pooling == "mean" else int
    rows = [[read(cell) for cell in line.split(",")] for line in (tmp_path / "map.csv").read_text().splitlines()]
    assert_equal(np.array(rows, dtype=found.counts.dtype), expected)


@pytest.mark.parametrize("name", ["vgg11", "resnet152"])
def test_what_does_not_fit_into_memory_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.counting.count_map.machine_memory", lambda: 10e6)
    found = padviz.usage(name, 2000)
    for ask in (lambda: found.counts, found.relative, lambda: found.counts_at(slice(None), slice(None))):
        with pytest.raises(PadvizError, match="positions of 2000 x 2000 do not fit into memory; counts_at"):
            ask()
    assert found.counts_at([0, 1], range(5)).shape == (2, 5)
    assert found.relative((50, 20)).shape == (40, 100)


@pytest.mark.parametrize(
    ("name", "size", "unit"), [("resnet18", 64, None), ("resnet152", 96, None), ("vgg11", 64, (0, 0))]
)
def test_no_caller_can_damage_a_map(name: str, size: int, unit: Any) -> None:
    counts = padviz.usage(name, size, unit=unit)
    handed = [counts.counts, counts.tally, counts.expanded(), counts.rows.index]
    if unit is None:
        handed.append(counts.shares.pattern)
    for array in (*handed, padviz.coverage(name, size).counts):
        with pytest.raises(ValueError, match="read-only"):
            array[..., 0] = 7


def along(network: padviz.Network, axis: int, n: int) -> NDArray[Any]:
    """Paths from each row to all units of a chain, in Python's integers."""
    sizes, maps = resolve(network, axis, n)
    paths = np.ones(sizes[-1], dtype=object)
    for made in reversed(maps):
        paths = paths if made is None else matrix_of(made).astype(object).T @ paths
    return paths


@pytest.mark.parametrize("scheme", [None, "reflect", "circular", "valid"])
@pytest.mark.parametrize(("depth", "kernel", "size"), [(12, 3, (40, 33)), (34, 5, (170, 150)), (90, 3, (200, 300))])
def test_a_chain_of_any_depth_is_the_product_of_its_axes(
    depth: int, kernel: int, size: tuple[int, int], scheme: str | None
) -> None:
    window = {"op": "conv", "kernel": [kernel, 3], "padding": [kernel // 2, 1]}
    network = parse({"layers": [{**window, "name": f"c{i}"} for i in range(depth)]}, "chain")
    counts = padviz.usage(network, size, scheme)
    expected = np.multiply.outer(*(along(counts.walked, axis, n) for axis, n in enumerate(size)))
    assert (counts.counts == expected).all()
    assert (counts.min, counts.max, counts.total) == (expected.min(), expected.max(), expected.sum())


def test_a_deep_chain_takes_a_pass_over_its_map_and_not_one_for_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def applied(made: Any, x: Any, axis: int, **options: Any) -> Any:
        seen.append(x.shape)
        return apply(made, x, axis, **options)

    monkeypatch.setattr(tally, "apply", applied)
    layers = [{"op": "conv", "name": f"c{i}", "kernel": 3, "padding": 1} for i in range(60)]
    padviz.usage(parse({"layers": layers}, "chain"), (200, 190))
    assert seen
    assert all(1 in shape[1:] for shape in seen)
