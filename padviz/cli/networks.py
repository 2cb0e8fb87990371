"""`padviz networks`: the zoo."""

from __future__ import annotations

import click

from padviz.cli import options


@click.command(name="networks", short_help="The networks that padviz knows by name.")
@options.format_of("table", "json", "csv")
def command(format_: str) -> None:
    """List the zoo: names to use as MODEL, default sizes, and where each description comes from.

    \b
    Example:
      padviz networks
    """
    from padviz.reports import documents, tables
    from padviz.sources.toml.load import load_config, zoo

    columns = ("name", "title", "size", "layers", "source")
    rows = []
    for net in map(load_config, zoo()):
        height, width = net.size
        rows.append((net.name, net.title, f"{height}x{width}", len(net.layers) - 1, net.source))
    if format_ == "table":
        click.echo(tables.to_table(columns, rows))
    elif format_ == "csv":
        click.echo(documents.to_csv(columns, rows))
    else:
        click.echo(
            documents.to_json({"schema_version": 1, "networks": [dict(zip(columns, r, strict=True)) for r in rows]})
        )
