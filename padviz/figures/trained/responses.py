"""Mean responses of convolutions, and how they change towards the border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import (
    BETWEEN,
    EDGE,
    HEAD,
    MEDIUM,
    SMALL,
    axes_at,
    headline,
    new_figure,
    sampling,
    short_name,
    shortened,
    text_at,
)
from padviz.figures.colours import colour_map
from padviz.trained.border_responses import BorderResponse, BorderResponses
from padviz.trained.sessions.running import LINES, middle
from padviz.trained.shuffling import SHUFFLED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 8  # layers of a picture
SIDE, PROFILE, NAMES, LEAST = 150, 210, 26, 980  # screen pixels: a map, a profile, the line above a row, the page
COLOURS = "PuOr"
QUIET = 0.1  # E that a profile's scale reaches at least
LOUD = 99.5  # percentile of the first map of a row from which on colours look alike
LEGEND = (
    "E .5: the border line is off by half of what the interior usually is; compare only within a network, at one "
    "normalisation · below .02: noise at 16 inputs"
)
TALL = 2.5  # times the first profile of a row, to which others are shown


def panels(responses: BorderResponses, cmap: str | None = None) -> Figure:
    """Draw mean responses, a row for each layer and a column for each padding, and their profiles on the right.

    Of many layers, eight are drawn, spread evenly through the network; layers without figures are not.
    """
    layers = drawn(responses)
    rows_by_padding = [{row.padding: row for row in responses.rows if row.layer == layer} for layer in layers]
    maps = {id(row): relative(row) for rows in rows_by_padding for row in rows.values() if row.map is not None}
    colours = colour_map(cmap or COLOURS)
    columns, pitch = len(responses.paddings), SIDE + BETWEEN
    total_w = EDGE + columns * pitch + 60 + PROFILE + EDGE
    total_h = HEAD + 24 + max(len(layers), 1) * (SIDE + NAMES + 22) + 54
    width, height = max(total_w, LEAST), total_h
    figure = new_figure(width, height)
    for i, rows in enumerate(rows_by_padding):
        y = HEAD + 24 + i * (SIDE + NAMES + 22) + NAMES
        first = next(iter(rows.values()))
        own = next((np.abs(maps[id(row)]) for row in rows.values() if id(row) in maps), np.ones(1))
        loud = float(np.percentile(own, LOUD)) or 1.0
        for j, padding in enumerate(responses.paddings):
            row = rows.get(padding)
            ax = axes_at(figure, EDGE + j * pitch, y, *_box(first.shape))
            _map(ax, row, maps, loud, colours)
            if i == 0:
                text_at(figure, EDGE + j * pitch, HEAD + 14, named(padding), MEDIUM)
        channels = "1 channel" if first.channels == 1 else f"{first.channels} channels"
        label = f"{short_name(first.layer)} · {channels} of {first.shape[0]} × {first.shape[1]}"
        label += f" · colours to ±{loud:.2g}"
        text_at(figure, EDGE, y - 7, label)
        ax = axes_at(figure, EDGE + columns * pitch + 50, y, PROFILE, SIDE - 10)
        _profiles(ax, rows, i == 0, i == len(rows_by_padding) - 1)
    title = f"{shortened(responses.title)}, {responses.size[0]} × {responses.size[1]}"
    what = "mean responses over channels, minus the interior's, over its RMS: orange is below it, purple above"
    inputs = "1 input" if responses.count == 1 else f"{responses.count} inputs"
    headline(figure, title, f"{what} · {inputs} ({shortened(responses.inputs, 24)})")
    figure.text(EDGE / width, 14 / height, LEGEND, fontsize=SMALL)
    return figure


def drawn(responses: BorderResponses) -> list[str]:
    """Choose the layers of a picture: all that have figures, or eight of them."""
    known = list(dict.fromkeys(row.layer for row in responses.rows if row.map is not None))
    if len(known) <= MOST:
        return known
    return [known[round(i * (len(known) - 1) / (MOST - 1))] for i in range(MOST)]


def relative(row: BorderResponse) -> NDArray[np.float64]:
    """Subtract the mean of the interior from a response, and divide by the interior's RMS."""
    if row.map is None:
        return np.zeros(row.shape)
    inner = row.map[middle(row.shape[0]), middle(row.shape[1])].mean()
    response: NDArray[np.float64] = (row.map - inner) / row.scale
    return response


