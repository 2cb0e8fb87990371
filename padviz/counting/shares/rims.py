"""Rims: the depth of the band along each side whose lines are starved, or overused.

Each side is measured with the other three endless. So a rim is a property of network, padding and
target, and of the size only through the stride phase at the far side.
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
from padviz.counting.walking.walks import WHOLE, Walk, Weights, count_backward, flat, is_chain
from padviz.engine.apply import Array
from padviz.engine.limbs import shares, to_ints
from padviz.errors import PadvizError
from padviz.network.network import Network, Size
from padviz.network.operations import Op
from padviz.network.rewrites import with_exact_resizes
from padviz.network.sizes import is_square, resolve

STARVED, OVERUSED = Fraction(1, 2), Fraction(3, 2)  # fair shares: below the one, above the other
NOISE = 1e-9  # of a mean in float64: means closer to a bound are compared as fractions
MOST_ROWS = 1 << 22  # of an image whose borders are apart: only its core is counted
EndDepths = tuple[int, int]  # at the first row or column, and at the last


@dataclass(frozen=True)
class _Line:
    """An axis along which rims are measured: lines with the same operations and the same `far` are
    equal.

    `far` is the network far from borders; `which` is the axis, or 0 where height and width are
    alike.
    """

    ops: tuple[Op | None, ...]
    far: Network
    which: int
    network: Network = field(compare=False)
    axis: int = field(compare=False)


def rims(
    network: Network, size: Size, targets: tuple[int, ...], weights: Weights = None
) -> tuple[Rim, Rim]:
    """Measure the starved and the overused rim on all four sides, in pixels.

    Raises NoInterior where the map of an endless image is not periodic, naming the layer.

    >>> import padviz
    >>> net = padviz.load("resnet50")
    >>> rims(net, (224, 225), (net.index["layer4.2"],))[0]
    Rim(height=[14, 34], width=[14, 14])
    """
    network = with_exact_resizes(network)
    at, far = phased(network, size), endless(network)
    alike = at.square and is_square(far)
    ops = zip(*(layer.ops for layer in network.layers), strict=True)
    lines = [
        _Line(along, far, 0 if alike else axis, network, axis) for axis, along in enumerate(ops)
    ]
    height, width = (_depths(line, at, targets, weights) for line in lines)
    starved, overused = ([[*axis[which]] for axis in (height, width)] for which in (0, 1))
    return Rim(*starved), Rim(*overused)


def rims_added(network: Network, size: Size, layers: Iterable[str]) -> dict[str, Rim]:
    """Return the pixels of starved rim that each layer adds to those of its first input, where both
    have rims.

    >>> import padviz
    >>> rims_added(padviz.load("resnet50"), (224, 224), ["layer4.1.conv2"])
    {'layer4.1.conv2': Rim(height=[1, 5], width=[1, 5])}
    """
    added: dict[str, Rim] = {}
    if len(network.axes) != 2:
        return added
    for name in layers:
        at = network.index[name]
        with suppress(PadvizError):
            after, _ = rims(network, size, (at,))
            before, _ = rims(network, size, (network.layers[at].inputs[0],))
            height = [n - m for n, m in zip(after.height, before.height, strict=True)]
            width = [n - m for n, m in zip(after.width, before.width, strict=True)]
            added[name] = Rim(height, width)
    return added


@lru_cache(256)
def _depths(
    line: _Line, at: Phased, targets: tuple[int, ...], weights: Weights
) -> tuple[EndDepths, EndDepths]:
    """Return how many rows at both ends are starved, and how many overused."""
    network, axis, size = line.network, line.axis, at.size
    other = 1 - axis
    if at.square and is_square(line.far):
        other = axis
    ring(line.far, axis, size[axis], targets)  # refuses an axis that does not repeat
    across = ring(line.far, other, size[other], targets)
    if len(targets) == 1 and is_chain(network):
        across = flat(network)  # its map is an outer product: each row has one share
    tiling = _large_tiling(network, axis, size[axis], targets)
    along = resolve(network, axis, tiling.kept)
    if axis == 0:
        counts = count_backward(Walk(network, along, across, targets, "auto", weights), WHOLE).limbs
    else:
        counts = count_backward(Walk(network, across, along, targets, "auto", weights), WHOLE).limbs
        counts = counts.swapaxes(1, 2)
    # of the core: rows before it belong to the first side, others to the last
    middle = tiling.start + tiling.period
    interior = counts[:, tiling.start : middle]  # rows that repeat are those of an endless axis
    low, high = _unfair_rows(counts, interior, (tiling.first - tiling.start) % tiling.period)
    return _ends(low, middle), _ends(high, middle)


def _large_tiling(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Tiling:
    """Tile the axis of an image of the same phase that is large enough for its borders
    to be apart.
    """
    grows = growth(network, axis)
    assert grows is not None, "a ring was found"
    rows = LARGE
    while True:
        tiling = usage_tiling(network, axis, n + grows[0] * -(-rows // grows[0]), targets)
        if tiling.copies:
            return tiling
        rows *= 8
        if rows > MOST_ROWS:
            raise NoInterior(
                "what its border changes goes on to the other border", where=network.name
            )


def _unfair_rows(
    counts: Array, interior: Array, phases: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have a fair share below 1/2, in the mean over a period, and which above
    3/2.
    """
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
    usage, full = (
        to_ints(limbs)[0].tolist()
        for limbs in (counts[:, row : row + 1], interior[:, phase : phase + 1])
    )
    return sum((Fraction(u, i) for u, i in zip(usage, full, strict=True) if i), Fraction(0))


def _ends(beyond: NDArray[np.bool_], middle: int) -> EndDepths:
    """Return 1 + the distance from each end of the row furthest from it that is beyond a bound; 0
    if none is.
    """
    near, far = np.flatnonzero(beyond[:middle]), np.flatnonzero(beyond[middle:][::-1])
    return int(near.max(initial=-1)) + 1, int(far.max(initial=-1)) + 1
