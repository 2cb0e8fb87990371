"""Small grids on one canvas in screen pixels: cheaper by far than an axis for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import SMALL, axes_at, text_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGING = "RdBu_r"  # red is more, white is 0, blue is less
FRAME = "0.75"


def pixels(ax: Axes, width: int, height: int) -> Axes:
    """Make an axis a canvas of so many pixels, counted downwards."""
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_aspect("auto")
    ax.axis("off")
    return ax


def tile(ax: Axes, values: NDArray[np.float64] | None, x: float, y: float, side: int, **colours: Any) -> Any:
    """Draw a grid within a square of that side, in its own proportions; only a frame where it is None."""
    rows, cols = (1, 1) if values is None else values.shape
    zoom = side / max(rows, cols)
    high, wide = rows * zoom, cols * zoom
    extent = (x, x + wide, y + high, y)
    limits = ax.get_xlim(), ax.get_ylim()
    image = None
    if values is not None:
        image = ax.imshow(values, extent=extent, aspect="auto", interpolation="nearest", **colours)
    ax.plot([x, x + wide, x + wide, x, x], [y, y, y + high, y + high, y], color=FRAME, lw=0.5)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    return image


def bar(figure: Figure, image: Any, place: tuple[int, int, int], label: str, beyond: bool = False) -> None:
    """Draw a colour bar at (x, y) of that height, in screen pixels, below its label; pointed if there may be more."""
    x, y, high = place
    colour_bar = figure.colorbar(image, cax=axes_at(figure, x, y, 10, high), extend="both" if beyond else "neither")
    colour_bar.ax.tick_params(labelsize=SMALL - 1)
    text_at(figure, x, y - 8, label, SMALL - 1)
