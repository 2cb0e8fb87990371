"""`padviz convert`: any network as a TOML description."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from padviz.cli import options
from padviz.cli.showing import OVERWRITE, checked_output, output_to, put
from padviz.cli.value_types import Pixels


@click.command(name="convert", short_help="Any network as a TOML description, to read, edit and load again.")
@options.model
@options.size
@options.padding
@output_to("Description to write, as net.toml. Standard output by default.")
@OVERWRITE
def command(model: str, size: Pixels | None, padding: str | None, output: Path | None, overwrite: bool) -> None:
    """Write MODEL as a TOML description that loads back to the same network, flat: one step per layer.

    --size becomes the size that the description is used at by default, and --padding what its convolutions pad with.

    \b
    Example:
      padviz convert resnet18 -o net.toml
      padviz convert resnet18 --padding zero/circular -o wrapped.toml
    """
    from padviz.network.rewrites import with_padding
    from padviz.network.targets import last_maps, upto
    from padviz.sources.toml.write import to_toml

    if output is not None:
        checked_output(output, (".toml",), overwrite)
    network = options.load_as(model, size)
    options.warn_if_baked(network)
    if padding is not None:  # pads that were given to convolutions are gone
        network = replace(upto(with_padding(network, padding), last_maps(network)), targets=network.targets)
    put(to_toml(replace(network, size=size or network.size)), output, overwrite)
