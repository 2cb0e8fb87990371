"""Balanced sizes, at which no window reads its padding unevenly; many sizes of an axis are examined at once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from padviz.errors import OptionError, PadvizError, SizeError
from padviz.geometry.ledger import axis_padding
from padviz.network.network import LARGEST, Network, Size
from padviz.network.operations import Window, placement
from padviz.network.rewrites import circular_axes, padded_windows, with_pads_merged, with_same
from padviz.network.sizes import Flags, Sizes, at_many_sizes, is_square
from padviz.progress import Progress

MOST_READ = 20  # readings of a network for one list
MOST_RESIDUES = 4  # alternatives of a rule, beyond which nobody would use it


class Balance(NamedTuple):
    """Flags of each size: the network takes it; no layer is uneven; none has a remainder, or jumps as an axis wraps."""

    runs: Flags
    even: Flags
    whole: Flags


def extrapolated(network: Network) -> Network:
    """Guess a network at other sizes from the one that it was read at; each guess must be confirmed by reading it.

    Strided windows that pad one side more than the other are taken for SAME padding.
    """
    ops = [op for layer in padded_windows(network) for op in layer.ops if isinstance(op, Window) and op.stride > 1]
    lopsided = any(not isinstance(op.padding, str) and op.padding[0] != op.padding[1] for op in ops)
    return with_same(with_pads_merged(network)) if network.again and lopsided else network


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
class BalancedSizes:
    """The balanced sizes in lo .. hi: all, those without stride remainders, and the rule they follow if there is one.

    A module or a file is read at each size that is listed, at most at `MOST_READ`; `unread` counts the further sizes
    that its windows suggest. On an axis that wraps every size is balanced; at those without remainders its ends meet
    without a jump in phase.

    >>> import padviz
    >>> padviz.sizes("resnet18", "200:230").balanced
    (225,)
    """

    network: str
    range: tuple[int, int]
    axis: str
    balanced: tuple[int, ...]
    balanced_without_remainder: tuple[int, ...]
    rule: str | None
    rule_without_remainder: str | None
    unread: int = 0


def balanced_sizes(
    network: Network,
    lo: int = 64,
    hi: int = 1024,
    axis: str = "both",
    among: Container[int] | None = None,
    on_read: Progress | None = None,
) -> BalancedSizes:
    """Return every size in lo .. hi at which no layer is uneven: `padviz.sizes`, of a loaded network.

    Only sizes `among` some are listed, but rules hold for all. `on_read` is called with the number of sizes read, and
    of all to read.
    """
    if not 1 <= lo <= hi <= LARGEST:
        raise OptionError(f"{lo}:{hi} is not a range of sizes", option="range", hint=f"use LO:HI within 1:{LARGEST}")
    if axis not in (choices := ("both", *network.axes)):
        raise OptionError(f"axis {axis!r} is not known", option="axis", hint=f"use {', '.join(choices)}")
    sizes = np.arange(lo, hi + 1)
    wanted = range(len(network.axes)) if axis == "both" else [network.axes.index(axis)]
    guess = extrapolated(network)
    balances = [balance_on(guess, at, sizes) for at in wanted[: 1 if is_square(guess) else None]]
    runs, even, whole = (np.logical_and.reduce(flags) for flags in zip(*balances, strict=True))
    if not runs.any():
        raise SizeError(f"takes no size from {lo} to {hi}", where=network.name, hint="try another range")
    flagged = (runs & even, runs & even & whole)
    first = int(np.argmax(runs))  # rules start where the network does
    since = f", from {lo + first}" if first else ""
    rules = [rule_of(flags[first:], lo + first) for flags in flagged]
    listed = [[n for n in sizes[flags].tolist() if among is None or n in among] for flags in flagged]
    unread = 0
    if network.again is not None:
        confirmed, tried = _read(network, listed[0], wanted, on_read)
        rules = rules if confirmed == tried else [None, None]
        unread = len(listed[0]) - len(tried)
        listed = [[n for n in each if n in confirmed] for each in listed]
    rule, strict_rule = (rule and rule + since for rule in rules)
    balanced, without_remainder = map(tuple, listed)
    return BalancedSizes(network.name, (lo, hi), axis, balanced, without_remainder, rule, strict_rule, unread)


def _read(
    network: Network, sizes: Sequence[int], axes: Sequence[int], on_read: Progress | None
) -> tuple[set[int], set[int]]:
    """Read a network at the sizes nearest to its own; return those that are balanced, and all that were read.

    Where all axes are treated alike, one reading at a x b confirms a and b.
    """
    ahead = sorted(sizes, key=lambda n: abs(n - network.size[axes[0]]))
    balanced, tried, reads = set[int](), set[int](), 0
    pairs = len(axes) == 2 == len(network.axes) and is_square(extrapolated(network))
    while ahead and reads < MOST_READ:
        some = ahead[:2] if pairs and len(ahead) > 1 else ahead[:1] * 2
        size = tuple(some) if pairs else tuple(some[0] if i in axes else n for i, n in enumerate(network.size))
        there, reads = read_if_even(network, size, axes), reads + 1
        if len({*some}) > 1 and (there is None or not is_square(extrapolated(there))):
            pairs = False  # each by itself
            continue
        balanced |= {*some} if there is not None else set()
        tried |= {*some}
        ahead = [n for n in ahead if n not in tried]
        if on_read:
            on_read(len(tried), len(sizes))
    return balanced, tried


def rule_of(even: Flags, lo: int) -> str | None:
    """Return the shortest period of the flags of sizes lo, lo + 1, ..., as a rule; it must repeat at least twice."""
    for period in range(1, len(even) // 2 + 1):
        if (even[period:] == even[:-period]).all():
            break
    else:
        return None
    residues = sorted((lo + int(i)) % period for i in np.flatnonzero(even[:period]))
    if period == 1:
        return "every size" if residues else None
    if not 1 <= len(residues) <= MOST_RESIDUES:
        return None
    return " or ".join(f"{period}*i + {residue}" if residue else f"{period}*i" for residue in residues)
