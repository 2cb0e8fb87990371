"""The counts of a core: whatever its size, it is made a part at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import Array, apply
from padviz.engine.limbs import count_below_half, largest, largest_difference, shares, smallest, totals
from padviz.engine.tally import Maps, Tally, limbs_in

AT_ONCE = 1 << 22  # numbers of a part: 32 MiB
ROWS = 64  # compared at a time
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Core:
    """The counts of a core as carried limbs, (limbs, height, width), made of settled ones of a smaller layer.

    `pulls` are the maps that lead from that layer to the core, one after another, along height and width. A core that
    is too large to be kept is made anew in parts, as they are asked for. A `symmetric` one is its own transpose.
    """

    source: Tally
    pulls: tuple[Maps, ...] = ()
    engine: str = "auto"
    symmetric: bool = False

    @property
    def exact(self) -> bool:
        """Whether the counts are integers."""
        return self.source.limbs.dtype.kind != "f"

    @cached_property
    def most(self) -> int:
        """What no count passes."""
        return self.source.most * prod(made.gain for pull in self.pulls for made in pull if made)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(limbs, height, width)."""
        limbs = limbs_in(self.most, self.exact)
        size = self.source.limbs.shape[1:]
        for pull in self.pulls:
            size = tuple(made.n_out if made else n for made, n in zip(pull, size, strict=True))
        return limbs, *size

    @property
    def kept(self) -> bool:
        """Whether the core stays in memory."""
        return not self.pulls or prod(self.shape) <= AT_ONCE

    @cached_property
    def whole(self) -> Array:
        """All of it, read-only: maps share it."""
        whole = self._pulled(self.source.limbs, self.pulls)
        whole.flags.writeable = False
        return whole

    def part(self, rows: slice = ALL, cols: slice = ALL) -> Array:
        """Take some rows and columns: a view where the core is kept."""
        if self.kept:
            return self.whole[:, rows, cols]
        whole = zip((rows, cols), self.shape[1:], strict=True)
        runs: list[tuple[slice, ...]] = [(slice(*each.indices(n)[:2]),) for each, n in whole]
        pulls: list[Maps] = []
        for pull in reversed(self.pulls):
            parts = [made.only(run) if made else (None, run) for made, run in zip(pull, runs, strict=True)]
            pulls.append((parts[0][0], parts[1][0]))
            runs = [read for _, read in parts]
        return self._pulled(_taken(_taken(self.source.limbs, runs[0], 1), runs[1], 2), pulls[::-1])

    def at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Take the limbs where those rows and columns cross."""
        down, across = (slice(which.min(), which.max() + 1) for which in (rows, cols))
        near, rows, cols = self.part(down, across), rows - down.start, cols - across.start
        limbs: Array = np.empty((len(near), len(rows), len(cols)), dtype=near.dtype)
        if len(rows) < near.shape[1]:
            near.take(rows, 1).take(cols, 2, out=limbs, mode="clip")
        else:  # whole rows are copied fastest
            near.take(cols, 2).take(rows, 1, out=limbs, mode="clip")
        return limbs

    def take(self, which: NDArray[np.int64], axis: int) -> Array:
        """Take some rows (axis 1) or columns (axis 2), in any order."""
        near = slice(which.min(), which.max() + 1)
        part = self.part(near) if axis == 1 else self.part(cols=near)
        taken: Array = part.take(which - near.start, axis)
        return taken

    def parts(self, half: bool = False) -> Iterator[tuple[Array, slice, slice]]:
        """All of it in parts, with their rows and columns; or its half from the diagonal on."""
        limbs, height, width = self.shape
        step = max(1, AT_ONCE // (limbs * width))
        for start in range(0, height, step):
            rows, cols = slice(start, min(start + step, height)), slice(start if half else 0, width)
            yield self.part(rows, cols), rows, cols

    @cached_property
    def extremes(self) -> tuple[int | float, int | float]:
        """The smallest and the largest count."""
        found = [(smallest(part), largest(part)) for part, *_ in self.parts(half=self.symmetric)]
        return min(low for low, _ in found), max(high for _, high in found)

    def below_half(self, down: NDArray[np.int64], across: NDArray[np.int64], square: bool) -> int:
        """How many counts are below half of the largest, with each row and column taken so many times.

        A `square` map is its own transpose, and so may be a core that has its rows more often than its columns.
        """
        below = 0
        for part, rows, cols in self.parts(half=square):
            times = across[cols]
            if square:  # what lies after the diagonal stands for what lies before it
                times = times * np.where(np.arange(len(times)) < part.shape[1], 1, 2)
            below += count_below_half(part, self.extremes[1], down[rows], times)
        return below

    def asymmetry(self, here: NDArray[np.int64], there: NDArray[np.int64], axis: int) -> int | float:
        """Find the largest difference, either way, between some rows (axis 1) or columns (axis 2) and others."""
        most: int | float = 0
        for at in range(0, len(here), ROWS):
            most = max(most, largest_difference(*(self.take(each[at : at + ROWS], axis) for each in (here, there))))
        return most

    def shares(self, peak: int | float) -> NDArray[np.float64]:
        """Every count over the largest."""
        values = np.empty(self.shape[1:])
        for part, rows, cols in self.parts(half=self.symmetric):
            values[rows, cols] = shares(part, peak)
            if self.symmetric:
                values[rows.stop :, rows] = values[rows, rows.stop :].T
        return values

    def means(self, rows: NDArray[np.float64], cols: NDArray[np.float64], peak: int | float) -> NDArray[np.float64]:
        """Sum up the counts over the largest, with weights (ways, height) and (ways, width)."""
        down, across = self._pushed(rows, cols)
        return np.asarray(down @ shares(self.source.limbs, peak) @ across.T)

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Any]]:
        """Sum up the counts, with weights (ways, height) and (ways, width): exact, see `limbs.totals`."""
        return totals(self.source.limbs, *self._pushed(rows, cols))

    def _pushed(self, *weights: Array) -> tuple[Array, Array]:
        """Weights of rows and of columns as those of the source, which is smaller, with the same sums."""
        if not self.exact:
            weights = tuple(each.astype(np.float64) for each in weights)
        down, across = weights
        for tall, flat in reversed(self.pulls):
            down = apply(tall.transposed, down[None], 2)[0] if tall else down
            across = apply(flat.transposed, across[None], 2)[0] if flat else across
        return down, across

    def _pulled(self, limbs: Array, pulls: Iterable[Maps]) -> Array:
        value = replace(self.source, limbs=limbs)
        for maps in pulls:
            value = value.pulled(maps, self.engine)
        return replace(value, most=self.most).settled().limbs  # as many in each part


def _taken(limbs: Array, runs: Sequence[slice], axis: int) -> Array:
    """Take some runs of rows (axis 1) or columns (axis 2): a view where there is one."""
    parts = [limbs[:, run] if axis == 1 else limbs[:, :, run] for run in runs]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
