"""Cores too large to be kept are made in parts, with the same counts and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz import CountMap
from padviz.axis.padding_modes import MODES
from padviz.engine.apply import apply
from padviz.engine.axis_map import AxisMap
from padviz.engine.strip import Strip
from padviz.errors import PadvizError
from padviz.sources.toml.build import parse
from tests.dense import dense
from tests.strategies import networks
from tests.sweeps import examples

SMALL = 3000  # numbers of a part


@st.composite
def strips(draw: Any, n_in: int, n_out: int) -> Strip:
    """A strip that stays inside, in any direction; where `dst` stays in place, a row sums up several."""
    length = draw(st.integers(1, 4))
    ends = []
    for n, steps in ((n_out, st.integers(-3, 3)), (n_in, st.integers(-3, 3))):
        step = draw(steps) if (length - 1) * 3 < n else 0
        reach = step * (length - 1)
        ends += [draw(st.integers(max(0, -reach), n - 1 - max(0, reach))), step]
    return Strip(*ends, length, draw(st.integers(1, 2)))


@given(data=st.data(), n_in=st.integers(1, 20), n_out=st.integers(1, 20))
def test_a_map_to_some_rows_has_those_rows_and_reads_no_others(data: Any, n_in: int, n_out: int) -> None:
    made = AxisMap(n_in, n_out, tuple(data.draw(st.lists(strips(n_in, n_out), max_size=5))))
    ends = sorted(data.draw(st.lists(st.integers(0, n_out), min_size=2, max_size=4, unique=True)))
    runs = [slice(*pair) for pair in zip(ends[::2], ends[1::2], strict=False)]
    part, read = made.only(runs)
    expected = np.concatenate([dense(made)[run] for run in runs])
    kept = np.concatenate([np.arange(run.start, run.stop) for run in read])
    assert (dense(part) == expected[:, kept]).all()
    assert dense(part).sum() == expected.sum()
    used = np.flatnonzero(expected.any(axis=0))
    assert len(used) == 0 or (used[0], used[-1]) == (kept[0], kept[-1])


def test_a_part_at_a_seam_reads_the_rows_at_both_ends_and_none_between(monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_parts(monkeypatch, "densenet121", 300, "circular")
    assert found.core.pulls
    passed: list[int] = []

    def counted(made: AxisMap, x: Any, *args: Any, **options: Any) -> Any:
        passed.append(x.size)
        return apply(made, x, *args, **options)

    monkeypatch.setattr("padviz.engine.tally.apply", counted)
    work = []
    for start in (0, 148, 296):
        passed.clear()
        found.core.part(slice(start, start + 4), slice(start, start + 4))
        work.append(sum(passed))
    assert max(work) <= 2 * min(work)


def in_parts(monkeypatch: pytest.MonkeyPatch, *asked: Any, **options: Any) -> CountMap:
    """A map whose core, if it is made of a smaller layer, is never there as a whole."""
    monkeypatch.setattr("padviz.engine.core.AT_ONCE", SMALL)
    return padviz.usage(*asked, **options)


def assert_figures(found: CountMap, counts: np.ndarray) -> None:
    """The figures of a map, from all its counts, one by one."""
    summary, values = found.summary(), counts.astype(object) if counts.dtype == np.int64 else counts
    peak = values.max()
    assert (found.min, found.max) == (values.min(), peak)
    assert found.total == (pytest.approx(values.sum(), rel=1e-12) if counts.dtype.kind == "f" else values.sum())
    assert summary.marginalised == (2 * values < peak).sum() / values.size
    for axis, given_ in enumerate((summary.asymmetry.height, summary.asymmetry.width)):
        expected = abs(values - np.flip(values, axis)).max() / peak if peak else 0
        assert given_ == pytest.approx(expected, rel=1e-12, abs=1e-14)
    height, width = counts.shape
    assert found.at(height // 2, -1) == counts[height // 2, -1]
    shares = values / peak if peak else np.zeros(values.shape)
    np.testing.assert_allclose(found.relative(), shares.astype(float), rtol=1e-12)
    rows, cols = (np.arange(0, n, 3) for n in (height, width))
    blocks = np.add.reduceat(np.add.reduceat(found.relative(), rows, axis=0), cols, axis=1)
    sizes = np.outer(np.diff([*rows, height]), np.diff([*cols, width]))
    np.testing.assert_allclose(found.relative((3, 3)), blocks / sizes, rtol=1e-12, atol=1e-15)


CASES = [
    ("resnet152", (224, 224), "count", None),  # a core that is its own transpose, in several limbs
    ("resnet152", (96, 130), "count", None),
    ("resnet152", (70, 1600), "count", None),
    ("resnet18", (600, 600), "count", None),
    ("resnet50", (225, 225), "mean", None),
    ("inception_v3", (160, 170), "count", None),
    ("mobilenet_v2", (128, 128), "count", "reflect"),
    ("resnet18", (190, 190), "count", "circular"),
]


@pytest.mark.parametrize("size", [(512, 544), (544, 512), (600, 632)])
def test_a_core_that_is_its_own_transpose_may_have_rows_more_often_than_columns(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = padviz.usage("resnet18", size).counts
    found = in_parts(monkeypatch, "resnet18", size)
    assert found.core.symmetric
    assert found.rows.kept == found.cols.kept
    assert len([*found.core.parts()]) > 1
    assert_figures(found, counts)


@pytest.mark.parametrize(("name", "size", "pooling", "padding"), CASES)
def test_a_core_in_parts_has_the_counts_and_the_figures_of_the_whole(
    name: str, size: tuple[int, int], pooling: str, padding: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = padviz.usage(name, size, padding, pooling=pooling)
    counts = whole.counts
    found = in_parts(monkeypatch, name, size, padding, pooling=pooling)
    assert whole.core.symmetric is found.core.symmetric is (size[0] == size[1])
    assert_figures(found, counts)
    assert "whole" not in vars(found.core)
    step = slice(1, None, 7)
    assert (found.counts_at(step, [5, -1, 5]) == counts[step][:, [5, -1, 5]]).all()
    assert (found.counts == counts).all()


@given(
    network=networks(most=8, modes=[*MODES]), size=st.tuples(st.integers(8, 60), st.integers(8, 60)) | st.just((60, 60))
)
@examples(10)
def test_random_cores_in_parts_have_the_counts_and_the_figures_of_the_whole(
    network: Any, size: tuple[int, int]
) -> None:
    steps, _ = network
    try:
        made = parse({"layers": steps}, "random")
        counts = padviz.usage(made, size).counts
    except PadvizError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.counting.test_parts.SMALL", 50)
        assert_figures(in_parts(patch, made, size), counts)
