"""What an operation reads along one axis: a sparse matrix of small integers, as a short sum of strided strips.

Swapping the two ends of every strip transposes the matrix. numba follows strips as they are, numpy a write plan: every
row is written once, then added to, in few passes over memory. Most strips of a window have the same steps. Those that
write the same rows form a phase, and each is a run: row `i` of the phase takes row `offset + i * src_step` of the
input. The first two runs of a phase are summed into the output at once. Where many runs have neighbouring offsets, the
sums of neighbouring rows are computed once and shared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np


class Strip(NamedTuple):
    """`out[dst + i * dst_step] += weight * in[src + i * src_step]` for i in 0 .. length - 1."""

    dst: int
    dst_step: int
    src: int
    src_step: int
    length: int
    weight: float = 1

    @property
    def read(self) -> slice:
        """The input rows from the first read to the last.

        >>> Strip(0, 1, 9, -2, 5).read
        slice(1, 10, None)
        """
        ends = self.src, self.src + self.src_step * (self.length - 1)
        return slice(min(ends), max(ends) + 1)

    @property
    def ascending(self) -> Strip:
        """The same reads with `dst` going up.

        >>> Strip(9, -2, 0, 1, 5).ascending
        Strip(dst=1, dst_step=2, src=4, src_step=-1, length=5, weight=1)
        """
        if self.dst_step >= 0:
            return self
        dst, src = (start + step * (self.length - 1) for start, step in (self[:2], self[2:4]))
        return Strip(dst, -self.dst_step, src, -self.src_step, self.length, self.weight)

    def within(self, start: int, stop: int) -> Strip:
        """Return the part that writes rows `start` to `stop` - 1, with `dst` going up; its length may be 0.

        >>> Strip(9, -2, 0, 1, 5).within(2, 6)
        Strip(dst=3, dst_step=2, src=3, src_step=-1, length=2, weight=1)
        """
        up = self.ascending
        if up.dst_step:
            first = max(0, -((up.dst - start) // up.dst_step))
            last = min(up.length, -((up.dst - stop) // up.dst_step))
        else:
            first, last = 0, up.length if start <= up.dst < stop else 0
        return up.between(first, last)

    def between(self, first: int, last: int) -> Strip:
        """Return its reads number `first` to `last` - 1."""
        dst, src = self.dst + first * self.dst_step, self.src + first * self.src_step
        return self._replace(dst=dst, src=src, length=max(0, last - first))

    def split(self, most: int) -> Iterator[Strip]:
        """Split it into strips of at most `most` reads.

        >>> [piece.length for piece in Strip(0, 0, 0, 1, 5).split(2)]
        [2, 2, 1]
        """
        for at in range(0, self.length, most):
            yield self.between(at, min(at + most, self.length))


def transpose(strips: Iterable[Strip]) -> tuple[Strip, ...]:
    """Exchange input and output of every strip.

    >>> transpose([Strip(0, 1, 9, -2, 5)])
    (Strip(dst=9, dst_step=-2, src=0, src_step=1, length=5, weight=1),)
    """
    return tuple([Strip(src, src_step, dst, dst_step, n, weight) for dst, dst_step, src, src_step, n, weight in strips])


def merge_runs(runs: Sequence[slice]) -> tuple[slice, ...]:
    """Sort runs of rows and merge those that meet or overlap; return row 0 if there are none.

    >>> merge_runs([slice(7, 9), slice(2, 4), slice(0, 3)])
    (slice(0, 4, None), slice(7, 9, None))
    """
    merged: list[slice] = []
    for start, stop in sorted((run.start, run.stop) for run in runs):
        if merged and start <= merged[-1].stop:
            merged[-1] = slice(merged[-1].start, max(merged[-1].stop, stop))
        else:
            merged.append(slice(start, stop))
    return tuple(merged) or (slice(0, 1),)


@dataclass(frozen=True, eq=False)
class AxisMap:
    """What one operation reads along one axis: an `n_out` x `n_in` matrix, the sum of its strips.

    A padded 3-row window over 5 rows reads 13 rows in all, at most three per unit:

    >>> taps = (Strip(1, 1, 0, 1, 4), Strip(0, 1, 0, 1, 5), Strip(0, 1, 1, 1, 4))
    >>> AxisMap(5, 5, taps).reads, AxisMap(5, 5, taps).gain
    (13, 3)
    """

    n_in: int
    n_out: int
    strips: tuple[Strip, ...]

    @cached_property
    def transposed(self) -> AxisMap:
        """The transposed matrix."""
        return AxisMap(self.n_out, self.n_in, transpose(self.strips))

    def only(self, rows: Sequence[slice]) -> tuple[AxisMap, tuple[slice, ...]]:
        """Restrict the map to some runs of its rows; return it with the runs of the input that these read.

        >>> taps = (Strip(1, 1, 0, 1, 4), Strip(0, 1, 0, 1, 5), Strip(0, 1, 1, 1, 4))
        >>> part, read = AxisMap(5, 5, taps).only([slice(0, 1), slice(4, 5)])
        >>> part.n_in, part.n_out, part.reads, read
        (4, 2, 4, (slice(0, 2, None), slice(3, 5, None)))
        """
        strips, n_out = [], 0
        for run in rows:
            parts = [strip.within(run.start, run.stop) for strip in self.strips]
            strips += [part._replace(dst=part.dst - run.start + n_out) for part in parts if part.length]
            n_out += run.stop - run.start
        read = merge_runs([strip.read for strip in strips])
        before = list(accumulate((run.stop - run.start for run in read), initial=0))
        at = [bisect_right(read, strip.read.start, key=lambda run: run.start) - 1 for strip in strips]
        moved = [strip._replace(src=strip.src - read[i].start + before[i]) for i, strip in zip(at, strips, strict=True)]
        return AxisMap(before[-1], n_out, tuple(moved)), read

    @cached_property
    def reads(self) -> int:
        """The number of reads."""
        return sum(strip.length for strip in self.strips)

    @cached_property
    def plan(self) -> WritePlan:
        """The order in which numpy adds the strips."""
        return plan_writes(self.strips, self.n_out)

    @cached_property
    def gain(self) -> int:
        """The largest row sum: applied to values up to v, the map gives values up to gain * v."""
        sums = np.zeros(self.n_out, dtype=np.int64)
        for dst, step, *_, length, _ in self.strips:
            if step:
                first, last = sorted((dst, dst + step * (length - 1)))
                sums[first : last + 1 : abs(step)] += 1
            else:
                sums[dst] += length
        return int(sums.max(initial=0))

    def parts(self, most: int) -> list[AxisMap]:
        """Split the map into maps whose sum it is, each with a gain of at most `most`."""
        parts: list[AxisMap] = []
        taken: list[Strip] = []
        gain = 0
        for strip in self.strips:
            for piece in [strip] if strip.dst_step else strip.split(most):
                more = 1 if piece.dst_step else piece.length
                if gain + more > most:
                    parts.append(AxisMap(self.n_in, self.n_out, tuple(taken)))
                    taken, gain = [], 0
                taken.append(piece)
                gain += more
        return [*parts, AxisMap(self.n_in, self.n_out, tuple(taken))]

    @cached_property
    def exact(self) -> bool:
        """Whether every read counts once, so that counts stay integers."""
        return all(strip.weight == 1 for strip in self.strips)

    @cached_property
    def identity(self) -> bool:
        """Whether each row reads just itself."""
        return self.n_in == self.n_out and self.strips == (Strip(0, 1, 0, 1, self.n_in),)


class Source(NamedTuple):
    """Rows to read: of the input, or of the sums of each of its rows and the next."""

    paired: bool
    rows: slice


class WritePlan(NamedTuple):
    """Steps in order: `writes`, then `adds`, then `sums`; `paired` says whether sums of neighbouring rows are needed.

    `writes` are output rows and up to two sources whose sum they become; `adds` are output rows, a source and its
    weight; `sums` are an output row and the input rows that are all added to it.
    """

    paired: bool
    writes: list[tuple[slice, tuple[Source, ...]]]
    adds: list[tuple[slice, Source, float]]
    sums: list[tuple[int, slice, float]]


class _Run(NamedTuple):
    paired: bool
    offset: int
    start: int
    stop: int

    def within(self, start: int, stop: int) -> _Run:
        paired, offset, first, last = self
        return _Run(paired, offset, max(first, start), min(last, stop))

    def without(self, other: _Run) -> list[_Run]:
        """Return the parts of the run before and after another."""
        paired, offset, start, stop = self
        ends = (start, min(stop, other.start)), (max(start, other.stop), stop)
        return [_Run(paired, offset, first, last) for first, last in ends if first < last]


class _Fill(NamedTuple):
    """Rows of a phase, and the runs whose sum they become."""

    start: int
    stop: int
    runs: tuple[_Run, ...]


def plan_writes(strips: Sequence[Strip], n_out: int) -> WritePlan:
    """Order the strips of a map to `n_out` rows.

    >>> ordered = plan_writes([Strip(1, 1, 0, 1, 2), Strip(0, 1, 0, 1, 3)], 3)
    >>> [(rows, [source.rows for source in sources]) for rows, sources in ordered.writes]
    [(slice(1, 3, 1), [slice(1, 3, 1), slice(0, 2, 1)]), (slice(0, 1, 1), [slice(0, 1, 1)])]
    """
    steps = Counter((s.dst_step, s.src_step) for s in strips if s.dst_step > 0 and s.src_step > 0 and s.weight == 1)
    step, src_step = max(steps, key=steps.__getitem__, default=(1, 1))
    phases: list[list[_Run]] = [[] for _ in range(min(step, n_out))]
    ordered = WritePlan(False, [], [], [])
    for strip in strips:
        if (strip.dst_step, strip.src_step, strip.weight) == (step, src_step, 1):
            start, phase = divmod(strip.dst, step)
            phases[phase].append(_Run(False, strip.src - src_step * start, start, start + strip.length))
        elif strip.dst_step:
            read = span(strip.src, strip.src_step, strip.length) if strip.src_step else span(strip.src, 1, 1)
            written = span(strip.dst, strip.dst_step, strip.length)
            ordered.adds.append((written, Source(False, read), strip.weight))
        else:
            ordered.sums.append((strip.dst, span(strip.src, strip.src_step, strip.length), strip.weight))
    if src_step == 1 and sum(len(runs) // 2 for runs in phases) > len(phases):
        ordered = ordered._replace(paired=True)
        phases = [[*_paired(runs)] for runs in phases]

    def rows(phase: int, start: int, stop: int) -> slice:
        return span(phase + step * start, step, stop - start)

    def source(run: _Run) -> Source:
        return Source(run.paired, span(run.offset + src_step * run.start, src_step, run.stop - run.start))

    for phase, runs in enumerate(phases):
        writes, adds = _ordered(runs, -(-(n_out - phase) // step))
        ordered.writes.extend((rows(phase, fill.start, fill.stop), tuple(map(source, fill.runs))) for fill in writes)
        ordered.adds.extend((rows(phase, run.start, run.stop), source(run), 1) for run in adds)
    return ordered


def span(start: int, step: int, length: int) -> slice:
    """Return the slice of start, start + step, ... of that length, for any step but 0.

    >>> list(range(9))[span(4, -2, 3)]
    [4, 2, 0]
    """
    stop = start + step * (length - 1) + (1 if step > 0 else -1)
    return slice(start, stop if stop >= 0 else None, step)


def _paired(runs: list[_Run]) -> Iterator[_Run]:
    """Replace pairs of runs with neighbouring offsets by one run over sums of neighbours, and leftovers at its ends."""
    waiting: _Run | None = None
    for run in sorted(runs, key=lambda run: run.offset):
        if waiting is None or run.offset != waiting.offset + 1:
            if waiting:
                yield waiting
            waiting = run
            continue
        both = waiting.within(run.start, run.stop)
        yield from (_Run(True, *both[1:]), *waiting.without(both), *run.without(both))
        waiting = None
    if waiting:
        yield waiting


def _ordered(runs: list[_Run], n: int) -> tuple[list[_Fill], list[_Run]]:
    """Choose the runs that fill the `n` rows of a phase first; return them and the runs added later."""
    if not runs:
        return [_Fill(0, n, ())], []
    first, *others = sorted(runs, key=lambda run: run.start - run.stop)
    writes: list[_Fill] = []
    both = first.within(first.start, first.start)
    if others:
        second = max(others, key=lambda run: min(run.stop, first.stop) - max(run.start, first.start))
        here, there = first.within(second.start, second.stop), second.within(first.start, first.stop)
        if here.start < here.stop:
            both = here
            writes.append(_Fill(here.start, here.stop, (here, there)))
            others = [*(run for run in others if run is not second), *second.without(here)]
    writes += [_Fill(part.start, part.stop, (part,)) for part in first.without(both)]
    writes += [_Fill(part.start, part.stop, ()) for part in _Run(False, 0, 0, n).without(first)]
    return writes, others
