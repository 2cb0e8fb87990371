"""The effect of changes on a trained network: a dot for each, with its interval, beside a shift by one pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from padviz.figures.canvas import MEDIUM, SMALL, axes_at, shorten
from padviz.figures.colours import UNEVEN
from padviz.figures.layout import Box, page, text_width
from padviz.trained.trying.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, LINE, BELOW = 560, 30, 44  # screen pixels: the scale, a change, and what is below
INK, BASELINE = "#2f62b5", "0.45"


def dots(trial: Trial) -> Figure:
    """Draw a dot for each change, with its 95 % interval; a shift by one pixel is the line, its interval the band."""
    size = WIDE, LINE * (len(trial.changes) + 1)
    left = max((text_width(shorten(row.name, 44), MEDIUM) for row in trial.changes), default=0) + 12

    needs = [row.needs for row in trial.changes]
    works, tune = needs.count("today's weights"), needs.count("fine-tune")
    title = f"{shorten(trial.title)}, {trial.size[0]} × {trial.size[1]}, as trained: "
    title += f"{works} of {len(needs)} changes {'works' if works == 1 else 'work'} with today's weights"
    title += f", {tune} need{'s' if tune == 1 else ''} fine-tuning" if tune else ""
    what = "top-1 answers kept" if trial.kind == "classes" else "change of the output over its norm"
    about = f"{trial.count} crops of {trial.pictures} pictures ({shorten(Path(trial.images).name, 24)})"
    meaning = "grey: a shift by one pixel · red: worse than that, fine-tune · blue: works · hollow: more pictures"
    lines = [f"{what}, with 95 % intervals · {about}", meaning]
    figure, (place,) = page(title, lines, [Box(*size, left=left, below=BELOW)])
    plot(trial, axes_at(*place))
    return figure


def plot(trial: Trial, ax: Axes | None = None) -> Axes:
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
            ax.text(0.01, i, shorten(row.note, 66), transform=place, size=SMALL, color="0.4", va="center")
            continue
        colour, face = UNEVEN if row.needs == "fine-tune" else INK, "white" if row.needs == "more pictures" else None
        value, low, high = row.main
        bars = None
        if value is not None and low is not None and high is not None:
            bars = [[100 * (value - low)], [100 * (high - value)]]
        ax.errorbar(100 * (value or 0), i, xerr=bars, fmt="o", ms=5, color=colour, mfc=face, capsize=2)
    ax.set_yticks(range(len(trial.changes)), [shorten(row.name, 44) for row in trial.changes], fontsize=MEDIUM)
    ax.set_ylim(len(trial.changes) - 0.4, -0.6)
    if trial.kind == "classes":
        ax.set_xlim(0, 100)
    else:
        ax.set_xlim(left=0)
    ax.set_xlabel("top-1 kept, %" if trial.kind == "classes" else "change, % of the output's norm", fontsize=MEDIUM)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax
