"""Streams: the samples that each layer of a network of signals keeps between chunks, and how far its output lags.

After each chunk, a layer makes all outputs that are certain: they read samples that are there, or padding in front, and
they would exist if the signal ended here. It keeps its inputs from the first that its next output reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, gcd, lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.context import ALIKE
from padviz.cutting.exact_units import barriers_on
from padviz.cutting.shards import trims_of
from padviz.errors import DescriptionError, OptionError, SizeError
from padviz.geometry.reaching.near_padding import Barrier, BeforeAfter
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Blocks, Fit, Op, Window, fit_shift, place, sized
from padviz.network.padding_modes import SCHEMES, depth
from padviz.network.receptive_interval import rate_of, real_rows_of
from padviz.network.resize import Resize, origin_of
from padviz.network.sizes import another_at, sizes_of

MOST_SAMPLES = 1 << 20  # until a stream repeats


class StreamedLayer(NamedTuple):
    """A layer in a stream.

    `keeps` is the most samples of each of its inputs that it keeps between chunks. `makes` is the least and the most
    that a chunk makes of its map, once the stream is under way; these end at most `lag` input samples before the chunk.
    A layer that upsamples runs without padding over what it kept and what is new. Of the samples that this makes, the
    first and the last `drops` go.
    """

    layer: str
    kind: str
    keeps: tuple[int, ...]
    makes: tuple[int, int]
    lag: int
    drops: BeforeAfter | None


@dataclass(frozen=True)
class Stream:
    """A stream in chunks of `chunk` input samples, layer by layer; the `heads` are its outputs.

    >>> from torch import nn
    >>> import padviz
    >>> stream_of(padviz.load(nn.Conv1d(1, 1, 5, padding=2), 64), 16).layers
    (StreamedLayer(layer='conv', kind='conv', keeps=(4,), makes=(16, 16), lag=2, drops=None),)
    """

    chunk: int
    layers: tuple[StreamedLayer, ...]
    heads: tuple[StreamedLayer, ...]

    @property
    def kept(self) -> int:
        """The samples that all layers keep, each of some channels."""
        return sum(sum(layer.keeps) for layer in self.layers)

    @property
    def lag(self) -> int:
        """The most input samples by which an output ends before a chunk does: what it looks ahead, or waits for."""
        return max(head.lag for head in self.heads)


class _Pace(NamedTuple):
    """What units read far from the ends: unit r + k * `units` the rows `first` + k * `rows` to `last` + k * `rows`.

    `reads` has r, first and last of those that read anything. The first unit needs `before` rows, since padding may
    copy them; rows behind the end are copies by that `mode`.
    """

    reads: list[tuple[int, int, int]]
    units: int = 1
    rows: int = 1
    before: int = 1
    mode: str = ""

    def ready(self, there: NDArray[Any]) -> NDArray[Any]:
        """Return how many units read nothing but the first `there` rows."""
        turns = [(r, np.maximum(0, -((last - there) // self.rows))) for r, _, last in self.reads]
        units = np.minimum.reduce([r + turn * self.units for r, turn in turns])
        return np.asarray(np.where(there < self.before, 0, units))

    def needs(self, unit: NDArray[Any], n: NDArray[Any], m: NDArray[Any]) -> NDArray[Any]:
        """Return the first row that a unit, or any after it, reads; padding in front has rows below 0.

        If the signal ended now, `m` units would read `n` rows, and padding that copies some of them.
        """
        firsts = np.minimum.reduce([first - (r - unit) // self.units * self.rows for r, first, _ in self.reads])
        if not self.mode:
            return np.asarray(firsts)
        padded = (m - 1) * self.rows + self.reads[0][2] + 1 - n
        return np.asarray(np.where(padded > 0, np.minimum(firsts, n - 1 - depth(self.mode, padded)), firsts))


def stream_of(network: Network, chunk: int, length: int | None = None) -> Stream:
    """Compute what each layer keeps between chunks of any size, of an endless signal or one of a known `length`.

    Where the size chooses the padding, the network's own counts, for signals as long modulo the alignment.

    Raises DescriptionError for an image, and OptionError naming the first layer that cannot be streamed.
    """
    if len(network.axes) > 1:
        what = f"its input has {' x '.join(network.axes)}, and chunks are of signals"
        raise DescriptionError(what, where=network.name, hint="use `tile`, or `shards`")
    if chunk < 1:
        raise OptionError(f"{chunk}: must be at least 1", option="chunk")
    n, targets = network.size[0], [network.index[name] for name in network.targets]
    barriers, sizes = barriers_on(network, 0, n, ignore_norms=False), sizes_of(network, 0, n)
    if barrier := next((barriers[i] for i in targets if barriers[i]), None) or _follows_length(network):
        what = f"cannot be streamed: {barrier.layer} ({barrier.why})"
        raise OptionError(what, where=network.name, hint="name an earlier `layer`")
    if length is not None and chunk >= length:  # behind one chunk follows nothing
        rows = zip(network.layers[1:], sizes[1:], strict=True)
        layers = [StreamedLayer(each.name, each.kind, (0,) * len(each.inputs), (m, m), 0, (0, 0)) for each, m in rows]
        return Stream(chunk, tuple(layers), tuple(layers[i - 1] for i in targets))
    step, strides = alignment_on(network, 0, n)
    period = step // gcd(step, chunk)  # in chunks
    paces = [
        _pace(each.ops[0], sizes[each.inputs[0]], m) for each, m in zip(network.layers[1:], sizes[1:], strict=True)
    ]
    count = 2 * period
    while True:
        made, ends = _made(network, paces, np.arange(1, count + 1) * chunk)
        moved = [units[-period:] - units[-2 * period : -period] for units in made]
        if all((own * rate == period * chunk).all() for own, rate in zip(moved, strides, strict=True)):
            break
        count *= 2
        if count * chunk > MOST_SAMPLES:
            raise SizeError(f"does not repeat within {MOST_SAMPLES} input samples", where=network.name)
    layers = []
    for i, (layer, pace) in enumerate(zip(network.layers[1:], paces, strict=True), start=1):
        op, entering, keeps = layer.ops[0], layer.inputs[0], []
        needs = pace.needs(made[i], ends[entering], ends[i])
        for j in layer.inputs:
            own = np.maximum(made[j] - needs, 0)  # with padding in front, which is not kept
            keeps.append(int(max(np.minimum(own, made[j]).max(), own[-period:].max())))
        makes, lag = np.diff(made[i])[-period:], ceil((made[0] - made[i] * strides[i]).max())
        there, new = (int(needs[-2]), int(made[entering][-1])), (int(made[i][-2]), int(made[i][-1]))
        drops = trims_of(op, sizes[entering], sizes[i], there, new)
        span = int(makes.min()), int(makes.max())
        layers.append(StreamedLayer(layer.name, layer.kind, tuple(keeps), span, max(0, lag), drops))
    return Stream(chunk, tuple(layers), tuple(layers[i - 1] for i in targets))


def _made(network: Network, paces: list[_Pace], there: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Count the units that each layer has made at some lengths of the input, and those it has if the signal ends."""
    made, sizes = [there], [there]
    for layer, pace in zip(network.layers[1:], paces, strict=True):
        op, entering = layer.ops[0], np.minimum.reduce([sizes[j] for j in layer.inputs])
        size = entering if op is None else sized(op, entering, None if layer.like is None else sizes[layer.like])
        sizes.append(np.where(entering > 0, np.maximum(size, 0), 0))
        made.append(np.minimum(pace.ready(np.minimum.reduce([made[j] for j in layer.inputs])), sizes[-1]))
    return made, sizes


