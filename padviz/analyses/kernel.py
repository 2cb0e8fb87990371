"""One layer on a small image, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

from padviz.analyses.asked import names
from padviz.analyses.door import Door
from padviz.analyses.result import Result
from padviz.errors import OptionError
from padviz.geometry.one_layer import MOST, Illustration, illustrate
from padviz.network.rewrites import canonical, padding_in_words
from padviz.reports import tables
from padviz.reports.report import Heading, Report, Table, Verbatim, columns


class KernelResult(Result[Illustration]):
    """A window on a small image, under each scheme."""


def kernel(
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    size: int | tuple[int, int] = 7,
    padding: str | Sequence[str] = "zero",
    pixel: tuple[int, int] | None = None,
) -> KernelResult:
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel is used.

    Parameters
    ----------
    kernel, stride, dilation : int
        Rows and columns of taps, the step between windows, and that between taps.
    size : int or (height, width)
        Size of the image in pixels, up to 16.
    padding : str or sequence of str
        One scheme, or several; height/width for one on each axis.
    pixel : (row, column), optional
        Also how often each tap reads this pixel.

    Returns
    -------
    KernelResult

    Raises
    ------
    PadvizError
        For a scheme or size that cannot be used.

    Examples
    --------
    >>> kernel(padding="reflect", size=5)[0].padded[0]
    ['g', 'f', 'g', 'h', 'i', 'j', 'i']
    """
    from padviz.figures.windows import kernel_cells
    from padviz.network.network import AXES, as_size, on_axes

    pixels = on_axes(as_size(size), AXES[2])
    if max(pixels) > MOST:
        raise OptionError(f"{tables.pixels(pixels)} does not fit on a screen", option="size", hint=f"use up to {MOST}")
    schemes = dict.fromkeys(canonical(scheme) or "zero" for scheme in names(padding) or ("zero",))
    layers = tuple(illustrate(kernel, stride, dilation, pixels, scheme) for scheme in schemes)
    if pixel is not None:
        layers[0].taps(*pixel)
    draw = partial(kernel_cells.kernels, layers, pixel)
    return KernelResult.made_of(None, layers, partial(report_of, layers, pixel), draw, pictured=True)


Pixel = tuple[int, int]
Grid = Sequence[Sequence[object]]


def report_of(illustrations: Sequence[Illustration], pixel: Pixel | None) -> Report:
    """Report the grids of a window under some padding schemes."""
    layers = [_facts(layer, pixel) for layer in illustrations]
    screen = [block for layer in illustrations for block in (Heading(_title(layer)), Verbatim(_beside(layer, pixel)))]
    sheet = Table(columns("padding grid row column value"), [row for facts in layers for row in _cells(facts)])
    return Report("kernel", {"layers": layers}, [screen], sheet)


def _title(layer: Illustration) -> str:
    window = layer.windows[0]
    side = f"{window.kernel} x {window.kernel}"
    return f"{padding_in_words(layer.scheme)}: {side} kernel, stride {window.stride}, dilation {window.dilation}"


def _facts(layer: Illustration, pixel: Pixel | None) -> dict[str, Any]:
    """Lay out a layer for JSON; fractions are texts."""
    window = layer.windows[0]
    head = {"padding": layer.scheme, "kernel": window.kernel, "stride": window.stride, "dilation": window.dilation}
    grids: dict[str, Grid] = {
        "padded": layer.padded,
        "uses": layer.uses,
        **({"taps": layer.taps(*pixel)} if pixel else {}),
    }
    exact = {key: [[n if isinstance(n, int) else str(n) for n in row] for row in grid] for key, grid in grids.items()}
    return {**head, "size": [*layer.size], "pixel": pixel, **exact}


def _cells(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("padded", "uses", "taps"):
        for i, row in enumerate(facts.get(name, ())):
            for j, value in enumerate(row):
                yield {"padding": facts["padding"], "grid": name, "row": i, "column": j, "value": value}


def _beside(layer: Illustration, pixel: Pixel | None) -> str:
    """Lay the grids out side by side."""
    grids: dict[str, Grid] = {"padded image": layer.padded, "uses of each pixel": layer.uses}
    if pixel:
        grids[f"reads of pixel {pixel[0]},{pixel[1]} by each tap"] = layer.taps(*pixel)
    blocks = [_lines(name, grid) for name, grid in grids.items()]
    widths = [max(map(len, block)) for block in blocks]
    rows = zip_longest(*blocks, fillvalue="")
    lines = ["    ".join(f"{line:{n}}" for line, n in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(map(str.rstrip, lines))


def _lines(name: str, grid: Grid) -> list[str]:
    width = max(len(str(cell)) for row in grid for cell in row)
    return [name, *(" ".join(f"{cell!s:>{width}}" for cell in row) for row in grid)]


DOOR = Door(
    kernel,
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel is used.

    The image has 7 x 7 pixels, and up to 16 x 16 with --size; the padding is zero by default.

    \b
    Example:
      padviz kernel --padding symmetric,reflect --size 5
      padviz kernel --padding partial --pixel 0,0
    """,
    "size paddings kernel stride dilation pixel cmap",
    model="none",
)
