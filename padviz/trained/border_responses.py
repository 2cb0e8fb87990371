"""Where convolutions answer the border instead of the image: their outputs, line by line from each side inwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import percent
from padviz.errors import OptionError, UnknownName, nearest
from padviz.network.network import Size
from padviz.progress import Progress
from padviz.trained.sessions.running import LINES, Images, Reduced, Runner, at_once, middle, middle_weights
from padviz.trained.shuffling import SHUFFLED

Array = NDArray[np.float64]
TOGETHER = 16  # inputs whose lines are added up at once
ENDS = (0, -1)  # the first and the last line
CERTAIN, LARGE = 5.0, 0.5  # a channel's own border line: |t| over the inputs, and its size over the interior's RMS
NOISE = 0.02  # E that noise makes at 16 inputs
ALIKE = 1.25  # times E of shuffled weights, within which geometry explains it
FIRST, CONSTANT = 2, 0.9  # convolutions that are asked whether they react, and the share of a response that says no
READING = (
    "E .5: the border line is off by half of what the interior usually is. Compare E only within a network, at one "
    "normalisation and kind of input; below .02 it is noise at 16 inputs."
)


class Sides(NamedTuple):
    """A figure for each side; None where there is none.

    >>> Sides(0.5, 0.4, 0.5, 0.6).mean
    0.5
    """

    top: float | None
    bottom: float | None
    left: float | None
    right: float | None

    @property
    def mean(self) -> float | None:
        """The mean of the four, where all of them are there."""
        known = [mean for mean in self if mean is not None]
        return sum(known) / 4 if len(known) == 4 else None


NONE = Sides(None, None, None, None)


@dataclass(frozen=True, eq=False)
class BorderResponse:
    """What one convolution makes at the border, under one padding.

    `energy` is E = sqrt(max(0, mean over channels of D1 D2)) / S of each side: D1 and D2 are the outermost line minus
    the interior, as means over two disjoint halves of the inputs, so that noise cancels; S is the RMS of the interior.
    `t` is that of the mean over channels of D, over the inputs; `aware` is the share of channels with a border line of
    their own on some side. `profiles` has, for each side, E of the first lines from there inwards, and `map` the mean
    over inputs and channels, of the layer's shape. Where `note` says why, there are no figures.

    Examples
    --------
    >>> BorderResponse("conv1", "zero", 64, (112, 112), 1.0, Sides(0.5, 0.4, 0.5, 0.6)).energy.mean
    0.5
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
    profiles: tuple[Array, ...] = field(default=(), repr=False)
    map: Array | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class BorderResponses:
    """The border responses of a network's convolutions under several paddings, one row for each layer and padding.

    Examples
    --------
    >>> BorderResponses("net", "net", (32, 32), (None,), "noise", 16, ()).mean(None) is None
    True
    """

    network: str
    title: str
    size: Size
    paddings: tuple[str | None, ...]
    inputs: str
    count: int
    rows: tuple[BorderResponse, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """What the figures say, in a sentence."""
        return verdict(self)

    def under(self, padding: str | None) -> tuple[BorderResponse, ...]:
        """List the rows of one padding, in network order."""
        return tuple(row for row in self.rows if row.padding == padding)

    def only(self, layers: Sequence[str]) -> BorderResponses:
        """Keep the rows of some layers.

        Raises
        ------
        UnknownName
            If no convolution is called so.
        """
        known = {row.layer for row in self.rows}
        for layer in layers:
            if layer not in known:
                hint = nearest(layer, known) or "run without `layer` to see them"
                raise UnknownName("no convolution that was measured is called so", where=layer, hint=hint)
        return replace(self, rows=tuple(row for row in self.rows if row.layer in layers))

    def mean(self, padding: str | None) -> float | None:
        """Average E over layers and sides under one padding."""
        means = [row.energy.mean for row in self.under(padding)]
        known = [mean for mean in means if mean is not None]
        return float(np.mean(known)) if known else None


def verdict(responses: BorderResponses) -> str:
    """Say how large E is as trained, beside shuffled weights and the best padding that was tried."""
    own, random = responses.mean(None), responses.mean(SHUFFLED)
    if own is None:
        return "No convolution has a border energy E: see the notes of the layers."
    beside = f", {_against(own, random)}: {random:.3f} with shuffled weights" if random is not None else ""
    known = [
        (mean, padding)
        for padding in responses.paddings
        if padding not in (None, SHUFFLED) and (mean := responses.mean(padding))
    ]
    least = f"; the least of the paddings tried is {min(known)[0]:.3f}, {min(known)[1]}" if known else ""
    quiet = f", within the noise of {responses.count} inputs" if own < NOISE else ""
    return f"Border energy E is {own:.3f} as trained{beside}{quiet}{least}."


def _against(own: float, random: float) -> str:
    """Compare E of a trained network with that of the same network with shuffled weights."""
    if own > ALIKE * random:
        return "more than geometry alone makes"
    if random > ALIKE * own:
        return "less than geometry alone makes"
    return "about what geometry alone makes"


def faint(runner: Runner, images: Images, rows: Sequence[BorderResponse]) -> str:
    """Say if the first convolutions hardly react to the images: what they make of their mean colour is nearly all.

    Normalised by the wrong figures, an image is nearly constant; biases and norms then make the response.
    """
    colour = images.mean((0, 2, 3), keepdims=True)
    constant = np.broadcast_to(colour, (runner.batch or 1, *images.shape[1:])).astype(np.float32)
    scales = {row.layer: row.scale for row in rows[:FIRST]}
    for response in runner.responses(constant):
        scale = scales.get(response.layer)
        if scale and np.isfinite(scale) and (share := response.square / len(response.rows) / scale**2) > CONSTANT:
            return (
                f"{response.layer} hardly reacts to the inputs: {percent(min(share, 1))} of its mean square is there "
                "for their mean colour alone; E is then that of biases: check `mean` and `std`"
            )
    return ""


def border_responses(
    runner: Runner, images: Images, padding: str | None, on_progress: Progress | None = None
) -> tuple[BorderResponse, ...]:
    """Run a network on images (images, channels, height, width), and measure the borders of every convolution's output.

    >>> from padviz.trained.sessions.running import Reduced
    >>> class Flat:
    ...     where, name, size, channels, batch = "flat", "flat", (8, 8), 1, None
    ...     def responses(self, images):
    ...         ones = np.ones((len(images), 1, 8), np.float32)
    ...         return [Reduced("conv", ones, ones, 1.0, np.ones((len(images), 8, 8), np.float32))]
    >>> border_responses(Flat(), np.zeros((4, 1, 8, 8), np.float32), "zero")[0].energy
    Sides(top=0.0, bottom=0.0, left=0.0, right=0.0)
    """
    sums: dict[str, _Sums] = {}
    most = at_once(runner)
    if runner.batch and len(images) % most:
        what = f"{runner.where} takes {most} images at once, and there are {len(images)}"
        raise OptionError(what, option="n", hint=f"use a multiple of {most}")
    for start in range(0, len(images), most):
        part = images[start : start + most]
        for response in runner.responses(part):
            if response.layer not in sums:
                sums[response.layer] = _Sums(response)
            sums[response.layer].add(response)
        if on_progress:
            on_progress(len(part), len(images))
    return tuple(layer_sums.response(padding) for layer_sums in sums.values())


class _Sums:
    """What is added up of one layer over the inputs, of which every other one is of the second half."""

    def __init__(self, first: Reduced) -> None:
        self.layer, self.shape, self.channels = first.layer, first.total.shape[1:], first.rows.shape[1]
        self.lines = [np.zeros((2, *lines.shape[1:])) for lines in (first.rows, first.columns)]  # of each half
        self.squares = np.zeros((4, self.channels))  # of every side's D
        self.means: list[Array] = []  # of each input, the mean over channels of every side's D
        self.count, self.scale, self.total = 0, 0.0, np.zeros(self.shape)
        self.waiting: list[Reduced] = []

    def add(self, part: Reduced) -> None:
        """Take some inputs; several are added up together, since each step costs more than its numbers."""
        self.waiting.append(part)
        if sum(len(waiting.rows) for waiting in self.waiting) >= TOGETHER:
            self.add_up()

    def add_up(self) -> None:
        """Add up what waits."""
        _, rows, columns, squares, totals = zip(*self.waiting, strict=True)
        both = np.concatenate(rows), np.concatenate(columns)
        with np.errstate(invalid="ignore", over="ignore"):  # there are no figures of infinite numbers
            for sums, lines in zip(self.lines, both, strict=True):
                for half in (0, 1):
                    sums[half] += lines[(half + self.count) % 2 :: 2].sum(0, dtype=np.float64)
            inside = np.einsum("ncw,w->nc", both[1], middle_weights(self.shape[1])[0])
            sides = np.array([lines[..., at] for lines in both for at in ENDS], np.float64) - inside
            self.squares += (sides**2).sum(1)
            self.means.append(sides.mean(2))
            self.scale += sum(squares)
            self.total += np.concatenate(totals).sum(0, dtype=np.float64)
        self.count += len(both[0])
        self.waiting.clear()

    def response(self, padding: str | None) -> BorderResponse:
        """Work the figures out over all inputs."""
        if self.waiting:
            self.add_up()
        count = self.count
        scale = float(np.sqrt(self.scale / count))
        about = (self.layer, padding, self.channels, (self.shape[0], self.shape[1]), scale)
        if not np.isfinite(scale) or not np.isfinite(self.total).all():
            return BorderResponse(*about, note="makes NaN or infinite numbers")
        if not scale:
            return BorderResponse(*about, note="is dead: 0 all over the interior")
        inside = self.lines[1][..., middle(self.shape[1])].mean(2, keepdims=True)
        sums = [lines - inside for lines in self.lines]  # of D
        energies = [self._energy(steps, scale) for steps in sums]
        inwards = tuple(_inwards(line) for each in energies for line in (each, each[::-1]))
        energy = Sides(*(float(profile[0]) for profile in inwards))
        if count == 1:
            return BorderResponse(*about, energy, profiles=inwards, map=self.total)
        sides = np.array([steps.sum(0)[:, at] for steps in sums for at in ENDS]) / count
        t = Sides(*_t(np.concatenate(self.means, axis=1)))
        return BorderResponse(*about, energy, t, self._aware(sides, scale), profiles=inwards, map=self.total / count)

    def _energy(self, sums: Array, scale: float) -> Array:
        """Measure E of every line by the sums of D over two halves, or over one input twice."""
        first, second = sums[0] / -(-self.count // 2), sums[-1] / (self.count // 2 or 1)
        energy: Array = np.sqrt(np.maximum((first * (second if self.count > 1 else first)).mean(0), 0)) / scale
        return energy

    def _aware(self, means: Array, scale: float) -> float:
        """Measure the share of channels whose border line is certain and large on some side."""
        spread = np.sqrt(np.maximum(self.squares / self.count - means**2, 0) / (self.count - 1))
        own = (np.abs(means) > CERTAIN * spread) & (np.abs(means) > LARGE * scale)
        return float(own.any(0).mean())


def _inwards(profile: Array) -> Array:
    """Keep the first lines of a profile, to the middle."""
    return profile[: min(-(-len(profile) // 2), LINES)]


def _t(values: Array) -> list[float | None]:
    """Divide the mean of each row by its standard error; None where all values are alike."""
    errors = values.std(1, ddof=1) / np.sqrt(values.shape[1])
    return [float(mean / error) if error else None for mean, error in zip(values.mean(1), errors, strict=True)]
