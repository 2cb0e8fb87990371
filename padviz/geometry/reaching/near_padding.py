"""The units of every layer that padding touches: those that read past an end of a layer, or a touched unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import ceil
from typing import NamedTuple

import numpy as np

from padviz.network.network import Network, Size
from padviz.network.operations import Adaptive, Blocks, Op, Window
from padviz.network.padding_modes import SCHEMES
from padviz.network.receptive_interval import rate_of, real_rows_of, rows_of
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import AlongAxes, on_each, sizes_of

BeforeAfter = tuple[int, int]  # rows, or columns, of units or pixels
SLACK = 3  # rows that an operation may read beyond what its rate says
MOST_UNITS = 1 << 23  # of a layer that are examined; no map has more


class Barrier(NamedTuple):
    """A layer behind which no context is enough, because each position depends on all, and the reason."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class NearPadding(AlongAxes[BeforeAfter]):
    """The number of units that padding touches at the two ends of each axis of a layer's map.

    Behind the layer that `barrier` names each position depends on all: `everywhere` on padding, too, if any unit that
    this layer reads is touched.

    >>> import padviz
    >>> near_padding(padviz.load("vgg11"), (224, 224))[0].width
    (1, 1)
    """

    layer: str
    axes: Mapping[str, BeforeAfter] = field(hash=False)
    barrier: Barrier | None = None
    everywhere: bool = False


def near_padding(network: Network, size: Size, around: bool = False) -> tuple[NearPadding, ...]:
    """Count the units of every layer that read past an end of it, or of one before it.

    With `around`, an axis that wraps has no end: only what its pools pad is padding.
    """
    touched = zip(*on_each(partial(_depths_on, around=around), network, size), strict=True)
    rows: list[NearPadding] = []
    for layer, ends in zip(network.layers, touched, strict=True):
        axes, before = dict(zip(network.axes, ends, strict=True)), [rows[j] for j in layer.inputs]
        barrier = next((row.barrier for row in before if row.barrier), None)
        everywhere = any(row.everywhere for row in before)
        if why := min(filter(None, map(layer.whole, range(len(size)))), default=""):
            barrier = barrier or Barrier(layer.name, why)
            everywhere |= any(any(side) for row in before for side in row.axes.values())
        rows.append(NearPadding(layer.name, axes, barrier, everywhere))
    return tuple(rows[1:])


def _depths_on(network: Network, axis: int, n: int, around: bool) -> list[BeforeAfter]:
    sizes = sizes_of(network, axis, n)
    touched = touched_on(network, axis, sizes, around and circular_axes(network)[axis])
    ends = [(before.depth, after.depth) for (before, after), _ in touched]
    return [(min(before, m), min(after, m)) for (before, after), m in zip(ends, sizes, strict=True)]


class Side(NamedTuple):
    """The touched units at one end of a layer, counted from there: `full` in a row, and `more` further in.

    They are those of an axis that is long enough; a map may have fewer.
    """

    full: int = 0
    more: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        """The position of the last touched unit, counted from 1."""
        return self.more[-1] + 1 if self.more else self.full


class Touched(NamedTuple):
    """The touched units of a layer at either end.

    In a `whole` layer each unit sees the whole image: padding touches all or none of its units.
    """

    sides: tuple[Side, Side]
    whole: bool = False


@lru_cache(64)
def touched_on(network: Network, axis: int, sizes: tuple[int, ...], around: bool = False) -> tuple[Touched, ...]:
    """Return the touched units of every layer; with `around`, rows of the far side are no padding."""
    touched = [Touched((Side(), Side()))]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering, op = [touched[j] for j in layer.inputs], layer.ops[axis]
        n, m = sizes[layer.inputs[0]], sizes[i]
        if op is None and len(entering) == 1:
            touched.append(entering[0])
            continue
        if isinstance(op, Adaptive) or any(before.whole for before in entering):
            hit = any(side.depth for before in entering for side in before.sides)
            hit |= isinstance(op, Window) and any(_through(op, n, m, end, Side()).depth for end in (0, 1))
            touched.append(Touched((Side(m), Side(m)) if hit else (Side(), Side()), whole=True))
            continue
        before, after = (_joined([each.sides[end] for each in entering]) for end in (0, 1))
        wraps = around and isinstance(op, Window) and SCHEMES[op.mode].wraps and not before.depth and not after.depth
        if op is not None and not wraps:
            before, after = _through(op, n, m, 0, before), _through(op, n, m, 1, after)
        touched.append(Touched((before, after)))
    return tuple(touched)


def _joined(sides: Sequence[Side]) -> Side:
    if len(sides) == 1:
        return sides[0]
    return _side(max(side.full for side in sides), {unit for side in sides for unit in side.more})


def _side(full: int, units: Iterable[int]) -> Side:
    """Return a side with so many units in a row, and further ones, which may continue the row."""
    more = sorted(unit for unit in units if unit >= full)
    next_ones = sum(1 for i, unit in enumerate(more) if unit == full + i)
    return Side(full + next_ones, tuple(more[next_ones:]))


def _through(op: Op, n: int, m: int, end: int, side: Side) -> Side:
    """Return the units of an operation that read past an end of `n` rows, or a touched row there."""

    def nearest(unit: int) -> int:
        """Return the row nearest to the end that a unit reads, both counted from there."""
        row: int = rows_of(op, n, m, m - 1 - unit if end else unit)[end]
        row = min(max(row, 0), n - 1) if isinstance(op, Blocks) else row  # a block has fewer rows there
        return n - 1 - row if end else row

    rate, first = rate_of(op, n, m), nearest(0)
    if not rate:
        return Side(m if first < side.depth else 0)
    if isinstance(op, Window) and not side.more:
        return Side(max(0, -((first - side.full) // op.stride)))
    slack = SLACK + (op.size if isinstance(op, Blocks) else 0)
    several = min(max(1, ceil((side.depth - first + slack) / rate) + SLACK), MOST_UNITS)
    units = np.arange(several)
    rows, real = real_rows_of(op, n, m, m - 1 - units if end else units)
    rows = rows.clip(0, n - 1) if isinstance(op, Blocks) else rows
    rows = n - 1 - rows if end else rows
    hit = (((rows < side.full) | np.isin(rows, side.more)) & real).any(axis=0)
    return _side(0, np.flatnonzero(hit).tolist())
