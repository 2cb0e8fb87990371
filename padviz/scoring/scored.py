"""Detections matched with objects, and the share of any of them that is found, in every resample of the images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.scoring.matching import FREE, Matches
from padviz.scoring.precision import average_precision
from padviz.scoring.scenes import Scenes

RESAMPLES = 300  # of the images, of which intervals of 95 % are
FEW = 20  # objects, below which resampled images tell too little
NONE = -1  # no ring


class Estimate(NamedTuple):
    """A figure, and the interval of 95 % that resampled images give.

    All are None where nothing was counted, and the interval where few objects were, or all in one image.
    """

    value: float | None
    low: float | None
    high: float | None


class Part(NamedTuple):
    """So many objects, and the share of them that is found."""

    objects: int
    recall: Estimate


def resamples(images: int, seed: int) -> NDArray[np.uint8]:
    """Count how often each image is drawn, (1 + resamples, images): once in the first, that of the figures themselves.

    >>> resamples(9, 0).sum(axis=1)[:3].tolist(), resamples(9, 0)[0].tolist()
    ([9, 9, 9], [1, 1, 1, 1, 1, 1, 1, 1, 1])
    """
    rng, drawn = np.random.default_rng(seed), np.ones((1 + RESAMPLES, images), np.uint8)
    for row in drawn[1:]:
        row[:] = np.minimum(np.bincount(rng.integers(images, size=images), minlength=images), 255)
    return drawn


def estimate(values: NDArray[Any], least: float = -1) -> Estimate:
    """Take the first figure, and mirror the others about it, since what is off in resamples is off in it likewise.

    Figures lie between `least` and 1, and the first one is never outside of the interval.

    >>> estimate(np.array([0.5, 0.5, 0.6, 0.8])), estimate(np.array([0.5, np.nan]))
    (Estimate(value=0.5, low=0.21, high=0.5), Estimate(value=0.5, low=None, high=None))
    """
    value = float(values[0])
    if np.isnan(value):
        return Estimate(None, None, None)
    if np.isnan(values[1:]).all():
        return Estimate(value, None, None)
    low, high = np.clip(2 * value - np.nanquantile(values[1:], [0.975, 0.025]), least, 1).round(12).tolist()
    return Estimate(value, min(low, value), max(high, value))


def measurable(figure: Estimate) -> bool:
    """Tell whether a difference has an interval, without 0.

    >>> measurable(Estimate(0.1, 0.02, 0.2)), measurable(Estimate(0.1, -0.02, 0.2)), measurable(Estimate(1, None, None))
    (True, False, False)
    """
    return figure.low is not None and figure.high is not None and not figure.low <= 0 <= figure.high


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    """Divide parts by wholes; NaN where there is none."""
    quotient: NDArray[Any] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return quotient


def unsure(values: NDArray[Any], by_image: NDArray[Any]) -> NDArray[Any]:
    """Leave the figure alone, and none of its resamples, where few objects are counted, or all in one image.

    >>> [unsure(np.ones(2), np.array(of)).tolist() for of in ((0, 70), (10, 9), (10, 10))]
    [[1.0, nan], [1.0, nan], [1.0, 1.0]]
    """
    sure = (by_image > 0).sum() > 1 and by_image.sum() >= FEW
    return values if sure else np.where(np.arange(len(values)) > 0, np.nan, values)


@dataclass(frozen=True, eq=False)
class Scored:
    """Detections matched with the objects of scenes, the ring of each object and each detection, and resamples."""

    scenes: Scenes
    matches: Matches
    rings: NDArray[Any]
    lies_in: NDArray[Any]
    weights: NDArray[np.uint8]

    k: int  # the threshold from which an object counts as found

    @cached_property
    def real(self) -> NDArray[np.bool_]:
        """Mark the objects that are no crowd."""
        return np.array(~self.scenes.objects.crowd)

    @cached_property
    def found(self) -> NDArray[np.bool_]:
        """Mark the objects that are found."""
        found = np.zeros(len(self.scenes.objects), bool)
        found[self.matches.found[self.k][self.matches.found[self.k] != FREE]] = True
        return found

    def share(self, of: NDArray[np.bool_]) -> NDArray[Any]:
        """Count those found among some objects, over all of them, (resamples,); NaN where there are none."""
        hits, all_ = (self._by_image(which & self.real) for which in (self.found & of, of))
        return unsure(ratio(self.weights @ hits, self.weights @ all_), all_)

    def part(self, of: NDArray[np.bool_]) -> Part:
        """Count some objects, and the share of them that is found."""
        return Part(int((of & self.real).sum()), estimate(self.share(of), 0))

    def precision(self, ring: int, k: int) -> NDArray[Any]:
        """Average the precision of a ring at threshold `k` over categories with objects there, (resamples,)."""
        scenes, order = self.scenes, self._surest
        found, dets = self.matches.found[k][order], self.matches.detections[order]
        hit = (found != FREE) & ~scenes.objects.crowd[found] if len(scenes.objects) else found != FREE
        its_ring = np.where(hit, self.rings[found] if len(self.rings) else NONE, self.lies_in[dets])
        there = (its_ring == ring) & (hit | (found == FREE))
        real = (self.rings == ring) & self.real
        sums, count = np.zeros(len(self.weights)), np.zeros(len(self.weights))
        for category in np.unique(scenes.objects.category[real]).tolist():
            total = self.weights @ self._by_image(real & (scenes.objects.category == category))
            begin, end = np.searchsorted(scenes.detections.category[dets], [category, category + 1])
            at = begin + np.flatnonzero(there[begin:end])
            values = average_precision(hit[at], scenes.detections.image[dets[at]], self.weights, total)
            sums += np.where(total > 0, values, 0)
            count += total > 0
        return unsure(ratio(sums, count), self._by_image(real))

    @cached_property
    def _surest(self) -> NDArray[np.int64]:
        """Order the detections that count by category, the surest first."""
        detections, dets = self.scenes.detections, self.matches.detections
        return np.lexsort((-detections.score[dets], detections.category[dets]))

    def _by_image(self, which: NDArray[np.bool_]) -> NDArray[Any]:
        return np.bincount(self.scenes.objects.image[which], minlength=len(self.scenes.sizes)).astype(float)
