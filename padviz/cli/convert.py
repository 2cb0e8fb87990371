"""`padviz convert`: convert a network to a TOML description."""

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
    """Write MODEL as a TOML description of the same network, one step per layer.

    --size becomes the description's default size, and --padding the padding of its convolutions.

    \b
    Example:
      padviz convert resnet18 -o net.toml
      padviz convert resnet18 --padding zero/circular -o wrapped.toml
    """
    from padviz.analyses.load import convert

    if output is not None:
        checked_output(output, (".toml",), overwrite)
    put(convert(options.loaded(model, size), size, padding, same), output, overwrite)
