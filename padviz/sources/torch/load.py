"""PyTorch modules as networks: the forward is run on tensors without data, and its calls are
followed.

No weight is read, and the caller's module stays as it is: it is copied with empty parameters on the
meta device.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    redirect_stdout,
    suppress,
)
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.modules.conv import _ConvNd

from padviz.errors import DescriptionError, ForwardError, PadvizError, UnknownName, nearest, typed
from padviz.network.network import AXES, Alike, Network, Size, in_words, on_axes
from padviz.phrases import some_names
from padviz.sources.torch.channels import channels_read, usual_channels
from padviz.sources.torch.tensors import MOST_KEPT, Refused, constants_of, hollow
from padviz.sources.torch.tracer import SCRIPTED, Stopped, Tracer
from padviz.sources.tracing.arranging import Arranger, Map
from padviz.sources.tracing.dims import ROWS
from padviz.sources.tracing.reading import AS_IT_IS, SIDES, Reading, shape_at
from padviz.sources.tracing.trace import Trace, foreign_network

SIZES: dict[int, tuple[Size, ...]] = {  # tried, by axes, where the module names none
    1: ((16384,), (4096,), (512,)),
    2: ((224, 224), (320, 320), (512, 512), (32, 32)),
    3: ((64, 64, 64), (17, 64, 64), (16, 224, 224)),
}
MOST_TRIED = 32  # numbers of channels, at each size
ANOTHER_SIZE = "try another size"
UNTRAINED = {
    "weights": None,
    "weights_backbone": None,
    "pretrained": False,
    "pretrained_backbone": False,
}
UNTRAINED |= {"init_weights": False}
# Folders of code that the user did not write: padviz, Python's library, and what is installed.
INSTALLED = [
    Path(__file__).parents[2],
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    Path(torch.__file__).parents[1],
]
Factory = Callable[..., object]
Watch = Callable[[Tracer], AbstractContextManager[object]]
T = TypeVar("T")


def load_module(
    source: nn.Module | str, reading: Reading = AS_IT_IS, size: Size | None = None
) -> Network:
    """Follow a module, or what "package.module:attribute" names: a module, or a class or factory of
    one.

    A factory is called without weights; further attributes of what it makes may follow, as in
    "torchvision.models:resnet50.layer1".
    """
    module = resolve(source) if isinstance(source, str) else source
    if isinstance(source, str):
        name = source.rsplit(":", 1)[-1]
    else:
        name = type(source).__name__
    where = name
    if isinstance(source, str):
        where = source
    return network_of(module, name, where, reading, size)


def network_of(
    module: object, name: str, where: str, reading: Reading = AS_IT_IS, size: Size | None = None
) -> Network:
    """Follow a module to a network called `name`; `where` is what errors name, and others as in
    `load_module`.
    """
    module = _unwrapped(module, where)
    reading.check(parameters_of(module.forward), where, image=True)
    kept = {tensor for tensor in constants_of(module) if tensor.numel() <= MOST_KEPT}
    empty = copy_module(
        module,
        where,
        lambda tensor: tensor.detach().clone() if tensor in kept else without_data(tensor),
    )
    failures: list[tuple[PadvizError, Size]] = []
    reached: dict[int, float] = {}  # layers that ran, by the channels of the image
    for said, pixels in _images(module, where, size, reading):
        tried = set[int]()
        untried = [said] if said else usual_channels(module, len(pixels))
        while untried and len(tried) < MOST_TRIED:
            channels = untried.pop(0)
            if channels in tried:
                continue
            tried.add(channels)
            tracer = partial(trace, empty, where, reading, channels)
            try:
                return foreign_network(tracer, name, pixels, where, channels=channels)
            except PadvizError as error:
                failures.append((error, pixels))
                reached[channels] = max(_layers_run(error), reached.get(channels, 0))
                if isinstance(error, ForwardError) and not said:
                    untried = [*error.channels, *untried]
    furthest, pixels = max(failures, key=lambda failure: _layers_run(failure[0]))
    if not isinstance(furthest, ForwardError):
        raise furthest
    usual = usual_channels(module, len(pixels))
    shape = f"{image_input(module, reading)}=1x%dx{'x'.join(SIDES[len(pixels)])}"
    follow = partial(trace, empty, where, reading, size=pixels)
    hint = _hint_on_channels(furthest, follow, usual, reached, shape)
    raise ForwardError(furthest.what, where=furthest.where, hint=hint)


def _hint_on_channels(
    error: ForwardError,
    follow: Callable[[int], object],
    usual: Iterable[int],
    reached: dict[int, float],
    shape: str,
) -> str:
    """Return the next step after an error, by how many layers ran with other channels.

    `follow` runs the forward with a number of channels: here with those `usual` ones that were not
    tried. `shape` spells the shape of the image, with %d for its channels.
    """
    if not error.hint.endswith(ANOTHER_SIZE):
        return error.hint
    # Where the channels are said, no others have been tried.
    for n in {*error.channels, *usual} - reached.keys():
        reached[n] = inf
        try:
            follow(n)
        except PadvizError as failure:
            reached[n] = _layers_run(failure)
    best = max(reached, key=reached.__getitem__)
    if reached[best] > error.layers:
        return f"say other channels: `shape` {typed(shape % best)} has {best}"
    if min(reached.values()) < error.layers:
        return f"the layers before it take {best} channels: correct it, or {ANOTHER_SIZE}"
    other = next(n for n in count(8) if n not in reached)
    return f"{error.hint}, or say its channels: `shape` {typed(shape % other)} has {other}"


def _unwrapped(module: object, where: str) -> nn.Module:
    """Return the module that is inside of what wraps it; refuse what is none, or has no code."""
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    predicts = isinstance(module, nn.Module) and type(module).__call__ is not nn.Module.__call__
    if predicts and isinstance(inner := getattr(module, "model", None), nn.Module):
        module = inner  # of one that is called to predict, as Ultralytics' YOLO is
    if isinstance(module, nn.Module) and not isinstance(module, torch.jit.ScriptModule):
        return module
    kind = type(module).__name__
    raise DescriptionError(
        f"is of type {kind}, and not a torch.nn.Module whose code can be followed",
        where=where,
        hint="name a module, or a class or function that makes one",
    )


def _layers_run(error: PadvizError) -> float:
    """Return how far a forward got; one that ran, and that padviz cannot follow, got furthest."""
    if isinstance(error, ForwardError):
        return error.layers
    return inf


def _images(
    module: nn.Module, where: str, size: Size | None, reading: Reading
) -> Iterator[tuple[int, Size]]:
    """Yield the channels, 0 if nothing says them, and the sizes that the image of a module may
    have, the likeliest first.
    """
    if said := reading.channels_of(image_input(module, reading), where):
        channels, axes = said
        for pixels in [on_axes(size, AXES[axes], where)] if size else SIZES[axes]:
            yield channels, pixels
        return
    exported = _exported_image(module)
    declared = tuple(exported[1:]) or _declared_by_timm(module)
    if declared:
        all_axes = [len(declared)]
    else:
        all_axes = _axes_of_convolutions(module)
    if not all_axes:
        usual = len(size) if size and not isinstance(size, Alike) else 2
        all_axes = list(dict.fromkeys((*_axes_in_names(module), usual)))
    for axes in all_axes:
        sizes = [declared] if declared else SIZES[axes]
        if size:
            sizes = [on_axes(size, AXES[axes], where)]
        for pixels in sizes:
            yield (exported or [0])[0], pixels


def _exported_image(module: nn.Module) -> list[int]:
    """Return channels and sizes of the one image that a graph was exported with; [] if there is
    none.
    """
    if not isinstance(module, torch.fx.GraphModule):
        return []
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    tensors = [value for value in values if isinstance(value, Tensor)]
    images = [tensor.shape for tensor in tensors if tensor.ndim - 2 in AXES]
    if len(images) != 1:
        return []
    return [n if isinstance(n, int) else n.node.hint for n in images[0][1:]]


def _declared_by_timm(module: nn.Module) -> Size:
    """Return the size that timm says the network was trained at; () if it does not say."""
    config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    said = None
    if isinstance(config, dict):
        said = config.get("input_size")
    return tuple((said or ())[-2:])


def _axes_of_convolutions(module: nn.Module) -> list[int]:
    convolutions = [inner for inner in module.modules() if isinstance(inner, _ConvNd)]
    return list(dict.fromkeys(inner.weight.ndim - 2 for inner in convolutions))


def _axes_in_names(module: nn.Module) -> list[int]:
    """Return the numbers of axes that the names of PyTorch's layers say, as AvgPool1d does."""
    kinds = [type(inner) for inner in module.modules()]
    names = [kind.__name__ for kind in kinds if kind.__module__.startswith("torch.nn")]
    return [int(name[-2]) for name in names if name[-2:] in ("1d", "2d", "3d")]


