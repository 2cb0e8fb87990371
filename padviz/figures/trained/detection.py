"""Scores by position: where a network sees something, and its blind spots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import (
    BETWEEN,
    EDGE,
    HEAD,
    MEDIUM,
    SMALL,
    colour_map,
    headline,
    new_figure,
    shortened,
)
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


def positions(found: Detectability, cmap: str | None = None) -> Figure:
    """The scores by position, a map for each padding, with blind spots outlined, on one scale from 0 to 1."""
    count = len(found.maps)
    per_row = min(count, PER_ROW)
    box_w, box_h = _box(found)
    pitch, row_h = max(box_w, LABEL) + LEFT + BETWEEN, ABOVE + box_h + BELOW
    rows = -(-count // per_row)
    title = f"{shortened(found.title)}, {found.size[0]} × {found.size[1]}"
    lines = _lines(found)
    width = max(EDGE + per_row * pitch + BAR + 80, int(7.6 * max(map(len, lines))) + 2 * EDGE)
    height = HEAD + 20 + rows * row_h + 10
    figure = new_figure(width, height)

    def axes(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    image: Any = None
    for i, each in enumerate(found.maps):
        row, col = divmod(i, per_row)
        ax = axes(EDGE + LEFT + col * pitch, HEAD + 20 + row * row_h + ABOVE, box_w, box_h)
        image = _draw(ax, found, each, cmap)
        ax.set_title(_label(each), fontsize=SMALL, loc="left", pad=4)
        down, right = ("shift down", "shift right") if found.shifted else ("top", "left")
        ax.set_xlabel(f"{right} (pixels)" if i + per_row >= count else "", fontsize=SMALL)
        ax.set_ylabel(f"{down} (pixels)" if col == 0 else "", fontsize=SMALL)
    bar = figure.colorbar(image, cax=axes(EDGE + per_row * pitch + 10, HEAD + 20 + ABOVE, BAR, box_h))
    bar.ax.tick_params(labelsize=SMALL - 1)
    bar.set_label("contrast needed" if found.maps[0].threshold else "score", fontsize=SMALL)
    headline(figure, title, lines[0])
    figure.text(EDGE / width, 1 - 74 / height, lines[1], fontsize=SMALL)
    return figure


def plot(found: Detectability, ax: Axes | None = None, padding: str | None = None) -> Axes:
    """Draw one map alone into `ax`, with a title; without `ax`, the first axes of `positions`."""
    if ax is None:
        return positions(found).axes[0]
    each = next((each for each in found.maps if each.padding == padding), found.maps[0])
    _draw(ax, found, each, None)
    ax.set_title(f"{shortened(found.title)}\n{_label(each)}", fontsize=MEDIUM)
    return ax


def _draw(ax: Axes, found: Detectability, each: PositionMap, cmap: str | None) -> Any:
    """One map, each score where it was found, with a line around blind spots."""
    step = _step(found.tops), _step(found.lefts)
    extent = (
        found.lefts[0] - step[1] / 2,
        found.lefts[-1] + step[1] / 2,
        found.tops[-1] + step[0] / 2,
        found.tops[0] - step[0] / 2,
    )
    colours = colour_map(cmap or (f"{COLOURS}_r" if each.threshold else COLOURS)).with_extremes(bad=UNSEEN)
    values = np.where(np.isfinite(each.values), each.values, np.nan)
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest")
    _outline(ax, each, found, step)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[:].set_visible(False)
    return image


def _outline(ax: Axes, each: PositionMap, found: Detectability, step: tuple[int, int]) -> None:
    """Lines along the sides of cells where a blind spot begins or ends."""
    from matplotlib.collections import LineCollection

    hidden = np.pad(each.hidden, 1)
    tops = [found.tops[0] + (i - 0.5) * step[0] for i in range(len(found.tops) + 1)]
    lefts = [found.lefts[0] + (j - 0.5) * step[1] for j in range(len(found.lefts) + 1)]
    lines = []
    for i, j in zip(*np.nonzero(hidden[1:, 1:-1] != hidden[:-1, 1:-1]), strict=True):
        lines.append([(lefts[j], tops[i]), (lefts[j + 1], tops[i])])
    for i, j in zip(*np.nonzero(hidden[1:-1, 1:] != hidden[1:-1, :-1]), strict=True):
        lines.append([(lefts[j], tops[i]), (lefts[j], tops[i + 1])])
    ax.add_collection(LineCollection(lines, colors=OUTLINE, linewidths=1.2, clip_on=False), autolim=False)


def _label(each: PositionMap) -> str:
    """A padding, and the figures of its map."""
    name = each.padding or "as trained"
    if each.least is None or each.most is None:
        return f"{name}\n{'NaN everywhere' if each.lost == 1 else 'no contrast is enough'}"
    spots = "no blind spots known" if each.blind is None else f"{each.blind:.1%} blind spots"
    return f"{name}\n{each.least:.3g} to {each.most:.3g}, {spots}"


def _lines(found: Detectability) -> tuple[str, str]:
    """What was shown, and what the outline means."""
    what = "contrast needed" if found.maps[0].threshold else "score"
    what += " to lose it" if found.maps[0].below else ""
    if found.shifted:
        shown = f"{shortened(found.stimulus, 40)}, shifted under the frame"
    else:
        contrast = "" if found.maps[0].threshold else f" at a contrast of {found.contrast:.2g}"
        shown = f"{shortened(found.stimulus, 60)}{contrast}"
    class_ = "" if found.class_ is None else f", class {found.class_}"
    meant = "more than twice the median contrast" if found.maps[0].threshold else "less than half of the median score"
    at = "shift of the picture" if found.shifted else "position, of the upper left corner"
    output = "output" if found.output == "output" else f"output {shortened(found.output, 40)}"
    return f"{what} by {at}: {shown}", f"{output}{class_} · red: {meant}"


def _step(at: tuple[int, ...]) -> int:
    return at[1] - at[0] if len(at) > 1 else 8


def _box(found: Detectability) -> tuple[int, int]:
    """Screen pixels (width, height) of a map, in the proportions of the positions."""
    tall, wide = len(found.tops) * _step(found.tops), len(found.lefts) * _step(found.lefts)
    zoom = SIDE / max(tall, wide)
    return max(round(wide * zoom), LEAST), max(round(tall * zoom), LEAST)
