"""Keras layers that join maps, or the positions of one: merges, norms, reductions, products, attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from padviz.network.layer import Kind
from padviz.sources.keras.activations import activated
from padviz.sources.keras.call import Call, from_front
from padviz.sources.keras.model import Malformed
from padviz.sources.tracing import elementwise, products, views
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.axis_labels import shape_of, size_of
from padviz.sources.tracing.calls import Result, together
from padviz.sources.tracing.products import along, over


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
    return views.concat(call, call.maps, call.axes(len(call.tensor(0).known))[0])


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


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(isinstance(n, int) and n >= -1 for n in value):
        raise Malformed("its shape is no list of whole numbers")
    return [*value]


def _shaped(call: Call, x: Value, shape: list[int]) -> Result:
    """Give a tensor another shape, in which -1 stands for what is left."""
    total, known = prod(shape_of(x.known)), prod(max(n, 1) for n in shape)
    if shape.count(-1) > 1 or 0 in shape or total % known or (total != known and -1 not in shape):
        raise Malformed(f"it makes {'x'.join(map(str, shape))} of {total} numbers")
    wanted = [total // known if n == -1 else n for n in shape]
    return views.reshape(call, x, wanted)


def permute(call: Call) -> Result:
    """Put dimensions in another order: `Permute` counts them from 1, after the batch."""
    x, order = call.tensor(0), call.config.get("dims", call.config.get("axes"))
    order = _numbers(order) if order is not None else [*range(len(x.known))][::-1]
    order = [0, *order] if call.op == "Permute" else order
    if sorted(order) != [*range(len(x.known))]:
        raise Malformed("it permutes dimensions that it does not have")
    return views.permute(x, order)


def squeeze(call: Call) -> Result:
    x = call.tensor(0)
    axes = range(len(x.known)) if call.config.get("axis") is None else call.axes(len(x.known))
    return views.squeeze(call, x, [axis for axis in axes if size_of(x.known[axis]) == 1])


def expand_dims(call: Call) -> Result:
    x = call.tensor(0)
    return views.unsqueeze(x, call.axes(len(x.known) + 1)[:1])