def make_untrained(factory: Factory, source: str) -> object:
    """Call a class or a function that makes a module, without weights and, where that works, memory
    for them.
    """
    options = {key: value for key, value in UNTRAINED.items() if key in parameters_of(factory)}
    try:
        # What the hook returns becomes the parameter.
        with hooks.register_module_parameter_registration_hook(
            lambda module, name, parameter: without_data(parameter)  # type: ignore[arg-type]
        ):
            return call_factory(factory, source, options)
    except DescriptionError:
        return call_factory(factory, source, options)


def resolve(source: str, make: Callable[[Factory, str], object] | None = None) -> object:
    """Return what "package.module:attribute.attribute" names; call factories on the way, by default
    without weights.

    What may follow another colon is the argument of the first of them, as in
    "timm:create_model:resnet18".
    """
    make = make or make_untrained
    home, path, *given = source.split(":")
    target, before = _import(home, source), ""
    for part in path.split("."):
        if not hasattr(target, part) and callable(target) and not isinstance(target, nn.Module):
            target, given = make(partial(target, *given), source), []
        if not hasattr(target, part):
            hint = _names_near(part, target, home)
            raise UnknownName(f"{before or home} has no {part!r}", where=source, hint=hint)
        target, before = getattr(target, part), part
    if isinstance(target, nn.Module) or not callable(target):
        return target
    return make(partial(target, *given), source)


