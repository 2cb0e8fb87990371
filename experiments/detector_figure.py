"""The picture of experiments/detector.py: what each padding has over zeros, and one digit as its frame slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from detector_scenes import TRAINED, pictures, scaled, seen_in
from detector_training import ARMS, TASKS, Extent, Run, trained
from grid_offset import digits, interval
from numpy.typing import NDArray
from torch import nn

from padviz.figures.canvas import LARGE, MEDIUM, SMALL, axes_at, new_figure, save, text_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "zero": "0.35",
    "reflect": "#c22f2f",
    "symmetric": "#d97706",
    "partial": "#3b8f3b",
    "circular": "#2f62b5",
}
LARGER = "#8a5fb0"
MARKERS = dict(zip(COLOURS, "os^Dv", strict=True))  # for those who see no difference in colour
WHERE = ("outer 8", "8 to 16", "inside")
PANEL, HIGH, GAP, LEFT, TOP = 170, 190, 24, 70, 110  # screen pixels
SLID = TASKS[3]  # the task whose detectors look at a sliding frame
SCENES, MADE, STEP, FARTHEST = (
    100,
    300,
    4,
    48,
)  # frames that slide, by how many px, up to what distance
SHOWN = (4, 12, 40)  # px from the border, of the frames that are drawn
NEAR = 6  # px from a digit's centre, within which a peak is its own
Groups = Sequence[tuple[str, str, Sequence[Run]]]


def draw(groups: Groups, path: Path, output: Path, extent: Extent) -> None:
    """Draw the precision by ring of each task, one frame that slides, and the mean score of a digit in it."""
    names = list(dict.fromkeys(task for task, _, _ in groups))
    figure = new_figure(LEFT + max(len(names), 4) * (PANEL + GAP) + 150, TOP + 2 * HIGH + 150)
    line = "It costs where digits are anywhere. Small detectors: AP at an overlap of .5, means with 95 % intervals"
    text_at(
        figure,
        40,
        30,
        "Mirror padding helps where the training has no digit near the border",
        LARGE,
    )
    text_at(figure, 40, 56, line, MEDIUM)
    for k, name in enumerate(names):
        ax = axes_at(figure, LEFT + k * (PANEL + GAP), TOP, PANEL, HIGH)
        by_ring(ax, [(arm, runs) for task, arm, runs in groups if task == name])
        ax.set_title(name, fontsize=MEDIUM, loc="left")
        ax.set_yticks(range(0, 81, 20), range(0, 81, 20) if k == 0 else [""] * 5, fontsize=SMALL)
    lines = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    ax.legend(
        lines.values(),
        lines,
        fontsize=SMALL,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.02),
    )
    figure.axes[0].set_ylabel("AP .5, %", fontsize=SMALL)
    figure.axes[0].set_xlabel("centre's distance from the border, px", fontsize=SMALL, loc="left")
    nets = {
        arm.name: trained(
            SLID, arm, 0, seen_in(path, SLID.size, SLID.inside, 0, extent.images), extent.steps
        )
        for arm in ARMS[:2]
    }
    tall, at = scenes_to_slide(path)
    scores = {name: slid(net, tall, at) for name, net in nets.items()}
    high = TOP + HIGH + 110
    for k, away in enumerate(SHOWN):
        ax = axes_at(figure, LEFT + k * (PANEL + GAP), high, PANEL, PANEL)
        frame(ax, tall, at, scores, away)
    by_distance(axes_at(figure, LEFT + 3 * (PANEL + GAP) + 20, high, PANEL + 40, PANEL), scores)
    save(figure, output)


def by_ring(ax: Axes, arms: Sequence[tuple[str, Sequence[Run]]]) -> None:
    """Draw the precision of each ring, arm by arm."""
    for j, (arm, runs) in enumerate(arms):
        mean, half = np.array(
            [interval([run.rings[ring] for run in runs]) for ring in range(len(WHERE))]
        ).T
        at = np.arange(len(WHERE)) + 0.07 * (j - (len(arms) - 1) / 2)
        ax.errorbar(
            at,
            mean,
            np.nan_to_num(half),
            fmt=f"{MARKERS.get(arm, '<')}-",
            ms=3,
            lw=1,
            color=COLOURS.get(arm, LARGER),
            label=arm,
        )
    ax.set_xticks(range(len(WHERE)), WHERE, fontsize=SMALL)
    ax.set_xlim(-0.4, len(WHERE) - 0.6)
    ax.set_ylim(0, 80)
    ax.grid(axis="y", lw=0.4, color="0.9")
    ax.spines[["top", "right"]].set_visible(False)


def scenes_to_slide(path: Path) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Make scenes larger than a frame, and find in each a digit's centre about which the frame may slide."""
    size, half = SLID.size + 2 * FARTHEST, SLID.size // 2
    scenes = pictures(scaled(digits(path)[0].numpy()[TRAINED:]), MADE, size, 77)
    centre = scenes.box[..., :2] + scenes.box[..., 2:] / 2
    x, y = centre[..., 0], centre[..., 1]
    free = (half <= x) & (x <= size - half) & (y >= FARTHEST) & (y <= size - SLID.size)
    some = np.flatnonzero(free.any(axis=1))[:SCENES]
    return scenes.pixels[some], centre[some, np.argmax(free[some], axis=1)]


