"""Rules of sizes: those that a network accepts, those that do not stretch an output, and balanced
ones.

What holds at all sizes of one period of the strides, at the near and the far end and at some in
between, is expected of the rest.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import lcm
from typing import NamedTuple

from padviz.errors import PadvizError
from padviz.geometry.reaching.shifts import alignment_on
from padviz.geometry.sizing.at_size import AtSize, Properties, at_size, together
from padviz.network.network import Network

BALANCED = 2  # the first of the properties that depend on how windows read their padding
MOST_RESIDUES = 4  # alternatives of a rule, beyond which its sizes are listed
LATER_STARTS = 8
# sizes of an axis that are read to find a rule; all of a shorter range are, where it has none
MOST_READ = 300
MOST_SMALL = 64  # sizes read before a network counts as built for its own size
MOST_SHOWN = 128  # small sizes read for a period that no stride explains


@dataclass(frozen=True, slots=True)
class SizeRule:
    """The sizes of one axis, among those asked for, that have a property.

    `rule` says which ones in a few words, as "16*i"; it is None where none was found. `checked` of
    the sizes were read, the others follow from the rule. Of `unknown` sizes, padviz does not know
    whether they have the property.
    """

    rule: str | None
    sizes: tuple[int, ...]
    checked: int
    unknown: tuple[int, ...] = ()

    @property
    def expected(self) -> int:
        """The number of sizes that follow from the rule and were not read."""
        return len(self.sizes) - self.checked


@dataclass(frozen=True, slots=True)
class AxisSizes:
    """Which sizes of an axis a network accepts, and which of these are unstretched and balanced.

    `no_remainder` sizes are balanced and leave no stride remainder. `read` sizes were read in all.
    `refusal` is why the largest of those that are refused is.
    """

    axis: str
    accepted: SizeRule
    unstretched: SizeRule
    balanced: SizeRule
    no_remainder: SizeRule
    read: int
    refusal: PadvizError | None = None


def sizes_under(rule: str, lo: int, hi: int) -> list[int] | None:
    """List the sizes in lo .. hi that a rule names; None for a text that is no rule.

    >>> sizes_under("16*i + 1", 10, 50), sizes_under("16 * i", 10, 50), sizes_under("some", 10, 50)
    ([17, 33, 49], [16, 32, 48], None)
    """
    match = re.fullmatch(r"([1-9]\d{0,5})\s*\*\s*i(?:\s*\+\s*(\d{1,6}))?", rule)
    if not match:
        return None
    step, rest = int(match[1]), int(match[2] or 0)
    return [n for n in range(lo, hi + 1) if n % step == rest % step]


def axes_depend(network: Network, along: Mapping[str, AxisSizes]) -> bool:
    """Return whether what a network makes of one side depends on another: of sizes that each axis
    takes by itself.
    """
    ends = [
        (axis_sizes.accepted.sizes[0], axis_sizes.accepted.sizes[-1])
        for axis_sizes in along.values()
        if axis_sizes.accepted.sizes
    ]
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
    """Reads a network at sizes of some axes that vary together, once each; other axes keep the
    network's own size.
    """

    def __init__(self, network: Network, axes: Sequence[int], on_read: Callable[[], None]) -> None:
        self.network = network
        self.axes = axes
        self.on_read = on_read
        self.readings: dict[int, AtSize] = {}

    def read(self, n: int) -> Properties:
        if n not in self.readings:
            size = tuple(
                n if axis in self.axes else side for axis, side in enumerate(self.network.size)
            )
            along = at_size(self.network, size)
            self.readings[n] = together([along[axis] for axis in self.axes])
            self.on_read()
        return self.readings[n].properties

    def alike(self, n: int, other: int) -> bool:
        """Return whether two sizes have the same properties, by the same convolutions and pads
        before them.
        """
        same = self.read(n) == self.read(other)
        return same and self.readings[n].windows == self.readings[other].windows


class _Known(NamedTuple):
    """What a network makes of a size: `read` there, or else expected, since it is read where the
    period has the same.

    A period may repeat in what is accepted and unstretched, and not in how padding is read.
    """

    there: AtSize
    read: bool


class _Repeats(NamedTuple):
    """A period of sizes, from `start` on, that repeats up to the largest; `evenly` is whether
    balance repeats too.
    """

    start: int
    length: int
    evenly: bool

    @property
    def period(self) -> range:
        return range(self.start, self.start + self.length)

    def alike(self, n: int) -> int:
        """Return the size of the period that a size is like."""
        return self.start + (n - self.start) % self.length


def axis_sizes(
    network: Network,
    axes: Sequence[int],
    lo: int,
    hi: int,
    among: Container[int],
    on_read: Callable[[], None],
) -> AxisSizes:
    """Compute which sizes `among` some in lo .. hi a network accepts on axes that vary together."""
    reader = _Reader(network, axes, on_read)
    if lo <= network.size[axes[0]] <= hi:
        reader.read(network.size[axes[0]])
    repeats = _repeats(reader, lo, hi)
    sizes = range(lo, hi + 1)
    known = _known(reader, repeats, sizes)
    asked = [n for n in sizes if n in among]
    accepted, unstretched = (_size_rule(at, known, repeats, asked) for at in range(BALANCED))
    if repeats is not None and not repeats.evenly:
        repeats = None
    balanced, whole = (_size_rule(at, known, repeats, asked) for at in (BALANCED, BALANCED + 1))
    name = "both"
    if len(axes) == 1:
        name = network.axes[axes[0]]
    refused = max(
        (n for n, there in reader.readings.items() if not there.accepted and not there.unknown),
        default=None,
    )
    refusal = None
    if refused is not None:
        refusal = reader.readings[refused].refusal
    return AxisSizes(name, accepted, unstretched, balanced, whole, len(reader.readings), refusal)


def _known(reader: _Reader, repeats: _Repeats | None, sizes: range) -> dict[int, _Known]:
    """Return what a network makes of each size that was read or follows from a period.

    Of a short range, all sizes are read where no period holds of all properties. So are those of a
    file that declares its size, which takes no time. Of others without a period, those next to the
    network's own size are.
    """
    declared = any(reader.network.declared[axis] for axis in reader.axes if reader.network.declared)
    if declared or (len(sizes) <= MOST_READ and (repeats is None or not repeats.evenly)):
        for n in sizes:
            reader.read(n)
    elif repeats is None:
        _read_outwards(reader, sizes)
    known: dict[int, _Known] = {}
    if repeats is not None:
        known = {n: _Known(reader.readings[repeats.alike(n)], read=False) for n in sizes}
        # Small sizes may be refused for being small: those before the first period are read if they
        # should be accepted.
        for n in range(sizes[0], repeats.start):
            if known[n].there.accepted:
                reader.read(n)
    for n, there in reader.readings.items():
        known[n] = _Known(there, read=True)
    return known


def _read_outwards(reader: _Reader, sizes: range) -> None:
    """Read the sizes on both sides of the network's own, until one is refused."""
    own = reader.network.size[reader.axes[0]]
    for way in (range(own, sizes[0] - 1, -1), range(own, sizes[-1] + 1)):
        for n in way[:MOST_READ]:
            accepted, *_ = reader.read(n)
            if not accepted:
                break


