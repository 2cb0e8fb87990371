"""Where a trained network sees, beside the usage of the same places."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from padviz.counting.shares.summary import percent
from padviz.figures.canvas import SMALL, axes_at, shortened
from padviz.figures.colours import CMAP, colour_map
from padviz.figures.layout import Box, grid, page, ticks
from padviz.trained.trying.seen import Array, Seen
from padviz.trained.trying.wording import with_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, BELOW, RIGHT, BAR, LABEL = 52, 44, 50, 13, 40  # screen pixels around a map, and of the bar
WIDE, LEAST, NARROW = 900, 120, 0.5  # screen pixels of both maps, of a map at least, and width over height at least


def beside(found: Seen) -> Figure:
    """Two maps, what is seen and usage, each on a scale from 0 to its largest value."""
    aspect = max(found.size[1] / found.size[0], NARROW)
    columns, wide = grid(2, aspect, (LEFT, BELOW + LABEL), WIDE)
    size = wide, max(wide / aspect, LEAST)
    seen = f"seen: change of the output under a patch of {found.patch} px"
    boxes, images = [], []

    def draw(values: Array, named: bool, figure: Figure, x: float, y: float) -> None:
        ax = axes_at(figure, x, y, *size)
        images.append(_map(ax, found, values))
        ax.set_ylabel("middle of the patch, px" if named and size[1] > LEAST else "", fontsize=SMALL)
        for at, axis, window, pixels in (
            (found.lefts, ax.xaxis, ax.get_xlim(), size[0]),
            (found.tops, ax.yaxis, ax.get_ylim(), size[1]),
        ):
            middles = [round(at[i] + found.patch / 2) for i in (0, len(at) // 2, -1)]
            axis.set_ticks(ticks(middles, window, pixels, axis is ax.xaxis))

    for i, (values, label) in enumerate(((found.values, seen), (found.usage, "usage there; both over the largest"))):
        named = i == 0 or columns == 1
        boxes.append(Box(*size, partial(draw, values, named), label, left=LEFT, below=BELOW))

    def bar(figure: Figure, x: float, y: float) -> None:
        figure.colorbar(images[0], cax=axes_at(figure, x, y, BAR, size[1])).ax.tick_params(labelsize=SMALL)

    title = f"{shortened(found.title, 44)}, {found.size[0]} × {found.size[1]}"
    title += f": the edge is seen at {percent(found.edge.value or 0, 0)} of the inside"
    title += f", counts say {percent(found.edge_usage, 0)}"
    by_usage, by_distance = with_ends(found.by_usage), with_ends(found.by_distance)
    line = f"{found.count} crops · Spearman with usage {by_usage}, with distance to the border {by_distance}"
    return page(title, [line], boxes, columns, Box(BAR, size[1], bar, right=RIGHT))


def plot(found: Seen, ax: Axes | None = None) -> Axes:
    """Draw the map of what is seen into `ax`; without it, the first axes of `beside`."""
    if ax is None:
        return beside(found).axes[0]
    image = _map(ax, found, found.values)
    ax.set_aspect("equal")
    ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    return ax


def _map(ax: Axes, found: Seen, values: Array) -> Any:
    """One map, over its largest value, each place where the middle of its patch was."""
    step = [(at[-1] - at[0]) / (len(at) - 1) for at in (found.tops, found.lefts)]
    half = found.patch / 2
    extent = (
        found.lefts[0] + half - step[1] / 2,
        found.lefts[-1] + half + step[1] / 2,
        found.tops[-1] + half + step[0] / 2,
        found.tops[0] + half - step[0] / 2,
    )
    colours, most = colour_map(CMAP), float(values.max()) or 1.0
    image = ax.imshow(
        values / most, cmap=colours, vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest"
    )
    ax.set_xlabel("middle of the patch, px", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[:].set_visible(False)
    return image
