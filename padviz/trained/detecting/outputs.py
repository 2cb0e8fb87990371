"""Choosing the output of a network and scoring it: by the peak of a map near the stimulus, or the margin of a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError, nearest, typed
from padviz.network.network import Size, in_words
from padviz.network.sizes import resolve_each
from padviz.sources import is_module
from padviz.trained.networks.running import Floats, OutputKind, Outputs
from padviz.trained.networks.trained_network import Trained

NAMED = 6  # maps inside, in a hint
LEAST = 3  # rows and columns of a map
STRIDES = 0.5, *range(1, 129)
UNITS = 2  # of rounding, and of what padding adds
MOST_LOST = 0.5  # of the image, to valid convolutions
STRETCHED = 2  # how far the strides of a tensor of 4 dimensions may differ between its axes
BOX = 4  # numbers of one
ANCHORS = 3, 5  # boxes of a position, each with its own scores, as of YOLOv3 to v7, and v2
BINS = 16  # that each number of a box is distributed over, as of YOLOv8
BOXES = tuple(BOX * n for n in (1, *ANCHORS, 9, BINS))  # channels of maps of boxes alone
COARSE, LESS = 8, 4  # strides from which on the only map, or one of several, may be a head


class NamedMap(NamedTuple):
    """A map by the name that `layer` takes."""

    name: str
    channels: int
    size: Size


@dataclass(frozen=True)
class Scorer:
    """Scores an output as a map, or as class scores: always from 0 to 1, and .5 decides.

    `squashed` is true for outputs beyond 0 to 1, of which a sigmoid makes probabilities.
    """

    output: str
    kind: OutputKind
    classes: int
    size: Size  # of the image
    class_: int | None = None
    squashed: bool = False

    def all(self, outputs: Outputs, boxes: NDArray[np.int64]) -> Floats:
        """Score every class, of shape (images, classes); `boxes` are (top, left, bottom, right) in pixels."""
        if self.kind == "map":
            maps = as_maps(outputs[self.output], self.size)
            units = np.array(maps.shape[2:])
            first = np.clip(np.floor(boxes[:, :2] * units / self.size), 0, units - 1).astype(int)
            last = np.maximum(np.ceil(boxes[:, 2:] * units / self.size), first + 1).astype(int)
            parts = zip(maps, first.tolist(), last.tolist(), strict=True)
            peaks = [of[:, top:bottom, left:right].max((1, 2)) for of, (top, left), (bottom, right) in parts]
            highest = np.array(peaks, np.float64)
            return _sigmoid(highest) if self.squashed else highest
        flat = outputs[self.output].reshape(len(boxes), -1).astype(np.float64)
        if not self.squashed:
            flat = np.log(np.clip(flat, 1e-12, 1 - 1e-12 if flat.shape[1] > 1 else None))
        if flat.shape[1] == 1:
            return _sigmoid(flat) if self.squashed else np.exp(flat)
        order = np.sort(flat, axis=1)
        best_other = np.where(flat == order[:, -1:], order[:, -2:-1], order[:, -1:])
        return _sigmoid(flat - best_other)

    def of_class(self, class_: int) -> Scorer:
        if not 0 <= class_ < self.classes:
            hint = f"use 0 to {self.classes - 1}" if self.classes > 1 else "the output has one, 0"
            raise OptionError(f"output {self.output!r} has no class {class_}", option="class", hint=hint)
        return replace(self, class_=class_)


def _sigmoid(values: Floats) -> Floats:
    squashed: Floats = 0.5 * (1 + np.tanh(values / 2))
    return squashed


def scorer_of(
    outputs: Outputs, size: Size, where: str, named: str | None = None,
    inside: Callable[[], Sequence[NamedMap]] = tuple,
) -> Scorer:  # fmt: skip
    """Choose the output to score, or name the maps `inside`: the one `named`, or the first map or class scores."""
    if named is not None and named not in outputs:
        hint = nearest(named, outputs) or f"it has {', '.join(outputs)}"
        raise OptionError(f"no output is called {named!r}", option="layer", hint=hint)
    tried = {named: outputs[named]} if named is not None else outputs
    for name, values in tried.items():
        if kind := _kind(values, size):
            classes = as_maps(values, size).shape[1] if kind == "map" else int(np.prod(values.shape[1:]))
            known = values[~np.isnan(values)]
            outside = bool(known.size) and not (known.min() >= 0 and known.max() <= 1)
            return Scorer(name, kind, classes, size, squashed=outside)
    shapes = ", ".join(f"{name!r} of {in_words(values.shape[1:]) or 'one number'}" for name, values in tried.items())
    what = f"the output is neither a map of the image, {size[0]} x {size[1]}, nor class scores: {shapes}"
    raise OptionError(what, where=where, hint=in_hint(inside()) or "name a map inside with `layer`")


def _kind(values: NDArray[Any], size: Size) -> OutputKind | None:
    """Return the kind of an output by its shape: one number for each class, or a map that fits the image."""
    if not np.issubdtype(values.dtype, np.floating) or values.ndim < 2:
        return None
    if values.ndim == 2 or all(n == 1 for n in values.shape[2:]):
        return "classes"
    if values.ndim > 4:
        return None
    _, _, *units = as_maps(values, size).shape
    return "map" if fits((units[0], units[1]), size, STRETCHED if values.ndim == 4 else 1) else None


def fits(shape: Size, size: Size, stretched: float = 1) -> bool:
    """Whether a map can have that shape: one stride on both axes leaves equal margins, but for rounding."""
    if min(shape) < LEAST:
        return False
    for stride in STRIDES:
        margins = [n - stride * units for n, units in zip(size, shape, strict=True)]
        lost = max(margin / n for margin, n in zip(margins, size, strict=True))
        if abs(margins[0] - margins[1]) < UNITS * stride and min(margins) > -UNITS * stride and lost <= MOST_LOST:
            return True
    down, along = (n / units for n, units in zip(size, shape, strict=True))
    return min(down, along) >= 1 and max(down, along) <= stretched * min(down, along) and stretched > 1


def _channels_last(shape: tuple[int, ...], size: Size) -> bool:
    """Whether a tensor of 4 dimensions has its classes last: by what fits the image, else by the fewest."""
    for stretched in (1, STRETCHED):
        first, last = (fits((shape[i], shape[i + 1]), size, stretched) for i in (2, 1))
        if first != last:
            return last
    return shape[3] < min(shape[1:3])


def as_maps(values: NDArray[Any], size: Size) -> NDArray[Any]:
    """Transpose maps to (images, classes, height, width); three dimensions have one class without a name."""
    if values.ndim == 3:
        return values[:, None]
    return values.transpose(0, 3, 1, 2) if _channels_last(values.shape, size) else values


def maps_of(outputs: Outputs, size: Size) -> list[NamedMap]:
    """List the outputs that are maps of the image, by name."""
    shapes = {name: as_maps(values, size).shape for name, values in outputs.items() if _kind(values, size) == "map"}
    return [NamedMap(name, shape[1], (shape[2], shape[3])) for name, shape in shapes.items()]


def maps_inside(trained: Trained) -> tuple[NamedMap, ...]:
    """List the convolutions that no other follows, those with the fewest channels first: class scores have few."""
    network = trained.network
    try:
        axes = resolve_each(network, trained.size)
    except PadvizError:  # what cannot be followed can still be run
        return ()
    tensors: Mapping[str, str] = {}
    if not is_module(trained.model):  # whose maps `layer` calls by their tensors
        from padviz.trained.networks.onnx_network import convolutions

        tensors = convolutions(trained.model.proto)
    channels = {kernel.layer: len(kernel.weights) for kernel in trained.kernels}
    followed, maps = set[int](), []
    for i, layer in reversed([*enumerate(network.layers)]):
        if i in followed or layer.kind == "conv":
            followed.update(layer.inputs)
        shape = (axes[0].sizes[i], axes[1].sizes[i])
        head = i not in followed and layer.kind == "conv" and layer.name in channels
        if head and fits(shape, trained.size, STRETCHED):
            maps.append(NamedMap(tensors.get(layer.name, layer.name), channels[layer.name], shape))
    return tuple(sorted(maps, key=lambda each: (each.channels, -each.size[0], each.name)))


def in_hint(maps: Sequence[NamedMap]) -> str:
    """List maps that `layer` could name, as the hint of an error; "" where there are none."""
    named = [f"{typed(each.name)} ({each.channels} x {each.size[0]} x {each.size[1]})" for each in maps[:NAMED]]
    more = f", and {len(maps) - NAMED} more" if len(maps) > NAMED else ""
    return f"name a map inside with `layer`: {', '.join(named)}{more}" if named else ""


def refuse_boxes(
    scored: NamedMap, asked: bool, others: Sequence[NamedMap], size: Size, logits: bool, where: str
) -> None:
    """Reject a map whose channels may hold boxes beside class scores, as the raw heads of detectors do.

    `asked` is true if `layer` named it, and `logits` if values lie beyond 0 to 1; `others` are outputs and maps inside.
    """
    beside = [each for each in others if each.size == scored.size and each.channels != scored.channels]
    joined = next((two for two in combinations(beside, 2) if sum(each.channels for each in two) == scored.channels), ())
    heads = {scored.size, *(each.size for each in others if each.channels == scored.channels)}
    stride = min(size[0] / scored.size[0], size[1] / scored.size[1])
    anchors = any(scored.channels % n == 0 and scored.channels // n > BOX + 1 for n in ANCHORS)
    if joined:
        why = f"has boxes beside class scores: it is {' and '.join(repr(each.name) for each in joined)} together"
    elif beside and not asked and scored.channels in BOXES:
        why = f"may be boxes, and {beside[0].name!r} their class scores"
    elif beside:
        return
    elif len(heads) > 1 and scored.channels > BOX and stride >= LESS:
        alike = f"{len(heads)} maps have as many channels, as a detector's raw heads"
        why = f"may have boxes beside class scores: {alike}"
    elif logits and stride >= COARSE and (anchors or scored.channels > BOX * BINS):
        why = "may have boxes beside class scores, as a detector's raw head"
    else:
        return
    scores = [each for each in beside if each.channels not in BOXES] or beside
    scores = scores or [each for each in others if each.channels < scored.channels]
    hint = ", or ".join([*filter(None, [in_hint(scores)]), "name the channel that has scores with `class`"])
    shape = in_words((scored.channels, *scored.size))
    raise OptionError(f"the output {scored.name!r} of {shape} {why}", where=where, hint=hint)
