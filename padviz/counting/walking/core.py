"""The counts of a core and their exact figures, from a smaller layer or from two vectors where that
is less work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import Array, apply
from padviz.engine.limbs import (
    Maps,
    Number,
    Tally,
    largest,
    largest_difference,
    limbs_in,
    outer,
    shares,
    smallest,
    to_ints,
    totals,
)

KEPT = 1 << 21  # numbers of a core that stays in memory: 16 MiB
AT_ONCE = 1 << 19  # numbers of a part of others, whose memory is used again for the next one
LEVEL = 1e-12  # shares of the largest count are as exact as this, and more


@dataclass(frozen=True, eq=False)
class Core:
    """The counts of a core: those of its `source`, the smallest layer before the first branch,
    pulled by maps.

    Pages hold the source and the maps. A `symmetric` core is its own transpose. The figures of a
    core that is large are computed some rows at a time. `exactly` counts positions in integers
    where the core has floats.
    """

    source: Tally
    pulls: tuple[Maps, ...] = ()
    engine: str = "auto"
    symmetric: bool = False
    exactly: Callable[[Array, Array], Array] | None = None
    _shares: dict[Number, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @cached_property
    def limbs(self) -> Array:
        """The counts as limbs, (limbs, height, width), read-only; see `padviz.engine.limbs`."""
        tally = self.source
        if not self.pulls:
            return _read_only(tally.limbs)
        for pull in self.pulls:
            tally = tally.pull(pull, self.engine)
        return _read_only(tally.final().limbs)

    def forget_arrays(self) -> None:
        """Free what figures were computed from; it is computed again when needed."""
        vars(self).pop("limbs", None)
        self._shares.clear()

    # How a part is computed: sliced from the whole core where that stays in memory, else from the
    # source.

    @cached_property
    def _most(self) -> int:
        return self.source.most * prod(pull.gain for maps in self.pulls for pull in maps if pull)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        height, width = self.source.limbs.shape[-2:]
        for tall, wide in self.pulls:
            if tall:
                height = tall.n_out
            if wide:
                width = wide.n_out
        return height, width

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """The rows, from the first up to the last + 1, of each part: of the only one where the core
        stays in memory.
        """
        height, width = self._shape
        numbers, step = width * limbs_in(self._most, self.exact), height
        if self.pulls and numbers * height > KEPT:
            step = max(1, AT_ONCE // numbers)
        return [(start, min(start + step, height)) for start in range(0, height, step)]

    def _part(self, start: int, stop: int, left: int = 0) -> Array:
        """Return the limbs of some rows, from column `left` on."""
        # A large core stays in memory, too, once somebody has asked for its limbs.
        if len(self._spans) == 1 or "limbs" in vars(self):
            return self.limbs[:, start:stop, left:]
        return self._pulled(self.source, start, stop, left)

    def _pulled(self, source: Tally, start: int, stop: int, left: int) -> Array:
        """Compute some rows, from column `left` on, from those counts of the source
        that they read.
        """
        right = None  # of whole rows, which need no narrower maps
        if left:
            right = self._shape[1]
        pulls: list[Maps] = []
        for tall, wide in reversed(self.pulls):
            if tall:
                tall, start, stop = tall.only(start, stop)
            if wide and right:
                wide, left, right = wide.only(left, right)
            pulls.append((tall, wide))
        tally = replace(source, limbs=source.limbs[:, start:stop, left:right])
        for maps in reversed(pulls):
            tally = tally.pull(maps, "numpy")
        # Narrower maps gain less. By the gain of the whole ones, each part has as many limbs as the
        # others.
        return replace(tally, most=self._most).final().limbs

    def _diagonal(self, start: int) -> int:
        """Return the column from which rows from `start` on are needed: those of a mirrored core
        have the rest.
        """
        return start if self.symmetric else 0

    # The figures, over all parts.

    @property
    def stem(self) -> Array:
        """The counts of the source as limbs."""
        return _read_only(self.source.limbs)

    @property
    def stem_shape(self) -> tuple[int, ...]:
        """The shape of the stem, which is not computed for that: (limbs, height, width)."""
        return self.source.limbs.shape

    @property
    def exact(self) -> bool:
        """Whether the counts are integers."""
        return self.source.limbs.dtype.kind != "f"

    @cached_property
    def extremes(self) -> tuple[Number, Number]:
        """The smallest and the largest count."""
        low, high = [], []
        for start, stop in self._spans:
            part = self._part(start, stop, self._diagonal(start))
            low.append(smallest(part))
            high.append(largest(part))
        return min(low), max(high)

    def shares(self, peak: Number) -> NDArray[np.float64]:
        """Divide every count by `peak`, in float64."""
        if peak not in self._shares:
            self._shares[peak] = _read_only(self.over(peak))
        return self._shares[peak]

    def over(self, peak: Number) -> NDArray[np.float64]:
        """Divide every count by `peak`, in a new array."""
        if len(self._spans) == 1:
            return shares(self.limbs, peak, self.source.exponent)
        # Shares are floats, so that the source is rounded before it is pulled: floats have one
        # limb, however large.
        source = self.source
        bits = max(0, int(largest(source.limbs)).bit_length() + source.exponent)
        rounded = Tally(
            shares(source.limbs, 1 << bits, source.exponent)[None], 1, source.most, bits
        )
        values = np.empty(self._shape)
        for start, stop in self._spans:
            left = self._diagonal(start)
            values[start:stop, left:] = shares(self._pulled(rounded, start, stop, left), peak, bits)
            if self.symmetric:
                values[stop:, start:stop] = values[start:stop, stop:].T
        return values

    def at(self, rows: Array, cols: Array) -> Array:
        """Return the counts at those positions, whose rows ascend, as numbers."""
        counts = []
        for start, stop in self._spans:
            first, end = np.searchsorted(rows, [start, stop])
            if first < end:
                counts.append(
                    to_ints(self._part(start, stop)[:, rows[first:end] - start, cols[first:end]])
                )
        return np.concatenate(counts)

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Number]]:
        """Sum the counts with weights (ways, height) and (ways, width), by the fewer counts of the
        source.
        """
        down: Array = rows
        across: Array = cols
        if not self.exact:
            down, across = rows.astype(np.float64), cols.astype(np.float64)
        for tall, wide in reversed(self.pulls):
            if tall:
                down = apply(tall.transposed, down[None], 2)[0]
            if wide:
                across = apply(wide.transposed, across[None], 2)[0]
        return totals(self.source.limbs, down, across)

    def difference(self, here: Array, there: Array, axis: int) -> Number:
        """Return the largest absolute difference between some rows (axis 1) or columns (axis 2) and
        others.
        """
        # Only those lines that differ most as floats are counted exactly.
        values = self.shares(self.extremes[1])
        lines = values if axis == 1 else values.T
        most = np.empty(len(here))
        for at in range(0, len(here), 64):  # some at a time, which stay in the cache
            some = slice(at, at + 64)
            most[some] = np.abs(lines[here[some]] - lines[there[some]]).max(axis=1)
        level = most >= most.max(initial=0) - LEVEL
        here, there = here[level], there[level]
        differences: list[Number] = []
        if axis == 2:
            for start, stop in self._spans:
                part = self._part(start, stop)
                differences.append(largest_difference(part[:, :, here], part[:, :, there]))
            return max(differences)
        _, step = self._spans[0]
        for at in range(0, len(here), step):
            some = slice(at, at + step)
            differences.append(largest_difference(self._rows(here[some]), self._rows(there[some])))
        return max(differences, default=0)

    def _rows(self, rows: Array) -> Array:
        first = rows.min()
        return self._part(first, rows.max() + 1)[:, rows - first]


@dataclass(frozen=True, eq=False)
class Product(Core):
    """A core whose count at row y and column x is `source` at y times `wide` at x, in `n` limbs.

    >>> column, row = (Tally(np.array(limbs), 9, 9) for limbs in ([[[2], [3]]], [[[5, 7, 1]]]))
    >>> product = Product(column, wide=row.limbs, n=1)
    >>> product.limbs.tolist(), product.extremes
    ([[[10, 14, 2], [15, 21, 3]]], (2, 21))
    """

    wide: Array = field(kw_only=True)
    n: int = field(kw_only=True)

    @cached_property
    def limbs(self) -> Array:
        """The counts as limbs."""
        return _read_only(outer(self.source.limbs, self.wide, self.n))

    @property
    def stem(self) -> Array:
        """All counts: a map of two vectors has no smaller layer."""
        return self.limbs

    @property
    def stem_shape(self) -> tuple[int, ...]:
        """The shape of the stem, which is not computed for that: (limbs, height, width)."""
        return self.n, self.source.limbs.shape[1], self.wide.shape[2]

    @cached_property
    def _vectors(self) -> tuple[Array, Array]:
        return to_ints(self.source.limbs)[:, 0].astype(object), to_ints(self.wide)[0].astype(object)

    @cached_property
    def extremes(self) -> tuple[Number, Number]:
        """The smallest and the largest count."""
        column, row = self._vectors
        return column.min() * row.min(), column.max() * row.max()

    def over(self, peak: Number) -> NDArray[np.float64]:
        """Divide every count by `peak`, in a new array."""
        tallest, widest = (max(vector.max(), 1) for vector in self._vectors)
        scale = 0.0
        if peak:
            scale = tallest * widest / peak
        down, across = (
            shares(self.source.limbs, tallest)[:, 0] * scale,
            shares(self.wide, widest)[0],
        )
        return np.asarray(np.multiply.outer(down, across))

    def at(self, rows: Array, cols: Array) -> Array:
        """Return the counts at those positions, as Python ints."""
        column, row = self._vectors
        return np.asarray(column[rows] * row[cols])

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Number]]:
        """Sum the counts with weights (ways, height) and (ways, width)."""
        column, row = self._vectors
        down, across = rows.astype(object) @ column, cols.astype(object) @ row
        sums: list[list[Number]] = np.multiply.outer(down, across).tolist()
        return sums

    def difference(self, here: Array, there: Array, axis: int) -> Number:
        """Return the largest absolute difference between some rows (axis 1) or columns (axis 2) and
        others.
        """
        along, other = self._vectors
        if axis == 2:
            along, other = other, along
        most: Number = max(abs(along[here] - along[there]), default=0) * other.max()
        return most


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array
