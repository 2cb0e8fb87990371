"""`padviz explore`: an interactive page."""

from __future__ import annotations

from pathlib import Path

import click

from padviz.cli import options
from padviz.cli.showing import checked_output, default_path, output_to
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given, model

SUFFIXES = (".html", ".htm")


@click.command(name="explore", cls=Command)
@model
@given("sizes paddings same layer heads overwrite open")
@output_to(SUFFIXES)
def command(
    model: str,
    sizes: tuple[Pixels, ...],
    paddings: tuple[str | None, ...],
    same: bool,
    layer: str | None,
    heads: str | None,
    output: Path | None,
    overwrite: bool,
    open_: bool,
) -> None:
    """Write an interactive page on MODEL: maps at several sizes and paddings, layer by layer, and the audit.

    The page opens at the first of --size; a single one is joined by 64, 128, 224, 225 and 512. It is self-contained:
    mail it, open it from disk, or put it on a site.

    \b
    Example:
      padviz explore resnet50
      padviz explore vgg19 --size 224,256,320x480 --padding zero,symmetric --open
    """
    from padviz.network.rewrites import check_image, with_same
    from padviz.pages.explorer import explorer
    from padviz.reports import tables

    if output is not None:
        checked_output(output, SUFFIXES, overwrite)
    network = options.loaded(model, *sizes[:1])
    network = with_same(network) if same else network
    check_image(network)
    start = sizes[0] if sizes else network.size
    options.say_heads(network, layer, heads)
    page = explorer(network, start, sizes if len(sizes) > 1 else None, paddings or None, layer, heads)
    path = output or default_path("explore", [network.name], sizes or [start], ".html")
    page.save(path)
    megabytes = f"{len(page.html) / 1e6:.1f} MB"
    facts = [("network", page.title), ("maps", page.maps), ("size", megabytes), ("file", str(path))]
    click.echo(tables.to_facts(facts))
    if open_:
        click.launch(str(path.resolve()))
