"""Figures of so many screen pixels, and what all pictures share."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, printable
from padviz.figures import dark
from padviz.files.atomic import aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Asked(NamedTuple):
    """How pictures are wanted: their resolution, or their width in pixels, and their theme."""

    dpi: int | None = None
    width: int | None = None
    theme: str = "light"


PLAIN = Asked()
_ASKED: ContextVar[Asked] = ContextVar("asked", default=PLAIN)
_SHOWN: ContextVar[bool] = ContextVar("shown", default=False)
DPI, SCREEN = 130, 100  # of files, and of what a notebook or a window shows
SMALL, MEDIUM, LARGE = 7, 8, 12  # points
VECTORS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "padviz",
    "pdf.fonttype": 42,
}  # text that is text, the same each time
THEMES = ("light", "dark")
MOST_DPI, MOST_WIDTH = 1200, 20_000  # pixels of a picture


@contextmanager
def asking(dpi: int | None = None, width: int | None = None, theme: str | None = None) -> Iterator[Asked]:
    """Have pictures written at a resolution, or so many pixels wide, and in a theme.

    Raises
    ------
    OptionError
        For a theme that is not known, a resolution or a width that is none, or both of them.
    """
    if theme not in (None, *THEMES):
        raise OptionError(f"no theme is called {theme!r}", option="theme", hint=f"use {' or '.join(THEMES)}")
    for name, value, most in (("dpi", dpi, MOST_DPI), ("width", width, MOST_WIDTH)):
        if value is not None and not 20 <= value <= most:
            raise OptionError(f"{value} is out of range", option=name, hint=f"use 20 to {most}")
    if dpi and width:
        raise OptionError("says how large a picture is, as `dpi` does", option="width", hint="leave one of them out")
    asked = Asked(dpi, width, theme or "light")
    token = _ASKED.set(asked)
    try:
        yield asked
    finally:
        _ASKED.reset(token)


def check_axes(size: Sequence[object], what: str) -> None:
    """Refuse to draw what has another number of axes than a picture.

    >>> check_axes((224, 224), "fields")
    """
    if len(size) != 2:
        axes = f"{len(size)} {'axis' if len(size) == 1 else 'axes'}"
        raise OptionError(f"{what} are drawn of images, and the input has {axes}", where="-o", hint="leave it out")


def new_figure(width: int, height: int) -> Figure:
    """Make an empty figure of that many screen pixels, outside of pyplot; or one of pyplot's, while it is `shown`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = width / DPI, height / DPI
    if _SHOWN.get() and (pyplot := _pyplot()):
        made: Figure = pyplot.figure(figsize=size, dpi=_resolution(size[0], SCREEN), layout="none")
        return made
    figure = Figure(figsize=size, dpi=_resolution(size[0], DPI))
    FigureCanvasAgg(figure)
    return figure


def _resolution(inches: float, otherwise: float) -> float:
    asked = _ASKED.get()
    return (asked.width + 0.01) / inches if asked.width else asked.dpi or otherwise


@contextmanager
def shown() -> Iterator[None]:
    """Have new figures shown by a notebook, and by `plt.show()` where pyplot is in use."""
    token = _SHOWN.set(True)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def _pyplot() -> Any:
    """Find pyplot where a person uses it, or a notebook would show its figures."""
    ipython = sys.modules.get("IPython")
    notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    if notebook or "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot

        return pyplot
    return None


def pasted(figure: Figure, ax: Axes) -> Axes:
    """Show a figure of several parts within one axes, as a picture."""
    ax.imshow(pixels_of(figure), interpolation="antialiased")
    ax.set_axis_off()
    return ax


def png(figure: Figure) -> bytes:
    """Write the figure as the bytes of a PNG file."""
    return _rendered(figure, "png")


def save(figure: Figure, path: Path) -> None:
    """Write the figure to `path`, as its suffix says: .png, .svg or .pdf."""
    picture = _rendered(figure, path.suffix.lower().removeprefix("."))
    with aside(path) as temporary:
        temporary.write_bytes(picture)


def pixels_of(figure: Figure) -> NDArray[np.uint8]:
    """Draw the figure as it is asked for: red, green and blue of each pixel, shape (height, width, 3)."""
    with _look(figure):
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
        return np.ascontiguousarray(pixels[..., :3])


def _rendered(figure: Figure, kind: str) -> bytes:
    """Write a figure as the bytes of a file; the same figure makes the same bytes, and text stays text."""
    buffer = io.BytesIO()
    if kind == "png":
        from PIL.Image import fromarray

        dpi = _resolution(figure.get_size_inches()[0], figure.dpi)
        fromarray(pixels_of(figure)).save(buffer, "png", compress_level=2, dpi=(dpi, dpi))
        return buffer.getvalue()
    from matplotlib import rc_context

    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    with rc_context(VECTORS), _look(figure):
        figure.savefig(buffer, format=kind, metadata=dates[kind])
    return buffer.getvalue()


@contextmanager
def _look(figure: Figure) -> Iterator[None]:
    """Draw a figure at the resolution and in the theme that are asked for; afterwards it is as it was."""
    undo = wear(figure)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            yield
    finally:
        undo()


def wear(figure: Figure) -> Callable[[], None]:
    """Give a figure the resolution and the theme that are asked for; what is returned takes them off."""
    before = figure.dpi
    figure.dpi = _resolution(figure.get_size_inches()[0], before)
    turn_back = dark.turn(figure) if _ASKED.get().theme == "dark" else None

    def undo() -> None:
        figure.dpi = before
        if turn_back:
            turn_back()

    return undo


def shortened(text: str, most: int = 60) -> str:
    """Shorten a text to fit a heading; what cannot be printed is written out, and a $ starts no formula.

    >>> shortened("x" * 100, 5)
    'xxxx…'
    """
    plain = printable(text)
    return (plain if len(plain) <= most else plain[: most - 1] + "…").replace("$", "\\$")


def screen_size(figure: Figure) -> tuple[int, int]:
    """Measure a figure in screen pixels, (width, height), whatever its resolution."""
    width, height = (round(n) for n in figure.get_size_inches() * DPI)
    return width, height


def axes_at(figure: Figure, x: float, y: float, wide: float, high: float) -> Axes:
    """Add axes of a size, in screen pixels, with their upper left corner at (x, y)."""
    width, height = screen_size(figure)
    return figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))


def text_at(
    figure: Figure, x: float, y: float, text: str, size: float = SMALL, colour: str = "black", **look: Any
) -> None:
    """Write a text that begins at (x, y), in screen pixels from the upper left corner, on its baseline."""
    width, height = screen_size(figure)
    figure.text(x / width, 1 - y / height, text, fontsize=size, color=colour, **look)


def short_name(name: str) -> str:
    """Leave the end of a long name, which tells layers apart.

    >>> len(short_name("x" * 25)), short_name("x" * 24) == "x" * 24
    (24, True)
    """
    plain = shortened(name, 200)
    return plain if len(plain) <= 24 else "…" + plain[-23:]
