"""One figure of each ring: a classifier's accuracy by where the object is, a segmenter's IoU by where the pixel is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.scoring.scored import Estimate, estimate, ratio, resamples

VOID = 255  # the label of pixels that count for nothing
Figure = Literal["accuracy", "iou"]


@dataclass(frozen=True)
class Band:
    """A ring: `first` to `last` from the nearest border, how many objects or pixels it has, and its figure."""

    first: float
    last: float | None
    count: int
    figure: Estimate


@dataclass(frozen=True)
class Bands:
    """The rings of a classifier or a segmenter from the outermost inwards, and the outermost minus the innermost.

    `figure` says what is told: the "accuracy" over objects, or the "iou", mean over the classes of pixels. `of` is as
    that of `Rings`.
    """

    figure: Figure
    of: str
    images: int
    rings: tuple[Band, ...]
    apart: Estimate


class Labelled(NamedTuple):
    """A classifier's objects: the image of each, its depth both ways (2, objects), and whether its label is right."""

    images: int
    image: NDArray[np.int64]
    depths: NDArray[Any]
    right: NDArray[np.bool_]


class Masks(NamedTuple):
    """A segmenter's pixels: (images, rings, classes) of label maps alike, of the true ones, and of those made."""

    alike: NDArray[np.int64]
    true: NDArray[np.int64]
    made: NDArray[np.int64]


def ends_of(rings: int, pixels: Sequence[float]) -> tuple[list[float], list[tuple[float, float | None]]]:
    """List the inner ends of rings, and the first and last of each.

    >>> ends_of(2, []), ends_of(0, [16])
    (([0.5], [(0.0, 0.5), (0.5, 1.0)]), ([16.0], [(0.0, 16.0), (16.0, None)]))
    """
    if rings < 1 and not pixels:
        raise OptionError(f"{rings} rings are none", option="rings", hint="use 4")
    if any(not 0 < a < b for a, b in pairwise([*pixels, np.inf])):
        raise OptionError("the ends of rings do not grow", option="px", hint="use 16,32,64")
    ends = [*map(float, pixels)] if pixels else [k / rings for k in range(1, rings)]
    return ends, [*zip([0.0, *ends], [*ends, None if pixels else 1.0], strict=True)]


def labelled_bands(labelled: Labelled, rings: int, pixels: Sequence[float], seed: int = 0) -> Bands:
    """Work out a classifier's accuracy in each ring."""
    ends, bounds = ends_of(rings, pixels)
    ring = np.searchsorted(ends, labelled.depths[1 if pixels else 0], side="right")
    there = [(ring == k, (ring == k) & labelled.right) for k in range(len(bounds))]
    of = np.array([[np.bincount(labelled.image[at], minlength=labelled.images) for at in pair] for pair in there])
    weights = resamples(labelled.images, seed).astype(float)
    values = [ratio(weights @ right, weights @ all_) for all_, right in of]
    return _bands("accuracy", labelled.images, bounds, of[:, 0].sum(axis=1), values)


def masked_bands(masks: Masks, rings: int, pixels: Sequence[float], seed: int = 0) -> Bands:
    """Work out a segmenter's intersection over union in each ring, the mean over the classes that are there."""
    _, bounds = ends_of(rings, pixels)
    weights, values = resamples(len(masks.true), seed).astype(float), []
    for k in range(len(bounds)):
        alike, true, made = (weights @ counts[:, k] for counts in masks)
        union = true + made - alike
        share = np.divide(alike, union, out=np.zeros_like(union), where=union > 0)
        values.append(ratio(share.sum(axis=1), (union > 0).sum(axis=1)))
    return _bands("iou", len(masks.true), bounds, masks.true.sum(axis=(0, 2)), values)


def _bands(
    figure: Figure, images: int, bounds: Sequence[tuple[float, float | None]], counts: NDArray[Any],
    values: Sequence[NDArray[Any]],
) -> Bands:  # fmt: skip
    rows = zip(bounds, counts.tolist(), values, strict=True)
    found = tuple(Band(*ends, count, estimate(each, 0)) for ends, count, each in rows)
    return Bands(figure, "share" if bounds[-1][1] else "px", images, found, estimate(values[0] - values[-1]))