def framed(tall: NDArray[np.float32], at: NDArray[Any], away: int) -> NDArray[np.float32]:
    """Cut frames out of scenes, whose digits are so many px from the upper border, and in the middle of the width."""
    tops, lefts = (
        np.round(at[:, 1]).astype(int) - away,
        np.round(at[:, 0]).astype(int) - SLID.size // 2,
    )
    return np.stack(
        [x[t : t + SLID.size, s : s + SLID.size] for x, t, s in zip(tall, tops, lefts, strict=True)]
    )


def slid(net: nn.Module, tall: NDArray[np.float32], at: NDArray[Any]) -> NDArray[Any]:
    """Score the digits as the frame slides, (distances, scenes): the peak of the map near each."""
    rows = []
    for away in range(0, FARTHEST + 1, STEP):
        with torch.no_grad():
            score = net(torch.from_numpy(framed(tall, at, away))[:, None])[:, 0].sigmoid()
        row, column = (
            slice(max(0, (c - NEAR) // 4), (c + NEAR) // 4 + 1) for c in (away, SLID.size // 2)
        )
        rows.append(score[:, row, column].amax((1, 2)).numpy())
    return np.array(rows)


def frame(
    ax: Axes,
    tall: NDArray[np.float32],
    at: NDArray[Any],
    scores: dict[str, NDArray[Any]],
    away: int,
) -> None:
    """Draw the frame of the scene whose scores are the most usual, with those of its digit."""
    gaps = scores["reflect"] - scores["zero"]
    usual = int(np.argmin(np.abs(gaps - gaps.mean(axis=1, keepdims=True)).sum(axis=0)))
    ax.imshow(framed(tall, at, away)[usual], cmap="gray", vmin=-0.7, vmax=1.2)
    ax.plot([SLID.size // 2], [away], "s", ms=13, mfc="none", mec="#ffd200", mew=1.2)
    ax.set_xticks([])
    ax.set_yticks([])
    said = ", ".join(
        f"{name} {100 * values[away // STEP, usual]:.0f} %" for name, values in scores.items()
    )
    ax.set_title(f"{away} px from the border:\n{said}", fontsize=SMALL, loc="left")


def by_distance(ax: Axes, scores: dict[str, NDArray[Any]]) -> None:
    """Draw the mean score by the distance from the border."""
    for name, values in scores.items():
        at = np.arange(len(values)) * STEP
        spread = 1.96 * values.std(axis=1) / values.shape[1] ** 0.5
        ax.errorbar(
            at,
            100 * values.mean(axis=1),
            100 * spread,
            fmt=f"{MARKERS[name]}-",
            ms=3,
            lw=1,
            color=COLOURS[name],
            label=name,
        )
    ax.axvspan(0, SLID.inside, color="0.93", zorder=0)
    ax.text(1, 97, "no digit in training", fontsize=SMALL, va="top", color="0.4")
    ax.set_ylim(0, 100)
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel("digit's distance from the border, px", fontsize=SMALL)
    ax.set_title(f"mean score of {values.shape[1]} digits, %", fontsize=SMALL, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=SMALL, frameon=False, loc="lower right")
