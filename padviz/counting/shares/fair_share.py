"""Fair share: the usage of each pixel over that of an interior pixel at the same stride phase.

Far from all borders a map repeats with the network's strides. The interior is one period of the map of an endless
image, exact at any size: its paths are those of a network on a torus of one period, which is counted by the same walk
as any other map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise, product
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import Corners, FairShare, PerAxis
from padviz.counting.walking.core import Core
from padviz.counting.walking.stable_rows import growth
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import WHOLE, Walk, Weights, count_backward
from padviz.engine.apply import Array
from padviz.engine.axis_map import AxisMap
from padviz.engine.limbs import largest, shares, to_ints
from padviz.errors import PadvizError
from padviz.network.axis_maps import axis_map, ring_map
from padviz.network.graph import ancestors
from padviz.network.network import Network, Size
from padviz.network.operations import CACHED
from padviz.network.rewrites import with_zeros
from padviz.network.sizes import Resolved, is_square, sizes_of

MOST_PERIOD = 1 << 12  # rows of a pattern that still means something to a person
RINGS = 16  # that are reported, from the border inwards
CORNERS = (0, 0), (0, -1), (-1, 0), (-1, -1)
NOISE = 1e-9  # of rational counts, which are rounded
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class NoInterior(PadvizError):
    """The map repeats no pattern; the message says why.

    >>> import padviz
    >>> padviz.usage("vgg11", 64, unit=(0, 0)).share_reason
    'vgg11: only usage by all units of a layer has fair shares'
    """


def interior(network: Network, size: Size, targets: tuple[int, ...], weights: Weights = None) -> Array:
    """Count the pattern of usage far from all borders, aligned with the first row and column of the map at `size`.

    Raises NoInterior where the map is not periodic, naming the layer.

    >>> import padviz
    >>> net = padviz.load("vgg19")
    >>> pattern = interior(net, (512, 512), (net.index["features.36"],))
    >>> pattern.shape[1:], int(pattern.max()) == 9**16
    ((32, 32), True)
    """
    return _interior(endless(network), phased(network, size), targets, weights)


@lru_cache(256)
def _interior(network: Network, at: Phased, targets: tuple[int, ...], weights: Weights) -> Array:
    rows = ring(network, 0, at.size[0], targets)
    cols = rows if at.square and is_square(network) else ring(network, 1, at.size[1], targets)
    return count_backward(Walk(network, rows, cols, targets, "auto", weights), WHOLE).limbs


@dataclass(frozen=True)
class Phased:
    """A size that equals all others with the same phase: an endless network cannot tell them apart.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> phased(net, (224, 64)) == phased(net, (64, 64)), phased(net, (224, 64)) == phased(net, (225, 64))
    (True, False)
    """

    phases: Size
    size: Size = field(compare=False)

    @property
    def square(self) -> bool:
        """Whether height and width have the same phase."""
        return self.phases[0] == self.phases[1]


def phased(network: Network, size: Size) -> Phased:
    """Return the phase of a size; where a layer does not grow with the image, each size is a phase of its own."""
    rows, cols = (growth(network, axis) or (0,) for axis in (0, 1))
    return Phased((size[0] % rows[0], size[1] % cols[0]) if all(rows) and all(cols) else size, size)


def endless(network: Network) -> Network:
    """Return the network without its padding schemes, which do not matter far from borders, where all layers grow.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> endless(padviz.usage(net, 64, "reflect").walked) is endless(net)
    True
    """
    return with_zeros(network) if all(all(growth(network, axis) or [0]) for axis in (0, 1)) else network


@lru_cache(256)
def ring(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Resolved:
    """Resolve one axis of the network on a ring: one period of each layer, and the maps between them.

    Raises NoInterior where the axis does not repeat, naming the layer.
    """
    grows, sizes = growth(network, axis), sizes_of(network, axis, n)
    if grows is None:
        raise NoInterior("its branches advance at different rates", where=network.name)
    if grows[0] > MOST_PERIOD:
        raise NoInterior(f"it repeats every {grows[0]} pixels only", where=network.name)
    walked = ancestors(network.layers, targets, followed=False)
    axis_maps = [_layer_ring(network, axis, n, i) if i in walked else None for i in range(len(sizes))]
    return Resolved(tuple([grow or n for grow, n in zip(grows, sizes, strict=True)]), tuple(axis_maps))


@lru_cache(CACHED)
def _layer_ring(network: Network, axis: int, n: int, i: int) -> AxisMap | None:
    """Return the map of layer `i` on a ring; a layer that does not grow, like its input, keeps its own map."""
    grows, sizes, layer = growth(network, axis), sizes_of(network, axis, n), network.layers[i]
    op = layer.ops[axis]
    if op is None or grows is None:
        return None
    j = layer.inputs[0]
    if grows[i] == grows[j] == 0:
        made: AxisMap | None = axis_map(op, sizes[j], None if layer.like is None else sizes[layer.like])
    else:
        made = ring_map(op, sizes[j], sizes[i], (grows[j], grows[i]))
    if made is None:
        whole = layer.whole(axis)
        what = f"its {whole} makes every position depend on the size" if whole else "it does not scale with the image"
        raise NoInterior(what, where=f"{network.name}, {layer.name}")
    return None if made.identity else made


class Shares:
    """The fair shares of a usage map that is kept as a core.

    `pattern` is one period of an endless map: row y of the map compares with row y modulo the period. All rows of the
    map that are one row of the core have the same phase, since rows repeat by whole periods.
    """

    def __init__(self, core: Core, rows: Tiling, cols: Tiling, pattern: Array) -> None:
        self.core, self.tilings, self.pattern = core, (rows, cols), pattern
        self.period = pattern.shape[1:]
        self.phases = np.ix_(*(tiling.first % n for tiling, n in zip(self.tilings, self.period, strict=True)))

    @cached_property
    def values(self) -> Floats:
        """The share of each position of the core; NaN where the interior reads nothing."""
        peak = max(largest(self.pattern), 1)
        interior = shares(self.pattern, peak)
        if interior.size == 1 and interior == 1:
            return self.core.shares(peak)
        interior[interior == 0] = np.nan
        values = self.core.over(peak) if self.core.exactly else self.core.shares(peak).copy()
        for phase, row in enumerate(interior):  # the rows of a core have the phases of their numbers
            values[phase :: len(interior)] /= row[self.phases[1][0]]
        return values

    def means(self, blocks: tuple[int, ...] = (1, 1)) -> Floats:
        """Average blocks of rows and columns of the map, over the positions that have a share."""
        rows, cols = self.tilings
        if blocks == (1, 1):
            return self.values[rows.index][:, cols.index]
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
        values, pattern = self.values, to_ints(self.pattern)
        down, across = (_row_weights(*each) for each in zip(self.tilings, self.period, strict=True))
        counts = np.multiply.outer(down.sum(axis=1), across.sum(axis=1))
        used: Flags | bool = True
        if not pattern.all():
            used = ~np.isnan(values)
            values, counts = np.nan_to_num(values), down @ used @ across.T
        sums = down @ values @ across.T
        down_phase, across_phase = self.phases[0][:, 0], self.phases[1][0]
        beyond = beyond_bounds(self.core, values, lambda *at: pattern[down_phase[at[0]], across_phase[at[1]]])
        starved, overused = (flagged(flags if used is True else flags & used, *self.tilings) for flags in beyond)
        pixels, total = self.tilings[0].n * self.tilings[1].n, sums[0, 0]
        second_minus_first = sums[-1, 0] - sums[-2, 0], sums[0, -1] - sums[0, -2]
        skew = (round(float(difference / total), 12) + 0.0 if total else 0.0 for difference in second_minus_first)
        inside = zip(*(np.diagonal(each)[: RINGS + 1].tolist() for each in (sums, counts)), strict=True)
        corners = (self._told(self.values[row, col]) for row, col in CORNERS)
        interior = pattern[pattern > 0]
        return FairShare(
            period=[*self.period],
            starved=starved / pixels,
            overused=overused / pixels,
            unused=(pixels - int(counts[0, 0])) / pixels,
            least=self._told(values.min(initial=inf, where=used)) if counts[0, 0] else 0.0,
            most=self._told(values.max(initial=-inf, where=used)) if counts[0, 0] else 0.0,
            corners=Corners(*(None if isnan(share) else share for share in corners)),
            skew=PerAxis(*skew),
            rings=[self._told((a - b) / (m - n)) for (a, m), (b, n) in pairwise(inside) if m > n],
            ripple=float(interior.max() / interior.min()) if interior.size else 1.0,
        )

    def _told(self, share: float) -> float:
        """Return a share as a Python float, of a map that was counted in floats without its last digits."""
        return float(f"{share:.13g}" if self.core.exactly else share)


def beyond_bounds(core: Core, values: Floats, interior: Callable[[Array, Array], Any]) -> tuple[Flags, Flags]:
    """Return where counts are below half of the interior's, and where above 3/2: exactly, if they are integers.

    `values` are counts over the interior's. They decide all positions that are not next to a bound. At the others,
    2 u < i exactly where u is less than i / 2, rounded up; and 2 u > 3 i where u - i is more than i / 2, rounded down.
    """
    starved, overused = values < (1 - NOISE) / 2, values > (1 + NOISE) * 3 / 2
    if core.exact or core.exactly:
        below, above = values < (1 + NOISE) / 2, values > (1 - NOISE) * 3 / 2
        if any(np.count_nonzero(one) > np.count_nonzero(other) for one, other in ((below, starved), (above, overused))):
            near = np.nonzero(below ^ starved | above ^ overused)
            counts, whole = (core.exactly or core.at)(*near), interior(*near)
            starved[near] = counts < whole - whole // 2
            overused[near] = counts - whole > whole // 2
    return starved, overused


def flagged(flags: Flags, rows: Tiling, cols: Tiling) -> int:
    """Count the positions of a map whose core has these flags."""
    parts = product(rows.parts(), cols.parts())
    return sum(m * n * int(np.count_nonzero(flags[some, others])) for (some, m), (others, n) in parts)


@lru_cache(16)
def _row_weights(tiling: Tiling, period: int) -> Floats:
    """Count how often the map has each row of the core: inside of each ring, and in its first and its second half."""
    insides = [slice(ring * period, max(tiling.n - ring * period, ring * period)) for ring in range(RINGS + 1)]
    halves = slice(tiling.n // 2), slice(tiling.n - tiling.n // 2, tiling.n)
    return tiling.times_within([*insides, *halves]).astype(np.float64)
