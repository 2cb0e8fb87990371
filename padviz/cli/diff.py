"""`padviz diff`: layers where two descriptions of a network differ in size or padding."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, outputs, show
from padviz.cli.value_types import Pixels, complete_model
from padviz.cli.vocabulary import Command, given, read
from padviz.errors import OptionError


@click.command(name="diff", cls=Command)
@click.argument("model_a", shell_complete=complete_model)
@click.argument("model_b", required=False, shell_complete=complete_model)
@read
@given("size padding same check")
@outputs(checks=True)
def command(
    model_a: str, model_b: str | None, size: Pixels | None, padding: str | None, same: bool, check: bool, to: To
) -> None:
    """Compare the windows of MODEL_A and MODEL_B at one size; --same and --padding change MODEL_B only.

    Without MODEL_B, MODEL_A is compared with itself under --same or --padding, as when its weights are ported.

    \b
    Example:
      padviz diff mobilenet_v1 --size 224 --same
      padviz diff vgg16 vgg19 --size 224
    """
    from padviz.analyses.diff import diff, report_of

    if model_b is None and not (same or padding):
        raise OptionError("there is nothing to compare with", where="MODEL_B", hint="name one, or add --same")
    first, second = options.loaded(model_a, size), options.loaded(model_b or model_a, size)
    found = diff(first, second, size, padding, same)
    show(found, to, report=report_of(*found._shown.part, check=check))
