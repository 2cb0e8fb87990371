"""Shards: the rows of every layer that each of several processes owns, fetches from the others, and trims."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

import numpy as np

from padviz.cutting.context import pixels_around
from padviz.engine.axis_map import AxisMap
from padviz.errors import OptionError, SizeError
from padviz.geometry.reaching.near_padding import BeforeAfter
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.operations import Adaptive, Blocks, Fit, Op, Transposed, Window
from padviz.network.receptive_interval import rate_of, rows_of
from padviz.network.resize import Resize, ratio_of
from padviz.network.sizes import resolve, sizes_of, sizes_of_each

Span = tuple[int, int]  # the first row, and the last + 1
NUMBER = 4  # bytes of a float32


class Fetch(NamedTuple):
    """Rows `first` to `stop` - 1 of a layer's input, which a shard fetches from the shard `owner`."""

    owner: int
    first: int
    stop: int


class Part(NamedTuple):
    """What one shard does at a layer: it makes the rows `owns` from the rows `reads` of the layer's input, in runs.

    `fetches` are those that others own. It runs the layer over the rows `window` without padding: those before row 0
    and behind the last are padding, and between the runs are rows that nothing reads. Of what a layer that upsamples
    makes of them, the first and last `trims` rows go. They are below 0 where it makes too few, and None for a resize
    that must know where in the image it lies.
    """

    owns: Span
    reads: tuple[Span, ...]
    fetches: tuple[Fetch, ...]
    window: Span
    trims: BeforeAfter | None


class ShardedLayer(NamedTuple):
    """A layer of `rows` rows in shards, which fetch `fetched` rows in all: `bytes` in float32, if that is known.

    `halo` is the most rows that one of them fetches from those before it, and from those behind. `why` says that the
    layer needs all shards. They then exchange all "rows", or only "sums": count, mean and squared deviations for a
    norm, the sum of each channel for a gate or a pool.
    """

    layer: str
    kind: str
    rows: int
    parts: tuple[Part, ...]
    halo: BeforeAfter
    fetched: int
    bytes: int | None
    why: str
    exchange: Literal["", "rows", "sums"]


@dataclass(frozen=True)
class Shards:
    """A network in `shards` parts along an axis, layer by layer.

    With overlapping inputs, shards would fetch `overlap` rows of the image in all, and compute them again. Sizes that
    are multiples of `multiple` align: each boundary is that of the layer before over the stride. Where no size does,
    `skewed` is the first layer that moves boundaries.

    >>> import padviz
    >>> found = shards_of(padviz.load("unet_padded"), 0, (512, 512), 4)
    >>> found.layers[0].parts[3].reads, found.layers[0].parts[3].fetches
    (((383, 512),), (Fetch(owner=2, first=383, stop=384),))
    >>> found.exchanges, found.bytes, found.multiple
    (18, 14979072, 64)
    """

    size: Size
    axis: str
    shards: int
    layers: tuple[ShardedLayer, ...]
    overlap: int
    overlap_bytes: int | None
    multiple: int | None
    skewed: str

    @property
    def exchanges(self) -> int:
        """The number of layers at which rows are fetched."""
        return sum(layer.fetched > 0 for layer in self.layers)

    @property
    def bytes(self) -> int:
        """The bytes that all shards fetch, in float32, without layers where they are not known."""
        return sum(layer.bytes or 0 for layer in self.layers)


def shards_of(network: Network, axis: int, image: Size, n: int) -> Shards:
    """Cut every layer of a network into `n` shards along an axis: of m rows, shard k owns k * m // n to the next.

    Raises OptionError for less than one shard.
    """
    if n < 1:
        raise OptionError(f"{n}: must be at least 1", option="shards")
    sizes, maps = resolve(network, axis, image[axis])
    others = [each for k, each in enumerate(sizes_of_each(network, image)) if k != axis]
    channels, layers = _channels_read(network), []
    for i, layer in enumerate(network.layers[1:], start=1):
        op, j, why = layer.ops[axis], layer.inputs[0], _needed(layer, axis)
        exchange: Literal["", "rows", "sums"] = "" if not why else "rows" if "attention" in why else "sums"
        parts, halo, fetched = [], (0, 0), 0
        for k, (own, mine) in enumerate(zip(owned(sizes[i], n), owned(sizes[j], n), strict=True)):
            reads = ((0, sizes[j]),) if exchange == "rows" else (mine,) if why else _read(maps[i], own)
            fetches = tuple(_fetched(reads, mine, sizes[j], n))
            window = (reads[0][0], reads[-1][1]) if reads else (0, 0)
            if isinstance(op, Window | Fit) and own[0] < own[1]:
                (first, _), (_, last) = (rows_of(op, sizes[j], sizes[i], unit) for unit in (own[0], own[1] - 1))
                window = first, last + 1
            trims = trims_of(op, sizes[j], sizes[i], window, own) if reads else (0, 0)
            parts.append(Part(own, reads, fetches, window, trims))
            before, rows = (sum(run.stop - run.first for run in fetches if run.owner < last) for last in (k, n))
            halo, fetched = (max(halo[0], before), max(halo[1], rows - before)), fetched + rows
        size = fetched * prod(each[j] for each in others) * channels[i] * NUMBER
        known = size if channels[i] or not fetched else None
        layers.append(ShardedLayer(layer.name, layer.kind, sizes[i], (*parts,), halo, fetched, known, why, exchange))
    around = pixels_around(network, image)
    before, after = around[axis] if around else (image[axis],) * 2
    spans = [span for span in owned(image[axis], n) if span[0] < span[1]]
    overlap = sum(min(before, first) + min(after, image[axis] - stop) for first, stop in spans)
    size = overlap * prod(each[0] for each in others) * channels[0] * NUMBER
    multiple, skewed = _multiple(network, axis, image[axis], n)
    return Shards(image, network.axes[axis], n, (*layers,), overlap, size or None, multiple, skewed)


