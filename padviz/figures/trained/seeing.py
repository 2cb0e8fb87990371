"""Where a trained network sees, beside the usage of the same places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from padviz.figures.canvas import BETWEEN, EDGE, HEAD, SMALL, axes_at, headline, new_figure, shortened
from padviz.figures.colours import CMAP, colour_map
from padviz.trained.trying.seen import Array, Seen
from padviz.trained.trying.wording import with_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, LEAST, TITLE, BELOW, BAR = 300, 60, 30, 70, 12  # screen pixels
LEFT = 40  # of each map, for what stands there


def beside(found: Seen) -> Figure:
    """Two maps, what is seen and usage, each on a scale from 0 to its largest value."""
    zoom = SIDE / max(found.size)
    wide, tall = (max(round(n * zoom), LEAST) for n in found.size[::-1])
    pitch = LEFT + max(wide, SIDE) + BETWEEN
    width, height = EDGE + 2 * pitch + 60, HEAD + TITLE + tall + BELOW
    figure = new_figure(width, height)
    seen = f"seen: change of the output under a patch of {found.patch} px"
    usage = "usage there; both over the largest"
    image: Any = None
    for i, (values, label) in enumerate(((found.values, seen), (found.usage, usage))):
        ax = axes_at(figure, EDGE + LEFT + i * pitch, HEAD + TITLE, wide, tall)
        image = _map(ax, found, values)
        ax.set_title(label, fontsize=SMALL, loc="left", pad=4)
    bar = axes_at(figure, EDGE + LEFT + pitch + wide + 10, HEAD + TITLE, BAR, tall)
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=SMALL - 1)
    title = f"{shortened(found.title, 44)}, {found.size[0]} × {found.size[1]}"
    counted = f"counts say {100 * found.edge_usage:.0f} % ({found.count} crops)"
    line = f"the edge is seen at {100 * found.edge.mean:.0f} % of the inside, {counted}"
    by_usage, by_distance = with_ends(found.by_usage), with_ends(found.by_distance)
    headline(figure, title, line, f"Spearman with usage {by_usage}, with distance to the border {by_distance}")
    return figure


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
    ax.set_xlabel("middle of the patch (pixels)", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[:].set_visible(False)
    return image
