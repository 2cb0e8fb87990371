"""Balanced sizes, at which no window reads its padding unevenly: which of many are, and the nearest to one.

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
    """Flags of each size: the network takes it; no layer is uneven; none has a remainder, or jumps as an axis wraps."""

    runs: Flags
    even: Flags
    whole: Flags


def guesses(network: Network) -> list[Network]:
    """Guess a network at other sizes from the one that it was read at; each guess must be confirmed by reading it.

    Strided windows that pad one side more than the other may have SAME padding, which depends on the size, or not.
    """
    ops = [op for layer in padded_windows(network) for op in layer.ops if isinstance(op, Window) and op.stride > 1]
    lopsided = any(not isinstance(op.padding, str) and op.padding[0] != op.padding[1] for op in ops)
    return [network, with_same(with_pads_merged(network))] if network.again and lopsided else [network]


def read_if_even(network: Network, size: Size, axes: Sequence[int]) -> Network | None:
    """Return the network at a size; None if it does not take that size, or a layer is uneven on one of the axes."""
    try:
        there = network.at(size)
        balances = [balance_on(there, axis, np.array([size[axis]])) for axis in axes]
    except PadvizError:
        return None
    return there if all(balance.runs[0] and balance.even[0] for balance in balances) else None


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
    """Flag the sizes of its input at which a window reads evenly, and at which it leaves no remainder.

    Both depend only on the padding, on the rows left over, and, for few units, on their number: one size of each such
    class is examined. Sizes that leave no unit count as even and whole.
    """
    even, whole = np.ones(n.shape, bool), np.ones(n.shape, bool)
    fits = np.flatnonzero(placement(window, n).n_out >= 1)
    if not fits.size:
        return even, whole
    n = n[fits]
    before, after, m = placement(window, n)
    left_over = n + before + after - window.extent - (m - 1) * window.stride
    near_units = np.minimum(m, 4 + 3 * window.extent // window.stride + np.max(before) + np.max(after))
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

    `work` is the ratio of window positions, summed over layers. Multiply-adds are None where channels are not known.
    `remainder` is whether a layer leaves rows or columns unread.
    """

    size: Size
    work: float
    remainder: bool = False
    macs: int | None = None
    macs_ratio: float | None = None


def nearest_balanced(
    network: Network, size: Size, macs: int | None = None
) -> tuple[Suggestion | None, Suggestion | None]:
    """Return the balanced sizes next below and above `size`; a side that is balanced stays, unless both are.

    Sizes without remainders come first; sizes below half of `size` or above twice only if none between is balanced. A
    module or a file is read at each size, and the next is tried where it is uneven there. `macs` are the known
    multiply-adds at `size`.

    >>> import padviz
    >>> below, above = nearest_balanced(padviz.load("resnet50"), (224, 224))
    >>> below.size, above.size
    ((193, 193), (225, 225))
    >>> [found and found.size for found in nearest_balanced(padviz.load("resnet50"), (32, 32))]
    [None, (33, 33)]
    """
    sides = on_each(_side, network, size)
    move = all(side.stays for side in sides)
    found: list[Suggestion | None] = []
    before: tuple[int, int | None] | None = None
    for below in (True, False):
        suggestion = None
        ranked = [[side.n] if side.stays and not move else side.below if below else side.above for side in sides]
        for k in range(max(map(len, ranked)) if all(ranked) else 0):
            there = tuple(each[min(k, len(each) - 1)] for each in ranked)
            read = read_if_even(network, there, range(len(there))) if network.again else network
            if read is not None:
                before = before or _work(network, size, macs)
                positions, macs_there = _work(read, there)
                remainder = any(n not in side.whole for n, side in zip(there, sides, strict=True))
                ratio = macs_there / before[1] if macs_there and before[1] else None
                suggestion = Suggestion(there, positions / (before[0] or 1), remainder, macs_there, ratio)
                break
        found.append(suggestion)
    return found[0], found[1]


def odd_window(network: Network, size: Size) -> str | None:
    """Return the first window that reads an odd number of padded rows at every size, if any.

    A window of m units without gaps reads (m - 1) s + e - n rows of padding in all.
    """
    if network.again is not None:
        return None  # its windows at other sizes are not known
    found: list[str] = []
    for axis, n in enumerate(size):
        runs, even, _ = balance_on(network, axis, sizes := _around(n))
        if runs.any() and not (runs & even).any():
            arrays, rows, _ = at_many_sizes(network, axis, sizes)
            windows = [(layer, op) for layer in padded_windows(network) if isinstance(op := layer.ops[axis], Window)]
            odd = (layer.name for layer, op in windows if reads_odd(op, arrays[rows[layer.inputs[0]]])[runs].all())
            found += [*odd][:1]
    return min(found, key=network.index.__getitem__, default=None)


def reads_odd(window: Window, n: Sizes) -> Flags:
    """Flag the sizes at which a window without gaps reads an odd number of padded rows in all."""
    if window.dilation > 1 or window.stride > window.kernel:
        return np.zeros(n.shape, dtype=bool)
    rows = (placement(window, n).n_out - 1) * window.stride + window.extent - n
    odd: Flags = (rows > 0) & (rows % 2 == 1)
    return odd


class _Side(NamedTuple):
    """One side of `n` pixels: balanced sizes below and above, the nearest first; `whole` ones leave no remainder."""

    n: int
    stays: bool
    below: list[int]
    above: list[int]
    whole: frozenset[int]


def _side(network: Network, axis: int, n: int) -> _Side:
    sizes = _around(n)
    balances = [balance_on(guess, axis, sizes) for guess in guesses(network)]
    even = np.logical_or.reduce([balance.runs & balance.even for balance in balances])
    all_read = np.logical_or.reduce([balance.runs & balance.even & balance.whole for balance in balances])
    near = (2 * sizes >= n) & (sizes <= 2 * n)
    if (even & near & (sizes != n)).any():
        even &= near
    best = even & all_read

    def nearest(where: Flags) -> list[int]:
        ranked = [m for flags in (best, even) for m in sorted(sizes[flags & where].tolist(), key=lambda m: abs(m - n))]
        return [*dict.fromkeys(ranked)][:MOST_TRIED]

    here = n - int(sizes[0])
    stays = bool(best[here] or (even[here] and not best.any()))
    whole = frozenset(sizes[all_read].tolist())
    return _Side(n, stays, nearest(sizes < n), nearest(sizes > n), whole)


def _around(n: int) -> Sizes:
    return np.arange(max(1, n - REACH), min(n + REACH, LARGEST) + 1)


def _work(network: Network, size: Size, macs: int | None = None) -> tuple[int, int | None]:
    """Return window positions summed over layers, a measure that needs no channels; and multiply-adds."""
    sizes = sizes_of_each(network, size)
    windows = [i for i, layer in enumerate(network.layers) if layer.kind in WINDOWS]
    return sum(prod(rows[i] for rows in sizes) for i in windows), macs or costs(network, size).macs
