"""A question of detectability, from what is asked to maps of positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError
from padviz.files.unfinished import Keeping, Unfinished
from padviz.geometry.receptive_fields import receptive_fields
from padviz.network.network import AXES, Size
from padviz.progress import Progress
from padviz.trained.detecting.contrasts import HINT, Chosen, chosen
from padviz.trained.detecting.detectability import LITTLE, Detectability, PositionMap, phase_of, positions
from padviz.trained.detecting.doubts import doubts
from padviz.trained.detecting.outputs.boxes import refuse_boxes
from padviz.trained.detecting.outputs.inside import Inner, maps_inside
from padviz.trained.detecting.outputs.scoring import Scorer, maps_of, scorer_of
from padviz.trained.detecting.question import STIMULUS, Question
from padviz.trained.detecting.stimuli import Canvas, Stimulus, stimulus_of
from padviz.trained.detecting.sweeping import GOAL, Places, Sweep, median_of
from padviz.trained.sessions.pictures import read_picture
from padviz.trained.sessions.running import Kept, Runner, outputs_of
from padviz.trained.weights.trained_network import Trained

HEIGHTS = (12, 16, 24, 32, 48, 64, 96, 128, 192)  # pixels, tried one after another
FEW = 32  # positions at which contrasts are chosen
MOST_POSITIONS = 250_000
Runners = Sequence[tuple[str | None, Runner]]  # by padding; the network as it is comes first
Keep = Callable[[int], Kept]  # what keeps so many values


@dataclass(frozen=True, eq=False)
class Answer:
    """The maps of a question, and what was chosen on the way."""

    name: str
    shape: Size
    contrast: float
    scorer: Scorer
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    maps: tuple[PositionMap, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Plan:
    """A sweep, over which positions, and with which contrast."""

    sweep: Sweep
    name: str
    shape: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    choice: Chosen | None = None  # how the stimulus is shown

    @property
    def places(self) -> Places:
        return np.array([(top, left) for top in self.tops for left in self.lefts], np.int64)

    @property
    def sample(self) -> Places:
        """Some of the places, drawn at random: those of a grid would all be of one phase of the strides."""
        return self.places[np.random.default_rng(0).permutation(len(self.tops) * len(self.lefts))[:FEW]]


_Scored = tuple[_Plan, NDArray[np.float64]]  # a plan, and the scores of a few of its positions at full contrast


def seek(
    trained: Trained,
    runners: Runners,
    notes: Sequence[str],
    question: Question,
    keeping: Keeping,
    on_progress: Progress | None,
) -> Detectability:
    """Score every position under each padding; what is interrupted is kept, and the error says where."""
    about = f"{keeping.about} {trained.size} {[scheme for scheme, _ in runners]} {question}"
    kept: list[Unfinished] = []

    def keep(count: int) -> Unfinished:
        kept.append(Unfinished(keeping.path, about, count, keeping.resume))
        return kept[0]

    try:
        answer = answered(runners, question, total_stride(trained), keep, on_progress, lambda: maps_inside(trained))
    except OptionError:  # of what was asked: nothing of it is worth keeping
        for unfinished in kept:
            unfinished.remove()
        raise
    except BaseException as error:
        for unfinished in kept if keeping.path else ():
            unfinished.write()
            error.add_note(unfinished.in_words())
        raise
    with suppress(OptionError):  # what cannot be kept can still be handed back
        kept[0].write()
    head = trained.network.name, trained.network.title, trained.size, answer.name, answer.shape, answer.contrast
    picked = answer.scorer.output, answer.scorer.class_, answer.tops, answer.lefts, answer.maps
    return Detectability(*head, *picked, bool(question.image), (*notes, *answer.notes))


def total_stride(trained: Trained) -> tuple[int, int] | None:
    """Find the largest stride of any layer towards the image, by axis: scores may repeat with it; None if unknown."""
    try:
        fields = receptive_fields(trained.network, trained.size)
    except PadvizError:  # a head that cannot be followed can still be run
        return None
    strides = [[axis.stride for row in fields if (axis := getattr(row, name)) and axis.stride] for name in AXES[2]]
    height, width = (max((int(stride) for stride in sides), default=1) for sides in strides)
    return height, width


def answered(
    runners: Runners, question: Question, stride: Size | None, keep: Keep, on_progress: Progress | None,
    inside: Callable[[], Sequence[Inner]] = tuple,
) -> Answer:  # fmt: skip
    """Plan the sweep on the network as it is, and make it under each padding; `inside` lists maps to ask for."""
    own = runners[0][1]
    canvas = Canvas.of(own.size, own.channels, question.mean, question.std, question.bgr)
    scorer = _scorer(runners, question, inside)
    plan = _shifted(own, question, canvas, scorer) if question.image else _slid(own, question, canvas, scorer)
    count = len(plan.places)
    kept = keep(count * len(runners))
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, count * len(runners))

    choice = plan.choice or Chosen(plan.sweep)
    sweep = replace(choice.sweep, advance=advance)
    maps = []
    for i, (padding, runner) in enumerate(runners):
        part = _Part(kept, slice(i * count, (i + 1) * count))
        sweep.fill(part, runner, plan.places, None if choice.threshold else choice.contrast)
        values = part.values.reshape(len(plan.tops), len(plan.lefts))
        background = sweep.background(runner, plan.places)[:, sweep.scorer.class_ or 0].reshape(values.shape)
        phase = phase_of(values, plan.tops, plan.lefts, stride)
        maps.append(PositionMap(padding, values, choice.threshold, phase, background, sweep.below))
        if i == 0 and not maps[0].reacts:
            raise _nothing(maps[0], own)
    notes = (*([choice.why] if choice.why else []), *doubts(maps))
    return Answer(plan.name, plan.shape, choice.contrast, sweep.scorer, plan.tops, plan.lefts, tuple(maps), notes)


def _nothing(score_map: PositionMap, own: Runner) -> OptionError:
    """Refuse a map of an output that does not depend on what is shown."""
    what = "the network makes NaN at every position"
    if score_map.lost < 1:
        what = f"nothing reacts to what is shown: every score is within {LITTLE} of the background's"
        what += "" if score_map.without is None else f", {score_map.without:.3g}"
    return OptionError(what, where=own.where, hint=HINT)


class _Part:
    """Some of what is kept: a view, so that what is filled in is kept."""

    def __init__(self, whole: Kept, at: slice) -> None:
        self.whole, self.values = whole, whole.values[at]

    def save(self) -> None:
        self.whole.save()


def _scorer(runners: Runners, question: Question, inside: Callable[[], Sequence[Inner]]) -> Scorer:
    """Choose the output to look at by what the network makes of a blank and of noise."""
    own = runners[0][1]
    shape = (2, own.channels, *own.size)
    probes = np.zeros(shape, np.float32)
    probes[1] = np.random.default_rng(0).standard_normal(shape[1:], dtype=np.float32)
    parts = [outputs_of(own, probes[i : i + 1]) for i in (0, 1)]
    if question.output is not None and question.output not in parts[0]:
        for _, runner in runners:
            runner.with_output(question.output)
        parts = [outputs_of(own, probes[i : i + 1]) for i in (0, 1)]
    outputs = {name: _together([part[name] for part in parts]) for name in parts[0]}
    scorer = scorer_of(outputs, own.size, own.where, question.output, inside)
    if question.class_ is not None:
        return scorer.of_class(question.class_)
    if scorer.kind == "map":
        maps = {inner.name: inner for inner in (*inside(), *maps_of(outputs, own.size))}
        if looked := maps.pop(scorer.output, None):
            asked = question.output is not None
            refuse_boxes(looked, asked, [*maps.values()], own.size, scorer.squashed, own.where)
    return scorer


def _together(outputs: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join an output of all probes; a single number for each has no images among its dimensions."""
    return np.concatenate(outputs) if outputs[0].ndim else outputs[0]


