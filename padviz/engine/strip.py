"""Strips: evenly spaced input rows that are added to evenly spaced output rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


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
