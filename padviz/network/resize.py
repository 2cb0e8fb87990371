"""Interpolation along one axis: where each output row looks, and the rows around that it reads.

Coordinates are whole numbers of a common unit, so no row is read by a rounding error or missed by
one. Runtimes compute them in float32, by which a nearest resize may take a neighbouring row: a
resize at whose size one does so has the runtime's arithmetic, `float32`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

Grid = Literal[
    "asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners"
]
Interpolation = Literal["nearest", "linear", "cubic"]
Rounding = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
GRIDS: tuple[str, ...] = get_args(Grid)
ROUNDINGS: tuple[str, ...] = get_args(Rounding)
# of int64, of Python integers where it might not hold their products, or as a runtime computes them
Rows = NDArray[Any]
Ints = TypeVar("Ints", int, Rows)  # one integer, or an array of them
Reads = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
Runtime = Literal["PyTorch", "PyTorch on small maps", "onnxruntime", "TensorFlow"]
SMALL = 128  # rows + columns that a resize makes by a kernel of its own on PyTorch's CPU, at most
TIE = 1e-6  # onnxruntime takes a coordinate this close to the middle of two rows for the middle


class Float32(NamedTuple):
    """How a runtime computes the coordinates of a nearest resize: in float32, by a factor.

    PyTorch and TensorFlow multiply by the step between outputs, onnxruntime divides by the scale.
    """

    runtime: Runtime
    factor: float


@dataclass(frozen=True, slots=True)
class Resize:
    """Interpolation to `size` rows, by `scale`, or, with neither, to the size of the layer it
    follows.

    By its `mode`, nearest reads one row, chosen by `rounding`; linear the two rows around the
    coordinate, cubic the four. Rows outside are clamped to the outermost row; rows of weight 0 are
    not read. Each row read counts once, or by its weight with `mean`. `grid` is ONNX's coordinate
    transform; by default nearest is asymmetric as in PyTorch, and the others half_pixel or
    align_corners. `float32` is set where a runtime takes other rows than exact arithmetic does, at
    the size that the network was read at.
    """

    size: int | None = None
    scale: Fraction | None = None
    mode: Interpolation = "nearest"
    align_corners: bool = False
    mean: bool = False
    grid: Grid | None = None
    rounding: Rounding = "floor"
    float32: Float32 | None = None

    @property
    def layout(self) -> Grid:
        """The coordinate transform: `grid`, or its default."""
        if self.grid is not None:
            return self.grid
        if self.mode == "nearest":
            return "asymmetric"
        return "align_corners" if self.align_corners else "half_pixel"

    @property
    def exact(self) -> Resize:
        """The same resize in exact arithmetic."""
        return replace(self, float32=None)


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


def interpolated(op: Resize, n: int, n_out: int) -> list[Reads]:
    """List what the outputs read: arrays (outputs, rows, weights) for each neighbour
    that is read.
    """
    x, unit = _coordinates(op, n, n_out)
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
        rows = nearest_rows(op, n, n_out)[None]
        weights = np.ones((1, n_out))
    for lower, upper in pairwise(range(len(rows))):  # one row is read once
        again = rows[upper] == rows[lower]
        weights[upper] += np.where(again, weights[lower], 0)
        weights[lower] = np.where(again, 0, weights[lower])
    j = np.arange(n_out)
    return [(j[w != 0], row[w != 0], w[w != 0]) for row, w in zip(rows, weights, strict=True)]


def _coordinates(op: Resize, n: int, n_out: int) -> tuple[NDArray[np.int64], int]:
    """Return the coordinates of the outputs, as whole numbers of 1 / unit, and the unit."""
    ratio, origin = ratio_of(op, n, n_out), origin_of(op, n, n_out)
    unit = lcm(ratio.denominator, origin.denominator)
    return np.arange(n_out) * int(ratio * unit) + int(origin * unit), unit


def nearest_rows(op: Resize, n: int, n_out: int) -> NDArray[np.int64]:
    """Return the row that each output of a nearest resize copies, shape (outputs,).

    >>> by_pytorch = Resize(7, float32=Float32("PyTorch", 14 / 46))
    >>> np.flatnonzero(nearest_rows(by_pytorch, 14, 46) != nearest_rows(Resize(), 14, 46))
    array([23])
    """
    if op.float32:
        rows = _rows_in_float32(op, op.float32, n_out)
        return np.asarray(np.clip(rows, 0, n - 1), np.int64)
    x, unit = _coordinates(op, n, n_out)
    return np.clip(rounded(x, unit, op.rounding), 0, n - 1)


def _rows_in_float32(op: Resize, float32: Float32, n_out: int) -> Rows:
    """Return the row of each output, as the runtime's CPU kernels compute it."""
    half, factor = np.float32(0.5), np.float32(float32.factor)
    place = np.arange(n_out, dtype=np.float32)
    if op.layout != "asymmetric":
        place += half
    if float32.runtime == "onnxruntime":
        x = place / factor
        if "half_pixel" in op.layout and op.layout != "tf_half_pixel_for_nn":
            x -= half
        return _rounded_in_float32(x, op.rounding)
    if float32.runtime == "PyTorch" and op.layout == "tf_half_pixel_for_nn":
        # x * factor - 1/2 is rounded once, as processors with fused multiply-add do.
        x = (place * np.float64(factor) - 0.5).astype(np.float32)
        place, factor = np.maximum(x, 0) + np.float64(0.5), np.float32(1)
    return np.asarray(np.floor((place * factor).astype(np.float32)))


def _rounded_in_float32(x: Rows, rounding: Rounding) -> Rows:
    if rounding == "floor":
        return np.asarray(np.floor(x))
    if rounding == "ceil":
        return np.asarray(np.ceil(x))
    tie = np.abs(x - np.floor(x) - np.float32(0.5)) <= np.float32(TIE)
    if rounding == "round_prefer_floor":
        at_tie = np.floor(x)
    else:
        at_tie = np.ceil(x)
    return np.where(tie, at_tie, np.floor(x + np.float64(0.5)))


def as_computed(op: Resize, n: int, n_out: int, runtime: Runtime) -> Resize:
    """Return a resize with a runtime's arithmetic, if that takes other rows than exact
    arithmetic.
    """
    ratio = ratio_of(op, n, n_out)
    # Coordinates of aligned corners are exact in float32, too.
    if op.mode != "nearest" or op.layout == "align_corners" or not ratio:
        return op
    factor = ratio
    if runtime == "onnxruntime":
        factor = 1 / ratio
    computed = replace(op, float32=Float32(runtime, float(factor)))
    if np.array_equal(nearest_rows(computed, n, n_out), nearest_rows(op, n, n_out)):
        return op
    return computed


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
