"""Which rows of its input a unit of an operation reads."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis.blocks import block_of, rows_together
from padviz.axis.operations import CACHED, Blocks, Fit, Op, Transposed, Window, fit_shift, place
from padviz.axis.resize import Resize, origin_of, ratio_of, span_of

EXACT = 1 << 62  # what int64 holds without a doubt


def rows_read(op: Op, n: int, n_out: int) -> tuple[list[tuple[int, int]], int]:
    """Find the rows (first, last) that the units of one period read of the layer before, and how far the next is.

    Far from any end, and not for adaptive pools, whose units read by no steady rate.

    >>> rows_read(Window(7, stride=2, padding=(3, 3)), 224, 112)
    ([(-3, 3)], 2)
    """
    rate = rate_of(op, n, n_out)
    return [rows_of(op, n, n_out, unit) for unit in range(rate.denominator)], rate.numerator


def rate_of(op: Op, n: int, n_out: int) -> Fraction:
    """Find how many rows further on the next unit reads: over a period of units, as many rows as it has.

    >>> rate_of(Transposed(4, stride=2, padding=(1, 1)), 7, 14)
    Fraction(1, 2)
    """
    if isinstance(op, Resize):
        return ratio_of(op, n, n_out)
    if isinstance(op, Transposed):
        return Fraction(1, op.stride)
    return Fraction(op.stride if isinstance(op, Window) else 1)


def rows_of(op: Op, n: int, n_out: int, units: Any) -> tuple[Any, Any]:
    """Find the first and the last row that a unit, or each of an array of units, reads on an endless axis.

    >>> first, last = rows_of(Resize(scale=Fraction(2), linear=True), 3, 6, np.array([0, 1, 100]))
    >>> first.tolist(), last.tolist()
    ([-1, 0, 49], [0, 1, 50])
    """
    if isinstance(op, Window):
        first = _wide(units, op.stride) * op.stride - place(op, n).before
        return first, first + (op.extent - 1)
    if isinstance(op, Fit):
        return (units - fit_shift(n, n_out, op.odd),) * 2
    if isinstance(op, Blocks):
        rows = None if op.is_local else rows_together(op, n, units)
        return block_of(op, units) if rows is None else (rows[0], rows[-1])
    if isinstance(op, Transposed):
        turns, phase = (units + op.padding[0]) // op.stride, (units + op.padding[0]) % op.stride
        first, last = _rows_of_phases(op.kernel, op.stride, op.dilation)
        if isinstance(units, int):
            return turns + first[phase], turns + last[phase]
        at = phase.astype(np.int64)
        return turns + np.array(first)[at], turns + np.array(last)[at]
    assert isinstance(op, Resize)
    ratio, origin = ratio_of(op, n, n_out), origin_of(op, n, n_out)
    parts = lcm(ratio.denominator, origin.denominator)  # coordinates are whole numbers of 1 / parts
    step = int(ratio * parts)
    return span_of(op, _wide(units, step + parts) * step + int(origin * parts), parts)


def all_rows_of(op: Op, n: int, n_out: int, units: NDArray[Any]) -> NDArray[Any]:
    """List all rows that each of an array of units reads, some of them again: an array (rows, units).

    >>> all_rows_of(Window(3, dilation=2), 9, 5, np.array([0, 1])).tolist()
    [[0, 1], [2, 3], [4, 5]]
    """
    if isinstance(op, Blocks):
        rows: NDArray[Any] = rows_together(op, n, units)
        return rows
    first, last = rows_of(op, n, n_out, units)
    if isinstance(op, Window):
        return np.stack([first + tap * op.dilation for tap in range(op.kernel)])
    if not isinstance(op, Transposed):
        return np.stack([np.minimum(first + more, last) for more in range(int((last - first).max()) + 1)])
    scaled = [units + op.padding[0] - tap * op.dilation for tap in range(op.kernel)]
    return np.stack([first, *(np.where(row % op.stride, first, row // op.stride) for row in scaled)])


def real_rows_of(op: Op, n: int, n_out: int, units: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """List all rows that each of an array of units may read, shape (rows, units), and which of them it truly reads.

    >>> rows, real = real_rows_of(Transposed(3, stride=2), 2, 5, np.array([0, 1]))
    >>> rows.tolist(), real.tolist()
    ([[0, 0], [-1, 0], [-1, -1]], [[True, False], [False, True], [True, False]])
    """
    if not isinstance(op, Transposed):
        rows = all_rows_of(op, n, n_out, units)
        return rows, np.ones(rows.shape, dtype=bool)
    scaled = np.stack([units + op.padding[0] - tap * op.dilation for tap in range(op.kernel)])
    return scaled // op.stride, scaled % op.stride == 0


def is_wavy(op: Op) -> bool:
    """Tell whether a unit may read less far to one side than the one before it.

    Cubic interpolation does where it looks at a row itself, and a dilated transposed convolution in some phases.

    >>> is_wavy(Resize(cubic=True)), is_wavy(Resize(linear=True))
    (True, False)
    """
    if isinstance(op, Transposed):
        return op.stride > 1 and op.dilation > 1
    if isinstance(op, Blocks):
        return not op.is_local
    return isinstance(op, Resize) and op.cubic


@lru_cache(CACHED)
def _rows_of_phases(kernel: int, stride: int, dilation: int) -> tuple[list[int], list[int]]:
    """Find the first and the last row that outputs 0 .. stride - 1 of a `Transposed` read; 0 where they read none.

    >>> _rows_of_phases(3, 2, 1), _rows_of_phases(1, 2, 1)
    (([-1, 0], [0, 0]), ([0, 0], [0, 0]))
    """
    rows: list[list[int]] = [[] for _ in range(stride)]
    for tap in range(kernel):
        phase = tap * dilation % stride
        rows[phase].append((phase - tap * dilation) // stride)
    return [min(read, default=0) for read in rows], [max(read, default=0) for read in rows]


def _wide(units: Any, factor: int) -> Any:
    """Widen units to be multiplied by a factor: to Python's integers, where int64 might not hold the products."""
    if isinstance(units, int) or not len(units):
        return units
    largest = max(abs(int(units[0])), abs(int(units[-1])), 1)
    return units if 4 * largest * factor < EXACT else units.astype(object)
