"""Any size from a small core: what repeats inside a map, and how far the borders reach into it.

When an input grows by one period, every layer grows by a whole number of rows. A row of a map then still holds
what it held, either counted from the near end, where the far one does not reach it, or counted from the far end,
where the near one does not. If all rows are of one kind or the other, the larger map follows from the smaller one:
its middle repeats. So a core of the two borders and one period between them holds a map of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from math import ceil, floor, lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis import Adaptive, Fit, Op, Resize, Transposed, Window, place, rows_read
from padviz.errors import OptionError
from padviz.network import Network, ancestors, backward, forward, sizes_of
from padviz.resize import ratio_of


@dataclass(frozen=True)
class Tiling:
    """One axis of a map of `n` rows, kept as a core without `copies` of its periods; rows repeat from `start` on.

    >>> tiling = Tiling(12, start=2, period=3, copies=2)
    >>> tiling.kept, tiling.index.tolist()
    (6, [0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 5])
    """

    n: int
    start: int = 0
    period: int = 1
    copies: int = 0

    @property
    def kept(self) -> int:
        """The number of rows in the core."""
        return self.n - self.copies * self.period

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Which row of the core each row of the map is: every row of the core occurs."""
        index: NDArray[np.int64] = self.of(np.arange(self.n))
        return index

    def of(self, rows: Any) -> Any:
        """The row of the core for one row of the map, or for an array of them."""
        return rows - self.period * np.clip((rows - self.start) // self.period, 0, self.copies)

    def times(self, rows: slice = slice(None)) -> NDArray[np.int64]:
        """How often each row of the core occurs in the map, or in some of its rows."""
        return np.bincount(self.index[rows], minlength=self.kept)

    def mirrored(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of the core that face each other in the map, first and last and so on: each pair once."""
        first, last = self.index[: self.n // 2], self.index[::-1][: self.n // 2]
        facing = np.minimum(first, last) * self.kept + np.maximum(first, last)
        pairs = facing[np.sort(np.unique(facing, return_index=True)[1])]  # in order, so that next ones lie close
        return pairs // self.kept, pairs % self.kept

    def means(self, core: NDArray[np.float64], block: int) -> NDArray[np.float64]:
        """Rows of the map, from those of its core: means over blocks of rows, of which the last may be smaller."""
        if block == 1:
            return core[self.index] if self.copies else core
        if self.copies:
            return self.weights(block) @ core
        starts = np.arange(0, self.n, block)
        return np.add.reduceat(core, starts, axis=0) / np.diff(np.append(starts, self.n))[:, None]

    def weights(self, block: int) -> NDArray[np.float64]:
        """What share each row of the core has in each block of rows: the matrix that makes `means`.

        >>> Tiling(12, start=2, period=3, copies=2).weights(6) * 6
        array([[1., 1., 2., 1., 1., 0.],
               [0., 0., 1., 2., 2., 1.]])
        """
        of = np.arange(self.n) // block
        times = np.bincount(of * self.kept + self.index, minlength=(of[-1] + 1) * self.kept).reshape(-1, self.kept)
        return times / np.bincount(of)[:, None]


def positions(index: NDArray[Any], which: Any, what: str) -> NDArray[Any]:
    """Some positions of an index: one, several, a range or a slice of them.

    Raises
    ------
    OptionError
        If they are not positions, or outside.

    Examples
    --------
    >>> index = Tiling(12, start=2, period=3, copies=2).index
    >>> positions(index, -1, "rows"), positions(index, slice(3, 6), "rows")
    (array([5]), array([3, 4, 2]))
    """
    try:
        found = np.atleast_1d(index[which])
    except (IndexError, TypeError, ValueError):
        found = index[None]
    if found.ndim != 1:
        hint = f"use whole numbers from 0 to {len(index) - 1}, or a slice"
        raise OptionError(f"{which!r} is outside of its {len(index)} {what}, or no position", where=what, hint=hint)
    return found


@dataclass(frozen=True, slots=True)
class Zone:
    """Rows that keep their numbers when the input grows by one period.

    From `start` on they do if counted from the far end, before `stop` if counted from the near end.
    """

    start: int
    stop: int

    def __add__(self, other: Zone) -> Zone:
        return Zone(max(self.start, other.start), min(self.stop, other.stop))


NOWHERE = Zone(0, 0)


class Reads(NamedTuple):
    """What an operation reads: unit j reads rows between rate * j + low and rate * j + high.

    Units outside of `alike` weigh their reads otherwise, and padding or clipping falls onto `edge` rows at each end.
    """

    rate: Any
    low: Any
    high: Any
    edge: int
    alike: Zone


def usage_tiling(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Tiling:
    """How the usage map of all units of the targets repeats along an axis of `n` input rows.

    Examples
    --------
    >>> import padviz
    >>> net = padviz.load("vgg19")
    >>> tiling = usage_tiling(net, 0, 65536, (net.index["features.36"],))
    >>> tiling.period, tiling.kept
    (32, 288)
    """
    return _tilings(network, axis, n, targets, back=True)[0]


def coverage_tilings(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> tuple[Tiling, ...]:
    """How the input, and then the coverage map of each target, repeats along an axis of `n` input rows."""
    return _tilings(network, axis, n, targets, back=False)


@lru_cache(1024)
def _tilings(network: Network, axis: int, n: int, targets: tuple[int, ...], *, back: bool) -> tuple[Tiling, ...]:
    sizes, grows = sizes_of(network, axis, n), growth(network, axis)
    places = (0,) if back else (0, *targets)
    if grows is None or axis in network.fixed or grows[0] > n:  # no room for a period between the borders
        return tuple(Tiling(sizes[i]) for i in places)
    axes = _Axis(network, axis, sizes, grows)
    if back:
        zones = [backward(network, {i: axes.whole(i) for i in targets}, axes.pulled) or axes.whole(0)]
        for i in _followed(network, targets):
            axes.fit(i)
    else:
        zones = [axes.whole(0), *forward(network, targets, axes.whole(0), axes.pushed)]
    for i, zone in zip(places, zones, strict=True):
        axes.need(i, zone)
    copies = max(0, min(axes.copies))
    return tuple(
        Tiling(sizes[i], zone.start, grows[i], copies) if grows[i] else Tiling(sizes[i])
        for i, zone in zip(places, zones, strict=True)
    )


def _followed(network: Network, targets: tuple[int, ...]) -> list[int]:
    """Layers that lead to no target: only their sizes matter, since resizes and crops follow them."""
    walked = ancestors(network.layers, targets, followed=False)
    return [i for i in range(1, len(network.layers)) if i not in walked]


@lru_cache(256)
def growth(network: Network, axis: int) -> tuple[int, ...] | None:
    """By how many rows each layer grows with the input: as few as leave no fractions. None where branches part.

    >>> import padviz
    >>> growth(padviz.load("vgg19"), 0)[:7]
    (32, 32, 32, 16, 16, 16, 8)
    """
    rates = [Fraction(1)]
    for layer in network.layers[1:]:
        if len({rates[i] for i in layer.inputs}) > 1:
            return None
        like = Fraction(0) if layer.like is None else rates[layer.like]
        rates.append(_rate(layer.ops[axis], rates[layer.inputs[0]], like))
    period = lcm(*(rate.denominator for rate in rates))
    return tuple(int(rate * period) for rate in rates)


def _rate(op: Op | None, entering: Fraction, like: Fraction) -> Fraction:
    """Rows out per row of the input, in the long run."""
    if op is None:
        return entering
    if isinstance(op, Window):
        return entering / op.stride
    if isinstance(op, Transposed):
        return entering * op.stride
    if isinstance(op, Resize) and op.scale is not None:
        return entering * op.scale
    return like if isinstance(op, Fit) or (isinstance(op, Resize) and op.size is None) else Fraction(0)


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis on which zones are followed; `copies` are the periods that each layer met can do without."""

    network: Network
    axis: int
    sizes: tuple[int, ...]
    grows: tuple[int, ...]
    copies: list[int] = field(default_factory=list)

    def whole(self, i: int) -> Zone:
        return Zone(0, self.sizes[i])

    def need(self, i: int, zone: Zone) -> None:
        """Keep a period of layer `i` between the borders; a layer that does not grow must be the same throughout."""
        if self.grows[i]:
            self.copies.append((zone.stop - zone.start) // self.grows[i] - 1)
        elif zone != self.whole(i):
            self.copies.append(-1)

    def fit(self, i: int) -> None:
        """Keep as many rows as layer `i` needs to be laid over what it reads."""
        j, op = self.network.layers[i].inputs[0], self.network.layers[i].ops[self.axis]
        reads = self._reads(i, j, op) if op else None
        if reads:
            self.need(j, self._inside(j, reads.edge))

    def pulled(self, i: int, zone: Zone) -> Zone:
        """The zone of what layer `i` reads, seen from it: rows whose readers all keep their numbers."""
        j = self.network.layers[i].inputs[0]
        op = self.network.layers[i].ops[self.axis]
        self.need(i, zone)
        if op is None:
            return zone
        if not self.grows[i] and zone == self.whole(i) and (not self.grows[j] or op == Adaptive(1)):
            return self.whole(j)
        reads = self._reads(i, j, op)
        if reads is None:
            return NOWHERE
        zone += reads.alike
        start = floor(reads.rate * (zone.start - 1) + reads.high) + 1
        stop = ceil(reads.rate * zone.stop + reads.low)
        return Zone(start, stop) + self._inside(j, reads.edge)

    def pushed(self, i: int, zone: Zone) -> Zone:
        """The zone of layer `i`, from that of what it reads: units that read rows which keep their numbers."""
        j = self.network.layers[i].inputs[0]
        op = self.network.layers[i].ops[self.axis]
        if op is None:
            return zone
        if not self.grows[i] and not self.grows[j] and zone == self.whole(j):
            return self.whole(i)
        reads = self._reads(i, j, op)
        if reads is None:
            self.copies.append(-1)
            return NOWHERE
        zone += self._inside(j, reads.edge)
        self.need(j, zone)
        start = floor((zone.start - 1 - reads.low) / reads.rate) + 1
        stop = ceil((zone.stop - reads.high) / reads.rate)
        return Zone(start, stop) + self.whole(i)

    def _inside(self, i: int, edge: int) -> Zone:
        return Zone(edge, self.sizes[i] - edge)

    def _reads(self, i: int, j: int, op: Op) -> Reads | None:
        """What layer `i` reads of layer `j`; None where that does not move along as the input grows."""
        n, n_out = self.sizes[j], self.sizes[i]
        if not self.grows[i] or not self.grows[j]:
            return None
        if isinstance(op, Resize) and ratio_of(op, n, n_out) * self.grows[i] != self.grows[j]:
            return None
        reads = reads_of(op, n, n_out)
        if reads is None or reads.rate * self.grows[i] != self.grows[j]:
            return None
        self.need(i, Zone(0, n_out - 1))  # no core of a single unit, which some grids treat apart
        return reads


def reads_of(op: Op, n: int, n_out: int) -> Reads | None:
    """Where the units of an operation read; None where that has no fixed rate.

    >>> reads_of(Window(7, stride=2, padding=(3, 3)), 224, 112)[:4]
    (2, -3, 3, 0)
    """
    if isinstance(op, Adaptive):
        return None
    rows, step = rows_read(op, n, n_out)
    rate = Fraction(step, len(rows)) if len(rows) > 1 else step
    low = min(first - unit * rate for unit, (first, _) in enumerate(rows))
    high = max(last - unit * rate for unit, (_, last) in enumerate(rows))
    alike, edge = Zone(0, n_out), 0
    if isinstance(op, Resize):
        edge = 1
    elif isinstance(op, Window):
        before, after, _ = place(op, n)
        if op.mode == "partial":
            alike = Zone(-(-before // op.stride), (n + before - op.extent) // op.stride + 1)
        elif op.mode != "zero" and max(before, after) > 0:
            edge = 1 if op.mode == "replicate" else max(before, after) + 1
    return Reads(rate, low, high, edge, alike)