def _size_rule(
    at: int, known: dict[int, _Known], repeats: _Repeats | None, asked: Sequence[int]
) -> SizeRule:
    """Return which of the sizes asked for have one of the four properties, and the rule that they
    follow, if any.

    `repeats` is the period that holds of this property.
    """
    having, unknown, checked = [], [], 0
    for n in asked:
        if n not in known:
            unknown.append(n)
            continue
        size = known[n]
        # A size that was not read has the property that the period has there. Without one, only a
        # refusal is certain.
        is_guess = repeats is None and not size.read and size.there.accepted
        if is_guess or size.there.unknown:
            unknown.append(n)
        elif size.there.properties[at]:
            having.append(n)
            checked += size.read
    rule = None
    if len(having) == 1 and not unknown:
        rule = f"{having[0]} only"
    elif repeats is not None:
        period = [known[n].there.properties[at] for n in repeats.period]
        flags = [known[n].there.properties[at] for n in sorted(known)]
        rule = _rule(period, repeats.start, flags, min(known))
    return SizeRule(rule, tuple(having), checked, tuple(unknown))


def sizes_to_read(network: Network) -> int:
    """Estimate how many sizes are read to find the rules of all axes."""
    return sum(alignment_on(network, axis, n).step + 6 for axis, n in enumerate(network.size))


def _repeats(reader: _Reader, lo: int, hi: int) -> _Repeats | None:
    """Read the first and the last period of sizes, and some between; return the first period that
    repeats.

    Whether it is balanced repeats only if the windows do. A period without accepted sizes counts
    only where no other size is accepted either.
    """
    by_acceptance = None
    for start, length in _tried(reader, lo, hi):
        if start + length > hi + 1 or len(reader.readings) + length > MOST_READ:
            continue
        repeats = _Repeats(start, length, True)
        accepted = [n for n in repeats.period if reader.read(n)[0]]
        if not accepted and any(reading.accepted for reading in reader.readings.values()):
            continue
        pairs = [(n, repeats.alike(n)) for n in _probes(reader, repeats, accepted, hi)]
        if all(reader.alike(*pair) for pair in pairs):
            return repeats
        if by_acceptance is None and all(
            reader.read(n)[:BALANCED] == reader.read(first)[:BALANCED] for n, first in pairs
        ):
            by_acceptance = repeats._replace(evenly=False)
    return by_acceptance


