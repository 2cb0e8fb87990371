"""Scores of a stimulus at every position, and the contrast to show it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.trained.detecting.detectability import DECIDED, LITTLE, SATURATED
from padviz.trained.detecting.outputs import Scorer
from padviz.trained.networks.trained_network import Images, Runner, at_once, outputs_of

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]  # (positions, 2): top and left, in pixels
SAMPLE = 32  # positions at which contrasts are chosen
GOAL = DECIDED  # the median score that contrasts are chosen for
STEPS = 9  # of a bisection: to 1 % of a contrast
FAINTEST = 1 / 128  # contrast
GRADED = (0.2, 0.8)  # where the median of graded scores can be brought
MOST = 0.5  # the share of positions at which a class wins for its map to be drawn
CLEAR = 0.1  # how far the scores of what is not seen must rise to be mapped by themselves
STEEP = 1.25  # a contrast so much larger takes scores from none to all
MANY = 0.5  # the share of saturated scores from which on scores are all or none
HINT = "try another `stimulus`, a larger `height`, or another `layer` or `class`"
NEEDED = "the map shows the contrast needed"


@dataclass(frozen=True, eq=False)
class Sweep:
    """`draw` makes images of positions and contrasts, and `boxes` are where each position is looked for.

    With `below`, the contrasts needed are those at which the background's class is lost.
    """

    draw: Callable[[Positions, Floats], Images]
    boxes: Callable[[Positions], Positions]
    scorer: Scorer
    below: bool = False

    def scores(self, runner: Runner, places: Positions, contrasts: Floats) -> Floats:
        """Score each position, each with its contrast."""
        return self.class_scores(runner, places, contrasts)[:, self.scorer.class_ or 0]

    def class_scores(self, runner: Runner, places: Positions, contrasts: Floats) -> Floats:
        """Score all classes at each position, of shape (positions, classes)."""
        scores = []
        for part in _batches(runner, len(places)):
            images = self.draw(places[part], contrasts[part])
            scores.append(self.scorer.all(outputs_of(runner, images), self.boxes(places[part])))
        return np.concatenate(scores)

    def background(self, runner: Runner, places: Positions) -> Floats:
        """Score all classes at each position where there is no stimulus: one image is run, for all of them."""
        image = np.zeros((1, runner.channels, *runner.size), np.float32)
        outputs, name = outputs_of(runner, image), self.scorer.output
        scores = []
        for part in _batches(runner, len(places)):
            boxes = self.boxes(places[part])
            scores.append(self.scorer.all({name: np.repeat(outputs[name], len(boxes), axis=0)}, boxes))
        return np.concatenate(scores)

    def fill(
        self, values: Floats, save: Callable[[], None], runner: Runner, places: Positions, contrast: float | None,
        advance: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Compute the missing values, NaN: scores at a contrast, or without one the least contrasts that are seen."""
        missing = np.flatnonzero(np.isnan(values))
        advance(len(places) - len(missing))
        for part in (missing[batch] for batch in _batches(runner, len(missing))):
            if contrast is None:
                values[part] = self.thresholds(runner, places[part])
            else:
                values[part] = self.scores(runner, places[part], np.full(len(part), contrast))
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
        full = self.scores(runner, places, np.ones(len(places)))
        contrasts = np.where(np.isnan(full), np.nan, np.where(self._decided(full), 1.0, np.inf))
        at = np.flatnonzero(np.isinf(contrasts))
        contrast = 0.5
        while at.size and contrast >= FAINTEST:
            seen = self._decided(self.scores(runner, places[at], np.full(len(at), contrast)))
            contrasts[at[seen]] = contrast
            contrast /= 2
        return contrasts

    def calibrate(self, runner: Runner, places: Positions, full: Floats) -> dict[float, Floats]:
        """Score each contrast of a bisection for a median of .5, from the scores at full contrast on."""
        tried = {1.0: full}
        low, high = np.log(FAINTEST), 0.0
        for _ in range(STEPS if median_of(full) > GOAL else 0):
            middle = (low + high) / 2
            contrast = float(np.exp(middle))
            tried[contrast] = self.scores(runner, places, np.full(len(places), contrast))
            low, high = (low, middle) if median_of(tried[contrast]) > GOAL else (middle, high)
        return tried


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """A sweep over positions, and what it maps: scores at a contrast, or the contrast needed.

    `why` explains the latter where it was not asked for.
    """

    sweep: Sweep
    name: str
    shape: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    contrast: float = 1.0
    threshold: bool = False
    why: str = ""

    @property
    def places(self) -> Positions:
        return np.array([(top, left) for top in self.tops for left in self.lefts], np.int64)

    @property
    def sample(self) -> Positions:
        """Some of the positions, drawn at random: those of a grid would all be of one phase of the strides."""
        return self.places[np.random.default_rng(0).permutation(len(self.tops) * len(self.lefts))[:SAMPLE]]


