"""Which units of every layer padding touches: those that read past an end of a layer, or a unit that does."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np

from padviz.axis.operations import Adaptive, Blocks, Op, Transposed, Window
from padviz.axis.padding_modes import SCHEMES
from padviz.axis.receptive_interval import is_wavy, rate_of, real_rows_of, rows_of
from padviz.network.layer import Layer
from padviz.network.network import Network

SLACK = 3  # rows that an operation may read beyond what its rate says
MOST_UNITS = 1 << 23  # that are looked at, of a layer; no map has more


class Side(NamedTuple):
    """The units next to one end of a layer that padding touches, counted from there: `full` in a row, and `more`.

    They are those of an axis that is long enough; a map may have fewer.
    """

    full: int = 0
    more: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        """How far in the last of them is."""
        return self.more[-1] + 1 if self.more else self.full


class Touched(NamedTuple):
    """The units of a layer that padding touches from either end.

    `whole` is a layer of which each unit sees the whole image: padding touches all or none of its units.
    """

    sides: tuple[Side, Side]
    whole: bool = False


@lru_cache(64)
def touched_on(network: Network, axis: int, sizes: tuple[int, ...], around: bool = False) -> tuple[Touched, ...]:
    """Find the units of every layer that padding touches: with `around`, rows of the far side are no padding.

    >>> import padviz
    >>> from padviz.network.sizes import sizes_of
    >>> vgg = padviz.load("vgg11")
    >>> [side.full for side in touched_on(vgg, 0, sizes_of(vgg, 0, 512))[-1].sides]
    [2, 2]
    """
    touched = [Touched((Side(), Side()))]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering, op = [touched[j] for j in layer.inputs], layer.ops[axis]
        if op is None and len(entering) == 1:
            touched.append(entering[0])
        elif isinstance(op, Adaptive) or any(before.whole for before in entering):
            touched.append(_whole(op, entering, sizes[layer.inputs[0]], sizes[i]))
        else:
            touched.append(_through(layer, axis, entering, sizes[layer.inputs[0]], sizes[i], around))
    return tuple(touched)


def _whole(op: Op | None, entering: Sequence[Touched], n: int, m: int) -> Touched:
    """Touch all units, or none: as those that they see, or by padding of their own."""
    hit = any(side.depth for touched in entering for side in touched.sides)
    hit |= isinstance(op, Window) and any(_passed(op, n, m, end, Side()).depth for end in (0, 1))
    return Touched((Side(m), Side(m)) if hit else (Side(), Side()), whole=True)


def _through(layer: Layer, axis: int, entering: Sequence[Touched], n: int, m: int, around: bool) -> Touched:
    """Pass through a layer: its branches, and then its operation."""
    op = layer.ops[axis]
    before, after = (_joined([touched.sides[end] for touched in entering]) for end in (0, 1))
    unseen = around and isinstance(op, Window) and SCHEMES[op.mode].wraps and not before.depth and not after.depth
    if op is None or unseen:
        return Touched((before, after))
    return Touched((_passed(op, n, m, 0, before), _passed(op, n, m, 1, after)))


def _joined(sides: Sequence[Side]) -> Side:
    if len(sides) == 1:
        return sides[0]
    return _side(max(side.full for side in sides), {unit for side in sides for unit in side.more})


def _side(full: int, units: Iterable[int]) -> Side:
    """Count units in a row, and keep others, which may be the next ones."""
    more = sorted(unit for unit in units if unit >= full)
    next_ones = sum(1 for i, unit in enumerate(more) if unit == full + i)
    return Side(full + next_ones, tuple(more[next_ones:]))


def _passed(op: Op, n: int, m: int, end: int, side: Side) -> Side:
    """Find the units of an operation that read past an end of `n` rows, or a row there that padding touches."""

    def nearest(unit: int) -> int:
        """Find the row next to the end that a unit reads, both counted from there."""
        row: int = rows_of(op, n, m, m - 1 - unit if end else unit)[end]
        row = min(max(row, 0), n - 1) if isinstance(op, Blocks) else row  # a block has fewer rows there
        return n - 1 - row if end else row

    rate, first = rate_of(op, n, m), nearest(0)
    if not rate:
        return Side(m if first < side.depth else 0)
    alone = not side.more and not is_wavy(op) and not _skips(op)
    if alone and isinstance(op, Window):
        return Side(max(0, -((first - side.full) // op.stride)))
    slack = SLACK + (op.size if isinstance(op, Blocks) else 0)
    several = min(max(1, ceil((side.depth - first + slack) / rate) + SLACK), MOST_UNITS)
    if alone:
        return Side(bisect_left(range(several), side.full, key=nearest))
    units = np.arange(several)
    rows, real = real_rows_of(op, n, m, m - 1 - units if end else units)
    rows = rows.clip(0, n - 1) if isinstance(op, Blocks) else rows
    rows = n - 1 - rows if end else rows
    hit = (((rows < side.full) | np.isin(rows, side.more)) & real).any(axis=0)
    return _side(0, np.flatnonzero(hit).tolist())


def _skips(op: Op) -> bool:
    """Tell whether it is a transposed convolution with units between its taps, which read nothing."""
    return isinstance(op, Transposed) and op.kernel < op.stride
