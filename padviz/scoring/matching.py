"""Objects and detections in images, matched by COCO's rules: average precision, and the share that
is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from padviz.intervals import FEW, Measured, share

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_SIDE = 1 << 24  # pixels of an image
MOST = 100  # detections of a category that count in an image, by falling score
ALMOST = 1 - 1e-10  # an IoU threshold of 1 allows for rounding
FREE = -1  # no object is found
NONE = -1  # no ring
FOUND = 0.5  # IoU from which an object counts as found
RECALLS = np.linspace(0, 1, 101)  # at which precision is averaged
MOST_CELLS = 1 << 22  # of detections times resamples, that are summed at once


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of objects or of detections, in the order of their file.

    `image` and `category` index those of the scenes; `box` is (n, 4): left, top, width and height
    in pixels. Objects have `crowd`, true where any number of detections may match, and `area`,
    which decides their size class; detections have a `score`.
    """

    image: Ints
    category: Ints
    box: Floats
    score: Floats
    crowd: Flags
    area: Floats

    def __len__(self) -> int:
        return len(self.image)

    @property
    def centre(self) -> Floats:
        return self.box[:, :2] + self.box[:, 2:] / 2


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images of `sizes` (n, 2), height and width in pixels, with `objects`, `detections`, and names
    of `categories`.

    `notes` count the boxes that were left out.
    """

    sizes: Ints
    categories: tuple[str, ...]
    objects: Boxes
    detections: Boxes
    notes: tuple[str, ...] = ()


def select(of: Boxes, which: Flags) -> Boxes:
    return Boxes(*(getattr(of, column.name)[which] for column in fields(of)))


def boxes(
    image: ArrayLike,
    category: ArrayLike,
    box: ArrayLike,
    score: ArrayLike = 0.0,
    crowd: ArrayLike = False,
    area: ArrayLike | None = None,
) -> Boxes:
    """Convert lists to boxes; a single score or flag holds for all."""
    corners = np.asarray(box, float).reshape(-1, 4)
    n = len(corners)
    scores, crowds = (
        np.broadcast_to(np.asarray(score, float), n),
        np.broadcast_to(np.asarray(crowd, bool), n),
    )
    if area is None:
        area = corners[:, 2] * corners[:, 3]
    areas = np.asarray(area, float)
    return Boxes(
        np.asarray(image, np.int64), np.asarray(category, np.int64), corners, scores, crowds, areas
    )


class Matches(NamedTuple):
    """The detections that count, by category, image and score, and the object that each finds.

    `found` is (thresholds, detections): the position of the object, or -1.
    """

    detections: Ints
    found: Ints


def match(objects: Boxes, detections: Boxes, thresholds: Sequence[float]) -> Matches:
    """Match detections with objects at each IoU threshold, by falling score: each finds the best
    free object.
    """
    least = np.minimum(np.asarray(thresholds, float), ALMOST)
    order = np.lexsort((-detections.score, detections.image, detections.category))
    there = np.lexsort((objects.crowd, objects.image, objects.category))  # crowds last
    images = 1 + max(
        (int(rows.image.max()) for rows in (detections, objects) if len(rows)), default=0
    )
    keys: Ints = (detections.category * images + detections.image)[order]
    object_keys: Ints = (objects.category * images + objects.image)[there]
    groups, starts = np.unique(keys, return_index=True)
    first, last = (np.searchsorted(object_keys, groups, side) for side in ("left", "right"))
    counted, matched = [np.empty(0, np.int64)], [np.empty((len(least), 0), np.int64)]
    # Without detections, `split` makes one empty group, and `groups` has none: hence not strict.
    for group, low, high in zip(np.split(order, starts[1:]), first, last, strict=False):
        dets, gts = group[:MOST], there[low:high]
        counted.append(dets)
        matched.append(_match_group(objects, gts, detections, dets, least))
    return Matches(np.concatenate(counted), np.concatenate(matched, axis=1))


def _match_group(objects: Boxes, gts: Ints, detections: Boxes, dets: Ints, least: Floats) -> Ints:
    """Match the detections of one category and image, by falling score, with its objects, crowds
    last.
    """
    ours, theirs = detections.box[dets][:, None], objects.box[gts][None]
    low = np.maximum(ours[..., :2], theirs[..., :2])
    high = np.minimum(ours[..., :2] + ours[..., 2:], theirs[..., :2] + theirs[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area, other = (np.prod(box[..., 2:], axis=-1) for box in (ours, theirs))
    # of a crowd, the detection alone
    union = np.where(objects.crowd[gts], area, area + other - shared)
    ious = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    object_of, taken = (
        np.full((len(least), len(dets)), FREE),
        np.zeros((len(least), len(gts)), bool),
    )
    real = int(len(gts) - objects.crowd[gts].sum())
    for k in np.flatnonzero((ious >= least.min()).any(axis=1)).tolist():
        near = np.flatnonzero(ious[k] >= least.min())
        for columns in (
            near[near < real],
            near[near >= real],
        ):  # crowds only where no object is free
            if not len(columns):
                continue
            iou = ious[k, columns]
            free = (iou >= least[:, None]) & ~taken[:, columns] & (object_of[:, k] == FREE)[:, None]
            best = np.argmax(np.where(free, iou, 0)[:, ::-1], axis=1)  # of equal ones, the last
            at = np.flatnonzero(free.any(axis=1))
            matched = columns[::-1][best[at]]
            object_of[at, k], taken[at, matched] = matched, True
        taken[:, real:] = False  # a crowd may be found any number of times
    if not len(gts):
        return object_of
    return np.where(object_of == FREE, FREE, gts[object_of])


def average_precision(
    hits: Flags, image: Ints, weights: NDArray[np.uint8] | Floats, objects: Floats
) -> Floats:
    """Average precision over 101 recalls, (resamples,); NaN where no objects count.

    Detections are by falling score, with `hits` of objects and the `image` of each. `weights`
    (resamples, images) are how often each image counts, and `objects` (resamples,) how many objects
    do.
    """
    at = np.flatnonzero(hits)  # between two of them recall stays, and precision falls
    last = int(at.max(initial=-1)) + 1  # nothing behind the last hit counts
    hits, image, chunk = hits[:last], image[:last], max(1, MOST_CELLS // max(last, 1))
    averages = []
    for k in range(0, len(weights), chunk):
        counted = weights[k : k + chunk, image].astype(np.float64)
        true, positive = np.cumsum(counted[:, at], axis=1), np.cumsum(counted, axis=1)[:, at]
        precision = np.divide(true, positive, out=np.zeros_like(true), where=positive > 0)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = objects[k : k + chunk]
        with np.errstate(invalid="ignore", divide="ignore"):
            # how many of the recalls
            reached = np.searchsorted(RECALLS, true / total[:, None], side="right")
        new = np.diff(reached, axis=1, prepend=0)
        averages.append(np.where(total > 0, (highest * new).sum(axis=1) / len(RECALLS), np.nan))
    return np.concatenate(averages)


def ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Floats:
    """Divide parts by wholes; NaN where there is none."""
    quotient: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return quotient


def images_for_interval(by_image: Ints | Floats) -> int:
    """Count the images that have objects; 0 where there are fewer than 20 of these, too few for an
    interval.

    >>> images_for_interval(np.array([0, 70, 2])), images_for_interval(np.array([10, 9]))
    (2, 0)
    """
    if by_image.sum() < FEW:
        return 0
    return int((by_image > 0).sum())


@dataclass(frozen=True, eq=False)
class Scored:
    """Detections matched with the objects of scenes, the ring of each object and detection, and
    resamples.
    """

    scenes: Scenes
    thresholds: list[float]
    matches: Matches
    rings: Ints  # of the objects
    detection_rings: Ints
    weights: NDArray[np.uint8]

    @cached_property
    def real(self) -> Flags:
        return ~self.scenes.objects.crowd

    @cached_property
    def found(self) -> Flags:
        hits, by = (
            np.zeros(len(self.scenes.objects), bool),
            self.matches.found[self.thresholds.index(FOUND)],
        )
        hits[by[by != FREE]] = True
        return hits

    def share(self, of: Flags) -> Measured:
        return share(self.by_image(self.found & of & self.real), self.by_image(of & self.real))

    def count(self, of: Flags) -> int:
        return int((of & self.real).sum())

    def precision(self, ring: int, k: int) -> Floats:
        """Average the precision of a ring at threshold `k` over categories with objects there,
        (resamples,).
        """
        scenes, order = self.scenes, self._by_score
        object_of, dets = self.matches.found[k][order], self.matches.detections[order]
        if len(scenes.objects):
            hit = (object_of != FREE) & ~scenes.objects.crowd[object_of]
        else:
            hit = object_of != FREE
        its_ring = np.where(
            hit, self.rings[object_of] if len(self.rings) else NONE, self.detection_rings[dets]
        )
        there = (its_ring == ring) & (hit | (object_of == FREE))
        real = (self.rings == ring) & self.real
        sums, count = np.zeros(len(self.weights)), np.zeros(len(self.weights))
        for category in np.unique(scenes.objects.category[real]).tolist():
            total = self.weights @ self.by_image(real & (scenes.objects.category == category))
            begin, end = np.searchsorted(scenes.detections.category[dets], [category, category + 1])
            at = begin + np.flatnonzero(there[begin:end])
            values = average_precision(
                hit[at], scenes.detections.image[dets[at]], self.weights, total
            )
            sums += np.where(total > 0, values, 0)
            count += total > 0
        return ratio(sums, count)

    @cached_property
    def _by_score(self) -> Ints:
        detections, dets = self.scenes.detections, self.matches.detections
        return np.lexsort((-detections.score[dets], detections.category[dets]))

    def by_image(self, which: Flags) -> Floats:
        return np.bincount(
            self.scenes.objects.image[which], minlength=len(self.scenes.sizes)
        ).astype(float)
