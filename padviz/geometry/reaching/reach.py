"""The input rows that the units of a layer see on one axis.

Where they repeat, one period is followed, at any size. Where they repeat too late, or never, the units of a map are
followed one by one: the first row that a unit sees is the first row seen by any unit that it reads. Where no unit sees
less far back than the one before it, the first unit that it reads decides, and likewise at the other end. So a walk
from the last layer to the first lists which units are read, and a walk from the first to the last how far they see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import SizeError
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Blocks, Op, taps_of
from padviz.network.receptive_interval import all_rows_of, is_wavy, rate_of, rows_of

Interval = tuple[int, int]
MOST_PERIOD = 1 << 12  # units that are followed one by one, of a map that has fewer
MOST_KEPT = 1 << 20  # of all layers together
MOST_UNITS = 1 << 23  # followed one by one, of all layers together
UnitRows = NDArray[np.int64]
Ends = tuple[UnitRows, UnitRows]  # of the first rows, and of the last


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The input rows, first and last, that a layer's units see on an endless axis.

    `seen` has those of units 0 .. period - 1, and unit j + period sees those `stride` x period further on; where units
    are followed one by one, it has those of all units of the map. `size` is the most rows that a unit of the map sees.
    A reach is `wavy` if a unit may see less far to one side than the unit before it, as with cubic interpolation, where
    a unit on a row reads that row alone.

    >>> Reach([(-1, 1)], Fraction(2), 3).interval(3)
    (5, 7)
    """

    seen: Sequence[Interval] | NDArray[np.int64]
    stride: Fraction
    size: int
    whole: bool = False
    uneven_strides: bool = False
    wavy: bool = False

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
        """Whether the centres of the first `m` units are evenly spaced, as those of upsampled units are not."""
        ends = np.sum(self.seen[:m], axis=1).astype(object)
        rows, units = self.stride.as_integer_ratio()
        return bool(((ends - ends[0]) * units == 2 * np.arange(len(ends)) * rows).all())


def whole_reach(reaches: Sequence[Reach], n: int, image: int) -> Reach:
    """Return the reach of a layer whose every unit sees all that layers of `n` units see of an `image` of rows."""
    low = min(reach.interval(unit)[0] for reach in reaches for unit in range(min(n, len(reach.seen))))
    high = max(reach.interval(n - 1 - unit)[1] for reach in reaches for unit in range(min(n, len(reach.seen))))
    return Reach([(low, high)], Fraction(0), image, whole=True)


def by_periods(network: Network, axis: int, sizes: Sequence[int]) -> tuple[Reach, ...] | None:
    """Return the reach of every layer at these sizes; None if one repeats too late, or never."""
    reaches, kept = [Reach([(0, 0)], Fraction(1), 1)], 0
    for i, layer in enumerate(network.layers[1:], start=1):
        entering, op = [reaches[j] for j in layer.inputs], layer.ops[axis]
        if len(entering) == 1 and op is None:
            reaches.append(entering[0])
            continue
        if any(reach.whole for reach in entering) or isinstance(op, Adaptive):
            reached: Reach | None = whole_reach(entering, sizes[layer.inputs[0]], sizes[0])
        else:
            reached = _repeating(op, entering, sizes[layer.inputs[0]], sizes[i])
        kept += len(reached.seen) if reached else 0
        if reached is None or kept > MOST_KEPT:
            return None
        reaches.append(reached)
    return tuple(reaches)


def _repeating(op: Op | None, entering: Sequence[Reach], n: int, m: int) -> Reach | None:
    """Return the reach of the `m` units of an operation or a merge; None if it repeats too late, or never."""
    rate = Fraction(1) if op is None else rate_of(op, n, m)
    stride, wavy = entering[0].stride, any(reach.wavy for reach in entering)
    if not rate or any(reach.stride != stride for reach in entering) or (isinstance(op, Blocks) and not op.is_local):
        return None
    rows = lcm(rate.numerator, *(len(reach.seen) for reach in entering))
    period = rows // rate.numerator * rate.denominator
    period = lcm(period, op.size) if isinstance(op, Blocks) else period
    if period > max(MOST_PERIOD, m):
        return None
    seen = []
    firsts, lasts = _reads(op, n, m, wavy, np.arange(period))
    for first, last in zip(firsts.T.tolist(), lasts.T.tolist(), strict=True):
        low = min(reach.interval(row)[0] for reach in entering for row in first)
        seen.append((low, max(reach.interval(row)[1] for reach in entering for row in last)))
    size = max(high - low + 1 for low, high in seen[:m])
    return Reach(seen, stride * rate, size, wavy=wavy or (op is not None and is_wavy(op)))


