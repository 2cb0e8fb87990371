"""`padviz layers`: every spatial layer of a network."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli import options


@click.command(name="layers", short_help="Every spatial layer of a network, with its geometry and sizes.")
@options.model
@options.size
@options.padding
@options.upto
@options.format_of("table", "json", "csv")
def command(
    model: str, size: tuple[int, int] | None, padding: str | None, layers: tuple[str, ...], format_: str
) -> None:
    """List the layers of MODEL: name, kind, kernel, stride, dilation, padding, input and output size.

    \b
    Example:
      padviz layers resnet50 --size 224
    """
    from padviz.files import documents, tables
    from padviz.network.listing import layer_rows
    from padviz.network.network import as_size
    from padviz.network.rewrites import with_padding

    network = options.cut(options.load_as(model, size), layers)
    height, width = as_size(size or network.size)
    columns = ("layer", "kind", "kernel", "stride", "dilation", "padding", "input", "output")
    rows = layer_rows(with_padding(network, padding), (height, width))
    if format_ == "json":
        listed = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(
            documents.to_json({"schema_version": 1, "network": network.name, "size": [height, width], "layers": listed})
        )
        return
    flat = [[_text(cell) for cell in row] for row in rows]
    if format_ == "csv":
        click.echo(documents.to_csv(columns, flat))
    else:
        short = [column.replace("padding", "pads") for column in columns]
        click.echo(tables.to_table(short, flat, f"{network.title}, {height} x {width}"))


def _text(cell: Any) -> Any:
    """[h, w] as h x w, or one number where both are the same; padding as before+after."""
    if not isinstance(cell, list):
        return cell
    height, width = ("+".join(map(str, each)) if isinstance(each, list) else str(each) for each in cell)
    return height if height == width else f"{height} x {width}"
