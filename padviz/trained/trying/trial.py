"""What each remedy does to a trained network as it is: its outputs on pictures, before and after the change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError, PadvizError, UnknownName
from padviz.intervals import IMAGES, Estimate, mean, share
from padviz.network.network import Size, in_words
from padviz.trained.sessions.running import Images, Runner, at_once, outputs_of
from padviz.trained.trying import comparing
from padviz.trained.trying.comparing import Kind, Output, output_of, overlap
from padviz.trained.trying.crops import Crop, Frame, room_for

Array = NDArray[np.float64]
What = Literal["shift", "size", "padding"]
How = Literal["crop", "resize"]
Needs = Literal["today's weights", "fine-tune", "more pictures"]
Figures = dict[str, Array]  # of each crop, by name
LEAST_KEPT, MOST_MOVED = 0.5, 1.0  # under a shift by one pixel: beyond these it is no yardstick
ALIKE = 1e-6  # of the largest output: how far those of two images differ by rounding alone
ROUNDING = 1e-9  # of shares that are sums over crops


@dataclass(frozen=True, eq=False)
class Variant:
    """A change, and how it is run: on which frame of each crop's scene, resized where `how` says so."""

    kind: What
    runner: Runner
    frame: Frame
    how: How | None = None
    padding: str | None = None
    required: bool = True  # and not tried by itself: then it must run

    def images(self, crops: Sequence[Crop], scenes: Images, room: Frame, normal: tuple[Images, Images]) -> Images:
        """Cut out what the network reads of each crop."""
        if self.how == "resize":
            pixels = np.stack([crop.scene(self.frame, self.runner.size) for crop in crops])
            return (pixels - normal[0]) / normal[1]
        top, left = self.frame.top - room.top, self.frame.left - room.left
        return scenes[:, :, top : top + self.frame.height, left : left + self.frame.width]


