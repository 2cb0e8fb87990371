"""The error of a stitched output as a map, with its seams as ticks, and by distance to the nearest seam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import SMALL, axes_at, style
from padviz.figures.colours import CMAP, UNEVEN, colour_map, colouring, draw_image
from padviz.figures.layout import Box, page, ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, HIGH, LEAST, BESIDE = 620, 420, 90, 260  # screen pixels: the map at most, and at least; the profile
LEFT, BELOW, BAR = 54, 40, 80
MOST = 1024  # blocks of the map along a side: each shows its largest error


def seams(
    error: NDArray[Any], lines: Sequence[Sequence[int]], bands: Sequence[Any], title: str, words: Sequence[str],
    cmap: str | None = None,
) -> Figure:  # fmt: skip
    """Draw the rms of the error over channels, (channels, height, width); seams are ticks, and marked at the edges."""
    values = np.sqrt(np.square(error).mean(axis=0)).reshape(error.shape[1] if error.ndim > 2 else 1, -1)
    size = values.shape
    for axis, n in enumerate(size):
        starts = np.arange(0, n, -(-n // MOST))
        values = np.maximum.reduceat(values, starts, axis=axis)
    zoom = min(WIDE / size[1], HIGH / size[0])
    wide, high = max(LEAST, size[1] * zoom), max(LEAST, size[0] * zoom)
    boxes = [Box(wide, high, "error, rms over channels; triangles: seams", left=LEFT, right=BAR, above=6, below=BELOW)]
    boxes += [
        Box(BESIDE, max(high, 110), "rms by distance to the nearest seam", left=LEFT, above=6, below=BELOW)
    ] * bool(bands)
    figure, (place, *beside) = page(title, words, boxes)
    ax, top = axes_at(*place), float(np.quantile(values, 0.999)) or float(values.max()) or 1.0
    colours = colouring(colour_map(cmap or CMAP), 0, top)
    draw_image(ax, values, colours, extent=(0, size[1], size[0], 0), interpolation="nearest")
    rows, columns = lines if len(size) == len(lines) else ([], lines[0])
    ax.plot(columns, np.zeros(len(columns)), "v", color=UNEVEN, ms=5, clip_on=False)
    ax.plot(np.zeros(len(rows)), rows, ">", color=UNEVEN, ms=5, clip_on=False)
    at = [
        ticks([*own, n] if own else [0, n], (0, n), length, across)
        for own, n, length, across in ((columns, size[1], wide, True), (rows, size[0], high, False))
    ]
    style(ax, "", xticks=at[0], yticks=at[1] if size[0] > 1 else [], xlim=(0, size[1]), ylim=(size[0], 0))
    bar = figure.colorbar(colours, cax=axes_at(figure, place.x + wide + 8, place.y, 12, high), extend="max")
    bar.ax.tick_params(labelsize=SMALL)
    for spot in beside:
        ax = axes_at(*spot)
        ax.plot(range(len(bands)), [band.rms for band in bands], "o-", color=UNEVEN, ms=4, lw=1.2)
        style(ax, xlabel="up to px from a seam", ylim=(0, None), xticks=range(len(bands)))
        ax.set_xticklabels([str(band.px) for band in bands])
    return figure
