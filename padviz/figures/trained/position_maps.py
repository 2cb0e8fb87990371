"""Maps by position in the image: the scores of a stimulus with their blind spots, and what is seen
of a patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import percent
from padviz.figures.canvas import FRAME, SMALL, axes_at, shorten, style
from padviz.figures.colours import CMAP, colour_map, colouring, draw_image
from padviz.figures.layout import Box, Place, grid, page, ticks
from padviz.figures.maps.panels import share_or_none
from padviz.network.network import in_words
from padviz.trained.detecting.detectability import Detectability, PositionMap
from padviz.trained.networks.running import Floats
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.wording import with_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

LEFT, BELOW, BAR = 52, 44, 13  # screen pixels: ticks and their labels, and the colour bar
NARROW = 0.5  # aspect, width over height, of a map alone, at least
# Detection, in screen pixels: above a map; right of the bar; a map, at least; all maps; one alone
LABEL, RIGHT, LEAST, WIDE, ALONE = 44, 66, 110, 1080, 420
SEEN_LABEL, SEEN_RIGHT, SEEN_LEAST, SEEN_WIDE = 40, 50, 120, 900
ONE_CELL = 8  # pixels of a position that is alone on its axis
SIDES = "top", "bottom", "left", "right"
NOTHING_KNOWN = "no blind spots known"
# Of scores; where no contrast is enough; of blind spots.
COLOURS, UNSEEN, OUTLINE = "viridis", "0.75", "#ff3b3b"


def detected(scores: Detectability, cmap: str | None = None) -> Figure:
    """Draw the scores by position, a map for each padding, with blind spots outlined, on one scale
    from 0.
    """
    count = len(scores.maps)
    steps = _step(scores.tops), _step(scores.lefts)
    aspect = steps[1] * len(scores.lefts) / (steps[0] * len(scores.tops))
    if count == 1:
        aspect = max(aspect, NARROW)
    columns, wide = grid(count, aspect, (LEFT, BELOW + LABEL), WIDE)
    if count == 1:
        wide = min(wide, ALONE * min(max(aspect, 1), 2))
    wide = max(wide, LEAST)
    size = wide, max(wide / aspect, LEAST / 2)
    boxes = [Box(*size, _label(score_map), left=LEFT, below=BELOW) for score_map in scores.maps]
    title = f"{shorten(scores.title)}, {in_words(scores.size)}: {finding(scores)}"
    figure, (*places, beside) = page(
        title, _lines(scores), boxes, columns, Box(BAR, size[1], right=RIGHT)
    )
    name, most, label = COLOURS, 1.0, "score"
    if scores.maps[0].threshold:  # contrasts, up to the largest that is enough
        name, label = f"{COLOURS}_r", "contrast needed"
        most = max(
            (score_map.max for score_map in scores.maps if score_map.max is not None), default=1.0
        )
    colours = colouring(colour_map(cmap or name).with_extremes(bad=UNSEEN), 0, most)
    down, right = "top", "left"
    if scores.shifted:
        down, right = "shift down", "shift right"
    for i, (place, score_map) in enumerate(zip(places, scores.maps, strict=True)):
        values = np.where(np.isfinite(score_map.values), score_map.values, np.nan)
        ax = _draw_map(place, values, colours, (scores.tops, scores.lefts), steps)
        _outline_blind_spots(ax, scores, score_map, steps)
        if i + columns >= count:  # the last of its column
            ax.set_xlabel(f"{right} (pixels)")
        if i % columns == 0:
            ax.set_ylabel(f"{down} (pixels)")
    bar = figure.colorbar(colours, cax=axes_at(*beside))
    parts = 5
    if size[1] < 2 * LEAST:
        parts = 2
    ends = np.linspace(0, most, parts).tolist()
    bar.set_ticks(ends, labels=[f"{value:.2g}" for value in ends])
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label(label, fontsize=SMALL)
    return figure


def _step(positions: Sequence[int]) -> int:
    """Return the pixels between positions; of one alone, those that its cell is drawn over."""
    if len(positions) == 1:
        return ONE_CELL
    return positions[1] - positions[0]


def finding(scores: Detectability) -> str:
    """Return the title's finding: where the network is blind, or needs the most contrast, and what
    other paddings change.
    """
    first, *others = scores.maps
    words = _weakness(first)
    if not others or words == NOTHING_KNOWN or first.seen_alone:
        return words
    if {_weakness(other) for other in others} == {words}:
        return f"{words}; no padding changes that"
    after = [f"{other.padding or 'as trained'} {_how_weak(other)}" for other in others]
    return "; ".join([f"{words} {first.padding or 'as trained'}", *after])


def _weakness(score_map: PositionMap) -> str:
    """Return how much of a map is blind, or the most contrast that it needs, and at which side."""
    values = np.where(np.isnan(score_map.values), -np.inf, score_map.values)
    where = _side_of(values == values.max(), values)
    lost = float(np.isposinf(values).mean())
    if lost:
        return f"no contrast is enough at {percent(lost)} of the positions{where}"
    if score_map.blind is None:
        return NOTHING_KNOWN
    if score_map.seen_alone:
        return f"the background alone is seen, with a score of {score_map.without:.3g}"
    if score_map.threshold:
        return f"needs {_how_weak(score_map)} the median contrast{where}"
    if not score_map.blind:
        return "no blind spots"
    hidden = score_map.hidden
    return f"blind at {percent(score_map.blind)} of the positions{_side_of(hidden, hidden)}"


def _how_weak(score_map: PositionMap) -> str:
    """Return the share of blind spots, or the most contrast over the median one."""
    lost = float(np.isposinf(score_map.values).mean())
    if lost:
        return f"not enough at {percent(lost)}"
    if score_map.blind is None:
        return "unknown"
    if score_map.threshold and score_map.max is not None and score_map.median:
        return f"up to {score_map.max / score_map.median:.1f} times"
    return share_or_none(score_map.blind)


def _side_of(places: NDArray[np.bool_], values: NDArray[Any]) -> str:
    """Return the outermost line that holds all of some places, by the largest mean; "" if none
    does.

    >>> places = np.array([[1, 0, 1], [0, 0, 0], [0, 0, 0]], bool)
    >>> _side_of(places, places), _side_of(np.eye(3, dtype=bool), places)
    (' at the top', '')
    """
    holding = {}
    for side, cells, line in zip(SIDES, _lines_around(places), _lines_around(values), strict=True):
        # Of a single row of positions, none is at the top rather than at the bottom.
        if len(cells) < places.size and cells.sum() == places.sum():
            holding[side] = float(line.mean())
    if not holding:
        return ""
    return f" at the {max(holding, key=lambda side: holding[side])}"


def _lines_around(grid: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    return grid[0], grid[-1], grid[:, 0], grid[:, -1]


def _outline_blind_spots(
    ax: Axes, scores: Detectability, score_map: PositionMap, steps: Sequence[float]
) -> None:
    from matplotlib.collections import LineCollection

    hidden = np.pad(score_map.hidden, 1)
    tops = [scores.tops[0] + (i - 0.5) * steps[0] for i in range(len(scores.tops) + 1)]
    lefts = [scores.lefts[0] + (j - 0.5) * steps[1] for j in range(len(scores.lefts) + 1)]
    lines = []
    for i, j in zip(*np.nonzero(hidden[1:, 1:-1] != hidden[:-1, 1:-1]), strict=True):
        lines.append([(lefts[j], tops[i]), (lefts[j + 1], tops[i])])
    for i, j in zip(*np.nonzero(hidden[1:-1, 1:] != hidden[1:-1, :-1]), strict=True):
        lines.append([(lefts[j], tops[i]), (lefts[j], tops[i + 1])])
    ax.add_collection(
        LineCollection(lines, colors=OUTLINE, linewidths=1.2, clip_on=False), autolim=False
    )


def _label(score_map: PositionMap) -> str:
    name = score_map.padding or "as trained"
    if score_map.min is None or score_map.max is None:
        why = "NaN everywhere" if score_map.nan == 1 else "no contrast is enough"
        return f"{name}\n{why}"
    spots = "no blind spots known"
    if score_map.blind is not None:
        spots = f"{percent(score_map.blind)} blind spots"
    return f"{name}\n{score_map.min:.3g} to {score_map.max:.3g}, {spots}"


def _lines(scores: Detectability) -> tuple[str, ...]:
    """Return what is shown, what is outlined, and what makes the scores doubtful."""
    first = scores.maps[0]
    if scores.shifted:
        shown = (
            f"score by shift of the picture: {shorten(scores.stimulus, 40)}, shifted under the "
            "frame"
        )
    else:
        what = "score"
        if first.threshold:
            what = "contrast needed to lose it" if first.below else "contrast needed"
        shown = f"{what} by position, of the upper left corner: {shorten(scores.stimulus, 60)}"
        if not first.threshold:
            shown += f" at a contrast of {scores.contrast:.2g}"
            if first.median is not None:
                shown += (
                    f", where the median score {first.padding or 'as trained'} is "
                    f"{first.median:.2g}"
                )
    output = "output"
    if scores.output != "output":
        output += f" {shorten(scores.output, 40)}"
    output += f", class {scores.class_}"
    if any(score_map.blind for score_map in scores.maps):
        outline = "less than half of the median score"
        if first.threshold:
            outline = "more than twice the median contrast"
        output += f" · red, blind: {outline}"
    return shown, output, *scores.notes


def seen(result: Seen) -> Figure:
    """Draw two maps, what is seen and usage, each on a scale from 0 to its largest value."""
    aspect = max(result.size[1] / result.size[0], NARROW)
    columns, wide = grid(2, aspect, (LEFT, BELOW + SEEN_LABEL), SEEN_WIDE)
    size = wide, max(wide / aspect, SEEN_LEAST)
    labels = (
        f"seen: change of the output under a patch of {result.patch} px",
        "usage there; both over the largest",
    )
    boxes = [Box(*size, label, left=LEFT, below=BELOW) for label in labels]
    title = f"{shorten(result.title, 44)}, {in_words(result.size)}"
    title += f": the edge is seen at {percent(result.edge.value or 0, 0)} of the inside"
    title += f", counts say {percent(result.edge_usage, 0)}"
    by_usage, by_distance = with_ends(result.by_usage), with_ends(result.by_distance)
    line = (
        f"{result.count} crops · Spearman with usage {by_usage}, with distance to the border "
        f"{by_distance}"
    )
    figure, (*places, bar) = page(
        title, [line], boxes, columns, Box(BAR, size[1], right=SEEN_RIGHT)
    )
    steps = [(at[-1] - at[0]) / (len(at) - 1) for at in (result.tops, result.lefts)]
    colours = colouring(colour_map(CMAP), 0, 1)
    for place, values, first in zip(
        places, (result.values, result.usage), (True, False), strict=True
    ):
        over = values / (float(values.max()) or 1.0)
        ax = _draw_map(place, over, colours, (result.tops, result.lefts), steps, result.patch / 2)
        ax.set_xlabel("middle of the patch, px")
        if (first or columns == 1) and size[1] > SEEN_LEAST:
            ax.set_ylabel("middle of the patch, px")
    figure.colorbar(colours, cax=axes_at(*bar)).ax.tick_params(labelsize=SMALL)
    return figure


def _draw_map(
    place: Place,
    values: Floats,
    colours: ScalarMappable,
    positions: tuple[Sequence[int], Sequence[int]],
    steps: Sequence[float],
    shift: float = 0,
) -> Axes:
    """Draw a map whose cells are centred on positions (down, across), all moved by a shift.

    Return its axes.
    """
    ax = axes_at(*place)
    (top, bottom), (left, right) = (
        (at[0] + shift - step / 2, at[-1] + shift + step / 2)
        for at, step in zip(positions, steps, strict=True)
    )
    draw_image(ax, values, colours, interpolation="nearest", extent=(left, right, bottom, top))
    down, across = ([round(at[i] + shift) for i in (0, len(at) // 2, -1)] for at in positions)
    rows = ticks(down, (top, bottom), place.high, across=False)
    style(ax, FRAME, xticks=ticks(across, (left, right), place.wide), yticks=rows)
    return ax
