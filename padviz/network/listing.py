"""Every layer with its geometry at a size, for people."""

from __future__ import annotations

from typing import Any

from padviz.axis.operations import Op, Transposed, Window, place
from padviz.network.network import Network, Size
from padviz.network.sizes import resolve_each


def layer_rows(network: Network, size: Size) -> list[tuple[Any, ...]]:
    """List every layer as (name, kind, kernel, stride, dilation, padding, input, output); lists are of each axis.

    Padding is [[before, after], [before, after]] as resolved at `size`; what a kind lacks is None.

    >>> import padviz
    >>> layer_rows(padviz.load("resnet50"), (224, 224))[0]
    ('conv1', 'conv', [7, 7], [2, 2], [1, 1], [[3, 3], [3, 3]], [224, 224], [112, 112])
    """
    axes = resolve_each(network, size)
    rows = []
    for i, layer in enumerate(network.layers[1:], start=1):
        shapes = [[axis.sizes[at] for axis in axes] for at in (layer.inputs[0], i)]
        both = [_geometry(op, n) for op, n in zip(layer.ops, shapes[0], strict=True)]
        figures = [None if None in pair else list(pair) for pair in zip(*both, strict=True)]
        rows.append((layer.name, layer.kind, *figures, *shapes))
    return rows


def _geometry(op: Op | None, n: int) -> tuple[Any, ...]:
    """Read off kernel, stride, dilation and padding of an operation, as far as it has them."""
    if isinstance(op, Window):
        placed = place(op, n)
        return op.kernel, op.stride, op.dilation, [placed.before, placed.after]
    if isinstance(op, Transposed):
        return op.kernel, op.stride, op.dilation, list(op.padding)
    return None, None, None, None
