"""Does mirror padding help a small detector near the border? A controlled experiment, beside the deck's own table.

    python experiments/detector.py mnist_5k.csv.gz [--seeds 3] [--arms "zero,reflect"] [-o FILE.png]

The arms differ in what convolutions pad with, or in the size of the image, and in nothing else: `padviz.repad` makes
them of one network. Each trains a one-stage detector on made scenes: handwritten digits of 8 to 14 px on smooth ground,
among digits whose quarters are swapped, with centres anywhere, so that some are cut by the border. Ground that has
blocks in phase with the strides lifts every figure, so this one has none.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid_offset import T95, digits
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.scoring.rings.detected import rings_of
from padviz.scoring.scenes import Scenes, boxes

SIZE, STRIDE, OUTER = 96, 4, 8  # px: of images, of a cell of the map, of the outer ring
SIDES = (8, 14)  # px of a digit
DIGITS, CLUTTER = 6, 4  # in an image
IMAGES, TEST, STEPS, BATCH, RATE = 4800, 300, 300, 32, 0.005
FOUND = 30  # detections of an image
IOUS = (0.2, 0.5, 0.75)
DECK = {"zero": (80.24, 49.58, 3.7), "mirror": (83.20, 57.0, 8.44)}  # AP at these, %


@dataclass(frozen=True)
class Arm:
    """One way to pad, and the side of the image."""

    name: str
    scheme: str | None
    size: int = SIZE


ARMS = (
    Arm("zero", None),
    Arm("reflect", "reflect"),
    Arm("symmetric", "symmetric"),
    Arm("partial", "partial"),
    Arm("circular", "circular"),
    Arm("zero, 97 px", None, 97),
)


class Net(nn.Module):
    """Convolutions to stride 4, two residual ones at it, and a head of five: score, size and place of a centre."""

    def __init__(self) -> None:
        super().__init__()

        def conv(a: int, b: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())

        self.stem = nn.Sequential(conv(1, 16, 2), conv(16, 16), conv(16, 32, 2))
        self.inner = nn.ModuleList(nn.Sequential(conv(32, 32), conv(32, 32)) for _ in range(2))
        self.head = nn.Conv2d(32, 5, 1)
        nn.init.constant_(self.head.bias[:1], -4.0)  # few cells are centres

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for inner in self.inner:
            x = x + inner(x)
        return self.head(x)


@dataclass(frozen=True)
class Pictures:
    """Images (n, size, size), and their objects: which image each is in, and its box, cut by the border."""

    pixels: NDArray[np.float32]
    image: NDArray[np.int64]
    box: NDArray[np.float64]


def pictures(marks: NDArray[np.float32], n: int, size: int, seed: int) -> Pictures:
    """Make scenes of some digits (digits, rows, columns)."""
    rng = np.random.default_rng(seed)
    pixels, image, box = np.empty((n, size, size), np.float32), [], []
    for k in range(n):
        pixels[k] = ground(rng, size)
        for j in range(DIGITS + CLUTTER):
            side = int(rng.integers(SIDES[0], SIDES[1] + 1))
            mark = scaled(marks[rng.integers(len(marks))], side)
            if j < CLUTTER:
                mark = np.roll(mark, (side // 2, side // 2), (0, 1))
            top, left = (int(at) for at in rng.integers(-(side // 2), size - side // 2, 2))
            first, last = (max(top, 0), max(left, 0)), (min(top + side, size), min(left + side, size))
            seen = mark[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
            pixels[k, first[0] : last[0], first[1] : last[1]] += rng.uniform(0.5, 1) * seen
            if j >= CLUTTER:
                image.append(k)
                box.append((first[1], first[0], last[1] - first[1], last[0] - first[0]))
    return Pictures(pixels, np.array(image), np.array(box, float))


def ground(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Noise whose waves grow with their length, in phase with nothing."""
    waves = np.fft.rfft2(rng.standard_normal((2 * size, 2 * size)))
    length = np.hypot(np.fft.fftfreq(2 * size)[:, None], np.fft.rfftfreq(2 * size)[None])
    smooth = np.fft.irfft2(waves / np.maximum(length, 0.02), s=(2 * size, 2 * size))[:size, :size]
    fine = rng.standard_normal((size, size))
    return (0.25 * smooth / smooth.std() + 0.05 * fine).astype(np.float32)


