"""One figure of each ring: a classifier's accuracy by where the object is, a segmenter's IoU by where the pixel is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.intervals import Estimate, Measured, apart, mirrored, resampled, share
from padviz.scoring.rings.ends import ends_of, joined, spans
from padviz.scoring.rings.parts import GRID, SIDES, Cells, Standout, cells_of, nearest_side, opposite, shares, standout
from padviz.scoring.scored import enough, ratio

NAMES = {"accuracy": "accuracy", "iou": "IoU"}
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
class Side:
    """How many objects or pixels of the outermost ring are nearest to a side, and their figure."""

    count: int
    figure: Estimate


@dataclass(frozen=True)
class Spots:
    """Objects or pixels by where in the image they are, and their figure; `aspect` as that of `Places`."""

    count: list[list[int]]
    figure: Cells
    aspect: float


@dataclass(frozen=True)
class Bands:
    """The rings of a classifier or a segmenter from the outermost inwards, and the outermost minus the innermost.

    `figure` says what is told: the "accuracy" over objects, or the "iou", mean over the classes of pixels. `of`,
    `sides`, `sides_apart` and `standout` are as those of `Rings`.
    """

    figure: Figure
    of: str
    images: int
    rings: tuple[Band, ...]
    apart: Estimate
    sides: dict[str, Side]
    sides_apart: dict[str, Estimate]
    standout: Standout | None
    places: Spots


class Labelled(NamedTuple):
    """A classifier's objects: the image of each, how far it is from each side (sides, objects), and which are right."""

    images: int
    image: NDArray[np.int64]
    margins: NDArray[Any]
    right: NDArray[np.bool_]


class Counts(NamedTuple):
    """Pixels (images, regions, classes) of label maps alike, of the true ones, and of those made."""

    alike: NDArray[Any]
    true: NDArray[Any]
    made: NDArray[Any]


class Masks(NamedTuple):
    """A segmenter's pixels by ring, by side of the outermost ring, and by cell of a grid, those of all images."""

    rings: Counts
    sides: Counts
    cells: Counts
    aspect: float


def labelled_bands(labelled: Labelled, rings: int, pixels: Sequence[float]) -> Bands:
    """Work out a classifier's accuracy in each ring."""
    ends, margins = ends_of(rings, pixels), labelled.margins
    width, height = size = margins[:2] + margins[2:]
    depth = margins.min(axis=0) / (1 if pixels else np.minimum(width, height) / 2)
    if not pixels:
        ends = joined(ends, depth)
    ring, side = np.searchsorted(ends, depth, side="right"), nearest_side(margins)

    def figure(of: NDArray[np.bool_]) -> tuple[int, Measured]:
        right, all_ = (np.bincount(labelled.image[at], minlength=labelled.images) for at in (of & labelled.right, of))
        return int(of.sum()), share(right, all_)

    found = [figure(ring == k) for k in range(len(ends) + 1)]
    cell = cells_of(margins[:2] / size)
    right, all_ = (np.bincount(cell[at], minlength=GRID**2) for at in (labelled.right, cell >= 0))
    places = Spots(all_.reshape(GRID, GRID).tolist(), shares(right, all_), float(width.mean() / height.mean()))
    bounds = spans(ends, not pixels)
    return _bands(
        "accuracy", labelled.images, bounds, found, lambda at: figure((ring == 0) & np.isin(side, at)), places
    )


def masked_bands(masks: Masks, rings: int, pixels: Sequence[float], seed: int) -> Bands:
    """Work out a segmenter's intersection over union in each ring, the mean over the classes that are there."""
    bounds, images = spans(ends_of(rings, pixels), not pixels), len(masks.rings.true)
    weights = resampled(images, seed).astype(float)

    def figure(counts: Counts, at: Sequence[int]) -> tuple[int, Measured]:
        some = [each[:, at].sum(axis=1) for each in counts]
        there = some[1].sum(axis=1)
        return int(there.sum()), mirrored(overlap(*(weights @ each for each in some)), enough(there), "share")

    found = [figure(masks.rings, [k]) for k in range(len(bounds))]
    there = masks.cells.true.sum(axis=-1)
    values = [None if np.isnan(each) else float(each) for each in overlap(*masks.cells)]
    cells = [values[k : k + GRID] for k in range(0, GRID**2, GRID)]
    places = Spots(there.reshape(GRID, GRID).tolist(), cells, masks.aspect)
    return _bands("iou", images, bounds, found, lambda at: figure(masks.sides, at), places)


def overlap(alike: NDArray[Any], true: NDArray[Any], made: NDArray[Any]) -> NDArray[Any]:
    """Divide intersection by union, (n, classes), and take the mean over the classes that are there.

    >>> overlap(np.array([[1.0, 0]]), np.array([[2.0, 0]]), np.array([[1.0, 0]]))
    array([0.5])
    """
    union = true + made - alike
    share = np.divide(alike, union, out=np.zeros(union.shape), where=union > 0)
    return ratio(share.sum(axis=1), (union > 0).sum(axis=1))


def _bands(
    figure: Figure, images: int, bounds: Sequence[tuple[float, float | None]], found: Sequence[tuple[int, Measured]],
    sides: Callable[[Sequence[int]], tuple[int, Measured]], places: Spots,
) -> Bands:  # fmt: skip
    rings = tuple(Band(*ends, count, each.figure) for ends, (count, each) in zip(bounds, found, strict=True))
    difference = apart(found[0][1], found[-1][1])
    by_side = {name: Side(count, each.figure) for k, name in enumerate(SIDES) for count, each in [sides([k])]}

    def of(at: Sequence[int]) -> Measured:
        return sides(at)[1]

    odd = standout(of, abs(difference.value or 0))
    unit = "share" if bounds[-1][1] else "px"
    return Bands(figure, unit, images, rings, difference, by_side, opposite(of), odd, places)
