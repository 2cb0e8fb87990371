"""Border responses: the outputs of convolutions, line by line from each side, under several
paddings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import percent
from padviz.errors import DescriptionError, OptionError, UnknownName, nearest
from padviz.network.network import Size
from padviz.phrases import counted
from padviz.progress import Progress, counter
from padviz.trained.images import Inputs, compare_normalisation, images_of
from padviz.trained.networks.running import (
    LINES,
    Floats,
    Images,
    Reduced,
    Runner,
    batches,
    middle,
    middle_weights,
)
from padviz.trained.networks.trained_network import Trained

SHUFFLED = "shuffled"  # in place of a padding's name
# A channel's own border line: |t| over the inputs, and its size over the interior's RMS.
CERTAIN, LARGE = 5.0, 0.5
ROUNDING = 1e-5  # E below is rounding of single precision, and 0
NOISE = 0.02  # E that noise makes at 16 inputs
ALIKE = 1.25  # times E of shuffled weights, within which geometry explains it
# Convolutions that should react, and the share of a constant response that says they do not.
FIRST, CONSTANT = 2, 0.9
READING = (
    "E .5: the rms step at the border is half the rms of the interior. Compare E only within a "
    "network, at one normalisation and kind of input; below .02 it is noise at 16 inputs."
)


class Sides(NamedTuple):
    """A figure for each side; None where there is none."""

    top: float | None = None
    bottom: float | None = None
    left: float | None = None
    right: float | None = None

    @property
    def mean(self) -> float | None:
        known = [mean for mean in self if mean is not None]
        if len(known) == 4:
            return sum(known) / 4
        return None


NONE = Sides()


@dataclass(frozen=True, eq=False)
class BorderResponse:
    """The output of one convolution at the border, under one padding.

    `energy` is E = sqrt(max(0, mean over channels of D1 D2)) / S of each side. D1 and D2 are the
    outermost line minus the interior, as means over two disjoint halves of the inputs, so that
    noise cancels. S is the RMS of the interior. `t` is that of the mean over channels of D, over
    the inputs; `aware` is the share of channels with a border line of their own on some side.
    `profiles` has, for each side, E of the first lines from there inwards, and `map` the mean over
    inputs and channels, of the layer's shape. Where there are no figures, `note` says why.
    """

    layer: str
    padding: str | None
    channels: int
    shape: Size
    scale: float
    energy: Sides = NONE
    t: Sides = NONE
    aware: float | None = None
    note: str = ""
    profiles: tuple[Floats, ...] = field(default=(), repr=False)
    map: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class BorderResponses:
    """The border responses of a network's convolutions under several paddings, one row for each
    layer and padding.
    """

    network: str
    title: str
    size: Size
    paddings: tuple[str | None, ...]
    images: str
    count: int
    rows: tuple[BorderResponse, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """How large E is as trained, beside shuffled weights and the best padding that was tried,
        in a sentence.
        """
        as_trained, random = self.mean(None), self.mean(SHUFFLED)
        if as_trained is None:
            return "No convolution has a border energy E: see the notes of the layers."
        verdict = f"Border energy E is {as_trained:.3f} as trained"
        if random is not None:
            than = "about what"
            if as_trained > ALIKE * random:
                than = "more than"
            elif random > ALIKE * as_trained:
                than = "less than"
            verdict += f", {than} geometry alone gives: {random:.3f} with shuffled weights"
        if as_trained < NOISE:
            verdict += f", within the noise of {self.count} inputs"
        others = [padding for padding in self.paddings if padding not in (None, SHUFFLED)]
        tried = [(mean, padding) for padding in others if (mean := self.mean(padding))]
        if tried:
            least, padding = min(tried)
            verdict += f"; lowest among the paddings tried: {least:.3f} ({padding})"
        return f"{verdict}."

    def under(self, padding: str | None) -> tuple[BorderResponse, ...]:
        return tuple(row for row in self.rows if row.padding == padding)

    def only(self, layers: Sequence[str]) -> BorderResponses:
        known = {row.layer for row in self.rows}
        for layer in layers:
            if layer not in known:
                hint = nearest(layer, known) or "run without `layer` to see them"
                raise UnknownName("no measured convolution has this name", where=layer, hint=hint)
        return replace(self, rows=tuple(row for row in self.rows if row.layer in layers))

    def mean(self, padding: str | None) -> float | None:
        """Average E over layers and sides under one padding."""
        means = [row.energy.mean for row in self.under(padding)]
        known = [mean for mean in means if mean is not None]
        if known:
            return float(np.mean(known))
        return None


def respond(
    trained: Trained,
    runners: list[tuple[str | None, Runner]],
    notes: Sequence[str],
    inputs: Inputs,
    shuffle: bool,
    on_progress: Progress | None,
) -> BorderResponses:
    """Measure a trained network as it is, first of `runners`, under each padding, and with its
    weights shuffled.
    """
    as_trained, kind, notes = runners[0][1], inputs.name, [*notes]
    images = images_of(inputs, trained.size, as_trained.channels)
    if shuffle:
        runners = [*runners, (SHUFFLED, as_trained.shuffled(inputs.seed))]
    advance = counter(len(runners) * len(images), on_progress)
    rows: list[BorderResponse] = []
    for padding, runner in runners:
        rows += border_responses(runner, images, padding, advance)
    if not inputs.blank:
        if len(images) < inputs.n:
            notes.append(
                f"{kind} has {counted(len(images), 'picture')}, and {inputs.n} were asked for"
            )
        if len(images) == 1:
            notes.append("E cannot be measured on a single input; use more")
            rows = [replace(row, energy=NONE, profiles=()) for row in rows]
        if trained.trained_on:
            wrong = compare_normalisation(trained.trained_on, images, inputs)
        else:
            wrong = _check_reactions(as_trained, images, rows)
        if wrong:
            notes.append(wrong)
    about = (
        trained.network.name,
        trained.network.title,
        trained.size,
        tuple(padding for padding, _ in runners),
    )
    return BorderResponses(*about, kind, len(images), tuple(rows), tuple(notes))


def _check_reactions(runner: Runner, images: Images, rows: Sequence[BorderResponse]) -> str:
    """Warn if the first convolutions respond to the images as to their mean colour: these are
    normalised wrongly.
    """
    colour = images.mean((0, 2, 3), keepdims=True)
    constant = np.broadcast_to(colour, (runner.batch or 1, *images.shape[1:])).astype(np.float32)
    scales = {row.layer: row.scale for row in rows[:FIRST]}
    for response in runner.responses(constant):
        scale = scales.get(response.layer)
        if not scale or not np.isfinite(scale):
            continue
        share = response.square / len(response.lines) / scale**2
        if share > CONSTANT:
            return (
                f"{response.layer} hardly reacts to the inputs: {percent(min(share, 1))} of its "
                "mean square is there for their mean colour alone; E is then that of biases: "
                "check `mean` and `std`"
            )
    return ""


def border_responses(
    runner: Runner,
    images: Images,
    padding: str | None,
    advance: Callable[[int], None] = lambda more: None,
) -> tuple[BorderResponse, ...]:
    """Run a network on images, and measure the borders of every convolution's output."""
    sums: dict[str, _LayerSums] = {}
    if runner.batch and len(images) % runner.batch:
        what = f"{runner.where} takes {runner.batch} images at once, and there are {len(images)}"
        raise OptionError(what, option="n", hint=f"use a multiple of {runner.batch}")
    halves = (np.arange(len(images)) % 2 == [[0], [1]]).astype(np.float32)
    for batch in batches(runner, len(images)):
        with np.errstate(invalid="ignore", over="ignore"):  # infinite numbers are noted later
            for response in runner.responses(images[batch]):
                if response.layer not in sums:
                    sums[response.layer] = _LayerSums(response)
                sums[response.layer].add(response, halves[:, batch])
        advance(len(images[batch]))
    if not sums:
        raise DescriptionError(
            "no convolution makes a map of 3 x 3 or more", where=runner.where, hint="try `size`"
        )
    return tuple(layer_sums.response(padding) for layer_sums in sums.values())


