"""`padviz explore`: a page to play with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.showing import checked_output, output_to
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given, model

if TYPE_CHECKING:
    from padviz.pages.explorer import Explorer

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
    """Write one page in which a person plays with MODEL: maps at several sizes and paddings, layer by layer, the audit.

    The first of --size is shown first; one alone is offered beside 64, 128, 224, 225 and 512. The page holds all that
    it shows and asks no server for anything, so it can be mailed, opened from disk, or put on a site.

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
    click.echo(tables.to_facts(_facts(page, path)))
    if open_:
        click.launch(str(path.resolve()))


def _facts(page: Explorer, path: Path) -> list[tuple[str, Any]]:
    return [
        ("network", page.title),
        ("maps", page.maps),
        ("size", f"{len(page.html) / 1e6:.1f} MB"),
        ("file", str(path)),
    ]
