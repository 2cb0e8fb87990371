"""Mean filters as small multiples, beside what their taps read and their skew."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import EDGE, HEAD, SMALL, headline, new_figure, short_name, shortened
from padviz.figures.colours import UNEVEN, colour_map
from padviz.figures.trained.skews import skews
from padviz.figures.trained.tiles import DIVERGING, bar, canvas, pixels, tile
from padviz.trained.mean_filters import MeanFilter, MeanFilters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, GAP, LABEL = 58, 8, 34  # screen pixels of a tile, between tiles, and above them
CARD_W, CARD_H = 3 * SIDE + 2 * GAP + 26, SIDE + LABEL + 14
CHART, BARS = 150, 140
COLUMNS, TALL = 4, 24  # cards in a row, and rows from which there are more
READS = "gray"  # white is a tap that always reads real pixels
SKEW = 0.3  # of the mean weight, from where on colours are the same
LABELS = (
    "1st: mean filter,\nover its largest",
    "2nd: share of units\nwhose tap reads",
    "3rd: skew, over\nthe mean weight",
)


def filters(mean_filters: MeanFilters, cmap: str | None = None) -> Figure:
    """Draw the mean filter of every convolution, what its taps read, and the skew of the mean |filter|; D above."""
    columns = max(min(COLUMNS, len(mean_filters.rows)), ceil(len(mean_filters.rows) / TALL))
    wide, tall = columns * CARD_W, ceil(len(mean_filters.rows) / columns) * CARD_H
    total_w, total_h = max(EDGE + wide + BARS, 760), HEAD + CHART + 40 + max(tall, 400)
    figure = new_figure(total_w, total_h)
    strided = [axis.skew for axis in mean_filters.strided]
    others = [axis.skew for axis in mean_filters.others]
    line = "skew D: ▾ height, ▸ width · red: stride above 1 · filled: p < 0.05"
    line += f" · mean, strided {np.mean(strided):+z.3f}" if strided else ""
    line += f" · mean, stride 1 {np.mean(others):+z.3f}" if others else ""
    headline(
        figure, f"{shortened(mean_filters.title)}, {mean_filters.size[0]} × {mean_filters.size[1]}: mean filters", line
    )
    left, right = (EDGE + 40) / total_w, 1 - 30 / total_w
    chart = figure.add_axes((left, 1 - (HEAD + CHART - 14) / total_h, right - left, (CHART - 34) / total_h))
    skews(mean_filters, chart)
    ax = canvas(figure, total_w, total_h - HEAD - CHART, HEAD + CHART)
    images = _cards(ax, mean_filters, columns, (EDGE, 20), cmap)
    x, y = EDGE + wide + 12, HEAD + CHART + 20 + LABEL
    for i, (image, label) in enumerate(zip(images, LABELS, strict=True)):
        if image is not None:
            bar(figure, image, (x, y + i * 130, 84), label, beyond=i == 2)
    return figure


def plot(mean_filters: MeanFilters, ax: Axes | None = None, columns: int = COLUMNS, cmap: str | None = None) -> Axes:
    """Draw the cards of all convolutions into `ax`, or into a new figure: mean filter, taps read, skew."""
    columns = max(1, min(columns, len(mean_filters.rows)))
    wide, tall = columns * CARD_W, ceil(len(mean_filters.rows) / columns) * CARD_H
    if ax is None:
        ax = new_figure(wide + 2 * GAP, tall + 2 * GAP).add_axes((0, 0, 1, 1))
    _cards(pixels(ax, wide, tall), mean_filters, columns, (GAP, 0), cmap)
    return ax


def _cards(ax: Axes, mean_filters: MeanFilters, columns: int, corner: tuple[int, int], cmap: str | None) -> list[Any]:
    """Draw a card for each convolution; give an image of each kind, for its colour bar."""
    floor = min((float(row.exposure.min()) for row in mean_filters.rows if row.exposure is not None), default=0.0)
    floor = min(float(np.floor(floor * 20)) / 20, 0.95)
    colours = colour_map(cmap or DIVERGING)
    scales: list[dict[str, Any]] = [
        {"cmap": colours, "vmin": -1, "vmax": 1},
        {"cmap": READS, "vmin": floor, "vmax": 1},
        {"cmap": colours, "vmin": -SKEW, "vmax": SKEW},
    ]
    images: list[Any] = [None, None, None]
    for i, row in enumerate(mean_filters.rows):
        x, y = corner[0] + i % columns * CARD_W, corner[1] + i // columns * CARD_H
        colour = UNEVEN if row.strided else "black"
        ax.text(x, y + 10, f"{i + 1}  {short_name(row.layer)}", fontsize=SMALL - 1, color=colour)
        ax.text(x, y + 24, _figures(row), fontsize=SMALL - 2, color=colour)
        for j, values in enumerate((_relative(row.mean), row.exposure, row.skew)):
            image = tile(ax, values, x + j * (SIDE + GAP), y + LABEL, SIDE, **scales[j])
            images[j] = images[j] or image
    return images


def _relative(mean: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Divide a mean filter by its largest weight."""
    return None if mean is None else mean / (np.abs(mean).max() or 1.0)


def _figures(row: MeanFilter) -> str:
    """Write kernel, stride and D of a convolution."""
    label = f"{row.kernel[0]}×{row.kernel[1]} / {'×'.join(map(str, dict.fromkeys(row.strides)))}"
    label += f": {row.why}" if row.why else ""
    pairs = (("▾", row.height), ("▸", row.width))
    return "   ".join([label, *(f"{mark} {axis.skew:+z.3f}" for mark, axis in pairs if axis is not None)])
