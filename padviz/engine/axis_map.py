"""What an operation reads along one axis: a sparse matrix of small integers, as a short sum of strided strips.

numpy adds each strip with one strided slice, and swapping the two ends of every strip transposes the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.engine.write_plan import Plan, plan


class Strip(NamedTuple):
    """`out[dst + i * dst_step] += weight * in[src + i * src_step]` for i in 0 .. length - 1."""

    dst: int
    dst_step: int
    src: int
    src_step: int
    length: int
    weight: float = 1

    def within(self, start: int, stop: int) -> Strip:
        """The part of the strip that writes rows `start` to `stop`, with `dst` going up; its length may be 0.

        >>> Strip(9, -2, 0, 1, 5).within(2, 6)
        Strip(dst=3, dst_step=2, src=3, src_step=-1, length=2, weight=1)
        """
        dst, step, src, src_step, length, weight = self
        if step < 0:
            dst, step, src, src_step = dst + step * (length - 1), -step, src + src_step * (length - 1), -src_step
        if step:
            first, last = max(0, -((dst - start) // step)), min(length, -((dst - stop) // step))
        else:
            first, last = 0, length if start <= dst < stop else 0
        return Strip(dst + first * step, step, src + first * src_step, src_step, max(0, last - first), weight)


@dataclass(frozen=True, eq=False)
class AxisMap:
    """What one operation reads along one axis: an `n_out` x `n_in` matrix, as the sum of its strips.

    Examples
    --------
    A padded 3-row window over 5 rows reads the outer rows twice and the others three times:

    >>> taps = (Strip(1, 1, 0, 1, 4), Strip(0, 1, 0, 1, 5), Strip(0, 1, 1, 1, 4))
    >>> AxisMap(5, 5, taps).dense().sum(axis=0)
    array([2, 3, 3, 3, 2])
    """

    n_in: int
    n_out: int
    strips: tuple[Strip, ...]

    @cached_property
    def transposed(self) -> AxisMap:
        """The same reads seen from the input: out and in exchanged."""
        flipped = tuple(Strip(s, ss, d, ds, c, w) for d, ds, s, ss, c, w in self.strips)
        return AxisMap(self.n_out, self.n_in, flipped)

    def only(self, rows: slice) -> tuple[AxisMap, slice]:
        """The map to some of its rows alone, and the rows of the input that those read.

        >>> taps = (Strip(1, 1, 0, 1, 4), Strip(0, 1, 0, 1, 5), Strip(0, 1, 1, 1, 4))
        >>> part, read = AxisMap(5, 5, taps).only(slice(3, 5))
        >>> part.dense().tolist(), read
        ([[1, 1, 1], [0, 1, 1]], slice(2, 5, None))
        """
        start, stop, _ = rows.indices(self.n_out)
        strips = [part for strip in self.strips if (part := strip.within(start, stop)).length]
        ends = [end for _, _, src, step, length, _ in strips for end in (src, src + step * (length - 1))] or [0]
        first, last = min(ends), max(ends) + 1
        moved = tuple(strip._replace(dst=strip.dst - start, src=strip.src - first) for strip in strips)
        return AxisMap(last - first, stop - start, moved), slice(first, last)

    @cached_property
    def reads(self) -> int:
        """How many reads there are in all."""
        return sum(strip.length for strip in self.strips)

    @cached_property
    def plan(self) -> Plan:
        """How numpy adds the strips up."""
        return plan(self.strips, self.n_out)

    @cached_property
    def gain(self) -> int:
        """The largest row sum: applied to values up to v, the map gives values up to gain * v."""
        sums = np.zeros(self.n_out, dtype=np.int64)
        for dst, step, _, _, length, _ in self.strips:
            if step:
                far = dst + step * (length - 1)
                sums[min(dst, far) : max(dst, far) + 1 : abs(step)] += 1
            else:
                sums[dst] += length
        return int(sums.max(initial=0))

    def parts(self, most: int) -> list[AxisMap]:
        """The map as a sum of maps whose gain is at most `most`."""
        parts: list[AxisMap] = []
        taken: list[Strip] = []
        gain = 0
        for strip in self.strips:
            for piece in [strip] if strip.dst_step else _cut(strip, most):
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

    def dense(self) -> NDArray[Any]:
        """The matrix itself, shape (n_out, n_in): for tests and small illustrations."""
        matrix: NDArray[Any] = np.zeros((self.n_out, self.n_in), dtype=np.int64 if self.exact else np.float64)
        for dst, dst_step, src, src_step, length, weight in self.strips:
            i = np.arange(length)
            np.add.at(matrix, (dst + i * dst_step, src + i * src_step), weight)
        return matrix


def _cut(strip: Strip, most: int) -> Iterator[Strip]:
    """A strip in pieces of at most so many rows."""
    for at in range(0, strip.length, most):
        length = min(most, strip.length - at)
        yield strip._replace(dst=strip.dst + at * strip.dst_step, src=strip.src + at * strip.src_step, length=length)
