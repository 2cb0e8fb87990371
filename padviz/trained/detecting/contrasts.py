"""Which contrast to show a stimulus with; where none is good for scores, the contrast needed is mapped instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.trained.detecting.detectability import DECIDED, LITTLE, SATURATED
from padviz.trained.detecting.question import Question
from padviz.trained.detecting.sweeping import GOAL, Places, Sweep, median_of
from padviz.trained.sessions.running import Runner

Array = NDArray[np.float64]
GRADED = (0.2, 0.8)  # where the median of graded scores can be brought
MOST = 0.5  # the share of positions at which a class wins for its map to be drawn
CLEAR = 0.1  # how far the scores of what is not seen must rise to be mapped by themselves
STEEP = 1.25  # a contrast so much larger makes all of nothing
MANY = 0.5  # the share of saturated scores from which on scores are all or none
HINT = "try another `stimulus`, a larger `height`, or another `layer` or `class`"


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a sweep maps: scores at a contrast, or the contrast needed, and `why` that where it was not asked for."""

    sweep: Sweep
    contrast: float = 1.0
    threshold: bool = False
    why: str = ""


def chosen(own: Runner, sweep: Sweep, sample: Places, full: Array, question: Question) -> Chosen:
    """Choose what to map, by a few positions on the network as it is, and their scores at full contrast.

    Raises
    ------
    OptionError
        If no score reacts to the stimulus, or if the contrast needed is asked for and none is enough.
    """
    if np.isnan(full).all():
        raise OptionError("the network makes NaN wherever the stimulus is", where=own.where, hint=HINT)
    if question.contrast is not None:
        return Chosen(sweep, question.contrast)
    background = median_of(sweep.background(own, sample)[:, sweep.scorer.class_ or 0])
    why = "" if question.threshold else _seen_already(background)
    if not question.threshold and not why:
        tried = sweep.calibrated(own, sample, full)
        best = min(tried, key=lambda contrast: abs(median_of(tried[contrast]) - GOAL))
        if not (why := _ungraded(tried, best) or _unmoved(median_of(tried[best]), background)):
            return Chosen(sweep, best)
    return _needed(own, sweep, sample, background, why, question.class_)


def _seen_already(background: float) -> str:
    """Say why scores tell little where the background alone is seen; "" elsewhere."""
    if background < DECIDED:
        return ""
    return f"the background alone is seen, with a score of {background:.3g}: mapped is the contrast at which it is not"


def _unmoved(median: float, background: float) -> str:
    """Say why scores tell little that are hardly more than the background's; "" where they are.

    >>> _unmoved(0.5, 0.375), _unmoved(0.5, 0.497)[:42]
    ('', 'the median score, 0.5, is about the backgr')
    """
    if abs(median - background) >= CLEAR:
        return ""
    return f"the median score, {median:.3g}, is about the background's, {background:.3g}: mapped is the contrast needed"


def _ungraded(tried: dict[float, Array], best: float) -> str:
    """Say why no contrast makes scores that tell positions apart; "" where one does."""
    medians = {contrast: median_of(scores) for contrast, scores in sorted(tried.items())}
    known = tried[best][~np.isnan(tried[best])]
    saturated = float((np.abs(known - GOAL) > SATURATED - GOAL).mean())
    low = [contrast for contrast, median in medians.items() if median < GRADED[0]]
    high = [contrast for contrast, median in medians.items() if median > GRADED[1]]
    mapped = "mapped is the contrast needed"
    if len(low) == len(medians):
        return f"even at full contrast the median score is {medians[1.0]:.2g}: {mapped}"
    if len(high) == len(medians):
        return f"the median score is {medians[high[0]]:.2g} even at a contrast of {high[0]:.2g}: {mapped}"
    if low and high:
        first, last = _crossed(medians, GRADED[0], low[-1]), _crossed(medians, GRADED[1], high[0])
        if last <= STEEP * first or not GRADED[0] <= medians[best] <= GRADED[1]:
            ends = f"from {GRADED[0]} to {GRADED[1]} between contrasts of {first:.3g} and {last:.3g}"
            return f"the scores are all or none, their median goes {ends}: {mapped}"
    if saturated > MANY:
        return f"{percent(saturated, 0)} of the scores are all or none at a contrast of {best:.3g}: {mapped}"
    return ""


def _crossed(medians: dict[float, float], level: float, beyond: float) -> float:
    """Find the contrast at which medians cross a level, between one that is beyond it and the next one tried."""
    tried = list(medians)
    other = tried[tried.index(beyond) + (1 if medians[beyond] < level else -1)]
    share = (level - medians[beyond]) / (medians[other] - medians[beyond])
    return float(beyond * (other / beyond) ** share)


def _needed(own: Runner, sweep: Sweep, sample: Places, background: float, why: str, class_: int | None) -> Chosen:
    """Map the contrast at which the decision changes; of the background's class where no other wins at most."""
    sweep = replace(sweep, below=background >= DECIDED)
    changed = _changed(own, sweep, sample)
    of_background = np.median(sweep.background(own, sample), axis=0)
    sure = int(np.argmax(of_background))
    if class_ is None and not sweep.below and of_background[sure] >= DECIDED and changed < MOST:
        other = replace(sweep, scorer=sweep.scorer.of_class(sure), below=True)
        if _changed(own, other, sample) > changed:
            mapped = f"mapped is the contrast at which class {sure}, the background's, is lost"
            return Chosen(other, threshold=True, why=f"no class wins at most positions: {mapped}")
    if not changed:
        return _unseen(own, sweep, sample, background, bool(why))
    return Chosen(sweep, threshold=True, why=why)


def _changed(own: Runner, sweep: Sweep, sample: Places) -> float:
    """Measure the share of positions at which some contrast changes the decision."""
    return float(np.isfinite(sweep.least_tried(own, sample)).mean())


def _unseen(own: Runner, sweep: Sweep, sample: Places, background: float, scored: bool) -> Chosen:
    """Map scores at full contrast where they react, though none is seen; refuse to draw a map of nothing."""
    full = sweep.scores(own, sample, np.ones(len(sample)))
    most = full[np.nanargmax(np.abs(full - background))]
    at = f"at {len(sample)} positions and contrasts from 1/128 to 1"
    reached = f"scores go from the background's {background:.3g} to {most:.3g}"
    if scored and not sweep.below and most - background >= CLEAR:
        return Chosen(sweep, why=f"the stimulus is not seen {at}: {reached}; mapped are the scores at full contrast")
    if abs(most - background) < LITTLE:
        what = f"nothing reacts to the stimulus: every score is within {LITTLE} of the background's, {background:.3g}"
    elif sweep.below:
        what = (
            f"the background alone is seen, with a score of {background:.3g}, and the stimulus never changes that {at}"
        )
    else:
        what = f"the stimulus is not seen {at}: {reached}"
        raise OptionError(what, where=own.where, hint=f"{HINT}; `contrast` 1 maps such scores")
    raise OptionError(what, where=own.where, hint=HINT)
