"""Regions of an image: rings, sides, and cells of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, check_integer
from padviz.intervals import FEW, Estimate, Measured, difference_of, excludes_zero
from padviz.scoring.scenes import Floats, Ints

MOST = 12  # rings, of which the outermost is a thousandth as wide as the innermost
GRID = 6  # cells a side
SIDES = ("left", "top", "right", "bottom")
OPPOSITE = (("left", "right"), ("top", "bottom"))
Cells = list[list[float | None]]  # rows and columns of a grid over all images
OfSides = Callable[[Sequence[int]], Measured]  # the figure of some sides together


def ring_ends(rings: int, pixels: Sequence[float]) -> list[float]:
    """List the inner ends of rings: as given in pixels, or each half as deep as the next, as shares of half a side.

    >>> ring_ends(4, []), ring_ends(0, [16])
    ([0.125, 0.25, 0.5], [16.0])
    """
    if not pixels:
        check_integer(rings, 1, "rings", MOST)
    if wrong := [end for end in pixels if not 0 < end < np.inf]:
        raise OptionError(f"{wrong[0]:g} px: must be above 0", option="px", hint="use 16,32,64")
    if any(a >= b for a, b in pairwise(pixels)):
        raise OptionError("ring ends must increase", option="px", hint="use 16,32,64")
    return [*map(float, pixels)] if pixels else [0.5**k for k in range(rings - 1, 0, -1)]


def spans(ends: Sequence[float], share: bool) -> list[tuple[float, float | None]]:
    """List where each ring begins and ends.

    >>> spans([0.5], True), spans([16.0], False)
    ([(0.0, 0.5), (0.5, 1.0)], [(0.0, 16.0), (16.0, None)])
    """
    return [*zip([0.0, *ends], [*ends, 1.0 if share else None], strict=True)]


def merge_small(ends: Sequence[float], depths: Floats) -> list[float]:
    """Merge a ring of fewer than 20 objects with the next one inwards, and the innermost with the one around it.

    >>> merge_small([0.25, 0.5, 0.75], np.repeat([0.1, 0.4, 0.6, 0.9], [19, 1, 70, 19]))
    [0.5]
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
    words = f"no {what} is in the {'outermost' if first else 'innermost'} of {len(counts)} rings"
    if not pixels:
        fewer = min(len(counts) // (first + 1), len(counts) // (len(counts) - last))
        raise OptionError(words, option="rings", hint=f"use {fewer}")
    words += f", up to {pixels[0]:g} px" if first else f", from {pixels[-1]:g} px"
    left = ",".join(f"{end:g}" for end in pixels[first:last])
    raise OptionError(words, option="px", hint=f"use {left or ('larger ends' if first else 'smaller ends')}")


def cells_of(part: Floats) -> Ints:
    """Return the cells of a grid, counted row by row, in which shares (2, n) of the width and the height lie.

    >>> cells_of(np.array([[0.0, 0.5, 1.0], [0.0, 0.2, 1.0]])).tolist()
    [0, 9, 35]
    """
    column, row = np.clip(part * GRID, 0, GRID - 1).astype(np.int64)
    cells: Ints = row * GRID + column
    return cells


def cell_ratios(part: Ints, whole: Ints) -> Cells:
    """Divide the counts of cells, (cells,); None where there is nothing."""
    ratios = [float(some / n) if n else None for some, n in zip(part, whole, strict=True)]
    return [ratios[k : k + GRID] for k in range(0, GRID**2, GRID)]


def nearest_side(margins: NDArray[np.floating]) -> Ints:
    """Return the nearest side, of distances from all four, (sides, n); 4 where two are equally near.

    >>> nearest_side(np.array([[1.0, 2], [3, 2], [9, 9], [9, 9]])).tolist()
    [0, 4]
    """
    alone = (margins == margins.min(axis=0)).sum(axis=0) == 1
    return np.where(alone, np.argmin(margins, axis=0), len(SIDES))


class Standout(NamedTuple):
    """Sides at which the outermost ring has another figure than at all others, and the former's minus theirs."""

    sides: tuple[str, ...]
    apart: Estimate


def standout(of: OfSides, least: float) -> Standout | None:
    """Return one or two sides that differ from all others by more than `least`.

    Each of them is measurably apart from each of the others: no side is named by chance.
    """
    figures = [of([k]) for k in range(len(SIDES))]
    values = [each.figure.value for each in figures if each.figure.value is not None]
    if len(values) < len(SIDES):
        return None
    order = np.argsort(values, kind="stable")
    cut = int(np.argmax(np.diff(np.array(values)[order]))) + 1
    odd, others = sorted((sorted(order[:cut].tolist()), sorted(order[cut:].tolist())), key=len)
    sure = all(excludes_zero(difference_of(figures[a], figures[b])) for a, b in product(odd, others))
    difference = difference_of(of(odd), of(others))
    if not sure or abs(difference.value or 0) <= least:
        return None
    return Standout(tuple(SIDES[k] for k in odd), difference)


def compare_opposite(of: OfSides) -> dict[str, Estimate]:
    """Subtract the right side from the left one, and the bottom from the top."""
    return {f"{a}_{b}": difference_of(of([SIDES.index(a)]), of([SIDES.index(b)])) for a, b in OPPOSITE}
