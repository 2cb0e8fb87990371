"""Operations that join maps, or positions: merges, gates, reductions, products of matrices, attention, recurrence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from padviz.axis.operations import MOST_ROWS
from padviz.errors import SizeError
from padviz.network.layer import Kind
from padviz.sources.onnx.constants.external import Unread
from padviz.sources.onnx.constants.folding import axes_of, from_front
from padviz.sources.onnx.constants.later import worked_out
from padviz.sources.onnx.reshaping import whole_image
from padviz.sources.onnx.tensors import Node, Plan
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.axis_labels import (
    AXES,
    Dims,
    alone,
    broadcast,
    plain,
    regrouped,
    roles_of,
    shape_of,
    size_of,
)
from padviz.sources.tracing.contracting import Letters, contract, linear, over
from padviz.sources.tracing.reweighing import may_reweigh, partial
from padviz.sources.tracing.slices_as_padding import Row, as_pad

AFFINE = ("Add", "Sub", "Sum", "Mean", "Mul", "Div")  # with constants these make no activation


def merged(kind: Kind) -> Callable[[Plan, Node], Value]:
    """Elementwise on two or more: with constants neutral, of maps a merge; a gate where one of them is pooled."""

    def run(plan: Plan, node: Node) -> Value:
        maps = [each for each in node.given if not each.is_constant]
        dims = _common(node.given)
        if not maps:
            return Value(dims)
        if len(maps) == 1:
            if (found := _reweighed(plan, node, maps[0])) is not None:
                return found
            acts = maps[0].acted or node.op not in AFFINE
            return _kept(replace(maps[0], acted=acts), dims)
        maps = [plan.settled(each) if each.cuts else each for each in maps]
        if len({plan.seen(each) for each in maps}) == 1 and (kind == "multiply" or any(each.acted for each in maps)):
            last = max(maps, key=lambda each: each.at)
            return _kept(replace(last, acted=True), dims)  # an activation written out, as x * sigmoid(x)
        maps = plan.in_step(maps)
        dims = _common([*maps, *(each for each in node.given if each.is_constant)])
        layers = [each.at for each in maps]
        how: Kind = "multiply" if node.op == "Sub" and any(plan.trace.pooled[each] for each in layers) else kind
        layer = joined_layers(plan, node, how, layers)  # a mean that is taken away is a normalisation
        return Value(plan.sized(dims, layer), layer, by=max(each.by for each in maps))

    return run


def _reweighed(plan: Plan, node: Node, x: Value) -> Value | None:
    """A convolution's output that is multiplied as partial convolution does; None where it is not."""
    divided = node.op == "Div" and node.given[0] is x
    if node.op != "Mul" and not divided:
        return None
    factor = next((each for each in node.given if each.is_constant), None)
    if factor is None or (factor.array is None and factor.later is None):
        return None  # an input of the graph, such as a mask
    if not may_reweigh(plan.trace, x, factor.dims):
        return None
    try:
        array = worked_out(factor, plan.budget)
    except Unread as error:
        how = "divides" if divided else "multiplies"
        which = f"the constant that it {how} a convolution by, which may make it partial convolution"
        what = f"node {node.name}: {which}, {error}, and"
        return Value(None, plan.trace.unknown(node.name, (x.at,), what, node.op))
    with np.errstate(all="ignore"):
        return partial(plan.trace, x, 1 / array if divided else array)


def joined_layers(plan: Plan, node: Node, kind: Kind, layers: Sequence[int]) -> int:
    """A merge of layers; those one row or one column large are copied along that axis first."""
    trace = plan.trace
    maps = [layer for layer in layers if not trace.pooled[layer]]
    if len({trace.sizes[layer] for layer in maps}) > 1:
        largest = max(maps, key=lambda layer: trace.sizes[layer])
        tallest = max(maps, key=lambda layer: trace.sizes[layer][::-1])
        spread = {layer: plan.spread(f"{node.name}.spread", layer, largest) for layer in maps}
        spread = {layer: plan.spread(f"{node.name}.spread", at, tallest) for layer, at in spread.items()}
        layers = [spread.get(layer, layer) for layer in layers]
    return trace.merge(node.name, kind, layers)


def _common(tensors: Sequence[Value]) -> Dims:
    """The dimensions that tensors have together, as far as they are known."""
    known = [each.dims for each in tensors if each.dims is not None]
    found: Dims | None = known[0] if known else None
    for dims in known[1:]:
        found = None if found is None else broadcast(found, dims)
    if found is None:
        raise Stuck("joins " + " and ".join("x".join(map(str, shape_of(dims))) for dims in known))
    return found


