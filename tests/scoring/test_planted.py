"""The first line of `rings` finds blind borders that were planted, and calls fair detectors fair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from padviz.reports.trained.rings import findings
from padviz.scoring.rings.detected import Rings, rings_of
from padviz.scoring.scenes import Scenes, boxes
from tests.sweeps import REST

SIZE = np.array([480, 640])
BLIND = {
    "recall within 30 px": {"recall": lambda away, x: np.where(away < 30, 0.45, 0.8)},
    "recall falls gradually": {"recall": lambda away, x: np.clip(0.4 + away / 150, 0, 0.8)},
    "recall at the left": {"recall": lambda away, x: np.where(x < 30, 0.2, 0.8)},
    "loose boxes": {"jitter": lambda away: np.where(away < 30, 0.12, 0.03)},
    "false alarms": {"false": 0.8},
}
FAIR = {
    "good": {"recall": lambda away, x: 0.95 + 0 * x},
    "usual": {},
    "poor": {"recall": lambda away, x: 0.4 + 0 * x},
    "loose": {"jitter": lambda away: 0.1 + 0 * away},
    "few objects": {"images": 30},
}


def detector(
    seed: int, recall: Any = lambda away, x: 0.8 + 0 * x, jitter: Any = lambda away: 0.03 + 0 * away,
    false: float = 0.0, images: int = 150,
) -> Scenes:  # fmt: skip
    """Objects anywhere, found with a chance and boxes as loose as their distance from the border says.

    Of false alarms there are as many everywhere, and `false` more by object within 30 px of the border.
    """
    rng, n = np.random.default_rng(seed), images * 6
    centre, extent = rng.uniform(0, SIZE[::-1], (n, 2)), rng.uniform(24, 64, (n, 2))
    image = rng.integers(images, size=n)
    away = np.minimum(centre, SIZE[::-1] - centre).min(axis=1)
    hit = rng.random(n) < recall(away, centre[:, 0])
    moved = rng.normal(0, 1, (n, 4)) * jitter(away)[:, None] * extent.mean(axis=1)[:, None]
    near = np.column_stack([centre + moved[:, :2], np.maximum(extent + moved[:, 2:], 4)])[hit]
    alarms = rng.uniform(0, SIZE[::-1], (n, 2))
    rim = np.minimum(alarms, SIZE[::-1] - alarms).min(axis=1) < 30
    alarms = alarms[rng.random(n) < np.where(rim, 0.2 + false, 0.2)]
    wrong = np.column_stack([alarms, rng.uniform(24, 64, (len(alarms), 2))])
    found = np.concatenate([near, wrong])
    score = np.r_[rng.uniform(0.3, 1, hit.sum()), rng.uniform(0.3, 1, len(wrong))]
    there = boxes(image, np.zeros(n, int), np.column_stack([centre - extent / 2, extent]))
    of_image = np.r_[image[hit], rng.integers(images, size=len(wrong))]
    found[:, :2] -= found[:, 2:] / 2
    return Scenes(np.tile(SIZE, (images, 1)), ("c",), there, boxes(of_image, 0 * of_image, found, score))


def first_line(scored: Rings) -> str:
    return findings(replace(scored, doubts=()))[0]


@pytest.mark.parametrize("kind", BLIND)
def test_a_blind_border_is_found(kind: str) -> None:
    line = first_line(rings_of(detector(0, **BLIND[kind])))
    if kind in ("loose boxes", "false alarms"):
        assert line.startswith(("AP is lower near the border", "Recall and AP are lower")), line
    else:
        assert "lower near the border" in line or line.startswith("Recall near the left border"), line


@pytest.mark.parametrize("kind", FAIR)
def test_a_fair_detector_is_called_fair(kind: str) -> None:
    assert first_line(rings_of(detector(1, **FAIR[kind]))).startswith("Recall and AP do not differ measurably: ")


@REST
def test_fair_detectors_are_seldom_called_unfair() -> None:
    """Two figures are compared, and four sides: 5 % each, some together."""
    lines = [first_line(rings_of(detector(seed, images=60))) for seed in range(200)]
    assert sum(not line.startswith("Recall and AP do not differ") for line in lines) <= 24
