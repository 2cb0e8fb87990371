"""`padviz compare`: usage maps side by side, under several paddings, sizes, depths or networks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError, PadvizError
from padviz.reports.report import PICTURES

if TYPE_CHECKING:
    from padviz.network.network import Network
    from padviz.reports.maps.usage import Item

LONGEST = 80  # characters of a picture's name that come from what was asked for


@click.command(name="compare", short_help="Usage maps side by side: paddings, sizes, depths or networks.")
@click.argument("model", required=False)
@options.neutral
@click.option("--model", "models", metavar="MODEL,...", help="Compare networks.")
@click.option("--size", metavar="N|HxW[,...]", help="Input size; several, to compare sizes.")
@click.option(
    "--padding", metavar="MODE[,...]", help="Padding of every convolution, as for usage; several, to compare."
)
@click.option("--layer", metavar="NAME[,...]", help="Target layer; several, to compare depths.")
@options.heads
@click.option(
    "--scale",
    type=click.Choice(["share", "counts", "each"]),
    help="Colours: of an interior pixel's weight; of the largest count; or of each panel's own.",
)
@options.cmap
@reported("compare", help="Picture (.png .svg .pdf). Default: MODEL-WHAT-compare.png.", suffixes=PICTURES)
def command(
    model: str | None,
    models: str | None,
    heads: str,
    scale: str | None,
    cmap: str | None,
    to: To,
    **settings: str | None,
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

    if (model is None) == (models is None):
        raise OptionError("needs one MODEL, or several with --model", where="MODEL", hint="as padviz compare vgg19 ...")
    settings = {"model": model or models, **{name: settings[name] for name in ("size", "layer", "padding")}}
    given = {name: _values(name, text) for name, text in settings.items()}
    lists = [name for name, values in given.items() if len(values) > 1]
    if len(lists) != 1:
        what = f"{len(lists)} lists are given ({', '.join(lists)})" if lists else "nothing has two values that differ"
        raise OptionError(what, where="compare", hint="give a list to one of --padding, --size, --layer and --model")
    (varies,) = lists
    items = _items(given, varies, heads)
    path = to.path or _default(given, varies)
    save(panels.compared(items, varies, scale, cmap), path)
    to.show(reports.compare(items, varies, [str(path)], options.spelled))


def _default(given: dict[str, list[str | None]], varies: str) -> Path:
    """Name the picture where no name is given: all that was asked for, as far as a name may be long.

    >>> str(_default({"model": ["vgg19"], "size": ["64", "96"], "padding": [None]}, "size"))
    'vgg19-64-96-compare.png'
    """
    parts = [
        Path(value).stem if name == "model" else value for name, values in given.items() for value in values if value
    ]
    whole = "-".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts)
    if len(whole) > LONGEST:
        whole = f"{whole[:LONGEST].rstrip('-.')}-{crc32(whole.encode()):08x}"
    return Path(f"{whole}-compare.png")


def _values(option: str, text: str | None) -> list[str | None]:
    """List values between commas, each once, paddings by their own names; one None where nothing is given."""
    from padviz.network.rewrites import canonical

    if text is None:
        return [None]
    values = options.listed(text)
    if "" in values:
        raise OptionError(f"{text!r} has an empty value", option=option, hint="leave out a comma")
    return [*dict.fromkeys(map(canonical, values))] if option == "padding" else [*values]


def _items(given: dict[str, list[str | None]], varies: str, heads: str) -> list[Item]:
    """Pair each value of the list with its map, or with the error in its place."""
    from padviz.counting.usage import usages

    sizes = [None if size is None else SizeType().convert(size, None, None) for size in given["size"]]
    pairs = [(_loaded(name or "", size), size) for name in given["model"] for size in sizes]
    if len(sizes) > 1:
        for network, _ in pairs[:1]:
            if not isinstance(network, PadvizError):
                options.warn_if_baked(network)
    choices = [(*pair, padding, layer) for pair in pairs for padding in given["padding"] for layer in given["layer"]]
    return [*zip([value or "" for value in given[varies]], usages(choices, heads), strict=True)]


def _loaded(name: str, size: tuple[int, int] | None) -> Network | PadvizError:
    """Load the network; where there is none, return the error in its place."""
    try:
        return options.load_as(name, size)
    except PadvizError as error:
        return error
