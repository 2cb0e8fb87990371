"""Maps made of a core equal maps counted whole, in every pixel and every figure."""

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
from padviz.counting import count
from padviz.counting.count import coverages
from padviz.counting.walking import core as cores
from padviz.counting.walking import stable_rows, walks
from padviz.counting.walking.core import Core
from padviz.counting.walking.stable_rows import growth
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import WHOLE, count_backward, count_forward
from padviz.engine.limbs import to_ints
from padviz.errors import PadvizError
from padviz.network.padding_modes import MODES, SCHEMES
from padviz.reports.counts import write_counts
from padviz.sources.toml.load import parse, zoo
from tests import naive
from tests.counting.test_fair_share import NETS, near
from tests.strategies import networks
from tests.sweeps import ALIKE, examples, thirds

FAR = 100_000  # rows, more than any core
SHORT = {
    "ssd300_vgg16": 310,
    "inception_v3": 160,
    "convnext_tiny": 160,
    "unet": 196,
}  # the other axis, where 97 rows are too few


def assert_same(found: CountMap, core: Core) -> None:
    """Every count and every figure of a map, against those of the map that was counted whole."""
    tally = core.limbs
    if tally.dtype.kind == "f":
        np.testing.assert_allclose(found.counts, tally[0], rtol=1e-12, atol=0)
        return
    assert (found.expanded() == tally).all()
    assert len(tally) > 1 or (found.counts == tally[0]).all()
    height, width = tally.shape[1:]
    counted = getattr(found, "value", found)
    whole = replace(counted, core=core, rows=Tiling(height), cols=Tiling(width)).summary()
    assert whole.method == "dense"
    one, other = ({**to_builtins(each), "method": None} for each in (found.summary(), whole))
    assert near(one.pop("share"), other.pop("share"))  # sums in another order
    assert one == other


def compare(
    network: padviz.Network, size: tuple[int, int], scheme: str | None, pooling: str = "count"
) -> set[str]:
    """Usage and coverage against dense walks; which methods were used."""
    asked = count.prepare_request(network, size, scheme, None, pooling, "auto")
    usage = padviz.usage(network, size, scheme, pooling=pooling)
    assert_same(usage, count_backward(asked.walk(size, "auto"), WHOLE))
    found_coverages = coverages(network, size, scheme, pooling=pooling)
    for found, (core, _) in zip(
        found_coverages, count_forward(asked.walk(size, "auto")), strict=True
    ):
        assert_same(found, core)
    return {usage.summary().method}


@cache
def core_of(name: str, scheme: str | None, axis: int = 0) -> tuple[int, int]:
    """The core of a network of the zoo on an axis, and its period; (0, 0) where the scheme does not suit it."""
    asked = count.prepare_request(padviz.load(name), (FAR, FAR), scheme, None, "count", "auto")
    try:
        tiling = stable_rows.usage_tiling(asked.walked, axis, FAR, asked.at)
    except PadvizError:
        return 0, 0
    assert tiling.copies > 0
    return tiling.kept, tiling.period


FAMILIES = sorted({*zoo()} - {*ALIKE.split()} | {"resnet152"})


@pytest.mark.parametrize(("name", "scheme"), thirds(FAMILIES, SCHEMES))
@given(data=st.data())
@examples(1)
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


@pytest.mark.parametrize("what", NETS["untiled"])
def test_what_does_not_repeat_is_counted_whole(what: str) -> None:
    """It has no tiled twin: its counts are those of the slow loops."""
    steps, size = NETS["untiled"][what]["layers"], (60, 60) if "branches" in what else (60, 55)
    network, last = parse({"layers": steps}, "naive"), steps[-1]["name"]
    found = padviz.usage(network, size, pooling="mean")
    expected = np.array(naive.usage(steps, size, [last], "mean"), np.float64)
    np.testing.assert_allclose(found.counts, expected, rtol=1e-12, atol=0)
    assert_equal(padviz.coverage(network, size).counts, np.array(naive.coverage(steps, size, last)))
    assert found.summary().method == "dense"
    assert "branches" not in what or growth(network, 0) is None


@pytest.mark.parametrize("what", NETS["like"])
def test_a_core_holds_layers_of_which_only_the_size_is_followed(what: str) -> None:
    assert compare(parse(NETS["like"][what], what), (300, 450), None) == {"tiled"}


def dense(found: CountMap) -> Any:
    """The counts of a tiled usage map, from a walk through every position."""
    assert found.tiled
    asked = count.prepare_request(
        found.network, found.size, found.padding, None, found.pooling, "auto"
    )
    return to_ints(count_backward(asked.walk(found.size, "auto"), WHOLE).limbs)


