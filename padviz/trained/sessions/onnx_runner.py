"""ONNX graphs, run by onnxruntime; what is measured is worked out in the graph, so that no map leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError, OptionError, SizeError, nearest, printable
from padviz.network.network import Size, in_words
from padviz.sources.onnx.constants.external import numbers
from padviz.sources.onnx.model import Constants, Model
from padviz.trained.sessions.running import Images, Reduced, check_room, has_borders, middle, middle_weights
from padviz.trained.weights.onnx_weights import PASSED

Proto = Any
PARTS = ("rows", "columns", "square", "total")
OURS = "padviz/"  # in front of the names of what is added to a graph
PROBED = 2  # images of a first run: a batch that a graph has fixed inside shows itself
FLOAT = 1  # in ONNX
Shape = tuple[int, ...]
Constant = Callable[[str, NDArray[Any]], str]  # stores a value under a name, once, and names its tensor


class OnnxRunner:
    """A graph with its image laid out at a size; `observed` are its convolutions' tensors, by their names."""

    def __init__(self, model: Model, name: str, size: Size, observed: dict[str, str] | None = None) -> None:
        from onnx import helper

        self.where, self.name, self.size, self.image = model.where, name, size, model.image
        self.model, self.opset = model.whole().proto, model.opset
        self.channels, self.batch = self.image.channels, self.image.shape[0] or None
        _check(model, size)
        check_room(self.where, self.batch or PROBED, self.channels, size)
        self.kind = helper.tensor_dtype_to_np_dtype(self.image.type)
        self.observed = convolutions(self.model) if observed is None else observed
        self._sessions: dict[str, Any] = {}
        self._shapes = self._measured()

    def responses(self, images: Images) -> list[Reduced]:
        """Reduce every convolution's output."""
        shapes = self._shapes
        seen = {layer: tensor for layer, tensor in self.observed.items() if has_borders(*shapes[layer][2:])}
        if not seen:
            raise DescriptionError("no convolution makes a map of 3 x 3 or more", where=self.where, hint="try `size`")
        if "responses" not in self._sessions:
            reducing = with_reductions(self.model, {seen[layer]: shapes[layer] for layer in seen}, self.opset)
            self._sessions["responses"] = session(reducing, self.where)
        names = [f"{OURS}{part}/{tensor}" for tensor in seen.values() for part in PARTS]
        values = self._run("responses", names, images)
        parts = (values[i : i + len(PARTS)] for i in range(0, len(values), len(PARTS)))
        return [_reduced(layer, shapes[layer], *part) for layer, part in zip(seen, parts, strict=True)]

    def outputs(self, images: Images) -> dict[str, NDArray[Any]]:
        """Run the graph, and name its outputs."""
        if "outputs" not in self._sessions:
            self._sessions["outputs"] = session(self.model, self.where)
        names = [output.name for output in self._sessions["outputs"].get_outputs()]
        return dict(zip(names, self._run("outputs", names, images), strict=True))

    def twin(self, model: Model) -> OnnxRunner:
        """Make what runs a copy of the model that differs in its weights alone; shapes stay."""
        twin = copy(self)
        twin.model, twin._sessions = model.proto, {}
        return twin

    def with_output(self, name: str) -> None:
        """Make a tensor inside of the graph an output."""
        tensors = [output for node in self.model.graph.node for output in node.output if output]
        if name not in tensors:
            raise OptionError(f"no tensor is called {name!r}", option="layer", hint=nearest(name, tensors))
        if name not in [output.name for output in self.model.graph.output]:
            self.model.graph.output.add().name = name
            self._sessions.pop("outputs", None)

    def _measured(self) -> dict[str, Shape]:
        """Measure the shape of every convolution's map; a graph that takes one image inside shows itself."""
        tensors = [*self.observed.values()] or [output.name for output in self.model.graph.output]
        count = self.batch or PROBED
        last = self.image.channels_last
        shape = (count, *self.size, self.channels) if last else (count, self.channels, *self.size)
        measured = inferred(self.model, self.image.name, shape, tensors) or self._probed(tensors, count)
        shapes = zip(self.observed, measured[: len(self.observed)], strict=True)
        known: dict[str, Shape] = {name: shape for name, shape in shapes if len(shape) == 4}
        self.observed = {name: self.observed[name] for name in known}
        return known

    def _probed(self, tensors: Sequence[str], count: int) -> list[Shape]:
        """Run so many images for the shapes that they have; one image where the graph has that built in."""
        self._sessions["shapes"] = session(with_shapes(self.model, tensors), self.where)
        images = np.zeros((count, self.channels, *self.size), np.float32)
        names = [f"{OURS}shape/{tensor}" for tensor in tensors]
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

    def _run(self, what: str, names: Sequence[str], images: Images) -> list[NDArray[Any]]:
        laid = images.transpose(0, 2, 3, 1) if self.image.channels_last else images
        if np.issubdtype(self.kind, np.integer):
            laid = np.clip(np.rint(laid), 0, np.iinfo(self.kind).max)
        fed = {self.image.name: np.ascontiguousarray(laid, dtype=self.kind)}
        try:
            values: list[NDArray[Any]] = self._sessions[what].run(list(names), fed)
        except Exception as error:
            shape = in_words((len(images), self.channels, *self.size))
            failure = f"cannot be run on {shape}: {line_of(error)}"
            raise DescriptionError(failure, where=self.where, hint="try another `size`") from None
        return values


