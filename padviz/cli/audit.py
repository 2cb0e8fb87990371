"""`padviz audit`: does it treat the border fairly, and what could be changed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from padviz.cli import options
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError, SizeError, printable

if TYPE_CHECKING:
    from padviz.advice.verdict import Audit
    from padviz.cli.audit_text import Failed
    from padviz.network.network import Network

SCHEMA_VERSION = 2
REPORTS = (".png", ".svg", ".pdf", ".md", ".json")


@click.command(
    name="audit", short_help="Does it treat the border fairly? The verdict, and remedies with their effects."
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.neutral
@click.option("--size", "sizes", type=SizeType(), multiple=True, help="Input size; may be given several times.")
@options.layers
@options.heads
@options.format_of("table", "json", "markdown")
@options.output("Write a report: .md, .json, or a picture (.png .svg .pdf) of the map beside its remedies'.")
@options.overwrite
def command(
    models: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    layers: tuple[str, ...],
    heads: str,
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
    exactly; padviz trial measures what a remedy does to a trained network. Several models or sizes make a table.

    \b
    Example:
      padviz audit resnet50 --size 224
      padviz audit resnet50 mobilenet_v2 vgg19 --size 224 --size 512
    """
    from padviz.advice.verdict import audit
    from padviz.cli.audit_text import Failed, to_markdown

    if output is not None:
        options.checked_output(output, REPORTS, overwrite)
        if output.suffix.lower() not in (".md", ".json") and len({*models}) * len({*sizes} or {1}) > 1:
            raise OptionError("a picture holds one network at one size", where="-o", hint="name one, or use .md")
    asked = [(model, size) for model in dict.fromkeys(models) for size in dict.fromkeys(sizes or (None,))]
    networks = [(options.load_as(model, size), size) for model, size in asked]
    found: list[Audit | Failed] = []
    for network, size in networks:
        if size is None:
            options.warn_if_assumed(network)
        try:
            found.append(audit(network, size, layers or None, heads))
        except SizeError as error:
            if len(networks) == 1 or size is None:
                raise
            found.append(Failed(network.name, network.title, size, error))
    if all(isinstance(each, Failed) for each in found):
        raise next(each.error for each in found if isinstance(each, Failed))
    text = {"table": _table, "json": _json, "markdown": to_markdown}
    if output is not None and output.suffix.lower() in (".md", ".json"):
        report = text["markdown" if output.suffix.lower() == ".md" else "json"](found)
        options.put(report, output, overwrite)
    elif output is not None:
        (drawn,) = [each for each in found if not isinstance(each, Failed)]
        _draw(networks[0][0], drawn, output)
    click.echo(text[format_](found))
    if output is not None and format_ == "table":
        click.echo(f"\nfile  {printable(output)}")


def _json(found: list[Audit | Failed]) -> str:
    from msgspec import to_builtins

    from padviz.cli.audit_text import Failed
    from padviz.files import documents

    listed = [
        {"network": each.network, "title": each.title, "size": [*each.size], "error": each.why}
        if isinstance(each, Failed)
        else to_builtins(each)
        for each in found
    ]
    return documents.to_json({"schema_version": SCHEMA_VERSION, "results": listed})


def _table(found: list[Audit | Failed]) -> str:
    from padviz.cli.audit_text import Failed, to_rows, to_screen

    first = found[0]
    return to_rows(found) if len(found) > 1 or isinstance(first, Failed) else to_screen(first)


def _draw(network: Network, found: Audit, path: Path) -> None:
    """The map as it is, beside those of the first remedies."""
    from padviz.advice.verdict import maps
    from padviz.figures import panels
    from padviz.figures.canvas import save

    save(panels.compared(maps(network, found, 3), "remedy", "share"), path)
