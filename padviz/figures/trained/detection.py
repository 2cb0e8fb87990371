"""Scores by position: where a network sees something, and its blind spots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import BETWEEN, EDGE, HEAD, MEDIUM, SMALL, axes_at, headline, new_figure, shortened
from padviz.figures.colours import colour_map
from padviz.trained.detecting.detectability import Detectability, PositionMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, LEAST, LABEL = 300, 60, 180  # screen pixels of a map, and what its label needs
BAR, LEFT, BELOW, ABOVE = 14, 34, 52, 34
COLOURS = "viridis"
UNSEEN = "0.75"  # where no contrast is enough
OUTLINE = "#ff3b3b"
PER_ROW = 3


def positions(scores: Detectability, cmap: str | None = None) -> Figure:
    """Draw the scores by position, a map for each padding, with blind spots outlined, on one scale from 0 to 1."""
    count = len(scores.maps)
    per_row = min(count, PER_ROW)
    box_w, box_h = _box(scores)
    pitch, row_h = max(box_w, LABEL) + LEFT + BETWEEN, ABOVE + box_h + BELOW
    rows = -(-count // per_row)
    title = f"{shortened(scores.title)}, {scores.size[0]} × {scores.size[1]}"
    lines = _lines(scores)
    width = max(EDGE + per_row * pitch + BAR + 80, int(7.6 * max(map(len, lines))) + 2 * EDGE)
    height = HEAD + 20 + rows * row_h + 10
    figure = new_figure(width, height)
    image: Any = None
    for i, score_map in enumerate(scores.maps):
        row, col = divmod(i, per_row)
        ax = axes_at(figure, EDGE + LEFT + col * pitch, HEAD + 20 + row * row_h + ABOVE, box_w, box_h)
        image = _draw(ax, scores, score_map, cmap)
        ax.set_title(_label(score_map), fontsize=SMALL, loc="left", pad=4)
        down, right = ("shift down", "shift right") if scores.shifted else ("top", "left")
        ax.set_xlabel(f"{right} (pixels)" if i + per_row >= count else "", fontsize=SMALL)
        ax.set_ylabel(f"{down} (pixels)" if col == 0 else "", fontsize=SMALL)
    bar = figure.colorbar(image, cax=axes_at(figure, EDGE + per_row * pitch + 10, HEAD + 20 + ABOVE, BAR, box_h))
    bar.ax.tick_params(labelsize=SMALL - 1)
    bar.set_label("contrast needed" if scores.maps[0].threshold else "score", fontsize=SMALL)
    headline(figure, title, *lines)
    return figure


def plot(scores: Detectability, ax: Axes | None = None, padding: str | None = None) -> Axes:
    """Draw one map alone into `ax`, with a title; without `ax`, the first axes of `positions`."""
    if ax is None:
        return positions(scores).axes[0]
    score_map = next((score_map for score_map in scores.maps if score_map.padding == padding), scores.maps[0])
    ax.figure.colorbar(_draw(ax, scores, score_map, None), ax=ax, fraction=0.046, pad=0.03)
    ax.set_aspect("equal")
    ax.set_title(f"{shortened(scores.title)}\n{_label(score_map)}", fontsize=MEDIUM)
    return ax


def _draw(ax: Axes, scores: Detectability, score_map: PositionMap, cmap: str | None) -> Any:
    """Draw one map, each score where it was found, with a line around blind spots."""
    step = _step(scores.tops), _step(scores.lefts)
    extent = (
        scores.lefts[0] - step[1] / 2,
        scores.lefts[-1] + step[1] / 2,
        scores.tops[-1] + step[0] / 2,
        scores.tops[0] - step[0] / 2,
    )
    colours = colour_map(cmap or (f"{COLOURS}_r" if score_map.threshold else COLOURS)).with_extremes(bad=UNSEEN)
    values = np.where(np.isfinite(score_map.values), score_map.values, np.nan)
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest")
    _outline(ax, score_map, scores, step)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[:].set_visible(False)
    return image


def _outline(ax: Axes, score_map: PositionMap, scores: Detectability, step: tuple[int, int]) -> None:
    """Draw lines along the sides of cells where a blind spot begins or ends."""
    from matplotlib.collections import LineCollection

    hidden = np.pad(score_map.hidden, 1)
    tops = [scores.tops[0] + (i - 0.5) * step[0] for i in range(len(scores.tops) + 1)]
    lefts = [scores.lefts[0] + (j - 0.5) * step[1] for j in range(len(scores.lefts) + 1)]
    lines = []
    for i, j in zip(*np.nonzero(hidden[1:, 1:-1] != hidden[:-1, 1:-1]), strict=True):
        lines.append([(lefts[j], tops[i]), (lefts[j + 1], tops[i])])
    for i, j in zip(*np.nonzero(hidden[1:-1, 1:] != hidden[1:-1, :-1]), strict=True):
        lines.append([(lefts[j], tops[i]), (lefts[j], tops[i + 1])])
    ax.add_collection(LineCollection(lines, colors=OUTLINE, linewidths=1.2, clip_on=False), autolim=False)


def _label(score_map: PositionMap) -> str:
    """Write a padding, and the figures of its map."""
    name = score_map.padding or "as trained"
    if score_map.least is None or score_map.most is None:
        return f"{name}\n{'NaN everywhere' if score_map.lost == 1 else 'no contrast is enough'}"
    spots = "no blind spots known" if score_map.blind is None else f"{score_map.blind:.1%} blind spots"
    return f"{name}\n{score_map.least:.3g} to {score_map.most:.3g}, {spots}"


def _lines(scores: Detectability) -> tuple[str, str]:
    """Say what was shown, and what the outline means."""
    what = "contrast needed" if scores.maps[0].threshold else "score"
    what += " to lose it" if scores.maps[0].below else ""
    if scores.shifted:
        stimulus = f"{shortened(scores.stimulus, 40)}, shifted under the frame"
    else:
        contrast = "" if scores.maps[0].threshold else f" at a contrast of {scores.contrast:.2g}"
        stimulus = f"{shortened(scores.stimulus, 60)}{contrast}"
    class_ = "" if scores.class_ is None else f", class {scores.class_}"
    outline = (
        "more than twice the median contrast" if scores.maps[0].threshold else "less than half of the median score"
    )
    at = "shift of the picture" if scores.shifted else "position, of the upper left corner"
    output = "output" if scores.output == "output" else f"output {shortened(scores.output, 40)}"
    return f"{what} by {at}: {stimulus}", f"{output}{class_} · red: {outline}"


def _step(at: tuple[int, ...]) -> int:
    return at[1] - at[0] if len(at) > 1 else 8


def _box(scores: Detectability) -> tuple[int, int]:
    """Size a map in screen pixels (width, height), in the proportions of the positions."""
    tall, wide = len(scores.tops) * _step(scores.tops), len(scores.lefts) * _step(scores.lefts)
    zoom = SIDE / max(tall, wide)
    return max(round(wide * zoom), LEAST), max(round(tall * zoom), LEAST)
