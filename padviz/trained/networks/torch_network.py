"""PyTorch modules: the weights that their convolutions are called with, files of weights, and
running them.
"""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from copy import copy, deepcopy
from dataclasses import replace
from enum import EnumType
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, get_args
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from padviz.cutting.plan import LayerPlan
from padviz.cutting.running import tiled
from padviz.errors import DescriptionError, OptionError, nearest, printable
from padviz.files.opened import opened
from padviz.network.layer import Layer
from padviz.network.network import Size, in_words
from padviz.phrases import some_names
from padviz.progress import Progress
from padviz.sources import WEIGHTS
from padviz.sources.torch import load
from padviz.sources.torch.call import Modules
from padviz.sources.torch.tensors import constants_of, named_tensors, op_of, tensors_in
from padviz.sources.torch.tracer import Tracer
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.networks import running
from padviz.trained.networks.running import (
    Images,
    Outputs,
    Reduced,
    Results,
    check_room,
    has_borders,
    middle,
    middle_weights,
)
from padviz.trained.networks.trained_network import (
    Stored,
    Trained,
    TrainedOn,
    Unread,
    Unrun,
    infer_images,
    kernels_of,
)

CALLS = ("conv1d", "conv2d", "conv_transpose2d")
NESTED = ("state_dict", "model_state_dict", "model", "net")  # where checkpoints have the parameters
PREFIXES = ("module.", "_orig_mod.", "model.")  # that training puts before each name
RANDOM = "random"  # in place of a name of weights
A_FILE = "or a .pth or .safetensors file"
CACHED = 1 << 18  # numbers that are reduced at once: more leave the cache
SMALL = 14 * 14  # pixels of a map up to which one product makes all lines fastest
SAVE = "save a module's state_dict()"
LONGEST = 160  # characters of what another library says
ONE = "a module that wraps it and takes one image is run"
Within = Callable[[], AbstractContextManager[object]]


def read(
    source: str | nn.Module, size: Size | None, weights: str | Path | None, reading: Reading
) -> Trained:
    from_file = weights is not None and str(weights).lower().endswith(WEIGHTS)
    notes: list[str] = []
    if isinstance(source, str):
        where = source
        call = None
        if not from_file:
            call = partial(_with_weights, weights=weights, notes=notes)
        module = load.resolve(source, call)
    else:
        if weights is not None and not from_file:
            raise _not_a_file(weights)
        where = type(source).__name__
        module = source
    network = load.network_of(module, where.rsplit(":", 1)[-1], where, reading, size)
    assert isinstance(module, nn.Module)  # network_of rejects all else
    module = load.copy_module(getattr(module, "_orig_mod", module), where, lambda tensor: tensor)
    if weights is not None and from_file:
        _load(module, state_of(Path(weights)), str(weights), where)
    pixels = network.pixels(size)
    calls = _ConvolutionCalls()
    load.trace(module, where, reading, network.channels, pixels, watch=calls.watch)
    model: nn.Module | Unrun = module
    # It takes more than an image.
    if reading.image or {*reading.shapes} - {load.image_input(module, reading)}:
        model = Unrun(where, ONE)
    kernels = kernels_of(network, calls.stored)
    said = tuple(notes)
    return Trained(
        network, pixels, model, where, network.channels, *kernels, said, calls.trained_on
    )


def _with_weights(
    factory: Callable[..., object], source: str, weights: str | Path | None, notes: list[str]
) -> object:
    """Call a factory with its weights by name.

    Without a name, note that they may be random, or reject them.
    """
    taken = load.parameters_of(factory)
    if weights == RANDOM:
        untrained = {name: value for name, value in load.UNTRAINED.items() if name in taken}
        return load.call_factory(factory, source, untrained)
    if weights is None:
        by_name = taken.get("weights") or taken.get("pretrained")
        if by_name is None:
            notes.append(
                f"{source}: created anew, so its weights are random unless it loads some; "
                "`weights` FILE loads others"
            )
        elif not by_name.default:
            hint = f"use `weights` DEFAULT, {RANDOM}, or the path of a file that fits"
            raise DescriptionError("makes a module with random weights", where=source, hint=hint)
        return load.call_factory(factory, source, {})
    options: dict[str, object]
    if "weights" in taken:
        names = _names_of_weights(taken["weights"])
        options = {"weights": str(weights)}
    elif "pretrained" in taken:
        names = ["DEFAULT"]
        options = {"pretrained": True}
    else:
        raise _not_a_file(weights)
    if names and str(weights).rpartition(".")[2] not in names:
        what, hint = (
            f"{source} has no weights called {str(weights)!r}",
            f"use {', '.join(names)}, {A_FILE}",
        )
        raise OptionError(what, option="weights", hint=hint)
    if "weights_backbone" in taken:
        options["weights_backbone"] = None
    return load.call_factory(
        factory, source, options, f"use a name that it has for weights, {A_FILE}"
    )


