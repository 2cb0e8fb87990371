"""Shards: the rows of every layer that each of several processes owns, fetches from the others, and
trims.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.context import pixels_around
from padviz.cutting.exact_units import Span, pools_sums
from padviz.engine.axis_map import AxisMap
from padviz.errors import SizeError, check_integer
from padviz.geometry.reaching.near_padding import BeforeAfter
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.operations import Adaptive, Blocks, Fit, Op, Transposed, Window
from padviz.network.reads import span
from padviz.network.resize import Resize, ratio_of
from padviz.network.sizes import resolve, sizes_of, sizes_of_each
from padviz.progress import Progress, counter

Rows = NDArray[np.intp]
MOST = 1024  # shards: every layer lists what each of them fetches
NUMBER = 4  # bytes of a float32


class Fetch(NamedTuple):
    """Rows `first` to `stop` - 1 of a layer's input, which a shard fetches from the
    shard `owner`.
    """

    owner: int
    first: int
    stop: int


class Part(NamedTuple):
    """What one shard does at a layer: it makes the rows `owns`, and `fetches` what it needs of
    other shards.

    It runs the layer over the rows `window` of its input without padding. Those before row 0 and
    behind the last are padding. Rows that it neither owns nor fetches are not read. Of what a layer
    that upsamples makes of them, the first and last `trims` rows go. They are below 0 where it
    makes too few, and None for a resize that must know where in the image it lies.
    """

    owns: Span
    window: Span
    fetches: tuple[Fetch, ...]
    trims: BeforeAfter | None


class ShardedLayer(NamedTuple):
    """A layer of `rows` rows in shards, which fetch `fetched` rows in all: `bytes` in float32, if
    that is known.

    A shard fetches at most `before` rows from those before it, and `after` from those behind.
    `why` says that the layer needs all shards. They then exchange all "rows", or only "sums":
    count, mean and squared deviations for a norm, the sum of each channel for a gate or a pool.
    """

    layer: str
    kind: str
    rows: int
    parts: tuple[Part, ...]
    before: int
    after: int
    fetched: int
    bytes: int | None
    why: str
    exchange: Literal["", "rows", "sums"]


@dataclass(frozen=True)
class Shards:
    """A network in `shards` parts along an axis, layer by layer; at `exchanges` layers, they fetch
    `bytes` in all.

    With overlapping inputs, shards would fetch `overlap` rows of the image in all, and compute them
    again. Sizes that are multiples of `multiple` align: each boundary is that of the image over the
    stride. Where no size does, `skewed` is the first layer that moves boundaries.
    """

    size: Size
    axis: str
    shards: int
    layers: tuple[ShardedLayer, ...]
    exchanges: int
    bytes: int | None
    overlap: int
    overlap_bytes: int | None
    multiple: int | None
    skewed: str


def shards_of(
    network: Network, axis: int, image: Size, n: int, on_progress: Progress | None = None
) -> Shards:
    """Cut every layer of a network into `n` shards along an axis: of m rows, shard k owns k * m //
    n to the next.
    """
    check_integer(n, 1, "shards", MOST)
    sizes, maps = resolve(network, axis, image[axis])
    others = [on_axis for k, on_axis in enumerate(sizes_of_each(network, image)) if k != axis]
    channels, layers = _channels_read(network), list[ShardedLayer]()
    advance = counter(len(network.layers) - 1, on_progress)

    def in_bytes(rows: int, i: int, j: int) -> int | None:
        known = rows * channels[i] * prod(on_axis[j] for on_axis in others) * NUMBER
        if known or not rows:
            return known
        return None

    for i, layer in enumerate(network.layers[1:], start=1):
        j, why = layer.inputs[0], _needed(layer, axis)
        exchange: Literal["", "rows", "sums"] = ""
        if why:
            exchange = "sums" if pools_sums(why) else "rows"
        parts, befores, afters = list[Part](), list[int](), list[int]()
        spans = owned(sizes[j], n)
        for units, mine in zip(owned(sizes[i], n), spans, strict=True):
            if exchange == "rows":
                rows = np.arange(sizes[j])
            elif exchange == "sums":
                rows = np.arange(*mine)
            else:
                rows = _rows_read(maps[i], units)
            window, trims = _window(layer.ops[axis], sizes[j], sizes[i], units, rows)
            parts.append(Part(units, window, _fetched(rows, mine, spans), trims))
            befores.append(int(np.sum(rows < mine[0])))
            afters.append(int(np.sum(rows >= mine[1])))
        fetched = sum(befores) + sum(afters)
        layers.append(
            ShardedLayer(
                layer.name,
                layer.kind,
                sizes[i],
                (*parts,),
                max(befores),
                max(afters),
                fetched,
                in_bytes(fetched, i, j),
                why,
                exchange,
            )
        )
        advance(1)
    sent = [layer.bytes for layer in layers]
    total = None
    if None not in sent:
        total = sum(filter(None, sent))
    exchanges = sum(layer.fetched > 0 for layer in layers)
    overlap = _overlap(network, axis, image, n)
    figures = exchanges, total, overlap, in_bytes(overlap, 0, 0)
    multiple = _multiple(network, axis, image[axis], n)
    return Shards(image, network.axes[axis], n, (*layers,), *figures, *multiple)


def _window(
    op: Op | None, n: int, m: int, units: Span, rows: Rows
) -> tuple[Span, BeforeAfter | None]:
    """Return the rows over which an operation runs for some units, padding among them, and what to
    trim then.
    """
    if not len(rows):
        return (0, 0), (0, 0)
    window = int(rows[0]), int(rows[-1]) + 1
    if isinstance(op, Window | Fit) and units[0] < units[1]:
        window = span(op, n, m, *units)
    return window, trims_of(op, n, m, window, units)


def _overlap(network: Network, axis: int, image: Size, n: int) -> int:
    """Count the rows that would be read more than once if each shard ran alone, with
    its context.
    """
    around = pixels_around(network, image)
    if around:
        before, after = around[axis]
    else:
        before, after = (image[axis], image[axis])
    spans = [span for span in owned(image[axis], n) if span[0] < span[1]]
    return sum(min(before, first) + min(after, image[axis] - stop) for first, stop in spans)


def owned(rows: int, n: int) -> list[Span]:
    """Return the rows that each of `n` shards owns; some own none where there are fewer rows."""
    return [(k * rows // n, (k + 1) * rows // n) for k in range(n)]


def trims_of(op: Op | None, n: int, m: int, rows: Span, units: Span) -> BeforeAfter | None:
    """Return how many rows an operation makes before and after its own, if it runs over some input
    rows alone.

    A transposed window runs without padding. None for a resize that makes others of the rows when
    it runs over them.

    >>> trims_of(Transposed(4, stride=2, padding=(1, 1)), 8, 16, (3, 6), (7, 11))
    (2, 2)
    """
    if isinstance(op, Transposed):
        start = rows[0] * op.stride - op.padding[0]
        return units[0] - start, start + (rows[1] - rows[0] - 1) * op.stride + op.extent - units[1]
    if isinstance(op, Resize):
        ratio = ratio_of(op, n, m)
        trims = units[0] - rows[0] * ratio.denominator, rows[1] * ratio.denominator - units[1]
        if (
            op.float32 is None
            and op.layout != "align_corners"
            and ratio.numerator == 1
            and min(trims) >= 0
        ):
            return trims
        return None
    return 0, 0


def _needed(layer: Layer, axis: int) -> str:
    """Return why a layer needs all rows on an axis; "" where it reads some, as the bins of an
    adaptive pool do.
    """
    op = layer.ops[axis]
    across = op is None and layer.kind == "adaptive"  # attention along the other axis
    local = across or isinstance(op, Blocks) or (isinstance(op, Adaptive) and op.output > 1)
    if local:
        return ""
    return layer.whole(axis)


def _rows_read(axis_map: AxisMap | None, span: Span) -> Rows:
    """List the real rows that a map reads for some outputs; padding that folds back reads real
    rows.
    """
    if axis_map is None:
        return np.arange(*span)
    part, first, stop = axis_map.only(*span)
    read = np.zeros(stop - first, dtype=bool)
    for _, rows, *_ in part.slices:
        read[rows] = True
    return np.flatnonzero(read) + first


def _fetched(rows: Rows, mine: Span, spans: list[Span]) -> tuple[Fetch, ...]:
    """Return those of some rows that others own, in runs."""
    rows = rows[(rows < mine[0]) | (rows >= mine[1])]
    owners = np.searchsorted([stop for _, stop in spans], rows, side="right")
    ends = np.flatnonzero((np.diff(rows) > 1) | (np.diff(owners) > 0)) + 1
    runs = zip(np.split(owners, ends), np.split(rows, ends), strict=True)
    return tuple(
        Fetch(int(owner[0]), int(run[0]), int(run[-1]) + 1) for owner, run in runs if len(run)
    )


def _multiple(network: Network, axis: int, rows: int, n: int) -> tuple[int | None, str]:
    """Return the multiple at which no layer moves a boundary between shards, or the first layer
    that does.
    """
    with suppress(SizeError):
        step, strides = alignment_on(network, axis, rows)
        # larger than the image, so that maps of a fixed size stand out
        size = (rows // (n * step) + 1) * n * step
        for layer, m, stride in zip(
            network.layers, sizes_of(network, axis, size), strides, strict=True
        ):
            if 1 < m != size / stride:  # a map of one row belongs to a gate
                return None, layer.name
        return n * step, ""
    return None, ""


def _channels_read(network: Network) -> list[int]:
    """Return the channels of the map that each layer reads, 0 where they are not known.

    Convolutions know theirs. Other layers have those of the convolutions before and behind, unless
    the two differ.
    """
    behind, channels = [0] * len(network.layers), list[int]()
    for i, layer in reversed([*enumerate(network.layers)]):
        if layer.channels:
            reads = layer.channels.in_
        elif layer.kind == "concat":
            reads = 0
        else:
            reads = behind[i]
        for j in layer.inputs:
            behind[j] = behind[j] or reads
    for i, layer in enumerate(network.layers):
        entering = [channels[j] for j in layer.inputs]
        if layer.kind == "concat":
            before = sum(entering) * all(entering)
        else:
            before = next(iter(entering), 0)
        known = {before, behind[i]} - {0}
        if layer.channels:
            channels.append(layer.channels.out)
        else:
            channels.append(known.pop() if len(known) == 1 else 0)
    return [
        layer.channels.in_ if layer.channels else n
        for layer, n in zip(network.layers, channels, strict=True)
    ]
