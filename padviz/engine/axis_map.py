"""What an operation reads along one axis: a sparse matrix of small integers, as a short sum of strided strips.

numpy adds each strip with one strided slice, and swapping the two ends of every strip transposes the matrix.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from padviz.engine.strip import Strip, merge_runs, transpose
from padviz.engine.write_plan import WritePlan, plan


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
        return plan(self.strips, self.n_out)

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
