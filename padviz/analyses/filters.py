"""The mean filters of a trained network, and their skew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Annotated, TypedDict

from padviz.analyses.asked import Pixels, TrainedSource, names
from padviz.analyses.result import Result
from padviz.errors import DescriptionError
from padviz.network.network import in_words
from padviz.options import SHOWN_LAYERS, SIZE, TRAINED_MODEL, WEIGHTS, Command
from padviz.phrases import counted, some_names
from padviz.reports.documents import picked, plain
from padviz.reports.report import Column, Getter, Heading, Lines, Report, Table
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import once
from padviz.trained.mean_filters import MeanFilter, MeanFilters, filters_of
from padviz.trained.networks.reading import as_trained


class FiltersResult(Result[MeanFilter], MeanFilters):
    """Mean filters: `.rows`, one for each convolution of several taps."""


def filters(
    network: Annotated[TrainedSource, TRAINED_MODEL],
    size: Annotated[Pixels, SIZE] = None,
    layer: Annotated[str | Sequence[str], SHOWN_LAYERS] = (),
    *,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
) -> FiltersResult:
    """Average the filters of every convolution of a trained network, and measure how they are
    skewed.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was
        read of it.
    size : int or (height, width), optional
        Input size in pixels, which grid offsets and padding depend on; the network's own by
        default.
    layer : str or sequence of str
        Only these layers.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.

    Returns
    -------
    FiltersResult
        With a `MeanFilter` for each convolution of several taps in `.rows`; arrays of shape (kernel
        height, width).

    Raises
    ------
    PadvizError
        For what cannot be read, has no such weights, or weights that do not fit.

    Notes
    -----
    D, the skew, is the same whether a batch normalisation is folded into the weights or not: each
    channel is measured
    by itself. In networks trained to test it, its sign went with the sampling-grid offset, larger
    weights away from the
    centre; in one pretrained network, "always positive" explains more.
    Source: Alsallakh et al., ICLR 2021: mean filters; the measure D is ours.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> with torch.no_grad():
    ...     module.weight[:] = torch.tensor([[1.0, 1, 1], [1, 1, 1], [2, 2, 2]])
    >>> (row,) = filters(module, 32).rows
    >>> row.height.skew, row.width.skew, row.height.offset, row.height.used
    (0.25, 0.0, -0.5, (1, 0))
    """
    from padviz.figures.trained import mean_filters as drawing

    trained = as_trained(network, size, weights)
    mean_filters = filters_of(trained, names(layer))
    first, *others = mean_filters.rows
    if all(row.why for row in mean_filters.rows):
        what = f"nothing can be measured: {first.layer}: its {first.why}"
        if others:
            what += f", and {len(others)} more like it"
        raise DescriptionError(
            what, where=trained.where, hint="use the weights of a network that was trained"
        )
    report, draw = partial(report_of, mean_filters), partial(drawing.filters, mean_filters)
    return FiltersResult.made_of(mean_filters, mean_filters.rows, report, draw, notes=trained.notes)


STRIDED = "* stride above 1."
LEGEND = (
    "height, width: D, the skew; above 0, the bottom or right half has larger weights. p: by sign "
    "flips. a: antisymmetric part of the mean filter. offset: of the sampling grid from the "
    "image's centre, in input pixels. used: padding read before and after."
)
ONE_SIDE = "no test: all offsets have the same sign"
GRID = {-1: "before the centre", 0: "centred", 1: "after the centre", None: "undefined"}
PADDING = {-1: "more after", 0: "balanced", 1: "more before"}


def _both(values: Iterable[float | tuple[int, int] | None]) -> str:
    """Write the offsets, or pads, of both axes, as far as they have them.

    >>> _both([0.5, 0.5]), _both([0.0, -1.5]), _both([(3, 2), (3, 2)])
    ('+0.5', '0 x -1.5', '3+2')
    """
    signed = []
    for value in values:
        if value is None:
            signed.append("?")
        elif not isinstance(value, float):
            signed.append("+".join(map(str, value)))
        else:
            signed.append(f"{value:+g}" if value else "0")
    return once(signed).replace("?", "")


def _asymmetry(row: MeanFilter) -> float | None:
    return max((axis.asymmetry for axis in row.axes), default=None)


def _skew(axis: str) -> tuple[Column, Column]:
    def figure(key: str) -> Getter:
        return lambda row: getattr(getattr(row, axis), key, None)

    return Column(f"skew_{axis}", axis, "{:+z.3f}", figure("skew")), Column(
        f"p_{axis}", "p", "{:.3f}", figure("p")
    )


SCREEN = (
    Column("layer", of=lambda row: f"{row.layer}{'*' * row.strided}"),
    Column(
        "shape",
        "k/s",
        of=lambda row: "/".join(once(map(str, n), "x") for n in (row.kernel, row.strides)),
        spare=2,
    ),
    Column("channels", "out", spare=3),
    *_skew("height"),
    *_skew("width"),
    Column("asymmetry", "a", lambda value: value and f"{value:.2f}", _asymmetry, spare=1),
    Column("offset", of=lambda row: _both(axis.offset for axis in row.axes)),
    Column("used", of=lambda row: _both(axis.used for axis in row.axes)),
)
GROUPS = (
    Column("strided", "convolutions", lambda strided: "strided" if strided else "stride 1"),
    Column("grid", of=lambda group: GRID[group.grid]),
    Column("reads", of=lambda group: PADDING[group.reads]),
    Column("axes"),
    Column("skew", "mean D", "{:+z.3f}"),
    Column("positive", "D above 0", of=lambda group: f"{group.positive} of {group.axes}"),
)


class FilterRow(TypedDict):
    """How skewed the filters of a layer are on an axis.

    `skew` is D, `z` that over its standard error, and `p` how often sign flips make as much of it;
    `asymmetry` and `asymmetry_p` are the same of the mean filter. `offset` is the grid offset in
    px, `used` the padded rows read before and after.
    """

    layer: str
    kind: str
    kernel: list[int]
    channels: int
    dead: int
    norm: bool
    uses: int
    axis: str
    stride: int
    skew: float
    z: float | None
    p: float
    asymmetry: float
    asymmetry_p: float
    offset: float | None
    used_before: int | None
    used_after: int | None


def report_of(mean_filters: MeanFilters) -> Report:
    rows = mean_filters.rows
    strided = [STRIDED] * any(row.strided for row in rows)
    notes = Lines([*strided, LEGEND, *_notes(mean_filters)])
    heading = Heading(f"{mean_filters.title}, {in_words(mean_filters.size)}: mean filters")
    groups, summary = Table(GROUPS, mean_filters.groups), Lines(_summary(mean_filters))
    table = Table(
        SCREEN, rows, marked=lambda row: any(len({*(axis.used or ())}) > 1 for axis in row.axes)
    )
    screen = [heading, table, notes, groups, summary]
    axes: list[dict[str, object]] = []
    for row in rows:
        for name, axis in (("height", row.height), ("width", row.width)):
            if axis is not None:
                before, after = axis.used or (None, None)
                figures = picked(row, "layer kind kernel channels dead norm uses") | plain(axis)
                axes.append({**figures, "axis": name, "used_before": before, "used_after": after})
    facts = about(mean_filters.network, mean_filters.size)
    keys = "layer strided why mean magnitude exposure"
    facts["filters"] = [picked(row, keys) for row in rows]
    facts |= picked(mean_filters, "unread groups went_with")
    facts["off_centre"] = len(mean_filters.off_centre)
    return Report("filters", facts, [screen], rows_of(axes, FilterRow))


def _summary(mean_filters: MeanFilters) -> list[str]:
    sentences = []
    for name, axes in (("Strided", mean_filters.strided), ("Stride 1", mean_filters.others)):
        if axes:
            mean = sum(axis.skew for axis in axes) / len(axes)
            positive = sum(axis.skew > 0 for axis in axes)
            sentences.append(f"{name}: D {mean:+z.3f}, above 0 on {positive} of {len(axes)} axes.")
    if mean_filters.off_centre:
        right = mean_filters.went_with
        sentences.append(
            f"Off-centre grids: {ONE_SIDE if right is None else _went_with(mean_filters, right)}."
        )
    return sentences


def _went_with(mean_filters: MeanFilters, right: int) -> str:
    """Set how often D went with the offset beside how often it has one sign, and ask the axes where
    offsets turn.
    """
    axes = mean_filters.off_centre
    positive, negative = (sum(sign * axis.skew > 0 for axis in axes) for sign in (1, -1))
    sign, same = max(("positive", positive), ("negative", negative), key=itemgetter(1))
    more = "as much"
    if same != right:
        more = "more" if same > right else "less"
    before = [axis for axis in axes if (axis.offset or 0) < 0]
    turned = min((before, [axis for axis in axes if axis not in before]), key=len)
    wrong = sum(axis.skew * (axis.offset or 0) >= 0 for axis in turned)
    return (
        f"D's sign agreed with the offset (larger weights away from it) on {right} of {len(axes)} "
        f"axes; it is {sign} on {same} of them, so 'always {sign}' explains {more}; where the "
        f"offset changes sign, it is wrong on {wrong} of {len(turned)}"
    )


def _notes(mean_filters: MeanFilters) -> list[str]:
    rows = mean_filters.rows
    normed = sum(row.norm for row in rows)
    if not normed:
        sentences = ["No batch normalisation found (folded or absent); D does not depend on it."]
    else:
        norms = "Batch normalisation"
        if normed < len(rows):
            norms += f" of {normed} of the {len(rows)} convolutions"
        sentences = [f"{norms} is not folded into the weights; D does not depend on it."]
    dead, shared = [], []
    broken: dict[str, list[str]] = {}
    for row in rows:
        if row.dead:
            dead.append(row.layer)
        if row.why:
            broken.setdefault(row.why, []).append(row.layer)
        if row.uses > 1:
            shared.append(row.layer)
    if dead:
        channels = counted(sum(row.dead for row in rows), "channel")
        below = "with weights below 1e-4 of the median channel's"
        sentences.append(f"Left out: {channels} {below}, of {some_names(dead)}.")
    for why, layers in broken.items():
        sentences.append(f"Nothing can be measured of {some_names(layers)}: {why}.")
    if shared:
        sentences.append(f"Used by several layers, and counted once: {some_names(shared)}.")
    if mean_filters.unread:
        (name, why), *others = mean_filters.unread.items()
        unread = f"Not read: {name}, {why}"
        if others:
            unread += f", and {len(others)} more"
        sentences.append(f"{unread}.")
    return sentences


COMMAND = Command(
    filters,
    """Average the filters of every convolution of MODEL, a trained network, and measure how they
    are skewed.

    MODEL is an ONNX or .keras file, or a PyTorch module as package.module:NAME, trained or with
    --weights. The skew of a filter is the absolute weights of its second half minus those of its
    first, over the sum of all. D is the mean skew of the output channels.

    In networks trained for the test, the sign of D depended on the sampling-grid offset, the centre
    of the feature map relative to the image's centre. In one pretrained network the sign was as
    predicted on 28 of 34 axes. But D was positive on all 34, so "always positive" fits better;
    where the offset had the other sign, it was wrong on 6 of 6.

    \b
    Example:
      padviz filters model.onnx -o filters.png
      padviz filters model.onnx --format json
    """,
)
