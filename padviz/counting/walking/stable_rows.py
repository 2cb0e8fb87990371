"""What repeats inside a map, and how far the borders reach into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, lcm
from typing import Any, NamedTuple

from padviz.axis.operations import CACHED, Adaptive, Blocks, Fit, Op, Transposed, Window, place
from padviz.axis.padding_modes import RUNNING_ON, SCHEMES, depth
from padviz.axis.receptive_interval import rows_read
from padviz.axis.resize import Resize, ratio_of
from padviz.counting.walking.tiling import Tiling
from padviz.network.graph import ancestors, backward, forward
from padviz.network.network import Network
from padviz.network.sizes import is_square, sizes_of


@dataclass(frozen=True, slots=True)
class StableRows:
    """Rows that keep their values when the input grows by one period.

    From `start` on they do if counted from the far end, before `stop` if counted from the near end. Say that the layer
    grows by g rows with the input. A row r with start <= r < stop then does both: in the larger map, the row r and the
    row r + g have the value that r has in the smaller one. So the rows from `start` to `stop + g` of the larger map
    repeat every g, and so, one period further on, in every map that is larger yet.

    >>> StableRows(2, 9).intersect(StableRows(4, 12))
    StableRows(start=4, stop=9)
    """

    start: int
    stop: int

    def intersect(self, other: StableRows) -> StableRows:
        """Keep the rows that are stable for both reasons."""
        return StableRows(max(self.start, other.start), min(self.stop, other.stop))


NOWHERE = StableRows(0, 0)


class ReadSpan(NamedTuple):
    """What an operation reads: unit u reads rows from rate * u + low to rate * u + high, which may be fractions.

    Units outside of `alike` weigh their reads otherwise, and padding or clipping falls onto `edge` rows at each end.

    >>> read_span(Window(3, padding=(1, 1)), 8, 8).edge
    0
    """

    rate: Any
    low: Any
    high: Any
    edge: int
    alike: StableRows

    def read_by(self, units: StableRows) -> StableRows:
        """Find the rows of which all readers are stable units.

        A unit u that reads row r has rate * u + low <= r <= rate * u + high, so it is one of
        (r - high) / rate <= u <= (r - low) / rate. All of them come before `stop` if (r - low) / rate < stop, that is
        r < rate * stop + low: the first row that does not is the ceiling. All of them come from `start` on if
        (r - high) / rate > start - 1, that is r > rate * (start - 1) + high: the first row that does follows the floor.
        """
        start = floor(self.rate * (units.start - 1) + self.high) + 1
        return StableRows(start, ceil(self.rate * units.stop + self.low))

    def readers_of(self, rows: StableRows) -> StableRows:
        """Find the units that read stable rows only.

        The last row of unit u comes before `stop` if rate * u + high < stop, that is u < (stop - high) / rate: the
        first unit that does not is the ceiling. Its first row, a whole number, comes from `start` on if
        rate * u + low > start - 1, that is u > (start - 1 - low) / rate: the first unit that does follows the floor.
        """
        start = floor((rows.start - 1 - self.low) / self.rate) + 1
        return StableRows(start, ceil((rows.stop - self.high) / self.rate))


def usage_tiling(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Tiling:
    """Tile the usage map of all units of the targets along an axis of `n` input rows.

    >>> import padviz
    >>> net = padviz.load("vgg19")
    >>> tiling = usage_tiling(net, 0, 65536, (net.index["features.36"],))
    >>> tiling.period, tiling.kept
    (32, 288)
    """
    return _tilings(network, axis, n, targets, back=True)[0]


def coverage_tilings(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> tuple[Tiling, ...]:
    """Tile the input, and then the coverage map of each target, along an axis of `n` input rows.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> [tiling.n for tiling in coverage_tilings(net, 0, 4096, (net.index["features.20"],))]
    [4096, 128]
    """
    return _tilings(network, axis, n, targets, back=False)


@lru_cache(1024)
def _tilings(network: Network, axis: int, n: int, targets: tuple[int, ...], *, back: bool) -> tuple[Tiling, ...]:
    sizes, grows = sizes_of(network, axis, n), growth(network, axis)
    ends = (0,) if back else (0, *targets)
    if grows is None or grows[0] > n:  # no room for a period between the borders
        return tuple(Tiling(sizes[i]) for i in ends)
    axes, join = _Axis(network, axis, sizes, grows), StableRows.intersect
    if back:
        seeds, moving = {i: axes.whole(i) for i in targets}, axes.moving()
        stable = [backward(network, seeds, axes.pulled, join, moving) or axes.whole(0)]
        for i in _followed(network, targets):
            axes.fit(i)
    else:
        stable = [axes.whole(0), *forward(network, targets, axes.whole(0), axes.pushed, join)]
    for i, rows in zip(ends, stable, strict=True):
        axes.need(i, rows)
    copies = max(0, min(axes.copies))
    return tuple(
        Tiling(sizes[i], rows.start, grows[i], copies) if grows[i] else Tiling(sizes[i])
        for i, rows in zip(ends, stable, strict=True)
    )


def _followed(network: Network, targets: tuple[int, ...]) -> list[int]:
    """List layers that lead to no target: only their sizes matter, since resizes and crops follow them."""
    walked = ancestors(network.layers, targets, followed=False)
    return [i for i in range(1, len(network.layers)) if i not in walked]


@lru_cache(256)
def growth(network: Network, axis: int) -> tuple[int, ...] | None:
    """Find by how many rows each layer grows with the input: as few as leave no fractions. None where branches part.

    >>> import padviz
    >>> growth(padviz.load("vgg19"), 0)[:7]
    (32, 32, 32, 16, 16, 16, 8)
    """
    if axis and is_square(network):
        return growth(network, 0)
    rates = [Fraction(1)]
    for layer in network.layers[1:]:
        if len({rates[i] for i in layer.inputs}) > 1:
            return None
        like = Fraction(0) if layer.like is None else rates[layer.like]
        rates.append(_rate(layer.ops[axis], rates[layer.inputs[0]], like))
    period = lcm(*(rate.denominator for rate in rates), *_turns(network, axis, rates))
    return tuple(rate.numerator * (period // rate.denominator) for rate in rates)


def _turns(network: Network, axis: int, rates: Sequence[Fraction]) -> Iterator[int]:
    """Yield how many rows of the input it takes until blocks of rows lie there as before."""
    for layer in network.layers:
        op = layer.ops[axis]
        if isinstance(op, Blocks) and op.is_local:
            yield (rates[layer.inputs[0]] / op.size).denominator


def _rate(op: Op | None, entering: Fraction, like: Fraction) -> Fraction:
    """Find the rows out per row of the input, in the long run."""
    if op is None or isinstance(op, Blocks):
        return entering
    if isinstance(op, Window):
        return entering / op.stride if op.stride > 1 else entering
    if isinstance(op, Transposed):
        return entering * op.stride
    if isinstance(op, Resize) and op.scale is not None:
        return entering * op.scale
    return like if isinstance(op, Fit) or (isinstance(op, Resize) and op.size is None) else Fraction(0)


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis on which stable rows are followed; `copies` are the periods that each layer met can do without."""

    network: Network
    axis: int
    sizes: tuple[int, ...]
    grows: tuple[int, ...]
    copies: list[int] = field(default_factory=list)

    def whole(self, i: int) -> StableRows:
        return StableRows(0, self.sizes[i])

    def need(self, i: int, rows: StableRows) -> None:
        """Keep one period of stable rows in layer `i`; a layer that does not grow must be stable throughout."""
        if self.grows[i]:
            self.copies.append((rows.stop - rows.start) // self.grows[i] - 1)
        elif rows != self.whole(i):
            self.copies.append(-1)

    def moving(self) -> set[int]:
        """Find the layers that rows are pulled through; of one that reads each row by itself, two units are kept."""
        ops = [layer.ops[self.axis] for layer in self.network.layers]
        still = [i for i, op in enumerate(ops) if op is not None and self.grows[i] and _reads_itself(op)]
        for i in still:
            self.need(i, StableRows(0, self.sizes[i] - 1))
        return {i for i, op in enumerate(ops) if op is not None}.difference(still)

    def fit(self, i: int) -> None:
        """Keep as many rows as layer `i` needs to be laid over what it reads."""
        j, op = self.network.layers[i].inputs[0], self.network.layers[i].ops[self.axis]
        span = self._span(i, j, op) if op else None
        if span:
            self.need(j, self._inside(j, span.edge))

    def pulled(self, i: int, rows: StableRows) -> StableRows:
        """Pull stable rows through layer `i` to what it reads: those of which all readers are stable."""
        j = self.network.layers[i].inputs[0]
        op = self.network.layers[i].ops[self.axis]
        self.need(i, rows)
        if op is None:
            return rows
        if not self.grows[i] and rows == self.whole(i) and (not self.grows[j] or op == Adaptive(1)):
            return self.whole(j)
        span = self._span(i, j, op)
        if span is None:
            return NOWHERE
        return span.read_by(rows.intersect(span.alike)).intersect(self._inside(j, span.edge))

    def pushed(self, i: int, rows: StableRows) -> StableRows:
        """Push the stable rows of what layer `i` reads through it, to its stable units."""
        j = self.network.layers[i].inputs[0]
        op = self.network.layers[i].ops[self.axis]
        if op is None:
            return rows
        if not self.grows[i] and not self.grows[j] and rows == self.whole(j):
            return self.whole(i)
        span = self._span(i, j, op)
        if span is None:
            self.copies.append(-1)
            return NOWHERE
        rows = rows.intersect(self._inside(j, span.edge))
        self.need(j, rows)
        return span.readers_of(rows).intersect(self.whole(i))

    def _inside(self, i: int, edge: int) -> StableRows:
        return StableRows(edge, self.sizes[i] - edge)

    def _span(self, i: int, j: int, op: Op) -> ReadSpan | None:
        """Find what layer `i` reads of layer `j`; None where that does not move along as the input grows."""
        n, n_out = self.sizes[j], self.sizes[i]
        if not self.grows[i] or not self.grows[j]:
            return None
        if isinstance(op, Resize) and ratio_of(op, n, n_out) * self.grows[i] != self.grows[j]:
            return None
        span = read_span(op, n, n_out)
        if span is None or span.rate * self.grows[i] != self.grows[j]:
            return None
        self.need(i, StableRows(0, n_out - 1))  # no core of a single unit, which some grids treat apart
        return span


def _reads_itself(op: Op) -> bool:
    """Tell whether each unit reads the row at its own place, and no other."""
    return isinstance(op, Window) and op.kernel == op.stride == 1 and op.padding == (0, 0)


@lru_cache(CACHED)
def read_span(op: Op, n: int, n_out: int) -> ReadSpan | None:
    """Find where the units of an operation read; None where that has no fixed rate.

    >>> read_span(Window(7, stride=2, padding=(3, 3)), 224, 112)[:4]
    (2, -3, 3, 0)
    """
    if isinstance(op, Adaptive) or (isinstance(op, Blocks) and not op.is_local):
        return None
    if isinstance(op, Blocks):
        return ReadSpan(1, 1 - op.size, op.size - 1, 0, StableRows(0, n_out))
    rows, step = rows_read(op, n, n_out)
    rate = Fraction(step, len(rows)) if len(rows) > 1 else step
    low = min(first - unit * rate for unit, (first, _) in enumerate(rows))
    high = max(last - unit * rate for unit, (_, last) in enumerate(rows))
    alike, edge = StableRows(0, n_out), 0  # padding that is copied from rows beyond `edge` would move with the far end
    if isinstance(op, Resize):
        edge = 1
    elif isinstance(op, Window):
        before, after, _ = place(op, n)
        if op.mode == "partial":
            alike = StableRows(-(-before // op.stride), (n + before - op.extent) // op.stride + 1)
        elif SCHEMES[op.mode].reads and max(before, after) > 0:
            most = max(before, after)
            edge = max(depth(op.mode, most), most if op.mode in RUNNING_ON else 0) + 1
    return ReadSpan(rate, low, high, edge, alike)
