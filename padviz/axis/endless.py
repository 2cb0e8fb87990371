"""An operation on an endless axis: what one period of its output reads of one period of its input.

Far from the borders a map repeats, so an endless axis is a ring of one period: row r is row r modulo the period. Rows
are numbered from the first row of the real axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from padviz.axis.operations import CACHED, Adaptive, Blocks, Fit, Op, Transposed, Window, fit_shift, pads_at
from padviz.axis.resize import Resize, ratio_of, reads
from padviz.engine.axis_map import AxisMap, Strip, transpose

Ring = tuple[int, int]  # rows that the input and the output grow by, together
AROUND = 8  # rows that no interpolation reaches past


def ring_map(op: Op, n: int, n_out: int, ring: Ring) -> AxisMap | None:
    """Map one period of `op`'s output to one period of its input; None where its reads do not repeat with the ring.

    `n` and `n_out` are the rows of the real axis, which decide where the first window lies.

    A window of 3 rows and stride 2 reads each row of an endless axis once or twice:

    >>> made = ring_map(Window(3, stride=2, padding=(1, 1)), 224, 112, (2, 1))
    >>> made.n_out, made.n_in, made.reads
    (1, 2, 3)
    """
    if isinstance(op, Window) and op.mode != "zero":
        op = replace(op, mode="zero")  # no padding is read far from borders: one map serves all modes
    return _ring_map(op, n, n_out, ring)


@lru_cache(CACHED)
def _ring_map(op: Op, n: int, n_out: int, ring: Ring) -> AxisMap | None:
    rows, units = ring
    if isinstance(op, Adaptive):
        weight = 1 / n if op.mean else 1
        return AxisMap(rows, 1, (Strip(0, 0, 0, 1, rows, weight),)) if op.output == 1 and not units else None
    if not rows or not units or (isinstance(op, Fit | Blocks) and rows != units):
        return None
    if isinstance(op, Window):
        strips = _window(op, pads_at(op, n)[0], ring)
    elif isinstance(op, Transposed):
        window = Window(op.kernel, op.stride, op.dilation)
        strips = iter(transpose(_window(window, op.padding[0], (units, rows))))
    elif isinstance(op, Blocks):
        if not op.is_local or rows % op.size:
            return None
        strips = _blocks(op, rows)
    elif isinstance(op, Fit):
        strips = _window(Window(1), fit_shift(n, n_out, op.odd), ring)
    elif ratio_of(op, n + rows, n_out + units) == Fraction(rows, units):
        strips = _resize(op, n, n_out, ring)
    else:
        return None
    return AxisMap(rows, units, tuple(strips))


def _window(window: Window, before: int, ring: Ring) -> Iterator[Strip]:
    rows, units = ring
    weight = 1 / window.kernel if window.mean else 1
    for tap in range(window.kernel):
        unit = 0
        while unit < units:  # until it comes round
            row = (unit * window.stride + tap * window.dilation - before) % rows
            length = min(units - unit, -(-(rows - row) // window.stride))
            yield Strip(unit, 1, row, window.stride if length > 1 else 1, length, weight)
            unit += length


def _blocks(op: Blocks, rows: int) -> Iterator[Strip]:
    """Yield the reads of each row: its whole block, in two strips where that crosses the seam of the ring."""
    for row in range(rows):
        first = op.around(row)[0] % rows
        here = min(op.size, rows - first)
        yield Strip(row, 0, first, 1, here)
        if here < op.size:
            yield Strip(row, 0, 0, 1, op.size - here)


def _resize(op: Resize, n: int, n_out: int, ring: Ring) -> Iterator[Strip]:
    """Yield the reads of a period of units far from both ends, on an axis lengthened by whole periods."""
    rows, units = ring
    around = -(-AROUND // rows)
    first = around * units
    for unit, row, weight in reads(op, n + (2 * around + 1) * rows, n_out + (2 * around + 1) * units):
        inside = np.flatnonzero((unit >= first) & (unit < first + units))
        for i in inside.tolist():
            yield Strip(int(unit[i]) - first, 1, int(row[i]) % rows, 1, 1, float(weight[i]) if op.mean else 1)
