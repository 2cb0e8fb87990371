"""Pictures of several parts: maps side by side, coverage through a network, tap exposure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.errors import PadvizError
from padviz.figures.canvas import (
    BETWEEN,
    EDGE,
    HEAD,
    POOLED,
    SMALL,
    SUPERSCRIPT,
    UNEVEN,
    axes_at,
    check_axes,
    headline,
    ink,
    new_figure,
    sampling,
    short_name,
    shortened,
)
from padviz.figures.heatmap import LEAST, blocks_of, fairness
from padviz.figures.scales import FAIR, Scale, colour_bar, scaled
from padviz.geometry.tap_exposure import TapExposure
from padviz.network.network import Size
from padviz.network.rewrites import padding_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLUMNS = 6  # panels in a row
AS_MEANS = " · drawn as means of blocks"
COMPARED, THROUGH = 220, 170  # screen pixels of a panel: maps side by side, and layers of one network


class Panel(NamedTuple):
    """A label, its colour, values up to 1 or why there are none, and what proportions they stand for."""

    text: str
    colour: str
    values: NDArray[np.float64] | str
    shape: tuple[int, ...]


def strip(maps: Sequence[CountMap], cmap: str | None = None) -> Figure:
    """Draw coverage of several layers of one network, on one scale: the share of paths that start at real pixels."""
    first = maps[0]
    title = f"{shortened(first.network.title)}, {first.size[0]} × {first.size[1]}"
    line = f"share of each unit's paths that starts at real pixels · {padding_in_words(first.padding, 'padding')}"
    panels, blocks = [], [blocks_of(count_map, 2 * THROUGH) for count_map in maps]
    for count_map, block in zip(maps, blocks, strict=True):
        label = f"{short_name(str(count_map.target.layer))}\n{count_map.shape[0]} × {count_map.shape[1]}"
        panels.append(Panel(label, "black", scaled(count_map, block)[0], count_map.shape))
    line += AS_MEANS if any(block != (1, 1) for block in blocks) else ""
    return _grid(panels, title, line, Scale(1.0, "share of the paths"), THROUGH, cmap)


def compared(
    items: Sequence[tuple[str, CountMap | PadvizError]],
    varies: str,
    scale: str | None = None,
    cmap: str | None = None,
) -> Figure:
    """Draw usage maps side by side; an error is written out.

    The `scale` is "share", of an interior pixel's weight; "counts", up to the largest of all panels; or
    "each", up to the panel's own. By default it is "share" where a map has one.
    """
    maps = [outcome for _, outcome in items if not isinstance(outcome, PadvizError)]
    scale = scale or scale_for(maps)
    most = max(count_map.max for count_map in maps) if scale == "counts" else None
    panels: list[Panel] = []
    averaged = False
    for name, outcome in items:
        if isinstance(outcome, PadvizError):
            panels.append(Panel(short_name(name), "0.4", f"cannot run: {outcome.where}: {outcome.what}", (1, 1)))
            continue
        blocks = blocks_of(outcome, 2 * COMPARED)
        averaged |= blocks != (1, 1)
        panels.append(_panel(name, outcome, scale, blocks, most))
    unit = f"share of {_scientific(most)} paths" if most else "share of the panel's maximum"
    first = maps[0]
    same = {"network": first.network.title, "size": f"{first.size[0]} × {first.size[1]}"}
    kept = [text for key, text in same.items() if not varies.startswith(key.replace("network", "model"))]
    targets = {str(count_map.target.layer) for count_map in maps}
    target = first.target.layer if len(targets) == 1 else "the layer" if varies == "layer" else "each last feature map"
    meaning = "1 is the weight of an interior pixel" if scale == "share" else f"colours: {unit}"
    line = f"paths from each pixel to {target} · {meaning}{AS_MEANS if averaged else ''}"
    colour_scale = FAIR if scale == "share" else Scale(1.0, unit)
    return _grid(panels, ", ".join(map(shortened, kept)), line, colour_scale, COMPARED, cmap, columns=4)


def scale_for(maps: Sequence[CountMap]) -> str:
    """Choose what maps side by side are drawn as, if nobody says: fair shares where any has them."""
    return "share" if any(count_map.share_reason is None for count_map in maps) else "each"


def _panel(name: str, count_map: CountMap, scale: str, blocks: Size, most: int | float | None) -> Panel:
    if scale == "share":
        if count_map.share_reason:
            label = f"{short_name(name)}\nmax {_scientific(count_map.max)}"
            return Panel(label, "0.4", f"no fair share: {count_map.share_reason}", (1, 1))
        return Panel(f"{short_name(name)}\n{fairness(count_map)}", "black", count_map.share(blocks), count_map.shape)
    label = f"{short_name(name)}\nmax {_scientific(count_map.max)} · {count_map.summary().marginalised:.0%} below half"
    return Panel(label, "black", count_map.relative(blocks) * (count_map.max / most if most else 1), count_map.shape)


def taps(exposures: Sequence[TapExposure], title: str, cmap: str | None = None) -> Figure:
    """Draw tap exposure in network order, on one scale: the share of units whose tap reads a real pixel."""
    check_axes([*exposures[0].imbalance] if exposures else (1, 1), "taps")
    parts = [row.grid / row.units for row in exposures]
    panels = []
    for row, share in zip(exposures, parts, strict=True):
        tall, wide = row.imbalance.values()
        label = f"{short_name(row.layer)}\n↔ {wide:+.1%}  ↕ {tall:+.1%}".replace("+0.0%", "0%")
        uneven = UNEVEN if row.convolution else POOLED
        panels.append(Panel(label, uneven if row.uneven else "black", share, share.shape))
    least = min((float(share.min()) for share in parts), default=0.0)
    floor = min(np.floor(least * 20) / 20, 0.95)
    line = "share of the units whose tap reads a real pixel · imbalance ↔ left-right, ↕ top-bottom"
    kinds = {row.convolution for row in exposures if row.uneven}
    line += " · red: uneven" if True in kinds else ""
    line += " · blue: uneven, a pool" if False in kinds else ""
    return _grid(panels, title, line, Scale(1.0, "share of the units"), 130, cmap, float(floor))


def _grid(
    panels: Sequence[Panel],
    title: str,
    line: str,
    scale: Scale,
    side: int,
    cmap: str | None,
    least: float = 0.0,
    columns: int = COLUMNS,
) -> Figure:
    """Draw panels in rows, with one colour bar from `least` up, as the scale says."""
    colours = scale.colours(cmap)
    per_row = min(columns, max(len(panels), 1))
    pitch, label = side + BETWEEN + 20, 40
    boxes = [_within(panel.shape, side) for panel in panels]
    tall = [label + max(high for _, high in boxes[i : i + per_row]) for i in range(0, len(boxes), per_row)]
    total_w = max(EDGE + per_row * pitch + 110, int(8.6 * len(line)) + EDGE)
    total_h = HEAD + max(sum(tall), label + LEAST) + 20
    figure = new_figure(total_w, total_h)
    image: Any = None
    for i, (text, colour, values, _) in enumerate(panels):
        row, col = divmod(i, per_row)
        (width, height), x, y = boxes[i], EDGE + col * pitch, HEAD + sum(tall[:row]) + label
        ax = axes_at(figure, x, y, width, height)
        if isinstance(values, str):
            why = fill(values, 30).replace("$", "\\$")
            ax.text(0.5, 0.5, why, ha="center", va="center", size=SMALL, color="0.4", wrap=True)
        else:
            smooth = sampling(values, width)
            image = ax.imshow(values, cmap=colours, vmin=least, vmax=scale.most, aspect="auto", interpolation=smooth)
            _percent(ax, values, image)
            ax.spines[:].set_visible(False)  # a frame would hide the outermost cells
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(text, fontsize=SMALL - 1, color=colour, loc="left", pad=3)
    if image is not None:
        x, y, high = EDGE + per_row * pitch + 10, HEAD + label, max(min(side, sum(tall) - label), LEAST)
        colour_bar(figure, image, axes_at(figure, x, y, 12, high), scale, SMALL)
    headline(figure, title, line)
    return figure


def _within(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Size a panel in those proportions, in screen pixels (width, height)."""
    zoom = side / max(shape)
    return max(int(shape[1] * zoom), 8), max(int(shape[0] * zoom), 8)


def _percent(ax: Axes, values: NDArray[np.float64], image: Any) -> None:
    """Write small grids' shares into their cells."""
    if max(values.shape) > 4:
        return
    for (row, col), value in np.ndenumerate(values):
        ax.text(col, row, f"{value:.1%}", ha="center", va="center", size=5, color=ink(image, value))


def _scientific(value: int | float) -> str:
    power = len(str(int(value))) - 1
    return f"{value:g}" if power < 5 else f"{int(value) / 10**power:.2f}×10{str(power).translate(SUPERSCRIPT)}"
