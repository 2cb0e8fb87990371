"""The tiles of an image: where they are, and what one reads and keeps inside, at an edge and in a
corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from padviz.cutting.plan import Plan, Slices
from padviz.figures.canvas import SMALL, axes_at, check_axes, shorten, style
from padviz.figures.layout import Area, Box, grid, page, rectangle
from padviz.network.network import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pair = tuple[float, float]  # (height, width)
KEPT, CONTEXT, IMAGE = "#2f62b5", "#b3c8ea", "0.9"
LEAST, APART, NAME = 24, 4, 14  # screen pixels of the shorter side, between lines, and of a name
LEFT, BELOW, LABEL, WIDE, HIGH = (
    46,
    28,
    40,
    1200,
    300,
)  # screen pixels: ticks, two lines; and all parts
BESIDE = 0.15  # of the longer side of a tile: what is shown around it
KEY = (
    "blue: kept · pale blue: context · frame: a tile · grey: rest of the image · dotted lines: "
    "what each tile keeps"
)


class Example(NamedTuple):
    """A tile that is magnified: the area that it reads, and that it keeps."""

    read: Slices
    kept: Area

    @property
    def area(self) -> Area:
        rows, cols = self.read
        return rows.start, rows.stop, cols.start, cols.stop


def tiles(plan: Plan, words: Sequence[str]) -> Figure:
    """Draw the image with its tiles, and tiles inside, at an edge and in a corner, magnified to one
    scale.

    The first of the `words` is the title; the others follow below it.
    """
    check_axes(plan.image, "plans")
    examples, around = examples_of(plan), BESIDE * max(plan.tile)
    window = plan.tile[0] + 2 * around, plan.tile[1] + 2 * around
    widest = max(plan.image[1] / plan.image[0], window[1] / window[0])
    columns, wide = grid(len(examples) + 1, widest, (LEFT, BELOW + LABEL), WIDE)
    high = wide / widest if columns > 1 else HIGH
    shown = _fit(window, wide, high)
    whole = _fit(plan.image, wide if columns > 1 else min(wide, shown[1]), high)
    zoom = shown[0] / window[0], shown[1] / window[1]

    label = f"{shorten(plan.network.title, 24)}\n{in_words(plan.image)}"
    room = max(110 - whole[1], 0)  # for the label
    boxes = [Box(whole[1], whole[0], label, left=LEFT, right=room, below=BELOW)]
    for letter, example in zip("ABC", examples, strict=False):
        slices = ", ".join(f"{span.start}:{span.stop}" for span in example.read)
        label = f"{letter}: {_place_in_words(example, plan)}\nreads [{slices}]"
        boxes.append(Box(shown[1], shown[0], label, left=0 if columns > 1 else LEFT))
    steps = [str(step) for step in dict.fromkeys(_alignment(plan, zoom)) if step]
    key = KEY + (f" · fine lines: alignment, {' x '.join(steps)} px" if steps else "")
    figure, (place, *places) = page(words[0], [*words[1:], key], boxes, columns)
    _draw_image(axes_at(*place), plan, examples, whole)
    for place, example in zip(places, examples, strict=True):
        _draw_example(axes_at(*place), plan, example, around, zoom)
    return figure


def examples_of(plan: Plan) -> list[Example]:
    """Choose a tile in the middle of the plan, one at the top edge, and the first: fewer where they
    are the same.
    """
    rows, cols = plan.lines
    middle = len(rows.starts) // 2, len(cols.starts) // 2
    edges, examples = (_edges(plan, 0), _edges(plan, 1)), []
    for k, j in dict.fromkeys([middle, (0, middle[1]), (0, 0)]):
        top, left = rows.starts[k], cols.starts[j]
        read = slice(top, top + plan.tile[0]), slice(left, left + plan.tile[1])
        examples.append(Example(read, (edges[0][k], edges[0][k + 1], edges[1][j], edges[1][j + 1])))
    return examples


def _edges(plan: Plan, axis: int) -> list[float]:
    """Return the ends of kept parts along one axis, in pixels: of the head that needs the most
    context.
    """
    head = max(
        range(len(plan.heads)),
        key=lambda h: sum(side.before + side.after for side in plan.contexts[h]),
    )
    keeps, stride = plan.lines[axis].keeps[head], float(plan.contexts[head][axis].stride)
    lost = (
        plan.image[axis] - keeps[-1][1] * stride
    ) / 2  # pixels on each side that no unit of the map stands for
    return [lost + unit * stride for unit in (keeps[0][0], *(last for _, last in keeps))]


def _fit(size: Pair | tuple[int, ...], wide: float, high: float) -> Pair:
    """Fit (height, width) into a box; neither side becomes a line."""
    zoom = min(wide / size[1], high / size[0])
    return max(LEAST, round(size[0] * zoom)), max(LEAST, round(size[1] * zoom))


def _draw_image(ax: Axes, plan: Plan, examples: Sequence[Example], size: Pair) -> None:
    zoom = size[0] / plan.image[0], size[1] / plan.image[1]
    _draw_tiles(ax, plan, (0, plan.image[0], 0, plan.image[1]), examples, zoom, lw=0.7)
    for letter, example in zip("ABC", examples, strict=False):
        # the letter is beside or below it where it is too small
        top, bottom, left, right = example.kept
        high, wide = zoom[0] * (bottom - top) > NAME, zoom[1] * (right - left) > NAME
        if wide:
            x, ha = ((left + right) / 2, "center")
        else:
            x, ha = (example.area[3], "left")
        if high:
            y, va = ((top + bottom) / 2, "center_baseline")
        else:
            y, va = (example.area[1], "top")
        ax.text(x, y, letter, fontsize=SMALL, ha=ha, va=va, color="w" if high and wide else "black")
    style(ax, "", xticks=[0, plan.image[1]], yticks=[0, plan.image[0]])
    ax.ticklabel_format(style="plain", useOffset=False)


def _draw_example(ax: Axes, plan: Plan, example: Example, around: float, zoom: Pair) -> None:
    top, bottom, left, right = example.area
    window = top - around, bottom + around, left - around, right + around
    _draw_tiles(ax, plan, window, [example], zoom, lw=1.2)
    ax.axis("off")
    inside = [
        (max(0.0, window[2 * i]), min(float(plan.image[i]), window[2 * i + 1])) for i in (0, 1)
    ]
    for axis, step in enumerate(_alignment(plan, zoom)):
        first, last = inside[axis]
        if step:
            at = [*range(-int(-first // step) * step, int(last) + 1, step)]
        else:
            at = []
        (ax.hlines if axis == 0 else ax.vlines)(
            at, *inside[1 - axis], color="w", lw=0.4, alpha=0.7, zorder=1.5
        )


def _draw_tiles(
    ax: Axes, plan: Plan, window: Area, examples: Sequence[Example], zoom: Pair, lw: float
) -> None:
    """Draw a window of the image: what tiles read and keep, and dotted lines between all kept parts
    that have room.
    """
    ax.set(xlim=(window[2], window[3]), ylim=(window[1], window[0]))
    ax.set_autoscale_on(False)
    rectangle(ax, (0, plan.image[0], 0, plan.image[1]), facecolor=IMAGE)
    for example in examples:
        rectangle(ax, example.area, facecolor=CONTEXT)
    for example in examples:
        rectangle(ax, example.kept, facecolor=KEPT)
    for example in examples:
        rectangle(ax, example.area, fill=False, edgecolor="black", lw=lw)
    rows, cols = _edges(plan, 0), _edges(plan, 1)
    for edges, across, draw, times in (
        (rows, cols, ax.hlines, zoom[0]),
        (cols, rows, ax.vlines, zoom[1]),
    ):
        if times * (edges[-1] - edges[0]) >= APART * (len(edges) - 1):
            draw(edges, across[0], across[-1], color="0.35", lw=0.5, ls=":")


def _alignment(plan: Plan, zoom: Pair) -> list[int]:
    """Return the alignment along height and width; 0 where it is 1, or too fine to draw."""
    steps = [side.alignment for side in plan.contexts[0]]
    return [
        step if step > 1 and step * times >= APART else 0
        for step, times in zip(steps, zoom, strict=True)
    ]


def _place_in_words(example: Example, plan: Plan) -> str:
    top, bottom, left, right = example.area
    ends = (
        {"top": top == 0, "bottom": bottom == plan.image[0]},
        {"left": left == 0, "right": right == plan.image[1]},
    )
    sides = [" and ".join(name for name, touches in axis.items() if touches) for axis in ends]
    touched = ", ".join(filter(None, sides))
    return f"a tile at the {touched}" if touched else "a tile inside"
