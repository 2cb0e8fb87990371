"""Sizes and axis maps of every layer, one axis at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

from padviz.axis.build import axis_map
from padviz.axis.operations import Op, Window, out_size
from padviz.engine.axis_map import AxisMap
from padviz.errors import DescriptionError, PadvizError, SizeError
from padviz.network.graph import T
from padviz.network.layer import Layer
from padviz.network.network import Network, Size, in_words


class Resolved(NamedTuple):
    """A network on one axis at one size: rows out of each layer, and its map (None: each row reads itself)."""

    sizes: tuple[int, ...]
    maps: tuple[AxisMap | None, ...]


@lru_cache(1024)
def resolve(network: Network, axis: int, n: int) -> Resolved:
    """Lay every layer over its input on one axis (0: height, 1: width), for `n` input rows: sizes and maps.

    Raises
    ------
    SizeError
        Naming the layer where the size does not work.

    Examples
    --------
    >>> import padviz
    >>> resolve(padviz.load("vgg19"), 0, 512).sizes[-1]
    16
    """
    sizes = sizes_of(network, axis, n)
    axis_maps = [apply_to_layer(axis_map, network, layer, axis, sizes) for layer in network.layers[1:]]
    return Resolved(sizes, (None, *(None if m and m.identity else m for m in axis_maps)))


@lru_cache(1024)
def sizes_of(network: Network, axis: int, n: int) -> tuple[int, ...]:
    """Count the rows out of every layer on one axis: what `resolve` gives, without the maps.

    >>> import padviz
    >>> sizes_of(padviz.load("vgg11"), 0, 64)[-1]
    2
    """
    sizes = [n]
    for layer in network.layers[1:]:
        if layer.kind == "unknown":
            check_known(network, layer)
        n_out = None if layer.ops[axis] is None else apply_to_layer(out_size, network, layer, axis, sizes)
        if len(layer.inputs) > 1:
            _agree(network, layer, axis, sizes)
        sizes.append(sizes[layer.inputs[0]] if n_out is None else n_out)
    return tuple(sizes)


def another_at(network: Network, size: Size) -> tuple[str, str] | None:
    """Name the first layer that is another one at a size, its pads aside, and say what is there; None if all are alike.

    >>> import padviz
    >>> another_at(padviz.load("vgg11"), (64, 64)) is None
    True
    """
    try:
        there = network.at(size)
    except PadvizError as error:
        return error.where or network.name, f"cannot be read at {in_words(size)}: {error.what}"
    for layer, other in zip_longest(network.layers, there.layers):
        if layer is None or other is None or _without_pads(layer) != _without_pads(other):
            what = f"has {other.name} in its place" if other else "is not there"
            what = "is another" if layer and other and layer.name == other.name else what
            return f"{network.name}, {layer.name if layer else 'the end'}", f"it {what} at {in_words(size)}"
    return None


def _without_pads(layer: Layer) -> tuple[object, ...]:
    ops = tuple(replace(op, padding=(0, 0)) if isinstance(op, Window) else op for op in layer.ops)
    return layer.kind, layer.inputs, layer.like, layer.everywhere, ops


def sizes_of_each(network: Network, size: Size) -> tuple[tuple[int, ...], ...]:
    """Count the rows out of every layer on each axis; the work is shared where all axes are the same.

    >>> import padviz
    >>> rows, cols = sizes_of_each(padviz.load("vgg11"), (64, 96))
    >>> rows[-1], cols[-1]
    (2, 3)
    """
    return on_each(sizes_of, network, size)


def apply_to_layer(
    what: Callable[[Op, int, int | None], T], network: Network, layer: Layer, axis: int, sizes: Sequence[int]
) -> T | None:
    """Call `what` on a layer's operation at those sizes; None where each row reads itself. Errors name the layer."""
    op = layer.ops[axis]
    if op is None:
        return None
    try:
        return what(op, sizes[layer.inputs[0]], None if layer.like is None else sizes[layer.like])
    except SizeError as error:
        where = f"{network.name}, {layer.name}"
        hint = f"the input's {network.axes[axis]} is {sizes[0]}: try another `size` or `padding`"
        raise SizeError(error.what, where=where, hint=hint) from None


def check_known(network: Network, layer: Layer) -> None:
    """Refuse a layer of which nobody knows what it does."""
    if layer.kind == "unknown":
        raise DescriptionError(layer.note, where=f"{network.name}, {layer.name}")


def resolve_each(network: Network, size: Size) -> tuple[Resolved, ...]:
    """Resolve each axis; the work is shared where all axes are the same."""
    return on_each(resolve, network, size)


def on_each(what: Callable[[Network, int, int], T], network: Network, size: Size) -> tuple[T, ...]:
    """Call `what` on each axis; once where all axes are the same.

    >>> import padviz
    >>> on_each(lambda network, axis, n: (axis, n), padviz.load("vgg11"), (64, 64))
    ((0, 64), (0, 64))
    """
    if len({*size}) == 1 and is_square(network):
        return (what(network, 0, size[0]),) * len(size)
    return tuple(what(network, axis, n) for axis, n in enumerate(size))


@lru_cache(64)
def is_square(network: Network) -> bool:
    """Tell whether every layer does the same on all axes, and none has a size of its own.

    >>> import padviz
    >>> is_square(padviz.load("vgg11"))
    True
    """
    return len(network.fixed) in (0, len(network.axes)) and all(len({*layer.ops}) == 1 for layer in network.layers)


def _agree(network: Network, layer: Layer, axis: int, sizes: Sequence[int]) -> None:
    first = layer.inputs[0]
    for other in layer.inputs[1:]:
        if sizes[other] != sizes[first]:
            names = [network.layers[i].name for i in (first, other)]
            what = network.axes[axis]
            raise SizeError(
                f"its branches disagree in {what}: {names[0]} has {sizes[first]}, {names[1]} has {sizes[other]}",
                where=f"{network.name}, {layer.name}",
                hint="its layers need the padding they declare, or another `size`",
            )
