"""The counts of a core and their exact figures, from a smaller layer or from two vectors where that is less work."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import Array, apply
from padviz.engine.limbs import (
    Maps,
    Number,
    Tally,
    largest,
    largest_difference,
    outer,
    shares,
    smallest,
    to_ints,
    totals,
)

ROWS = 32  # compared at a time, so that they stay in the cache


@dataclass(frozen=True, eq=False)
class Core:
    """The counts of a core: those of its `source`, the smallest layer before the first branch, pulled by maps.

    Pages hold the source and the maps. A `symmetric` core is its own transpose.
    """

    source: Tally
    pulls: tuple[Maps, ...] = ()
    engine: str = "auto"
    symmetric: bool = False
    _shares: dict[Number, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @cached_property
    def limbs(self) -> Array:
        """The counts as limbs, (limbs, height, width), read-only; see `padviz.engine.limbs`."""
        tally = self.source
        for pull in self.pulls:
            tally = tally.pull(pull, self.engine)
        return _read_only(tally.final().limbs if self.pulls else tally.limbs)

    @property
    def stem(self) -> Array:
        """The counts of the source as limbs."""
        return _read_only(self.source.limbs)

    @property
    def exact(self) -> bool:
        """Whether the counts are integers."""
        return self.source.limbs.dtype.kind != "f"

    @cached_property
    def extremes(self) -> tuple[Number, Number]:
        """The smallest and the largest count."""
        return smallest(self.limbs), largest(self.limbs)

    def shares(self, peak: Number) -> NDArray[np.float64]:
        """Divide every count by `peak`, in float64."""
        if peak not in self._shares:
            self._shares[peak] = _read_only(self._over(peak))
        return self._shares[peak]

    def _over(self, peak: Number) -> NDArray[np.float64]:
        return shares(self.limbs, peak)

    def at(self, rows: Array, cols: Array) -> Array:
        """Return the counts at those positions, as numbers."""
        return to_ints(self.limbs[:, rows, cols])

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Number]]:
        """Sum the counts with weights (ways, height) and (ways, width), by the fewer counts of the source."""
        down, across = (each if self.exact else each.astype(np.float64) for each in (rows, cols))
        for tall, wide in reversed(self.pulls):
            down = apply(tall.transposed, down[None], 2)[0] if tall else down
            across = apply(wide.transposed, across[None], 2)[0] if wide else across
        return totals(self.source.limbs, down, across)

    def difference(self, here: Array, there: Array, axis: int) -> Number:
        """Return the largest absolute difference between some rows (axis 1) or columns (axis 2) and others."""
        limbs = self.limbs if axis == 1 else self.limbs.swapaxes(1, 2)
        starts = range(0, len(here), ROWS)
        parts = ([limbs[:, each[at : at + ROWS]] for each in (here, there)] for at in starts)
        return max((largest_difference(*part) for part in parts), default=0)


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

    @cached_property
    def _vectors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return to_ints(self.source.limbs)[:, 0].astype(object), to_ints(self.wide)[0].astype(object)

    @cached_property
    def extremes(self) -> tuple[Number, Number]:
        """The smallest and the largest count."""
        column, row = self._vectors
        return column.min() * row.min(), column.max() * row.max()

    def _over(self, peak: Number) -> NDArray[np.float64]:
        tallest, widest = (max(vector.max(), 1) for vector in self._vectors)
        scale = tallest * widest / peak if peak else 0.0
        down, across = shares(self.source.limbs, tallest)[:, 0] * scale, shares(self.wide, widest)[0]
        return np.asarray(np.multiply.outer(down, across))

    def at(self, rows: Array, cols: Array) -> Array:
        """Return the counts at those positions, as Python ints."""
        column, row = self._vectors
        return np.asarray(column[rows] * row[cols])

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Number]]:
        """Sum the counts with weights (ways, height) and (ways, width)."""
        column, row = self._vectors
        return np.multiply.outer(rows.astype(object) @ column, cols.astype(object) @ row).tolist()  # type: ignore[no-any-return]

    def difference(self, here: Array, there: Array, axis: int) -> Number:
        """Return the largest absolute difference between some rows (axis 1) or columns (axis 2) and others."""
        along, other = self._vectors[:: 1 if axis == 1 else -1]
        most: Number = max(abs(along[here] - along[there]), default=0) * other.max()
        return most


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array
