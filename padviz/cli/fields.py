"""`padviz fields`: receptive fields."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model


@click.command(
    name="fields",
    cls=Command,
)
@model
@given("size padding same layers")
@reported("fields", draws=True)
def command(model: str, size: Pixels | None, padding: str | None, same: bool, layers: Names, to: To) -> None:
    """Work out the receptive field of every layer of MODEL: size, effective stride, effective padding, centre.

    Sizes are the union over branches. Padding and centre are left empty where units are not evenly apart, as upsampled
    ones are; where branches are centred differently, so is the offset, and the layer where they meet is named. The
    grid offset is the mean centre of a layer's units minus the image's. In a controlled experiment the filters of
    strided convolutions were skewed where it is not 0, to the other side.

    \b
    Example:
      padviz fields vgg16 --size 224
    """
    from padviz.figures.windows import field_boxes
    from padviz.geometry.receptive_fields import fields_of_units, receptive_fields
    from padviz.network.targets import cut
    from padviz.reports.windows.layers import fields

    network = options.load_as(model, size, same, padding)
    pixels = network.pixels(size)
    wanted = options.known_layers(network, layers)
    followed = cut(network, layers)
    rows = [row for row in receptive_fields(followed, pixels) if row.layer in wanted]

    def draw() -> Any:
        unit_fields = {name: fields_of_units(followed, pixels, name) for name in layers or network.targets}
        return field_boxes.fields(unit_fields, pixels, network.title)

    to.show(fields(rows, network, pixels, to.files), draw)
