"""The weights in an ONNX file: initializers and constants, behind nodes that leave their numbers alone."""

from __future__ import annotations

from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import printable
from padviz.network.layer import CONVOLUTIONS
from padviz.network.network import Size
from padviz.sources.onnx import constants
from padviz.sources.onnx.folding import UNFIT, Malformed
from padviz.sources.onnx.load import as_network
from padviz.sources.onnx.model import Constants, Model, attributes, needed, op_of, open_model, title
from padviz.sources.onnx.node import CONVS, WEIGHT
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.weights.trained_network import Kernel, Trained, TrainedOn, Unread, as_kernel, infer_images

PASSED = ("Identity", "Cast", "Transpose", "DequantizeLinear")  # between the weights that are stored and those used
LAID_OUT = ("Identity", "Cast", "Transpose")  # between the image and a convolution that reads its numbers
ZERO_POINT = {"QLinearConv": 5, "ConvInteger": 3}  # which input has the zero point of the weights
DEEPEST = 20  # nodes between a constant and its convolution
MOST_NUMBERS = 1 << 29
BROKEN = (Malformed, *UNFIT)  # raised on malformed weights
Proto = Any
Array = NDArray[Any]


def read(path: Path, size: Size | None = None, reading: Reading = AS_IT_IS) -> Trained:
    """Read an ONNX file with the weights of its convolutions; see `padviz.trained.weights.reading.read`."""
    model = open_model(path, reading)
    network = as_network(model, reading, size)
    stored = _StoredTensors(model)
    kernels: list[Kernel] = []
    unread: dict[str, str] = {}
    for node in needed(model.graph):
        if op_of(node) not in (*CONVS, "ConvTranspose"):
            continue
        names = network.own_name(node.output[0]), title(node)
        layer = next((network.layers[network.index[name]] for name in names if name in network.index), None)
        if layer is None or layer.kind not in CONVOLUTIONS:
            continue
        try:
            groups, norm = attributes(node.attribute).get("group", 1), any(stored.norms_of(node))
            kernels.append(as_kernel(layer, stored.weights(node), groups, norm, _weight_name(node)))
        except Unread as why:
            unread[layer.name] = str(why)
        except BROKEN:
            unread[layer.name] = "unexpected shape or type of weights"
    known = {*unread, *(kernel.layer for kernel in kernels)}
    hidden = [layer.name for layer in network.layers if layer.kind in CONVOLUTIONS and layer.name not in known]
    unread |= dict.fromkeys(hidden, "its weights are inside of a function or a branch")
    images = _trained_on(model, stored)
    return Trained(network, size or network.size, model, str(path), tuple(kernels), unread, trained_on=images)


class _StoredTensors:
    """The constants of a graph, and the nodes that read each tensor."""

    def __init__(self, model: Model) -> None:
        self.folder = model.folder
        self.constants = Constants(model.graph)
        self.known: dict[str, Array] = {}
        self.readers: dict[str, list[Proto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def norms_of(self, node: Proto) -> list[Proto]:
        """List the batch normalisations of a convolution's map."""
        return [reader for reader in self.readers.get(node.output[0], ()) if reader.op_type == "BatchNormalization"]

    def weights(self, node: Proto) -> Array:
        """Read a convolution's weights, in the order in which they are stored."""
        numbers = self.numbers(_weight_name(node))
        if numbers.dtype.kind in "iu":
            numbers = numbers.astype(np.float32)
            at = ZERO_POINT.get(node.op_type, len(node.input))
            if at < len(node.input) and node.input[at]:
                numbers -= _along(self.numbers(node.input[at]), numbers, 0)
        if numbers.dtype.kind != "f":
            raise Unread(f"its weights are of type {numbers.dtype}")
        return numbers

    def numbers(self, name: str, depth: int = DEEPEST) -> Array:
        """Read the numbers of a constant that is stored, or behind nodes that keep them."""
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
        if node.op_type == "DequantizeLinear":
            axis, shifted = attrs.get("axis", 1), numbers.astype(np.float32)
            scale = _along(self.numbers(node.input[1], depth - 1), numbers, axis)
            if len(node.input) > 2 and node.input[2]:
                shifted -= _along(self.numbers(node.input[2], depth - 1), numbers, axis)
            return shifted * scale
        return numbers

    def _array(self, proto: Proto) -> Array:
        if prod(max(n, 0) for n in proto.dims) > MOST_NUMBERS:
            raise Unread("its weights are too many")
        try:
            array = constants.read(proto, self.folder, MOST_NUMBERS)
        except constants.Unread as error:
            raise Unread(f"its weights cannot be read: {printable(f'{proto.name} {error}')}") from None
        except Exception as error:  # of onnx, which has many
            raise Unread(f"its weights cannot be read: {printable(' '.join(str(error).split())[:120])}") from None
        return array.astype(np.float32) if array.dtype.kind == "V" or array.dtype.name == "bfloat16" else array


def _along(values: Array, like: Array, axis: int) -> NDArray[np.float32]:
    """Shape scales or zero points, one for all numbers or one for each place along an axis, as what they go with.

    Raises one of `BROKEN` for any other number of them: broadcasting would make the result larger.
    """
    if values.size == 1:
        return values.astype(np.float32).reshape(())
    if values.shape != like.shape[axis : axis + 1 or None]:
        raise ValueError
    return values.astype(np.float32).reshape([-1 if i == axis % like.ndim else 1 for i in range(like.ndim)])


def _weight_name(node: Proto) -> str:
    """Return the name of the tensor with a convolution's weights."""
    at = WEIGHT.get(node.op_type, 1)
    return str(node.input[at]) if len(node.input) > at else ""


def _trained_on(model: Model, stored: _StoredTensors) -> TrainedOn | None:
    """Infer the images of the training from the batch normalisation of a convolution that reads the image itself."""
    for node in needed(model.graph):
        if node.op_type == "Conv" and stored.constants.behind(node.input[0], LAID_OUT) == model.image.name:
            for norm in stored.norms_of(node):
                if not attributes(node.attribute).get("group", 1) > 1:
                    with suppress(Unread, *BROKEN):
                        bias = stored.numbers(node.input[2]) if len(node.input) > 2 else np.float64(0)
                        mean, variance = (stored.numbers(norm.input[i]) for i in (3, 4))
                        return infer_images(title(node), stored.weights(node), bias, mean, variance)
    return None
