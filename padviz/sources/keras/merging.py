"""Keras layers that join maps, or the positions of one: merges, norms, reductions, products, attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from padviz.network.layer import Kind
from padviz.sources.keras.activations import activated
from padviz.sources.keras.call import Call, from_front
from padviz.sources.keras.model import Malformed
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.axis_labels import plain, positions, size_of
from padviz.sources.tracing.calls import Result, side_by_side, together
from padviz.sources.tracing.meeting import elementwise, products
from padviz.sources.tracing.meeting.contracting import along, over


def same(call: Call) -> Result:
    """Pass what does nothing, or the same to each channel, when a network is used."""
    return call.tensor(0)


def neutral(call: Call) -> Result:
    """Pass what is elementwise as an activation of one map."""
    if len(call.maps) > 1:
        raise Stuck("joins several maps")
    x = call.tensor(0)
    return x.activated(x.dims)


def activation(call: Call) -> Result:
    return activated(call, call.tensor(0))


def softmax(call: Call) -> Result:
    x = call.tensor(0)
    return along(call, x, call.axes(len(x.known)), "softmax over positions")


def merged(kind: Kind) -> Callable[[Call], Result]:
    """Make a handler of several maps, position by position; a gate where one is pooled."""
    return lambda call: together(call, kind, call.maps)


def subtract(call: Call) -> Result:
    return elementwise.subtract(call)


def concatenate(call: Call) -> Result:
    rank = len(call.tensor(0).known)
    axis = call.axes(rank)[0]
    if any(len(x.known) != rank for x in call.maps):
        raise Stuck("joins tensors of different ranks")
    if any(positions(x.known[axis]) for x in call.maps):
        if call.flat:
            return call.head()
        raise Stuck("joins different maps along their height or width")
    return side_by_side(call, call.maps, axis, sum(size_of(x.known[axis]) for x in call.maps))


def norm(why: str, default: int = -1) -> Callable[[Call], Result]:
    """Make a handler of what normalises over the dimensions that its config names."""

    def run(call: Call) -> Result:
        x = call.tensor(0)
        return elementwise.norm(call, x.activated(x.dims), why, call.axes(len(x.known), default))

    return run


def group_norm(call: Call) -> Result:
    x = call.tensor(0)
    return elementwise.norm(call, x.activated(x.dims), "group norm", range(len(x.known)))


def dense(call: Call) -> Result:
    """Multiply the last dimension by a matrix."""
    x, units = call.tensor(0), call.number("units")
    if units < 1:
        raise Malformed(f"it has {units} units")
    return activated(call, products.dense(call, x, units))


def reduced(call: Call) -> Result:
    """Reduce to a mean, a sum or an extreme: over channels neutral, over rows and columns pooling."""
    x = call.tensor(0)
    axes = range(len(x.known)) if call.config.get("axis") is None else call.axes(len(x.known))
    return over(call, x, axes, bool(call.config.get("keepdims")))


def attention(call: Call) -> Result:
    """Attend along the dimensions between the first and the last: of queries the first, of values the second tensor."""
    query, value = call.tensor(0), call.tensor(min(1, len(call.read) - 1))
    rank, heads = len(value.known), call.op == "MultiHeadAttention"
    axes = call.config.get("attention_axes") or ([*range(1, rank - 1)] if heads else [rank - 2])
    along = [from_front(axis, rank) for axis in (axes if isinstance(axes, list) else [axes])]
    value = replace(value, dims=(*value.known[:-1], query.known[-1]))  # heads make as many channels as queries have
    return products.attention(call, query, value, along)


def flatten(call: Call) -> Result:
    x = call.tensor(0)
    return _shaped(call, x, [size_of(x.known[0]), -1])


def reshape(call: Call) -> Result:
    x = call.tensor(0)
    shape = call.config.get("target_shape")
    return _shaped(call, x, [size_of(x.known[0]), *_numbers(shape)])


def reshape_op(call: Call) -> Result:
    return _shaped(call, call.tensor(0), _numbers(call.config.get("newshape")))


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(isinstance(n, int) and n >= -1 for n in value):
        raise Malformed("its shape is no list of whole numbers")
    return [*value]


def _shaped(call: Call, x: Value, shape: list[int]) -> Result:
    """Give a tensor another shape, in which -1 stands for what is left."""
    total, known = 1, 1
    for dim in x.known:
        total *= size_of(dim)
    for n in shape:
        known *= max(n, 1)
    if shape.count(-1) > 1 or 0 in shape or total % known or (total != known and -1 not in shape):
        raise Malformed(f"it makes {'x'.join(map(str, shape))} of {total} numbers")
    wanted = [total // known if n == -1 else n for n in shape]
    return call.arranger.reshape(x, wanted, call.title, call.title) or call.head()


def permute(call: Call) -> Result:
    """Put dimensions in another order: `Permute` counts them from 1, after the batch."""
    x, order = call.tensor(0), call.config.get("dims", call.config.get("axes"))
    order = _numbers(order) if order is not None else [*range(len(x.known))][::-1]
    order = [0, *order] if call.op == "Permute" else order
    if sorted(order) != [*range(len(x.known))]:
        raise Malformed("it permutes dimensions that it does not have")
    return replace(x, dims=tuple(x.known[i] for i in order))


def squeeze(call: Call) -> Result:
    x = call.tensor(0)
    axes = range(len(x.known)) if call.config.get("axis") is None else call.axes(len(x.known))
    return replace(x, dims=tuple(dim for i, dim in enumerate(x.known) if i not in axes or size_of(dim) > 1))


def expand_dims(call: Call) -> Result:
    x = call.tensor(0)
    axis = call.axes(len(x.known) + 1)[0]
    return replace(x, dims=(*x.known[:axis], plain(1), *x.known[axis:]))
