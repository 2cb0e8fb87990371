"""Intervals of 95 % hold the truth that data was made with: in 93 to 97 % of cases, as far as runs can show."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from padviz.intervals import Estimate, mean, share
from padviz.scoring.rings import rings_of
from padviz.trained.trying.seen import edge_of, estimates, unit_ranks
from tests.scoring.made import scenes
from tests.sweeps import MANY, REST

Held = Iterator[tuple[str, Estimate, float]]


def trial(seed: int) -> Held:
    """64 crops of 10, 13, 32 or 64 pictures: answers kept, and divergences, of crops that are alike in a picture."""
    rng = np.random.default_rng(seed)
    count = (10, 13, 32, 64)[seed % 4]
    at = np.arange(64) * count // 64
    for name, p in (("few kept", 0.6), ("most kept", 0.86)):
        likely = rng.beta(4 * p, 4 * (1 - p), count)
        draw = rng.random(64)
        shift = (draw < likely[at]).astype(float)
        change = (np.where(rng.random(64) < 0.5, draw, rng.random(64)) < 0.8 * likely[at]).astype(float)
        yield f"trial: {name}", share(np.bincount(at, shift), np.bincount(at), 0).figure, p
        yield f"trial: {name}, minus the shift's", mean(change - shift, at).figure, -0.2 * p
    for name, spread in (("KL", 0.5), ("KL, uneven", 1.0)):
        shared = rng.normal(0, 0.8 * spread, count)[at]
        shift, change = (np.exp(shared + rng.normal(0, 0.6 * spread, 64)) for _ in range(2))
        expected = float(np.exp(spread**2 / 2))
        yield f"trial: {name}", mean(shift, at).figure, expected
        yield f"trial: {name}, minus the shift's", mean(3 * change - shift, at).figure, 2 * expected
        yield f"trial: {name}, minus one that is alike", mean(change - shift, at).figure, 0.0


GRID = 11
DEEP = np.minimum(np.arange(GRID), GRID - 1 - np.arange(GRID))
DISTANCE = np.minimum(DEEP[:, None], DEEP[None]).astype(float)
USAGE = np.minimum(DEEP[:, None] + 0.5, 3) * np.minimum(DEEP[None] + 0.5, 3) / 9


def seen(seed: int) -> Held:
    """Maps of 10, 16 or 30 pictures: usage, changed at random once for all, and by noise in each picture."""
    rng = np.random.default_rng(seed)
    count, noise = (10, 16, 30)[seed % 3], (0.6, 1.0)[seed % 2]
    true = USAGE**0.5 * np.exp(np.random.default_rng(seed % 20).normal(0, 0.25, USAGE.shape))
    each = np.exp(rng.normal(0, 0.5, (count, 1)) + rng.normal(0, noise, (count, GRID**2)))
    _, *found = estimates((true**2).ravel() * each, np.arange(count), USAGE, DISTANCE)
    usage, distance = (float(unit_ranks(true) @ unit_ranks(by)) for by in (USAGE, DISTANCE))
    names = ("by usage", "by distance", "usage minus distance", "edge over inside")
    for name, figure, value in zip(names, found, (usage, distance, usage - distance, edge_of(true)), strict=True):
        yield f"seen: {name}", figure, value


def made(seed: int, images: int) -> Any:
    return rings_of(scenes(seed, images=images, false=0.3, seen=lambda depth: np.where(depth < 0.25, 0.6, 0.95)), 3)


def rings_figures(scored: Any) -> dict[str, Estimate]:
    ends = {"outermost": scored.rings[0], "innermost": scored.rings[-1]}
    found = {"recall, apart": scored.recall_apart}
    found |= {f"recall, {name}": ring.recall for name, ring in ends.items()}
    for name, ap in {"apart": scored.ap_apart, **{name: ring.ap for name, ring in ends.items()}}.items():
        found |= {f"AP .5, {name}": ap["50"], f"AP, {name}": ap["mean"]}
    return found


@cache
def truth() -> dict[str, float]:
    return {name: figure.value for name, figure in rings_figures(made(99_999, 4000 if MANY else 1500)).items()}


def rings(seed: int) -> Held:
    """20, 30 or 60 images, against far more; rings of .25, .5 and all of half the shorter side."""
    scored = made(seed, (20, 30, 60)[seed % 3])
    if len(scored.rings) == 3:
        yield from ((f"rings: {name}", figure, truth()[name]) for name, figure in rings_figures(scored).items())


@pytest.mark.parametrize("room", [trial, seen, rings])
@pytest.mark.parametrize("runs", [60, pytest.param(2000, marks=REST)])
def test_intervals_hold_the_truth(room: Callable[[int], Held], runs: int) -> None:
    found: dict[str, list[bool]] = defaultdict(list)
    for seed in range(runs):
        for name, figure, value in room(seed):
            if figure.low is not None and figure.high is not None:
                found[name].append(figure.low - 1e-9 <= value <= figure.high + 1e-9)
    chance = 3 * (0.05 * 0.95 / runs) ** 0.5
    shares = {name: float(np.mean(each)) for name, each in found.items()}
    assert shares
    assert {name: held for name, held in shares.items() if not 0.93 - chance <= held <= min(0.97 + chance, 1)} == {}
