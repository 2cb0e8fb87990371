"""Fair share: what each pixel gets of what it would get far from all borders."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, reduce
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import CornerShares, FairShare, PerAxis
from padviz.counting.walking.tiling import Tiling
from padviz.engine.apply import HOLDS, Array
from padviz.engine.core import Core
from padviz.engine.limbs import less, shares, to_ints, to_limbs

RINGS = 16  # that are reported, from the border inwards
CORNERS = (0, 0), (0, -1), (-1, 0), (-1, -1)
NOISE = 1e-9  # of rational counts, which are rounded
Floats = NDArray[np.float64]


class ShareSums(NamedTuple):
    """Sums of the shares, and of where there are any, by `_ways`; how many are unfair; the extremes.

    >>> ShareSums(np.ones((1, 1)), np.ones((1, 1)), starved=1.0, overused=0.0, least=0.2, most=1.0).starved
    1.0
    """

    given: Floats
    used: Floats
    starved: float
    overused: float
    least: float
    most: float


class Shares:
    """The fair shares of a map that is kept as a core.

    `pattern` is the interior; row y of the map has row y modulo the period of it, and so have all rows of a map that
    are the same row of its core, since what repeats in it repeats every period.

    >>> import padviz
    >>> padviz.usage("vgg11", 64).shares.values.shape
    (64, 64)
    """

    def __init__(self, core: Core, rows: Tiling, cols: Tiling, pattern: Core) -> None:
        self.core, self.tilings, self.interior = core, (rows, cols), pattern
        self.period = pattern.shape[1:]
        self.phases = [tiling.first % period for tiling, period in zip(self.tilings, self.period, strict=True)]
        self.most = max(int(pattern.extremes[1]), 1)
        self.square = core.symmetric and rows == cols

    @cached_property
    def pattern(self) -> Array:
        """The counts of the interior."""
        return self.interior.whole

    @property
    def values(self) -> Floats:
        """The share of each position of the core, rounded to float64; NaN where the interior reads nothing."""
        rows, cols = (slice(tiling.kept) for tiling in self.tilings)
        values: Floats = self.core.shares(self.most)
        values /= self._laid(self._interior, rows, cols)
        return values

    def means(self, blocks: tuple[int, ...] = (1, 1)) -> Floats:
        """Average blocks of rows and columns of the map, over the positions that have a share."""
        rows, cols = self.tilings
        if min(blocks) > 1:
            return self.averaged(rows.weights(blocks[0]), cols.weights(blocks[1]))
        used = ~np.isnan(shares_of_core := self.values)
        spread = np.where(used, shares_of_core, 0), used.astype(np.float64)
        sums, parts = (cols.means(rows.means(values, blocks[0]).T, blocks[1]).T for values in spread)
        with np.errstate(invalid="ignore"):
            return sums / parts

    def averaged(self, down: Floats, across: Floats) -> Floats:
        """Average the shares with weights (ways, height) and (ways, width), over the positions that have one."""
        sums, parts = self._spread(down, across)
        with np.errstate(invalid="ignore"):
            return sums / parts

    @cached_property
    def figures(self) -> FairShare:
        """The shares summed up in figures."""
        down = _ways(self.tilings[0], self.period[0])
        across = down if self.square else _ways(self.tilings[1], self.period[1])
        sums = self._share_sums(down, across)
        pixels, used = self.tilings[0].n * self.tilings[1].n, sums.used[0, 0]
        return FairShare(
            period=[*self.period],
            starved=sums.starved / pixels,
            overused=sums.overused / pixels,
            unused=(pixels - int(used)) / pixels,
            least=sums.least if used else 0.0,
            most=sums.most if used else 0.0,
            corners=CornerShares(*(self._corner(*at) for at in CORNERS)),
            skew=_skew(sums.given),
            rings=_rings(sums.given, sums.used),
            ripple=self.ripple,
        )

    def _share_sums(self, down: Floats, across: Floats) -> ShareSums:
        """Sum up the shares and find their extremes, in one pass over the core."""
        half, sums, least, most = self._half(down, across), [], inf, -inf
        for part, rows, cols in self.core.parts(half):
            given, used = self._given(part, rows, cols)
            shared = given if used.all() else given[used]
            least, most = min(least, float(shared.min(initial=inf))), max(most, float(shared.max(initial=-inf)))
            tall, wide = down[:, rows], across[:, cols]
            by_way = [_weighed(value, tall, wide, half) for value in (given, used)]
            unfair = self._unfair(given, used, part, rows, cols)  # of the whole map alone, the first way
            sums.append(by_way + [_weighed(value, tall[:1], wide[:1], half) for value in unfair])
        given, used, starved, overused = _added(sums)
        return ShareSums(given, used, float(starved[0, 0]), float(overused[0, 0]), least, most)

    @property
    def ripple(self) -> float:
        """Divide the largest of the interior's counts by the smallest, zeros left out."""
        interior = to_ints(self.pattern)
        ripple = interior[interior > 0]
        return float(ripple.max() / ripple.min()) if ripple.size else 1.0

    def _spread(self, down: Floats, across: Floats) -> list[Floats]:
        """Sum up the shares, and where there are any, with weights (ways, height) and (ways, width)."""
        half = self._half(down, across)
        return _added(
            [_weighed(value, down[:, rows], across[:, cols], half) for value in self._given(part, rows, cols)]
            for part, rows, cols in self.core.parts(half)
        )

    def _half(self, down: Floats, across: Floats) -> bool:
        """Tell whether the core's half from the diagonal on is enough for sums with these weights."""
        return self.square and down is across

    def _given(self, part: Array, rows: slice, cols: slice) -> list[NDArray[Any]]:
        """Find the shares of a part of the core, 0 where there are none, and where there are any."""
        values = shares(part, self.most) / self._laid(self._interior, rows, cols)
        used = ~np.isnan(values)
        values[~used] = 0
        return [values, used]

    def _unfair(
        self, given: Floats, used: NDArray[np.bool_], part: Array, rows: slice, cols: slice
    ) -> list[NDArray[np.bool_]]:
        """Tell where a part is starved, and where it is overused: exactly, where counts are integers.

        Floats decide all that are not next to a bound. Of the others, 2 u < i exactly where u is less than i / 2,
        rounded up; 2 u > 3 i exactly where 3 i / 2, rounded down, is less.
        """
        starved, overused = used & (given < (1 - NOISE) / 2), given > (1 + NOISE) * 3 / 2
        if self.core.exact:
            near = np.nonzero(np.abs(np.abs(given - 1) - 0.5) < 2 * NOISE)
            phases = (all_of[which][at] for all_of, which, at in zip(self.phases, (rows, cols), near, strict=True))
            (half, more), counts = self._bounds(*phases), part[:, near[0], near[1]]
            starved[near], overused[near] = less(counts, half), less(more, counts)
        return [starved, overused]

    @cached_property
    def _interior(self) -> Floats:
        """The pattern over its largest count, as shares of the core are; NaN where it reads nothing."""
        pattern = shares(self.pattern, self.most)
        pattern[pattern == 0] = np.nan
        return pattern

    def _bounds(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> tuple[Array, Array]:
        """Take half of the pattern at some rows and columns, and one and a half, in limbs as the core has them."""
        interior, limbs = to_ints(self.pattern)[rows, cols], self.core.shape[0]
        if self.most > HOLDS // 2:
            interior = interior.astype(object)
        return to_limbs((interior + 1) // 2, limbs), to_limbs(interior + interior // 2, limbs)

    def _laid(self, pattern: Array, rows: slice, cols: slice) -> Array:
        """Lay a pattern on some rows and columns of the core."""
        laid: Array = pattern.take(self.phases[0][rows], -2).take(self.phases[1][cols], -1)
        return laid

    def _corner(self, row: int, col: int) -> float | None:
        at = [index % tiling.kept for index, tiling in zip((row, col), self.tilings, strict=True)]
        rows, cols = (slice(index, index + 1) for index in at)
        given, used = self._given(self.core.part(rows, cols), rows, cols)
        return float(given[0, 0]) if used[0, 0] else None


def _ways(tiling: Tiling, period: int) -> Floats:
    """Count how often the map has each row of the core: inside of each ring, and in its first and its second half."""
    insides = [slice(ring * period, max(tiling.n - ring * period, ring * period)) for ring in range(RINGS + 1)]
    halves = slice(tiling.n // 2), slice(tiling.n - tiling.n // 2, tiling.n)
    return tiling.times_within([*insides, *halves]).astype(np.float64)


def _added(parts: Iterable[list[Floats]]) -> list[Floats]:
    """Add up sums over parts of a map, each with its like: one part is in memory at a time."""
    return reduce(lambda sums, part: [a + b for a, b in zip(sums, part, strict=True)], parts)


def _weighed(values: NDArray[Any], down: Floats, across: Floats, half: bool) -> Floats:
    """Sum up values with weights; of a `half`, from the diagonal on, those of the whole symmetric map."""
    everywhere = values.dtype == bool and values.all()  # as nearly always
    sums = np.repeat(down.sum(1, keepdims=True), values.shape[1], 1) if everywhere else down @ values
    if not half:
        return np.asarray(sums @ across.T)
    n = len(values)
    after: Floats = sums[:, n:] @ across[:, n:].T
    return np.asarray(sums[:, :n] @ across[:, :n].T + after + after.T)


def _skew(given: Floats) -> PerAxis:
    """Compare the second half with the first: how much more it has, of sums in `_ways`."""
    total, differences = given[0, 0], (given[-1, 0] - given[-2, 0], given[0, -1] - given[0, -2])
    return PerAxis(*(round(float(difference / total), 12) + 0.0 if total else 0.0 for difference in differences))


def _rings(given: Floats, used: Floats) -> list[float]:
    """Average what lies between one rectangle and the next, of sums in `_ways`."""
    sums, counts = (np.diagonal(sums_by_way)[: RINGS + 1].tolist() for sums_by_way in (given, used))
    return [(a - b) / (m - n) for (a, b), (m, n) in zip(pairwise(sums), pairwise(counts), strict=True) if m > n]