def _names_near(part: str, target: object, home: str) -> str:
    """Return a hint with names that an object has; of the code `home`, those that it defines."""
    if hasattr(target, "create_model"):  # as timm
        return f"write {home}:create_model:{part}"
    held = getattr(target, "__dict__", {})
    made = [name for name in held if getattr(held[name], "__module__", "") == home]
    if not made or not inspect.ismodule(target):
        return nearest(part, dir(target))
    return nearest(part, made) or f"name one: {some_names(f'{home}:{name}' for name in made)}"


def _import(home: str, source: str) -> object:
    def failed(error: BaseException) -> PadvizError:
        if isinstance(error, ModuleNotFoundError):
            hint = "is it installed?"
            if error.name == home:
                hint = nearest(home, [path.stem for path in Path(here).glob("*.py")]) or hint
            return UnknownName(f"no module is called {error.name!r}", where=source, hint=hint)
        return DescriptionError(f"cannot be imported: {line_of(error)}", where=source)

    here = os.getcwd()  # where the command is run, as python -m has it; the code may go elsewhere
    sys.path.insert(0, here)
    try:
        return run_foreign(lambda: importlib.import_module(home), failed)
    finally:
        with suppress(ValueError):  # the code may have set paths of its own
            sys.path.remove(here)


def parameters_of(factory: Factory) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return {}


def call_factory(
    factory: Factory,
    source: str,
    options: Mapping[str, object],
    hint: str = "name a function that needs no arguments",
) -> object:
    return run_foreign(
        lambda: factory(**options),
        lambda error: DescriptionError(
            f"cannot be made: {line_of(error)}", where=source, hint=hint
        ),
    )


