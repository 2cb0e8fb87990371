"""Mean responses of convolutions, and their change towards the border."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.figures.canvas import (
    FRAME,
    MEDIUM,
    SMALL,
    axes_at,
    new_figure,
    short_name,
    shorten,
    style,
    text_at,
)
from padviz.figures.colours import colour_map, colouring, draw_image
from padviz.figures.layout import Box, Place, page, text_width, wrap
from padviz.network.network import in_words
from padviz.phrases import counted
from padviz.trained.border_responses import NOISE, SHUFFLED, BorderResponse, BorderResponses
from padviz.trained.networks.running import LINES, middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
MOST = 8  # layers of a picture
# Screen pixels: a map's longer side, a profile, a line of a layer's name.
SIDE, PROFILE, PITCH = 132, 200, 18
LONG = 2  # ratio of a map's sides as it is drawn, at most
RIM, UNIT = 8, 3  # units from each side, and screen pixels that each of them has at least
BAR, RIGHT = 13, 60
BELOW, BELOW_LAST = 24, 40  # screen pixels: ticks of profiles, and under the last one their label
COLOURS, QUIET = "PuOr", "0.82"  # of responses, and of those that are no more than noise
LEAST = 0.1  # E that the axis of profiles reaches at least
# of paddings: the signs in the headings of their maps, and the markers of their profiles
SIGNS, MARKERS = "●■▲◆▼", "os^Dv"
LOUD = 99.5  # percentile of the maps as trained from which on colours look alike
TALL = 2.5  # end of the axis of profiles, at most, over the highest profile as trained
READING = (
    "E .5: the rms step at the border is half the rms of the interior; compare only within a "
    "network"
)


def panels(responses: BorderResponses, cmap: str | None = None) -> Figure:
    """Draw mean responses, a row for each layer and a column for each padding, and their profiles
    on the right.

    All maps have one scale, and all profiles one axis. Of many layers, eight are drawn, spread
    evenly through the network; layers without figures are not.
    """
    layers, paddings = drawn_layers(responses), _ordered(responses)
    lines = [{row.padding: row for row in responses.rows if row.layer == layer} for layer in layers]
    loud = _loudness(lines)
    colours = _grey_below_noise(cmap or COLOURS, loud)
    names = 16 + max((_name_width(rows) for rows in lines), default=0)
    boxes = _boxes(lines, paddings, names)
    title = f"{shorten(responses.title)}, {in_words(responses.size)}: {responses.verdict}"
    how = (
        "mean responses over channels, minus the interior's, over its RMS: orange is below it, "
        f"purple above, grey is noise · the outer {RIM} units magnified · "
        f"{counted(responses.count, 'input')} ({shorten(responses.images, 24)})"
    )
    beside = None
    if layers:
        profiles = boxes[len(paddings) :: len(paddings) + 1]
        high = sum(box.high + box.below for box in profiles) - BELOW_LAST
        beside = Box(BAR, max(high, SIDE), right=RIGHT)
    figure, places = page(title.removesuffix("."), [how, READING], boxes, len(paddings) + 1, beside)
    reach = _reach(lines)
    at = iter(places)
    for rows in lines:
        first, *others = (next(at) for _ in paddings)
        for i, line in enumerate(_about(rows)):
            text_at(figure, first.x - names, first.y + PITCH * (i + 0.7), line)
        for place, padding in zip([first, *others], paddings, strict=True):
            _draw_response(axes_at(*place), rows.get(padding), place, colours)
        _draw_profiles(axes_at(*next(at)), rows, paddings, reach, rows is lines[-1])
    if layers:
        bar = figure.colorbar(colours, cax=axes_at(*next(at)), extend="both", extendfrac=0.02)
        bar.set_ticks([-loud, -loud / 2, 0, loud / 2, loud])
        bar.set_ticklabels(
            [f"−{loud:.2g}", f"−{loud / 2:.2g}", "0", f"{loud / 2:.2g}", f"{loud:.2g}"]
        )
        bar.ax.tick_params(labelsize=SMALL)
    return figure


def _loudness(lines: Sequence[dict[str | None, BorderResponse]]) -> float:
    """Return the end of the colours: nearly the largest of the maps as trained, and above noise."""
    values = []
    for rows in lines:
        as_trained = next(iter(rows.values()))
        if as_trained.map is not None:
            values.append(np.abs(relative(as_trained)).ravel())
    if not values:
        return 1.0
    return max(float(np.percentile(np.concatenate(values), LOUD)), 2 * NOISE)


def _boxes(
    lines: Sequence[dict[str | None, BorderResponse]], paddings: Sequence[str | None], names: float
) -> list[Box]:
    """List the boxes of maps and of profiles, layer by layer.

    The first has the names of layers on its left.
    """
    boxes = []
    signs = cycle(SIGNS)
    labels = [f"{next(signs)} {padding_name(padding)}" for padding in paddings]
    for rows in lines:
        below = BELOW
        if rows is lines[-1]:
            below = BELOW_LAST
        size = _map_size(next(iter(rows.values())).shape)
        left = names
        for j, label in enumerate(labels):
            boxes.append(Box(*size, label, f"C{j}", left=left))
            left = 0
        boxes.append(Box(PROFILE, size[1], left=50, below=below))
        labels = [""] * len(paddings)  # above the first layer only
    return boxes


def _name_width(rows: dict[str | None, BorderResponse]) -> float:
    return max(text_width(line, SMALL) for line in _about(rows))


def _draw_response(
    ax: Axes, row: BorderResponse | None, place: Place, colours: ScalarMappable
) -> None:
    style(ax, FRAME, xticks=[], yticks=[])
    if row is None:
        return
    if row.map is None:
        note = "\n".join(wrap(row.note, SMALL, place.wide))
        ax.text(0.5, 0.5, note, ha="center", va="center", size=SMALL, color="0.4")
        return
    shown = magnified(relative(row), (place.wide, place.high))
    draw_image(ax, shown, colours, interpolation="nearest")


def _draw_profiles(
    ax: Axes,
    rows: dict[str | None, BorderResponse],
    paddings: Sequence[str | None],
    reach: float,
    last: bool,
) -> None:
    for i, padding in enumerate(paddings):
        means = mean_profile([rows[padding]] if padding in rows else [])
        ax.plot(
            range(len(means)),
            means,
            marker=MARKERS[i % len(MARKERS)],
            ms=2.5,
            lw=1.2,
            label=padding_name(padding),
            color=f"C{i}",
        )
    ax.axhspan(0, NOISE, color=QUIET, lw=0, zorder=0)
    distance = "rows or columns from the border" if last else ""
    style(
        ax,
        xticks=range(0, LINES, 4),
        xlim=(-0.4, LINES - 0.6),
        ylim=(0, reach),
        xlabel=distance,
        ylabel="E",
    )


def plot(responses: BorderResponses, ax: Axes | None = None) -> Axes:
    """Draw the mean over layers of the profiles, a line for each padding.

    Into `ax`, or axes of its own.
    """
    if ax is None:
        ax = new_figure(620, 400).add_axes((0.11, 0.15, 0.85, 0.72))
    markers = cycle(MARKERS)
    for padding in responses.paddings:
        means = mean_profile(responses.under(padding))
        ax.plot(range(len(means)), means, marker=next(markers), ms=3, label=padding_name(padding))
    ax.set_xlabel("distance to the border (rows or columns of the map)", fontsize=MEDIUM)
    ax.set_ylabel("E, mean over layers and sides", fontsize=MEDIUM)
    ax.set_title(f"{shorten(responses.title)}, {in_words(responses.size)}", fontsize=MEDIUM)
    ax.tick_params(labelsize=SMALL)
    ax.set_ylim(bottom=0)
    if responses.paddings:
        ax.legend(fontsize=SMALL, frameon=False)
    return ax


def _ordered(responses: BorderResponses) -> list[str | None]:
    """Return the first padding, then shuffled weights, which geometry alone explains, then the
    others.
    """
    first, *others = responses.paddings or (None,)
    return [first, *sorted(others, key=lambda padding: padding != SHUFFLED)]


def _grey_below_noise(name: str, loud: float) -> ScalarMappable:
    """Return colours from -`loud` to `loud` that are grey where values are no more than noise."""
    from matplotlib.colors import ListedColormap, to_rgba

    values = np.linspace(-loud, loud, 255)
    colours = colour_map(name)(np.linspace(0, 1, 255))
    colours[np.abs(values) < NOISE] = to_rgba(QUIET)
    return colouring(ListedColormap(colours), -loud, loud)


def _about(rows: dict[str | None, BorderResponse]) -> list[str]:
    first = next(iter(rows.values()))
    return [
        short_name(first.layer),
        counted(first.channels, "channel"),
        f"of {in_words(first.shape)}",
    ]


def drawn_layers(responses: BorderResponses) -> list[str]:
    """Return the layers with figures, or eight of them."""
    known = list(dict.fromkeys(row.layer for row in responses.rows if row.map is not None))
    if len(known) <= MOST:
        return known
    return [known[round(i * (len(known) - 1) / (MOST - 1))] for i in range(MOST)]


def relative(row: BorderResponse) -> Array:
    """Subtract the mean of the interior from a response, and divide by the interior's RMS."""
    if row.map is None:
        return np.zeros(row.shape)
    inner = row.map[middle(row.shape[0]), middle(row.shape[1])].mean()
    response: Array = (row.map - inner) / row.scale
    return response


