"""The padding ledger as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from padviz.figures.canvas import BETWEEN, EDGE, HEAD, SMALL, headline, new_figure, short_name, shortened
from padviz.figures.colours import POOLED, UNEVEN
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

LEDGER = 60  # windows listed in one picture
BELOW, LINE = 56, 17  # screen pixels under the bars: ticks and their label, and each line of the legend
HATCH = "/////"  # of windows without weights


def padding(ledger: Ledger, title: str) -> Figure:
    """Draw the rows of padding that each window declares (outlined) and reads (filled), on both sides.

    Windows without weights are hatched; the uneven ones are red, or blue where they are pools.
    """
    first = sorted(ledger.layers, key=lambda layer: not (layer.uneven or layer.has_remainder))[:LEDGER]
    layers = [layer for layer in ledger.layers if layer in first]
    left_out = len(ledger.layers) - len(layers)
    axes = [*layers[0].axes] if layers else []
    both = [(axis, [layer.axes[axis] for layer in layers]) for axis in axes]
    if all(rows == both[0][1] for _, rows in both):
        both = [(" and ".join(axes) or "height and width", both[0][1] if both else [])]
    more = f" · {left_out} more not shown" if left_out else ""
    line = f"{len(ledger.uneven)} of {len(ledger.layers)} windows that pad or stride are uneven{_split(ledger)}{more}"
    names, wide, tall = 170, 300, 15 * max(len(layers), 3)
    total_w = max(EDGE + names + (wide + BETWEEN) * len(both) + EDGE, EDGE + int(8.6 * len(line)), 640)
    handles = _handles(layers)
    below = BELOW + LINE * -(-len(handles) // 2)
    total_h = HEAD + 26 + tall + below
    figure = new_figure(total_w, total_h)
    for i, (axis, rows) in enumerate(both):
        x = EDGE + names + i * (wide + BETWEEN)
        ax = figure.add_axes((x / total_w, below / total_h, wide / total_w, tall / total_h))
        _sides(ax, rows, [layer.convolution for layer in layers])
        ax.set_title(f"{axis}: before | after", fontsize=SMALL)
        ax.set_yticks(
            range(len(layers)), [] if i else [short_name(layer.layer) for layer in layers], fontsize=SMALL - 1
        )
    at = (EDGE - 8) / total_w, 0
    look: dict[str, Any] = {"ncols": 2, "fontsize": SMALL - 1, "frameon": False, "borderpad": 0.3}
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=at, **look)
    headline(figure, f"{shortened(title)}, {' × '.join(map(str, ledger.size))}", line)
    return figure


def _split(ledger: Ledger) -> str:
    counts = (len(ledger.uneven_convolutions), "convolution"), (len(ledger.uneven_pools), "pool")
    parts = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in counts if count]
    return f": {', '.join(parts)}" if parts else ""


def _handles(layers: Sequence[LayerPadding]) -> list[Patch]:
    """Explain the marks that are there."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor="none", edgecolor="0.2", lw=0.7, label="declared")]
    for uneven, convolution in sorted({(layer.uneven, layer.convolution) for layer in layers}, reverse=True):
        word = "a convolution" if convolution else "a pool"
        handles.append(Patch(**_mark(uneven, convolution), label=f"read, {'uneven' if uneven else 'balanced'}, {word}"))
    return handles


def _mark(uneven: bool, convolution: bool) -> dict[str, Any]:
    """Choose how padding that is read is drawn."""
    colour = "0.55" if not uneven else UNEVEN if convolution else POOLED
    if convolution:
        return {"facecolor": colour}
    return {"facecolor": "white", "edgecolor": colour, "hatch": HATCH, "lw": 0}


def _sides(ax: Axes, rows: Sequence[AxisPadding], convolutions: Sequence[bool]) -> None:
    """Draw a bar to the left for the padding before, one to the right for that after; remainders as numbers."""
    from matplotlib.ticker import MaxNLocator

    reach = max([1, *(max(*row.declared, row.consumed[1] + row.overhang) for row in rows)]) + 0.5
    for y, (row, weights) in enumerate(zip(rows, convolutions, strict=True)):
        mark = _mark(row.uneven, weights)
        reads = row.consumed[0], row.consumed[1] + row.overhang
        for sign, declared, read in zip((-1, 1), row.declared, reads, strict=True):
            ax.barh(y, sign * read, 0.7, **mark)
            ax.barh(y, sign * declared, 0.7, facecolor="none", edgecolor="0.2", lw=0.7)
        if row.remainder:
            ax.text(reach, y, f"{row.remainder} unread ", ha="right", va="center", fontsize=SMALL - 1, color="0.4")
    ax.axvline(0, color="0.2", lw=0.7)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(max(len(rows), 3) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    ax.set_xlabel("rows or columns of padding", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL - 1)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
