"""An ONNX model in memory: its graph, the image among its inputs, and its opset."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.errors import DescriptionError
from padviz.files.opened import read_file
from padviz.network.network import Size
from padviz.sources.onnx.constants import MOST_BYTES, Attrs, Unread, embed
from padviz.sources.tracing.reading import AS_IT_IS, CHANNELS, Reading

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

OLDEST = 7  # opset
MOST_NODES = 30_000  # to trace, including those of functions and branches
DEEPEST = 20  # nested functions and branches
FIELDS = {
    1: "f",
    2: "i",
    3: "s",
    4: "t",
    5: "g",
    6: "floats",
    7: "ints",
}  # by AttributeProto.AttributeType


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """The image among the inputs of a model: its shape, with 0 for open dimensions, and its channel
    order.
    """

    proto: ValueInfoProto
    shape: tuple[int, ...]
    channels_last: bool

    @property
    def name(self) -> str:
        return str(self.proto.name)

    @property
    def type(self) -> int:
        return int(self.proto.type.tensor_type.elem_type)  # a TensorProto.DataType

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(
            range(1, len(self.shape) - 1) if self.channels_last else range(2, len(self.shape))
        )

    @property
    def size(self) -> Size:
        """Its size in pixels, 0 where it is open."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def channels(self) -> int:
        """Its number of channels; three where that is open."""
        return self.shape[-1 if self.channels_last else 1] or 3

    def fits(self, size: Size) -> bool:
        """Return whether it may have a size, which must be the declared one where that
        is not open.
        """
        return all(n in (0, wanted) for n, wanted in zip(self.size, size, strict=True))

    def __str__(self) -> str:
        return " x ".join(str(n or "any") for n in self.size)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model, read from the file `where`."""

    proto: ModelProto
    where: str
    image: Image
    opset: int

    @property
    def graph(self) -> GraphProto:
        return self.proto.graph

    @property
    def folder(self) -> Path:
        """The folder of its external data: that of the path as given, even of a link."""
        return Path(self.where).parent

    @property
    def other_inputs(self) -> dict[str, ValueInfoProto]:
        return {value.name: value for value in _inputs(self.proto) if value.name != self.image.name}

    def copy(self) -> Model:
        proto = type(self.proto)()
        proto.CopyFrom(self.proto)
        return as_model(proto, self.where, Reading(image=self.image.name))

    def sized(self, size: Size) -> Model:
        copied = self.copy()
        for axis, n in zip(copied.image.axes, size, strict=True):
            copied.image.proto.type.tensor_type.shape.dim[axis].dim_value = n
        return copied.copy()

    def upto(self, tensors: Iterable[str]) -> Model:
        copied = self.copy()
        del copied.graph.output[:]
        for name in tensors:
            copied.graph.output.add().name = name
        kept = needed(copied.graph)
        del copied.graph.node[:]
        copied.graph.node.extend(kept)
        return copied

    def whole(self) -> Model:
        copied = self.copy()
        try:
            embed(copied.proto, self.folder)
        except Unread as error:
            what = f"its external data cannot be read: {error}"
            raise DescriptionError(what, where=self.where, hint="put it beside the file") from None
        return copied


def open_model(path: str | Path, reading: Reading) -> Model:
    """Read an ONNX file, without its external data; reject one that is too large, too old, or reads
    no image.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        hint = "install it: pip install 'padviz[onnx]'"
        raise DescriptionError(
            "reading it needs the package onnx", where=str(path), hint=hint
        ) from None
    return parse_model(read_file(Path(path), "an ONNX file", MOST_BYTES), str(path), reading)


def parse_model(content: bytes, where: str, reading: Reading = AS_IT_IS) -> Model:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, MemoryError):
        raise DescriptionError("is not an ONNX file, or only a part of one", where=where) from None
    if not proto.graph.node:
        raise DescriptionError("is not an ONNX file, or has no nodes", where=where)
    if (opset := _opset(proto)) < OLDEST:
        hint = f"padviz reads opset {OLDEST} and newer: export it anew"
        raise DescriptionError(f"is of opset {opset}", where=where, hint=hint)
    if len(proto.graph.node) > MOST_NODES:
        raise DescriptionError(f"has more than {MOST_NODES} nodes", where=where)
    put_in_order(proto.graph)
    return as_model(proto, where, reading)


