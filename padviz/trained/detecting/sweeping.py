"""Something moved over the image, or an image under the frame, and its score at every position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from padviz.trained.detecting.outputs.scoring import Scorer
from padviz.trained.sessions.running import Images, Kept, Runner, at_once, outputs_of

Array = NDArray[np.float64]
Places = NDArray[np.int64]  # (positions, 2): top and left, in pixels
GOAL = 0.5  # the score that contrasts are chosen for
STEPS = 9  # of a bisection: to 1 % of a contrast
FAINTEST = 1 / 128  # contrast


@dataclass(eq=False)
class Sweep:
    """`draw` makes images of places and contrasts, and `boxes` says where each place is looked for."""

    draw: Callable[[Places, Array], Images]
    boxes: Callable[[Places], Places]
    scorer: Scorer
    advance: Callable[[int], None] = field(default=lambda more: None)
    below: bool = False  # what is looked for is the contrast at which the background's class is lost

    def scores(self, runner: Runner, places: Places, contrasts: Array) -> Array:
        """Score each place, each with its contrast."""
        return self.all(runner, places, contrasts)[:, self.scorer.class_ or 0]

    def all(self, runner: Runner, places: Places, contrasts: Array) -> Array:
        """Score all classes at each place, of shape (places, classes)."""
        most, scores = at_once(runner), []
        for start in range(0, len(places), most):
            part = slice(start, start + most)
            images = self.draw(places[part], contrasts[part])
            scores.append(self.scorer.all(outputs_of(runner, images), self.boxes(places[part])))
        return np.concatenate(scores)

    def background(self, runner: Runner, places: Places) -> Array:
        """Score all classes at each place where there is no stimulus: one image is run, for all places."""
        image = np.zeros((1, runner.channels, *runner.size), np.float32)
        outputs, name = outputs_of(runner, image), self.scorer.output
        most, scores = at_once(runner), []
        for start in range(0, len(places), most):
            boxes = self.boxes(places[start : start + most])
            scores.append(self.scorer.all({name: np.repeat(outputs[name], len(boxes), axis=0)}, boxes))
        return np.concatenate(scores)

    def fill(self, kept: Kept, runner: Runner, places: Places, contrast: float | None) -> None:
        """Fill in what is missing: scores at a contrast, or without one the least contrasts that are seen."""
        todo = np.flatnonzero(np.isnan(kept.values))
        self.advance(len(places) - len(todo))
        most = at_once(runner)
        for start in range(0, len(todo), most):
            part = todo[start : start + most]
            if contrast is None:
                kept.values[part] = self.thresholds(runner, places[part])
            else:
                kept.values[part] = self.scores(runner, places[part], np.full(len(part), contrast))
            kept.save()
            self.advance(len(part))

    def thresholds(self, runner: Runner, places: Places) -> Array:
        """Find the contrast from which on each place scores .5, by bisection; infinite where none tried is enough.

        NaN where full contrast makes the network's score NaN.
        """
        contrasts = self.least_tried(runner, places)
        at = np.flatnonzero(np.isfinite(contrasts))
        high = np.log(contrasts[at])
        low = np.log(np.where(contrasts[at] == 1, FAINTEST, np.maximum(contrasts[at] / 2, FAINTEST)))
        for _ in range(STEPS if at.size else 0):
            middle = (low + high) / 2
            seen = self._decided(self.scores(runner, places[at], np.exp(middle)))
            low, high = np.where(seen, low, middle), np.where(seen, middle, high)
        contrasts[at] = np.exp(high)
        return contrasts

    def _decided(self, scores: Array) -> NDArray[np.bool_]:
        """Tell whether each score is on the side of .5 that is looked for."""
        decided: NDArray[np.bool_] = scores < GOAL if self.below else scores >= GOAL
        return decided

    def least_tried(self, runner: Runner, places: Places) -> Array:
        """Choose full contrast where that is seen, else the least of its halves, quarters ... that is; or infinity.

        Scores may fall where contrast rises.
        """
        full = self.scores(runner, places, np.ones(len(places)))
        contrasts = np.where(np.isnan(full), np.nan, np.where(self._decided(full), 1.0, np.inf))
        at = np.flatnonzero(np.isinf(contrasts))
        contrast = 0.5
        while at.size and contrast >= FAINTEST:
            seen = self._decided(self.scores(runner, places[at], np.full(len(at), contrast)))
            contrasts[at[seen]] = contrast
            contrast /= 2
        return contrasts

    def calibrated(self, runner: Runner, places: Places, full: Array) -> dict[float, Array]:
        """Score each contrast of a bisection for a median of .5, from the scores at full contrast on."""
        tried = {1.0: full}
        low, high = np.log(FAINTEST), 0.0
        for _ in range(STEPS if median_of(full) > GOAL else 0):
            middle = (low + high) / 2
            contrast = float(np.exp(middle))
            tried[contrast] = self.scores(runner, places, np.full(len(places), contrast))
            low, high = (low, middle) if median_of(tried[contrast]) > GOAL else (middle, high)
        return tried


def median_of(scores: Array) -> float:
    """Find the median of the scores that are numbers; NaN where none is."""
    known = scores[~np.isnan(scores)]
    return float(np.median(known)) if known.size else float("nan")
