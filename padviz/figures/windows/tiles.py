"""The tiles of an image: where they lie, and what one reads and keeps inside, at an edge and in a corner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from padviz.cutting.plan import Plan, Slices
from padviz.figures.canvas import SMALL, axes_at, check_axes, shortened
from padviz.figures.layout import Box as Part
from padviz.figures.layout import grid, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Box = tuple[float, float, float, float]  # top, bottom, left, right, in pixels of the image
Pair = tuple[float, ...]  # (height, width)
KEPT, CONTEXT, IMAGE = "#2f62b5", "#b3c8ea", "0.9"
LEAST, APART, NAME = 24, 4, 14  # screen pixels of the shorter side, between lines, and of a name
LEFT, BELOW, LABEL, WIDE, HIGH = (
    46,
    28,
    40,
    1200,
    300,
)  # screen pixels around a part: ticks and two lines; and of all parts
BESIDE = 0.15  # of the longer side of a tile: what is shown around it
KEY = "blue: kept · pale: context, read beside it · framed: a tile · grey: rest of the image · dotted: what each keeps"


class Place(NamedTuple):
    """A tile to look at: what it reads and keeps."""

    read: Slices
    kept: Box


def tiles(plan: Plan, words: Sequence[str]) -> Figure:
    """Draw the image with its tiles, and tiles inside, at an edge and in a corner, magnified to one scale.

    The first of the `words` is the title, and the others stand below it.
    """
    check_axes(plan.image, "plans")
    places, around = of(plan), BESIDE * max(plan.tile)
    window = plan.tile[0] + 2 * around, plan.tile[1] + 2 * around
    widest = max(plan.image[1] / plan.image[0], window[1] / window[0])
    columns, wide = grid(len(places) + 1, widest, (LEFT, BELOW + LABEL), WIDE)
    high = wide / widest if columns > 1 else HIGH
    shown = _fitting(window, wide, high)
    whole = _fitting(plan.image, wide if columns > 1 else min(wide, shown[1]), high)
    zoom = shown[0] / window[0], shown[1] / window[1]
    name = f"{shortened(plan.network.title, 24)}\n{plan.image[0]} × {plan.image[1]}"
    right = max(110 - whole[1], 0)  # for the label
    times = whole[0] / plan.image[0], whole[1] / plan.image[1]
    parts = [
        Part(whole[1], whole[0], partial(_whole, plan, places, whole, times), name, left=LEFT, right=right, below=BELOW)
    ]
    for letter, place in _called(places):
        label = f"{letter}: {_where(place, plan)}\nreads {_spelt(place.read)}"
        draw = partial(_part, plan, place, around, shown, zoom)
        parts.append(Part(shown[1], shown[0], draw, label, left=0 if columns > 1 else LEFT))
    steps = [step for step in _lattice(plan, zoom) if step]
    key = KEY + (f" · fine lines: lattice of {' × '.join(map(str, dict.fromkeys(steps)))} px" if steps else "")
    return page(words[0], [*words[1:], key], parts, columns)


def _whole(
    plan: Plan, places: Sequence[Place], size: tuple[int, int], zoom: Pair, figure: Figure, x: float, y: float
) -> None:
    _overview(axes_at(figure, x, y, size[1], size[0]), plan, places, zoom)


def _part(plan: Plan, place: Place, around: float, size: tuple[int, int], zoom: Pair, *at: Any) -> None:
    figure, x, y = at
    _magnified(axes_at(figure, x, y, size[1], size[0]), plan, place, around, zoom)


def _called(places: Sequence[Place]) -> Iterator[tuple[str, Place]]:
    return zip("ABC", places, strict=False)


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


def _fitting(size: Pair, wide: float, high: float) -> tuple[int, int]:
    """Fit (height, width) into a part; neither side becomes a line."""
    zoom = min(wide / size[1], high / size[0])
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
