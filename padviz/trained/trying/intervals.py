"""Means with their 95 % intervals over pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RESAMPLES, SEED = 2000, 0
MAPS = 400  # of whole maps, whose figures take longer
OUTSIDE = 0.025  # of the resampled means, on each side


class Estimate(NamedTuple):
    """A mean, and its 95 % interval; None for the ends where one picture tells of no others."""

    mean: float
    low: float | None
    high: float | None


def estimate(values: Array, pictures: NDArray[np.int64], share: bool = False) -> Estimate:
    """Average values over crops, with a bootstrap interval: pictures are drawn anew, each with all its crops.

    Crops of one picture are alike, so to draw crops would make the interval too small. Of a `share` that is 0 or 1 in
    all crops, the interval ends where so many pictures would all agree in 2.5 % of cases.

    >>> estimate(np.array([1.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 2]), share=True)
    Estimate(mean=0.75, low=0.0, high=1.0)
    >>> estimate(np.ones(40), np.arange(40), share=True).low.__round__(3)
    0.912
    """
    mean, count = float(values.mean()), len(np.unique(pictures))
    if share and mean in (0, 1) and count > 1:
        end = OUTSIDE ** (1 / count)
        return Estimate(mean, end if mean else 0.0, 1.0 if mean else 1 - end)
    return within(mean, resampled_pictures(values[:, None], pictures, RESAMPLES)[:, 0])


def resampled_pictures(values: Array, pictures: NDArray[np.int64], resamples: int = MAPS) -> Array:
    """Average over crops, (crops, figures) -> (resamples, figures), of pictures drawn anew; none of a single picture.

    >>> resampled_pictures(np.ones((3, 2)), np.array([0, 1, 1]), 5).shape
    (5, 2)
    """
    _, at = np.unique(pictures, return_inverse=True)
    count = int(at.max()) + 1
    if count == 1:
        return np.empty((0, values.shape[1]))
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, at, values)
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), resamples)
    means: Array = drawn @ sums / (drawn @ np.bincount(at))[:, None]
    return means


def one_picture(pictures: NDArray[np.int64]) -> tuple[str, ...]:
    """Note that crops are all of one picture.

    >>> one_picture(np.array([0, 0]))[0][:40], one_picture(np.array([0, 1]))
    ('one picture tells nothing about others, ', ())
    """
    one = len(np.unique(pictures)) == 1
    return ("one picture tells nothing about others, so there are no intervals; use more",) if one else ()


def within(mean: float, drawn: Array) -> Estimate:
    """Give a figure the interval of those that were drawn; none, where none were.

    >>> found = within(0.5, np.linspace(0, 1, 41))
    >>> round(found.low, 3), round(found.high, 3), within(0.5, np.empty(0)).low
    (0.025, 0.975, None)
    """
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(mean, None, None)
    low, high = np.quantile(drawn, (OUTSIDE, 1 - OUTSIDE))
    return Estimate(mean, float(low), float(high))