def convolutions(model: Proto) -> dict[str, str]:
    """Name the tensors that convolutions make, by the names that layers have: the node's own, or the tensor's."""
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


def session(model: Proto, where: str) -> Any:
    """Open a session of onnxruntime whose threads wait for work asleep: they share the machine.

    Its nodes run in the order of the graph, and its memory follows no plan: drawing one up takes a slow second run.
    """
    try:
        import onnxruntime
    except ImportError:
        hint = "install it: pip install 'padviz[trained]'"
        raise DescriptionError("running it needs the package onnxruntime", where=where, hint=hint) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    options.enable_mem_pattern = False
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DescriptionError(f"onnxruntime does not take it: {line_of(error)}", where=where) from None


def line_of(error: BaseException) -> str:
    """Put what a library says of an error on a line of bounded length."""
    text = " ".join(str(error).split())
    return f"{text[:200]}…" if len(text) > 200 else text or type(error).__name__


def inferred(model: Proto, image: str, shape: Shape, tensors: Sequence[str]) -> list[Shape] | None:
    """Infer the shapes that tensors have for an image of some shape, by ONNX's rules; None where these leave one open.

    They leave open, too, what a graph makes that has another number of images built in.
    """
    import onnx

    graph = _copied(model)
    del graph.graph.value_info[:]  # may tell of another size
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


def with_shapes(model: Proto, tensors: Iterable[str]) -> Proto:
    """Copy a model so that it says the shapes of tensors, and makes nothing else."""
    from onnx import helper

    graph = _copied(model)
    for tensor in tensors:
        graph.graph.node.append(helper.make_node("Shape", [tensor], [f"{OURS}shape/{tensor}"]))
        graph.graph.output.append(helper.make_tensor_value_info(f"{OURS}shape/{tensor}", 7, None))
    return graph


def with_reductions(model: Proto, tensors: dict[str, Shape], opset: int) -> Proto:
    """Copy a model so that it makes the parts of `Reduced` of each tensor, which has that shape but for its images.

    Each tensor is reduced right after the node that makes it, before it leaves the cache.
    """
    from onnx import helper, numpy_helper

    reducing = _copied(model)
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


def _reductions(tensor: str, shape: Shape, opset: int, constant: Constant) -> list[Proto]:
    """Make the nodes that reduce a tensor: products of flat matrices read a map faster than means of lines do."""
    from onnx import helper

    height, width = shape[2:]
    down, along = middle(height), middle(width)
    nodes: list[Proto] = []

    def add(op: str, reads: list[str], part: str, **attributes: Any) -> str:
        made = f"{OURS}{part}/{tensor}"
        nodes.append(helper.make_node(op, reads, [made], name=made, **attributes))
        return made

    def numbers(*values: int) -> str:
        return constant(str(values), np.array(values, np.int64))

    def weights(n: int) -> str:
        return constant(f"middle of {n}", middle_weights(n))

    whole, nothing = add("Cast", [tensor], "float", to=FLOAT), constant("nothing", np.zeros(1, np.float32))
    add("Gemm", [weights(width), add("Flatten", [whole], "lines", axis=3), nothing], "rows", transB=1)
    add("MatMul", [weights(height), whole], "columns")
    over, axes = ([numbers(1)], {}) if opset >= 18 else ([], {"axes": [1]})
    add("ReduceMean", [whole, *over], "total", keepdims=0, **axes)
    starts, ends = (down.start, along.start), (down.stop, along.stop)
    if opset < 10:
        within = add("Slice", [whole], "within", axes=[2, 3], starts=starts, ends=ends)
    else:
        within = add("Slice", [whole, numbers(*starts), numbers(*ends), numbers(2, 3)], "within")
    flat = add("Flatten", [within], "flat", axis=0)
    add("Gemm", [flat, flat, nothing], "square", transB=1)
    return nodes


def _reduced(layer: str, shape: Shape, rows: Any, columns: Any, square: Any, total: Any) -> Reduced:
    channels, height, width = shape[1:]
    down, along = middle(height), middle(width)
    count = channels * (down.stop - down.start) * (along.stop - along.start)
    return Reduced(layer, rows.reshape(-1, channels, height), columns[:, :, 0], float(square[0, 0]) / count, total)


def _copied(model: Proto) -> Proto:
    """Copy a model without outputs, to which others are added."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    del copied.graph.output[:]
    return copied


def _check(model: Model, size: Size) -> None:
    """Refuse another size than the one a file has fixed, and further inputs."""
    if not model.image.fits(size):
        raise SizeError(f"takes images of {model.image}", where=model.where, hint=f"use a `size` of {model.image}")
    if model.further:
        raise DescriptionError(f"has further inputs: {', '.join(map(repr, [*model.further][:4]))}", where=model.where)