def _kept(x: Value, dims: Dims) -> Value:
    """The tensor with the dimensions that broadcasting gave it; its own height and width must be among them."""
    before, after = roles_of(x.dims or ()), roles_of(dims)
    if x.dims is not None and any(role not in after for role in before if _size(x.dims, role) > 1):
        raise Stuck("spreads a map over a constant")
    return replace(x, dims=dims, array=None)


def _size(dims: Dims, role: str) -> int:
    return next((size for dim in dims for each, size in dim if each == role), 1)


def reduced(plan: Plan, node: Node) -> Value:
    """A mean, sum or extreme over some dimensions: over channels neutral, over height and width global."""
    x = node.tensor(0)
    axes = axes_of(node.attrs, node.arrays(1), len(x.known))
    if not axes and node.attrs.get("noop_with_empty_axes"):
        return plan.settled(x)
    return over(plan, node.name, x, axes or range(len(x.known)), bool(node.attrs.get("keepdims", 1)))


def global_pool(plan: Plan, node: Node) -> Value:
    x = plan.settled(node.tensor(0))
    return over(plan, node.name, x, range(2, len(x.known)), keep=True)


def concat(plan: Plan, node: Node) -> Value | list[Value]:
    """Along channels a merge; along height or width only as padding written out."""
    tensors = node.given
    maps = [each for each in tensors if not each.is_constant]
    rank = len(tensors[0].known)
    axis = from_front(int(node.attrs.get("axis", 1)), rank)
    if any(len(each.known) != rank for each in tensors):
        raise Stuck("joins tensors of different ranks")
    if any(roles_of([each.known[axis]]) for each in maps):
        tensors = [each if each.is_constant else whole_image(plan, each, axis) for each in tensors]
        _beside(tensors, axis)
        return _along_positions(plan, replace(node, inputs=tuple(tensors)), axis)
    if maps:
        settled = iter(plan.in_step(maps))
        tensors = [each if each.is_constant else next(settled) for each in tensors]
        maps = [each for each in tensors if not each.is_constant]
    n = sum(size_of(each.known[axis]) for each in tensors)
    dims = list(_beside(tensors, axis))
    dims[axis] = regrouped([each.known[axis] for each in maps], n)
    if not maps:
        return Value(tuple(dims))
    layers = [each.at for each in maps]
    layer = joined_layers(plan, node, "concat", _unpooled(plan, node, layers)) if len(layers) > 1 else layers[0]
    made = replace(maps[0], array=None) if len(layers) == 1 else Value(None, layer, by=maps[0].by)
    return replace(made, dims=plan.sized(tuple(dims), layer))


def _beside(tensors: Sequence[Value], axis: int) -> Dims:
    """The dimensions that tensors have together, but for one along which they are joined."""
    return _common([Value((*each.known[:axis], (), *each.known[axis + 1 :])) for each in tensors])


def _unpooled(plan: Plan, node: Node, layers: Sequence[int]) -> list[int]:
    """Vectors that join maps were spread over them by a reshape or an expand that had lost their roles."""
    trace = plan.trace
    maps = [layer for layer in layers if not trace.pooled[layer]]
    if not maps or len(maps) == len(layers):
        return [*layers]
    like = maps[0]
    return [trace.spread(f"{node.name}.spread", each, like) if trace.pooled[each] else each for each in layers]


def _along_positions(plan: Plan, node: Node, axis: int) -> Value:
    """Slices of one map, and zeros, joined along its height or width: a pad, if they copy rows as a pad does."""
    maps = [each for each in node.given if not each.is_constant]
    if all(plan.is_flat(each) for each in maps):
        return plan.head(node)
    role = alone(maps[0].known[axis])
    bases = {(each.layer, tuple(cut for cut in each.cuts if cut[0] != role)) for each in maps}
    if role not in AXES or len(bases) > 1 or any(alone(each.known[axis]) != role for each in maps):
        raise Stuck("joins different maps along their height or width")
    rows: list[Row] = []
    for each in node.given:
        size = size_of(each.known[axis])
        if len(rows) + size > MOST_ROWS:
            raise SizeError(f"its output would have {len(rows) + size} rows")
        rows += [None] * size if each.is_constant else dict(each.cuts).get(role, range(size))
    return as_pad(
        plan, node.name, replace(maps[0], cuts=tuple(cut for cut in maps[0].cuts if cut[0] != role)), role, rows
    )


