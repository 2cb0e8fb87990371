"""Figures of so many screen pixels, and what all pictures share."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, printable
from padviz.files.atomic import aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_SHOWN: ContextVar[bool] = ContextVar("shown", default=False)
DPI, SCREEN = 130, 100  # of files, and of what a notebook or a window shows
SMALL, MEDIUM, LARGE = 7, 8, 12  # points


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
        made: Figure = pyplot.figure(figsize=size, dpi=SCREEN, layout="none")
        return made
    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


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
    figure.canvas.draw()
    ax.imshow(np.asarray(figure.canvas.buffer_rgba()), interpolation="antialiased")  # type: ignore[attr-defined]
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


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        if kind == "png":
            from PIL.Image import fromarray

            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
            fromarray(np.ascontiguousarray(pixels[..., :3])).save(buffer, "png", compress_level=2)
        else:
            figure.savefig(buffer, format=kind)
    return buffer.getvalue()


def shortened(text: str, most: int = 60) -> str:
    """Shorten a text to fit a heading; what cannot be printed is written out, and a $ starts no formula.

    >>> shortened("x" * 100, 5)
    'xxxx…'
    """
    plain = printable(text)
    return (plain if len(plain) <= most else plain[: most - 1] + "…").replace("$", "\\$")


def sampling(values: NDArray[np.float64], pixels: float) -> Literal["nearest", "antialiased"]:
    """How matplotlib should draw values so wide on so many screen pixels: crisp, or smooth where cells would alias."""
    cells = values.shape[1]
    each = pixels / cells
    return "nearest" if abs(each - round(each)) < 0.001 or each > 3 else "antialiased"


EDGE, BETWEEN, HEAD = 40, 26, 84  # screen pixels


def axes_at(figure: Figure, x: float, y: float, wide: float, high: float) -> Axes:
    """Add axes of a size, in screen pixels, with their upper left corner at (x, y)."""
    width, height = (round(n) for n in figure.get_size_inches() * DPI)
    return figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))


def text_at(
    figure: Figure, x: float, y: float, text: str, size: float = SMALL, colour: str = "black", **look: Any
) -> None:
    """Write a text that begins at (x, y), in screen pixels from the upper left corner, on its baseline."""
    width, height = (round(n) for n in figure.get_size_inches() * DPI)
    figure.text(x / width, 1 - y / height, text, fontsize=size, color=colour, **look)


def headline(figure: Figure, title: str, line: str, more: str = "") -> None:
    """Write the title of a picture, and one or two lines below it."""
    text_at(figure, EDGE, 30, title, LARGE)
    text_at(figure, EDGE, 56, line, MEDIUM)
    if more:
        text_at(figure, EDGE, 74, more)


def short_name(name: str) -> str:
    plain = shortened(name, 200)
    return plain if len(plain) <= 24 else "…" + plain[-23:]