def named(padding: str | None) -> str:
    """Say what a padding is called above its column.

    >>> named(None), named("reflect")
    ('as trained', 'reflect')
    """
    return "shuffled weights" if padding == SHUFFLED else padding or "as trained"


def plot(responses: BorderResponses, ax: Axes | None = None) -> Axes:
    """Draw the mean over layers of the profiles, a line for each padding; into `ax`, or axes of its own."""
    if ax is None:
        ax = new_figure(620, 400).add_axes((0.11, 0.15, 0.85, 0.72))
    for padding in responses.paddings:
        means = mean_profile([row for row in responses.under(padding) if row.profiles])
        ax.plot(range(len(means)), means, marker="o", ms=3, label=named(padding))
    ax.set_xlabel("distance to the border (rows or columns of the map)", fontsize=MEDIUM)
    ax.set_ylabel("E, mean over layers and sides", fontsize=MEDIUM)
    ax.set_title(f"{shortened(responses.title)}, {responses.size[0]} × {responses.size[1]}", fontsize=MEDIUM)
    ax.tick_params(labelsize=SMALL)
    ax.set_ylim(bottom=0)
    if responses.paddings:
        ax.legend(fontsize=SMALL, frameon=False)
    return ax


def mean_profile(rows: Sequence[BorderResponse]) -> list[float]:
    """Average E by distance to the border, over sides, and over the layers that have lines so far from borders."""
    profile = []
    for distance in range(LINES):
        values = [side[distance] for row in rows for side in row.profiles if distance < len(side)]
        if not values:
            break
        profile.append(float(np.mean(values)))
    return profile


def _map(ax: Axes, row: BorderResponse | None, maps: dict[int, Any], loud: float, colours: Any) -> None:
    """Draw one mean response, or why there is none."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if row is None or row.map is None:
        ax.text(0.5, 0.5, row.note if row else "", ha="center", va="center", size=SMALL, color="0.4", wrap=True)
        return
    values = maps[id(row)]
    smooth = sampling(values, ax.bbox.width)
    ax.imshow(values, cmap=colours, vmin=-loud, vmax=loud, aspect="auto", interpolation=smooth)


def _profiles(ax: Axes, rows: dict[str | None, BorderResponse], first: bool, last: bool) -> None:
    """Draw E by distance to the border, a line for each padding."""
    highest: list[float] = []
    for padding, row in rows.items():
        means = mean_profile([row] if row.profiles else [])
        highest.append(max(means, default=0.0))
        ax.plot(range(len(means)), means, marker="o", ms=2.5, lw=1.2, label=padding or "as trained")
    ax.set_ylim(0, max(1.05 * min(max(highest), TALL * highest[0]), QUIET))
    ax.set_xlim(-0.4, LINES - 0.6)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylabel("E", fontsize=SMALL)
    if last:
        ax.set_xlabel("rows or columns from the border", fontsize=SMALL)
    if first:
        look: dict[str, Any] = {"frameon": False, "borderpad": 0, "handlelength": 1.2, "columnspacing": 1}
        ax.legend(fontsize=SMALL - 1, ncols=3, loc="lower left", bbox_to_anchor=(-0.1, 1), **look)


def _box(shape: tuple[int, ...]) -> tuple[float, float]:
    """Size a map in screen pixels (width, height)."""
    zoom = SIDE / max(shape)
    return max(shape[1] * zoom, 8), max(shape[0] * zoom, 8)
