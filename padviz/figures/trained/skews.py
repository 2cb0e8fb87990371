"""How skewed the filters of each convolution are, in network order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from padviz.figures.canvas import SMALL
from padviz.figures.colours import UNEVEN
from padviz.trained.mean_filters import MeanFilters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OTHERS = "0.45"
LEAST = 0.04  # of D, that the chart shows at least
AXIS_MARKERS = (("height", "v"), ("width", ">"))  # markers that point where a positive D has more


def skews(mean_filters: MeanFilters, ax: Axes) -> None:
    """Draw D of every convolution on both axes: strided ones in red; filled where sign flips rarely reach it."""
    from matplotlib.ticker import MaxNLocator

    for at, row in enumerate(mean_filters.rows, start=1):
        colour = UNEVEN if row.strided else OTHERS
        for name, marker in AXIS_MARKERS:
            axis = getattr(row, name)
            if axis is not None:
                face = colour if axis.p < 0.05 else "none"
                ax.plot(
                    [at], [axis.skew], marker, color=colour, markerfacecolor=face, markersize=4, markeredgewidth=0.7
                )
    ax.axhline(0, color="0.6", lw=0.6)
    ax.set_xlim(0.3, len(mean_filters.rows) + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    ax.set_ylabel("D", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    skew = [0.0, *(axis.skew for row in mean_filters.rows for axis in row.axes)]
    middle, half = (max(skew) + min(skew)) / 2, 0.58 * max(max(skew) - min(skew), LEAST)
    ax.set_ylim(middle - half, middle + half)
