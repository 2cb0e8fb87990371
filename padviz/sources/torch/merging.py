"""What several maps make together: sums, products, concatenations, gates; and normalisations, which paths pass by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from padviz.axis.operations import Window
from padviz.sources.torch.call import Call
from padviz.sources.tracing.arranging import Map, Stuck
from padviz.sources.tracing.axis_labels import (
    axis_of,
    has_positions,
    is_channels,
    is_positions,
    kind_of,
    plain,
    positions,
    size_of,
    with_tokens,
)
from padviz.sources.tracing.calls import Result, side_by_side, together, with_kernel
from padviz.sources.tracing.meeting import elementwise
from padviz.sources.tracing.meeting.elementwise import masked
from padviz.sources.tracing.meeting.masks import MASKED
from padviz.sources.tracing.slices_as_padding import Row, as_pad

JOINS = "joins the positions of several maps"


def add(call: Call, *args: Any, **options: Any) -> Result:
    return masked(call, together(call, "add", call.maps))


def subtract(call: Call, *args: Any, **options: Any) -> Result:
    return elementwise.subtract(call)


def pick(call: Call, *args: Any, **options: Any) -> Result:
    """Pick each position from one of several maps, or between them."""
    return together(call, "add", call.maps)


def masked_fill(call: Call, input: Any, mask: Any, value: Any) -> Result:
    return masked(call, together(call, "add", call.maps), lambda numbers: numbers & bool(value <= MASKED))


def pointwise(call: Call, *args: Any, **options: Any) -> Map:
    return together(call, "multiply", call.maps)


def copy(call: Call, input: Any, src: Any, *args: Any, **options: Any) -> Result:
    """Take the map that a tensor is overwritten with."""
    call.maps = [value] if (value := call.of(src)) else []
    return pointwise(call) if value else call.broken("overwrites a map")


def embedding(call: Call, input: Any, weight: Any = None, *args: Any, **options: Any) -> Result:
    """Look up a vector for each position, as a codebook is read, or is made of ones and zeros."""
    indices = call.map(input)
    vectors = indices.part_of((*indices.known, plain(call.out.shape[-1])), id(call.out))
    return with_kernel(call, lambda: vectors, call.of(weight), None)


def cat(call: Call, tensors: Sequence[Any], dim: int = 0, **options: Any) -> Result:
    """Join channels, or put rows and columns beside a map; the positions of several maps are a head."""
    call.tensors = tensors = [tensor for tensor in tensors if tensor.numel()]
    call.maps = [value for tensor in tensors if (value := call.of(tensor))]
    if len(tensors) == 1:
        return pointwise(call)
    along = [value.known[dim] for value in call.spatial]
    if len(along) > 1 and any(has_positions(own) and not is_positions(own) for own in along):
        return call.cut(JOINS, JOINS)
    call.unmix()
    if not call.spatial:
        return call.without_positions()
    if not all(is_channels(value.known[dim]) for value in call.spatial):
        call.settle()
    full = call.spatial[0]
    along = [value.known[dim] for value in call.spatial]
    if role := axis_of(along[0]):
        return _beside(call, tensors, role, dim)
    if not any(map(is_positions, along)):
        joined = side_by_side(call, call.maps, dim % len(full.known), call.out.shape[dim])
        return joined if dim % len(full.known) else _batch(call, joined, [tensor.shape[0] for tensor in tensors])
    if len(along) > 1:
        return call.cut(JOINS, JOINS)
    if call.arranger.tokens:
        call.arranger.put = True
        first, *_ = (call.of(tensor) for tensor in tensors)
        dims = list(full.known)
        dims[dim] = with_tokens(along[0], call.out.shape[dim] - size_of(along[0]), behind=first is full)
        return replace(full, dims=tuple(dims))
    pooled = call.pool(full)  # tokens beside positions: no map any more
    call.trace.tokens.add(pooled.at)
    return pooled


def stack(call: Call, tensors: Sequence[Any], dim: int = 0) -> Result:
    joined = side_by_side(call, call.maps, dim % call.out.ndim, call.out.shape[dim], new=True)
    return joined if dim % call.out.ndim else _batch(call, joined, [1] * len(tensors))


def _batch(call: Call, joined: Map, counts: Sequence[int]) -> Map:
    return call.arranger.in_batch(joined, [*map(call.of, call.tensors)], counts)


def _beside(call: Call, tensors: Sequence[Any], role: str, dim: int) -> Map:
    """Put rows or columns beside a map: padding, where they are its own in the order of some mode, or zeros."""
    rows: list[Row] = []
    whole: dict[int, Map] = {}
    for tensor in tensors:
        value = call.of(tensor)
        at, own = _rows_of(call, value, role) if value else (-1, [None] * tensor.shape[dim])
        rows += own
        whole |= {at: replace(value, layer=at)} if value else {}
    laid = {tuple(tuple(map(kind_of, positions(own))) for own in value.known) for value in call.spatial}
    if len(laid) > 1:
        raise Stuck("puts rows beside columns, as coordinate attention does")
    if len(whole) > 1:
        raise Stuck("puts maps beside each other")
    return as_pad(call.arranger, call.name("pad"), next(iter(whole.values())), role, rows)


def _rows_of(call: Call, value: Map, role: str) -> tuple[int, Sequence[Row]]:
    """Find the layer that a map is cut out of along one axis, or is, and which rows of it."""
    layer, n = call.trace.layers[value.at], call.trace.sizes[value.at][call.trace.axes[role]]
    others = [*layer.ops]
    op = others.pop(call.trace.axes[role])
    if layer.kind != "crop" or not isinstance(op, Window) or any(other not in (None, Window(1)) for other in others):
        return value.at, range(n)
    first = -int(op.padding[0])
    return layer.inputs[0], range(first, first + n * op.stride, op.stride)


def _norm(first: int, asked: str = "", default: bool = False) -> Callable[..., Result]:
    """Make a handler of a norm over the dimensions from one on, where the sixth argument, by its name, asks for it."""

    def run(call: Call, *args: Any, **options: Any) -> Result:
        is_over = not asked or options.get(asked, args[5] if len(args) > 5 else default)
        return _normed(call, first if is_over else None)

    return run


def _normed(call: Call, first: int | None) -> Result:
    activated = pointwise(call)
    axes = () if first is None else range(len(activated.dims or ()))[first:]
    return elementwise.norm(call, activated, call.op.replace("_", " "), axes)


group_norm, instance_norm, batch_norm = _norm(1), _norm(2, "use_input_stats", True), _norm(0, "training")


def batch_norm_of_three(call: Call, *args: Any, **options: Any) -> Result:
    """Handle what exported programs call a batch norm with running statistics, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(call: Call, input: Any, normalized_shape: Any, *args: Any, **options: Any) -> Result:
    return _normed(call, -1 if isinstance(normalized_shape, int) else -len(normalized_shape))
