"""Where a trained network sees, beside the usage of the same places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from padviz.figures.canvas import BETWEEN, CMAP, EDGE, HEAD, SMALL, colour_map, headline, new_figure, shortened
from padviz.trained.trying.seen import Array, Seen
from padviz.trained.trying.wording import with_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, LEAST, TITLE, BELOW, BAR = 300, 60, 30, 70, 12  # screen pixels
LEFT = 40  # of each map, for what stands there


def beside(seen: Seen, cmap: str | None = None) -> Figure:
    """Draw two maps, what is seen and usage, each on a scale from 0 to its largest value."""
    zoom = SIDE / max(seen.size)
    wide, tall = (max(round(n * zoom), LEAST) for n in seen.size[::-1])
    pitch = LEFT + max(wide, SIDE) + BETWEEN
    width, height = EDGE + 2 * pitch + 60, HEAD + TITLE + tall + BELOW
    figure = new_figure(width, height)
    top = 1 - (HEAD + TITLE + tall) / height
    seen_label = f"seen: change of the output under a patch of {seen.patch} px"
    usage = "usage there; both over the largest"
    image: Any = None
    for i, (values, label) in enumerate(((seen.values, seen_label), (seen.usage, usage))):
        ax = figure.add_axes(((EDGE + LEFT + i * pitch) / width, top, wide / width, tall / height))
        image = _map(ax, seen, values, cmap)
        ax.set_title(label, fontsize=SMALL, loc="left", pad=4)
    bar = figure.add_axes(((EDGE + LEFT + pitch + wide + 10) / width, top, BAR / width, tall / height))
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=SMALL - 1)
    title = f"{shortened(seen.title, 44)}, {seen.size[0]} × {seen.size[1]}"
    headline(
        figure,
        title,
        f"the edge is seen at {100 * seen.edge.mean:.0f} % of the inside, counts say {100 * seen.edge_usage:.0f} % "
        f"({seen.count} crops)",
    )
    line = f"Spearman with usage {with_ends(seen.by_usage)}, with distance to the border {with_ends(seen.by_distance)}"
    figure.text(EDGE / width, 1 - 74 / height, line, fontsize=SMALL)
    return figure


def plot(seen: Seen, ax: Axes | None = None) -> Axes:
    """Draw the map of what is seen into `ax`; without it, the first axes of `beside`."""
    if ax is None:
        return beside(seen).axes[0]
    _map(ax, seen, seen.values, None)
    return ax


def _map(ax: Axes, seen: Seen, values: Array, cmap: str | None) -> Any:
    """Draw one map, over its largest value, each place where the middle of its patch was."""
    step = [(at[-1] - at[0]) / (len(at) - 1) for at in (seen.tops, seen.lefts)]
    half = seen.patch / 2
    extent = (
        seen.lefts[0] + half - step[1] / 2,
        seen.lefts[-1] + half + step[1] / 2,
        seen.tops[-1] + half + step[0] / 2,
        seen.tops[0] + half - step[0] / 2,
    )
    colours, most = colour_map(cmap or CMAP), float(values.max()) or 1.0
    image = ax.imshow(
        values / most, cmap=colours, vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest"
    )
    ax.set_xlabel("middle of the patch (pixels)", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[:].set_visible(False)
    return image
