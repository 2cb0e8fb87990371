"""Reading a network with its weights, and running it: all of it, or up to some of its layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.errors import DescriptionError, OptionError, UnknownName, printable, typed
from padviz.network.network import Network, Size, as_size, in_words
from padviz.network.rewrites import check_image
from padviz.network.sizes import sizes_of_each
from padviz.network.targets import output_layers
from padviz.sources import MODULE, is_module
from padviz.sources.formats import format_of, refusal
from padviz.sources.toml.load import load_config, zoo
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.networks.running import Outputs, Runner
from padviz.trained.networks.trained_network import Reals, Trained

if TYPE_CHECKING:
    from torch import nn

    from padviz.sources.onnx.model import Model

# From (1, channels, height, width) to the map of each target, alike.
HeadMaps = Callable[[Reals], list[Reals]]
HINT = "name an .onnx file, or package.module:attribute and its `weights`"


def as_trained(
    network: str | Path | nn.Module | Network | Trained,
    size: int | Sequence[int] | None,
    weights: str | Path | None,
) -> Trained:
    """Read a network with its weights, unless that was done already."""
    if isinstance(network, Trained):
        return network
    pixels = None
    if size is not None:
        pixels = as_size(size)
    if isinstance(network, Network) and network.origin is not None:
        return read(network.origin, pixels or network.size, weights, network.reading)
    return read(network, pixels, weights)


def read(
    source: object,
    size: Size | None = None,
    weights: str | Path | None = None,
    reading: Reading = AS_IT_IS,
) -> Trained:
    """Read a network with its weights: an ONNX or .keras file, a PyTorch module, or the name of
    what makes one.

    `weights` is a .safetensors or .pth file of a module's parameters; or, for a factory that takes
    `weights`, their name, as "DEFAULT".
    """
    if is_module(source) or (isinstance(source, str) and MODULE.fullmatch(source)):
        return _read_module(source, size, weights, reading)
    if weights is not None:
        hint = "name one as package.module:attribute, as torchvision.models:resnet50"
        raise OptionError(f"{str(weights)!r} needs a PyTorch module", option="weights", hint=hint)
    where = str(source)
    if where.lower().endswith(".onnx"):
        from padviz.trained.networks import onnx_network

        return onnx_network.read(Path(where), size, reading)
    kind = format_of(where) if where not in zoo() else ""
    if kind in ("torch", "safetensors"):
        hint = (
            "name the code that makes the module, as package.module:attribute, and `weights` "
            f"{typed(where)}"
        )
        raise DescriptionError("holds weights without the network", where=where, hint=hint)
    if kind == "keras":
        from padviz.trained.networks import keras_network

        return keras_network.read(Path(where), size, reading)
    if kind == "program":
        raise DescriptionError(
            "is read without its weights", where=where, hint="export it to .onnx, with them"
        )
    if kind:
        raise refusal(kind, where)
    if not isinstance(source, str | Path):
        raise UnknownName(
            f"an object of type {type(source).__name__} is not a network with weights", hint=HINT
        )
    raise _without_weights(where)


def _read_module(
    source: str | nn.Module, size: Size | None, weights: str | Path | None, reading: Reading
) -> Trained:
    try:
        from padviz.trained.networks import torch_network
    except ImportError:
        hint = "install it: pip install 'padviz[torch]'"
        raise DescriptionError("needs PyTorch", where=str(source), hint=hint) from None
    return torch_network.read(source, size, weights, reading)


def _without_weights(where: str) -> UnknownName:
    """Return the error for a path or name that has no weights: of the zoo's networks, it names
    torchvision's module.
    """
    if os.path.isdir(where):
        return UnknownName("is a folder", where=where, hint=HINT)
    if where in zoo():
        home, _, name = load_config(where).source.rpartition(".")
        hint = HINT
        if home.startswith("torchvision."):
            hint = f"name an .onnx file, or {home}:{name} with `weights`"
        return UnknownName("a description has no weights", where=where, hint=hint)
    if where.lower().endswith(".toml"):
        return UnknownName("a description has no weights", where=where, hint=HINT)
    return UnknownName(
        "is neither a network with weights nor a module's name", where=where, hint=HINT
    )


def runner_of(
    trained: Trained,
    edited: Model | None = None,
    within: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Runner:
    """Return a runner of the ONNX model, or of an `edited` one.

    Or of the module, `within` what replaces its padding.

    Responses of an edited graph are those of the convolutions in the model as it was.
    """
    check_image(trained.network)
    if is_module(trained.model):
        from padviz.trained.networks.torch_network import TorchRunner

        return TorchRunner(trained.model, trained.where, trained.size, trained.channels, within)
    from padviz.trained.networks.onnx_network import OnnxRunner, convolutions

    return OnnxRunner(edited or trained.model, trained.size, convolutions(trained.model.proto))


def input_type(trained: Trained) -> np.dtype[Any]:
    """Return the type of the images that a network reads; of a module in half precision too, that
    is single.
    """
    if is_module(trained.model):
        types = (tensor.dtype for tensor in trained.model.parameters())
        double = "torch.float64" in map(str, types)
        return np.dtype("float64" if double else "float32")
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(trained.model.image.type)


def head_maps(trained: Trained, network: Network) -> HeadMaps:
    """Return a function that runs a network up to the targets of `network`, on images of any
    size.
    """
    tensors = [tensor for tensor, layer in network.aliases.items() if layer in network.targets]
    inside = []
    if is_module(trained.model):
        inside = [path for path, _ in trained.model.named_modules() if path in network.targets]
    run = run_up_to(trained, tensors, inside)
    return lambda image: _select_heads(run(image), network, image)


def run_up_to(
    trained: Trained, tensors: Sequence[str], inside: Sequence[str]
) -> Callable[[Reals], Outputs]:
    """Return a function that runs a graph up to some tensors, or a module up to some modules
    `inside`; without these to its end.
    """
    if is_module(trained.model):
        from padviz.trained.networks.torch_network import TorchRunner

        return lambda image: TorchRunner(
            trained.model, trained.where, image.shape[2:], image.shape[1]
        ).maps(image, inside)
    from padviz.trained.networks.onnx_network import OnnxRunner

    upto = trained.model.upto(tensors)

    # Opening a session takes longer than running it on a tile, and all tiles have one size.
    @lru_cache(2)
    def runner_at(size: Size) -> Runner:
        return OnnxRunner(upto.sized(size), size, None)

    return lambda image: runner_at(image.shape[2:]).outputs(image)


def named_map(trained: Trained, layer: str | None) -> tuple[str, str]:
    """Return the name of an output, or of a tensor or module inside, and the layer that it is the
    map of.

    Without the name of a `layer`, it is the only output that is a map. Raises OptionError where
    that is not one.
    """
    aliases = trained.network.aliases
    if layer is None:
        name = _only_output(trained)
        return name, aliases[name]
    if layer in aliases:
        return layer, aliases[layer]
    (target,) = output_layers(layer, trained.network)
    if is_module(trained.model):
        names = [path for path, _ in trained.model.named_modules() if path == target]
    else:
        # Of the tensors of a layer, the first is its own; others are elementwise results of it.
        names = [name for name, of in aliases.items() if of == target]
    if not names:
        what = f"{target} is not a module, whose output could be read"
        raise OptionError(what, option="layer", hint="name the module that it is in")
    return names[0], target


def _only_output(trained: Trained) -> str:
    """Return the name of the only output that is a map."""
    ends = output_layers(None, trained.network)
    names = [name for name, of in trained.network.aliases.items() if of in ends]
    if not is_module(trained.model):
        outputs = {output.name for output in trained.model.graph.output}
        names = [name for name in names if name in outputs]
    if len(names) == 1:
        return names[0]
    what = "returns no map"
    if names:
        what = f"returns {len(names)} maps: {', '.join(map(printable, names))}"
    raise OptionError(what, where=trained.where, hint="name one with `layer`")


def map_runner(trained: Trained, network: Network, name: str) -> Callable[[Reals], Reals]:
    """Return a function that runs a network on images of any size and returns the map of that name,
    which is that of the target of `network`.
    """
    inside = []
    if name not in trained.network.aliases:
        inside = [name]
    outputs_of = run_up_to(trained, [name], inside)

    def run(image: Reals) -> Reals:
        output = outputs_of(image)[name]
        units = units_of(network, image.shape[2:])
        values = channels_first(output, units)
        if values is None:
            what = f"{name} has the shape {in_words(output.shape)}, and no {in_words(units)} units"
            raise DescriptionError(what, where=trained.where, hint="name another `layer`")
        return values

    return run


def units_of(network: Network, size: Size) -> Size:
    """Return the size of the first target's map of an image."""
    at = network.index[network.targets[0]]
    return tuple(rows[at] for rows in sizes_of_each(network, size))


