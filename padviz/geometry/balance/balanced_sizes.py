"""Balanced sizes, at which no window reads its padding unevenly: which of many are, and the nearest
to one.

Many sizes of an axis are examined at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from padviz.errors import PadvizError
from padviz.geometry.costs import costs
from padviz.geometry.ledger import axis_padding
from padviz.network.layer import WINDOWS
from padviz.network.network import LARGEST, Network, Size
from padviz.network.operations import Window, placement
from padviz.network.rewrites import circular_axes, padded_windows, with_pads_merged, with_same
from padviz.network.sizes import REACH, Flags, Sizes, at_many_sizes, on_each, sizes_of_each

MOST_TRIED = 3  # sizes next to one on each side, at which a module or a file is read


class Balance(NamedTuple):
    """Flags of each size: the network takes it; no layer is uneven; none has a remainder, or jumps
    as an axis wraps.
    """

    runs: Flags
    even: Flags
    whole: Flags


def guesses(network: Network) -> list[Network]:
    """Guess a network at other sizes from the one that it was read at; each guess must be confirmed
    by reading it.

    Strided windows that pad one side more than the other may have SAME padding, which depends on
    the size, or not.
    """
    if network.again is None:
        return [network]
    for layer in padded_windows(network):
        for op in layer.ops:
            if not isinstance(op, Window) or op.stride == 1 or isinstance(op.padding, str):
                continue
            if op.padding[0] != op.padding[1]:
                return [network, with_same(with_pads_merged(network))]
    return [network]


def read_if_even(network: Network, size: Size, axes: Sequence[int]) -> Network | None:
    """Return the network at a size; None if it does not take that size, or a layer is uneven on one
    of the axes.
    """
    try:
        there = network.at(size)
        balances = [balance_on(there, axis, np.array([size[axis]])) for axis in axes]
    except PadvizError:
        return None
    if all(balance.runs[0] and balance.even[0] for balance in balances):
        return there
    return None


def balance_on(network: Network, axis: int, sizes: Sizes) -> Balance:
    """Examine the windows of a network at each of many sizes of one axis."""
    arrays, rows, runs = at_many_sizes(network, axis, sizes)
    wraps = circular_axes(network)[axis]
    even, whole = np.ones(sizes.shape, bool), np.ones(sizes.shape, bool)
    examined: set[tuple[Window, int]] = set()
    for layer in padded_windows(network):
        window, entering = layer.ops[axis], rows[layer.inputs[0]]
        if isinstance(window, Window) and (window, entering) not in examined:
            examined.add((window, entering))
            evenly, wholly = _even_and_whole(window, arrays[entering], wraps)
            even, whole = even & evenly, whole & wholly
    return Balance(runs, even, whole)


def _even_and_whole(window: Window, n: Sizes, wraps: bool) -> tuple[Flags, Flags]:
    """Flag the sizes of its input at which a window reads evenly, and at which it leaves no
    remainder.

    Both depend only on the padding, on the rows left over, and, for few units, on their number: one
    size of each such class is examined. Sizes that leave no unit count as even and whole.
    """
    even, whole = np.ones(n.shape, bool), np.ones(n.shape, bool)
    fits = np.flatnonzero(placement(window, n).n_out >= 1)
    if not fits.size:
        return even, whole
    n = n[fits]
    before, after, m = placement(window, n)
    left_over = n + before + after - window.extent - (m - 1) * window.stride
    near_units = np.minimum(
        m, 4 + 3 * window.extent // window.stride + np.max(before) + np.max(after)
    )
    classes = np.zeros(n.shape, dtype=np.int64)  # one number for each combination
    for part in (before, after, left_over, near_units):
        low = np.min(part)
        classes = classes * (np.max(part) - low + 1) + part - low
    _, first, kind = np.unique(classes, return_index=True, return_inverse=True)
    rows = [axis_padding(window, int(n[i]), wraps) for i in first]
    even[fits] = np.array([not row.uneven for row in rows])[kind]
    whole[fits] = np.array([not (row.remainder or row.jumps) for row in rows])[kind]
    return even, whole


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A balanced size, and its costs relative to those of the size that it is near to.

    `work` is the ratio of window positions, summed over layers. Multiply-adds are None where
    channels are not known. `remainder` is whether a layer leaves rows or columns unread.
    """

    size: Size
    work: float
    remainder: bool = False
    macs: int | None = None
    macs_ratio: float | None = None


