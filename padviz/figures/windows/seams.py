"""The error of a stitched output as a map, with its seams as ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import SMALL, axes_at, style
from padviz.figures.colours import CMAP, UNEVEN, colour_map, colouring, draw_image
from padviz.figures.layout import Box, page, ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, HIGH, LEAST = 620, 420, 90  # screen pixels: the map at most, and at least
LEFT, BELOW, BAR = 54, 40, 80
MOST = 1024  # blocks of the map along a side: each shows its largest error


def seams(
    errors: NDArray[np.floating],
    lines: Sequence[Sequence[int]],
    title: str,
    words: Sequence[str],
    cmap: str | None = None,
) -> Figure:
    """Draw the rms of the error over channels, (height, width); seams are ticks, and marked at the
    edges.
    """
    values = errors
    high, wide = size = errors.shape
    for axis, n in enumerate(size):
        values = np.maximum.reduceat(values, np.arange(0, n, -(-n // MOST)), axis=axis)
    zoom = min(WIDE / wide, HIGH / high)
    across, down = max(LEAST, wide * zoom), max(LEAST, high * zoom)
    label = "error, rms over channels; triangles: seams"
    box = Box(across, down, label, left=LEFT, right=BAR, above=6, below=BELOW)
    figure, (place,) = page(title, words, [box])
    ax, top = axes_at(*place), float(np.quantile(values, 0.999)) or float(values.max()) or 1.0
    colours = colouring(colour_map(cmap or CMAP), 0, top)
    draw_image(ax, values, colours, extent=(0, wide, high, 0), interpolation="nearest")
    rows, columns = lines
    for beside, below, mark in ((columns, [0] * len(columns), "v"), ([0] * len(rows), rows, ">")):
        if beside:
            ax.plot(beside, below, mark, color=UNEVEN, ms=5, clip_on=False)
    x = ticks([*columns, wide] if columns else [0, wide], (0, wide), across, True)
    if high > 1:
        y = ticks([*rows, high] if rows else [0, high], (0, high), down, False)
    else:
        y = []
    style(ax, "", xticks=x, yticks=y, xlim=(0, wide), ylim=(high, 0))
    bar = figure.colorbar(
        colours, cax=axes_at(figure, place.x + across + 8, place.y, 12, down), extend="max"
    )
    bar.ax.tick_params(labelsize=SMALL)
    return figure
