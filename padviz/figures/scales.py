"""What the colours of a map stand for: counts, or fair shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.figures.canvas import CMAP, SHARES, SMALL, SUPERSCRIPT, colour_map
from padviz.network.network import Size

CLIPPED = 2.0  # shares from here on look alike
UNREAD = "0.55"  # the grey of pixels that no window reads


@dataclass(frozen=True)
class Scale:
    """Values from 0 to `most`, and their unit; `share` if 1 is what is fair.

    >>> FAIR.most, Scale(9.0, "paths per pixel").share
    (2.0, False)
    """

    most: float
    unit: str
    share: bool = False

    def colours(self, cmap: str | None) -> Any:
        """Find matplotlib's colour map of that name, or its own."""
        return colour_map(cmap or (SHARES if self.share else CMAP)).with_extremes(bad=UNREAD)


FAIR = Scale(CLIPPED, "fair share", share=True)


def scaled(counts: CountMap, blocks: Size = (1, 1), scale: str = "counts") -> tuple[NDArray[np.float64], Scale]:
    """Average blocks: as fair shares, as shares of coverage, or as counts over a power of ten that is readable.

    >>> import padviz
    >>> scaled(padviz.usage("vgg19", 512))[1].unit
    'paths per pixel (×10¹⁵)'
    """
    if counts.full is not None:
        return counts.share(blocks), Scale(1.0, "share of the paths")
    if scale == "share":
        return counts.share(blocks), FAIR
    values, peak = counts.relative(blocks), counts.max
    name = "paths" if counts.pooling == "count" and isinstance(peak, int) else "weighted paths"
    if peak < 100_000:
        exact = counts.tally[0] if values.shape == counts.tally.shape[1:] else values * peak
        return _of_counts(exact.astype(np.float64), f"{name} per pixel")
    power = len(str(int(peak))) - 1
    if values.max() * (int(peak) / 10**power) < 1:  # means of a map are below its maximum
        power -= 1
    exponent = str(power).translate(SUPERSCRIPT)
    return _of_counts(values * (int(peak) / 10**power), f"{name} per pixel (×10{exponent})")


def _of_counts(values: NDArray[np.float64], unit: str) -> tuple[NDArray[np.float64], Scale]:
    return values, Scale(float(values.max()) or 1.0, unit)


def colour_bar(figure: Any, image: Any, place: Any, scale: Scale, size: int, beside: Any = None) -> None:
    """Draw the bar in its place, or beside axes; of shares, with a line at 1 and an end that says there is more."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    ticks = FixedLocator([0, 0.5, 1, 1.5, CLIPPED]) if scale.share else MaxNLocator(6)
    where = {"cax": place} if beside is None else {"ax": beside, "fraction": 0.046, "pad": 0.03}
    bar = figure.colorbar(image, ticks=ticks, extend="max" if scale.share else "neither", **where)
    bar.ax.tick_params(labelsize=SMALL)
    if not scale.share:
        bar.set_label(scale.unit, fontsize=size)
    else:
        bar.ax.axhline(1, color="black", lw=1)
        bar.ax.set_yticklabels(["0", "0.5", "1 fair", "1.5", "2 or more"])
