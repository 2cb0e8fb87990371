"""The colour scales of maps: counts, fair shares, or shares of the paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.figures.canvas import SMALL
from padviz.figures.colours import ALL_STARVED, CMAP, SHARES, UNREAD, colour_map
from padviz.files.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import FigureBase

CLIPPED = 2.0  # fair shares from here on look alike
HALF = 0.5  # a pixel with a lower fair share is starved
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """Values from 0 to `most`; in a `share`, 1 is fair; logarithmic from `least` up where that is above 0."""

    most: float = 1.0
    share: bool = False
    least: float = 0.0

    @property
    def diverges(self) -> bool:
        """Whether colours separate values below 1 from those above."""
        return self.share and not self.least

    @property
    def own(self) -> str:
        """The name of its colour map."""
        return SHARES if self.diverges else ALL_STARVED if self.least else CMAP

    def colours(self, cmap: str | None) -> Colormap:
        """Return matplotlib's colour map of that name, by default the scale's own."""
        return colour_map(cmap or self.own).with_extremes(bad=UNREAD)

    def norm(self) -> Normalize:
        """Return matplotlib's norm."""
        from matplotlib.colors import LogNorm, Normalize

        return LogNorm(self.least, self.most) if self.least else Normalize(0, self.most)


COUNTS, FAIR = Scale(), Scale(CLIPPED, share=True)


def scale_of(counts: CountMap) -> Scale:
    """Return the scale shared by all maps of a kind: that of fair shares, where a map has them."""
    return FAIR if counts.share_reason is None else COUNTS


def share_scale(counts: CountMap, values: NDArray[np.float64]) -> Scale:
    """Return the scale of fair shares: around 1, or over the range of the values where all are starved."""
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
    if counts.full is not None or counts.share_reason:
        return False
    return counts.shares.figures.starved == 1


def colour_bar(
    figure: FigureBase,
    image: ScalarMappable,
    scale: Scale,
    place: Axes | None = None,
    beside: Axes | None = None,
    least: float = 0.0,
) -> None:
    """Draw the colour bar in its place, or beside axes; that of fair shares has a line at 1 and a pointed end."""
    ticks: dict[float, str] = {value: f"{value:.0%}" for value in np.linspace(least, 1, 5)}
    if scale.least:
        ticks = {value: f"{value:.2g}" for value in np.geomspace(scale.least, scale.most, 5)}
    elif scale.share:
        ticks = {0: "0", 0.5: "½ ↓ starved", 1: "1 fair", 1.5: "1½ ↑ overused", CLIPPED: "2 or more"}
    where: dict[str, Any] = {"cax": place} if place is not None else {"ax": beside, "fraction": 0.046, "pad": 0.03}
    bar = figure.colorbar(image, extend="max" if scale.diverges else "neither", **where)
    bar.ax.minorticks_off()
    bar.set_ticks([*ticks], labels=[*ticks.values()], fontsize=SMALL)
    if scale.diverges:
        bar.ax.axhline(1, color="black", lw=1)


def write_map_thumbnail(counts: CountMap, path: Path, most: int, cmap: str | None = None) -> None:
    """Write the heat map alone as a PNG file of at most `most` pixels a side, on the scale of all maps of its kind."""
    from PIL.Image import fromarray

    block, scale = -(-max(counts.shape) // most), scale_of(counts)
    unshared = scale is COUNTS and counts.full is None
    values = counts.relative((block, block)) if unshared else counts.share((block, block))
    pixels = scale.colours(cmap)(values / scale.most, bytes=True)[..., :3]
    with atomic_path(path) as temporary:
        fromarray(np.ascontiguousarray(pixels)).save(temporary, "png", compress_level=2)


def scientific(value: int | float) -> str:
    """Format a count briefly.

    >>> scientific(9), scientific(5625490089369600)
    ('9', '5.63×10¹⁵')
    """
    power = len(str(int(value))) - 1
    return f"{value:g}" if power < 5 else f"{int(value) / 10**power:.2f}×10{str(power).translate(SUPERSCRIPT)}"
