"""Rings of images by distance to the border: their figures, and how the outermost one differs from
the innermost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, check_integer
from padviz.intervals import FEW, Estimate, Measured, difference_of, excludes_zero
from padviz.scoring.matching import Floats, Ints

MOST = 12  # rings, of which the outermost is a thousandth as wide as the innermost
SIDES = ("left", "top", "right", "bottom")
LEFT, TOP, RIGHT, BOTTOM = range(4)
OUTERMOST, INNERMOST = "outermost ring", "innermost ring"
OTHERS = "other borders"
Counted = Literal["objects", "pixels"]


@dataclass(frozen=True)
class Part:
    """The number of objects or pixels of some part of the images, and their figure."""

    count: int
    figure: Estimate


@dataclass(frozen=True)
class Ring:
    """The ring from `first` to `last` off the nearest border, with its number of objects or pixels.

    `figures` are "recall", "AP" and "AP50" of detections, "accuracy" of a classifier, or "IoU" of a
    segmenter.

    `sides` has the objects or pixels of the ring by the nearest side, with the first figure; those
    equally near two sides count for neither.

    Only detections have `uncut`: the recall of objects that touch no border, of "all" and by COCO's
    classes: "small" below 32 x 32 px, "large" above 96 x 96. With a network, `fair_share` is its
    mean under the objects' centres, and `from_padding` the mean share of paths there that start at
    padding; both are None in a ring without objects.
    """

    first: float
    last: float | None
    count: int
    figures: dict[str, Estimate]
    sides: dict[str, Part] = field(default_factory=dict)
    uncut: dict[str, Part] = field(default_factory=dict)
    fair_share: float | None = None
    from_padding: float | None = None


class Difference(NamedTuple):
    """A figure of one part of the images minus the same figure of another part."""

    figure: str
    one: str
    other: str
    first: float | None
    second: float | None
    difference: Estimate


class ComparedNetwork(NamedTuple):
    """A network whose fair shares are compared, and Spearman's correlation of fair share and being
    found.
    """

    name: str
    size: list[int]
    correlation: Estimate


@dataclass(frozen=True)
class Rings:
    """The rings of a set of images from the outermost inwards, and differences between parts of the
    images.

    `of` is the unit of the rings' ends: "share" of half the shorter side, or "px". `differences`
    has the outermost ring minus the innermost for each figure. Then follow sides of the outermost
    ring: those that differ from all others, if any, left minus right, and top minus bottom.

    Only detections have the last five: their number, a `network` to compare with, the rings of
    `classes`, and `notes` about files whose boxes hardly match, and on boxes left out. `touching`
    counts the boxes that touch the border.
    """

    counted: Counted
    of: str
    images: int
    count: int
    rings: tuple[Ring, ...]
    differences: tuple[Difference, ...]
    detections: int | None = None
    network: ComparedNetwork | None = None
    classes: dict[str, tuple[Ring, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    touching: str = ""


@dataclass(frozen=True)
class RingPart:
    """The number of objects or pixels of a ring, and their figures; `uncut` as that of `Ring`."""

    count: int
    figures: Mapping[str, Measured]
    uncut: dict[str, Part] = field(default_factory=dict)


def ring_ends(rings: int, pixels: Sequence[float]) -> list[float]:
    """List the inner ends of rings: as given in pixels, or each half as deep as the next, as shares
    of half a side.

    >>> ring_ends(4, []), ring_ends(0, [16])
    ([0.125, 0.25, 0.5], [16.0])
    """
    if not pixels:
        check_integer(rings, 1, "rings", MOST)
        return [0.5**k for k in range(rings - 1, 0, -1)]
    for end in pixels:
        if not 0 < end < np.inf:
            raise OptionError(f"{end:g} px: must be above 0", option="px", hint="use 16,32,64")
    if any(a >= b for a, b in pairwise(pixels)):
        raise OptionError("ring ends must increase", option="px", hint="use 16,32,64")
    return [float(end) for end in pixels]


def merge_small(ends: Sequence[float], depths: Floats) -> list[float]:
    """Merge a ring of fewer than 20 objects with the next one inwards, and the innermost with the
    one around it.
    """
    merged: list[float] = []
    for end in ends:
        if np.count_nonzero((depths >= (merged or [0])[-1]) & (depths < end)) >= FEW:
            merged.append(end)
    while merged and np.count_nonzero(depths >= merged[-1]) < FEW:
        merged.pop()
    return merged


def check_filled(counts: Sequence[int], pixels: Sequence[float], what: str) -> None:
    """Reject rings whose outermost or innermost is empty, and name ends with which neither is.

    >>> check_filled([0, 0, 9, 9, 9, 0], [], "object")
    Traceback (most recent call last):
    padviz.errors.OptionError: rings: no object is in the outermost of 6 rings; use 2
    >>> check_filled([7, 7, 0, 0], [8, 16, 5000], "object")
    Traceback (most recent call last):
    padviz.errors.OptionError: px: no object is in the innermost of 4 rings, from 5000 px; use 8
    """
    filled = [k for k, count in enumerate(counts) if count]
    if not filled or (filled[0] == 0 and filled[-1] == len(counts) - 1):
        return
    first, last = filled[0], filled[-1]
    if first:
        ring, where, otherwise = "outermost", "up to", "larger ends"
    else:
        ring, where, otherwise = "innermost", "from", "smaller ends"
    words = f"no {what} is in the {ring} of {len(counts)} rings"
    if not pixels:
        fewer = min(len(counts) // (first + 1), len(counts) // (len(counts) - last))
        raise OptionError(words, option="rings", hint=f"use {fewer}")
    if first:
        empty_to = pixels[0]
    else:
        empty_to = pixels[-1]
    left = ",".join(f"{end:g}" for end in pixels[first:last])
    raise OptionError(
        f"{words}, {where} {empty_to:g} px", option="px", hint=f"use {left or otherwise}"
    )


def cells_of(part: Floats, grid: tuple[int, ...]) -> Ints:
    """Return the cells of a grid, counted row by row, in which shares (2, n) of the width and the
    height lie.
    """
    rows, columns = grid
    row = np.clip(part[1] * rows, 0, rows - 1).astype(np.int64)
    column = np.clip(part[0] * columns, 0, columns - 1).astype(np.int64)
    cells: Ints = row * columns + column
    return cells


def nearest_side(margins: NDArray[np.floating]) -> Ints:
    """Return the nearest side, of distances from all four, (sides, n); 4 where two are equally
    near.
    """
    alone = (margins == margins.min(axis=0)).sum(axis=0) == 1
    return np.where(alone, np.argmin(margins, axis=0), len(SIDES))


def scored_rings(
    counted: Counted,
    images: int,
    ends: Sequence[float],
    share: bool,
    parts: Sequence[RingPart],
    at_sides: Callable[[int, Sequence[int]], tuple[int, Measured]],
) -> Rings:
    """Combine the figures of rings, and those at some sides of each, which `at_sides` measures."""
    rings = []
    last = 1.0 if share else None
    for k, (first, end, part) in enumerate(zip([0.0, *ends], [*ends, last], parts, strict=True)):
        figures = {name: measured.figure for name, measured in part.figures.items()}
        sides = {}
        for side, name in enumerate(SIDES):
            count, measured = at_sides(k, [side])
            sides[name] = Part(count, measured.figure)
        rings.append(Ring(first, end, part.count, figures, sides, part.uncut))
    differences: list[Difference] = []
    outer, inner = parts[0].figures, parts[-1].figures
    if len(parts) > 1:
        differences = [
            _difference(name, OUTERMOST, INNERMOST, outer[name], inner[name]) for name in outer
        ]
    # Padding on one side would show in the outermost ring.
    outermost = [at_sides(0, [side])[1] for side in range(len(SIDES))]
    # Sides are only named if they differ by more than the rings do.
    least = 0.0
    if differences:
        least = abs(differences[0].difference.value or 0)
    differences += _side_differences(next(iter(outer)), outermost, partial(at_sides, 0), least)
    return Rings(
        counted,
        of="share" if share else "px",
        images=images,
        count=sum(part.count for part in parts),
        rings=tuple(rings),
        differences=tuple(differences),
    )


def _difference(name: str, one: str, other: str, first: Measured, second: Measured) -> Difference:
    apart = difference_of(first, second)
    return Difference(name, one, other, first.figure.value, second.figure.value, apart)


def _side_differences(
    name: str,
    figures: Sequence[Measured],
    at_sides: Callable[[Sequence[int]], tuple[int, Measured]],
    least: float,
) -> Iterator[Difference]:
    """Compare sides that stand out with all others, then opposite sides.

    One or two sides stand out if they differ from all others by more than `least`. Each must also
    differ measurably from each of the others, so that no side is named by chance.
    """
    values = [measured.figure.value for measured in figures if measured.figure.value is not None]
    if len(values) == len(SIDES):
        # Cut the sorted values at their widest gap; the smaller group may stand out.
        order = np.argsort(values, kind="stable")
        cut = int(np.argmax(np.diff(np.array(values)[order]))) + 1
        groups = sorted(order[:cut].tolist()), sorted(order[cut:].tolist())
        odd, others = sorted(groups, key=len)
        pairs = product(odd, others)
        measurable = all(excludes_zero(difference_of(figures[a], figures[b])) for a, b in pairs)
        borders = " and ".join(SIDES[side] for side in odd) + (
            " border" if len(odd) == 1 else " borders"
        )
        row = _difference(name, borders, OTHERS, at_sides(odd)[1], at_sides(others)[1])
        if measurable and abs(row.difference.value or 0) > least:
            yield row
    for a, b in ((LEFT, RIGHT), (TOP, BOTTOM)):
        yield _difference(name, f"{SIDES[a]} border", f"{SIDES[b]} border", figures[a], figures[b])
