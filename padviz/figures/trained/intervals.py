"""Figures with their intervals: by distance from the border and by position, and the effects of
changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.figures.canvas import DPI, FRAME, MEDIUM, SMALL, axes_at, shorten, style
from padviz.figures.colours import CMAP, UNEVEN, colour_map, colouring
from padviz.figures.layout import Box, page, text_width
from padviz.intervals import FEW, Estimate
from padviz.network.network import in_words
from padviz.phrases import listed
from padviz.scoring.rings import Part, Rings
from padviz.trained.trying.trial import Trial, TrialNeeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

# Screen pixels: curves, fair shares, and the height of all, which is the side of the map.
WIDE, NARROW, HIGH = 380, 324, 320
LEFT, LEGEND, BELOW, SHARES = 40, 92, 46, 30  # screen pixels around them
BAR, BAR_TICKS = 12, 40
INNERMOST = 1.9  # width of the innermost band, over that of another
FEW_OBJECTS = "0.9"  # the grey of parts whose figure says little
STEP = 0.1  # the colours of sides end at multiples of it
# of figures: told apart without red against green, and by their markers
COLOURS = ("k", "#2f62b5", "#db7d12", "#8a5fb0", "#3aa0a8", "0.5", "#7b5430")
MARKERS = "os^Dv<>"
DOTS, LINE, UNDER = 560, 30, 44  # screen pixels: the scale, a change, and what is below
INK, BASELINE = "#2f62b5", "0.45"


def rings(scored: Rings, title: str, lines: Sequence[str], network: str = "") -> Figure:
    """Draw the figures of rings with their intervals, and one of them at each side of each ring.

    Fair shares have a part of their own, labelled by `network`: they are not a cause.
    """
    boxes = [Box(WIDE, HIGH, "%", left=LEFT, right=LEGEND, below=BELOW)]
    if scored.network is not None:
        boxes.append(Box(NARROW, HIGH, network, left=SHARES, right=12, below=BELOW))
    first = next(iter(scored.rings[0].figures))
    label = f"{first} by ring and nearest side, %"
    boxes.append(Box(HIGH, HIGH, label, right=BAR + BAR_TICKS + 8, below=20))
    figure, (curves, *middle, sides) = page(title, lines, boxes)
    _draw_curves(axes_at(*curves), scored)
    if scored.network is not None:
        ax = axes_at(*middle[0])
        shares = np.array([ring.fair_share for ring in scored.rings], float)
        ax.axhline(1, lw=0.8, color="0.7")
        ax.plot(shares, "s--", ms=3, lw=1, color="0.4")
        ax.set_ylim(0, max(1.05, 1.05 * float(np.nanmax(shares, initial=0))))
        _name_rings(ax, scored, NARROW)
    colours = _draw_sides(axes_at(*sides), scored)
    bar = figure.colorbar(colours, cax=axes_at(figure, sides.x + HIGH + 8, sides.y, BAR, HIGH))
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")
    return figure


def _draw_curves(ax: Axes, scored: Rings) -> None:
    names = [*scored.rings[0].figures]
    for k, name in enumerate(names):
        # Rings, and value, low and high; NaN where a figure or its interval is unknown.
        estimates = 100 * np.array([ring.figures[name] for ring in scored.rings], float)
        at = np.flatnonzero(~np.isnan(estimates[:, 0]))
        value, *ends = estimates[at].T
        bars = np.nan_to_num(np.abs(ends - value))  # without an interval, no bar
        shift, colour = (k - (len(names) - 1) / 2) * 0.06, COLOURS[k % len(COLOURS)]
        line = f"{MARKERS[k % len(MARKERS)]}-"
        ax.errorbar(at + shift, value, bars, fmt=line, ms=3, lw=1, color=colour, label=name)
    ax.set_ylim(0, 102)
    _name_rings(ax, scored, WIDE)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02))


def _name_rings(ax: Axes, scored: Rings, wide: float) -> None:
    count, times, unit = len(scored.rings), 100, "% of half the shorter side"
    if scored.of == "px":
        times, unit = 1, "px"
    names = []
    for ring in scored.rings:
        if ring.last is None:
            names.append(f"from {ring.first:g}")
        else:
            names.append(f"{times * ring.first:.3g} to {times * ring.last:.3g}")
    longest = max(text_width(name, SMALL) for name in names) + 8
    ticks = range(0, count, ceil(longest * count / wide))
    ax.set_xticks(ticks, [names[k] for k in ticks])
    style(ax, xlim=(-0.5, count - 0.5), xlabel=f"distance from the border, {unit}")
    ax.grid(axis="y", lw=0.4, color="0.9")


def _draw_sides(ax: Axes, scored: Rings) -> ScalarMappable:
    """Draw the sides of each ring as bands around the image's centre, with their figure and number
    of objects.

    Those with few are grey. Bands are equally wide, but for the innermost, which has the corners
    of four triangles.
    """
    from matplotlib.patches import Polygon

    parts = [part for ring in scored.rings for part in ring.sides.values()]
    known = [part.figure.value or 0 for part in parts if part.count >= FEW]
    low, high = 0.0, 1.0
    if known:  # multiples of a tenth around the values
        low, high = floor(min(known) / STEP) * STEP, ceil(max(known) / STEP) * STEP
    colours = colouring(colour_map(CMAP), round(low, 1), round(max(high, low + STEP), 1))

    band = HIGH / 2 / (len(scored.rings) - 1 + INNERMOST)
    ends = [*(band * np.arange(len(scored.rings))), HIGH / 2]
    for ring, (near, far) in zip(scored.rings, pairwise(ends), strict=True):
        for side, part in ring.sides.items():
            corners = [(near, near), (HIGH - near, near), (HIGH - far, far), (far, far)]
            corners = [_turned(corner, side) for corner in corners]
            value = part.figure.value
            colour: Any = FEW_OBJECTS
            if value is not None and part.count >= FEW:
                colour = colours.to_rgba(np.array(value))
            ax.add_patch(Polygon(corners, facecolor=colour, edgecolor="white", lw=0.8))
            if value is not None and band > 1.4 * SMALL * DPI / 72:
                # The middle of a triangle lies a third of its height from its base.
                inside = near + (far - near) / (3 if far == HIGH / 2 else 2)
                _number(ax, part, scored, side, inside, colours)
    key = _key(parts, scored.counted)
    style(ax, FRAME, xticks=[], yticks=[], xlabel=key, xlim=(0, HIGH), ylim=(HIGH, 0))
    return colours


def _key(parts: Sequence[Part], counted: str) -> str:
    """Return what the numbers and the grey of bands mean."""
    key = []
    if counted != "pixels":
        key.append(f"of N: number of {counted}")
    if any(part.count < FEW for part in parts):
        key.append(f"grey: fewer than {FEW} {counted}")
    return "; ".join(key)


def _turned(corner: tuple[float, float], side: str) -> tuple[float, float]:
    """Turn a corner of a band at the top to the same band at another side."""
    along, inwards = corner
    turned = {
        "top": (along, inwards),
        "bottom": (along, HIGH - inwards),
        "left": (inwards, along),
        "right": (HIGH - inwards, along),
    }
    return turned[side]


def _number(
    ax: Axes, part: Part, scored: Rings, side: str, inside: float, colours: ScalarMappable
) -> None:
    """Write a figure into its band, with the number of objects where there is room for it."""
    value = part.figure.value or 0
    text = f"{100 * value:.0f} %"
    counted = f"{text} of {part.count}"
    if scored.counted != "pixels" and text_width(counted, SMALL) < HIGH - 2.4 * inside:
        text = counted
    red, green, blue, _ = colours.to_rgba(np.array(value))
    # Tinted greys, which the dark theme leaves as they are: what they are written on stays, too.
    ink = "#fffff0"
    if 0.3 * red + 0.59 * green + 0.11 * blue >= 0.5:
        ink = "#1d1d24"
    if part.count < FEW:
        ink = "0.3"
    x, y = _turned((HIGH / 2, inside), side)
    angle = {"left": 90, "right": 270}.get(side, 0)
    ax.text(x, y, text, ha="center", va="center", size=SMALL, color=ink, rotation=angle)


def dots(trial: Trial) -> Figure:
    """Draw a dot for each change, with its 95 % interval.

    A shift by one pixel is the line, its interval the band.
    """
    size = DOTS, LINE * (len(trial.changes) + 1)
    left = (
        max((text_width(shorten(row.change, 44), MEDIUM) for row in trial.changes), default=0) + 12
    )

    title = f"{shorten(trial.title)}, {in_words(trial.size)}: {trial_finding(trial)}"
    what = "change of the output over its norm"
    if trial.kind == "classes":
        what = "top-1 kept"
    about = (
        f"{trial.count} crops of {trial.pictures} photographs "
        f"({shorten(Path(trial.images).name, 24)})"
    )
    meaning = (
        "grey: a shift by one pixel · red: worse, needs fine-tuning · blue: works · hollow: "
        "undecided"
    )
    lines = [f"{what}, with 95 % intervals · {about}", meaning]
    figure, (place,) = page(title, lines, [Box(*size, left=left, below=UNDER)])
    plot_dots(trial, axes_at(*place))
    return figure


def trial_finding(trial: Trial) -> str:
    """Return the title's finding: which changes a trained network stands, and which not."""
    names: dict[TrialNeeds, list[str]] = {}
    for row in trial.changes:
        if row.needs is not None:
            names.setdefault(row.needs, []).append(row.change)
    works, tune = names.get("today's weights", []), names.get("fine-tune", [])
    compared = sum(map(len, names.values()))
    if not compared:
        return "no change can be compared"
    if not tune:
        return "no change measurably harms more than a shift by one pixel"
    if len(tune) == compared:
        return "every change needs fine-tuning"
    need = "need" if len(tune) > 1 else "needs"
    words = f"{_named(tune, compared)} {need} fine-tuning"
    if not works:
        return f"{words}, none is sure to work as is"
    work = "work" if len(works) > 1 else "works"
    return f"{words}, {_named(works, compared)} {work} as is"


