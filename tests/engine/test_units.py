"""The small parts, where a mistake would hide behind the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import padviz
from padviz.engine.limbs import (
    LIMB_BITS,
    from_bytes,
    largest,
    largest_difference,
    shares,
    smallest,
    to_bytes,
    to_ints,
    totals,
)
from padviz.errors import PadvizError
from padviz.network.network import as_size
from padviz.network.sizes import layer_rows, resolve
from padviz.network.targets import upto
from padviz.sources.toml.load import parse
from tests.sweeps import examples

counts = st.integers(0, 2**150)


def tally_of(values: list[int], limbs: int) -> np.ndarray:
    parts = [
        [value >> (LIMB_BITS * i) & ((1 << LIMB_BITS) - 1) for value in values]
        for i in range(limbs)
    ]
    return np.array(parts, dtype=np.int64).reshape(limbs, 1, len(values))


@given(values=st.lists(counts, min_size=1, max_size=8))
def test_limbs_are_the_integers(values: list[int]) -> None:
    tally = tally_of(values, 5)
    assert to_ints(tally).tolist() == [values]
    assert from_bytes(to_bytes(tally)).tolist() == [values]
    assert (largest(tally), smallest(tally)) == (max(values), min(values))
    assert largest_difference(tally, tally[..., ::-1]) == max(
        abs(x - y) for x, y in zip(values, values[::-1], strict=True)
    )
    np.testing.assert_allclose(
        shares(tally, max(values))[0], [v / max(values) if max(values) else 0 for v in values]
    )


@given(value=counts, above=st.integers(0, 40), peak=st.sampled_from([1, 7, 2**64, 2**7000]))
def test_shares_do_not_ask_how_many_limbs_a_bound_gave(value: int, above: int, peak: int) -> None:
    """Where a count may be far larger than the largest is, the most significant limbs are empty."""
    np.testing.assert_allclose(
        shares(tally_of([value], 5 + above), peak), [[value / peak]], rtol=1e-12
    )


@given(values=st.lists(counts, min_size=6, max_size=6), data=st.data())
@example(values=[2**150] * 6, data=None)
def test_sums_take_rows_and_columns_as_often_as_they_occur(values: list[int], data: Any) -> None:
    often = st.integers(0, 2**22)
    rows, cols = (
        data.draw(st.tuples(st.tuples(often, often), st.tuples(often, often, often)))
        if data
        else ((2**22,) * 2, (2**22,) * 3)
    )
    total = sum(
        values[3 * i + j] * row * col for i, row in enumerate(rows) for j, col in enumerate(cols)
    )
    tally = tally_of(values, 5).reshape(5, 2, 3)
    ones = np.ones((1, 2), dtype=np.int64), np.ones((1, 3), dtype=np.int64)
    found = totals(tally, np.concatenate([ones[0], [rows]]), np.concatenate([[cols], ones[1]]))
    assert (found[1][0], found[0][1]) == (total, sum(values))


def test_total_of_large_counts_does_not_wrap() -> None:
    ones = np.ones((1, 4), dtype=np.int64)
    assert totals(np.full((1, 4, 4), 2**62), ones, ones) == [[16 * 2**62]]


@pytest.mark.parametrize(("depth", "limbs"), [(19, 1), (20, 2), (25, 2), (26, 3)])
def test_limbs_hold_what_int64_cannot(depth: int, limbs: int) -> None:
    """A 3x3 layer grows counts by 9, and 9**20 passes 2**63."""
    net = parse(
        {"layers": [{"op": "conv", "kernel": 3, "padding": 1, "mode": "circular"}] * depth}, "deep"
    )
    found = padviz.usage(net, (3, 4))
    assert len(found.tally) == limbs
    assert found.counts.dtype == (np.int64 if limbs == 1 else object)
    assert set(found.counts.flat) == {9**depth}
    assert from_bytes(to_bytes(found.tally)).tolist() == found.counts.tolist()


def test_a_sum_of_many_rows_fits_into_limbs() -> None:
    layers = [
        *[{"op": "conv", "kernel": 3, "padding": 1, "mode": "circular"}] * 20,
        {"op": "adaptive", "output": 1},
    ]
    assert padviz.coverage(parse({"layers": layers}, "sums"), (700, 3)).counts.tolist() == [
        [9**20 * 2100]
    ]


@given(kernel=st.integers(128, 300), stride=st.integers(1, 2), depth=st.integers(1, 2))
@examples(10)
def test_limbs_have_room_for_wide_windows(kernel: int, stride: int, depth: int) -> None:
    sides = {"kernel": [kernel, 1], "stride": [stride, 1], "padding": [[5, 9], [0, 0]]}
    wide_conv = {"op": "conv", "mode": "circular", **sides}
    fold = {"op": "conv", "kernel": 3, "padding": 1, "mode": "circular"}
    net = parse(
        {"layers": [*[wide_conv] * depth, {"op": "add", "branches": [[], []]}, *[fold] * 19]},
        "large",
    )
    size = (kernel * (depth + 2) * stride**depth, 2)
    for engine in ("numpy", "numba"):
        counts = padviz.usage(net, size, engine=engine).counts
        units = padviz.usage(net, size).target.shape
        assert sum(counts.flat) == units[0] * units[1] * kernel**depth * 2 * 9**19
    assert padviz.coverage(net, size).total == sum(counts.flat)


def test_branches_that_end_elsewhere_are_ignored() -> None:
    """A layer can be reached at a size that the layers after it cannot take."""
    steps = [
        {"op": "conv", "name": "a", "kernel": 3},
        {"op": "conv", "name": "huge", "kernel": 99},
        {"op": "conv", "name": "b", "kernel": 3, "from": "a"},
    ]
    net = parse({"layers": steps, "target": "b"}, "branches")
    assert [layer.name for layer in upto(net, ("b",)).layers] == ["input", "a", "b"]
    assert padviz.usage(net, 9).max == 81
    with pytest.raises(PadvizError, match="huge"):
        resolve(net, 0, 9)


def test_partial_with_a_pad_that_no_convolution_owns_is_refused() -> None:
    steps = [
        {"op": "pad", "name": "p", "padding": 1},
        {"op": "add", "name": "m", "from": ["p", "p"]},
    ]
    net = parse({"layers": steps}, "own")
    with pytest.raises(PadvizError, match=r"own: partial convolution .* p pads on its own"):
        padviz.usage(net, 9, padding="partial")
    assert padviz.usage(net, 9, padding="valid").target.shape == [9, 9]


def test_rational_counts_beyond_floats_are_refused() -> None:
    steps = [{"op": "conv", "name": f"c{i}", "kernel": 5, "padding": 2} for i in range(250)]
    net = parse({"layers": steps}, "deep")
    assert padviz.usage(net, 9).max.bit_length() > 1000  # type: ignore[union-attr]
    assert isinstance(padviz.usage(net, 9).summary().mean, float | int)
    with pytest.raises(PadvizError, match="float"):
        padviz.usage(net, 9, padding="partial")


def test_layers_that_leave_each_row_where_it_is_are_idle() -> None:
    layers = [
        {"op": "conv", "name": "a", "kernel": 1},
        {"op": "conv", "name": "b", "kernel": 3, "padding": 1},
        {"op": "crop", "name": "c", "padding": [[1, 0], [1, 0]]},
        {"op": "pad", "name": "d", "padding": [[0, 0], [0, 0]]},
    ]
    maps = resolve(parse({"layers": layers}, "idle"), 0, 8).maps
    assert [each is None for each in maps[1:]] == [True, False, False, True]


def test_a_target_may_be_the_input_or_out_of_its_reach() -> None:
    net = parse(
        {
            "layers": [
                {"op": "pad", "name": "p", "padding": 3},
                {"op": "crop", "name": "c", "padding": [[0, 9], 3]},
            ]
        },
        "x",
    )
    assert padviz.usage(net, 6, layer="input").counts.tolist() == [[1] * 6] * 6
    assert padviz.usage(net, 6).max == 0
    assert padviz.usage(net, 6).summary().skew.height == 0


def test_sizes_and_engines_that_there_are_not_are_refused() -> None:
    with pytest.raises(PadvizError, match="size"):
        as_size((1, 2, 3, 4))
    with pytest.raises(PadvizError, match="engine"):
        padviz.usage("vgg11", engine="cuda")


def test_a_listing_says_what_is_before_and_after_on_each_axis() -> None:
    pads = [[2, 1], [0, 3]]
    layers = [
        {"op": op, "kernel": 4, "stride": 2, "padding": pads} for op in ("conv", "convtranspose")
    ]
    assert [row[5] for row in layer_rows(parse({"layers": layers}, "net"), (20, 20))] == [
        pads,
        pads,
    ]


ROOT = Path(__file__).parent.parent.parent
LINE = "numba is not installed: numpy counts, the same numbers in more time; pip install numba"
COMMAND = """
import sys, tests.without_numba
from padviz.engine import apply
apply.NUMBA_FROM = 0
from padviz.cli import cli
cli(["usage", "resnet18", "--size", "64", "--no-picture", "--format", "json"])
"""


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT
    )


def test_each_case_has_its_counts() -> None:
    quiet, path = "ignore::padviz.engine.apply.Slower", "tests/test_cases.py"
    plugins = "-p", "tests.without_numba", "-p", "no:xdist", "-p", "no:cacheprovider"
    cases = run("-m", "pytest", *plugins, path, "-W", quiet)
    assert cases.returncode == 0, cases.stdout
    assert " passed" in cases.stdout


def test_the_command_says_so_once() -> None:
    counted = run("-c", COMMAND)
    assert (counted.returncode, counted.stderr) == (0, f"padviz: {LINE}\n")
    assert json.loads(counted.stdout)["rows"][0]["max"] == padviz.usage("resnet18", 64).max


def test_python_warns_once() -> None:
    lines = "import tests.without_numba, padviz\nfor i in 1, 2: print(padviz.usage('resnet18', 64, engine='numba').max)"
    counted = run("-c", lines)
    assert counted.stdout.split() == [str(padviz.usage("resnet18", 64).max)] * 2
    assert counted.stderr.count(LINE) == 1


def test_a_numba_that_breaks_says_why(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.3 or less')")
    counted = run(
        "-c",
        "import padviz; padviz.usage('vgg11', 64, engine='numba')",
        PYTHONPATH=f"{tmp_path}:{ROOT}",
    )
    assert (
        "numba cannot be imported (Numba needs NumPy 2.3 or less): numpy counts" in counted.stderr
    )