def run_foreign(code: Callable[[], T], failed: Callable[[BaseException], PadvizError]) -> T:
    """Run other people's code; where it fails, raise the error that `failed` returns. Ctrl-C
    passes.
    """
    try:
        with quiet():
            return code()
    except PadvizError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(error) from None


def line_of(error: BaseException) -> str:
    """Return the kind and the text of an error, and the line of the user's code that raised it."""
    text = " ".join(str(error).split())
    line = type(error).__name__
    if text:
        line = f"{line}: {text[:200]}"
    return f"{line}{_raised_at(error)}"


def _raised_at(error: BaseException) -> str:
    """Return the innermost line on an error's way that is neither padviz's nor of what is
    installed; "" if there is none.
    """
    at = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_file() and not any(path.is_relative_to(folder) for folder in INSTALLED):
            if path.is_relative_to(Path.cwd()):
                path = path.relative_to(Path.cwd())
            at = f" ({path}, line {number})"
    return at


def copy_module(module: nn.Module, where: str, of: Callable[[Tensor], Tensor]) -> nn.Module:
    values = [value for inner in module.modules() for value in vars(inner).values()]
    tensors = {
        *module.parameters(),
        *module.buffers(),
        *(value for value in values if isinstance(value, Tensor)),
    }

    def copied() -> nn.Module:
        # the memo of deepcopy has what becomes of objects by their ids
        memo: dict[int, object] = {
            id(value): value for value in values if isinstance(value, torch.jit.ScriptFunction)
        }
        return copy.deepcopy(module, memo | {id(tensor): of(tensor) for tensor in tensors}).eval()

    hint = "a module with lazy layers must have run once"
    return run_foreign(
        copied,
        lambda error: DescriptionError(
            f"cannot be copied: {line_of(error)}", where=where, hint=hint
        ),
    )


def float_type(module: nn.Module) -> torch.dtype:
    """Return the type of its first weights, which its images have, too."""
    weights = (weight.dtype for weight in module.parameters() if weight.is_floating_point())
    return next(weights, torch.float32)


def without_data(tensor: Tensor) -> Tensor:
    empty = hollow(tensor)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=False)
    return empty


def trace(
    module: nn.Module,
    where: str,
    reading: Reading,
    channels: int,
    size: Size,
    watch: Watch = nullcontext,
) -> Arranger:
    """Follow the forward of a module without weights on an image of one size, within `watch` of the
    tracer.
    """
    follow = partial(_follow, module, where, reading, channels, size)
    tracer = follow(watch=watch)
    if tracer.trace.tokens_added and not tracer.trace.tokens_removed:
        tracer = follow(watch=watch, tokens=False)
    if tracer.read is not None:
        # which layers run behind values that are not known? try both answers to all questions
        for answer in (False, True):
            with suppress(PadvizError):
                if again := follow(answer=answer).modules.again:
                    tracer.refuse(f"{again} runs again behind it, as often as they say")
                    break
    return tracer.trace


