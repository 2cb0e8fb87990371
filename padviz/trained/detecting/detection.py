"""Detection by position: its options, the plan of a sweep of the stimulus or picture,
and the maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from math import prod
from pathlib import Path

import numpy as np

from padviz.errors import OptionError, PadvizError, check_integer
from padviz.files.unfinished import ResumeOptions, Unfinished, digest_of, saved_on_exit
from padviz.geometry.receptive_fields import receptive_fields
from padviz.network.network import AXES, Size
from padviz.progress import Progress, counter
from padviz.trained.detecting.detectability import (
    LITTLE,
    SEEN,
    Detectability,
    PositionMap,
    doubts,
    phase_of,
)
from padviz.trained.detecting.outputs import Scorable, Scorer, maps_inside, scorer_of
from padviz.trained.detecting.sweeping import Canvas, Places, Stimulus, Sweep, stimulus_of
from padviz.trained.images import open_picture, pixels_of
from padviz.trained.networks.running import Floats, Images, Runner, batches, outputs_of
from padviz.trained.networks.trained_network import Trained

STIMULUS, SHIFT, FULL = "sample", 32, 1.0  # by default; pixels, and the contrast
PART = 8  # of the image's shorter side that a stimulus is high by default
FINEST, MANY = 8, 400  # the default step: at least so many pixels, and at most so many positions
MOST_POSITIONS = 250_000
HINT = "try another `stimulus`, a larger `height`, or another `layer` or `class`"
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
    layer: str | None = None
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
                    raise OptionError(
                        "cannot be combined with `image`",
                        option=option,
                        hint="leave out one of them",
                    )
        elif self.shift is not None:
            raise OptionError(
                "has no use without a picture",
                option="shift",
                hint="leave it out, or give one: `image`",
            )
        if self.threshold and self.contrast is not None:
            raise OptionError(
                "cannot be combined with `threshold`",
                option="contrast",
                hint="leave out one of them",
            )
        if self.contrast is not None and not 0 < self.contrast <= 1:  # nor is NaN
            raise OptionError(f"{self.contrast}: must be above 0, at most 1", option="contrast")

    def check(self, size: Size) -> None:
        """Reject a height or a shift larger than the image, before anything is read or drawn at
        that size.
        """
        for option, most, more in (("height", size[0], "higher"), ("shift", max(size), "larger")):
            if (getattr(self, option) or 0) > most:
                what = (
                    f"{getattr(self, option)} is {more} than the image, {size[0]} x {size[1]} "
                    "pixels"
                )
                raise OptionError(what, option=option, hint=f"use up to {most}, or a larger `size`")

    def shift_at(self, size: Size) -> int:
        if self.shift is None:
            return min(SHIFT, max(size))
        return self.shift

    def height_at(self, size: Size) -> int:
        """Return the height of a stimulus: as asked, or an eighth of the image's shorter side.

        >>> DetectOptions().height_at((224, 320)), DetectOptions(height=12).height_at((224, 320))
        (28, 12)
        """
        return self.height or max(min(size) // PART, 1)

    def step_in(self, room: Size) -> int:
        """Return the step between positions: as asked, or the least, from 8 on, that makes at most
        400 of them.

        >>> options = DetectOptions()
        >>> (options.step_in((576, 576)), options.step_in((48, 48)),
        ...  DetectOptions(step=3).step_in((576, 576)))
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
    trained: Trained,
    runners: Runners,
    notes: Sequence[str],
    options: DetectOptions,
    resume: ResumeOptions,
    on_progress: Progress | None,
) -> Detectability:
    """Score every position under each padding.

    Values of an interrupted sweep are kept, and the error says where.
    """
    sweep = plan_sweep(runners, options, lambda: maps_inside(trained))
    question = ""
    if resume.path:
        question = _question(runners, options)
    values = Unfinished(resume.path, question, len(sweep.places) * len(runners), resume.resume)
    with saved_on_exit(values):
        maps = map_positions(runners, sweep, _total_stride(trained), values, on_progress)
    if not maps[0].reacts:
        values.remove()
        raise _nothing_reacts(maps[0], runners[0][1].where)
    shown = (
        trained.network.name,
        trained.network.title,
        trained.size,
        sweep.name,
        sweep.shape,
        sweep.contrast,
    )
    output = sweep.scorer.output, sweep.scorer.class_
    hint = "" if options.image else "; `threshold` maps the contrast needed"
    said = (*notes, *doubts(maps, hint))
    return Detectability(*shown, *output, sweep.tops, sweep.lefts, maps, bool(options.image), said)


def _nothing_reacts(score_map: PositionMap, where: str) -> OptionError:
    hint, without = HINT, score_map.without
    if score_map.nan == 1:
        what = "the network returns NaN at every position"
    elif without is None:
        what = "the network returns NaN for the background alone"
    elif not score_map.threshold:
        what = (
            f"nothing reacts to what is shown: every score is within {LITTLE} of the "
            f"background's, {without:.3g}"
        )
    elif score_map.below:
        what = (
            f"the background alone is seen, with a score of {without:.3g}, and no contrast up to "
            "1 changes that"
        )
    else:
        what = "the stimulus is not seen at any position, at contrasts up to 1"
        hint = f"{HINT}; without `threshold`, the map shows scores at full contrast"
    return OptionError(what, where=where, hint=hint)


