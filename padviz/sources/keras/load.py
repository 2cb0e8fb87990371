"""Keras models as networks: the architecture of a .keras file or of a model in memory, parsed and
traced call by call.

Keras is not needed. No weight is read, and no code in a file is run: a layer of unknown class is
unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Protocol, cast

from padviz.errors import DescriptionError, OptionError, printable
from padviz.files.archives import BROKEN, member, unpacked
from padviz.network.network import Network, Size, as_size
from padviz.sources.keras.layers import HANDLERS, WINDOWED, Call, Config
from padviz.sources.tracing.arranging import Arranger, Constant, Malformed, Stuck, Value
from padviz.sources.tracing.calls import Result, as_elementwise, follow
from padviz.sources.tracing.reading import CHANNELS, Reading
from padviz.sources.tracing.trace import foreign_network

MODELS = (
    "Functional",
    "Sequential",
    "Model",
)  # of which layers are known; any other class has code of its own
WRAPPERS = ("SpectralNormalization",)  # of one layer, which they leave as it is
DEEPEST = 20  # models inside of one another
MOST_LAYERS = 5_000  # of one model
USUAL = 224  # pixels of a side that a model leaves open
MOST_BYTES = 1 << 23  # of a description
EXPORT = 'save it from Keras 3, as model.save("x.keras"), or export it to .onnx'
MOST_CALLS = 5_000  # those of models inside of others included


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor: an output of the `call`-th call of a layer."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call of a layer of class `kind`, which reads the tensors `refs`; `model` is set if the
    layer is a model.
    """

    name: str
    call: int
    kind: str
    config: Config
    refs: tuple[Ref, ...]
    model: Model | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model: the shapes of its inputs, its calls in order, and its outputs."""

    inputs: Mapping[Ref, tuple[int | None, ...]]
    steps: tuple[Step, ...]
    outputs: tuple[Ref, ...]


def model_of(spec: Config, depth: int = 0) -> Model:
    """Parse a model as Keras 2 and 3 write it; raise `Malformed` where it is invalid."""
    kind, config = kind_of(spec), _table(spec, "config")
    if depth > DEEPEST:
        raise Malformed(f"has models nested more than {DEEPEST} deep")
    if kind not in MODELS:
        raise Malformed(f"is a model of the class {kind}, whose own code calls its layers")
    layers = config.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= MOST_LAYERS:
        raise Malformed(f"lists no layers, or more than {MOST_LAYERS}")
    read = _sequential if kind == "Sequential" else _functional
    return read(config, layers, depth)


def kind_of(spec: Config) -> str:
    """Return the class of a layer, with its package in front unless it is Keras's own."""
    kind = _text(spec, "class_name", "")
    if not kind:
        raise Malformed("has a layer without a class")
    registered, module = spec.get("registered_name"), spec.get("module")
    keras = not module or str(module).split(".")[0] in ("keras", "tf_keras")
    if keras:
        return kind
    return str(registered or f"{module}.{kind}")


def _functional(config: Config, layers: Sequence[Config], depth: int) -> Model:
    inputs: dict[Ref, tuple[int | None, ...]] = {}
    steps: list[Step] = []
    for spec in layers:
        kind, inner = kind_of(spec), _table(spec, "config")
        title = str(spec.get("name") or _text(inner, "name", kind))
        if kind == "InputLayer":
            inputs[Ref(title)] = _shape(inner)
            continue
        calls = spec.get("inbound_nodes")
        model = None
        if kind in MODELS:
            model = model_of(spec, depth + 1)
        for i, node in enumerate(calls if isinstance(calls, list) else []):
            steps.append(Step(title, i, *_unwrapped(kind, inner), _arguments(node), model))
    given = _refs_of(config, "input_layers")
    if not {*given} <= inputs.keys():
        raise Malformed("names an input that it does not have")
    steps_in_order = _in_order(steps, inputs)
    return Model(
        {ref: inputs[ref] for ref in given},
        steps_in_order,
        tuple(_refs_of(config, "output_layers")),
    )


