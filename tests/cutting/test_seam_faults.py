"""Each fault of a tiler is named, with its period, tile and figures, and pairs without seams have none."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

import padviz
from tests.cutting.seam_faults import FAULTS, SEAMLESS, Pair, tiler

TRIALS = 10


def is_right(found: Any, pair: Pair) -> bool:
    if found.kind != pair.kind or not {*pair.periods} <= {each.period for each in found}:
        return False
    if pair.lasts and [lines[-1] for lines in found.lines] != pytest.approx(pair.lasts, abs=2):
        return False
    if pair.tile and found.tiles[0].area != pair.tile:
        return False
    figures = dict(pair.figures)
    if figures.pop("tiles", None) not in (None, {fit.area for fit in found.tiles}):
        return False
    return all(
        getattr(found.tiles[0], name) == pytest.approx(value) for name, value in figures.items()
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name: str) -> None:
    pair = FAULTS[name](np.random.default_rng(0))
    found = padviz.seams(pair.whole, pair.tiled)
    assert is_right(found, pair), (found.verdict, found.tiles[:2], pair[2:])


@pytest.mark.slow
def test_95_percent_of_all_faults_are_named() -> None:
    right: Counter[str] = Counter()
    for number, (name, make) in enumerate(FAULTS.items()):
        for seed in range(TRIALS):
            pair = make(np.random.default_rng([seed, number]))
            right[name] += is_right(padviz.seams(pair.whole, pair.tiled), pair)
    assert right.total() >= 0.95 * TRIALS * len(FAULTS), right


@pytest.mark.parametrize("name", SEAMLESS)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, TRIALS))]
)
def test_no_seams_are_found_where_there_are_none(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = tiler(rng).whole
    found = padviz.seams(whole, SEAMLESS[name](whole, rng))
    assert (len(found), found.kind in ("none", "everywhere", "part")) == (0, True), found.verdict
