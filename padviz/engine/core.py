"""The counts of a core, computed in parts where it is large."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import Array, Maps, Number, Tally, apply, limbs_in
from padviz.engine.limbs import count_below_half, largest, largest_difference, shares, smallest, totals

AT_ONCE = 1 << 22  # numbers of a part: 32 MiB
ROWS = 64  # compared at a time
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Core:
    """The counts of a core as carried limbs, (limbs, height, width), derived from those of a smaller layer, `source`.

    `pulls` are the maps from that layer to the core, in order, along height and width. A core too large for memory is
    computed again, part by part, whenever it is read. A `symmetric` core is its own transpose.
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
        """An upper bound of the counts."""
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
        """The counts, read-only since maps share them."""
        whole = self._pull(self.source.limbs, self.pulls)
        whole.flags.writeable = False
        return whole

    def part(self, rows: slice = ALL, cols: slice = ALL) -> Array:
        """Return some rows and columns: a view where the core stays in memory."""
        if self.kept:
            return self.whole[:, rows, cols]
        whole = zip((rows, cols), self.shape[1:], strict=True)
        runs: list[tuple[slice, ...]] = [(slice(*each.indices(n)[:2]),) for each, n in whole]
        pulls: list[Maps] = []
        for pull in reversed(self.pulls):
            parts = [made.only(run) if made else (None, run) for made, run in zip(pull, runs, strict=True)]
            pulls.append((parts[0][0], parts[1][0]))
            runs = [read for _, read in parts]
        return self._pull(_take_runs(_take_runs(self.source.limbs, runs[0], 1), runs[1], 2), pulls[::-1])

    def at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Return the limbs where those rows and columns cross."""
        down, across = (slice(which.min(), which.max() + 1) for which in (rows, cols))
        near, rows, cols = self.part(down, across), rows - down.start, cols - across.start
        limbs: Array = np.empty((len(near), len(rows), len(cols)), dtype=near.dtype)
        if len(rows) < near.shape[1]:
            near.take(rows, 1).take(cols, 2, out=limbs, mode="clip")
        else:  # whole rows are copied fastest
            near.take(cols, 2).take(rows, 1, out=limbs, mode="clip")
        return limbs

    def take(self, which: NDArray[np.int64], axis: int) -> Array:
        """Return some rows (axis 1) or columns (axis 2), in any order."""
        near = slice(which.min(), which.max() + 1)
        part = self.part(near) if axis == 1 else self.part(cols=near)
        taken: Array = part.take(which - near.start, axis)
        return taken

    def parts(self, half: bool = False) -> Iterator[tuple[Array, slice, slice]]:
        """Yield the counts in parts with their rows and columns; with `half`, from the diagonal on only."""
        limbs, height, width = self.shape
        step = max(1, AT_ONCE // (limbs * width))
        for start in range(0, height, step):
            rows, cols = slice(start, min(start + step, height)), slice(start if half else 0, width)
            yield self.part(rows, cols), rows, cols

    @cached_property
    def extremes(self) -> tuple[Number, Number]:
        """The smallest and the largest count."""
        found = [(smallest(part), largest(part)) for part, *_ in self.parts(half=self.symmetric)]
        return min(low for low, _ in found), max(high for _, high in found)

    def below_half(self, down: NDArray[np.int64], across: NDArray[np.int64], square: bool) -> int:
        """Count positions below half of the largest count, rows and columns taken so many times.

        `square` says that the whole map is its own transpose; a symmetric core need not make a symmetric map.
        """
        below = 0
        for part, rows, cols in self.parts(half=square):
            times = across[cols]
            if square:  # positions after the diagonal stand for those before it
                times = times * np.where(np.arange(len(times)) < part.shape[1], 1, 2)
            below += count_below_half(part, self.extremes[1], down[rows], times)
        return below

    def asymmetry(self, here: NDArray[np.int64], there: NDArray[np.int64], axis: int) -> Number:
        """Return the largest absolute difference between some rows (axis 1) or columns (axis 2) and others."""
        most: Number = 0
        for at in range(0, len(here), ROWS):
            most = max(most, largest_difference(*(self.take(each[at : at + ROWS], axis) for each in (here, there))))
        return most

    def shares(self, peak: Number) -> NDArray[np.float64]:
        """Divide every count by `peak`."""
        values = np.empty(self.shape[1:])
        for part, rows, cols in self.parts(half=self.symmetric):
            values[rows, cols] = shares(part, peak)
            if self.symmetric:
                values[rows.stop :, rows] = values[rows, rows.stop :].T
        return values

    def means(self, rows: NDArray[np.float64], cols: NDArray[np.float64], peak: Number) -> NDArray[np.float64]:
        """Sum the counts over `peak`, with weights (ways, height) and (ways, width)."""
        down, across = self._source_weights(rows, cols)
        return np.asarray(down @ shares(self.source.limbs, peak) @ across.T)

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Number]]:
        """Sum the counts with weights (ways, height) and (ways, width): exact, see `limbs.totals`."""
        return totals(self.source.limbs, *self._source_weights(rows, cols))

    def _source_weights(self, *weights: Array) -> tuple[Array, Array]:
        """Return weights of the source's rows and columns, which are fewer, that give the same sums."""
        if not self.exact:
            weights = tuple(each.astype(np.float64) for each in weights)
        down, across = weights
        for tall, flat in reversed(self.pulls):
            down = apply(tall.transposed, down[None], 2)[0] if tall else down
            across = apply(flat.transposed, across[None], 2)[0] if flat else across
        return down, across

    def _pull(self, limbs: Array, pulls: Iterable[Maps]) -> Array:
        value = replace(self.source, limbs=limbs)
        for maps in pulls:
            value = value.pull(maps, self.engine)
        return replace(value, most=self.most).final().limbs  # the same number in each part


def _take_runs(limbs: Array, runs: Sequence[slice], axis: int) -> Array:
    parts = [limbs[:, run] if axis == 1 else limbs[:, :, run] for run in runs]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
