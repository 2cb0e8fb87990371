"""One layer on a small image, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Annotated, Any, Literal, TypedDict

from padviz.analyses.asked import names
from padviz.analyses.result import Result
from padviz.errors import OptionError
from padviz.geometry.one_layer import MOST, Illustration, illustrate
from padviz.network.network import AXES, as_size, on_axes
from padviz.network.rewrites import canonical, padding_in_words
from padviz.options import CMAP, DILATION, KERNEL, PADDINGS, PIXEL, SIZE, STRIDE, Command
from padviz.reports import tables
from padviz.reports.documents import picked
from padviz.reports.report import Beside, Block, Heading, Report
from padviz.reports.rows import rows_of


def kernel(
    kernel: Annotated[int, KERNEL] = 3,
    stride: Annotated[int, STRIDE] = 1,
    dilation: Annotated[int, DILATION] = 1,
    size: Annotated[int | tuple[int, int], SIZE] = 7,
    padding: Annotated[str | Sequence[str], PADDINGS] = "zero",
    pixel: Annotated[tuple[int, int] | None, PIXEL] = None,
) -> Result[Illustration]:
    """Show a window on a small image: what the padding copies, as letters, and how often each pixel
    is used.

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
    Result
        A window on a small image, under each scheme.

    Raises
    ------
    PadvizError
        For a scheme or size that cannot be used.

    Examples
    --------
    >>> kernel(padding="reflect", size=5)[0].padded[0]
    ['g', 'f', 'g', 'h', 'i', 'j', 'i']
    """
    from padviz.figures.windows import padding as figures

    pixels = on_axes(as_size(size), AXES[2])
    if max(pixels) > MOST:
        raise OptionError(
            f"{tables.pixels(pixels)} does not fit on a screen",
            option="size",
            hint=f"use up to {MOST}",
        )
    schemes = dict.fromkeys(canonical(scheme) or "zero" for scheme in names(padding) or ("zero",))
    layers = tuple(illustrate(kernel, stride, dilation, pixels, scheme) for scheme in schemes)
    if pixel is not None:
        layers[0].taps(*pixel)
    draw = partial(figures.kernels, layers, pixel)
    return Result.made_of(None, layers, partial(report_of, layers, pixel), draw, pictured=True)


class KernelRow(TypedDict):
    """A cell of a grid: of the padded image, the uses of each pixel, or the reads of one pixel by
    each tap; fractions are texts.
    """

    padding: str
    grid: Literal["padded", "uses", "taps"]
    row: int
    column: int
    value: int | str


def report_of(illustrations: Sequence[Illustration], pixel: tuple[int, int] | None) -> Report:
    """Report the grids of a window under some padding schemes, cell by cell."""
    cells: list[KernelRow] = []
    screen: list[Block] = []
    for layer in illustrations:
        window = layer.windows[0]
        grids: dict[Any, Sequence[Sequence[object]]] = {"padded": layer.padded, "uses": layer.uses}
        if pixel:
            grids["taps"] = layer.taps(*pixel)
        for name, rows in grids.items():
            cells += _cells(layer.scheme, name, rows)
        side = f"{window.kernel} x {window.kernel}"
        words = f"{side} kernel, stride {window.stride}, dilation {window.dilation}"
        screen += [
            Heading(f"{padding_in_words(layer.scheme)}: {words}"),
            Beside(_grids(grids, pixel)),
        ]
    facts: dict[str, object] = {"size": [*illustrations[0].size], "pixel": pixel}
    facts |= picked(illustrations[0].windows[0], "kernel stride dilation")
    return Report("kernel", facts, [screen], rows_of(cells, KernelRow))


def _cells(
    scheme: str, grid: Literal["padded", "uses", "taps"], rows: Sequence[Sequence[object]]
) -> Iterator[KernelRow]:
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            exact = value if isinstance(value, int) else str(value)
            yield {"padding": scheme, "grid": grid, "row": i, "column": j, "value": exact}


def _grids(
    grids: Mapping[str, Sequence[Sequence[object]]], pixel: tuple[int, int] | None
) -> list[str]:
    """Write each grid below its name."""
    names = ["padded image", "uses of each pixel"]
    if pixel:
        names.append(f"reads of pixel {pixel[0]},{pixel[1]} by each tap")
    texts = []
    for name, rows in zip(names, grids.values(), strict=True):
        width = max(len(str(cell)) for cell in chain(*rows))
        lines = [" ".join(f"{cell!s:>{width}}" for cell in row) for row in rows]
        texts.append("\n".join([name, *lines]))
    return texts


COMMAND = Command(
    kernel,
    """Show a window on a small image: what the padding copies, as letters, and how often each
    pixel is used.

    The image has 7 x 7 pixels, and up to 16 x 16 with --size; the padding is zero by default.

    \b
    Example:
      padviz kernel --padding symmetric,reflect --size 5
      padviz kernel --padding partial --pixel 0,0
    """,
    look=(CMAP,),
)
