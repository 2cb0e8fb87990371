"""`padviz compare`: usage maps side by side, under several paddings, sizes, depths or networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.showing import To, drawing
from padviz.cli.value_types import KEPT, Names, Pixels, complete_model
from padviz.cli.vocabulary import Command, given, read
from padviz.errors import OptionError, PadvizError

if TYPE_CHECKING:
    from padviz.network.network import Network
    from padviz.reports.maps.usage import Item


@click.command(name="compare", cls=Command)
@click.argument("model", required=False, shell_complete=complete_model)
@read
@given("models sizes paddings same layers heads scale cmap")
@drawing("compare")
def command(
    model: str | None,
    models: Names,
    same: bool,
    heads: str | None,
    scale: str | None,
    cmap: str | None,
    to: To,
    **lists: tuple[Any, ...],
) -> None:
    """Draw the usage maps of MODEL side by side. Exactly one of --padding, --size, --layer and --model is a list.

    Colours show the fair share of each pixel: 1 is the weight of an interior pixel, below 1/2 it is starved,
    above 3/2 overused. What cannot run gets an empty panel that says why.

    \b
    Example:
      padviz compare vgg19 --size 128 --padding zero,reflect,symmetric,partial
      padviz compare resnet50 --size 64,128,224
    """
    from padviz.figures.canvas import save
    from padviz.figures.maps import panels
    from padviz.reports.maps import usage as reports

    if (model is None) != bool(models):
        raise OptionError("needs one MODEL, or several with --model", where="MODEL", hint="as padviz compare vgg19 ...")
    asked = {"model": (model,) if model else models}
    asked |= {name: lists[f"{name}s"] or (None,) for name in ("size", "layer", "padding")}
    several = [name for name, values in asked.items() if len(values) > 1]
    if len(several) != 1:
        what = (
            f"{len(several)} lists are given ({', '.join(several)})"
            if several
            else "nothing has two values that differ"
        )
        raise OptionError(what, where="compare", hint="give a list to one of --padding, --size, --layer and --model")
    (varies,) = several
    items = _items(asked, varies, heads, same)
    names = [name if ":" in name else Path(name).stem for name in asked["model"]]
    path = to.drawn(default_path("compare", names, lists["sizes"]))
    if path:
        save(panels.compared(items, varies, scale, cmap), path)
    to.show(reports.compare(items, varies, [str(path)] if path else [], options.spelled))


def _items(asked: dict[str, tuple[Any, ...]], varies: str, heads: str | None, same: bool) -> list[Item]:
    """Pair each value of the list with its map, or with the error in its place."""
    from padviz.counting.usage import usages

    sizes = asked["size"]
    pairs = [(_loaded(name, size, same), size) for name in asked["model"] for size in sizes]
    for network, _ in pairs:
        if not isinstance(network, PadvizError) and asked["layer"] == (None,):
            options.say_heads(network, None, heads)
    choices = [(*pair, padding, layer) for pair in pairs for padding in asked["padding"] for layer in asked["layer"]]
    values = [_words(varies, value) for value in asked[varies]]
    return [*zip(values, usages(choices, heads), strict=True)]


def _words(name: str, value: Any) -> str:
    """Write a value as it is typed."""
    from padviz.reports.tables import pixels

    if value is None:
        return KEPT
    return pixels(value) if name == "size" else str(value)


def _loaded(name: str, size: Pixels | None, same: bool) -> Network | PadvizError:
    """Load the network; where there is none, return the error in its place."""
    try:
        return options.load_as(name, size, same)
    except PadvizError as error:
        return error
