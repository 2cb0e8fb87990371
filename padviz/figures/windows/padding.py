"""The padding of windows: one layer cell by cell, and the ledger of a network as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import SMALL, axes_at, short_name, shorten, style
from padviz.figures.colours import CMAP, POOLED, UNEVEN, colour_map, colouring, draw_image, number_cells
from padviz.figures.layout import Box, page, text_width
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger
from padviz.geometry.one_layer import Count, Illustration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, TEXT = 36, 9  # screen pixels of a cell, and points of the text in it, where it fits
LARGER = 3.0  # zoom of the taps' cells, at most
Grid = Sequence[Sequence[Any]]
MOST = 40  # windows listed in one picture
BARS, LINE, BELOW = 460, 22, 46  # screen pixels: the bars of an axis, a row, and ticks with their label
HATCH = "/////"  # of windows without weights


def kernels(illustrations: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str | None = None) -> Figure:
    """Draw illustrations one below the other: padded image in letters, uses, and the taps that read `pixel`."""
    names = ["padded image", "uses of each pixel"] + ([f"reads of pixel {pixel[0]},{pixel[1]}"] if pixel else [])
    most = max(float(max(map(max, each.uses))) for each in illustrations)
    grids: list[list[Grid]] = [
        [each.padded, each.uses, *([each.taps(*pixel)] if pixel else [])] for each in illustrations
    ]
    longest = max(text_width(_text(value), TEXT) for row in grids for grid in row for cells in grid for value in cells)
    points = min(TEXT, TEXT * (CELL - 4) / longest)
    shown = [(each, j, grid) for each, row in zip(illustrations, grids, strict=True) for j, grid in enumerate(row)]
    boxes = []
    for each, j, grid in shown:
        label = f"{each.scheme}: {names[j]}"
        zoom = max(min(len(each.padded) / len(grid), LARGER), 1) if j == 2 else 1
        wide, high = len(grid[0]) * (CELL * zoom), len(grid) * (CELL * zoom)
        boxes.append(Box(wide, high, label, right=max(text_width(label, SMALL) - wide, 0)))
    first = illustrations[0]
    window, (high, across) = first.windows[0], first.size
    line = f"stride {window.stride} · dilation {window.dilation} · {high} × {across} pixels · padding in grey"
    uses = first.uses[0][0], first.uses[high // 2][across // 2]
    corner, middle = ("once" if count == 1 else f"{_text(count)} times" for count in uses)
    title = f"{window.kernel} × {window.kernel} kernel: "
    title += f"with {first.scheme} padding a corner is used {corner}, the middle {middle}"
    figure, places = page(title, [line], boxes, len(names) * (2 if len(illustrations) > 2 else 1))
    for place, (each, j, grid) in zip(places, shown, strict=True):
        ax = axes_at(*place)
        ax.set(xticks=[], yticks=[])
        if j == 0:  # letters, on grey where they are padding
            (top, left), (high, across) = each.before, each.size
            values = np.zeros((len(grid), len(grid[0])))
            values[top : top + high, left : left + across] = 1
            colours = colouring(colour_map("gray"), -4, 1)
        else:
            values = np.array([[float(value) for value in row] for row in grid])
            colours = colouring(colour_map(cmap or CMAP), 0, most if j == 1 else values.max() or 1)
        draw_image(ax, values, colours)
        number_cells(ax, values, [[_text(value) for value in row] for row in grid], colours, points)
    return figure


def _text(value: str | Count) -> str:
    """Write a letter, or a count that fits a cell.

    >>> _text("a"), _text(12345), _text(0.0625)
    ('a', '12345', '0.06')
    """
    return str(value) if len(str(value)) < 6 else f"{float(value):.2f}"


def ledger_bars(ledger: Ledger, title: str) -> Figure:
    """Draw the rows of padding that each window declares (outlined) and reads (filled), on both sides.

    Uneven windows are red, or blue where they are pools, which are hatched. Windows that are even, and read all rows,
    share the last row.
    """
    layers = [layer for layer in ledger.layers if layer.uneven or layer.has_remainder][:MOST]
    layers.sort(key=lambda layer: not layer.uneven)
    others = [layer for layer in ledger.layers if layer not in layers]
    names = [short_name(layer.layer) for layer in layers]
    if any(layer.uneven or layer.has_remainder for layer in others):
        names.append(f"{len(others)} {'more ' if layers else ''}windows")
    elif others:
        names.append(f"{len(others)} even window{'s' if len(others) > 1 else ''}")
    high = LINE * max(len(names), 2)

    axes = [*ledger.layers[0].axes] if ledger.layers else []
    by_axis = {axis: [layer.axes[axis] for layer in layers] for axis in axes}
    first = next(iter(by_axis.values()), [])
    if all(rows == first for rows in by_axis.values()):
        by_axis = {" and ".join(axes) or "height and width": first}
    left = max((text_width(name, SMALL) for name in names), default=0) + 12
    boxes = [Box(BARS, high, f"{axis}: before | after", below=BELOW) for axis in by_axis]
    boxes[0] = boxes[0]._replace(left=left)
    key = "padding that windows read (filled) and declare (outlined); uneven: more on one side"
    key += " · red: a convolution" * any(row.uneven and row.convolution for row in layers)
    key += " · blue: a pool" * any(row.uneven and not row.convolution for row in layers)
    size = " × ".join(map(str, ledger.size))
    figure, places = page(f"{shorten(title)}, {size}: {finding(ledger)}", [key], boxes)
    for i, (place, rows) in enumerate(zip(places, by_axis.values(), strict=True)):
        ax = axes_at(*place)
        _draw_axis(ax, rows, layers, others)
        ax.set_yticks(range(len(names)), [] if i else names, fontsize=SMALL)
    return figure


def _draw_axis(
    ax: Axes, rows: Sequence[AxisPadding], layers: Sequence[LayerPadding], others: Sequence[LayerPadding]
) -> None:
    from matplotlib.ticker import MaxNLocator

    reach = 1.35 * max([1, *(max(*row.declared, *row.reads) for row in rows)])
    for at, (row, layer) in enumerate(zip(rows, layers, strict=True)):
        colour = "0.55" if not row.uneven else UNEVEN if layer.convolution else POOLED
        mark: dict[str, Any] = {"facecolor": colour}
        if not layer.convolution:
            mark = {"facecolor": "white", "edgecolor": colour, "hatch": HATCH, "lw": 0}
        for sign, declared, read in zip((-1, 1), row.declared, row.reads, strict=True):
            ax.barh(at, sign * read, 0.7, **mark)
            ax.barh(at, sign * declared, 0.7, facecolor="none", edgecolor="0.2", lw=0.7)
            end, ha = sign * (max(read, declared) + 0.02 * reach), "left" if sign > 0 else "right"
            ax.text(end, at, f"{read}", ha=ha, va="center", fontsize=SMALL)
        if row.remainder:
            ax.text(reach, at, f"{row.remainder} unread", ha="right", va="center", fontsize=SMALL, color="0.4")
    if others:
        pads = [pads for layer in others for row in layer.axes.values() for pads in row.consumed]
        span = f"{min(pads)} to {max(pads)}" if min(pads) < max(pads) else f"{pads[0]}"
        ax.text(0.03 * reach, len(rows), f"{span} on each side", va="center", fontsize=SMALL, color="0.4")
    ax.plot([0, 0], [-0.6, len(rows) - 0.5 if rows else -0.6], color="0.2", lw=0.7)
    below = max(len(rows) + bool(others), 2) - 0.4
    style(ax, "top right left", xlim=(-reach, reach), ylim=(below, -0.6), xlabel="rows or columns of padding")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.tick_params(axis="y", length=0)


def finding(ledger: Ledger) -> str:
    """Return how many windows are uneven, and how many leave rows unread.

    >>> import padviz
    >>> finding(padviz.uneven("resnet18", 224))
    '5 of 21 windows are uneven (4 convolutions, 1 pool), 3 leave rows unread'
    """
    uneven, unread = len(ledger.uneven), sum(layer.has_remainder for layer in ledger.layers)
    kinds = (len(ledger.uneven_convolutions), "convolution"), (len(ledger.uneven_pools), "pool")
    split = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for count, word in kinds if count)
    left = f", {unread} {'leaves' if unread == 1 else 'leave'} rows unread" if unread else ""
    if not uneven:
        return f"no window is uneven{left}"
    return f"{uneven} of {len(ledger.layers)} windows {'is' if uneven == 1 else 'are'} uneven ({split}){left}"
