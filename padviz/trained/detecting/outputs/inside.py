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
    channels = {each.layer: len(each.weights) for each in trained.kernels}
    followed: set[int] = set()
    found = []
    for i in range(len(network.layers) - 1, -1, -1):
        layer = network.layers[i]
        last = i not in followed
        if not last or layer.kind == "conv":
            followed.update(layer.inputs)
        shape = (axes[0].sizes[i], axes[1].sizes[i])
        if last and layer.kind == "conv" and layer.name in channels and fits(shape, trained.size, 2):
            found.append((channels[layer.name], _asked(trained, layer.name), shape))
    named = [
        f"{name!r} ({n} x {h} x {w})" for n, name, (h, w) in sorted(found, key=lambda each: (each[0], -each[2][0]))
    ]
    more = f", and {len(named) - MOST} more" if len(named) > MOST else ""
    return f"name a map inside with `output`: {', '.join(named[:MOST])}{more}" if named else ""


def _asked(trained: Trained, layer: str) -> str:
    """The name by which a layer's map is asked for: a module's own, or that of a graph's tensor."""
    if is_module(trained.model):
        return layer
    from padviz.trained.sessions.onnx_runner import convolutions

    return convolutions(trained.model.proto).get(layer, layer)
