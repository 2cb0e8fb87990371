"""What shards own and fetch of every layer, what streams keep of it, and what tiles keep of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil, gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.analyses.asked import Pixels, Source, TrainedSource, asked
from padviz.analyses.result import Result
from padviz.cutting.context import barrier_of, contexts_of, pixels_around
from padviz.cutting.plan import Kept, kept_of
from padviz.cutting.running import TOLERANCES
from padviz.cutting.shards import ShardedLayer, Shards, shards_of
from padviz.cutting.streams import Stream, StreamedLayer, check_signal, stream_of
from padviz.errors import DescriptionError, OptionError, check_integer
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network, Size, in_words
from padviz.network.targets import output_layers, upto
from padviz.phrases import some_names
from padviz.reports.documents import plain
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.tables import once
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
        `.layers` has the `.parts` of each layer: for each shard the rows that it `owns`, the `window` of the input that
        it runs over, what it `fetches` of it and from which owner, and `trims`. Rows are the first and the last + 1.
        `.bytes` counts what is fetched, in float32, and `.overlap_bytes` what overlapping inputs would fetch.

    Raises
    ------
    PadvizError
        For fewer than 1 shard or more than 1,024, and for an axis that the input does not have.

    Examples
    --------
    >>> found = shards("unet_padded", 512, 4)
    >>> found.exchanges, found.layers[0].halo, found.layers[0].parts[1].fetches[0]
    (18, (1, 1), Fetch(owner=0, first=127, stop=128))
    """
    kept, image = _kept(layer, network, size, padding, same)
    axis = axis or kept.axes[0]
    if axis not in kept.axes:
        raise OptionError(f"the input has {' x '.join(kept.axes)}, not {axis}", option="axis", hint="name one of them")
    found = shards_of(kept, kept.axes.index(axis), image, n)
    return ShardsResult.made_of(found, found.layers, partial(_shards_report, kept, found))


def _kept(layer: str | Sequence[str] | None, *given: Any) -> tuple[Network, Size]:
    whole, size = asked(*given)
    return upto(whole, output_layers(layer, whole)), size


def _shards_report(network: Network, found: Shards) -> Report:
    layers, rows = found.layers, found.size[network.axes.index(found.axis)]
    before, after = (max(layer.halo[side] for layer in layers) for side in (0, 1))
    most = f"a shard fetches at most {before} + {after} rows, before and after its own"
    shards, need = f"{found.shards} shard{'s' * (found.shards > 1)}", sum(layer.why > "" for layer in layers)
    sent = f"{found.exchanges} exchanges, {_in_words(found.bytes)} in all"
    said = [
        f"{shards} along the {found.axis}: at any layer, {most}; {sent}; layers that need all shards: {need}.",
        f"Overlapping inputs would send {_in_words(found.overlap_bytes)} once, and compute "
        f"{1 + found.overlap / rows:.2f} times the pixels.",
    ]
    if found.multiple or found.skewed:
        sizes = f"never skewed at multiples of {found.multiple}" if found.multiple else "skewed at any size"
        said.append(f"Boundaries are {sizes}{found.skewed and f': {found.skewed} moves them'}.")
    if empty := [layer.layer for layer in layers if layer.rows < found.shards]:
        said.append(f"Some shards own nothing of maps of fewer rows: {some_names(empty)}.")
    about = [
        "before, after: the most input rows that a shard fetches from shards before and behind it. bytes: of all",
        "shards, as float32. sums: for norms count, mean and squared deviations of each group. Layers that read only",
        "their own rows are left out; --format json has all, with the rows that each shard owns, fetches and trims.",
    ]
    shown = (*columns("layer rows"), *_halves("halo", "before", "after"), *columns("bytes exchange why"))
    listed = Table(shown, [layer for layer in layers if layer.fetched or layer.why])
    facts = {"network": network.name, **plain(found)}
    return Report("shards", facts, [[Heading(network.title), Lines(said), listed, Lines(about)]], Table(shown, layers))


def _halves(field: str, *keys: str) -> list[Column]:
    """Return columns for the two numbers of a field, if it has any."""

    def half(row: object, at: int) -> int | None:
        pair = getattr(row, field)
        return pair and pair[at]  # type: ignore[no-any-return]

    return [Column(key, key.replace("_", " "), of=partial(half, at=at)) for at, key in enumerate(keys)]


