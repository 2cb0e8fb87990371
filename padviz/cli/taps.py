"""`padviz taps`: how often each tap of a window reads a real pixel."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import OptionError


@click.command(name="taps", cls=Command)
@model
@given("size padding same layers")
@reported("taps", draws=True)
def command(model: str, size: Pixels | None, padding: str | None, same: bool, layers: Names, to: To) -> None:
    """Count, for each tap of each window of MODEL, the units that read a real pixel with it.

    Where a layer reads its padding unevenly, some taps read more pixels than those opposite. Imbalance, height x width,
    is what the bottom (right) half of the taps reads more than the top (left) half, in percent of both. Convolutions
    have weights that can be skewed; pools (*) have none.

    \b
    Example:
      padviz taps resnet50 --size 224
    """
    from padviz.figures.maps import panels
    from padviz.geometry.tap_exposure import tap_exposure
    from padviz.network.targets import cut
    from padviz.reports.windows.taps import report_of

    network = options.load_as(model, size, same, padding)
    pixels = network.pixels(size)
    wanted = options.known_layers(network, layers)
    rows = tap_exposure(cut(network, layers), pixels)
    rows = tuple(row for row in rows if row.layer in wanted and (layers or row.grid.size > 1))
    if not rows:
        what = f"{', '.join(layers)} has no taps" if layers else "has no window with several taps"
        raise OptionError(what, where=network.name, hint="convolutions and pools have; padviz layers MODEL lists them")
    title = f"{network.title}, {' × '.join(map(str, pixels))}"
    to.show(report_of(rows, network, pixels, to.files), lambda: panels.taps(rows, title))
