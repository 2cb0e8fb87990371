"""Sizes and axis maps of every layer, one axis at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from typing import Generic, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.engine.axis_map import AxisMap
from padviz.errors import DescriptionError, PadvizError, SizeError
from padviz.network.axis_maps import axis_map
from padviz.network.graph import T
from padviz.network.layer import Layer
from padviz.network.network import LARGEST, Network, Size, in_words
from padviz.network.operations import Op, Transposed, Window, out_size, place, placement, sized
from padviz.network.padding_modes import fits as padding_fits

Sizes = NDArray[np.int64]  # many sizes of one axis
Flags = NDArray[np.bool_]  # of each of these
REACH = 1024  # greatest distance to another size


class Resolved(NamedTuple):
    """A network on one axis at one size: rows out of each layer, and its map (None: each row reads
    itself).
    """

    sizes: tuple[int, ...]
    maps: tuple[AxisMap | None, ...]


class LayerRow(NamedTuple):
    """A layer's geometry at a size, on each axis; None for what its kind lacks.

    `pads` are [before, after] as resolved at the size.
    """

    layer: str
    kind: str
    kernel: list[int] | None
    stride: list[int] | None
    dilation: list[int] | None
    pads: list[list[int]] | None
    input: list[int]
    output: list[int]


class AlongAxes(Generic[T]):
    """Base of records with one value for each axis of a network, in `axes` by name; each is an
    attribute, too.

    >>> import padviz
    >>> row = padviz.uneven("resnet18", 224).layers[0]
    >>> [*row.axes], row.height is row.axes["height"]
    (['height', 'width'], True)
    """

    __slots__ = ()
    axes: Mapping[str, T]

    def _along(self, axis: str) -> T:
        if axis not in self.axes:
            raise AttributeError(f"{type(self).__name__} has no {axis!r}")
        return self.axes[axis]

    @property
    def height(self) -> T:
        """Its value along the height."""
        return self._along("height")

    @property
    def width(self) -> T:
        """Its value along the width."""
        return self._along("width")

    @property
    def depth(self) -> T:
        """Its value along the depth of a volume."""
        return self._along("depth")

    @property
    def length(self) -> T:
        """Its value along the length of a signal."""
        return self._along("length")


@lru_cache(1024)
def resolve(network: Network, axis: int, n: int) -> Resolved:
    """Return the sizes and maps of every layer on one axis (0: height, 1: width), for `n` input
    rows.

    Raises SizeError naming the layer where the size does not work.
    """
    sizes = sizes_of(network, axis, n)
    axis_maps: list[AxisMap | None] = [None]
    for layer in network.layers[1:]:
        op = layer.ops[axis]
        if op is None:
            axis_maps.append(None)
            continue
        try:
            of_layer = axis_map(op, sizes[layer.inputs[0]], layer.followed(sizes))
        except SizeError as error:
            raise _named(error, network, layer, axis, n) from None
        axis_maps.append(None if of_layer.identity else of_layer)
    return Resolved(sizes, tuple(axis_maps))


@lru_cache(1024)
def sizes_of(network: Network, axis: int, n: int) -> tuple[int, ...]:
    """Count the rows out of every layer on one axis: the sizes of `resolve`, without the maps."""
    sizes = [n]
    for layer in network.layers[1:]:
        if layer.kind == "unknown":
            check_known(network, layer)
        op, first = layer.ops[axis], layer.inputs[0]
        n_out = sizes[first]
        if op is not None:
            try:
                n_out = out_size(op, n_out, layer.followed(sizes))
            except SizeError as error:
                raise _named(error, network, layer, axis, n) from None
        for other in layer.inputs[1:]:
            if sizes[other] != sizes[first]:
                one, two = (f"{network.layers[i].name} has {sizes[i]}" for i in (first, other))
                disagree = SizeError(f"its branches disagree in {network.axes[axis]}: {one}, {two}")
                raise _named(disagree, network, layer, axis, n)
        sizes.append(n_out)
    return tuple(sizes)


class ManySizes(NamedTuple):
    """Each layer's rows at many sizes: `arrays[rows[i]]` of layer i, shape (n,); and which sizes
    the network takes.
    """

    arrays: list[Sizes]
    rows: list[int]
    runs: Flags


def at_many_sizes(network: Network, axis: int, sizes: Sizes) -> ManySizes:
    """Count the rows out of every layer at each of many sizes; those that an operation does not
    take are set to 1.
    """
    arrays, numbers, rows = [sizes], {sizes.tobytes(): 0}, [0]
    runs = np.ones(sizes.shape, dtype=bool)
    if axis in network.fixed:
        runs = sizes == network.size[axis]
    known: dict[tuple[Op, int, int | None], tuple[int, Flags]] = {}
    for layer in network.layers[1:]:
        check_known(network, layer)
        entering, *others = (rows[j] for j in layer.inputs)
        for other in others:
            if other != entering:
                runs = runs & (arrays[other] == arrays[entering])
        op = layer.ops[axis]
        if op is None:
            rows.append(entering)
            continue
        like = layer.followed(rows)
        if (op, entering, like) not in known:
            n = arrays[entering]
            leaving = np.broadcast_to(sized(op, n, None if like is None else arrays[like]), n.shape)
            fits = leaving >= 1
            if isinstance(op, Window):
                before, after, _ = placement(op, n)
                fits = fits & padding_fits(op.mode, n, np.maximum(before, after))
            leaving = np.where(fits, leaving, 1)
            number = numbers.setdefault(leaving.tobytes(), len(arrays))
            if number == len(arrays):
                arrays.append(leaving)
            known[op, entering, like] = number, fits
        number, fits = known[op, entering, like]
        runs = runs & fits
        rows.append(number)
    return ManySizes(arrays, rows, runs)


def another_at(network: Network, size: Size) -> tuple[str, str] | None:
    """Return the first layer that differs at a size, its pads aside, and how; None if all are
    alike.
    """
    try:
        there = network.at(size)
    except PadvizError as error:
        return error.where or network.name, f"cannot be read at {in_words(size)}: {error.what}"
    for layer, other in zip_longest(network.layers, there.layers):
        if layer is None or other is None or _without_pads(layer) != _without_pads(other):
            name = layer.name if layer else "the end"
            if other is None:
                what = "is not there"
            elif other.name == name:
                what = "is another"
            else:
                what = f"has {other.name} in its place"
            return f"{network.name}, {name}", f"it {what} at {in_words(size)}"
        for act, there_act in zip_longest(layer.acts, other.acts):
            if act != there_act:
                name = (act or there_act).name
                return f"{network.name}, {name}", f"it is another call at {in_words(size)}"
    return None


def _without_pads(layer: Layer) -> tuple[object, ...]:
    ops = tuple(replace(op, padding=(0, 0)) if isinstance(op, Window) else op for op in layer.ops)
    return layer.name, layer.kind, layer.inputs, layer.like, layer.everywhere, ops


def _named(error: SizeError, network: Network, layer: Layer, axis: int, n: int) -> SizeError:
    """Return an error of an operation that names its layer, the size of the input, and the nearest
    ones that run.
    """
    name = network.axes[axis]
    below, above = sizes_next(network, axis, n)
    ways = []
    if above:
        ways.append(f"pad it to {above}")
    if below:
        ways.append(f"crop it to {below}")
    cure = "try another `size` or `padding`"
    if ways:
        cure = f"{' or '.join(ways)}, or {cure}"
    hint = f"the input's {name} is {n}: {cure}"
    return SizeError(error.what, where=f"{network.name}, {layer.name}", hint=hint)


def sizes_next(network: Network, axis: int, n: int) -> tuple[int | None, int | None]:
    """Return the next smaller and the next larger size that a description takes on an axis; None
    where none is near.
    """
    sizes = np.arange(max(1, n - REACH), min(n + REACH, LARGEST) + 1)
    try:
        runs = sizes[at_many_sizes(network, axis, sizes).runs].tolist()
    except DescriptionError:  # of a layer that is not known
        return None, None
    below = max((m for m in runs if m < n), default=None)
    above = min((m for m in runs if m > n), default=None)
    return below, above


def check_known(network: Network, layer: Layer) -> None:
    if layer.kind == "unknown":
        raise DescriptionError(layer.note, where=f"{network.name}, {layer.name}")


def sizes_of_each(network: Network, size: Size) -> tuple[tuple[int, ...], ...]:
    return on_each(sizes_of, network, size)


def resolve_each(network: Network, size: Size) -> tuple[Resolved, ...]:
    return on_each(resolve, network, size)


def on_each(
    function: Callable[[Network, int, int], T], network: Network, size: Size
) -> tuple[T, ...]:
    """Call a function on each axis; once where all axes are the same."""
    if len({*size}) == 1 and is_square(network):
        return (function(network, 0, size[0]),) * len(size)
    return tuple(function(network, axis, n) for axis, n in enumerate(size))


@lru_cache(64)
def is_square(network: Network) -> bool:
    """Whether every layer does the same on all axes, and none has a size of its own."""
    return len(network.fixed) in (0, len(network.axes)) and all(
        len({*layer.ops}) == 1 for layer in network.layers
    )


def layer_rows(network: Network, size: Size) -> list[LayerRow]:
    """List the geometry of every layer at a size."""
    sizes, rows = sizes_of_each(network, size), []
    for i, layer in enumerate(network.layers[1:], start=1):
        entering, leaving = [[along[at] for along in sizes] for at in (layer.inputs[0], i)]
        windows = [op for op in layer.ops if isinstance(op, Window | Transposed)]
        if len(windows) < len(layer.ops):
            rows.append(LayerRow(layer.name, layer.kind, None, None, None, None, entering, leaving))
            continue
        kernels, strides = [op.kernel for op in windows], [op.stride for op in windows]
        dilations = [op.dilation for op in windows]
        pads = [
            [*(place(op, n)[:2] if isinstance(op, Window) else op.padding)]
            for op, n in zip(windows, entering, strict=True)
        ]
        rows.append(
            LayerRow(layer.name, layer.kind, kernels, strides, dilations, pads, entering, leaving)
        )
    return rows
