"""Seams of a stitched output: lines where its error steps further than around them.

At some pixels, the error steps further than before and after. Evidence for a line is how many of its pixels do, against
how many do anywhere, in standard deviations (a deviance residual). That of lines at equal distances adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]  # (channels, height, width) or (channels, length)
AXES = {1: ("length",), 2: ("height", "width")}
Area = tuple[tuple[int, int], ...]  # of each axis
AROUND, FURTHER = 4, 4  # steps before and after that one is compared with, and how many times it exceeds their mean
SURE, KNOWN, ALONE = 6.25, 5.0, 18.0  # least evidence: at equal distances, at known ones, and for a single line
COUNTED, STRONGEST = 4.0, 64  # of it, what counts of a line, so that no one makes a period; lines that propose one
LEFT, REACH, MIDDLE = 0.04, 4, 48  # of squared error, if explained; px of a shift, and of a tile that is compared


class Seams(NamedTuple):
    """Lines between tiles, in front of rows or columns `at`: `period` px apart, or None.

    `ratio` is the error's mean step there, over that elsewhere; `step` is the largest.
    """

    axis: str
    period: int | None
    ratio: float
    step: float
    at: tuple[int, ...]


def find_seams(error: Values, whole: Values, axis: int, known: Any, least: float) -> list[Seams]:
    """Return seams along an axis; `known` is a period, a list of lines, or None. Steps of at most `least` are none."""
    found = list[tuple[int | None, NDArray[np.intp]]]()
    if error.shape[axis + 1] < 6 * AROUND:
        return []
    steps, evidence = _steps(error, axis), _evidence(error, whole, axis, least)
    mean = steps.mean(axis=1)
    while len(at := _strongest(evidence, known, SURE if found else ALONE)):
        period = int(at[1] - at[0]) if len(at) > 1 and not isinstance(known, list) else None
        first, last = at[0], at[-1]
        if not isinstance(known, list):  # that the error begins is as clear as that tiles meet, where it steps furthest
            half = period // 2 if period else AROUND
            moved = at + np.arange(-half, half + 1)[:, None]
            at = moved[np.log(mean.take(moved - 1, mode="clip") + 1e-300).sum(axis=1).argmax()]
            at = at[(at > 0) & (at < len(evidence))]
        evidence[max(min(first, at[0]) - 2 * AROUND, 0) : max(last, at[-1]) + 2 * AROUND + 1] = 0
        found.append((period, at))
    rest = float(np.delete(mean, [line - 1 for _, at in found for line in at]).mean()) or 1.0
    name = AXES[error.ndim - 1][axis]
    return [
        Seams(name, p, float(mean[at - 1].mean()) / rest, float(steps[at - 1].max()), (*at.tolist(),))
        for p, at in found
    ]


def _steps(values: Values, axis: int) -> Values:
    """Return how far each row is from the next, (rows - 1, pixels); that in front of row k is at k - 1."""
    return np.abs(np.diff(np.moveaxis(values, axis + 1, 0).reshape(values.shape[axis + 1], -1), axis=0))


def _further(values: Values, axis: int, least: float) -> NDArray[np.bool_]:
    """Return, (steps, pixels), which steps exceed those before and after them."""
    steps = _steps(values, axis)
    n, here = len(steps) - 2 * AROUND, steps[AROUND:-AROUND]
    before, after = (sum(steps[k : k + n] for k in range(first, first + AROUND)) for first in (0, AROUND + 1))
    further: NDArray[np.bool_] = (here > least) & ((AROUND * here) ** 2 > FURTHER**2 * before * after)
    return further


def _evidence(error: Values, whole: Values, axis: int, least: float) -> Values:
    """Return the evidence that a seam is in front of each row, 0 near the image's border."""
    further, own = (_further(each, axis, least) for each in (error, whole))
    further[1:] &= ~own[:-1]  # what steps in the image itself is no seam
    further[:-1] &= ~own[1:]
    hits = (further & ~own).mean(axis=1).clip(1e-12, 1 - 1e-12)
    usual = hits.mean().clip(1 / further.size, 1 - 1 / further.size)
    deviance = hits * np.log(hits / usual) + (1 - hits) * np.log((1 - hits) / (1 - usual))
    evidence = np.sign(hits - usual) * np.sqrt(2 * further.shape[1] * deviance.clip(0))
    # above 1, since neighbours are alike; 1 where most rows have no error at all
    scale = max(float(np.quantile(np.abs(evidence - np.median(evidence)), 0.8)), 1.0)
    return np.pad(evidence / scale, (AROUND + 1, AROUND))


