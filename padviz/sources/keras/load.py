"""Keras models as networks: the architecture of a .keras file or of a model in memory, traced call by call.

Keras is not needed. No weight is read, and no code in a file is run: a layer of unknown class is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from padviz.errors import DescriptionError, OptionError, printable
from padviz.files.opened import BROKEN, member, unpacked
from padviz.network.network import Network, Size, as_size
from padviz.sources.keras.call import Call
from padviz.sources.keras.layers import TABLE
from padviz.sources.keras.model import Malformed, Model, Ref, Step, model_of
from padviz.sources.tracing.arranging import Arranger, Constant, Head, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import plain, whole
from padviz.sources.tracing.calls import as_elementwise, follow
from padviz.sources.tracing.foreign import Foreign
from padviz.sources.tracing.reading import CHANNELS, Reading
from padviz.sources.tracing.trace import Trace

USUAL = 224  # pixels of a side that a model leaves open
MOST_BYTES = 1 << 23  # of a description
EXPORT = 'save it from Keras 3, as model.save("x.keras"), or export it to .onnx'
MOST_CALLS = 5_000  # those of models inside of others included


def load_keras(path: str | Path, reading: Reading, size: Size | None) -> Network:
    """Load a .keras file, by default at the size that it declares, with `USUAL` for open axes."""
    return _network_of(model_in(path), printable(Path(path).stem), str(path), reading, size)


def load_model(model: Any, reading: Reading, size: Size | None) -> Network:
    """Load a Keras model in memory, from its `to_json()`."""
    where = str(getattr(model, "name", None) or type(model).__name__)
    try:
        content = model.to_json()
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        raise DescriptionError(f"does not say how it is built: {line}", where=where, hint=EXPORT) from None
    return _network_of(_parsed(content, where), where, where, reading, size)


def model_in(path: str | Path) -> Model:
    """Read the architecture in a .keras file."""
    with unpacked(path, "a .keras file") as archive:
        try:
            content = member(archive, "config.json", MOST_BYTES)
        except BROKEN:
            what = "has no config.json, or one that cannot be read"
            raise DescriptionError(what, where=str(path), hint=EXPORT) from None
    return _parsed(content, str(path))


def _parsed(content: str | bytes, where: str) -> Model:
    try:
        return model_of(json.loads(content))
    except Malformed as error:
        raise DescriptionError(str(error), where=where, hint=EXPORT) from None
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=where) from None
    except ValueError:
        raise DescriptionError("has a config that is not JSON", where=where, hint=EXPORT) from None


@dataclass(frozen=True, slots=True)
class Image:
    """The image among the inputs of a model: its height and width, 0 where they are open, and its channels."""

    ref: Ref
    size: Size
    channels: int
    channels_last: bool


def _network_of(model: Model, name: str, where: str, reading: Reading, size: Size | None) -> Network:
    reading.check_unshaped([ref.layer for ref in model.inputs], where)
    try:
        image = _image_of(model, reading.image)
        pixels = as_size(size or tuple(n or USUAL for n in image.size))
    except Malformed as error:
        raise DescriptionError(str(error), where=where) from None
    except OptionError as error:
        raise DescriptionError(f"its input: {error.what}", where=where) from None
    follow = partial(_trace, model, where, frozenset(reading.neutral), image)
    return Foreign(follow, name, where, image.size).at(pixels)


def _image_of(model: Model, name: str) -> Image:
    """Return the input called `name`, or the first one of four dimensions; guess which of these are its channels."""
    images = [(ref, shape) for ref, shape in model.inputs.items() if len(shape) == 4 and name in ("", ref.layer)]
    if not images:
        what = f"its input {name!r} does not have" if name else "has no input of"
        raise Malformed(f"{what} four dimensions")
    ref, (_, first, rows, last) = images[0]
    orders = {step.config.get("data_format") for step in _all_steps(model)} & {"channels_first", "channels_last"}
    at_end = last in CHANNELS if (first in CHANNELS) != (last in CHANNELS) else orders != {"channels_first"}
    height, width, channels = (first, rows, last) if at_end else (rows, last, first)
    return Image(ref, (height or 0, width or 0), channels or 3, at_end)


def _all_steps(model: Model) -> Iterator[Step]:
    """Yield the calls of a model, and once those of each model inside it."""
    for step in model.steps:
        yield step
        if step.model and not step.call:
            yield from _all_steps(step.model)


def _trace(model: Model, where: str, neutral: frozenset[str], image: Image, size: Size) -> Trace:
    trace = Trace(where, size)
    sides = [*map(whole, trace.axes, size)]
    sides.insert(2 if image.channels_last else 0, plain(image.channels))
    given: dict[Ref, Value] = dict.fromkeys(model.inputs, Constant(None))
    given[image.ref] = Map((plain(1), *sides), 0)
    outputs = _Run(Arranger(trace), where, neutral).model(model, given, "")
    for ref, value in zip(model.outputs, outputs, strict=True):
        trace.ends |= value.sources
        if isinstance(value, Head) or (isinstance(value, Map) and trace.pooled[value.at]):
            trace.vectors[ref.layer] = value.sources
    return trace


class _Run:
    """One pass over the calls, including those of inner models."""

    def __init__(self, arranger: Arranger, where: str, neutral: frozenset[str]) -> None:
        self.arranger, self.where, self.neutral = arranger, where, neutral
        self.count = 0

    def model(self, model: Model, given: Mapping[Ref, Value], path: str) -> list[Value]:
        scope = dict(given)
        for step in model.steps:
            self.count += 1
            if self.count > MOST_CALLS:
                raise DescriptionError(f"calls more than {MOST_CALLS} layers", where=self.where)
            title = f"{path}{step.name}"
            try:
                outputs = self.step(step, [self.lookup(scope, ref) for ref in step.refs], title)
            except (Malformed, Stuck) as error:
                what = f"layer {title}: {step.kind} is invalid ({' '.join(str(error).split())[:120]})"
                raise DescriptionError(what, where=self.where) from None
            scope |= {Ref(step.name, step.call, i): value for i, value in enumerate(outputs)}
        return [self.lookup(scope, ref) for ref in model.outputs]

    def lookup(self, scope: Mapping[Ref, Value], ref: Ref) -> Value:
        if ref not in scope:
            raise DescriptionError(f"nothing makes the tensor {ref.output} of {ref.layer!r}", where=self.where)
        return scope[ref]

    def step(self, step: Step, read: Sequence[Value], title: str) -> Sequence[Value]:
        if step.model:
            if len(step.model.inputs) != len(read):
                raise Malformed(f"it is called with {len(read)} tensors")
            return self.model(step.model, dict(zip(step.model.inputs, read, strict=True)), f"{title}/")
        handler: Any = as_elementwise if step.kind in self.neutral else TABLE.get(step.kind)
        call = Call(
            arranger=self.arranger, title=title, op=step.kind, read=(*read,), handler=handler,
            config=step.config, neutral=self.neutral,
        )  # fmt: skip
        if not call.maps and not call.heads:
            return [Constant(None)]
        with self.arranger.trace.made_by(title):
            result = follow(call)
        return [result] if isinstance(result, Value) else [*cast("Sequence[Value]", result)]
