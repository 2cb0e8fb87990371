"""`padviz layers`: every spatial layer of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options

if TYPE_CHECKING:
    from padviz.geometry.costs import Costs


@click.command(name="layers", short_help="Every spatial layer of a network, with its geometry and sizes.")
@options.model
@options.size
@options.padding
@options.upto
@options.format_of("table", "json", "csv")
def command(
    model: str, size: tuple[int, int] | None, padding: str | None, layers: tuple[str, ...], format_: str
) -> None:
    """List the layers of MODEL: name, kind, kernel, stride, dilation, padding, input and output size, multiply-adds.

    Multiply-adds are those of convolutions; their sum stands below. Where a description does not say how many
    channels a convolution makes, they are not known.

    \b
    Example:
      padviz layers resnet50 --size 224
    """
    from padviz.geometry.costs import costs
    from padviz.network.listing import layer_rows
    from padviz.network.network import as_size
    from padviz.network.rewrites import with_padding
    from padviz.reports import documents, tables

    network = options.cut(options.load_as(model, size), layers)
    height, width = as_size(size or network.size)
    columns = ("layer", "kind", "kernel", "stride", "dilation", "padding", "input", "output", "macs")
    padded = with_padding(network, padding)
    found = costs(padded, (height, width))
    rows = [(*row, cost.macs) for row, cost in zip(layer_rows(padded, (height, width)), found.layers, strict=True)]
    if format_ == "json":
        listed = [dict(zip(columns, row, strict=True)) for row in rows]
        head = {"schema_version": 1, "network": network.name, "size": [height, width]}
        click.echo(documents.to_json({**head, "macs": found.macs, "macs_unknown": found.unknown, "layers": listed}))
        return
    flat = [[_text(cell) for cell in row] for row in rows]
    if format_ == "csv":
        click.echo(documents.to_csv(columns, flat))
    else:
        short = ("layer", "kind", "k/s/d", "pads", "input", "output", "macs")
        click.echo(tables.to_table(short, map(_shortened, flat), f"{network.title}, {height} x {width}"))
        click.echo("\n" + tables.wrapped(_total(found)))


def _shortened(row: list[Any]) -> list[Any]:
    """A row for people: kernel, stride and dilation in one cell, as `uneven` has them, and no multiply-adds of 0."""
    name, kind, kernel, stride, dilation, *rest, macs = row
    return [name, kind, kernel and f"{kernel}/{stride}/{dilation}", *rest, macs or None]


def _total(found: Costs) -> str:
    from padviz.geometry.costs import COUNTED
    from padviz.reports.tables import readable

    if found.macs is None:
        return f"Multiply-adds (macs): not known, since {found.unknown} does not say its channels."
    return f"Multiply-adds (macs): {readable(found.macs)}; {COUNTED}."


def _text(cell: Any) -> Any:
    """[h, w] as h x w, or one number where both are the same; padding as before+after."""
    if not isinstance(cell, list):
        return cell
    height, width = ("+".join(map(str, each)) if isinstance(each, list) else str(each) for each in cell)
    return height if height == width else f"{height} x {width}"
