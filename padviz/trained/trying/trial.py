"""Trials of remedies on a trained network: its outputs on pictures, before and after
each change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName
from padviz.geometry.balance.balanced_sizes import nearest_balanced
from padviz.intervals import CHANGED, Estimate, mean, share
from padviz.network.network import Size, as_size, in_words
from padviz.network.padding_modes import OTHER
from padviz.progress import Progress, counter
from padviz.trained.images import (
    Crop,
    Crops,
    Frame,
    Inputs,
    few_pictures,
    in_frame,
    resized_frame,
    room_for,
)
from padviz.trained.networks.reading import runner_of
from padviz.trained.networks.running import Floats, Images, OutputKind, Runner, outputs_of
from padviz.trained.networks.trained_network import Trained
from padviz.trained.trying import comparing
from padviz.trained.trying.comparing import Output, overlap, run_crops

How = Literal["crop", "resize"]
ChangeKind = Literal["shift", "size", "padding"]
TrialNeeds = Literal["today's weights", "fine-tune", "more pictures"]
Figures = dict[str, Floats]  # of each crop, by name
# What runs it under a scheme, and notes on what stays.
Repad = Callable[[Trained, str], tuple[Runner, list[str]]]
LEAST_KEPT, MOST_MOVED = 0.5, 1.0  # under a shift by one pixel: beyond these it is no baseline
ALIKE = 1e-6  # of the largest output: how far those of two images differ by rounding alone
ROUNDING = 1e-9  # of shares that are sums over crops


@dataclass(frozen=True, eq=False)
class TrialRow:
    """A change and its effect: `figures` are means over crops, with their 95 % intervals over
    pictures.

    Scores of classes have `kept`, the share of crops whose best class stays, and `kl`, the KL
    divergence from the probabilities as trained, in nats. Other outputs have `relative`, the change
    over the output's norm, and `correlation`; the norm is the root mean square over crops.
    `against_shift` is each of them minus that of a shift by one pixel, crop by crop. Where there
    are none, `note` says why. `size` is what it ran at: `how` is by a larger or smaller "crop" of
    the scene or by a "resize". `needs` follows from the intervals of kept answers and of the
    divergence, or of the relative change. It is "fine-tune" where one of them is worse than the
    shift's, and "today's weights" where each loses at most twice what the shift loses. Else, or
    where a difference has no interval or all crops have one class, it is "more pictures".
    """

    kind: ChangeKind
    size: Size
    how: How | None
    padding: str | None
    trained_at: Size
    figures: dict[str, Estimate]
    against_shift: dict[str, Estimate] = field(default_factory=dict)
    needs: TrialNeeds | None = None
    note: str = ""

    @property
    def change(self) -> str:
        if self.kind == "shift":
            return "a shift by one pixel"
        if self.kind == "padding":
            return f"{self.padding} padding"
        height, width = self.size
        pixels = f"{height} x {width} px"
        if height == width:
            pixels = f"{height} px"
        if self.how == "resize":
            return f"{pixels} (resized)"
        rows = height - self.trained_at[0]
        if rows != width - self.trained_at[1]:
            return f"{pixels} (another crop)"
        which = "more" if rows > 0 else "fewer"
        if abs(rows) == 1:
            return f"{pixels} (one row {which})"
        return f"{pixels} ({abs(rows)} rows {which})"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All figures, and all differences from the shift."""
        return (*self.figures.values(), *self.against_shift.values())

    @property
    def main(self) -> Estimate | None:
        """The figure that the change is judged by."""
        return next(iter(self.figures.values()), None)


