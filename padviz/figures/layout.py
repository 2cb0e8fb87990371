"""Picture pages: a title with the finding, lines of explanation, and boxes in rows that fill the
page.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate, pairwise, zip_longest
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from padviz.figures.canvas import DPI, LARGE, MEDIUM, SMALL, new_figure, text_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE, BETWEEN = 24, 22  # screen pixels around a page, and between boxes
WIDE, HIGH, ROW = (
    1240,
    660,
    60,
)  # screen pixels for all boxes together, and extra height for each row
LEAST = 480  # screen pixels of a line of text, at least
Area = tuple[float, float, float, float]  # top, bottom, left, right
PITCH = 1.45  # line spacing, over the text's height


class Box(NamedTuple):
    """A part of a page: its size in screen pixels, the margins around it, and a label above it."""

    wide: float
    high: float
    label: str = ""
    colour: str = "black"
    left: float = 0
    right: float = 0
    above: float = 0
    below: float = 0

    @property
    def across(self) -> float:
        """The width with margins, in screen pixels."""
        return self.left + self.wide + self.right


class Place(NamedTuple):
    """Where a box is on its page, without margins, in screen pixels from the upper left corner.

    `axes_at(*place)` fills it with axes.
    """

    figure: Figure
    x: float
    y: float
    wide: float
    high: float


class Words(NamedTuple):
    """A line of text that begins at (x, y), as `text_at` writes it."""

    x: float
    y: float
    text: str
    points: float
    colour: str = "black"


class Layout(NamedTuple):
    """A page: its size in screen pixels, its words, and where each box is, as (x, y,
    wide, high).
    """

    size: tuple[int, int]
    words: list[Words]
    boxes: list[tuple[float, float, float, float]]


def page(
    title: str,
    lines: Sequence[str],
    boxes: Sequence[Box],
    columns: int | None = None,
    beside: Box | None = None,
) -> tuple[Figure, list[Place]]:
    """Write the words of a page onto a new figure; return it with the places of its boxes, as
    `lay_out` does.
    """
    layout = lay_out(title, lines, boxes, columns, beside)
    figure = new_figure(*layout.size)
    for words in layout.words:
        text_at(figure, *words)
    return figure, [Place(figure, *box) for box in layout.boxes]


def lay_out(
    title: str,
    lines: Sequence[str],
    boxes: Sequence[Box],
    columns: int | None = None,
    beside: Box | None = None,
) -> Layout:
    """Place the words of a page, and below them its boxes in rows of `columns`, by default in one
    row.

    The box `beside` is on their right, and its place is the last one.
    """
    columns = columns or len(boxes)
    rows = [boxes[at : at + columns] for at in range(0, len(boxes), columns)]
    by_column = zip_longest(*rows, fillvalue=Box(0, 0))
    across = [max(box.across for box in column) for column in by_column]
    body = sum(across) + BETWEEN * (len(across) - 1)
    if beside:
        body += BETWEEN + beside.across
    width = max(body, LEAST)

    words, y = [], float(EDGE) - 8
    for text, size in _heading(title, lines, width):
        y += _pitch(size)
        words.append(Words(EDGE, y - 6, text, size))
    top = y + 12

    places = []
    lefts = [EDGE + left for left in accumulate((wide + BETWEEN for wide in across), initial=0.0)]
    beside_at = top
    if boxes:
        beside_at += _label_height(_labels(rows[0], across)) + boxes[0].above
    for row in rows:
        labels = _labels(row, across)
        y = top + _label_height(labels)
        for box, left, label in zip(row, lefts, labels, strict=False):
            # A label stands on its box: its last line first, and the others above it.
            for i, part in enumerate(reversed(label)):
                x = left + box.left
                words.append(Words(x, y - 6 - i * _pitch(SMALL), part, SMALL, box.colour))
            places.append((left + box.left, y + box.above, box.wide, box.high))
        top = y + max(box.above + box.high + box.below for box in row) + BETWEEN / 2
    if beside:
        places.append((lefts[-1] + beside.left, beside_at, beside.wide, beside.high))
    height = top - BETWEEN / 2 + EDGE
    return Layout((ceil(width + 2 * EDGE), ceil(height)), words, places)


def _heading(title: str, lines: Sequence[str], width: float) -> Iterator[tuple[str, float]]:
    """Yield the lines of the title and of what follows it, with their size in points."""
    texts = [(title, LARGE), *((line, MEDIUM) for line in lines)]
    for text, size in texts:
        if text:
            for part in wrap(text, size, width):
                yield part, size


def _labels(row: Sequence[Box], across: Sequence[float]) -> list[list[str]]:
    """Break the label of each box of a row into lines."""
    labels: list[list[str]] = []
    for box, wide in zip(row, across, strict=False):
        labels.append(wrap(box.label, SMALL, wide - box.left) if box.label else [])
    return labels


def _label_height(labels: Sequence[Sequence[str]]) -> float:
    return max(map(len, labels)) * _pitch(SMALL) + 6


def rectangle(ax: Axes, area: Area, lw: float = 0, **style: Any) -> None:
    """Draw an area of an image, (top, bottom, left, right), as a rectangle."""
    from matplotlib.patches import Rectangle

    top, bottom, left, right = area
    ax.add_patch(Rectangle((left, top), right - left, bottom - top, lw=lw, **style))


def grid(
    count: int, aspect: float, extra: tuple[float, float] = (0, 0), most: float = WIDE
) -> tuple[int, float]:
    """Return the number of columns for `count` boxes of an aspect (width over height), and the
    width of each.

    `extra` is the margin (width, height) of each. Boxes are as large as the page allows; among
    similar sizes, the columns that fill their last row win.

    >>> grid(4, 1.0), grid(4, 5.0), grid(4, 0.2), grid(5, 1.0)
    ((2, 379.0), (1, 1042.5), (4, 144.0), (5, 230.4))
    """

    def width(columns: int) -> float:
        rows = ceil(count / columns)
        across = (most - BETWEEN * (columns - 1)) / columns - extra[0]
        down = (HIGH + ROW * rows - BETWEEN * (rows - 1)) / rows - extra[1]
        return max(min(across, down * aspect), 24.0)

    def score(columns: int) -> float:
        return width(columns) * (count / (columns * ceil(count / columns))) ** 5

    columns = max(range(1, count + 1), key=lambda columns: (round(score(columns), 1), -columns))
    return columns, round(width(columns), 1)


def text_width(text: str, points: float) -> float:
    """Return the width of a text in screen pixels; kerning, which makes some pairs narrower, is
    left out.
    """
    return sum(map(_width_of_one_point, text.replace("\\$", "$"))) * points * DPI / 72


@cache
def _width_of_one_point(character: str) -> float:
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.ft2font import LoadFlags

    font = get_font(findfont(FontProperties()))
    font.set_size(100, 72)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        font.set_text(character, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0] / 64 / 100)


def tick_room(position: int, across: bool) -> float:
    """Return the screen pixels that the label of a tick needs along its axis."""
    if across:
        return text_width(str(position), SMALL) + 10
    return 1.4 * SMALL * DPI / 72


def ticks(
    positions: Sequence[int], window: tuple[float, float], pixels: float, across: bool = True
) -> list[int]:
    """Choose ticks among positions: those in the window, as far as there is room, the ends before
    others.

    >>> ticks((0, 112, 223), (-20, 240), 300), ticks((0, 112, 223), (-2000, 2000), 300)
    ([0, 112, 223], [223])
    >>> ticks((0, 5, 10, 223), (-20, 240), 300)
    [0, 223]
    """
    (low, high), last = sorted(window), positions[-1]
    room = tick_room(last, across) * (high - low) / pixels
    for chosen in (positions, positions[::2], (positions[0], last), (last,)):
        shown = [at for at in dict.fromkeys(chosen) if low <= at <= high]
        if shown and all(b - a >= room for a, b in pairwise(shown)):
            return shown
    return [round((low + high) / 2)]


def wrap(text: str, points: float, width: float) -> list[str]:
    """Break a text into lines of at most a width in screen pixels, between words where possible."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph, points, width):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, points) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def _words(text: str, points: float, width: float) -> Iterator[str]:
    for word in re.split(" (?!%)", text):  # "62.1 %" stays on one line
        while text_width(word, points) > width and len(word) > 1:
            most = max(int(len(word) * width / text_width(word, points)) - 1, 1)
            yield word[:most]
            word = word[most:]
        yield word


def _pitch(points: float) -> float:
    return PITCH * points * DPI / 72
