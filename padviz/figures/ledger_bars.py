"""The padding ledger as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from padviz.audit.ledger import AxisPadding, Ledger
from padviz.figures.canvas import (
    BETWEEN,
    EDGE,
    HEAD,
    SMALL,
    UNEVEN,
    headline,
    new_figure,
    short_name,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEDGER = 60  # windows listed in one picture


def padding(found: Ledger, title: str) -> Figure:
    """The padding ledger: rows of padding that each window declares (outlined) and reads (filled), on both sides."""
    first = sorted(found.layers, key=lambda layer: not (layer.uneven or layer.drops))[:LEDGER]
    shown = [layer for layer in found.layers if layer in first]
    left_out = len(found.layers) - len(shown)
    both = [("height and width", [layer.height for layer in shown])]
    if any(layer.height != layer.width for layer in shown):
        both = [("height", both[0][1]), ("width", [layer.width for layer in shown])]
    more = f" · {left_out} more not shown" if left_out else ""
    line = f"{len(found.uneven)} of {len(found.layers)} windows that pad or stride are uneven (red)"
    line += f" · outlined: declared · filled: read by some unit{more}"
    names, wide, tall = 170, 300, 15 * max(len(shown), 3)
    total_w = max(EDGE + names + (wide + BETWEEN) * len(both) + EDGE, EDGE + int(8.6 * len(line)))
    total_h = HEAD + 26 + tall + 50
    figure = new_figure(total_w, total_h)
    for i, (axis, rows) in enumerate(both):
        x = EDGE + names + i * (wide + BETWEEN)
        ax = figure.add_axes((x / total_w, 50 / total_h, wide / total_w, tall / total_h))
        _sides(ax, rows)
        ax.set_title(f"{axis}: before | after", fontsize=SMALL)
        ax.set_yticks(range(len(shown)), [] if i else [short_name(layer.layer) for layer in shown], fontsize=SMALL - 1)
    headline(figure, f"{shortened(title)}, {found.size[0]} × {found.size[1]}", line)
    return figure


def _sides(ax: Axes, rows: Sequence[AxisPadding]) -> None:
    """A bar to the left for the padding before, one to the right for that after; what is dropped as a number."""
    from matplotlib.ticker import MaxNLocator

    reach = max([1, *(max(*row.declared, row.consumed[1] + row.overhang) for row in rows)]) + 0.5
    for y, row in enumerate(rows):
        colour = UNEVEN if row.uneven else "0.55"
        reads = row.consumed[0], row.consumed[1] + row.overhang
        for sign, declared, read in zip((-1, 1), row.declared, reads, strict=True):
            ax.barh(y, sign * read, 0.7, color=colour)
            ax.barh(y, sign * declared, 0.7, facecolor="none", edgecolor="0.2", lw=0.7)
        if row.dropped:
            ax.text(reach, y, f"drops {row.dropped} ", ha="right", va="center", fontsize=SMALL - 1, color="0.4")
    ax.axvline(0, color="0.2", lw=0.7)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(max(len(rows), 3) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.set_xlabel("rows or columns of padding", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
