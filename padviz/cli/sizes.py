"""`padviz sizes`: the input sizes at which no padding is read unevenly."""

from __future__ import annotations

import re

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Names, Pixels, SizeType
from padviz.errors import OptionError


@click.command(name="sizes", short_help="Input sizes at which no padding is read unevenly, and their rule.")
@options.model
@click.option("--size", type=SizeType(), help="Size at which an ONNX file or a module is read, if it asks.")
@click.option("--range", "range_", default="64:1024", metavar="LO:HI", show_default=True, help="Sizes to look at.")
@click.option("--axis", type=click.Choice(["both", "height", "width"]), default="both", help="Squares, or one side.")
@options.upto
@options.same
@reported("sizes")
def command(model: str, size: Pixels | None, range_: str, axis: str, layers: Names, same: bool, to: To) -> None:
    """List the even sizes of MODEL: all, those that drop no row, the rules they follow, and multiply-adds (macs).

    \b
    Example:
      padviz sizes resnet50 --range 64:1024
    """
    from padviz.geometry.balance.even_sizes import even_sizes
    from padviz.network.baked import declared
    from padviz.network.targets import cut
    from padviz.reports.tables import pixels
    from padviz.reports.windows.sizes import report_of

    lo, hi = _range(range_)
    network = cut(options.load_as(model, size, same), layers)
    options.warn_if_baked(network)
    if network.fixed:
        axes = " and ".join(("height", "width")[i] for i in network.fixed)
        options.say(f"{network.name}: its {axes} cannot vary, so only {pixels(network.size)} fits")
    if declaration := declared(network):
        options.say(f"{network.name}: {declaration}")
    to.show(report_of(network, even_sizes(network, lo, hi, axis)))


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text, re.ASCII)
    if not match:
        raise OptionError(f"{text!r} is not a range", where="--range", hint="use LO:HI within 1:1000000, as 64:1024")
    return int(match[1]), int(match[2])
