"""The values along a line of a map, as a small curve beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import screen_size
from padviz.figures.colours import STARVED
from padviz.figures.maps.scales import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HALF = 0.5  # of a fair share: less is starved


def profile(
    figure: Figure, values: NDArray[np.float64], scale: Scale, box: tuple[float, float, float, float], upright: bool
) -> None:
    """Draw values as a line in a box (x, y, width, height): filled where starved, half of a fair share dotted.

    There are no axes, which cost more to make than all that they would hold here.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Polygon

    x, y, wide, high = box
    low, most = (scale.least, scale.most) if scale.least else (0.0, 1.05 * scale.most)
    width, height = screen_size(figure)

    def placed(at: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find points of the page for cells from 0 to 1 and values."""
        part = (value - low) / (most - low)
        points = (x + at * wide, y + high * (1 - part)) if upright else (x + part * wide, y + at * high)
        return np.column_stack([points[0] / width, 1 - points[1] / height])

    edges = np.repeat(np.arange(len(values) + 1) / len(values), 2)[1:-1]
    ends = np.repeat(np.minimum(values, scale.most), 2)
    both = np.append(edges, edges[::-1])
    fills = [(ends, "0.88", 1.0)]
    if scale.colours_diverge:
        fills.append((np.where(ends < HALF, ends, low), STARVED, 0.6))
    for tops, colour, alpha in fills:
        outline = placed(both, np.append(np.nan_to_num(tops, nan=low), np.full(len(edges), low)))
        figure.add_artist(Polygon(outline, lw=0, transform=figure.transFigure, color=colour, alpha=alpha))
    figure.add_artist(Line2D(*placed(edges, ends).T, transform=figure.transFigure, color="0.25", lw=0.9))
    if scale.colours_diverge:
        half = placed(np.array([0.0, 1.0]), np.full(2, HALF))
        figure.add_artist(Line2D(*half.T, transform=figure.transFigure, color="0.4", lw=0.7, ls=":"))
