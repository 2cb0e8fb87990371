"""Every kind of picture at the sizes that are looked at, what is measured of a picture, and the approved ones."""

from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import padviz
from padviz.analyses.rings import headlines
from padviz.figures.canvas import DPI
from padviz.figures.trained import intervals, mean_filters, position_maps, responses
from padviz.scoring.rings import Rings
from tests.figures import made_up

Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((32, 32), (512, 512), (200, 1000), (1000, 200), (65_536, 65_536))
MARGIN = 24  # screen pixels around what is drawn, that are not dead
SCHEMES = ["zero", "reflect", "circular", "partial"]
LAYERS = [f"features.{i}" for i in (4, 9, 18, 27, 36)]


def _ringed(scored: Rings) -> Figure:
    return intervals.rings(scored, *headlines(scored))


def _kernel(size: Size) -> Figure:
    schemes = ["zero", "reflect", "circular", "symmetric", "replicate", "partial"]
    shape = (7, 7) if size[0] == size[1] else (5, 9) if size[1] > size[0] else (9, 5)
    return padviz.kernel(
        size=shape, padding=schemes if size[0] == 224 else "zero", pixel=(0, 0)
    )._shown.draw()


KINDS: dict[str, Callable[[Size], Figure]] = {
    "usage": lambda size: padviz.usage("resnet50", size)._shown.draw(),
    "compare": lambda size: padviz.compare("resnet50", size, SCHEMES)._shown.draw(),
    "audit": lambda size: padviz.audit("resnet50", size)._shown.draw(),
    "coverage": lambda size: padviz.coverage("vgg19", size, layer=LAYERS)._shown.draw(),
    "taps": lambda size: padviz.taps("resnet18", size)._shown.draw(),
    "uneven": lambda size: padviz.uneven("densenet121", size)._shown.draw(),
    "fields": lambda size: padviz.fields("resnet50", size)._shown.draw(),
    "detect": lambda size: position_maps.detected(made_up.detected(size, 3)),
    "detect_as_trained": lambda size: position_maps.detected(made_up.detected(size)),
    "filters": lambda size: mean_filters.filters(made_up.filtered(size)),
    "responses": lambda size: responses.panels(made_up.responses(size)),
    "kernel": _kernel,
    "tiles": lambda size: padviz.tiles(
        "unet_padded", size, tuple(min(n, 512) for n in size)
    )._shown.draw(),
    "sizes": lambda size: padviz.sizes("resnet50", range(32, max(size) // 32 + 200))._shown.draw(),
    "seams": lambda size: padviz.seams(
        *made_up.outputs(tuple(min(n, 1000) for n in size))
    )._shown.draw(),
    "seen": lambda size: position_maps.seen(made_up.seen(size)),
    "trial": lambda size: intervals.dots(made_up.tried(size)),
    "signal": lambda size: padviz.usage("tests.signals:Tcn", size[1])._shown.draw(),
    "rings": lambda size: _ringed(made_up.ringed(size, network=size[0] != size[1])),
}

PLACES = (
    "detect",
    "detect_as_trained",
    "seams",
    "seen",
)  # kinds whose ticks are other places than the last pixel


def laid_out(figure: Figure) -> Figure:
    """Lay a figure out, once as long as it does not change."""
    if figure.stale:
        figure.draw_without_rendering()
    return figure


def texts(figure: Figure) -> list[Text]:
    hidden = {id(label) for ax in laid_out(figure).axes for label in _out_of_view(ax)}
    shown = [
        t
        for t in figure.findobj(Text)
        if t.get_visible() and t.get_text().strip() and id(t) not in hidden
    ]
    return [text for text in shown if text.get_window_extent().width > 0]


def said(figure: Figure) -> str:
    return " ".join(text.get_text() for text in texts(figure))


def _out_of_view(ax: Axes) -> Iterator[Text]:
    """The labels that are not drawn: of ticks outside of the axes, and of axes that are off."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not ax.axison or not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (tick.label1, tick.label2)


def clipped(figure: Figure) -> bool:
    """Whether anything drawn reaches past the page."""
    drawn, (width, height) = laid_out(figure).get_tightbbox(), figure.get_size_inches()
    return bool(drawn.x0 < 0 or drawn.y0 < 0 or drawn.x1 > width or drawn.y1 > height)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    seen = texts(figure)
    x0, y0, x1, y1 = np.array([text.get_window_extent().padded(-1).extents for text in seen]).T
    over = (x0 <= x1[:, None]) & (x0[:, None] <= x1) & (y0 <= y1[:, None]) & (y0[:, None] <= y1)
    return [
        (seen[one].get_text(), seen[other].get_text())
        for one, other in np.argwhere(np.triu(over, 1))
    ]


def dead(figure: Figure) -> float:
    """The share of the page that lies further than a margin from all that is drawn."""
    width, height = (round(n) for n in figure.get_size_inches() * figure.dpi)
    margin = MARGIN * figure.dpi / DPI
    free = np.ones((height, width), bool)
    boxes = [artist.get_window_extent() for artist in [*texts(figure), *figure.artists]]
    boxes += [box for ax in figure.axes if (box := ax.get_tightbbox()) is not None]
    for box in boxes:
        x0, y0, x1, y1 = (max(int(end), 0) for end in box.padded(margin).extents)
        free[y0:y1, x0:x1] = False
    return float(free.mean())


def last_ticks(figure: Figure, size: Size) -> Iterator[str]:
    """Axes that have ticks of pixels, of which the last is not the last pixel."""
    for ax in figure.axes:
        for axis, n in ((ax.xaxis, size[1]), (ax.yaxis, size[0])):
            ticks = (
                [tick.get_text() for tick in axis.get_ticklabels()]
                if ax.images and ax.axison
                else []
            )
            if ticks and ticks[-1] != str(n - 1):
                yield f"{ax}: {ticks}"
