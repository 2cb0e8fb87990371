"""`padviz kernel`: one layer on a small image, cell by cell."""

from __future__ import annotations

import click

from padviz.cli.showing import To, reported
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import Command, given
from padviz.errors import OptionError

SIZE = 7, 7


@click.command(name="kernel", cls=Command)
@given("size paddings kernel stride dilation pixel cmap", kernel=3, stride=1, dilation=1)
@reported("kernel", draws=True)
def command(
    size: Pixels | None,
    paddings: tuple[str | None, ...],
    kernel: int,
    stride: int,
    dilation: int,
    pixel: tuple[int, int] | None,
    cmap: str | None,
    to: To,
) -> None:
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel is used.

    The image has 7 x 7 pixels, and up to 16 x 16 with --size; the padding is zero by default.

    \b
    Example:
      padviz kernel --padding symmetric,reflect --size 5
      padviz kernel --padding partial --pixel 0,0
    """
    from padviz.figures.windows import kernel_cells
    from padviz.geometry.one_layer import MOST, illustrate
    from padviz.network.network import AXES, on_axes
    from padviz.reports.maps.kernel import report_of
    from padviz.reports.tables import pixels

    size = on_axes(size or SIZE, AXES[2])
    if max(size) > MOST:
        raise OptionError(f"{pixels(size)} does not fit on a screen", where="--size", hint=f"use up to {MOST}")
    layers = [illustrate(kernel, stride, dilation, size, scheme or "zero") for scheme in paddings or (None,)]
    if pixel is not None:
        layers[0].taps(*pixel)
    to.show(report_of(layers, pixel, to.files), lambda: kernel_cells.kernels(layers, pixel, cmap))
