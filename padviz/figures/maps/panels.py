"""Pictures of several maps on one scale: side by side, coverage through a network, tap exposure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import percent
from padviz.errors import PadvizError
from padviz.figures.canvas import DPI, SMALL, axes_at, check_axes, short_name, shortened
from padviz.figures.colours import POOLED, UNEVEN, ink
from padviz.figures.layout import BETWEEN, WIDE, Box, grid, page, text_width, wrapped
from padviz.figures.maps.heatmap import fairness, found
from padviz.figures.maps.scales import COUNTS, FAIR, Scale, colour_bar, scientific
from padviz.figures.maps.views import View, put_cells, views_of, words_of
from padviz.geometry.tap_exposure import TapExposure
from padviz.network.rewrites import padding_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


NUMBERED = 7  # rows and columns of a grid, at most, whose shares are written into its cells
LONGEST = 10  # times its width that a panel is high at most, or its height that it is wide
LABEL, LEAST = 34, 90  # screen pixels above a panel, and of one at least, so that its label has room
BAR, TICKS = 13, 100


class Panel(NamedTuple):
    """A label, its colour, values up to 1 or why there are none, the view that they are of, and their proportions."""

    text: str
    colour: str
    values: NDArray[np.float64] | str
    view: View | None = None
    aspect: float = 1.0


def strip(maps: Sequence[CountMap], cmap: str | None = None) -> Figure:
    """Draw coverage of several layers of one network, on one scale: the share of paths that start at real pixels."""
    first = maps[0]
    title = f"{shortened(first.network.title)}, {first.size[0]} × {first.size[1]}: {_thinnest(maps)}"
    line = "share of each unit's paths that starts at real pixels, not in the padding"
    line += f" · {padding_in_words(first.padding, 'padding')}"
    panels = []
    for count_map, view in zip(maps, _views(maps), strict=True):
        label = f"{short_name(str(count_map.target.layer))}\n{count_map.shape[0]} × {count_map.shape[1]}"
        panels.append(Panel(label, "black", view.values(count_map, share=True), view, _aspect(view)))
    return _grid(panels, title, [line], COUNTS, cmap)


def _thinnest(maps: Sequence[CountMap]) -> str:
    """Say of which layer the fewest paths start at real pixels."""
    least = min(maps, key=lambda count_map: count_map.min / count_map.full if count_map.full else 1.0)
    return f"{found(least)}, in {shortened(str(least.target.layer), 40)}"


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
    views = iter(_views(maps))
    panels: list[Panel] = []
    for name, outcome in items:
        if isinstance(outcome, PadvizError):
            panels.append(Panel(short_name(name), "0.4", f"cannot run: {outcome.where}: {outcome.what}"))
        else:
            label = f"{outcome.shape[0]} × {outcome.shape[1]}" if varies == "size" else name
            panels.append(_panel(label, outcome, scale, next(views), most))
    unit = f"share of {scientific(most)} paths" if most else "share of the panel's maximum"
    first = maps[0]
    same = {"network": first.network.title, "size": f"{first.size[0]} × {first.size[1]}"}
    kept = [text for key, text in same.items() if not varies.startswith(key.replace("network", "model"))]
    targets = {str(count_map.target.layer) for count_map in maps}
    target = first.target.layer if len(targets) == 1 else "the layer" if varies == "layer" else "each last feature map"
    meaning = "1 is the weight of an interior pixel" if scale == "share" else f"colours: {unit}"
    lines = [f"paths from each pixel to {target} · {meaning}"]
    title = ", ".join(map(shortened, kept))
    if varies == "remedy" and scale == "share" and first.share_reason is None:
        title += f": {fairness(first)} today; what remedies change"
    elif scale == "share":
        title += _between(maps)
    return _grid(panels, title, lines, FAIR if scale == "share" else COUNTS, cmap)


def _between(maps: Sequence[CountMap]) -> str:
    """Say how many pixels are starved in the best and in the worst of several maps."""
    starved = [count_map.shares.figures.starved for count_map in maps if count_map.share_reason is None]
    least, most = percent(min(starved)), percent(max(starved))
    return f": {least} to {most} of the pixels starved" if least != most else f": {most} of the pixels starved"


def scale_for(maps: Sequence[CountMap]) -> str:
    """Choose what maps side by side are drawn as, if nobody says: fair shares where any has them."""
    return "share" if any(count_map.share_reason is None for count_map in maps) else "each"


def _views(maps: Sequence[CountMap]) -> list[View]:
    """Choose what to draw of each map, on a panel about as wide as they will have."""
    aspects = [_bounded(across / tall) for tall, across in (count_map.shape for count_map in maps)]
    _, wide = grid(len(maps), max(aspects), (0, LABEL))
    return views_of(maps, [wide * max(1.0, 1 / aspect) for aspect in aspects])


def _aspect(view: View) -> float:
    return _bounded(view.positions[1] / view.positions[0])


def _bounded(aspect: float) -> float:
    """Draw longer maps shorter than they are: a panel of 33 x 1,000,000 pixels would take all memory."""
    return min(max(aspect, 1 / LONGEST), LONGEST)


def _panel(name: str, count_map: CountMap, scale: str, view: View, most: int | float | None) -> Panel:
    if scale == "share":
        if count_map.share_reason:
            label = f"{short_name(name)}\nmax {scientific(count_map.max)}"
            return Panel(label, "0.4", f"no fair share: {count_map.share_reason}", None, _aspect(view))
        label = f"{short_name(name)}\n{fairness(count_map)}"
        return Panel(label, "black", view.values(count_map, share=True), view, _aspect(view))
    label = f"{short_name(name)}\nmax {scientific(count_map.max)} · {count_map.summary().marginalised:.0%} below half"
    values = view.values(count_map, share=False) * (count_map.max / most if most else 1)
    return Panel(label, "black", values, view, _aspect(view))


def taps(exposures: Sequence[TapExposure], title: str, cmap: str | None = None) -> Figure:
    """Draw tap exposure on one scale, the share of units whose tap reads a real pixel: uneven layers first.

    Layers that are alike are drawn once.
    """
    check_axes([*exposures[0].imbalance] if exposures else (1, 1), "taps")
    alike: dict[tuple[Any, ...], list[TapExposure]] = {}
    for row in exposures:
        share = row.grid / row.units
        alike.setdefault((not row.uneven, row.convolution, share.shape, share.round(12).tobytes()), []).append(row)
    groups = [alike[key] for key in sorted(alike, key=lambda key: key[0])]
    panels = [_tapped(rows) for rows in groups]
    least = min((float(panel.values.min()) for panel in panels if not isinstance(panel.values, str)), default=0.0)
    floor = float(min(np.floor(least * 20) / 20, 0.95))
    kinds = {row.convolution for row in exposures if row.uneven}
    line = "share of the units whose tap reads a real pixel · imbalance ↔ left-right, ↕ top-bottom"
    line += " · red: uneven" if True in kinds else ""
    line += " · blue: uneven, a pool" if False in kinds else ""
    count = sum(row.uneven for row in exposures)
    heading = f"{title}: {count or 'none'} of {len(exposures)} layers {'is' if count == 1 else 'are'} uneven"
    return _grid(panels, heading, [line], Scale(), cmap, floor)


def _tapped(rows: Sequence[TapExposure]) -> Panel:
    """Label the exposure of layers that are alike, with the first one's name."""
    row, share = rows[0], rows[0].grid / rows[0].units
    tall, wide = row.imbalance.values()
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    label = f"{short_name(row.layer)}{more}\n↔ {wide:+.1%}  ↕ {tall:+.1%}".replace("+0.0%", "0%")
    uneven = UNEVEN if row.convolution else POOLED
    return Panel(label, uneven if row.uneven else "black", share, None, share.shape[1] / share.shape[0])


