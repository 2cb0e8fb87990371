"""Pictures of several maps on one scale: side by side, coverage through a network, tap exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError, PadvizError, check_word
from padviz.figures.canvas import SMALL, axes_at, check_axes, short_name, shorten
from padviz.figures.colours import (
    COUNTS,
    FAIR,
    POOLED,
    UNEVEN,
    Scale,
    colour_bar,
    number_cells,
    scientific,
)
from padviz.figures.layout import BETWEEN, WIDE, Box, grid, page, text_width, wrap
from padviz.figures.maps.heatmap import fairness, finding, visible
from padviz.figures.maps.views import View, draw_cells, frame_around, views_of, words_of
from padviz.geometry.ledger import TapExposure
from padviz.network.network import in_words
from padviz.network.rewrites import padding_in_words
from padviz.phrases import some_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

NUMBERED = 7  # rows and columns of the largest grid whose shares are written into its cells
MOST = 100  # panels, which are 90 screen pixels wide then
LONGEST = 10  # ratio of a panel's sides, at most
LABEL, LEAST = (
    34,
    90,
)  # screen pixels above a panel, and of one at least, so that its label has room
BAR, TICKS = 13, 100
NAMED = 4  # different shares in a title


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
    """Draw coverage of several layers of one network, on one scale: the share of paths that start
    at real pixels.
    """
    first = maps[0]
    thinnest = min(maps, key=_least_coverage)
    title = f"{shorten(first.network.title)}, {in_words(first.size)}: "
    title += f"{finding(thinnest)}, in {shorten(str(thinnest.target.layer), 40)}"
    line = "share of each unit's paths that starts at real pixels, not in the padding"
    line += f" · {padding_in_words(first.padding, 'padding')}"
    panels = []
    for count_map, view in zip(maps, _views(maps), strict=True):
        label = f"{short_name(str(count_map.target.layer))}\n{in_words(count_map.shape)}"
        panels.append(Panel(label, "black", view.values(count_map, share=True), view))
    return _grid(panels, title, line, COUNTS, cmap)


def _least_coverage(count_map: CountMap) -> float:
    if count_map.full:
        return count_map.min / count_map.full
    return 1.0


def compared(
    items: Sequence[tuple[str, CountMap | PadvizError]],
    varies: str,
    scale: str | None = None,
    cmap: str | None = None,
) -> Figure:
    """Draw usage maps side by side; an error is written out.

    The `scale` is "share", the fair share; "counts", up to the largest of all panels; or
    "each", up to the panel's own. By default it is "share" where a map has one.
    """
    check_number(len(items))
    maps = [outcome for _, outcome in items if not isinstance(outcome, PadvizError)]
    check_word(scale, ("share", "counts", "each"), "scale")
    if scale is None:
        scale = "share"
        if all(count_map.share_reason for count_map in maps):
            scale = "each"
    most = None
    if scale == "counts":
        most = max(count_map.max for count_map in maps)

    views = iter(_views(maps))
    panels: list[Panel] = []
    named: list[tuple[str, CountMap]] = []
    for name, outcome in items:
        if isinstance(outcome, PadvizError):
            why = f"cannot run: {outcome.where}: {outcome.what}"
            panels.append(Panel(short_name(name), "0.4", why))
            continue
        label = name
        if varies == "size":
            label = f"{in_words(outcome.shape)}"
        panels.append(_panel(short_name(label), outcome, scale, next(views), most))
        named.append((short_name(label), outcome))
        outcome.forget_arrays()

    title = _comparison_in_words(maps, varies)
    if scale == "share":
        title += f": {_shares_in_words(named, varies)}"
        meaning = "fair share: 1 for an interior pixel"
    elif most:
        meaning = f"colours: share of {scientific(most)} paths"
    else:
        meaning = "colours: share of the panel's maximum"
    line = f"paths from each pixel to {_targets_in_words(maps, varies)} · {meaning}"
    return _grid(panels, title, line, FAIR if scale == "share" else COUNTS, cmap)


def _comparison_in_words(maps: Sequence[CountMap], varies: str) -> str:
    """Return what all panels share in words: the network, and the size."""
    constant = []
    if not varies.startswith("network"):
        constant.append(maps[0].network.title)
    if not varies.startswith("size"):
        constant.append(f"{in_words(maps[0].size)}")
    return ", ".join(map(shorten, constant))


def _shares_in_words(maps: Sequence[tuple[str, CountMap]], varies: str) -> str:
    """Return the shares of starved and of overused pixels under each name, of the maps that have
    fair shares.
    """
    starved, overused = [], []
    for name, count_map in maps:
        if count_map.share_reason is None:
            starved.append((name, count_map.shares.figures.starved))
            overused.append((name, count_map.shares.figures.overused))
    if varies != "remedy" or maps[0][1].share_reason:
        words = shares_by_name(starved, "starve")
    else:
        (_, now), *changed = starved
        after = ", ".join(f"{name} {share_or_none(share)}" for name, share in changed)
        words = f"{percent(now)} starved; {after or 'no change helps'}"
    if any(visible(share) for _, share in overused):
        words += f"; {shares_by_name(overused, 'overuse')}"
    return words


def shares_by_name(shares: Sequence[tuple[str, float]], verb: str) -> str:
    """Write the share of pixels that each name starves or overuses: up to four different shares,
    or else the largest and the smallest.

    >>> shares_by_name([("zero", 0.119), ("circular", 0), ("reflect", 0.015)], "starve")
    'zero starves 11.9 %, reflect 1.5 %, circular none'
    >>> sizes = 64, 96, 128, 192, 256, 512
    >>> shares_by_name([(f"{n} px", min(1, 96 / n)) for n in sizes], "starve")
    '64 px, 96 px starve 100.0 %, 512 px 18.8 %, others between'
    """
    names: dict[str, list[str]] = {}
    for name, share in sorted(shares, key=lambda pair: -pair[1]):
        # Shares that are written alike are a tie.
        names.setdefault(share_or_none(share), []).append(name)
    groups = [(share, some_names(alike)) for share, alike in names.items()]
    largest, first = groups[0]
    if largest == "none":
        return f"none {verb}s a pixel"
    if len(names[largest]) > 1:
        if len(groups) == 1:
            first = "all"
        words = [f"{first} {verb} {largest}"]
    else:
        words = [f"{first} {verb}s {largest}"]
    if len(groups) <= NAMED:
        words += [f"{alike} {share}" for share, alike in groups[1:]]
    else:
        smallest, last = groups[-1]
        words += [f"{last} {smallest}", "others between"]
    return ", ".join(words)


def share_or_none(share: float) -> str:
    """Write a share in percent; "none" is 0 alone, not what rounds to it.

    >>> share_or_none(0.103), share_or_none(0.0001), share_or_none(0)
    ('10.3 %', 'under 0.1 %', 'none')
    """
    if not share:
        return "none"
    if not visible(share):
        return "under 0.1 %"
    return percent(share)


def _targets_in_words(maps: Sequence[CountMap], varies: str) -> str:
    targets = {str(count_map.target.layer) for count_map in maps}
    if len(targets) == 1:
        return str(maps[0].target.layer)
    return "the layer" if varies == "layer" else "each last feature map"


def check_number(maps: int) -> None:
    """Reject more maps than a picture can show side by side."""
    if maps > MOST:
        hint = "leave the picture out, or use a range with a larger step"
        raise OptionError(
            f"{maps} maps are too many for a picture, which shows up to {MOST}",
            where="compare",
            hint=hint,
        )


def _views(maps: Sequence[CountMap]) -> list[View]:
    """Choose the view of each map, for a panel about as wide as it will have."""
    aspects = [_bounded(*count_map.shape) for count_map in maps]
    _, wide = grid(len(maps), max(aspects), (0, LABEL))
    return views_of(maps, [wide * max(1.0, 1 / aspect) for aspect in aspects])


def _bounded(tall: int, wide: int) -> float:
    """Return the aspect of a panel within limits: one of 33 x 1,000,000 pixels would take all
    memory.
    """
    return min(max(wide / tall, 1 / LONGEST), LONGEST)


def _panel(
    name: str, count_map: CountMap, scale: str, view: View, most: int | float | None
) -> Panel:
    largest = f"{name}\nmax {scientific(count_map.max)}"
    if scale == "share" and count_map.share_reason:
        return Panel(largest, "0.4", f"no fair share: {count_map.share_reason}", view)
    if scale == "share":
        return Panel(
            f"{name}\n{fairness(count_map)}", "black", view.values(count_map, share=True), view
        )
    values = view.values(count_map, share=False)
    if most:
        values = values * (count_map.max / most)
    label = f"{largest} · {count_map.summary().marginalised:.0%} below half"
    return Panel(label, "black", values, view)


def taps(exposures: Sequence[TapExposure], title: str, cmap: str | None = None) -> Figure:
    """Draw tap exposure on one scale, the share of units whose tap reads a real pixel: uneven
    layers first.

    Layers that are alike are drawn once.
    """
    if exposures:
        check_axes([*exposures[0].imbalance], "taps")
    alike: dict[tuple[bool, bool, tuple[int, ...], bytes], list[TapExposure]] = {}
    for row in exposures:
        share = row.grid / row.units
        key = (not row.uneven, row.convolution, share.shape, share.round(12).tobytes())
        alike.setdefault(key, []).append(row)
    # Uneven layers first; the order of layers stays among those that are alike in this.
    groups = [alike[key] for key in sorted(alike, key=lambda key: key[0])]
    panels = [_tap_panel(rows) for rows in groups]

    line = "share of the units whose tap reads a real pixel · imbalance ↔ left-right, ↕ top-bottom"
    uneven = [row for row in exposures if row.uneven]
    if any(row.convolution for row in uneven):
        line += " · red: uneven"
    if any(not row.convolution for row in uneven):
        line += " · blue: uneven, a pool"
    verb = "are"
    if len(uneven) == 1:
        verb = "is"
    heading = f"{title}: {len(uneven) or 'none'} of {len(exposures)} layers {verb} uneven"
    lowest = min((float((rows[0].grid / rows[0].units).min()) for rows in groups), default=0.0)
    scale = Scale(least=float(min(np.floor(lowest * 20) / 20, 0.95)))
    return _grid(panels, heading, line, scale, cmap)


def _tap_panel(rows: Sequence[TapExposure]) -> Panel:
    """Return the panel of layers that are alike, named after the first."""
    row = rows[0]
    label = some_names((short_name(row.layer) for row in rows), 1)
    tall, wide = row.imbalance.values()
    label += f"\n↔ {wide:+.1%}  ↕ {tall:+.1%}".replace("+0.0%", "0%")
    colour = "black"
    if row.uneven:
        colour = UNEVEN if row.convolution else POOLED
    return Panel(label, colour, row.grid / row.units)


def _grid(panels: Sequence[Panel], title: str, line: str, scale: Scale, cmap: str | None) -> Figure:
    """Draw panels in rows that fill the page, and the colour bar beside them if any has values."""
    widest = max(panel.aspect for panel in panels)
    columns, wide = grid(len(panels), widest, (0, LABEL), WIDE - BETWEEN - BAR - TICKS)
    sizes = [_within(panel.aspect, widest, wide) for panel in panels]
    boxes = [
        Box(max(across, LEAST), high, panel.text, panel.colour)
        for panel, (across, high) in zip(panels, sizes, strict=True)
    ]
    rows = [sizes[at : at + columns] for at in range(0, len(sizes), columns)]
    high = min(sum(max(tall for _, tall in row) for row in rows), 420)
    drawn = [panel for panel in panels if not isinstance(panel.values, str)]
    words = words_of([panel.view for panel in drawn if panel.view])
    beside = Box(BAR, high, right=TICKS)
    figure, (*places, bar) = page(title, [line, *words], boxes, columns, beside)

    colours = scale.colours(cmap)
    for panel, place, size in zip(panels, places, sizes, strict=True):
        ax = axes_at(figure, place.x, place.y, *size)
        _draw_panel(ax, panel, size[0], place.wide, colours)
    if drawn:
        colour_bar(figure, colours, scale, cax=axes_at(*bar))
    return figure


def _draw_panel(ax: Axes, panel: Panel, wide: float, room: float, colours: ScalarMappable) -> None:
    """Draw the cells of a panel `wide` screen pixels across, with their values where there are few.

    Where it has none, why is written into the `room` of its place, which may be wider.
    """
    ax.set(xticks=[], yticks=[])
    if isinstance(panel.values, str):
        why = "\n".join(wrap(panel.values, SMALL, room - 12)).replace("$", "\\$")
        ax.text(0.5, 0.5, why, ha="center", va="center", size=SMALL, color="0.4")
        return
    frame_around(ax)
    draw_cells(ax, panel.values, panel.view, colours)
    down, across = panel.values.shape
    if max(down, across) <= NUMBERED and wide >= across * text_width("100.0%", 6):
        texts = [[f"{value:.1%}" for value in row] for row in panel.values]
        number_cells(ax, panel.values, texts, colours, 6)


def _within(aspect: float, widest: float, wide: float) -> tuple[float, float]:
    """Return the size of a panel in screen pixels, (width, height), within the widest
    panel's box.
    """
    high = wide / widest
    if aspect >= 1 or widest < 1:
        return max(min(wide, high * aspect), 8.0), max(min(high, wide / aspect), 8.0)
    return max(high * aspect, 8.0), max(high, 8.0)
