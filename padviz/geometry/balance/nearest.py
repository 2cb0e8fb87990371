"""The balanced sizes nearest to one, their costs, and the window that prevents any."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from padviz.geometry.balance.balanced_sizes import balance_on, extrapolated, read_if_even
from padviz.geometry.costs import costs
from padviz.network.layer import WINDOWS
from padviz.network.network import LARGEST, Network, Size
from padviz.network.operations import Window, placement
from padviz.network.rewrites import padded_windows
from padviz.network.sizes import Flags, Sizes, at_many_sizes, on_each, sizes_of_each

MOST_TRIED = 3  # sizes on each side, at which a module or a file is read
REACH = 1024  # greatest distance of a balanced size


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
    sides = on_each(_side, extrapolated(network), size)
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
    balance = balance_on(network, axis, sizes)
    even = balance.runs & balance.even
    near = (2 * sizes >= n) & (sizes <= 2 * n)
    if (even & near & (sizes != n)).any():
        even &= near
    best = even & balance.whole

    def nearest(where: Flags) -> list[int]:
        ranked = [m for flags in (best, even) for m in sorted(sizes[flags & where].tolist(), key=lambda m: abs(m - n))]
        return [*dict.fromkeys(ranked)][:MOST_TRIED]

    here = n - int(sizes[0])
    stays = bool(best[here] or (even[here] and not best.any()))
    whole = frozenset(sizes[balance.whole].tolist())
    return _Side(n, stays, nearest(sizes < n), nearest(sizes > n), whole)


def _around(n: int) -> Sizes:
    return np.arange(max(1, n - REACH), min(n + REACH, LARGEST) + 1)


def _work(network: Network, size: Size, macs: int | None = None) -> tuple[int, int | None]:
    """Return window positions summed over layers, a measure that needs no channels; and multiply-adds."""
    sizes = sizes_of_each(network, size)
    windows = [i for i, layer in enumerate(network.layers) if layer.kind in WINDOWS]
    return sum(prod(rows[i] for rows in sizes) for i in windows), macs or costs(network, size).macs