def _pace(op: Op | None, n: int, m: int) -> _Pace:
    if op is None:
        return _Pace([(0, 0, 0)])
    rate = rate_of(op, n, m)
    units, rows = (op.size, op.size) if isinstance(op, Blocks) else (rate.denominator, rate.numerator)
    places, real = real_rows_of(op, n, m, np.arange(units))
    pairs = [(r, places[real[:, r], r]) for r in range(units)]
    reads = [(r, int(own.min()), int(own.max())) for r, own in pairs if len(own)]
    if isinstance(op, Window) and SCHEMES[op.mode].reads:
        before = place(op, n).before
        return _Pace(reads, units, rows, depth(op.mode, before) + 1 if before > 0 else 1, op.mode)
    return _Pace(reads, units, rows)


def _follows_length(network: Network) -> Barrier | None:
    """Return the first layer that lies otherwise in a longer signal, and why that cannot be streamed."""
    n, other = network.size[0], network
    step, strides = alignment_on(network, 0, n)
    longer = n + lcm(max(1, step), ALIKE)
    if network.again:
        if why := another_at(network, (longer,)):
            return Barrier(*why)
        other = network.at((longer,))
    here, there = sizes_of(network, 0, n), sizes_of(other, 0, longer)
    for i, (layer, its) in enumerate(zip(network.layers, other.layers, strict=True)):
        op, j = layer.ops[0], layer.inputs[0] if i else 0
        if op is None:
            continue
        other_rate = isinstance(op, Resize) and strides[i] != strides[j] * rate_of(op, here[j], here[i])
        if (
            isinstance(op, Adaptive)
            or other_rate
            or _start(op, here[j], here[i]) != _start(its.ops[0], there[j], there[i])
        ):
            return Barrier(layer.name, "it follows the signal's length")
    return None


def _start(op: Op | None, n: int, m: int) -> object:
    """Return what must be the same in a longer signal: the rate, and where the first unit lies."""
    if isinstance(op, Window):
        return op.stride, place(op, n).before
    if isinstance(op, Fit):
        return fit_shift(n, m, op.odd)
    return (rate_of(op, n, m), origin_of(op, n, m)) if isinstance(op, Resize) else None
