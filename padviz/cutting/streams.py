"""Streams: the samples that each layer of a network of signals keeps between chunks, and how far
its output lags.

After each chunk, a layer makes all outputs that are certain: they read samples that are there, or
padding in front, and they would exist if the signal ended here. It keeps its inputs from the first
that its next output reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd, lcm
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.context import ALIKE
from padviz.cutting.exact_units import Cut, barriers_on, exact_units
from padviz.cutting.shards import trims_of
from padviz.errors import DescriptionError, OptionError, SizeError, check_integer
from padviz.geometry.ledger import LayerPadding, ledger
from padviz.geometry.reaching.near_padding import Barrier, BeforeAfter
from padviz.geometry.reaching.shifts import alignment_on
from padviz.geometry.receptive_fields import around_units
from padviz.network.network import Network
from padviz.network.operations import Blocks, Window, place, sized
from padviz.network.padding_modes import SCHEMES, depth
from padviz.network.reads import rate_of, reads
from padviz.network.sizes import another_at, sizes_of

MOST_SAMPLES = 1 << 20  # until a stream repeats
FAR = 1 << 40  # beyond all rows
Many: TypeAlias = NDArray[Any]  # integers, after each of many chunks


class StreamedLayer(NamedTuple):
    """A layer in a stream.

    `keeps` is the most samples of each of its inputs that it keeps between chunks. `makes` is the
    least and the most that a chunk makes of its map, once the stream is under way; these end at
    most `lag` input samples before the chunk. A layer that upsamples runs without padding over what
    it kept and what is new. Of the samples that this makes, the first and the last `drops` go.

    `short` are the samples that a chunk lacks if it is run alone, without what layers kept; None
    where the network does not take it.
    """

    layer: str
    kind: str
    keeps: tuple[int, ...]
    makes: tuple[int, int]
    lag: int
    drops: BeforeAfter | None
    short: int | None


@dataclass(frozen=True)
class Stream:
    """A stream in chunks of `chunk` input samples, layer by layer; the `heads` are its outputs.

    All layers keep `kept` samples, each of some channels. The output ends at most `lag` input
    samples before a chunk does: those that it looks ahead, or waits for.

    Padding in front makes units of the `late_layers` end before their own strides do, by `late`
    input samples in all.
    """

    chunk: int
    layers: tuple[StreamedLayer, ...]
    heads: tuple[StreamedLayer, ...]
    kept: int
    lag: int
    late: int
    late_layers: tuple[LayerPadding, ...]


def check_signal(network: Network) -> None:
    if len(network.axes) > 1:
        what = f"its input has {' x '.join(network.axes)}, and streams are of signals"
        raise DescriptionError(what, where=network.name, hint="use padviz tiles, or padviz shards")


def stream_of(network: Network, chunk: int | None, length: int | None = None) -> Stream:
    """Compute what each layer keeps between chunks of any size, by default of the alignment, of an
    endless signal or one of a known `length`.

    Where the size chooses the padding, the network's own counts, for signals as long modulo the
    alignment.

    Raises DescriptionError for an image, and OptionError naming the first layer that cannot be
    streamed.
    """
    check_signal(network)
    n, layers = network.size[0], list[StreamedLayer]()
    if barrier := next(
        filter(None, barriers_on(network, 0, n, ignore_norms=False)), None
    ) or _follows_length(network):
        what = f"cannot be streamed: {barrier.layer} ({barrier.why})"
        raise OptionError(what, where=network.name, hint="name an earlier `layer`")
    sizes, (step, strides) = sizes_of(network, 0, n), alignment_on(network, 0, n)
    if chunk is None:
        chunk = step
    check_integer(chunk, 1, "chunk")
    period = step // gcd(step, chunk)  # in chunks
    alone = _sizes_alone(network, chunk)
    totals, needs = _steady(network, sizes, chunk, period, strides)
    for i, layer in enumerate(network.layers[1:], start=1):
        j, needed, news = layer.inputs[0], needs[i], np.diff(totals[i])[-period:]
        keeps = tuple(max(0, int((totals[k] - np.maximum(needed, 0)).max())) for k in layer.inputs)
        makes, lag = (
            (int(news.min()), int(news.max())),
            max(0, ceil((totals[0] - totals[i] * strides[i]).max())),
        )
        there, new = (int(needed[-2]), int(totals[j][-1])), (int(totals[i][-2]), int(totals[i][-1]))
        drops = trims_of(layer.ops[0], sizes[j], sizes[i], there, new)
        if length is not None and chunk >= length:  # behind one chunk follows nothing
            keeps, makes, lag, drops = (0,) * len(keeps), (sizes[i],) * 2, 0, (0, 0)
        short = None
        if alone:
            short = max(0, floor(chunk / strides[i]) - alone[i])
        layers.append(StreamedLayer(layer.name, layer.kind, keeps, makes, lag, drops, short))
    heads = tuple(layers[network.index[name] - 1] for name in network.targets)
    kept = sum(sum(layer.keeps) for layer in layers)
    late, late_layers = _late(network)
    lag = max(head.lag for head in heads)
    return Stream(chunk, tuple(layers), heads, kept, lag, late, late_layers)


def _sizes_alone(network: Network, chunk: int) -> tuple[int, ...]:
    """Return the sizes of all maps of a chunk alone; none where the network does not take it."""
    if another_at(network, (chunk,)):
        return ()
    try:
        return sizes_of(network.at((chunk,)), 0, chunk)
    except SizeError:
        return ()


def _late(network: Network) -> tuple[int, tuple[LayerPadding, ...]]:
    """Return how many samples before their own strides units end, and the layers that do it."""
    windows = ledger(network, network.size).layers
    layers = [layer for layer in windows if layer.axes["length"].late]
    if not layers:
        return 0, ()
    around = around_units(network, network.size)
    ends = [around[network.index[layer.layer]] or (0, 0) for layer in layers]
    return max(0, *(-after for _, after in ends)), tuple(layers)


def _steady(
    network: Network, sizes: Sequence[int], chunk: int, period: int, strides: Sequence[Fraction]
) -> tuple[list[Many], list[Many]]:
    """Simulate chunks until the last period repeats, past all padding in front; return as
    `_simulated` does.
    """
    count = 2 * period
    while count * chunk <= MOST_SAMPLES or count == 2 * period:
        totals, needs = _simulated(network, sizes, np.arange(1, count + 1) * chunk)
        moves = [units[-period:] - units[-2 * period : -period] for units in totals]
        pairs = zip(moves, strides, strict=True)
        steady = all((moved * stride == period * chunk).all() for moved, stride in pairs)
        if steady and min(needed[-1] for needed in needs) >= 0:
            return totals, needs
        count *= 2
    raise SizeError(f"does not repeat within {MOST_SAMPLES} input samples", where=network.name)


def _simulated(
    network: Network, sizes: Sequence[int], there: Many
) -> tuple[list[Many], list[Many]]:
    """Count the units that each layer has made at some lengths of the input, and the first row that
    the next reads.
    """
    totals, ends, needs = (
        [there],
        [there],
        [there],
    )  # if the signal ended there, a layer would have `ends` units
    for i, layer in enumerate(network.layers[1:], start=1):
        op, n_in = layer.ops[0] or Window(1), sizes[layer.inputs[0]]
        ready, n = (
            np.minimum.reduce([counts[j] for j in layer.inputs]) for counts in (totals, ends)
        )
        size = sized(op, n, None if layer.like is None else ends[layer.like])
        ends.append(np.where(n > 0, np.maximum(size, 0), 0))
        rate = rate_of(op, n_in, sizes[i])
        if isinstance(op, Blocks):
            period, rows = (op.size, op.size)
        else:
            period, rows = (rate.denominator, rate.numerator)
        places, real = reads(op, n_in, sizes[i], np.arange(3 * period))
        # of a unit or any after it
        first = np.minimum.accumulate(np.where(real, places, FAR).min(0)[::-1])[::-1]
        # of a unit or any before it
        last = np.maximum.accumulate(np.where(real, places, -FAR).max(0))
        # periods in front of those that `last` has
        turns = np.maximum(0, (ready - last[-1]) // rows + 1)
        units = turns * period + np.searchsorted(last, ready - turns * rows)
        if isinstance(op, Window):
            mode, before = (op.mode, place(op, n_in).before)
        else:
            mode, before = ("zero", 0)
        # by padding in front, which waits for the row behind
        copied = max(0, depth(mode, max(0, before)))
        totals.append(np.where(ready > copied, np.minimum(units, ends[i]), 0))
        padded = np.maximum(ends[i] - 1, 0) * rows + last[0] + 1 - n
        copies = (
            np.where(padded > 0, n - 1 - depth(mode, padded), FAR) if SCHEMES[mode].reads else FAR
        )
        needs.append(np.minimum(first[totals[i] % period] + totals[i] // period * rows, copies))
    return totals, needs


def _follows_length(network: Network) -> Barrier | None:
    """Return the first layer that lies otherwise in a longer signal, and why that cannot be
    streamed.
    """
    n = network.size[0]
    longer = n + lcm(alignment_on(network, 0, n).step, ALIKE)
    if why := another_at(network, (longer,)):
        return Barrier(*why)
    units = exact_units(network.at((longer,)), 0, Cut(longer, 0, n), network)
    for layer, of_layer in zip(network.layers, units, strict=True):
        if of_layer.barrier or of_layer.offset:
            return Barrier(layer.name, "it follows the signal's length")
    return None
