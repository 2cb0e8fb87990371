"""One layer cell by cell, at once or window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from padviz.axis.operations import place
from padviz.figures.canvas import SMALL, axes_at, pixels_of
from padviz.figures.colours import CMAP, UNEVEN, colour_map, ink
from padviz.figures.layout import Box, page, text_width
from padviz.files.atomic import aside
from padviz.geometry.one_layer import Illustration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, TEXT = 36, 9  # screen pixels of a cell, and points of all that is written in one, where it fits
LARGER = 3.0  # times, that cells of taps may be
STEP, LAST = 350, 2000  # milliseconds of a window, and of the last one
Grid = Sequence[Sequence[Any]]


class Shown(NamedTuple):
    """What is shown of a layer: all windows, or those up to one at (row, column), whose taps are outlined."""

    illustration: Illustration
    uses: Grid
    at: tuple[int, int] | None = None


def kernels(illustrations: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str | None = None) -> Figure:
    """Draw illustrations one below the other: padded image in letters, uses, and the taps that read `pixel`."""
    return _drawn([Shown(illustration, illustration.uses) for illustration in illustrations], pixel, cmap)


def _drawn(shown: Sequence[Shown], pixel: tuple[int, int] | None, cmap: str | None) -> Figure:
    names = ["padded image", "uses of each pixel"] + ([f"reads of pixel {pixel[0]},{pixel[1]}"] if pixel else [])
    most = max(float(max(map(max, part.illustration.uses))) for part in shown)
    grids: list[list[Grid]] = [
        [part.illustration.padded, part.uses, *([part.illustration.taps(*pixel)] if pixel else [])] for part in shown
    ]
    points = _points([grid for row in grids for grid in row])
    boxes = []
    for part, row in zip(shown, grids, strict=True):
        for j, grid in enumerate(row):
            label = f"{part.illustration.scheme}: {names[j]}"
            size = _size(part.illustration, grid, j)
            draw = partial(_cells, part, j, grid, size, (most, colour_map(cmap or CMAP), points))
            boxes.append(Box(*size, draw, label, right=max(text_width(label, SMALL) - size[0], 0)))
    first = shown[0].illustration
    window, (high, across) = first.windows[0], first.size
    line = f"stride {window.stride} · dilation {window.dilation} · {high} × {across} pixels · padding in grey"
    title = f"{window.kernel} × {window.kernel} kernel: {_found(first)}"
    return page(title, [line], boxes, len(names) * (2 if len(shown) > 2 else 1))


def _found(first: Illustration) -> str:
    """Say how often a corner and a pixel in the middle are used."""
    corner, middle = first.uses[0][0], first.uses[first.size[0] // 2][first.size[1] // 2]
    return f"with {first.scheme} padding a corner is used {_times(corner)}, the middle {_times(middle)}"


def _times(count: Any) -> str:
    return "once" if count == 1 else f"{_text(count)} times"


def _text(value: Any) -> str:
    return str(value) if len(str(value)) < 6 else f"{float(value):.2f}"


def _points(grids: Sequence[Grid]) -> float:
    """Choose the size of all texts, so that the longest fits a cell."""
    longest = max(text_width(_text(value), TEXT) for grid in grids for row in grid for value in row)
    return min(TEXT, TEXT * (CELL - 4) / longest)


def _size(illustration: Illustration, grid: Grid, which: int) -> tuple[float, float]:
    """Size a grid in screen pixels (width, height); taps are larger where there is room."""
    room = min(len(illustration.padded) / len(grid), LARGER)
    cell = CELL * max(room, 1) if which == 2 else CELL
    return len(grid[0]) * cell, len(grid) * cell


def _cells(
    part: Shown, which: int, grid: Grid, size: tuple[float, float], look: tuple[float, Any, float], *at: Any
) -> None:
    """Draw the padded image in letters, on grey where it is padding; or counts in the colours of a heat map."""
    figure, x, y = at
    most, colours, points = look
    ax = axes_at(figure, x, y, *size)
    ax.set_xticks([])
    ax.set_yticks([])
    if which == 0:
        _lettered(ax, part.illustration, points)
    else:
        _counted(ax, grid, most if which == 1 else None, colours, points)
    if part.at and which == 0:
        _outlined(ax, part.illustration, part.at)


def _counted(ax: Axes, grid: Grid, most: float | None, colours: Any, points: float) -> None:
    """Draw counts in the colours of a heat map from 0 to `most`, each written in its cell."""
    values = np.array([[float(value) for value in row] for row in grid])
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=most or values.max() or 1, aspect="auto")
    for (row, col), value in np.ndenumerate(values):
        text = _text(grid[row][col])
        ax.text(col, row, text, ha="center", va="center", size=points, color=ink(image, value))


def _lettered(ax: Axes, illustration: Illustration, points: float) -> None:
    """Draw the padded image: letters, on grey where they are padding."""
    rows, cols = len(illustration.padded), len(illustration.padded[0])
    inside = np.zeros((rows, cols))
    inside[
        illustration.before[0] : illustration.before[0] + illustration.size[0],
        illustration.before[1] : illustration.before[1] + illustration.size[1],
    ] = 1
    ax.imshow(inside, cmap="gray", vmin=-4, vmax=1, aspect="auto")
    for row, letters in enumerate(illustration.padded):
        for col, letter in enumerate(letters):
            ax.text(col, row, letter, ha="center", va="center", size=points)


def _outlined(ax: Axes, illustration: Illustration, at: tuple[int, int]) -> None:
    """Draw a box around each cell that the window at `at` reads."""
    from matplotlib.patches import Rectangle

    for row in _taps(illustration, 0, at[0]):
        for col in _taps(illustration, 1, at[1]):
            ax.add_patch(Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=UNEVEN, lw=1.6))


def _taps(illustration: Illustration, axis: int, unit: int) -> range:
    window = illustration.windows[axis]
    first = unit * window.stride
    return range(first, first + window.kernel * window.dilation, window.dilation)


def windows_of(illustration: Illustration) -> Iterator[Shown]:
    """Step through the windows: after each, how often each pixel is used by it and those before it.

    >>> from padviz.geometry.one_layer import illustrate
    >>> steps = [*windows_of(illustrate(3, 2, 1, (5, 5), "zero"))]
    >>> len(steps), steps[0].uses[0], steps[-1].uses == illustrate(3, 2, 1, (5, 5), "zero").uses
    (9, [1, 1, 0, 0, 0], True)
    """
    tall, wide = (
        [illustration.reads(axis, unit) for unit in range(place(window, n).n_out)]
        for axis, (window, n) in enumerate(zip(illustration.windows, illustration.size, strict=True))
    )
    uses = np.zeros(illustration.size, object)
    for i, down in enumerate(tall):
        for j, across in enumerate(wide):
            uses = uses + np.array([[a * b for b in across] for a in down], object)
            yield Shown(illustration, uses.tolist(), (i, j))


def film(illustrations: Sequence[Illustration], cmap: str | None, path: Path) -> None:
    """Write an animated picture (.gif) that steps through the windows of the layers, all at once."""
    from PIL.Image import Dither, fromarray

    steps = [[*windows_of(illustration)] for illustration in illustrations]
    count = max(map(len, steps))
    frames = []
    for k in range(count):
        figure = _drawn([part[min(k, len(part) - 1)] for part in steps], None, cmap)
        frames.append(fromarray(pixels_of(figure)).quantize(64, dither=Dither.NONE))
    with aside(path) as temporary:
        frames[0].save(
            temporary, "gif", save_all=True, append_images=frames[1:], loop=0, duration=[STEP] * (count - 1) + [LAST]
        )
