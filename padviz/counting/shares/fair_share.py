"""Fair share: the usage of each pixel over that of an interior pixel at the same stride phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property, cmp_to_key, reduce
from itertools import pairwise
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import CornerShares, FairShare, PerAxis
from padviz.counting.walking.tiling import Tiling
from padviz.engine.apply import HOLDS, Array, Number
from padviz.engine.core import Core
from padviz.engine.limbs import less, shares, to_ints, to_limbs
from padviz.engine.product import Product, count_below, times_of

RINGS = 16  # that are reported, from the border inwards
CORNERS = (0, 0), (0, -1), (-1, 0), (-1, -1)
NOISE = 1e-9  # of rational counts, which are rounded
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Given = tuple[Number, Number]  # the count of a row or column, and of the interior at its phase


def shares_of(core: Core, rows: Tiling, cols: Tiling, interior: Core) -> Shares:
    """Return the fair shares of a map: of two vectors where it and its interior are products.

    >>> import padviz
    >>> type(padviz.usage("vgg11", 64).shares).__name__
    'ProductShares'
    """
    both = isinstance(core, Product) and isinstance(interior, Product)
    return (ProductShares if both else Shares)(core, rows, cols, interior)


class ShareSums(NamedTuple):
    """Weighted sums of the shares and of the positions that have one; how many are unfair; the extremes."""

    sums: Floats
    used: Floats
    starved: float
    overused: float
    least: float
    most: float


class Shares:
    """The fair shares of a usage map that is kept as a core.

    `interior` is one period of an endless map: row y of the map compares with row y modulo the period. All rows of the
    map that are one row of the core have the same phase, since rows repeat by whole periods.
    """

    def __init__(self, core: Core, rows: Tiling, cols: Tiling, interior: Core) -> None:
        self.core, self.tilings, self.interior = core, (rows, cols), interior
        self.period = interior.shape[1:]
        self.phases = [tiling.first % period for tiling, period in zip(self.tilings, self.period, strict=True)]
        self.peak = max(int(interior.extremes[1]), 1)
        self.square = core.symmetric and rows == cols

    @cached_property
    def pattern(self) -> Array:
        """The counts of the interior, as limbs."""
        return self.interior.whole

    @property
    def values(self) -> Floats:
        """The share of each position of the core; NaN where the interior reads nothing."""
        values: Floats = self.core.shares(self.peak)
        values /= self._relative_interior[self.phases[0]][:, self.phases[1]]
        return values

    def means(self, blocks: tuple[int, ...] = (1, 1)) -> Floats:
        """Average blocks of rows and columns of the map, over the positions that have a share."""
        rows, cols = self.tilings
        if min(blocks) > 1:
            return self.weighted_means(rows.weights(blocks[0]), cols.weights(blocks[1]))
        values = self.values
        used = ~np.isnan(values)
        parts = np.where(used, values, 0), used.astype(np.float64)
        sums, counts = (cols.means(rows.means(part, blocks[0]).T, blocks[1]).T for part in parts)
        with np.errstate(invalid="ignore"):
            return sums / counts

    def weighted_means(self, down: Floats, across: Floats) -> Floats:
        """Average the shares with weights (ways, height) and (ways, width), over the positions that have one."""
        sums, counts = self._sums(down, across)
        with np.errstate(invalid="ignore"):
            return sums / counts

    @cached_property
    def figures(self) -> FairShare:
        """The figures of the shares."""
        down = _row_weights(self.tilings[0], self.period[0])
        across = down if self.square else _row_weights(self.tilings[1], self.period[1])
        sums, used, starved, overused, least, most = self._totals(down, across)
        pixels, total = self.tilings[0].n * self.tilings[1].n, sums[0, 0]
        second_minus_first = sums[-1, 0] - sums[-2, 0], sums[0, -1] - sums[0, -2]
        skew = (round(float(difference / total), 12) + 0.0 if total else 0.0 for difference in second_minus_first)
        inside = zip(*(np.diagonal(each)[: RINGS + 1].tolist() for each in (sums, used)), strict=True)
        return FairShare(
            period=[*self.period],
            starved=starved / pixels,
            overused=overused / pixels,
            unused=(pixels - int(used[0, 0])) / pixels,
            least=least if used[0, 0] else 0.0,
            most=most if used[0, 0] else 0.0,
            corners=CornerShares(*(self._corner(*at) for at in CORNERS)),
            skew=PerAxis(*skew),
            rings=[(a - b) / (m - n) for (a, m), (b, n) in pairwise(inside) if m > n],
            ripple=self.ripple,
        )

    @property
    def ripple(self) -> float:
        """The largest of the interior's counts over the smallest, zeros left out."""
        counts = to_ints(self.pattern)
        counts = counts[counts > 0]
        return float(counts.max() / counts.min()) if counts.size else 1.0

    def _sums(self, down: Floats, across: Floats) -> list[Floats]:
        """Sum the shares, and the positions that have one, with weights (ways, height) and (ways, width)."""
        half = self.square and down is across
        return _add(
            [_weighted_sum(each, down[:, rows], across[:, cols], half) for each in self._shares(part, rows, cols)]
            for part, rows, cols in self.core.parts(half)
        )

    def _totals(self, down: Floats, across: Floats) -> ShareSums:
        """Sum as `_sums` does and count unfair positions, weighted in the first way, in one pass over the core."""
        half, parts, least, most = self.square and down is across, [], inf, -inf
        for part, rows, cols in self.core.parts(half):
            values, used = self._shares(part, rows, cols)
            least = min(least, float(values.min(initial=inf, where=used)))
            most = max(most, float(values.max(initial=-inf, where=used)))
            tall, wide = down[:, rows], across[:, cols]
            sums = [_weighted_sum(each, tall, wide, half) for each in (values, used)]
            unfair = self._unfair(values, used, part, rows, cols)
            parts.append(sums + [_weighted_sum(each, tall[:1], wide[:1], half) for each in unfair])
        total, used_total, starved, overused = _add(parts)
        return ShareSums(total, used_total, float(starved[0, 0]), float(overused[0, 0]), least, most)

    def _shares(self, part: Array, rows: slice, cols: slice) -> tuple[Floats, Flags]:
        """Return the shares of a part of the core, 0 where there are none, and where there are any."""
        values = shares(part, self.peak) / self._relative_interior[self.phases[0][rows]][:, self.phases[1][cols]]
        used = ~np.isnan(values)
        values[~used] = 0
        return values, used

    def _unfair(self, values: Floats, used: Flags, part: Array, rows: slice, cols: slice) -> tuple[Flags, Flags]:
        """Return where a part is starved, and where it is overused: exactly, if counts are integers.

        Floats decide all positions that are not next to a bound. At the others, 2 u < i exactly where u is less than
        i / 2, rounded up; and 2 u > 3 i exactly where 3 i / 2, rounded down, is less.
        """
        starved, overused = used & (values < (1 - NOISE) / 2), values > (1 + NOISE) * 3 / 2
        if self.core.exact:
            near = np.nonzero(np.abs(np.abs(values - 1) - 0.5) < 2 * NOISE)
            interior = to_ints(self.pattern)[self.phases[0][rows][near[0]], self.phases[1][cols][near[1]]]
            if self.peak > HOLDS // 2:
                interior = interior.astype(object)
            counts = part[:, near[0], near[1]]
            starved[near] = less(counts, to_limbs((interior + 1) // 2, len(part)))
            overused[near] = less(to_limbs(interior + interior // 2, len(part)), counts)
        return starved, overused

    @cached_property
    def _relative_interior(self) -> Floats:
        """The interior over its peak; NaN where it reads nothing."""
        relative = shares(self.pattern, self.peak)
        relative[relative == 0] = np.nan
        return relative

    def _corner(self, row: int, col: int) -> float | None:
        at = [index % tiling.kept for index, tiling in zip((row, col), self.tilings, strict=True)]
        rows, cols = (slice(index, index + 1) for index in at)
        values, used = self._shares(self.core.part(rows, cols), rows, cols)
        return float(values[0, 0]) if used[0, 0] else None


class ProductShares(Shares):
    """The shares of a product: the share at row y and column x is that of y times that of x."""

    core: Product
    interior: Product

    @cached_property
    def _givens(self) -> tuple[list[Given], list[Given]]:
        """The count of each row of the core and that of the interior; the same of columns."""
        sides = (self.core.column, self.interior.column), (self.core.row, self.interior.row)
        down, across = (
            [(count, due[phase]) for count, phase in zip(counts, phases.tolist(), strict=True)]
            for (counts, due), phases in zip(sides, self.phases, strict=True)
        )
        return down, across

    @cached_property
    def _vectors(self) -> tuple[Floats, Floats]:
        """The share of each row, and of each column; NaN where the interior reads nothing."""
        down, across = (np.array([_ratio(*given) for given in givens]) for givens in self._givens)
        return down, across

    @property
    def values(self) -> Floats:
        """The share of each position of the core; NaN where the interior reads nothing."""
        return np.multiply.outer(*self._vectors)

    def _sums(self, down: Floats, across: Floats) -> list[Floats]:
        sides = [*zip((down, across), self._vectors, strict=True)]
        sums = [weights @ np.nan_to_num(vector) for weights, vector in sides]
        used = [weights @ ~np.isnan(vector) for weights, vector in sides]
        return [np.multiply.outer(*sums), np.multiply.outer(*used)]

    def _totals(self, down: Floats, across: Floats) -> ShareSums:
        sums, used = self._sums(down, across)
        tall, wide = (
            Counter({given: n for given, n in times_of(givens, weights[0]).items() if given[1]})
            for givens, weights in zip(self._givens, (down, across), strict=True)
        )
        if not tall or not wide:
            return ShareSums(sums, used, 0.0, 0.0, 0.0, 0.0)
        exact = self.core.exact

        def is_fed(one: Given, other: Given) -> bool:
            count, due = one[0] * other[0], one[1] * other[1]
            return bool(2 * count >= due) if exact else bool(count / due >= (1 - NOISE) / 2)

        def is_overused(one: Given, other: Given) -> bool:
            count, due = one[0] * other[0], one[1] * other[1]
            return bool(2 * count > 3 * due) if exact else bool(count / due > (1 + NOISE) * 3 / 2)

        ends = [(min(side, key=_by_share), max(side, key=_by_share)) for side in (tall, wide)]
        least, most = (_ratio(a * b, due * owed) for (a, due), (b, owed) in zip(*ends, strict=True))
        starved = count_below(tall, wide, _by_share, is_fed)
        overused = tall.total() * wide.total() - count_below(tall, wide, _by_share, is_overused)
        return ShareSums(sums, used, float(starved), float(overused), least, most)

    @property
    def ripple(self) -> float:
        tall, wide = ([n for n in side if n] for side in (self.interior.column, self.interior.row))
        return (max(tall) * max(wide)) / (min(tall) * min(wide)) if tall and wide else 1.0

    def _corner(self, row: int, col: int) -> float | None:
        (a, due), (b, owed) = (
            givens[at % tiling.kept] for at, tiling, givens in zip((row, col), self.tilings, self._givens, strict=True)
        )
        return _ratio(a * b, due * owed) if due and owed else None


def _row_weights(tiling: Tiling, period: int) -> Floats:
    """Count how often the map has each row of the core: inside of each ring, and in its first and its second half."""
    insides = [slice(ring * period, max(tiling.n - ring * period, ring * period)) for ring in range(RINGS + 1)]
    halves = slice(tiling.n // 2), slice(tiling.n - tiling.n // 2, tiling.n)
    return tiling.times_within([*insides, *halves]).astype(np.float64)


def _add(parts: Iterable[list[Floats]]) -> list[Floats]:
    """Add sums over parts of a map, one by one: a single part is in memory at a time."""
    return reduce(lambda sums, part: [a + b for a, b in zip(sums, part, strict=True)], parts)


def _weighted_sum(values: Floats | Flags, down: Floats, across: Floats, half: bool) -> Floats:
    """Sum values with weights; if they are the `half` of a symmetric map from its diagonal on, sum all of the map."""
    everywhere = values.dtype == bool and values.all()  # as nearly always
    sums = np.repeat(down.sum(1, keepdims=True), values.shape[1], 1) if everywhere else down @ values
    if not half:
        return np.asarray(sums @ across.T)
    n = len(values)
    after: Floats = sums[:, n:] @ across[:, n:].T
    return np.asarray(sums[:, :n] @ across[:, :n].T + after + after.T)


def _ratio(count: Number, due: Number) -> float:
    """Divide as a float, rounded once; NaN where the interior has none."""
    return float(count / due) if due else float("nan")


@cmp_to_key
def _by_share(one: Given, other: Given) -> int:
    left, right = one[0] * other[1], other[0] * one[1]
    return bool(left > right) - bool(left < right)
