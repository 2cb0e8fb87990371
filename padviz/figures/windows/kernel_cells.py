"""One layer cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import EDGE, HEAD, SMALL, axes_at, headline, new_figure
from padviz.figures.colours import CMAP, colour_map, ink
from padviz.geometry.one_layer import Illustration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def kernels(illustrations: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str | None = None) -> Figure:
    """Draw illustrations one below the other: padded image in letters, uses, and the taps that read `pixel`."""
    cell, gap = 36, 40
    names = ["padded image", "uses of each pixel"] + ([f"reads of pixel {pixel[0]},{pixel[1]}"] if pixel else [])
    grids: list[list[Sequence[Sequence[Any]]]] = [
        [illustration.padded, illustration.uses, *([illustration.taps(*pixel)] if pixel else [])]
        for illustration in illustrations
    ]
    longest = max(len(illustration.scheme) for illustration in illustrations) + 2
    least = [max(170, 7 * (longest + len(name))) for name in names]  # for the titles
    wide = [max(least[i], *(len(row[i][0]) * cell for row in grids)) for i in range(len(names))]
    group = sum(wide) + gap * len(wide)
    per_row = 2 if len(illustrations) > 4 else 1
    lines = [grids[i : i + per_row] for i in range(0, len(grids), per_row)]
    tall = [max(len(grid) for row in line for grid in row) * cell + 56 for line in lines]
    total_w, total_h = max(2 * EDGE + per_row * group - gap, 560), HEAD + sum(tall)
    figure = new_figure(total_w, total_h)
    colours = colour_map(cmap or CMAP)
    most = max(float(max(map(max, illustration.uses))) for illustration in illustrations)
    for i, (illustration, row) in enumerate(zip(illustrations, grids, strict=True)):
        for j, grid in enumerate(row):
            x = EDGE + i % per_row * group + sum(wide[:j]) + gap * j
            y = HEAD + sum(tall[: i // per_row]) + 30
            w, h = len(grid[0]) * cell, len(grid) * cell
            ax = axes_at(figure, x, y, w, h)
            ax.set_title(f"{illustration.scheme}: {names[j]}", fontsize=SMALL, loc="left", pad=4)
            ax.set_xticks([])
            ax.set_yticks([])
            if j:
                _counted(ax, grid, most if j == 1 else None, colours)
            else:
                _lettered(ax, illustration)
    window, (high, across) = illustrations[0].windows[0], illustrations[0].size
    line = f"stride {window.stride} · dilation {window.dilation} · {high} × {across} pixels · padding in grey"
    headline(figure, f"{window.kernel} × {window.kernel} kernel", line)
    return figure


def _counted(ax: Axes, grid: Sequence[Sequence[Any]], most: float | None, colours: Any) -> None:
    """Draw counts in the colours of a heat map from 0 to `most`, each written in its cell."""
    values = np.array([[float(value) for value in row] for row in grid])
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=most or values.max() or 1, aspect="auto")
    texts = [[str(value) if len(str(value)) < 6 else f"{float(value):.2f}" for value in row] for row in grid]
    longest = max(len(text) for row in texts for text in row)
    for (row, col), value in np.ndenumerate(values):
        size = min(9.0, 28 / longest)
        ax.text(col, row, texts[row][col], ha="center", va="center", size=size, color=ink(image, value))


def _lettered(ax: Axes, illustration: Illustration) -> None:
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
            ax.text(col, row, letter, ha="center", va="center", size=9 if len(letter) < 3 else 6)