def choose_contrast(
    own: Runner, plan: SweepPlan, full: Floats, contrast: float | None, threshold: bool, class_: int | None
) -> SweepPlan:
    """Choose what to map, by a few positions on the network as it is, and their scores at full contrast.

    `contrast`, `threshold` and `class_` are what was asked for. Where no contrast is good for scores, the contrast
    needed is mapped instead.
    """
    sweep, sample = plan.sweep, plan.sample
    if np.isnan(full).all():
        raise OptionError("the network returns NaN wherever the stimulus is", where=own.where, hint=HINT)
    if contrast is not None:
        return replace(plan, contrast=contrast)
    background = median_of(sweep.background(own, sample)[:, sweep.scorer.class_ or 0])
    why = ""
    if not threshold and background >= DECIDED:
        seen = f"the background alone is seen, with a score of {background:.3g}"
        why = f"{seen}: the map shows the contrast at which it is not"
    elif not threshold:
        tried = sweep.calibrate(own, sample, full)
        best = min(tried, key=lambda contrast: abs(median_of(tried[contrast]) - GOAL))
        median = median_of(tried[best])
        why = not_graded(tried, best)
        if not why and abs(median - background) < CLEAR:
            why = f"the median score, {median:.3g}, is about the background's, {background:.3g}: {NEEDED}"
        if not why:
            return replace(plan, contrast=best)
    return _map_contrasts(own, plan, background, why, class_)


def not_graded(tried: dict[float, Floats], best: float) -> str:
    """Explain why no contrast makes scores that distinguish positions; "" where one does."""
    medians = {contrast: median_of(scores) for contrast, scores in sorted(tried.items())}
    known = tried[best][~np.isnan(tried[best])]
    saturated = float((np.abs(known - GOAL) > SATURATED - GOAL).mean())
    low = [contrast for contrast, median in medians.items() if median < GRADED[0]]
    high = [contrast for contrast, median in medians.items() if median > GRADED[1]]
    if len(low) == len(medians):
        return f"even at full contrast the median score is {medians[1.0]:.2g}: {NEEDED}"
    if len(high) == len(medians):
        return f"the median score is {medians[high[0]]:.2g} even at a contrast of {high[0]:.2g}: {NEEDED}"
    if low and high:
        first, last = _crossing(medians, GRADED[0], low[-1]), _crossing(medians, GRADED[1], high[0])
        if last <= STEEP * first or not GRADED[0] <= medians[best] <= GRADED[1]:
            ends = f"from {GRADED[0]} to {GRADED[1]} between contrasts of {first:.3g} and {last:.3g}"
            return f"the scores are all or none, their median goes {ends}: {NEEDED}"
    if saturated > MANY:
        return f"{percent(saturated, 0)} of the scores are all or none at a contrast of {best:.3g}: {NEEDED}"
    return ""


def _crossing(medians: dict[float, float], level: float, beyond: float) -> float:
    """Interpolate the contrast at which medians cross a level, between one that is beyond it and the next one tried."""
    tried = list(medians)
    other = tried[tried.index(beyond) + (1 if medians[beyond] < level else -1)]
    share = (level - medians[beyond]) / (medians[other] - medians[beyond])
    return float(beyond * (other / beyond) ** share)


def _map_contrasts(own: Runner, plan: SweepPlan, background: float, why: str, class_: int | None) -> SweepPlan:
    """Map the contrast at which the decision changes; of the background's class where no other wins at most positions.

    Where nothing is seen, map scores at full contrast if they react, and reject a map of nothing.
    """
    sample, sweep = plan.sample, replace(plan.sweep, below=background >= DECIDED)

    def changed(sweep: Sweep) -> float:
        """Measure the share of positions at which some contrast changes the decision."""
        return float(np.isfinite(sweep.least_contrasts(own, sample)).mean())

    changes = changed(sweep)
    of_background = np.median(sweep.background(own, sample), axis=0)
    sure = int(np.argmax(of_background))
    if class_ is None and not sweep.below and of_background[sure] >= DECIDED and changes < MOST:
        other = replace(sweep, scorer=sweep.scorer.of_class(sure), below=True)
        if changed(other) > changes:
            shown = f"the map shows the contrast at which class {sure}, the background's, is lost"
            return replace(plan, sweep=other, threshold=True, why=f"no class wins at most positions: {shown}")
    if changes:
        return replace(plan, sweep=sweep, threshold=True, why=why)
    full = sweep.scores(own, sample, np.ones(len(sample)))
    most = full[np.nanargmax(np.abs(full - background))]
    at = f"at {len(sample)} positions and contrasts from 1/128 to 1"
    reached = f"scores go from the background's {background:.3g} to {most:.3g}"
    if why and not sweep.below and most - background >= CLEAR:
        why = f"the stimulus is not seen {at}: {reached}; the map shows the scores at full contrast"
        return replace(plan, sweep=sweep, why=why)
    hint = HINT
    if abs(most - background) < LITTLE:
        what = f"nothing reacts to the stimulus: every score is within {LITTLE} of the background's, {background:.3g}"
    elif sweep.below:
        seen = f"the background alone is seen, with a score of {background:.3g}"
        what = f"{seen}, and the stimulus never changes that {at}"
    else:
        what, hint = f"the stimulus is not seen {at}: {reached}", f"{HINT}; `contrast` 1 maps such scores"
    raise OptionError(what, where=own.where, hint=hint)


def median_of(scores: Floats) -> float:
    """Return the median of the scores that are numbers; NaN where none is."""
    known = scores[~np.isnan(scores)]
    return float(np.median(known)) if known.size else float("nan")


def _batches(runner: Runner, count: int) -> Iterator[slice]:
    """Slice so many images into what a network runs at once."""
    most = at_once(runner)
    return (slice(start, start + most) for start in range(0, count, most))
