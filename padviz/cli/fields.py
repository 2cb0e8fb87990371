"""`padviz fields`: receptive fields."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options

if TYPE_CHECKING:
    from padviz.geometry.receptive_fields import AxisField, ReceptiveField
    from padviz.network.network import Network, Size


@click.command(
    name="fields", short_help="Receptive field size, stride, padding, centre and grid offset of every layer."
)
@options.model
@options.size
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only this layer; may be given several times.")
@options.format_of("table", "json", "csv")
@options.output("Draw the fields of the centre and corner units (.png .svg .pdf).")
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    layers: tuple[str, ...],
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Work out the receptive field of every layer of MODEL: size, effective stride, effective padding, centre.

    Sizes are the union over branches. Where branches are not centred alike, padding, centre and offset are left empty
    and the layer where they part is named. The grid offset is the mean centre of a layer's units minus the image's. In
    a controlled experiment the filters of strided convolutions were skewed where it is not 0, to the other side.

    \b
    Example:
      padviz fields vgg16 --size 224
    """
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.geometry.receptive_fields import fields_of_units, receptive_fields

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    network = options.load_as(model, size)
    pixels = size or network.size
    wanted = options.known_layers(network, layers)
    followed = options.cut(network, layers)
    rows = [row for row in receptive_fields(followed, pixels) if row.layer in wanted]
    if output is not None:
        from padviz.figures.canvas import save
        from padviz.figures.windows import field_boxes

        shown = {name: fields_of_units(followed, pixels, name) for name in layers or network.targets}
        save(field_boxes.fields(shown, pixels, network.title), output)
    click.echo(_text(rows, network, pixels, format_, output))


def _text(rows: list[ReceptiveField], network: Network, size: Size, format_: str, output: Path | None) -> str:
    from padviz.reports import documents, tables

    if format_ == "json":
        head = {"schema_version": 1, "network": network.name, "size": list(size)}
        files = [str(output)] if output else []
        return documents.to_json({**head, "layers": [_layer(row) for row in rows], "files": files})
    columns = ("layer", "kind", "size", "stride", "padding", "centre", "offset", "branches part at")
    cells = [_row(row) for row in rows]
    if format_ == "csv":
        return documents.to_csv(columns, cells)
    return tables.to_table(columns, cells, f"{network.title}, {size[0]} x {size[1]}, in input pixels")


def _layer(row: ReceptiveField) -> dict[str, Any]:
    axes = {"height": _axis(row.height), "width": _axis(row.width)}
    return {"layer": row.layer, "kind": row.kind, **axes, "parts_at": row.parts_at}


def _row(row: ReceptiveField) -> tuple[Any, ...]:
    pairs = [
        (
            "whole input" if axis.whole else str(axis.size),
            *map(_figure, (axis.stride, axis.padding, axis.centre, axis.offset)),
        )
        for axis in (row.height, row.width)
    ]
    figures = [tall if tall == wide else f"{tall} x {wide}" for tall, wide in zip(*pairs, strict=True)]
    return row.layer, row.kind, *figures, row.parts_at


def _figure(value: Fraction | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) or value.denominator == 1 else f"{float(value):g}"


def _axis(axis: AxisField) -> dict[str, Any]:
    exact = (axis.stride, axis.centre, axis.offset)
    stride, centre, offset = (None if value is None else float(value) for value in exact)
    figures = {"size": axis.size, "stride": stride, "padding": axis.padding, "centre": centre, "offset": offset}
    return {**figures, "whole": axis.whole}
