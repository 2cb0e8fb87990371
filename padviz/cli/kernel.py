"""`padviz kernel`: one layer on a small image, cell by cell."""

from __future__ import annotations

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Pixels, SizeType
from padviz.errors import OptionError

MOST = 16  # rows and columns that fit on a screen


@click.command(name="kernel", short_help="One layer on a small image: what padding copies, how often pixels are used.")
@click.option("--kernel", type=click.IntRange(1, 31), default=3, show_default=True, help="Rows and columns of taps.")
@click.option("--stride", type=click.IntRange(1, 31), default=1, show_default=True)
@click.option("--dilation", type=click.IntRange(1, 31), default=1, show_default=True)
@click.option("--size", type=SizeType(), default="7", show_default=True, help="Image size, up to 16.")
@click.option(
    "--padding",
    default="zero",
    show_default=True,
    metavar="MODE[,...]",
    help="One scheme, or several; HEIGHT/WIDTH for one on each axis.",
)
@click.option("--pixel", metavar="ROW,COL", help="Also show how often each cell of the kernel reads this pixel.")
@options.cmap
@reported("kernel", "the layer")
def command(
    kernel: int, stride: int, dilation: int, size: Pixels, padding: str, pixel: str | None, cmap: str | None, to: To
) -> None:
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel is used.

    \b
    Example:
      padviz kernel --padding symmetric,reflect --size 5
      padviz kernel --padding partial --pixel 0,0
    """
    from padviz.figures.windows import kernel_cells
    from padviz.geometry.one_layer import illustrate
    from padviz.network.rewrites import canonical
    from padviz.reports.maps.kernel import report_of
    from padviz.reports.tables import pixels

    if max(size) > MOST:
        raise OptionError(f"{pixels(size)} does not fit on a screen", where="--size", hint=f"use up to {MOST}")
    schemes = dict.fromkeys(map(canonical, options.listed(padding)))
    layers = [illustrate(kernel, stride, dilation, size, scheme) for scheme in schemes if scheme]
    at = _pixel(pixel)
    if at is not None:
        layers[0].taps(*at)
    to.show(report_of(layers, at, to.files), lambda: kernel_cells.kernels(layers, at, cmap))


def _pixel(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.replace(" ", "").split(",")
    if len(parts) != 2 or not all(part.isdecimal() and len(part) < 4 for part in parts):
        raise OptionError(f"{text!r} is not a pixel", where="--pixel", hint="use ROW,COL, counted from 0")
    return int(parts[0]), int(parts[1])
