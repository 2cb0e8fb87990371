"""An ONNX graph laid out node by node at one input size."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, cast

from padviz.errors import DescriptionError
from padviz.network.network import Size
from padviz.sources.onnx.beside import Beside
from padviz.sources.onnx.constants.folding import FOLDS, Malformed, fold
from padviz.sources.onnx.constants.stored import Later, completed, constant, known, literal
from padviz.sources.onnx.model import DEEPEST, MOST_NODES, Model, attributes, needed, op_of, title
from padviz.sources.onnx.operators import OPS
from padviz.sources.onnx.tensors import GraphArranger, Node
from padviz.sources.tracing.arranging import Constant, Head, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import plain, whole
from padviz.sources.tracing.calls import Result, follow, passed
from padviz.sources.tracing.reading import Reading
from padviz.sources.tracing.trace import Trace

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


class Graph:
    """A model that can be laid out at any size: `trace` runs its nodes in order."""

    def __init__(self, model: Model, reading: Reading) -> None:
        self.model, self.where, self.folder = model, model.where, model.folder
        self.reading = reading
        self.versions = {proto.domain or "ai.onnx": proto.version for proto in model.proto.opset_import}
        self.functions = {(proto.domain, proto.name): proto for proto in model.proto.functions}
        self.constants: dict[str, Value] = {
            proto.name: constant(proto, self.folder) for proto in model.graph.initializer
        }
        self.constants |= {proto.values.name: Constant(None) for proto in model.graph.sparse_initializer}
        self.nodes = needed(model.graph)
        self.attrs: dict[int, tuple[Proto, dict[str, Any]]] = {}  # with the node, so that its id stays its own

    def trace(self, size: Size) -> Trace:
        """Lay the graph out for an image of a size."""
        image, beside = self.model.image, Beside(self.model, self.reading, size)
        laid, neutral = Trace(self.where, size), frozenset(self.reading.neutral)
        run = _Run(self, GraphArranger(laid, neutral=neutral, batch=image.shape[0] or 1))
        sides = [*map(whole, run.arranger.trace.axes, size)]
        sides.insert(2 if image.channels_last else 0, plain(image.channels))
        scope: Scope = ChainMap({image.name: Map((plain(image.shape[0] or 1), *sides), 0)}, self.constants)
        scope.update((name, other) for name, other in beside.constants.items() if name not in scope)
        run.nodes(self.nodes, scope, 0)
        for output in self.model.graph.output:
            value = scope[output.name] if output.name in scope else Constant(None)
            run.arranger.trace.ends |= value.sources
            if isinstance(value, Head) or (isinstance(value, Map) and run.arranger.trace.pooled[value.at]):
                run.arranger.trace.vectors[output.name] = value.sources
        return run.arranger.trace


class _Run:
    """One pass over the nodes."""

    def __init__(self, graph: Graph, arranger: GraphArranger) -> None:
        self.graph = graph
        self.arranger = arranger
        self.count = 0

    def nodes(self, protos: Iterable[Proto], scope: Scope, depth: int, bound: dict[str, Any] | None = None) -> None:
        """Run nodes in order: their outputs are added to the scope."""
        if depth > DEEPEST:
            raise DescriptionError(f"functions are nested more than {DEEPEST} deep", where=self.graph.where)
        for proto in protos:
            self.count += 1
            if self.count > MOST_NODES:
                raise DescriptionError(f"has more than {MOST_NODES} nodes", where=self.graph.where)
            try:
                node = self.node(proto, scope, bound)
                inner_outputs = self.inner(proto, node, scope, depth)
                with self.arranger.trace.made_by(node.title):
                    outputs = run_node(node) if inner_outputs is None else inner_outputs
            except (Stuck, Malformed) as error:
                what = f"node {title(proto)}: {proto.op_type} makes no sense ({' '.join(str(error).split())[:120]})"
                raise DescriptionError(what, where=self.graph.where) from None
            scope.update(zip(proto.output, outputs, strict=False))
            self.named(node, proto.output, outputs, depth)

    def named(self, node: Node, names: Iterable[str], outputs: list[Value], depth: int) -> None:
        """Keep what tensors are called that hold a layer as it is, and what lies behind a head."""
        trace = self.arranger.trace
        for name, value in zip(names, outputs, strict=False):
            if isinstance(value, Map) and value.at in trace.heads:
                trace.behind |= dict.fromkeys((node.title, name), value.at)
            elif isinstance(value, Map) and value.at and not value.cuts and not depth:
                trace.tensors[name] = value.at

    def node(self, proto: Proto, scope: Scope, bound: dict[str, Any] | None) -> Node:
        """Make the node with its attributes and the tensors that it reads."""
        inputs = [scope.get(name) if name else None for name in proto.input]
        for name, value in zip(proto.input, inputs, strict=True):
            if name and value is None:
                what = f"node {title(proto)}: no earlier node makes {name!r}, which it reads"
                raise DescriptionError(what, where=self.graph.where, hint="the graph has a cycle, or a part is missing")
        if id(proto) not in self.graph.attrs:
            self.graph.attrs[id(proto)] = proto, checked(proto)
        attrs = self.graph.attrs[id(proto)][1]
        if bound is not None:
            attrs = attrs | _bound(proto, bound)
        version = self.graph.versions.get(proto.domain or "ai.onnx", 1)
        op, arranger = op_of(proto), self.arranger
        handler = passed if op in arranger.neutral else OPS.get(op)
        return Node(
            arranger=arranger, title=title(proto), op=op, version=version, attrs=attrs, read=tuple(inputs),
            outputs=len(proto.output), handler=handler,
        )  # fmt: skip

    def inner(self, proto: Proto, node: Node, scope: Scope, depth: int) -> list[Value] | None:
        """Run constants, functions of the model, and branches that are decided; None for all other nodes."""
        if node.op == "Constant":
            return [literal(node.attrs, self.graph.folder)]
        if node.op == "If":
            return self.branch(node, scope, depth)
        function = self.graph.functions.get((proto.domain, proto.op_type))
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
        inside: Scope = ChainMap({value.name: constant(value, self.graph.folder) for value in graph.initializer}, scope)
        self.nodes(graph.node, inside, depth + 1)
        return _outputs(inside, [value.name for value in graph.output])


def _outputs(scope: Scope, names: Iterable[str]) -> list[Value]:
    """Find what a function or a branch makes by its names."""
    if missing := [name for name in names if name not in scope]:
        raise Malformed(f"nothing in it makes {missing[0]!r}, which it returns")
    return [scope[name] for name in names]


def checked(proto: Proto) -> dict[str, Any]:
    """Read the attributes of a node: of an operation that is known, they must be of the types that it has."""
    for attr in proto.attribute:
        if not attr.ref_attr_name:
            _check(op_of(proto), attr.name, attr.type)
    return {key: value for key, value in attributes(proto.attribute).items() if value is not None}


def _bound(proto: Proto, bound: dict[str, Any]) -> dict[str, Any]:
    """Read the attributes of a node in a function that are those of its call."""
    refs = {attr.name: bound.get(attr.ref_attr_name) for attr in proto.attribute if attr.ref_attr_name}
    attrs = {key: value for key, value in refs.items() if value is not None}
    for key, value in attrs.items():
        _check(op_of(proto), key, _kind_of(value))
    return attrs


def _check(op: str, key: str, kind: int) -> None:
    """Refuse an attribute that is of another type than operations that are known have it."""
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
    """List what a node makes, one for each output."""
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
