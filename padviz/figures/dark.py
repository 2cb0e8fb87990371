"""The dark theme: the greys of what is drawn are turned over, white on black; colours and images stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = 0.09  # the grey that white becomes
COLOURED = 0.02  # how far red, green and blue are apart in what is no grey


def turn(figure: Figure) -> Callable[[], None]:
    """Turn the greys of a figure over, but for what is drawn over images; what is returned turns them back."""
    undo: list[Callable[[], Any]] = []
    for artist, name in [*_parts(figure)]:
        before = getattr(artist, f"get_{name}")()
        if (after := _over(before)) is not None:
            put = getattr(artist, f"set_{name}")
            undo.append(partial(put, before))
            put(after)

    def back() -> None:
        for step in undo:
            step()

    return back


def _parts(figure: Figure) -> Iterator[tuple[Any, str]]:
    """List what has a colour, and the name of the colour; not the texts and lines over images."""
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    figure.canvas.draw()  # which makes ticks
    over = {artist for ax in figure.axes if ax.images for artist in (*ax.texts, *ax.lines)}
    for artist in figure.findobj():
        if artist in over:
            continue
        if isinstance(artist, Text):
            yield artist, "color"
        elif isinstance(artist, Line2D):
            yield from ((artist, name) for name in ("color", "markerfacecolor", "markeredgecolor"))
        elif isinstance(artist, Patch | Collection):
            yield from ((artist, name) for name in ("facecolor", "edgecolor"))


def _over(colour: Any) -> Any:
    """Turn a grey over, black to white and white to nearly black; None where nothing is grey.

    >>> _over("black")
    (1.0, 1.0, 1.0, 1.0)
    >>> [round(part, 2) for part in _over("white")], _over("red"), _over("none")
    ([0.09, 0.09, 0.09, 1.0], None, None)
    """
    from matplotlib.colors import to_rgba_array

    if isinstance(colour, str) and colour in ("none", "auto"):
        return None
    rows = to_rgba_array(colour)
    greys = [*(row for row in rows if row[3] and max(row[:3]) - min(row[:3]) < COLOURED)]
    if not greys:
        return None
    turned = [
        row if max(row[:3]) - min(row[:3]) >= COLOURED else [*(1 - (1 - PAPER) * row[:3]), row[3]] for row in rows
    ]
    turned = [tuple(map(float, row)) for row in turned]
    return turned[0] if len(turned) == 1 else turned
