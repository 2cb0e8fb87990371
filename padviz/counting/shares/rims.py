"""Rims: the depth of the band along each side whose lines are starved, or overused.

Each side is measured with the other three endless. So a rim is a property of network, padding and target, and of the
size only through the stride phase at the far side.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.fair_share import NoInterior, Phased, endless, phased, ring
from padviz.counting.shares.summary import Rim
from padviz.counting.walking.stable_rows import LARGE, growth, usage_tiling
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import MOST_BESIDE, Walk, Weights, count_beside, flat, is_chain
from padviz.engine.apply import Array
from padviz.engine.limbs import shares, to_ints
from padviz.errors import PadvizError, SizeError
from padviz.network.network import Network, Size
from padviz.network.operations import Op
from padviz.network.rewrites import side_by_side
from padviz.network.sizes import is_square, resolve

STARVED, OVERUSED = Fraction(1, 2), Fraction(3, 2)  # fair shares: below the one, above the other
NOISE = 1e-9  # of a mean in float64: means closer to a bound are compared as fractions
MOST_ROWS = 1 << 22  # of an image whose borders are apart: only its core is counted
EndDepths = tuple[int, int]  # at the first row or column, and at the last


@dataclass(frozen=True)
class _Line:
    """An axis along which rims are measured: lines with the same operations and the same `far` are equal.

    `far` is the network far from borders; `which` is the axis, or 0 where height and width are alike. `ops` are those
    of each of its `networks`, which are counted side by side.
    """

    ops: tuple[tuple[Op | None, ...], ...]
    far: Network
    which: int
    networks: tuple[Network, ...] = field(compare=False)
    axis: int = field(compare=False)


def rims(
    network: Network, size: Size, targets: tuple[int, ...], weights: Weights = None, beside: tuple[Network, ...] = ()
) -> tuple[Rim, Rim]:
    """Measure the starved and the overused rim on all four sides, in pixels.

    The networks `beside`, which differ in padding modes alone, are measured at once, and each is asked for next.

    Raises NoInterior where the map of an endless image is not periodic, naming the layer.

    >>> import padviz
    >>> net = padviz.load("resnet50")
    >>> rims(net, (224, 225), (net.index["layer4.2"],))[0]
    Rim(height=[14, 34], width=[14, 14])
    """
    if beside:
        with suppress(PadvizError):
            return _rims(beside, size, targets, weights)[beside.index(network)]
    return _rims((network,), size, targets, weights)[0]


@lru_cache(64)
def _rims(
    networks: tuple[Network, ...], size: Size, targets: tuple[int, ...], weights: Weights
) -> list[tuple[Rim, Rim]]:
    at, far = phased(networks[0], size), endless(networks[0])
    alike = at.square and is_square(far)
    sides = []
    for axis in (0, 1):
        ops = [tuple([layer.ops[axis] for layer in network.layers]) for network in networks]
        distinct = dict(zip(ops, networks, strict=True))
        line = _Line(tuple(distinct), far, 0 if alike else axis, tuple(distinct.values()), axis)
        depths = dict(zip(distinct, _depths(line, at, targets, weights), strict=True))
        sides.append([depths[each] for each in ops])
    pairs = zip(*sides, strict=True)
    return [(Rim([*tall[0]], [*wide[0]]), Rim([*tall[1]], [*wide[1]])) for tall, wide in pairs]


def rims_added(network: Network, size: Size, layers: Iterable[str]) -> dict[str, Rim]:
    """Return the pixels of starved rim that each layer adds to those of its first input, where both have rims.

    >>> import padviz
    >>> rims_added(padviz.load("resnet50"), (224, 224), ["layer4.1.conv2"])
    {'layer4.1.conv2': Rim(height=[1, 5], width=[1, 5])}
    """
    added = {}
    for name in layers if len(network.axes) == 2 else ():
        at = network.index[name]
        with suppress(PadvizError):
            own, before = (rims(network, size, (i,))[0] for i in (at, network.layers[at].inputs[0]))
            sides = (own.height, before.height), (own.width, before.width)
            added[name] = Rim(*([n - m for n, m in zip(*pair, strict=True)] for pair in sides))
    return added


@lru_cache(256)
def _depths(line: _Line, at: Phased, targets: tuple[int, ...], weights: Weights) -> list[tuple[EndDepths, EndDepths]]:
    """Return for each network the starved and the overused rows at both ends."""
    network, axis, size = side_by_side(line.networks), line.axis, at.size
    other = axis if at.square and is_square(line.far) else 1 - axis
    ring(line.far, axis, size[axis], targets)  # refuses an axis that does not repeat
    across = ring(line.far, other, size[other], targets)
    if len(targets) == 1 and is_chain(network):
        across = flat(network)  # its map is an outer product: each row has one share
    tiling = _large_tiling(network, axis, size[axis], targets)
    along = resolve(network, axis, tiling.kept)
    walk = Walk(network, *((across, along) if axis else (along, across)), targets, "auto", weights)
    several = len(line.networks)
    if several > 1 and walk.largest * several > MOST_BESIDE:
        raise SizeError("is too large to be measured beside others", where=network.name)
    middle = tiling.start + tiling.period  # of the core: rows before it belong to the first side, others to the last
    phases = (tiling.first - tiling.start) % tiling.period
    depths = []
    for core in count_beside(walk, several):
        counts = core.limbs.swapaxes(1, 2) if axis else core.limbs
        # rows that repeat are those of an endless axis
        low, high = _unfair_rows(counts, counts[:, tiling.start : middle], phases)
        depths.append((_ends(low, middle), _ends(high, middle)))
    return depths


def _large_tiling(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Tiling:
    """Tile the axis of an image of the same phase that is large enough for its borders to be apart."""
    grows = growth(network, axis)
    assert grows is not None, "a ring was found"
    rows = LARGE
    while True:
        tiling = usage_tiling(network, axis, n + grows[0] * -(-rows // grows[0]), targets)
        if tiling.copies:
            return tiling
        rows *= 8
        if rows > MOST_ROWS:
            raise NoInterior("what its border changes goes on to the other border", where=network.name)


def _unfair_rows(
    counts: Array, interior: Array, phases: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have a fair share below 1/2, in the mean over a period, and which above 3/2."""
    peak = max(int(to_ints(interior).max()), 1)
    whole = shares(interior, peak)
    used = whole > 0
    portions = np.where(used, whole, 1.0)[phases]
    parts = used.sum(axis=1)[phases]
    sums = np.where(used[phases], shares(counts, peak) / portions, 0.0).sum(axis=1)
    rows_beyond = []
    for bound, sign in ((STARVED, 1), (OVERUSED, -1)):
        limit = float(bound) * parts
        beyond = sign * (limit - sums) > NOISE * limit
        if counts.dtype.kind != "f":
            for row in np.flatnonzero(np.abs(limit - sums) <= NOISE * limit).tolist():
                exact = _exact_sum(counts, interior, row, int(phases[row]))
                beyond[row] = sign * (bound * int(parts[row]) - exact) > 0
        rows_beyond.append(beyond & (parts > 0))
    return rows_beyond[0], rows_beyond[1]


def _exact_sum(counts: Array, interior: Array, row: int, phase: int) -> Fraction:
    usage, full = (to_ints(limbs)[0].tolist() for limbs in (counts[:, row : row + 1], interior[:, phase : phase + 1]))
    return sum((Fraction(u, i) for u, i in zip(usage, full, strict=True) if i), Fraction(0))


def _ends(beyond: NDArray[np.bool_], middle: int) -> EndDepths:
    """Return 1 + the distance from each end of the row furthest from it that is beyond a bound; 0 if none is."""
    near, far = np.flatnonzero(beyond[:middle]), np.flatnonzero(beyond[middle:][::-1])
    return int(near.max(initial=-1)) + 1, int(far.max(initial=-1)) + 1
