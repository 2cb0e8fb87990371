"""Mean filters as cards, the most skewed first: the filter, what its taps read, and its skew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import SMALL, axes_at, new_figure, short_name, shorten, text_at
from padviz.figures.colours import UNEVEN, colour_map
from padviz.figures.layout import Box, page
from padviz.trained.mean_filters import MeanFilter, MeanFilters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

LARGE, TINY, GAP, LABEL = 76, 34, 6, 34  # screen pixels: tiles of large cards and of others, between, and above them
FIRST, COLUMNS = 8, 4  # large cards, and how many of them in a row
WIDE, CHART, BARS = 1028, 130, 130  # screen pixels: all cards, the chart, and the colour bars
SKEW = 0.3  # of the mean weight, from which on colours are the same
LEAST = 0.04  # range of D that the chart shows at least
LABELS = (
    "1st: mean filter,\nover its largest",
    "2nd: share of units\nwhose tap reads",
    "3rd: skew, over\nthe mean weight",
)


class TileColours(NamedTuple):
    """The colours of one of the three tiles of a card, and the values at their ends."""

    cmap: Colormap
    low: float
    high: float


def filters(mean_filters: MeanFilters, cmap: str | None = None) -> Figure:
    """Draw D of every convolution, and a card for each, the eight most skewed ones large."""
    rows = ranked(mean_filters)
    first, others = rows[:FIRST], rows[FIRST:]
    colours = _colours(mean_filters, cmap)
    images: list[AxesImage | None] = [None] * len(colours)

    def draw_chart(figure: Figure, x: float, y: float) -> None:
        _draw_chart(mean_filters, axes_at(figure, x, y, WIDE - 52, CHART))

    def draw_cards(
        part: Sequence[tuple[int, MeanFilter]], side: int, columns: int, wide: int, figure: Figure, x: float, y: float
    ) -> None:
        high = _card(side)[1] * ceil(len(part) / columns)
        for i, image in enumerate(_draw_cards(axes_at(figure, x, y, wide, high), part, side, columns, colours, wide)):
            images[i] = images[i] or image

    def draw_bars(figure: Figure, x: float, y: float) -> None:
        for i, (image, label) in enumerate(zip(images, LABELS, strict=True)):
            if image is not None:
                top = int(y) + 24 + i * (CHART + 20)
                place = axes_at(figure, int(x), top, 10, CHART - 36)
                bar = figure.colorbar(image, cax=place, extend="both" if i == 2 else "neither")
                bar.ax.tick_params(labelsize=SMALL - 1)
                text_at(figure, int(x), top - 8, label, SMALL - 1)

    boxes = [Box(WIDE - 52, CHART, draw_chart, "D by convolution, in network order", left=52, below=22)]
    for part, side, columns, label in (
        (first, LARGE, min(COLUMNS, len(first)), f"the {len(first)} most skewed" if others else "by skew"),
        (others, TINY, WIDE // _card(TINY)[0], f"the other {len(others)}, by skew"),
    ):
        if part:
            width, height = _card(side)
            wide = min(columns, len(part)) * width if part is others else WIDE
            draw = partial(draw_cards, part, side, columns, wide)
            boxes.append(Box(wide, height * ceil(len(part) / columns), draw, label))
    title = f"{shorten(mean_filters.title)}, {mean_filters.size[0]} × {mean_filters.size[1]}: {_finding(mean_filters)}"
    line = "D: mean skew of filters; above 0, the bottom (▾) or right (▸) half weighs more"
    line += " · red: stride above 1 · filled: p < 0.05"
    return page(title, [line], boxes, 1, Box(BARS, len(LABELS) * (CHART + 20), draw_bars))


def _finding(mean_filters: MeanFilters) -> str:
    strided, others = ([axis.skew for axis in axes] for axes in (mean_filters.strided, mean_filters.others))
    words = []
    if strided:
        words.append(f"D {np.mean(strided):+z.3f} in the mean of strided convolutions")
    if others:
        mean = f"{np.mean(others):+z.3f}"
        words.append(f"{mean} of the others" if strided else f"D {mean} in the mean")
    return ", ".join(words) or "nothing to measure"


def ranked(mean_filters: MeanFilters) -> list[tuple[int, MeanFilter]]:
    """Return convolutions with their numbers in the network, the most skewed first."""
    rows = [*enumerate(mean_filters.rows, start=1)]
    return sorted(rows, key=lambda row: -max((abs(axis.skew) for axis in row[1].axes), default=-1.0))


def plot(mean_filters: MeanFilters, ax: Axes | None = None, columns: int = COLUMNS, cmap: str | None = None) -> Axes:
    """Draw large cards of all convolutions into `ax`, or into a new figure."""
    rows = ranked(mean_filters)
    columns = max(1, min(columns, len(rows)))
    wide, high = columns * _card(LARGE)[0], ceil(len(rows) / columns) * _card(LARGE)[1]
    if ax is None:
        ax = new_figure(wide + 2 * GAP, high + 2 * GAP).add_axes((0, 0, 1, 1))
    _draw_cards(ax, rows, LARGE, columns, _colours(mean_filters, cmap), wide)
    return ax


def _draw_chart(mean_filters: MeanFilters, ax: Axes) -> None:
    """Draw D of every convolution on both axes: strided ones red, filled where sign flips rarely reach it."""
    from matplotlib.ticker import MaxNLocator

    for at, row in enumerate(mean_filters.rows, start=1):
        colour = UNEVEN if row.strided else "0.45"
        for axis, marker in ((row.height, "v"), (row.width, ">")):  # markers point where a positive D has more
            if axis is not None:
                face = colour if axis.p < 0.05 else "none"
                ax.plot([at], [axis.skew], marker, color=colour, markerfacecolor=face, ms=4, mew=0.7)
    ax.axhline(0, color="0.6", lw=0.6)
    ax.set_xlim(0.3, len(mean_filters.rows) + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    ax.set_ylabel("D", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    skew = [0.0, *(axis.skew for row in mean_filters.rows for axis in row.axes)]
    middle, half = (max(skew) + min(skew)) / 2, 0.58 * max(max(skew) - min(skew), LEAST)
    ax.set_ylim(middle - half, middle + half)


def _card(side: int) -> tuple[int, int]:
    """Return the size (width, height) of a card with tiles of that side, in screen pixels."""
    large = side == LARGE
    return 3 * side + 2 * GAP + (16 if large else 14), side + (LABEL if large else 16) + (12 if large else 8)


def _colours(mean_filters: MeanFilters, cmap: str | None) -> list[TileColours]:
    exposed = min((float(row.exposure.min()) for row in mean_filters.rows if row.exposure is not None), default=0.0)
    floor = min(float(np.floor(exposed * 20)) / 20, 0.95)
    diverging = colour_map(cmap or "RdBu_r")  # red is more, white is 0, blue is less
    reads = colour_map("gray")  # white is a tap that always reads real pixels
    return [TileColours(diverging, -1, 1), TileColours(reads, floor, 1), TileColours(diverging, -SKEW, SKEW)]


def _draw_cards(
    ax: Axes,
    rows: Sequence[tuple[int, MeanFilter]],
    side: int,
    columns: int,
    colours: Sequence[TileColours],
    wide: int,
) -> list[AxesImage | None]:
    """Draw a card for each convolution: its number and figures, and three tiles; return the first image of each.

    All cards are on one axes, in screen pixels: one for each tile would take far longer.
    """
    width, height = _card(side)
    ax.set_xlim(0, wide)
    ax.set_ylim(height * ceil(len(rows) / columns), 0)
    ax.axis("off")
    ax.set_aspect("auto")
    images: list[AxesImage | None] = [None] * len(colours)
    for i, (number, row) in enumerate(rows):
        x, y = i % columns * width, i // columns * height
        colour = UNEVEN if row.strided else "black"
        if side == LARGE:
            ax.text(x, y + 10, f"{number}  {short_name(row.layer)}", fontsize=SMALL, color=colour)
            ax.text(x, y + 26, _figures(row), fontsize=SMALL - 1, color=colour)
        else:
            most = max((axis.skew for axis in row.axes), key=abs, default=None)
            text = f"{number}  " + ("" if most is None else f"{most:+z.3f}")
            ax.text(x, y + 10, text, fontsize=SMALL - 1, color=colour)
        top = y + height - side - (12 if side == LARGE else 8)
        mean = None if row.mean is None else row.mean / (np.abs(row.mean).max() or 1.0)
        for j, values in enumerate((mean, row.exposure, row.skew)):
            image = _draw_tile(ax, values, x + j * (side + GAP), top, side, colours[j])
            images[j] = images[j] or image
    return images


def _draw_tile(
    ax: Axes, values: NDArray[np.float64] | None, x: float, y: float, side: int, colours: TileColours
) -> AxesImage | None:
    """Draw a grid in its own proportions within a square of that side; only a frame if it is None."""
    rows, cols = (1, 1) if values is None else values.shape
    zoom = side / max(rows, cols)
    high, wide = rows * zoom, cols * zoom
    limits = ax.get_xlim(), ax.get_ylim()
    image = None
    if values is not None:
        image = ax.imshow(
            values,
            colours.cmap,
            vmin=colours.low,
            vmax=colours.high,
            aspect="auto",
            extent=(x, x + wide, y + high, y),
            interpolation="nearest",
        )
    ax.plot([x, x + wide, x + wide, x, x], [y, y, y + high, y + high, y], color="0.75", lw=0.5)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    return image


def _figures(row: MeanFilter) -> str:
    """Format kernel, stride and D of a convolution."""
    label = f"{row.kernel[0]}×{row.kernel[1]} / {'×'.join(map(str, dict.fromkeys(row.strides)))}"
    label += f": {row.why}" if row.why else ""
    pairs = (("▾", row.height), ("▸", row.width))
    return "   ".join([label, *(f"{mark} {axis.skew:+z.3f}" for mark, axis in pairs if axis is not None)])