def _in_words(size: int | None) -> str:
    if size is None:
        return "an unknown number of bytes"
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


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
    kept, samples = _kept(layer, network, size, padding, same)
    found = stream_of(replace(kept, size=samples), chunk, None if size is None else samples[0])
    return StreamResult.made_of(found, found.layers, partial(_stream_report, kept, found))


def _stream_report(network: Network, found: Stream) -> Report:
    keep = f"layers keep {found.kept:,} samples in all between chunks"
    said = [f"Chunks of {found.chunk:,} input samples: {keep}; the output lags by {found.lag:,} input samples."]
    said += [f"Each chunk makes {once(map(str, head.makes), ' to ')} samples of {head.layer}." for head in found.heads]
    shown = [
        Column("layer"),
        Column("keeps", of=lambda layer: " ".join(map(str, layer.keeps))),
        *_halves("makes", "makes_least", "makes_most"),
        *_halves("drops", "drop_first", "drop_last"),
        Column("lag"),
    ]
    about = [
        "keeps: the most samples to keep of each input. makes: samples of a chunk, once the stream is under way.",
        "drop: what to cut off what an upsampling layer makes of kept and new samples. lag: the most input samples",
        "behind those that its last sample stands for.",
    ]
    facts = {"network": network.name, **plain(found)}
    return Report("stream", facts, [[Heading(network.title), Lines(said), Table(shown, found.layers), Lines(about)]])


def tile_keeps(
    network: Source, size: Pixels, tile: Pixels, layer: str | Sequence[str] | None = None, padding: str | None = None,
    same: bool = False,
) -> Result[Kept]:  # fmt: skip
    """List what a tile of a size keeps of an image: `padviz tiles --keeps`."""
    kept, image = _kept(layer, network, size, padding, same)
    rows = kept_of(kept, image, kept.pixels(tile))
    return Result.made_of(None, rows, partial(_keeps_report, kept, image, kept.pixels(tile), rows))


def _keeps_report(network: Network, image: Size, tile: Size, rows: Sequence[Kept]) -> Report:
    barrier, sides = barrier_of(network, contexts_of(network, image)), dict[float, list[str]]()
    for row in rows:
        if row.layer == rows[0].layer:
            sides.setdefault(row.level, []).append(f"{row.pixels:g}")
    exact = f"{in_words(sides.pop(1))} {network.px} exactly"
    exact = f"nothing exactly: {barrier.layer} ({barrier.why})" if barrier else exact
    shares = " and ".join(f"{in_words(pixels)} with {100 * level:g} %" for level, pixels in sides.items())
    less = f"; {shares} of the paths of each unit, not exact" if shares else ""
    said = f"Inside an image, a tile of {in_words(tile)} keeps {exact}{less}."
    share = Column("level", "paths", lambda level: f"{100 * level:g} %")
    shown = Table((*columns("layer axis"), share, *columns("units pixels before after")), rows)
    about = f"before, after: {network.px} that it reads on either side of those that it keeps."
    facts = {"network": network.name, "size": image, "tile": tile, "barrier": barrier and [*barrier], "keeps": rows}
    return Report("keeps", facts, [[Heading(network.title), Lines([said]), shown, Lines([about])]])


def streamed(model: TrainedSource, chunk: int, *, weights: str | Path | None = None) -> Streamed:
    """Return a module with state, which takes a signal in chunks and returns what is certain of its output.

    Results carry no gradient. It is checked first: noise in chunks of that length makes what the whole noise makes.

    Parameters
    ----------
    model, weights
        As for `filters`; a PyTorch module whose input has one axis. ``padviz.load(module, shape={"x": (1, 5, "L")})``
        is one whose signal has five channels, where its first layer is no convolution that says so.
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
    from padviz.cutting.by_layer import Streamed, differ, in_chunks

    check_integer(chunk, 1, "chunk")
    trained = as_trained(model, None, weights)
    network, n = trained.network, trained.network.size[0]
    check_signal(network)
    step, around = alignment_on(network, 0, n).step, pixels_around(network, network.size)
    chunks = max(3, step // gcd(step, chunk))  # until all strides are in phase again
    samples = n + ceil((2 * sum(around[0] if around else ()) + chunks * chunk) / step) * step
    cut = partial(in_chunks, first=samples - chunks * chunk, chunk=chunk)
    precision, difference = differ(trained.model, (1, trained.channels, samples), cut)
    if not difference <= TOLERANCES[precision]:
        what = "in chunks it differs from the whole: it depends on the length of the signal"
        raise DescriptionError(what, where=type(trained.model).__name__, hint="run it whole")
    return Streamed(trained.model)
