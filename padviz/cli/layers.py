"""`padviz layers`: every spatial layer of a network."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels


@click.command(name="layers", short_help="Every spatial layer of a network, with its geometry and sizes.")
@options.model
@options.size
@options.padding
@options.upto
@reported("layers")
def command(model: str, size: Pixels | None, padding: str | None, layers: Names, to: To) -> None:
    """List the layers of MODEL: name, kind, kernel, stride, dilation, padding, input and output size, multiply-adds.

    Multiply-adds are those of convolutions; their sum stands below. Where a description does not say how many
    channels a convolution makes, they are not known.

    \b
    Example:
      padviz layers resnet50 --size 224
    """
    from padviz.geometry.costs import costs
    from padviz.network.listing import layer_rows
    from padviz.network.rewrites import with_padding
    from padviz.network.targets import cut
    from padviz.reports.windows import layers as reports

    network = cut(options.load_as(model, size), layers)
    pixels, padded = network.at(size), with_padding(network, padding)
    to.show(reports.layers(network, pixels, layer_rows(padded, pixels), costs(padded, pixels)))
