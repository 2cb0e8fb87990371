"""What shards own and fetch of every layer, what streams keep of it, and what tiles keep of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil, gcd
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.analyses.asked import Pixels, Source, TrainedSource, asked
from padviz.analyses.result import Result
from padviz.cutting.context import barrier_of, contexts_of, pixels_around
from padviz.cutting.plan import LEVELS, Kept, kept_of
from padviz.cutting.shards import ShardedLayer, Shards, shards_of
from padviz.cutting.streams import Stream, StreamedLayer, stream_of
from padviz.errors import DescriptionError, OptionError, check_integer
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network, Size, in_words
from padviz.network.targets import output_layers, upto
from padviz.reports.documents import plain
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.tables import once, some_names
from padviz.trained.networks.reading import as_trained

if TYPE_CHECKING:
    from padviz.cutting.by_layer import Streamed


class ShardsResult(Result[ShardedLayer], Shards):
    """Shards of a network, printed and saved as the command does; its rows are the layers."""


def shards(
    network: Source,
    size: Pixels,
    n: int,
    axis: str | None = None,
    layer: str | Sequence[str] | None = None,
    *,
    padding: str | None = None,
    same: bool = False,
) -> ShardsResult:
    """Cut a network into shards that run at the same time, and compute the rows that they exchange at each layer.

    Of a map of m rows, shard k owns those from `k * m // n` to `(k + 1) * m // n`.

    Parameters
    ----------
    network, padding, same, layer
        As for `tiles`.
    size : int or (height, width)
        Size of the image in pixels; None for the network's own.
    n : int
        How many shards; where a map has fewer rows, some own none.
    axis : str, optional
        The axis that is cut, "height" by default, or the first that the input has.

    Returns
    -------
    ShardsResult
        `.layers` has of each layer the `.parts`: of each shard the rows that it `owns`, those of the input that it
        `reads` and `fetches`, from which owner, `pads` and `trims`; rows from the first to the last + 1. `.bytes`
        counts what is fetched, in float32, and `.overlap_bytes` what overlapping inputs would fetch of the image.

    Raises
    ------
    PadvizError
        For less than one shard, and for an axis that the input does not have.

    Examples
    --------
    >>> found = shards("unet_padded", 512, 4)
    >>> found.exchanges, found.layers[0].halo, found.layers[0].parts[1].fetches[0]
    (18, (1, 1), Fetch(owner=0, first=127, stop=128))
    """
    whole, image = asked(network, size, padding, same)
    axis = axis or whole.axes[0]
    if axis not in whole.axes:
        raise OptionError(f"the input has {' x '.join(whole.axes)}, not {axis}", option="axis", hint="name one of them")
    kept = upto(whole, output_layers(layer, whole))
    found = shards_of(kept, kept.axes.index(axis), image, n)
    return ShardsResult.made_of(found, found.layers, partial(_shards_report, kept, found))


class StreamResult(Result[StreamedLayer], Stream):
    """A stream through a network, printed and saved as the command does; its rows are the layers."""


def stream(
    network: Source,
    chunk: int,
    size: Pixels = None,
    layer: str | Sequence[str] | None = None,
    *,
    padding: str | None = None,
    same: bool = False,
) -> StreamResult:
    """Compute what each layer keeps between chunks of a signal, so that it reads nothing again.

    Parameters
    ----------
    network, layer, padding, same
        As for `tiles`; its input has one axis.
    chunk : int
        New input samples of each chunk, any number.
    size : int, optional
        Input samples of the signal. Where padding depends on it, it matters modulo the alignment.

    Returns
    -------
    StreamResult
        `.layers` has of each layer the samples that it `keeps` of each input, those that it `makes` of a chunk, and by
        how much they `lag`; `.lag` is that of the output, in input samples.

    Raises
    ------
    PadvizError
        For an image, and for what cannot be streamed, naming the layer.

    Examples
    --------
    >>> from torch import nn
    >>> found = stream(nn.Conv1d(1, 1, 5, padding=2), 64)
    >>> found.kept, found.lag
    (4, 2)
    """
    whole, samples = asked(network, size, padding, same)
    kept = replace(upto(whole, output_layers(layer, whole)), size=samples)
    found = stream_of(kept, chunk, None if size is None else samples[0])
    return StreamResult.made_of(found, found.layers, partial(_stream_report, kept, found))


def _stream_report(network: Network, found: Stream) -> Report:
    keeping = [layer for layer in found.layers if any(layer.keeps)]
    layers = f"{len(keeping)} of {len(found.layers)} layers keep{'s' * (len(keeping) == 1)}"
    keep = f"{layers} {found.kept:,} samples in all between chunks"
    said = [f"Chunks of {found.chunk:,} input samples: {keep}; the output lags by {found.lag:,} input samples."]
    said += [f"Each chunk makes {once(map(str, head.makes), ' to ')} samples of {head.layer}." for head in found.heads]
    first = Column("layer"), Column("keeps", of=_keeps)
    makes = (Column("makes", show=lambda each: once(map(str, each), " to ")),)
    ends = Column("makes_least", of=lambda layer: layer.makes[0]), Column("makes_most", of=lambda layer: layer.makes[1])
    drops = [
        Column(f"drop_{end}", f"drop {end}", of=partial(_dropped, at=at)) for at, end in enumerate(("first", "last"))
    ]
    shown, sheet = ([*first, *more, *drops, Column("lag")] for more in (makes, ends))
    about = [
        "keeps: the most samples to keep of each input. makes: samples of a chunk, once the stream is under way.",
        "drop: what to cut off what an upsampling layer makes of kept and new samples. lag: the most input samples",
        "behind those that its last sample stands for.",
    ]
    facts = {"network": network.name, **plain(found), "kept": found.kept, "lag": found.lag}
    screen = [[Heading(network.title), Lines(said), Table(shown, found.layers), Lines(about)]]
    return Report("stream", facts, screen, Table(sheet, found.layers))


def _keeps(layer: StreamedLayer) -> object:
    return layer.keeps[0] if len(layer.keeps) == 1 else " ".join(map(str, layer.keeps))


def _dropped(layer: StreamedLayer, at: int) -> int | None:
    return layer.drops[at] or None if layer.drops else None


def _shards_report(network: Network, found: Shards) -> Report:
    layers = found.layers
    every = [layer for layer in layers if layer.exchange]
    unknown = [layer.layer for layer in layers if layer.bytes is None]
    empty = [layer for layer in layers if layer.rows < found.shards]
    before, after = (max(layer.halo[side] for layer in layers) for side in (0, 1))
    sides = once([f"{n} row{'s' * (n != 1)}" for n in (before, after)], " from shards before it and ")
    sides += " from either side" if before == after else " from those behind"
    sums = sum(layer.exchange == "sums" for layer in every)
    rows = found.size[network.axes.index(found.axis)]
    shards, fetched = f"{found.shards} shard{'s' * (found.shards > 1)}", _of_bytes(found.bytes)
    need = "1 layer needs" if len(every) == 1 else f"{len(every)} layers need"
    overlap, pixels = _of_bytes(found.overlap_bytes), f"{1 + found.overlap / rows:.2f} times the pixels"
    said = [
        f"{shards} along the {found.axis}: at any layer, a shard fetches at most {sides}; {found.exchanges} exchanges, "
        f"{fetched} in all; {need} all shards.",
        f"Overlapping inputs would send {overlap} once, and compute {pixels}.",
    ]
    if found.multiple:
        here = "skewed" if rows % found.multiple else "not skewed"
        said.append(f"Boundaries are {here} at {rows}; they never are at multiples of {found.multiple}.")
    elif found.skewed:
        said.append(f"Boundaries are skewed at any size: {found.skewed} moves them.")
    if every:
        said.append(f"Sums are enough for {sums} of these: for norms count, mean and squared deviations of each group.")
    if empty:
        said.append(f"Some shards own nothing of maps of fewer rows: {some_names(layer.layer for layer in empty)}.")
    if unknown:
        said.append(f"Without the bytes of layers of unknown channels: {some_names(unknown)}.")
    shown = (
        *columns("layer rows"),
        Column("before", of=lambda layer: layer.halo[0]),
        Column("after", of=lambda layer: layer.halo[1]),
        Column("trim_before", "trim before", of=lambda layer: _trimmed(layer, 0)),
        Column("trim_after", "trim after", of=lambda layer: _trimmed(layer, 1)),
        *columns("bytes exchange why"),
    )
    about = [
        "before, after: the most input rows that a shard fetches from shards before and behind it. trim: the most rows",
        "to cut off what an upsampling layer makes. bytes: of all shards, as float32. Layers that read only their own",
        "rows are left out; --format json has all, with the rows of each shard.",
    ]
    listed = [layer for layer in layers if layer.fetched or layer.why or _trimmed(layer, 0) or _trimmed(layer, 1)]
    facts = {"network": network.name, **plain(found), "exchanges": found.exchanges, "bytes": found.bytes}
    screen = [[Heading(network.title), Lines(said), Table(shown, listed), Lines(about)]]
    return Report("shards", facts, screen, Table(shown, layers))


def _trimmed(layer: ShardedLayer, side: int) -> int | None:
    """Return the most rows that a shard trims on a side, if it trims any."""
    return max(part.trims[side] if part.trims else 0 for part in layer.parts) or None


def _of_bytes(size: int | None) -> str:
    if size is None:
        return "an unknown number of bytes"
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def tile_keeps(
    network: Source, size: Pixels, tile: Pixels, layer: str | Sequence[str] | None = None, padding: str | None = None,
    same: bool = False,
) -> Result[Kept]:  # fmt: skip
    """List what a tile of a size keeps of an image: `padviz tiles --keeps`."""
    whole, image = asked(network, size, padding, same)
    kept = upto(whole, output_layers(layer, whole))
    rows = kept_of(kept, image, kept.pixels(tile))
    return Result.made_of(None, rows, partial(_keeps_report, kept, image, kept.pixels(tile), rows))


def _keeps_report(network: Network, image: Size, tile: Size, rows: Sequence[Kept]) -> Report:
    first, barrier = rows[0].layer, barrier_of(network, contexts_of(network, image))
    parts = {level: [row.pixels for row in rows if (row.level, row.layer) == (level, first)] for level in LEVELS}
    sizes = {level: in_words(f"{n:g}" for n in pixels) for level, pixels in parts.items()}
    exact = f"nothing exactly: {barrier.layer} ({barrier.why})" if barrier else f"{sizes[1]} {network.px} exactly"
    shares = " and ".join(f"{sizes[level]} with {100 * level:g} %" for level in LEVELS[1:])
    said = [
        f"Inside an image, a tile of {in_words(tile)} keeps {exact}; {shares} of the paths of each unit, not exact."
    ]
    share = Column("level", "paths", lambda level: f"{100 * level:g} %")
    shown = (*columns("layer axis"), share, *columns("units pixels before after"))
    about = [f"before, after: {network.px} that it reads on either side of those that it keeps."]
    facts = {
        "network": network.name,
        "size": image,
        "tile": tile,
        "barrier": barrier and [*barrier],
        "keeps": plain(rows),
    }
    return Report("keeps", facts, [[Heading(network.title), Lines(said), Table(shown, rows), Lines(about)]])


def streamed(model: TrainedSource, chunk: int, *, weights: str | Path | None = None) -> Streamed:
    """Return a module with state, which takes a signal in chunks and returns what is certain of its output.

    It is checked first: noise in chunks of that length makes what the whole noise makes.

    Parameters
    ----------
    model, weights
        As for `filters`; a PyTorch module whose input has one axis.
    chunk : int
        Samples of each chunk; others work as well.

    Returns
    -------
    Streamed
        Call it with (..., samples); `.flush()` returns the last units, and begins another signal.

    Raises
    ------
    PadvizError
        For what cannot be streamed, naming the layer.

    Examples
    --------
    >>> import torch
    >>> stream = streamed(torch.nn.Conv1d(1, 1, 5, padding=2), 64)
    >>> chunk = torch.rand(1, 1, 64)
    >>> stream(chunk).shape[-1], stream(chunk).shape[-1], stream.flush().shape[-1]
    (62, 64, 2)
    """
    from padviz.cutting.by_layer import check_stream

    check_integer(chunk, 1, "chunk")
    trained = as_trained(model, None, weights)
    network = trained.network
    if len(network.axes) > 1:
        what = f"its input has {' x '.join(network.axes)}, and streams are of signals"
        raise DescriptionError(what, where=network.name, hint="use `padviz.tiles`")
    step = alignment_on(network, 0, network.size[0]).step
    around = pixels_around(network, network.size)
    first = network.size[0] + ceil(2 * sum(around[0] if around else ()) / step) * step
    rounds = step // gcd(step, chunk)  # chunks until all strides are in phase again
    return check_stream(trained.model, trained.channels, first, chunk, rounds * ceil(3 / rounds))