def as_model(proto: ModelProto, where: str, reading: Reading = AS_IT_IS) -> Model:
    """Wrap a model in memory; the image is the named input, or the first of four dimensions.

    If none has four, it is the first of three (a signal) or of five (a volume).
    """
    inputs = {value.name: value for value in _inputs(proto)}
    reading.check(inputs, where)
    if reading.image:
        able = [inputs[reading.image]]
    else:
        able = [inputs[name] for name in inputs if name not in reading.shapes]
    by_rank = [
        [value for value in able if len(value.type.tensor_type.shape.dim) == rank]
        for rank in (4, 3, 5)
    ]
    images = next(filter(None, by_rank), [])
    if not images:
        what = (
            f"its input {reading.image!r} does not have four"
            if reading.image
            else "has no input of four"
        )
        hint = "padviz looks for an image, as batch, channels, height, width"
        raise DescriptionError(f"{what} dimensions", where=where, hint=hint)
    shape = tuple(max(dim.dim_value, 0) for dim in images[0].type.tensor_type.shape.dim)
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if first != last:
        channels_last = last
    else:
        channels_last = _is_transposed(proto, images[0].name, len(shape))
    return Model(proto, where, Image(images[0], shape, channels_last), _opset(proto))


def _opset(proto: ModelProto) -> int:
    return int(
        next((opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")), 1)
    )


def _inputs(proto: ModelProto) -> list[ValueInfoProto]:
    stored = {value.name for value in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in stored]


def _is_transposed(proto: ModelProto, image: str, rank: int) -> bool:
    """Return whether the first Transpose of the image moves its last dimension, the channels, to
    the front.
    """
    for node in proto.graph.node:
        if image in node.input and node.op_type == "Transpose":
            return any(
                attr.name == "perm" and [*attr.ints] == [0, rank - 1, *range(1, rank - 1)]
                for attr in node.attribute
            )
    return False


def title(node: NodeProto) -> str:
    """Return the name of a node, or else of its first output."""
    return str(node.name or next((name for name in node.output if name), node.op_type))


def op_of(node: NodeProto) -> str:
    """Return the operation of a node, with its domain in front unless that is ONNX's own."""
    return ("" if node.domain in ("", "ai.onnx") else f"{node.domain}.") + str(node.op_type)


def value_of(attr: AttributeProto) -> object:
    """Read an attribute as a Python value; tensors and graphs stay protos, and any other type is
    None.
    """
    field = FIELDS.get(attr.type)
    if not field:
        return None
    value = getattr(attr, field)
    if field == "s":
        return value.decode("utf-8", "replace")
    if field in ("floats", "ints"):
        return list(value)
    return value


def attributes(node: NodeProto) -> Attrs:
    return {
        str(attr.name): None if attr.ref_attr_name else value_of(attr) for attr in node.attribute
    }


def put_in_order(graph: GraphProto) -> None:
    makers: dict[str, int] = {}
    outputs = 0
    for at, node in enumerate(graph.node):
        for name in filter(None, node.output):
            makers[name] = at
            outputs += 1
    before = {
        at: {makers[name] for name in reads(node) if name in makers}
        for at, node in enumerate(graph.node)
    }
    if len(makers) < outputs or all(j < at for at, earlier in before.items() for j in earlier):
        return
    with suppress(CycleError):
        nodes = [graph.node[at] for at in TopologicalSorter(before).static_order()]
        del graph.node[:]
        graph.node.extend(nodes)


def needed(graph: GraphProto) -> list[NodeProto]:
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(node.output):
            wanted.update(reads(node))
            kept.append(node)
    return kept[::-1]


def reads(node: NodeProto, depth: int = 0) -> Iterable[str]:
    yield from node.input
    for attr in node.attribute:
        if attr.HasField("g") and depth < DEEPEST:
            for inner in attr.g.node:
                yield from reads(inner, depth + 1)
            yield from (output.name for output in attr.g.output)


class Constants:
    """The stored tensors of a graph, and the nodes that make all others."""

    def __init__(self, graph: GraphProto) -> None:
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output if name}

    def tensor(self, name: str) -> TensorProto | None:
        """Return a tensor that is stored or held by a Constant node; None for any other."""
        node = self.makers.get(name)
        if name in self.stored or node is None or node.op_type != "Constant":
            return self.stored.get(name)
        return next((attr.t for attr in node.attribute if attr.name == "value"), None)

    def behind(self, name: str, passed: Collection[str]) -> str:
        """Follow a tensor back through nodes of the `passed` types, to the name of their source."""
        while (
            name not in self.stored and name in self.makers and self.makers[name].op_type in passed
        ):
            name = self.makers[name].input[0]
        return name
