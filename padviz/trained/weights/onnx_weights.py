"""The weights in an ONNX file: initializers and constants, behind what leaves their numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from padviz.errors import printable
from padviz.network.layer import CONVOLUTIONS, Layer
from padviz.network.network import Network, Size
from padviz.sources.onnx.constants import external
from padviz.sources.onnx.constants.folding import UNFIT, Malformed
from padviz.sources.onnx.load import as_network
from padviz.sources.onnx.model import Constants, Model, attributes, needed, op_of, open_model, title
from padviz.sources.onnx.tensors import CONVS, WEIGHT
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.weights.trained_network import Kernel, Trained, Unread, as_kernel
from padviz.trained.weights.trained_on import TrainedOn, trained_on

PASSED = ("Identity", "Cast", "Transpose", "DequantizeLinear")  # between the weights that are stored and those used
LAID_OUT = ("Identity", "Cast", "Transpose")  # between the image and a convolution that reads its numbers
DEEPEST = 20  # nodes between a constant and its convolution
MOST_NUMBERS = 1 << 29
BROKEN = (Malformed, *UNFIT)  # what comes of weights that make no sense
Proto = Any
Array = np.ndarray[Any, Any]


def read(path: Path, size: Size | None = None, reading: Reading = AS_IT_IS) -> Trained:
    """Read an ONNX file with the weights of its convolutions; see `padviz.trained.weights.reading.read`."""
    model = open_model(path, reading)
    network = as_network(model, reading, size)
    store = _Store(model)
    kernels: list[Kernel] = []
    unread: dict[str, str] = {}
    for node, layer in _convolutions(model, network):
        try:
            groups = attributes(node.attribute).get("group", 1)
            kernels.append(as_kernel(layer, store.weights(node), groups, _normalised(store, node), _weight_of(node)))
        except Unread as why:
            unread[layer.name] = str(why)
        except BROKEN:
            unread[layer.name] = "its weights make no sense"
    known = {*unread, *(kernel.layer for kernel in kernels)}
    hidden = [layer.name for layer in network.layers if layer.kind in CONVOLUTIONS and layer.name not in known]
    unread |= dict.fromkeys(hidden, "its weights are inside of a function or a branch")
    images = _trained_on(model, store)
    return Trained(network, size or network.size, model, str(path), tuple(kernels), unread, trained_on=images)


def _convolutions(model: Model, network: Network) -> Iterator[tuple[Proto, Layer]]:
    """List the nodes that convolve maps of the network, each with its layer."""
    for node in needed(model.graph):
        if op_of(node) in (*CONVS, "ConvTranspose"):
            at = next(
                (network.index[name] for name in (network.alias(node.output[0]), title(node)) if name in network.index),
                0,
            )
            if at and network.layers[at].kind in CONVOLUTIONS:
                yield node, network.layers[at]


class _Store:
    """The constants of a graph, and what reads each tensor."""

    def __init__(self, model: Model) -> None:
        self.folder = model.folder
        self.constants = Constants(model.graph)
        self.known: dict[str, Array] = {}
        self.readers: dict[str, list[Proto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def weights(self, node: Proto) -> Array:
        """Read a convolution's weights, as they are stored."""
        numbers = self.numbers(_weight_of(node), DEEPEST)
        if numbers.dtype.kind in "iu":
            numbers = numbers.astype(np.float32) - self._zero_point(node, numbers)
        if numbers.dtype.kind != "f":
            raise Unread(f"its weights are of type {numbers.dtype}")
        return numbers

    def _zero_point(self, node: Proto, weights: Array) -> Any:
        at = {"QLinearConv": 5, "ConvInteger": 3}.get(node.op_type, len(node.input))
        if at >= len(node.input) or not node.input[at]:
            return np.float32(0)
        return _along(self.numbers(node.input[at], DEEPEST), weights, 0)

    def numbers(self, name: str, depth: int) -> Array:
        """Read what a tensor holds, where it is a constant behind nodes that keep its numbers."""
        if name not in self.known:
            self.known[name] = self._numbers(name, depth)
        return self.known[name]

    def _numbers(self, name: str, depth: int) -> Array:
        tensor, node = self.constants.tensor(name), self.constants.makers.get(name)
        if tensor is not None and (depth or name in self.constants.stored):
            return self._array(tensor)
        if node is None or depth == 0:
            raise Unread("its weights are an input")
        if node.op_type not in PASSED:
            raise Unread(f"its weights are calculated, by {node.op_type}")
        numbers, attrs = self.numbers(node.input[0], depth - 1), attributes(node.attribute)
        if node.op_type == "Transpose":
            return np.transpose(numbers, attrs.get("perm"))
        return (
            self._scaled(numbers, node, attrs.get("axis", 1), depth) if node.op_type == "DequantizeLinear" else numbers
        )

    def _scaled(self, numbers: Array, node: Proto, axis: int, depth: int) -> Array:
        scale = _along(self.numbers(node.input[1], depth - 1), numbers, axis)
        given = len(node.input) > 2 and node.input[2]
        zero = _along(self.numbers(node.input[2], depth - 1), numbers, axis) if given else np.float32(0)
        return (numbers.astype(np.float32) - zero) * scale

    def _array(self, proto: Proto) -> Array:
        if prod(max(n, 0) for n in proto.dims) > MOST_NUMBERS:
            raise Unread("its weights are too many")
        try:
            array = external.read(proto, self.folder, MOST_NUMBERS)
        except external.Unread as error:
            raise Unread(f"its weights cannot be read: {printable(f'{proto.name} {error}')}") from None
        except Exception as error:  # of onnx, which has many
            raise Unread(f"its weights cannot be read: {printable(' '.join(str(error).split())[:120])}") from None
        return array.astype(np.float32) if array.dtype.kind == "V" or array.dtype.name == "bfloat16" else array


def _along(values: Array, like: Array, axis: int) -> Array:
    """Shape scales or zero points, one for all numbers or one for each place along an axis, as what they go with.

    Raises one of `BROKEN` where they are others: they would make it larger.
    """
    if values.size == 1:
        return values.astype(np.float32).reshape(())
    if values.shape != like.shape[axis : axis + 1 or None]:
        raise ValueError
    return values.astype(np.float32).reshape([-1 if i == axis % like.ndim else 1 for i in range(like.ndim)])


def _weight_of(node: Proto) -> str:
    """Name the tensor that a convolution has as its weights."""
    at = WEIGHT.get(node.op_type, 1)
    return str(node.input[at]) if len(node.input) > at else ""


def _normalised(store: _Store, node: Proto) -> bool:
    """Tell whether a batch normalisation reads what a convolution makes."""
    return any(reader.op_type == "BatchNormalization" for reader in store.readers.get(node.output[0], ()))


def _trained_on(model: Model, store: _Store) -> TrainedOn | None:
    """Find what the batch normalisation behind a convolution of the image itself tells of the images."""
    for node in needed(model.graph):
        if node.op_type == "Conv" and store.constants.behind(node.input[0], LAID_OUT) == model.image.name:
            for norm in store.readers.get(node.output[0], ()):
                if norm.op_type == "BatchNormalization" and not attributes(node.attribute).get("group", 1) > 1:
                    with suppress(Unread, *BROKEN):
                        bias = store.numbers(node.input[2], DEEPEST) if len(node.input) > 2 else np.float64(0)
                        running = (store.numbers(norm.input[i], DEEPEST) for i in (3, 4))
                        return trained_on(title(node), store.weights(node), bias, *running)
    return None