def scaled(mark: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Scale a digit."""
    small = functional.interpolate(torch.from_numpy(mark)[None, None], (side, side), mode="bilinear", antialias=True)
    return small[0, 0].numpy()


def targets(of: Pictures, at: NDArray[np.int64], cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a heat map of centres (n, cells, cells), and list the cells of centres and what is to be said there."""
    heat, where, said = torch.zeros(len(at), cells, cells), [], []
    grid = torch.arange(cells)
    for k, image in enumerate(at.tolist()):
        for left, top, width, height in of.box[of.image == image].tolist():
            x, y = (left + width / 2) / STRIDE, (top + height / 2) / STRIDE
            column, row = min(int(x), cells - 1), min(int(y), cells - 1)
            near = torch.exp(-((grid - column)[None] ** 2 + (grid - row)[:, None] ** 2) / 1.0)
            heat[k] = torch.maximum(heat[k], near)
            where.append((k, row, column))
            said.append((np.log(width / 10), np.log(height / 10), x - column, y - row))
    return heat, torch.tensor(where), torch.tensor(said, dtype=torch.float32)


def loss_of(out: Tensor, heat: Tensor, where: Tensor, said: Tensor) -> Tensor:
    """Focal loss of the heat map, and absolute errors of size and place at centres."""
    score = out[:, 0].sigmoid().clamp(1e-4, 1 - 1e-4)
    true = heat == 1
    hits = ((1 - score) ** 2 * score.log())[true].sum()
    rest = ((1 - heat) ** 4 * score**2 * (1 - score).log())[~true].sum()
    k, row, column = where.T
    return -(hits + rest) / len(where) + (out[k, 1:, row, column] - said).abs().mean()


def trained(arm: Arm, marks: NDArray[np.float32], seed: int, steps: int = STEPS, images: int = IMAGES) -> nn.Module:
    """Train one network, on scenes under flips and transposes."""
    torch.manual_seed(seed)
    net: nn.Module = Net()
    if arm.scheme:
        net = padviz.repad(net, arm.scheme, size=arm.size)
    scenes, rng = pictures(marks, images, arm.size, seed), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    cells = -(-arm.size // STRIDE)
    for _ in range(steps):
        at = rng.integers(images, size=BATCH)
        x, (heat, where, said) = torch.from_numpy(scenes.pixels[at])[:, None], targets(scenes, at, cells)
        out = net(turned(x, turn := int(rng.integers(8))))
        optimiser.zero_grad()
        loss_of(back(out, turn), heat, where, said).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return net.eval()


def turned(x: Tensor, turn: int) -> Tensor:
    """Flip and transpose images (n, channels, rows, columns)."""
    x = x.transpose(2, 3) if turn & 4 else x
    return x.flip([axis for axis, bit in ((2, 1), (3, 2)) if turn & bit])


def back(out: Tensor, turn: int) -> Tensor:
    """Turn maps back, and what they say of sizes and places with them."""
    out = out.flip([axis for axis, bit in ((2, 1), (3, 2)) if turn & bit])
    score, wide, tall, x, y = out.unbind(1)
    y = 1 - y if turn & 1 else y
    x = 1 - x if turn & 2 else x
    if turn & 4:
        score, wide, tall, x, y = (part.transpose(1, 2) for part in (score, tall, wide, y, x))
    return torch.stack((score, wide, tall, x, y), 1)


def found_in(net: nn.Module, of: Pictures) -> Scenes:
    """Detect digits: the surest peaks of the heat map."""
    with torch.no_grad():
        out = torch.cat([net(part[:, None]) for part in torch.from_numpy(of.pixels).split(100)])
    score = out[:, 0].sigmoid()
    score = score * (functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0] == score)
    values, at = score.flatten(1).topk(FOUND)
    rows, columns = at // score.shape[2], at % score.shape[2]
    image = torch.arange(len(out))[:, None].expand_as(at)
    width, height, x, y = out[image, 1:, rows, columns].unbind(-1)
    wide, tall = (10 * side.clamp(-1, 1).exp() for side in (width, height))
    left, top = (columns + x) * STRIDE - wide / 2, (rows + y) * STRIDE - tall / 2
    box = torch.stack((left, top, wide, tall), -1).reshape(-1, 4).double().numpy()
    detections = boxes(image.reshape(-1).numpy(), np.zeros(len(box)), box, values.reshape(-1).numpy())
    size, n = of.pixels.shape[1], len(of.pixels)
    return Scenes(np.full((n, 2), size), ("digit",), boxes(of.image, np.zeros(len(of.box)), of.box), detections)


def figures(scenes: Scenes) -> dict[str, float]:
    """AP of all objects, and of those in the outer ring and inside, in %."""
    (whole,) = rings_of(scenes, 1, ious=IOUS).rings
    outer, inner = rings_of(scenes, pixels=[OUTER], ious=IOUS).rings
    found = {f"all {iou}": whole.ap[f"{100 * iou:g}"].value for iou in IOUS}
    found |= {"outer 0.5": outer.ap["50"].value, "inside 0.5": inner.ap["50"].value}
    return {name: 100 * (value or 0) for name, value in found.items()}


def run(
    marks: NDArray[np.float32], arms: Sequence[Arm], seeds: int, **settings: int
) -> dict[str, list[dict[str, float]]]:
    """Train each arm with each seed, and look at scenes of digits that none was trained on."""
    fresh, rows = marks[4000:], {arm.name: [] for arm in arms}  # type: dict[str, list[dict[str, float]]]
    for seed in range(seeds):
        for arm in arms:
            start = time.perf_counter()
            net = trained(arm, marks[:4000], seed, **settings)
            rows[arm.name].append(figures(found_in(net, pictures(fresh, TEST, arm.size, 1000 + seed))))
            took = time.perf_counter() - start
            print(
                f"{arm.name}, seed {seed}, {took:.0f} s:",
                {k: round(v, 1) for k, v in rows[arm.name][-1].items()},
                flush=True,
            )
    return rows


def mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean over seeds, and half of its interval of 95 %."""
    n = len(values)
    half = T95[n - 2] * float(np.std(values, ddof=1)) / n**0.5 if n > 1 else float("nan")
    return float(np.mean(values)), half


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """The deck's table, and ours."""
    columns = [*next(iter(rows.values()))[0]]
    heads = [f"AP {iou}" for iou in IOUS] + [f"AP 0.5, outer {OUTER} px", "AP 0.5, inside"]
    lines = [f"| padding | {' | '.join(heads)} |", f"|---|{'--:|' * len(columns)}"]
    for name, seeds in rows.items():
        cells = ["{:.1f} ± {:.1f}".format(*mean([seed[column] for seed in seeds])) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"| the deck's SSD, {name} | {' | '.join(f'{v:.1f}' for v in aps)} | | |" for name, aps in DECK.items()]
    seeds = len(next(iter(rows.values())))
    return "\n".join([*lines, "", f"{seeds} seeds; means with their 95 % intervals."])


def drawn(rows: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw AP at .5 of all, of the outer ring, and inside, for each arm."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.4, 3.4), layout="constrained")
    for k, (column, colour) in enumerate((("inside 0.5", "0.4"), ("all 0.5", "#2f62b5"), ("outer 0.5", "#d97706"))):
        pairs = [mean([seed[column] for seed in seeds]) for seeds in rows.values()]
        at = np.arange(len(pairs)) + 0.15 * (k - 1)
        label = {"inside": "inside", "all": "all objects", "outer": f"outer {OUTER} px"}[column.split()[0]]
        errors = [half for _, half in pairs]
        ax.errorbar(at, [value for value, _ in pairs], errors, fmt="o", color=colour, ms=4, label=label)
    ax.set_xticks(range(len(rows)), [*rows], fontsize=8)
    ax.set_ylabel("AP at an overlap of .5, %")
    ax.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train the arms, print the table, and put it where it belongs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("digits", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", default="")
    parser.add_argument("-o", dest="picture", type=Path)
    parser.add_argument("--readme", type=Path)
    given: Any = parser.parse_args()
    arms = [arm for arm in ARMS if not given.arms or arm.name in given.arms.split(",")]
    rows = run(digits(given.digits)[0].numpy(), arms, given.seeds)
    print(table(rows))
    if given.picture:
        drawn(rows, given.picture)
    if given.readme:
        marked = re.compile(r"(<!-- detector -->\n).*?(<!-- /detector -->)", re.DOTALL)
        text = given.readme.read_text()
        given.readme.write_text(marked.sub(lambda found: f"{found[1]}{table(rows)}\n{found[2]}", text))


if __name__ == "__main__":
    main()
