"""The architecture of a Keras model: its calls in order, parsed from the JSON that Keras writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MODELS = ("Functional", "Sequential", "Model")  # of which layers are known; any other class has code of its own
WRAPPERS = ("SpectralNormalization",)  # of one layer, which they leave as it is
DEEPEST = 20  # models inside of one another
MOST_LAYERS = 5_000  # of one model
Config = Mapping[str, Any]


class Malformed(Exception):
    """An invalid description of a model."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor: an output of the `call`-th call of a layer."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call of a layer of class `kind`, which reads the tensors `refs`; `model` is set if the layer is a model."""

    name: str
    call: int
    kind: str
    config: Config
    refs: tuple[Ref, ...]
    model: Model | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model: the shapes of its inputs, its calls in order, and its outputs."""

    name: str
    inputs: Mapping[Ref, tuple[int | None, ...]]
    steps: tuple[Step, ...]
    outputs: tuple[Ref, ...]


def model_of(spec: Any, depth: int = 0) -> Model:
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
    return read(_text(config, "name", "model"), config, layers, depth)


def kind_of(spec: Any) -> str:
    """Return the class of a layer, with its package in front unless it is Keras's own."""
    kind = _text(spec, "class_name", "")
    if not kind:
        raise Malformed("has a layer without a class")
    own, module = spec.get("registered_name"), spec.get("module")
    keras = not module or str(module).split(".")[0] in ("keras", "tf_keras")
    return kind if keras else str(own or f"{module}.{kind}")


def _functional(name: str, config: Config, layers: Sequence[Any], depth: int) -> Model:
    inputs: dict[Ref, tuple[int | None, ...]] = {}
    steps: list[Step] = []
    for spec in layers:
        kind, inner = kind_of(spec), _table(spec, "config")
        title = str(spec.get("name") or _text(inner, "name", kind))
        if kind == "InputLayer":
            inputs[Ref(title)] = _shape(inner)
            continue
        calls = spec.get("inbound_nodes")
        model = model_of(spec, depth + 1) if kind in MODELS else None
        for i, node in enumerate(calls if isinstance(calls, list) else []):
            steps.append(Step(title, i, *_unwrapped(kind, inner), _arguments(node), model))
    given = _refs_of(config, "input_layers")
    if not {*given} <= inputs.keys():
        raise Malformed("names an input that it does not have")
    steps_in_order = _in_order(steps, inputs)
    return Model(name, {ref: inputs[ref] for ref in given}, steps_in_order, tuple(_refs_of(config, "output_layers")))


def _sequential(name: str, config: Config, layers: Sequence[Any], depth: int) -> Model:
    first = last = Ref("")
    built = config.get("build_input_shape")
    shape: tuple[int | None, ...] = _numbers(built) if isinstance(built, list) else ()
    steps: list[Step] = []
    for spec in layers:
        kind, inner = kind_of(spec), _table(spec, "config")
        if kind == "InputLayer" or (not steps and (inner.get("batch_shape") or inner.get("batch_input_shape"))):
            shape = _shape(inner)
        if kind == "InputLayer":
            continue
        title = str(_text(inner, "name", kind))
        model = model_of(spec, depth + 1) if kind in MODELS else None
        if model and not shape and not steps:
            shape = next(iter(model.inputs.values()), ())
        steps.append(Step(title, 0, *_unwrapped(kind, inner), (last,), model))
        last = Ref(title)
    if len({step.name for step in steps}) < len(steps):
        raise Malformed("has two layers of the same name")
    return Model(name, {first: shape}, tuple(steps), (last,))


def _unwrapped(kind: str, config: Config) -> tuple[str, Config]:
    """Replace a wrapper by its layer, which computes the same with other weights."""
    if kind in WRAPPERS and isinstance(config.get("layer"), dict):
        return kind_of(config["layer"]), _table(config["layer"], "config")
    return kind, config


def _arguments(node: object) -> tuple[Ref, ...]:
    """Return the tensors among the arguments of a call: an object in Keras 3, a list of tensors before."""
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
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__" and "config" in value:
        yield _ref(_table(value, "config").get("keras_history"))


def _in_order(steps: Sequence[Step], known: Iterable[Ref]) -> tuple[Step, ...]:
    """Sort calls so that each reads outputs of earlier ones only."""
    made = {(ref.layer, ref.call) for ref in known}
    readers: dict[tuple[str, int], list[int]] = {}
    missing = []
    for i, step in enumerate(steps):
        needs = {(ref.layer, ref.call) for ref in step.refs} - made
        missing.append(len(needs))
        for need in needs:
            readers.setdefault(need, []).append(i)
    ready = [i for i, needs in enumerate(missing) if not needs][::-1]
    order = []
    while ready:
        step = steps[ready.pop()]
        order.append(step)
        for i in readers.pop((step.name, step.call), ()):
            missing[i] -= 1
            if not missing[i]:
                ready.append(i)
    if len(order) < len(steps):
        raise Malformed("has layers that read missing tensors, or that form a cycle")
    return tuple(order)


def _refs_of(config: Config, key: str) -> list[Ref]:
    """List the inputs or outputs of a model; Keras 3 writes a single one without a list."""
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
    value = spec.get(key) if isinstance(spec, dict) else None
    if not isinstance(value, dict):
        raise Malformed(f"has a layer without a {key}")
    return value


def _text(spec: object, key: str, default: str) -> str:
    value = spec.get(key, default) if isinstance(spec, dict) else default
    if not isinstance(value, str):
        raise Malformed(f"has a {key} that is not text")
    return value
