"""Average precision, by COCO's rules, of every resample of the images at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RECALLS = np.linspace(0, 1, 101)  # at which precision is read
MOST_CELLS = 1 << 22  # of detections times resamples, that are summed at once


def average_precision(
    hits: NDArray[np.bool_], image: NDArray[np.int64], weights: NDArray[Any], objects: NDArray[Any]
) -> NDArray[Any]:
    """Read precision at 101 recalls and take the mean, for each resample of the images.

    Parameters
    ----------
    hits : (detections,)
        Whether each finds an object, the surest first.
    image : (detections,)
        The image of each.
    weights : (resamples, images)
        How often each image counts.
    objects : (resamples,)
        How many objects count; where there are none, the precision is NaN.

    Examples
    --------
    >>> average_precision(np.array([True, False, True]), np.array([0, 0, 0]), np.ones((1, 1)), np.array([2])).round(4)
    array([0.835])
    """
    last = int(np.flatnonzero(hits)[-1]) + 1 if hits.any() else 0  # nothing behind the last one found counts
    chunk = max(1, MOST_CELLS // max(last, 1))
    some = [slice(k, k + chunk) for k in range(0, len(weights), chunk)]
    return np.concatenate([_of_some(hits[:last], image[:last], weights[part], objects[part]) for part in some])


def _of_some(
    hits: NDArray[np.bool_], image: NDArray[np.int64], weights: NDArray[Any], objects: NDArray[Any]
) -> NDArray[Any]:
    counted = weights[:, image].astype(np.float64)
    at = np.flatnonzero(hits)  # between two of them recall stays, and precision falls
    true, all_ = np.cumsum(counted[:, at], axis=1), np.cumsum(counted, axis=1)[:, at]
    precision = np.divide(true, all_, out=np.zeros_like(true), where=all_ > 0)
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = true / objects[:, None]
    reached = np.searchsorted(RECALLS, recall, side="right")  # how many of the recalls
    new = np.diff(reached, axis=1, prepend=0)
    return np.where(objects > 0, (highest * new).sum(axis=1) / len(RECALLS), np.nan)
