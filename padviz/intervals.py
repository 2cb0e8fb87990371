"""Figures with 95 % intervals over images: shares, means, figures of resampled images, and
differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 1.959964  # standard deviations of a normal distribution that hold 95 %
RESAMPLES = 300  # of the images
IMAGES = 10  # below, a 95 % interval would cover the truth in only 82 to 85 % of cases
# pseudo-exceptions, all in one image: a share near 0 or 1 hardly shows the correlation of objects
LONE = 0.25
SKEWED, WIDER = (
    1.2,
    0.5,
)  # corrections, from simulations: few images show less skewness than long tails have
# pictures that differ from the others: with fewer, an interval of a rare change holds in 57 to 89 %
CHANGED = 3
FEW = 20  # objects, below which a share or a precision has no interval
LEAST_AGREEMENT, MOST_ALIKE = 0.05, 0.9999  # of two halves of the images, and of two maps
Scale = Literal["share", "correlation"]


class Estimate(NamedTuple):
    """A figure and its 95 % interval; all None if nothing was counted, the ends None if too little
    was.
    """

    value: float | None
    low: float | None
    high: float | None


class Measured(NamedTuple):
    """A figure, and the effect of each image or resample on it, by which figures of the same images
    are correlated.
    """

    figure: Estimate
    moves: NDArray[np.float64]


NOTHING = Estimate(None, None, None)


def t_of(images: float) -> float:
    """Approximate Student's t for 95 % and a number of images, to three digits from 10 on (Cornish
    and Fisher).

    >>> round(t_of(10), 2), round(t_of(31), 2)
    (2.26, 2.04)
    """
    n = images - 1
    return Z + (Z**3 + Z) / (4 * n) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * n**2)


def share(hits: ArrayLike, counts: ArrayLike, least: int = FEW) -> Measured:
    """Return the share of hits, counted by image, with Wilson's interval.

    Objects of one image may be correlated: the share varies `effect` times as much as with
    independent ones, so they count as n / effect objects. If all are hits, or none, each image
    counts as one object.

    >>> share(np.full(20, 1), np.full(20, 1)).figure.low.__round__(3)
    0.839
    >>> half = share(np.tile([0, 1], 20), np.full(40, 1)).figure
    >>> round(half.low, 3), round(half.high, 3)
    (0.346, 0.654)
    """
    hits, counts = np.asarray(hits, np.float64), np.asarray(counts, np.float64)
    n, images = float(counts.sum()), int((counts > 0).sum())
    if not n:
        return Measured(NOTHING, np.zeros(len(counts)))
    p = float(hits.sum() / n)
    moves = (hits - p * counts) / n
    if images < IMAGES or n < least:
        return Measured(Estimate(p, None, None), moves)
    rare = min(p, 1 - p) * n
    between = images / (images - 1) * (moves**2).sum() * n**2 / max(p, 1 - p)
    effect = (between + LONE * n / images) / (rare + LONE)
    n, t = n / max(effect, 1), t_of(images) if effect > 1 else Z
    middle, half = p + t**2 / (2 * n), t * (p * (1 - p) / n + t**2 / (4 * n**2)) ** 0.5
    low, high = (float((middle + sign * half) / (1 + t**2 / n)) for sign in (-1, 1))
    return Measured(Estimate(p, min(max(low, 0.0), p), max(min(high, 1.0), p)), moves)


def mean(values: NDArray[np.float64], images: NDArray[np.int64]) -> Measured:
    """Return the mean of values of crops, with an interval over their images, if enough of these
    differ.

    A change that is rare is missed by most sets of images: if fewer than three differ from the
    others, there is none.

    Skewed values, such as divergences, correlate the mean with its standard error: t is corrected
    for that (Hall, 1992, "On the removal of skewness by transformation"). Few images show only part
    of the skewness, so t is also wider.

    >>> mean(np.tile([0.0, 1.0], 50), np.arange(100)).figure.low.__round__(2)
    0.4
    """
    _, at = np.unique(images, return_inverse=True)
    count, value = int(at.max()) + 1, float(values.mean())
    moves = np.bincount(at, values - value) / len(values)
    means = np.bincount(at, values) / np.bincount(at)
    changed = np.abs(means - np.median(means)) > 1e-12 * np.abs(means).max()
    if count < IMAGES or np.count_nonzero(changed) < CHANGED:
        return Measured(Estimate(value, None, None), moves)
    spread = float(np.sqrt((moves**2).mean()))
    error = spread * count / (count - 1) ** 0.5
    seen = float((moves**3).mean() / spread**3 / count**0.5)
    skew, t = SKEWED * seen, t_of(count) * (1 + WIDER * abs(seen))

    def corrected(t: float) -> float:
        return 3 / skew * (np.cbrt(1 + skew * (t - skew / 6)) - 1) if abs(skew) > 1e-6 else t

    return Measured(
        Estimate(value, float(value - corrected(t) * error), float(value - corrected(-t) * error)),
        moves,
    )


def half_samples(images: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return weights of 0 and 1, (1 + resamples, images): a first row with all images, then random
    halves of them.

    The figure of a half minus that of all images varies as much, and is as biased, as the figure
    from one set of images to another (delete-half jackknife: Shao and Wu, 1989). Unlike in a
    bootstrap, no image counts twice.

    >>> half_samples(9).sum(axis=1)[:3].tolist()
    [9, 4, 4]
    """
    random, drawn = np.random.default_rng(seed), np.zeros((1 + RESAMPLES, images), np.uint8)
    drawn[0] = 1
    for row in drawn[1:]:
        row[random.permutation(images)[: images // 2]] = 1
    return drawn


Transform = Callable[[NDArray[np.float64] | float], NDArray[np.float64]]
SCALES: dict[Scale, tuple[Transform, Transform]] = {  # to a scale of even variance, and back
    "share": (lambda x: -np.log(1.01 - x), lambda y: np.clip(1.01 - np.exp(-y), 0, 1)),
    "correlation": (lambda x: np.arctanh(np.clip(x, -1 + 1e-9, 1 - 1e-9)), np.tanh),
}


def interval_of_halves(values: NDArray[np.float64], images: int, scale: Scale) -> Measured:
    """Return the first of some figures with an interval computed from the others, those of halves
    of the images.

    Halves deviate from the figure as it does from that of many images, so the interval is mirrored
    about the figure. It always includes the figure.
    """
    value, others = float(values[0]), values[1:][~np.isnan(values[1:])]
    moves = np.where(np.isnan(values[1:]), 0, values[1:] - value)
    if np.isnan(value):
        return Measured(NOTHING, np.zeros(len(moves)))
    if images < IMAGES or not len(others):
        return Measured(Estimate(value, None, None), moves)
    there, back = SCALES[scale]
    middle, error = 2 * there(value) - there(others).mean(), t_of(images) * there(others).std()
    low, high = float(back(middle - error)), float(back(middle + error))
    return Measured(Estimate(value, min(low, value), max(high, value)), moves)


def interval_of_map(
    value: float,
    halves: NDArray[np.float64],
    images: int,
    agreement: float = 1,
    fisher: bool = False,
) -> Estimate:
    """Return a figure of a mean map with an interval, from the figures (2, resamples) of halves of
    the images.

    With few images, noise lowers correlations. The correlation of the maps of two halves, their
    `agreement`, tells by how much (Spearman, 1904): both ends of a correlation are corrected, and
    of other figures, as simulated, only the upper end. The interval always includes the figure.
    """
    if images < IMAGES:
        return Estimate(value, None, None)
    kept = max(agreement, LEAST_AGREEMENT) ** 0.5
    middle, error = (
        halves.mean() / kept,
        t_of(images) * (((halves[0] - halves[1]) / 2) ** 2).mean() ** 0.5 / kept,
    )
    if not np.isfinite(error):
        return Estimate(value, None, None)
    low, high = middle if fisher else value, middle
    if fisher:
        low, high = (np.clip(end, -MOST_ALIKE, MOST_ALIKE) for end in (low, high))
        # Near 1 Fisher's scale has no bound: there an end is at most two errors away.
        low = max(np.tanh(np.arctanh(low) - error / (1 - low**2)), low - 2 * error)
        high = min(np.tanh(np.arctanh(high) + error / (1 - high**2)), high + 2 * error)
    else:
        low, high = low - error, high + error
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def difference_of(one: Measured, other: Measured) -> Estimate:
    """Return the difference of two figures, with an interval computed from theirs (MOVER: Zou and
    Donner, 2008).
    """
    (a, low, high), (b, least, most) = one.figure, other.figure
    if a is None or b is None:
        return NOTHING
    if low is None or high is None or least is None or most is None:
        return Estimate(a - b, None, None)
    norm = float(np.sqrt((one.moves**2).sum() * (other.moves**2).sum()))
    r = 0.0
    if norm:
        r = float((one.moves * other.moves).sum()) / norm

    def reach(x: float, y: float) -> float:
        return float(np.sqrt(max(x * x + y * y - 2 * r * x * y, 0)))

    return Estimate(a - b, a - b - reach(a - low, most - b), a - b + reach(high - a, b - least))


def excludes_zero(figure: Estimate) -> bool:
    """Whether a figure has an interval that excludes 0.

    >>> [excludes_zero(Estimate(0.1, *ends)) for ends in ((0.02, 0.2), (-0.02, 0.2), (None, None))]
    [True, False, False]
    """
    return figure.low is not None and figure.high is not None and not figure.low <= 0 <= figure.high
