"""The maps inside a network that could be looked at: its last convolutions."""

from __future__ import annotations

from padviz.errors import PadvizError
from padviz.network.sizes import resolve_both
from padviz.sources import is_module
from padviz.trained.detecting.outputs.maps import fits
from padviz.trained.weights.trained_network import Trained

MOST = 6  # that are named


def maps_inside(trained: Trained) -> str:
    """Name the convolutions that no other follows, those with the fewest channels first: class scores have few.

    Returns
    -------
    str
        What to ask for, as the hint of an error; "" where there is none.
    """
    network = trained.network
    try:
        axes = resolve_both(network, trained.size)
    except PadvizError:  # what cannot be followed can still be run
        return ""
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
            inner_maps.append((channels[layer.name], _output_name(trained, layer.name), shape))
    named = [
        f"{name!r} ({n} x {h} x {w})"
        for n, name, (h, w) in sorted(inner_maps, key=lambda inner: (inner[0], -inner[2][0]))
    ]
    more = f", and {len(named) - MOST} more" if len(named) > MOST else ""
    return f"name a map inside with `output`: {', '.join(named[:MOST])}{more}" if named else ""


def _output_name(trained: Trained, layer: str) -> str:
    """Name a layer's map as `output` does: by a module's own name, or by that of a graph's tensor."""
    if is_module(trained.model):
        return layer
    from padviz.trained.sessions.onnx_runner import convolutions

    return convolutions(trained.model.proto).get(layer, layer)
