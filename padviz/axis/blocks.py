"""Blocks of rows that see each other: which rows are in the block of each, and the strips that add them up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from padviz.axis.operations import Blocks
from padviz.engine.strip import Strip
from padviz.errors import SizeError


def block_strips(op: Blocks, n: int) -> Iterator[Strip]:
    """Lay a strip for each pair of places in a block, or for each row, whichever are fewer.

    >>> [tuple(strip[:5]) for strip in block_strips(Blocks(2), 6)][:2]
    [(0, 2, 0, 2, 3), (0, 2, 1, 2, 3)]
    """
    size, step = op.of(n)
    if step > 1:
        return _apart(size, step, n)
    if size * size < n and not (op.first or n % size):
        return (Strip(a, size, b, size, n // size) for a in range(size) for b in range(size))
    rows = ((row, *block_of(op, row)) for row in range(n))
    return (Strip(row, 0, max(first, 0), 1, min(last + 1, n) - max(first, 0)) for row, first, last in rows)


def _apart(size: int, step: int, n: int) -> Iterator[Strip]:
    """Lay a strip for each pair of places in a block whose rows are `step` apart, and each turn of the blocks."""
    if n % (size * step):
        raise SizeError(f"its input has {n} rows, which are no blocks of {size} rows {step} apart")
    for start in range(0, n, size * step):
        for row in range(start, start + size * step) if size > step else ():
            yield Strip(row, 0, start + (row - start) % step, step, size)
        for place in range(size * size) if size <= step else ():
            yield Strip(start + place // size * step, 1, start + place % size * step, 1, step)


def block_of(op: Blocks, rows: Any) -> tuple[Any, Any]:
    """Find the first and the last row of the block of neighbours that each of some rows is in, on an endless axis.

    >>> block_of(Blocks(4, first=1), 0), block_of(Blocks(4, first=1), 6)
    ((-3, 0), (5, 8))
    """
    start = rows - (rows - op.first) % op.size
    return start, start + op.size - 1


def rows_together(op: Blocks, n: int, rows: Any) -> Any:
    """List the rows of the blocks that each of an array of rows is in: an array (rows of a block, rows).

    >>> rows_together(Blocks(2, step=0), 6, np.array([0, 4])).tolist()
    [[0, 1], [3, 4]]
    """
    size, step = op.of(n)
    start = rows - (rows - op.first) // step % size * step
    return np.stack([start + i * step for i in range(size)])
