"""What repeats inside a map, and how far the borders reach into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, lcm
from typing import Any, NamedTuple

from padviz.axis.operations import Adaptive, Fit, Op, Transposed, Window, place
from padviz.axis.receptive_interval import rows_read
from padviz.axis.resize import Resize, ratio_of
from padviz.counting.tiling import Tiling
from padviz.network.graph import ancestors, backward, forward
from padviz.network.network import Network
from padviz.network.sizes import sizes_of


@dataclass(frozen=True, slots=True)
class Zone:
    """Rows that keep their numbers when the input grows by one period.

    From `start` on they do if counted from the far end, before `stop` if counted from the near end.

    >>> Zone(2, 9) + Zone(4, 12)
    Zone(start=4, stop=9)
    """

    start: int
    stop: int

    def __add__(self, other: Zone) -> Zone:
        return Zone(max(self.start, other.start), min(self.stop, other.stop))


NOWHERE = Zone(0, 0)


class Reads(NamedTuple):
    """What an operation reads: unit j reads rows between rate * j + low and rate * j + high.

    Units outside of `alike` weigh their reads otherwise, and padding or clipping falls onto `edge` rows at each end.

    >>> reads_of(Window(3, padding=(1, 1)), 8, 8).edge
    0
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
    """How the input, and then the coverage map of each target, repeats along an axis of `n` input rows.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> [tiling.n for tiling in coverage_tilings(net, 0, 4096, (net.index["features.20"],))]
    [4096, 128]
    """
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
