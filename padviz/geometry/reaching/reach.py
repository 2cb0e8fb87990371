"""The input rows that the units of a layer see on one axis.

The first row that a unit sees is the first row seen by any unit that it reads. Where no unit sees
less far back than the one before it, the first unit that it reads decides, and likewise at the
other end. So a walk from the last layer to the first lists which units are read, and a walk from
the first to the last how far they see. Where this repeats, one period is followed, at any size;
where it repeats too late, or never, all units of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import SizeError
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Blocks, Op, taps_of
from padviz.network.reads import all_rows_of, is_wavy, rate_of, rows_of
from padviz.network.sizes import sizes_of

Interval = tuple[int, int]
MOST_PERIOD = 1 << 12  # units that are followed one by one, of a map that has fewer
MOST_UNITS = 1 << 23  # followed one by one, of all layers together
BOTH = np.arange(2)[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The input rows, first and last, that a layer's units see on an endless axis.

    `seen` has those of units 0 .. period - 1, and unit j + period sees those `stride` x period
    further on; where units are followed one by one, it has those of all units of the map. `size` is
    the most rows that a unit of the map sees.

    >>> Reach([(-1, 1)], Fraction(2), 3).interval(3)
    (5, 7)
    """

    seen: Sequence[Interval] | NDArray[np.int64]
    stride: Fraction
    size: int
    whole: bool = False
    uneven_strides: bool = False

    def interval(self, unit: int) -> Interval:
        """Return the rows that a unit sees."""
        turns, phase = divmod(unit, len(self.seen))
        low, high = (int(row) for row in self.seen[phase])
        advance = int(turns * len(self.seen) * self.stride)
        return low + advance, high + advance

    def mean_centre(self, m: int) -> Fraction:
        """Return the mean centre of the first `m` units."""
        turns, rest = divmod(m, len(self.seen))
        ends = int(np.sum(self.seen[:rest])) + (turns and turns * int(np.sum(self.seen)))
        further = turns * (turns - 1) * len(self.seen) + 2 * turns * rest
        return (ends + further * len(self.seen) * self.stride) / Fraction(2 * m)

    @property
    def line(self) -> tuple[Fraction, Fraction]:
        """The straight line of the centres: rows per unit, and its value at unit 0."""
        period = len(self.seen)
        return self.stride, self.mean_centre(period) - self.stride * (period - 1) / 2

    def on_the_line(self, m: int) -> bool:
        """Whether the centres of the first `m` units are evenly spaced, as those of upsampled units
        are not.
        """
        ends = np.sum(self.seen[:m], axis=1).astype(object)
        rows, units = self.stride.as_integer_ratio()
        return bool(((ends - ends[0]) * units == 2 * np.arange(len(ends)) * rows).all())


def _whole_reach(reaches: Sequence[Reach], n: int, image: int) -> Reach:
    """Return the reach of a layer whose every unit sees all that layers of `n` units see of an
    `image` of rows.
    """
    lows, highs = [], []
    for reach in reaches:
        for unit in range(min(n, len(reach.seen))):
            lows.append(reach.interval(unit)[0])
            highs.append(reach.interval(n - 1 - unit)[1])
    return Reach([(min(lows), max(highs))], Fraction(0), image, whole=True)


class Slope(NamedTuple):
    """The long-run advance of a reach: `rate` rows with each unit; it repeats after `period` units,
    or never if 0.
    """

    rate: Fraction
    period: int = 0
    whole: bool = False
    wavy: bool = False
    uneven: bool = False


