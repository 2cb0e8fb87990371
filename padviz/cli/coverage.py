"""`padviz coverage`: what share of each unit's paths starts at real pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.showing import To, drawing
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import OptionError
from padviz.reports.report import COUNTS

if TYPE_CHECKING:
    from padviz.counting.count_map import CountMap


@click.command(name="coverage", cls=Command)
@model
@given("size padding same layers pooling cmap")
@drawing("coverage", COUNTS)
def command(
    model: str,
    size: Pixels | None,
    padding: str | None,
    same: bool,
    layers: Names,
    pooling: str,
    cmap: str | None,
    to: To,
) -> None:
    """Count the paths that reach each unit of a layer of MODEL from real pixels, exactly, and draw their share.

    Where padding reads nothing, units near the border miss paths: the lines that padding draws into feature maps.
    With several layers, the picture is a strip through the network.

    \b
    Example:
      padviz coverage vgg19 --size 224 --layer features.9,features.36
    """
    from padviz.counting.coverage import coverages
    from padviz.network.targets import names_of
    from padviz.reports.maps.coverage import coverage

    network = options.load_as(model, size, same)
    targets = names_of(layers or None, network)
    if len(targets) > 1 and to.path and to.path.suffix.lower() in COUNTS:
        raise OptionError(f"{str(to.path)!r} holds the counts of one layer", where="-o", hint="name one --layer")
    maps = coverages(network, size, padding, targets, pooling)
    path = to.drawn(default_path("coverage", [network.name], [maps[0].size]))
    if path:
        _write(maps, path, cmap)
    to.show(coverage(maps, [str(path)] if path else []))


def _write(maps: tuple[CountMap, ...], path: Path, cmap: str | None) -> None:
    from padviz.figures.canvas import save
    from padviz.figures.maps import panels
    from padviz.figures.maps.heatmap import heatmap
    from padviz.reports.counts import write_counts

    if path.suffix.lower() in COUNTS:
        write_counts(maps[0], path)
    else:
        save(heatmap(maps[0], cmap) if len(maps) == 1 else panels.strip(maps, cmap), path)