def _slid(own: Runner, question: Question, canvas: Canvas, scorer: Scorer) -> _Plan:
    """Choose a stimulus as large as it must be to be seen at half of the positions, and its contrast."""
    plan, full = _first_seen(
        _with_class(own, _sliding(stimulus, question, canvas, scorer)) for stimulus in _stimuli(own, question)
    )
    return replace(plan, choice=chosen(own, plan.sweep, plan.sample, full, question))


def _stimuli(own: Runner, question: Question) -> Iterator[Stimulus]:
    """Yield the stimulus at the height asked for, or at one after another that the image has room for."""
    most_high = max(min(own.size) // 2, HEIGHTS[0])  # larger ones have few positions
    heights = [n for n in HEIGHTS if n <= most_high] if question.height is None else [question.height]
    for i, height in enumerate(heights):
        stimulus = stimulus_of(question.stimulus or STIMULUS, height, own.channels)
        if any(n > size for n, size in zip(stimulus.shape, own.size, strict=True)):
            if i == 0:
                raise _too_large(stimulus, own.size)
            return
        yield stimulus


def _first_seen(plans: Iterable[_Scored]) -> _Scored:
    """Return the first plan that is seen at half of the positions, or the one that is seen best."""
    tried = []
    for plan, full in plans:
        median = median_of(full)
        tried.append((-np.inf if np.isnan(median) else median, plan, full))
        if median >= GOAL:
            break
    _, plan, full = max(tried, key=lambda scored: scored[0])
    return plan, full


def _sliding(stimulus: Stimulus, question: Question, canvas: Canvas, scorer: Scorer) -> _Plan:
    room = [size - n for size, n in zip(canvas.size, stimulus.shape, strict=True)]
    tops, lefts = (positions(n, question.step_in((room[0], room[1]))) for n in room)
    _check_count(len(tops) * len(lefts))
    around = stimulus.shape[0] // 2

    def boxes(places: Places) -> Places:
        return np.concatenate([places - around, places + np.array(stimulus.shape) + around], axis=1)

    sweep = Sweep(lambda places, contrasts: canvas.draw(stimulus, places, contrasts), boxes, scorer)
    return _Plan(sweep, stimulus.name, stimulus.shape, tops, lefts)


def _shifted(own: Runner, question: Question, canvas: Canvas, scorer: Scorer) -> _Plan:
    """Plan to put a picture that is larger than the frame by the shift under it at every offset."""
    path = Path(str(question.image))
    shift = question.shift_at(canvas.size)
    larger = canvas.size[0] + shift, canvas.size[1] + shift
    picture = read_picture(path, larger, own.channels)
    offsets = positions(shift, question.step_in((shift, shift)))
    _check_count(len(offsets) ** 2)

    def boxes(places: Places) -> Places:
        return np.tile(np.array([0, 0, *canvas.size]), (len(places), 1))

    sweep = Sweep(lambda places, contrasts: canvas.frames(picture, places), boxes, scorer)
    return _with_class(own, _Plan(sweep, path.name, canvas.size, offsets, offsets))[0]


def _with_class(own: Runner, plan: _Plan) -> _Scored:
    """Choose the plan's class to look for, and score a few positions at full contrast.

    By default it is the class whose median rises most over the background's, of those that the background is not.
    """
    scores = plan.sweep.all(own, plan.sample, np.ones(len(plan.sample)))
    if plan.sweep.scorer.class_ is None:
        blank = np.median(plan.sweep.background(own, plan.sample), axis=0)
        more = np.array([median_of(of_class) for of_class in scores.T]) - blank
        more = np.where(np.isnan(more), -np.inf, more)
        others = np.where(blank < GOAL, more, -np.inf)
        class_ = int(np.argmax(others if np.isfinite(others).any() else more))
        plan = replace(plan, sweep=replace(plan.sweep, scorer=plan.sweep.scorer.of_class(class_)))
    return plan, scores[:, plan.sweep.scorer.class_ or 0]


def _too_large(stimulus: Stimulus, size: Size) -> OptionError:
    what = f"{stimulus.name} and {stimulus.shape[1]} px wide, is larger than the image, {size[0]} x {size[1]}"
    return OptionError(what, option="stimulus", hint="use a smaller `height`, or a larger `size`")


def _check_count(count: int) -> None:
    if count > MOST_POSITIONS:
        what = f"makes {count} positions, more than {MOST_POSITIONS}"
        raise OptionError(what, option="step", hint="use a larger one")
