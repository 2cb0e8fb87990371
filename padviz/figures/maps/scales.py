"""What the colours of a map stand for: counts, fair shares, or shares of the paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.figures.canvas import SMALL
from padviz.figures.colours import ALL_STARVED, CMAP, SHARES, UNREAD, colour_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLIPPED = 2.0  # shares from here on look alike
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """Values from 0 to `most`; `share` if 1 is what is fair; from `least` up on a logarithm where that is above 0.

    >>> FAIR.most, COUNTS.share
    (2.0, False)
    """

    most: float = 1.0
    share: bool = False
    least: float = 0.0

    @property
    def colours_diverge(self) -> bool:
        """Whether colours tell what is below 1 from what is above."""
        return self.share and not self.least

    @property
    def own(self) -> str:
        """The name of its colours."""
        return SHARES if self.colours_diverge else ALL_STARVED if self.least else CMAP

    def colours(self, cmap: str | None) -> Any:
        """Find matplotlib's colour map of that name, or its own."""
        return colour_map(cmap or self.own).with_extremes(bad=UNREAD)

    def norm(self) -> Any:
        """Make matplotlib's norm."""
        from matplotlib.colors import LogNorm, Normalize

        return LogNorm(self.least, self.most) if self.least else Normalize(0, self.most)


COUNTS, FAIR = Scale(), Scale(CLIPPED, share=True)


def scale_of(counts: CountMap) -> Scale:
    """Choose the scale on which maps are alike, whatever is in them: that of shares, where a map has them."""
    return FAIR if counts.share_reason is None else COUNTS


def share_scale(counts: CountMap, values: NDArray[np.float64]) -> Scale:
    """Choose the scale of shares: around what is fair, or over the range there is where all are starved.

    >>> import padviz
    >>> counts = padviz.usage("resnet50", 224)
    >>> share_scale(counts, counts.share()) == FAIR
    True
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
    if counts.full is not None or counts.share_reason:
        return False
    return counts.shares.figures.starved == 1


def colour_bar(
    figure: Any, image: Any, scale: Scale, place: Axes | None = None, beside: Axes | None = None, least: float = 0.0
) -> None:
    """Draw the bar in its place, or beside axes; of shares, with a line at 1 and an end that says there is more."""
    ticks: dict[float, str] = {value: f"{value:.0%}" for value in np.linspace(least, 1, 5)}
    if scale.least:
        ticks = {value: f"{value:.2g}" for value in np.geomspace(scale.least, scale.most, 5)}
    elif scale.share:
        ticks = {0: "0", 0.5: "½ ↓ starved", 1: "1 fair", 1.5: "1½ ↑ overused", CLIPPED: "2 or more"}
    where = {"cax": place} if place is not None else {"ax": beside, "fraction": 0.046, "pad": 0.03}
    bar = figure.colorbar(image, extend="max" if scale.colours_diverge else "neither", **where)
    bar.ax.minorticks_off()
    bar.set_ticks([*ticks], labels=[*ticks.values()], fontsize=SMALL)
    if scale.colours_diverge:
        bar.ax.axhline(1, color="black", lw=1)


def scientific(value: int | float) -> str:
    """Write a count shortly.

    >>> scientific(9), scientific(5625490089369600)
    ('9', '5.63×10¹⁵')
    """
    power = len(str(int(value))) - 1
    return f"{value:g}" if power < 5 else f"{int(value) / 10**power:.2f}×10{str(power).translate(SUPERSCRIPT)}"
