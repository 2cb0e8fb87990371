"""Detections matched with objects, and the share of any of them that is found, in every resample of the images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.intervals import FEW, Estimate, Measured, share
from padviz.scoring.matching import FREE, Matches, average_precision
from padviz.scoring.scenes import Flags, Floats, Ints, Scenes

NONE = -1  # no ring
FOUND = 0.5  # IoU from which an object counts as found


class Subset(NamedTuple):
    """The number of objects, and the share of them that is found."""

    objects: int
    recall: Estimate


def ratio(part: Floats, whole: NDArray[np.int64] | Floats) -> Floats:
    """Divide parts by wholes; NaN where there is none."""
    quotient: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return quotient


def images_for_interval(by_image: Ints | Floats) -> int:
    """Count the images that have objects; 0 where there are fewer than 20 of these, too few for an interval.

    >>> images_for_interval(np.array([0, 70, 2])), images_for_interval(np.array([10, 9]))
    (2, 0)
    """
    return int((by_image > 0).sum()) if by_image.sum() >= FEW else 0


@dataclass(frozen=True, eq=False)
class Scored:
    """Detections matched with the objects of scenes, the ring of each object and detection, and resamples."""

    scenes: Scenes
    thresholds: list[float]
    matches: Matches
    rings: Ints  # of the objects
    detection_rings: Ints
    weights: NDArray[np.uint8]

    @cached_property
    def real(self) -> Flags:
        """Objects that are not crowds."""
        return ~self.scenes.objects.crowd

    @cached_property
    def found(self) -> Flags:
        """Objects that are found."""
        found, by = np.zeros(len(self.scenes.objects), bool), self.matches.found[self.thresholds.index(FOUND)]
        found[by[by != FREE]] = True
        return found

    def share(self, of: Flags) -> Measured:
        """Measure the share of some objects that is found."""
        return share(self.by_image(self.found & of & self.real), self.by_image(of & self.real))

    def subset(self, of: Flags) -> Subset:
        return Subset(int((of & self.real).sum()), self.share(of).figure)

    def precision(self, ring: int, k: int) -> Floats:
        """Average the precision of a ring at threshold `k` over categories with objects there, (resamples,)."""
        scenes, order = self.scenes, self._by_score
        found, dets = self.matches.found[k][order], self.matches.detections[order]
        hit = (found != FREE) & ~scenes.objects.crowd[found] if len(scenes.objects) else found != FREE
        its_ring = np.where(hit, self.rings[found] if len(self.rings) else NONE, self.detection_rings[dets])
        there = (its_ring == ring) & (hit | (found == FREE))
        real = (self.rings == ring) & self.real
        sums, count = np.zeros(len(self.weights)), np.zeros(len(self.weights))
        for category in np.unique(scenes.objects.category[real]).tolist():
            total = self.weights @ self.by_image(real & (scenes.objects.category == category))
            begin, end = np.searchsorted(scenes.detections.category[dets], [category, category + 1])
            at = begin + np.flatnonzero(there[begin:end])
            values = average_precision(hit[at], scenes.detections.image[dets[at]], self.weights, total)
            sums += np.where(total > 0, values, 0)
            count += total > 0
        return ratio(sums, count)

    @cached_property
    def _by_score(self) -> Ints:
        """Order the detections that count by category and falling score."""
        detections, dets = self.scenes.detections, self.matches.detections
        return np.lexsort((-detections.score[dets], detections.category[dets]))

    def by_image(self, which: Flags) -> Floats:
        """Count objects by image."""
        return np.bincount(self.scenes.objects.image[which], minlength=len(self.scenes.sizes)).astype(float)
