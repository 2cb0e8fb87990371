"""Receptive fields as boxes over the image: of the unit in a corner, and of the one at
the centre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from padviz.counting.shares.summary import percent
from padviz.figures.canvas import (
    FRAME,
    MEDIUM,
    axes_at,
    check_axes,
    short_name,
    shorten,
    style,
    text_at,
)
from padviz.figures.layout import Area, Box, Place, grid, page, rectangle, text_width, ticks
from padviz.geometry.reaching.reach import Interval
from padviz.geometry.receptive_fields import fields_of_units
from padviz.network.network import Network, Size, in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Field = tuple[Interval, ...]
PLACES = {"top left": "the unit in the top left corner", "centre": "the unit at the centre"}
IMAGE, HATCH = "0.88", "////"
FAR = 4  # size of the image, over the fields', from which on it is not shown whole
AROUND = 0.12  # of the fields, that is shown around them
LEFT, BELOW, LINE = 56, 44, 20  # screen pixels: ticks and their label, and a line of the key


def fields(units: Mapping[str, Mapping[str, Field]], size: Size, title: str) -> Figure:
    """Draw receptive fields of the corner and the centre unit of some layers, to one scale.

    Padding lies outside of the image, which is drawn whole where it is not much larger than the
    fields.
    """
    check_axes(size, "fields")
    frames = _frames(units, size)
    aspect = max((right - left) / (bottom - top) for top, bottom, left, right in frames)
    columns, wide = grid(len(frames), aspect, (LEFT, BELOW), 900)
    boxes, by_place = [], {place: [layer[place] for layer in units.values()] for place in PLACES}
    for place, (top, bottom, left, right) in zip(PLACES, frames, strict=True):
        field = by_place[place][0]
        label = PLACES[place] + (
            f": {_size(field)}, {_padding(field, size)}" if len(units) == 1 else ""
        )
        boxes.append(
            Box(wide, wide * (bottom - top) / (right - left), label, left=LEFT, below=BELOW)
        )
    name, last = list(units.items())[-1]
    heading = (
        f"{shorten(title)}, {in_words(size)}: a unit of {short_name(name)} sees "
        f"{_size(last['centre'])}"
    )
    heading += f", at the centre {_padding(last['centre'], size)}"
    heading += f", in the corner {_padding(last['top left'], size)}"
    line = (
        "receptive fields, over the image in grey; hatched: outside of the image, where padding "
        "is read"
    )
    if len(units) > 1:
        key = [f"{short_name(name)}: {_size(layer['centre'])}" for name, layer in units.items()]
    else:
        key = []
    beside = None
    if key:
        beside = Box(max(text_width(text, MEDIUM) for text in key), LINE * len(key))
    figure, places = page(heading, [line], boxes, columns, beside)
    for at, drawn, frame in zip(places, by_place.values(), frames, strict=False):
        _draw(axes_at(*at), drawn, frame, size, at)
    for i, text in enumerate(key):
        text_at(figure, places[-1].x, places[-1].y + LINE * (i + 0.6), text, MEDIUM, f"C{i}")
    return figure


def fields_of(network: Network, size: Size) -> Figure:
    """Draw the receptive fields of the last layers of a network."""
    check_axes(size, "fields")
    units = {name: fields_of_units(network, size, name) for name in network.targets}
    return fields(units, size, network.title)


def _frames(units: Mapping[str, Mapping[str, Field]], size: Size) -> list[Area]:
    """Choose the rows and columns shown at both places: the image with the fields, or the fields
    alone.
    """
    sides = []
    for axis, n in enumerate(size):
        spans = []
        for place in PLACES:
            rows = [layer[place][axis] for layer in units.values()]
            ends = [*chain.from_iterable(rows)]
            spans.append((min(ends) - 0.5, max(ends) + 0.5))
        longest = max(last - first for first, last in spans)
        if n <= FAR * longest:
            first, last = (
                min(-0.5, *(low for low, _ in spans)),
                max(n - 0.5, *(high for _, high in spans)),
            )
            spans, longest = [(first, last)] * len(PLACES), last - first
        if n > FAR * longest:
            half = (0.5 + AROUND) * longest
        else:
            half = (0.5 + AROUND / 4) * longest
        sides.append([((low + high) / 2 - half, (low + high) / 2 + half) for low, high in spans])
    return [(*down, *across) for down, across in zip(*sides, strict=True)]


def _draw(ax: Axes, drawn: Sequence[Field], frame: Area, size: Size, place: Place) -> None:
    image = -0.5, size[0] - 0.5, -0.5, size[1] - 0.5
    areas = [
        (top - 0.5, bottom + 0.5, left - 0.5, right + 0.5) for (top, bottom), (left, right) in drawn
    ]
    for i, area in enumerate(areas):
        rectangle(ax, area, facecolor="none", edgecolor=f"C{i}", hatch=HATCH, alpha=0.6, zorder=1)
    rectangle(ax, image, facecolor=IMAGE, zorder=2)
    for i, area in enumerate(areas):
        rectangle(ax, area, facecolor=f"C{i}", alpha=0.12, zorder=3)
        rectangle(ax, area, fill=False, edgecolor=f"C{i}", lw=1.6, zorder=4)
    rectangle(ax, image, fill=False, edgecolor="0.3", lw=0.6, zorder=5)
    top, bottom, left, right = frame
    down, across = ((0, n // 2, n - 1) for n in size)
    style(
        ax,
        FRAME,
        xticks=ticks(across, (left, right), place.wide),
        yticks=ticks(down, (top, bottom), place.high, across=False),
        xlim=(left, right),
        ylim=(bottom, top),
        xlabel="column (pixels)" if right > size[1] - 1 else "column",
        ylabel="row (pixels)" if bottom > size[0] - 1 else "row",
    )
    ax.ticklabel_format(style="plain", useOffset=False)


def _size(field: Field) -> str:
    """Format the size of a field.

    >>> _size(((-2, 2), (0, 6)))
    '5 x 7 px'
    """
    return " x ".join(str(last - first + 1) for first, last in field) + " px"


def _padding(field: Field, size: Size) -> str:
    """Format the share of a field that lies outside of the image.

    >>> _padding(((-2, 2), (0, 6)), (9, 9)).split(), _padding(((0, 2), (0, 6)), (9, 9))
    (['40.0', '%', 'padding'], 'no padding')
    """
    inside = whole = 1
    for (first, last), n in zip(field, size, strict=True):
        whole *= last - first + 1
        inside *= max(min(last, n - 1) - max(first, 0) + 1, 0)
    if inside < whole:
        return f"{percent(1 - inside / whole)} padding".replace(" ", "\xa0", 1)
    return "no padding"
