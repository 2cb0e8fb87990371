"""The counts of a chain's core: the outer product of a column and a row of counts."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate
from operator import mul
from typing import Any, SupportsInt, TypeVar

import numpy as np
from numpy.typing import NDArray

from padviz.engine import core
from padviz.engine.apply import Array, Number, Tally, limbs_in
from padviz.engine.core import ALL, Core
from padviz.engine.limbs import outer, shares, to_ints

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Product(Core):
    """A core whose count at row y and column x is `source` at y times `wide` at x.

    Its figures are computed from the two vectors, exactly.

    >>> column, row = (Tally(np.array(limbs), 9, 9) for limbs in ([[[2], [3]]], [[[5, 7, 1]]]))
    >>> product = Product(column, wide=row)
    >>> product.whole.tolist(), product.extremes
    ([[[10, 14, 2], [15, 21, 3]]], (2, 21))
    """

    wide: Tally = field(kw_only=True)

    @cached_property
    def most(self) -> int:
        """An upper bound of the counts."""
        return self.source.most * self.wide.most

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(limbs, height, width)."""
        limbs = limbs_in(self.most, self.exact)
        return limbs, self.source.limbs.shape[1], self.wide.limbs.shape[2]

    @property
    def kept(self) -> bool:
        """Whether the core stays in memory."""
        limbs, height, width = self.shape
        return limbs * height * width <= core.AT_ONCE

    @cached_property
    def whole(self) -> Array:
        """The counts, read-only since maps share them."""
        whole = self._outer(ALL, ALL)
        whole.flags.writeable = False
        return whole

    def part(self, rows: slice = ALL, cols: slice = ALL) -> Array:
        """Return some rows and columns: a view where the core stays in memory."""
        return self.whole[:, rows, cols] if self.kept else self._outer(rows, cols)

    def _outer(self, rows: slice, cols: slice) -> Array:
        tall, wide, limbs = self.source.limbs[:, rows], self.wide.limbs[:, :, cols], self.shape[0]
        return np.asarray(tall * wide) if limbs == 1 else outer(tall, wide, limbs)

    @cached_property
    def column(self) -> list[Number]:
        """The count of each row, as Python numbers."""
        counts: list[Number] = to_ints(self.source.limbs)[:, 0].tolist()
        return counts

    @cached_property
    def row(self) -> list[Number]:
        """The count of each column, as Python numbers."""
        counts: list[Number] = to_ints(self.wide.limbs)[0].tolist()
        return counts

    @cached_property
    def extremes(self) -> tuple[Number, Number]:
        """The smallest and the largest count."""
        return min(self.column) * min(self.row), max(self.column) * max(self.row)

    def shares(self, peak: Number) -> NDArray[np.float64]:
        """Divide every count by `peak`."""
        return np.multiply.outer(*self._vectors(peak))

    def means(self, rows: NDArray[np.float64], cols: NDArray[np.float64], peak: Number) -> NDArray[np.float64]:
        """Sum the counts over `peak`, with weights (ways, height) and (ways, width)."""
        down, across = self._vectors(peak)
        return np.multiply.outer(rows @ down, cols @ across)

    def _vectors(self, peak: Number) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a column and a row whose products are the counts over `peak`."""
        tallest, widest = max(self.column), max(self.row)
        scale = tallest * widest / peak if peak else 0.0
        return shares(self.source.limbs, tallest)[:, 0] * scale, shares(self.wide.limbs, widest)[0]

    def totals(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[list[Number]]:
        """Sum the counts, with weights (ways, height) and (ways, width)."""
        down, across = (
            [sum(map(mul, way, counts)) for way in ways.tolist()]
            for ways, counts in ((rows, self.column), (cols, self.row))
        )
        return [[tall * wide for wide in across] for tall in down]

    def below_half(self, down: NDArray[np.int64], across: NDArray[np.int64], square: bool) -> int:
        """Count positions below half of the largest count, rows and columns taken so many times."""
        peak = self.extremes[1]
        columns, rows = times_of(self.column, down), times_of(self.row, across)
        return count_below(columns, rows, lambda count: count, lambda tall, wide: bool(2 * tall * wide >= peak))

    def asymmetry(self, here: NDArray[np.int64], there: NDArray[np.int64], axis: int) -> Number:
        """Return the largest absolute difference between some rows (axis 1) or columns (axis 2) and others."""
        counts, others = (self.column, self.row) if axis == 1 else (self.row, self.column)
        pairs = zip(here.tolist(), there.tolist(), strict=True)
        most: Number = max((abs(counts[a] - counts[b]) for a, b in pairs), default=0) * max(others)
        return most


def times_of(items: Iterable[Item], times: Iterable[SupportsInt]) -> Counter[Item]:
    """Count items, each taken so many times.

    >>> times_of("aba", [1, 2, 3])
    Counter({'a': 4, 'b': 2})
    """
    times_by_item: Counter[Item] = Counter()
    for item, n in zip(items, times, strict=True):
        times_by_item[item] += int(n)
    return times_by_item


def count_below(
    tall: Counter[Item], wide: Counter[Item], rank: Callable[[Item], Any], reaches: Callable[[Item, Item], bool]
) -> int:
    """Count the pairs that stay below a bound; if a pair reaches it, so do those with a `wide` item of higher rank.

    >>> from collections import Counter
    >>> count_below(Counter([1, 2]), Counter([3, 4]), lambda n: n, lambda a, b: a * b >= 6)
    2
    """
    items = sorted(wide, key=rank)
    before = [0, *accumulate(wide[item] for item in items)]
    counts = [n * before[bisect_left(items, True, key=partial(reaches, item))] for item, n in tall.items()]
    return sum(counts)