class _LayerSums:
    """Sums of one layer over the inputs, of which every other one is of the second half."""

    def __init__(self, first: Reduced) -> None:
        self.layer, (_, channels, lines), (_, *shape) = (
            first.layer,
            first.lines.shape,
            first.total.shape,
        )
        self.height, self.width = shape
        self.rows = lines - self.width
        self.ends = [0, self.rows - 1, self.rows, lines - 1]  # the outermost line of each side
        self.lines = np.zeros((2, channels, lines))  # of each half
        self.squares = np.zeros((channels, len(self.ends)))  # of every side's D
        self.means: list[Floats] = []  # of each input, the mean over channels of every side's D
        self.count, self.square, self.total = 0, 0.0, np.zeros(shape)

    def add(self, part: Reduced, halves: NDArray[np.float32]) -> None:
        """Add some inputs, of which `halves` (2, inputs) says which are in each half."""
        lines = part.lines
        self.lines += (halves @ lines.reshape(len(lines), -1)).reshape(self.lines.shape)
        inside = lines[..., self.rows :] @ middle_weights(self.width)
        sides = lines[..., self.ends].astype(np.float64) - inside[..., None]
        self.squares += (sides**2).sum(0)
        self.means.append(sides.mean(1))
        self.square += part.square
        self.total += part.total.sum(0)
        self.count += len(lines)

    def response(self, padding: str | None) -> BorderResponse:
        count, scale = self.count, float(np.sqrt(self.square / self.count))
        response = BorderResponse(
            self.layer, padding, len(self.squares), (self.height, self.width), scale
        )
        if not np.isfinite(scale) or not np.isfinite(self.total).all():
            return replace(response, note="returns NaN or infinite numbers")
        if not scale:
            return replace(response, note="is dead: 0 all over the interior")
        columns = self.lines[..., self.rows :]
        # Sums of D over each half.
        differences = self.lines - columns[..., middle(self.width)].mean(2, keepdims=True)
        first = second = differences[0] / -(-count // 2)
        if count > 1:  # the noise of two halves is independent: it cancels in their product
            second = differences[1] / (count // 2)
        energy = np.sqrt(np.maximum((first * second).mean(0), 0)) / scale
        energy[energy < ROUNDING] = 0
        profiles = []
        for by_line in (energy[: self.rows], energy[self.rows :]):
            most = min(-(-len(by_line) // 2), LINES)
            profiles += [by_line[:most], by_line[::-1][:most]]
        energies = Sides(*(float(profile[0]) for profile in profiles))
        response = replace(
            response, energy=energies, profiles=tuple(profiles), map=self.total / count
        )
        if count == 1:
            return response
        sides = differences.sum(0)[:, self.ends] / count
        spread = np.sqrt(np.maximum(self.squares / count - sides**2, 0) / (count - 1))
        aware = (np.abs(sides) > CERTAIN * spread) & (np.abs(sides) > LARGE * scale)
        means = np.concatenate(self.means)
        errors = means.std(0, ddof=1) / np.sqrt(count)  # 0 where all inputs are alike
        t = [
            float(mean / error) if error else None
            for mean, error in zip(means.mean(0), errors, strict=True)
        ]
        return replace(response, t=Sides(*t), aware=float(aware.any(1).mean()))
