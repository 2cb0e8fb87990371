"""Objects told apart: cut by the border or not, by size, and by the side that is nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.intervals import Estimate, Measured, apart, measurable
from padviz.scoring.scored import Part, Scored

SMALL, LARGE = 32**2, 96**2  # px, of COCO's size classes
GRID = 6  # cells a side
TOUCHING = 1  # px that an object which the border cuts may be away from it
SIDES = ("left", "top", "right", "bottom")
OPPOSITE = (("left", "right"), ("top", "bottom"))


Cells = list[list[float | None]]  # rows and columns of a grid over all images


class Places(NamedTuple):
    """Objects by where in the image their centres are, and the share of them that is found: (rows, columns) each.

    `aspect` is the mean width of the images over their mean height.
    """

    objects: list[list[int]]
    recall: Cells
    aspect: float


def places_of(scored: Scored) -> Places:
    """Lay a grid over all images, and count in each of its cells."""
    objects = scored.scenes.objects
    centre = objects.box[:, :2] + objects.box[:, 2:] / 2
    cells = cells_of((centre / scored.scenes.sizes[objects.image][:, ::-1]).T)
    there, found = (np.bincount(cells[which & scored.real], minlength=GRID**2) for which in (cells >= 0, scored.found))
    height, width = scored.scenes.sizes.mean(axis=0).tolist()
    return Places(there.reshape(GRID, GRID).tolist(), shares(found, there), width / height)


def cells_of(part: NDArray[Any]) -> NDArray[np.int64]:
    """Find the cells of a grid, counted row by row, in which shares (2, n) of the width and the height lie.

    >>> cells_of(np.array([[0.0, 0.5, 1.0], [0.0, 0.2, 1.0]])).tolist()
    [0, 9, 35]
    """
    column, row = np.clip(part * GRID, 0, GRID - 1).astype(int)
    cells: NDArray[np.int64] = row * GRID + column
    return cells


def shares(part: NDArray[Any], whole: NDArray[Any]) -> Cells:
    """Divide what cells have, (cells,); None where there is nothing."""
    found = [float(some / n) if n else None for some, n in zip(part, whole, strict=True)]
    return [found[k : k + GRID] for k in range(0, GRID**2, GRID)]


def sizes_of(scored: Scored, inside: NDArray[np.bool_]) -> tuple[Part, dict[str, Part]]:
    """Count the objects that touch no border, and those of each size among them."""
    objects = scored.scenes.objects
    uncut = inside & (margins(scored).min(axis=0) > TOUCHING)
    small, large = objects.area < SMALL, objects.area > LARGE
    by_size = {"small": small, "medium": ~small & ~large, "large": large}
    return scored.part(uncut), {name: scored.part(uncut & of) for name, of in by_size.items()}


def margins(scored: Scored) -> NDArray[Any]:
    """Measure how far each object's box is from each side of its image, (sides, objects), in px."""
    objects = scored.scenes.objects
    left, top, width, height = objects.box.T
    tall, wide = scored.scenes.sizes[objects.image].T
    return np.stack([left, top, wide - left - width, tall - top - height])


class Standout(NamedTuple):
    """Sides at which the outermost ring has another figure than at all others, and the former's minus theirs."""

    sides: tuple[str, ...]
    apart: Estimate


Of = Callable[[Sequence[int]], Measured]  # the figure of some sides together


def standout(of: Of, least: float) -> Standout | None:
    """Find one or two sides that differ from all others by more than `least`.

    Each of them is measurably apart from each of the others: no side is named by chance.
    """
    figures = [of([k]) for k in range(len(SIDES))]
    values = [each.figure.value for each in figures if each.figure.value is not None]
    if len(values) < len(SIDES):
        return None
    order = np.argsort(values, kind="stable")
    cut = int(np.argmax(np.diff(np.array(values)[order]))) + 1
    odd, others = sorted((sorted(order[:cut].tolist()), sorted(order[cut:].tolist())), key=len)
    sure = all(measurable(apart(figures[a], figures[b])) for a, b in product(odd, others))
    difference = apart(of(odd), of(others))
    if not sure or abs(difference.value or 0) <= least:
        return None
    return Standout(tuple(SIDES[k] for k in odd), difference)


def sides_of(scored: Scored, least: float) -> tuple[dict[str, Part], dict[str, Estimate], Standout | None]:
    """Count the objects of the outermost ring by the side that their centres are nearest to, and compare the sides.

    `least` is how far sides must be apart to stand out. It is where padding on one side would show. What is as near to
    two sides is of none.
    """
    box = scored.scenes.objects.box.T
    half = np.stack([box[2], box[3], box[2], box[3]]) / 2
    nearest, outermost = nearest_side(margins(scored) + half), scored.rings == 0

    def of(sides: Sequence[int]) -> Measured:
        return scored.share(outermost & np.isin(nearest, sides))

    parts = {name: scored.part(outermost & (nearest == k)) for k, name in enumerate(SIDES)}
    return parts, opposite(of), standout(of, least)


def opposite(of: Of) -> dict[str, Estimate]:
    """Subtract the right side from the left one, and the bottom from the top."""
    return {f"{a}_{b}": apart(of([SIDES.index(a)]), of([SIDES.index(b)])) for a, b in OPPOSITE}


def nearest_side(margins: NDArray[Any]) -> NDArray[np.int64]:
    """Find the side that is nearest, of distances from all four, (sides, n); of two that are as near, none.

    >>> nearest_side(np.array([[1, 2], [3, 2], [9, 9], [9, 9]])).tolist()
    [0, 4]
    """
    alone = (margins == margins.min(axis=0)).sum(axis=0) == 1
    return np.where(alone, np.argmin(margins, axis=0), len(SIDES))
