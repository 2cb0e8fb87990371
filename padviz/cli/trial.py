"""`padviz trial`: what each remedy does to a trained network as it is."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli import options
from padviz.cli.progress import progress
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given, trained


@click.command(name="trial", cls=Command)
@trained
@given("sizes paddings images n trained-at mean std seed noise", n=64)
@reported("trial", draws=True)
def command(
    model: str,
    weights: str | None,
    sizes: tuple[Pixels, ...],
    paddings: tuple[str | None, ...],
    trained_at: Pixels | None,
    to: To,
    **settings: Any,
) -> None:
    """Run MODEL, a trained network, on crops of photographs before and after each change, and compare its answers.

    The table has the share of crops whose best class a classifier keeps, and the mean KL divergence; for other outputs
    their change relative to their norm, and the correlation. A shift by one pixel, down and right, is the yardstick.
    Intervals are of 95 %, over pictures; below 10 there are none. A size is made by a larger or smaller crop of the
    same scene, and by resizing. By default the nearest balanced sizes and all schemes are tried, else what --size and
    --padding name.

    \b
    Example:
      padviz trial model.onnx --images photos
      padviz trial model.onnx --images photos --size 225 --padding reflect,partial -o trial.png
    """
    from padviz.api.trained.trying import trial
    from padviz.figures.trained import trials
    from padviz.reports.trained import trying

    network = options.read_trained(model, trained_at, weights, "trained_at")
    with progress("images") as on_progress:
        schemes = [*filter(None, paddings)] if paddings else None
        tried = trial(network, size=[*sizes] or None, padding=schemes, **settings, on_progress=on_progress)
    options.say_all(tried.notes)
    to.show(trying.trial(tried, to.files), lambda: trials.dots(tried))
