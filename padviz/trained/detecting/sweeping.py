"""Scores of a stimulus at every position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padviz.network.network import Size
from padviz.trained.detecting.detectability import DECIDED
from padviz.trained.detecting.outputs import Scorer
from padviz.trained.networks.trained_network import Images, Runner, at_once, outputs_of

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]  # (positions, 2): top and left, in pixels
SAMPLE = 32  # positions at which contrasts are chosen
STEPS = 9  # of a bisection: to 1 % of a contrast
FAINTEST = 1 / 128  # contrast


@dataclass(frozen=True, eq=False)
class Sweep:
    """A stimulus moved over positions, and what is mapped: its scores at a contrast, or the contrasts needed.

    `draw` makes images of positions and contrasts, and `boxes` are where each position is looked for. With `threshold`
    contrasts are mapped, and `why` explains that where it was not asked for; with `below` they are those at which the
    background's class is lost.
    """

    draw: Callable[[Positions, Floats], Images]
    boxes: Callable[[Positions], Positions]
    scorer: Scorer
    name: str
    shape: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    contrast: float = 1.0
    threshold: bool = False
    below: bool = False
    why: str = ""

    @property
    def places(self) -> Positions:
        return np.array([(top, left) for top in self.tops for left in self.lefts], np.int64)

    @property
    def sample(self) -> Positions:
        """Some of the positions, drawn at random: those of a grid would all be of one phase of the strides."""
        return self.places[np.random.default_rng(0).permutation(len(self.tops) * len(self.lefts))[:SAMPLE]]

    def scores(self, runner: Runner, places: Positions, contrasts: Floats | float) -> Floats:
        """Score each position at one contrast, or each at its own."""
        return self.class_scores(runner, places, contrasts)[:, self.scorer.class_ or 0]

    def class_scores(self, runner: Runner, places: Positions, contrasts: Floats | float) -> Floats:
        """Score all classes at each position, of shape (positions, classes)."""
        each, scores = np.broadcast_to(contrasts, len(places)), []
        for part in _batches(runner, len(places)):
            outputs = outputs_of(runner, self.draw(places[part], each[part]))
            scores.append(self.scorer.all(outputs, self.boxes(places[part])))
        return np.concatenate(scores)

    def background(self, runner: Runner, places: Positions) -> Floats:
        """Score all classes at each position where there is no stimulus: one image is run, for all of them."""
        blank = outputs_of(runner, np.zeros((1, runner.channels, *runner.size), np.float32))[self.scorer.output]
        scores = []
        for part in _batches(runner, len(places)):
            boxes = self.boxes(places[part])
            scores.append(self.scorer.all({self.scorer.output: np.repeat(blank, len(boxes), axis=0)}, boxes))
        return np.concatenate(scores)

    def fill(self, values: Floats, save: Callable[[], None], runner: Runner, advance: Callable[[int], None]) -> None:
        """Compute the missing values, NaN, of all positions: scores, or the least contrasts that are seen."""
        missing, places = np.flatnonzero(np.isnan(values)), self.places
        advance(len(places) - len(missing))
        for part in (missing[batch] for batch in _batches(runner, len(missing))):
            if self.threshold:
                values[part] = self.thresholds(runner, places[part])
            else:
                values[part] = self.scores(runner, places[part], self.contrast)
            save()
            advance(len(part))

    def thresholds(self, runner: Runner, places: Positions) -> Floats:
        """Bisect for the contrast from which on each position scores .5; infinite where none tried is enough.

        NaN where full contrast makes the network's score NaN.
        """
        contrasts = self.least_contrasts(runner, places)
        at = np.flatnonzero(np.isfinite(contrasts))
        high = np.log(contrasts[at])
        low = np.log(np.where(contrasts[at] == 1, FAINTEST, np.maximum(contrasts[at] / 2, FAINTEST)))
        for _ in range(STEPS if at.size else 0):
            middle = (low + high) / 2
            seen = self._decided(self.scores(runner, places[at], np.exp(middle)))
            low, high = np.where(seen, low, middle), np.where(seen, middle, high)
        contrasts[at] = np.exp(high)
        return contrasts

    def _decided(self, scores: Floats) -> NDArray[np.bool_]:
        """Whether each score is on the side of .5 that is looked for."""
        decided: NDArray[np.bool_] = scores < DECIDED if self.below else scores >= DECIDED
        return decided

    def least_contrasts(self, runner: Runner, places: Positions) -> Floats:
        """Choose full contrast where that is seen, else the least of its halves, quarters ... that is; or infinity.

        Scores may fall where contrast rises.
        """
        full = self.scores(runner, places, 1.0)
        contrasts = np.where(np.isnan(full), np.nan, np.where(self._decided(full), 1.0, np.inf))
        at = np.flatnonzero(np.isinf(contrasts))
        contrast = 0.5
        while at.size and contrast >= FAINTEST:
            seen = self._decided(self.scores(runner, places[at], contrast))
            contrasts[at[seen]] = contrast
            contrast /= 2
        return contrasts


def median_of(scores: Floats) -> float:
    """Return the median of the scores that are numbers; NaN where none is."""
    known = scores[~np.isnan(scores)]
    return float(np.median(known)) if known.size else float("nan")


def _batches(runner: Runner, count: int) -> Iterator[slice]:
    """Slice so many images into what a network runs at once."""
    most = at_once(runner)
    return (slice(start, start + most) for start in range(0, count, most))
