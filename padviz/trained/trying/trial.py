"""Trials of remedies on a trained network: its outputs on pictures, before and after each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName
from padviz.geometry.balance.balanced_sizes import nearest_balanced
from padviz.intervals import CHANGED, Estimate, mean, share
from padviz.network.network import Size, as_size, in_words
from padviz.network.padding_modes import OTHER
from padviz.progress import Progress, counter
from padviz.trained.images import Crop, Crops, Frame, Inputs, few_pictures, resized_frame, room_for
from padviz.trained.networks.reading import runner_of
from padviz.trained.networks.running import Floats, Images, OutputKind, Runner, at_once, outputs_of
from padviz.trained.networks.trained_network import Trained
from padviz.trained.trying import comparing
from padviz.trained.trying.comparing import Output, output_of, overlap

How = Literal["crop", "resize"]
ChangeKind = Literal["shift", "size", "padding"]
TrialNeeds = Literal["today's weights", "fine-tune", "more pictures"]
Figures = dict[str, Floats]  # of each crop, by name
Repad = Callable[[Trained, str], tuple[Runner, list[str]]]  # what runs it under a scheme, and notes on what stays
LEAST_KEPT, MOST_MOVED = 0.5, 1.0  # under a shift by one pixel: beyond these it is no baseline
ALIKE = 1e-6  # of the largest output: how far those of two images differ by rounding alone
ROUNDING = 1e-9  # of shares that are sums over crops


@dataclass(frozen=True, eq=False)
class TrialRow:
    """A change and its effect: `figures` are means over crops, with their 95 % intervals over pictures.

    Scores of classes have `kept`, the share of crops whose best class stays, and `kl`, the KL divergence from the
    probabilities as trained, in nats. Other outputs have `relative`, the change over the output's norm, and
    `correlation`; the norm is the root mean square over crops.
    `against_shift` is each of them minus that of a shift by one pixel, crop by crop. Where there are none, `note` says
    why. `size` is what it ran at: `how` is by a larger or smaller "crop" of the scene or by a "resize".
    `needs` follows from the intervals of kept answers and of the divergence, or of the relative change. It is
    "fine-tune" where one of them is worse than the shift's, and "today's weights" where each loses at most twice what
    the shift loses. Else, or where a difference has no interval or all crops have one class, it is "more pictures".
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
    def name(self) -> str:
        if self.kind == "shift":
            return "a shift by one pixel"
        if self.kind == "padding":
            return f"{self.padding} padding"
        height, width = self.size
        pixels = f"{height} px" if height == width else f"{height} x {width} px"
        if self.how == "resize":
            return f"{pixels} (resized)"
        (rows, *others) = {new - old for new, old in zip(self.size, self.trained_at, strict=True)}
        if others:
            return f"{pixels} (another crop)"
        count, which = "one" if abs(rows) == 1 else str(abs(rows)), "more" if rows > 0 else "fewer"
        return f"{pixels} ({count} row{'' if abs(rows) == 1 else 's'} {which})"

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
    """The effect of changes on a trained network; the first of `rows` is the baseline, a shift by one pixel."""

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

    def row(self, *, size: int | Size | None = None, padding: str | None = None, how: How = "crop") -> TrialRow:
        wanted = (size, size) if isinstance(size, int) else size
        for row in self.rows:
            if size is None and row.kind == "padding" and row.padding == padding:
                return row
            if size is not None and row.kind == "size" and (row.size, row.how) == (wanted, how):
                return row
        raise UnknownName(f"{padding if size is None else size} was not tried", where=self.network)


