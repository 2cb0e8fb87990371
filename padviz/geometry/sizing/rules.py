"""Rules of sizes: those that a network accepts, those that do not stretch an output, and balanced ones.

What holds at all sizes of one period of the strides, at the near and the far end and at some in between, is expected
of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import lcm

from padviz.errors import PadvizError
from padviz.geometry.reaching.shifts import alignment_on
from padviz.geometry.sizing.at_size import AtSize, Properties, at_size, together
from padviz.network.network import Network

MOST_RESIDUES = 4  # alternatives of a rule, beyond which its sizes are listed
LATER_STARTS = 8
MOST_READ = 300  # sizes of an axis that are read to find a rule; all of a shorter range are, where it has none
MOST_SMALL = 64  # sizes read before a network counts as built for its own size


@dataclass(frozen=True, slots=True)
class SizeRule:
    """The sizes of one axis, among those asked for, that have a property.

    `rule` says which ones in a few words, as "16*i"; it is None where none was found. `checked` of the sizes were read,
    the others follow from the rule.
    """

    rule: str | None
    sizes: tuple[int, ...]
    checked: int

    @property
    def expected(self) -> int:
        """The number of sizes that follow from the rule and were not read."""
        return len(self.sizes) - self.checked


@dataclass(frozen=True, slots=True)
class AxisSizes:
    """Which sizes of an axis a network accepts, and which of these are unstretched and balanced.

    `no_remainder` sizes are balanced and leave no stride remainder. `read` sizes were read in all. `refusal` is why the
    largest of those that are refused is.
    """

    axis: str
    accepted: SizeRule
    unstretched: SizeRule
    balanced: SizeRule
    no_remainder: SizeRule
    read: int
    refusal: PadvizError | None = None
    unknown: tuple[int, ...] = ()


def sizes_under(rule: str, lo: int, hi: int) -> list[int] | None:
    """List the sizes in lo .. hi that a rule names; None for a text that is no rule.

    >>> sizes_under("16*i + 1", 10, 50), sizes_under("16 * i", 10, 50), sizes_under("some", 10, 50)
    ([17, 33, 49], [16, 32, 48], None)
    """
    found = re.fullmatch(r"([1-9]\d{0,5})\s*\*\s*i(?:\s*\+\s*(\d{1,6}))?", rule)
    if not found:
        return None
    step, rest = int(found[1]), int(found[2] or 0)
    return [n for n in range(lo, hi + 1) if n % step == rest % step]


def axes_depend(network: Network, along: Mapping[str, AxisSizes]) -> bool:
    """Return whether what a network makes of one side depends on another: of sizes that each axis takes by itself."""
    ends = [(found.accepted.sizes[0], found.accepted.sizes[-1]) for found in along.values() if found.accepted.sizes]
    if len(ends) < 2:
        return False
    combined = {tuple(pair[(at + first) % 2] for at, pair in enumerate(ends)) for first in (0, 1)}
    for size in combined:
        together = at_size(network, size)
        for axis, n in enumerate(size):
            alone = (*network.size[:axis], n, *network.size[axis + 1 :])
            if together[axis].properties != at_size(network, alone)[axis].properties:
                return True
    return False


class _Reader:
    """Reads a network at sizes of some axes that vary together, once each; other axes keep the network's own size."""

    def __init__(self, network: Network, axes: Sequence[int], on_read: Callable[[], None]) -> None:
        self.network = network
        self.axes = axes
        self.on_read = on_read
        self.readings: dict[int, AtSize] = {}

    def read(self, n: int) -> Properties:
        if n not in self.readings:
            size = tuple(n if axis in self.axes else side for axis, side in enumerate(self.network.size))
            along = at_size(self.network, size)
            self.readings[n] = together([along[axis] for axis in self.axes])
            self.on_read()
        return self.readings[n].properties

    def alike(self, n: int, other: int) -> bool:
        """Return whether two sizes have the same properties, by the same convolutions and pads before them."""
        same = self.read(n) == self.read(other)
        return same and self.readings[n].windows == self.readings[other].windows


def axis_sizes(
    network: Network, axes: Sequence[int], lo: int, hi: int, among: Container[int], on_read: Callable[[], None]
) -> AxisSizes:
    """Compute which sizes `among` some in lo .. hi a network accepts on axes that vary together."""
    reader = _Reader(network, axes, on_read)
    if lo <= network.size[axes[0]] <= hi:
        reader.read(network.size[axes[0]])
    repeats = _repeats(reader, lo, hi)
    known: dict[int, Properties] = {}
    if repeats is not None:
        start, period, evenly = repeats
        known = {n: period[(n - start) % len(period)] for n in range(lo, hi + 1)}
        # Small sizes may be refused for being small: those before the first period are read if they should be accepted.
        for n in range(lo, start):
            if known[n][0]:
                reader.read(n)
    known |= {n: reading.properties for n, reading in reader.readings.items()}
    rules = []
    for at in range(4):
        follows = repeats is not None and (evenly or at < 2)
        sizes = tuple(n for n in sorted(known) if n in among and known[n][at] and (follows or n in reader.readings))
        rule = f"{sizes[0]} only" if len(sizes) == 1 else None
        if follows and rule is None:
            rule = _rule(
                [properties[at] for properties in period], start, [known[n][at] for n in range(lo, hi + 1)], lo
            )
        rules.append(SizeRule(rule, sizes, sum(n in reader.readings for n in sizes)))
    refused = [reading.refusal for _, reading in sorted(reader.readings.items()) if reading.refusal]
    unknown = tuple(n for n, reading in sorted(reader.readings.items()) if reading.unknown)
    name = network.axes[axes[0]] if len(axes) == 1 else "both"
    accepted, unstretched, balanced, whole = rules
    last_refusal = refused[-1] if refused else None
    return AxisSizes(name, accepted, unstretched, balanced, whole, len(reader.readings), last_refusal, unknown)


