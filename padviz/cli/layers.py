"""`padviz layers`: every spatial layer of a network."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model


@click.command(name="layers", cls=Command)
@model
@given("size padding same layers")
@reported("layers")
def command(model: str, size: Pixels | None, padding: str | None, same: bool, layers: Names, to: To) -> None:
    """List the layers of MODEL: name, kind, kernel, stride, dilation, padding, input and output size, multiply-adds.

    Multiply-adds are those of convolutions; their sum stands below. Where a description does not say how many
    channels a convolution makes, they are not known.

    \b
    Example:
      padviz layers resnet50 --size 224
    """
    from padviz.geometry.costs import costs
    from padviz.network.listing import layer_rows
    from padviz.reports.windows import layers as reports

    network = options.load_as(model, size, same, padding, layers)
    pixels = network.pixels(size)
    to.show(reports.layers(network, pixels, layer_rows(network, pixels), costs(network, pixels)))
