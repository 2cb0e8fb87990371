"""ONNX files: the weights of their convolutions, and graphs run by onnxruntime, in which responses
are reduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import copy
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError, OptionError, SizeError, nearest, printable
from padviz.network.layer import Layer
from padviz.network.network import Size, in_words
from padviz.sources.onnx import constants
from padviz.sources.onnx.constants import UNFIT, numbers
from padviz.sources.onnx.load import as_network
from padviz.sources.onnx.model import Constants, Model, attributes, needed, op_of, open_model, title
from padviz.sources.onnx.node import CONVS, WEIGHT
from padviz.sources.tracing.arranging import Malformed
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.networks import running
from padviz.trained.networks.running import (
    Images,
    Outputs,
    Reduced,
    check_room,
    has_borders,
    middle,
    middle_weights,
)
from padviz.trained.networks.trained_network import (
    Stored,
    Trained,
    TrainedOn,
    Unread,
    infer_images,
    kernels_of,
)

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto
    from onnxruntime import InferenceSession

# Between the weights that are stored and those used.
PASSED = ("Identity", "Cast", "Transpose", "DequantizeLinear")
# Between the image and a convolution that reads its numbers.
LAID_OUT = ("Identity", "Cast", "Transpose")
ZERO_POINT = {"QLinearConv": 5, "ConvInteger": 3}  # which input has the zero point of the weights
MOST_NUMBERS = 1 << 29
DEEPEST = 20  # nodes between a constant and its convolution
LONGEST = 200  # characters of what another library says
BROKEN = (Malformed, *UNFIT)  # raised on malformed weights
OURS = "padviz/"  # in front of the names that are added to a graph
# Images of a first run: it fails, or has another shape, where a graph has a batch of one built in.
PROBED = 2
FLOAT, INTEGER = 1, 7  # in ONNX
# Op, what it reads and makes, attributes.
REDUCTIONS: tuple[tuple[str, tuple[str, ...], str, dict[str, Any]], ...] = (
    ("Cast", ("map",), "float", {"to": FLOAT}),
    ("Gather", ("float", "edges"), "edge rows", {"axis": 2}),
    ("MatMul", ("edge rows", "along"), "rows", {}),
    ("Gather", ("float", "middle"), "band", {"axis": 2}),  # the middle rows
    ("MatMul", ("mean", "band"), "columns", {}),
    ("Mul", ("band", "band"), "squared", {}),
    ("Reshape", ("squared", "flat"), "squared pixels", {}),
    ("MatMul", ("mean of channels", "squared pixels"), "squares", {}),
    ("Reshape", ("float", "flat"), "pixels", {}),
    ("MatMul", ("mean of channels", "pixels"), "total", {}),
)  # of operations that every opset has alike
PARTS = ("rows", "columns", "squares", "total")
Array = NDArray[Any]
Shape = tuple[int, ...]


def read(path: Path, size: Size | None = None, reading: Reading = AS_IT_IS) -> Trained:
    model = open_model(path, reading)
    network = as_network(model, reading, size)
    stored = _StoredTensors(model)
    nodes: dict[int, NodeProto] = {}
    for node in needed(model.graph):
        names = network.own_name(node.output[0]), title(node)
        if op_of(node) in (*CONVS, "ConvTranspose") and (
            name := next(filter(network.index.get, names), None)
        ):
            nodes.setdefault(network.index[name], node)

    def kernel(layer: Layer) -> Stored:
        if (node := nodes.get(network.index[layer.name])) is None:
            raise Unread("its weights are inside of a function or a branch")
        try:
            groups, norm = int(attributes(node).get("group", 1)), any(stored.norms_of(node))
            return stored.weights(node), groups, norm, _weight_name(node)
        except BROKEN:
            raise Unread("unexpected shape or type of weights") from None

    kernels, images, channels = (
        kernels_of(network, kernel),
        _trained_on(model, stored),
        model.image.channels,
    )
    return Trained(
        network, size or network.size, model, str(path), channels, *kernels, trained_on=images
    )


class _StoredTensors:
    """The constants of a graph, and the nodes that read each tensor."""

    def __init__(self, model: Model) -> None:
        self.folder = model.folder
        self.constants = Constants(model.graph)
        self.known: dict[str, Array] = {}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def norms_of(self, node: NodeProto) -> list[NodeProto]:
        return [
            reader
            for reader in self.readers.get(node.output[0], ())
            if reader.op_type == "BatchNormalization"
        ]

    def weights(self, node: NodeProto) -> Array:
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
            return self._stored(tensor)
        if node is None or depth == 0:
            raise Unread("its weights are an input")
        if node.op_type not in PASSED:
            raise Unread(f"its weights are calculated, by {node.op_type}")
        numbers, attrs = self.numbers(node.input[0], depth - 1), attributes(node)
        if node.op_type == "Transpose":
            return np.transpose(numbers, attrs.get("perm"))
        if node.op_type == "DequantizeLinear":
            axis, shifted = attrs.get("axis", 1), numbers.astype(np.float32)
            scale = _along(self.numbers(node.input[1], depth - 1), numbers, axis)
            if len(node.input) > 2 and node.input[2]:
                shifted -= _along(self.numbers(node.input[2], depth - 1), numbers, axis)
            return shifted * scale
        return numbers

    def _stored(self, tensor: TensorProto) -> Array:
        if prod(max(n, 0) for n in tensor.dims) > MOST_NUMBERS:
            raise Unread("its weights are too many")
        try:
            array = constants.read(tensor, self.folder, MOST_NUMBERS)
        except constants.Unread as error:
            raise Unread(
                f"its weights cannot be read: {printable(f'{tensor.name} {error}')}"
            ) from None
        except Exception as error:  # of onnx, which has many
            raise Unread(
                f"its weights cannot be read: {printable(' '.join(str(error).split())[:120])}"
            ) from None
        # numpy has no bfloat16 of its own: it is another library's, or raw bytes.
        if array.dtype.kind == "V" or array.dtype.name == "bfloat16":
            return array.astype(np.float32)
        return array


def _along(values: Array, like: Array, axis: int) -> NDArray[np.float32]:
    """Shape scales or zero points, one for all numbers or one for each place along an axis, as what
    they go with.

    Raises one of `BROKEN` for any other number of them: broadcasting would make the result larger.
    """
    if values.size == 1:
        return values.astype(np.float32).reshape(())
    if values.shape != like.shape[axis : axis + 1 or None]:
        raise ValueError
    shape = [1] * like.ndim
    shape[axis] = -1
    return values.astype(np.float32).reshape(shape)


def _weight_name(node: NodeProto) -> str:
    at = WEIGHT.get(node.op_type, 1)
    if len(node.input) <= at:
        return ""
    return str(node.input[at])


def _trained_on(model: Model, stored: _StoredTensors) -> TrainedOn | None:
    """Infer the images of the training from the batch normalisation of a convolution that reads the
    image itself.
    """
    for node in needed(model.graph):
        if (
            node.op_type != "Conv"
            or stored.constants.behind(node.input[0], LAID_OUT) != model.image.name
        ):
            continue
        if attributes(node).get("group", 1) > 1:
            continue
        for norm in stored.norms_of(node):
            with suppress(Unread, *BROKEN):
                bias: Array | float = 0.0
                if len(node.input) > 2:
                    bias = stored.numbers(node.input[2])
                mean, variance = (stored.numbers(norm.input[i]) for i in (3, 4))
                return infer_images(title(node), stored.weights(node), bias, mean, variance)
    return None


class OnnxRunner:
    """A graph run at a size.

    `observed` are its convolutions' tensors by their names, None if outputs alone matter.
    """

    def __init__(self, model: Model, size: Size, observed: Mapping[str, str] | None) -> None:
        from onnx import helper

        if not model.image.fits(size):
            raise SizeError(
                f"takes images of {model.image}",
                where=model.where,
                hint=f"use a `size` of {model.image}",
            )
        if model.other_inputs:
            listed = ", ".join(map(repr, [*model.other_inputs][:4]))
            hint = "export it with these as constants"
            raise DescriptionError(f"has further inputs: {listed}", where=model.where, hint=hint)
        self.where, self.size, self.image = model.where, size, model.image
        self.model = model.whole().proto
        self.channels, self.batch = self.image.channels, self.image.shape[0] or None
        check_room(self.where, self.batch or PROBED, self.channels, size)
        self.kind = helper.tensor_dtype_to_np_dtype(self.image.type)
        self._plain: InferenceSession | None = None
        self._reducing: InferenceSession | None = None
        self.observed = {} if observed is None else self._observe(observed)

    def responses(self, images: Images) -> list[Reduced]:
        if not self.observed:
            return []
        if self._reducing is None:
            self._reducing = session(
                _add_reductions(self.model, dict(self.observed.values())), self.where
            )
        outputs, reduced = self._run(self._reducing, images), []
        for layer, (tensor, (*_, height, width)) in self.observed.items():
            rows, columns, squares, total = (outputs[f"{OURS}{part}/{tensor}"] for part in PARTS)
            square, total = (
                running.mean_square(squares, height, width),
                total.reshape(-1, height, width),
            )
            reduced.append(
                Reduced(
                    layer, np.concatenate([rows[..., 0], columns[:, :, 0]], axis=2), square, total
                )
            )
        return reduced

    def shuffled(self, seed: int) -> OnnxRunner:
        from onnx import numpy_helper

        shuffled, rng = copy(self), np.random.default_rng(seed)
        shuffled.model, shuffled._plain, shuffled._reducing = type(self.model)(), None, None
        shuffled.model.CopyFrom(self.model)
        stored = Constants(shuffled.model.graph)
        read = [
            node.input[1]
            for node in shuffled.model.graph.node
            if node.op_type in ("Conv", "ConvTranspose")
        ]
        for name in dict.fromkeys(read):
            tensor = stored.tensor(stored.behind(name, PASSED))
            if tensor is not None:
                values = numbers(tensor)
                permuted = rng.permutation(values.ravel()).reshape(values.shape)
                tensor.CopyFrom(numpy_helper.from_array(permuted, tensor.name))
        return shuffled

    def outputs(self, images: NDArray[np.floating]) -> Outputs:
        self._plain = self._plain or session(self.model, self.where)
        return self._run(self._plain, images)

    def contents(self) -> Iterator[bytes]:
        yield self.model.SerializeToString(deterministic=True)

    def with_output(self, name: str) -> None:
        tensors: list[str] = []
        for node in self.model.graph.node:
            tensors += filter(None, node.output)
        if name not in tensors:
            raise OptionError(
                f"no tensor is called {name!r}", option="layer", hint=nearest(name, tensors)
            )
        if name not in [output.name for output in self.model.graph.output]:
            self.model.graph.output.add().name = name
            self._plain = None

    def _observe(self, observed: Mapping[str, str]) -> dict[str, tuple[str, Shape]]:
        """Return the tensors that have borders, and their shapes, by a first run.

        It finds a batch of one built in.
        """
        from onnx import helper

        graph = _without_outputs(self.model)
        for i, tensor in enumerate(
            observed.values() or [output.name for output in self.model.graph.output]
        ):
            graph.graph.node.append(helper.make_node("Shape", [tensor], [f"{OURS}shape/{i}"]))
            graph.graph.output.append(
                helper.make_tensor_value_info(f"{OURS}shape/{i}", INTEGER, None)
            )
        probe, image = (
            session(graph, self.where),
            np.zeros((1, self.channels, *self.size), np.float32),
        )
        shapes: list[Array] = []
        if not self.batch:
            with suppress(DescriptionError):
                shapes = [*self._run(probe, image.repeat(PROBED, 0)).values()]
            if not shapes or any(len(shape) == 4 and shape[0] != PROBED for shape in shapes):
                self.batch = 1
        if self.batch:
            shapes = [*self._run(probe, image.repeat(self.batch, 0)).values()]
        return {
            layer: (tensor, tuple(map(int, shape)))
            for (layer, tensor), shape in zip(observed.items(), shapes, strict=False)
            if len(shape) == 4 and has_borders(shape[2], shape[3])
        }

    def _run(self, opened: InferenceSession, images: NDArray[np.floating]) -> Outputs:
        read = images
        if self.image.channels_last:
            read = images.transpose(0, 2, 3, 1)
        if np.issubdtype(self.kind, np.integer):
            read = np.clip(np.rint(read), 0, np.iinfo(self.kind).max)
        names = [output.name for output in opened.get_outputs()]
        try:
            values = opened.run(
                names, {self.image.name: np.ascontiguousarray(read, dtype=self.kind)}
            )
        except Exception as error:
            failure = f"cannot be run on {in_words(images.shape)}: {_line_of(error)}"
            raise DescriptionError(failure, where=self.where, hint="try another `size`") from None
        return dict(zip(names, values, strict=True))


def convolutions(model: ModelProto) -> dict[str, str]:
    """Return the tensors that convolutions make, by the names that layers have: the node's own, or
    the tensor's.
    """
    nodes = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and node.domain in ("", "ai.onnx")
    ]
    return {printable(node.name or node.output[0]): node.output[0] for node in nodes}


def session(model: ModelProto, where: str) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError:
        hint = "install it: pip install 'padviz[trained]'"
        raise DescriptionError(
            "running it needs the package onnxruntime", where=where, hint=hint
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED  # the order of the graph
    options.enable_mem_pattern = False  # which takes a slow second run to plan memory
    for pool in ("intra_op", "inter_op"):  # idle threads sleep: they share the machine
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise DescriptionError(
            f"onnxruntime cannot load it: {_line_of(error)}", where=where
        ) from None


def _line_of(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if len(text) > LONGEST:
        return f"{text[:LONGEST]}…"
    return text or type(error).__name__


def _add_reductions(model: ModelProto, tensors: Mapping[str, Shape]) -> ModelProto:
    """Copy a model and replace its outputs by the means of each tensor, as in `Reduced`.

    Shapes hold for any batch.

    Each tensor is reduced right after the node that makes it, before it leaves the cache.
    """
    from onnx import helper, numpy_helper

    reducing = _without_outputs(model)
    del reducing.graph.node[:]
    known = set[Shape]()
    for node in model.graph.node:
        reducing.graph.node.append(node)
        for tensor in tensors.keys() & set(node.output):
            _, channels, height, width = shape = tensors[tensor]
            rows = np.arange(height)[middle(height)]
            weights: dict[str, Array] = {
                "edges": running.edge_rows(height),
                "along": middle_weights(width)[:, None],
                "middle": rows,
                "mean": np.full((1, len(rows)), 1 / len(rows), np.float32),
                "mean of channels": np.full((1, channels), 1 / channels, np.float32),
                "flat": np.array([0, 0, -1]),
            }
            given = {"map": tensor, **{name: f"{OURS}{name}/{shape}" for name in weights}}
            if shape not in known:  # maps of one shape share them
                for name, values in weights.items():
                    reducing.graph.initializer.append(numpy_helper.from_array(values, given[name]))
            known.add(shape)
            for op, reads, part, options in REDUCTIONS:
                read = [given.get(name, f"{OURS}{name}/{tensor}") for name in reads]
                reducing.graph.node.append(
                    helper.make_node(op, read, [f"{OURS}{part}/{tensor}"], **options)
                )
            outputs = [
                helper.make_tensor_value_info(f"{OURS}{part}/{tensor}", FLOAT, None)
                for part in PARTS
            ]
            reducing.graph.output.extend(outputs)
    return reducing


def _without_outputs(model: ModelProto) -> ModelProto:
    copied = type(model)()
    copied.CopyFrom(model)
    del copied.graph.output[:]
    return copied
