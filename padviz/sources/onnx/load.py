"""ONNX files as networks: the graph laid out, node by node, for an image of some size.

Weights are not needed, and not read: of the tensors in the file only small ones are, which shapes, pads and scales are
made of, and what a convolution is multiplied by position by position, from beside the file where it is kept there.
Shapes that a file declares for what is inside of it are not trusted.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from padviz.errors import DescriptionError, OptionError, printable
from padviz.network.network import AXES, Network, Size, as_size, on_axes
from padviz.sources.onnx.beside import constants_beside
from padviz.sources.onnx.constants.folding import FOLDS, Malformed, fold
from padviz.sources.onnx.constants.stored import Later, completed, constant, known, literal
from padviz.sources.onnx.model import DEEPEST, MOST_NODES, Model, attributes, needed, op_of, open_model, title
from padviz.sources.onnx.operators import OPS
from padviz.sources.onnx.tensors import GraphArranger, Node
from padviz.sources.tracing.arranging import Constant, Head, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import plain, whole
from padviz.sources.tracing.calls import Result, follow, passed
from padviz.sources.tracing.foreign import Foreign
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.sources.tracing.trace import Trace

USUAL = {1: 16384, 2: 224, 3: 64}  # pixels of a side that the file leaves open, by the axes of an image
NAMES = {  # of attributes, by their AttributeProto.AttributeType
    1: "max min value_float",
    2: "allowzero antialias axis blocksize ceil_mode end fmod group hidden_size keepdims layout noop_with_empty_axes "
    "num_outputs start to training_mode transA transB value_int",
    3: "auto_pad coordinate_transformation_mode direction equation keep_aspect_ratio_policy mode nearest_mode",
    4: "value",
    5: "else_branch then_branch",
    6: "scales value_floats",
    7: "axes dilations ends kernel_shape output_padding output_shape paddings pads perm shape split starts strides "
    "value_ints",
}
TYPES = {name: kind for kind, names in NAMES.items() for name in names.split()}
KNOWN = {*OPS, *FOLDS, "Constant", "If"}
Scope = MutableMapping[str, Value]
Proto = Any


def load_onnx(path: str | Path, reading: Reading, size: Size | None) -> Network:
    """Load an ONNX file, at the size that it declares by default, or the usual one where it leaves an axis open.

    Errors name the file, and the node where there is one.
    """
    return laid_out(open_model(path, reading), reading, size)


def laid_out(model: Model, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Lay out the network of a model, as `load_onnx` gives it; the model stays as it is."""
    image, where = model.image, model.where
    axes = len(image.size)
    own = tuple(n or USUAL[axes] for n in image.size)
    try:
        pixels = as_size(on_axes(size, AXES[axes], where) if size else own)
    except OptionError as error:
        raise DescriptionError(f"input {image.name!r}: {error.what}", where=where) from None
    return Foreign(partial(trace, model, reading), printable(Path(where).stem), where, image.size).at(pixels)


def trace(model: Model, reading: Reading, size: Size) -> Trace:
    """Lay a model out for an image of a size."""
    image, laid = model.image, Trace(model.where, size)
    batch = image.shape[0] or 1
    sides = [*map(whole, laid.axes, size)]
    sides.insert(2 if image.channels_last else 0, plain(image.channels))
    constants: dict[str, Value] = {**constants_beside(model, reading, size)}
    constants |= {proto.name: constant(proto, model.folder) for proto in model.graph.initializer}
    constants |= {proto.values.name: Constant(None) for proto in model.graph.sparse_initializer}
    scope: Scope = ChainMap({image.name: Map((plain(batch), *sides), 0)}, constants)
    arranger = GraphArranger(laid, neutral=frozenset(reading.neutral), batch=batch)
    _Run(model, arranger).nodes(needed(model.graph), scope, 0)
    for output in model.graph.output:
        value = scope[output.name] if output.name in scope else Constant(None)
        laid.ends |= value.sources
        if isinstance(value, Head) or (isinstance(value, Map) and laid.pooled[value.at]):
            laid.vectors[output.name] = value.sources
    return laid