def sizes_to_read(network: Network) -> int:
    """Estimate how many sizes are read to find the rules of all axes."""
    return sum(alignment_on(network, axis, n).step + 6 for axis, n in enumerate(network.size))


def _repeats(reader: _Reader, lo: int, hi: int) -> tuple[int, list[Properties], bool] | None:
    """Read the first and the last period of sizes, and some between; return the start of one that repeats, and it.

    Whether it is balanced repeats only if the windows do, which is returned too. A period without accepted sizes counts
    only where no other size is accepted either.
    """
    by_acceptance = None
    own = reader.network.size[reader.axes[0]]
    for start, length in _tried(reader, lo, hi):
        if start + length > hi + 1 or len(reader.readings) + length > MOST_READ:
            continue
        period = [reader.read(n) for n in range(start, start + length)]
        middle = (start + hi) // 2
        expected = [n for n in range(start, hi + 1) if period[(n - start) % length][0]]
        if not expected and any(reading.accepted for reading in reader.readings.values()):
            continue
        # One period at the far end, three accepted sizes on the way there, and the network's own size.
        probes = {*range(hi - length + 1, hi + 1), *expected[1:2], *expected[len(expected) // 2 :][:1], middle}
        probes |= {own} & {*range(start, hi + 1)}
        pairs = [(n, start + (n - start) % length) for n in sorted(probes, reverse=True) if n >= start]
        if all(reader.alike(*pair) for pair in pairs):
            return start, period, True
        if by_acceptance is None and all(reader.read(n)[:2] == reader.read(first)[:2] for n, first in pairs):
            by_acceptance = start, period, False
    if hi - lo < MOST_READ:
        for n in range(lo, hi + 1):
            reader.read(n)
        return None
    return by_acceptance


def _tried(reader: _Reader, lo: int, hi: int) -> Iterator[tuple[int, int]]:
    """Yield the starts and the lengths of periods to try.

    First the period of the strides at the smallest sizes, and later, since a small image may be refused for being
    small. Then, from the network's own size on, multiples of that period. Last, what a network's own checks may set:
    the distance to the next size that it accepts.
    """
    network, axes = reader.network, reader.axes
    own = network.size[axes[0]]
    step = max(alignment_on(network, axis, network.size[axis]).step for axis in axes)
    smallest = range(lo, lo + min(step, MOST_SMALL))
    if not smallest.stop <= own <= hi or any(reader.read(n)[0] for n in smallest):
        yield from ((lo + (2**k - 1) * step, step) for k in range(LATER_STARTS))
    if not lo <= own <= hi:
        return
    above = range(own + 1, min(hi, own + max(step, MOST_SMALL)) + 1)
    below = (own - max(1, step >> k) for k in range(step.bit_length()))
    near = chain(above, (n for n in below if n >= lo))
    gap = next((abs(n - own) for n in near if reader.read(n)[0]), None)
    if gap is not None:
        yield from ((own, length) for length in (step, 2 * step, lcm(step, gap)))


def _rule(period: Sequence[bool], start: int, flags: Sequence[bool], lo: int) -> str | None:
    """Write the sizes that are flagged in lo, lo + 1, ... as a rule, which `period` holds from `start` on.

    >>> _rule([True, False] * 2, 6, [False, True, False, True, False, True], 5)
    '2*i'
    >>> _rule([True, False] * 2, 6, [False] * 3 + [True, False, True], 3)
    '2*i, from 6'
    >>> _rule([True] * 3, 6, [True] * 3, 6), _rule([False] * 3, 6, [False] * 3, 6)
    ('every size', 'no size')
    """
    length = len(period)
    least = next(n for n in range(1, length + 1) if (length % n == 0 and period[n:] == period[:-n]) or n == length)
    fits = [flag == period[(lo + i - start) % length] for i, flag in enumerate(flags)]
    since = len(fits) - fits[::-1].index(False) if False in fits else 0
    first = since + flags[since:].index(True) if True in flags[since:] else since
    if not any(period):
        return None if any(flags) else "no size"
    residues = sorted((start + i) % least for i in range(least) if period[i])
    if len(residues) > MOST_RESIDUES:
        return None
    rule = " or ".join(f"{least}*i + {residue}" if residue else f"{least}*i" for residue in residues)
    rule = "every size" if least == 1 else rule
    if not since:
        return rule
    below = sum(flags[:since])
    return f"{rule}, from {lo + first}" + (f", and {below} below" if below else "")