def _names_of_weights(parameter: inspect.Parameter) -> list[str]:
    """List the names that the enumeration in a factory's signature has, DEFAULT first.

    None without one.
    """
    names = set[str]()
    for kind in get_args(parameter.annotation):
        if isinstance(kind, EnumType):
            names.update(kind.__members__)
    return sorted(names, key=lambda name: (name != "DEFAULT", name))


def _not_a_file(weights: str | Path) -> OptionError:
    what = f"{str(weights)!r} is not a file of weights, and nothing here takes weights by name"
    return OptionError(what, option="weights", hint="use the path of a .safetensors or .pth file")


def state_of(path: Path) -> dict[str, Tensor]:
    """Read the tensors in a .safetensors file, or in a .pth file that holds nothing else: no code
    in it is run.
    """
    reported = BadZipFile, ValueError, NotImplementedError  # below, by the file's reader
    with (
        opened(path, "a .safetensors or .pth file") as file,
        suppress(*reported),
        ZipFile(file) as archive,
    ):
        if sum(member.file_size for member in archive.infolist()) > file.seek(0, os.SEEK_END):
            # compressed members, or some that overlap
            what = "expands to more than its bytes, unlike any file of PyTorch"
            raise DescriptionError(what, where=str(path), hint=SAVE)
    if path.suffix.lower() == ".safetensors":
        state = _from_safetensors(path)
    else:
        state = _from_pickle(path)
    seen = [state]
    while key := next((key for key in NESTED if isinstance(state.get(key), Mapping)), ""):
        state = state[key]
        if any(state is outer for outer in seen):
            raise DescriptionError(f"holds itself under {key!r}", where=str(path), hint=SAVE)
        seen.append(state)
    state = {
        key: value
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not state:
        raise DescriptionError("holds no parameters", where=str(path), hint=SAVE)
    return state


def _from_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        hint = "install it: pip install 'padviz[trained]'"
        raise DescriptionError(
            "needs the package safetensors", where=str(path), hint=hint
        ) from None
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        what = f"is not a .safetensors file, or is incomplete{_in_parentheses(error)}"
        raise DescriptionError(what, where=str(path)) from None


def _from_pickle(path: Path) -> Mapping[str, Any]:
    import pickle

    try:
        with load.quiet():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of files that are damaged, or archives of code
        text, what = str(error), "is not a PyTorch file, or is incomplete"
        if "TorchScript" in text:
            what = "is a TorchScript archive, whose code padviz does not run"
        elif not isinstance(error, pickle.UnpicklingError):
            what += _in_parentheses(error)
        elif "Unsupported" in text or "GLOBAL" in text:
            what = "holds more than tensors, such as code, which padviz does not run"
        raise DescriptionError(what, where=str(path), hint=f"{SAVE}, or use .safetensors") from None
    if not isinstance(content, Mapping):
        what = f"holds a {type(content).__name__}, not parameters by name"
        raise DescriptionError(what, where=str(path), hint=SAVE)
    return content


def _in_parentheses(error: BaseException) -> str:
    """Quote the first sentence of an error in parentheses; "" if it has none."""
    text = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
    if not text:
        return ""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    return f" ({printable(text)})"


def _load(module: nn.Module, state: dict[str, Tensor], path: str, where: str) -> None:
    """Load the parameters of a file into a module, all of them and no others."""
    wanted = module.state_dict(keep_vars=True)
    for prefix in PREFIXES:
        if not state.keys() & wanted.keys() and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    faults = [*_misfits(state, wanted)]
    if faults:
        hint = "use weights of exactly this model"
        raise DescriptionError(
            f"does not fit {where}: {', and '.join(faults)}", where=path, hint=hint
        )
    module.load_state_dict(state, strict=True, assign=True)
    empty = [name for name, tensor in module.named_parameters() if tensor.is_meta]
    if empty:
        raise DescriptionError(
            f"{some_names(empty)} of {where} cannot be filled from it", where=path
        )


def _misfits(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    """Describe how the tensors of a file differ from the `wanted` ones: in names,
    shapes and types.
    """
    missing, reshaped, integers = [], [], []
    further = dict(state)
    for key, tensor in wanted.items():
        stored = further.pop(key, None)
        if stored is None:
            missing.append(key)
            continue
        if stored.shape != tensor.shape:
            reshaped.append(key)
        if tensor.is_floating_point() and not stored.is_floating_point():
            integers.append(key)
    if missing:
        yield f"lacks {some_names(missing)}"
    if further:
        yield f"has in addition {some_names(further)}"
    if reshaped:
        key = reshaped[0]
        shape, right = (in_words(tensors[key].shape) or "one number" for tensors in (state, wanted))
        fault = f"has {key} of another shape ({shape}, not {right})"
        if len(reshaped) > 1:
            fault += f", as of {len(reshaped) - 1} more"
        yield fault
    if integers:
        key = integers[0]
        dtype, right = (
            str(tensors[key].dtype).removeprefix("torch.") for tensors in (state, wanted)
        )
        yield f"has {key} of {dtype} where there is {right}"


class _ConvolutionCalls(TorchFunctionMode):
    """While active, records what convolutions are called with, by layer, and which of them a norm
    reads.

    A forward on an image without data has the weights whole. `trained_on` is inferred from the norm
    behind a convolution of the image itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: dict[str, tuple[Tensor, int]] = {}
        self.normed: set[str] = set()
        self.outputs: dict[Tensor, str] = {}
        # The biases of the convolutions that read the image itself.
        self.of_image: dict[str, Tensor | None] = {}
        self.trained_on: TrainedOn | None = None

    def watch(self, tracer: Tracer) -> _ConvolutionCalls:
        self.tracer, self.image = tracer, next(iter(tracer.memory.values))
        return self

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        out, op = func(*args, **kwargs), op_of(func)

        def argument(at: int, name: str, default: object = None) -> Any:
            if len(args) > at:
                return args[at]
            return kwargs.get(name, default)

        if op in CALLS and (value := self.tracer.memory.value(out)):
            name = self.tracer.trace.layers[value.at].name
            self.weights[name] = argument(1, "weight"), argument(6, "groups", 1)
            self.outputs[out] = name
            if op == "conv2d" and argument(0, "input") is self.image:
                self.of_image[name] = argument(2, "bias")
        elif op == "batch_norm" and (convolution := self.outputs.get(argument(0, "input"))):
            self.normed.add(convolution)
            # `torch.batch_norm` has weight and bias before the statistics.
            at = 3 if func is torch.batch_norm else 1
            self._infer_images(
                convolution, argument(at, "running_mean"), argument(at + 1, "running_var")
            )
        return out

    def _infer_images(self, convolution: str, *statistics: Tensor | None) -> None:
        """Infer the images of the training from the first convolution that reads the image, and its
        norm.
        """
        weights, groups = self.weights[convolution]
        if convolution not in self.of_image or groups != 1 or self.trained_on is not None:
            return
        bias = self.of_image[convolution]
        if bias is None:
            bias = torch.zeros(1)
        numbers = []
        for tensor in (weights, bias, *statistics):
            if tensor is None or not tensor.is_floating_point() or tensor.is_meta:
                return
            numbers.append(tensor.detach().cpu().double().numpy())
        self.trained_on = infer_images(convolution, *numbers)

    def stored(self, layer: Layer) -> Stored:
        weight, groups = self.weights.get(layer.name, (None, 1))
        if weight is None:
            raise Unread("its weights are not those of a convolution")
        if weight.is_meta:
            raise Unread("its weights are calculated from the image")
        if weight.is_complex():
            raise Unread("its weights are complex numbers")
        numbers = weight.detach().to("cpu", torch.float32).numpy()
        return numbers, groups, layer.name in self.normed, str(id(weight))


def _source_file(kind: type) -> str | None:
    try:
        return inspect.getsourcefile(kind)
    except (TypeError, OSError):  # of classes that were made without a file
        return None


class TorchRunner:
    """A module in evaluation mode; its forward runs `within` what replaces its padding."""

    batch: int | None = None

    def __init__(
        self, module: nn.Module, where: str, size: Size, channels: int, within: Within = nullcontext
    ) -> None:
        check_room(where, 1, channels, size)
        self.weights: dict[str, Tensor] = {}  # in place of the module's own
        self.module, self.where, self.size, self.channels, self.within = (
            module,
            where,
            size,
            channels,
            within,
        )
        self.output: str | None = None
        self.modules = Modules(module, always=True)
        self.like = _first_weight(module)  # images take its type and device

    def responses(self, images: Images) -> list[Reduced]:
        maps: list[Reduced] = []
        calls = Counter[str]()

        def reduce(func: Callable[..., Any], inputs: object, output: Any) -> None:
            if func is not torch.conv2d or output.dim() != 4:
                return
            name = layer = printable(self.modules.path or "conv2d")
            calls[name] += 1
            if output.is_complex():
                what = "returns complex numbers, which have no mean response"
                raise DescriptionError(what, where=name, hint="use a network with real weights")
            if calls[name] > 1:
                layer = f"{name}#{calls[name]}"
            if has_borders(*output.shape[2:]):
                numbers = output.detach().float().contiguous().cpu().numpy()
                maps.append(reduce_maps(layer, numbers))

        self._run(images, self.modules, _Results(reduce))
        return maps

    def outputs(self, images: Images) -> Outputs:
        """Return the outputs of the module, or of the module inside that `with_output` named."""
        if self.output is None:
            return _named_arrays(self._run(images), "output")
        returned: list[object] = []
        with self._watch(self.output, returned.append):
            self._run(images)
        return _named_arrays(returned[-1] if returned else None, self.output)

    def maps(self, images: NDArray[np.floating], inside: Collection[str]) -> Outputs:
        """Return the tensors that modules inside return when they first run, and those of the whole
        if it ends.

        It stops once all of them ran, since what follows may not take an image of that size.
        """
        maps: Outputs = {}

        def keep(name: str, output: object) -> None:
            first = next(iter(_named_arrays(output, name).values()), None)
            if first is not None and name not in maps:
                maps[name] = first.copy()  # what follows may write into it
            if maps.keys() >= {*inside}:
                raise _AllRan

        with ExitStack() as stack:
            stack.enter_context(suppress(_AllRan))
            for name in inside:
                stack.enter_context(self._watch(name, partial(keep, name)))
            maps |= _named_arrays(self._run(images), "output")
        return maps

    def every_map(
        self, images: NDArray[np.floating], only: Collection[str] | None = None
    ) -> tuple[Results, Outputs]:
        """Return the result of each call on tensors, or of some of them, and the outputs."""
        maps: Outputs = {}

        def keep(name: str, result: Tensor) -> None:
            if only is None or name in only:
                (maps[name],) = _named_arrays(result.clone(), name).values()

        calls = _Calls(self.modules, keep)
        with self.module.register_forward_pre_hook(lambda module, args: calls.begin(args[0])):
            output = self._run(images, self.modules, _Results(calls.follow))
        return Results(maps, calls.reads), _named_arrays(output, "output")

    def contents(self) -> Iterator[bytes]:
        # Without addresses, which differ by process.
        yield re.sub(r" at 0x[0-9a-f]+", "", repr(self.module)).encode()
        files = {file for module in self.module.modules() if (file := _source_file(type(module)))}
        for file in sorted(files):
            yield Path(file).read_bytes()
        named = chain(self.module.named_parameters(), self.module.named_buffers())
        for name, tensor in chain(named, enumerate(constants_of(self.module))):
            yield f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode()
            yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

    def with_output(self, name: str) -> None:
        inside = [path for path, _ in self.module.named_modules() if path]
        if name not in inside:
            raise OptionError(
                f"no module inside is called {name!r}", option="layer", hint=nearest(name, inside)
            )
        self.output = name

    def shuffled(self, seed: int) -> TorchRunner:
        shuffled, rng = copy(self), np.random.default_rng(seed)
        shuffled.weights = {}
        for name, weights in self.module.named_parameters():
            if weights.dim() == 4:
                order = torch.from_numpy(rng.permutation(weights.numel())).to(weights.device)
                shuffled.weights[name] = (
                    weights.detach().flatten().index_select(0, order).reshape(weights.shape)
                )
        return shuffled

    def _watch(self, name: str, keep: Callable[[object], None]) -> AbstractContextManager[object]:
        module = self.module.get_submodule(name)
        return module.register_forward_hook(lambda module, args, output: keep(output))

    def _run(self, images: NDArray[np.floating], *modes: AbstractContextManager[object]) -> object:
        # A copy: some networks normalise their input in place.
        read = torch.from_numpy(np.array(images, order="C")).to(self.like)

        def forward() -> object:
            with ExitStack() as stack:
                for mode in (torch.no_grad(), self.within(), *modes):
                    stack.enter_context(mode)
                if self.weights:
                    return functional_call(self.module, self.weights, read)
                return self.module(read)

        def failed(error: BaseException) -> DescriptionError:
            what = f"its forward fails on {in_words(images.shape)}: {load.line_of(error)}"
            return DescriptionError(what, where=self.where, hint="try another `size`")

        return load.run_foreign(forward, failed)


def _first_weight(module: nn.Module) -> Tensor:
    floats = (parameter for parameter in module.parameters() if parameter.is_floating_point())
    return next(floats, torch.empty(0))


def run_by_layer(
    trained: Trained,
    image: NDArray[Any],
    plan: LayerPlan,
    on_progress: Progress | None,
    scratch: str | Path | None,
) -> NDArray[Any]:
    """Run a module by a plan with shared norms on an image (1, channels, height, width)."""
    # The image stays in main memory, where all maps then are.
    read = torch.from_numpy(image).to(_first_weight(trained.model).dtype)
    output = tiled(trained.model, read, plan, on_progress=on_progress, scratch=scratch)
    if not isinstance(output, Tensor):
        what = f"returns a {type(output).__name__}, not one map"
        raise DescriptionError(
            what, where=trained.where, hint="wrap it in a module that returns one tensor"
        )
    (array,) = _named_arrays(output, "output").values()
    return array


def whole_and_cut(
    module: nn.Module, noise: NDArray[Any], cut: Callable[[nn.Module, Tensor], object]
) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Run a module on noise as it is and cut; return the name of each output, and both."""
    image = torch.from_numpy(noise).to(_first_weight(module).dtype)
    # A copy, since a module may write into its input.
    whole = _named_arrays(module(image.clone()), "output")
    parts = _named_arrays(cut(module, image), "output")
    return [*zip(whole, whole.values(), parts.values(), strict=True)]


def in_float64(trained: Trained) -> Trained:
    """Return a network with a copy of its module in float64."""
    return replace(trained, model=deepcopy(trained.model).double())


def types_and_modes(
    trained: Trained, thorough: bool
) -> list[tuple[Trained, AbstractContextManager[object]]]:
    """Return a network as it is, to run in inference mode, and in float64, without gradients;
    `thorough` runs both in both modes.
    """
    double = in_float64(trained)
    usual = [(trained, torch.inference_mode()), (double, torch.no_grad())]
    others = [(trained, torch.no_grad()), (double, torch.inference_mode())]
    return [*usual, *(others if thorough else [])]


class _AllRan(BaseException):
    """Ends a forward after the last module that is watched.

    No `except Exception` of a model catches it.
    """


class _Results(TorchFunctionMode):
    """While active, hands on every function that is called, what it reads and its result, before
    later calls may write into that.
    """

    def __init__(self, hand_on: Callable[[Callable[..., Any], object, Any], None]) -> None:
        super().__init__()
        self.hand_on = hand_on

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        output = func(*args, **(kwargs or {}))
        self.hand_on(func, (args, kwargs), output)
        return output


class _Calls:
    """Names the results of calls that read the image, by the module that makes each.

    `keep` is given each result; `reads` is as in `Results`.
    """

    def __init__(self, modules: Modules, keep: Callable[[str, Tensor], None]) -> None:
        self.modules, self.keep = modules, keep
        self.reads: dict[str, set[str]] = {}
        # Weak, so that maps which nothing reads any more leave the memory.
        self.sources: MutableMapping[Tensor, set[str]] = WeakTensorKeyDictionary()

    def begin(self, image: Tensor) -> None:
        self.sources[image] = {""}

    def follow(self, func: Callable[..., Any], inputs: object, output: object) -> None:
        tensors = tensors_in(inputs)
        read = set[str]().union(*(self.sources.get(tensor, ()) for tensor in tensors))
        if not read:
            return
        if output is None:  # x[...] = y writes into x
            output = tensors[0]
        for tensor in tensors_in(output):
            self.sources[tensor] = read
        if isinstance(output, Tensor) and output.is_floating_point() and op_of(func) != "pad":
            name = self.modules.path or op_of(func)
            while name in self.reads:
                name += " again"
            self.reads[name] = read
            self.sources[output] = {name}
            self.keep(name, output)


def layers_of_results(trained: Trained) -> dict[str, str]:
    """Return the layer that each result of a module belongs to, by its name in `every_map`."""
    layers: dict[str, str] = {}

    def watch(tracer: Tracer) -> _Results:
        def keep(name: str, result: Tensor) -> None:
            if value := tracer.memory.value(result):
                layers[name] = tracer.trace.layers[value.at].name

        calls = _Calls(tracer.modules, keep)
        calls.begin(next(iter(tracer.memory.values)))
        return _Results(calls.follow)

    reading = trained.network.reading or AS_IT_IS
    load.trace(trained.model, trained.where, reading, trained.channels, trained.size, watch=watch)
    return layers


def reduce_maps(layer: str, maps: NDArray[np.float32]) -> Reduced:
    count, channels, height, width = maps.shape
    most, down, along = len(running.edge_rows(height)) // 2, middle(height), middle(width)
    of_rows, of_columns = middle_weights(height)[down], middle_weights(width)[along]
    of_channels = np.full(channels, 1 / channels, np.float32)
    lines = np.empty((count, channels, 2 * most + width), np.float32)
    total, square = np.empty((count, height * width), np.float32), 0.0
    step = max(CACHED // maps[0].size, 1)
    for some in (slice(start, start + step) for start in range(0, count, step)):
        part = maps[some]
        flat = part.reshape(-1, height * width)
        band = flat[:, down.start * width : down.stop * width]
        if height * width <= SMALL:
            lines[some] = (
                (torch.from_numpy(flat) @ _of_lines(height, width))
                .numpy()
                .reshape(lines[some].shape)
            )
        else:
            lines[some, :, :most] = part[:, :, :most, along] @ of_columns
            lines[some, :, most : 2 * most] = part[:, :, -most:, along] @ of_columns
            lines[some, :, 2 * most :] = of_rows @ part[:, :, down]
        np.matmul(of_channels, part.reshape(len(part), channels, -1), out=total[some])
        square += running.mean_square(np.einsum("cp,cp->p", band, band), height, width) / channels
    return Reduced(layer, lines, square, total.reshape(count, height, width))


@cache
def _of_lines(height: int, width: int) -> Tensor:
    """Return the weights (pixels, lines) of the pixels of a map in each line of `Reduced`."""
    of_rows = np.multiply.outer(
        np.eye(height, dtype=np.float32)[:, running.edge_rows(height)], middle_weights(width)
    )
    of_columns = np.multiply.outer(middle_weights(height), np.eye(width, dtype=np.float32))
    lines = np.concatenate([of_rows.swapaxes(1, 2), of_columns], axis=2)
    return torch.from_numpy(lines.reshape(height * width, -1))


def _named_arrays(output: object, name: str) -> Outputs:
    """Convert the tensors that a module returns to arrays, those in half precision to single."""
    half = (torch.float16, torch.bfloat16)
    detached = {key: tensor.detach().cpu() for key, tensor in named_tensors(output, name).items()}
    return {
        key: (tensor.float() if tensor.dtype in half else tensor).numpy()
        for key, tensor in detached.items()
    }
