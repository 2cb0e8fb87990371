"""Receptive fields as boxes over the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from padviz.figures.canvas import (
    BETWEEN,
    EDGE,
    HEAD,
    MEDIUM,
    SMALL,
    check_axes,
    headline,
    new_figure,
    short_name,
    shortened,
)
from padviz.geometry.reaching.reach import Interval
from padviz.network.network import Size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_BOX = 5  # screen pixels of a receptive field


def fields(units: Mapping[str, Mapping[str, tuple[Interval, ...]]], size: Size, title: str) -> Figure:
    """Draw receptive fields of the centre and corner units of some layers, over the image that they look at."""
    from matplotlib.patches import Rectangle

    check_axes(size, "fields")
    boxes = [box for layer in units.values() for box in layer.values()]
    rows = [end for box in boxes for end in box[0]] + [0, size[0] - 1]
    cols = [end for box in boxes for end in box[1]] + [0, size[1] - 1]
    tall, wide = max(rows) - min(rows) + 1, max(cols) - min(cols) + 1
    zoom = 560 / max(tall, wide)
    box_w, box_h = max(int(wide * zoom), 120), max(int(tall * zoom), 120)
    names, left_edge = max(len(name) for name in units), EDGE + 64
    legend = 60 + 8 * max(names, 12)
    total_w, total_h = left_edge + box_w + BETWEEN + legend, HEAD + box_h + 64
    figure = new_figure(total_w, total_h)
    ax = figure.add_axes(((left_edge) / total_w, 64 / total_h, box_w / total_w, box_h / total_h))
    ax.add_patch(Rectangle((-0.5, -0.5), size[1], size[0], color="0.88", label="image", zorder=0))
    grown = False
    for i, (name, unit_boxes) in enumerate(units.items()):
        for j, ((top, bottom), (left, right)) in enumerate(unit_boxes.values()):
            more = [max(LEAST_BOX / zoom - (last - first + 1), 0) / 2 for first, last in ((left, right), (top, bottom))]
            grown |= max(more) > 0
            corner = left - 0.5 - more[0], top - 0.5 - more[1]
            box = corner, right - left + 1 + 2 * more[0], bottom - top + 1 + 2 * more[1]
            style: dict[str, Any] = (
                {"lw": 0.9, "ls": "--"} if j else {"lw": 2, "label": short_name(name)}
            )  # the centre comes first
            ax.add_patch(Rectangle(*box, fill=False, edgecolor=f"C{i}", **style))
    ax.set_xlim(min(cols) - 0.02 * wide, max(cols) + 0.02 * wide)
    ax.set_ylim(max(rows) + 0.02 * tall, min(rows) - 0.02 * tall)
    ax.set_xlabel("column (pixels)", fontsize=MEDIUM)
    ax.set_ylabel("row (pixels)", fontsize=MEDIUM)
    ax.tick_params(labelsize=SMALL)
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=SMALL, frameon=False)
    ax.ticklabel_format(style="plain", useOffset=False)
    enlarged = ", small ones enlarged" if grown else ""
    line = f"receptive fields of the centre (bold) and the corner units{enlarged}; outside of the image is padding"
    headline(figure, f"{shortened(title)}, {size[0]} × {size[1]}", line)
    return figure
