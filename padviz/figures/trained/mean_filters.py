"""Mean filters as small multiples, the most skewed first, beside what their taps read and their skew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import SMALL, axes_at, new_figure, short_name, shortened
from padviz.figures.colours import UNEVEN, colour_map
from padviz.figures.layout import Box, page
from padviz.figures.trained.skews import skews
from padviz.figures.trained.tiles import DIVERGING, bar, pixels, tile
from padviz.trained.mean_filters import MeanFilter, MeanFilters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGE, TINY, GAP, LABEL = 76, 34, 6, 34  # screen pixels: tiles of large cards and of others, between, and above them
FIRST, COLUMNS = 8, 4  # large cards, and how many stand in a row
WIDE, CHART, BARS = 1028, 130, 130  # screen pixels: all cards, the chart, and the colour bars
READS = "gray"  # white is a tap that always reads real pixels
SKEW = 0.3  # of the mean weight, from where on colours are the same
LABELS = (
    "1st: mean filter,\nover its largest",
    "2nd: share of units\nwhose tap reads",
    "3rd: skew, over\nthe mean weight",
)


def filters(mean_filters: MeanFilters, cmap: str | None = None) -> Figure:
    """Draw D of every convolution, and the mean filter of each, what its taps read, and the skew: eight large."""
    rows = ranked(mean_filters)
    first, others = rows[:FIRST], rows[FIRST:]
    looks = _looks(mean_filters, cmap)
    images: list[Any] = [None] * len(looks)
    boxes = [
        Box(WIDE - 52, CHART, partial(_chart, mean_filters), "D by convolution, in network order", left=52, below=22)
    ]
    for part, side, columns, label in (
        (first, LARGE, min(COLUMNS, len(first)), f"the {len(first)} most skewed" if others else "by skew"),
        (others, TINY, WIDE // _card(TINY)[0], f"the other {len(others)}, by skew"),
    ):
        if part:
            width, height = _card(side)
            high = height * ceil(len(part) / columns)
            wide = min(columns, len(part)) * width if part is others else WIDE
            boxes.append(Box(wide, high, partial(_drawn, part, side, columns, (wide, high), looks, images), label))
    title = f"{shortened(mean_filters.title)}, {mean_filters.size[0]} × {mean_filters.size[1]}: {_found(mean_filters)}"
    line = "D: mean skew of filters; above 0, the bottom (▾) or right (▸) half weighs more"
    line += " · red: stride above 1 · filled: p < 0.05"
    high = len(LABELS) * (CHART + 20)
    return page(title, [line], boxes, 1, Box(BARS, high, partial(_bars, images)))


def _found(mean_filters: MeanFilters) -> str:
    """Say how skewed filters are in the mean, those of strided convolutions and the others."""
    strided, others = ([axis.skew for axis in axes] for axes in (mean_filters.strided, mean_filters.others))
    told = []
    if strided:
        told.append(f"D {np.mean(strided):+z.3f} in the mean of strided convolutions")
    if others:
        mean = f"{np.mean(others):+z.3f}"
        told.append(f"{mean} of the others" if strided else f"D {mean} in the mean")
    return ", ".join(told) or "nothing to measure"


def ranked(mean_filters: MeanFilters) -> list[tuple[int, MeanFilter]]:
    """List convolutions with their numbers in the network, the most skewed first."""
    rows = [*enumerate(mean_filters.rows, start=1)]
    return sorted(rows, key=lambda row: -max((abs(axis.skew) for axis in row[1].axes), default=-1.0))


def plot(mean_filters: MeanFilters, ax: Axes | None = None, columns: int = COLUMNS, cmap: str | None = None) -> Axes:
    """Draw large cards of all convolutions into `ax`, or into a new figure: mean filter, taps read, skew."""
    rows = ranked(mean_filters)
    columns = max(1, min(columns, len(rows)))
    width, height = _card(LARGE)
    wide, tall = columns * width, ceil(len(rows) / columns) * height
    if ax is None:
        ax = new_figure(wide + 2 * GAP, tall + 2 * GAP).add_axes((0, 0, 1, 1))
    _cards(pixels(ax, wide, tall), rows, LARGE, columns, _looks(mean_filters, cmap), [None] * 3)
    return ax


def _card(side: int) -> tuple[int, int]:
    """Size a card with tiles of that side, in screen pixels (width, height)."""
    large = side == LARGE
    return 3 * side + 2 * GAP + (16 if large else 14), side + (LABEL if large else 16) + (12 if large else 8)


def _chart(mean_filters: MeanFilters, figure: Figure, x: float, y: float) -> None:
    skews(mean_filters, axes_at(figure, x, y, WIDE - 52, CHART))


def _drawn(
    rows: Sequence[tuple[int, MeanFilter]],
    side: int,
    columns: int,
    size: tuple[int, int],
    looks: Sequence[dict[str, Any]],
    images: list[Any],
    *place: Any,
) -> None:
    """Draw cards in their place; keep an image of each kind, for its colour bar."""
    figure, x, y = place
    _cards(pixels(axes_at(figure, x, y, *size), *size), rows, side, columns, looks, images)


def _bars(images: Sequence[Any], figure: Figure, x: float, y: float) -> None:
    for i, (image, label) in enumerate(zip(images, LABELS, strict=True)):
        if image is not None:
            bar(figure, image, (int(x), int(y) + 24 + i * (CHART + 20), CHART - 36), label, beyond=i == 2)


def _looks(mean_filters: MeanFilters, cmap: str | None) -> list[dict[str, Any]]:
    """Choose the colours of the three tiles of a card."""
    floor = min((float(row.exposure.min()) for row in mean_filters.rows if row.exposure is not None), default=0.0)
    floor = min(float(np.floor(floor * 20)) / 20, 0.95)
    colours = colour_map(cmap or DIVERGING)
    return [
        {"cmap": colours, "vmin": -1, "vmax": 1},
        {"cmap": READS, "vmin": floor, "vmax": 1},
        {"cmap": colours, "vmin": -SKEW, "vmax": SKEW},
    ]


def _cards(
    ax: Axes,
    rows: Sequence[tuple[int, MeanFilter]],
    side: int,
    columns: int,
    looks: Sequence[dict[str, Any]],
    images: list[Any],
) -> None:
    """Draw a card for each convolution: its number and figures, and three tiles."""
    width, height = _card(side)
    for i, (number, row) in enumerate(rows):
        x, y = i % columns * width, i // columns * height
        colour = UNEVEN if row.strided else "black"
        if side == LARGE:
            ax.text(x, y + 10, f"{number}  {short_name(row.layer)}", fontsize=SMALL, color=colour)
            ax.text(x, y + 26, _figures(row), fontsize=SMALL - 1, color=colour)
        else:
            most = max((axis.skew for axis in row.axes), key=abs, default=None)
            ax.text(
                x, y + 10, f"{number}  " + ("" if most is None else f"{most:+z.3f}"), fontsize=SMALL - 1, color=colour
            )
        top = y + height - side - (12 if side == LARGE else 8)
        for j, values in enumerate((_relative(row.mean), row.exposure, row.skew)):
            image = tile(ax, values, x + j * (side + GAP), top, side, **looks[j])
            images[j] = images[j] or image


def _relative(mean: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Divide a mean filter by its largest weight."""
    return None if mean is None else mean / (np.abs(mean).max() or 1.0)


def _figures(row: MeanFilter) -> str:
    """Write kernel, stride and D of a convolution."""
    label = f"{row.kernel[0]}×{row.kernel[1]} / {'×'.join(map(str, dict.fromkeys(row.strides)))}"
    label += f": {row.why}" if row.why else ""
    pairs = (("▾", row.height), ("▸", row.width))
    return "   ".join([label, *(f"{mark} {axis.skew:+z.3f}" for mark, axis in pairs if axis is not None)])
