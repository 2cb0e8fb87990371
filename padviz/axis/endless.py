"""An operation on an endless axis, as what one period of its output reads of one period of its input.

Far from every border a map repeats. Rolled up into a ring of one period, with the rows of an axis numbered from its
real first row, every read of an endless axis stays a read: what lies outside of the ring is the same row one turn on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from padviz.axis.blocks import block_of
from padviz.axis.operations import CACHED, Adaptive, Blocks, Fit, Op, Transposed, Window, fit_shift, pads_at
from padviz.axis.resize import Resize, ratio_of, reads
from padviz.engine.axis_map import AxisMap
from padviz.engine.strip import Strip, flipped

Ring = tuple[int, int]  # rows that the input and the output grow by, together
AROUND = 8  # rows that no interpolation reaches past


def ring_map(op: Op, n: int, n_out: int, ring: Ring) -> AxisMap | None:
    """Map a period of `op`'s output to what it reads of a period of its input; None where it does not move along.

    `n` and `n_out` are the rows of the real axis: they say where its first window lies.

    Each row of an endless axis is read by a window of 3 rows and stride 2 once or twice:

    >>> made = ring_map(Window(3, stride=2, padding=(1, 1)), 224, 112, (2, 1))
    >>> made.n_out, made.n_in, made.reads
    (1, 2, 3)
    """
    if isinstance(op, Window) and op.mode != "zero":
        op = replace(op, mode="zero")  # what padding reads lies at the borders: one map serves all modes
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
        strips = iter(flipped(_window(window, op.padding[0], (units, rows))))
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
    """Each tap reads its row of every unit, round the ring."""
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
    """Each row of a block reads all of it, the one that lies across the seam of the ring too."""
    for row in range(rows):
        first = block_of(op, row)[0] % rows
        here = min(op.size, rows - first)
        yield Strip(row, 0, first, 1, here)
        if here < op.size:
            yield Strip(row, 0, 0, 1, op.size - here)


def _resize(op: Resize, n: int, n_out: int, ring: Ring) -> Iterator[Strip]:
    """Find the units of a period far from both ends, of the axis made longer by as many periods as that takes."""
    rows, units = ring
    around = -(-AROUND // rows)
    first = around * units
    for unit, row, weight in reads(op, n + (2 * around + 1) * rows, n_out + (2 * around + 1) * units):
        inside = np.flatnonzero((unit >= first) & (unit < first + units))
        for i in inside.tolist():
            yield Strip(int(unit[i]) - first, 1, int(row[i]) % rows, 1, 1, float(weight[i]) if op.mean else 1)