def _sequential(config: Config, layers: Sequence[Config], depth: int) -> Model:
    first = last = Ref("")
    built = config.get("build_input_shape")
    if isinstance(built, list):
        shape: tuple[int | None, ...] = _numbers(built)
    else:
        shape = ()
    steps: list[Step] = []
    for spec in layers:
        kind, inner = kind_of(spec), _table(spec, "config")
        if kind == "InputLayer" or (
            not steps and (inner.get("batch_shape") or inner.get("batch_input_shape"))
        ):
            shape = _shape(inner)
        if kind == "InputLayer":
            continue
        title = str(_text(inner, "name", kind))
        model = None
        if kind in MODELS:
            model = model_of(spec, depth + 1)
        if model and not shape and not steps:
            shape = next(iter(model.inputs.values()), ())
        steps.append(Step(title, 0, *_unwrapped(kind, inner), (last,), model))
        last = Ref(title)
    if len({step.name for step in steps}) < len(steps):
        raise Malformed("has two layers of the same name")
    return Model({first: shape}, tuple(steps), (last,))


def _unwrapped(kind: str, config: Config) -> tuple[str, Config]:
    """Replace a wrapper by its layer, which computes the same with other weights."""
    layer = config.get("layer")
    if kind in WRAPPERS and isinstance(layer, dict):
        return kind_of(layer), _table(layer, "config")
    return kind, config


def _arguments(node: object) -> tuple[Ref, ...]:
    """Return the tensors among the arguments of a call: an object in Keras 3, a list of tensors
    before.
    """
    if isinstance(node, dict):
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict):
            return tuple(_tensors_in([*args, *kwargs.values()]))
    elif isinstance(node, list):
        return tuple(_ref(ref) for ref in node)
    raise Malformed("calls a layer with invalid arguments")


def _tensors_in(value: object) -> Iterator[Ref]:
    if isinstance(value, list):
        for part in value:
            yield from _tensors_in(part)
    elif (
        isinstance(value, dict)
        and value.get("class_name") == "__keras_tensor__"
        and "config" in value
    ):
        yield _ref(_table(value, "config").get("keras_history"))


def _in_order(steps: Sequence[Step], known: Iterable[Ref]) -> tuple[Step, ...]:
    """Sort calls so that each reads outputs of earlier ones only, in the order of the file where
    possible.
    """
    given = {(ref.layer, ref.call) for ref in known}
    index = {(step.name, step.call): i for i, step in enumerate(steps)}
    try:
        needs = [{(ref.layer, ref.call) for ref in step.refs} - given for step in steps]
        sorter = TopologicalSorter(
            {i: [index[need] for need in needs[i]] for i in range(len(steps))}
        )
        sorter.prepare()
    except (KeyError, CycleError):
        raise Malformed("has layers that read missing tensors, or that form a cycle") from None
    order: list[int] = []
    ready: list[int] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], reverse=True)
        order.append(ready.pop())
        sorter.done(order[-1])
    return tuple(steps[i] for i in order)


def _refs_of(config: Config, key: str) -> list[Ref]:
    refs = config.get(key)
    if isinstance(refs, dict):
        refs = [*refs.values()]
    if not isinstance(refs, list) or not refs:
        raise Malformed(f"has no {key}")
    return [_ref(ref) for ref in ([refs] if isinstance(refs[0], str) else refs)]


def _ref(value: object) -> Ref:
    match value:
        case [str(layer), int(call), int(output), *_]:
            return Ref(layer, call, output)
    raise Malformed("has an invalid reference to a tensor")


def _shape(config: Config) -> tuple[int | None, ...]:
    shape = config.get("batch_shape") or config.get("batch_input_shape") or config.get("shape")
    if not isinstance(shape, list):
        raise Malformed("has an input without a shape")
    return _numbers(shape)


def _numbers(shape: Sequence[object]) -> tuple[int | None, ...]:
    return tuple(n if isinstance(n, int) and n > 0 else None for n in shape)


def _table(spec: object, key: str) -> Config:
    value = None
    if isinstance(spec, dict):
        value = spec.get(key)
    if not isinstance(value, dict):
        raise Malformed(f"has a layer without a {key}")
    return value


def _text(spec: object, key: str, default: str) -> str:
    value = default
    if isinstance(spec, dict):
        value = spec.get(key, default)
    if not isinstance(value, str):
        raise Malformed(f"has a {key} that is not text")
    return value


def load_keras(path: str | Path, reading: Reading, size: Size | None) -> Network:
    """Load a .keras file, by default at the size that it declares, with `USUAL` for open axes."""
    return _network_of(model_in(path), printable(Path(path).stem), str(path), reading, size)


