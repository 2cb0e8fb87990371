"""Figures measured in screen pixels: their resolution, theme, files, and the text and
axes on them.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import compress, crc32

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, printable
from padviz.files.atomic import atomic_path
from padviz.files.output import SOFTWARE

if TYPE_CHECKING:
    from types import UnionType

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType


class DrawingOptions(NamedTuple):
    """The resolution of pictures, or their width in pixels, their theme, and whether pyplot may
    create them.
    """

    dpi: int | None = None
    width: int | None = None
    theme: str = "light"
    interactive: bool = False


DEFAULT = DrawingOptions()
OPTIONS: ContextVar[DrawingOptions] = ContextVar("options", default=DEFAULT)  # in force
DPI, SCREEN = 130, 100  # of files; of what a notebook or a window shows
SMALL, MEDIUM, LARGE = 7, 8, 12  # points
FRAME = "top right bottom left"  # the spines of axes
VECTORS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "padviz",
    "pdf.fonttype": 42,
}  # text stays text; same bytes
DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
THEMES = ("light", "dark")
MOST_DPI, MOST_WIDTH = 1200, 20_000
PAPER = 0.09  # the grey that white becomes in the dark theme
COLOURED = 0.02  # spread of red, green and blue from which on a colour is not grey


def ignore_local_settings() -> None:
    """Reset matplotlib if the current folder has a matplotlibrc: it may have LaTeX run, and change
    every picture.
    """
    if os.path.exists("matplotlibrc"):
        # Without this, it warns of each line that it cannot use.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        import matplotlib

        matplotlib.rcdefaults()


@contextmanager
def drawing_options(
    dpi: int | None = None,
    width: int | None = None,
    theme: str | None = None,
    interactive: bool = False,
) -> Iterator[DrawingOptions]:
    """Create and write pictures at a resolution, or of a width in pixels, and in a theme.

    While `interactive`, new figures are pyplot's in a notebook or where pyplot is in use.
    """
    if theme not in (None, *THEMES):
        raise OptionError(
            f"no theme is called {theme!r}", option="theme", hint=f"use {' or '.join(THEMES)}"
        )
    for name, value, most in (("dpi", dpi, MOST_DPI), ("width", width, MOST_WIDTH)):
        if value is not None and not 20 <= value <= most:
            raise OptionError(f"{value} is out of range", option=name, hint=f"use 20 to {most}")
    if dpi and width:
        raise OptionError(
            "sets the size of a picture, as `dpi` does",
            option="width",
            hint="leave one of them out",
        )
    options = DrawingOptions(dpi, width, theme or "light", interactive)
    token = OPTIONS.set(options)
    try:
        yield options
    finally:
        OPTIONS.reset(token)


def check_axes(size: Sequence[object], what: str) -> None:
    """Reject anything that has not two axes."""
    if len(size) != 2:
        axes = f"{len(size)} {'axis' if len(size) == 1 else 'axes'}"
        raise OptionError(
            f"{what} are drawn of images, and the input has {axes}", where="-o", hint="leave it out"
        )


def new_figure(width: int, height: int) -> Figure:
    """Return an empty figure of that many screen pixels, as the options in force say."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size, options = (width / DPI, height / DPI), OPTIONS.get()
    dpi = (options.width + 0.01) / size[0] if options.width else options.dpi
    ipython = sys.modules.get("IPython")
    notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    if options.interactive and (notebook or "matplotlib.pyplot" in sys.modules):
        from matplotlib import pyplot

        return pyplot.figure(figsize=size, dpi=dpi or SCREEN, layout="none")
    figure = Figure(figsize=size, dpi=dpi or DPI)
    FigureCanvasAgg(figure)
    return figure


def paste(figure: Figure, ax: Axes) -> Axes:
    """Show a figure of several parts inside one axes, as a picture."""
    ax.imshow(pixels_of(figure), interpolation="antialiased")
    ax.set_axis_off()
    return ax


def save(figure: Figure, path: Path) -> None:
    """Write a new figure as the suffix says: .png, .svg or .pdf."""
    picture = rendered(figure, path.suffix.lower().removeprefix("."))
    with atomic_path(path) as temporary:
        temporary.write_bytes(picture)


def rendered(figure: Figure, kind: str = "png") -> bytes:
    """Return the bytes of a file of a new figure; the same figure makes the same bytes."""
    if kind == "png":
        return png_of(pixels_of(figure), figure.dpi)
    from matplotlib import rc_context

    buffer = io.BytesIO()
    apply_theme(figure)
    with rc_context(VECTORS), _without_warnings():
        figure.savefig(buffer, format=kind, metadata=DATES[kind])
    return buffer.getvalue()


def pixels_of(figure: Figure) -> NDArray[np.uint8]:
    """Draw a new figure: RGB, shape (height, width, 3)."""
    apply_theme(figure)
    with _without_warnings():
        figure.canvas.draw()
    return _drawn_pixels(figure)


def background_of(figure: Figure) -> object:
    """Draw a new figure, for `rendered_over`."""
    with _without_warnings():
        figure.canvas.draw()
    return figure.canvas.copy_from_bbox(figure.bbox)  # type: ignore[attr-defined]


