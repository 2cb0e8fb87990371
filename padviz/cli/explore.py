"""`padviz explore`: a page to play with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.showing import checked_output, output_to
from padviz.cli.value_types import KEPT, Pixels, complete_model
from padviz.cli.vocabulary import READING, Command, given, read
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.pages.explorer import Explorer

SUFFIXES = (".html", ".htm")


@click.command(name="explore", cls=Command)
@click.argument("model", required=False, shell_complete=complete_model)
@read
@given("sizes paddings same layer heads overwrite open serve")
@output_to(SUFFIXES)
def command(
    model: str | None,
    sizes: tuple[Pixels, ...],
    paddings: tuple[str | None, ...],
    same: bool,
    layer: str | None,
    heads: str | None,
    output: Path | None,
    overwrite: bool,
    open_: bool,
    serve: bool,
) -> None:
    """Write one page in which a person plays with MODEL: maps at several sizes and paddings, layer by layer, the audit.

    The first of --size is shown first; one alone is offered beside 64, 128, 224, 225 and 512. The page holds all that
    it shows and asks no server for anything, so it can be mailed, opened from disk, or put on a site.

    --serve takes no MODEL: it shows a page on which files are dropped, at an address of this computer alone, until
    Ctrl-C. Every file is read with the options that are given.

    \b
    Example:
      padviz explore resnet50
      padviz explore vgg19 --size 224,256,320x480 --padding zero,symmetric --open
    """
    from padviz.network.rewrites import check_image
    from padviz.pages.explorer import at_each, explorer, ordered
    from padviz.reports import tables

    if serve:
        return _serve(click.get_current_context(), open_)
    if model is None:
        context = click.get_current_context()
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    if output is not None:
        checked_output(output, SUFFIXES, overwrite)
    network = options.load_as(model, sizes[0] if sizes else None, same)
    check_image(network)
    start = sizes[0] if sizes else network.size
    options.say_heads(network, layer, heads)
    offered = ordered(start, sizes if len(sizes) > 1 else None)
    networks = at_each(network, offered)
    page = explorer(networks, offered.index(start), paddings or None, layer, heads)
    path = output or default_path("explore", [network.name], sizes or [start], ".html")
    page.save(path)
    click.echo(tables.to_facts(_facts(page, path)))
    if open_:
        click.launch(str(path.resolve()))


def _serve(context: click.Context, show: bool) -> None:
    """Serve the pages of files that are dropped, until a signal comes."""
    from padviz.cli.serving import Server
    from padviz.reports import tables

    given = {**context.params, **context.meta.get(READING, {})}
    for name in ("model", "output", "overwrite", "input", "shape", "neutral"):
        if given[name]:
            spelled = {"model": "MODEL", "output": "-o"}.get(name, f"--{name}")
            raise OptionError("makes pages of files that are dropped", where="--serve", hint=f"leave out {spelled}")
    with Server(_arguments(context)) as server:
        click.echo(tables.to_facts([("address", server.address), ("stop", "Ctrl-C")]))
        sys.stdout.flush()
        if show:
            click.launch(server.address)
        server.serve_forever()


def _arguments(context: click.Context) -> list[str]:
    """Spell the options that each file is read with."""
    params = context.params
    values = {
        "--size": [f"{height}x{width}" for height, width in params["sizes"]],
        "--padding": [padding or KEPT for padding in params["paddings"]],
        "--layer": [params["layer"]],
        "--heads": [params["heads"]],
    }
    same = ["--same"] if params["same"] else []
    return [*same, *(f"{name}={value}" for name, given in values.items() for value in given if value)]


def _facts(page: Explorer, path: Path) -> list[tuple[str, Any]]:
    return [
        ("network", page.title),
        ("maps", page.maps),
        ("size", f"{len(page.html) / 1e6:.1f} MB"),
        ("file", str(path)),
    ]