def _follow(
    module: nn.Module,
    where: str,
    reading: Reading,
    channels: int,
    size: Size,
    watch: Watch = nullcontext,
    tokens: bool = True,
    answer: bool | None = None,
) -> Tracer:
    laid = Arranger(where, size, reading.neutral, block=".block.", follow_tokens=tokens)
    tracer = Tracer(laid, module, answer)
    kind = float_type(module)
    image = torch.empty((1, channels, *size), device="meta", dtype=kind)
    tracer.memory.learn(image, laid.input_image(channels))
    into = ""
    if reading.options:
        into = image_input(module, reading)
    others: dict[str, Tensor | int | float] = {}
    for name, shape in reading.shapes.items():
        if name == into:
            continue
        value = shape_at(name, shape, size, where)
        if isinstance(value, tuple):
            tensor = others[name] = torch.empty(value, device="meta", dtype=kind)
            tracer.memory.add(tensor, unread=True)
        else:
            others[name] = value

    def forward() -> object:
        with torch.no_grad(), tracer.modules, tracer.memory, tracer, watch(tracer):
            if into:
                return module(**{into: image, **others})
            return module(image)

    def failed(error: BaseException) -> PadvizError:
        at = ", ".join(filter(None, (where, tracer.modules.path)))
        if tracer.scripted:  # older versions of PyTorch run no traced code on tensors without data
            return DescriptionError(SCRIPTED, where=at)
        if isinstance(error, Refused) and error.hint:
            return DescriptionError(str(error), where=at, hint=error.hint)
        what = f"its forward fails on {in_words((channels, *size))}: {line_of(error)}"
        failure = ForwardError(what, where=at, hint=_way_out(module, reading, others, len(size)))
        failure.layers = len(laid.layers)
        failure.channels = channels_read(
            tracer.running,
            lambda tensor: tracer.memory.value(tensor) is not None,
            tracer.modules.stack[-1][1],
            channels,
        )
        return failure

    try:
        outputs = tracer.outputs(run_foreign(forward, failed))
        layers = {value: _as_output(laid, value) for value in dict.fromkeys(outputs.values())}
        laid.ends, laid.tensors = (
            {*layers.values()},
            {name: layers[value] for name, value in outputs.items()},
        )
    except Stopped as end:
        if end.error:
            raise end.error from None
    return tracer


def _as_output(laid: Trace, value: Map) -> int:
    """Return the layer of an output, which is a last map even if other layers read it, unless it is
    flattened.
    """
    at, layer = value.at, laid.layers[value.at]
    laid.origin = layer.origin
    if value.dims is not None and not any(dim.kind in ROWS for dim in value.dims):
        return laid.add("flatten", "global", (at,))
    if laid.heads or layer.pooled or layer.kind in ("input", "unknown") or not _goes_on(laid, at):
        return at
    return laid.add(f"{laid.layers[laid.without_norms(at)].name}.output", "identity", (at,))


def _goes_on(laid: Trace, at: int) -> bool:
    """Whether anything but a head reads a layer, or a norm that passes it on."""
    readers = [i for i, layer in enumerate(laid.layers) if at in layer.inputs and not layer.head]
    return any(laid.without_norms(i) == i or _goes_on(laid, i) for i in readers)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence other people's code, within: it neither warns nor prints nor reads stdin."""
    before = sys.stdin
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), open(os.devnull) as sys.stdin:
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            sys.stdin = before


def image_input(module: nn.Module, reading: Reading) -> str:
    """Return the name of the input that is the image, "" where the forward names none."""
    return reading.image_among(_needed(module) or [*parameters_of(module.forward)][:1])


def _needed(module: nn.Module) -> list[str]:
    return [
        name
        for name, one in parameters_of(module.forward).items()
        if one.default is one.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]


def _way_out(module: nn.Module, reading: Reading, others: Mapping[str, object], axes: int) -> str:
    image = image_input(module, reading)
    if not image:
        return "write a forward that takes one image"
    missing = [name for name in _needed(module) if name not in (image, *others)]
    if missing:
        name = missing[0]
        return (
            f"`shape` {typed(f'{name}=1')} gives it a number, `shape` {typed(f'{name}=1x3xHxW')} "
            "a tensor"
        )
    for name, value in others.items():
        if not isinstance(value, Tensor):
            return (
                f"that is with {name}={value}, a number: `shape` {typed(f'{name}=1x')} gives it "
                "as a vector"
            )
    if others:
        return (
            f"it was given {' and '.join(others)} beside the image; try another shape of these, "
            "or another size"
        )
    if hasattr(module, "backbone"):
        return "its attribute .backbone may be what you mean"
    kind = {1: "signal", 2: "image", 3: "volume"}[axes]
    return f"it must take one {kind}; {ANOTHER_SIZE}"
