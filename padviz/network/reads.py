"""Which rows of its input each unit of an operation reads: the one place that says so.

`reads` lists the rows on an endless axis, tap by tap; `real_rows` says which rows of the map these
are, or that they are padding. All else follows from these two: the first and last row of a unit,
the span of several, and the strided strips of an `AxisMap`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import lcm

import numpy as np
from numpy.typing import NDArray

from padviz.network.operations import (
    CACHED,
    Blocks,
    Fit,
    Op,
    Transposed,
    Window,
    fit_shift,
    pads_at,
)
from padviz.network.padding_modes import SCHEMES, fold
from padviz.network.resize import Ints, Resize, Rows, origin_of, ratio_of, span_of

EXACT = 1 << 62  # what int64 holds without a doubt
PADDING = -(1 << 40)  # in place of a row; far below any row of an endless axis


def rows_read(op: Op, n: int, n_out: int) -> tuple[list[tuple[int, int]], int]:
    """Return the rows (first, last) read by each unit of one period, and the rows from one period
    to the next.

    These hold far from the ends. Adaptive pools read at no steady rate and are not covered.
    """
    rate = rate_of(op, n, n_out)
    return [rows_of(op, n, n_out, unit) for unit in range(rate.denominator)], rate.numerator


def rate_of(op: Op, n: int, n_out: int) -> Fraction:
    """Return the mean step in input rows from one unit to the next: rows of a period over its
    units.
    """
    if isinstance(op, Resize):
        return ratio_of(op, n, n_out)
    if isinstance(op, Transposed):
        return Fraction(1, op.stride)
    return Fraction(op.stride if isinstance(op, Window) else 1)


def rows_of(op: Op, n: int, n_out: int, units: Ints) -> tuple[Ints, Ints]:
    """Return the first and last row that a unit, or each of an array of units, reads on an endless
    axis.
    """
    if isinstance(op, Window):
        first = _wide(units, op.stride) * op.stride - pads_at(op, n)[0]
        return first, first + op.dilation * (op.kernel - 1)
    if isinstance(op, Fit):
        return (units - fit_shift(n, n_out, op.odd),) * 2
    if isinstance(op, Blocks):
        if op.is_local:
            return op.around(units)
        rows = _rows_together(op, n, units)
        return rows[0], rows[-1]
    if isinstance(op, Transposed):
        turns, phase = (units + op.padding[0]) // op.stride, (units + op.padding[0]) % op.stride
        firsts, lasts = _rows_of_phases(op)
        if isinstance(phase, int):
            return turns + firsts[phase], turns + lasts[phase]
        at = phase.astype(np.int64)
        return turns + np.array(firsts)[at], turns + np.array(lasts)[at]
    assert isinstance(op, Resize)
    ratio, origin = ratio_of(op, n, n_out), origin_of(op, n, n_out)
    parts = lcm(ratio.denominator, origin.denominator)  # coordinates are whole numbers of 1 / parts
    step = int(ratio * parts)
    return span_of(op, _wide(units, step + parts) * step + int(origin * parts), parts)


def all_rows_of(op: Op, n: int, n_out: int, units: Rows) -> Rows:
    """List all rows that each of an array of units reads, shape (rows, units); rows may be
    repeated.
    """
    rows, real = reads(op, n, n_out, units)
    if real.all():
        return rows
    return np.where(real, rows, rows_of(op, n, n_out, units)[0])


def reads(op: Op, n: int, n_out: int, units: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """List the rows that each of an array of units may read, shape (rows, units), and which of them
    it does read.

    >>> rows, real = reads(Transposed(3, stride=2), 2, 5, np.array([0, 1]))
    >>> rows.tolist(), real.tolist()
    ([[0, 0], [-1, 0], [-1, -1]], [[True, False], [False, True], [True, False]])
    """
    rows: Rows
    if isinstance(op, Transposed):
        scaled = units + op.padding[0] - np.arange(op.kernel)[:, None] * op.dilation
        return scaled // op.stride, scaled % op.stride == 0
    if isinstance(op, Blocks):
        rows = _rows_together(op, n, units)
    else:
        first, last = rows_of(op, n, n_out, units)
        step = 1
        if isinstance(op, Window):
            step = op.dilation
        if isinstance(op, Window):
            taps = op.kernel
        else:
            taps = int((last - first).max()) + 1
        rows = np.minimum(first + np.arange(taps)[:, None] * step, last)
    return rows, np.ones(rows.shape, dtype=bool)


def real_rows(op: Op, n: int, rows: Rows) -> Rows:
    """Return the row of the map that each row of an endless axis is; PADDING where it reads
    nothing.

    >>> real_rows(Window(3, padding=(2, 1), mode="reflect"), 5, np.arange(-2, 6)).tolist()
    [2, 1, 0, 1, 2, 3, 4, 3]
    """
    if isinstance(op, Resize):
        return np.asarray(np.clip(rows, 0, n - 1))
    end = n
    if isinstance(op, Window):
        before, after = (max(int(pad), 0) for pad in pads_at(op, n))
        end += after  # ceil rounding reads beyond
        if SCHEMES[op.mode].reads and before + after:
            (a, b), (c, d) = fold(op.mode, n, before, after) or ((1, 0), (1, 0))
            inside = np.where(rows < 0, a * rows + b, np.where(rows >= n, c * rows + d, rows))
            return np.where(rows < end, inside, PADDING)
    return np.where((rows < 0) | (rows >= n), PADDING, rows)


def span(op: Op, n: int, n_out: int, first: int, end: int) -> tuple[int, int]:
    """Return the rows of an endless axis, the first and the last + 1, that units first to end - 1
    read.

    >>> span(Window(3, stride=2, padding=(1, 1)), 9, 5, 1, 3)
    (1, 6)
    """
    period = rate_of(op, n, n_out).denominator
    if period == 1:
        return rows_of(op, n, n_out, first)[0], rows_of(op, n, n_out, end - 1)[1] + 1
    # Units behind the first may start further back, and units before the last end later: what is
    # read goes up with the units, so that streams may drop all rows before it.
    near, at_near = reads(op, n, n_out, np.arange(first, first + period))
    far, at_far = reads(op, n, n_out, np.arange(end - period, end))
    lowest = int(near[at_near].min())
    return lowest, max(int(far[at_far].max()) + 1, lowest)


def is_wavy(op: Op) -> bool:
    """Return whether a unit may start further back, or end earlier, than the one before it.

    Cubic interpolation does where a coordinate is a row itself, dilated transposed convolutions in
    some phases.
    """
    if isinstance(op, Transposed):
        return op.stride > 1 and op.dilation > 1
    if isinstance(op, Blocks):
        return not op.is_local
    return isinstance(op, Resize) and op.mode == "cubic"


@lru_cache(CACHED)
def _rows_of_phases(op: Transposed) -> tuple[list[int], list[int]]:
    """Return the first and last row that outputs 0 .. stride - 1 of an unpadded `Transposed` read;
    0 where they read none.
    """
    rows, real = reads(op, 0, 0, np.arange(op.stride) - op.padding[0])
    most = int(np.abs(rows).max()) + 1
    firsts, lasts = np.where(real, rows, most).min(0), np.where(real, rows, -most).max(0)
    some = real.any(axis=0)
    return np.where(some, firsts, 0).tolist(), np.where(some, lasts, 0).tolist()


def _wide(units: Ints, factor: int) -> Ints:
    """Convert units to Python integers where int64 might not hold their products with `factor`."""
    if isinstance(units, int) or not len(units):
        return units
    largest = max(abs(int(units[0])), abs(int(units[-1])), 1)
    if 4 * largest * factor < EXACT:
        return units
    return units.astype(object)


def _rows_together(op: Blocks, n: int, rows: Ints) -> Rows:
    """List the rows of the blocks around each of an array of rows, shape (rows of a
    block, rows).
    """
    size, step = op.of(n)
    start = rows - (rows - op.first) // step % size * step
    return np.stack([start + i * step for i in range(size)])