@dataclass(eq=False)
class Variant:
    """A change, and how it is run: on which frame of each crop's scene, resized where `how` says so.

    `parts` are the figures of each batch of crops, or their scores of classes. A variant that fails, or whose output
    cannot be compared, is left out, and `note` says why.
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
        top, left = self.frame.top - room.top, self.frame.left - room.left
        return scenes[:, :, top : top + self.frame.height, left : left + self.frame.width]

    def run(self, images: Images, before: Floats, output: Output, own: Size) -> None:
        """Run a batch of crops, and keep how the output differs from the one `before` the change."""
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
        alike = output.kind == "map" and (self.how != "resize" or after.shape == before.shape)
        parts = overlap(before.shape[1:], after.shape[1:], self.frame, own) if alike else None
        if parts is None:
            made, trained = in_words(after.shape[1:]), in_words(before.shape[1:])
            self.note = f"makes {made}, and {trained} as trained: not comparable"
            return
        self.parts.append(comparing.compare_maps(before[:, *parts[0]], after[:, *parts[1]]))

    def compare(self, scores: Floats | None) -> Figures:
        """Return the figures of all crops, from the `scores` before if they are of classes; none if there is a note."""
        if self.note:
            return {}
        figures = {name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]}
        changed = figures["moved" if scores is None else "scores"]
        if lost := int((~np.isfinite(changed.reshape(len(changed), -1)).all(1)).sum()):
            self.note = f"returns NaN or infinite numbers for {lost} of {len(changed)} crops"
            return {}
        if scores is not None:
            return comparing.compare_classes(scores, changed)
        norm = max(float(np.sqrt((figures["norm"] ** 2).mean())), comparing.LEAST)  # of all: one near 0 counts little
        return {"relative": figures["moved"] / norm, "correlation": figures["correlation"]}


class AsTrained(NamedTuple):
    """The network as it is, on all crops: the output, its scores of classes if it has some, and each crop's picture."""

    output: Output
    scores: Floats | None
    pictures: list[int]

    @property
    def one_class(self) -> int | None:
        """The class of all crops; None where they have several, or there is one crop, or a map."""
        if self.scores is None or len(self.pictures) < 2:
            return None
        best = comparing.probabilities(self.scores, comparing.kind_of(self.scores)).argmax(1)
        return int(best[0]) if (best == best[0]).all() else None


def try_changes(
    trained: Trained, sizes: int | Sequence[int | Size] | None, padding: str | Sequence[str] | None,
    inputs: Inputs, repad: Repad, on_progress: Progress | None,
) -> Trial:  # fmt: skip
    """Run a trained network as it is, and with each change, on the same crops."""
    own, notes = runner_of(trained), [*trained.notes]
    variants = [Variant("shift", own, Frame(1, 1, *own.size)), *_variants(trained, sizes, padding, repad, notes)]
    if len(variants) == 1:
        raise OptionError("leaves nothing to try", option="padding", hint="name a scheme, or a `size`")
    room = room_for([Frame(0, 0, *own.size), *(variant.frame for variant in variants)])
    crops = Crops(inputs, own.size, room, own.channels)
    found = _run(own, variants, crops, counter(inputs.n * (1 + len(variants)), on_progress))
    rows = tuple(_rows(variants, found))
    about = trained.network.name, trained.network.title, trained.size, crops.name
    counts = len(found.pictures), len({*found.pictures})
    few = few_pictures(found.pictures)
    notes += [*crops.notes, *few]
    bare = [row.name for row in rows if any(each.low is None for each in row.estimates)]
    if bare and not few:
        notes.append(f"no interval where fewer than {CHANGED} photographs change: {', '.join(bare)}")
    value, by_class = rows[0].main.value if rows[0].main else None, found.output.kind == "classes"
    if value is not None and (value < LEAST_KEPT if by_class else value > MOST_MOVED):
        notes.append("even a shift by one pixel changes most of the output: use images like the training images")
    if (class_ := found.one_class) is not None:
        notes.append(f"all {counts[0]} crops have class {class_} as trained: use more photographs")
    return Trial(*about, *counts, *found.output, rows, tuple(notes))