class Slope(NamedTuple):
    """The long-run advance of a reach: `rate` rows with each unit."""

    rate: Fraction
    whole: bool = False
    wavy: bool = False
    uneven: bool = False


def by_positions(network: Network, axis: int, sizes: Sequence[int]) -> tuple[Reach, ...]:
    """Return the reach of every layer at these sizes.

    Raises SizeError naming a layer, if the maps have too many units for that.
    """
    layers, slopes = network.layers, [Slope(Fraction(1))]
    for i, layer in enumerate(layers[1:], start=1):
        op, entering = layer.ops[axis], [slopes[j] for j in layer.inputs]
        if isinstance(op, Adaptive) or any(slope.whole for slope in entering):
            slopes.append(Slope(Fraction(0), whole=True))
            continue
        rate = max(slope.rate for slope in entering)
        uneven = any(slope.uneven or slope.rate != rate for slope in entering)
        wavy = any(slope.wavy for slope in entering) or (op is not None and is_wavy(op))
        rate = rate if op is None else rate * rate_of(op, sizes[layer.inputs[0]], sizes[i])
        slopes.append(Slope(rate, wavy=wavy, uneven=uneven))

    spans = [(0, m - 1) for m in sizes]  # the first and last unit that the map has, or that later layers read
    reads: list[Ends] = [(np.arange(0), np.arange(0))] * len(sizes)
    followed = 0
    for i in reversed(range(len(sizes))):
        layer, units = layers[i], spans[i][1] + 1 - spans[i][0]
        taps = taps_of(layer.ops[axis]) if i and slopes[layer.inputs[0]].wavy else 1
        followed += units * max(taps, 1)
        if followed > MOST_UNITS:
            what = f"its receptive fields do not repeat in a map of {sizes[i]} units, and are too many to follow"
            hint = "use a scale of small numbers, such as 4/3, or name earlier layers"
            raise SizeError(what, where=f"{network.name}, {layer.name}", hint=hint)
        if i and not slopes[i].whole:
            n, wavy = sizes[layer.inputs[0]], slopes[layer.inputs[0]].wavy
            low, high = reads[i] = _reads(layer.ops[axis], n, sizes[i], wavy, np.arange(spans[i][0], spans[i][1] + 1))
            for j in layer.inputs:
                spans[j] = min(spans[j][0], int(low.min())), max(spans[j][1], int(high.max()))

    pixels = np.arange(spans[0][0], spans[0][1] + 1)
    seen, reaches = [(pixels, pixels)], [_reach(pixels, pixels, spans[0], sizes[0], slopes[0])]
    for i, layer in enumerate(layers[1:], start=1):
        if slopes[i].whole:
            entering_reaches = [reaches[j] for j in layer.inputs]
            alone = layer.ops[axis] is None and len(entering_reaches) == 1
            whole = whole_reach(entering_reaches, sizes[layer.inputs[0]], sizes[0])
            reaches.append(entering_reaches[0] if alone else whole)
            seen.append(reads[i])
            continue
        low, high = (
            pick([seen[j][end][reads[i][end] - spans[j][0]] for j in layer.inputs], axis=(0, 1))
            for end, pick in enumerate((np.min, np.max))
        )
        seen.append((low, high))
        reaches.append(_reach(low, high, spans[i], sizes[i], slopes[i]))
    return tuple(reaches)


def _reads(op: Op | None, n: int, m: int, wavy: bool, units: UnitRows) -> Ends:
    """Return the units before that decide how far `units` see to both ends, each of shape (rows, units)."""
    if op is None:
        return units[None], units[None]
    if wavy:
        rows = all_rows_of(op, n, m, units)
        return rows, rows
    first, last = rows_of(op, n, m, units)
    return first[None], last[None]


def _reach(low: UnitRows, high: UnitRows, span: tuple[int, int], m: int, slope: Slope) -> Reach:
    """Return the reach of the `m` units that a map has."""
    own = slice(-span[0], m - span[0])
    return Reach(
        np.stack([low[own], high[own]], 1), slope.rate, int((high - low)[own].max()) + 1, uneven_strides=slope.uneven
    )
