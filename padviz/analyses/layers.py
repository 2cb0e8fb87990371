"""What a network is made of: every layer, its receptive field, and what it costs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, NotRequired, TypedDict

from padviz.analyses.asked import Layers, Pixels, Source, asked, names
from padviz.analyses.result import Result
from padviz.errors import SizeError
from padviz.geometry.costs import COUNTED, Costs, LayerCost
from padviz.geometry.costs import costs as counted_costs
from padviz.geometry.receptive_fields import (
    AxisField,
    ReceptiveField,
    around_units,
    grid_in_words,
    receptive_fields,
)
from padviz.network.layer import Layer
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Window, place
from padviz.network.sizes import layer_rows, sizes_of_each
from padviz.network.targets import target_names
from padviz.options import LAYERS, MODEL, PADDING, SAME, SIZE, Command
from padviz.phrases import listed as in_a_list
from padviz.reports.documents import plain
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import once, readable


class CostsResult(Result[LayerCost], Costs):
    """Multiply-adds: `.macs`, the sum, and `.layers`."""


def layers(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    layer: Annotated[Layers, LAYERS] = None,
) -> Result[Layer]:
    """List every layer: kernel, stride, dilation, padding, sizes, multiply-adds, receptive field
    and grid offset.

    Parameters
    ----------
    network, size, padding, same, layer
        As for `uneven`.

    Returns
    -------
    Result
        The layers of a network, in its order.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Examples
    --------
    >>> layers("vgg11", 64).to_rows()[0]["output"]
    [64, 64]
    """
    from padviz.figures.windows import field_boxes

    with asked(network, size, padding, same, layer) as (wanted, pixels):
        # raises here what would else be raised where the result is printed
        sizes_of_each(wanted, pixels)
        rows = wanted.layers[1:]
        draw = partial(field_boxes.fields_of, wanted, pixels)
        return Result.made_of(None, rows, partial(report_of, wanted, pixels), draw)


def costs(
    network: Source,
    size: Pixels = None,
    padding: str | None = None,
    same: bool = False,
    layer: Layers = None,
) -> CostsResult:
    """Count the multiply-adds of every convolution at a size.

    Parameters
    ----------
    network, size, padding, same, layer
        As for `uneven`.

    Returns
    -------
    CostsResult
        With `.macs`, the sum, and `.layers`; `.macs_unknown` names the first layer whose channels
        are not known.

    Raises
    ------
    PadvizError
        For a name or size that cannot be used.

    Notes
    -----
    Convolutions only, without linear layers, attention, gates and heads: half of what torch's
    FlopCounterMode counts.

    Examples
    --------
    >>> costs("resnet50", 224).macs, costs("resnet50", 225).macs
    (4087136256, 4624665792)
    >>> [cost.macs for cost in costs("resnet50", 224)][:2]
    [118013952, 0]
    """
    with asked(network, size, padding, same, layer) as (wanted, pixels):
        counted = counted_costs(wanted, pixels)
        return CostsResult.made_of(
            counted, counted.layers, partial(costs_report, wanted, pixels, counted)
        )


def fields(
    network: Source,
    size: Pixels = None,
    padding: str | None = None,
    same: bool = False,
    layer: Layers = None,
) -> Result[ReceptiveField]:
    """Compute the receptive field of every layer.

    Parameters
    ----------
    network, size, padding, same
        As for `uneven`.
    layer : str or iterable of str, optional
        Only these layers; all by default.

    Returns
    -------
    Result
        One for each layer, in network order; sizes in input pixels.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    `padviz layers` prints them. A size is the union over all branches: the extent of `usage` from a
    single inner unit.
    Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill
    2019.

    Examples
    --------
    >>> last = fields("vgg16", 224)[-1]
    >>> last.height.size, int(last.height.stride), last.height.padding
    (212, 32, 90)
    """
    from padviz.figures.windows import field_boxes

    with asked(network, size, padding, same, layer) as (wanted, pixels):
        only = {wanted.find(name).name for name in names(layer)}
        rows = tuple(
            row for row in receptive_fields(wanted, pixels) if not only or row.layer in only
        )
        draw = partial(field_boxes.fields_of, wanted, pixels)
        return Result.made_of(None, rows, partial(report_of, wanted, pixels, only), draw)


Row = dict[str, Any]


class LayerFacts(TypedDict):
    """The geometry of a layer, a figure for each axis; None for what its kind lacks.

    `pads` are rows before and after the image. `field` is the receptive field of a unit in input
    pixels. Of signals, `before` and `after` count the samples around those of a unit.
    """

    layer: str
    kind: str
    kernel: list[int] | None
    stride: list[int] | None
    dilation: list[int] | None
    pads: list[list[int]] | None
    input: list[int]
    output: list[int]
    macs: int | None
    field_size: list[int] | None
    field_stride: list[float | None] | None
    field_padding: list[int | None] | None
    field_centre: list[float | None] | None
    field_offset: list[float | None] | None
    field_whole: list[bool] | None
    before: NotRequired[int | None]
    after: NotRequired[int | None]
    parts_at: str | None


def _shape(row: Row) -> str | None:
    return row["kernel"] and "/".join(
        _figures(row[key]) for key in ("kernel", "stride", "dilation")
    )


def _field(row: Row) -> str | None:
    """Write the sizes of a receptive field, h x w, or once where they are alike."""
    sizes, whole = row["field_size"] or (), row["field_whole"] or ()
    pairs = zip(sizes, whole, strict=True)
    return once("whole input" if all_of_it else str(n) for n, all_of_it in pairs) or None


def _figures(figures: Iterable[float | Fraction | Sequence[int] | None]) -> str:
    """Write a figure of each axis, once where they are alike, padding as before+after; "" where
    none is known.

    >>> _figures([15.5, 15.5]), _figures([4, None]), _figures([None, None]), _figures([[0, 1]])
    ('15.5', '4 x ?', '', '0+1')
    """
    texts = []
    for figure in figures:
        if figure is None:
            texts.append("?")
        elif isinstance(figure, Sequence):
            texts.append("+".join(map(str, figure)))
        else:
            texts.append(f"{round(float(figure), 3):.10g}")
    if {*texts} == {"?"}:
        return ""
    return once(texts)


def _on_axes(key: str, heading: str = "", spare: int = 0) -> Column:
    return Column(key, heading, of=lambda row: _figures(row[key] or ()) or None, spare=spare)


MACS = Column("macs", show=lambda macs: macs or None)
PARTS = Column("parts_at", "branches part at", spare=4)
LISTED = (
    *columns("layer kind"),
    Column("shape", "k/s/d", of=_shape),
    _on_axes("pads"),
    _on_axes("input", spare=3),  # the output of an earlier layer
    _on_axes("output", spare=1),
    MACS._replace(spare=2),
    Column("field", of=_field, spare=-1),
    _on_axes("field_stride", "stride", spare=-1),
    _on_axes("field_offset", "offset", spare=1),
    PARTS,
)
LEGEND = (
    "field, stride: receptive field and effective stride of the layer's units; offset: mean centre "
    "of the units minus the centre of the input. All in input px, counted from 0."
)
LOOK_AHEAD = (
    "before, after: samples that a unit sees around those that it stands for; after is its "
    "look-ahead."
)


def report_of(network: Network, size: Size, only: Collection[str] = ()) -> Report:
    counted, signal = counted_costs(network, size), len(size) == 1
    try:
        fields: Sequence[ReceptiveField | None] = receptive_fields(network, size)
    except SizeError:  # a map whose units see no repeating pattern, and are too many to follow
        fields = [None] * len(counted.layers)
    if signal and None not in fields:
        around = around_units(network, size)[1:]
    else:
        around = [None] * len(fields)
    listed = []
    for row, cost, field, ends in zip(
        layer_rows(network, size), counted.layers, fields, around, strict=True
    ):
        if only and row.layer not in only:
            continue
        figures: Row = {**row._asdict(), "macs": cost.macs, "parts_at": field and field.parts_at}
        for part in dataclass_fields(AxisField):
            on_axes = field and [getattr(axis, part.name) for axis in field.axes.values()]
            figures[f"field_{part.name}"] = plain(on_axes)
        if signal:
            figures["before"], figures["after"] = ends or (None, None)
        listed.append(figures)
    more = columns("before after") if signal else ()
    answers = Lines(_answers(network, fields, only))
    lines = Lines([*_left_out(network, size, only), f"{_total(counted)}.", *[LOOK_AHEAD] * signal])
    heading = Heading(f"{network.title}, {in_words(size)}")
    screen = [heading, answers, Table((*LISTED, *more), listed, LEGEND), lines]
    facts = _facts(network, size, counted)
    return Report("layers", facts, [screen], rows_of(listed, LayerFacts))


def _answers(
    network: Network, fields: Sequence[ReceptiveField | None], names: Collection[str]
) -> list[str]:
    """Return sentences on the receptive fields of the layers that are asked for."""
    by_name = {field.layer: field for field in fields if field}
    answers = []
    for name in names or target_names(None, network):
        if name not in by_name:
            continue
        field = by_name[name]
        answers.append(f"Receptive field of {name}: {field_in_words(field)}.")
        if field.parts_at:
            merged = network.layers[network.index[field.parts_at]].inputs
            branches = [_branch(network.layers[i].name, by_name) for i in merged]
            answers.append(
                f"Branches with different centres meet at {field.parts_at}: {in_a_list(branches)}."
            )
        elif len(field.axes) > 1 and any(field.offsets):
            apart = [2 * abs(offset or 0) for offset in field.offsets]
            answers.append(
                f"Sampling-grid offset: {grid_in_words(field)}. The map of a mirrored image lies "
                f"{_figures(apart)} px off: padviz uneven names the layers, and sizes without that."
            )
    return answers


def field_in_words(field: ReceptiveField) -> str:
    """Format the size of a receptive field, its stride, and where the first unit lies.

    >>> field_in_words(fields("vgg16", 224)[-1])
    '212 x 212 px (height x width), stride 32, centre of the first unit at 15.5 px'
    """
    axes = field.axes.values()
    px, along = "px", f" ({' x '.join(field.axes)})"
    if len(axes) == 1:
        px, along = "samples", ""
    sizes = ["whole input" if axis.whole else f"{axis.size}" for axis in axes]
    words = [f"{' x '.join(sizes)} {px}{along}"]
    if strides := _figures(axis.stride for axis in axes):
        words.append(f"stride {strides}")
    if centres := _figures(axis.centre for axis in axes):
        words.append(f"centre of the first unit at {centres} {px}")
    return ", ".join(words)


def _branch(name: str, fields: Mapping[str, ReceptiveField]) -> str:
    """Write the stride and the offset of a branch, unless it is the input itself."""
    if name not in fields:
        return name
    strides = _figures(axis.stride for axis in fields[name].axes.values())
    return f"{name} (stride {strides}, offset {_figures(fields[name].offsets)})"


def _left_out(network: Network, size: Size, only: Collection[str]) -> list[str]:
    """Return sentences on windows that ceil_mode would add, and that PyTorch's rule leaves out."""
    axes_of: dict[tuple[str, int, int], list[str]] = {}
    for axis, counts in enumerate(sizes_of_each(network, size)):
        for layer in network.layers:
            op = layer.ops[axis]
            if not isinstance(op, Window) or not op.ceil or (only and layer.name not in only):
                continue
            n = counts[layer.inputs[0]]
            before, after, units = place(op, n)
            rounded = -(-(n + before + after - op.extent) // op.stride) + 1
            if rounded > units:
                axes_of.setdefault((layer.name, units, rounded), []).append(network.axes[axis])
    return [
        f"{name} has {units} units along the {in_a_list(axes)}, though ceil_mode rounds up to "
        f"{rounded}: a last window would start behind its input."
        for (name, units, rounded), axes in axes_of.items()
    ]


def _facts(network: Network, size: Size, counted: Costs) -> Row:
    figures = {"macs": counted.macs, "macs_unknown": counted.macs_unknown}
    return about(network.name, size, network.padding) | figures


def _total(costs: Costs) -> str:
    if costs.macs is None:
        return (
            f"Multiply-adds (macs): not known, since {costs.macs_unknown} does not say its channels"
        )
    return f"Multiply-adds (macs): {readable(costs.macs)}; {COUNTED}"


def costs_report(network: Network, size: Size, counted: Costs) -> Report:
    table = Table((Column("layer"), MACS), [cost for cost in counted.layers if cost.macs != 0])
    screen = [Heading(f"{network.title}, {in_words(size)}: {_total(counted)}"), table]
    facts = _facts(network, size, counted)
    return Report("costs", facts, [screen], Table(columns("layer macs"), counted.layers))


COMMAND = Command(
    layers,
    """List the layers of MODEL: kernel, stride, dilation, padding, sizes, multiply-adds, receptive
    field, effective stride, grid offset.

    The first lines answer for the layers that --layer names, or else for the outputs.

    Multiply-adds are those of convolutions; their sum stands below. Where a description does not
    say how many channels a convolution makes, they are not known.

    A receptive field is the union over branches. The grid offset is the mean centre of a layer's
    units minus the image's; where branches are centred differently there is none, and the first
    lines name them. CSV and JSON also have effective padding and the centre. -o FILE.png draws the
    fields of the centre and corner units.

    \b
    Example:
      padviz layers vgg11
      padviz layers resnet50 --size 224 --layer layer4.2.conv3
    """,
)