class KerasModel(Protocol):
    """A model of Keras, which is not imported for it."""

    def to_json(self) -> str: ...


def load_model(model: KerasModel, reading: Reading, size: Size | None) -> Network:
    where = str(getattr(model, "name", None) or type(model).__name__)
    try:
        content = model.to_json()
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        raise DescriptionError(
            f"does not say how it is built: {line}", where=where, hint=EXPORT
        ) from None
    return _network_of(_parsed(content, where), where, where, reading, size)


def model_in(path: str | Path) -> Model:
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


def _network_of(
    model: Model, name: str, where: str, reading: Reading, size: Size | None
) -> Network:
    reading.check([ref.layer for ref in model.inputs], where, shaped=False)
    ref, shape = _image_of(model, reading.image, where)
    at_end = _channels_at_end(model, shape)
    if at_end:
        height, width, channels = shape[1:]
    else:
        height, width, channels = (*shape[2:], shape[1])
    try:
        pixels = as_size(size or (height or USUAL, width or USUAL))
    except OptionError as error:
        raise DescriptionError(f"its input: {error.what}", where=where) from None

    def traced(size: Size) -> Arranger:
        trace = Arranger(where, size, reading.neutral)
        image = trace.input_image(channels or 3, at_end)
        outputs = _Run(trace).model(
            model, {**dict.fromkeys(model.inputs, Constant(None)), ref: image}, ""
        )
        for output, value in zip(model.outputs, outputs, strict=True):
            trace.end(output.layer, value)
        return trace

    return foreign_network(traced, name, pixels, where, (height or 0, width or 0))


def _image_of(model: Model, named: str, where: str) -> tuple[Ref, Sequence[int | None]]:
    """Return the input that is the image, the one that is `named` or else the first of four
    dimensions.
    """
    for ref, shape in model.inputs.items():
        if len(shape) == 4 and named in ("", ref.layer):
            return ref, shape
    what = f"its input {named!r} does not have" if named else "has no input of"
    raise DescriptionError(f"{what} four dimensions", where=where)


def _channels_at_end(model: Model, shape: Sequence[int | None]) -> bool:
    """Whether the channels of the image come last: by its shape, or else by what its layers say."""
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first != last:
        return last
    said = {str(step.config.get("data_format")) for step in _all_steps(model)}
    return "channels_first" not in said or "channels_last" in said


def _all_steps(model: Model) -> Iterator[Step]:
    for step in model.steps:
        yield step
        if step.model and not step.call:
            yield from _all_steps(step.model)


class _Run:
    def __init__(self, trace: Arranger) -> None:
        self.trace, self.where, self.count = trace, trace.where, 0

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
                what = (
                    f"layer {title}: {step.kind} is invalid ({' '.join(str(error).split())[:120]})"
                )
                raise DescriptionError(what, where=self.where) from None
            scope |= {Ref(step.name, step.call, i): value for i, value in enumerate(outputs)}
        return [self.lookup(scope, ref) for ref in model.outputs]

    def lookup(self, scope: Mapping[Ref, Value], ref: Ref) -> Value:
        if ref not in scope:
            raise DescriptionError(
                f"nothing makes the tensor {ref.output} of {ref.layer!r}", where=self.where
            )
        return scope[ref]

    def step(self, step: Step, read: Sequence[Value], title: str) -> Sequence[Value]:
        if step.model:
            if len(step.model.inputs) != len(read):
                raise Malformed(f"it is called with {len(read)} tensors")
            return self.model(
                step.model, dict(zip(step.model.inputs, read, strict=True)), f"{title}/"
            )
        if step.kind in self.trace.neutral and step.kind not in HANDLERS:
            handler: Callable[..., Result] | None = as_elementwise
        else:
            handler = HANDLERS.get(step.kind)
        call = Call(
            trace=self.trace,
            title=title,
            op=step.kind,
            read=(*read,),
            handler=handler,
            windowed=step.kind in WINDOWED,
            config=step.config,
        )
        if not call.maps:
            return [Constant(None)]
        with self.trace.made_by(title):
            result = follow(call)
        if isinstance(result, Value):
            return [result]
        return [*cast("Sequence[Value]", result)]
