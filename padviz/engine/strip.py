"""Strips: rows evenly apart that write to rows evenly apart."""

from __future__ import annotations

from collections.abc import Iterator
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
    def flipped(self) -> Strip:
        """The same reads seen from the input: out and in exchanged."""
        return Strip(self.src, self.src_step, self.dst, self.dst_step, self.length, self.weight)

    @property
    def ahead(self) -> Strip:
        """The same reads with `dst` going up.

        >>> Strip(9, -2, 0, 1, 5).ahead
        Strip(dst=1, dst_step=2, src=4, src_step=-1, length=5, weight=1)
        """
        if self.dst_step >= 0:
            return self
        dst, src = (start + step * (self.length - 1) for start, step in (self[:2], self[2:4]))
        return Strip(dst, -self.dst_step, src, -self.src_step, self.length, self.weight)

    def within(self, start: int, stop: int) -> Strip:
        """The part of the strip that writes rows `start` to `stop`, with `dst` going up; its length may be 0.

        >>> Strip(9, -2, 0, 1, 5).within(2, 6)
        Strip(dst=3, dst_step=2, src=3, src_step=-1, length=2, weight=1)
        """
        up = self.ahead
        if up.dst_step:
            first = max(0, -((up.dst - start) // up.dst_step))
            last = min(up.length, -((up.dst - stop) // up.dst_step))
        else:
            first, last = 0, up.length if start <= up.dst < stop else 0
        return up.between(first, last)

    def between(self, first: int, last: int) -> Strip:
        """Its reads number `first` to `last` - 1."""
        dst, src = self.dst + first * self.dst_step, self.src + first * self.src_step
        return self._replace(dst=dst, src=src, length=max(0, last - first))

    def pieces(self, most: int) -> Iterator[Strip]:
        """It in pieces of at most so many reads.

        >>> [piece.length for piece in Strip(0, 0, 0, 1, 5).pieces(2)]
        [2, 2, 1]
        """
        for at in range(0, self.length, most):
            yield self.between(at, min(at + most, self.length))
