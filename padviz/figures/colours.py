"""The colours of pictures and pages, one set for all, and the scales of maps: counts, fair shares,
shares of paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.errors import OptionError, nearest
from padviz.figures.canvas import SMALL, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import FigureBase

CMAP = "plasma"
# orange is starved, white is fair, purple is overused: distinct for colour-blind readers
SHARES = "PuOr"
ALL_STARVED = "copper"  # of shares that are all below fair: dark is least, orange is most
UNEVEN, POOLED = "#c22f2f", "#2f62b5"  # uneven windows: with weights, and without
STARVED = "#b35806"  # the orange of what is starved, as a line
UNREAD = "0.55"  # the grey of pixels that no window reads
STOPS = 9  # of a colour scale on a page
CLIPPED = 2.0  # fair shares from here on look alike
HALF = 0.5  # a pixel with a lower fair share is starved
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def colour_maps() -> list[str]:
    """List matplotlib's colour maps, without the reversed ones."""
    from matplotlib import colormaps

    return [name for name in colormaps if not name.endswith("_r")]


def colour_map(name: str) -> Colormap:
    """Return matplotlib's colour map of that name."""
    from matplotlib import colormaps

    if name not in colormaps:
        hint = (
            nearest(name, list(colormaps))
            or "matplotlib's colour maps are plasma, viridis, magma, ..."
        )
        raise OptionError(f"no colour map is called {name!r}", option="cmap", hint=hint)
    return colormaps[name]


@cache
def hex_stops(name: str) -> list[str]:
    """Return the CSS colours of the map of that name, from the lowest value on; none for an unknown
    name.

    >>> hex_stops("plasma")[::8], hex_stops("none of this name")
    (['#0d0887', '#f0f921'], [])
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if name in colormaps:
        return [to_hex(colormaps[name](at / (STOPS - 1))) for at in range(STOPS)]
    return []


def colouring(cmap: Colormap, low: float, high: float, logarithmic: bool = False) -> ScalarMappable:
    """Return what maps values from `low` to `high` to colours, for `draw_image` and `colorbar`."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    return ScalarMappable((LogNorm if logarithmic else Normalize)(low, high), cmap)


def draw_image(
    ax: Axes, values: NDArray[np.number], colours: ScalarMappable, **look: object
) -> None:
    """Draw values as an image that fills the axes."""
    ax.imshow(values, colours.cmap, colours.norm, aspect="auto", **look)  # type: ignore[arg-type]


def number_cells(
    ax: Axes,
    values: NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    colours: ScalarMappable,
    points: float,
) -> None:
    """Write a text into each cell of a grid: white on dark colours, black on bright ones."""
    bright = colours.to_rgba(values)[..., :3] @ (0.3, 0.59, 0.11) >= 0.5
    for row, col in np.ndindex(values.shape):
        ink = "w"
        if bright[row, col]:
            ink = "k"
        ax.text(col, row, texts[row][col], ha="center", va="center", size=points, color=ink)


class Scale(NamedTuple):
    """Values from `least` to `most`; in a `share`, 1 is fair, and a scale that begins above 0 is
    logarithmic.
    """

    most: float = 1.0
    share: bool = False
    least: float = 0.0

    @property
    def diverges(self) -> bool:
        """Whether colours separate values below 1 from those above."""
        return self.share and not self.least

    @property
    def map_name(self) -> str:
        """The name of its colour map."""
        if self.diverges:
            return SHARES
        if self.share:
            return ALL_STARVED
        return CMAP

    def colours(self, cmap: str | None) -> ScalarMappable:
        """Return its colours: those of matplotlib's map of that name, by default of the scale's
        own.
        """
        named = colour_map(cmap or self.map_name).with_extremes(bad=UNREAD)
        return colouring(named, self.least, self.most, self.share and not self.diverges)


COUNTS, FAIR = Scale(), Scale(CLIPPED, share=True)


def scale_of(counts: CountMap) -> Scale:
    """Return the scale shared by all maps of a kind: that of fair shares, where a map has them."""
    if counts.share_reason is None:
        return FAIR
    return COUNTS


def share_scale(counts: CountMap, values: NDArray[np.float64]) -> Scale:
    """Return the scale of fair shares: around 1, or over the range of the values where all are
    starved.
    """
    if counts.full is not None:
        return COUNTS
    shown = values[np.isfinite(values) & (values > 0)]
    if all_starved(counts) and shown.size and shown.max() > shown.min():
        return Scale(float(shown.max()), share=True, least=float(shown.min()))
    return FAIR


def all_starved(counts: CountMap) -> bool:
    """Whether no pixel gets half of its fair share.

    >>> import padviz
    >>> all_starved(padviz.usage("resnet50", 32)), all_starved(padviz.usage("resnet50", 224))
    (True, False)
    """
    return scale_of(counts) is FAIR and counts.shares.figures.starved == 1


def colour_bar(figure: FigureBase, colours: ScalarMappable, scale: Scale, **where: Any) -> None:
    """Draw the colour bar in axes `cax`, or beside `ax`; that of fair shares has a line at 1 and a
    pointed end.
    """
    ticks: dict[float, str] = {
        value: f"{100 * value:.4g}%" for value in np.linspace(scale.least, 1, 5)
    }
    if scale.diverges:
        ticks = {
            0: "0",
            0.5: "½ ↓ starved",
            1: "1 fair",
            1.5: "1½ ↑ overused",
            CLIPPED: "2 or more",
        }
    elif scale.share:
        ticks = {value: f"{value:.2g}" for value in np.geomspace(scale.least, scale.most, 5)}
    bar = figure.colorbar(colours, extend="max" if scale.diverges else "neither", **where)
    bar.ax.minorticks_off()
    bar.set_ticks([*ticks], labels=[*ticks.values()], fontsize=SMALL)
    if scale.diverges:
        bar.ax.axhline(1, color="black", lw=1)


def write_map_thumbnail(counts: CountMap, path: Path, most: int, cmap: str | None = None) -> None:
    """Write the heat map alone as a PNG file of at most `most` pixels a side, on the scale of all
    maps of its kind.
    """
    block, scale = -(-max(counts.shape) // most), scale_of(counts)
    unshared = scale is COUNTS and counts.full is None
    if unshared:
        values = counts.relative((block, block))
    else:
        values = counts.share((block, block))
    pixels = scale.colours(cmap).to_rgba(values, bytes=True)[..., :3]
    path.write_bytes(png_of(pixels))


def scientific(value: int | float) -> str:
    """Format a count briefly.

    >>> scientific(9), scientific(5625490089369600)
    ('9', '5.63×10¹⁵')
    """
    power = len(str(int(value))) - 1
    return (
        f"{value:g}"
        if power < 5
        else f"{int(value) / 10**power:.2f}×10{str(power).translate(SUPERSCRIPT)}"
    )
