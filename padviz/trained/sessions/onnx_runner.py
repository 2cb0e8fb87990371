"""ONNX graphs, run by onnxruntime; responses are reduced in the graph, so that no map leaves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError, OptionError, SizeError, nearest, printable
from padviz.network.network import Size, in_words
from padviz.sources.onnx.constants import numbers
from padviz.sources.onnx.model import Constants, Model
from padviz.trained.sessions.running import Images, Outputs, Reduced, check_room, has_borders, middle, middle_weights
from padviz.trained.weights.onnx_weights import PASSED

Proto = Any
Session = Any  # an onnxruntime.InferenceSession
PARTS = ("rows", "columns", "square", "total")
OURS = "padviz/"  # in front of the names that are added to a graph
PROBED = 2  # images of a first run: it fails, or has another shape, where a graph has a batch of one built in
FLOAT = 1  # in ONNX
Shape = tuple[int, ...]


class OnnxRunner:
    """A graph run at a size; `observed` are its convolutions' tensors, by their names."""

    def __init__(self, model: Model, size: Size, observed: dict[str, str] | None = None) -> None:
        from onnx import helper

        if not model.image.fits(size):
            raise SizeError(f"takes images of {model.image}", where=model.where, hint=f"use a `size` of {model.image}")
        if model.other_inputs:
            listed = ", ".join(map(repr, [*model.other_inputs][:4]))
            raise DescriptionError(f"has further inputs: {listed}", where=model.where)
        self.where, self.size, self.image = model.where, size, model.image
        self.model, self.opset = model.whole().proto, model.opset
        self.channels, self.batch = self.image.channels, self.image.shape[0] or None
        check_room(self.where, self.batch or PROBED, self.channels, size)
        self.kind = helper.tensor_dtype_to_np_dtype(self.image.type)
        self._sessions: dict[str, Session] = {}
        observed = convolutions(self.model) if observed is None else observed
        shapes = zip(observed, self._shapes_of([*observed.values()]), strict=False)
        self._shapes: dict[str, Shape] = {name: shape for name, shape in shapes if len(shape) == 4}
        self.observed = {name: observed[name] for name in self._shapes}

    def responses(self, images: Images) -> list[Reduced]:
        """Reduce every convolution's output."""
        shapes = {layer: shape for layer, shape in self._shapes.items() if has_borders(*shape[2:])}
        if not shapes:
            return []
        tensors = [self.observed[layer] for layer in shapes]
        if "responses" not in self._sessions:
            reducing = add_reductions(self.model, dict(zip(tensors, shapes.values(), strict=True)), self.opset)
            self._sessions["responses"] = session(reducing, self.where)
        names = [f"{OURS}{part}/{tensor}" for tensor in tensors for part in PARTS]
        values, reduced = iter(self._run("responses", names, images)), []
        for layer, (_, channels, height, width) in shapes.items():
            rows, columns, square, total = (next(values) for _ in PARTS)
            down, along = middle(height), middle(width)
            count = channels * (down.stop - down.start) * (along.stop - along.start)
            mean_square = float(square[0, 0]) / count
            reduced.append(Reduced(layer, rows.reshape(-1, channels, height), columns[:, :, 0], mean_square, total))
        return reduced

    def outputs(self, images: NDArray[np.floating]) -> Outputs:
        """Run the graph, and return its outputs by name."""
        if "outputs" not in self._sessions:
            self._sessions["outputs"] = session(self.model, self.where)
        names = [output.name for output in self._sessions["outputs"].get_outputs()]
        return dict(zip(names, self._run("outputs", names, images), strict=True))

    def twin(self, model: Model) -> OnnxRunner:
        """Return a runner of a copy of the model that differs only in its weights, so that shapes stay."""
        twin = copy(self)
        twin.model, twin._sessions = model.proto, {}
        return twin

    def with_output(self, name: str) -> None:
        """Add a tensor inside of the graph to its outputs."""
        tensors = [output for node in self.model.graph.node for output in node.output if output]
        if name not in tensors:
            raise OptionError(f"no tensor is called {name!r}", option="layer", hint=nearest(name, tensors))
        if name not in [output.name for output in self.model.graph.output]:
            self.model.graph.output.add().name = name
            self._sessions.pop("outputs", None)

    def _shapes_of(self, tensors: Sequence[str]) -> list[Shape]:
        """Return the shapes of tensors by inference, or else by a run; it also shows a batch of one that is built in.

        Without tensors, the graph's outputs are run for that.
        """
        from onnx import helper

        tensors = tensors or [output.name for output in self.model.graph.output]
        count = self.batch or PROBED
        shape = (count, *self.size, self.channels) if self.image.channels_last else (count, self.channels, *self.size)
        if known := infer_shapes(self.model, self.image.name, shape, tensors):
            return known
        graph = _without_outputs(self.model)
        names = [f"{OURS}shape/{tensor}" for tensor in tensors]
        for tensor, name in zip(tensors, names, strict=True):
            graph.graph.node.append(helper.make_node("Shape", [tensor], [name]))
            graph.graph.output.append(helper.make_tensor_value_info(name, 7, None))
        self._sessions["shapes"] = session(graph, self.where)
        images = np.zeros((count, self.channels, *self.size), np.float32)
        try:
            shapes = self._run("shapes", names, images)
        except DescriptionError:
            if self.batch:
                raise
            shapes = []
        if not self.batch and (not shapes or any(len(shape) == 4 and shape[0] != count for shape in shapes)):
            self.batch = 1
            shapes = self._run("shapes", names, images[:1])
        del self._sessions["shapes"]
        return [tuple(map(int, shape)) for shape in shapes]

    def _run(self, what: str, names: Sequence[str], images: NDArray[np.floating]) -> list[NDArray[Any]]:
        read = images.transpose(0, 2, 3, 1) if self.image.channels_last else images
        if np.issubdtype(self.kind, np.integer):
            read = np.clip(np.rint(read), 0, np.iinfo(self.kind).max)
        try:
            values: list[NDArray[Any]] = self._sessions[what].run(
                list(names), {self.image.name: np.ascontiguousarray(read, dtype=self.kind)}
            )
        except Exception as error:
            shape = in_words((len(images), self.channels, *self.size))
            failure = f"cannot be run on {shape}: {line_of(error)}"
            raise DescriptionError(failure, where=self.where, hint="try another `size`") from None
        return values


