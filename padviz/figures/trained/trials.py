"""What changes do to a trained network as it is: a dot for each, with its interval, beside a shift by one pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from padviz.figures.canvas import MEDIUM, SMALL, axes_at, shortened
from padviz.figures.colours import UNEVEN
from padviz.figures.layout import Box, page, text_width
from padviz.intervals import Estimate
from padviz.trained.trying.trial import Trial, TrialRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, LINE, BELOW = 560, 30, 44  # screen pixels: the scale, a change, and what is below
INK, YARDSTICK = "#2f62b5", "0.45"


def dots(trial: Trial) -> Figure:
    """Draw a dot for each change, with its 95 % interval; a shift by one pixel is the line, its interval the band."""
    size = WIDE, LINE * (len(trial.changes) + 1)
    left = max((text_width(_name(row), MEDIUM) for row in trial.changes), default=0) + 12

    def draw(figure: Figure, x: float, y: float) -> None:
        plot(trial, axes_at(figure, x, y, *size))

    title = f"{shortened(trial.title)}, {trial.size[0]} × {trial.size[1]}, as trained: {_found(trial)}"
    what = "top-1 answers kept" if trial.kind == "classes" else "change of the output over its norm"
    about = f"{trial.count} crops of {trial.pictures} pictures ({shortened(Path(trial.images).name, 24)})"
    meaning = "grey: a shift by one pixel · red: worse than that, fine-tune · blue: works · hollow: more pictures"
    lines = [f"{what}, with 95 % intervals · {about}", meaning]
    return page(title, lines, [Box(*size, draw, left=left, below=BELOW)])


def _found(trial: Trial) -> str:
    """Say how many changes work with today's weights, and how many do not."""
    needs = [row.needs for row in trial.changes]
    works, tune = needs.count("today's weights"), needs.count("fine-tune")
    told = f"{works} of {len(needs)} changes {'works' if works == 1 else 'work'} with today's weights"
    return told + (f", {tune} need{'s' if tune == 1 else ''} fine-tuning" if tune else "")


def _name(row: TrialRow) -> str:
    return shortened(row.name, 44)


def plot(trial: Trial, ax: Axes | None = None) -> Axes:
    """Draw the dots into `ax`; without it, the axes of `dots`."""
    if ax is None:
        return dots(trial).axes[0]
    yardstick = trial.shift.main
    if yardstick is not None:
        ax.axvline(100 * (yardstick.value or 0), color=YARDSTICK, lw=1.2)
        if yardstick.low is not None and yardstick.high is not None:
            ax.axvspan(100 * yardstick.low, 100 * yardstick.high, color=YARDSTICK, alpha=0.15, lw=0)
    for i, row in enumerate(trial.changes):
        if row.main is None:
            ax.text(
                0.01,
                i,
                shortened(row.note, 66),
                transform=ax.get_yaxis_transform(),
                size=SMALL,
                color="0.4",
                va="center",
            )
            continue
        ax.errorbar(
            100 * (row.main.value or 0),
            i,
            xerr=_ends(row.main),
            fmt="o",
            ms=5,
            color=UNEVEN if row.needs == "fine-tune" else INK,
            mfc="white" if row.needs == "more pictures" else None,
            capsize=2,
        )
    ax.set_yticks(range(len(trial.changes)), [_name(row) for row in trial.changes], fontsize=MEDIUM)
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


def _ends(value: Estimate) -> list[list[float]] | None:
    """Measure how far the interval reaches to each side, in percent."""
    if value.value is None or value.low is None or value.high is None:
        return None
    return [[100 * (value.value - value.low)], [100 * (value.high - value.value)]]
