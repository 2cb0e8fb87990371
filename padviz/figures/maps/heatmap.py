"""A map as a picture: fair shares, or counts, with profiles along the centre lines and the rim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Target, percent, unit_text
from padviz.errors import OptionError
from padviz.figures.canvas import MEDIUM, SMALL, axes_at, shortened, text_at
from padviz.figures.colours import ink
from padviz.figures.layout import Box, page
from padviz.figures.maps import signal
from padviz.figures.maps.profiles import profile
from padviz.figures.maps.scales import COUNTS, Scale, all_starved, colour_bar, scale_of, scientific, share_scale
from padviz.figures.maps.views import View, put_cells, put_ticks, view_of, words_of
from padviz.network.network import Size
from padviz.network.rewrites import padding_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 16  # maps up to this many rows and columns have their values written in the cells
LONGEST, STRETCHED, LEAST = 560, 900, 100  # screen pixels of the longer side, about, also of a long map; of the other
LONG = 1.7  # times the shorter side, from where on a map is long
PROFILE, GAP, BAR = 54, 8, 13
LEFT, RIGHT, PERCENT, BELOW = 72, 100, 46, 44  # screen pixels around a map: ticks and their labels


class Part(NamedTuple):
    """The cells that are drawn of a map, and what their colours stand for."""

    counts: CountMap
    view: View
    scale: Scale
    values: NDArray[np.float64]


def heatmap(counts: CountMap, cmap: str | None = None, scale: str | None = None) -> Figure:
    """Draw a map: fair shares where it has them, with profiles along the centre lines and the rim.

    The `scale` "share" is the same for all maps, even where no pixel gets half of its fair share.

    Returns
    -------
    matplotlib.figure.Figure
        Fair shares are 1 where a pixel gets what it would far from all borders; counts are over the largest.

    Raises
    ------
    PadvizError
        If matplotlib has no colour map of that name, or the map no fair shares.
    """
    if scale == "share" and counts.share_reason:
        raise OptionError(counts.share_reason, option="scale", hint="draw counts, with `scale` counts")
    title, lines = caption(counts, scale)
    if len(counts.network.axes) == 1:
        return signal.line(counts, scale or _first(counts), title, lines[0])
    longest = STRETCHED if max(counts.shape) >= LONG * min(counts.shape) else LONGEST
    part = _part(counts, longest, scale)
    high, wide = _size(part.view, longest)

    def draw(figure: Figure, x: float, y: float) -> None:
        main = axes_at(figure, x, y, wide, high)
        image = _image(main, part, cmap)
        place = "pixels" if counts.full is None else "units"
        text_at(figure, x + wide / 2, y + high + 38, f"column ({place})", ha="center")
        text_at(figure, x - LEFT + 7, y + high / 2, f"row ({place})", ha="center", va="center", rotation=90)
        _mark(main, part)
        _profiles(figure, part, (x, y), (wide, high))
        colour_bar(figure, image, part.scale, axes_at(figure, x + wide + GAP + PROFILE + GAP, y, BAR, high))

    right = GAP + PROFILE + GAP + BAR + (RIGHT if part.scale.share else PERCENT)
    box = Box(wide, high, draw, _label(part), left=LEFT, right=right, above=PROFILE + GAP, below=BELOW)
    return page(title, [*lines, *words_of([part.view])], [box])


def plot(counts: CountMap, ax: Axes | None = None, cmap: str | None = None, scale: str | None = None) -> Axes:
    """Draw the heat map into `ax`, with a title and a colour bar; without `ax`, the first axes of `heatmap`."""
    if ax is None:
        return heatmap(counts, cmap, scale).axes[0]
    part = _part(counts, 2 * LONGEST, scale)
    image = _image(ax, part, cmap)
    ax.set_aspect("equal")
    colour_bar(ax.figure, image, part.scale, beside=ax)
    title, lines = caption(counts, scale)
    ax.set_title("\n".join([title, *lines]), fontsize=MEDIUM, wrap=True)
    return ax


def _first(counts: CountMap) -> str:
    return "counts" if counts.share_reason else "share"


def _part(counts: CountMap, longest: float, scale: str | None) -> Part:
    view, share = view_of(counts, longest), (scale or _first(counts)) == "share"
    values = view.values(counts, share or counts.full is not None)
    if share:
        return Part(counts, view, scale_of(counts) if scale else share_scale(counts, values), values)
    return Part(counts, view, COUNTS, values if counts.full is not None else values / (np.nanmax(values) or 1.0))


def caption(counts: CountMap, scale: str | None = None) -> tuple[str, list[str]]:
    """Write what is found, and how it was counted: padding, target and pooling, and why there are no fair shares."""
    name, own = shortened(counts.network.title), counts.size[-len(counts.network.axes) :]
    title = f"{name}, {' × '.join(map(str, own))}{' samples' if len(own) == 1 else ''}"
    if scale != "counts" and (finding := found(counts)):
        title += f": {finding}"
    what = "paths" if counts.full is None else "coverage of the paths"
    line = f"{padding_in_words(counts.padding, 'padding')} · {what} to {_of(counts.target, len(counts.network.axes))}"
    if counts.unit is not None:
        line += f", unit {unit_text(counts.unit)}"
    if counts.pooling == "mean":
        line += " · mean pooling"
    if counts.full is None and counts.share_reason:
        return title, [line, f"counts, since no pixel has a fair share: {shortened(counts.share_reason, 200)}"]
    if scale is None and all_starved(counts):
        why = "no pixel gets half of what it would get far from all borders: colours run over the range there is"
        return title, [line, why]
    return title, [line]


def found(counts: CountMap) -> str:
    """Say who gets less than half their fair share, or else who gets too much.

    >>> import padviz
    >>> found(padviz.usage("resnet50", 224))
    'the outer 14 px above and left and 34 px below and right get less than half their fair share'
    >>> found(padviz.usage("resnet50", 32))
    'all starved, the most used pixel 102 times the least'
    """
    if counts.full is not None:
        return f"down to {percent(counts.min / counts.full)} of the paths start at real pixels"
    if counts.share_reason:
        return ""
    figures, (starved, overused) = counts.shares.figures, counts.rims or (None, None)
    if all_starved(counts):
        if not figures.least:
            return "all starved"
        return f"all starved, the most used pixel {figures.most / figures.least:,.0f} times the least"
    if starved and any(starved.depths):
        return f"{starved.words} get less than half their fair share"
    if figures.starved:
        return f"{percent(figures.starved)} of the pixels get less than half their fair share"
    if overused and any(overused.depths):
        return f"{overused.words} get more than 3/2 of their fair share"
    return "no pixel gets less than half its fair share"


def fairness(counts: CountMap) -> str:
    """Write the shares of the pixels that get too little and too much.

    >>> import padviz
    >>> fairness(padviz.usage("resnet50", 224))
    '45.1 % starved, 0.0 % overused'
    """
    if all_starved(counts):
        return found(counts)
    figures = counts.shares.figures
    return f"{percent(figures.starved)} starved, {percent(figures.overused)} overused"


def _of(target: Target, axes: int) -> str:
    if isinstance(target.layer, list):
        first, last = (shortened(name) for name in (target.layer[0], target.layer[-1]))
        return f"{len(target.layer)} layers, {first} to {last}"
    return f"{shortened(target.layer)} ({' × '.join(map(str, target.shape[-axes:]))})"


def _label(part: Part) -> str:
    """Say what the colours of a map stand for."""
    if part.counts.full is not None:
        return "share of each unit's paths that starts at real pixels"
    if part.scale.least:
        return "fair share, on a logarithm: 1 is what a pixel gets far from all borders"
    if part.scale.share:
        return "fair share: 1 is what a pixel gets far from all borders"
    weighted = "" if part.counts.pooling == "count" and isinstance(part.counts.max, int) else "weighted "
    return f"counts; 100% is {scientific(part.counts.max)} {weighted}paths"


def _size(view: View, longest: float) -> Size:
    """Size a heat map in screen pixels, (height, width): whole ones for every cell along the longer side.

    >>> from padviz.figures.maps.views import Along
    >>> [_size(View(*(Along(n, (range(n),)),) * 2), 450) for n in (32, 224, 512)]
    [(448, 448), (448, 448), (512, 512)]
    """
    down, across = view.positions
    cells = view.down.cells if down >= across else view.across.cells
    zoom = max(1, round(longest / cells)) * cells / max(down, across)
    return max(round(down * zoom), LEAST), max(round(across * zoom), LEAST)


def _image(ax: Axes, part: Part, cmap: str | None) -> Any:
    """Draw the cells of a map; the axes count cells from 0 on, and the ticks say which positions they are."""
    image = put_cells(ax, part.values, part.view, cmap=part.scale.colours(cmap), norm=part.scale.norm())
    put_ticks(ax, part.view)
    if max(part.counts.shape) <= NUMBERED:
        _write_numbers(ax, part, image)
    return image


def _write_numbers(ax: Axes, part: Part, image: Any) -> None:
    """Write counts, or shares, into the cells of a small map."""
    if part.scale.share or part.counts.full is not None:
        texts = [[f"{value:.2f}" for value in row] for row in part.values]
    else:
        texts = [[str(n) if n == int(n) else f"{n:.3g}" for n in row] for row in part.counts.counts]
        texts = [[text if len(text) < 8 else f"{float(text):.3g}" for text in row] for row in texts]
    longest = max(len(text) for row in texts for text in row)
    cell = min(ax.bbox.width / part.values.shape[1], ax.bbox.height / part.values.shape[0]) * 72 / ax.figure.dpi
    size = min(11.0, 1.3 * cell / longest, 0.6 * cell)
    for (row, col), value in np.ndenumerate(part.values):
        ax.text(col, row, texts[row][col], ha="center", va="center", size=size, color=ink(image, value))


def _mark(ax: Axes, part: Part) -> None:
    """Mark where the starved rim, or else the overused one, ends on each side, with its depth in pixels."""
    rims = [rim for rim in part.counts.rims or () if any(rim.depths)] if part.scale.colours_diverge else []
    if not rims:
        return
    rim, (height, width) = rims[0], part.counts.shape
    rows, cols = part.values.shape
    look: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": (0, (4, 3))}
    text: dict[str, Any] = {"fontsize": SMALL, "color": "black"}
    for depth, at, above in ((rim.height[0], rim.height[0] - 0.5, 1), (rim.height[1], height - rim.height[1] - 0.5, 0)):
        if depth:
            place = part.view.down.at(at)
            ax.axhline(place, **look)
            side = "top" if above else "bottom"
            ax.annotate(f"{depth} px", (cols / 2 - 0.5, place), (0, -3 if above else 3), textcoords="offset points",
                        ha="center", va=side, **text)  # fmt: skip
    for depth, at, before in ((rim.width[0], rim.width[0] - 0.5, 1), (rim.width[1], width - rim.width[1] - 0.5, 0)):
        if depth:
            place = part.view.across.at(at)
            ax.axvline(place, **look)
            side = "left" if before else "right"
            ax.annotate(f"{depth} px", (place, rows / 2 - 0.5), (3 if before else -3, 0), textcoords="offset points",
                        ha=side, va="center", **text)  # fmt: skip


def _profiles(figure: Figure, part: Part, corner: tuple[float, float], size: tuple[float, float]) -> None:
    """Draw the values along the centre row above the map, and along the centre column on its right."""
    (x, y), (wide, high), view = corner, size, part.view
    row, col = (n // 2 for n in part.counts.shape)
    above, beside = (x, y - GAP - PROFILE, wide, PROFILE), (x + wide + GAP, y, PROFILE, high)
    profile(figure, part.values[view.down.cell(row)], part.scale, above, upright=True)
    profile(figure, part.values[:, view.across.cell(col)], part.scale, beside, upright=False)
    text_at(figure, x + wide + GAP, y - GAP - 4, f"◂ row{_positions(row, view.down.block)}")
    text_at(figure, x + wide + GAP, y + high + 38, f"▴ col{_positions(col, view.across.block)}")


def _positions(at: int, block: int) -> str:
    """Write which positions a profile is of.

    >>> _positions(3, 1), _positions(5, 4)
    (' 3', 's 4–7')
    """
    return f" {at}" if block == 1 else f"s {at // block * block}–{(at // block + 1) * block - 1}"
