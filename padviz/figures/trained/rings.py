"""Figures by the distance to the border and by the place in the image, and fair shares beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import SMALL, axes_at, shortened
from padviz.figures.colours import CMAP, colour_map, ink
from padviz.figures.layout import Box, page
from padviz.scoring.rings.bands import Bands
from padviz.scoring.rings.detected import Rings
from padviz.scoring.rings.parts import Places
from padviz.scoring.scored import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

WIDE, HIGH, APART, BELOW, LEFT = 420, 300, 110, 44, 44  # screen pixels
FEW = 20  # objects, below which a cell is hatched
STEP = 0.1  # at multiples of which the colours of places end
COLOURS = ("k", "#2f62b5", "#c22f2f", "#3b8f3b", "#8a5fb0", "#c9891f", "#3aa0a8")
NAMED = 6  # rings along the axis
NAMES = {"accuracy": "accuracy", "iou": "IoU"}


def drawn(scored: Rings | Bands, words: tuple[str, str, str]) -> Figure:
    """Draw the figures of rings with their intervals, and one over a grid of positions, below a title and two lines."""
    aspect = scored.places.aspect
    wide, high = min(WIDE, HIGH * aspect), min(HIGH, WIDE / aspect)

    def lines(figure: Figure, x: float, y: float) -> None:
        curves(axes_at(figure, x, y, WIDE, HIGH), scored)

    def map_(figure: Figure, x: float, y: float) -> None:
        places(axes_at(figure, x, y, wide, high), scored)

    title, *about = words
    boxes = [Box(WIDE, HIGH, lines, left=LEFT, right=APART, below=BELOW), Box(wide, high, map_, above=20, below=BELOW)]
    return page(title, about, boxes)


def curves(ax: Axes, scored: Rings | Bands) -> None:
    """Draw the figures of each ring with their intervals, the outermost first."""
    if isinstance(scored, Rings) and scored.beside:
        share = 100 * np.array(scored.beside.fair_share, float)
        ax.plot(share, "s--", ms=3, lw=1, color="0.6", label=f"fair share,\n{shortened(scored.beside.network, 18)}")
    lines = figures_of(scored)
    for k, (name, figures) in enumerate(lines.items()):
        at = np.array([i for i, each in enumerate(figures) if each.value is not None], float)
        known = [each for each in figures if each.value is not None]
        value = 100 * np.array([each.value for each in known], float)
        ends = 100 * np.array([(each.low, each.high) for each in known], float).reshape(-1, 2).T
        bars = np.nan_to_num(np.abs(ends - value))  # without an interval, no bar
        shift, colour = (k - (len(lines) - 1) / 2) * 0.06, COLOURS[k % len(COLOURS)]
        ax.errorbar(at + shift, value, bars, fmt="o-", ms=3, lw=1, color=colour, label=name)
    _framed(ax, scored)


def figures_of(scored: Rings | Bands) -> dict[str, list[Estimate]]:
    """List the figures of each ring by their names."""
    if isinstance(scored, Bands):
        return {NAMES[scored.figure]: [band.figure for band in scored.rings]}
    rings, names = scored.rings, zip(scored.rings[0].ap, scored.ious, strict=False)
    lines = {"recall": [ring.recall for ring in rings]}
    lines |= {f"AP {iou:g}": [ring.ap[name] for ring in rings] for name, iou in names}
    return {**lines, "AP": [ring.ap["mean"] for ring in rings]}


def _framed(ax: Axes, scored: Rings | Bands) -> None:
    """Name the rings along the axis."""
    rings = scored.rings
    ticks = range(0, len(rings), -(-len(rings) // NAMED))
    ax.set_xticks(ticks, [_where(scored, k) for k in ticks], fontsize=SMALL)
    ax.set_xlim(-0.5, len(rings) - 0.5)
    ax.set_ylim(0, max(102, ax.get_ylim()[1]))
    unit = "px" if scored.of == "px" else "% of half the shorter side"
    ax.set_xlabel(f"distance from the border, {unit}", fontsize=SMALL)
    ax.set_ylabel("%", fontsize=SMALL, rotation=0)
    ax.tick_params(labelsize=SMALL)
    ax.grid(axis="y", lw=0.4, color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02))


def _where(scored: Rings | Bands, k: int) -> str:
    ring, times = scored.rings[k], 1 if scored.of == "px" else 100
    return f"from {ring.first:g}" if ring.last is None else f"{times * ring.first:.3g} to {times * ring.last:.3g}"


def places(ax: Axes, scored: Rings | Bands) -> None:
    """Draw a figure by where in the image objects are; cells with few of them are hatched."""
    spots, name = scored.places, next(iter(figures_of(scored)))
    cells, counts = (spots.recall, spots.objects) if isinstance(spots, Places) else (spots.figure, spots.count)
    values, few = np.array(cells, float), np.array(counts) < FEW
    low, high = limits(values[~few])
    image: Any = ax.imshow(values, cmap=colour_map(CMAP), vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        if few[row, column]:
            ax.add_patch(_hatched((column - 0.5, row - 0.5)))
        if not np.isnan(value):
            look: Any = {"ha": "center", "va": "center", "fontsize": SMALL, "color": ink(image, value)}
            ax.text(column, row, f"{100 * value:.0f}", **look)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(f"{name} by place in the image, %", fontsize=SMALL, loc="left", pad=4)
    if few.any():
        of = "pixels" if name == "IoU" else "objects"
        ax.set_xlabel(f"hatched: fewer than {FEW} {of}", fontsize=SMALL)


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
