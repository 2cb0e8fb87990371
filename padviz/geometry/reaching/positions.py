"""Reaches that repeat too late, or never: the units of a map followed one by one.

The first row that a unit sees is the first row seen by any unit that it reads; where no unit sees less far back than
the one before it, the first unit that it reads decides, and likewise at the other end. So a walk from the last layer to
the first lists which units are needed, for either end, and a walk from the first to the last computes how far they see.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Adaptive, taps_of
from padviz.axis.receptive_interval import all_rows_of, is_wavy, rate_of, rows_of
from padviz.errors import SizeError
from padviz.geometry.reaching.reach import Reach, whole_reach
from padviz.network.network import Network

MOST_UNITS = 1 << 23  # of all layers together
UnitRows = NDArray[np.int64]
Ends = tuple[UnitRows, UnitRows]  # of the first rows, and of the last


class Slope(NamedTuple):
    """The long-run advance of a reach: `rate` rows with each unit."""

    rate: Fraction
    whole: bool = False
    wavy: bool = False
    uneven: bool = False


class AxisNetwork(NamedTuple):
    """A network on one axis, with the sizes of its layers, and the slopes of their reaches."""

    network: Network
    axis: int
    sizes: Sequence[int]
    slopes: list[Slope]


def by_positions(network: Network, axis: int, sizes: Sequence[int]) -> tuple[Reach, ...]:
    """Return the reach of every layer at these sizes.

    Raises
    ------
    SizeError
        Naming a layer, if the maps have too many units for that.
    """
    net = AxisNetwork(network, axis, sizes, [Slope(Fraction(1))])
    for i in range(1, len(sizes)):
        net.slopes.append(_slope(net, i))
    needed, reaches = _needed(net), [_reach(net, 0, (np.arange(sizes[0]),) * 2, (np.arange(sizes[0]),) * 2)]
    seen = [needed[0]]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = [reaches[j] for j in layer.inputs]
        if net.slopes[i].whole:
            alone = layer.ops[axis] is None and len(entering) == 1
            reaches.append(entering[0] if alone else whole_reach(entering, sizes[layer.inputs[0]], sizes[0]))
            seen.append(needed[i])
            continue
        branches = [_through(net, i, j, needed, seen[j]) for j in layer.inputs]
        lows, highs = zip(*branches, strict=True)
        seen.append((np.minimum.reduce(lows), np.maximum.reduce(highs)))
        reaches.append(_reach(net, i, needed[i], seen[i]))
    return tuple(reaches)


def _slope(net: AxisNetwork, i: int) -> Slope:
    layer, sizes = net.network.layers[i], net.sizes
    op, entering = layer.ops[net.axis], [net.slopes[j] for j in layer.inputs]
    if isinstance(op, Adaptive) or any(slope.whole for slope in entering):
        return Slope(Fraction(0), whole=True)
    rate = max(slope.rate for slope in entering)
    uneven = any(slope.uneven or slope.rate != rate for slope in entering)
    wavy = any(slope.wavy for slope in entering)
    if op is None:
        return Slope(rate, wavy=wavy, uneven=uneven)
    return Slope(rate * rate_of(op, sizes[layer.inputs[0]], sizes[i]), wavy=wavy or is_wavy(op), uneven=uneven)


def _needed(net: AxisNetwork) -> list[Ends]:
    """Return the units of every layer whose first rows, and whose last rows, are needed, in order.

    These are all units of its map, and those that later layers read.
    """
    wanted: list[tuple[list[UnitRows], list[UnitRows]]] = [([], []) for _ in net.sizes]
    kept = 0
    _check(net, max(range(len(net.sizes)), key=net.sizes.__getitem__), 2 * sum(net.sizes))
    for i in reversed(range(len(net.sizes))):
        layer, m = net.network.layers[i], net.sizes[i]
        _check(net, i, kept + m)
        for parts in wanted[i]:
            parts.append(np.arange(m))
        units = [_in_order(parts) for parts in wanted[i]]
        kept += sum(map(len, units))
        _check(net, i, kept)
        wanted[i] = [units[0]], [units[1]]
        for j in () if net.slopes[i].whole else layer.inputs:
            for end in (0, 1):
                wanted[j][end].append(_rows(net, i, end, units[end]).ravel())
    return [(first[0], last[0]) for first, last in wanted]


def _in_order(parts: Sequence[UnitRows]) -> UnitRows:
    """Sort the distinct units of several arrays: np.unique hashes, which takes 50 times as long."""
    units: UnitRows = np.sort(np.concatenate(parts))
    new: UnitRows = np.append(True, units[1:] != units[:-1])
    return units[new]


def _rows(net: AxisNetwork, i: int, end: int, units: UnitRows) -> UnitRows:
    """Return the units of the layer before that decide how far `units` see to one end, shape (rows, units)."""
    layer = net.network.layers[i]
    op, n = layer.ops[net.axis], net.sizes[layer.inputs[0]]
    if op is None:
        return units[None]
    if not net.slopes[layer.inputs[0]].wavy:
        rows: UnitRows = rows_of(op, n, net.sizes[i], units)[end][None]
        return rows
    _check(net, i, len(units) * taps_of(op))
    return all_rows_of(op, n, net.sizes[i], units)


def _check(net: AxisNetwork, i: int, units: int) -> None:
    """Reject a network with too many units to follow one by one."""
    if units > MOST_UNITS:
        what = f"its receptive fields do not repeat in a map of {net.sizes[i]} units, and are too many to follow"
        where = f"{net.network.name}, {net.network.layers[i].name}"
        raise SizeError(what, where=where, hint="use a scale of small numbers, such as 4/3, or name earlier layers")


def _through(net: AxisNetwork, i: int, j: int, needed: Sequence[Ends], seen: Ends) -> Ends:
    """Return how far the needed units of layer `i` see through its input `j`, to both ends."""
    low, high = (
        rows[np.searchsorted(units, _rows(net, i, end, needed[i][end]))]
        for end, (units, rows) in enumerate(zip(needed[j], seen, strict=True))
    )
    return low.min(axis=0), high.max(axis=0)


def _reach(net: AxisNetwork, i: int, needed: Ends, seen: Ends) -> Reach:
    """Return the reach of the map's own units."""
    low, high = (rows[np.searchsorted(units, 0) :][: net.sizes[i]] for units, rows in zip(needed, seen, strict=True))
    slope = net.slopes[i]
    size = int((high - low).max()) + 1
    return Reach(np.stack([low, high], 1), slope.rate, size, uneven_strides=slope.uneven)
