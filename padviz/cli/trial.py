"""`padviz trial`: what each remedy does to a trained network as it is."""

from __future__ import annotations

from typing import Any

import click

from padviz.axis.padding_modes import OTHER
from padviz.cli import options
from padviz.cli.progress import progress
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Pixels, SizeType


@click.command(name="trial", short_help="What each remedy does to a trained network as it is, before any training.")
@options.trained
@options.images("Photographs like those of the training.")
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size to try; may be given several times.")
@options.schemes(OTHER)
@click.option("-n", type=click.IntRange(1), default=64, show_default=True, help="How many crops.")
@click.option("--trained-at", type=SizeType(), help="Input size of the training; the network's own by default.")
@options.seed
@options.mean
@options.std
@click.option("--noise", is_flag=True, help="Run on noise in place of photographs, which tells little.")
@reported("trial", "what each change does")
def command(
    model: str,
    weights: str | None,
    sizes: tuple[Pixels, ...],
    padding: list[str],
    trained_at: Pixels | None,
    to: To,
    **settings: Any,
) -> None:
    """Run MODEL, a trained network, on crops of photographs before and after each change, and compare its answers.

    Of a classifier, the table has the share of crops whose best class is kept, and the mean KL divergence; of other
    outputs, their change relative to their norm, and the correlation. A shift by one pixel, down and right, is the
    yardstick. Intervals are of 95 %, over pictures. A size is made by a larger or smaller crop of the same scene, and
    by resizing. By default the nearest balanced sizes and all of --padding are tried, else what is named.

    \b
    Example:
      padviz trial model.onnx --images photos
      padviz trial model.onnx --images photos --size 225 --padding reflect,partial -o trial.png
    """
    from padviz.api.trying import trial
    from padviz.figures.trained import trials
    from padviz.reports.trained import trying

    named = click.get_current_context().get_parameter_source("padding") is not click.core.ParameterSource.DEFAULT
    trained = options.read_trained(model, trained_at, weights)
    with progress("images") as on_progress:
        schemes = padding if named else None
        tried = trial(trained, sizes=sizes or None, padding=schemes, **settings, on_progress=on_progress)
    options.say_all(tried.notes)
    to.show(trying.trial(tried, to.files), lambda: trials.dots(tried))
