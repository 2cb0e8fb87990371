"""The maps inside a network that could be looked at: its last convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from padviz.errors import PadvizError
from padviz.network.network import Size
from padviz.network.sizes import resolve_each
from padviz.sources import is_module
from padviz.trained.detecting.outputs.maps import fits
from padviz.trained.weights.trained_network import Trained

MOST = 6  # that are named


class Inner(NamedTuple):
    """A map by the name that `layer` takes."""

    name: str
    channels: int
    size: Size


def maps_inside(trained: Trained) -> tuple[Inner, ...]:
    """List the convolutions that no other follows, those with the fewest channels first: class scores have few."""
    network = trained.network
    try:
        axes = resolve_each(network, trained.size)
    except PadvizError:  # what cannot be followed can still be run
        return ()
    channels = {kernel.layer: len(kernel.weights) for kernel in trained.kernels}
    followed: set[int] = set()
    inner_maps = []
    for i in range(len(network.layers) - 1, -1, -1):
        layer = network.layers[i]
        last = i not in followed
        if not last or layer.kind == "conv":
            followed.update(layer.inputs)
        shape = (axes[0].sizes[i], axes[1].sizes[i])
        if last and layer.kind == "conv" and layer.name in channels and fits(shape, trained.size, 2):
            inner_maps.append(Inner(_output_name(trained, layer.name), channels[layer.name], shape))
    return tuple(sorted(inner_maps, key=lambda inner: (inner.channels, -inner.size[0], inner.name)))


def listed(inner_maps: Sequence[Inner]) -> str:
    """Say what could be asked for, as the hint of an error; "" where there is nothing.

    >>> listed([Inner("head", 3, (12, 20))])
    "name a map inside with `layer`: 'head' (3 x 12 x 20)"
    """
    named = [f"{inner.name!r} ({inner.channels} x {inner.size[0]} x {inner.size[1]})" for inner in inner_maps[:MOST]]
    more = f", and {len(inner_maps) - MOST} more" if len(inner_maps) > MOST else ""
    return f"name a map inside with `layer`: {', '.join(named)}{more}" if named else ""


def _output_name(trained: Trained, layer: str) -> str:
    """Name a layer's map as `layer` does: by a module's own name, or by that of a graph's tensor."""
    if is_module(trained.model):
        return layer
    from padviz.trained.sessions.onnx_runner import convolutions

    return convolutions(trained.model.proto).get(layer, layer)
