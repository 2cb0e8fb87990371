"""The padding ledger as bars: uneven windows first, the others in one row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from padviz.figures.canvas import SMALL, axes_at, short_name, shortened
from padviz.figures.colours import POOLED, UNEVEN
from padviz.figures.layout import Box, page, text_width
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEDGER = 40  # windows listed in one picture
WIDE, LINE, BELOW = 460, 22, 46  # screen pixels: of the bars of an axis, a row, and ticks with their label
HATCH = "/////"  # of windows without weights


def padding(ledger: Ledger, title: str) -> Figure:
    """Draw the rows of padding that each window declares (outlined) and reads (filled), on both sides.

    Uneven windows are red, or blue where they are pools, which are hatched. Windows that are even, and read all rows,
    share the last row.
    """
    layers = [layer for layer in ledger.layers if layer.uneven or layer.has_remainder][:LEDGER]
    layers.sort(key=lambda layer: not layer.uneven)
    others = [layer for layer in ledger.layers if layer not in layers]
    names = [short_name(layer.layer) for layer in layers] + [_count(others, layers)] * bool(others)
    axes = [*ledger.layers[0].axes] if ledger.layers else []
    both = [(axis, [layer.axes[axis] for layer in layers]) for axis in axes]
    if all(rows == both[0][1] for _, rows in both):
        both = [(" and ".join(axes) or "height and width", both[0][1] if both else [])]
    left = max((text_width(name, SMALL) for name in names), default=0) + 12
    high = LINE * max(len(names), 2)
    boxes = []
    for i, (axis, rows) in enumerate(both):
        draw = partial(_axis, rows, layers, others, [] if i else names, (WIDE, high))
        boxes.append(Box(WIDE, high, draw, f"{axis}: before | after", left=0 if i else left, below=BELOW))
    return page(f"{shortened(title)}, {' × '.join(map(str, ledger.size))}: {found(ledger)}", [_key(layers)], boxes)


def found(ledger: Ledger) -> str:
    """Say how many windows are uneven, and how many leave rows unread.

    >>> import padviz
    >>> found(padviz.uneven("resnet18", 224))
    '5 of 21 windows are uneven (4 convolutions, 1 pool), 3 leave rows unread'
    """
    uneven, unread = len(ledger.uneven), sum(layer.has_remainder for layer in ledger.layers)
    kinds = (len(ledger.uneven_convolutions), "convolution"), (len(ledger.uneven_pools), "pool")
    split = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for count, word in kinds if count)
    left = f", {unread} {'leaves' if unread == 1 else 'leave'} rows unread" if unread else ""
    if not uneven:
        return f"no window is uneven{left}"
    return f"{uneven} of {len(ledger.layers)} windows {'is' if uneven == 1 else 'are'} uneven ({split}){left}"


def _count(others: Sequence[LayerPadding], layers: Sequence[LayerPadding]) -> str:
    """Name the row of those that are not listed."""
    uneven = sum(layer.uneven or layer.has_remainder for layer in others)
    more = "more " if layers else ""
    return f"{len(others)} {more}windows" if uneven else f"{len(others)} even window{'s' if len(others) > 1 else ''}"


def _key(layers: Sequence[LayerPadding]) -> str:
    """Explain the marks that are there."""
    colours = [(True, "red: a convolution"), (False, "blue: a pool")]
    told = [word for weights, word in colours if any(row.uneven and row.convolution == weights for row in layers)]
    return " · ".join(["padding that windows read (filled) and declare (outlined); uneven: more on one side", *told])


def _mark(uneven: bool, convolution: bool) -> dict[str, Any]:
    """Choose how padding that is read is drawn."""
    colour = "0.55" if not uneven else UNEVEN if convolution else POOLED
    if convolution:
        return {"facecolor": colour}
    return {"facecolor": "white", "edgecolor": colour, "hatch": HATCH, "lw": 0}


def _axis(
    rows: Sequence[AxisPadding],
    layers: Sequence[LayerPadding],
    others: Sequence[LayerPadding],
    names: Sequence[str],
    size: tuple[float, float],
    figure: Figure,
    x: float,
    y: float,
) -> None:
    """Draw a bar to the left for the padding before, one to the right for that after; what is read as numbers."""
    from matplotlib.ticker import MaxNLocator

    ax = axes_at(figure, x, y, *size)
    most = max([1, *(max(*row.declared, *row.reads) for row in rows)])
    reach = 1.35 * most
    for at, (row, layer) in enumerate(zip(rows, layers, strict=True)):
        _bars(ax, at, row, _mark(row.uneven, layer.convolution), 0.02 * reach)
        if row.remainder:
            ax.text(reach, at, f"{row.remainder} unread", ha="right", va="center", fontsize=SMALL, color="0.4")
    count = len(rows) + bool(others)
    if others:
        pads = [pads for layer in others for row in layer.axes.values() for pads in row.consumed]
        span = f"{min(pads)} to {max(pads)}" if min(pads) < max(pads) else f"{pads[0]}"
        ax.text(0.03 * reach, len(rows), f"{span} on each side", va="center", fontsize=SMALL, color="0.4")
    ax.plot([0, 0], [-0.6, len(rows) - 0.5 if rows else -0.6], color="0.2", lw=0.7)
    ax.set_yticks(range(len(names)), names, fontsize=SMALL)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(max(count, 2) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.set_xlabel("rows or columns of padding", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _bars(ax: Axes, at: int, row: AxisPadding, mark: dict[str, Any], apart: float) -> None:
    for sign, declared, read in zip((-1, 1), row.declared, row.reads, strict=True):
        ax.barh(at, sign * read, 0.7, **mark)
        ax.barh(at, sign * declared, 0.7, facecolor="none", edgecolor="0.2", lw=0.7)
        end = sign * (max(read, declared) + apart)
        ax.text(end, at, f"{read}", ha="left" if sign > 0 else "right", va="center", fontsize=SMALL)