def _slope(op: Op | None, entering: Sequence[Slope], n: int, m: int) -> Slope:
    """Return the slope of an operation or a merge of `m` units; too late a repeat is none.

    It is `wavy` if a unit may see less far to one side than the unit before it, as with cubic
    interpolation, where a unit on a row reads that row alone.
    """
    if isinstance(op, Adaptive) or any(slope.whole for slope in entering):
        return Slope(Fraction(0), 1, whole=True)
    rate = max(slope.rate for slope in entering)
    wavy = any(slope.wavy for slope in entering)
    uneven = any(slope.uneven or slope.rate != rate for slope in entering)
    step, block = Fraction(1), 1
    if op is not None:
        step = rate_of(op, n, m)
        wavy |= is_wavy(op)
    if isinstance(op, Blocks):
        block = op.size if op.is_local else 0  # rows far apart in one block: no period
    # After so many rows all branches repeat, and the operation does after units of a whole step; 0
    # if one is 0.
    period = 0
    if step and not uneven:
        rows = lcm(step.numerator, *(slope.period for slope in entering))
        period = lcm(rows // step.numerator * step.denominator, block)
    if period > max(MOST_PERIOD, m):
        period = 0
    return Slope(rate * step, period, wavy=wavy, uneven=uneven)


@lru_cache(8)  # several analyses of one network follow each other
def reaches_of(network: Network, axis: int, n: int) -> tuple[Reach, ...]:
    """Return the reach of every layer on an axis of `n` rows: of one period, or of all units if it
    has none.

    Raises SizeError naming a layer, if the maps have too many units for that.
    """
    layers, sizes, slopes = network.layers, sizes_of(network, axis, n), [Slope(Fraction(1), 1)]
    for i, layer in enumerate(layers[1:], start=1):
        slopes.append(
            _slope(
                layer.ops[axis], [slopes[j] for j in layer.inputs], sizes[layer.inputs[0]], sizes[i]
            )
        )
    spans, reads = _units_read(network, axis, sizes, slopes)

    advances = [int(slope.period * slope.rate) for slope in slopes]
    seen = [np.zeros((2, 1), np.int64)]  # of the units in `spans`, the first and the last row
    reached = [Reach(seen[0].T, Fraction(1), 1)]
    for i, layer in enumerate(layers[1:], start=1):
        slope = slopes[i]
        if slope.whole:
            reached.append(
                _whole_reach([reached[j] for j in layer.inputs], sizes[layer.inputs[0]], n)
            )
            seen.append(seen[0])
            continue
        low, high = [], []
        for j in layer.inputs:
            turns, phase = np.divmod(reads[i] - spans[j][0], seen[j].shape[1])
            rows = seen[j][BOTH, phase] + turns * advances[j]
            # Of wavy inputs all rows that a unit reads are listed, in front: any of them may be
            # decisive.
            rows = rows.reshape(-1, *rows.shape[-2:])
            low.append(rows[:, 0].min(axis=0))
            high.append(rows[:, 1].max(axis=0))
        seen.append(np.array([np.min(low, axis=0), np.max(high, axis=0)]))
        of_map = seen[i][:, -spans[i][0] :][:, : slope.period or sizes[i]]
        size = int((of_map[1] - of_map[0])[: sizes[i]].max()) + 1
        reached.append(Reach(of_map.T, slope.rate, size, uneven_strides=slope.uneven))
    return tuple(reached)


def _units_read(
    network: Network, axis: int, sizes: Sequence[int], slopes: Sequence[Slope]
) -> tuple[list[tuple[int, int]], list[NDArray[np.int64]]]:
    """Return the units of each layer that are followed, first and last, and the rows of its input
    that these read.

    Followed are those of a period, or else those that the map has, or that later layers read.
    """
    spans = [(0, (slope.period or m) - 1) for slope, m in zip(slopes, sizes, strict=True)]
    reads = [np.arange(1)] * len(sizes)
    followed = 0
    for i in reversed(range(1, len(sizes))):
        layer, units = network.layers[i], np.arange(spans[i][0], spans[i][1] + 1)
        op, entering = layer.ops[axis], layer.inputs[0]
        taps = 1
        if slopes[entering].wavy:
            taps = max(taps_of(op), 1)
        followed += len(units) * taps
        if followed > MOST_UNITS:
            what = (
                f"its receptive fields do not repeat in a map of {sizes[i]} units, and are too "
                "many to follow"
            )
            hint = "use a scale of small numbers, such as 4/3, or name earlier layers"
            raise SizeError(what, where=f"{network.name}, {layer.name}", hint=hint)
        if slopes[i].whole:
            continue
        reads[i] = units
        if op is not None and slopes[entering].wavy:
            # (rows, 1, units)
            reads[i] = all_rows_of(op, sizes[entering], sizes[i], units)[:, None]
        elif op is not None:
            reads[i] = np.array(rows_of(op, sizes[entering], sizes[i], units))  # (2, units)
        for j in layer.inputs:
            if not slopes[j].period:
                first, last = spans[j]
                spans[j] = min(first, int(reads[i].min())), max(last, int(reads[i].max()))
    return spans, reads
