"""What streams keep of every layer between chunks of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil, gcd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

from padviz.analyses.asked import Pixels, Source, TrainedSource, asked_up_to
from padviz.analyses.result import Result
from padviz.cutting.context import pixels_around
from padviz.cutting.running import TOLERANCES
from padviz.cutting.streams import Stream, StreamedLayer, check_signal, stream_of
from padviz.errors import DescriptionError, check_integer
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network
from padviz.options import CHUNK, LAYERS, MODEL, PADDING, SAME, SIZE, Command
from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import once
from padviz.trained.networks.reading import as_trained

if TYPE_CHECKING:
    from padviz.cutting.streaming import Streamed


class StreamResult(Result[StreamedLayer], Stream):
    """A stream through a network, printed and saved as the command does; its rows are
    the layers.
    """


def stream(
    network: Annotated[Source, MODEL],
    chunk: Annotated[int, CHUNK],
    size: Annotated[Pixels, SIZE] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
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
        `.layers` has of each layer the samples that it `keeps` of each input, those that it `makes`
        of a chunk, and by how much they `lag`; `.lag` is that of the output, in input samples.

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
    with asked_up_to(layer, network, size, padding, same) as (kept, samples):
        plan = stream_of(replace(kept, size=samples), chunk, None if size is None else samples[0])
        return StreamResult.made_of(plan, plan.layers, partial(report_of, kept, plan))


class StreamRow(TypedDict):
    """What a layer keeps between chunks, makes of one, and drops of that, in samples."""

    layer: str
    kind: str
    keeps: list[int]
    makes_min: int
    makes_max: int
    drops_first: int | None
    drops_last: int | None
    lag: int


def report_of(network: Network, plan: Stream) -> Report:
    keep = f"layers keep {plan.kept:,} samples in all between chunks"
    said = [
        f"Chunks of {plan.chunk:,} input samples: {keep}; the output lags by {plan.lag:,} input "
        "samples."
    ]
    said += [
        f"Each chunk makes {once(map(str, head.makes), ' to ')} samples of {head.layer}."
        for head in plan.heads
    ]
    rows = [_row(layer) for layer in plan.layers]
    shown = (
        Column("layer"),
        Column("keeps", show=lambda keeps: " ".join(map(str, keeps))),
        *(
            Column(key, key.replace("_", " "))
            for key in ("makes_min", "makes_max", "drops_first", "drops_last")
        ),
        Column("lag"),
    )
    legend = [
        "keeps: the most samples to keep of each input. makes: samples of a chunk, once the "
        "stream is under way.",
        "drops: samples to cut from an upsampling layer's output. lag: the most input samples "
        "behind those that its last sample stands for.",
    ]
    facts = about(network.name, network.size, network.padding)
    facts |= picked(plan, "chunk kept lag") | {"heads": [head.layer for head in plan.heads]}
    screen = [Heading(network.title), Lines(said), Table(shown, rows), Lines(legend)]
    return Report("stream", facts, [screen], rows_of(rows, StreamRow))


def _row(layer: StreamedLayer) -> StreamRow:
    least, most = layer.makes
    first, last = layer.drops or (None, None)
    return {
        "layer": layer.layer,
        "kind": layer.kind,
        "keeps": [*layer.keeps],
        "makes_min": least,
        "makes_max": most,
        "drops_first": first,
        "drops_last": last,
        "lag": layer.lag,
    }


def streamed(model: TrainedSource, chunk: int, *, weights: str | Path | None = None) -> Streamed:
    """Return a module with state, which takes a signal in chunks and returns what is certain of its
    output.

    Results carry no gradient. It is checked first: noise in chunks of that length makes what the
    whole noise makes.

    Parameters
    ----------
    model, weights
        As for `filters`; a PyTorch module whose input has one axis. If the channels of its signal
        cannot be read from its layers, ``padviz.load(module, shape={"x": (1, 5, "L")})`` sets them.
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
    from padviz.cutting.by_layer import differ
    from padviz.cutting.streaming import Streamed, in_chunks

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


COMMAND = Command(
    stream,
    """List what each layer of MODEL keeps between chunks of a signal, so that it reads nothing
    again.

    MODEL has one axis, such as an audio decoder. The output lags behind the input by the samples
    that layers look ahead. padviz.streamed runs a PyTorch module in this way.

    \b
    Example:
      padviz stream examples.networks:codec_decoder --chunk 15
    """,
    files=(),
)
