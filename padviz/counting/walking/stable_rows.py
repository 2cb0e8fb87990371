"""Where a map repeats, and how far the borders reach into it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, lcm
from typing import NamedTuple

from padviz.counting.walking.tiling import Tiling
from padviz.errors import SizeError
from padviz.network.graph import ancestors, backward, forward
from padviz.network.network import Network
from padviz.network.operations import CACHED, Adaptive, Blocks, Fit, Op, Transposed, Window, place
from padviz.network.padding_modes import RUNNING_ON, SCHEMES, depth
from padviz.network.reads import rows_of, rows_read
from padviz.network.resize import Resize, ratio_of
from padviz.network.rewrites import rounds, with_zeros
from padviz.network.sizes import is_square, sizes_of

LARGE = 1 << 12  # rows of an image whose borders are apart in most networks
UNLIMITED = 1 << 62  # periods to spare, where no layer limits them


class StableRows(NamedTuple):
    """Rows that keep their values when the image grows by one period.

    Rows before `stop` keep them at the same distance from the near end, rows from `start` on from
    the far end. Let the layer grow by g rows. A row r with start <= r < stop does both: in the
    larger map, rows r and r + g have the value that r has in the smaller one. So rows `start` to
    `stop + g` of the larger map repeat every g, and by induction so do those of every map that is
    larger yet.

    >>> StableRows(2, 9).intersect(StableRows(4, 12))
    StableRows(start=4, stop=9)
    """

    start: int
    stop: int

    def intersect(self, other: StableRows) -> StableRows:
        return StableRows(max(self.start, other.start), min(self.stop, other.stop))


NOWHERE = StableRows(0, 0)


class ReadSpan(NamedTuple):
    """What an operation reads: unit u reads rows rate * u + low to rate * u + high, which may be
    fractions.

    Units outside `alike` weigh their reads differently; padding or clipping is folded onto `edge`
    rows at each end.

    >>> read_span(Window(3, padding=(1, 1)), 8, 8).edge
    0
    """

    rate: Fraction | int
    low: Fraction | int
    high: Fraction | int
    edge: int
    alike: StableRows

    def read_by(self, units: StableRows) -> StableRows:
        """Return the rows of which all readers are stable units.

        A unit u that reads row r has rate * u + low <= r <= rate * u + high, so it is one of (r -
        high) / rate <= u <= (r - low) / rate. All of them come before `stop` if (r - low) / rate <
        stop, that is r < rate * stop + low: the first row that does not is the ceiling. All of them
        come from `start` on if (r - high) / rate > start - 1, that is r > rate * (start - 1) +
        high: the first row that does follows the floor.
        """
        start = floor(self.rate * (units.start - 1) + self.high) + 1
        return StableRows(start, ceil(self.rate * units.stop + self.low))

    def readers_of(self, rows: StableRows) -> StableRows:
        """Return the units that read stable rows only.

        The last row of unit u comes before `stop` if rate * u + high < stop, that is u < (stop -
        high) / rate: the first unit that does not is the ceiling. Its first row, a whole number,
        comes from `start` on if rate * u + low > start - 1, that is u > (start - 1 - low) / rate:
        the first unit that does follows the floor.
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
    grows = growth(network, axis)
    # without a period, or without room for one between the borders
    if grows is None or grows[0] > n or rounds(network, axis):
        return Tiling(n)
    period = grows[0]
    large = n % period + period * -(-LARGE // period)
    with suppress(SizeError):  # layers may have too many rows there
        far = _usage_tiling(network, axis, large, grows, targets)
        if far.copies:  # each period less of the image is one copy less, and one more a copy more
            return Tiling(n, far.start, period, max(0, far.copies + (n - large) // period))
        if n <= large:
            return Tiling(n)
    return _usage_tiling(network, axis, n, grows, targets)


@lru_cache(1024)
def _usage_tiling(
    network: Network, axis: int, n: int, grows: tuple[int, ...], targets: tuple[int, ...]
) -> Tiling:
    along = _Along(network, axis, sizes_of(network, axis, n), grows)
    seeds = {i: _Stable(along.whole(i)) for i in targets}
    stable = backward(network, seeds, along.pull, _Stable.join) or _Stable(along.whole(0))
    spare = min(stable.spare, along.spare_of(0, stable.rows))
    # Resizes and crops follow the sizes of layers on no path, so that these must keep a period,
    # too.
    walked = ancestors(network.layers, targets, followed=False)
    for i, layer in enumerate(network.layers):
        if i not in walked and (span := along.span(i)):
            j = layer.inputs[0]
            spare = min(
                spare, along.spare_of_several(i), along.spare_of(j, along.inside(j, span.edge))
            )
    return along.tile(0, stable.rows.start, spare)


@lru_cache(1024)
def coverage_tilings(
    network: Network, axis: int, n: int, targets: tuple[int, ...]
) -> tuple[Tiling, ...]:
    """Tile the input, and then the coverage map of each target, along an axis of `n` input rows.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> [tiling.n for tiling in coverage_tilings(net, 0, 4096, (net.index["features.20"],))]
    [4096, 128]
    """
    sizes, grows, layers = sizes_of(network, axis, n), growth(network, axis), (0, *targets)
    if grows is None or grows[0] > n or rounds(network, axis):
        return tuple(Tiling(sizes[i]) for i in layers)
    along = _Along(network, axis, sizes, grows)
    # Layers on no path to a target limit the periods, too: others may follow their sizes.
    stable = forward(network, range(len(sizes)), _Stable(along.whole(0)), along.push, _Stable.join)
    spare = min(there.spare for there in stable)
    spare = min(spare, *[along.spare_of(i, stable[i].rows) for i in layers])
    return tuple(along.tile(i, stable[i].rows.start, spare) for i in layers)


@lru_cache(256)
def growth(network: Network, axis: int) -> tuple[int, ...] | None:
    """Return how many rows each layer grows by per period, the least without fractions; None where
    branches disagree.

    >>> import padviz
    >>> growth(padviz.load("vgg19"), 0)[:7]
    (32, 32, 32, 16, 16, 16, 8)
    """
    if axis and is_square(network):
        return growth(network, 0)
    if (shared := with_zeros(network)) is not network:
        return growth(shared, axis)  # all schemes have the same strides
    rates, turns = [Fraction(1)], []
    for layer in network.layers[1:]:
        if len({rates[i] for i in layer.inputs}) > 1:
            return None
        op, entering = layer.ops[axis], rates[layer.inputs[0]]
        rates.append(_rate(op, entering, layer.followed(rates) or Fraction(0)))
        if isinstance(op, Blocks):
            # Blocks must lie as before, too; those of rows that lie apart must stay whole.
            turns.append(entering / ((op.size or 1) * (op.step or 1)))
    period = lcm(*(rate.denominator for rate in (*rates, *turns)))
    return tuple(rate.numerator * (period // rate.denominator) for rate in rates)


def _rate(op: Op | None, entering: Fraction, like: Fraction) -> Fraction:
    """Return the rows out per row of the image, in the long run."""
    if op is None or isinstance(op, Blocks):
        return entering
    if isinstance(op, Window):
        return entering / op.stride
    if isinstance(op, Transposed):
        return entering * op.stride
    if isinstance(op, Resize) and op.scale is not None:
        return entering * op.scale
    if isinstance(op, Fit) or (isinstance(op, Resize) and op.size is None):
        return like
    return Fraction(0)


class _Stable(NamedTuple):
    """The stable rows of a layer, and the periods that it and all layers on the way to it can
    `spare`.
    """

    rows: StableRows
    spare: int = UNLIMITED

    def join(self, other: _Stable) -> _Stable:
        return _Stable(self.rows.intersect(other.rows), min(self.spare, other.spare))


@dataclass(frozen=True, slots=True)
class _Along:
    """An axis along which stable rows are followed through layers of `sizes` rows, which grow by
    `grows` per period.
    """

    network: Network
    axis: int
    sizes: tuple[int, ...]
    grows: tuple[int, ...]

    def whole(self, i: int) -> StableRows:
        return StableRows(0, self.sizes[i])

    def inside(self, i: int, edge: int) -> StableRows:
        return StableRows(edge, self.sizes[i] - edge)

    def spare_of(self, i: int, rows: StableRows) -> int:
        """Count the periods that layer `i` can lose while it keeps one period of stable rows; below
        0 if it has none.

        A layer that does not grow loses nothing, but must be stable throughout.
        """
        if self.grows[i]:
            return (rows.stop - rows.start) // self.grows[i] - 1
        if rows == self.whole(i):
            return UNLIMITED
        return -1

    def spare_of_several(self, i: int) -> int:
        """Count the periods that layer `i` can lose so that its core has two units: some grids
        treat one apart.
        """
        return self.spare_of(i, StableRows(0, self.sizes[i] - 1))

    def tile(self, i: int, start: int, spare: int) -> Tiling:
        """Tile layer `i`, whose rows repeat from `start` on, without the periods to spare."""
        if not self.grows[i]:
            return Tiling(self.sizes[i])
        return Tiling(self.sizes[i], start, self.grows[i], max(0, spare))

    def pull(self, i: int, units: _Stable) -> _Stable:
        """Return the rows read by layer `i` of which all readers are among its stable units."""
        j, op = self.network.layers[i].inputs[0], self.network.layers[i].ops[self.axis]
        spare = min(units.spare, self.spare_of(i, units.rows))
        if op is None:
            return _Stable(units.rows, spare)
        # All units of a fixed number are the same at each size. So is what they read, if this is as
        # fixed or is all.
        is_fixed = not self.grows[i] and units.rows == self.whole(i)
        if is_fixed and (not self.grows[j] or op == Adaptive(1)):
            return _Stable(self.whole(j), spare)
        span = self.span(i)
        if span is None:
            return _Stable(NOWHERE, spare)
        rows = span.read_by(units.rows.intersect(span.alike)).intersect(self.inside(j, span.edge))
        return _Stable(rows, min(spare, self.spare_of_several(i)))

    def push(self, i: int, rows: _Stable) -> _Stable:
        """Return the units of layer `i` that read stable rows only."""
        j, op = self.network.layers[i].inputs[0], self.network.layers[i].ops[self.axis]
        if op is None:
            return rows
        if not self.grows[i] and not self.grows[j] and rows.rows == self.whole(j):
            return _Stable(self.whole(i), rows.spare)
        span = self.span(i)
        if span is None:
            return _Stable(NOWHERE, -1)
        inside = rows.rows.intersect(self.inside(j, span.edge))
        spare = min(rows.spare, self.spare_of(j, inside), self.spare_of_several(i))
        return _Stable(span.readers_of(inside).intersect(self.whole(i)), spare)

    def span(self, i: int) -> ReadSpan | None:
        """Return what layer `i` reads; None where its reads do not advance with the image."""
        j, op = self.network.layers[i].inputs[0], self.network.layers[i].ops[self.axis]
        if op is None or not self.grows[i] or not self.grows[j]:
            return None
        n, n_out = self.sizes[j], self.sizes[i]
        if isinstance(op, Resize) and ratio_of(op, n, n_out) * self.grows[i] != self.grows[j]:
            return None
        span = read_span(op, n, n_out)
        if span is None or span.rate * self.grows[i] != self.grows[j]:
            return None
        return span


@lru_cache(CACHED)
def read_span(op: Op, n: int, n_out: int) -> ReadSpan | None:
    """Return where the units of an operation read; None where they have no fixed rate.

    >>> read_span(Window(7, stride=2, padding=(3, 3)), 224, 112)[:4]
    (2, -3, 3, 0)
    """
    if isinstance(op, Adaptive) or (isinstance(op, Blocks) and not op.is_local):
        return None
    if isinstance(op, Blocks):
        return ReadSpan(1, 1 - op.size, op.size - 1, 0, StableRows(0, n_out))
    if isinstance(op, Window):
        return _window_span(op, n, n_out)
    rows, step = rows_read(op, n, n_out)
    rate = Fraction(step, len(rows)) if len(rows) > 1 else step
    low = min(first - unit * rate for unit, (first, _) in enumerate(rows))
    high = max(last - unit * rate for unit, (_, last) in enumerate(rows))
    return ReadSpan(rate, low, high, int(isinstance(op, Resize)), StableRows(0, n_out))


def _window_span(op: Window, n: int, n_out: int) -> ReadSpan:
    before, after, _ = place(op, n)
    low, high = rows_of(op, n, n_out, 0)
    most = max(before, after)
    alike, edge = StableRows(0, n_out), 0
    if op.mode == "partial":
        alike = StableRows(-(low // op.stride), (n - 1 - high) // op.stride + 1)
    # copies of what lies beyond `edge` would move with the far end
    elif SCHEMES[op.mode].reads and most > 0:
        edge = max(depth(op.mode, most) + 1, most + 1 if op.mode in RUNNING_ON else 0)
    return ReadSpan(op.stride, low, high, edge, alike)
