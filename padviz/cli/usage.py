"""`padviz usage`: the map of how often each pixel is used."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.showing import To, drawing
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import OptionError
from padviz.reports.report import COUNTS


@click.command(name="usage", cls=Command)
@model
@given("size padding same layers heads unit pooling scale cmap")
@drawing("usage", COUNTS)
def command(
    model: str,
    size: Pixels | None,
    padding: str | None,
    same: bool,
    layers: Names,
    scale: str | None,
    cmap: str | None,
    to: To,
    **settings: Any,
) -> None:
    """Count the paths from every input pixel of MODEL to its last feature map, exactly, and draw its fair share.

    \b
    Example:
      padviz usage vgg19 --size 512
      padviz usage resnet50 --size 224 --scale counts
      padviz usage resnet50 --size 300x400 --padding reflect -o counts.npz
      padviz usage ssd300_vgg16 --heads share
    """
    from padviz.counting.usage import usage
    from padviz.figures.canvas import save
    from padviz.figures.maps.heatmap import heatmap
    from padviz.reports.counts import write_counts
    from padviz.reports.maps import usage as reports

    network = options.load_as(model, size, same)
    options.say_heads(network, layers, settings["heads"])
    counts = usage(network, size, padding, layers or None, **settings)
    if scale == "each":
        raise OptionError("each is of several maps", where="--scale", hint="use counts or share, or leave it out")
    if scale == "share" and counts.share_reason:
        raise OptionError(counts.share_reason, option="scale", hint="draw counts, with `scale` counts")
    path = to.drawn(default_path("usage", [counts.network.name], [counts.size]))
    if path and path.suffix.lower() in COUNTS:
        write_counts(counts, path)
    elif path:
        save(heatmap(counts, cmap, scale), path)
    to.show(reports.usage(counts, [str(path)] if path else []))
