"""Fair share: the usage of each pixel over that of an interior pixel at the same stride phase."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from math import inf, isnan

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import Corners, FairShare, PerAxis
from padviz.counting.walking.tiling import Tiling
from padviz.engine.apply import Array
from padviz.engine.limbs import largest, less, shares, to_ints, to_limbs

RINGS = 16  # that are reported, from the border inwards
CORNERS = (0, 0), (0, -1), (-1, 0), (-1, -1)
NOISE = 1e-9  # of rational counts, which are rounded
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Shares:
    """The fair shares of a usage map that is kept as a core.

    `pattern` is one period of an endless map: row y of the map compares with row y modulo the period. All rows of the
    map that are one row of the core have the same phase, since rows repeat by whole periods.
    """

    def __init__(self, core: Array, rows: Tiling, cols: Tiling, pattern: Array) -> None:
        self.core, self.tilings, self.pattern = core, (rows, cols), pattern
        self.period = pattern.shape[1:]
        self.phases = np.ix_(*(tiling.first % n for tiling, n in zip(self.tilings, self.period, strict=True)))

    @cached_property
    def values(self) -> Floats:
        """The share of each position of the core; NaN where the interior reads nothing."""
        peak = max(largest(self.pattern), 1)
        interior = shares(self.pattern, peak)
        interior[interior == 0] = np.nan
        return shares(self.core, peak) / interior[self.phases]

    def means(self, blocks: tuple[int, ...] = (1, 1)) -> Floats:
        """Average blocks of rows and columns of the map, over the positions that have a share."""
        rows, cols = self.tilings
        return self._over_used(lambda part: cols.means(rows.means(part, blocks[0]).T, blocks[1]).T)

    def weighted_means(self, down: Floats, across: Floats) -> Floats:
        """Average the shares with weights (ways, height) and (ways, width), over the positions that have one."""
        return self._over_used(lambda part: down @ part @ across.T)

    def _over_used(self, average: Callable[[Floats], Floats]) -> Floats:
        sums, used = average(np.nan_to_num(self.values)), average(1.0 - np.isnan(self.values))
        with np.errstate(invalid="ignore"):
            return sums / used

    @cached_property
    def figures(self) -> FairShare:
        """The figures of the shares."""
        values, used = np.nan_to_num(self.values), ~np.isnan(self.values)
        down, across = (_row_weights(*each) for each in zip(self.tilings, self.period, strict=True))
        sums, counts = down @ values @ across.T, down @ used @ across.T
        starved, overused = (float(down[0] @ flags @ across[0]) for flags in self._unfair(values, used))
        pixels, total = self.tilings[0].n * self.tilings[1].n, sums[0, 0]
        second_minus_first = sums[-1, 0] - sums[-2, 0], sums[0, -1] - sums[0, -2]
        skew = (round(float(difference / total), 12) + 0.0 if total else 0.0 for difference in second_minus_first)
        inside = zip(*(np.diagonal(each)[: RINGS + 1].tolist() for each in (sums, counts)), strict=True)
        corners = (self.values[row, col].item() for row, col in CORNERS)
        interior = to_ints(self.pattern)
        interior = interior[interior > 0]
        return FairShare(
            period=[*self.period],
            starved=starved / pixels,
            overused=overused / pixels,
            unused=(pixels - int(counts[0, 0])) / pixels,
            least=float(values.min(initial=inf, where=used)) if used.any() else 0.0,
            most=float(values.max(initial=-inf, where=used)) if used.any() else 0.0,
            corners=Corners(*(None if isnan(share) else share for share in corners)),
            skew=PerAxis(*skew),
            rings=[(a - b) / (m - n) for (a, m), (b, n) in pairwise(inside) if m > n],
            ripple=float(interior.max() / interior.min()) if interior.size else 1.0,
        )

    def _unfair(self, values: Floats, used: Flags) -> tuple[Flags, Flags]:
        """Return which positions are starved, and which are overused: exactly, if counts are integers.

        Floats decide all positions that are not next to a bound. At the others, 2 u < i exactly where u is less than
        i / 2, rounded up; and 2 u > 3 i exactly where 3 i / 2, rounded down, is less.
        """
        starved, overused = used & (values < (1 - NOISE) / 2), values > (1 + NOISE) * 3 / 2
        if self.core.dtype.kind != "f":
            near = np.nonzero(np.abs(np.abs(values - 1) - 0.5) < 2 * NOISE)
            interior = to_ints(self.pattern)[self.phases[0][near[0], 0], self.phases[1][0, near[1]]].astype(object)
            counts = self.core[:, near[0], near[1]]
            starved[near] = less(counts, to_limbs((interior + 1) // 2, len(counts)))
            overused[near] = less(to_limbs(interior + interior // 2, len(counts)), counts)
        return starved, overused


def _row_weights(tiling: Tiling, period: int) -> Floats:
    """Count how often the map has each row of the core: inside of each ring, and in its first and its second half."""
    insides = [slice(ring * period, max(tiling.n - ring * period, ring * period)) for ring in range(RINGS + 1)]
    halves = slice(tiling.n // 2), slice(tiling.n - tiling.n // 2, tiling.n)
    return tiling.times_within([*insides, *halves]).astype(np.float64)