def _question(runners: Runners, options: DetectOptions) -> str:
    """Identify a sweep by what is run and shown.

    Files count by their contents, wherever they lie.
    """
    runner, shown = runners[0][1], vars(options).copy()
    files = []
    for name in ("stimulus", "image"):
        if shown[name] is not None and Path(shown[name]).is_file():
            files.append(shown[name])
            shown[name] = "a file"
    digest, schemes = digest_of(runner.contents(), files), [scheme for scheme, _ in runners]
    return f"{digest} {runner.size} {schemes} {shown}"


def map_positions(
    runners: Runners,
    sweep: Sweep,
    stride: Size | None,
    kept: Unfinished,
    on_progress: Progress | None,
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
        background = sweep.background(runner).reshape(shape)
        phase = phase_of(values, sweep.tops, sweep.lefts, stride)
        maps.append(PositionMap(padding, values, background, sweep.threshold, sweep.below, phase))
        if not maps[0].reacts:
            break
    return tuple(maps)


def _total_stride(trained: Trained) -> tuple[int, int] | None:
    """Return the largest stride of any layer towards the image, by axis: scores may repeat with it.

    None if unknown.
    """
    try:
        fields = receptive_fields(trained.network, trained.size)
    except PadvizError:  # a head that cannot be followed can still be run
        return None
    strides = [
        [axis.stride for row in fields if (axis := getattr(row, name)) and axis.stride]
        for name in AXES[2]
    ]
    height, width = (max((int(stride) for stride in sides), default=1) for sides in strides)
    return height, width


def plan_sweep(
    runners: Runners, options: DetectOptions, inside: Callable[[], Sequence[Scorable]] = tuple
) -> Sweep:
    """Plan a sweep on the network as it is.

    `inside` lists the maps within it that could be named.
    """
    runner = runners[0][1]
    canvas = Canvas(runner.size, runner.channels, options.mean, options.std, options.bgr)
    scorer = _choose_scorer(runners, options, inside)
    if options.image is not None:
        return _shift_picture(runner, options.image, options, canvas, scorer)
    height = options.height_at(runner.size)
    stimulus = stimulus_of(options.stimulus or STIMULUS, height, runner.channels)
    if any(n > size for n, size in zip(stimulus.shape, runner.size, strict=True)):
        what = f"{stimulus.name} and {stimulus.shape[1]} px wide, is larger than the image, "
        what += f"{runner.size[0]} x {runner.size[1]}"
        raise OptionError(
            what, option="stimulus", hint="use a smaller `height`, or a larger `size`"
        )
    sweep = _slide(stimulus, options, canvas, scorer)
    if not options.threshold:
        return sweep
    # Where the background alone is seen, its contrast is 0: the question is what hides it.
    below = bool((sweep.background(runner) >= SEEN).mean() >= 0.5)
    return replace(sweep, threshold=True, below=below)


def _choose_scorer(
    runners: Runners, options: DetectOptions, inside: Callable[[], Sequence[Scorable]]
) -> Scorer:
    """Read the kinds of outputs, and whether they are probabilities, from a run on a blank and on
    noise.
    """
    as_trained = runners[0][1]
    shape = (1, as_trained.channels, *as_trained.size)
    noise = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    probes = np.zeros(shape, np.float32), noise
    runs = [outputs_of(as_trained, probe) for probe in probes]
    if options.layer is not None and options.layer not in runs[0]:
        for _, runner in runners:
            runner.with_output(options.layer)
        runs = [outputs_of(as_trained, probe) for probe in probes]
    outputs = {}
    for name, values in runs[0].items():
        outputs[name] = values
        if values.ndim:  # a single number for each has no images among its dimensions
            outputs[name] = np.concatenate([run[name] for run in runs])
    return scorer_of(
        outputs, as_trained.size, as_trained.where, options.layer, options.class_, inside
    )


def _slide(stimulus: Stimulus, options: DetectOptions, canvas: Canvas, scorer: Scorer) -> Sweep:
    room = canvas.size[0] - stimulus.shape[0], canvas.size[1] - stimulus.shape[1]
    step, around = options.step_in(room), stimulus.shape[0] // 2

    def boxes(places: Places) -> Places:
        return np.concatenate([places - around, places + np.array(stimulus.shape) + around], axis=1)

    tops, lefts = (tuple(range(0, n + 1, step)) for n in room)
    if options.contrast is None:
        contrast = FULL
    else:
        contrast = options.contrast
    draw = partial(canvas.draw, stimulus)
    return Sweep(draw, boxes, scorer, stimulus.name, stimulus.shape, tops, lefts, contrast)


def _shift_picture(
    runner: Runner, image: str | Path, options: DetectOptions, canvas: Canvas, scorer: Scorer
) -> Sweep:
    """Plan to shift a picture, larger than the frame by the shift, under it to every offset."""
    shift = options.shift_at(canvas.size)
    picture = pixels_of(
        open_picture(image), (canvas.size[0] + shift, canvas.size[1] + shift), runner.channels
    )
    offsets = tuple(range(0, shift + 1, options.step_in((shift, shift))))

    def boxes(places: Places) -> Places:
        return np.tile(np.array([0, 0, *canvas.size]), (len(places), 1))

    def draw(places: Places, contrasts: Floats) -> Images:
        height, width = canvas.size
        frames = np.stack(
            [picture[:, top : top + height, left : left + width] for top, left in places]
        )
        return canvas.ordered((frames - canvas.mean) / canvas.std)

    return Sweep(draw, boxes, scorer, Path(image).name, canvas.size, offsets, offsets)
