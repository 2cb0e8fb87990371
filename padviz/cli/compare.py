"""`padviz compare`: usage maps side by side, under several paddings, sizes, depths or networks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import KEPT, Names, Pixels
from padviz.cli.vocabulary import Command, given, neutral
from padviz.errors import OptionError, PadvizError
from padviz.reports.report import PICTURES

if TYPE_CHECKING:
    from padviz.network.network import Network
    from padviz.reports.maps.usage import Item

LONGEST = 80  # characters of a picture's name that come from what was asked for


@click.command(name="compare", cls=Command)
@click.argument("model", required=False)
@neutral
@given("models sizes paddings same layers heads scale cmap")
@reported("compare", suffixes=PICTURES)
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
    from padviz.figures import panels
    from padviz.figures.canvas import save
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
    differing = {"same": ("same" if same else None,), "scale": (scale,), "heads": (heads and f"heads_{heads}",)}
    path = to.path or _default(asked | differing, varies)
    save(panels.compared(items, varies, scale, cmap), path)
    to.show(reports.compare(items, varies, [str(path)], options.spelled))


def _default(asked: dict[str, tuple[Any, ...]], varies: str) -> Path:
    """Name the picture where no name is given: all that was asked for, as far as a name may be long.

    >>> str(_default({"model": ("vgg19",), "size": ((64, 64), (64, 96)), "padding": (None,)}, "size"))
    'vgg19-64-64x96-compare.png'
    """
    parts = [
        Path(value).stem if name == "model" else _words(name, value)
        for name, values in asked.items()
        for value in values
        if value
    ]
    whole = "-".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts)
    if len(whole) > LONGEST:
        whole = f"{whole[:LONGEST].rstrip('-.')}-{crc32(whole.encode()):08x}"
    return Path(f"{whole}-compare.png")


def _items(asked: dict[str, tuple[Any, ...]], varies: str, heads: str | None, same: bool) -> list[Item]:
    """Pair each value of the list with its map, or with the error in its place."""
    from padviz.counting.usage import usages

    sizes = asked["size"]
    pairs = [(_loaded(name, size, same), size) for name in asked["model"] for size in sizes]
    if len(sizes) > 1:
        for network, _ in pairs[:1]:
            if not isinstance(network, PadvizError):
                options.warn_if_baked(network)
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
