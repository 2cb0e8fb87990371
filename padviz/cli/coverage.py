"""`padviz coverage`: what share of each unit's paths starts at real pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.errors import OptionError
from padviz.reports.report import COUNTS, PICTURES, ROWS

if TYPE_CHECKING:
    from padviz.counting.count_map import CountMap
    from padviz.reports.report import Report


@click.command(name="coverage", short_help="What share of each unit's paths starts at real pixels, not padding.")
@options.model
@options.size
@options.padding
@options.pooling
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Layers to look at; the last map by default.")
@click.option("--margin", is_flag=True, help="Instead: how many units next to each border padding touches.")
@options.cmap
@reported(
    "coverage",
    help="Picture (.png .svg .pdf) or exact counts (.npy .npz .csv). Default: MODEL-SIZE[-MODE]-coverage.png. "
    "With --margin, a table (.txt .json .csv .md).",
    suffixes=(),
)
def command(
    model: str,
    size: Pixels | None,
    padding: str | None,
    pooling: str,
    layers: Names,
    margin: bool,
    cmap: str | None,
    to: To,
) -> None:
    """Count the paths that reach each unit of a layer of MODEL from real pixels, exactly, and draw their share.

    Where padding reads nothing, units near the border miss paths: the lines that padding draws into feature maps.
    With several layers, the picture is a strip through the network. --margin tells a person who cuts images into
    tiles how many pixels a tile needs around it.

    \b
    Example:
      padviz coverage vgg19 --size 224 --layer features.9 --layer features.36
      padviz coverage vgg19 --size 224 --margin
    """
    from padviz.counting.coverage import coverages
    from padviz.network.targets import names_of
    from padviz.reports.maps.coverage import coverage

    if margin:
        to.checked((), ROWS).show(_margins(model, size, padding, layers))
        return
    network = options.load_as(model, size)
    targets = names_of(layers or None, network)
    if len(targets) > 1 and to.path and to.path.suffix.lower() in COUNTS:
        raise OptionError(f"{str(to.path)!r} holds the counts of one layer", where="-o", hint="name one --layer")
    to = to.checked(PICTURES + COUNTS)
    maps = coverages(network, size, padding, targets, pooling)
    path = to.path or options.default_picture(network, maps[0].size, padding, "coverage")
    _write(maps, path, cmap)
    to.show(coverage(maps, [str(path)]))


def _margins(model: str, size: tuple[int, int] | None, padding: str | None, layers: tuple[str, ...]) -> Report:
    """Report how far padding reaches into some layers."""
    from padviz.geometry.reaching.border_margins import margins
    from padviz.network.rewrites import with_padding
    from padviz.network.targets import cut
    from padviz.reports.maps import coverage

    network = options.load_as(model, size)
    wanted, pixels = options.known_layers(network, layers), size or network.size
    followed = with_padding(cut(network, layers), padding)
    return coverage.margins([row for row in margins(followed, pixels) if row.layer in wanted], network.name, pixels)


def _write(maps: tuple[CountMap, ...], path: Path, cmap: str | None) -> None:
    from padviz.figures import panels
    from padviz.figures.canvas import save
    from padviz.figures.heatmap import heatmap
    from padviz.reports.counts import write_counts

    if path.suffix.lower() in COUNTS:
        write_counts(maps[0], path)
    else:
        save(heatmap(maps[0], cmap) if len(maps) == 1 else panels.strip(maps, cmap), path)
