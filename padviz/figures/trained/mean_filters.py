"""Mean filters as cards, the most skewed first: the filter, what its taps read, and its skew."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import SMALL, axes_at, short_name, shorten, style, text_at
from padviz.figures.colours import UNEVEN, colour_map, colouring, draw_image
from padviz.figures.layout import Box, Place, page
from padviz.network.network import in_words
from padviz.trained.mean_filters import MeanFilter, MeanFilters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

GAP = 6  # screen pixels between tiles
FIRST = 8  # large cards
WIDE, CHART, BARS = 1028, 130, 130  # screen pixels: all cards, the chart, and the colour bars
SKEW = 0.3  # of the mean weight, from which on colours are the same
LEAST = 0.04  # range of D that the chart shows at least
LABELS = (
    "1st: mean filter,\nover its largest",
    "2nd: share of units\nwhose tap reads",
    "3rd: skew, over\nthe mean weight",
)


class Card(NamedTuple):
    """How a convolution is drawn, in screen pixels: the side of its tiles, and what is right, above
    and below.
    """

    side: int
    right: int
    above: int
    below: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return 3 * self.side + 2 * GAP + self.right, self.above + self.side + self.below


LARGE, TINY = Card(76, 16, 34, 12), Card(34, 14, 16, 8)


def filters(mean_filters: MeanFilters, cmap: str | None = None) -> Figure:
    """Draw D of every convolution, and a card for each, the eight most skewed ones large."""
    rows = [*enumerate(mean_filters.rows, start=1)]
    rows.sort(key=lambda row: -max((abs(axis.skew) for axis in row[1].axes), default=-1.0))
    parts = [(rows, LARGE, "by skew")]
    more = len(rows) - FIRST
    if more > 0:
        parts = [
            (rows[:FIRST], LARGE, f"the {FIRST} most skewed"),
            (rows[FIRST:], TINY, f"the other {more}, by skew"),
        ]
    boxes = [Box(WIDE - 52, CHART, "D by convolution, in network order", left=52, below=22)]
    for part, card, label in parts:
        width, height = card.size
        columns = min(WIDE // width, len(part))
        boxes.append(Box(columns * width, height * ceil(len(part) / columns), label))
    title = (
        f"{shorten(mean_filters.title)}, {in_words(mean_filters.size)}: {_finding(mean_filters)}"
    )
    line = "D: mean skew of filters; above 0, the bottom (▾) or right (▸) half weighs more"
    line += " · red: stride above 1 · filled: p < 0.05"
    figure, (chart, *cards, bars) = page(
        title, [line], boxes, 1, Box(BARS, len(LABELS) * (CHART + 20))
    )
    _draw_chart(mean_filters, axes_at(*chart))
    exposed = min(
        (float(row.exposure.min()) for row in mean_filters.rows if row.exposure is not None),
        default=0.0,
    )
    floor = min(float(np.floor(exposed * 20)) / 20, 0.95)
    diverging = colour_map(cmap or "RdBu_r")  # red is more, white is 0, blue is less
    reads = colour_map("gray")  # white is a tap that always reads real pixels
    colours = [
        colouring(diverging, -1, 1),
        colouring(reads, floor, 1),
        colouring(diverging, -SKEW, SKEW),
    ]
    for place, (part, card, _) in zip(cards, parts, strict=True):
        _draw_cards(axes_at(*place), part, card, place, colours)
    tiles = [*map(_tiles, mean_filters.rows)]
    for i, label in enumerate(LABELS):
        if any(row[i] is not None for row in tiles):
            x, y = int(bars.x), int(bars.y) + 24 + i * (CHART + 20)
            ax = axes_at(figure, x, y, 10, CHART - 36)
            # Only the skew, the last one, may lie beyond its colours.
            bar = figure.colorbar(colours[i], cax=ax, extend=("neither", "neither", "both")[i])
            bar.ax.tick_params(labelsize=SMALL - 1)
            text_at(figure, x, y - 8, label, SMALL - 1)
    return figure


def _finding(mean_filters: MeanFilters) -> str:
    strided, others = (
        [axis.skew for axis in axes] for axes in (mean_filters.strided, mean_filters.others)
    )
    words = []
    if strided:
        words.append(f"D {np.mean(strided):+z.3f} in the mean of strided convolutions")
        if others:
            words.append(f"{np.mean(others):+z.3f} of the others")
    elif others:
        words.append(f"D {np.mean(others):+z.3f} in the mean")
    return ", ".join(words) or "nothing to measure"


def _draw_chart(mean_filters: MeanFilters, ax: Axes) -> None:
    """Draw D of every convolution on both axes: strided ones red, filled where sign flips rarely
    reach it.
    """
    from matplotlib.ticker import MaxNLocator

    for at, row in enumerate(mean_filters.rows, start=1):
        colour = UNEVEN if row.strided else "0.45"
        # Markers point where a positive D has more.
        for axis, marker in ((row.height, "v"), (row.width, ">")):
            if axis is not None:
                face = colour if axis.p < 0.05 else "none"
                ax.plot(
                    [at], [axis.skew], marker, color=colour, markerfacecolor=face, ms=4, mew=0.7
                )
    ax.axhline(0, color="0.6", lw=0.6)
    ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    skew = [0.0, *(axis.skew for row in mean_filters.rows for axis in row.axes)]
    middle, half = (max(skew) + min(skew)) / 2, 0.58 * max(max(skew) - min(skew), LEAST)
    style(
        ax,
        xlim=(0.3, len(mean_filters.rows) + 0.7),
        ylim=(middle - half, middle + half),
        ylabel="D",
    )


def _tiles(row: MeanFilter) -> tuple[NDArray[np.float64] | None, ...]:
    mean = row.mean
    if mean is not None:
        mean = mean / (np.abs(mean).max() or 1.0)
    return mean, row.exposure, row.skew


def _draw_cards(
    ax: Axes,
    rows: Sequence[tuple[int, MeanFilter]],
    card: Card,
    place: Place,
    colours: Sequence[ScalarMappable],
) -> None:
    """Draw a card for each convolution: its number and figures, and three tiles.

    All cards are on one axes, in screen pixels: one for each tile would take far longer.
    """
    width, height = card.size
    columns = int(place.wide // width)
    ax.axis("off")
    for i, (number, row) in enumerate(rows):
        x, y = i % columns * width, i // columns * height
        colour = UNEVEN if row.strided else "black"
        if card is LARGE:
            ax.text(x, y + 10, f"{number}  {short_name(row.layer)}", fontsize=SMALL, color=colour)
            ax.text(x, y + 26, _figures(row), fontsize=SMALL - 1, color=colour)
        else:
            text = f"{number}  "
            if row.axes:
                most = max((axis.skew for axis in row.axes), key=abs)
                text += f"{most:+z.3f}"
            ax.text(x, y + 10, text, fontsize=SMALL - 1, color=colour)
        for j, values in enumerate(_tiles(row)):
            left = x + j * (card.side + GAP)
            _draw_tile(ax, values, left, y + card.above, card.side, colours[j])
    ax.set(xlim=(0, place.wide), ylim=(place.high, 0))


def _draw_tile(
    ax: Axes,
    values: NDArray[np.float64] | None,
    x: float,
    y: float,
    side: int,
    colours: ScalarMappable,
) -> None:
    """Draw a grid in its own proportions within a square of that side.

    Only a frame if it is None.
    """
    high = wide = float(side)
    if values is not None:
        rows, cols = values.shape
        zoom = side / max(rows, cols)
        high, wide = rows * zoom, cols * zoom
        extent = x, x + wide, y + high, y
        draw_image(ax, values, colours, extent=extent, interpolation="nearest")
    ax.plot([x, x + wide, x + wide, x, x], [y, y, y + high, y + high, y], color="0.75", lw=0.5)


def _figures(row: MeanFilter) -> str:
    label = f"{row.kernel[0]}×{row.kernel[1]} / {'×'.join(map(str, dict.fromkeys(row.strides)))}"
    if row.why:
        label += f": {row.why}"
    for mark, axis in (("▾", row.height), ("▸", row.width)):
        if axis is not None:
            label += f"   {mark} {axis.skew:+z.3f}"
    return label