def _grid(
    panels: Sequence[Panel], title: str, lines: list[str], scale: Scale, cmap: str | None, least: float = 0.0
) -> Figure:
    """Draw panels in rows, with one colour bar from `least` up, as the scale says."""
    aspect = max(panel.aspect for panel in panels)
    columns, wide = grid(len(panels), aspect, (0, LABEL), WIDE - BETWEEN - BAR - TICKS)
    images: list[Any] = []
    look = {"cmap": scale.colours(cmap), "vmin": least, "vmax": scale.most}
    boxes = []
    for panel in panels:
        size = _within(panel.aspect, aspect, wide)
        draw = partial(_draw, panel, size, look, images)
        boxes.append(Box(max(size[0], LEAST), size[1], draw, panel.text, panel.colour))
    words = words_of([panel.view for panel in panels if panel.view])
    rows = ceil(len(boxes) / columns)
    high = min(sum(max(box.high for box in boxes[i * columns : (i + 1) * columns]) for i in range(rows)), 420)

    def bar(figure: Figure, x: float, y: float) -> None:
        if images:
            colour_bar(figure, images[-1], scale, axes_at(figure, x, y, BAR, high), least=least)

    return page(title, [*lines, *words], boxes, columns, Box(BAR, high, bar, right=TICKS))


def _within(aspect: float, widest: float, wide: float) -> tuple[float, float]:
    """Size a panel of those proportions, in screen pixels (width, height), within the widest one's box."""
    high = wide / widest
    if aspect >= 1 or widest < 1:
        return max(min(wide, high * aspect), 8.0), max(min(high, wide / aspect), 8.0)
    return max(high * aspect, 8.0), max(high, 8.0)


def _draw(
    panel: Panel, size: tuple[float, float], look: dict[str, Any], images: list[Any], fig: Figure, x: float, y: float
) -> None:
    wide, high = size
    ax = axes_at(fig, x, y, wide, high)
    ax.set_xticks([])
    ax.set_yticks([])
    if isinstance(panel.values, str):
        why = "\n".join(wrapped(panel.values, SMALL, max(wide, LEAST) - 12)).replace("$", "\\$")
        ax.text(0.5, 0.5, why, ha="center", va="center", size=SMALL, color="0.4")
        return
    images.append(put_cells(ax, panel.values, panel.view, **look))
    _percent(ax, panel.values, images[-1])


def _percent(ax: Axes, values: NDArray[np.float64], image: Any) -> None:
    """Write small grids' shares into their cells."""
    if max(values.shape) > NUMBERED or ax.bbox.width / ax.figure.dpi * DPI < values.shape[1] * text_width("100.0%", 6):
        return
    for (row, col), value in np.ndenumerate(values):
        ax.text(col, row, f"{value:.1%}", ha="center", va="center", size=6, color=ink(image, value))
