"""A classifier's accuracy by the ring of the object, and a segmenter's IoU by the ring of the
pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import check_integer
from padviz.intervals import Measured, half_samples, interval_of_halves, share
from padviz.scoring.matching import Flags, Floats, Ints, images_for_interval, ratio
from padviz.scoring.rings import (
    SIDES,
    RingPart,
    Rings,
    merge_small,
    nearest_side,
    ring_ends,
    scored_rings,
)

VOID = 255  # the label of pixels that count for nothing
Numbers = NDArray[np.integer] | Floats


class Labelled(NamedTuple):
    """A classifier's objects: the image of each, how far it is from each side (sides, objects), and
    which are right.
    """

    images: int
    image: Ints
    margins: Floats
    right: Flags


class Masks(NamedTuple):
    """A segmenter's pixels, (3, images, rings, sides, classes): those labelled right, then those of
    the truth and those predicted. The last side has pixels that are equally near two.
    """

    pixels: NDArray[np.integer]


def rings_of_labels(labelled: Labelled, rings: int, pixels: Sequence[float]) -> Rings:
    """Measure a classifier's accuracy in each ring; rings of few objects are merged, unless given
    in pixels.
    """
    ends, margins = ring_ends(rings, pixels), labelled.margins
    width, height = margins[:2] + margins[2:]
    depth = margins.min(axis=0)
    if not pixels:
        depth = depth / (np.minimum(width, height) / 2)
        ends = merge_small(ends, depth)
    ring = np.searchsorted(ends, depth, side="right")
    side = nearest_side(margins)

    def accuracy(which: Flags) -> tuple[int, Measured]:
        right = np.bincount(labelled.image[which & labelled.right], minlength=labelled.images)
        objects = np.bincount(labelled.image[which], minlength=labelled.images)
        return int(which.sum()), share(right, objects)

    def at_sides(k: int, sides: Sequence[int]) -> tuple[int, Measured]:
        return accuracy((ring == k) & np.isin(side, sides))

    parts = []
    for k in range(len(ends) + 1):
        count, measured = accuracy(ring == k)
        parts.append(RingPart(count, {"accuracy": measured}))
    return scored_rings("objects", labelled.images, ends, not pixels, parts, at_sides)


def rings_of_masks(masks: Masks, rings: int, pixels: Sequence[float], seed: int) -> Rings:
    """Measure a segmenter's intersection over union in each ring, the mean over the classes that
    are there.
    """
    check_integer(seed, 0, "seed")
    ends, images = ring_ends(rings, pixels), masks.pixels.shape[1]
    weights = half_samples(images, seed).astype(float)

    def iou(ring: int, sides: Sequence[int]) -> tuple[int, Measured]:
        alike, true, predicted = masks.pixels[:, :, ring, [*sides]].sum(axis=2)
        pixels = true.sum(axis=1)
        of_halves = mean_iou(weights @ alike, weights @ true, weights @ predicted)
        return int(pixels.sum()), interval_of_halves(
            of_halves, images_for_interval(pixels), "share"
        )

    parts = []
    for k in range(len(ends) + 1):
        count, measured = iou(k, range(len(SIDES) + 1))
        parts.append(RingPart(count, {"IoU": measured}))
    return scored_rings("pixels", images, ends, not pixels, parts, iou)


def mean_iou(alike: Numbers, true: Numbers, predicted: Numbers) -> Floats:
    """Divide intersection by union, (n, classes), and average over the classes that are there."""
    union = true + predicted - alike
    share: Floats = np.divide(alike, union, out=np.zeros(union.shape), where=union > 0)
    return ratio(share.sum(axis=1), (union > 0).sum(axis=1))
