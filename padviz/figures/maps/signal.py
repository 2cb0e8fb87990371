"""The usage of a signal as a curve: its two ends, and an omission mark for the repetition between them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from padviz.counting.count_map import CountMap
from padviz.figures.canvas import SMALL, axes_at
from padviz.figures.colours import UNEVEN
from padviz.figures.layout import BETWEEN, Box, page
from padviz.figures.maps.scales import HALF

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, TALL, BELOW, LEFT = 760, 260, 44, 52  # screen pixels
LEAST = 24  # samples of an end


def signal(counts: CountMap, scale: str, title: str, caption: str) -> Figure:
    """Draw usage, or fair shares, by sample; of a long signal both ends, as long as its core, which repeats between."""
    share = scale == "share"
    with np.errstate(invalid="ignore"):
        values = counts.share()[0] if share else counts.relative()[0]
    n, end = counts.shape[1], max(LEAST, counts.cols.kept)
    spans = [range(end), range(n - end, n)] if counts.tiled and 2 * end < n else [range(n)]
    wide = (WIDE - BETWEEN * (len(spans) - 1)) // len(spans)

    def draw(i: int, figure: Figure, x: float, y: float) -> None:
        ax = axes_at(figure, x, y, wide, TALL)
        at, here = np.array(spans[i]), values[spans[i].start : spans[i].stop]
        ax.step(at, here, color="0.25", where="mid", lw=1.2)
        ax.fill_between(at, here, step="mid", color="0.85", lw=0)
        ax.set_ylim(0, 1.08 * max(float(np.nanmax(values)), 1.0))
        if share:
            ax.fill_between(at, here, step="mid", where=here < HALF, color=UNEVEN, alpha=0.6, lw=0)
            ax.axhline(HALF, color="0.4", lw=0.7, ls=":")
        ax.set_xlim(spans[i].start - 0.5, spans[i].stop - 0.5)
        ax.set_xlabel("sample", fontsize=SMALL)
        ax.tick_params(labelsize=SMALL)
        ax.spines[["top", "right"]].set_visible(False)
        ax.ticklabel_format(style="plain", useOffset=False)
        if i:
            ax.set_yticklabels([])
            ax.text(-BETWEEN / wide / 2, 0.5, "…", transform=ax.transAxes, ha="center", va="center", fontsize=12)
        else:
            ax.set_ylabel("fair share" if share else "paths over the most", fontsize=SMALL)

    boxes = [Box(wide, TALL, partial(draw, i), left=0 if i else LEFT, below=BELOW) for i in range(len(spans))]
    return page(title, [caption], boxes)