def _variants(
    trained: Trained, sizes: int | Sequence[int | Size] | None, padding: str | Sequence[str] | None, repad: Repad,
    notes: list[str],
) -> Iterator[Variant]:  # fmt: skip
    """Yield the changes that were asked for; or the default ones that the network takes, with notes on the others."""
    required = sizes is not None or padding is not None
    own = trained.size
    if required:
        wanted = [as_size(size) for size in ([sizes] if isinstance(sizes, int) else sizes or ())]
    else:
        wanted = [near.size for near in nearest_balanced(trained.network, own) if near]
        notes += [] if wanted else [f"no balanced size near {own[0]} x {own[1]}"]
    for size in dict.fromkeys(wanted):
        if size == own:
            raise OptionError(f"{size[0]} x {size[1]} is the training size", option="size", hint="try another")
        try:
            runner = runner_of(replace(trained, size=size))
        except PadvizError as error:
            if required:
                raise
            notes.append(f"{size[0]} x {size[1]} px: not tried: {error.what}")
            continue
        yield Variant("size", runner, resized_frame(own, size), "crop", required=required)
        yield Variant("size", runner, Frame(0, 0, *own), "resize", required=required)
    schemes = [padding] if isinstance(padding, str) else padding or (() if required else OTHER)
    for scheme in dict.fromkeys(schemes):
        try:
            runner, stays = repad(trained, scheme)
        except PadvizError as error:
            if required:
                raise
            notes.append(f"{scheme} padding: not tried: {error.what}")
            continue
        notes += stays
        yield Variant("padding", runner, Frame(0, 0, *own), padding=scheme, required=required)


def _run(own: Runner, variants: Sequence[Variant], crops: Crops, advance: Callable[[int], None]) -> AsTrained:
    """Run all variants on all crops, as many at a time as fit the cache; `advance` counts every image."""
    unchanged, rest = Variant("shift", own, Frame(0, 0, *own.size)), iter(crops)
    output: Output | None = None
    first: Floats | None = None
    scores, pictures, reacts = list[Floats](), list[int](), False
    while part := list(islice(rest, at_once(own))):
        scenes = np.stack([crop.scene(crops.room) for crop in part])
        outputs = outputs_of(own, unchanged.images(part, scenes, crops.room))
        output = output or output_of(outputs, len(part), own.where)
        before = outputs[output.name]
        advance(len(part))
        comparing.check_finite(before, own.where)
        first = before[:1] if first is None else first
        reacts |= bool((np.abs(before - first) > ALIKE * np.abs(first).max()).any())
        if output.kind == "classes":
            scores.append(before)
        pictures += [crop.picture for crop in part]
        for variant in variants:
            if not variant.note:
                variant.run(variant.images(part, scenes, crops.room), before, output, own.size)
            advance(len(part))
    if not reacts and len(pictures) > 1:
        what = "does not react: its output is the same for all images"
        raise DescriptionError(what, where=own.where, hint="use trained weights")
    assert output  # crops are never none
    return AsTrained(output, np.concatenate(scores) if scores else None, pictures)


def _rows(variants: Sequence[Variant], found: AsTrained) -> Iterator[TrialRow]:
    pictures = np.array(found.pictures)
    _, at = np.unique(pictures, return_inverse=True)
    by_variant = [variant.compare(found.scores) for variant in variants]
    own, shift = variants[0].runner.size, by_variant[0]
    for variant, figures in zip(variants, by_variant, strict=True):
        about = variant.kind, variant.runner.size, variant.how, variant.padding, own
        if not figures:
            yield TrialRow(*about, {}, note=variant.note)
            continue
        estimates = {name: mean(values, pictures).figure for name, values in figures.items() if name != "kept"}
        if "kept" in figures:
            kept = share(np.bincount(at, figures["kept"]), np.bincount(at), least=0).figure
            estimates = {"kept": kept, **estimates}
        if variant is variants[0] or not shift:
            yield TrialRow(*about, estimates)
            continue
        against = {name: mean(values - shift[name], pictures).figure for name, values in figures.items()}
        losses = {name: float(values.mean()) for name, values in shift.items()}
        needs = "more pictures" if found.one_class is not None else needs_of(against, losses)
        yield TrialRow(*about, estimates, against, needs)


def needs_of(against: Mapping[str, Estimate], shift: Mapping[str, float]) -> TrialNeeds:
    """Decide by the loss beyond that of the shift: in kept answers, divergence or relative change."""
    settled = True
    for name in ("kept", "kl", "relative"):
        if name not in against:
            continue
        _, low, high = against[name]
        if low is None or high is None:
            settled = False
            continue
        least, most, loss = (-high, -low, 1 - shift[name]) if name == "kept" else (low, high, shift[name])
        if least > 0:
            return "fine-tune"
        settled &= most <= loss + ROUNDING
    return "today's weights" if settled else "more pictures"
