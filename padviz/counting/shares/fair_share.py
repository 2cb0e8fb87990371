"""Fair share: the usage of each pixel over that of an interior pixel at the same stride phase.

Far from all borders a map repeats with the network's strides. The interior is one period of the map
of an endless image, exact at any size: its paths are those of a network on a torus of one period,
which is counted by the same walk as any other map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise, product
from math import inf, isnan

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import Corners, FairShare, PerAxis
from padviz.counting.walking.core import Core
from padviz.counting.walking.stable_rows import growth
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import WHOLE, Walk, Weights, count_backward
from padviz.engine.apply import Array
from padviz.engine.axis_map import AxisMap
from padviz.engine.limbs import Number, largest, shares, to_ints
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


def interior(
    network: Network, size: Size, targets: tuple[int, ...], weights: Weights = None
) -> Array:
    """Count the pattern of usage far from all borders, aligned with the first row and column of the
    map at `size`.

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
    cols = rows
    if not (at.square and is_square(network)):
        cols = ring(network, 1, at.size[1], targets)
    return count_backward(Walk(network, rows, cols, targets, "auto", weights), WHOLE).limbs


@dataclass(frozen=True)
class Phased:
    """A size that equals all others with the same phase: an endless network cannot tell them apart.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> (phased(net, (224, 64)) == phased(net, (64, 64)),
    ...  phased(net, (224, 64)) == phased(net, (225, 64)))
    (True, False)
    """

    phases: Size
    size: Size = field(compare=False)

    @property
    def square(self) -> bool:
        """Whether height and width have the same phase."""
        return self.phases[0] == self.phases[1]


def phased(network: Network, size: Size) -> Phased:
    """Return the phase of a size; where a layer does not grow with the image, each size is a phase
    of its own.
    """
    rows, cols = growth(network, 0), growth(network, 1)
    if rows is None or cols is None or not all(rows) or not all(cols):
        return Phased(size, size)
    return Phased((size[0] % rows[0], size[1] % cols[0]), size)


def endless(network: Network) -> Network:
    """Return the network without its padding schemes, which do not matter far from borders, where
    all layers grow.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> endless(padviz.usage(net, 64, "reflect").walked) is endless(net)
    True
    """
    if all(all(growth(network, axis) or [0]) for axis in (0, 1)):
        return with_zeros(network)
    return network