def assert_equal(found: NDArray[Any], expected: NDArray[Any]) -> None:
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)
    else:
        assert (found == expected).all()


@pytest.mark.parametrize(
    ("name", "pooling"), [("resnet50", "count"), ("resnet152", "count"), ("resnet50", "mean")]
)
def test_maps_and_their_files_are_read_in_full_or_in_part(
    name: str, pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are written some rows at a time, and a compressed one keeps the core alone."""
    monkeypatch.setattr("padviz.reports.counts.AT_A_TIME", 1000)
    found = padviz.usage(name, (1500, 70), pooling=pooling)
    assert found.rows.copies
    expected = dense(found)
    for suffix in (".npz", ".npy", ".csv"):
        write_counts(found, tmp_path / f"map{suffix}")
    parts = [
        (slice(3, 9), [0, -1]),
        (slice(480, 590), slice(None)),
        (range(2), slice(None)),
        ([1499, 0, 0], [5]),
    ]
    parts += [(slice(None, None, -7), range(60, 20, -30))]
    for rows, cols in parts:
        assert_equal(found.counts_at(rows, cols), expected[rows][:, cols])
        for suffix in (".npz", ".npy"):
            assert_equal(
                padviz.read_counts(tmp_path / f"map{suffix}", rows, cols), expected[rows][:, cols]
            )
    assert found.at(-1, 5) == found.counts_at([1499], [5])[0, 0]
    assert "counts" not in vars(found)
    for suffix in (".npz", ".npy"):
        assert_equal(padviz.read_counts(tmp_path / f"map{suffix}"), expected)
    with np.load(tmp_path / "map.npz") as data:
        assert data["core"].shape == found.tally.shape[1:]
        assert (len(data["rows"]), len(data["cols"])) == (1500, 70)
    number = float if pooling == "mean" else int
    lines = (tmp_path / "map.csv").read_text().splitlines()
    assert_equal(
        np.array([[*map(number, line.split(","))] for line in lines], found.counts.dtype), expected
    )


@pytest.fixture(scope="module")
def small_map(tmp_path_factory: pytest.TempPathFactory) -> tuple[CountMap, Path]:
    found, path = padviz.usage("vgg11", 300), tmp_path_factory.mktemp("map") / "map.npz"
    write_counts(found, path)
    return found, path


@pytest.mark.parametrize(
    "which",
    [3, -1, [0, 5, 5], range(2, 7), slice(None, None, 90), np.array([1, 299]), np.arange(300) < 4],
)
def test_positions_are_numpys(which: Any, small_map: tuple[CountMap, Path]) -> None:
    found, path = small_map
    expected = found.counts[
        np.atleast_1d(np.arange(300)[which])[:, None], np.atleast_1d(np.arange(300)[which])
    ]
    assert (found.counts_at(which, which) == expected).all()
    assert (padviz.read_counts(path, which, which) == expected).all()


@pytest.mark.parametrize("which", [300, -301, [0, 300], "a", 1.5, None, [[1, 2]], (0, 1)])
def test_what_is_no_position_says_so(which: Any, small_map: tuple[CountMap, Path]) -> None:
    found, path = small_map
    for ask in (found.counts_at, lambda rows, cols: padviz.read_counts(path, rows, cols)):
        with pytest.raises(
            PadvizError, match="of its 300 columns, or no position; use whole numbers from 0 to 299"
        ):
            ask(0, which)
    with pytest.raises(PadvizError, match="rows"):
        found.at(300, 0)


MEMORY = """
import re, sys
from click.testing import CliRunner
from padviz.cli import cli
for i, words in enumerate(sys.argv[1:]):
    assert CliRunner().invoke(cli, [*words.split(), "-o", f"{i}.png"]).exit_code == 0
print(re.search("VmHWM:(.*)kB", open("/proc/self/status").read())[1])
"""


def test_huge_maps_take_little_memory_with_their_pictures(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells how much memory a process had")
    commands = "usage resnet50 --size 65536", "audit resnet18 --size 1000000x33"
    asked = [sys.executable, "-c", MEMORY, *commands]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert len([*tmp_path.glob("*.png")]) == len(commands)
    assert int(done.stdout) * 1024 < 300e6


@pytest.mark.parametrize("name", ["vgg11", "resnet152"])
def test_what_does_not_fit_into_memory_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padviz.counting.count_map.machine_memory", lambda: 10e6)
    found = padviz.usage(name, 2000)
    for ask in (
        lambda: found.counts,
        found.relative,
        lambda: found.counts_at(slice(None), slice(None)),
    ):
        with pytest.raises(
            PadvizError, match="positions of 2000 x 2000 do not fit into memory; counts_at"
        ):
            ask()
    assert found.counts_at([0, 1], range(5)).shape == (2, 5)
    assert found.relative((50, 20)).shape == (40, 100)


@pytest.mark.parametrize(
    ("name", "size", "unit"),
    [("resnet18", 64, None), ("resnet152", 96, None), ("vgg11", 64, (0, 0))],
)
def test_no_caller_can_damage_a_map(name: str, size: int, unit: Any) -> None:
    counts = padviz.usage(name, size, unit=unit)
    handed = [counts.counts, counts.tally, counts.expanded(), counts.rows.index]
    if unit is None:
        handed.append(counts.shares.pattern)
    for array in (*handed, padviz.coverage(name, size).counts):
        with pytest.raises(ValueError, match="read-only"):
            array[..., 0] = 7


@given(
    network=networks(most=8, modes=[*MODES]),
    size=st.tuples(st.integers(8, 60), st.integers(8, 60)) | st.just((60, 60)),
    pooling=st.sampled_from(["count", "mean"]),
)
@examples(10)
def test_the_figures_of_random_maps_are_those_of_their_counts(
    network: Any, size: tuple[int, int], pooling: str
) -> None:
    steps, _ = network
    try:
        found = padviz.usage(parse({"layers": steps}, "random"), size, pooling=pooling)
    except PadvizError:
        return
    counts = found.counts
    summary, values = found.summary(), counts.astype(object) if counts.dtype == np.int64 else counts
    peak = values.max()
    assert (found.min, found.max) == (values.min(), peak)
    assert found.total == (
        pytest.approx(values.sum(), rel=1e-12) if counts.dtype.kind == "f" else values.sum()
    )
    assert summary.marginalised == (2 * values < peak).sum() / values.size
    for axis, given_ in enumerate((summary.asymmetry.height, summary.asymmetry.width)):
        expected = abs(values - np.flip(values, axis)).max() / peak if peak else 0
        assert given_ == pytest.approx(expected, rel=1e-12, abs=1e-12)
    height, width = counts.shape
    assert found.at(height // 2, -1) == counts[height // 2, -1]
    shares = values / peak if peak else np.zeros(values.shape)
    np.testing.assert_allclose(found.relative(), shares.astype(float), rtol=1e-12)
    rows, cols = (np.arange(0, n, 3) for n in (height, width))
    blocks = np.add.reduceat(np.add.reduceat(found.relative(), rows, axis=0), cols, axis=1)
    sizes = np.outer(np.diff([*rows, height]), np.diff([*cols, width]))
    np.testing.assert_allclose(found.relative((3, 3)), blocks / sizes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(200, 200), (203, 130)])
@pytest.mark.parametrize("padding", [None, "circular", "reflect", "partial"])
@pytest.mark.parametrize("name", ["resnet18", "resnet152", "inception_v3"])
def test_figures_computed_some_rows_at_a_time_are_those_of_the_whole_core(
    name: str, padding: str | None, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def figures() -> tuple[Any, Any]:
        found = padviz.usage(name, size, padding)
        return to_builtins(found.summary()), found.shares.values

    whole, shares = figures()
    monkeypatch.setattr(cores, "KEPT", 0)
    monkeypatch.setattr(cores, "AT_ONCE", 10_000)
    monkeypatch.setattr(Core, "limbs", property(lambda core: pytest.fail("was computed whole")))
    in_parts, values = figures()
    assert near(in_parts.pop("share"), whole.pop("share"))
    assert near(in_parts, whole) if padding == "partial" else in_parts == whole
    np.testing.assert_allclose(values, shares, rtol=1e-12, equal_nan=True)


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


@given(
    steps=chains(),
    size=st.sampled_from([(60, 60), (60, 47), (33, 90), (200, 40)]),
    scheme=st.sampled_from((None, *SCHEMES)),
    pooling=st.sampled_from(["count", "mean"]),
)
@examples(10)
def test_a_chain_counted_as_a_product_of_two_vectors_is_the_dense_walk(
    steps: Any, size: tuple[int, int], scheme: str | None, pooling: str
) -> None:
    network, layers = (
        parse({"layers": steps}, "chain"),
        [each["name"] for each in steps[:: max(1, len(steps) // 2)]],
    )

    def maps() -> list[CountMap]:
        usage = padviz.usage(network, size, scheme, pooling=pooling)
        return [usage, *coverages(network, size, scheme, layers, pooling=pooling)]

    try:
        found = maps()
    except PadvizError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "is_chain", lambda network: False)
        for one, other in zip(found, maps(), strict=True):
            assert (one.full, one.core.exact) == (other.full, other.core.exact)
            assert_equal(one.counts, other.counts)