def nearest_balanced(
    network: Network, size: Size, macs: int | None = None
) -> tuple[Suggestion | None, Suggestion | None]:
    """Return the balanced sizes next below and above `size`; a side that is balanced stays, unless
    both are.

    Sizes without remainders come first; sizes below half of `size` or above twice only if none
    between is balanced. A module or a file is read at each size, and the next is tried where it is
    uneven there. `macs` are the known multiply-adds at `size`.

    >>> import padviz
    >>> below, above = nearest_balanced(padviz.load("resnet50"), (224, 224))
    >>> below.size, above.size
    ((193, 193), (225, 225))
    >>> [found and found.size for found in nearest_balanced(padviz.load("resnet50"), (32, 32))]
    [None, (33, 33)]
    """
    sides = on_each(_side, network, size)
    move = all(side.stays for side in sides)
    below, above = [], []
    for side in sides:
        stays = None
        if side.stays and not move:
            stays = [side.n]
        below.append(stays or side.below)
        above.append(stays or side.above)
    today = network, size, macs
    return _suggestion(*today, below, sides), _suggestion(*today, above, sides)


def _suggestion(
    network: Network,
    size: Size,
    macs: int | None,
    ranked: Sequence[Sequence[int]],
    sides: Sequence[_Side],
) -> Suggestion | None:
    """Return the first of some sizes, ranked on each axis, at which a network is even when it is
    read.
    """
    if not all(ranked):
        return None
    for k in range(max(map(len, ranked))):
        there = tuple([sizes[min(k, len(sizes) - 1)] for sizes in ranked])
        read: Network | None = network
        if network.again:
            read = read_if_even(network, there, range(len(there)))
        if read is None:
            continue
        macs_there, macs_today = costs(read, there).macs, macs or costs(network, size).macs
        ratio = None
        if macs_there and macs_today:
            ratio = macs_there / macs_today
        remainder = any(n not in side.whole for n, side in zip(there, sides, strict=True))
        work = _positions(read, there) / (_positions(network, size) or 1)
        return Suggestion(there, work, remainder, macs_there, ratio)
    return None


def odd_window(network: Network, size: Size) -> str | None:
    """Return the first window that reads an odd number of padded rows at every size, if any.

    A window of m units without gaps reads (m - 1) s + e - n rows of padding in all.
    """
    if network.again is not None:
        return None  # its windows at other sizes are not known
    names: list[str] = []
    for axis, n in enumerate(size):
        sizes = _around(n)
        runs, even, _ = balance_on(network, axis, sizes)
        if not runs.any() or (runs & even).any():
            continue
        arrays, rows, _ = at_many_sizes(network, axis, sizes)
        for layer in padded_windows(network):
            op = layer.ops[axis]
            if isinstance(op, Window) and reads_odd(op, arrays[rows[layer.inputs[0]]])[runs].all():
                names.append(layer.name)
    return min(names, key=network.index.__getitem__, default=None)


def reads_odd(window: Window, n: Sizes) -> Flags:
    """Flag the sizes at which a window without gaps reads an odd number of padded rows in all."""
    if window.dilation > 1 or window.stride > window.kernel:
        return np.zeros(n.shape, dtype=bool)
    rows = (placement(window, n).n_out - 1) * window.stride + window.extent - n
    odd: Flags = (rows > 0) & (rows % 2 == 1)
    return odd


class _Side(NamedTuple):
    """One side of `n` pixels: balanced sizes below and above, the nearest first; `whole` ones leave
    no remainder.
    """

    n: int
    stays: bool
    below: list[int]
    above: list[int]
    whole: frozenset[int]


def _side(network: Network, axis: int, n: int) -> _Side:
    sizes = _around(n)
    balances = [balance_on(guess, axis, sizes) for guess in guesses(network)]
    even = np.logical_or.reduce([balance.runs & balance.even for balance in balances])
    all_read = np.logical_or.reduce(
        [balance.runs & balance.even & balance.whole for balance in balances]
    )
    near = (2 * sizes >= n) & (sizes <= 2 * n)
    if (even & near & (sizes != n)).any():
        even &= near
    best = even & all_read

    def nearest(where: Flags) -> list[int]:
        ranked = []
        for flags in (best, even):
            ranked += sorted(sizes[flags & where].tolist(), key=lambda m: abs(m - n))
        return [*dict.fromkeys(ranked)][:MOST_TRIED]

    here = n - int(sizes[0])
    stays = bool(best[here] or (even[here] and not best.any()))
    whole = frozenset(sizes[all_read].tolist())
    return _Side(n, stays, nearest(sizes < n), nearest(sizes > n), whole)


def _around(n: int) -> Sizes:
    return np.arange(max(1, n - REACH), min(n + REACH, LARGEST) + 1)


def _positions(network: Network, size: Size) -> int:
    """Return the window positions summed over layers, a measure that needs no channels."""
    sizes = sizes_of_each(network, size)
    windows = [i for i, layer in enumerate(network.layers) if layer.kind in WINDOWS]
    return sum(prod(rows[i] for rows in sizes) for i in windows)
