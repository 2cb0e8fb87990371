"""Figures measured in screen pixels: their resolution, theme, files, and the text and axes on them."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, printable
from padviz.files.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class DrawingOptions(NamedTuple):
    """The resolution of pictures, or their width in pixels, and their theme."""

    dpi: int | None = None
    width: int | None = None
    theme: str = "light"


DEFAULT = DrawingOptions()
_OPTIONS: ContextVar[DrawingOptions] = ContextVar("options", default=DEFAULT)
_INTERACTIVE: ContextVar[bool] = ContextVar("interactive", default=False)
DPI, SCREEN = 130, 100  # of files; of what a notebook or a window shows
SMALL, MEDIUM, LARGE = 7, 8, 12  # points
VECTORS: Any = {"svg.fonttype": "none", "svg.hashsalt": "padviz", "pdf.fonttype": 42}  # text stays text; same bytes
THEMES = ("light", "dark")
MOST_DPI, MOST_WIDTH = 1200, 20_000
PAPER = 0.09  # the grey that white becomes in the dark theme
COLOURED = 0.02  # spread of red, green and blue from which on a colour is not grey


@contextmanager
def drawing_options(
    dpi: int | None = None, width: int | None = None, theme: str | None = None
) -> Iterator[DrawingOptions]:
    """Write pictures at a resolution, or of a width in pixels, and in a theme.

    Raises
    ------
    OptionError
        For an unknown theme, a resolution or width out of range, or both of them.
    """
    if theme not in (None, *THEMES):
        raise OptionError(f"no theme is called {theme!r}", option="theme", hint=f"use {' or '.join(THEMES)}")
    for name, value, most in (("dpi", dpi, MOST_DPI), ("width", width, MOST_WIDTH)):
        if value is not None and not 20 <= value <= most:
            raise OptionError(f"{value} is out of range", option=name, hint=f"use 20 to {most}")
    if dpi and width:
        raise OptionError("sets the size of a picture, as `dpi` does", option="width", hint="leave one of them out")
    options = DrawingOptions(dpi, width, theme or "light")
    token = _OPTIONS.set(options)
    try:
        yield options
    finally:
        _OPTIONS.reset(token)


@contextmanager
def interactive() -> Iterator[None]:
    """Create new figures with pyplot, in a notebook or where pyplot is in use."""
    token = _INTERACTIVE.set(True)
    try:
        yield
    finally:
        _INTERACTIVE.reset(token)


def check_axes(size: Sequence[object], what: str) -> None:
    """Reject anything that has not two axes."""
    if len(size) != 2:
        axes = f"{len(size)} {'axis' if len(size) == 1 else 'axes'}"
        raise OptionError(f"{what} are drawn of images, and the input has {axes}", where="-o", hint="leave it out")


def new_figure(width: int, height: int) -> Figure:
    """Return an empty figure of that many screen pixels: one of pyplot's while `interactive`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = width / DPI, height / DPI
    ipython = sys.modules.get("IPython")
    notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    if _INTERACTIVE.get() and (notebook or "matplotlib.pyplot" in sys.modules):
        from matplotlib import pyplot

        return pyplot.figure(figsize=size, dpi=SCREEN, layout="none")
    figure = Figure(figsize=size, dpi=_resolution(size[0], DPI))
    FigureCanvasAgg(figure)
    return figure


def _resolution(inches: float, default: float) -> float:
    options = _OPTIONS.get()
    return (options.width + 0.01) / inches if options.width else options.dpi or default


def paste(figure: Figure, ax: Axes) -> Axes:
    """Show a figure of several parts inside one axes, as a picture."""
    ax.imshow(pixels_of(figure), interpolation="antialiased")
    ax.set_axis_off()
    return ax


