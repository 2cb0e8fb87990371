"""`padviz convert`: any network as a TOML description."""

from __future__ import annotations

from pathlib import Path

import click

from padviz.cli import options
from padviz.cli.showing import checked_output, output_to, put
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given, model


@click.command(name="convert", cls=Command)
@model
@given("size padding same overwrite")
@output_to((".toml",))
def command(
    model: str, size: Pixels | None, padding: str | None, same: bool, output: Path | None, overwrite: bool
) -> None:
    """Write MODEL as a TOML description that loads back to the same network, flat: one step per layer.

    --size becomes the size that the description is used at by default, and --padding what its convolutions pad with.

    \b
    Example:
      padviz convert resnet18 -o net.toml
      padviz convert resnet18 --padding zero/circular -o wrapped.toml
    """
    from padviz.analyses.load import convert

    if output is not None:
        checked_output(output, (".toml",), overwrite)
    put(convert(options.loaded(model, size), size, padding, same), output, overwrite)
