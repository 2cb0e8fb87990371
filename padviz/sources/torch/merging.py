"""What several maps make together: sums, products, concatenations, gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from padviz.axis.operations import Window
from padviz.sources.torch.arguments import tensors_in
from padviz.sources.torch.tracer import Call, Result
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.axis_labels import (
    AXES,
    Dims,
    alone,
    broadcast,
    has_positions,
    is_positions,
    plain,
    ranked,
    regrouped,
    roles_of,
    size_of,
)  # fmt: skip
from padviz.sources.tracing.slices_as_padding import Row, as_pad

Merge = Literal["add", "multiply", "concat"]


def add(call: Call, *args: Any, **options: Any) -> Result:
    return together(call, "add")


def subtract(call: Call, *args: Any, **options: Any) -> Result:
    """A mean over all positions that is taken away from each is a normalisation: like a gate, it is left out."""
    same = len({call.plan.seen(value) for value in call.maps}) == 1  # and so is what a map's mean over channels leaves
    return together(call, "multiply" if same or len(call.spatial) < len(call.maps) else "add")


def pick(call: Call, *args: Any, **options: Any) -> Result:
    """Each position from one of several maps, or between them; of one map alone it is an activation."""
    return together(call, "add", once=True)


def pointwise(call: Call, *args: Any, **options: Any) -> Value:
    return together(call, "multiply")


def copy(call: Call, input: Any, src: Any, *args: Any, **options: Any) -> Result:
    """Take the map that a tensor is overwritten with."""
    call.maps = [value] if (value := call.of(src)) else []
    return pointwise(call) if value else call.broken("overwrites a map")


def together(call: Call, kind: Merge, once: bool = False) -> Value:
    """Each position alone: one map passes through, several merge, a pooled one makes a gate of it."""
    shape = tensors_in(call.out)[0].shape
    values = list({call.plan.seen(value): value for value in call.maps}.values()) if once else call.maps
    alike = len(values) == 1 or (kind == "multiply" and len({call.plan.seen(value) for value in values}) == 1)
    values = values if alike else call.plan.in_step(values)
    maps = [value for value in values if not call.pooled(value)]
    dims = lined_up(maps, shape)
    full = next((value for value in maps if _fills(value, dims)), None)
    if full is None:
        raise Stuck("makes a larger map of those that it reads")
    at = merged(call, kind, values, full)
    return replace(full, dims=dims, layer=at, part=full.part if at == full.layer else ())


def lined_up(maps: Sequence[Value], shape: Sequence[int]) -> Dims:
    """The dimensions of what is made of maps position by position, with a shape."""
    padded = [ranked(value.known, len(shape)) for value in maps]
    dims: Dims | None = padded[0]
    for each in padded[1:]:
        dims = dims and broadcast(dims, each)
    if dims is None or any(
        size_of(own) > 1 and has_positions(own) != has_positions(dim)
        for each in padded
        for own, dim in zip(each, dims, strict=True)
    ):
        raise Stuck("reads maps whose rows and columns do not line up")
    if any(any(role for role, _ in dim) and size_of(dim) != n for dim, n in zip(dims, shape, strict=True)):
        raise Stuck("makes a larger map of those that it reads")
    return tuple(dim if size_of(dim) == n else plain(n) for dim, n in zip(dims, shape, strict=True))


def _fills(value: Value, dims: Dims) -> bool:
    """Whether a map has all the rows and columns of the result."""
    own = ranked(value.known, len(dims))
    return all(size_of(a) == size_of(b) for a, b in zip(own, dims, strict=True) if roles_of([b]))


def merged(call: Call, kind: Merge, values: Iterable[Value], full: Value) -> int:
    """Lay a merge; what is smaller than the full map is spread over it first."""
    values = list(values)
    trace, inputs = call.trace, [value.at for value in values]
    if kind == "multiply" and len({call.plan.seen(value) for value in values}) == 1:
        return max(inputs)  # x * sigmoid(x) is an activation; of two slices of x it would be a merge
    for k, i in enumerate(inputs):
        if trace.sizes[i] != trace.sizes[full.at] and (kind == "concat" or not trace.pooled[i]):
            inputs[k] = trace.spread(call.inner("expand"), i, full.at)
    return trace.merge(call.name(merge=True), kind, inputs) if len(inputs) > 1 else inputs[0]


def cat(call: Call, tensors: Sequence[Any], dim: int = 0, **options: Any) -> Result:
    if any(role for value in call.spatial for role, _ in value.known[dim]):
        call.settle()
    full = call.spatial[0]
    along = [value.known[dim] for value in call.spatial]
    if alone(along[0]) in AXES:
        return _beside(call, tensors, alone(along[0]), dim)
    if any(map(is_positions, along)):  # tokens beside those of positions
        return _with_tokens(call, full) if len(along) == 1 else call.head("joins positions of maps")
    return _joined(call, dim % len(full.known), drop=True)


def _with_tokens(call: Call, value: Value) -> Value:
    """Tokens beside the positions of one map: no map any more."""
    made = call.pool(value)
    call.trace.tokens.add(made.at)
    return made


def stack(call: Call, tensors: Sequence[Any], dim: int = 0) -> Result:
    return _joined(call, dim % call.out.ndim, drop=False)


def _joined(call: Call, at: int, drop: bool) -> Value:
    """Maps side by side along a dimension of channels, which they have (to `drop`), or which is new."""
    values, shape = call.plan.in_step(call.maps), [*call.out.shape]
    maps = [value for value in values if not call.pooled(value)]
    rest = [replace(x, dims=x.known[:at] + x.known[at + 1 :]) if drop else x for x in maps]
    dims = lined_up(rest, shape[:at] + shape[at + 1 :])
    layer = merged(call, "concat", values, maps[0])
    own = regrouped([x.known[at] for x in maps] if drop else [], shape[at])
    return Value((*dims[:at], own, *dims[at:]), layer, by=maps[0].by)


def _beside(call: Call, tensors: Sequence[Any], role: str, dim: int) -> Value:
    """Rows or columns put beside a map: padding, where they are its own in the order of some mode, or zeros."""
    rows: list[Row] = []
    whole: dict[int, Value] = {}
    for tensor in tensors:
        value = call.of(tensor)
        at, own = _rows_of(call, value, role) if value else (-1, [None] * tensor.shape[dim])
        rows += own
        whole |= {at: replace(value, layer=at)} if value else {}
    laid = {tuple(tuple(roles_of([own])) for own in value.known) for value in call.spatial}
    if len(whole) > 1 or len(laid) > 1:  # rows beside columns of one map are no rows of its own
        raise Stuck("puts maps beside each other")
    return as_pad(call.plan, call.inner("pad"), next(iter(whole.values())), role, rows)


def _rows_of(call: Call, value: Value, role: str) -> tuple[int, Sequence[Row]]:
    """The layer that a map is cut out of along one axis, or is, and which rows of it."""
    layer, n = call.trace.layers[value.at], call.trace.sizes[value.at][AXES[role]]
    op, other = layer.ops[AXES[role]], layer.ops[1 - AXES[role]]
    if layer.kind != "crop" or not isinstance(op, Window) or other not in (None, Window(1)):
        return value.at, range(n)
    first = -int(op.padding[0])
    return layer.inputs[0], range(first, first + n * op.stride, op.stride)
