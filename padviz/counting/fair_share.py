"""Fair share: what each pixel gets of what it would get far from all borders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.periodic.tiling import Tiling
from padviz.counting.summary import CornerShares, FairShare, PerAxis
from padviz.engine.apply import Array
from padviz.engine.core import Core
from padviz.engine.limbs import less, shares, to_ints, to_limbs

RINGS = 16  # that are told of, from the border inwards
ALL = slice(None)
CORNERS = (0, 0), (0, -1), (-1, 0), (-1, -1)
NOISE = 1e-9  # of rational counts, which are rounded


class Shares:
    """The fair shares of a map that is kept as a core.

    `pattern` is the interior; row y of the map has row y modulo the period of it, and so have all rows of a map that
    are the same row of its core, since what repeats in it repeats every period.

    >>> import padviz
    >>> padviz.usage("vgg11", 64).shares.values.shape
    (64, 64)
    """

    def __init__(self, core: Core, rows: Tiling, cols: Tiling, pattern: Core) -> None:
        self.core, self.tilings, self.pattern = core, (rows, cols), pattern.whole
        self.period = pattern.shape[1:]
        self.phases = [_first(tiling) % period for tiling, period in zip(self.tilings, self.period, strict=True)]
        self.most = max(int(to_ints(self.pattern).max()), 1)

    @property
    def values(self) -> NDArray[np.float64]:
        """The share of each position of the core, rounded to float64; NaN where the interior reads nothing."""
        rows, cols = self.phases
        with np.errstate(divide="ignore", invalid="ignore"):
            found: NDArray[np.float64] = self.core.shares(self.most) / self._interior(rows, cols)
        found[np.isinf(found)] = np.nan
        return found

    def means(self, blocks: tuple[int, int] = (1, 1)) -> NDArray[np.float64]:
        """Means over blocks of rows and columns of the map, of the positions that have a share."""
        used = ~np.isnan(values := self.values)
        sums, parts = (self._spread(each, blocks) for each in (np.where(used, values, 0), used.astype(np.float64)))
        with np.errstate(invalid="ignore"):
            return sums / parts

    def _spread(self, values: NDArray[np.float64], blocks: tuple[int, int]) -> NDArray[np.float64]:
        rows, cols = self.tilings
        return cols.means(rows.means(values, blocks[0]).T, blocks[1]).T

    def _interior(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
        return shares(self.pattern, self.most)[rows][:, cols]

    def figures(self) -> FairShare:
        """All of them."""
        values = self.values
        used = ~np.isnan(values)
        given = np.where(used, values, 0)
        times = [tiling.times() for tiling in self.tilings]
        pixels = self.tilings[0].n * self.tilings[1].n
        interior = to_ints(self.pattern)
        ripple = interior[interior > 0]
        return FairShare(
            period=[*self.period],
            starved=self._times_where(times, self._starved) / pixels,
            overused=self._times_where(times, self._overused) / pixels,
            unused=int(times[0] @ ~used @ times[1]) / pixels,
            least=float(np.nanmin(values)) if used.any() else 0.0,
            most=float(np.nanmax(values)) if used.any() else 0.0,
            corners=CornerShares(*(float(values[at]) if used[at] else None for at in CORNERS)),
            lean=self._lean(given),
            rings=self._rings(given, used),
            ripple=float(ripple.max() / ripple.min()) if ripple.size else 1.0,
        )

    def _times_where(self, times: list[NDArray[np.int64]], judge: Callable[..., NDArray[np.bool_]]) -> int:
        """On how many positions of the map a verdict is true."""
        found = 0
        square = self.core.symmetric and self.tilings[0] == self.tilings[1]
        for part, rows, cols in self.core.parts(half=square):
            across = times[1][cols]
            if square:  # what lies after the diagonal stands for what lies before it
                across = across * np.where(np.arange(len(across)) < part.shape[1], 1, 2)
            found += int(times[0][rows] @ judge(part, self.phases[0][rows], self.phases[1][cols]) @ across)
        return found

    def _starved(self, part: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where 2 u < i: exactly where u is less than i / 2, rounded up."""
        if part.dtype.kind == "f":
            starved: NDArray[np.bool_] = part[0] < self._at(rows, cols) * (1 - NOISE) / 2
            return starved
        return less(part, self._bound(len(part), lambda i: (i + 1) // 2)[:, rows][:, :, cols])

    def _overused(self, part: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where 2 u > 3 i and i > 0: exactly where 3 i / 2, rounded down, is less than u."""
        if part.dtype.kind == "f":
            interior = self._at(rows, cols)
            overused: NDArray[np.bool_] = (interior > 0) & (part[0] > interior * (1 + NOISE) * 3 / 2)
            return overused
        bound = self._bound(len(part), lambda i: 3 * i // 2 if i else -1)[:, rows][:, :, cols]
        more: NDArray[np.bool_] = less(bound, part) & (bound[-1] >= 0)
        return more

    def _at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
        interior: NDArray[np.float64] = to_ints(self.pattern).astype(np.float64)[rows][:, cols]
        return interior

    def _bound(self, limbs: int, bound: Callable[[int], int]) -> Array:
        """A bound for every position of the pattern, in limbs as a part of the core has them."""
        return to_limbs([[bound(i) for i in row] for row in to_ints(self.pattern).tolist()], limbs)

    def _lean(self, given: NDArray[np.float64]) -> PerAxis:
        total = self._sum(given)
        found = []
        for axis, tiling in enumerate(self.tilings):
            halves = [slice(tiling.n // 2), slice(tiling.n - tiling.n // 2, tiling.n)]
            sums = [self._sum(given, *((half, ALL) if axis == 0 else (ALL, half))) for half in halves]
            found.append(round((sums[1] - sums[0]) / total, 12) + 0.0 if total else 0.0)
        return PerAxis(*found)

    def _rings(self, given: NDArray[np.float64], used: NDArray[np.bool_]) -> list[float]:
        """Means over what lies between one rectangle and the next, each a period further inside."""
        sums, counts = [], []
        for ring in range(RINGS + 1):
            margins = [ring * period for period in self.period]
            inside = [slice(m, max(t.n - m, m)) for m, t in zip(margins, self.tilings, strict=True)]
            sums.append(self._sum(given, *inside))
            counts.append(self._sum(used, *inside))
        return [(a - b) / (m - n) for (a, b), (m, n) in zip(pairwise(sums), pairwise(counts), strict=True) if m > n]

    def _sum(self, values: NDArray[Any], rows: slice = ALL, cols: slice = ALL) -> float:
        """The sum over some rows and columns of the map."""
        return float(self.tilings[0].times(rows) @ values @ self.tilings[1].times(cols))


def _first(tiling: Tiling) -> NDArray[np.int64]:
    """The first row of the map that each row of the core is."""
    rows = np.arange(tiling.kept)
    return np.where(rows < tiling.start + tiling.period, rows, rows + tiling.copies * tiling.period)