def _named(names: Sequence[str], of: int) -> str:
    """List up to two changes; of more, return their number."""
    if len(names) > 2:
        return f"{len(names)} of {of} changes"
    return listed([shorten(name, 44) for name in names])


def plot_dots(trial: Trial, ax: Axes | None = None) -> Axes:
    """Draw the dots into `ax`; without it, return the axes of `dots`."""
    if ax is None:
        return dots(trial).axes[0]
    baseline = trial.shift.main
    if baseline is not None:
        ax.axvline(100 * (baseline.value or 0), color=BASELINE, lw=1.2)
        if baseline.low is not None and baseline.high is not None:
            ax.axvspan(100 * baseline.low, 100 * baseline.high, color=BASELINE, alpha=0.15, lw=0)
    for i, row in enumerate(trial.changes):
        if row.main is None:
            place = ax.get_yaxis_transform()
            ax.text(
                0.01,
                i,
                shorten(row.note, 66),
                transform=place,
                size=SMALL,
                color="0.4",
                va="center",
            )
        else:
            _draw_dot(ax, i, row.main, row.needs)
    ax.set_yticks(
        range(len(trial.changes)),
        [shorten(row.change, 44) for row in trial.changes],
        fontsize=MEDIUM,
    )
    ax.set_ylim(len(trial.changes) - 0.4, -0.6)
    if trial.kind == "classes":
        ax.set_xlim(0, 100)
        ax.set_xlabel("top-1 kept, %", fontsize=MEDIUM)
    else:
        ax.set_xlim(0)
        ax.set_xlabel("change, % of the output's norm", fontsize=MEDIUM)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def _draw_dot(ax: Axes, y: int, estimate: Estimate, needs: TrialNeeds | None) -> None:
    """Draw a figure and its interval: red where fine-tuning is needed, hollow where that is
    undecided.
    """
    value, low, high = estimate
    look: dict[str, Any] = {"color": INK}
    if needs == "fine-tune":
        look = {"color": UNEVEN}
    elif needs == "more pictures":
        look = {"color": INK, "markerfacecolor": "white"}
    if value is not None and low is not None and high is not None:
        look["xerr"] = [[100 * (value - low)], [100 * (high - value)]]
    ax.errorbar(100 * (value or 0), y, fmt="o", ms=5, capsize=2, **look)
