"""The maps that a network makes of an image of any size, by the layers that make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.network.network import Network, Size, in_words
from padviz.network.sizes import sizes_of_each
from padviz.sources import is_module
from padviz.trained.sessions.of_model import channels_of
from padviz.trained.weights.trained_network import Trained

Image = NDArray[Any]  # (1, channels, height, width)
Maps = Callable[[Image], list[NDArray[Any]]]  # the map of each target, (1, channels, units, units)


def head_maps(trained: Trained, network: Network) -> list[Maps]:
    """Make what runs a network up to the targets of `network`: in double precision, and as it is."""
    if not is_module(trained.model):
        return [partial(_of_graph, trained, network)]
    from padviz.trained.sessions.torch_runner import in_double

    return [partial(_of_module, trained, network, module) for module in (in_double(trained.model), trained.model)]


def channels_read(trained: Trained) -> int:
    """Count the channels of the image that a network reads."""
    return channels_of(trained.network) if is_module(trained.model) else int(trained.model.image.channels)


def _of_module(trained: Trained, network: Network, module: Any, image: Image) -> list[NDArray[Any]]:
    from padviz.trained.sessions.torch_runner import TorchRunner

    size, paths = tuple(image.shape[2:]), {path for path, _ in module.named_modules() if path}
    runner = TorchRunner(module, trained.where, network.name, size, image.shape[1])
    inside = [name for name in network.targets if name in paths]
    return _heads(runner.maps(image, inside), network, size)


def _of_graph(trained: Trained, network: Network, image: Image) -> list[NDArray[Any]]:
    """Run a graph up to its targets, laid out at the image's size; their tensors are called by their aliases."""
    from padviz.trained.sessions.onnx_runner import OnnxRunner

    size = tuple(image.shape[2:])
    tensors = {layer: tensor for tensor, layer in trained.network.aliases.items() if layer in network.targets}
    runner = OnnxRunner(trained.model.upto(tensors.values()).sized(size), network.name, size)
    outputs = runner.outputs(image)
    return _heads({layer: outputs[tensor] for layer, tensor in tensors.items()}, network, size)


def _heads(outputs: Mapping[str, NDArray[Any]], network: Network, size: Size) -> list[NDArray[Any]]:
    """Choose the map of each target: the one of its name, or else the first that has its size."""
    sizes = sizes_of_each(network, size)
    heads = []
    for name in network.targets:
        units = tuple(rows[network.index[name]] for rows in sizes)
        named = [outputs[name]] if name in outputs else []
        maps = [turned for values in (*named, *outputs.values()) if (turned := _as_map(values, units)) is not None]
        if not maps:
            what = f"returns no map of {in_words(units)} units"
            raise DescriptionError(what, where=f"{network.name}, {name}", hint="name with `layer` a module inside")
        heads.append(maps[0])
    return heads


def _as_map(values: NDArray[Any], units: Size) -> NDArray[Any] | None:
    """Put channels first where values are a map of that size; None where they are none."""
    axes = len(units)
    if values.ndim > axes and values.shape[-axes:] == units:
        return values
    return np.moveaxis(values, -1, 1) if values.ndim == axes + 2 and values.shape[1:-1] == units else None
