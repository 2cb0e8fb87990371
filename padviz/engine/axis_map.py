"""What an operation reads along one axis: a sparse matrix of small integers, as a short sum of
strided strips.

Swapping the two ends of every strip transposes the matrix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Strip(NamedTuple):
    """`out[dst + i * dst_step] += weight * in[src + i * src_step]` for i in 0 .. length - 1."""

    dst: int
    dst_step: int
    src: int
    src_step: int
    length: int
    weight: float = 1

    @property
    def ascending(self) -> Strip:
        """The same reads with `dst` going up."""
        dst, dst_step, src, src_step, length, weight = self
        if dst_step >= 0:
            return self
        return Strip(
            dst + dst_step * (length - 1),
            -dst_step,
            src + src_step * (length - 1),
            -src_step,
            length,
            weight,
        )


def transpose(strips: Iterable[Strip]) -> tuple[Strip, ...]:
    """Exchange input and output of every strip.

    >>> transpose([Strip(0, 1, 9, -2, 5)])
    (Strip(dst=9, dst_step=-2, src=0, src_step=1, length=5, weight=1),)
    """
    return tuple(
        [
            Strip(src, src_step, dst, dst_step, n, weight)
            for dst, dst_step, src, src_step, n, weight in strips
        ]
    )


def _rows(start: int, step: int, length: int) -> slice:
    """Slice start, start + step, ... of that length; the one row where the step is 0."""
    if not step:
        return slice(start, start + 1)
    stop = start + step * length
    return slice(start, stop if stop >= 0 else None, step)


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

    def rows_read(self, units: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Flag the input rows that are read by any of the output units that are flagged.

        >>> AxisMap(5, 2, (Strip(0, 1, 0, 3, 2),)).rows_read(np.array([True, True])).tolist()
        [True, False, False, True, False]
        """
        read = np.zeros(self.n_in, dtype=bool)
        for dst, dst_step, src, src_step, length, _ in self.strips:
            steps = np.arange(length)
            read[(src + steps * src_step)[units[dst + steps * dst_step]]] = True
        return read

    def only(self, start: int, stop: int) -> tuple[AxisMap, int, int]:
        """Restrict the map to rows `start` to `stop`; return it with the first row that these read,
        and the end.

        >>> part, first, end = AxisMap(5, 5, (Strip(1, 1, 0, 1, 4), Strip(0, 1, 0, 1, 5))).only(2,
        ...     4)
        >>> part.strips[0], first, end
        (Strip(dst=0, dst_step=1, src=0, src_step=1, length=2, weight=1), 1, 4)
        """
        parts = []
        for dst, dst_step, src, src_step, length, weight in (
            strip.ascending for strip in self.strips
        ):
            begin, end = 0, length if start <= dst < stop else 0
            if dst_step:
                begin, end = (
                    max(0, -((dst - start) // dst_step)),
                    min(length, -((dst - stop) // dst_step)),
                )
            if begin < end:
                at = dst + begin * dst_step - start, dst_step, src + begin * src_step, src_step
                parts.append(Strip(*at, end - begin, weight))
        ends: list[int] = []
        for part in parts:
            ends += part.src, part.src + part.src_step * (part.length - 1)
        first, last = min(ends, default=0), max(ends, default=0)
        moved = tuple([part._replace(src=part.src - first) for part in parts])
        return AxisMap(last + 1 - first, stop - start, moved), first, last + 1

    @cached_property
    def reads(self) -> int:
        """The number of reads."""
        return sum(strip.length for strip in self.strips)

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

    @cached_property
    def slices(self) -> list[tuple[slice, slice, bool, float]]:
        """Rows written and read by each strip, as slices, whether it writes one row, and its
        weight.
        """
        return [
            (_rows(dst, dst_step, length), _rows(src, src_step, length), not dst_step, weight)
            for dst, dst_step, src, src_step, length, weight in self.strips
        ]

    @cached_property
    def exact(self) -> bool:
        """Whether every read counts once, so that counts stay integers."""
        return all(strip.weight == 1 for strip in self.strips)

    @cached_property
    def identity(self) -> bool:
        """Whether each row reads just itself."""
        return self.n_in == self.n_out and self.strips == (Strip(0, 1, 0, 1, self.n_in),)
