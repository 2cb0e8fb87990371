"""`padviz audit`: what does it do to the border, and what could be changed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from padviz.cli import options
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError, SizeError, printable

if TYPE_CHECKING:
    from padviz.advice.verdict import Audit, Examined
    from padviz.cli.audit_text import Failed
    from padviz.trained.trying.trial import Trial

SCHEMA_VERSION = 2
NEAR = 32  # pixels that height and width gain together: larger sizes are left out where pictures are too small
DRAWN = 3  # remedies in a picture
REPORTS = (".png", ".svg", ".pdf", ".md", ".json")


@click.command(name="audit", short_help="How much of the border does it neglect? Three sentences, and remedies.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.neutral
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size; may be given several times.")
@options.layers
@options.heads
@click.option("--images", metavar="FOLDER", help="Photographs, to try remedies on MODEL, a trained network, as it is.")
@options.weights
@options.format_of("table", "json", "markdown")
@options.output("Write a report: .md, .json, or a picture (.png .svg .pdf) of the map beside its remedies'.")
@options.overwrite
def command(
    models: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    layers: tuple[str, ...],
    heads: str,
    images: str | None,
    weights: str | None,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Judge how MODEL treats the border of an image, and list what could be changed, best first.

    A pixel is starved if it gets less than half the weight of an interior pixel, and overused above 3/2. A rim is the
    band next to a side whose lines are starved: lopsided where opposite rims differ by more than 4 px and a quarter,
    narrow or wide in the outer quartiles of 69 known networks (24 px and 60 px, mean of the four sides).

    Remedies that work with today's weights come first, then fine-tuning, then retraining. Among those: fewer uneven
    windows, no stride remainder, no pixel above four times its share, the nearest size, fewer starved or overused
    pixels. What has a price comes last: more than 1.2x multiply-adds, or more starved pixels. Geometry is counted
    exactly; what a remedy does to a trained network is tried with --images, as padviz trial does by itself. Several
    models or sizes make a table.

    \b
    Example:
      padviz audit resnet50 --size 224
      padviz audit resnet50 mobilenet_v2 vgg19 --size 224 --size 512
    """
    from padviz.advice.verdict import examine
    from padviz.cli.audit_text import Failed, to_markdown

    if output is not None:
        options.checked_output(output, REPORTS, overwrite)
        if output.suffix.lower() not in (".md", ".json") and len({*models}) * len({*sizes} or {1}) > 1:
            raise OptionError("a picture holds one network at one size", where="-o", hint="name one, or use .md")
    if weights and not images:
        raise OptionError("goes with --images", where="--weights", hint="add it, or leave out the weights")
    if images and len({*models}) * len({*sizes} or {1}) > 1:
        raise OptionError("remedies are tried on one network at one size", where="--images", hint="name one")
    asked = [(model, size) for model in dict.fromkeys(models) for size in dict.fromkeys(sizes or (None,))]
    networks = [(options.load_as(model, size), size) for model, size in asked]
    found: list[Audit | Failed] = []
    pictured = output is not None and output.suffix.lower() not in (".md", ".json")
    for network, size in networks:
        if size is None:
            options.warn_if_assumed(network)
        try:
            examined = examine(network, size, layers or None, heads, DRAWN if pictured else 0)
            found.append(examined.audit)
        except SizeError as error:
            if len(networks) == 1 or size is None:
                raise
            found.append(Failed(network.name, network.title, size, error))
    if all(isinstance(each, Failed) for each in found):
        raise next(each.error for each in found if isinstance(each, Failed))
    tried = _tried(models[0], weights, found[0], images) if images else None
    text = {"table": _table, "json": _json, "markdown": to_markdown}
    if output is not None and not pictured:
        report = text["markdown" if output.suffix.lower() == ".md" else "json"](found, tried)
        options.put(report, output, overwrite)
    elif output is not None:
        _draw(examined, output)
    click.echo(text[format_](found, tried))
    if output is not None and format_ == "table":
        click.echo(f"\nfile  {printable(output)}")


def _tried(model: str, weights: str | None, found: Audit | Failed, images: str) -> Trial:
    """The sizes and schemes among the remedies, tried on a trained network."""
    from padviz.advice.verdict import Audit
    from padviz.api.trying import trial
    from padviz.cli.progress import progress
    from padviz.trained.trying.crops import TooSmall

    assert isinstance(found, Audit), "one that cannot run is an error"
    sizes = [(each.outcome.size[0], each.outcome.size[1]) for each in found.remedies if each.kind in ("size", "larger")]
    schemes = [each.padding for each in found.remedies if each.kind == "padding" and each.padding]
    if not sizes and not schemes:
        raise OptionError("no remedy is a size or a padding scheme", where="--images", hint="leave it out")
    trained = options.read_trained(model, (found.size[0], found.size[1]), weights)
    near = [size for size in sizes if sum(size) < sum(found.size) + NEAR]
    with progress("images") as told:
        try:
            tried = trial(trained, images, sizes, schemes, on_progress=told)
        except TooSmall as error:
            if near == sizes:
                raise
            options.say(f"{error.what}: larger sizes are not tried")
            tried = trial(trained, images, near, schemes, on_progress=told)
    for note in tried.notes:
        options.say(note)
    return tried


def _json(found: list[Audit | Failed], tried: Trial | None) -> str:
    from msgspec import to_builtins

    from padviz.cli.audit_text import Failed
    from padviz.reports import documents
    from padviz.trained.trying.trial import trial_facts

    listed = [
        {"network": each.network, "title": each.title, "size": [*each.size], "error": each.why}
        if isinstance(each, Failed)
        else to_builtins(each)
        for each in found
    ]
    more = {"trial": trial_facts(tried)} if tried else {}
    return documents.to_json({"schema_version": SCHEMA_VERSION, "results": listed, **more})


def _table(found: list[Audit | Failed], tried: Trial | None) -> str:
    from padviz.cli.audit_text import Failed, to_rows, to_screen

    first = found[0]
    return to_rows(found) if len(found) > 1 or isinstance(first, Failed) else to_screen(first, tried)


def _draw(examined: Examined, path: Path) -> None:
    """The map as it is, beside those of the first remedies."""
    from padviz.figures import panels
    from padviz.figures.canvas import save

    save(panels.compared(examined.maps, "remedy", "share"), path)