def _strongest(evidence: Values, known: Any, alone: float) -> NDArray[np.intp]:
    """Return the lines with most evidence: at equal distances, at known ones, or one; or none."""
    n, best, found = len(evidence), 0.0, np.array([], np.intp)
    # a line that does not stand out is against the others
    counted = np.where(evidence > 2, evidence.clip(max=COUNTED), -COUNTED) + evidence / 100
    top = np.sort(np.argsort(-evidence, kind="stable")[:STRONGEST])
    tried: Any = (np.arange(i, n, j - i) for i, j in combinations(top[evidence[top] > 2], 2) if j - i >= AROUND)
    if known:
        starts = () if isinstance(known, list) else range(1, min(known, n - 1) + 1)
        tried = [np.array(known)] if isinstance(known, list) else (np.arange(i, n, known) for i in starts)
    for lines in tried:
        scores = counted[lines].cumsum() / np.sqrt(np.arange(len(lines)) + 1)
        if not known:  # at least three that cover half of the image
            scores[: max(2, n // (lines[1] - lines[0]) // 2 - 1)] = 0
        if scores.max() > best:
            best, found = float(scores.max()), lines[: int(scores.argmax()) + 1]
    if best < (KNOWN if known else SURE):
        found = np.array([evidence.argmax()]) if evidence.max() >= alone and not known else found[:0]
    return found


def explain(whole: Values, tiled: Values, area: Area) -> tuple[str, float, tuple[int, ...], float, float]:
    """Fit a tile as whole moved by a shift, times a gain, plus an offset.

    Return "shift" or "gain" if that explains its error, or "", the error's squares, and the three.
    """
    inner = np.array([(max(a, REACH), min(b, n - REACH)) for (a, b), n in zip(area, whole.shape[1:], strict=True)])
    still, middle = (0,) * len(area), inner + (np.diff(inner) - MIDDLE).clip(0) // 2 * (1, -1)

    def part(values: Values, at: NDArray[Any], shift: Sequence[int] = still) -> Values:
        ends = at - np.array(shift)[:, None]
        return values[(slice(None), *(slice(*each) for each in ends.clip(0)))].reshape(len(values), -1)

    def fit(shift: tuple[int, ...], at: NDArray[Any]) -> tuple[float, float, float]:
        there, here = part(whole, at, shift), part(tiled, at)
        a, b = (each - each.mean(axis=1, keepdims=True) for each in (there, here))
        gain = (a * b).sum(axis=1, keepdims=True) / np.maximum(np.square(a).sum(axis=1, keepdims=True), 1e-300)
        return float(np.square(b - gain * a).sum()), float(gain.mean()), float((here - gain * there).mean())

    squares, near = (float(np.square(part(tiled, at) - part(whole, at)).sum()) for at in (np.array(area), inner))
    if near > squares / 2 and np.diff(middle).min() >= 2 * REACH:
        moved = min(product(range(-REACH, REACH + 1), repeat=len(area)), key=lambda shift: fit(shift, middle)[0])
        (left, gain, offset), shift = min((fit(shift, inner), shift) for shift in (still, moved))
        if left <= LEFT * near:
            return "shift" if any(shift) else "gain", squares, shift, gain, offset
    return "", squares, still, 1.0, 0.0
