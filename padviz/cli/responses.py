"""`padviz responses`: what a trained network's convolutions make at the border."""

from __future__ import annotations

from typing import Any

import click

from padviz.axis.padding_modes import RUNNING_ON
from padviz.cli import options
from padviz.cli.progress import progress
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, trained


@click.command(
    name="responses",
    cls=Command,
)
@trained
@given("size paddings layers inputs n mean std seed no-shuffled", n=16)
@reported("responses", draws=True)
def command(
    model: str,
    size: Pixels | None,
    weights: str | None,
    paddings: tuple[str | None, ...],
    layers: Names,
    no_shuffled: bool,
    to: To,
    **settings: Any,
) -> None:
    """Run MODEL, a trained network, and compare what its convolutions make at the border with what they make inside.

    E is the outermost line minus the interior, over what is usual in the interior. E .5: the border line is off by half
    of what the interior usually is. Compare E only within a network, at one normalisation and kind of input; below .02
    it is noise at 16 inputs. It is measured as trained, with each of --padding in place of that, and as trained with
    the weights shuffled within each layer: what geometry makes by itself. Circular padding leaves convolutions no
    border, and shows the noise; padded pools keep theirs. Aware is the share of channels with a border line of their
    own.

    Wrong --mean and --std may double E. responses warns where the first batch normalisation was trained on other
    inputs, and names the usual ones that fit; or, without it, where a convolution hardly reacts.

    \b
    Example:
      padviz responses model.onnx -o responses.png
      padviz responses model.onnx --padding circular --inputs blank --format json
    """
    from padviz.api.trained.measured import responses
    from padviz.figures.trained.responses import panels
    from padviz.reports.trained.responses import report_of

    network = options.read_trained(model, size, weights)
    settings |= {"padding": [*filter(None, paddings or RUNNING_ON)], "layer": layers or None}
    with progress("images") as on_progress:
        measured = responses(network, size, **settings, shuffled=not no_shuffled, on_progress=on_progress)
    options.say_all(measured.notes)
    to.show(report_of(measured, to.files), lambda: panels(measured))
