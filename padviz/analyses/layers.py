"""What a network is made of: every layer, its receptive field, and what it costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import partial
from typing import Annotated, Any

from padviz.analyses.asked import Layers, Pixels, Source, asked, names
from padviz.analyses.result import Result
from padviz.errors import SizeError
from padviz.geometry.costs import COUNTED, Costs, LayerCost
from padviz.geometry.costs import costs as counted_costs
from padviz.geometry.receptive_fields import (
    AxisField,
    ReceptiveField,
    around_units,
    receptive_fields,
)
from padviz.network.layer import Layer
from padviz.network.network import Network, Size, in_words
from padviz.network.sizes import layer_rows, sizes_of_each
from padviz.options import LAYERS, MODEL, PADDING, SAME, SIZE, Command
from padviz.reports.documents import plain
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
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
    '64'
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
        With `.macs`, the sum, and `.layers`; `.unknown` names the first layer whose channels are
        not known.

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


def _on_axes(row: Row, key: str) -> str | None:
    """Write a figure of each axis as h x w, or once where they are alike; padding as
    before+after.
    """
    texts = (
        "+".join(map(str, value)) if isinstance(value, list) else str(value)
        for value in row[key] or ()
    )
    return once(texts) or None


def _pair(key: str, heading: str = "") -> Column:
    return Column(key, heading, of=lambda row: _on_axes(row, key))


def _shape(row: Row) -> str | None:
    return row["kernel"] and "/".join(
        str(_on_axes(row, key)) for key in ("kernel", "stride", "dilation")
    )


def _field(key: str, heading: str = "") -> Column:
    """Return the column of a figure of receptive fields, h x w, or once where they are alike."""

    def number(axis: AxisField) -> str:
        if key == "size" and axis.whole:
            return "whole input"
        value: Fraction | int | None = getattr(axis, key)
        if value is None:
            return ""
        if isinstance(value, Fraction):
            return f"{float(value):g}"
        return str(value)

    def of(row: Row) -> str | None:
        return row["receptive"] and once(map(number, row["receptive"].axes.values()))

    return Column(f"field_{key}", heading, of=of)


HEAD, MACS = columns("layer kind"), Column("macs", show=lambda macs: macs or None)
GEOMETRY = (
    *HEAD,
    *map(_pair, ("kernel", "stride", "dilation", "padding", "input", "output")),
    MACS,
)
PARTS = Column("parts_at", "branches part at", spare=4)
SHEET = (*GEOMETRY, *map(_field, ("size", "stride", "padding", "centre", "offset")), PARTS)
LISTED = (
    *HEAD,
    Column("shape", "k/s/d", of=_shape),
    _pair("padding", "pads"),
    _pair("input")._replace(spare=3),  # the output of an earlier layer
    _pair("output")._replace(spare=1),
    MACS._replace(spare=2),
    _field("size", "field"),
    _field("offset", "offset")._replace(spare=1),
    PARTS,
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
    listed, facts = [], []
    keys = [column.key for column in GEOMETRY]
    for row, cost, field, ends in zip(
        layer_rows(network, size), counted.layers, fields, around, strict=True
    ):
        if only and row[0] not in only:
            continue
        figures: Row = dict(zip(keys, (*row, cost.macs), strict=True))
        before, after = ends or (None, None)
        if signal:
            sides: Row = {"before": before, "after": after}
        else:
            sides = {}
        listed.append(
            {**figures, **sides, "receptive": field, "parts_at": field and field.parts_at}
        )
        axes = field and {axis: {**plain(of_axis), **sides} for axis, of_axis in field.axes.items()}
        facts.append({**figures, "field": axes, "parts_at": field and field.parts_at})
    more = columns("before after") if signal else ()
    about = Lines([f"{_total(counted)}.", *[LOOK_AHEAD] * signal])
    screen = [Heading(f"{network.title}, {in_words(size)}"), Table((*LISTED, *more), listed), about]
    return Report(
        "layers", _facts(network, size, counted, facts), [screen], Table((*SHEET, *more), listed)
    )


def _facts(network: Network, size: Size, counted: Costs, layers: object) -> Row:
    about = {
        "network": network.name,
        "size": [*size],
        "macs": counted.macs,
        "macs_unknown": counted.unknown,
    }
    return {**about, "layers": layers}


def _total(costs: Costs) -> str:
    if costs.macs is None:
        return f"Multiply-adds (macs): not known, since {costs.unknown} does not say its channels"
    return f"Multiply-adds (macs): {readable(costs.macs)}; {COUNTED}"


def costs_report(network: Network, size: Size, counted: Costs) -> Report:
    table = Table((Column("layer"), MACS), [cost for cost in counted.layers if cost.macs != 0])
    screen = [Heading(f"{network.title}, {in_words(size)}: {_total(counted)}"), table]
    facts = _facts(network, size, counted, plain(counted.layers))
    return Report("costs", facts, [screen], Table(columns("layer macs"), counted.layers))


COMMAND = Command(
    layers,
    """List the layers of MODEL: kernel, stride, dilation, padding, sizes, multiply-adds, receptive
field, grid offset.

    Multiply-adds are those of convolutions; their sum stands below. Where a description does not
    say how many channels a convolution makes, they are not known.

    A receptive field is the union over branches. The grid offset is the mean centre of a layer's
    units minus the image's; it is empty where branches are centred differently, and the layer where
    they meet is named. CSV and JSON also have effective stride and padding, and the centre. -o
    FILE.png draws the fields of the centre and corner units.

    \b
    Example:
      padviz layers vgg11
      padviz layers resnet50 --size 224
    """,
)
