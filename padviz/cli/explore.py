"""`padviz explore`: a page to play with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.axis.padding_modes import EXPLORED
from padviz.cli import options
from padviz.cli.showing import OVERWRITE, checked_output, output_to
from padviz.cli.value_types import Pixels, SizeType
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.pages.explorer import Explorer

SUFFIXES = (".html", ".htm")


@click.command(name="explore", short_help="A page to play with: maps, layers, the audit, one layer cell by cell.")
@options.model
@click.option("--size", type=SizeType(), help="Input size that is shown first; the network's own by default.")
@click.option("--sizes", metavar="N|HxW[,...]", help="All sizes to choose from; 64,128,224,225,512 by default.")
@click.option(
    "--padding",
    metavar="MODE[,...]",
    help=f"Schemes to choose from, as for usage, or declared; {','.join(EXPLORED)} by default.",
)
@click.option("--layer", metavar="NAME", help="Target layer. The last feature map by default.")
@options.heads
@output_to("The page (.html). Default: MODEL-explore.html.")
@click.option("--open", "opened", is_flag=True, help="Show it in a browser.")
@OVERWRITE
def command(
    model: str,
    size: Pixels | None,
    sizes: str | None,
    padding: str | None,
    layer: str | None,
    heads: str,
    output: Path | None,
    opened: bool,
    overwrite: bool,
) -> None:
    """Write one page in which a person plays with MODEL: maps at several sizes and paddings, layer by layer, the audit.

    It holds all that it shows and asks no server for anything, so it can be mailed, opened from disk, or put on a site.

    \b
    Example:
      padviz explore resnet50
      padviz explore vgg19 --size 224 --sizes 224,256,320x480 --padding zero,symmetric --open
    """
    from padviz.pages.explorer import explorer, laid_out, ordered
    from padviz.reports import tables

    if output is not None:
        checked_output(output, SUFFIXES, overwrite)
    network = options.load_as(model, size)
    start = size or network.size
    offered = ordered(start, None if sizes is None else _sizes(sizes))
    networks = laid_out(offered, start, network, lambda other: options.load_as(model, other))
    page = explorer(networks, offered.index(start), None if padding is None else options.listed(padding), layer, heads)
    path = output or Path(f"{network.name}-explore.html")
    page.save(path)
    click.echo(tables.to_facts(_facts(page, path)))
    if opened:
        click.launch(str(path.resolve()))


def _sizes(text: str) -> list[tuple[int, int]]:
    """Read the sizes between commas."""
    try:
        return [SizeType().convert(size, None, None) for size in options.listed(text)]
    except OptionError as error:
        raise OptionError(error.what, where="--sizes", hint="use pixels from 1, as 224,320x480") from None


def _facts(page: Explorer, path: Path) -> list[tuple[str, Any]]:
    return [
        ("network", page.title),
        ("maps", page.maps),
        ("size", f"{len(page.html) / 1e6:.1f} MB"),
        ("file", str(path)),
    ]