def rendered_over(figure: Figure, background: object, draw: Callable[[], None]) -> bytes:
    """Return the bytes of a PNG file of a figure with what `draw` adds to it, which is removed
    again.
    """

    def artists() -> list[Artist]:
        return [part for holder in (*figure.axes, figure) for part in holder.get_children()]

    before = {*artists()}
    draw()
    added = sorted(
        (part for part in artists() if part not in before), key=lambda part: part.get_zorder()
    )
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    renderer.restore_region(background)
    with _without_warnings():
        for artist in added:
            artist.draw(renderer)
    for artist in added:
        artist.remove()
    return png_of(_drawn_pixels(figure), figure.dpi)


def _drawn_pixels(figure: Figure) -> NDArray[np.uint8]:
    return np.array(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]


def png_of(pixels: NDArray[np.uint8], dpi: float = DPI) -> bytes:
    """Encode RGB pixels, each row as its difference from the one above: three times as fast as
    Pillow's search.
    """
    height, width, _ = pixels.shape
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    for band in range(3):
        rows[:, 1 + band :: 3] = pixels[..., band]
    rows[1:, 1:] -= rows[:-1, 1:]
    rows[:, 0] = 2  # the filter "up"
    metre = round(dpi / 0.0254)
    chunks = [
        (b"IHDR", pack(">2I5B", width, height, 8, 2, 0, 0, 0)),  # 8 bits, RGB
        (b"tEXt", SOFTWARE),
        (b"pHYs", pack(">2IB", metre, metre, 1)),
        (b"IDAT", compress(rows.tobytes(), 2)),
        (b"IEND", b""),
    ]
    parts = (
        pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def write_thumbnail(picture: Path, path: Path, most: int) -> None:
    """Shrink a picture to a PNG file of at most `most` pixels a side."""
    from PIL import Image

    with Image.open(picture) as opened:
        opened.thumbnail((most, most))
        opened.save(path, "png")


def apply_theme(figure: Figure) -> None:
    """In the dark theme, invert a new figure's greys, except for text and lines over images;
    colours stay.
    """
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    if OPTIONS.get().theme != "dark":
        return
    with _without_warnings():
        figure.canvas.draw()  # ticks exist only then
    parts: dict[type | UnionType, tuple[str, ...]] = {
        Text: ("color",),
        Line2D: ("color", "markerfacecolor", "markeredgecolor"),
        Patch | Collection: ("facecolor", "edgecolor"),
    }
    over_images: set[Artist] = set()
    for ax in figure.axes:
        if ax.images:
            over_images.update(ax.texts, ax.lines)
    for artist in {*figure.findobj()} - over_images:
        for name in next((names for kind, names in parts.items() if isinstance(artist, kind)), ()):
            inverted = _inverted(getattr(artist, f"get_{name}")())
            if inverted is not None:
                getattr(artist, f"set_{name}")(inverted)


def _inverted(colours: ColorType | Sequence[ColorType]) -> NDArray[np.float64] | None:
    """Invert greys: black becomes white, and white nearly black; None if nothing is grey.

    >>> _inverted("black").tolist(), _inverted("white").round(2).tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.09, 0.09, 0.09, 1.0])
    >>> _inverted("red"), _inverted("none")
    (None, None)
    """
    from matplotlib.colors import to_rgba_array

    rows = to_rgba_array(colours)
    grey = np.ptp(rows[:, :3], axis=1) < COLOURED
    if not rows[grey, 3].any():
        return None
    rows[grey, :3] = 1 - (1 - PAPER) * rows[grey, :3]
    return rows[0] if len(rows) == 1 else rows


def shorten(text: str, most: int = 60) -> str:
    """Shorten a text to fit a heading; unprintable characters are escaped, and a $ starts no
    formula.

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
    if len(plain) <= 24:
        return plain
    return "…" + plain[-23:]


def screen_size(figure: Figure) -> tuple[int, int]:
    """Return (width, height) in screen pixels, whatever the resolution."""
    width, height = (round(n) for n in figure.get_size_inches() * DPI)
    return width, height


def axes_at(figure: Figure, x: float, y: float, wide: float, high: float) -> Axes:
    """Add axes with their upper left corner at (x, y), in screen pixels."""
    width, height = screen_size(figure)
    return figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))


def style(ax: Axes, hidden: str = "top right", **look: object) -> None:
    """Set properties of axes as `ax.set` does, with small text, and hide spines."""
    ax.set(**look)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(SMALL)
    ax.tick_params(labelsize=SMALL)
    for side in hidden.split():
        ax.spines[side].set_visible(False)


def text_at(
    figure: Figure,
    x: float,
    y: float,
    text: str,
    size: float = SMALL,
    colour: str = "black",
    **look: Any,
) -> None:
    """Write a text that begins at (x, y), in screen pixels from the upper left corner, on its
    baseline.
    """
    width, height = screen_size(figure)
    figure.text(x / width, 1 - y / height, text, fontsize=size, color=colour, **look)
