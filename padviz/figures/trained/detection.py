"""Scores by position: where a network sees something, and its blind spots."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.counting.shares.summary import percent
from padviz.figures.canvas import MEDIUM, SMALL, axes_at, shortened
from padviz.figures.colours import colour_map
from padviz.figures.layout import Box, grid, page, ticks
from padviz.trained.detecting.detectability import Detectability, PositionMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, BELOW, LABEL = 52, 44, 44  # screen pixels around a map: ticks and their labels, and its own label
LEAST, WIDE, ALONE = 110, 1080, 420  # screen pixels: of a map at least, of all of them, and of one alone
BAR, RIGHT = 13, 66
NARROW = 0.5  # width over height of a map alone, at least
COLOURS = "viridis"
UNSEEN = "0.75"  # where no contrast is enough
OUTLINE = "#ff3b3b"


def positions(scores: Detectability, cmap: str | None = None) -> Figure:
    """Draw the scores by position, a map for each padding, with blind spots outlined, on one scale from 0 to 1."""
    steps = _step(scores.tops) * len(scores.tops), _step(scores.lefts) * len(scores.lefts)
    count, aspect = len(scores.maps), steps[1] / steps[0]
    aspect = max(aspect, NARROW) if count == 1 else aspect
    columns, wide = grid(count, aspect, (LEFT, BELOW + LABEL), WIDE)
    wide = max(min(wide, ALONE * min(max(aspect, 1), 2)) if count == 1 else wide, LEAST)
    size = wide, max(wide / aspect, LEAST / 2)
    images: list[Any] = []
    boxes = []
    for i, score_map in enumerate(scores.maps):
        named = i + columns >= count, i % columns == 0
        draw = partial(_box, scores, score_map, cmap, named, size, images)
        boxes.append(Box(*size, draw, _label(score_map), left=LEFT, below=BELOW))

    def bar(figure: Figure, x: float, y: float) -> None:
        drawn = figure.colorbar(images[0], cax=axes_at(figure, x, y, BAR, size[1]))
        parts = (0, 1) if size[1] < 2 * LEAST else (0, 0.25, 0.5, 0.75, 1)
        at = [_most(scores) * part for part in parts]
        drawn.set_ticks(at, labels=[f"{value:.2g}" for value in at])
        drawn.ax.tick_params(labelsize=SMALL)
        drawn.set_label("contrast needed" if scores.maps[0].threshold else "score", fontsize=SMALL)

    title = f"{shortened(scores.title)}, {scores.size[0]} × {scores.size[1]}: {_found(scores)}"
    return page(title, _lines(scores), boxes, columns, Box(BAR, size[1], bar, right=RIGHT))


def _found(scores: Detectability) -> str:
    """Say how much is blind as trained, and under the padding with the fewest blind spots."""
    first, *others = scores.maps
    if first.blind is None:
        return "no blind spots known"
    told = f"blind at {percent(first.blind)} of the positions"
    known = [(other.blind, other.padding) for other in others if other.blind is not None]
    if known:
        best, padding = min(known, key=lambda pair: pair[0])
        told += f" {first.padding or 'as trained'}, at {percent(best)} with {padding} padding"
    return told


def plot(scores: Detectability, ax: Axes | None = None, padding: str | None = None) -> Axes:
    """Draw one map alone into `ax`, with a title; without `ax`, the first axes of `positions`."""
    if ax is None:
        return positions(scores).axes[0]
    score_map = next((score_map for score_map in scores.maps if score_map.padding == padding), scores.maps[0])
    ax.figure.colorbar(_draw(ax, scores, score_map, None), ax=ax, fraction=0.046, pad=0.03)
    ax.set_aspect("equal")
    ax.set_title(f"{shortened(scores.title)}\n{_label(score_map)}", fontsize=MEDIUM)
    return ax


def _box(
    scores: Detectability,
    score_map: PositionMap,
    cmap: str | None,
    named: tuple[bool, bool],
    size: tuple[float, float],
    images: list[Any],
    *place: Any,
) -> None:
    """Draw one map in its place; its axes are named where `named` says so, below and on the left."""
    figure, x, y = place
    ax = axes_at(figure, x, y, *size)
    images.append(_draw(ax, scores, score_map, cmap))
    for at, axis, (low, high), pixels in (
        (scores.lefts, ax.xaxis, ax.get_xlim(), size[0]),
        (scores.tops, ax.yaxis, ax.get_ylim(), size[1]),
    ):
        axis.set_ticks(ticks((at[0], at[len(at) // 2], at[-1]), (low, high), pixels, axis is ax.xaxis))
    down, right = ("shift down", "shift right") if scores.shifted else ("top", "left")
    ax.set_xlabel(f"{right} (pixels)" if named[0] else "", fontsize=SMALL)
    ax.set_ylabel(f"{down} (pixels)" if named[1] else "", fontsize=SMALL)


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
    image = ax.imshow(
        values, cmap=colours, vmin=0, vmax=_most(scores), aspect="auto", extent=extent, interpolation="nearest"
    )
    _outline(ax, score_map, scores, step)
    ax.tick_params(labelsize=SMALL)
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
    spots = "no blind spots known" if score_map.blind is None else f"{percent(score_map.blind)} blind spots"
    return f"{name}\n{score_map.least:.3g} to {score_map.most:.3g}, {spots}"


def _lines(scores: Detectability) -> tuple[str, str]:
    """Say what was shown, at which contrast, and what the outline means."""
    first = scores.maps[0]
    what = "contrast needed" if first.threshold else "score"
    what += " to lose it" if first.below else ""
    if scores.shifted:
        stimulus = f"{shortened(scores.stimulus, 40)}, shifted under the frame"
    else:
        stimulus = f"{shortened(scores.stimulus, 60)}{'' if first.threshold else _calibration(scores)}"
    class_ = "" if scores.class_ is None else f", class {scores.class_}"
    outline = "more than twice the median contrast" if first.threshold else "less than half of the median score"
    at = "shift of the picture" if scores.shifted else "position, of the upper left corner"
    output = "output" if scores.output == "output" else f"output {shortened(scores.output, 40)}"
    return f"{what} by {at}: {stimulus}", f"{output}{class_} · red, blind: {outline}"


def _calibration(scores: Detectability) -> str:
    """Say at which contrast it was shown, and what the first map has there in the median."""
    first = scores.maps[0]
    at = f" at a contrast of {scores.contrast:.2g}"
    return (
        at
        if first.median is None
        else f"{at}, where the median score {first.padding or 'as trained'} is {first.median:.2g}"
    )


def _most(scores: Detectability) -> float:
    """Find where colours end: at 1 for scores, and for contrasts at the largest of all maps that is enough."""
    if not scores.maps[0].threshold:
        return 1.0
    needed = [score_map.most for score_map in scores.maps if score_map.most is not None]
    return max(needed, default=1.0)


def _step(at: tuple[int, ...]) -> int:
    return at[1] - at[0] if len(at) > 1 else 8