def _probes(reader: _Reader, repeats: _Repeats, accepted: Sequence[int], last: int) -> list[int]:
    """Return the sizes, largest first, at which a period is tried.

    One period at the far end, three sizes that should be accepted on the way there, and the
    network's own size.
    """
    behind = range(repeats.start, last + 1)
    expected = [n for n in behind if repeats.alike(n) in accepted]
    probes = {
        *range(last - repeats.length + 1, last + 1),
        *expected[1:2],
        (repeats.start + last) // 2,
    }
    if expected:
        probes.add(expected[len(expected) // 2])
    side = reader.network.size[reader.axes[0]]
    if side in behind:
        probes.add(side)
    return sorted(probes.intersection(behind), reverse=True)


def _tried(reader: _Reader, lo: int, hi: int) -> Iterator[tuple[int, int]]:
    """Yield the starts and the lengths of periods to try.

    First the period of the strides at the smallest sizes, and later, since a small image may be
    refused for being small. Then, from the network's own size on, multiples of that period, and
    what a network's own checks may set: the distance to the next size that it accepts. Last, the
    period that the smallest sizes show, as those of a network that pads its image to a multiple of
    its own.
    """
    network, axes = reader.network, reader.axes
    side = network.size[axes[0]]
    step = max(alignment_on(network, axis, network.size[axis]).step for axis in axes)
    smallest = range(lo, lo + min(step, MOST_SMALL))
    if not smallest.stop <= side <= hi or any(reader.read(n)[0] for n in smallest):
        yield from ((lo + (2**k - 1) * step, step) for k in range(LATER_STARTS))
    if lo <= side <= hi:
        above = range(side + 1, min(hi, side + max(step, MOST_SMALL)) + 1)
        below = (side - max(1, step >> k) for k in range(step.bit_length()))
        near = chain(above, (n for n in below if n >= lo))
        gap = next((abs(n - side) for n in near if reader.read(n)[0]), None)
        if gap is not None:
            yield from ((side, length) for length in (step, 2 * step, lcm(step, gap)))
    yield from _shown(reader, lo, hi)


def _shown(reader: _Reader, lo: int, hi: int) -> Iterator[tuple[int, int]]:
    """Yield the shortest period of the smallest sizes, seen twice or more, without the first third
    of them.
    """
    read = range(lo, min(lo + MOST_SHOWN, hi + 1))
    if len(reader.readings) + len(read) > max(MOST_READ, hi - lo + 1):
        return
    for n in read:
        reader.read(n)
    third = len(read) // 3
    for length in range(1, third + 1):
        if all(reader.alike(n, n + length) for n in read[third:-length]):
            yield lo + third, length
            return


def _rule(period: Sequence[bool], start: int, flags: Sequence[bool], lo: int) -> str | None:
    """Write the sizes that are flagged in lo, lo + 1, ... as a rule, which `period` holds from
    `start` on.

    >>> _rule([True, False] * 2, 6, [False, True, False, True, False, True], 5)
    '2*i'
    >>> _rule([True, False] * 2, 6, [False] * 3 + [True, False, True], 3)
    '2*i, from 6'
    >>> _rule([True] * 3, 6, [True] * 3, 6), _rule([False] * 3, 6, [False] * 3, 6)
    ('every size', 'no size')
    >>> _rule([False] * 2 + [True] * 5 + [False], 8, [False] * 2 + [True] * 5 + [False], 8)
    '8*i + 2 to 8*i + 6'
    """
    if not any(period):
        if any(flags):
            return None
        return "no size"
    step = _shortest(period)
    residues = sorted({(start + i) % step for i, holds in enumerate(period) if holds})
    if len(residues) <= MOST_RESIDUES:
        rule = " or ".join(_term(step, residue) for residue in residues)
    elif run := _one_run(step, residues):
        rule = f"{_term(step, run[0])} to {_term(step, run[-1])}"
    else:
        return None
    if step == 1:
        rule = "every size"
    exceptions = [n for n, flag in enumerate(flags, lo) if flag != (n % step in residues)]
    if not exceptions:
        return rule
    sizes = [n for n, flag in enumerate(flags, lo) if flag]
    below = bisect(sizes, exceptions[-1])
    rule += f", from {sizes[below]}"
    if below:
        rule += f", and {below} below"
    return rule


def _term(step: int, residue: int) -> str:
    if residue == 0:
        return f"{step}*i"
    return f"{step}*i {'-' if residue < 0 else '+'} {abs(residue)}"


def _one_run(step: int, residues: Sequence[int]) -> range | None:
    """Return sorted residues of a period as a run without a gap, around 0 where 0 is one; None if
    there are gaps.

    >>> _one_run(8, [0, 1, 5, 6, 7]), _one_run(8, [2, 3, 4]), _one_run(8, [0, 2, 4])
    (range(-3, 2), range(2, 5), None)
    """
    first = residues[0]
    if first == 0:
        while first - 1 + step in residues:
            first -= 1
    run = range(first, first + len(residues))
    return run if {n % step for n in run} == {*residues} else None


def _shortest(period: Sequence[bool]) -> int:
    """Return the length of the shortest period of flags that repeats within a longer one.

    >>> _shortest([True, False] * 2), _shortest([True, False, False])
    (2, 3)
    """
    length = len(period)
    divisors = [n for n in range(1, length + 1) if length % n == 0]
    return next(n for n in divisors if period[n:] == period[: length - n])
