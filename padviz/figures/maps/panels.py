"""Pictures of several maps on one scale: side by side, coverage through a network, tap exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError, PadvizError
from padviz.figures.canvas import SMALL, axes_at, check_axes, short_name, shorten
from padviz.figures.colours import COUNTS, FAIR, POOLED, UNEVEN, Scale, colour_bar, number_cells, scientific
from padviz.figures.layout import BETWEEN, WIDE, Box, grid, page, text_width, wrap
from padviz.figures.maps.heatmap import fairness, finding
from padviz.figures.maps.views import View, draw_cells, views_of, words_of
from padviz.geometry.ledger import TapExposure
from padviz.network.rewrites import padding_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 7  # rows and columns of the largest grid whose shares are written into its cells
MOST = 100  # panels, which are 90 screen pixels wide then
LONGEST = 10  # ratio of a panel's sides, at most
LABEL, LEAST = 34, 90  # screen pixels above a panel, and of one at least, so that its label has room
BAR, TICKS = 13, 100


class Panel(NamedTuple):
    """A label and its colour; values up to 1, or why there are none; the view that they are of."""

    text: str
    colour: str
    values: NDArray[np.float64] | str
    view: View | None = None

    @property
    def aspect(self) -> float:
        if self.view:
            return _bounded(*self.view.positions)
        return 1.0 if isinstance(self.values, str) else self.values.shape[1] / self.values.shape[0]


def strip(maps: Sequence[CountMap], cmap: str | None = None) -> Figure:
    """Draw coverage of several layers of one network, on one scale: the share of paths that start at real pixels."""
    first = maps[0]
    thinnest = min(maps, key=lambda count_map: count_map.min / count_map.full if count_map.full else 1.0)
    title = f"{shorten(first.network.title)}, {first.size[0]} × {first.size[1]}: "
    title += f"{finding(thinnest)}, in {shorten(str(thinnest.target.layer), 40)}"
    line = "share of each unit's paths that starts at real pixels, not in the padding"
    line += f" · {padding_in_words(first.padding, 'padding')}"
    panels = []
    for count_map, view in zip(maps, _views(maps), strict=True):
        label = f"{short_name(str(count_map.target.layer))}\n{count_map.shape[0]} × {count_map.shape[1]}"
        panels.append(Panel(label, "black", view.values(count_map, share=True), view))
    return _grid(panels, title, line, COUNTS, cmap)


def compared(
    items: Sequence[tuple[str, CountMap | PadvizError]], varies: str, scale: str | None = None, cmap: str | None = None
) -> Figure:
    """Draw usage maps side by side; an error is written out.

    The `scale` is "share", the fair share; "counts", up to the largest of all panels; or
    "each", up to the panel's own. By default it is "share" where a map has one.
    """
    check_number(len(items))
    maps = [outcome for _, outcome in items if not isinstance(outcome, PadvizError)]
    first, shared = maps[0], [count_map for count_map in maps if count_map.share_reason is None]
    scale = scale or ("share" if shared else "each")
    most = max(count_map.max for count_map in maps) if scale == "counts" else None
    views = iter(_views(maps))
    panels: list[Panel] = []
    for name, outcome in items:
        if isinstance(outcome, PadvizError):
            panels.append(Panel(short_name(name), "0.4", f"cannot run: {outcome.where}: {outcome.what}"))
        else:
            label = f"{outcome.shape[0]} × {outcome.shape[1]}" if varies == "size" else name
            panels.append(_panel(short_name(label), outcome, scale, next(views), most))
            outcome.forget_arrays()
    unit = f"share of {scientific(most)} paths" if most else "share of the panel's maximum"
    meaning = "fair share: 1 for an interior pixel" if scale == "share" else f"colours: {unit}"
    targets = {str(count_map.target.layer) for count_map in maps}
    target = first.target.layer if len(targets) == 1 else "the layer" if varies == "layer" else "each last feature map"
    constant = {"model": first.network.title, "size": f"{first.size[0]} × {first.size[1]}"}
    title = ", ".join(shorten(text) for key, text in constant.items() if not varies.startswith(key))
    if varies == "remedy" and scale == "share" and first.share_reason is None:
        title += f": {fairness(first)} today; what remedies change"
    elif scale == "share":
        starved = [count_map.shares.figures.starved for count_map in shared]
        least, highest = percent(min(starved)), percent(max(starved))
        title += f": {least} to {highest}" if least != highest else f": {highest}"
        title += " of the pixels starved"
    line = f"paths from each pixel to {target} · {meaning}"
    return _grid(panels, title, line, FAIR if scale == "share" else COUNTS, cmap)


def check_number(maps: int) -> None:
    """Reject more maps than a picture can show side by side."""
    if maps > MOST:
        hint = "use `no_picture` for their figures, or a range with a larger step"
        raise OptionError(
            f"{maps} maps are too many for a picture, which shows up to {MOST}", where="compare", hint=hint
        )


def _views(maps: Sequence[CountMap]) -> list[View]:
    """Choose the view of each map, for a panel about as wide as it will have."""
    aspects = [_bounded(*count_map.shape) for count_map in maps]
    _, wide = grid(len(maps), max(aspects), (0, LABEL))
    return views_of(maps, [wide * max(1.0, 1 / aspect) for aspect in aspects])


def _bounded(tall: int, wide: int) -> float:
    """Return the aspect of a panel within limits: one of 33 x 1,000,000 pixels would take all memory."""
    return min(max(wide / tall, 1 / LONGEST), LONGEST)


def _panel(name: str, count_map: CountMap, scale: str, view: View, most: int | float | None) -> Panel:
    largest = f"{name}\nmax {scientific(count_map.max)}"
    if scale == "share" and count_map.share_reason:
        return Panel(largest, "0.4", f"no fair share: {count_map.share_reason}", view)
    if scale == "share":
        return Panel(f"{name}\n{fairness(count_map)}", "black", view.values(count_map, share=True), view)
    label = f"{largest} · {count_map.summary().marginalised:.0%} below half"
    return Panel(label, "black", view.values(count_map, share=False) * (count_map.max / most if most else 1), view)


def taps(exposures: Sequence[TapExposure], title: str, cmap: str | None = None) -> Figure:
    """Draw tap exposure on one scale, the share of units whose tap reads a real pixel: uneven layers first.

    Layers that are alike are drawn once.
    """
    check_axes([*exposures[0].imbalance] if exposures else (1, 1), "taps")
    alike: dict[tuple[bool, bool, tuple[int, ...], bytes], list[TapExposure]] = {}
    for row in exposures:
        share = row.grid / row.units
        alike.setdefault((not row.uneven, row.convolution, share.shape, share.round(12).tobytes()), []).append(row)
    panels, least = [], 1.0 if alike else 0.0
    for key in sorted(alike, key=lambda key: key[0]):
        row, more = alike[key][0], len(alike[key]) - 1
        share = row.grid / row.units
        tall, wide = row.imbalance.values()
        label = f"{short_name(row.layer)}{f' and {more} more' if more else ''}\n"
        label += f"↔ {wide:+.1%}  ↕ {tall:+.1%}".replace("+0.0%", "0%")
        colour = "black" if not row.uneven else UNEVEN if row.convolution else POOLED
        panels.append(Panel(label, colour, share))
        least = min(least, float(share.min()))
    kinds = {row.convolution for row in exposures if row.uneven}
    line = "share of the units whose tap reads a real pixel · imbalance ↔ left-right, ↕ top-bottom"
    line += " · red: uneven" if True in kinds else ""
    line += " · blue: uneven, a pool" if False in kinds else ""
    count = sum(row.uneven for row in exposures)
    heading = f"{title}: {count or 'none'} of {len(exposures)} layers {'is' if count == 1 else 'are'} uneven"
    return _grid(panels, heading, line, Scale(least=float(min(np.floor(least * 20) / 20, 0.95))), cmap)


def _grid(panels: Sequence[Panel], title: str, line: str, scale: Scale, cmap: str | None) -> Figure:
    widest = max(panel.aspect for panel in panels)
    columns, wide = grid(len(panels), widest, (0, LABEL), WIDE - BETWEEN - BAR - TICKS)
    sizes = [_within(panel.aspect, widest, wide) for panel in panels]
    boxes = [
        Box(max(across, LEAST), high, panel.text, panel.colour)
        for panel, (across, high) in zip(panels, sizes, strict=True)
    ]
    high = min(sum(max(size[1] for size in sizes[at : at + columns]) for at in range(0, len(sizes), columns)), 420)
    words = words_of([panel.view for panel in panels if panel.view and not isinstance(panel.values, str)])
    figure, (*places, bar) = page(title, [line, *words], boxes, columns, Box(BAR, high, right=TICKS))
    colours = scale.colours(cmap)
    for panel, place, size in zip(panels, places, sizes, strict=True):
        ax = axes_at(figure, place.x, place.y, *size)
        ax.set(xticks=[], yticks=[])
        if isinstance(panel.values, str):
            why = "\n".join(wrap(panel.values, SMALL, place.wide - 12)).replace("$", "\\$")
            ax.text(0.5, 0.5, why, ha="center", va="center", size=SMALL, color="0.4")
            continue
        ax.spines[:].set_visible(False)
        draw_cells(ax, panel.values, panel.view, colours)
        down, across = panel.values.shape
        if max(down, across) <= NUMBERED and size[0] >= across * text_width("100.0%", 6):
            number_cells(ax, panel.values, [[f"{value:.1%}" for value in row] for row in panel.values], colours, 6)
    if not all(isinstance(panel.values, str) for panel in panels):
        colour_bar(figure, colours, scale, cax=axes_at(*bar))
    return figure


def _within(aspect: float, widest: float, wide: float) -> tuple[float, float]:
    """Return the size of a panel in screen pixels, (width, height), within the widest panel's box."""
    high = wide / widest
    if aspect >= 1 or widest < 1:
        return max(min(wide, high * aspect), 8.0), max(min(high, wide / aspect), 8.0)
    return max(high * aspect, 8.0), max(high, 8.0)
