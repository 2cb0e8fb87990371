"""Pictures of several parts: coverage through a network, tap exposure, receptive fields over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.counts import CountMap
from padviz.draw import (
    CMAP,
    DPI,
    LARGE,
    LEAST,
    MEDIUM,
    SMALL,
    SUPERSCRIPT,
    blocks_of,
    colour_map,
    ink,
    new_figure,
    sampling,
    scaled,
    shortened,
)
from padviz.errors import PadvizError
from padviz.fields import Interval
from padviz.illustrate import Illustration
from padviz.network import Size
from padviz.padding import AxisPadding, Ledger, TapExposure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 6  # panels in a row
MEANT = " · drawn as means of blocks"
COMPARED, THROUGH = 220, 170  # screen pixels of a panel: maps side by side, and layers of one network
EDGE, BETWEEN, HEAD = 40, 26, 84  # screen pixels
LEAST_BOX = 5  # screen pixels of a receptive field
LEDGER = 60  # windows listed in one picture
UNEVEN = "#c22f2f"
Panel = tuple[str, str, "NDArray[np.float64] | str"]  # label, its colour, and values up to 1 or why there are none


def strip(maps: Sequence[CountMap], cmap: str = CMAP) -> Figure:
    """Coverage of several layers of one network, on one scale: the share of paths that start at real pixels."""
    first = maps[0]
    title = f"{shortened(first.network.title)}, {first.size[0]} × {first.size[1]}"
    padding = f"{first.padding} padding" if first.padding else "padding as declared"
    line = f"share of each unit's paths that starts at real pixels · {padding}"
    panels, blocks = [], [blocks_of(each, 2 * THROUGH) for each in maps]
    for each, block in zip(maps, blocks, strict=True):
        label = f"{_short(str(each.target.layer))}\n{each.shape[0]} × {each.shape[1]}"
        panels.append((label, "black", scaled(each, block)[0]))
    line += MEANT if any(block != (1, 1) for block in blocks) else ""
    return _grid(panels, title, line, "share of the paths", 0.0, THROUGH, cmap)


def compared(
    items: Sequence[tuple[str, CountMap | PadvizError]], varies: str, scale: str | None = None, cmap: str = CMAP
) -> Figure:
    """Usage maps side by side; an error is written out.

    The `scale` is "shared", in counts, or "each" up to its own maximum; by default paddings share one.
    """
    shared = scale == "shared" if scale else varies == "padding"
    maps = [found for _, found in items if isinstance(found, CountMap)]
    most = max(each.max for each in maps)
    panels: list[Panel] = []
    meant = False
    for name, found in items:
        if isinstance(found, PadvizError):
            panels.append((_short(name), "0.4", f"cannot run: {found.where}: {found.what}"))
            continue
        below = found.summary().marginalised
        label = f"{_short(name)}\nmax {_scientific(found.max)} · {below:.0%} below half"
        blocks = blocks_of(found, 2 * COMPARED)
        meant |= blocks != (1, 1)
        values = found.relative(blocks)
        panels.append((label, "black", values * (found.max / most) if shared and most else values))
    first = maps[0]
    same = {"network": first.network.title, "size": f"{first.size[0]} × {first.size[1]}"}
    kept = [text for key, text in same.items() if not varies.startswith(key.replace("network", "model"))]
    unit = f"share of {_scientific(most)} paths" if shared else "share of the panel's maximum"
    targets = {str(each.target.layer) for each in maps}
    target = first.target.layer if len(targets) == 1 else "the layer" if varies == "layer" else "each last feature map"
    line = f"paths from each pixel to {target} · colours: {unit}{MEANT if meant else ''}"
    return _grid(panels, ", ".join(map(shortened, kept)), line, unit, 0.0, COMPARED, cmap, columns=4)


def taps(exposures: Sequence[TapExposure], title: str, cmap: str = CMAP) -> Figure:
    """Tap exposure in network order, on one scale: the share of units whose tap reads a real pixel."""
    parts = [row.grid / row.units for row in exposures]
    panels = []
    for row, share in zip(exposures, parts, strict=True):
        tall, wide = row.imbalance
        label = f"{_short(row.layer)}\n↔ {wide:+.1%}  ↕ {tall:+.1%}".replace("+0.0%", "0%")
        panels.append((label, UNEVEN if row.uneven else "black", share))
    least = min((float(share.min()) for share in parts), default=0.0)
    floor = min(np.floor(least * 20) / 20, 0.95)
    line = "share of the units whose tap reads a real pixel · imbalance ↔ left-right, ↕ top-bottom · red: uneven"
    return _grid(panels, title, line, "share of the units", float(floor), 130, cmap)


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
        ax.set_yticks(range(len(shown)), [] if i else [_short(layer.layer) for layer in shown], fontsize=SMALL - 1)
    _headline(figure, f"{shortened(title)}, {found.size[0]} × {found.size[1]}", line)
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


def fields(units: Mapping[str, Mapping[str, tuple[Interval, Interval]]], size: Size, title: str) -> Figure:
    """Receptive fields of the centre and corner units of some layers, over the image that they look at."""
    from matplotlib.patches import Rectangle

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
    for i, (name, each) in enumerate(units.items()):
        for j, ((top, bottom), (left, right)) in enumerate(each.values()):
            more = [max(LEAST_BOX / zoom - (last - first + 1), 0) / 2 for first, last in ((left, right), (top, bottom))]
            grown |= max(more) > 0
            corner = left - 0.5 - more[0], top - 0.5 - more[1]
            box = corner, right - left + 1 + 2 * more[0], bottom - top + 1 + 2 * more[1]
            style: dict[str, Any] = (
                {"lw": 0.9, "ls": "--"} if j else {"lw": 2, "label": _short(name)}
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
    _headline(figure, f"{shortened(title)}, {size[0]} × {size[1]}", line)
    return figure


def kernels(shown: Sequence[Illustration], pixel: tuple[int, int] | None, cmap: str = CMAP) -> Figure:
    """Illustrations one below the other: the padded image in letters, the uses, and the taps that read `pixel`."""
    cell, gap = 36, 40
    names = ["padded image", "uses of each pixel"] + ([f"reads of pixel {pixel[0]},{pixel[1]}"] if pixel else [])
    grids: list[list[Sequence[Sequence[Any]]]] = [
        [each.padded, each.uses, *([each.taps(*pixel)] if pixel else [])] for each in shown
    ]
    wide = [max(170, *(len(row[i][0]) * cell for row in grids)) for i in range(len(names))]
    group = sum(wide) + gap * len(wide)
    per_row = 2 if len(shown) > 4 else 1
    lines = [grids[i : i + per_row] for i in range(0, len(grids), per_row)]
    tall = [max(len(grid) for row in line for grid in row) * cell + 56 for line in lines]
    total_w, total_h = max(2 * EDGE + per_row * group - gap, 560), HEAD + sum(tall)
    figure = new_figure(total_w, total_h)
    colours = colour_map(cmap)
    most = max(float(max(map(max, each.uses))) for each in shown)
    for i, (each, row) in enumerate(zip(shown, grids, strict=True)):
        for j, grid in enumerate(row):
            x = EDGE + i % per_row * group + sum(wide[:j]) + gap * j
            y = HEAD + sum(tall[: i // per_row]) + 30
            w, h = len(grid[0]) * cell, len(grid) * cell
            ax = figure.add_axes((x / total_w, 1 - (y + h) / total_h, w / total_w, h / total_h))
            ax.set_title(f"{each.scheme}: {names[j]}", fontsize=SMALL, loc="left", pad=4)
            ax.set_xticks([])
            ax.set_yticks([])
            if j:
                _counted(ax, grid, most if j == 1 else None, colours)
            else:
                _lettered(ax, each)
    window, (high, across) = shown[0].window, shown[0].size
    line = f"stride {window.stride} · dilation {window.dilation} · {high} × {across} pixels · padding in grey"
    _headline(figure, f"{window.kernel} × {window.kernel} kernel", line)
    return figure


def _counted(ax: Axes, grid: Sequence[Sequence[Any]], most: float | None, colours: Any) -> None:
    """Counts in the colours of a heat map from 0 to `most`, each written in its cell."""
    values = np.array([[float(value) for value in row] for row in grid])
    image = ax.imshow(values, cmap=colours, vmin=0, vmax=most or values.max() or 1, aspect="auto")
    texts = [[str(value) if len(str(value)) < 6 else f"{float(value):.2f}" for value in row] for row in grid]
    longest = max(len(text) for row in texts for text in row)
    for (row, col), value in np.ndenumerate(values):
        size = min(9.0, 28 / longest)
        ax.text(col, row, texts[row][col], ha="center", va="center", size=size, color=ink(image, value))


def _lettered(ax: Axes, shown: Illustration) -> None:
    """The padded image: letters, on grey where they are padding."""
    rows, cols = len(shown.padded), len(shown.padded[0])
    inside = np.zeros((rows, cols))
    inside[shown.before[0] : shown.before[0] + shown.size[0], shown.before[1] : shown.before[1] + shown.size[1]] = 1
    ax.imshow(inside, cmap="gray", vmin=-4, vmax=1, aspect="auto")
    for row, letters in enumerate(shown.padded):
        for col, letter in enumerate(letters):
            ax.text(col, row, letter, ha="center", va="center", size=9 if len(letter) < 3 else 6)


def _grid(
    panels: Sequence[Panel],
    title: str,
    line: str,
    unit: str,
    least: float,
    side: int,
    cmap: str,
    columns: int = COLUMNS,
) -> Figure:
    """Panels in rows, with one colour bar from `least` to 1."""
    colours = colour_map(cmap)
    per_row = min(columns, max(len(panels), 1))
    pitch, label = side + BETWEEN + 20, 40
    boxes = [(side, side) if isinstance(values, str) else _within(values.shape, side) for _, _, values in panels]
    tall = [label + max(high for _, high in boxes[i : i + per_row]) for i in range(0, len(boxes), per_row)]
    total_w = max(EDGE + per_row * pitch + 110, int(8.6 * len(line)) + EDGE)
    total_h = HEAD + max(sum(tall), label + LEAST) + 20
    figure = new_figure(total_w, total_h)
    image: Any = None
    for i, (text, colour, values) in enumerate(panels):
        row, col = divmod(i, per_row)
        (width, height), x, y = boxes[i], EDGE + col * pitch, HEAD + sum(tall[:row]) + label
        ax = figure.add_axes((x / total_w, 1 - (y + height) / total_h, width / total_w, height / total_h))
        if isinstance(values, str):
            ax.text(
                0.5,
                0.5,
                fill(values, 30).replace("$", "\\$"),
                ha="center",
                va="center",
                size=SMALL,
                color="0.4",
                wrap=True,
            )
        else:
            smooth = sampling(values, width)
            image = ax.imshow(values, cmap=colours, vmin=least, vmax=1, aspect="auto", interpolation=smooth)
            _percent(ax, values, image)
            ax.spines[:].set_visible(False)  # a frame would hide the outermost cells
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(text, fontsize=SMALL - 1, color=colour, loc="left", pad=3)
    if image is not None:
        x, y, high = EDGE + per_row * pitch + 10, HEAD + label, max(min(side, sum(tall) - label), LEAST)
        bar = figure.add_axes((x / total_w, 1 - (y + high) / total_h, 12 / total_w, high / total_h))
        figure.colorbar(image, cax=bar).set_label(unit, fontsize=SMALL)
        bar.tick_params(labelsize=SMALL - 1)
    _headline(figure, title, line)
    return figure


def _within(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Screen pixels (width, height) of a panel in the proportions of its values."""
    zoom = side / max(shape)
    return max(int(shape[1] * zoom), 8), max(int(shape[0] * zoom), 8)


def _percent(ax: Axes, values: NDArray[np.float64], image: Any) -> None:
    """Write small grids' shares into their cells."""
    if max(values.shape) > 4:
        return
    for (row, col), value in np.ndenumerate(values):
        ax.text(col, row, f"{value:.1%}", ha="center", va="center", size=5, color=ink(image, value))


def _headline(figure: Figure, title: str, line: str) -> None:
    width, height = figure.get_size_inches() * DPI
    figure.text(EDGE / width, 1 - 30 / height, title, fontsize=LARGE)
    figure.text(EDGE / width, 1 - 56 / height, line, fontsize=MEDIUM)


def _scientific(value: int | float) -> str:
    power = len(str(int(value))) - 1
    return f"{value:g}" if power < 5 else f"{int(value) / 10**power:.2f}×10{str(power).translate(SUPERSCRIPT)}"


def _short(name: str) -> str:
    plain = shortened(name, 200)
    return plain if len(plain) <= 24 else "…" + plain[-23:]
