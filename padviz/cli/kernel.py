"""`padviz kernel`: one layer on a small image, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.geometry.one_layer import Illustration

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
@options.output("Draw it to a picture (.png .svg .pdf).")
@options.cmap
@options.overwrite
def command(
    kernel: int,
    stride: int,
    dilation: int,
    size: tuple[int, int],
    padding: str,
    pixel: str | None,
    output: Path | None,
    cmap: str | None,
    overwrite: bool,
) -> None:
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel is used.

    \b
    Example:
      padviz kernel --padding symmetric,reflect --size 5
      padviz kernel --padding partial --pixel 0,0
    """
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.geometry.one_layer import illustrate
    from padviz.network.rewrites import canonical

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    if max(size) > MOST:
        raise OptionError(f"{options.pixels(size)} does not fit on a screen", where="--size", hint=f"use up to {MOST}")
    schemes = dict.fromkeys(map(canonical, options.listed(padding)))
    shown = [illustrate(kernel, stride, dilation, size, scheme) for scheme in schemes if scheme]
    at = _pixel(pixel)
    if at is not None:
        shown[0].taps(*at)
    if output is not None:
        from padviz.figures.canvas import save
        from padviz.figures.windows import kernel_cells

        save(kernel_cells.kernels(shown, at, cmap), output)
    click.echo("\n\n".join(_text(each, at) for each in shown))


def _pixel(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.replace(" ", "").split(",")
    if len(parts) != 2 or not all(part.isdecimal() and len(part) < 4 for part in parts):
        raise OptionError(f"{text!r} is not a pixel", where="--pixel", hint="use ROW,COL, counted from 0")
    return int(parts[0]), int(parts[1])


def _text(shown: Illustration, pixel: tuple[int, int] | None) -> str:
    """The grids side by side."""
    from padviz.network.rewrites import padding_in_words

    window = shown.windows[0]
    scheme = padding_in_words(shown.scheme)
    title = f"{scheme}: {window.kernel} x {window.kernel} kernel, stride {window.stride}, dilation {window.dilation}"
    grids: list[tuple[str, Sequence[Sequence[Any]]]] = [
        ("padded image", shown.padded),
        ("uses of each pixel", shown.uses),
    ]
    if pixel is not None:
        grids.append((f"reads of pixel {pixel[0]},{pixel[1]} by each tap", shown.taps(*pixel)))
    return f"{title}\n\n{_beside([_lines(name, grid) for name, grid in grids])}"


def _lines(name: str, grid: Sequence[Sequence[Any]]) -> list[str]:
    width = max(len(str(cell)) for row in grid for cell in row)
    return [name, *(" ".join(f"{cell!s:>{width}}" for cell in row) for row in grid)]


def _beside(blocks: list[list[str]]) -> str:
    tall = max(map(len, blocks))
    widths = [max(map(len, block)) for block in blocks]
    full = [[*block, *[""] * (tall - len(block))] for block in blocks]
    rows = (
        "    ".join(f"{line:{width}}" for line, width in zip(row, widths, strict=True))
        for row in zip(*full, strict=True)
    )
    return "\n".join(row.rstrip() for row in rows)
