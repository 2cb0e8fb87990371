"""Detection by position: its options, the plan of a sweep of the stimulus or picture, and the maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError, check_integer
from padviz.files.unfinished import ResumeOptions, Unfinished, saved_on_exit
from padviz.geometry.receptive_fields import receptive_fields
from padviz.network.network import AXES, Size
from padviz.progress import Progress, counter
from padviz.trained.detecting.detectability import LITTLE, Detectability, PositionMap, doubts, phase_of, positions
from padviz.trained.detecting.outputs import NamedMap, Scorer, maps_inside, maps_of, refuse_boxes, scorer_of
from padviz.trained.detecting.stimuli import Canvas, Stimulus, stimulus_of
from padviz.trained.detecting.sweeping import GOAL, HINT, Positions, Sweep, SweepPlan, choose_contrast, median_of
from padviz.trained.images import read_picture
from padviz.trained.networks.trained_network import Runner, Trained, outputs_of

STIMULUS, SHIFT = "sample", 32  # by default
FINEST, MANY = 8, 400  # the default step: at least so many pixels, and at most so many positions
HEIGHTS = (12, 16, 24, 32, 48, 64, 96, 128, 192)  # pixels, tried one after another
MOST_POSITIONS = 250_000
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
        image = f"the image, {size[0]} x {size[1]} pixels"
        if self.height is not None and self.height > size[0]:
            hint = f"use up to {size[0]}, or a larger `size`"
            raise OptionError(f"{self.height} is higher than {image}", option="height", hint=hint)
        if self.shift is not None and self.shift > max(size):
            hint = f"use up to {max(size)}, or a larger `size`"
            raise OptionError(f"{self.shift} is larger than {image}", option="shift", hint=hint)

    def shift_at(self, size: Size) -> int:
        """Return how far a picture is shifted, in pixels."""
        return min(SHIFT, max(size)) if self.shift is None else self.shift

    def step_in(self, room: Size) -> int:
        """Return the step between positions: as asked, or the least, from 8 on, that makes at most 400 of them.

        >>> options = DetectOptions()
        >>> options.step_in((576, 576)), options.step_in((48, 48)), DetectOptions(step=3).step_in((576, 576))
        (29, 8, 3)
        """
        step = FINEST if self.step is None else self.step
        count = prod(n // step + 1 for n in room)
        while self.step is None and count > MANY:
            step += 1
            count = prod(n // step + 1 for n in room)
        if count > MOST_POSITIONS:
            what = f"makes {count} positions, more than {MOST_POSITIONS}"
            raise OptionError(what, option="step", hint="use a larger one")
        return step


def score_positions(
    trained: Trained,
    runners: Runners,
    notes: Sequence[str],
    options: DetectOptions,
    resume: ResumeOptions,
    on_progress: Progress | None,
) -> Detectability:
    """Score every position under each padding; values of an interrupted sweep are kept, and the error says where."""
    plan = plan_sweep(runners, options, lambda: maps_inside(trained))
    about = f"{resume.about} {trained.size} {[scheme for scheme, _ in runners]} {options}"
    values = Unfinished(resume.path, about, len(plan.places) * len(runners), resume.resume)
    with saved_on_exit(values):
        maps = map_positions(runners, plan, _total_stride(trained), values, on_progress)
    if not maps[0].reacts:
        values.remove()
        what = "the network returns NaN at every position"
        if maps[0].lost < 1:
            what = f"nothing reacts to what is shown: every score is within {LITTLE} of the background's"
            what += "" if maps[0].without is None else f", {maps[0].without:.3g}"
        raise OptionError(what, where=runners[0][1].where, hint=HINT)
    return Detectability(
        trained.network.name,
        trained.network.title,
        trained.size,
        plan.name,
        plan.shape,
        plan.contrast,
        plan.sweep.scorer.output,
        plan.sweep.scorer.class_,
        plan.tops,
        plan.lefts,
        maps,
        shifted=bool(options.image),
        notes=(*notes, *filter(None, [plan.why]), *doubts(maps)),
    )


def map_positions(
    runners: Runners, plan: SweepPlan, stride: Size | None, kept: Unfinished, on_progress: Progress | None
) -> tuple[PositionMap, ...]:
    """Compute the map of each padding, of the network as it is alone if that reacts to nothing."""
    places, sweep = plan.places, plan.sweep
    advance = counter(len(kept.values), on_progress)
    maps: list[PositionMap] = []
    for i, (padding, runner) in enumerate(runners):
        part = kept.values[i * len(places) : (i + 1) * len(places)]  # a view: `kept` saves what is computed
        sweep.fill(part, kept.save, runner, places, None if plan.threshold else plan.contrast, advance)
        values = part.reshape(len(plan.tops), len(plan.lefts))
        background = sweep.background(runner, places)[:, sweep.scorer.class_ or 0].reshape(values.shape)
        phase = phase_of(values, plan.tops, plan.lefts, stride)
        maps.append(PositionMap(padding, values, plan.threshold, phase, background, sweep.below))
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


def plan_sweep(runners: Runners, options: DetectOptions, inside: Callable[[], Sequence[NamedMap]] = tuple) -> SweepPlan:
    """Plan a sweep on the network as it is; `inside` lists the maps within it that could be named."""
    own = runners[0][1]
    canvas = Canvas.of(own.size, own.channels, options.mean, options.std, options.bgr)
    scorer = _choose_scorer(runners, options, inside)
    if options.image is not None:
        return _choose_class(own, _shift_picture(own, options.image, options, canvas, scorer))[0]
    tried = []
    for stimulus in _stimuli(own, options):  # as large as it must be to be seen at half of the positions
        plan, full = _choose_class(own, _slide(stimulus, options, canvas, scorer))
        median = median_of(full)
        tried.append((-np.inf if np.isnan(median) else median, plan, full))
        if median >= GOAL:
            break
    _, plan, full = max(tried, key=lambda scored: scored[0])
    return choose_contrast(own, plan, full, options.contrast, options.threshold, options.class_)


def _choose_scorer(runners: Runners, options: DetectOptions, inside: Callable[[], Sequence[NamedMap]]) -> Scorer:
    """Choose the output to score by a run on a blank and on noise."""
    own = runners[0][1]
    shape = (2, own.channels, *own.size)
    probes = np.zeros(shape, np.float32)
    probes[1] = np.random.default_rng(0).standard_normal(shape[1:], dtype=np.float32)
    parts = [outputs_of(own, probes[i : i + 1]) for i in (0, 1)]
    if options.output is not None and options.output not in parts[0]:
        for _, runner in runners:
            runner.with_output(options.output)
        parts = [outputs_of(own, probes[i : i + 1]) for i in (0, 1)]
    blank, noise = parts  # a single number for each has no images among its dimensions
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


def _stimuli(own: Runner, options: DetectOptions) -> Iterator[Stimulus]:
    """Yield the stimulus at the requested height, or at all default ones that fit the image."""
    most_high = max(min(own.size) // 2, HEIGHTS[0])  # larger ones have few positions
    heights = [n for n in HEIGHTS if n <= most_high] if options.height is None else [options.height]
    for i, height in enumerate(heights):
        stimulus = stimulus_of(options.stimulus or STIMULUS, height, own.channels)
        if any(n > size for n, size in zip(stimulus.shape, own.size, strict=True)):
            if i == 0:
                image = f"the image, {own.size[0]} x {own.size[1]}"
                what = f"{stimulus.name} and {stimulus.shape[1]} px wide, is larger than {image}"
                raise OptionError(what, option="stimulus", hint="use a smaller `height`, or a larger `size`")
            return
        yield stimulus


def _slide(stimulus: Stimulus, options: DetectOptions, canvas: Canvas, scorer: Scorer) -> SweepPlan:
    """Plan to draw a stimulus at every position of the image."""
    height, width = (size - n for size, n in zip(canvas.size, stimulus.shape, strict=True))
    step, around = options.step_in((height, width)), stimulus.shape[0] // 2

    def boxes(places: Positions) -> Positions:
        return np.concatenate([places - around, places + np.array(stimulus.shape) + around], axis=1)

    sweep = Sweep(lambda places, contrasts: canvas.draw(stimulus, places, contrasts), boxes, scorer)
    return SweepPlan(sweep, stimulus.name, stimulus.shape, positions(height, step), positions(width, step))


def _shift_picture(own: Runner, image: str | Path, options: DetectOptions, canvas: Canvas, scorer: Scorer) -> SweepPlan:
    """Plan to shift a picture, larger than the frame by the shift, under it to every offset."""
    shift = options.shift_at(canvas.size)
    picture = read_picture(image, (canvas.size[0] + shift, canvas.size[1] + shift), own.channels)
    offsets = positions(shift, options.step_in((shift, shift)))

    def boxes(places: Positions) -> Positions:
        return np.tile(np.array([0, 0, *canvas.size]), (len(places), 1))

    sweep = Sweep(lambda places, contrasts: canvas.frames(picture, places), boxes, scorer)
    return SweepPlan(sweep, Path(image).name, canvas.size, offsets, offsets)


def _choose_class(own: Runner, plan: SweepPlan) -> tuple[SweepPlan, NDArray[np.float64]]:
    """Choose the class to look for, and score a few positions at full contrast.

    By default it is the class whose median rises most over the background's, of those that the background is not.
    """
    sweep, sample = plan.sweep, plan.sample
    scores, class_ = sweep.class_scores(own, sample, np.ones(len(sample))), sweep.scorer.class_
    if class_ is None:
        blank = np.median(sweep.background(own, sample), axis=0)
        more = np.array([median_of(of_class) for of_class in scores.T]) - blank
        more = np.where(np.isnan(more), -np.inf, more)
        others = np.where(blank < GOAL, more, -np.inf)
        class_ = int(np.argmax(others if np.isfinite(others).any() else more))
        plan = replace(plan, sweep=replace(sweep, scorer=sweep.scorer.of_class(class_)))
    return plan, scores[:, class_]