def convolutions(model: Proto) -> dict[str, str]:
    """Return the tensors that convolutions make, by the names that layers have: the node's own, or the tensor's."""
    nodes = [node for node in model.graph.node if node.op_type == "Conv" and node.domain in ("", "ai.onnx")]
    return {printable(node.name or node.output[0]): node.output[0] for node in nodes}


def with_permuted_weights(model: Model, rng: np.random.Generator) -> Model:
    """Copy a model, and permute the stored weights of each convolution."""
    from onnx import numpy_helper

    copied = model.whole()
    constants = Constants(copied.graph)
    read = [node.input[1] for node in copied.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    for name in dict.fromkeys(read):
        tensor = constants.tensor(constants.behind(name, PASSED))
        if tensor is not None:
            values = numbers(tensor)
            permuted = values.ravel()[rng.permutation(values.size)].reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(permuted, tensor.name))
    return copied


def session(model: Proto, where: str) -> Session:
    """Open a session of onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        hint = "install it: pip install 'padviz[trained]'"
        raise DescriptionError("running it needs the package onnxruntime", where=where, hint=hint) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED  # the order of the graph
    options.enable_mem_pattern = False  # which takes a slow second run to plan memory
    for pool in ("intra_op", "inter_op"):  # idle threads sleep: they share the machine
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DescriptionError(f"onnxruntime cannot load it: {line_of(error)}", where=where) from None


def line_of(error: BaseException) -> str:
    """Write the message of an error in a line of bounded length."""
    text = " ".join(str(error).split())
    return f"{text[:200]}…" if len(text) > 200 else text or type(error).__name__


def infer_shapes(model: Proto, image: str, shape: Shape, tensors: Sequence[str]) -> list[Shape] | None:
    """Infer the shapes of tensors for an image of some shape, by ONNX's rules; None where these leave one open.

    They also leave one open where a graph has another number of images built in.
    """
    import onnx

    graph = _without_outputs(model)
    del graph.graph.value_info[:]  # which may be of another size
    (read,) = (value for value in graph.graph.input if value.name == image)
    for i, n in enumerate(shape):
        read.type.tensor_type.shape.dim[i].dim_value = n
    try:
        values = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph.value_info
    except Exception:  # of onnx, which has many; running it says more
        return None
    known = {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
    shapes = [known.get(tensor, ()) for tensor in tensors]
    return shapes if all(known_shape[:1] == shape[:1] and min(known_shape) > 0 for known_shape in shapes) else None


def add_reductions(model: Proto, tensors: Mapping[str, Shape], opset: int) -> Proto:
    """Copy a model and replace its outputs by the parts of `Reduced` of each tensor; shapes hold for any batch.

    Each tensor is reduced right after the node that makes it, before it leaves the cache.
    """
    from onnx import helper, numpy_helper

    reducing = _without_outputs(model)
    graph, stored = reducing.graph, dict[str, Proto]()

    def constant(name: str, value: NDArray[Any]) -> str:
        stored.setdefault(name, numpy_helper.from_array(value, f"{OURS}{name}"))
        return f"{OURS}{name}"

    del graph.node[:]
    for node in model.graph.node:
        graph.node.append(node)
        for tensor in tensors.keys() & set(node.output):
            graph.node.extend(_reductions(tensor, tensors[tensor], opset, constant))
            parts = [f"{OURS}{part}/{tensor}" for part in PARTS]
            graph.output.extend(helper.make_tensor_value_info(part, FLOAT, None) for part in parts)
    graph.initializer.extend(stored.values())
    return reducing


def _reductions(tensor: str, shape: Shape, opset: int, constant: Callable[[str, NDArray[Any]], str]) -> list[Proto]:
    """List the nodes that reduce a tensor: products of flat matrices read a map faster than means of lines do.

    `constant` stores a value under a name, once, and returns the name of its tensor.
    """
    from onnx import helper

    height, width = shape[2:]
    down, along = middle(height), middle(width)
    nodes: list[Proto] = []

    def add(op: str, reads: list[str], part: str, **attributes: Any) -> str:
        name = f"{OURS}{part}/{tensor}"
        nodes.append(helper.make_node(op, reads, [name], name=name, **attributes))
        return name

    def integers(*values: int) -> str:
        return constant(str(values), np.array(values, np.int64))

    def weights(n: int) -> str:
        return constant(f"middle of {n}", middle_weights(n))

    whole, nothing = add("Cast", [tensor], "float", to=FLOAT), constant("nothing", np.zeros(1, np.float32))
    add("Gemm", [weights(width), add("Flatten", [whole], "lines", axis=3), nothing], "rows", transB=1)
    add("MatMul", [weights(height), whole], "columns")
    over, axes = ([integers(1)], {}) if opset >= 18 else ([], {"axes": [1]})
    add("ReduceMean", [whole, *over], "total", keepdims=0, **axes)
    starts, ends = (down.start, along.start), (down.stop, along.stop)
    if opset < 10:
        within = add("Slice", [whole], "within", axes=[2, 3], starts=starts, ends=ends)
    else:
        within = add("Slice", [whole, integers(*starts), integers(*ends), integers(2, 3)], "within")
    flat = add("Flatten", [within], "flat", axis=0)
    add("Gemm", [flat, flat, nothing], "square", transB=1)
    return nodes


def _without_outputs(model: Proto) -> Proto:
    """Copy a model without its outputs."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    del copied.graph.output[:]
    return copied
