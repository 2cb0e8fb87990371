"""`padviz compare`: usage maps side by side, for several paddings, sizes, layers or networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from padviz.cli import options
from padviz.cli.showing import To, default_path, outputs, show
from padviz.cli.value_types import DECLARED, Names, Pixels
from padviz.cli.vocabulary import MODELS, Command, given
from padviz.errors import OptionError, PadvizError


@click.command(name="compare", cls=Command)
@MODELS["optional"]
@given("models sizes paddings same layers heads scale cmap")
@outputs("always")
def command(
    model: str | None,
    models: Names,
    sizes: tuple[Pixels, ...],
    paddings: tuple[str | None, ...],
    same: bool,
    layers: Names,
    heads: str | None,
    scale: str | None,
    cmap: str | None,
    to: To,
) -> None:
    """Draw usage maps of MODEL side by side. Exactly one of --padding, --size, --layer and --model is a list.

    Colours show the fair share of each pixel: 1 is the weight of an interior pixel, below 1/2 it is starved,
    above 3/2 overused. A network that cannot run gets an empty panel with the reason.

    \b
    Example:
      padviz compare vgg19 --size 128 --padding zero,reflect,symmetric,partial
      padviz compare resnet50 --size 64,128,224
    """
    from padviz.analyses.compare import compare

    if (model is None) != bool(models):
        raise OptionError("needs one MODEL, or several with --model", where="MODEL", hint="as padviz compare vgg19 ...")
    sources = [model] if model else [*models]
    networks = [options.loaded(each, *sizes) for each in sources]
    if not layers:
        for network in networks:
            options.say_heads(network, None, heads)
    lists: Any = [*sizes] or None, [each or DECLARED for each in paddings] or None, [*layers] or None
    compared = compare(networks, *lists, same=same, heads=heads, scale=scale)
    for _, counts in compared:
        if not isinstance(counts, PadvizError):
            options.note_later(counts.network, counts.size)
    names = [each if ":" in each else Path(each).stem for each in sources]
    show(compared, to, to.drawn(default_path("compare", names, sizes)), cmap=cmap)
