"""The padding of windows: one layer cell by cell, and the ledger of a network as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from padviz.figures.canvas import SMALL, axes_at, short_name, shorten, style
from padviz.figures.colours import (
    FAIR,
    POOLED,
    UNEVEN,
    colour_map,
    colouring,
    draw_image,
    number_cells,
)
from padviz.figures.layout import Box, page, text_width
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger
from padviz.geometry.one_layer import Count, Illustration
from padviz.network.network import in_words
from padviz.phrases import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, TEXT = 36, 9  # screen pixels of a cell, and points of the text in it, where it fits
LARGER = 3.0  # zoom of the taps' cells, at most
Grid = Sequence[Sequence[str | Count]]
MOST = 40  # windows listed in one picture
BARS, LINE, BELOW = (
    460,
    22,
    46,
)  # screen pixels: the bars of an axis, a row, and ticks with their label
HATCH = "/////"  # of windows without weights
LETTERS, USES = "padded image", "uses of each pixel"


class _Part(NamedTuple):
    """One grid of the picture of a kernel: of which illustration, and which of its three."""

    illustration: Illustration
    name: str
    grid: Grid
    zoom: float = 1.0


def kernels(
    illustrations: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str | None = None
) -> Figure:
    """Draw illustrations one below the other: padded image in letters, uses, taps that read
    `pixel`.
    """
    parts: list[_Part] = []
    for illustration in illustrations:
        parts += _parts(illustration, pixel)
    cells = [value for part in parts for row in part.grid for value in row]
    longest = max(text_width(_text(value), TEXT) for value in cells)
    points = min(TEXT, TEXT * (CELL - 4) / longest)

    boxes = []
    for part in parts:
        label = f"{part.illustration.scheme}: {part.name}"
        wide, high = len(part.grid[0]) * CELL * part.zoom, len(part.grid) * CELL * part.zoom
        boxes.append(Box(wide, high, label, right=max(text_width(label, SMALL) - wide, 0)))
    columns = len(parts) // len(illustrations)
    if len(illustrations) > 2:
        columns *= 2
    title, line = _kernel_in_words(illustrations[0])
    figure, places = page(title, [line], boxes, columns)

    for place, part in zip(places, parts, strict=True):
        _draw_part(axes_at(*place), part, cmap, points)
    return figure


def _parts(illustration: Illustration, pixel: tuple[int, int] | None) -> Iterator[_Part]:
    yield _Part(illustration, LETTERS, illustration.padded)
    yield _Part(illustration, USES, illustration.uses)
    if pixel:
        taps = illustration.taps(*pixel)
        # The kernel is smaller than the image: its cells grow until both are equally high.
        zoom = min(len(illustration.padded) / len(taps), LARGER)
        yield _Part(illustration, f"reads of pixel {pixel[0]},{pixel[1]}", taps, max(zoom, 1.0))


def _kernel_in_words(first: Illustration) -> tuple[str, str]:
    """Return the title, which tells how often a corner is used, and a line on the window."""
    window, (high, across) = first.windows[0], first.size
    line = (
        f"stride {window.stride} · dilation {window.dilation} · {high} x {across} pixels · "
        "padding in grey · uses: orange below, purple above those of an interior pixel"
    )
    corner, middle = (
        "once" if count == 1 else f"{_text(count)} times"
        for count in (first.uses[0][0], first.uses[high // 2][across // 2])
    )
    kernel = f"{window.kernel} x {window.kernel} kernel"
    title = f"{kernel}: with {first.scheme} padding a corner is used {corner}, the middle {middle}"
    return title, line


def _draw_part(ax: Axes, part: _Part, cmap: str | None, points: float) -> None:
    """Draw one grid with its values in the cells: uses in the colours of fair shares, and in grey
    padding, and taps that read nothing.
    """
    ax.set(xticks=[], yticks=[])
    illustration = part.illustration
    colours = colouring(colour_map("gray"), -4, 1)  # 0, the padding, becomes grey
    if part.name == LETTERS:
        (top, left), (high, across) = illustration.before, illustration.size
        values = np.zeros((len(part.grid), len(part.grid[0])))
        values[top : top + high, left : left + across] = 1
    elif part.name == USES:
        colours = FAIR.colours(cmap)
        with np.errstate(invalid="ignore"):  # where no window reads a pixel, 0 of 0
            values = np.array(part.grid, float) / np.array(illustration.fair_uses, float)
    else:
        values = (np.array(part.grid, float) > 0).astype(float)
    draw_image(ax, values, colours)
    texts = [[_text(value) for value in row] for row in part.grid]
    number_cells(ax, values, texts, colours, points)


def _text(value: str | Count) -> str:
    """Write a letter, or a count that fits a cell.

    >>> _text("a"), _text(12345), _text(0.0625)
    ('a', '12345', '0.06')
    """
    if len(str(value)) < 6:
        return str(value)
    return f"{float(value):.2f}"


def ledger_bars(ledger: Ledger, title: str) -> Figure:
    """Draw the rows of padding that each window declares (outlined) and reads (filled), on both
    sides.

    Uneven windows are red, or blue where they are pools, which are hatched. Windows that are even,
    and read all rows, share the last row.
    """
    layers = [layer for layer in ledger.layers if layer.uneven or layer.has_remainder][:MOST]
    layers.sort(key=lambda layer: not layer.uneven)
    others = [layer for layer in ledger.layers if layer not in layers]
    names = [short_name(layer.layer) for layer in layers]
    if others:
        names.append(_others_in_words(layers, others))

    by_axis = _rows_by_axis(ledger, layers)
    high = LINE * max(len(names), 2)
    left = max((text_width(name, SMALL) for name in names), default=0) + 12
    boxes = [Box(BARS, high, f"{axis}: before | after", below=BELOW) for axis in by_axis]
    boxes[0] = boxes[0]._replace(left=left)
    size = in_words(ledger.size)
    heading = f"{shorten(title)}, {size}: {finding(ledger)}"
    figure, places = page(heading, [_key(layers)], boxes)
    for place, rows in zip(places, by_axis.values(), strict=True):
        ax = axes_at(*place)
        _draw_axis(ax, rows, layers, others)
        ax.set_yticks(range(len(names)), [""] * len(names))
    figure.axes[0].set_yticks(range(len(names)), names, fontsize=SMALL)
    return figure


def _rows_by_axis(ledger: Ledger, layers: Sequence[LayerPadding]) -> dict[str, list[AxisPadding]]:
    """Return the padding of the layers along each axis; axes with the same padding are one."""
    if ledger.layers:
        axes = [*ledger.layers[0].axes]
    else:
        axes = ["height", "width"]
    by_axis = {axis: [layer.axes[axis] for layer in layers] for axis in axes}
    first, *others = by_axis.values()
    if all(rows == first for rows in others):
        return {" and ".join(axes): first}
    return by_axis


def _others_in_words(layers: Sequence[LayerPadding], others: Sequence[LayerPadding]) -> str:
    """Return the label of the last row: of even windows, or of those without room."""
    if not any(layer.uneven or layer.has_remainder for layer in others):
        return f"{counted(len(others), 'even window')}"
    if layers:
        return f"{len(others)} more windows"
    return f"{len(others)} windows"


def _key(layers: Sequence[LayerPadding]) -> str:
    """Explain the bars, and of the colours those that are there."""
    key = "padding that windows read (filled) and declare (outlined); uneven: more on one side"
    uneven = {layer.convolution for layer in layers if layer.uneven}
    if True in uneven:
        key += " · red: a convolution"
    if False in uneven:
        key += " · blue: a pool"
    return key


def _draw_axis(
    ax: Axes,
    rows: Sequence[AxisPadding],
    layers: Sequence[LayerPadding],
    others: Sequence[LayerPadding],
) -> None:
    from matplotlib.ticker import MaxNLocator

    most = max((max(*row.pads, *row.reads) for row in rows), default=1)
    reach = 1.35 * max(most, 1)
    for at, (row, layer) in enumerate(zip(rows, layers, strict=True)):
        _draw_bars(ax, at, row, layer.convolution, 0.02 * reach)
        if row.remainder:
            unread = f"{row.remainder} unread"
            ax.text(reach, at, unread, ha="right", va="center", fontsize=SMALL, color="0.4")
    last = len(rows)
    if others:
        pads: list[int] = []
        for layer in others:
            for row in layer.axes.values():
                pads += row.used
        if min(pads) < max(pads):
            span = f"{min(pads)} to {max(pads)}"
        else:
            span = f"{pads[0]}"
        where = f"{span} on each side"
        ax.text(0.03 * reach, last, where, va="center", fontsize=SMALL, color="0.4")
        last += 1
    if rows:
        ax.plot([0, 0], [-0.6, len(rows) - 0.5], color="0.2", lw=0.7)
    limits = {"xlim": (-reach, reach), "ylim": (max(last, 2) - 0.4, -0.6)}
    style(ax, "top right left", **limits, xlabel="rows or columns of padding")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.tick_params(axis="y", length=0)


def _draw_bars(ax: Axes, at: int, row: AxisPadding, convolution: bool, gap: float) -> None:
    """Draw what a window declares and reads, to the left before the map, to the right after it."""
    colour = "0.55"
    if row.uneven:
        colour = UNEVEN if convolution else POOLED
    mark: dict[str, Any] = {"facecolor": colour}
    if not convolution:
        mark = {"facecolor": "white", "edgecolor": colour, "hatch": HATCH, "lw": 0}
    for sign, align, declared, read in zip(
        (-1, 1), ("right", "left"), row.pads, row.reads, strict=True
    ):
        ax.barh(at, sign * read, 0.7, **mark)
        ax.barh(at, sign * declared, 0.7, facecolor="none", edgecolor="0.2", lw=0.7)
        end = sign * (max(read, declared) + gap)
        ax.text(end, at, f"{read}", ha=align, va="center", fontsize=SMALL)


def finding(ledger: Ledger) -> str:
    """Return how many windows are uneven, and how many leave rows unread.

    >>> import padviz
    >>> finding(padviz.uneven("resnet18", 224))
    '5 of 21 windows are uneven (4 convolutions, 1 pool), 3 leave rows unread'
    """
    unread = sum(layer.has_remainder for layer in ledger.layers)
    left = ""
    if unread:
        left = f", {unread} {'leaves' if unread == 1 else 'leave'} rows unread"
    uneven = len(ledger.uneven)
    if not uneven:
        return f"no window is uneven{left}"
    kinds = (ledger.uneven_convolutions, "convolution"), (ledger.uneven_pools, "pool")
    split = ", ".join(counted(len(layers), word) for layers, word in kinds if layers)
    verb = "is" if uneven == 1 else "are"
    return f"{uneven} of {len(ledger.layers)} windows {verb} uneven ({split}){left}"