@dataclass(frozen=True, eq=False)
class TrialRow:
    """A change and what it does: `figures` are means over crops, with their 95 % intervals over pictures.

    Of scores of classes they are `kept`, the share of crops whose best class stays, and `kl`, the KL divergence from
    the answers as trained, in nats; of other outputs `relative`, the change over the output's norm, its root mean
    square over crops, and `correlation`.
    `against_shift` is each of them minus that of a shift by one pixel, crop by crop. Where `note` says why, there
    are none. `size` is what it ran at: `how` says whether by a larger or smaller "crop" of the scene or by a "resize".
    `needs` follows from the intervals of kept answers and of the divergence, or of the relative change: "fine-tune"
    where one of them is worse than the shift's, "today's weights" where each loses at most twice what the shift loses,
    "more pictures" where neither is settled, a difference has no width, or all crops have one class.

    Examples
    --------
    >>> TrialRow("size", (225, 225), "crop", None, (224, 224), {"kept": Estimate(0.67, 0.58, 0.75)}).name
    '225 px by one more row'
    """

    kind: What
    size: Size
    how: How | None
    padding: str | None
    trained_at: Size
    figures: dict[str, Estimate]
    against_shift: dict[str, Estimate] = field(default_factory=dict)
    needs: Needs | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The change in words."""
        if self.kind == "shift":
            return "a shift by one pixel"
        if self.kind == "padding":
            return f"{self.padding} padding"
        height, width = self.size
        pixels = f"{height} px" if height == width else f"{height} x {width} px"
        return f"{pixels} by {_scene(self.size, self.trained_at) if self.how == 'crop' else 'resizing'}"

    @property
    def main(self) -> Estimate | None:
        """The figure that the change is judged by."""
        return next(iter(self.figures.values()), None)


@dataclass(frozen=True, eq=False)
class Trial:
    """What changes do to a trained network as it is; the first of `rows` is the yardstick, a shift by one pixel.

    Examples
    --------
    >>> shift = TrialRow("shift", (224, 224), None, None, (224, 224), {"kept": Estimate(0.86, 0.8, 0.92)})
    >>> found = Trial("net", "net", (224, 224), "photos", 64, 13, "output", "classes", (shift,))
    >>> found.shift.main.value, found.changes
    (0.86, ())
    """

    network: str
    title: str
    size: Size
    images: str
    count: int
    pictures: int
    output: str
    kind: Kind
    rows: tuple[TrialRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def shift(self) -> TrialRow:
        """The yardstick."""
        return self.rows[0]

    @property
    def changes(self) -> tuple[TrialRow, ...]:
        """The rows of all changes but the yardstick."""
        return self.rows[1:]

    def row(self, *, size: int | Size | None = None, padding: str | None = None, how: How = "crop") -> TrialRow:
        """Find the row of a size, or of a padding scheme.

        Raises
        ------
        UnknownName
            If that was not tried.
        """
        wanted = ("padding", padding, None) if size is None else ("size", _pair(size), how)
        for row in self.rows:
            if wanted == (row.kind, row.padding if row.kind == "padding" else row.size, row.how):
                return row
        raise UnknownName(f"{padding if size is None else size} was not tried", where=self.network)


@dataclass(eq=False)
class Trying:
    """Variants of a network, run on the same crops; what they make is kept crop by crop.

    `advance` counts every image that was run. A variant that fails, or whose output cannot be compared, is left out,
    and `left` says why; one that was asked for must run.
    """

    own: Runner
    variants: Sequence[Variant]
    normal: tuple[Images, Images]
    advance: Callable[[int], None]

    def __post_init__(self) -> None:
        self.room = room_of(self.own, self.variants)
        self.output: Output | None = None
        self.kept: list[list[Any]] = [[] for _ in self.variants]
        self.before: list[Array] = []
        self.pictures: list[int] = []
        self.left: dict[int, str] = {}
        self.first: Array | None = None
        self.reacts = False

    def run(self, crops: Iterable[Crop]) -> None:
        """Run all variants on all crops, as many at a time as fit the cache."""
        for part in _parts(crops, at_once(self.own)):
            scenes: Images = (np.stack([crop.scene(self.room) for crop in part]) - self.normal[0]) / self.normal[1]
            whole = Variant("shift", self.own, Frame(0, 0, *self.own.size))
            before = self._own(whole.images(part, scenes, self.room, self.normal))
            self.pictures += [crop.picture for crop in part]
            for i, variant in enumerate(self.variants):
                if i not in self.left:
                    self._change(i, variant, variant.images(part, scenes, self.room, self.normal), before)
                self.advance(len(part))
        if not self.reacts and len(self.pictures) > 1:
            what = "does not react: its output is the same for all images"
            raise DescriptionError(what, where=self.own.where, hint="use trained weights")

    def _own(self, images: Images) -> Array:
        outputs = _all_outputs(self.own, images)
        self.output = self.output or output_of(outputs, len(images), self.own.where)
        output = outputs[self.output.name]
        self.advance(len(images))
        comparing.check_finite(output, self.own.where)
        self.first = output[:1] if self.first is None else self.first
        self.reacts |= bool((np.abs(output - self.first) > ALIKE * np.abs(self.first).max()).any())
        if self.output.kind == "classes":
            self.before.append(output)
        return output

    def _change(self, at: int, variant: Variant, images: Images, before: Array) -> None:
        """Run one variant: keep scores, or compare maps at once."""
        assert self.output
        try:
            after = _all_outputs(variant.runner, images)[self.output.name]
        except PadvizError as error:
            if variant.required:
                raise
            self.left[at] = error.what
            return
        if self.output.kind == "classes" and after.shape == before.shape:
            self.kept[at].append(after)
            return
        alike = self.output.kind == "map" and (variant.how != "resize" or after.shape == before.shape)
        parts = overlap(before.shape[1:], after.shape[1:], variant.frame, self.own.size) if alike else None
        if parts is None:
            shapes = in_words(after.shape[1:]), in_words(before.shape[1:])
            self.left[at] = "makes {}, and {} as trained: cannot be compared".format(*shapes)
            return
        self.kept[at].append(comparing.of_maps(before[:, *parts[0]], after[:, *parts[1]]))

    @property
    def one_class(self) -> int | None:
        """The class of all crops as trained; None where they have several, or there is one crop, or a map."""
        if not self.before or len(self.pictures) < 2:
            return None
        scores = np.concatenate(self.before)
        best = comparing.probabilities(scores, comparing.kind_of(scores)).argmax(1)
        return int(best[0]) if (best == best[0]).all() else None

    def figures(self, at: int) -> Figures | str:
        """Work out what was measured of a variant, by crop; or say why there is nothing."""
        if at in self.left:
            return self.left[at]
        if self.before:
            after = np.concatenate(self.kept[at])
            lost = ~np.isfinite(after.reshape(len(after), -1)).all(1)
            return _lost(lost) or comparing.of_classes(np.concatenate(self.before), after)
        measures = {name: np.concatenate([part[name] for part in self.kept[at]]) for name in self.kept[at][0]}
        lost = _lost(~np.isfinite(measures["moved"]))
        moved = comparing.relative(measures["moved"], measures["norm"])
        return lost or {"relative": moved, "correlation": measures["correlation"]}


def rows_of(trying: Trying) -> Iterator[TrialRow]:
    """Yield a row for each variant that was run, of which the first is the yardstick."""
    pictures = np.array(trying.pictures)
    shift: Figures = {}
    for i, variant in enumerate(trying.variants):
        about = variant.kind, variant.runner.size, variant.how, variant.padding, trying.own.size
        figures = trying.figures(i)
        if isinstance(figures, str):
            yield TrialRow(*about, {}, note=figures)
            continue
        estimates = {name: _estimate(name, values, pictures) for name, values in figures.items()}
        if variant.kind == "shift":
            shift = figures
        if variant.kind == "shift" or not shift:
            yield TrialRow(*about, estimates)
            continue
        against = {name: mean(values - shift[name], pictures).figure for name, values in figures.items()}
        losses = {name: float(values.mean()) for name, values in shift.items()}
        needs = "more pictures" if trying.one_class is not None else needs_of(against, losses)
        yield TrialRow(*about, estimates, against, needs)


def _estimate(name: str, values: Array, pictures: NDArray[np.int64]) -> Estimate:
    if name != "kept":
        return mean(values, pictures).figure
    _, at = np.unique(pictures, return_inverse=True)
    return share(np.bincount(at, values), np.bincount(at), least=0).figure


def needs_of(against: Mapping[str, Estimate], shift: Mapping[str, float]) -> Needs:
    """Decide by what is lost beyond the shift: kept answers, divergence or relative change.

    >>> ends = ((-0.3, -0.1), (-0.1, 0.1), (-0.3, 0.1), (0.0, 0.0))
    >>> [needs_of({"kept": Estimate(0, *each)}, {"kept": 0.9}) for each in ends]
    ['fine-tune', "today's weights", 'more pictures', 'more pictures']
    """
    settled = True
    for name in ("kept", "kl", "relative"):
        if name not in against:
            continue
        _, low, high = against[name]
        if low is None or high is None or low == high:
            settled = False
            continue
        least, most, loss = (-high, -low, 1 - shift[name]) if name == "kept" else (low, high, shift[name])
        if least > 0:
            return "fine-tune"
        settled &= most <= loss + ROUNDING
    return "today's weights" if settled else "more pictures"


def room_of(own: Runner, variants: Sequence[Variant]) -> Frame:
    """Find the frame that a scene must hold: the network's own, and those of all changes."""
    return room_for([Frame(0, 0, *own.size), *(variant.frame for variant in variants)])