def png(figure: Figure) -> bytes:
    """Return the bytes of a PNG file."""
    return _rendered(figure, "png")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as its suffix says: .png, .svg or .pdf."""
    picture = _rendered(figure, path.suffix.lower().removeprefix("."))
    with atomic_path(path) as temporary:
        temporary.write_bytes(picture)


def write_thumbnail(picture: Path, path: Path, most: int) -> None:
    """Shrink a picture to a PNG file of at most `most` pixels a side."""
    from PIL import Image

    with Image.open(picture) as opened, atomic_path(path) as temporary:
        opened.thumbnail((most, most))
        opened.save(temporary, "png")


def pixels_of(figure: Figure) -> NDArray[np.uint8]:
    """Draw the figure with the options in force: RGB, shape (height, width, 3)."""
    with _styled(figure):
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
        return np.ascontiguousarray(pixels[..., :3])


def _rendered(figure: Figure, kind: str) -> bytes:
    """Return the bytes of a file; the same figure makes the same bytes."""
    buffer = io.BytesIO()
    if kind == "png":
        from PIL.Image import fromarray

        dpi = _resolution(figure.get_size_inches()[0], figure.dpi)
        fromarray(pixels_of(figure)).save(buffer, "png", compress_level=2, dpi=(dpi, dpi))
        return buffer.getvalue()
    from matplotlib import rc_context

    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    with rc_context(VECTORS), _styled(figure):
        figure.savefig(buffer, format=kind, metadata=dates[kind])
    return buffer.getvalue()


@contextmanager
def _styled(figure: Figure) -> Iterator[None]:
    undo = apply_options(figure)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            yield
    finally:
        undo()


def apply_options(figure: Figure) -> Callable[[], None]:
    """Set a figure's resolution and theme to the options in force; return the function that restores them."""
    before = figure.dpi
    figure.dpi = _resolution(figure.get_size_inches()[0], before)
    restore = _invert_greys(figure) if _OPTIONS.get().theme == "dark" else None

    def undo() -> None:
        figure.dpi = before
        if restore:
            restore()

    return undo


def _invert_greys(figure: Figure) -> Callable[[], None]:
    """Darken a figure: invert its greys, except for text and lines over images; colours and images stay."""
    undo: list[Callable[[], object]] = []
    for artist, name in [*_coloured_parts(figure)]:
        before = getattr(artist, f"get_{name}")()
        if (after := _inverted(before)) is not None:
            setter = getattr(artist, f"set_{name}")
            undo.append(partial(setter, before))
            setter(after)

    def restore() -> None:
        for step in undo:
            step()

    return restore


def _coloured_parts(figure: Figure) -> Iterator[tuple[Artist, str]]:
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    figure.canvas.draw()  # ticks exist only then
    over_images = {artist for ax in figure.axes if ax.images for artist in (*ax.texts, *ax.lines)}
    for artist in figure.findobj():
        if artist in over_images:
            continue
        if isinstance(artist, Text):
            yield artist, "color"
        elif isinstance(artist, Line2D):
            yield from ((artist, name) for name in ("color", "markerfacecolor", "markeredgecolor"))
        elif isinstance(artist, Patch | Collection):
            yield from ((artist, name) for name in ("facecolor", "edgecolor"))


def _inverted(colour: Any) -> Any:
    """Invert greys: black becomes white, and white nearly black; None if nothing is grey.

    >>> _inverted("black")
    (1.0, 1.0, 1.0, 1.0)
    >>> [round(part, 2) for part in _inverted("white")], _inverted("red"), _inverted("none")
    ([0.09, 0.09, 0.09, 1.0], None, None)
    """
    from matplotlib.colors import to_rgba_array

    if isinstance(colour, str) and colour in ("none", "auto"):
        return None
    rows = to_rgba_array(colour)
    grey = [max(row[:3]) - min(row[:3]) < COLOURED for row in rows]
    if not any(is_grey and row[3] for is_grey, row in zip(grey, rows, strict=True)):
        return None
    inverted = [
        tuple(map(float, [*(1 - (1 - PAPER) * row[:3]), row[3]] if is_grey else row))
        for is_grey, row in zip(grey, rows, strict=True)
    ]
    return inverted[0] if len(inverted) == 1 else inverted


def shorten(text: str, most: int = 60) -> str:
    """Shorten a text to fit a heading; unprintable characters are escaped, and a $ starts no formula.

    >>> shorten("x" * 100, 5)
    'xxxx…'
    """
    plain = printable(text)
    return (plain if len(plain) <= most else plain[: most - 1] + "…").replace("$", "\\$")


def short_name(name: str) -> str:
    """Keep the end of a long name, which tells layers apart.

    >>> len(short_name("x" * 25)), short_name("x" * 24) == "x" * 24
    (24, True)
    """
    plain = shorten(name, 200)
    return plain if len(plain) <= 24 else "…" + plain[-23:]


def screen_size(figure: Figure) -> tuple[int, int]:
    """Return (width, height) in screen pixels, whatever the resolution."""
    width, height = (round(n) for n in figure.get_size_inches() * DPI)
    return width, height


def axes_at(figure: Figure, x: float, y: float, wide: float, high: float) -> Axes:
    """Add axes with their upper left corner at (x, y), in screen pixels."""
    width, height = screen_size(figure)
    return figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))


def text_at(
    figure: Figure, x: float, y: float, text: str, size: float = SMALL, colour: str = "black", **look: Any
) -> None:
    """Write a text that begins at (x, y), in screen pixels from the upper left corner, on its baseline."""
    width, height = screen_size(figure)
    figure.text(x / width, 1 - y / height, text, fontsize=size, color=colour, **look)
