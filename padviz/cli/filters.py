"""`padviz filters`: what training made of the filters, and whether they are skewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, model
from padviz.errors import DescriptionError

if TYPE_CHECKING:
    from padviz.trained.mean_filters import MeanFilters


@click.command(name="filters", cls=Command)
@model
@given("size layers weights")
@reported("filters", draws=True)
def command(model: str, weights: str | None, size: Pixels | None, layers: Names, to: To) -> None:
    """Average the filters of every convolution of MODEL, a trained network, and measure how they are skewed.

    MODEL is an ONNX or .keras file, or a PyTorch module as package.module:attribute: one that is trained, or one
    whose --weights are given. D is the mean skew of its output channels: how much larger the absolute weights of a
    filter's second half are than those of its first, over the sum of all. In networks that were trained to test it,
    the sign of D went with the offset of the sampling grid from the image's centre. A network tests that only where
    offsets of both signs occur: in one pretrained network it went with it on 28 of 34 axes, but D is positive on 34 of
    34, so "always positive" explains more, and where offsets turn, the offset is wrong on 6 of 6.

    \b
    Example:
      padviz filters model.onnx -o filters.png
      padviz filters model.onnx --format json
    """
    from padviz.figures.trained.mean_filters import filters
    from padviz.reports.trained.filters import report_of
    from padviz.trained.mean_filters import filters_of

    network = options.read_trained(model, size, weights)
    mean_filters = filters_of(network, layers)
    _check_measured(mean_filters, network.where)
    options.say_all(network.notes)
    to.show(report_of(mean_filters, to.files), lambda: filters(mean_filters))


def _check_measured(mean_filters: MeanFilters, where: str) -> None:
    """Refuse a network of which no convolution can be measured."""
    if all(row.why for row in mean_filters.rows):
        more = f", and {len(mean_filters.rows) - 1} more like it" if len(mean_filters.rows) > 1 else ""
        what = f"nothing can be measured: {mean_filters.rows[0].layer}: its {mean_filters.rows[0].why}{more}"
        raise DescriptionError(what, where=where, hint="use the weights of a network that was trained")
