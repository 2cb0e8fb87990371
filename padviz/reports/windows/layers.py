"""The reports of `layers`, `networks` and `diff`, which list what a network is made of."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any

from padviz.errors import SizeError
from padviz.geometry.costs import COUNTED, Costs
from padviz.geometry.costs import costs as counted_costs
from padviz.geometry.differences import Difference
from padviz.geometry.receptive_fields import ReceptiveField, around_units, receptive_fields
from padviz.network.listing import layer_rows
from padviz.network.network import Network, Size
from padviz.reports.documents import plain
from padviz.reports.report import Column, Finding, Heading, Level, Lines, Report, Table, columns
from padviz.reports.tables import by, once, readable

Row = dict[str, Any]


def _both(row: Row, key: str) -> str | None:
    """Write a figure of both axes as h x w, or once where they are alike; padding as before+after."""
    texts = ("+".join(map(str, value)) if isinstance(value, list) else str(value) for value in row[key] or ())
    return once(texts) or None


def _pair(key: str, heading: str = "") -> Column:
    return Column(key, heading, of=lambda row: _both(row, key))


def _shape(row: Row) -> str | None:
    return row["kernel"] and "/".join(str(_both(row, key)) for key in ("kernel", "stride", "dilation"))


def _field(key: str, heading: str = "", spare: int = 0) -> Column:
    """Make the column of a figure of receptive fields, h x w, or once where they are alike."""

    def of(row: Row) -> str | None:
        field: ReceptiveField | None = row["receptive"]
        if field is None:
            return None
        wholes = [key == "size" and axis.whole for axis in field.axes.values()]
        values = [getattr(axis, key) for axis in field.axes.values()]
        return once("whole input" if whole else _number(value) for whole, value in zip(wholes, values, strict=True))

    return Column(f"field_{key}", heading, of=of, spare=spare)


def _number(value: Fraction | int | None) -> str:
    return "" if value is None else f"{float(value):g}" if isinstance(value, Fraction) else str(value)


HEAD, MACS = columns("layer kind"), Column("macs", show=lambda macs: macs or None)
GEOMETRY = (*HEAD, *map(_pair, ("kernel", "stride", "dilation", "padding", "input", "output")), MACS)
PARTS = Column("parts_at", "branches part at", spare=3)
SHEET = (*GEOMETRY, *map(_field, ("size", "stride", "padding", "centre", "offset")), PARTS)
LISTED = (*HEAD, Column("shape", "k/s/d", of=_shape), _pair("padding", "pads"), _pair("input"), _pair("output"), MACS)
LISTED += (_field("size", "field", spare=1), _field("offset", "offset", spare=2), PARTS)
AROUND = columns("before after")
LOOK_AHEAD = "before, after: samples that a unit sees around those that it stands for; after is its look-ahead."


def layers(network: Network, size: Size, files: Sequence[str] = (), only: Collection[str] = ()) -> Report:
    """Report the layers of a network, or `only` some: geometry, multiply-adds, receptive field and grid offset."""
    counted, signal = counted_costs(network, size), len(size) == 1
    try:
        fields: Sequence[ReceptiveField | None] = receptive_fields(network, size)
    except SizeError:  # a map whose units see no repeating pattern, and are too many to follow
        fields = [None] * len(counted.layers)
    around = around_units(network, 0, size)[1:] if signal and None not in fields else [None] * len(fields)
    listed: list[Row] = []
    facts: list[Row] = []
    keys = [column.key for column in GEOMETRY]
    for row, cost, field, ends in zip(layer_rows(network, size), counted.layers, fields, around, strict=True):
        if only and row[0] not in only:
            continue
        figures: Row = dict(zip(keys, (*row, cost.macs), strict=True))
        before, after = ends or (None, None)
        sides: Row = {"before": before, "after": after} if signal else {}
        listed.append({**figures, **sides, "receptive": field, "parts_at": field and field.parts_at})
        axes = field and {axis: {**plain(own), **sides} for axis, own in field.axes.items()}
        facts.append({**figures, "field": axes, "parts_at": field and field.parts_at})
    more = AROUND if signal else ()
    about = Lines((f"{_total(counted)}.", *([LOOK_AHEAD] if signal else ())))
    screen = [Heading(f"{network.title}, {by(size)}"), Table((*LISTED, *more), listed), about]
    whole = {"network": network.name, "size": [*size], "macs": counted.macs, "macs_unknown": counted.unknown}
    return Report("layers", {**whole, "layers": facts}, [screen], Table((*SHEET, *more), listed), files=files)


def _total(costs: Costs) -> str:
    """Say the sum of the multiply-adds, or whose channels are not known."""
    if costs.macs is None:
        return f"Multiply-adds (macs): not known, since {costs.unknown} does not say its channels"
    return f"Multiply-adds (macs): {readable(costs.macs)}; {COUNTED}"


def costs(network: Network, size: Size, counted: Costs) -> Report:
    """Report what the layers of a network cost."""
    facts = {"network": network.name, "size": [*size], "macs": counted.macs, "macs_unknown": counted.unknown}
    table = Table((Column("layer"), MACS), [cost for cost in counted.layers if cost.macs != 0])
    screen = [Heading(f"{network.title}, {by(size)}: {_total(counted)}"), table]
    return Report(
        "costs", {**facts, "layers": plain(counted.layers)}, [screen], Table(columns("layer macs"), counted.layers)
    )


def networks(nets: Sequence[Network]) -> Report:
    """Report the networks of the zoo."""
    zoo = Table(
        (
            *columns("name title"),
            Column("size", of=lambda net: "x".join(map(str, net.size)), show=_side),
            Column("layers", of=lambda net: len(net.layers) - 1),
            Column("source", show=_origin),
        ),
        nets,
    )
    screen = Table([column for column in zoo.columns if column.key != "layers"], nets)
    return Report("networks", {"networks": zoo.records}, [[screen]], zoo, [[zoo]])


def _origin(source: str) -> str:
    """Leave of a source what fits a screen.

    >>> _origin("torchvision.models.vgg19"), _origin("Howard et al. 2017, arXiv 1704.04861")
    ('torchvision', 'Howard et al. 2017')
    """
    return "torchvision" if source.startswith("torchvision.") else re.split("[,;]| of ", source)[0]


def _side(size: str) -> str:
    """Write a square size as one number.

    >>> _side("224x224"), _side("240x320")
    ('224', '240x320')
    """
    height, width = size.split("x")
    return height if height == width else size


DIFFERENCES = (
    Column("layer_a", "layer", of=lambda row: row.a),
    Column("layer_b", "layer of B", of=lambda row: row.b),
    *columns("axis what"),
    Column("a", "A", of=lambda row: row.in_a),
    Column("b", "B", of=lambda row: row.in_b),
)


def diff(first: Network, second: Network, size: Size, same: bool, rows: Sequence[Difference], check: bool) -> Report:
    """Report where two networks part; with `check`, any difference fails."""
    table = Table(DIFFERENCES, rows)
    facts = {"networks": [first.name, second.name], "same": same, "size": [*size], "differences": table.records}
    names = f"{first.title} and {second.title}{' under SAME' if same else ''}, {by(size)}"
    heading = Heading(names if rows else f"{names}: no difference in size or padding")
    level: Level = "error" if check else "warning"
    findings = [
        Finding(level, names, f"{row.a or row.b}: {row.what}, {row.axis}: {row.in_a} and {row.in_b}") for row in rows
    ]
    return Report("diff", facts, [[heading, table]], findings=findings, code=int(check and bool(rows)))