def product(plan: Plan, node: Node, a: Value, b: Value, letters: tuple[Letters, Letters, Letters]) -> Value:
    """A product of two tensors, summed over the letters that the result lacks, as einsum names dimensions."""
    (first, second, out) = letters
    if a.is_constant or b.is_constant:
        x, own, weight, theirs = (a, first, b, second) if b.is_constant else (b, second, a, first)
        sizes = dict(zip(theirs, shape_of(weight.dims), strict=True)) if weight.dims is not None else {}
        return linear(plan, node.name, x, own, out, sizes, part=node.name)

    def times(values: Sequence[Value]) -> int:
        return joined_layers(plan, node, "multiply", [each.at for each in values])

    return contract(plan, node.name, [(a, first), (b, second)], out, times)


def matmul(plan: Plan, node: Node) -> Value:
    at = {"QLinearMatMul": (0, 3)}.get(node.op, (0, 1))
    a, b = (node.tensor(i) for i in at)
    ranks = [2 if each.dims is None else len(each.dims) for each in (a, b)]
    batch: list[object] = list(range(-max(ranks), -2))
    first = [*batch, "i", "k"][-ranks[0] :]
    second = [*batch, "k", "j"][-ranks[1] :] if ranks[1] > 1 else ["k"]
    out = [*batch, *(["i"] if ranks[0] > 1 else []), *(["j"] if ranks[1] > 1 else [])]
    return product(plan, node, a, b, (first, second, out))


def gemm(plan: Plan, node: Node) -> Value:
    first, second = "ki" if node.attrs.get("transA") else "ik", "jk" if node.attrs.get("transB") else "kj"
    a = node.tensor(0)
    if a.layer is not None and len(a.known) != 2:
        raise Stuck("multiplies what is no matrix")
    return product(plan, node, a, node.tensor(1), (first, second, "ij"))


def einsum(plan: Plan, node: Node) -> Value:
    left, _, out = str(node.attrs["equation"]).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or "." in left or not out:
        raise Stuck(f"sums by {left!r}")
    return product(plan, node, node.tensor(0), node.tensor(1), (terms[0], terms[1], out))


def attention(plan: Plan, node: Node) -> Value | list[Value]:
    """Attention in one node: the query's positions see all of the value's."""
    looks = plan.settled(node.tensor(0))
    value = node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] is not None else looks
    seen = looks if value.layer is None else plan.settled(value)
    if looks.layer is None or seen.layer is None:
        raise Stuck("lacks a map")
    made = Value(looks.known, plan.trace.mix(node.name, seen.layer, looks.layer))
    return [made] * node.outputs


def recurrent(plan: Plan, node: Node) -> list[Value]:
    """A recurrence: a step sees all rows that are among its features, and then every step sees every step."""
    x = plan.settled(node.tensor(0))
    if x.layer is None or len(x.known) != 3 or node.attrs.get("layout"):
        raise Stuck("runs along what is no sequence, or not along its first dimension")
    steps, batch, features = x.known
    hidden = plain(int(node.attrs.get("hidden_size", 1)))
    ways = plain(2 if node.attrs.get("direction") == "bidirectional" else 1)
    rows, along = ({role for role, n in dim if role and n > 1} for dim in (features, steps))
    lines = plan.pooled_over(f"{node.name}.line", x.layer, rows) if rows else x.layer
    layer = plan.pooled_over(f"{node.name}.global", lines, along) if along else lines
    last = Value((ways, batch, hidden), layer)
    return [Value((steps, ways, batch, hidden), plan.spread(node.name, layer, lines)), last, last][: node.outputs]


MIXING: dict[str, Callable[[Plan, Node], Value | list[Value]]] = {
    **dict.fromkeys(("Add", "Sub", "Sum", "Mean", "Max", "Min"), merged("add")),
    **dict.fromkeys(("Mul", "Div", "Pow", "Mod", "Where", "And", "Or", "Xor", "Equal"), merged("multiply")),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), merged("multiply")),
    **dict.fromkeys(
        (
            f"Reduce{how}"
            for how in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
        ),
        reduced,
    ),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), global_pool),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul", "com.microsoft.FusedMatMul"), matmul),
    **dict.fromkeys(("Attention", "com.microsoft.Attention", "com.microsoft.MultiHeadAttention"), attention),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent),
    "Concat": concat,
    "Einsum": einsum,
    "Gemm": gemm,
}
