"""The output of a network to score: by the peak of a map near the stimulus, or by the margin of a
class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError, nearest, typed
from padviz.network.network import Size, in_words
from padviz.network.sizes import resolve_each
from padviz.sources import is_module
from padviz.trained.networks.running import Floats, OutputKind, Outputs
from padviz.trained.networks.trained_network import Trained

LISTED = 6  # outputs or maps inside, in an error
LEAST = 3  # rows and columns of a map
STRIDES = 0.5, *range(1, 129)
UNITS = 2  # of rounding, and of what padding adds
MOST_LOST = 0.5  # of the image, to valid convolutions
STRETCHED = 2  # how far the strides of a tensor of 4 dimensions may differ between its axes
# Numbers of a box: a map with more channels may be a raw head, with boxes beside class scores.
BOX = 4


class Scorable(NamedTuple):
    """An output, or a map inside, that can be scored, by the name that `layer` takes.

    Class scores have no size.
    """

    name: str
    classes: int
    size: Size | None

    @property
    def kind(self) -> OutputKind:
        if self.size is None:
            return "classes"
        return "map"

    def __str__(self) -> str:
        if self.size is None:
            return f"{typed(self.name)} ({self.classes} classes)"
        return f"{typed(self.name)} ({in_words((self.classes, *self.size))})"


@dataclass(frozen=True)
class Scorer:
    """Scores one class of an output, a map or class scores: always from 0 to 1, and .5 decides.

    `squashed` is true for outputs beyond 0 to 1, of which a sigmoid makes probabilities.
    """

    output: str
    kind: OutputKind
    class_: int
    size: Size  # of the image
    squashed: bool = False

    def scores(self, outputs: Outputs, boxes: NDArray[np.int64]) -> Floats:
        """Score each image.

        `boxes` are (top, left, bottom, right) in pixels, where a map is looked at.
        """
        values = outputs[self.output]
        if self.kind == "map":
            peaks = self._peaks(as_maps(values, self.size)[:, self.class_], boxes)
            return self._probabilities(peaks)
        flat = values.reshape(len(boxes), -1).astype(np.float64)
        if flat.shape[1] == 1:
            return self._probabilities(flat[:, 0])
        # p / (p + q) is a sigmoid of the difference of logits.
        logits = flat
        if not self.squashed:
            logits = np.log(np.clip(flat, 1e-12, 1 - 1e-12))
        best_other = np.delete(logits, self.class_, axis=1).max(1)
        return _sigmoid(logits[:, self.class_] - best_other)

    def _probabilities(self, values: Floats) -> Floats:
        if self.squashed:
            return _sigmoid(values)
        return values

    def _peaks(self, maps: NDArray[np.number], boxes: NDArray[np.int64]) -> Floats:
        """Return the largest value of each map (images, height, width) among the units that its box
        touches.
        """
        units = np.array(maps.shape[1:])
        first = np.clip(np.floor(boxes[:, :2] * units / self.size), 0, units - 1).astype(int)
        last = np.maximum(np.ceil(boxes[:, 2:] * units / self.size), first + 1).astype(int)
        peaks = []
        for values, (top, left), (bottom, right) in zip(maps, first, last, strict=True):
            peaks.append(values[top:bottom, left:right].max())
        return np.array(peaks, np.float64)


def _sigmoid(values: Floats) -> Floats:
    squashed: Floats = 0.5 * (1 + np.tanh(values / 2))
    return squashed


def scorer_of(
    outputs: Outputs,
    size: Size,
    where: str,
    layer: str | None = None,
    class_: int | None = None,
    inside: Callable[[], Sequence[Scorable]] = tuple,
) -> Scorer:
    """Return what scores the output called `layer`, or the only one that can be scored, for a
    class.

    Several outputs, or several classes, are an error that lists them; so is an output that cannot
    be scored, which lists the maps `inside`.
    """
    if layer is not None and layer not in outputs:
        hint = nearest(layer, outputs) or f"it has {', '.join(outputs)}"
        raise OptionError(f"no output is called {layer!r}", option="layer", hint=hint)
    if layer is None:
        tried = outputs
    else:
        tried = {layer: outputs[layer]}
    scorable = [*_scorable(tried, size)]
    if not scorable:
        shapes = []
        for name, values in tried.items():
            shapes.append(f"{name!r} of {in_words(values.shape[1:]) or 'one number'}")
        what = (
            f"the output is neither a map of the image, {size[0]} x {size[1]}, nor class scores: "
            f"{', '.join(shapes)}"
        )
        hint = "name a map inside with `layer`"
        maps = inside()
        if maps:
            hint += f": {_listed(maps)}"
        raise OptionError(what, where=where, hint=hint)
    output = scorable[0]
    if len(scorable) > 1:
        what = f"{where} has {len(scorable)} outputs that can be scored: {_listed(scorable)}"
        hint = f"name one, as in: `layer` {typed(output.name)}"
        most = output.classes - 1
        if most and class_ is None:
            hint += f" `class` {most}"
        raise OptionError(what, option="layer", hint=hint)
    values = outputs[output.name]
    known = values[~np.isnan(values)]
    squashed = bool(known.size) and not (known.min() >= 0 and known.max() <= 1)
    return Scorer(output.name, output.kind, _class_of(output, class_, inside), size, squashed)


def _class_of(
    output: Scorable, class_: int | None, inside: Callable[[], Sequence[Scorable]]
) -> int:
    if class_ is None and output.classes > 1:
        most = output.classes - 1
        what = f"the output {output} has several classes"
        hint = f"name one from 0 to {most}, as in: `class` {most}"
        if output.kind == "map" and output.classes > BOX:
            hint += "; channels of a detector's raw head may be boxes, which are no scores"
            parts = [
                other
                for other in inside()
                if other.size == output.size and other.classes < output.classes
            ]
            if parts:
                hint += f": `layer` names a map inside, {_listed(parts)}"
        raise OptionError(what, option="class", hint=hint)
    chosen = class_ or 0
    if not 0 <= chosen < output.classes:
        hint = "the output has one, 0"
        if output.classes > 1:
            hint = f"use 0 to {output.classes - 1}"
        raise OptionError(
            f"output {output.name!r} has no class {chosen}", option="class", hint=hint
        )
    return chosen


def _listed(scorable: Sequence[Scorable]) -> str:
    names = ", ".join(map(str, scorable[:LISTED]))
    more = len(scorable) - LISTED
    if more > 0:
        names += f", and {more} more"
    return names


def _scorable(outputs: Outputs, size: Size) -> Iterator[Scorable]:
    """Yield the outputs that are class scores, or maps that fit the image, by their shapes."""
    for name, values in outputs.items():
        if not np.issubdtype(values.dtype, np.floating) or values.ndim < 2:
            continue
        if all(n == 1 for n in values.shape[2:]):
            yield Scorable(name, values.shape[1], None)
        elif values.ndim <= 4:
            _, classes, height, width = as_maps(values, size).shape
            stretched = STRETCHED if values.ndim == 4 else 1
            if fits((height, width), size, stretched):
                yield Scorable(name, classes, (height, width))


def fits(shape: Size, size: Size, stretched: float = 1) -> bool:
    """Whether a map can have that shape: one stride on both axes leaves equal margins, but for
    rounding.
    """
    if min(shape) < LEAST:
        return False
    for stride in STRIDES:
        margins = [n - stride * units for n, units in zip(size, shape, strict=True)]
        lost = max(margin / n for margin, n in zip(margins, size, strict=True))
        if (
            abs(margins[0] - margins[1]) < UNITS * stride
            and min(margins) > -UNITS * stride
            and lost <= MOST_LOST
        ):
            return True
    down, along = (n / units for n, units in zip(size, shape, strict=True))
    return (
        min(down, along) >= 1 and max(down, along) <= stretched * min(down, along) and stretched > 1
    )


def _channels_last(shape: tuple[int, ...], size: Size) -> bool:
    """Whether a tensor of 4 dimensions has its classes last: by what fits the image, else by the
    fewest.
    """
    for stretched in (1, STRETCHED):
        first, last = (fits((shape[i], shape[i + 1]), size, stretched) for i in (2, 1))
        if first != last:
            return last
    return shape[3] < min(shape[1:3])


def as_maps(values: NDArray[np.number], size: Size) -> NDArray[np.number]:
    """Transpose maps to (images, classes, height, width).

    Three dimensions have one class without a name.
    """
    if values.ndim == 3:
        return values[:, None]
    if _channels_last(values.shape, size):
        return values.transpose(0, 3, 1, 2)
    return values


def maps_inside(trained: Trained) -> tuple[Scorable, ...]:
    """List the convolutions that no other follows, those with the fewest channels first: class
    scores have few.
    """
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
    followed = set[int]()
    maps = []
    for i, layer in reversed([*enumerate(network.layers)]):
        last = i not in followed
        if not last or layer.kind == "conv":
            followed.update(layer.inputs)
        shape = (axes[0].sizes[i], axes[1].sizes[i])
        known = layer.kind == "conv" and layer.name in channels
        if last and known and fits(shape, trained.size, STRETCHED):
            name = tensors.get(layer.name, layer.name)
            maps.append(
                (channels[layer.name], -shape[0], Scorable(name, channels[layer.name], shape))
            )
    return tuple(scorable for *_, scorable in sorted(maps))
