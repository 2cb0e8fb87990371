"""What streams keep of every layer between chunks of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
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
from padviz.geometry.ledger import timely_in_words
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network
from padviz.options import CHUNK, LAYERS, MODEL, PADDING, RATE, SAME, SIZE, Command
from padviz.phrases import counted, some_names
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
    chunk: Annotated[int | None, CHUNK] = None,
    size: Annotated[Pixels, SIZE] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    *,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    rate: Annotated[int | None, RATE] = None,
) -> StreamResult:
    """Compute what each layer keeps between chunks of a signal, so that it reads nothing again.

    Parameters
    ----------
    network, layer, padding, same
        As for `tiles`; its input has one axis.
    chunk : int, optional
        New input samples of each chunk, any number; by default the alignment.
    size : int, optional
        Input samples of the signal. Where padding depends on it, it matters modulo the alignment.
    rate : int, optional
        Samples per second of the input, or of the output where that has more; adds milliseconds.

    Returns
    -------
    StreamResult
        `.layers` has of each layer the samples that it `keeps` of each input, those that it `makes`
        of a chunk, by how much they `lag`, and how many a chunk alone is `short` of; `.lag` is that
        of the output, in input samples. `.late` counts samples lost to padding in front.

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
        if rate is not None:
            check_integer(rate, 1, "rate")
        at = replace(kept, size=samples)
        plan = stream_of(at, chunk, None if size is None else samples[0])
        return StreamResult.made_of(plan, plan.layers, partial(report_of, at, plan, rate))


class StreamRow(TypedDict):
    """What a layer keeps between chunks, makes of one, and drops of that, in samples; a chunk that
    is run alone is `short` of some.
    """

    layer: str
    kind: str
    keeps: list[int]
    makes_min: int
    makes_max: int
    drops_first: int | None
    drops_last: int | None
    lag: int
    lag_ms: float | None
    short: int | None


def report_of(network: Network, plan: Stream, rate: int | None) -> Report:
    strides = alignment_on(network, 0, network.size[0]).strides
    hertz = None  # of the input; of the output where that has more samples
    if rate is not None:
        of_heads = [strides[network.index[head.layer]] for head in plan.heads]
        hertz = float(rate * min(Fraction(1), *of_heads))
    keep = f"layers keep {counted(plan.kept, 'sample')} in all between chunks"
    said = [
        f"Chunks of {counted(plan.chunk, 'input sample')}{_lasting(plan.chunk, hertz)}: {keep}; "
        f"the output lags by {counted(plan.lag, 'input sample')}{_lasting(plan.lag, hertz)}, its "
        "look-ahead."
    ]
    if plan.late:
        cures = some_names(map(timely_in_words, plan.late_layers))
        said.append(
            f"Too much padding in front: only later units read the last {plan.late:,} input samples"
            f"{_lasting(plan.late, hertz)} of a stride. Pad {cures}: (dilated kernel - stride, "
            "stride - 1)."
        )
    for head in plan.heads:
        makes = once(map(str, head.makes), " to ")
        noun = "sample" if makes == "1" else "samples"
        said.append(f"Each chunk makes {makes} {noun} of {head.layer}.")
        stride = strides[network.index[head.layer]]
        if plan.lag and stride >= 1:
            frames = f"{float(plan.lag / stride):,.4g} of these frames"
            said.append(f"Future (right) context: {frames}{_lasting(plan.lag, hertz)}.")
        if head.short:
            share = head.short / head.makes[1]
            said.append(
                f"A chunk that is run alone is short of {100 * share:.3g} % of {head.layer}: "
                f"{counted(head.short, 'sample')}{_lasting(share * plan.chunk, hertz)} at each "
                "boundary, unless layers keep samples (padviz.streamed)."
            )
    rows = [_row(layer, hertz) for layer in plan.layers]
    shown = (
        Column("layer"),
        Column("keeps", show=lambda keeps: " ".join(map(str, keeps))),
        *(
            Column(key, key.replace("_", " "))
            for key in ("makes_min", "makes_max", "drops_first", "drops_last")
        ),
        Column("lag"),
        Column("lag_ms", "lag in ms"),
        Column("short", show=lambda samples: samples or None),
    )
    legend = [
        "keeps: the most samples to keep of each input. makes: samples of a chunk, once the "
        "stream is under way.",
        "drops: samples to cut from an upsampling layer's output. lag: look-ahead, the most input "
        "samples behind those that its last sample stands for.",
    ]
    facts = about(network.name, network.size, network.padding)
    facts |= picked(plan, "chunk kept lag late")
    facts |= {"rate": rate, "heads": [head.layer for head in plan.heads]}
    screen = [Heading(network.title), Lines(said), Table(shown, rows), Lines(legend)]
    return Report("stream", facts, [screen], rows_of(rows, StreamRow))


def _lasting(samples: float, hertz: float | None) -> str:
    if hertz is None:
        return ""
    return f" ({1000 * samples / hertz:,.1f} ms)"


def _row(layer: StreamedLayer, hertz: float | None) -> StreamRow:
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
        "lag_ms": None if hertz is None else round(1000 * layer.lag / hertz, 3),
        "short": layer.short,
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
    again, and how far it lags.

    MODEL has one axis, such as an audio decoder. The output lags behind the input by the
    look-ahead, which adds up from layer to layer. Without --chunk, a chunk has the
    samples of all strides together.

    --rate adds milliseconds: the samples per second of the input, or of the output where that has
    more. Strided layers that pad too much in front are named, with better padding, and so is what a
    chunk lacks that is run alone. padviz.streamed runs a PyTorch module exactly.

    \b
    Example:
      padviz stream examples.networks:codec_decoder --chunk 15 --rate 24000
    """,
    files=(),
)
