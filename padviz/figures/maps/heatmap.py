"""A map as a picture: fair shares, or counts, with profiles along the centre lines and the rim; a
signal as a curve.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Rim, Target, percent, unit_text
from padviz.errors import OptionError, check_word
from padviz.figures.canvas import (
    MEDIUM,
    OPTIONS,
    SMALL,
    DrawingOptions,
    axes_at,
    background_of,
    new_figure,
    rendered,
    rendered_over,
    screen_size,
    shorten,
    style,
    text_at,
)
from padviz.figures.colours import (
    COUNTS,
    HALF,
    STARVED,
    Scale,
    all_starved,
    colour_bar,
    number_cells,
    scale_of,
    scientific,
    share_scale,
)
from padviz.figures.layout import BETWEEN, Box, Place, Words, lay_out, page
from padviz.figures.maps.views import View, draw_cells, put_ticks, view_of, words_of
from padviz.network.network import Size, in_words
from padviz.network.rewrites import padding_in_words
from padviz.phrases import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

NUMBERED = 16  # rows and columns of the largest map whose values are written in the cells
LONGEST, STRETCHED, LEAST = (
    560,
    900,
    100,
)  # screen pixels of the longer side, of a long map's, and of any side at least
LONG = 1.7  # ratio of its sides from which a map is long
PROFILE, GAP, BAR = 54, 8, 13
LEFT, RIGHT, PERCENT, BELOW = 72, 100, 46, 44  # screen pixels around a map: ticks and their labels
SIGNAL_WIDE, SIGNAL_HIGH, SIGNAL_LEFT = 760, 260, 52  # screen pixels of a curve, and on its left
ONE_AT_A_TIME = Lock()  # draws on figures that are kept
ENDS = 24  # samples at each end of a long signal, at least


class Drawing(NamedTuple):
    """A map, the cells of it that are drawn, their values, and the scale of their colours."""

    counts: CountMap
    view: View
    scale: Scale
    values: NDArray[np.float64]


def heatmap(counts: CountMap, cmap: str | None = None, scale: str | None = None) -> Figure:
    """Draw a map: fair shares where it has them, with profiles along the centre lines and the rim.

    The `scale` "share" is the same for all maps, even where no pixel gets half of its fair share.
    """
    if len(counts.network.axes) == 1:
        return _signal(counts, scale)
    drawing, words, frame = _laid_out(counts, cmap, scale)
    figure = _framed(frame)
    _draw_contents(figure, drawing, words, frame)
    return figure


def png(counts: CountMap, cmap: str | None = None, scale: str | None = None) -> bytes:
    """Return the PNG file of `heatmap`; what pictures of one layout have in common is drawn once,
    and kept.
    """
    options = OPTIONS.get()
    if len(counts.network.axes) == 1 or options.theme == "dark":
        return rendered(heatmap(counts, cmap, scale))
    drawing, words, frame = _laid_out(counts, cmap, scale)
    with ONE_AT_A_TIME:
        figure, background = _kept(frame, options)
        return rendered_over(
            figure, background, lambda: _draw_contents(figure, drawing, words, frame)
        )


@lru_cache(maxsize=48)  # some 2 MB each
def _kept(frame: Frame, options: DrawingOptions) -> tuple[Figure, object]:
    figure = _framed(frame)
    return figure, background_of(figure)


def plot(
    counts: CountMap, ax: Axes | None = None, cmap: str | None = None, scale: str | None = None
) -> Axes:
    """Draw the heat map into `ax`, with a title and a colour bar; without `ax`, return the first
    axes of `heatmap`.
    """
    if ax is None:
        return heatmap(counts, cmap, scale).axes[0]
    drawing = _drawing(counts, 2 * LONGEST, scale)
    colours = drawing.scale.colours(cmap)
    _draw_map(ax, drawing, colours)
    put_ticks(ax, drawing.view)
    ax.set_aspect("equal")
    colour_bar(ax.figure, colours, drawing.scale, ax=ax, fraction=0.046, pad=0.03)
    title, lines = caption(counts, scale)
    ax.set_title("\n".join([title, *lines]), fontsize=MEDIUM, wrap=True)
    return ax


class Frame(NamedTuple):
    """What maps of one layout share: page, the map's place, ticks, colours, and words on fair
    shares.
    """

    size: tuple[int, int]
    box: tuple[float, float, float, float]
    view: View
    scale: Scale
    cmap: str | None
    unit: str
    words: tuple[Words, ...]


def _laid_out(
    counts: CountMap, cmap: str | None, scale: str | None
) -> tuple[Drawing, list[Words], Frame]:
    title, lines = caption(counts, scale)
    longest = LONGEST
    if max(counts.shape) >= LONG * min(counts.shape):
        longest = STRETCHED
    drawing = _drawing(counts, longest, scale)
    high, wide = _size(drawing.view, longest)
    right = GAP + PROFILE + GAP + BAR + (RIGHT if drawing.scale.share else PERCENT)
    box = Box(wide, high, _label(drawing), left=LEFT, right=right, above=PROFILE + GAP, below=BELOW)
    layout = lay_out(title, [*lines, *words_of([drawing.view])], [box])
    unit = "pixels" if counts.full is None else "units"
    fixed = tuple(words for words in layout.words if words.points == SMALL and drawing.scale.share)
    return (
        drawing,
        layout.words,
        Frame(layout.size, layout.boxes[0], drawing.view, drawing.scale, cmap, unit, fixed),
    )


def _framed(frame: Frame) -> Figure:
    """Create a page with the axes of a map, and everything around it that does not depend on its
    values.
    """
    (x, y, wide, high), (down, across) = frame.box, (frame.view.down, frame.view.across)
    figure = new_figure(*frame.size)
    ax = axes_at(figure, *frame.box)
    ax.set(xlim=(-0.5, across.cells - 0.5), ylim=(down.cells - 0.5, -0.5))
    put_ticks(ax, frame.view)
    for words in frame.words:
        text_at(figure, *words)
    text_at(figure, x + wide + GAP, y - GAP - 4, f"◂ row{_positions(down.n // 2, down.block)}")
    text_at(
        figure, x + wide + GAP, y + high + 38, f"▴ col{_positions(across.n // 2, across.block)}"
    )
    text_at(figure, x + wide / 2, y + high + 38, f"column ({frame.unit})", ha="center")
    text_at(
        figure,
        x - LEFT + 7,
        y + high / 2,
        f"row ({frame.unit})",
        ha="center",
        va="center",
        rotation=90,
    )
    bar = axes_at(figure, x + wide + GAP + PROFILE + GAP, y, BAR, high)
    colour_bar(figure, frame.scale.colours(frame.cmap), frame.scale, cax=bar)
    return figure


def _draw_contents(figure: Figure, drawing: Drawing, words: list[Words], frame: Frame) -> None:
    for line in words:
        if line not in frame.words:
            text_at(figure, *line)
    ax = figure.axes[0]
    _draw_map(ax, drawing, frame.scale.colours(frame.cmap))
    _mark_rim(ax, drawing)
    (x, y, wide, high), view, values = frame.box, drawing.view, drawing.values
    above, beside = (
        Place(figure, x, y - GAP - PROFILE, wide, PROFILE),
        Place(figure, x + wide + GAP, y, PROFILE, high),
    )
    row, col = view.down.cell(view.down.n // 2), view.across.cell(view.across.n // 2)
    _draw_profile(values[row], drawing.scale, above, upright=True)
    _draw_profile(values[:, col], drawing.scale, beside, upright=False)


def _drawing(counts: CountMap, longest: float, scale: str | None) -> Drawing:
    view, share = view_of(counts, longest), _in_shares(counts, scale)
    values = view.values(counts, share or counts.full is not None)
    if share:
        return Drawing(
            counts, view, scale_of(counts) if scale else share_scale(counts, values), values
        )
    return Drawing(
        counts,
        view,
        COUNTS,
        values if counts.full is not None else values / (np.nanmax(values) or 1.0),
    )


def _in_shares(counts: CountMap, scale: str | None) -> bool:
    check_word(scale, ("share", "counts"), "scale")
    if scale == "share" and counts.share_reason:
        raise OptionError(
            counts.share_reason, option="scale", hint="draw counts, with `scale` counts"
        )
    return (scale or ("counts" if counts.share_reason else "share")) == "share"


def caption(counts: CountMap, scale: str | None = None) -> tuple[str, list[str]]:
    """Return the title with the finding, and lines on padding, target, pooling, and why there are
    no fair shares.
    """
    name, size = shorten(counts.network.title), counts.size[-len(counts.network.axes) :]
    title = f"{name}, {in_words(size)}{' samples' if len(size) == 1 else ''}"
    if scale != "counts" and (words := finding(counts)):
        title += f": {words}"
    what = "paths" if counts.full is None else "coverage of the paths"
    target = _target_in_words(counts.target, len(counts.network.axes))
    line = f"{padding_in_words(counts.padding, 'padding')} · {what} to {target}"
    if counts.unit is not None:
        line += f", unit {unit_text(counts.unit)}"
    if counts.pooling == "mean":
        line += " · mean pooling"
    if counts.full is None and counts.share_reason:
        return title, [
            line,
            f"counts, since no pixel has a fair share: {shorten(counts.share_reason, 200)}",
        ]
    if scale is None and all_starved(counts):
        why = (
            "no pixel gets half of what it would get far from all borders: colours run over the "
            "range there is"
        )
        return title, [line, why]
    return title, [line]


def finding(counts: CountMap) -> str:
    """Return the title's finding: which pixels get less than half their fair share, or else which
    too much.

    >>> import padviz
    >>> finding(padviz.usage("resnet50", 224))
    'the outer 14 px above and left and 34 px below and right get less than half their fair share'
    >>> finding(padviz.usage("resnet50", 32))
    'all starved, the most used pixel 102 times the least'
    """
    if counts.full is not None:
        return f"down to {percent(counts.min / counts.full)} of the paths start at real pixels"
    if counts.share_reason:
        return ""
    figures, (starved, overused) = counts.shares.figures, counts.rims or (None, None)
    if all_starved(counts):
        if not figures.min:
            return "all starved"
        return f"all starved, the most used pixel {figures.max / figures.min:,.0f} times the least"
    if starved and any(starved.depths):
        words = f"{_outer_part(counts, starved)} get less than half their fair share"
    elif figures.starved:
        words = f"{percent(figures.starved)} of the pixels get less than half their fair share"
    elif overused and any(overused.depths):
        return f"{_outer_part(counts, overused)} get more than 3/2 of their fair share"
    else:
        words = "no pixel gets less than half its fair share"
    if visible(figures.overused):
        words += f", {percent(figures.overused)} more than 3/2"
    return words


def visible(share: float) -> bool:
    """Return whether a share is more than 0.0 % as it is written."""
    return percent(share) != percent(0)


def _outer_part(counts: CountMap, rim: Rim) -> str:
    """Return the depth of a rim in words: of an image by side, of a signal as samples."""
    if len(counts.network.axes) == 2:
        return rim.words
    ends = zip(("first", "last"), rim.width, strict=True)
    parts = [f"the {end} {depth}" for end, depth in ends if depth]
    return f"{listed(parts)} samples"


def fairness(counts: CountMap) -> str:
    """Return the percentages of starved and overused pixels.

    >>> import padviz
    >>> fairness(padviz.usage("resnet50", 224))
    '45.1 % starved, 0.0 % overused'
    """
    if all_starved(counts):
        return finding(counts)
    figures = counts.shares.figures
    return f"{percent(figures.starved)} starved, {percent(figures.overused)} overused"


def _target_in_words(target: Target, axes: int) -> str:
    if isinstance(target.layer, list):
        first, last = (shorten(name) for name in (target.layer[0], target.layer[-1]))
        return f"{len(target.layer)} layers, {first} to {last}"
    return f"{shorten(target.layer)} ({' x '.join(map(str, target.shape[-axes:]))})"


def _label(drawing: Drawing) -> str:
    if drawing.counts.full is not None:
        return "share of each unit's paths that starts at real pixels"
    if drawing.scale.least:
        return "fair share, on a logarithm: 1 is what a pixel gets far from all borders"
    if drawing.scale.share:
        return "fair share: 1 is what a pixel gets far from all borders"
    weighted = "weighted "
    if drawing.counts.pooling == "count" and isinstance(drawing.counts.max, int):
        weighted = ""
    return f"counts; 100% is {scientific(drawing.counts.max)} {weighted}paths"


def _size(view: View, longest: float) -> Size:
    """Return the size of a heat map in screen pixels, (height, width): whole ones for each cell of
    the longer side.

    >>> from padviz.figures.maps.views import AxisView
    >>> [_size(View(*(AxisView(n, (range(n),)),) * 2), 450) for n in (32, 224, 512)]
    [(448, 448), (448, 448), (512, 512)]
    """
    down, across = view.positions
    if down >= across:
        cells = view.down.cells
    else:
        cells = view.across.cells
    zoom = max(1, round(longest / cells)) * cells / max(down, across)
    return max(round(down * zoom), LEAST), max(round(across * zoom), LEAST)


def _draw_map(ax: Axes, drawing: Drawing, colours: ScalarMappable) -> None:
    """Draw the cells of a map, with its values in them if it is small; the ticks name the cells'
    positions.
    """
    counts, view, scale, values = drawing
    draw_cells(ax, values, view, colours)
    if max(counts.shape) > NUMBERED:
        return
    if counts.full is not None or scale.share:
        written = "{:.2f}".format if scale.share else percent
        texts = [[written(value) for value in row] for row in values]
    else:
        texts = [[str(n) if n == int(n) else f"{n:.3g}" for n in row] for row in counts.counts]
        texts = [[text if len(text) < 8 else f"{float(text):.3g}" for text in row] for row in texts]
    longest = max(len(text) for row in texts for text in row)
    cell = (
        min(ax.bbox.width / values.shape[1], ax.bbox.height / values.shape[0]) * 72 / ax.figure.dpi
    )
    number_cells(ax, values, texts, colours, min(11.0, 1.3 * cell / longest, 0.6 * cell))


def _mark_rim(ax: Axes, drawing: Drawing) -> None:
    """Mark where the starved rim, or else the overused one, ends on each side, with its depth in
    pixels.
    """
    if drawing.scale.diverges:
        rims = [rim for rim in drawing.counts.rims or () if any(rim.depths)]
    else:
        rims = []
    if not rims or all_starved(drawing.counts):  # then they are those of a large input
        return
    (top, bottom), (left, right) = rims[0].height, rims[0].width
    (height, width), (rows, cols) = drawing.counts.shape, drawing.values.shape
    line: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": (0, (4, 3))}
    text: dict[str, Any] = {"fontsize": SMALL, "color": "black", "textcoords": "offset points"}
    for depth, at, offset, va in (
        (top, top - 0.5, -3, "top"),
        (bottom, height - bottom - 0.5, 3, "bottom"),
    ):
        if depth:
            place = drawing.view.down.at(at)
            ax.axhline(place, **line)
            ax.annotate(
                f"{depth} px", (cols / 2 - 0.5, place), (0, offset), ha="center", va=va, **text
            )
    for depth, at, offset, ha in (
        (left, left - 0.5, 3, "left"),
        (right, width - right - 0.5, -3, "right"),
    ):
        if depth:
            place = drawing.view.across.at(at)
            ax.axvline(place, **line)
            ax.annotate(
                f"{depth} px", (place, rows / 2 - 0.5), (offset, 0), ha=ha, va="center", **text
            )


def _positions(at: int, block: int) -> str:
    """Format the positions of a profile: those of the block at the centre.

    >>> _positions(3, 1), _positions(5, 4)
    (' 3', 's 4–7')
    """
    return f" {at}" if block == 1 else f"s {at // block * block}–{(at // block + 1) * block - 1}"


def _draw_profile(values: NDArray[np.float64], scale: Scale, place: Place, upright: bool) -> None:
    """Draw values as a curve: filled where starved, half of a fair share dotted.

    It is drawn on the page, since axes take longer to make than all that they would hold.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Polygon

    figure, x, y, wide, high = place
    if scale.least:
        low, most = (scale.least, scale.most)
    else:
        low, most = (0.0, 1.05 * scale.most)
    width, height = screen_size(figure)

    def on_page(at: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert places along the profile, from 0 to 1, and values to points of the page."""
        part = (value - low) / (most - low)
        if upright:
            points = (x + at * wide, y + high * (1 - part))
        else:
            points = (x + part * wide, y + at * high)
        return np.column_stack([points[0] / width, 1 - points[1] / height])

    edges = np.repeat(np.arange(len(values) + 1) / len(values), 2)[1:-1]
    ends = np.repeat(np.minimum(values, scale.most), 2)
    both = np.append(edges, edges[::-1])
    fills = [(ends, "0.88", 1.0)]
    if scale.diverges:
        fills.append((np.where(ends < HALF, ends, low), STARVED, 0.6))
    for tops, colour, alpha in fills:
        outline = on_page(both, np.append(np.nan_to_num(tops, nan=low), np.full(len(edges), low)))
        figure.add_artist(
            Polygon(outline, lw=0, transform=figure.transFigure, color=colour, alpha=alpha)
        )
    figure.add_artist(
        Line2D(*on_page(edges, ends).T, transform=figure.transFigure, color="0.25", lw=0.9)
    )
    if scale.diverges:
        half = on_page(np.array([0.0, 1.0]), np.full(2, HALF))
        figure.add_artist(
            Line2D(*half.T, transform=figure.transFigure, color="0.4", lw=0.7, ls=":")
        )


def _signal(counts: CountMap, scale: str | None) -> Figure:
    """Draw usage, or fair shares, by sample; of a long signal both ends, as long as its core, which
    repeats between.
    """
    title, lines = caption(counts, scale)
    share = _in_shares(counts, scale)
    with np.errstate(invalid="ignore"):
        if share:
            values = counts.share()[0]
        else:
            values = counts.relative()[0]
    n, end = counts.shape[1], max(ENDS, counts.cols.kept)
    if counts.tiled and 2 * end < n:
        spans = [range(end), range(n - end, n)]
    else:
        spans = [range(n)]
    wide = (SIGNAL_WIDE - BETWEEN * (len(spans) - 1)) // len(spans)

    first = Box(wide, SIGNAL_HIGH, left=SIGNAL_LEFT, below=BELOW)
    figure, places = page(title, lines[:1], [first, *[first._replace(left=0)] * (len(spans) - 1)])
    for place, span in zip(places, spans, strict=True):
        ax = axes_at(*place)
        here = values[span.start : span.stop]
        ax.step(span, here, color="0.25", where="mid", lw=1.2)
        ax.fill_between(span, here, step="mid", color="0.85", lw=0)
        if share:
            ax.fill_between(
                span, here, step="mid", where=here < HALF, color=STARVED, alpha=0.6, lw=0
            )
            ax.axhline(HALF, color="0.4", lw=0.7, ls=":")
        top = 1.08 * max(float(np.nanmax(values)), 1.0)
        style(ax, xlim=(span.start - 0.5, span.stop - 0.5), ylim=(0, top), xlabel="sample")
        ax.ticklabel_format(style="plain", useOffset=False)
        if span.start:
            ax.set_yticklabels([])
            ax.text(
                -BETWEEN / wide / 2,
                0.5,
                "…",
                transform=ax.transAxes,
                ha="center",
                va="center",
                fontsize=12,
            )
        else:
            ax.set_ylabel("fair share" if share else "paths over the most", fontsize=SMALL)
    return figure
