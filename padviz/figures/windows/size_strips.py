"""Accepted, unstretched and balanced sizes as strips over a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from padviz.figures.canvas import axes_at, style
from padviz.figures.colours import POOLED
from padviz.figures.layout import Box, page, ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, STRIP = 900, 34  # screen pixels: the range, and each strip
LEFT, BELOW = 110, 36


def strips(
    along: Mapping[str, Mapping[str, Sequence[tuple[int, int]]]],
    ends: tuple[int, int],
    title: str,
    words: Sequence[str],
) -> Figure:
    """Draw a strip for each property of each axis: the runs of sizes that have it, (first, how
    many), in a range.
    """
    lo, hi = ends
    boxes = [
        Box(WIDE, STRIP * len(properties), f"{axis}, px", left=LEFT, right=10, above=6, below=BELOW)
        for axis, properties in along.items()
    ]
    figure, places = page(title, words, boxes)
    for place, properties in zip(places, along.values(), strict=True):
        ax = axes_at(*place)
        names = [*properties]
        for row, name in enumerate(names):
            ax.broken_barh(properties[name], (row - 0.35, 0.7), color=POOLED)
        marks = ticks([lo, *(n for n in range(0, hi + 1, 64) if lo < n < hi), hi], (lo, hi), WIDE)
        style(
            ax,
            xlim=(lo, hi + 1),
            ylim=(len(names) - 0.5, -0.5),
            xticks=marks,
            yticks=range(len(names)),
        )
        ax.set_yticklabels(names)
    return figure