@dataclass(frozen=True, eq=False)
class Trial:
    """The effect of changes on a trained network.

    The first of `rows` is the baseline, a shift by one pixel.
    """

    network: str
    title: str
    size: Size
    images: str
    count: int
    pictures: int
    output: str
    kind: OutputKind
    rows: tuple[TrialRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def shift(self) -> TrialRow:
        return self.rows[0]

    @property
    def changes(self) -> tuple[TrialRow, ...]:
        return self.rows[1:]

    def row(
        self, *, size: int | Size | None = None, padding: str | None = None, how: How = "crop"
    ) -> TrialRow:
        if size is None:
            for row in self.rows:
                if row.kind == "padding" and row.padding == padding:
                    return row
            raise UnknownName(f"{padding} was not tried", where=self.network)
        wanted = size
        if isinstance(size, int):
            wanted = (size, size)
        for row in self.rows:
            if row.kind == "size" and (row.size, row.how) == (wanted, how):
                return row
        raise UnknownName(f"{size} was not tried", where=self.network)


@dataclass(eq=False)
class Variant:
    """A change, and how it is run: on which frame of each crop's scene, resized where `how` says
    so.

    `parts` are the figures of each batch of crops, or their scores of classes. A variant that
    fails, or whose output cannot be compared, is left out, and `note` says why.
    """

    kind: ChangeKind
    runner: Runner
    frame: Frame
    how: How | None = None
    padding: str | None = None
    required: bool = True  # asked for, so that it must run
    parts: list[Figures] = field(default_factory=list)
    note: str = ""

    def images(self, crops: Sequence[Crop], scenes: Images, room: Frame) -> Images:
        if self.how == "resize":
            return np.stack([crop.scene(self.frame, self.runner.size) for crop in crops])
        return in_frame(scenes, room, self.frame)

    def run(self, images: Images, before: Floats, output: Output, size: Size) -> None:
        """Run a batch of crops, and keep how the output differs from the one `before`
        the change.
        """
        try:
            after = outputs_of(self.runner, images)[output.name]
        except PadvizError as error:
            if self.required:
                raise
            self.note = error.what
            return
        if output.kind == "classes" and after.shape == before.shape:
            self.parts.append({"scores": after})
            return
        parts = None
        # A resized image has other pixels: only maps of one shape stand for the same places.
        if output.kind == "map" and (self.how != "resize" or after.shape == before.shape):
            parts = overlap(before.shape[1:], after.shape[1:], self.frame, size)
        if parts is None:
            returned, trained = in_words(after.shape[1:]), in_words(before.shape[1:])
            self.note = f"makes {returned}, and {trained} as trained: not comparable"
            return
        self.parts.append(comparing.compare_maps(before[:, *parts[0]], after[:, *parts[1]]))

    def compare(self, scores: Floats | None) -> Figures:
        """Return the figures of all crops, from the `scores` before if they are of classes.

        None if there is a note.
        """
        if self.note:
            return {}
        figures = {}
        for name in self.parts[0]:
            figures[name] = np.concatenate([part[name] for part in self.parts])
        if scores is None:
            changed = figures["moved"]
        else:
            changed = figures["scores"]
        lost = np.count_nonzero(~np.isfinite(changed.reshape(len(changed), -1)).all(1))
        if lost:
            self.note = f"returns NaN or infinite numbers for {lost} of {len(changed)} crops"
            return {}
        if scores is not None:
            return comparing.compare_classes(scores, changed)
        # The norm is that of all crops, so that one whose output is near 0 counts little.
        norm = max(float(np.sqrt((figures["norm"] ** 2).mean())), comparing.LEAST)
        return {"relative": figures["moved"] / norm, "correlation": figures["correlation"]}


class AsTrained(NamedTuple):
    """The network as it is, on all crops: the output, its scores of classes if it has some, and
    each crop's picture.
    """

    output: Output
    scores: Floats | None
    pictures: list[int]

    @property
    def one_class(self) -> int | None:
        """The class of all crops; None where they have several, or there is one crop, or a map."""
        if self.scores is None or len(self.pictures) < 2:
            return None
        best = set(
            comparing.probabilities(self.scores, comparing.kind_of(self.scores)).argmax(1).tolist()
        )
        return best.pop() if len(best) == 1 else None


def try_changes(
    trained: Trained,
    sizes: int | Sequence[int | Size] | None,
    padding: str | Sequence[str] | None,
    inputs: Inputs,
    repad: Repad,
    on_progress: Progress | None,
) -> Trial:
    """Run a trained network as it is, and with each change, on the same crops."""
    runner, notes = runner_of(trained), [*trained.notes]
    variants = [
        Variant("shift", runner, Frame(1, 1, *runner.size)),
        *_sizes(trained, sizes, sizes is None and padding is None, notes),
        *_paddings(trained, padding, sizes is None and padding is None, repad, notes),
    ]
    if len(variants) == 1:
        raise OptionError(
            "leaves nothing to try", option="padding", hint="name a scheme, or a `size`"
        )
    room = room_for([Frame(0, 0, *runner.size), *(variant.frame for variant in variants)])
    crops = Crops(inputs, runner.size, room, runner.channels)
    as_trained = _run(runner, variants, crops, counter(inputs.n * (1 + len(variants)), on_progress))
    rows = tuple(_rows(variants, as_trained))
    pictures = as_trained.pictures
    notes += [*crops.notes, *few_pictures(pictures), *_doubts(rows, as_trained)]
    about = trained.network.name, trained.network.title, trained.size, crops.name
    return Trial(*about, len(pictures), len({*pictures}), *as_trained.output, rows, tuple(notes))


def _doubts(rows: Sequence[TrialRow], as_trained: AsTrained) -> Iterator[str]:
    """Note figures without intervals, a baseline that changes most of the output, and crops of one
    class.
    """
    bare = [row.change for row in rows if any(figure.low is None for figure in row.estimates)]
    if bare and not few_pictures(as_trained.pictures):
        yield f"no interval where fewer than {CHANGED} photographs change: {', '.join(bare)}"
    if rows[0].main is not None and rows[0].main.value is not None:
        value = rows[0].main.value
        unlike = value > MOST_MOVED
        if as_trained.output.kind == "classes":
            unlike = value < LEAST_KEPT
        if unlike:
            yield (
                "even a shift by one pixel changes most of the output: use images like the "
                "training images"
            )
    class_ = as_trained.one_class
    if class_ is not None:
        yield (
            f"all {len(as_trained.pictures)} crops have class {class_} as trained: use more "
            "photographs"
        )


def _sizes(
    trained: Trained, sizes: int | Sequence[int | Size] | None, by_default: bool, notes: list[str]
) -> Iterator[Variant]:
    """Yield the sizes that were asked for.

    Or the balanced ones that the network takes, with notes on the others.
    """
    trained_size = trained.size
    if by_default:
        wanted = [near.size for near in nearest_balanced(trained.network, trained_size) if near]
        if not wanted:
            notes.append(f"no balanced size near {trained_size[0]} x {trained_size[1]}")
    else:
        asked = (sizes,) if isinstance(sizes, int) else sizes or ()
        wanted = [as_size(size) for size in asked]
    for size in dict.fromkeys(wanted):
        if size == trained_size:
            raise OptionError(
                f"{size[0]} x {size[1]} is the training size", option="size", hint="try another"
            )
        try:
            runner = runner_of(replace(trained, size=size))
        except PadvizError as error:
            if not by_default:
                raise
            notes.append(f"{size[0]} x {size[1]} px: not tried: {error.what}")
            continue
        yield Variant(
            "size", runner, resized_frame(trained_size, size), "crop", required=not by_default
        )
        yield Variant("size", runner, Frame(0, 0, *trained_size), "resize", required=not by_default)


def _paddings(
    trained: Trained,
    padding: str | Sequence[str] | None,
    by_default: bool,
    repad: Repad,
    notes: list[str],
) -> Iterator[Variant]:
    """Yield the schemes that were asked for.

    Or all that keep sizes, with notes on what cannot be run.
    """
    schemes = (padding,) if isinstance(padding, str) else padding or ()
    if by_default:
        schemes = OTHER
    for scheme in dict.fromkeys(schemes):
        try:
            runner, stays = repad(trained, scheme)
        except PadvizError as error:
            if not by_default:
                raise
            notes.append(f"{scheme} padding: not tried: {error.what}")
            continue
        notes += stays
        yield Variant(
            "padding", runner, Frame(0, 0, *trained.size), padding=scheme, required=not by_default
        )


def _run(
    runner: Runner, variants: Sequence[Variant], crops: Crops, advance: Callable[[int], None]
) -> AsTrained:
    """Run all variants on all crops; `advance` counts every image."""
    outputs = list[Output]()
    scores, pictures = list[Floats](), list[int]()
    first: Floats | None = None
    reacts = False
    for batch in run_crops(runner, crops):
        count, before = len(batch.crops), batch.before
        advance(count)
        if first is None:
            first = before[:1]
        reacts |= bool((np.abs(before - first) > ALIKE * np.abs(first).max()).any())
        outputs.append(batch.output)
        if batch.output.kind == "classes":
            scores.append(before)
        pictures += [crop.picture for crop in batch.crops]
        for variant in variants:
            if not variant.note:
                images = variant.images(batch.crops, batch.scenes, crops.room)
                variant.run(images, before, batch.output, runner.size)
            advance(count)
    if not reacts and len(pictures) > 1:
        what = "does not react: its output is the same for all images"
        raise DescriptionError(what, where=runner.where, hint="use trained weights")
    return AsTrained(outputs[0], np.concatenate(scores) if scores else None, pictures)


def _rows(variants: Sequence[Variant], as_trained: AsTrained) -> Iterator[TrialRow]:
    pictures = np.array(as_trained.pictures)
    _, at = np.unique(pictures, return_inverse=True)
    by_variant = [variant.compare(as_trained.scores) for variant in variants]
    size, shift = variants[0].runner.size, by_variant[0]
    for variant, figures in zip(variants, by_variant, strict=True):
        about = variant.kind, variant.runner.size, variant.how, variant.padding, size
        if not figures:
            yield TrialRow(*about, {}, note=variant.note)
            continue
        estimates = {}
        for name, values in figures.items():
            estimates[name] = mean(values, pictures).figure
            if name == "kept":  # a share of crops, by picture
                estimates[name] = share(np.bincount(at, values), np.bincount(at), least=0).figure
        if variant is variants[0] or not shift:
            yield TrialRow(*about, estimates)
            continue
        against = {
            name: mean(values - shift[name], pictures).figure for name, values in figures.items()
        }
        losses = {name: float(values.mean()) for name, values in shift.items()}
        needs: TrialNeeds = "more pictures"
        if as_trained.one_class is None:
            needs = needs_of(against, losses)
        yield TrialRow(*about, estimates, against, needs)


def needs_of(against: Mapping[str, Estimate], shift: Mapping[str, float]) -> TrialNeeds:
    """Decide by the loss beyond that of the shift: in kept answers, divergence or
    relative change.
    """
    settled = True
    for name in ("kept", "kl", "relative"):
        if name not in against:
            continue
        _, low, high = against[name]
        if low is None or high is None:
            settled = False
            continue
        least, most, loss = low, high, shift[name]
        if name == "kept":  # more of it is better
            least, most, loss = -high, -low, 1 - loss
        if least > 0:
            return "fine-tune"
        settled &= most <= loss + ROUNDING
    return "today's weights" if settled else "more pictures"
