"""How well a network sees something: the peak of a map near it, or the margin of a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, nearest
from padviz.network.network import Size, in_words
from padviz.trained.detecting.outputs.inside import Inner, listed
from padviz.trained.detecting.outputs.maps import as_maps, is_map, peak

Array = NDArray[np.float64]
Kind = Literal["map", "classes"]


@dataclass(frozen=True)
class Scorer:
    """Which output is looked at, and how: as a map, or as class scores; always from 0 to 1, and .5 decides.

    `squashed` says that the output is no probability, and that a sigmoid makes it one; `log` that it is one.
    """

    output: str
    kind: Kind
    classes: int
    size: Size  # of the image
    class_: int | None = None
    squashed: bool = False

    def all(self, outputs: Mapping[str, Any], boxes: NDArray[np.int64]) -> Array:
        """Score every class, of shape (images, classes); `boxes` are (top, left, bottom, right) in pixels."""
        values = outputs[self.output].astype(np.float64)
        if self.kind == "map":
            maps = as_maps(values, self.size)
            peaks = np.stack([peak(class_maps, box, self.size) for class_maps, box in zip(maps, boxes, strict=True)])
            return _sigmoid(peaks) if self.squashed else peaks
        flat = values.reshape(len(values), -1)
        if not self.squashed:
            flat = np.log(np.clip(flat, 1e-12, 1 - 1e-12 if flat.shape[1] > 1 else None))
        if flat.shape[1] == 1:
            return _sigmoid(flat) if self.squashed else np.exp(flat)
        order = np.sort(flat, axis=1)
        best = np.where(flat == order[:, -1:], order[:, -2:-1], order[:, -1:])  # of the others
        return _sigmoid(flat - best)

    def of_class(self, class_: int) -> Scorer:
        """Look for a class, with all else the same.

        Raises
        ------
        OptionError
            If there is none of that number.
        """
        if not 0 <= class_ < self.classes:
            hint = f"use 0 to {self.classes - 1}" if self.classes > 1 else "the output has one, 0"
            raise OptionError(f"{class_} is no class of output {self.output!r}", option="class", hint=hint)
        return replace(self, class_=class_)


def scorer_of(
    outputs: Mapping[str, Any],
    size: Size,
    where: str,
    named: str | None = None,
    inside: Callable[[], Sequence[Inner]] = tuple,
) -> Scorer:
    """Choose the output to look at: the one that is named, or the first that is a map or class scores.

    `inside` lists the maps within the network, for the case that no output is one.

    Raises
    ------
    OptionError
        If there is none.

    Examples
    --------
    >>> scorer_of({"logits": np.zeros((2, 10)) - 1}, (32, 32), "net")
    Scorer(output='logits', kind='classes', classes=10, size=(32, 32), class_=None, squashed=True)
    """
    if named is not None and named not in outputs:
        hint = nearest(named, outputs) or f"it has {', '.join(outputs)}"
        raise OptionError(f"no output is called {named!r}", option="layer", hint=hint)
    for name in [named] if named is not None else outputs:
        values = np.asarray(outputs[name])
        if kind := _kind(values, size):
            classes = as_maps(values, size).shape[1] if kind == "map" else int(np.prod(values.shape[1:]))
            known = values[~np.isnan(values)]
            outside = bool(known.size) and not (known.min() >= 0 and known.max() <= 1)
            return Scorer(name, kind, classes, size, squashed=outside)
    raise _unfit(
        {name: np.shape(outputs[name]) for name in ([named] if named else outputs)}, size, where, listed(inside())
    )


def maps_of(outputs: Mapping[str, Any], size: Size) -> list[Inner]:
    """List the outputs that are maps of the image, by name."""
    shapes = {name: as_maps(values, size).shape for name, values in outputs.items() if _kind(values, size) == "map"}
    return [Inner(name, shape[1], (shape[2], shape[3])) for name, shape in shapes.items()]


def _unfit(shapes: Mapping[str, tuple[int, ...]], size: Size, where: str, inside: str) -> OptionError:
    """Refuse outputs by name, since none is a map of the image or has class scores."""
    listed = ", ".join(f"{name!r} of {in_words(shape[1:]) or 'one number'}" for name, shape in shapes.items())
    what = f"the output is neither a map of the image, {size[0]} x {size[1]}, nor class scores: {listed}"
    return OptionError(what, where=where, hint=inside or "name a map inside with `layer`")


def _kind(values: NDArray[Any], size: Size) -> Kind | None:
    """Tell what an output is by its shape: one number for each class, or a map that fits the image."""
    shape = values.shape
    if not np.issubdtype(values.dtype, np.floating) or len(shape) < 2:
        return None
    if len(shape) == 2 or all(n == 1 for n in shape[2:]):
        return "classes"
    return "map" if is_map(shape, size) else None


def _sigmoid(values: Array) -> Array:
    squashed: Array = 0.5 * (1 + np.tanh(values / 2))
    return squashed
