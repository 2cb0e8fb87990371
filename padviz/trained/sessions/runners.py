"""Runners of a trained network: of all of it, or up to some of its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.network.network import Network, Size, in_words
from padviz.network.rewrites import check_image
from padviz.network.sizes import sizes_of_each
from padviz.sources import is_module
from padviz.trained.sessions.running import Runner
from padviz.trained.weights.trained_network import Trained

if TYPE_CHECKING:
    from torch import nn

    from padviz.sources.onnx.model import Model

Reals = NDArray[np.floating]
HeadMaps = Callable[[Reals], list[Reals]]  # from (1, channels, height, width) to the map of each target, alike


def runner_of(
    trained: Trained, edited: Model | None = None, within: Callable[[], AbstractContextManager[object]] | None = None
) -> Runner:
    """Return a runner of the ONNX model, or of an `edited` one; or of the module, `within` what replaces its padding.

    Responses of an edited graph are those of the convolutions in the model as it was.
    """
    check_image(trained.network)
    if not is_module(trained.model):
        from padviz.trained.sessions.onnx_runner import OnnxRunner, convolutions

        observed = convolutions(trained.model.proto)
        return OnnxRunner(edited or trained.model, trained.size, observed)
    from padviz.trained.sessions.torch_runner import TorchRunner

    return TorchRunner(trained.model, trained.where, trained.size, channels_read(trained), within or nullcontext)


def channels_read(trained: Trained) -> int:
    """Count the channels of the image that a network reads."""
    if not is_module(trained.model):
        return int(trained.model.image.channels)
    return next((layer.channels.in_ for layer in trained.network.layers if layer.channels), 3)


def head_maps(trained: Trained, network: Network) -> list[HeadMaps]:
    """Return functions that run a network up to the targets of `network`: in double precision, and as it is."""
    if not is_module(trained.model):
        return [partial(_run_graph, trained, network)]
    from padviz.trained.sessions.torch_runner import in_double

    return [partial(_run_module, trained, network, module) for module in (in_double(trained.model), trained.model)]


def _run_module(trained: Trained, network: Network, module: nn.Module, image: Reals) -> list[Reals]:
    from padviz.trained.sessions.torch_runner import TorchRunner

    size, paths = tuple(image.shape[2:]), {path for path, _ in module.named_modules() if path}
    runner = TorchRunner(module, trained.where, size, image.shape[1])
    inside = [name for name in network.targets if name in paths]
    return _select_heads(runner.maps(image, inside), network, size)


def _run_graph(trained: Trained, network: Network, image: Reals) -> list[Reals]:
    """Run a graph up to its targets, at the image's size; their tensors are called by their aliases."""
    from padviz.trained.sessions.onnx_runner import OnnxRunner

    size = tuple(image.shape[2:])
    tensors = {layer: tensor for tensor, layer in trained.network.aliases.items() if layer in network.targets}
    runner = OnnxRunner(trained.model.upto(tensors.values()).sized(size), size)
    outputs = runner.outputs(image)
    return _select_heads({layer: outputs[tensor] for layer, tensor in tensors.items()}, network, size)


def _select_heads(outputs: Mapping[str, Reals], network: Network, size: Size) -> list[Reals]:
    """Select the map of each target: the one of its name, or else the first that has its size."""
    sizes = sizes_of_each(network, size)
    heads = []
    for name in network.targets:
        units = tuple(rows[network.index[name]] for rows in sizes)
        named = [outputs[name]] if name in outputs else []
        maps = (_channels_first(values, units) for values in (*named, *outputs.values()))
        head = next((values for values in maps if values is not None), None)
        if head is None:
            what = f"returns no map of {in_words(units)} units"
            raise DescriptionError(what, where=f"{network.name}, {name}", hint="name with `layer` a module inside")
        heads.append(head)
    return heads


def _channels_first(values: Reals, units: Size) -> Reals | None:
    """Move channels to the front where values are a map of that size; None where they are none."""
    axes = len(units)
    if values.ndim > axes and values.shape[-axes:] == units:
        return values
    return np.moveaxis(values, -1, 1) if values.ndim == axes + 2 and values.shape[1:-1] == units else None
