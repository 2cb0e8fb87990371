"""A classifier's accuracy by the ring of the object, and a segmenter's IoU by the ring of the pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import check_integer
from padviz.intervals import Estimate, Measured, difference_of, half_samples, interval_of_halves, share
from padviz.scoring import rings as detected
from padviz.scoring.matching import Flags, Floats, Ints, images_for_interval, ratio
from padviz.scoring.rings import GRID, SIDES, Cells, Standout, cells_of, grid_of, nearest_side

NAMES = {"accuracy": "accuracy", "iou": "IoU"}
VOID = 255  # the label of pixels that count for nothing
Figure = Literal["accuracy", "iou"]
Numbers = NDArray[np.integer] | Floats


@dataclass(frozen=True)
class Band:
    """A ring: `first` to `last` from the nearest border, how many objects or pixels it has, and its figure."""

    first: float
    last: float | None
    count: int
    figure: Estimate


@dataclass(frozen=True)
class SideFigure:
    """The number of objects or pixels of the outermost ring that are nearest to a side, and their figure."""

    count: int
    figure: Estimate


@dataclass(frozen=True)
class FigureGrid:
    """Objects or pixels by where in the image they are, and their figure; `aspect` as that of `RecallGrid`."""

    count: list[list[int]]
    figure: Cells
    aspect: float


@dataclass(frozen=True)
class Bands:
    """The rings of a classifier or a segmenter from the outermost inwards, and the outermost minus the innermost.

    `figure` is "accuracy" over objects, or "iou", the mean over the classes of pixels. `of`, `sides`, `sides_apart`
    and `standout` are as those of `Rings`.
    """

    figure: Figure
    of: str
    images: int
    rings: tuple[Band, ...]
    apart: Estimate
    sides: dict[str, SideFigure]
    sides_apart: dict[str, Estimate]
    standout: Standout | None
    places: FigureGrid


class Labelled(NamedTuple):
    """A classifier's objects: the image of each, how far it is from each side (sides, objects), and which are right."""

    images: int
    image: Ints
    margins: Floats
    right: Flags


class Masks(NamedTuple):
    """A segmenter's pixels by ring, and by side of the outermost ring, (3, images, regions, classes), and by cell.

    The first are those labelled right, then those of the truth and those predicted; `cells` are of all images together.
    """

    rings: NDArray[np.integer]
    sides: NDArray[np.integer]
    cells: NDArray[np.integer]
    aspect: float


def labelled_bands(labelled: Labelled, rings: int, pixels: Sequence[float]) -> Bands:
    ends, margins = detected.ring_ends(rings, pixels), labelled.margins
    width, height = size = margins[:2] + margins[2:]
    depth = margins.min(axis=0) / (1 if pixels else np.minimum(width, height) / 2)
    if not pixels:
        ends = detected.merge_small(ends, depth)
    ring, side, cell = np.searchsorted(ends, depth, side="right"), nearest_side(margins), cells_of(margins[:2] / size)

    def figure(of: Flags) -> tuple[int, Measured]:
        right, all_ = (np.bincount(labelled.image[at], minlength=labelled.images) for at in (of & labelled.right, of))
        return int(of.sum()), share(right, all_)

    right, all_ = np.bincount(cell[labelled.right], minlength=GRID**2), np.bincount(cell, minlength=GRID**2)
    counts, aspect = all_.reshape(GRID, GRID).tolist(), float(width.mean() / height.mean())
    grid = FigureGrid(counts, grid_of(ratio(right, all_)), aspect)
    found = [figure(ring == k) for k in range(len(ends) + 1)]

    def of_sides(sides: Sequence[int]) -> tuple[int, Measured]:
        return figure((ring == 0) & np.isin(side, sides))

    return _bands("accuracy", labelled.images, detected.spans(ends, not pixels), found, of_sides, grid)


def masked_bands(masks: Masks, rings: int, pixels: Sequence[float], seed: int) -> Bands:
    """Measure a segmenter's intersection over union in each ring, the mean over the classes that are there."""
    check_integer(seed, 0, "seed")
    bounds, images = detected.spans(detected.ring_ends(rings, pixels), not pixels), masks.rings.shape[1]
    weights = half_samples(images, seed).astype(float)

    def figure(counts: NDArray[np.integer], at: Sequence[int]) -> tuple[int, Measured]:
        alike, true, made = counts[:, :, at].sum(axis=2)
        there = true.sum(axis=1)
        ious = mean_iou(weights @ alike, weights @ true, weights @ made)
        return int(there.sum()), interval_of_halves(ious, images_for_interval(there), "share")

    counts = masks.cells[1].sum(axis=-1).reshape(GRID, GRID).tolist()
    grid = FigureGrid(counts, grid_of(mean_iou(*masks.cells)), masks.aspect)
    found = [figure(masks.rings, [k]) for k in range(len(bounds))]
    return _bands("iou", images, bounds, found, lambda sides: figure(masks.sides, sides), grid)


def mean_iou(alike: Numbers, true: Numbers, made: Numbers) -> Floats:
    """Divide intersection by union, (n, classes), and average over the classes that are there."""
    union = true + made - alike
    share: Floats = np.divide(alike, union, out=np.zeros(union.shape), where=union > 0)
    return ratio(share.sum(axis=1), (union > 0).sum(axis=1))


def _bands(
    figure: Figure, images: int, bounds: Sequence[tuple[float, float | None]], found: Sequence[tuple[int, Measured]],
    of_sides: Callable[[Sequence[int]], tuple[int, Measured]], grid: FigureGrid,
) -> Bands:  # fmt: skip
    """Combine the figures of rings, `found`, and those of sides, which `of_sides` measures by their numbers."""
    rings = tuple(Band(*ends, count, each.figure) for ends, (count, each) in zip(bounds, found, strict=True))
    difference = difference_of(found[0][1], found[-1][1])
    by_side = {name: SideFigure(count, each.figure) for k, name in enumerate(SIDES) for count, each in [of_sides([k])]}
    unit = "share" if bounds[-1][1] else "px"
    sides = detected.compare_sides(lambda sides: of_sides(sides)[1], abs(difference.value or 0))
    return Bands(figure, unit, images, rings, difference, by_side, *sides, grid)
