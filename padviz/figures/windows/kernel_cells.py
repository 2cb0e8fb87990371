"""One layer cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import SMALL, axes_at
from padviz.figures.colours import CMAP, colour_map, ink
from padviz.figures.layout import Box, page, text_width
from padviz.geometry.one_layer import Illustration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, TEXT = 36, 9  # screen pixels of a cell, and points of all that is written in one, where it fits
LARGER = 3.0  # times, that cells of taps may be
Grid = Sequence[Sequence[Any]]


def kernels(illustrations: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str | None = None) -> Figure:
    """Draw illustrations one below the other: padded image in letters, uses, and the taps that read `pixel`."""
    names = ["padded image", "uses of each pixel"] + ([f"reads of pixel {pixel[0]},{pixel[1]}"] if pixel else [])
    most = max(float(max(map(max, each.uses))) for each in illustrations)
    grids: list[list[Grid]] = [
        [each.padded, each.uses, *([each.taps(*pixel)] if pixel else [])] for each in illustrations
    ]
    points = _points([grid for row in grids for grid in row])
    boxes = []
    for each, row in zip(illustrations, grids, strict=True):
        for j, grid in enumerate(row):
            label = f"{each.scheme}: {names[j]}"
            size = _size(each, grid, j)
            draw = partial(_cells, each, j, grid, size, (most, colour_map(cmap or CMAP), points))
            boxes.append(Box(*size, draw, label, right=max(text_width(label, SMALL) - size[0], 0)))
    first = illustrations[0]
    window, (high, across) = first.windows[0], first.size
    line = f"stride {window.stride} · dilation {window.dilation} · {high} × {across} pixels · padding in grey"
    title = f"{window.kernel} × {window.kernel} kernel: {_found(first)}"
    return page(title, [line], boxes, len(names) * (2 if len(illustrations) > 2 else 1))


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
    illustration: Illustration,
    which: int,
    grid: Grid,
    size: tuple[float, float],
    look: tuple[float, Any, float],
    *at: Any,
) -> None:
    """Draw the padded image in letters, on grey where it is padding; or counts in the colours of a heat map."""
    figure, x, y = at
    most, colours, points = look
    ax = axes_at(figure, x, y, *size)
    ax.set_xticks([])
    ax.set_yticks([])
    if which == 0:
        _lettered(ax, illustration, points)
    else:
        _counted(ax, grid, most if which == 1 else None, colours, points)


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
