"""How well a detector does by the distance to the border: recall and average precision of each ring of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.scoring.matching import FREE, Matches, match
from padviz.scoring.precision import average_precision
from padviz.scoring.scenes import Boxes, Scenes

COCO = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())  # over which AP is the mean
FOUND = 0.5  # of the union, from which an object counts as found
RESAMPLES = 300  # of the images, of which intervals of 95 % are
NONE = -1  # no ring


class Estimate(NamedTuple):
    """A figure, and the interval of 95 % that resampled images give; None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Ring:
    """What lies `first` to `last` from the nearest border: a share of half the shorter side, or pixels.

    `recall` is the share of the objects that a detection overlaps by half, and `ap` the average precision at each
    threshold, .5 as "50", and over .5 to .95 as "mean".
    """

    first: float
    last: float | None
    objects: int
    recall: Estimate
    ap: dict[str, Estimate]


@dataclass(frozen=True)
class Rings:
    """The rings of a set of images from the outermost inwards, and how far the outermost is from the innermost.

    `of` says what a ring's ends are measured in: "share" of half the shorter side, or "px".
    """

    of: str
    images: int
    objects: int
    detections: int
    ious: tuple[float, ...]
    rings: tuple[Ring, ...]
    recall_apart: Estimate
    ap_apart: dict[str, Estimate]


def depths(boxes: Boxes, sizes: NDArray[Any], share: bool) -> NDArray[Any]:
    """Measure how far the centres of boxes are from the nearest border, as a share of half the shorter side, or in px.

    >>> from padviz.scoring.scenes import boxes
    >>> depths(boxes([0], [0], [[10, 20, 4, 4]]), np.array([[48, 100]]), share=True)
    array([0.5])
    """
    size, centre = sizes[boxes.image], boxes.box[:, :2] + boxes.box[:, 2:] / 2
    left, top = centre[:, 0], centre[:, 1]
    nearest = np.minimum.reduce([left, top, size[:, 1] - left, size[:, 0] - top])
    depth: NDArray[Any] = np.maximum(nearest, 0) / (size.min(axis=1) / 2 if share else 1)
    return depth


def rings_of(
    scenes: Scenes, rings: int = 4, pixels: Sequence[float] = (), ious: Sequence[float] = (0.5, 0.75), seed: int = 0
) -> Rings:
    """Score the detections of each ring by its own objects: what another ring has is ignored, neither found nor false.

    A detection is of the ring of the object that it finds, or else of the one that it lies in. Detections find objects
    once, in all rings together, so none takes an object for one of another ring.
    """
    _check(rings, pixels, ious)
    ends = [*map(float, pixels)] if pixels else [k / rings for k in range(1, rings)]
    thresholds = sorted({*ious, *COCO})
    share = not pixels
    scored = Scored(
        scenes,
        match(scenes.objects, scenes.detections, thresholds),
        np.searchsorted(ends, depths(scenes.objects, scenes.sizes, share), side="right"),
        np.searchsorted(ends, depths(scenes.detections, scenes.sizes, share), side="right"),
        resamples(len(scenes.sizes), seed),
    )
    recalls = [scored.recall(ring, thresholds.index(FOUND)) for ring in range(len(ends) + 1)]
    precisions = [_by_threshold(scored, ring, thresholds, ious) for ring in range(len(ends) + 1)]
    counts = np.bincount(scored.rings[~scenes.objects.crowd], minlength=len(ends) + 1)
    bounds = zip([0.0, *ends], [*ends, 1.0 if share else None], counts.tolist(), recalls, precisions, strict=True)
    found = tuple(
        Ring(first, last, count, estimate(recall), {name: estimate(values) for name, values in aps.items()})
        for first, last, count, recall, aps in bounds
    )
    apart = {name: estimate(precisions[0][name] - precisions[-1][name]) for name in precisions[0]}
    objects = int((~scenes.objects.crowd).sum())
    unit = "share" if share else "px"
    of_all = (len(scenes.sizes), objects, len(scenes.detections), tuple(ious))
    return Rings(unit, *of_all, found, estimate(recalls[0] - recalls[-1]), apart)


def _check(rings: int, pixels: Sequence[float], ious: Sequence[float]) -> None:
    """Refuse rings without width, and overlaps that no box has."""
    if rings < 1:
        raise OptionError(f"{rings} rings are none", option="rings", hint="use 4")
    if any(not 0 < a < b for a, b in pairwise([*pixels, np.inf])):
        raise OptionError("the ends of rings do not grow", option="px", hint="use 16,32,64")
    if wrong := [t for t in ious if not 0 < t <= 1]:
        raise OptionError(f"{wrong[0]:g} is no overlap", option="iou", hint="use .2,.5,.75")


