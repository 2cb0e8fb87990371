"""Pages: a title that says what is found, lines that say how, and boxes in rows that leave no room unused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate, pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from padviz.figures.canvas import DPI, LARGE, MEDIUM, SMALL, new_figure, text_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDGE, BETWEEN = 24, 22  # screen pixels around a page, and between boxes
WIDE, HIGH, ROW = 1240, 660, 60  # screen pixels that boxes may take together, and more of them down for each row
LEAST = 480  # screen pixels of a line of text, at least
PITCH = 1.45  # of a line of text, over its height


class Box(NamedTuple):
    """A part of a page: the size of what is drawn, in screen pixels, the room around it, and a label above it.

    `draw` is given the figure, and the upper left corner of what it draws.
    """

    wide: float
    high: float
    draw: Callable[[Figure, float, float], Any]
    label: str = ""
    colour: str = "black"
    left: float = 0
    right: float = 0
    above: float = 0
    below: float = 0

    @property
    def width(self) -> float:
        """All the room across."""
        return self.left + self.wide + self.right

    @property
    def height(self) -> float:
        """All the room down, without the label."""
        return self.above + self.high + self.below


def page(
    title: str, lines: Sequence[str], boxes: Sequence[Box], columns: int | None = None, beside: Box | None = None
) -> Figure:
    """Lay boxes out in rows of so many columns, all in one row by default, `beside` on their right, below the words."""
    columns = columns or len(boxes)
    rows = [boxes[at : at + columns] for at in range(0, len(boxes), columns)]
    across = [max(box.width for box in boxes[column::columns]) for column in range(min(columns, len(boxes)))]
    body = sum(across) + BETWEEN * (len(across) - 1) + (BETWEEN + beside.width if beside else 0)
    width = max(body, LEAST)
    words = [*_wrapped(title, LARGE, width), *(part for line in lines for part in _wrapped(line, MEDIUM, width))]
    labels = [max(len(part) for part in _labels(row, across)) for row in rows]
    tops = [sum(_pitch(size) for _, size in words) + EDGE + 4]
    for row, label in zip(rows, labels, strict=True):
        tops.append(tops[-1] + label * _pitch(SMALL) + 6 + max(box.height for box in row) + BETWEEN / 2)
    figure = new_figure(ceil(width + 2 * EDGE), ceil(tops[-1] - BETWEEN / 2 + EDGE))
    _write(figure, words)
    lefts = [EDGE + left for left in accumulate((w + BETWEEN for w in across), initial=0.0)]
    for row, top, label in zip(rows, tops, labels, strict=False):
        for box, left, parts in zip(row, lefts, _labels(row, across), strict=False):
            y = top + label * _pitch(SMALL) + 6
            for i, part in enumerate(reversed(parts)):
                text_at(figure, left + box.left, y - 6 - i * _pitch(SMALL), part, SMALL, box.colour)
            box.draw(figure, left + box.left, y + box.above)
    if beside:
        y = tops[0] + labels[0] * _pitch(SMALL) + 6 + boxes[0].above
        beside.draw(figure, lefts[len(across)] + beside.left, y)
    return figure


def grid(count: int, aspect: float, extra: tuple[float, float] = (0, 0), most: float = WIDE) -> tuple[int, float]:
    """Choose how many columns so many boxes of that aspect, width over height, stand in, and how wide each is drawn.

    `extra` is the room around each. Boxes are as large as the page allows; of what is about as large, the columns
    that fill their last row are taken.

    >>> grid(4, 1.0), grid(4, 5.0), grid(4, 0.2), grid(5, 1.0)
    ((2, 379.0), (1, 1042.5), (4, 144.0), (5, 230.4))
    """

    def wide(columns: int) -> float:
        rows = ceil(count / columns)
        across = (most - BETWEEN * (columns - 1)) / columns - extra[0]
        down = (HIGH + ROW * rows - BETWEEN * (rows - 1)) / rows - extra[1]
        return max(min(across, down * aspect), 24.0)

    def filled(columns: int) -> float:
        return wide(columns) * (count / (columns * ceil(count / columns))) ** 5

    columns = max(range(1, count + 1), key=lambda columns: (round(filled(columns), 1), -columns))
    return columns, round(wide(columns), 1)


def text_width(text: str, points: float) -> float:
    """Measure a text, in screen pixels."""
    return _units(text) * points * DPI / 72


@cache
def _units(text: str) -> float:
    """Measure a text of one point, with matplotlib's font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.ft2font import LoadFlags

    font = get_font(findfont(FontProperties()))
    font.set_size(100, 72)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        font.set_text(text.replace("\\$", "$"), 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0] / 64 / 100)


def ticks(ends: Sequence[int], window: tuple[float, float], pixels: float, across: bool = True) -> list[int]:
    """Choose ticks among a first, a middle and a last position: what the window shows and has room for.

    >>> ticks((0, 112, 223), (-20, 240), 300), ticks((0, 112, 223), (-2000, 2000), 300)
    ([0, 112, 223], [223])
    """
    (first, middle, last), (low, high) = ends, sorted(window)
    wide = text_width(str(last), SMALL) + 10 if across else 1.4 * SMALL * DPI / 72
    for chosen in ((first, middle, last), (first, last), (last,)):
        shown = [at for at in dict.fromkeys(chosen) if low <= at <= high]
        if shown and all(b - a >= wide * (high - low) / pixels for a, b in pairwise(shown)):
            return shown
    return [round((low + high) / 2)]


def wrapped(text: str, points: float, width: float) -> list[str]:
    """Break a text into lines that are no wider, in screen pixels, between words where that is possible."""
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
    for word in re.split(" (?!%)", text):
        while text_width(word, points) > width and len(word) > 1:
            most = max(int(len(word) * width / text_width(word, points)) - 1, 1)
            yield word[:most]
            word = word[most:]
        yield word


def _wrapped(text: str, points: float, width: float) -> list[tuple[str, float]]:
    return [(line, points) for line in wrapped(text, points, width)] if text else []


def _labels(row: Sequence[Box], across: Sequence[float]) -> list[list[str]]:
    """Break the labels of a row into lines that fit their columns."""
    return [
        wrapped(box.label, SMALL, width - box.left) if box.label else []
        for box, width in zip(row, across, strict=False)
    ]


def _pitch(points: float) -> float:
    return PITCH * points * DPI / 72


def _write(figure: Figure, words: Sequence[tuple[str, float]]) -> None:
    y = float(EDGE) - 8
    for text, size in words:
        y += _pitch(size)
        text_at(figure, EDGE, y - 6, text, size)
