"""One figure of each ring: a classifier's accuracy by where the object is, a segmenter's IoU by where the pixel is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.scoring.rings.ends import ends_of
from padviz.scoring.rings.parts import GRID, OPPOSITE, SIDES, Cells, Standout, cells_of, nearest_side, shares, standout
from padviz.scoring.scored import Estimate, estimate, ratio, resamples, unsure

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


def labelled_bands(labelled: Labelled, rings: int, pixels: Sequence[float], seed: int = 0) -> Bands:
    """Work out a classifier's accuracy in each ring."""
    (ends, bounds), margins = ends_of(rings, pixels), labelled.margins
    width, height = size = margins[:2] + margins[2:]
    depth = margins.min(axis=0) / (1 if pixels else np.minimum(width, height) / 2)
    ring, side = np.searchsorted(ends, depth, side="right"), nearest_side(margins)
    weights = resamples(labelled.images, seed).astype(float)

    def figures(of: NDArray[np.bool_]) -> tuple[int, NDArray[Any]]:
        right, all_ = (np.bincount(labelled.image[at], minlength=labelled.images) for at in (of & labelled.right, of))
        return int(all_.sum()), unsure(ratio(weights @ right, weights @ all_), all_)

    found = [figures(ring == k) for k in range(len(bounds))]
    sides = [figures((ring == 0) & (side == k)) for k in range(len(SIDES))]
    cell = cells_of(margins[:2] / size)
    right, all_ = (np.bincount(cell[at], minlength=GRID**2) for at in (labelled.right, cell >= 0))
    places = Spots(all_.reshape(GRID, GRID).tolist(), shares(right, all_), float(width.mean() / height.mean()))
    return _bands("accuracy", labelled.images, bounds, found, sides, places)


def masked_bands(masks: Masks, rings: int, pixels: Sequence[float], seed: int = 0) -> Bands:
    """Work out a segmenter's intersection over union in each ring, the mean over the classes that are there."""
    _, bounds = ends_of(rings, pixels)
    images = len(masks.rings.true)
    weights = resamples(images, seed).astype(float)

    def figures(counts: Counts, k: int) -> tuple[int, NDArray[Any]]:
        there = counts.true[:, k].sum(axis=1)
        return int(there.sum()), unsure(overlap(*(weights @ each[:, k] for each in counts)), there)

    found = [figures(masks.rings, k) for k in range(len(bounds))]
    sides = [figures(masks.sides, k) for k in range(len(SIDES))]
    there = masks.cells.true.sum(axis=-1)
    share = [None if np.isnan(each) else float(each) for each in overlap(*masks.cells)]
    cells = [share[k : k + GRID] for k in range(0, GRID**2, GRID)]
    return _bands("iou", images, bounds, found, sides, Spots(there.reshape(GRID, GRID).tolist(), cells, masks.aspect))


def overlap(alike: NDArray[Any], true: NDArray[Any], made: NDArray[Any]) -> NDArray[Any]:
    """Divide intersection by union, (n, classes), and take the mean over the classes that are there.

    >>> overlap(np.array([[1.0, 0]]), np.array([[2.0, 0]]), np.array([[1.0, 0]]))
    array([0.5])
    """
    union = true + made - alike
    share = np.divide(alike, union, out=np.zeros(union.shape), where=union > 0)
    return ratio(share.sum(axis=1), (union > 0).sum(axis=1))


Found = Sequence[tuple[int, NDArray[Any]]]  # of each region: how many, and the figure in each resample


def _bands(
    figure: Figure, images: int, bounds: Sequence[tuple[float, float | None]], found: Found, sides: Found, places: Spots
) -> Bands:
    rings = tuple(Band(*ends, count, estimate(each, 0)) for ends, (count, each) in zip(bounds, found, strict=True))
    apart, of = estimate(found[0][1] - found[-1][1]), dict(zip(SIDES, sides, strict=True))
    sides_apart = {f"{a}_{b}": estimate(of[a][1] - of[b][1]) for a, b in OPPOSITE}
    by_side = {name: Side(count, estimate(each, 0)) for name, (count, each) in of.items()}
    odd = standout([each for _, each in sides], abs(apart.value or 0))
    return Bands(figure, "share" if bounds[-1][1] else "px", images, rings, apart, by_side, sides_apart, odd, places)
