"""The tiles of an image: where they lie, and what one reads and keeps inside, at an edge and in a corner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from padviz.cutting.plan import Plan, Slices
from padviz.figures.canvas import (
    BETWEEN,
    DPI,
    EDGE,
    HEAD,
    LARGE,
    MEDIUM,
    SMALL,
    axes_at,
    check_axes,
    new_figure,
    shortened,
    text_at,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Box = tuple[float, float, float, float]  # top, bottom, left, right, in pixels of the image
Pair = tuple[float, ...]  # (height, width)
KEPT, CONTEXT, IMAGE = "#2f62b5", "#b3c8ea", "0.9"
OVERVIEW, PLACE = 300, 210  # screen pixels of the longer side
LEAST, APART, NAME = 24, 4, 14  # screen pixels of the shorter side, between lines, and of a name
TITLE, LINE = 84, 140  # characters of a line
WIDE, LETTER, INDENT = 980, 7.2, 72  # screen pixels of a picture at least, of a small letter, and left of the image
BESIDE = 0.15  # of the longer side of a tile: what is shown around it


class Place(NamedTuple):
    """A tile to look at: what it reads and keeps."""

    read: Slices
    kept: Box


def tiles(plan: Plan, words: Sequence[str]) -> Figure:
    """Draw the image with its tiles, and tiles inside, at an edge and in a corner, magnified to one scale.

    The first of the `words` is the title, and the others stand below it.
    """
    check_axes(plan.image, "plans")
    title, lines, places = wrap(words[0], TITLE), [part for text in words[1:] for part in wrap(text, LINE)], of(plan)
    top = HEAD + 24 * (len(title) - 1) + 18 * (len(lines) - 1)
    around = BESIDE * max(plan.tile)
    window = plan.tile[0] + 2 * around, plan.tile[1] + 2 * around
    whole, shown = _fitting(plan.image, OVERVIEW), _fitting(window, PLACE)
    zoom = shown[0] / window[0], shown[1] / window[1]
    texts = [(f"{name}: {_where(place, plan)}", f"reads {_spelt(place.read)}") for name, place in _called(places)]
    left = INDENT + max(whole[1], 120) + 40
    column = BETWEEN + max(shown[1], *(round(LETTER * len(text)) for pair in texts for text in pair))
    figure = new_figure(max(WIDE, left + len(places) * column), top + 40 + max(whole[0], shown[0]) + 84)
    for y, size, text in [(30 + 24 * i, LARGE, text) for i, text in enumerate(title)] + [
        (top - 28 - 18 * i, MEDIUM, text) for i, text in enumerate(reversed(lines))
    ]:
        text_at(figure, EDGE, y, text, size)
    _captions(figure, INDENT, top, (shortened(plan.network.title, 24), f"{plan.image[0]} × {plan.image[1]}"))
    overview = axes_at(figure, INDENT, top + 40, whole[1], whole[0])
    _overview(overview, plan, places, (whole[0] / plan.image[0], whole[1] / plan.image[1]))
    for i, (place, pair) in enumerate(zip(places, texts, strict=True)):
        _captions(figure, left + i * column, top, pair)
        _magnified(axes_at(figure, left + i * column, top + 40, shown[1], shown[0]), plan, place, around, zoom)
    _legend(figure, plan, zoom)
    return figure


def _called(places: Sequence[Place]) -> Iterator[tuple[str, Place]]:
    return zip("ABC", places, strict=False)


def _captions(figure: Figure, x: float, top: float, texts: tuple[str, str]) -> None:
    for i, text in enumerate(texts):
        text_at(figure, x, top + 10 + 16 * i, text)


def of(plan: Plan) -> list[Place]:
    """Choose a tile in the middle of the plan, one at the top edge, and the first: fewer where they are the same."""
    middle = len(plan.lines[0].starts) // 2, len(plan.lines[1].starts) // 2
    places = []
    for k, j in dict.fromkeys([middle, (0, middle[1]), (0, 0)]):
        spans = _edges(plan, 0)[k : k + 2] + _edges(plan, 1)[j : j + 2]
        starts = plan.lines[0].starts[k], plan.lines[1].starts[j]
        read = slice(starts[0], starts[0] + plan.tile[0]), slice(starts[1], starts[1] + plan.tile[1])
        places.append(Place(read, (spans[0], spans[1], spans[2], spans[3])))
    return places


def _edges(plan: Plan, axis: int) -> list[float]:
    """List where kept parts begin and end along one axis, in pixels: of the head that needs the most context."""
    head = max(range(len(plan.heads)), key=lambda h: sum(side.before + side.after for side in plan.contexts[h]))
    keeps, stride = plan.lines[axis].keeps[head], float(plan.contexts[head][axis].stride)
    lost = (plan.image[axis] - keeps[-1][1] * stride) / 2  # pixels that the map does not stand for, on each side
    return [lost + unit * stride for unit in (keeps[0][0], *(last for _, last in keeps))]


def _fitting(size: Pair, side: int) -> tuple[int, int]:
    """Fit (height, width) into a square of so many screen pixels; neither side becomes a line."""
    zoom = side / max(size)
    return max(LEAST, round(size[0] * zoom)), max(LEAST, round(size[1] * zoom))


def _overview(ax: Axes, plan: Plan, places: Sequence[Place], zoom: Pair) -> None:
    """Draw the whole image, what each tile keeps as far as it can be told apart, and the tiles that are magnified."""
    _frame(ax, (0, plan.image[0], 0, plan.image[1]))
    _rectangle(ax, (0, plan.image[0], 0, plan.image[1]), facecolor=IMAGE, label="image")
    for place in places:
        _rectangle(ax, _box(place.read), facecolor=CONTEXT)
    for place in places:
        _rectangle(ax, place.kept, facecolor=KEPT)
    for name, place in _called(places):
        _rectangle(ax, _box(place.read), fill=False, edgecolor="black", lw=0.7)
        _named(ax, name, place, zoom)
    _lines(ax, plan, zoom)
    ax.set_xticks([0, plan.image[1]])
    ax.set_yticks([0, plan.image[0]])
    ax.tick_params(labelsize=SMALL)
    ax.ticklabel_format(style="plain", useOffset=False)


def _named(ax: Axes, name: str, place: Place, zoom: Pair) -> None:
    """Write the name of a tile into what it keeps, or beside or below it where that is too small."""
    top, bottom, left, right = place.kept
    high, wide = zoom[0] * (bottom - top) > NAME, zoom[1] * (right - left) > NAME
    across = ((left + right) / 2, "center") if wide else (place.read[1].stop, "left")
    down = ((top + bottom) / 2, "center_baseline") if high else (place.read[0].stop, "top")
    colour = "w" if high and wide else "black"
    ax.text(across[0], down[0], name, fontsize=SMALL, ha=across[1], va=down[1], color=colour)


def _magnified(ax: Axes, plan: Plan, place: Place, around: float, zoom: Pair) -> None:
    """Draw one tile, what lies around it, and the lattice that it starts on."""
    top, bottom, left, right = read = _box(place.read)
    window = top - around, bottom + around, left - around, right + around
    _frame(ax, window)
    ax.axis("off")
    _rectangle(ax, (0, plan.image[0], 0, plan.image[1]), facecolor=IMAGE)
    _rectangle(ax, read, facecolor=CONTEXT)
    _rectangle(ax, place.kept, facecolor=KEPT)
    image = [(0.0, float(n)) for n in plan.image]
    inside = [(max(0.0, window[2 * i]), min(image[i][1], window[2 * i + 1])) for i in (0, 1)]
    for axis, step in enumerate(_lattice(plan, zoom)):
        first, last = inside[axis]
        at = [*range(-int(-first // step) * step, int(last) + 1, step)] if step else []
        (ax.hlines if axis == 0 else ax.vlines)(at, *inside[1 - axis], color="w", lw=0.4, alpha=0.7)
    _lines(ax, plan, zoom)
    _rectangle(ax, read, fill=False, edgecolor="black", lw=1.2)


def _lattice(plan: Plan, zoom: Pair) -> list[int]:
    """List the lattice on height and width; 0 where it is each pixel, or too fine to draw."""
    steps = [side.lattice for side in plan.contexts[0]]
    return [step if step > 1 and step * times >= APART else 0 for step, times in zip(steps, zoom, strict=True)]


def _lines(ax: Axes, plan: Plan, zoom: Pair) -> None:
    """Draw where one tile's part ends and the next one's begins; nothing where these are too many to tell apart."""
    rows, cols = _edges(plan, 0), _edges(plan, 1)
    for edges, across, draw, times in ((rows, cols, ax.hlines, zoom[0]), (cols, rows, ax.vlines, zoom[1])):
        if times * (edges[-1] - edges[0]) >= APART * (len(edges) - 1):
            draw(edges, across[0], across[-1], color="0.35", lw=0.5, ls=":")


def _frame(ax: Axes, window: Box) -> None:
    ax.set_xlim(window[2], window[3])
    ax.set_ylim(window[1], window[0])
    ax.set_autoscale_on(False)


def _rectangle(ax: Axes, box: Box, **style: object) -> None:
    from matplotlib.patches import Rectangle

    top, bottom, left, right = box
    ax.add_patch(Rectangle((left, top), right - left, bottom - top, **{"lw": 0, **style}))  # type: ignore[arg-type]


def _box(slices: Slices) -> Box:
    rows, cols = slices
    return rows.start, rows.stop, cols.start, cols.stop


def _where(place: Place, plan: Plan) -> str:
    """Say which sides of the image a tile touches."""
    top, bottom, left, right = _box(place.read)
    ends = {"top": top == 0, "bottom": bottom == plan.image[0]}, {"left": left == 0, "right": right == plan.image[1]}
    sides = [" and ".join(name for name, touches in axis.items() if touches) for axis in ends]
    touched = ", ".join(filter(None, sides))
    return f"a tile at the {touched}" if touched else "a tile inside"


def _spelt(slices: Slices) -> str:
    return f"[{', '.join(f'{each.start}:{each.stop}' for each in slices)}]"


def _legend(figure: Figure, plan: Plan, zoom: Pair) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [
        Patch(facecolor=KEPT, label="kept"),
        Patch(facecolor=CONTEXT, label="context: read beside it"),
        Patch(facecolor="w", edgecolor="black", lw=1.2, label="tile"),
        Patch(facecolor=IMAGE, label="rest of the image"),
        Line2D([], [], color="0.35", lw=0.8, ls=":", label="what each tile keeps"),
    ]
    if steps := [step for step in _lattice(plan, zoom) if step]:
        lattice = " × ".join(map(str, dict.fromkeys(steps)))
        shown.append(Patch(facecolor=CONTEXT, edgecolor="w", hatch="+++", lw=0.4, label=f"lattice of {lattice} px"))
    width, height = figure.get_size_inches() * DPI
    place = (EDGE + 16) / width, 8 / height
    figure.legend(handles=shown, loc="lower left", bbox_to_anchor=place, ncols=6, fontsize=SMALL, frameon=False)
