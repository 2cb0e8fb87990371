"""Recall and precision by the distance to the border, where in the image objects are found, and fair shares beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import EDGE, HEAD, SMALL, axes_at, headline, new_figure, shortened
from padviz.figures.colours import CMAP, colour_map, ink
from padviz.scoring.rings.bands import Bands
from padviz.scoring.rings.detected import Rings
from padviz.scoring.scored import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, HIGH, APART, BELOW = 420, 300, 90, 74  # screen pixels
FEW = 20  # objects, below which a cell is hatched
COLOURS = ("k", "#2f62b5", "#c22f2f", "#3b8f3b", "#8a5fb0", "#c9891f", "#3aa0a8")
NAMED = 6  # rings along the axis


def drawn(scored: Rings | Bands, words: str) -> Figure:
    """Draw the figures of rings with their intervals, and recall over a grid of positions, below a sentence."""
    if isinstance(scored, Bands):
        return _of_bands(scored, words)
    figure = new_figure(EDGE + 30 + WIDE + 2 * APART + HIGH + 90, HEAD + 30 + HIGH + BELOW)
    curves(axes_at(figure, EDGE + 30, HEAD + 30, WIDE, HIGH), scored)
    places(axes_at(figure, EDGE + 30 + WIDE + 2 * APART, HEAD + 30, HIGH, HIGH), scored)
    about = f"{scored.images:,} images, {scored.objects:,} objects, {scored.detections:,} detections"
    headline(figure, "Does the detector do worse near the border?", about, words)
    return figure


def _of_bands(bands: Bands, words: str) -> Figure:
    figure = new_figure(EDGE + 30 + WIDE + 2 * APART, HEAD + 30 + HIGH + BELOW)
    name = "IoU" if bands.figure == "iou" else bands.figure
    _drawn(axes_at(figure, EDGE + 30, HEAD + 30, WIDE, HIGH), bands, {name: [band.figure for band in bands.rings]})
    headline(figure, f"{name[:1].upper()}{name[1:]} by the distance to the border", f"{bands.images:,} images", words)
    return figure


def curves(ax: Axes, scored: Rings) -> None:
    """Draw recall, precision and fair share of each ring, the outermost first."""
    rings = scored.rings
    lines: dict[str, list[Estimate]] = {"recall": [ring.recall for ring in rings]}
    lines |= {
        f"AP {iou:g}": [ring.ap[name] for ring in rings] for name, iou in zip(rings[0].ap, scored.ious, strict=False)
    }
    lines["AP"] = [ring.ap["mean"] for ring in rings]
    if scored.beside:
        share = np.array(scored.beside.fair_share, float)
        ax.plot(share, "s--", ms=3, lw=1, color="0.6", label=f"fair share,\n{shortened(scored.beside.network, 18)}")
    _drawn(ax, scored, lines)


def _drawn(ax: Axes, scored: Rings | Bands, lines: dict[str, list[Estimate]]) -> None:
    """Draw figures of each ring with their intervals."""
    rings = scored.rings
    for k, (name, figures) in enumerate(lines.items()):
        at = np.array([i for i, each in enumerate(figures) if each.value is not None], float)
        ends = np.array([each for each in figures if each.value is not None], float).reshape(-1, 3)
        value, low, high = ends.T
        shift, colour = (k - (len(lines) - 1) / 2) * 0.06, COLOURS[k % len(COLOURS)]
        ax.errorbar(at + shift, value, (value - low, high - value), fmt="o-", ms=3, lw=1, color=colour, label=name)
    ticks = range(0, len(rings), -(-len(rings) // NAMED))
    ax.set_xticks(ticks, [_where(scored, k) for k in ticks], fontsize=SMALL)
    ax.set_xlim(-0.5, len(rings) - 0.5)
    ax.set_ylim(0, max(1.02, ax.get_ylim()[1]))
    unit = "px" if scored.of == "px" else "% of half the shorter side"
    ax.set_xlabel(f"distance from the border, {unit}", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.grid(axis="y", lw=0.4, color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02))


def _where(scored: Rings | Bands, k: int) -> str:
    ring, times = scored.rings[k], 1 if scored.of == "px" else 100
    return f"from {ring.first:g}" if ring.last is None else f"{times * ring.first:.3g} to {times * ring.last:.3g}"


def places(ax: Axes, scored: Rings) -> None:
    """Draw recall by where in the image objects are; cells with few objects are hatched."""
    recall, objects = np.array(scored.places.recall, float), np.array(scored.places.objects)
    image: Any = ax.imshow(recall, cmap=colour_map(CMAP), vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(recall):
        if objects[row, column] < FEW:
            corner = column - 0.5, row - 0.5
            ax.add_patch(_hatched(corner))
        if not np.isnan(value):
            ax.text(
                column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=SMALL, color=ink(image, value)
            )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title("recall by place in the image, %", fontsize=SMALL, loc="left", pad=4)
    if (objects < FEW).any():
        ax.set_xlabel(f"hatched: fewer than {FEW} objects", fontsize=SMALL)


def _hatched(corner: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor="0.7", lw=0)
