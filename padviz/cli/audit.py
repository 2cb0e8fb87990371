"""`padviz audit`: what does it do to the border, and what could be changed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels
from padviz.cli.vocabulary import Command, given, models
from padviz.errors import OptionError, SizeError

if TYPE_CHECKING:
    from padviz.advice.verdict import Audit
    from padviz.trained.trying.trial import Trial

NEAR = 32  # pixels that height and width gain together: larger sizes are left out where pictures are too small


@click.command(name="audit", cls=Command)
@models
@given("sizes padding same layers heads images weights")
@reported("audit", draws=True)
def command(
    models: Names,
    sizes: tuple[Pixels, ...],
    padding: str | None,
    same: bool,
    layers: Names,
    heads: str | None,
    images: str | None,
    weights: str | None,
    to: To,
) -> None:
    """Judge how MODEL treats the border of an image, and list what could be changed, best first.

    A pixel is starved if it gets less than half the weight of an interior pixel, and overused above 3/2. A rim is the
    band next to a side whose lines are starved: lopsided where opposite rims differ by more than 4 px and a quarter,
    narrow or wide in the outer quartiles of 69 known networks (24 px and 60 px, mean of the four sides).

    Remedies that work with today's weights come first, then fine-tuning, then retraining. Among those, evidence ranks
    first: what was measured to cost least once trained, what nobody tried last. Then geometry: fewer uneven windows,
    no stride remainder, fewer starved or overused pixels. What costs more than 1.2x multiply-adds comes last. What a
    remedy does to your network is tried with --images, as padviz trial does by itself. Several models or sizes make a
    table.

    \b
    Example:
      padviz audit resnet50 --size 224
      padviz audit resnet50 mobilenet_v2 vgg19 --size 224,512
    """
    from padviz.advice.verdict import DRAWN, Audit, examine
    from padviz.reports.maps.audit import Failed, report_of

    pairs = [(model, size) for model in dict.fromkeys(models) for size in sizes or (None,)]
    if to.beside and len(pairs) > 1:
        raise OptionError("a picture holds one network at one size", where="-o", hint="name one, or use .md")
    if weights and not images:
        raise OptionError("goes with --images", where="--weights", hint="add it, or leave out the weights")
    if images and len(pairs) > 1:
        raise OptionError("remedies are tried on one network at one size", where="--images", hint="name one")
    networks = [(options.load_as(model, size, same, padding), size) for model, size in pairs]
    results: list[Audit | Failed] = []
    errors: list[SizeError] = []
    for network, size in networks:
        options.say_heads(network, layers, heads)
        try:
            examined = examine(network, size, layers or None, heads, DRAWN if to.beside else 0)
            results.append(examined.audit)
        except SizeError as error:
            if size is None:
                raise
            errors.append(error)
            why = options.spelled(f"cannot run: {error.where}: {error.what}")
            results.append(Failed(network.name, network.title, size, why))
    if len(errors) == len(results):
        raise errors[0]
    first = next(result for result in results if isinstance(result, Audit))
    tried = _tried(models[0], weights, first, images) if images else None

    def draw() -> Any:
        from padviz.figures.maps import panels

        return panels.compared(examined.maps, "remedy", "share")

    to.show(report_of(results, tried, to.files), draw)


def _tried(model: str, weights: str | None, audit: Audit, images: str) -> Trial:
    """Try the sizes and schemes among the remedies on a trained network."""
    from padviz.advice.verdict import to_try
    from padviz.api.trained.trying import trial
    from padviz.cli.progress import progress
    from padviz.trained.trying.crops import TooSmall

    sizes, schemes = to_try(audit)
    trained = options.read_trained(model, (audit.size[0], audit.size[1]), weights)
    near = [size for size in sizes if sum(size) < sum(audit.size) + NEAR]
    with progress("images") as on_progress:
        try:
            tried = trial(trained, images, sizes, schemes, on_progress=on_progress)
        except TooSmall as error:
            if near == sizes:
                raise
            options.say(f"{error.what}: larger sizes are not tried")
            tried = trial(trained, images, near, schemes, on_progress=on_progress)
    options.say_all(tried.notes)
    return tried
