"""Detection by position: its options, the plan of a sweep of the stimulus or picture, and the maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from math import prod
from pathlib import Path

import numpy as np

from padviz.counting.shares.summary import percent
from padviz.errors import OptionError, PadvizError, check_integer
from padviz.files.unfinished import ResumeOptions, Unfinished, digest_of, saved_on_exit
from padviz.geometry.receptive_fields import receptive_fields
from padviz.network.network import AXES, Size
from padviz.progress import Progress, counter
from padviz.trained.detecting.detectability import LITTLE, SATURATED, SEEN, Detectability, PositionMap, doubts, phase_of
from padviz.trained.detecting.outputs import NamedMap, Scorer, maps_inside, maps_of, refuse_boxes, scorer_of
from padviz.trained.detecting.sweeping import FAINTEST, STEPS, Canvas, Places, Stimulus, Sweep, median_of, stimulus_of
from padviz.trained.images import open_picture, pixels_of
from padviz.trained.networks.running import Floats, Images, Runner, batches, outputs_of
from padviz.trained.networks.trained_network import Trained

STIMULUS, SHIFT = "sample", 32  # by default
FINEST, MANY = 8, 400  # the default step: at least so many pixels, and at most so many positions
HEIGHTS = (12, 16, 24, 32, 48, 64, 96, 128, 192)  # pixels, tried one after another
MOST_POSITIONS = 250_000
GOAL = SEEN  # the median score that contrasts are chosen for
GRADED = (0.2, 0.8)  # where the median of graded scores can be brought
MOST = 0.5  # the share of positions at which a class wins for its map to be drawn
CLEAR = 0.1  # how far the scores of what is not seen must rise to be mapped by themselves
STEEP = 1.25  # a contrast so much larger takes scores from none to all
SATURATION = 0.5  # the share of saturated scores from which on scores are all or none
HINT = "try another `stimulus`, a larger `height`, or another `layer` or `class`"
NEEDED = "the map shows the contrast needed"
Runners = Sequence[tuple[str | None, Runner]]  # by padding; the network as it is comes first


@dataclass(frozen=True)
class DetectOptions:
    """The options of `padviz.detect`; those that contradict each other are rejected.

    >>> DetectOptions(image="scene.png", height=8)
    Traceback (most recent call last):
        ...
    padviz.errors.OptionError: height: cannot be combined with `image`; leave out one of them
    """

    stimulus: str | None = None
    height: int | None = None
    contrast: float | None = None
    step: int | None = None
    output: str | None = None
    class_: int | None = None
    threshold: bool = False
    image: str | Path | None = None
    shift: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    bgr: bool = False

    def __post_init__(self) -> None:
        for option, least in (("height", 1), ("step", 1), ("shift", 0)):
            if getattr(self, option) is not None:
                check_integer(getattr(self, option), least, option)
        if self.image is not None:
            for option in ("stimulus", "height", "contrast", "threshold"):
                if getattr(self, option):
                    raise OptionError("cannot be combined with `image`", option=option, hint="leave out one of them")
        elif self.shift is not None:
            raise OptionError("has no use without a picture", option="shift", hint="leave it out, or give one: `image`")
        if self.threshold and self.contrast is not None:
            raise OptionError("cannot be combined with `threshold`", option="contrast", hint="leave out one of them")
        if self.contrast is not None and not 0 < self.contrast <= 1:  # nor is NaN
            raise OptionError(f"{self.contrast}: must be above 0, at most 1", option="contrast")

    def check(self, size: Size) -> None:
        """Reject a height or a shift larger than the image, before anything is read or drawn at that size."""
        for option, most, more in (("height", size[0], "higher"), ("shift", max(size), "larger")):
            if (getattr(self, option) or 0) > most:
                what = f"{getattr(self, option)} is {more} than the image, {size[0]} x {size[1]} pixels"
                raise OptionError(what, option=option, hint=f"use up to {most}, or a larger `size`")

    def shift_at(self, size: Size) -> int:
        return min(SHIFT, max(size)) if self.shift is None else self.shift

    def step_in(self, room: Size) -> int:
        """Return the step between positions: as asked, or the least, from 8 on, that makes at most 400 of them.

        >>> options = DetectOptions()
        >>> options.step_in((576, 576)), options.step_in((48, 48)), DetectOptions(step=3).step_in((576, 576))
        (29, 8, 3)
        """

        def positions(step: int) -> int:
            return prod(n // step + 1 for n in room)

        step = self.step or next(step for step in count(FINEST) if positions(step) <= MANY)
        if positions(step) > MOST_POSITIONS:
            what = f"makes {positions(step)} positions, more than {MOST_POSITIONS}"
            raise OptionError(what, option="step", hint="use a larger one")
        return step


def score_positions(
    trained: Trained, runners: Runners, notes: Sequence[str], options: DetectOptions, resume: ResumeOptions,
    on_progress: Progress | None,
) -> Detectability:  # fmt: skip
    """Score every position under each padding; values of an interrupted sweep are kept, and the error says where."""
    sweep = plan_sweep(runners, options, lambda: maps_inside(trained))
    question = ""
    if resume.path:
        question = _question(runners, options)
    values = Unfinished(resume.path, question, len(sweep.places) * len(runners), resume.resume)
    with saved_on_exit(values):
        maps = map_positions(runners, sweep, _total_stride(trained), values, on_progress)
    if not maps[0].reacts:
        values.remove()
        what = "the network returns NaN at every position"
        if maps[0].lost < 1:
            what = f"nothing reacts to what is shown: every score is within {LITTLE} of the background's"
            what += "" if maps[0].without is None else f", {maps[0].without:.3g}"
        raise OptionError(what, where=runners[0][1].where, hint=HINT)
    shown = trained.network.name, trained.network.title, trained.size, sweep.name, sweep.shape, sweep.contrast
    output = sweep.scorer.output, sweep.scorer.class_
    said = (*notes, *filter(None, [sweep.why]), *doubts(maps))
    return Detectability(*shown, *output, sweep.tops, sweep.lefts, maps, bool(options.image), said)


def _question(runners: Runners, options: DetectOptions) -> str:
    """Identify a sweep by what is run and shown; files count by their contents, wherever they lie."""
    own, shown = runners[0][1], vars(options).copy()
    files = []
    for name in ("stimulus", "image"):
        if shown[name] is not None and Path(shown[name]).is_file():
            files.append(shown[name])
            shown[name] = "a file"
    return f"{digest_of(own.contents(), files)} {own.size} {[scheme for scheme, _ in runners]} {shown}"


def map_positions(
    runners: Runners, sweep: Sweep, stride: Size | None, kept: Unfinished, on_progress: Progress | None
) -> tuple[PositionMap, ...]:
    """Compute the map of each padding, of the network as it is alone if that reacts to nothing."""
    places, shape = sweep.places, (len(sweep.tops), len(sweep.lefts))
    advance = counter(len(kept.values), on_progress)
    maps: list[PositionMap] = []
    parts = kept.values.reshape(len(runners), len(places))  # views: `kept` saves what is computed
    for part, (padding, runner) in zip(parts, runners, strict=True):
        missing = np.flatnonzero(np.isnan(part))
        advance(len(part) - len(missing))
        for at in (missing[batch] for batch in batches(runner, len(missing))):
            part[at] = sweep.values(runner, places[at])
            kept.save()
            advance(len(at))
        values = part.reshape(shape)
        background = sweep.background(runner, places)[:, sweep.scorer.class_ or 0].reshape(shape)
        phase = phase_of(values, sweep.tops, sweep.lefts, stride)
        maps.append(PositionMap(padding, values, background, sweep.threshold, sweep.below, phase))
        if not maps[0].reacts:
            break
    return tuple(maps)


def _total_stride(trained: Trained) -> tuple[int, int] | None:
    """Return the largest stride of any layer towards the image, by axis: scores may repeat with it; None if unknown."""
    try:
        fields = receptive_fields(trained.network, trained.size)
    except PadvizError:  # a head that cannot be followed can still be run
        return None
    strides = [[axis.stride for row in fields if (axis := getattr(row, name)) and axis.stride] for name in AXES[2]]
    height, width = (max((int(stride) for stride in sides), default=1) for sides in strides)
    return height, width


def plan_sweep(runners: Runners, options: DetectOptions, inside: Callable[[], Sequence[NamedMap]] = tuple) -> Sweep:
    """Plan a sweep on the network as it is; `inside` lists the maps within it that could be named."""
    own = runners[0][1]
    canvas = Canvas(own.size, own.channels, options.mean, options.std, options.bgr)
    scorer = _choose_scorer(runners, options, inside)
    if options.image is not None:
        return _choose_class(own, _shift_picture(own, options.image, options, canvas, scorer))[0]
    most_high = max(min(own.size) // 2, HEIGHTS[0])  # larger ones have few positions
    tried: list[tuple[Sweep, Floats]] = []
    # As large as it must be to be seen at half of the positions.
    for height in [n for n in HEIGHTS if n <= most_high] if options.height is None else [options.height]:
        stimulus = stimulus_of(options.stimulus or STIMULUS, height, own.channels)
        if any(n > size for n, size in zip(stimulus.shape, own.size, strict=True)):
            if tried:
                break
            what = f"{stimulus.name} and {stimulus.shape[1]} px wide, is larger than the image, "
            what, hint = f"{what}{own.size[0]} x {own.size[1]}", "use a smaller `height`, or a larger `size`"
            raise OptionError(what, option="stimulus", hint=hint)
        tried.append(_choose_class(own, _slide(stimulus, options, canvas, scorer)))
        if median_of(tried[-1][1]) >= GOAL:
            break
    sweep, full = max(tried, key=lambda each: np.nan_to_num(median_of(each[1]), nan=-np.inf))
    return _choose_contrast(own, sweep, full, options)


def _choose_scorer(runners: Runners, options: DetectOptions, inside: Callable[[], Sequence[NamedMap]]) -> Scorer:
    """Choose the output to score by a run on a blank and on noise."""
    own = runners[0][1]
    shape = (1, own.channels, *own.size)
    probes = np.zeros(shape, np.float32), np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    blank, noise = (outputs_of(own, probe) for probe in probes)
    if options.output is not None and options.output not in blank:
        for _, runner in runners:
            runner.with_output(options.output)
        blank, noise = (outputs_of(own, probe) for probe in probes)
    # A single number for each has no images among its dimensions.
    outputs = {name: np.concatenate([blank[name], noise[name]]) if blank[name].ndim else blank[name] for name in blank}
    scorer = scorer_of(outputs, own.size, own.where, options.output, inside)
    if options.class_ is not None:
        return scorer.of_class(options.class_)
    if scorer.kind == "map":
        maps = {each.name: each for each in (*inside(), *maps_of(outputs, own.size))}
        if scored := maps.pop(scorer.output, None):
            asked = options.output is not None
            refuse_boxes(scored, asked, [*maps.values()], own.size, scorer.squashed, own.where)
    return scorer


def _slide(stimulus: Stimulus, options: DetectOptions, canvas: Canvas, scorer: Scorer) -> Sweep:
    room = canvas.size[0] - stimulus.shape[0], canvas.size[1] - stimulus.shape[1]
    step, around = options.step_in(room), stimulus.shape[0] // 2

    def boxes(places: Places) -> Places:
        return np.concatenate([places - around, places + np.array(stimulus.shape) + around], axis=1)

    tops, lefts = (tuple(range(0, n + 1, step)) for n in room)
    return Sweep(partial(canvas.draw, stimulus), boxes, scorer, stimulus.name, stimulus.shape, tops, lefts)


def _shift_picture(own: Runner, image: str | Path, options: DetectOptions, canvas: Canvas, scorer: Scorer) -> Sweep:
    """Plan to shift a picture, larger than the frame by the shift, under it to every offset."""
    shift = options.shift_at(canvas.size)
    picture = pixels_of(open_picture(image), (canvas.size[0] + shift, canvas.size[1] + shift), own.channels)
    offsets = tuple(range(0, shift + 1, options.step_in((shift, shift))))

    def boxes(places: Places) -> Places:
        return np.tile(np.array([0, 0, *canvas.size]), (len(places), 1))

    def draw(places: Places, contrasts: Floats) -> Images:
        height, width = canvas.size
        frames = np.stack([picture[:, top : top + height, left : left + width] for top, left in places])
        return canvas.ordered((frames - canvas.mean) / canvas.std)

    return Sweep(draw, boxes, scorer, Path(image).name, canvas.size, offsets, offsets)


def _choose_class(own: Runner, sweep: Sweep) -> tuple[Sweep, Floats]:
    """Choose the class to look for, and score a few positions at full contrast.

    By default it is the class whose median rises most over the background's, of those that the background is not.
    """
    sample = sweep.sample
    scores, class_ = sweep.class_scores(own, sample, 1.0), sweep.scorer.class_
    if class_ is None:
        blank = np.median(sweep.background(own, sample), axis=0)
        more = np.array([median_of(of_class) for of_class in scores.T]) - blank
        more = np.where(np.isnan(more), -np.inf, more)
        others = np.where(blank < GOAL, more, -np.inf)
        class_ = int(np.argmax(others if np.isfinite(others).any() else more))
        sweep = replace(sweep, scorer=sweep.scorer.of_class(class_))
    return sweep, scores[:, class_]


def _choose_contrast(own: Runner, sweep: Sweep, full: Floats, options: DetectOptions) -> Sweep:
    """Choose what to map, by a few positions on the network as it is, and their scores at full contrast.

    A bisection finds the contrast whose median score is .5. Where none is good for scores, the contrast needed is
    mapped instead.
    """
    if np.isnan(full).all():
        raise OptionError("the network returns NaN wherever the stimulus is", where=own.where, hint=HINT)
    if options.contrast is not None:
        return replace(sweep, contrast=options.contrast)
    background = median_of(sweep.background(own, sweep.sample)[:, sweep.scorer.class_ or 0])
    below, why = background >= SEEN, ""
    if below and not options.threshold:
        seen = f"the background alone is seen, with a score of {background:.3g}"
        why = f"{seen}: the map shows the contrast at which it is not"
    elif not options.threshold:
        tried, low, high = {1.0: full}, np.log(FAINTEST), 0.0
        for _ in range(STEPS if median_of(full) > GOAL else 0):
            contrast = float(np.exp(middle := (low + high) / 2))
            tried[contrast] = sweep.scores(own, sweep.sample, contrast)
            low, high = (low, middle) if median_of(tried[contrast]) > GOAL else (middle, high)
        best = min(tried, key=lambda contrast: abs(median_of(tried[contrast]) - GOAL))
        median, why = median_of(tried[best]), not_graded(tried, best)
        if not why and abs(median - background) < CLEAR:
            why = f"the median score, {median:.3g}, is about the background's, {background:.3g}: {NEEDED}"
        if not why:
            return replace(sweep, contrast=best)
    return _map_contrasts(own, replace(sweep, below=below), full, background, why, options.class_)


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
    if saturated > SATURATION:
        return f"{percent(saturated, 0)} of the scores are all or none at a contrast of {best:.3g}: {NEEDED}"
    return ""


def _crossing(medians: dict[float, float], level: float, beyond: float) -> float:
    """Interpolate the contrast at which medians cross a level, between one that is beyond it and the next one tried."""
    tried = list(medians)
    other = tried[tried.index(beyond) + (1 if medians[beyond] < level else -1)]
    share = (level - medians[beyond]) / (medians[other] - medians[beyond])
    return float(beyond * (other / beyond) ** share)


def _map_contrasts(own: Runner, sweep: Sweep, full: Floats, background: float, why: str, class_: int | None) -> Sweep:
    """Map the contrast at which the decision changes; of the background's class where no other wins at most positions.

    Where nothing is seen, map scores at full contrast if they react, and reject a map of nothing.
    """
    sample = sweep.sample

    def changed(sweep: Sweep) -> float:
        return float(np.isfinite(sweep.least_contrasts(own, sample)).mean())

    changes = changed(sweep)
    of_background = np.median(sweep.background(own, sample), axis=0)
    sure = int(np.argmax(of_background))
    if class_ is None and not sweep.below and of_background[sure] >= SEEN and changes < MOST:
        other = replace(sweep, scorer=sweep.scorer.of_class(sure), below=True)
        if changed(other) > changes:
            shown = f"the map shows the contrast at which class {sure}, the background's, is lost"
            return replace(other, threshold=True, why=f"no class wins at most positions: {shown}")
    if changes:
        return replace(sweep, threshold=True, why=why)
    most = full[np.nanargmax(np.abs(full - background))]
    at = f"at {len(sample)} positions and contrasts from 1/128 to 1"
    reached = f"scores go from the background's {background:.3g} to {most:.3g}"
    if why and not sweep.below and most - background >= CLEAR:
        shown = "the map shows the scores at full contrast"
        return replace(sweep, why=f"the stimulus is not seen {at}: {reached}; {shown}")
    hint = HINT
    if abs(most - background) < LITTLE:
        what = f"nothing reacts to the stimulus: every score is within {LITTLE} of the background's, {background:.3g}"
    elif sweep.below:
        seen = f"the background alone is seen, with a score of {background:.3g}"
        what = f"{seen}, and the stimulus never changes that {at}"
    else:
        what, hint = f"the stimulus is not seen {at}: {reached}", f"{HINT}; `contrast` 1 maps such scores"
    raise OptionError(what, where=own.where, hint=hint)
