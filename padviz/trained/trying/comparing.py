"""A network's outputs on crops, before and after a change, image by image: top-1 kept, and how far
maps move.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from padviz.errors import DescriptionError
from padviz.network.network import Size
from padviz.trained.images import Crop, Crops, Frame, in_frame
from padviz.trained.networks.running import (
    Floats,
    Images,
    OutputKind,
    Outputs,
    Runner,
    at_once,
    outputs_of,
)

Shape = tuple[int, ...]
Slices = tuple[slice, ...]
EVERY: Slices = (slice(None),)
Scores = Literal["probabilities", "logits"]
LEAST = 1e-12  # of a probability, whose logarithm is taken
SUM = 1e-3  # how far from 1 the probabilities of all classes may sum up


class Output(NamedTuple):
    """An output to compare, as scores of classes, or as a map (or any other tensor)."""

    name: str
    kind: OutputKind


class Batch(NamedTuple):
    """Some crops, their scenes, and the network's output on its own frame of them, before any
    change.
    """

    crops: list[Crop]
    scenes: Images
    output: Output
    before: Floats


def run_crops(runner: Runner, crops: Crops) -> Iterator[Batch]:
    """Run a network as it is on crops, as many at a time as fit the cache."""
    rest = iter(crops)
    frame = Frame(0, 0, *runner.size)
    output: Output | None = None
    while batch := list(islice(rest, at_once(runner))):
        scenes = np.stack([crop.scene(crops.room) for crop in batch])
        outputs = outputs_of(runner, in_frame(scenes, crops.room, frame))
        if output is None:
            output = output_of(outputs, len(batch), runner.where)
        before = outputs[output.name]
        check_finite(before, runner.where)
        yield Batch(batch, scenes, output, before)


def output_of(outputs: Outputs, images: int, where: str) -> Output:
    """Choose the output to compare: the first with scores of classes, else the first of floats.

    >>> output_of({"map": np.zeros((2, 1, 8, 8)), "scores": np.zeros((2, 10))}, 2, "net")
    Output(name='scores', kind='classes')
    """
    maps = []
    for name, values in outputs.items():
        by_image = values.ndim > 1 and len(values) == images and values.size
        if not by_image or not np.issubdtype(values.dtype, np.floating):
            continue
        if all(n == 1 for n in values.shape[2:]):
            return Output(name, "classes")
        maps.append(Output(name, "map"))
    if maps:
        return maps[0]
    raise DescriptionError(
        "has no output of floats for each image", where=where, hint="use a network that has one"
    )


def check_finite(values: Floats, where: str) -> None:
    """Reject NaN and infinite numbers, which cannot be compared."""
    if not np.isfinite(values).all():
        hint = "check `mean` and `std`, and its weights"
        raise DescriptionError(
            "returns NaN or infinite numbers for these images", where=where, hint=hint
        )


def compare_classes(as_trained: Floats, changed: Floats) -> dict[str, Floats]:
    """Return by image whether the best class is kept, and the KL divergence in nats from the scores
    as trained.
    """
    kind = kind_of(as_trained)
    before, after = probabilities(as_trained, kind), probabilities(changed, kind)
    kept = before.argmax(1) == after.argmax(1)
    logs = np.log(np.maximum(before, LEAST)) - np.log(np.maximum(after, LEAST))
    return {"kept": kept.astype(np.float64), "kl": (before * logs).sum(1)}


def kind_of(scores: Floats) -> Scores:
    """Return "probabilities" where the scores of each image are from 0 to 1 and sum to 1.

    Else "logits".
    """
    flat = scores.reshape(len(scores), -1)
    whole = flat.shape[1] == 1 or np.abs(flat.sum(1, dtype=np.float64) - 1).max() < SUM
    if flat.min() >= 0 and flat.max() <= 1 and whole:
        return "probabilities"
    return "logits"


def probabilities(scores: Floats, kind: Scores) -> Floats:
    """Convert scores to the probabilities of all classes; a single score to those of two.

    >>> probabilities(np.array([[0.25]]), "probabilities").tolist()
    [[0.75, 0.25]]
    >>> probabilities(np.zeros((1, 1)), "logits").tolist()
    [[0.5, 0.5]]
    """
    flat = scores.reshape(len(scores), -1).astype(np.float64)
    if flat.shape[1] == 1:
        # Of a probability, that of the other class is the rest; a logit is that against 0.
        if kind == "probabilities":
            other = 1 - flat
        else:
            other = np.zeros_like(flat)
        flat = np.concatenate([other, flat], axis=1)
    if kind == "probabilities":
        return flat
    raised = np.exp(flat - flat.max(1, keepdims=True))
    shares: Floats = raised / raised.sum(1, keepdims=True)
    return shares


def compare_maps(as_trained: Floats, changed: Floats) -> dict[str, Floats]:
    """Measure for each image how far the output moves, its norm as trained, and Pearson's
    correlation of the two.
    """
    before, after = (
        values.reshape(len(values), -1).astype(np.float64) for values in (as_trained, changed)
    )
    one, other = (values - values.mean(1, keepdims=True) for values in (before, after))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return {
        "moved": np.linalg.norm(after - before, axis=1),
        "norm": np.linalg.norm(before, axis=1),
        "correlation": (one * other).sum(1) / np.maximum(norms, LEAST),  # 0 where one is constant
    }


def overlap(
    before: Shape, changed: Shape, frame: Frame, size: Size
) -> tuple[Slices, Slices] | None:
    """Slice the parts of two outputs, without their images, that show the same pixels.

    None where not known.

    `size` is that of the network's own frame, and `frame` that of the changed output, relative to
    it. A frame that moves by less than a unit leaves outputs of one shape where they are.
    """
    # Height and width are the last two dimensions, or come before channels.
    axes = [
        at
        for at in (len(before) - 2, len(before) - 3)
        if at >= 0 and _spatial(before[at : at + 2], size)
    ]
    if not axes:
        if before == changed:
            return (EVERY, EVERY)
        return None
    first = axes[0]
    if before[:first] + before[first + 2 :] != changed[:first] + changed[first + 2 :]:
        return None
    parts: tuple[list[slice], list[slice]] = (
        [slice(None)] * len(before),
        [slice(None)] * len(before),
    )
    for i in (0, 1):
        at = first + i
        start = _units(before[at], size[i], frame[i])
        if start is None:
            if before != changed:
                return None
            start = 0
        length = min(before[at], start + changed[at]) - max(start, 0)
        parts[0][at] = slice(max(start, 0), max(start, 0) + length)
        parts[1][at] = slice(max(-start, 0), max(-start, 0) + length)
    return tuple(parts[0]), tuple(parts[1])


def _spatial(units: Shape, size: Size) -> bool:
    """Whether two dimensions are height and width: of one stride, or one zoom, that is a whole
    number.
    """
    return units[0] * size[1] == units[1] * size[0] and _units(units[0], size[0], 0) is not None


def _units(units: int, pixels: int, moved: int) -> int | None:
    """Convert pixels to units of a map; None where that is no whole number."""
    if pixels % units and units % pixels:
        return None
    if moved * units % pixels:
        return None
    return moved * units // pixels
