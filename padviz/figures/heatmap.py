"""A map as a heat map, with its colour bar and its profiles; or bare, one image pixel for each position."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Target, percent, unit_text
from padviz.counting.walking.tiling import Tiling
from padviz.errors import SizeError
from padviz.figures import signal
from padviz.figures.canvas import DPI, LARGE, MEDIUM, SMALL, ink, new_figure, sampling, shortened, text_at
from padviz.figures.scales import Scale, colour_bar, scaled
from padviz.files.atomic import aside
from padviz.network.network import Size
from padviz.network.rewrites import padding_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 16  # maps up to this many rows and columns have their counts written in the cells
SIDE, LEAST = 600, 100  # screen pixels: the longer side of a heat map, about, and the least of the shorter
CRISP = 0.8  # of a screen pixel that a position has at least; where it would have less, means are drawn
PROFILE, GAP, BAR = 80, 22, 16
LEFT, RIGHT, BOTTOM, TOP = 90, 115, 64, 92
MOST_PIXELS = 1 << 29  # of a bare picture


def heatmap(counts: CountMap, cmap: str | None = None, scale: str = "counts") -> Figure:
    """Draw a map with a colour bar from 0 to the maximum, and the profiles along its centre lines.

    The `scale` is "counts", or "share": of an interior pixel's weight, 1 in the middle of the colours.

    Returns
    -------
    matplotlib.figure.Figure
        Its unit is paths per pixel, over a power of ten that the colour bar names, or the fair share.

    Raises
    ------
    PadvizError
        If matplotlib has no colour map of that name, or the map no fair shares.
    """
    title, line = caption(counts, scale)
    if len(counts.network.axes) == 1:
        return signal.line(counts, scale, title, line)
    longest = _longest(counts.shape)
    blocks = blocks_of(counts, int(longest / CRISP))
    box_w, box_h = _box(counts.shape, blocks, longest)
    bar_x = LEFT + box_w + GAP + PROFILE + 26
    if blocks != (1, 1):
        line += f" · drawn as means of {blocks[0]} × {blocks[1]}"
    total_w = max(bar_x + BAR + RIGHT, LEFT + int(9 * max(len(line), 1.5 * len(title))))
    total_h = BOTTOM + box_h + GAP + PROFILE + TOP
    figure = new_figure(total_w, total_h)

    def axes(x: int, y: int, w: int, h: int) -> Axes:
        return figure.add_axes((x / total_w, y / total_h, w / total_w, h / total_h))

    values, colour_scale = scaled(counts, blocks, scale)
    main = axes(LEFT, BOTTOM, box_w, box_h)
    image = _image(main, values, colour_scale, cmap, counts.shape)
    place = "pixels" if counts.full is None else "units"
    main.set_xlabel(f"column ({place})", fontsize=MEDIUM)
    main.set_ylabel(f"row ({place})", fontsize=MEDIUM)
    _profiles(
        figure,
        np.nan_to_num(np.minimum(values, colour_scale.most)),
        colour_scale.most,
        counts.shape,
        blocks,
        (box_w, box_h),
    )
    colour_bar(figure, image, axes(bar_x, BOTTOM, BAR, box_h), colour_scale, MEDIUM)
    text_at(figure, LEFT, 37, title, LARGE)
    text_at(figure, LEFT, 66, line, MEDIUM)
    return figure


def plot(counts: CountMap, ax: Axes | None = None, cmap: str | None = None, scale: str = "counts") -> Axes:
    """Draw the heat map into `ax`, with a title and a colour bar; without `ax`, the first axes of `heatmap`."""
    if ax is None:
        return heatmap(counts, cmap, scale).axes[0]
    values, colour_scale = scaled(counts, blocks_of(counts, 2 * SIDE), scale)
    image = _image(ax, values, colour_scale, cmap, counts.shape)
    ax.set_aspect("equal")
    colour_bar(ax.figure, image, None, colour_scale, SMALL, beside=ax)
    title, line = caption(counts, scale)
    ax.set_title(f"{title}\n{line}", fontsize=MEDIUM)
    return ax


def blocks_of(counts: CountMap, pixels: int) -> Size:
    """Choose the blocks (rows, columns) whose means draw a map on so many screen pixels.

    Where the map repeats, blocks are whole periods or whole parts of one: others would beat with it and draw
    stripes that are not there.

    >>> import padviz
    >>> blocks_of(padviz.usage("resnet50", 512), 600), blocks_of(padviz.usage("resnet50", 65536), 600)
    ((1, 1), (128, 128))
    """
    least = -(-max(counts.shape) // pixels)
    return _block(counts.rows, least), _block(counts.cols, least)


def _block(tiling: Tiling, least: int) -> int:
    most = max(1, tiling.n // LEAST)
    least = min(least, most)
    if least >= tiling.period:
        return -(-least // tiling.period) * tiling.period
    parts = [part for part in range(1, most + 1) if tiling.period % part == 0]
    return next((part for part in parts if part >= least), parts[-1])


def caption(counts: CountMap, scale: str = "counts") -> tuple[str, str]:
    """Write a title line, and a line with padding, target and pooling; with fair shares, who gets none."""
    padding = padding_in_words(counts.padding, "padding")
    target = _of(counts.target, len(counts.network.axes))
    line = f"{padding} · {'paths' if counts.full is None else 'coverage of the paths'} to {target}"
    if counts.unit is not None:
        line += f", unit {unit_text(counts.unit)}"
    if counts.pooling == "mean":
        line += " · mean pooling"
    if scale == "share":
        line = f"{line.replace('paths to', 'fair share of the paths to')} · {fairness(counts)}"
    own = counts.size[-len(counts.network.axes) :]
    samples = " samples" if len(own) == 1 else ""
    return f"{shortened(counts.network.title)}, {' × '.join(map(str, own))}{samples}", line


def fairness(counts: CountMap) -> str:
    """Write the shares of the pixels that get too little and too much.

    >>> import padviz
    >>> fairness(padviz.usage("resnet50", 224))
    '45.1 % starved, 0.0 % overused'
    """
    figures = counts.shares.figures()
    return f"{percent(figures.starved)} starved, {percent(figures.overused)} overused"


def _of(target: Target, axes: int) -> str:
    if isinstance(target.layer, list):
        first, last = (shortened(name) for name in (target.layer[0], target.layer[-1]))
        return f"{len(target.layer)} layers, {first} to {last}"
    return f"{shortened(target.layer)} ({' × '.join(map(str, target.shape[-axes:]))})"


def _longest(shape: Size) -> int:
    """Choose how many screen pixels, about, the longer side of a heat map takes."""
    return SIDE if max(shape) < 2 * min(shape) else int(1.3 * SIDE)


def _box(shape: Size, blocks: Size, longest: int) -> tuple[int, int]:
    """Size a heat map in screen pixels, (width, height): whole ones for every block along the longer side.

    >>> _box((224, 224), (1, 1), 600), _box((512, 512), (1, 1), 600), _box((1500, 1000), (4, 4), 600)
    ((672, 672), (512, 512), (500, 750))
    """
    block = blocks[0] if shape[0] >= shape[1] else blocks[1]
    zoom = max(1, round(longest * block / max(shape))) / block
    return max(round(shape[1] * zoom), LEAST), max(round(shape[0] * zoom), LEAST)


def _image(ax: Axes, values: NDArray[np.float64], scale: Scale, cmap: str | None, shape: Size) -> Any:
    from matplotlib.ticker import MaxNLocator

    height, width = shape
    image = ax.imshow(
        values,
        cmap=scale.colours(cmap),
        vmin=0,
        vmax=scale.most,
        aspect="auto",
        interpolation=sampling(values, ax.bbox.width),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
    ax.tick_params(labelsize=SMALL)
    ax.spines[:].set_visible(False)  # a frame would hide the outermost cells
    for axis, pixels in ((ax.xaxis, ax.bbox.width), (ax.yaxis, ax.bbox.height)):
        axis.set_major_locator(MaxNLocator(max(2, int(pixels / DPI * 1.4)), integer=True))
    for axis, length in ((ax.xaxis, width), (ax.yaxis, height)):
        if length == 1:
            axis.set_ticks([0])
    if max(shape) <= NUMBERED:
        _write_numbers(ax, values, image, share=scale.share or scale.most == 1)
    return image


def _write_numbers(ax: Axes, values: NDArray[np.float64], image: Any, share: bool) -> None:
    whole = bool((values == np.round(values)).all())
    digits = ".0f" if whole else ".2f" if share else ".3g"
    texts = [[format(value, digits) for value in row] for row in values]
    longest = max(len(text) for row in texts for text in row)
    cell = min(ax.bbox.width / values.shape[1], ax.bbox.height / values.shape[0]) * 72 / ax.figure.dpi
    size = min(11.0, 1.3 * cell / longest, 0.6 * cell)
    for (row, col), value in np.ndenumerate(values):
        ax.text(col, row, texts[row][col], ha="center", va="center", size=size, color=ink(image, value))


def _profiles(figure: Figure, values: NDArray[np.float64], peak: float, shape: Size, blocks: Size, box: Size) -> None:
    """Draw the values along the centre row, above the map, and along the centre column, beside it.

    `box` is the map's. There are no axes, which cost more to make than all that they would hold here.
    """
    (height, width), (row, col) = shape, (shape[0] // 2 // blocks[0], shape[1] // 2 // blocks[1])
    most = f"{peak:,.0f}" if peak >= 1000 else f"{peak:.3g}"
    above, beside = BOTTOM + box[1] + GAP, LEFT + box[0] + GAP
    place, length = _edges(width, blocks[1]) * box[0] / width, PROFILE / (1.05 * peak)
    _filled(figure, LEFT + place, above + length * values[row], above, upright=True)
    place = box[1] - _edges(height, blocks[0]) * box[1] / height
    _filled(figure, BOTTOM + place, beside + length * values[:, col], beside, upright=False)
    _lettered(
        figure, LEFT + box[0], above + PROFILE + 2, _block_in_words("row", row, blocks[0], height), "right", "bottom"
    )
    _lettered(figure, beside, BOTTOM - 30, _block_in_words("column", col, blocks[1], width), "left", "top")
    for value, text in ((0.0, "0"), (peak, most)):
        _lettered(figure, LEFT - 6, above + length * value, text, "right", "center")
        _lettered(figure, beside + length * value, BOTTOM - 6, text, "center", "top")


def _block_in_words(what: str, at: int, block: int, n: int) -> str:
    """Write the positions of a block in words.

    >>> _block_in_words("row", 3, 1, 7), _block_in_words("row", 1, 4, 7)
    ('row 3', 'rows 4 to 6')
    """
    return f"{what} {at}" if block == 1 else f"{what}s {at * block} to {min((at + 1) * block, n) - 1}"


def _edges(n: int, block: int) -> NDArray[np.int64]:
    """Find where blocks of `n` positions begin, and where the last one ends."""
    return np.minimum(np.arange(0, n + block, block), n)


def _filled(figure: Figure, edges: NDArray[np.float64], ends: NDArray[np.float64], base: int, *, upright: bool) -> None:
    """Fill steps from `base` to `ends`, between `edges`, all in screen pixels."""
    from matplotlib.patches import Polygon

    outline = np.column_stack([np.repeat(edges, 2), np.concatenate([[base], np.repeat(ends, 2), [base]])])
    size = figure.get_size_inches() * DPI
    corners = (outline if upright else outline[:, ::-1]) / size
    figure.add_artist(Polygon(corners, closed=True, color="0.6", lw=0, transform=figure.transFigure))


def _lettered(figure: Figure, x: float, y: float, text: str, across: str, along: str) -> None:
    width, height = figure.get_size_inches() * DPI
    figure.text(x / width, y / height, text, fontsize=SMALL, ha=across, va=along)


def write_bare(counts: CountMap, path: Path, cmap: str | None = None, most: int | None = None) -> None:
    """Write the heat map alone as a PNG file, one image pixel per position; means where it has more than `most`.

    Raises
    ------
    SizeError
        If that is more than `MOST_PIXELS`.
    """
    from PIL.Image import fromarray

    block = -(-max(counts.shape) // most) if most else 1
    core_map = counts
    if block == 1:
        height, width = counts.shape
        if height * width > MOST_PIXELS:
            what = f"a picture of {height} x {width} pixels is larger than padviz writes"
            raise SizeError(what, where=counts.network.name, hint="leave `bare` out, for one that fits a screen")
        core_map = replace(counts, rows=Tiling(counts.rows.kept), cols=Tiling(counts.cols.kept))  # what repeats, once
    values, scale = scaled(core_map, (block, block))
    pixels = scale.colours(cmap)(values / scale.most, bytes=True)[..., :3]
    if block == 1:
        pixels = pixels.take(counts.cols.index, 1).take(counts.rows.index, 0)
    with aside(path) as temporary:
        fromarray(np.ascontiguousarray(pixels)).save(temporary, "png", compress_level=2)


def write_thumbnail(picture: Path, path: Path, most: int) -> None:
    """Write a picture again as a PNG file of at most `most` screen pixels."""
    from PIL import Image

    with Image.open(picture) as opened, aside(path) as temporary:
        opened.thumbnail((most, most))
        opened.save(temporary, "png")
