"""ONNX files as networks: the graph traced, node by node, for an image of some size.

Of the tensors in the file only small ones are read, of which shapes, pads and scales are made, and
factors by which a convolution is multiplied position by position. Shapes that the file declares for
inner tensors are not trusted.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from padviz.errors import DescriptionError, OptionError, printable, typed
from padviz.network.network import AXES, Network, Size, as_size, on_axes
from padviz.sources.onnx.constants import (
    FEW,
    FOLDS,
    Budget,
    as_constant,
    constant,
    constant_of_node,
    fold,
    folded,
)
from padviz.sources.onnx.model import (
    DEEPEST,
    MOST_NODES,
    Model,
    needed,
    op_of,
    open_model,
    title,
    value_of,
)
from padviz.sources.onnx.node import Handler, Node
from padviz.sources.onnx.operators import ACTS, ELEMENTWISE, OPS, WINDOWED
from padviz.sources.tracing.arranging import Arranger, Constant, Malformed, Map, Stuck, Value
from padviz.sources.tracing.calls import Result, as_elementwise, follow
from padviz.sources.tracing.dims import plain
from padviz.sources.tracing.reading import AS_IT_IS, Reading, shape_at
from padviz.sources.tracing.trace import foreign_network

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto, ValueInfoProto

USUAL = {
    1: 16384,
    2: 224,
    3: 64,
}  # pixels of a side that the file leaves open, by the axes of an image
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS = range(1, 8)  # AttributeProto.AttributeType
NAMES = {  # of attributes, by their type
    FLOAT: "max min value_float",
    INT: "allowzero antialias axis blocksize ceil_mode count_include_pad end fmod "
    "group hidden_size keepdims layout noop_with_empty_axes num_outputs start to training_mode "
    "transA transB value_int",
    STRING: "auto_pad coordinate_transformation_mode direction equation "
    "keep_aspect_ratio_policy mode nearest_mode",
    TENSOR: "value",
    GRAPH: "else_branch then_branch",
    FLOATS: "scales value_floats",
    INTS: "axes dilations ends kernel_shape output_padding output_shape paddings pads "
    "perm shape split starts strides value_ints",
}
TYPES = {name: kind for kind, names in NAMES.items() for name in names.split()}
KNOWN = {*OPS, *FOLDS, "Constant", "If"}
Scope = MutableMapping[str, Value]
Attributes = dict[str, "AttributeProto"]  # of a node or a function, by name


def load_onnx(path: str | Path, reading: Reading, size: Size | None) -> Network:
    """Load an ONNX file, by default at the size that it declares, with `USUAL` for open axes."""
    return as_network(open_model(path, reading), reading, size)


def as_network(model: Model, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    image, where = model.image, model.where
    axes = len(image.size)
    try:
        pixels = as_size(
            on_axes(size, AXES[axes], where)
            if size
            else tuple(n or USUAL[axes] for n in image.size)
        )
    except OptionError as error:
        raise DescriptionError(f"input {image.name!r}: {error.what}", where=where) from None

    # These nodes are read at every size, also once a repadding has put others in their places.
    nodes = needed(model.graph)

    def traced(size: Size) -> Arranger:
        graph, trace = (
            model.graph,
            Arranger(where, size, reading.neutral, batch=image.shape[0] or 1),
        )
        constants: dict[str, Value] = {**_other_inputs(model, reading, size)}
        constants |= {proto.name: constant(proto, model.folder) for proto in graph.initializer}
        constants |= {proto.values.name: Constant(None) for proto in graph.sparse_initializer}
        scope: Scope = ChainMap(
            {image.name: trace.input_image(image.channels, image.channels_last)}, constants
        )
        _Run(model, trace).nodes(nodes, scope, 0, {})
        for output in graph.output:
            if output.name in scope:
                value = scope[output.name]
                trace.end(output.name, value)
                if isinstance(value, Map) and not image.channels_last:
                    trace.note_layout(output.name, value)
        return trace

    return foreign_network(traced, printable(Path(where).stem), pixels, where, image.size)


def _other_inputs(model: Model, reading: Reading, size: Size) -> dict[str, Constant]:
    """Return the inputs other than the image as constants, of the shapes that they declare or are
    given.

    A symbolic dimension that the image has too is as large as the image's.
    """
    image, where = model.image, model.where
    sizes = dict(zip(image.axes, size, strict=True))
    dims = enumerate(image.proto.type.tensor_type.shape.dim)
    named = {dim.dim_param: sizes.get(at, 1) for at, dim in dims if dim.dim_param}
    constants: dict[str, Constant] = {}
    for name, proto in model.other_inputs.items():
        declared = _declared(proto, named)
        if name not in reading.shapes:
            constants[name] = Constant(None)
            if declared is not None and None not in declared:
                constants[name] = Constant(tuple(plain(n or 0) for n in declared))
            continue
        given = shape_at(name, reading.shapes[name], size, where)
        if isinstance(given, tuple):
            if declared is not None:
                _check_shape(name, given, declared, where)
            constants[name] = Constant(tuple(map(plain, given)))
        else:
            shape = [n or 1 for n in declared or ()]
            constants[name] = _filled(name, proto.type.tensor_type.elem_type, given, shape, where)
    return constants


Shape = Sequence[int | None]  # None where a dimension is open


def _declared(proto: ValueInfoProto, named: Mapping[str, int]) -> Shape | None:
    """Return the shape that an input declares; None if it declares none."""
    kind = proto.type.tensor_type
    if not kind.HasField("shape"):
        return None
    dims = kind.shape.dim
    return [dim.dim_value if dim.dim_value > 0 else named.get(dim.dim_param) for dim in dims]


def _check_shape(name: str, given: Size, declared: Shape, where: str) -> None:
    """Reject a shape other than an input declares."""
    if len(declared) == len(given):
        pairs = zip(declared, given, strict=True)
        if all(n is None or n == m for n, m in pairs):
            return
    wanted = "x".join("N" if n is None else str(n) for n in declared)
    what = f"{name!r} is declared as {wanted or 'a number'}"
    raise _shape_error(what, where, f"{name}={wanted or 1}")


def _filled(name: str, kind: int, value: float, shape: list[int], where: str) -> Constant:
    from onnx import TensorProto, helper

    if prod(shape) > FEW:
        raise _shape_error(
            f"{name!r} has {prod(shape)} numbers", where, f"{name}={'x'.join(map(str, shape))}"
        )
    numeric = kind in TensorProto.DataType.values() and kind not in (
        TensorProto.UNDEFINED,
        TensorProto.STRING,
    )
    if numeric:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    else:
        dtype = np.dtype(float)
    with np.errstate(all="ignore"):
        array = np.full(shape, value).astype(dtype)
    if dtype.kind in "iub" and (array != value).any():
        raise _shape_error(f"{name!r} takes numbers of type {dtype}", where, f"{name}=1")
    return as_constant(array)


def _shape_error(what: str, where: str, hint: str) -> OptionError:
    return OptionError(what, option="shape", where=where, hint=f"`shape` {typed(hint)}")


class _Run:
    def __init__(self, model: Model, trace: Arranger) -> None:
        self.trace, self.where, self.folder = trace, model.where, model.folder
        self.versions = {
            proto.domain or "ai.onnx": proto.version for proto in model.proto.opset_import
        }
        self.functions = {(proto.domain, proto.name): proto for proto in model.proto.functions}
        self.count, self.budget = 0, Budget()

    def nodes(
        self, protos: Iterable[NodeProto], scope: Scope, depth: int, bound: Attributes
    ) -> None:
        """Trace nodes in order and put their outputs in `scope`; `bound` are the attributes of the
        function's call.
        """
        if depth > DEEPEST:
            raise DescriptionError(
                f"functions are nested more than {DEEPEST} deep", where=self.where
            )
        trace = self.trace
        for proto in protos:
            self.count += 1
            if self.count > MOST_NODES:
                raise DescriptionError(f"has more than {MOST_NODES} nodes", where=self.where)
            for name in filter(None, proto.input):
                if scope.get(name) is None:
                    what = f"node {title(proto)}: no earlier node makes {name!r}, which it reads"
                    raise DescriptionError(
                        what, where=self.where, hint="the graph has a cycle, or a part is missing"
                    )
            try:
                attrs = _attributes(proto, bound)
                node = self.node(proto, scope, attrs)
                inner_outputs = self.inner(proto, node, scope, depth, bound, attrs)
                with trace.made_by(node.title):
                    outputs = run_node(node) if inner_outputs is None else inner_outputs
            except (Stuck, Malformed) as error:
                what = (
                    f"node {title(proto)}: {proto.op_type} is invalid "
                    f"({' '.join(str(error).split())[:120]})"
                )
                raise DescriptionError(what, where=self.where) from None
            for name, value in zip(proto.output, outputs, strict=False):
                scope[name] = value
                if isinstance(value, Map) and trace.layers[value.at].head:
                    trace.behind |= dict.fromkeys((node.title, name), value.at)
                elif isinstance(value, Map) and value.at and not depth:
                    trace.tensors[name] = value.at

    def node(self, proto: NodeProto, scope: Scope, attrs: Attributes) -> Node:
        op = op_of(proto)
        values = {name: value_of(attr) for name, attr in attrs.items()}
        return Node(
            trace=self.trace,
            budget=self.budget,
            title=title(proto),
            op=op,
            version=self.versions.get(proto.domain or "ai.onnx", 1),
            outputs=len(proto.output),
            attrs={name: value for name, value in values.items() if value is not None},
            read=tuple(scope[name] if name else None for name in proto.input),
            windowed=op in WINDOWED,
            acts=op in ACTS,
            handler=self.handler(op),
        )

    def handler(self, op: str) -> Handler | None:
        """Return what follows an operation; one that joins positions stays what it is."""
        if op in self.trace.neutral and (op not in OPS or op in ELEMENTWISE):
            return as_elementwise
        return OPS.get(op)

    def inner(
        self,
        proto: NodeProto,
        node: Node,
        scope: Scope,
        depth: int,
        bound: Attributes,
        attrs: Attributes,
    ) -> list[Value] | None:
        if node.op == "Constant":
            return [constant_of_node(node.attrs, self.folder)]
        if node.op == "If":
            return self.branch(node, scope, depth, bound)
        function = self.functions.get((proto.domain, proto.op_type))
        if function is None or node.op in self.trace.neutral:
            return None
        inside = dict(
            zip(function.input, (value or Constant(None) for value in node.read), strict=False)
        )
        defaults = {str(attr.name): attr for attr in function.attribute_proto}
        self.nodes(function.node, inside, depth + 1, defaults | attrs)
        return _outputs(inside, function.output)

    def branch(self, node: Node, scope: Scope, depth: int, bound: Attributes) -> list[Value]:
        condition = node.tensor(0)
        branches = [node.required(name) for name in ("else_branch", "then_branch")]
        if (
            not isinstance(condition, Constant)
            or condition.array is None
            or condition.array.size != 1
        ):
            # Which branch runs is not known, so the node reads what both of them read.
            nodes = chain.from_iterable(graph.node for graph in branches)
            names = dict.fromkeys(name for each in nodes for name in each.input)
            read = [scope[name] for name in names if scope.get(name) is not None]
            with self.trace.made_by(node.title):
                return run_node(replace(node, read=(*node.read, *read)))
        graph = branches[bool(condition.array.item())]
        inside: Scope = ChainMap(
            {value.name: constant(value, self.folder) for value in graph.initializer}, scope
        )
        self.nodes(graph.node, inside, depth + 1, bound)
        return _outputs(inside, [value.name for value in graph.output])


def _outputs(scope: Scope, names: Iterable[str]) -> list[Value]:
    if missing := [name for name in names if name not in scope]:
        raise Malformed(f"nothing in it makes {missing[0]!r}, which it returns")
    return [scope[name] for name in names]


def _attributes(proto: NodeProto, bound: Attributes) -> Attributes:
    """Return the attributes of a node, those that refer to the function's from `bound`; check types
    of known ones.
    """
    op = op_of(proto)
    attrs: Attributes = {}
    for attr in proto.attribute:
        actual = attr
        if attr.ref_attr_name:
            actual = bound.get(attr.ref_attr_name)
        if actual is not None:
            if (op, attr.name) == ("Pad", "value"):
                wanted = FLOAT
            else:
                wanted = TYPES.get(attr.name, actual.type)
            if op in KNOWN and actual.type != wanted:
                raise Malformed(f"its {attr.name} has the wrong type")
            attrs[str(attr.name)] = actual  # one that is no UTF-8 is bytes
    return attrs


def run_node(node: Node) -> list[Value]:
    """Return the outputs of one node: fold constants, and follow all else as any call."""
    if node.op == "Shape" or not all(isinstance(x, Constant) for x in node.given):
        return _for_each_output(node, follow(node))
    read = cast("tuple[Constant | None, ...]", node.read)
    if all(x is None or x.array is not None for x in read):
        results = fold(
            node.op, node.attrs, [None if x is None else x.array for x in read], node.outputs
        )
        if results is not None:
            return [*map(as_constant, results)]
    try:
        if node.op in OPS and node.given:
            shapes = node.run_handler(OPS[node.op])
        else:
            shapes = Constant(None)
    except Stuck:
        shapes = Constant(None)
    # shapes as far as known, and numbers for later
    outputs = enumerate(_for_each_output(node, shapes))
    return [
        Constant(x.dims, later=partial(folded, node.op, node.attrs, read, node.outputs, i))
        for i, x in outputs
    ]


def _for_each_output(node: Node, result: Result) -> list[Value]:
    if isinstance(result, Value):
        return [result] * node.outputs
    return [*cast("Sequence[Value]", result)]