def padding_name(padding: str | None) -> str:
    """Return the heading of a padding's column.

    >>> padding_name(None), padding_name("reflect")
    ('as trained', 'reflect')
    """
    if padding == SHUFFLED:
        return "shuffled weights"
    return padding or "as trained"


def mean_profile(rows: Sequence[BorderResponse]) -> list[float]:
    """Average E by distance to the border, over sides, and over the layers that have lines so far
    from borders.
    """
    profile = []
    for distance in range(LINES):
        values = [side[distance] for row in rows for side in row.profiles if distance < len(side)]
        if not values:
            break
        profile.append(float(np.mean(values)))
    return profile


def _reach(lines: Sequence[dict[str | None, BorderResponse]]) -> float:
    """Return the end of the axis of profiles: the highest, but not so far that those as trained
    become small.
    """
    highest = [[max(mean_profile([row]), default=0.0) for row in rows.values()] for rows in lines]
    most, as_trained = (
        max(map(max, highest), default=0.0),
        max((tops[0] for tops in highest), default=0.0),
    )
    return max(1.05 * min(most, TALL * as_trained), LEAST)


def magnified(values: Array, size: tuple[float, float]) -> Array:
    """Stretch a map to a size in screen pixels (width, height), in which each of its outer units
    has some pixels.

    >>> magnified(np.arange(200.0).reshape(1, 200), (140, 1))[0, [0, 2, 3, 24, 139]].tolist()
    [0.0, 0.0, 1.0, 8.5, 199.0]
    """
    stretched: Array = (
        _stretch(len(values), round(size[1])) @ values @ _stretch(values.shape[1], round(size[0])).T
    )
    return stretched


def _stretch(n: int, pixels: int) -> Array:
    """Return the weights of n units in each screen pixel: outer units have pixels of their own,
    others share them.
    """
    room = pixels - 2 * RIM * UNIT
    if n * UNIT <= pixels or n <= 2 * RIM or room < 1:
        return np.eye(n)
    before, after = np.arange(0, RIM, 1 / UNIT), n - np.arange(RIM * UNIT, -1, -1) / UNIT
    ends = np.concatenate([before, np.linspace(RIM, n - RIM, room + 1)[:-1], after])
    low, high, units = ends[:-1, None], ends[1:, None], np.arange(n)
    weights: Array = np.clip(np.minimum(high, units + 1) - np.maximum(low, units), 0, None) / (
        high - low
    )
    return weights


def _map_size(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the size of a map in screen pixels, (width, height).

    A long one is drawn shorter than it is.

    >>> _map_size((16, 16)), _map_size((16, 160)), _map_size((160, 16))
    ((132, 132.0), (132, 66.0), (66.0, 132))
    """
    aspect = max(1 / LONG, min(shape[1] / shape[0], LONG))
    if aspect < 1:
        return SIDE * aspect, SIDE
    return SIDE, SIDE / aspect
