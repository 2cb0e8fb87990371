"""Reaches that repeat too late, or never: the units of a map followed one by one.

The first row that a unit sees is the first that any of the units sees which it reads; where no unit sees less far back
than the one before it, that is the first of them, and likewise at the other end. So it is noted from the last layer to
the first which units are asked for, for either end, and from the first to the last how far these see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Adaptive, taps_of
from padviz.axis.receptive_interval import all_rows_of, is_wavy, rate_of, rows_of
from padviz.errors import SizeError
from padviz.geometry.reaching.reach import Reach, parted, whole
from padviz.network.network import Network

MOST_UNITS = 1 << 23  # of all layers together
Units = NDArray[Any]
Ends = tuple[Units, Units]  # of the first rows, and of the last


class Slope(NamedTuple):
    """How a reach advances: by `rate` rows with each unit, in the long run."""

    rate: Fraction
    whole: bool = False
    wavy: bool = False
    uneven: bool = False


class Axis(NamedTuple):
    """A network on one axis, with the sizes of its layers, and the slopes of their reaches."""

    network: Network
    axis: int
    sizes: Sequence[int]
    slopes: list[Slope]


def by_positions(network: Network, axis: int, sizes: Sequence[int]) -> tuple[Reach, ...]:
    """The reach of every layer, at these sizes, of the units of its map.

    Raises
    ------
    SizeError
        Naming a layer, where the maps have too many units for that.

    Examples
    --------
    >>> import padviz
    >>> from padviz.network.sizes import sizes_of
    >>> vgg = padviz.load("vgg11")
    >>> by_positions(vgg, 0, sizes_of(vgg, 0, 64))[1].seen[:2].tolist()
    [[-1, 1], [0, 2]]
    """
    on = Axis(network, axis, sizes, [Slope(Fraction(1))])
    for i in range(1, len(sizes)):
        on.slopes.append(_slope(on, i))
    asked, found = _asked(on), [_reach(on, 0, (np.arange(sizes[0]),) * 2, (np.arange(sizes[0]),) * 2)]
    seen = [asked[0]]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = [found[j] for j in layer.inputs]
        if on.slopes[i].whole:
            alone = layer.ops[axis] is None and len(entering) == 1
            found.append(entering[0] if alone else whole(entering, sizes[layer.inputs[0]], sizes[0]))
            seen.append(asked[i])
            continue
        branches = [_through(on, i, j, asked, seen[j]) for j in layer.inputs]
        lows, highs = zip(*branches, strict=True)
        seen.append((np.minimum.reduce(lows), np.maximum.reduce(highs)))
        parts_at = parted(entering) or (None if _centred_alike(on, i, asked[i], branches) else layer.name)
        found.append(replace(_reach(on, i, asked[i], seen[i]), parts_at=parts_at))
    return tuple(found)


def _slope(on: Axis, i: int) -> Slope:
    layer, sizes = on.network.layers[i], on.sizes
    op, entering = layer.ops[on.axis], [on.slopes[j] for j in layer.inputs]
    if isinstance(op, Adaptive) or any(each.whole for each in entering):
        return Slope(Fraction(0), whole=True)
    rate = max(each.rate for each in entering)
    uneven = any(each.uneven or each.rate != rate for each in entering)
    wavy = any(each.wavy for each in entering)
    if op is None:
        return Slope(rate, wavy=wavy, uneven=uneven)
    return Slope(rate * rate_of(op, sizes[layer.inputs[0]], sizes[i]), wavy=wavy or is_wavy(op), uneven=uneven)


def _asked(on: Axis) -> list[Ends]:
    """Of every layer the units, in order, of which it must be known how far they see: to the front, and to the end.

    These are all units of its map, and those that later layers read.
    """
    wanted: list[tuple[list[Units], list[Units]]] = [([], []) for _ in on.sizes]
    kept = 0
    _check(on, max(range(len(on.sizes)), key=on.sizes.__getitem__), 2 * sum(on.sizes))
    for i in reversed(range(len(on.sizes))):
        layer, m = on.network.layers[i], on.sizes[i]
        _check(on, i, kept + m)
        for each in wanted[i]:
            each.append(np.arange(m))
        units = [_in_order(each) for each in wanted[i]]
        kept += sum(map(len, units))
        _check(on, i, kept)
        wanted[i] = [units[0]], [units[1]]
        for j in () if on.slopes[i].whole else layer.inputs:
            for end in (0, 1):
                wanted[j][end].append(_rows(on, i, end, units[end]).ravel())
    return [(first[0], last[0]) for first, last in wanted]


def _in_order(parts: Sequence[Units]) -> Units:
    """The distinct units of several arrays, by sorting them: np.unique hashes, which takes 50 times as long."""
    units: Units = np.sort(np.concatenate(parts))
    new: Units = np.append(True, units[1:] != units[:-1])
    return units[new]


def _rows(on: Axis, i: int, end: int, units: Units) -> Units:
    """The units of the layer before that settle how far `units` of a layer see to one end: an array (rows, units)."""
    layer = on.network.layers[i]
    op, n = layer.ops[on.axis], on.sizes[layer.inputs[0]]
    if op is None:
        return units[None]
    if not on.slopes[layer.inputs[0]].wavy:
        rows: Units = rows_of(op, n, on.sizes[i], units)[end][None]
        return rows
    _check(on, i, len(units) * taps_of(op))
    return all_rows_of(op, n, on.sizes[i], units)


def _check(on: Axis, i: int, units: int) -> None:
    """Refuse a network with too many units to be followed one by one, before they are."""
    if units > MOST_UNITS:
        what = f"its receptive fields do not repeat in a map of {on.sizes[i]} units, and are too many to follow"
        where = f"{on.network.name}, {on.network.layers[i].name}"
        raise SizeError(what, where=where, hint="use a scale of small numbers, such as 4/3, or name earlier layers")


def _through(on: Axis, i: int, j: int, asked: Sequence[Ends], seen: Ends) -> Ends:
    """How far the units asked for of layer `i` see through the layer `j` that it reads, to both ends."""
    low, high = (
        rows[np.searchsorted(units, _rows(on, i, end, asked[i][end]))]
        for end, (units, rows) in enumerate(zip(asked[j], seen, strict=True))
    )
    return low.min(axis=0), high.max(axis=0)


def _own(on: Axis, i: int, asked: Ends, seen: Ends) -> Ends:
    """Of the units asked for those of the map itself."""
    low, high = (rows[np.searchsorted(units, 0) :][: on.sizes[i]] for units, rows in zip(asked, seen, strict=True))
    return low, high


def _centred_alike(on: Axis, i: int, asked: Ends, branches: Sequence[Ends]) -> bool:
    """Whether in each unit of the map all branches have one centre, and the centres of units are evenly apart."""
    rows, units = on.slopes[i].rate.as_integer_ratio()
    sums = [np.add(*_own(on, i, asked, branch)) for branch in branches]
    even = sums[0][0] * units + 2 * np.arange(on.sizes[i]).astype(object) * rows
    return not on.slopes[i].uneven and all((each.astype(object) * units == even).all() for each in sums)


def _reach(on: Axis, i: int, asked: Ends, seen: Ends) -> Reach:
    low, high = _own(on, i, asked, seen)
    slope = on.slopes[i]
    size = int((high - low).max()) + 1
    return Reach(np.stack([low, high], 1), slope.rate, size, uneven_strides=slope.uneven)
