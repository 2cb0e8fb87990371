"""One layer cell by cell: the padded image in letters, the uses of each pixel, and the taps that read one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import SMALL, axes_at
from padviz.figures.colours import CMAP, colour_map, colouring, draw_image, number_cells
from padviz.figures.layout import Box, page, text_width
from padviz.geometry.one_layer import Count, Illustration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, TEXT = 36, 9  # screen pixels of a cell, and points of the text in it, where it fits
LARGER = 3.0  # zoom of the taps' cells, at most
Grid = Sequence[Sequence[Any]]


def kernels(illustrations: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str | None = None) -> Figure:
    """Draw illustrations one below the other: padded image in letters, uses, and the taps that read `pixel`."""
    names = ["padded image", "uses of each pixel"] + ([f"reads of pixel {pixel[0]},{pixel[1]}"] if pixel else [])
    most = max(float(max(map(max, each.uses))) for each in illustrations)
    grids: list[list[Grid]] = [
        [each.padded, each.uses, *([each.taps(*pixel)] if pixel else [])] for each in illustrations
    ]
    longest = max(text_width(_text(value), TEXT) for row in grids for grid in row for cells in grid for value in cells)
    points = min(TEXT, TEXT * (CELL - 4) / longest)
    shown = [(each, j, grid) for each, row in zip(illustrations, grids, strict=True) for j, grid in enumerate(row)]
    boxes = []
    for each, j, grid in shown:
        label = f"{each.scheme}: {names[j]}"
        zoom = max(min(len(each.padded) / len(grid), LARGER), 1) if j == 2 else 1
        wide, high = len(grid[0]) * (CELL * zoom), len(grid) * (CELL * zoom)
        boxes.append(Box(wide, high, label, right=max(text_width(label, SMALL) - wide, 0)))
    first = illustrations[0]
    window, (high, across) = first.windows[0], first.size
    line = f"stride {window.stride} · dilation {window.dilation} · {high} × {across} pixels · padding in grey"
    corner, middle = (_times(first.uses[i][j]) for i, j in ((0, 0), (high // 2, across // 2)))
    title = f"{window.kernel} × {window.kernel} kernel: "
    title += f"with {first.scheme} padding a corner is used {corner}, the middle {middle}"
    figure, places = page(title, [line], boxes, len(names) * (2 if len(illustrations) > 2 else 1))
    for place, (each, j, grid) in zip(places, shown, strict=True):
        ax = axes_at(*place)
        ax.set_xticks([])
        ax.set_yticks([])
        if j == 0:  # letters, on grey where they are padding
            (top, left), (high, across) = each.before, each.size
            values = np.zeros((len(grid), len(grid[0])))
            values[top : top + high, left : left + across] = 1
            colours = colouring(colour_map("gray"), -4, 1)
        else:
            values = np.array([[float(value) for value in row] for row in grid])
            colours = colouring(colour_map(cmap or CMAP), 0, most if j == 1 else values.max() or 1)
        draw_image(ax, values, colours)
        number_cells(ax, values, [[_text(value) for value in row] for row in grid], colours, points)
    return figure


def _times(count: Count) -> str:
    return "once" if count == 1 else f"{_text(count)} times"


def _text(value: str | Count) -> str:
    """Write a letter, or a count that fits a cell.

    >>> _text("a"), _text(12345), _text(0.0625)
    ('a', '12345', '0.06')
    """
    return str(value) if len(str(value)) < 6 else f"{float(value):.2f}"
