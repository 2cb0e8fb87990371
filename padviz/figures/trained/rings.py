"""Figures by the distance to the border and by the place in the image, and fair shares beside."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import DPI, SMALL, axes_at
from padviz.figures.colours import CMAP, colour_map, ink
from padviz.figures.layout import Box, page, text_width
from padviz.intervals import FEW, Estimate
from padviz.scoring.rings.bands import NAMES, Bands
from padviz.scoring.rings.detected import RecallGrid, Rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

WIDE, NARROW, MAP, HIGH = 380, 324, 460, 300  # screen pixels of figures, fair shares, the map, and all of them down
LEFT, LEGEND, BELOW, SHARES = 40, 92, 46, 30  # screen pixels around it
BAR, ITS_TICKS = 12, 40  # screen pixels of the scale of colours, and right of it
ASPECTS = 0.6, 1.8  # of the map of places, width over height, at least and at most
STEP = 0.1  # at multiples of which the colours of places end
COLOURS = ("k", "#2f62b5", "#c22f2f", "#3b8f3b", "#8a5fb0", "#c9891f", "#3aa0a8")


def drawn(scored: Rings | Bands, title: str, lines: Sequence[str], beside: str = "") -> Figure:
    """Draw the figures of rings with their intervals, and one over a grid of positions, below a title and lines.

    Fair shares stand in a part of their own, labelled by `beside`: they are no cause.
    """
    aspect = min(max(scored.places.aspect, ASPECTS[0]), ASPECTS[1])
    size = min(MAP, HIGH * aspect), min(HIGH, MAP / aspect)
    name, right = next(iter(figures_of(scored))), BAR + ITS_TICKS + 8
    boxes = [
        Box(WIDE, HIGH, partial(_curves, scored), "%", left=LEFT, right=LEGEND, below=BELOW),
        Box(*size, partial(_places, scored, size), f"{name} by place in the image, %", right=right, below=20),
    ]
    if isinstance(scored, Rings) and scored.beside:
        boxes.insert(1, Box(NARROW, HIGH, partial(_shares, scored), beside, left=SHARES, right=12, below=BELOW))
    return page(title, lines, boxes)


def _curves(scored: Rings | Bands, figure: Figure, x: float, y: float) -> None:
    curves(axes_at(figure, x, y, WIDE, HIGH), scored)


def curves(ax: Axes, scored: Rings | Bands) -> None:
    """Draw the figures of each ring with their intervals, the outermost first."""
    lines = figures_of(scored)
    for k, (name, figures) in enumerate(lines.items()):
        at = np.array([i for i, each in enumerate(figures) if each.value is not None], float)
        known = [each for each in figures if each.value is not None]
        value = 100 * np.array([each.value for each in known], float)
        ends = 100 * np.array([(each.low, each.high) for each in known], float).reshape(-1, 2).T
        bars = np.nan_to_num(np.abs(ends - value))  # without an interval, no bar
        shift, colour = (k - (len(lines) - 1) / 2) * 0.06, COLOURS[k % len(COLOURS)]
        ax.errorbar(at + shift, value, bars, fmt="o-", ms=3, lw=1, color=colour, label=name)
    ax.set_ylim(0, 102)
    _framed(ax, scored, WIDE)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02))


def _shares(scored: Rings, figure: Figure, x: float, y: float) -> None:
    """Draw the mean fair share of each ring, on a scale of its own."""
    ax = axes_at(figure, x, y, NARROW, HIGH)
    share = np.array(scored.beside.fair_share if scored.beside else (), float)
    ax.axhline(1, lw=0.8, color="0.7")
    ax.plot(share, "s--", ms=3, lw=1, color="0.4")
    ax.set_ylim(0, max(1.05, 1.05 * float(np.nanmax(share, initial=0))))
    _framed(ax, scored, NARROW)


def figures_of(scored: Rings | Bands) -> dict[str, list[Estimate]]:
    """List the figures of each ring by their names."""
    if isinstance(scored, Bands):
        return {NAMES[scored.figure]: [band.figure for band in scored.rings]}
    rings, names = scored.rings, zip(scored.rings[0].ap, scored.ious, strict=False)
    lines = {"recall": [ring.recall for ring in rings]}
    lines |= {f"AP {iou:g}": [ring.ap[name] for ring in rings] for name, iou in names}
    return {**lines, "AP": [ring.ap["mean"] for ring in rings]}


def _framed(ax: Axes, scored: Rings | Bands, wide: float) -> None:
    """Name the rings along an axis, as many as have room."""
    rings = scored.rings
    longest = max(text_width(_where(scored, k), SMALL) for k in range(len(rings))) + 8
    ticks = range(0, len(rings), ceil(longest * len(rings) / wide))
    ax.set_xticks(ticks, [_where(scored, k) for k in ticks])
    ax.set_xlim(-0.5, len(rings) - 0.5)
    unit = "px" if scored.of == "px" else "% of half the shorter side"
    ax.set_xlabel(f"distance from the border, {unit}", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.grid(axis="y", lw=0.4, color="0.9")
    ax.spines[["top", "right"]].set_visible(False)


def _where(scored: Rings | Bands, k: int) -> str:
    ring, times = scored.rings[k], 1 if scored.of == "px" else 100
    return f"from {ring.first:g}" if ring.last is None else f"{times * ring.first:.3g} to {times * ring.last:.3g}"


def _places(scored: Rings | Bands, size: tuple[float, float], figure: Figure, x: float, y: float) -> None:
    """Draw the map of places, and the scale of its colours."""
    ax = axes_at(figure, x, y, *size)
    image = places(ax, scored, size)
    bar = figure.colorbar(image, cax=axes_at(figure, x + size[0] + 8, y, BAR, size[1]))
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")


def places(ax: Axes, scored: Rings | Bands, size: tuple[float, float]) -> Any:
    """Draw a figure by where in the image objects are, and how many; cells with few of them are hatched."""
    spots, name = scored.places, next(iter(figures_of(scored)))
    cells, counts = (spots.recall, spots.objects) if isinstance(spots, RecallGrid) else (spots.figure, spots.count)
    values, few = np.array(cells, float), np.array(counts) < FEW
    low, high = limits(values[~few])
    image: Any = ax.imshow(values, cmap=colour_map(CMAP), vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    numbers = name != "IoU" and all(fits(f"of {count}", size, values.shape) for count in np.ravel(counts).tolist())
    for (row, column), value in np.ndenumerate(values):
        if few[row, column]:
            ax.add_patch(_hatched((column - 0.5, row - 0.5)))
        if not np.isnan(value):
            text = f"{100 * value:.0f}" + (f" %\nof {counts[row][column]}" if numbers else "")
            look: Any = {"ha": "center", "va": "center", "fontsize": SMALL, "color": ink(image, value)}
            ax.text(column, row, text, **look)
    ax.set_xticks([])
    ax.set_yticks([])
    of = "pixels" if name == "IoU" else "objects"
    hatched = f"hatched: fewer than {FEW} {of}" if few.any() else ""
    ax.set_xlabel("; ".join(filter(None, [f"of so many {of}" if numbers else "", hatched])), fontsize=SMALL)
    return image


def fits(text: str, size: tuple[float, float], cells: tuple[int, ...]) -> bool:
    """Tell whether a text has room below another one in a cell of a grid, of a size in screen pixels.

    >>> fits("of 120", (420, 300), (6, 6)), fits("of 120", (180, 300), (6, 6))
    (True, False)
    """
    return text_width(text, SMALL) + 6 <= size[0] / cells[1] and size[1] / cells[0] >= 3.2 * SMALL * DPI / 72


def limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Find the ends of the colours: multiples of a tenth about the values.

    >>> limits(np.array([0.49, 0.84])), limits(np.array([]))
    ((0.4, 0.9), (0.0, 1.0))
    """
    if not len(values):
        return 0.0, 1.0
    low, high = float(np.floor(values.min() / STEP) * STEP), float(np.ceil(values.max() / STEP) * STEP)
    return round(low, 1), round(max(high, low + STEP), 1)


def _hatched(corner: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor="0.6", lw=0)
