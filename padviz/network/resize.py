"""Interpolation along one axis: where each output row looks, and the rows around that it reads.

Coordinates are whole numbers of a common unit, so no row is read by a rounding error or missed by
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

Grid = Literal[
    "asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners"
]
Interpolation = Literal["nearest", "linear", "cubic"]
Rounding = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
GRIDS: tuple[str, ...] = get_args(Grid)
ROUNDINGS: tuple[str, ...] = get_args(Rounding)
Rows = NDArray[Any]  # of int64, or of Python integers where it might not hold their products
Ints = TypeVar("Ints", int, Rows)  # one integer, or an array of them
Reads = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Resize:
    """Interpolation to `size` rows, by `scale`, or, with neither, to the size of the layer it
    follows.

    By its `mode`, nearest reads one row, chosen by `rounding`; linear the two rows around the
    coordinate, cubic the four. Rows outside are clamped to the outermost row; rows of weight 0 are
    not read. Each row read counts once, or by its weight with `mean`. `grid` is ONNX's coordinate
    transform; by default nearest is asymmetric as in PyTorch, and the others half_pixel or
    align_corners.
    """

    size: int | None = None
    scale: Fraction | None = None
    mode: Interpolation = "nearest"
    align_corners: bool = False
    mean: bool = False
    grid: Grid | None = None
    rounding: Rounding = "floor"

    @property
    def layout(self) -> Grid:
        """The coordinate transform: `grid`, or its default."""
        if self.grid is not None:
            return self.grid
        if self.mode == "nearest":
            return "asymmetric"
        return "align_corners" if self.align_corners else "half_pixel"


def ratio_of(op: Resize, n: int, n_out: int) -> Fraction:
    """Return the distance between the coordinates of neighbouring outputs, in input rows."""
    if n_out == 1 and op.layout in ("align_corners", "pytorch_half_pixel"):
        return Fraction(0)
    if op.layout == "align_corners":
        return Fraction(n - 1, n_out - 1)
    if op.scale is not None:
        return 1 / op.scale
    return Fraction(n, n_out)


def origin_of(op: Resize, n: int, n_out: int) -> Fraction:
    """Return the coordinate of the first output."""
    if op.layout in ("asymmetric", "align_corners"):
        return Fraction(0)
    if op.layout == "pytorch_half_pixel" and n_out == 1:
        return Fraction(0)
    half = ratio_of(op, n, n_out) / 2
    if op.layout == "tf_half_pixel_for_nn":
        return half
    return half - Fraction(1, 2)


def reads(op: Resize, n: int, n_out: int) -> list[Reads]:
    """List what the outputs read: arrays (outputs, rows, weights) for each neighbour
    that is read.
    """
    ratio, origin = ratio_of(op, n, n_out), origin_of(op, n, n_out)
    unit = lcm(ratio.denominator, origin.denominator)  # coordinates are whole numbers of 1 / unit
    j = np.arange(n_out)
    x = j * int(ratio * unit) + int(origin * unit)
    if op.mode == "cubic":
        low = x // unit
        rows = np.clip(low + np.arange(-1, 3)[:, None], 0, n - 1)
        weights = _cubic((x - low * unit) / unit)
    elif op.mode == "linear":
        x = np.clip(x, 0, (n - 1) * unit)
        low = x // unit
        share = (x - low * unit) / unit
        rows, weights = np.stack([low, low + 1]), np.stack([1 - share, share])
    else:
        rows = np.clip(rounded(x, unit, op.rounding), 0, n - 1)[None]
        weights = np.ones((1, n_out))
    for lower, upper in pairwise(range(len(rows))):  # one row is read once
        again = rows[upper] == rows[lower]
        weights[upper] += np.where(again, weights[lower], 0)
        weights[lower] = np.where(again, 0, weights[lower])
    return [(j[w != 0], row[w != 0], w[w != 0]) for row, w in zip(rows, weights, strict=True)]


def span_of(op: Resize, x: Ints, unit: int) -> tuple[Ints, Ints]:
    """Return the first and last row that an output at coordinate `x / unit` reads, far from the
    ends.
    """
    if op.mode == "nearest":
        row = rounded(x, unit, op.rounding)
        return row, row
    low, high = x // unit, -(-x // unit)
    if op.mode == "cubic":
        # One row more on both sides, unless the coordinate is a row itself.
        more = high - low
        return low - more, high + more
    return low, high


def rounded(x: Ints, unit: int, rounding: Rounding) -> Ints:
    """Round the coordinate `x / unit` to a row, as nearest interpolation does."""
    if rounding == "floor":
        return x // unit
    if rounding == "ceil":
        return -(-x // unit)
    if rounding == "round_prefer_floor":
        return -((unit - 2 * x) // (2 * unit))
    return (2 * x + unit) // (2 * unit)


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of rows -1, 0, 1, 2 at coordinates `t` in [0, 1): the cubic kernel with a
    = -3/4.
    """
    a = -0.75
    near = [((a + 2) * d - (a + 3)) * d**2 + 1 for d in (t, 1 - t)]
    far = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (1 + t, 2 - t)]
    weights = np.stack([far[0], near[0], near[1], far[1]])
    weights[:, t == 0] = np.array([0, 1, 0, 0])[:, None]
    return weights
