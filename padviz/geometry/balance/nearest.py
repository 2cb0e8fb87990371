"""The balanced sizes next to one, what they cost, and the window that prevents any."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.geometry.balance.by_size import Flags, confirmed, expected, verdict_on
from padviz.geometry.costs import costs
from padviz.network.layer import WINDOWS
from padviz.network.network import LARGEST, Network, Size
from padviz.network.sizes import on_each, sizes_of_each

MOST_TRIED = 3  # sizes on each side, at which a module or a file is read
REACH = 1024  # how far from the size asked about a balanced one is looked for


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A balanced size near the one asked about, its multiply-adds, and what they are relative to that.

    Where channels are not known, they are None; `work`, window positions summed over layers and relative, always is.

    `remainder` says whether a layer leaves rows or columns unread at it.

    >>> import padviz
    >>> above = nearest_balanced(padviz.load("resnet50"), (224, 224))[1]
    >>> above.size, above.macs, round(above.macs_ratio, 3), round(above.work, 3)
    ((225, 225), 4624665792, 1.132, 1.047)
    """

    size: Size
    work: float
    remainder: bool = False
    macs: int | None = None
    macs_ratio: float | None = None


def nearest_balanced(
    network: Network, size: Size, macs: int | None = None
) -> tuple[Suggestion | None, Suggestion | None]:
    """Find the balanced sizes next below and above `size`; a side that is balanced stays, unless both are.

    `macs` are the multiply-adds at `size`, where they are counted already.

    A module or a file is read at what is found, and the next is tried where it is uneven there.

    Sizes without remainders come first. None is below half of the size or above twice, unless none between is balanced.

    >>> import padviz
    >>> below, above = nearest_balanced(padviz.load("resnet50"), (224, 224))
    >>> below.size, above.size
    ((193, 193), (225, 225))
    >>> [found and found.size for found in nearest_balanced(padviz.load("resnet50"), (32, 32))]
    [None, (33, 33)]
    """
    sides = on_each(_options, expected(network), size)
    move = all(side.stays for side in sides)
    found: list[Suggestion | None] = []
    before: _Work | None = None
    for below in (True, False):
        suggestion = None
        for k in range(MOST_TRIED):
            ranked = [[side.here] if side.stays and not move else side.below if below else side.above for side in sides]
            if not all(ranked) or k >= max(map(len, ranked)):
                break
            chosen = [each[min(k, len(each) - 1)] for each in ranked]
            there = tuple(each.n for each in chosen)
            read = confirmed(network, there, range(len(there))) if network.again else network
            if read is not None:
                before = before or _work(network, size, macs)
                remainder = any(each.remainder for each in chosen)
                suggestion = _suggested(there, _work(read, there), before, remainder)
                break
        found.append(suggestion)
    return found[0], found[1]


def odd_window(network: Network, size: Size) -> str | None:
    """Where no size is balanced: a window that reads an odd number of padded rows at each, which no pads can halve.

    A window of m units reads (m - 1) s + e - n rows of padding in all, as long as it has no gaps.

    >>> from padviz.sources.toml.build import parse
    >>> steps = [{"op": "conv", "name": "c", "kernel": 2, "padding": [[1, 0], [1, 0]]}]
    >>> odd_window(parse({"layers": steps}, "never"), (9, 9))
    'c'
    """
    if network.again is not None:
        return None  # what its windows do at other sizes is not known
    found: list[str] = []
    for axis, n in enumerate(size):
        runs, even, _, odd = verdict_on(network, axis, _around(n))
        if runs.any() and not (runs & even).any():
            found += [name for name, flags in odd.items() if flags[runs].all()]
    return min(found, key=network.index.__getitem__, default=None)


class _Option(NamedTuple):
    """A size of one side, and whether rows are left unread at it."""

    n: int
    remainder: bool


class _Options(NamedTuple):
    """What one side may be: as it is, smaller, larger; the nearest first."""

    here: _Option
    stays: bool
    below: list[_Option]
    above: list[_Option]


def _options(network: Network, axis: int, n: int) -> _Options:
    """Find the options of one side."""
    sizes = _around(n)
    verdict = verdict_on(network, axis, sizes)
    even = verdict.runs & verdict.even
    near, others = (2 * sizes >= n) & (sizes <= 2 * n), sizes != n
    if (even & near & others).any():
        even &= near
    best = (even & verdict.whole, even)

    def nearest(where: Flags) -> list[_Option]:
        ranked = [n_ for flags in best for n_ in sorted(sizes[flags & where].tolist(), key=lambda each: abs(each - n))]
        return [_Option(there, not verdict.whole[there - sizes[0]]) for there in dict.fromkeys(ranked)][:MOST_TRIED]

    here = n - int(sizes[0])
    stays = best[0][here] or (best[1][here] and not best[0].any())
    below, above = nearest(sizes < n), nearest(sizes > n)
    return _Options(_Option(n, not verdict.whole[here]), bool(stays), below, above)


def _around(n: int) -> NDArray[np.int64]:
    return np.arange(max(1, n - REACH), min(n + REACH, LARGEST) + 1)


class _Work(NamedTuple):
    """Window positions, summed over layers, which are the work as far as it is known without channels; and macs."""

    positions: int
    macs: int | None


def _work(network: Network, size: Size, macs: int | None = None) -> _Work:
    sizes = sizes_of_each(network, size)
    windows = [i for i, layer in enumerate(network.layers) if layer.kind in WINDOWS]
    return _Work(sum(prod(rows[i] for rows in sizes) for i in windows), macs or costs(network, size).macs)


def _suggested(size: Size, work: _Work, before: _Work, remainder: bool) -> Suggestion:
    ratio = work.macs / before.macs if work.macs and before.macs else None
    return Suggestion(size, work.positions / (before.positions or 1), remainder, work.macs, ratio)
