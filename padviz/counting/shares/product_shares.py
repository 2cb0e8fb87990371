"""The fair shares of a chain's map: a count and its due are both products, and so is what one is of the other."""

from __future__ import annotations

from collections import Counter
from functools import cached_property, cmp_to_key
from typing import Any

import numpy as np

from padviz.counting.shares.fair_share import NOISE, Floats, Shares, ShareSums
from padviz.counting.walking.tiling import Tiling
from padviz.engine.core import Core
from padviz.engine.product import Product, count_below, times_of

Given = tuple[Any, Any]  # what a row or a column has, and its due


def shares_of(core: Core, rows: Tiling, cols: Tiling, pattern: Core) -> Shares:
    """Find the fair shares of a map, from two vectors where it and its pattern are products.

    >>> import padviz
    >>> type(padviz.usage("vgg11", 64).shares).__name__
    'ProductShares'
    """
    both = isinstance(core, Product) and isinstance(pattern, Product)
    return (ProductShares if both else Shares)(core, rows, cols, pattern)


class ProductShares(Shares):
    """Those of a map that is a product: the share at row y and column x is the one of y times the one of x.

    >>> import padviz
    >>> isinstance(padviz.usage("vgg11", 64).shares, ProductShares)
    True
    """

    core: Product
    interior: Product

    @cached_property
    def _givens(self) -> tuple[list[Given], list[Given]]:
        """What each row of the core has, and its due; the same of columns."""
        sides = (self.core.column, self.interior.column), (self.core.row, self.interior.row)
        down, across = (
            [(count, due[phase]) for count, phase in zip(counts, phases.tolist(), strict=True)]
            for (counts, due), phases in zip(sides, self.phases, strict=True)
        )
        return down, across

    @cached_property
    def _parts(self) -> tuple[Floats, Floats]:
        """The share of each row, and of each column; NaN where the interior reads nothing."""
        down, across = (np.array([_ratio(*given) for given in givens]) for givens in self._givens)
        return down, across

    @property
    def values(self) -> Floats:
        """The share of each position of the core, rounded to float64; NaN where the interior reads nothing."""
        return np.multiply.outer(*self._parts)

    def _spread(self, down: Floats, across: Floats) -> list[Floats]:
        tall, wide = self._parts
        sums = [weights @ np.nan_to_num(part) for weights, part in ((down, tall), (across, wide))]
        used = [weights @ ~np.isnan(part) for weights, part in ((down, tall), (across, wide))]
        return [np.multiply.outer(*sums), np.multiply.outer(*used)]

    def _share_sums(self, down: Floats, across: Floats) -> ShareSums:
        given, used = self._spread(down, across)
        tall, wide = (times_of(givens, n) for givens, n in zip(self._givens, (down[0], across[0]), strict=True))
        tall, wide = (Counter({(a, due): n for (a, due), n in times.items() if due}) for times in (tall, wide))
        if not tall or not wide:
            return ShareSums(given, used, 0.0, 0.0, 0.0, 0.0)
        exact = self.core.exact
        noise = 0.0 if exact else NOISE

        def is_fed(one: Given, other: Given) -> bool:
            count, due = one[0] * other[0], one[1] * other[1]
            return bool(2 * count >= due) if exact else bool(count / due >= (1 - noise) / 2)

        def is_overused(one: Given, other: Given) -> bool:
            count, due = one[0] * other[0], one[1] * other[1]
            return bool(2 * count > 3 * due) if exact else bool(count / due > (1 + noise) * 3 / 2)

        ends = [_extremes([*times]) for times in (tall, wide)]
        least, most = (_ratio(a * b, due * owed) for (a, due), (b, owed) in zip(*ends, strict=True))
        total = tall.total() * wide.total()
        unfair = count_below(tall, wide, _rank, is_fed), total - count_below(tall, wide, _rank, is_overused)
        return ShareSums(given, used, float(unfair[0]), float(unfair[1]), least, most)

    @property
    def ripple(self) -> float:
        tall, wide = ([n for n in side if n] for side in (self.interior.column, self.interior.row))
        return (max(tall) * max(wide)) / (min(tall) * min(wide)) if tall and wide else 1.0

    def _corner(self, row: int, col: int) -> float | None:
        (a, due), (b, owed) = (
            givens[at % tiling.kept] for at, tiling, givens in zip((row, col), self.tilings, self._givens, strict=True)
        )
        return _ratio(a * b, due * owed) if due and owed else None


def _ratio(count: Any, due: Any) -> float:
    """Divide as a float, rounded once; NaN where nothing is due."""
    return float(count / due) if due else float("nan")


def _compared(one: Given, other: Given) -> int:
    """Compare two shares: below 0 where the one is less than the other, above 0 where it is more."""
    left, right = one[0] * other[1], other[0] * one[1]
    return bool(left > right) - bool(left < right)


_rank = cmp_to_key(_compared)


def _extremes(givens: list[Given]) -> tuple[Given, Given]:
    """Find the smallest and the largest share."""
    return min(givens, key=_rank), max(givens, key=_rank)