def _select_heads(outputs: Mapping[str, Reals], network: Network, image: Reals) -> list[Reals]:
    """Select the map of each target: the one of its name, or else the first that has its size.

    Reject any twice.
    """
    sizes, aliases = (
        sizes_of_each(network, image.shape[2:]),
        {layer: name for name, layer in network.aliases.items()},
    )
    heads: dict[str, Reals] = {}  # by the names of outputs
    for target in network.targets:
        units = tuple(rows[network.index[target]] for rows in sizes)
        named = [name for name in (target, aliases.get(target, "")) if name in outputs]
        maps = ((name, channels_first(outputs[name], units)) for name in (*named, *outputs))
        name, head = next(
            ((name, values) for name, values in maps if values is not None), ("", None)
        )
        if head is None or name in heads:
            maps_of_it = "no map" if head is None else "several maps"
            what = f"returns {maps_of_it} of {in_words(units)} units"
            raise DescriptionError(
                what, where=f"{network.name}, {target}", hint="name with `layer` a module inside"
            )
        heads[name] = head
    return [*heads.values()]


def channels_first(values: Reals, units: Size) -> Reals | None:
    """Move channels to the front where values are a map of that size; None where they are none."""
    axes = len(units)
    if values.ndim > axes and values.shape[-axes:] == units:
        return values
    if values.ndim == axes + 2 and values.shape[1:-1] == units:
        return np.moveaxis(values, -1, 1)
    return None