class _Run:
    """One pass over the nodes, those of functions and branches included."""

    def __init__(self, model: Model, arranger: GraphArranger) -> None:
        self.arranger, self.where, self.folder = arranger, model.where, model.folder
        self.versions = {proto.domain or "ai.onnx": proto.version for proto in model.proto.opset_import}
        self.functions = {(proto.domain, proto.name): proto for proto in model.proto.functions}
        self.count = 0

    def nodes(self, protos: Iterable[Proto], scope: Scope, depth: int, bound: dict[str, Any] | None = None) -> None:
        if depth > DEEPEST:
            raise DescriptionError(f"functions are nested more than {DEEPEST} deep", where=self.where)
        for proto in protos:
            self.count += 1
            if self.count > MOST_NODES:
                raise DescriptionError(f"has more than {MOST_NODES} nodes", where=self.where)
            try:
                node = self.node(proto, scope, bound)
                inner_outputs = self.inner(proto, node, scope, depth)
                with self.arranger.trace.made_by(node.title):
                    outputs = run_node(node) if inner_outputs is None else inner_outputs
            except (Stuck, Malformed) as error:
                what = f"node {title(proto)}: {proto.op_type} makes no sense ({' '.join(str(error).split())[:120]})"
                raise DescriptionError(what, where=self.where) from None
            scope.update(zip(proto.output, outputs, strict=False))
            self.named(node, proto.output, outputs, depth)

    def named(self, node: Node, names: Iterable[str], outputs: list[Value], depth: int) -> None:
        """Keep what tensors are called that hold a layer as it is, and what lies behind a head."""
        trace = self.arranger.trace
        for name, value in zip(names, outputs, strict=False):
            if isinstance(value, Map) and value.at in trace.heads:
                trace.behind |= dict.fromkeys((node.title, name), value.at)
            elif isinstance(value, Map) and value.at and not depth:
                trace.tensors[name] = value.at

    def node(self, proto: Proto, scope: Scope, bound: dict[str, Any] | None) -> Node:
        inputs = [scope.get(name) if name else None for name in proto.input]
        for name, value in zip(proto.input, inputs, strict=True):
            if name and value is None:
                what = f"node {title(proto)}: no earlier node makes {name!r}, which it reads"
                raise DescriptionError(what, where=self.where, hint="the graph has a cycle, or a part is missing")
        attrs = _attributes(proto, bound or {})
        version = self.versions.get(proto.domain or "ai.onnx", 1)
        op, arranger = op_of(proto), self.arranger
        handler = passed if op in arranger.neutral else OPS.get(op)
        return Node(
            arranger=arranger, title=title(proto), op=op, version=version, attrs=attrs, read=tuple(inputs),
            outputs=len(proto.output), handler=handler,
        )  # fmt: skip

    def inner(self, proto: Proto, node: Node, scope: Scope, depth: int) -> list[Value] | None:
        """Run constants, functions of the model, and branches that are decided; None for all other nodes."""
        if node.op == "Constant":
            return [literal(node.attrs, self.folder)]
        if node.op == "If":
            return self.branch(node, scope, depth)
        function = self.functions.get((proto.domain, proto.op_type))
        if function is None or node.op in self.arranger.neutral:
            return None
        inside: Scope = dict(zip(function.input, (value or Constant(None) for value in node.read), strict=False))
        bound = attributes(function.attribute_proto) | node.attrs
        self.nodes(function.node, inside, depth + 1, bound)
        return _outputs(inside, function.output)

    def branch(self, node: Node, scope: Scope, depth: int) -> list[Value] | None:
        decides = node.tensor(0)
        if not isinstance(decides, Constant) or decides.array is None or decides.array.size != 1:
            return None
        graph = node.required("then_branch" if decides.array.item() else "else_branch")
        inside: Scope = ChainMap({value.name: constant(value, self.folder) for value in graph.initializer}, scope)
        self.nodes(graph.node, inside, depth + 1)
        return _outputs(inside, [value.name for value in graph.output])


def _outputs(scope: Scope, names: Iterable[str]) -> list[Value]:
    if missing := [name for name in names if name not in scope]:
        raise Malformed(f"nothing in it makes {missing[0]!r}, which it returns")
    return [scope[name] for name in names]


def _attributes(proto: Proto, bound: dict[str, Any]) -> dict[str, Any]:
    """Read the attributes of a node; in a function, some are those `bound` by its call.

    Those of an operation that is known must be of the types that it has.
    """
    attrs = attributes(proto.attribute)
    for attr in proto.attribute:
        if attr.ref_attr_name:
            attrs[attr.name] = bound.get(attr.ref_attr_name)
            if attrs[attr.name] is not None:
                _check(op_of(proto), attr.name, _kind_of(attrs[attr.name]))
        else:
            _check(op_of(proto), attr.name, attr.type)
    return {key: value for key, value in attrs.items() if value is not None}


def _check(op: str, key: str, kind: int) -> None:
    wanted = 1 if (op, key) == ("Pad", "value") else TYPES.get(key, kind)
    if op in KNOWN and kind != wanted:
        raise Malformed(f"its {key} is of another type")


def _kind_of(value: Any) -> int:
    """Find the AttributeProto.AttributeType of a value."""
    if isinstance(value, list):
        return 6 if any(isinstance(n, float) for n in value) else 7
    return {"float": 1, "int": 2, "str": 3, "TensorProto": 4, "GraphProto": 5}[type(value).__name__]


def run_node(node: Node) -> list[Value]:
    """Lower one node to what its outputs hold: constants are folded, and all else is decided as for any call."""
    given = [x for x in node.given if isinstance(x, Constant)]
    if node.op != "Shape" and len(given) == len(node.given):
        return folded(node, [None if x is None else given.pop(0) for x in node.read])
    return _listed(node, follow(node))


def _listed(node: Node, result: Result) -> list[Value]:
    return [result] * node.outputs if isinstance(result, Value) else [*cast("Sequence[Value]", result)]


def folded(node: Node, read: Sequence[Constant | None]) -> list[Value]:
    """Fold constants: to their numbers where they are few, else to shapes as far as known, and how to work them out."""
    arrays = [None if x is None else x.array for x in read]
    if all(x is None or x.array is not None for x in read):
        attrs = completed(node.op, node.attrs, node.outputs)
        results = fold(node.op, attrs, arrays)
        if results is not None:
            return [*map(known, results)]
    try:
        shapes = OPS[node.op](node) if node.op in OPS and node.given else Constant(None)
    except Stuck:
        shapes = Constant(None)
    every = enumerate(_listed(node, shapes))
    return [Constant(x.dims, later=Later(node.op, node.attrs, read, node.outputs, i)) for i, x in every]