@lru_cache(256)
def ring(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Resolved:
    """Resolve one axis of the network on a ring: one period of each layer, and the maps between
    them.

    Raises NoInterior where the axis does not repeat, naming the layer.
    """
    grows, sizes = growth(network, axis), sizes_of(network, axis, n)
    if grows is None:
        raise NoInterior("its branches advance at different rates", where=network.name)
    if grows[0] > MOST_PERIOD:
        raise NoInterior(f"it repeats every {grows[0]} pixels only", where=network.name)
    axis_maps: list[AxisMap | None] = [None] * len(sizes)
    for i in sorted(ancestors(network.layers, targets, followed=False)):
        axis_maps[i] = _layer_ring(network, axis, n, i)
    return Resolved(
        tuple([grow or n for grow, n in zip(grows, sizes, strict=True)]), tuple(axis_maps)
    )


@lru_cache(CACHED)
def _layer_ring(network: Network, axis: int, n: int, i: int) -> AxisMap | None:
    """Return the map of layer `i` on a ring; a layer that does not grow, like its input, keeps its
    own map.
    """
    grows, sizes, layer = growth(network, axis), sizes_of(network, axis, n), network.layers[i]
    op = layer.ops[axis]
    if op is None or grows is None:
        return None
    j = layer.inputs[0]
    if grows[i] == grows[j] == 0:
        of_layer: AxisMap | None = axis_map(op, sizes[j], layer.followed(sizes))
    else:
        of_layer = ring_map(op, sizes[j], sizes[i], (grows[j], grows[i]))
    if of_layer is None:
        what, whole = "it does not scale with the image", layer.whole(axis)
        if whole:
            what = f"its {whole} makes every position depend on the size"
        raise NoInterior(what, where=f"{network.name}, {layer.name}")
    if of_layer.identity:
        return None
    return of_layer


class Shares:
    """The fair shares of a usage map that is kept as a core.

    `pattern` is one period of an endless map: row y of the map compares with row y modulo the
    period. All rows of the map that are one row of the core have the same phase, since rows repeat
    by whole periods.
    """

    def __init__(self, core: Core, rows: Tiling, cols: Tiling, pattern: Array) -> None:
        self.core, self.tilings, self.pattern = core, (rows, cols), pattern
        self.period = pattern.shape[1:]
        self.phases = np.ix_(
            *(tiling.first % n for tiling, n in zip(self.tilings, self.period, strict=True))
        )

    @cached_property
    def values(self) -> Floats:
        """The share of each position of the core; NaN where the interior reads nothing."""
        peak = max(largest(self.pattern), 1)
        interior = shares(self.pattern, peak)
        if interior.size == 1 and interior == 1:
            return self.core.shares(peak)
        interior[interior == 0] = np.nan
        if self.core.exactly:
            values = self.core.over(peak)
        else:
            values = self.core.shares(peak).copy()
        # the rows of a core have the phases of their numbers
        for phase, row in enumerate(interior):
            values[phase :: len(interior)] /= row[self.phases[1][0]]
        return values

    def means(self, blocks: tuple[int, ...] = (1, 1)) -> Floats:
        """Average blocks of rows and columns of the map, over the positions that have a share."""
        rows, cols = self.tilings
        if blocks == (1, 1):
            return self.values[rows.index][:, cols.index]
        return self._over_used(lambda part: cols.means(rows.means(part, blocks[0]).T, blocks[1]).T)

    def weighted_means(self, down: Floats, across: Floats) -> Floats:
        """Average the shares with weights (ways, height) and (ways, width), over the positions that
        have one.
        """
        return self._over_used(lambda part: down @ part @ across.T)

    def _over_used(self, average: Callable[[Floats], Floats]) -> Floats:
        sums, used = average(np.nan_to_num(self.values)), average(1.0 - np.isnan(self.values))
        with np.errstate(invalid="ignore"):
            return sums / used

    @cached_property
    def figures(self) -> FairShare:
        """The figures of the shares."""
        values, pattern = self.values, to_ints(self.pattern)
        rows, cols = self.tilings
        down, across = _row_weights(rows, self.period[0]), _row_weights(cols, self.period[1])
        counts = np.multiply.outer(down.sum(axis=1), across.sum(axis=1))
        used: Flags | bool = True
        if not pattern.all():  # positions that the interior does not read have no share
            used = ~np.isnan(values)
            values, counts = np.nan_to_num(values), down @ used @ across.T
        sums = down @ values @ across.T

        down_phase, across_phase = self.phases[0][:, 0], self.phases[1][0]
        starved, overused = beyond_bounds(
            self.core, values, lambda row, col: pattern[down_phase[row], across_phase[col]]
        )
        if used is not True:
            starved, overused = starved & used, overused & used

        pixels = rows.n * cols.n
        least = most = 0.0
        if counts[0, 0]:
            least = self._told(values.min(initial=inf, where=used))
            most = self._told(values.max(initial=-inf, where=used))
        means = []
        inside = np.stack([np.diagonal(sums), np.diagonal(counts)], axis=1)[: RINGS + 1].tolist()
        for (outer_sum, outer), (inner_sum, inner) in pairwise(inside):
            if outer > inner:
                means.append(self._told((outer_sum - inner_sum) / (outer - inner)))
        ripple, interior = 1.0, pattern[pattern > 0]
        if interior.size:
            ripple = float(interior.max() / interior.min())
        return FairShare(
            starved=flagged(starved, rows, cols) / pixels,
            overused=flagged(overused, rows, cols) / pixels,
            unused=(pixels - int(counts[0, 0])) / pixels,
            min=least,
            max=most,
            corners=self._corners(),
            skew=PerAxis(_skew(sums[:, 0]), _skew(sums[0])),
            rings=means,
            ripple=ripple,
            period=[*self.period],
        )

    def _corners(self) -> Corners:
        shares = [self._told(self.values[row, col]) for row, col in CORNERS]
        return Corners(*(None if isnan(share) else share for share in shares))

    def _told(self, share: float) -> float:
        """Return a share as a Python float, of a map that was counted in floats without its last
        digits.
        """
        if self.core.exactly:
            return float(f"{share:.13g}")
        return float(share)


def _skew(sums: Floats) -> float:
    """Return the second half minus the first, over all; sums are inside of each ring, and of both
    halves.
    """
    total, first, second = sums[0], sums[-2], sums[-1]
    if not total:
        return 0.0
    return round(float((second - first) / total), 12) + 0.0


def beyond_bounds(
    core: Core, values: Floats, interior: Callable[[Array, Array], Array | Number]
) -> tuple[Flags, Flags]:
    """Return where counts are below half of the interior's, and where above 3/2: exactly, if they
    are integers.

    `values` are counts over the interior's. They decide all positions that are not next to a bound.
    At the others, 2 u < i exactly where u is less than i / 2, rounded up; and 2 u > 3 i where u - i
    is more than i / 2, rounded down.
    """
    starved, overused = values < (1 - NOISE) / 2, values > (1 + NOISE) * 3 / 2
    if core.exact or core.exactly:
        below, above = values < (1 + NOISE) / 2, values > (1 - NOISE) * 3 / 2
        if any(
            np.count_nonzero(one) > np.count_nonzero(other)
            for one, other in ((below, starved), (above, overused))
        ):
            near = np.nonzero(below ^ starved | above ^ overused)
            counts, whole = (core.exactly or core.at)(*near), interior(*near)
            starved[near] = counts < whole - whole // 2
            overused[near] = counts - whole > whole // 2
    return starved, overused


def flagged(flags: Flags, rows: Tiling, cols: Tiling) -> int:
    """Count the positions of a map whose core has these flags."""
    parts = product(rows.parts(), cols.parts())
    return sum(
        m * n * int(np.count_nonzero(flags[some, others])) for (some, m), (others, n) in parts
    )


@lru_cache(16)
def _row_weights(tiling: Tiling, period: int) -> Floats:
    """Count how often the map has each row of the core: inside of each ring, and in its first and
    its second half.
    """
    insides = [
        slice(ring * period, max(tiling.n - ring * period, ring * period))
        for ring in range(RINGS + 1)
    ]
    halves = slice(tiling.n // 2), slice(tiling.n - tiling.n // 2, tiling.n)
    return tiling.times_within([*insides, *halves]).astype(np.float64)
