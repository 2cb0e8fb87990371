"""The order in which numpy adds strips: every row is written once, then added to, in few passes over memory.

Most strips of a window have the same steps. Those that write the same rows form a phase, and each is a run: row `i` of
the phase takes row `offset + i * src_step` of the input. The first two runs of a phase are summed into the output at
once. Where many runs have neighbouring offsets, the sums of neighbouring rows are computed once and shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from padviz.engine.strip import Strip


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


def plan(strips: Sequence[Strip], n_out: int) -> WritePlan:
    """Order the strips of a map to `n_out` rows.

    >>> ordered = plan([Strip(1, 1, 0, 1, 2), Strip(0, 1, 0, 1, 3)], 3)
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