def doubts(trying: Trying, shift: TrialRow) -> Iterator[str]:
    """Note what makes the figures doubtful: few pictures, a yardstick that is lost, or answers all alike."""
    yield from few_pictures(trying.pictures)
    value = shift.main.value if shift.main else None
    if value is not None and (value < LEAST_KEPT if "kept" in shift.figures else value > MOST_MOVED):
        yield "a shift by one pixel changes most of the output already: use images that the network was trained for"
    if trying.one_class is not None:
        yield f"all {len(trying.pictures)} crops have class {trying.one_class} as trained: use more pictures"


def few_pictures(pictures: Iterable[int]) -> tuple[str, ...]:
    """Note that there are too few pictures for intervals.

    >>> few_pictures([0, 0, 1]), few_pictures(range(10))
    (('2 pictures are too few for intervals; use 10 or more',), ())
    """
    count = len({*pictures})
    are = "picture is" if count == 1 else "pictures are"
    return () if count >= IMAGES else (f"{count} {are} too few for intervals; use {IMAGES} or more",)


def _all_outputs(runner: Runner, images: Images) -> dict[str, Array]:
    """Run a network on any number of images."""
    parts = [outputs_of(runner, images[i : i + at_once(runner)]) for i in range(0, len(images), at_once(runner))]
    whole = [name for name, values in parts[0].items() if values.ndim]
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in whole}


def _parts(crops: Iterable[Crop], count: int) -> Iterator[list[Crop]]:
    rest = iter(crops)
    while part := list(islice(rest, count)):
        yield part


def _lost(lost: NDArray[np.bool_]) -> str:
    return f"makes NaN or infinite numbers of {lost.sum()} of {len(lost)} crops" if lost.any() else ""


def _pair(size: int | Size) -> Size:
    return (size, size) if isinstance(size, int) else size


def _scene(size: Size, own: Size) -> str:
    """Word by what an image of another size shows more or less of the scene."""
    more = {new - old for new, old in zip(size, own, strict=True)}
    if len(more) > 1:
        return "another crop"
    (rows,) = more
    count, which = "one" if abs(rows) == 1 else str(abs(rows)), "more" if rows > 0 else "fewer"
    return f"{count} {which} row{'' if abs(rows) == 1 else 's'}"
