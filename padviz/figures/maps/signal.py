"""The usage of a signal as a line: its two ends, and what repeats between them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.figures.canvas import SMALL, axes_at
from padviz.figures.colours import UNEVEN
from padviz.figures.layout import BETWEEN, Box, page
from padviz.figures.maps.profiles import HALF

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, TALL, BELOW, LEFT = 760, 260, 44, 52  # screen pixels
LEAST = 24  # samples of an end


def line(counts: CountMap, scale: str, title: str, caption: str) -> Figure:
    """Draw usage, or fair shares, over the samples; of a long signal its ends, which are all that differs."""
    values, spans = _values(counts, scale), _spans(counts)
    wide = (WIDE - BETWEEN * (len(spans) - 1)) // len(spans)

    def draw(i: int, figure: Figure, x: float, y: float) -> None:
        ax = axes_at(figure, x, y, wide, TALL)
        _end(ax, values, spans[i], starved=scale == "share")
        if i:
            ax.set_yticklabels([])
            ax.text(-BETWEEN / wide / 2, 0.5, "…", transform=ax.transAxes, ha="center", va="center", fontsize=12)
        else:
            ax.set_ylabel("fair share" if scale == "share" else "paths over the most", fontsize=SMALL)

    boxes = [Box(wide, TALL, partial(draw, i), left=0 if i else LEFT, below=BELOW) for i in range(len(spans))]
    return page(title, [caption], boxes)


def _values(counts: CountMap, scale: str) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        values: NDArray[np.float64] = counts.share()[0] if scale == "share" else counts.relative()[0]
    return values


def _spans(counts: CountMap) -> list[range]:
    """Choose what is drawn: all samples, or as many at each end as a core has, which repeats between them."""
    n, end = counts.shape[1], max(LEAST, counts.cols.kept)
    if not counts.tiled or 2 * end >= n:
        return [range(n)]
    return [range(end), range(n - end, n)]


def _end(ax: Axes, values: NDArray[np.float64], span: range, starved: bool) -> None:
    """Draw some samples; those below half of an interior one's weight are marked."""
    at, here = np.arange(span.start, span.stop), values[span.start : span.stop]
    step: dict[str, Any] = {"where": "mid", "lw": 1.2}
    ax.step(at, here, color="0.25", **step)
    ax.fill_between(at, here, step="mid", color="0.85", lw=0)
    ax.set_ylim(0, 1.08 * max(float(np.nanmax(values)), 1.0))
    if starved:
        ax.fill_between(at, here, step="mid", where=here < HALF, color=UNEVEN, alpha=0.6, lw=0)
        ax.axhline(HALF, color="0.4", lw=0.7, ls=":")
    ax.set_xlim(span.start - 0.5, span.stop - 0.5)
    ax.set_xlabel("sample", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    ax.ticklabel_format(style="plain", useOffset=False)
