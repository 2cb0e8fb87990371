"""`padviz layers`: every spatial layer of a network."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels, complete_model
from padviz.cli.vocabulary import Command, given, read


@click.command(name="layers", cls=Command)
@click.argument("model", required=False, shell_complete=complete_model)
@read
@given("size padding same layers")
@reported("layers", draws=True)
def command(model: str | None, size: Pixels | None, padding: str | None, same: bool, layers: Names, to: To) -> None:
    """List the layers of MODEL: kernel, stride, dilation, padding, sizes, multiply-adds, receptive field, grid offset.

    Without MODEL it lists the zoo: names to use as MODEL, their input sizes, and where each comes from.

    Multiply-adds are those of convolutions; their sum stands below. Where a description does not say how many
    channels a convolution makes, they are not known.

    A receptive field is the union over branches. The grid offset is the mean centre of a layer's units minus the
    image's; it is empty where branches are centred differently, and the layer where they meet is named. CSV and JSON
    also have effective stride and padding, and the centre. -o FILE.png draws the fields of the centre and corner units.

    
    Example:
      padviz layers
      padviz layers resnet50 --size 224
    """
    from padviz.figures.windows import field_boxes
    from padviz.reports.windows import layers as reports

    if model is None:
        from padviz.sources.toml.load import load_config, zoo

        if size or padding or same or layers or to.beside:
            raise click.UsageError("missing argument 'MODEL'", click.get_current_context())
        return to.show(reports.networks([*map(load_config, zoo())]))
    network = options.load_as(model, size, same, padding, layers)
    pixels = network.pixels(size)
    report = reports.layers(network, pixels, to.files)
    to.show(report, lambda: field_boxes.fields_of(network, pixels))
