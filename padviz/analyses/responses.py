"""What a trained network's convolutions make at the border."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, TypedDict

from padviz.analyses.asked import Pixels, TrainedSource, names, runners_of
from padviz.analyses.result import Result
from padviz.network.network import in_words
from padviz.network.padding_modes import RUNNING_ON
from padviz.options import (
    BLANK,
    IMAGES,
    MEAN,
    NO_SHUFFLED,
    PADDINGS,
    RUN_MODEL,
    SEED,
    SHOWN_LAYERS,
    SIZE,
    STD,
    WEIGHTS,
    Command,
    N,
)
from padviz.phrases import counted
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import named
from padviz.trained.border_responses import READING, BorderResponse, BorderResponses, Sides, respond
from padviz.trained.images import Inputs
from padviz.trained.networks.reading import as_trained


class ResponsesResult(Result[BorderResponse], BorderResponses):
    """Border responses: `.verdict`, a sentence, and `.rows`, for each padding and convolution."""


def responses(
    network: Annotated[TrainedSource, RUN_MODEL],
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | Sequence[str] | None, PADDINGS] = RUNNING_ON,
    images: Annotated[str | Path | None, IMAGES] = None,
    n: Annotated[int, N] = 16,
    *,
    blank: Annotated[bool, BLANK] = False,
    layer: Annotated[str | Sequence[str] | None, SHOWN_LAYERS] = None,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    seed: Annotated[int, SEED] = 0,
    mean: Annotated[Sequence[float] | None, MEAN] = None,
    std: Annotated[Sequence[float] | None, STD] = None,
    shuffled: Annotated[bool, NO_SHUFFLED] = True,
    on_progress: Progress | None = None,
) -> ResponsesResult:
    """Run a trained network, and measure how the responses of every convolution differ at the
    border.

    Parameters
    ----------
    network, size, weights
        As for `filters`.
    padding : str or sequence of str, optional
        Schemes to measure besides the network's own padding; by default those that keep the sizes
        of maps and the reach of windows.
    images : path, optional
        A folder of photographs like those of the training; by default noise, whose pixels are
        random, from 0 to 1.
    n : int
        The number of inputs.
    blank : bool
        Run on the mean pixel everywhere instead of noise.
    layer : str or sequence of str, optional
        Only these layers.
    seed : int
        Of the noise and the shuffling.
    mean, std : sequence of float, optional
        Normalisation of pixels from 0 to 1, as in training; ImageNet's by default.
    shuffled : bool
        Also measure the network with the weights of each convolution shuffled: the effect of
        geometry alone.
    on_progress : callable, optional
        Called with the number of inputs that were run, and of all.

    Returns
    -------
    ResponsesResult
        With `.verdict`, a sentence, `.rows`, for each padding and convolution, and `.plot()`; the
        padding of rows with shuffled weights is "shuffled".

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    E of a side is sqrt(max(0, mean over channels of D1 D2)) / S: D1 and D2 are the outermost line
    minus the interior,
    as means over two disjoint halves of the inputs, and S is the root mean square of the interior.
    One input, unless
    it is a blank, has no E.
    Source: Alsallakh et al., ICLR 2021: its line artifacts in feature maps.

    Examples
    --------
    >>> import torch
    >>> conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    >>> energy = responses(torch.nn.Sequential(conv), 32, n=4)
    >>> energy.rows[0].layer, energy.rows[0].shape, energy.mean(None) < 0.5
    ('0', (32, 32), True)
    """
    from padviz.figures.trained import responses as drawing

    trained = as_trained(network, size, weights)
    inputs = Inputs(images, n, seed, mean, std, blank)
    measured = respond(trained, *runners_of(trained, padding), inputs, shuffled, on_progress)
    if layer:
        measured = measured.only(names(layer))
    shown = (
        partial(report_of, measured),
        partial(drawing.panels, measured),
        partial(drawing.plot, measured),
    )
    return ResponsesResult.made_of(measured, measured.rows, *shown, notes=measured.notes)


class ResponseRow(TypedDict):
    """The border energy of a layer's output on each side, and the t of its border line.

    A padding of None is as trained, and that of shuffled weights "shuffled". `aware` is the share
    of channels with a border line of their own, `scale` the rms of the interior.
    """

    layer: str
    padding: str | None
    channels: int
    shape: list[int]
    energy: Sides
    t: Sides
    aware: float | None
    scale: float | None
    note: str | None


def report_of(responses: BorderResponses) -> Report:
    inputs = counted(responses.count, "input")
    title = Heading(
        f"{responses.title}, {in_words(responses.size)}, {inputs} ({responses.images}): E at the "
        "border"
    )
    rows = []
    for row in responses.rows:
        figures = picked(row, "layer padding channels shape aware")
        figures |= {"energy": row.energy, "t": row.t, "note": row.note or None}
        rows.append({**figures, "scale": None if row.note else row.scale})
    facts = about(responses.network, responses.size)
    facts |= picked(responses, "verdict images count notes")
    facts["means"] = [
        {"padding": padding, "energy": responses.mean(padding)} for padding in responses.paddings
    ]
    screen = [Lines([responses.verdict]), title, _table(responses), Lines([READING])]
    return Report("responses", facts, [screen], rows_of(rows, ResponseRow))


def _table(responses: BorderResponses) -> Table:
    """Return E, or what is wrong with a layer, by layer and padding, and the mean over layers."""
    rows: dict[str, dict[str, object]] = {}
    for row in responses.rows:
        about = {
            "layer": row.layer,
            "map": in_words((row.channels, *row.shape)),
            "aware": row.aware,
        }
        energy = row.note or ("-" if row.energy.mean is None else row.energy.mean)
        rows[row.layer] = {**about, **rows.get(row.layer, {}), named(row.padding): energy}
    mean = {
        "layer": "mean",
        **{named(padding): responses.mean(padding) for padding in responses.paddings},
    }
    headings = (
        Column("layer"),
        Column("map", spare=1),
        *map(Column, map(named, responses.paddings)),
        Column("aware", show="{:.0%}"),
    )
    return Table(headings, [*rows.values(), mean])


COMMAND = Command(
    responses,
    """Run MODEL, a trained network, and compare its feature maps at the border with their interior.

    E, the border energy, is the rms step from the interior to the outermost line, over the rms of
    the interior. At .5, the step is half of that. Compare E only within one network, with the same
    normalisation and kind of input. Below .02 it is noise at 16 inputs.

    E is measured as trained, with each scheme of --padding, and with the weights shuffled within
    each layer, which shows what geometry does alone. Circular padding leaves convolutions no
    border, so it shows the noise; padded pools keep theirs. Aware is the share of channels with a
    border line of their own.

    Wrong --mean and --std may double E. A warning names usual values that fit if the first batch
    norm was trained on other inputs; without a batch norm, it says if a convolution hardly reacts.

    \b
    Example:
      padviz responses model.onnx -o responses.png
      padviz responses model.onnx --padding circular --blank --format json
    """,
    counting="images",
)
