"""ONNX operations that join maps or positions: merges, gates, reductions, matrix products, attention, recurrence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from padviz.network.layer import Kind
from padviz.sources.onnx.constants import evaluate
from padviz.sources.onnx.external import Unread
from padviz.sources.onnx.folding import Malformed, axes_of, from_front
from padviz.sources.onnx.node import Node
from padviz.sources.tracing import products
from padviz.sources.tracing.arranging import Constant, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import has_looked, plain
from padviz.sources.tracing.calls import Result, merge_maps, with_kernel
from padviz.sources.tracing.elementwise import apply_masks, apply_where, may_reweigh, partial, subtract
from padviz.sources.tracing.products import cumulate, reduce_over

REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
AFFINE = ("Add", "Sub", "Sum", "Mean", "Mul", "Div")  # with constants these make no activation


def merged(kind: Kind) -> Callable[[Node], Value]:
    """Return a handler that merges maps elementwise; constants are neutral, and one pooled map makes a gate."""

    def run(node: Node) -> Value:
        maps = node.maps
        if not maps:
            return Constant(None if any(x.dims is None for x in node.given) else node.broadcast([]))
        if len(maps) == 1 and (partial_conv := _reweighed(node, maps[0])) is not None:
            return partial_conv
        joined = subtract(node) if node.op == "Sub" else merge_maps(node, kind, maps)
        joined = apply_masks(node, joined) if node.op == "Add" else joined
        if node.op == "Where" and has_looked(joined.dims or ()):
            numbers = node.constants()
            joined = apply_where(joined, *(next(numbers) if isinstance(x, Constant) else None for x in node.given))
        return replace(joined, acted=joined.acted or (len(maps) == 1 and node.op not in AFFINE))

    return run


def _reweighed(node: Node, x: Map) -> Value | None:
    """Return the output of a partial convolution, if a constant factor makes `x` one; None otherwise."""
    divided = node.op == "Div" and node.given[0] is x
    if node.op != "Mul" and not divided:
        return None
    factor = next((x for x in node.given if isinstance(x, Constant)), None)
    if factor is None or (factor.array is None and factor.later is None):
        return None  # an input of the graph, such as a mask
    if not may_reweigh(node.trace, x, factor.dims):
        return None
    node.broadcast([x])  # it must fit: at another size than that of a file it does not
    try:
        array = evaluate(factor, node.arranger.budget)
    except Unread as error:
        how = "divides" if divided else "multiplies"
        which = f"the constant that it {how} a convolution by, which may make it partial convolution"
        what = f"node {node.title}: {which}, {error}, and"
        return Map(None, node.trace.unknown(node.title, (x.at,), what, node.op))
    with np.errstate(all="ignore"):
        return partial(node.trace, x, 1 / array if divided else array)


def reduced(node: Node) -> Value:
    x = node.tensor(0)
    axes = axes_of(node.attrs, node.arrays(1), len(x.known))
    if not axes and node.attrs.get("noop_with_empty_axes"):
        return node.arranger.unsplit(x)
    return reduce_over(node, x, axes or range(len(x.known)), bool(node.attrs.get("keepdims", 1)))


def best(node: Node) -> Value:
    x = node.tensor(0)
    return reduce_over(node, x, [node.axis(len(x.known), 0)], bool(node.attrs.get("keepdims", 1)))


def global_pool(node: Node) -> Value:
    x = node.tensor(0)
    return reduce_over(node, x, range(2, len(x.known)), keep=True)


def matmul(node: Node) -> Value:
    return products.matmul(node, node.tensor(0), node.tensor(3 if node.op == "QLinearMatMul" else 1))


def gemm(node: Node) -> Result:
    first, second = "ki" if node.attrs.get("transA") else "ik", "jk" if node.attrs.get("transB") else "kj"
    a = node.tensor(0)
    if isinstance(a, Map) and len(a.known) != 2:
        raise Stuck("multiplies a tensor that is not a matrix")
    b, bias = node.tensor(1), node.optional(2)
    if b.dims is not None and len(b.dims) != 2:
        raise Malformed(f"it multiplies a tensor of {len(b.dims)} dimensions as one of 2")
    return with_kernel(node, lambda: products.product(node, [(a, first), (b, second)], "ij"), None, bias)


def einsum(node: Node) -> Value:
    return products.einsum(node, str(node.required("equation")), node.given)


def attention(node: Node) -> Value:
    query = node.tensor(0)
    return products.attention(node, query, node.optional(2) or query, [-2])  # values may be packed with queries


def recurrent(node: Node) -> Sequence[Value]:
    ways, hidden = 2 if node.attrs.get("direction") == "bidirectional" else 1, int(node.attrs.get("hidden_size", 1))
    if node.attrs.get("layout"):
        raise Stuck("runs along its second dimension")
    seen, last = products.recurrence(node, node.tensor(0), 0, hidden, ways)
    steps, batch, _ = seen.known
    return [replace(seen, dims=(steps, plain(ways), batch, plain(hidden))), last, last][: node.outputs]


MIXING: dict[str, Callable[[Node], Result]] = {
    **dict.fromkeys(("Add", "Sub", "Sum", "Mean", "Max", "Min"), merged("add")),
    **dict.fromkeys(("Mul", "Div", "Pow", "Mod", "Where", "And", "Or", "Xor", "Equal"), merged("multiply")),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), merged("multiply")),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), merged("multiply")),
    **dict.fromkeys((f"Reduce{how}" for how in REDUCTIONS), reduced),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), global_pool),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul", "com.microsoft.FusedMatMul"), matmul),
    **dict.fromkeys(("Attention", "com.microsoft.Attention", "com.microsoft.MultiHeadAttention"), attention),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent),
    **dict.fromkeys(("ArgMax", "ArgMin"), best),
    "CumSum": lambda node: cumulate(node.tensor(0), from_front(node.ints(1)[0], len(node.tensor(0).known))),
    "Einsum": einsum,
    "Gemm": gemm,
}
