"""A map kept as its core: which row of the core stands for each row of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError

Selection = int | slice | Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class Tiling:
    """One axis of a map of `n` rows, kept as a core without `copies` of its periods; rows repeat
    from `start` on.

    >>> tiling = Tiling(12, start=2, period=3, copies=2)
    >>> tiling.kept, tiling.index.tolist()
    (6, [0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 5])
    """

    n: int
    start: int = 0
    period: int = 1
    copies: int = 0

    @property
    def kept(self) -> int:
        """The number of rows in the core."""
        return self.n - self.copies * self.period

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """The row of the core for each row of the map; every row of the core occurs."""
        rows = np.arange(self.n)
        index: NDArray[np.int64] = rows - self.period * np.clip(
            (rows - self.start) // self.period, 0, self.copies
        )
        index.flags.writeable = False
        return index

    @property
    def first(self) -> NDArray[np.int64]:
        """The first row of the map for each row of the core.

        >>> Tiling(12, start=2, period=3, copies=2).first.tolist()
        [0, 1, 2, 3, 4, 11]
        """
        rows = np.arange(self.kept)
        return rows + self.copies * self.period * (rows >= self.start + self.period)

    def times_within(self, parts: Sequence[slice]) -> NDArray[np.int64]:
        """Count how often each row of the core occurs within each of some parts of the map.

        >>> Tiling(12, start=2, period=3, copies=2).times_within([slice(1, 7)]).tolist()
        [[0, 1, 2, 2, 1, 0]]
        """
        first, times = self.first, np.ones(self.kept, dtype=np.int64)
        times[self.start : self.start + self.period] += self.copies
        ends = [part.indices(self.n)[:2] for part in parts]
        before = {
            end: np.clip(-((first - end) // self.period), 0, times) for end in {*chain(*ends)}
        }
        return np.array([before[stop] - before[start] for start, stop in ends])

    def parts(self) -> tuple[tuple[slice, int], tuple[slice, int]]:
        """Return all rows of the core, once, and those that repeat, with the number of their
        further copies.
        """
        return (slice(None), 1), (slice(self.start, self.start + self.period), self.copies)

    def mirrored(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """List pairs of core rows that are mirror images in the map, as two arrays
        without repeats.
        """
        # copies that face no other rows than these do
        more = max(0, self.copies - self.kept // self.period - 2)
        if more:
            return replace(
                self, n=self.n - more * self.period, copies=self.copies - more
            ).mirrored()
        first, last = self.index[: self.n // 2], self.index[::-1][: self.n // 2]
        facing = np.minimum(first, last) * self.kept + np.maximum(first, last)
        # in order, so that reads are local
        pairs = facing[np.sort(np.unique(facing, return_index=True)[1])]
        return pairs // self.kept, pairs % self.kept

    def means(self, core: NDArray[np.float64], block: int) -> NDArray[np.float64]:
        """Expand rows of the core to means over blocks of rows of the map; the last block may be
        smaller.
        """
        if block == 1:
            if self.copies:
                return core[self.index]
            return core
        if self.copies:
            return self.weights(block) @ core
        starts = np.arange(0, self.n, block)
        return np.add.reduceat(core, starts, axis=0) / np.diff(np.append(starts, self.n))[:, None]

    def weights(self, block: int) -> NDArray[np.float64]:
        """Return the weight of each row of the core in each block of rows: `means` as a matrix.

        >>> Tiling(12, start=2, period=3, copies=2).weights(6) * 6
        array([[1., 1., 2., 1., 1., 0.],
               [0., 0., 1., 2., 2., 1.]])
        """
        of = np.arange(self.n) // block
        times = np.bincount(
            of * self.kept + self.index, minlength=(of[-1] + 1) * self.kept
        ).reshape(-1, self.kept)
        return times / np.bincount(of)[:, None]


def positions(index: NDArray[np.int64], which: Selection, what: str) -> NDArray[np.int64]:
    """Select from an index by a position, several, a range or a slice.

    Raises OptionError if they are not positions, or outside.

    >>> index = Tiling(12, start=2, period=3, copies=2).index
    >>> positions(index, -1, "rows"), positions(index, slice(3, 6), "rows")
    (array([5]), array([3, 4, 2]))
    """
    try:
        selected = np.atleast_1d(index[which])
    except (IndexError, TypeError, ValueError):
        selected = index[None]
    if selected.ndim != 1:
        hint = f"use whole numbers from 0 to {len(index) - 1}, or a slice"
        raise OptionError(
            f"{which!r} is outside of its {len(index)} {what}, or no position",
            where=what,
            hint=hint,
        )
    return selected
