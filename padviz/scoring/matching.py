"""Which detection finds which object, by COCO's rules: the surest first, each the free object that it overlaps most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.scoring.scenes import Boxes

MOST = 100  # detections of a category that count in an image, the surest
ALMOST = 1 - 1e-10  # what overlaps by 1 need not do so to the last bit
FREE = -1  # no object is found


class Matches(NamedTuple):
    """The detections that count, by category, image and score: their positions, and the object that each finds.

    `found` is (thresholds, detections): the position of the object, or -1.
    """

    detections: NDArray[np.int64]
    found: NDArray[np.int64]


def match(objects: Boxes, detections: Boxes, thresholds: Sequence[float]) -> Matches:
    """Match detections with objects at each threshold of the intersection over union.

    >>> from padviz.scoring.scenes import boxes
    >>> seen = boxes([0, 0], [0, 0], [[0, 0, 10, 10], [1, 0, 10, 10]], [0.8, 0.9])
    >>> match(boxes([0], [0], [[0, 0, 10, 10]]), seen, [0.5, 0.95]).found.tolist()
    [[0, -1], [-1, 0]]
    """
    least = np.minimum(np.asarray(thresholds, float), ALMOST)
    order = np.lexsort((-detections.score, detections.image, detections.category))
    there = np.lexsort((objects.crowd, objects.image, objects.category))
    kept, found = [], []
    for dets, gts in _groups(detections, order, objects, there):
        kept.append(dets[:MOST])
        found.append(_matched(overlaps(detections, kept[-1], objects, gts), least, objects.crowd[gts], gts))
    if not kept:
        return Matches(np.empty(0, np.int64), np.empty((len(least), 0), np.int64))
    return Matches(np.concatenate(kept), np.concatenate(found, axis=1))


def _groups(
    detections: Boxes, order: NDArray[np.int64], objects: Boxes, there: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """List the detections of each category in each image, with the objects there, both in order."""
    images = 1 + max((int(each.image.max()) for each in (detections, objects) if len(each)), default=0)
    keys, at = (each.category * images + each.image for each in (detections, objects))
    groups, starts = np.unique(keys[order], return_index=True)
    first, last = (np.searchsorted(at[there], groups, side) for side in ("left", "right"))
    for dets, low, high in zip(np.split(order, starts[1:]), first, last, strict=False):  # one, of nothing, without any
        yield dets, there[low:high]


def overlaps(detections: Boxes, dets: NDArray[np.int64], objects: Boxes, gts: NDArray[np.int64]) -> NDArray[Any]:
    """Work out intersection over union, (detections, objects); of a crowd, over the detection alone."""
    ours, theirs = detections.box[dets][:, None], objects.box[gts][None]
    low = np.maximum(ours[..., :2], theirs[..., :2])
    high = np.minimum(ours[..., :2] + ours[..., 2:], theirs[..., :2] + theirs[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area, other = (np.prod(each[..., 2:], axis=-1) for each in (ours, theirs))
    union = np.where(objects.crowd[gts], area, area + other - shared)
    part: NDArray[Any] = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return part


def _matched(ious: NDArray[Any], least: NDArray[Any], crowd: NDArray[Any], gts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Match the detections of a group, surest first, with its objects, of which crowds come last."""
    found = np.full((len(least), len(ious)), FREE)
    taken = np.zeros((len(least), len(gts)), bool)
    real = int(len(gts) - crowd.sum())
    for k in np.flatnonzero((ious >= least.min()).any(axis=1)).tolist():
        near = np.flatnonzero(ious[k] >= least.min())
        for columns in (near[near < real], near[near >= real]):
            if len(columns):
                _find(ious[k, columns], columns, k, least, found, taken)
        taken[:, real:] = False  # a crowd is found any number of times
    return found if not len(gts) else np.array(np.where(found == FREE, FREE, gts[found]))


def _find(
    ious: NDArray[Any], columns: NDArray[Any], k: int, least: NDArray[Any], found: NDArray[Any], taken: NDArray[Any]
) -> None:
    """Let detection `k` find the free object that it overlaps most, at thresholds where it has found none."""
    free = (ious >= least[:, None]) & ~taken[:, columns] & (found[:, k] == FREE)[:, None]
    overlap = np.where(free, ious, 0)[:, ::-1]  # of equal ones, the last
    best = np.argmax(overlap, axis=1)
    at = np.flatnonzero(free.any(axis=1))
    objects = columns[::-1][best[at]]
    found[at, k], taken[at, objects] = objects, True