def _by_threshold(
    scored: Scored, ring: int, thresholds: Sequence[float], ious: Sequence[float]
) -> dict[str, NDArray[Any]]:
    values = {t: scored.precision(ring, k) for k, t in enumerate(thresholds)}
    mean = np.mean([values[t] for t in COCO], axis=0)
    return {**{f"{100 * t:g}".replace(".", "_"): values[t] for t in ious}, "mean": mean}


def resamples(images: int, seed: int) -> NDArray[np.uint8]:
    """Count how often each image is drawn, (1 + resamples, images): once in the first, that of the figures themselves.

    >>> resamples(9, 0).sum(axis=1)[:3].tolist(), resamples(9, 0)[0].tolist()
    ([9, 9, 9], [1, 1, 1, 1, 1, 1, 1, 1, 1])
    """
    rng, drawn = np.random.default_rng(seed), np.ones((1 + RESAMPLES, images), np.uint8)
    for row in drawn[1:]:
        row[:] = np.minimum(np.bincount(rng.integers(images, size=images), minlength=images), 255)
    return drawn


def estimate(values: NDArray[Any]) -> Estimate:
    """Take the first figure, and mirror the others about it, since what is off in resamples is off in it likewise.

    >>> estimate(np.array([0.5, 0.5, 0.6, 0.8]))
    Estimate(value=0.5, low=0.21, high=0.495)
    """
    if np.isnan(values[0]):
        return Estimate(None, None, None)
    low, high = 2 * values[0] - np.nanquantile(values[1:], [0.975, 0.025])
    return Estimate(float(values[0]), round(float(low), 12), round(float(high), 12))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    ratio: NDArray[Any] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio


@dataclass(frozen=True, eq=False)
class Scored:
    """Detections matched with the objects of scenes, the ring of each object and each detection, and resamples."""

    scenes: Scenes
    matches: Matches
    rings: NDArray[Any]
    lies_in: NDArray[Any]
    weights: NDArray[np.uint8]

    def recall(self, ring: int, k: int) -> NDArray[Any]:
        """Count the objects of a ring that are found at threshold `k`, over all of them, (resamples,)."""
        found = np.zeros(len(self.scenes.objects), bool)
        found[self.matches.found[k][self.matches.found[k] != FREE]] = True
        return self.share(found, (self.rings == ring) & ~self.scenes.objects.crowd)

    def share(self, found: NDArray[np.bool_], of: NDArray[np.bool_]) -> NDArray[Any]:
        """Count those found among some objects, over all of them, (resamples,); NaN where there are none."""
        hits, all_ = (self.weights @ self._by_image(which) for which in (found & of, of))
        return _ratio(hits, all_)

    def precision(self, ring: int, k: int) -> NDArray[Any]:
        """Average the precision of a ring at threshold `k` over categories with objects there, (resamples,)."""
        scenes, order = self.scenes, self._surest
        found, dets = self.matches.found[k][order], self.matches.detections[order]
        hit = (found != FREE) & ~scenes.objects.crowd[found] if len(scenes.objects) else found != FREE
        its_ring = np.where(hit, self.rings[found] if len(self.rings) else NONE, self.lies_in[dets])
        there = (its_ring == ring) & (hit | (found == FREE))
        real = (self.rings == ring) & ~scenes.objects.crowd
        sums, count = np.zeros(len(self.weights)), np.zeros(len(self.weights))
        for category in np.unique(scenes.objects.category[real]).tolist():
            total = self.weights @ self._by_image(real & (scenes.objects.category == category))
            begin, end = np.searchsorted(scenes.detections.category[dets], [category, category + 1])
            at = begin + np.flatnonzero(there[begin:end])
            values = average_precision(hit[at], scenes.detections.image[dets[at]], self.weights, total)
            sums += np.where(total > 0, values, 0)
            count += total > 0
        return _ratio(sums, count)

    @cached_property
    def _surest(self) -> NDArray[np.int64]:
        """Order the detections that count by category, the surest first."""
        detections, dets = self.scenes.detections, self.matches.detections
        return np.lexsort((-detections.score[dets], detections.category[dets]))

    def _by_image(self, which: NDArray[np.bool_]) -> NDArray[Any]:
        return np.bincount(self.scenes.objects.image[which], minlength=len(self.scenes.sizes)).astype(float)