def owned(rows: int, n: int) -> list[Span]:
    """Return the rows that each of `n` shards owns; some own none where there are fewer rows.

    >>> owned(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    return [(k * rows // n, (k + 1) * rows // n) for k in range(n)]


def trims_of(op: Op | None, n: int, m: int, rows: Span, own: Span) -> BeforeAfter | None:
    """Return how many rows an operation makes before and after its own, if it runs over some input rows alone.

    A transposed window runs without padding. None for a resize that makes others of the rows when it runs over them.

    >>> trims_of(Transposed(4, stride=2, padding=(1, 1)), 8, 16, (3, 6), (7, 11))
    (2, 2)
    """
    if isinstance(op, Transposed):
        start = rows[0] * op.stride - op.padding[0]
        return own[0] - start, start + (rows[1] - rows[0] - 1) * op.stride + op.extent - own[1]
    if isinstance(op, Resize):
        ratio = ratio_of(op, n, m)
        trims = own[0] - rows[0] * ratio.denominator, rows[1] * ratio.denominator - own[1]
        return trims if op.layout != "align_corners" and ratio.numerator == 1 and min(trims) >= 0 else None
    return 0, 0


def _needed(layer: Layer, axis: int) -> str:
    """Return why a layer needs all rows on an axis; "" where it reads some, as the bins of an adaptive pool do."""
    op = layer.ops[axis]
    across = op is None and layer.kind == "adaptive"  # attention along the other axis
    local = across or isinstance(op, Blocks) or (isinstance(op, Adaptive) and op.output > 1)
    return "" if local else layer.whole(axis)


def _read(axis_map: AxisMap | None, own: Span) -> tuple[Span, ...]:
    """Return the real rows that a map reads for some outputs, in runs; padding that folds back reads real rows."""
    if axis_map is None:
        return (own,) if own[0] < own[1] else ()
    part, first, stop = axis_map.only(*own)
    read = np.zeros(stop - first, dtype=bool)
    for strip in part.strips:
        low, high = sorted((strip.src, strip.src + strip.src_step * (strip.length - 1)))
        read[low : high + 1 : abs(strip.src_step) or 1] = True
    edges = np.flatnonzero(np.diff(read, prepend=False, append=False)) + first
    return tuple((a, b) for a, b in edges.reshape(-1, 2).tolist())


def _fetched(reads: tuple[Span, ...], mine: Span, rows: int, n: int) -> Iterator[Fetch]:
    for owner, (start, end) in enumerate(owned(rows, n)):
        if (start, end) != mine:
            runs = ((max(first, start), min(stop, end)) for first, stop in reads)
            yield from (Fetch(owner, *run) for run in runs if run[0] < run[1])


def _multiple(network: Network, axis: int, rows: int, n: int) -> tuple[int | None, str]:
    """Return the multiple at which no layer moves a boundary between shards, or the first layer that does."""
    with suppress(SizeError):
        step = n * alignment_on(network, axis, rows).step
        for size in (-(-rows // step) * step, -(-rows // step) * step + step):
            sizes = sizes_of(network, axis, size)
            for i, layer in enumerate(network.layers):
                op = layer.ops[axis]
                if op and not isinstance(op, Adaptive):
                    rate = rate_of(op, n_in := sizes[layer.inputs[0]], sizes[i])
                    if any(k * sizes[i] // n * rate != k * n_in // n for k in range(n + 1)):
                        return None, layer.name
        return step, ""
    return None, ""


def _channels_read(network: Network) -> list[int]:
    """Return the channels of the map that each layer reads, 0 where they are not known.

    Convolutions know theirs. Other layers have those of the convolutions before and behind, unless the two differ.
    """
    behind, made = [0] * len(network.layers), list[int]()
    for i, layer in reversed([*enumerate(network.layers)]):
        reads = layer.channels.in_ if layer.channels else 0 if layer.kind == "concat" else behind[i]
        for j in layer.inputs:
            behind[j] = behind[j] or reads
    for i, layer in enumerate(network.layers):
        entering = [made[j] for j in layer.inputs]
        before = sum(entering) * all(entering) if layer.kind == "concat" else next(iter(entering), 0)
        known = {before, behind[i]} - {0}
        made.append(layer.channels.out if layer.channels else known.pop() if len(known) == 1 else 0)
    return [layer.channels.in_ if layer.channels else own for layer, own in zip(network.layers, made, strict=True)]
