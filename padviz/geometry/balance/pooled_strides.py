"""The stride of convolutions moved into pools: a convolution of stride 1, then an average over 2 x 2 units.

An average pool of 2 x 2 reads each unit once, whatever the padding ("consider rigid kernels").
A strided shortcut beside such a convolution moves its stride too, as in ResNet-D, so that the branches stay aligned.
"""

from __future__ import annotations

from dataclasses import replace

from padviz.network.graph import ancestors
from padviz.network.layer import MERGES, Layer
from padviz.network.network import Network
from padviz.network.operations import Window

POOL = Window(2, stride=2)


def with_strides_pooled(network: Network, names: tuple[str, ...]) -> Network | None:
    """Move the strides of those convolutions, and of the shortcuts beside them, into pools.

    None where a stride is not 2 on both axes, or a convolution pads by a rule that follows its stride.
    """
    moved = {network.index[name] for name in names}
    if not all(_movable(network.layers[i]) for i in moved):
        return None
    shortcuts = [
        i
        for i, layer in enumerate(network.layers)
        if layer.kind == "conv" and all(isinstance(op, Window) and op.kernel == 1 and op.stride > 1 for op in layer.ops)
    ]
    moved |= {i for i in shortcuts if any(_are_branches(network, i, j) for j in moved)}
    if not all(_movable(network.layers[i]) for i in moved):
        return None
    layers: list[Layer] = []
    place: list[int] = []  # the new position of each layer's output
    for i, layer in enumerate(network.layers):
        like = None if layer.like is None else place[layer.like]
        layer = replace(layer, inputs=tuple(place[j] for j in layer.inputs), like=like)
        if i in moved:
            ops = tuple(replace(op, stride=1) if isinstance(op, Window) else op for op in layer.ops)
            layers.append(replace(layer, ops=ops))
            layer = Layer(f"{layer.name}.pool", "avgpool", (len(layers) - 1,), (POOL,) * len(layer.ops))
        place.append(len(layers))
        layers.append(layer)
    targets = tuple(layers[place[network.index[name]]].name for name in network.targets)
    return network.at_own_size(layers=tuple(layers), targets=targets)


def _movable(layer: Layer) -> bool:
    return layer.kind == "conv" and all(
        isinstance(op, Window) and op.stride == 2 and not (isinstance(op.padding, str) and op.padding != "same")
        for op in layer.ops
    )


def _are_branches(network: Network, shortcut: int, other: int) -> bool:
    """Whether two layers are in different branches of one merge, the first after the shortcut."""
    if {shortcut, other} & (ancestors(network.layers, [shortcut]) & ancestors(network.layers, [other])):
        return False  # one comes before the other
    for i in range(max(shortcut, other) + 1, len(network.layers)):
        if network.layers[i].kind in MERGES and shortcut in (before := ancestors(network.layers, [i])):
            return other in before
    return False
