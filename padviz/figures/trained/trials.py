"""What changes do to a trained network as it is: a dot for each, with its interval, beside a shift by one pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from padviz.figures.canvas import EDGE, HEAD, MEDIUM, SMALL, headline, new_figure, shortened
from padviz.figures.colours import UNEVEN
from padviz.trained.trying.intervals import Estimate
from padviz.trained.trying.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, LINE, NAMES, BELOW = 560, 30, 260, 60  # screen pixels: the scale, a change, its name, what is below
INK, YARDSTICK = "#2f62b5", "0.45"


def dots(trial: Trial) -> Figure:
    """Draw a dot for each change, with its 95 % interval; a shift by one pixel is the line, its interval the band."""
    width, height = EDGE + NAMES + WIDE + EDGE, HEAD + 20 + LINE * (len(trial.changes) + 1) + BELOW
    figure = new_figure(width, height)
    box = EDGE + NAMES, BELOW, WIDE, height - HEAD - 20 - BELOW
    plot(trial, figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height)))
    title = f"{shortened(trial.title)}, {trial.size[0]} × {trial.size[1]}, as trained"
    what = "top-1 answers kept" if trial.kind == "classes" else "change of the output over its norm"
    about = f"{trial.count} crops of {trial.pictures} pictures ({shortened(Path(trial.images).name, 24)})"
    meaning = "grey: a shift by one pixel · red: worse than that, fine-tune · blue: not settled, or as good"
    headline(figure, title, f"{what}, with 95 % intervals · {about}", meaning)
    return figure


def plot(trial: Trial, ax: Axes | None = None) -> Axes:
    """Draw the dots into `ax`; without it, the axes of `dots`."""
    if ax is None:
        return dots(trial).axes[0]
    yardstick = trial.shift.main
    if yardstick is not None:
        ax.axvline(100 * yardstick.mean, color=YARDSTICK, lw=1.2)
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
            100 * row.main.mean,
            i,
            xerr=_ends(row.main),
            fmt="o",
            ms=5,
            color=UNEVEN if row.needs == "fine-tune" else INK,
            capsize=2,
        )
    ax.set_yticks(range(len(trial.changes)), [shortened(row.name, 44) for row in trial.changes], fontsize=MEDIUM)
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
    if value.low is None or value.high is None:
        return None
    return [[100 * (value.mean - value.low)], [100 * (value.high - value.mean)]]
