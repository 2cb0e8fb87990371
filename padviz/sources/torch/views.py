"""PyTorch's views: reshapes, permutations, slices, splits, joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod

import torch

from padviz.axis.operations import Op, Window
from padviz.sources.torch.arguments import as_list, tensors_in
from padviz.sources.torch.call import Call, as_map
from padviz.sources.torch.merging import pointwise
from padviz.sources.tracing import views
from padviz.sources.tracing.arranging import Map, Stuck, Value
from padviz.sources.tracing.axis_labels import plain
from padviz.sources.tracing.calls import Result


def view(call: Call, input: Value, *shape: object, **options: object) -> Result:
    if not isinstance(input, Map):
        raise Stuck("reads the shape of a map")
    return views.reshape(call, input, call.made.shape)


def permute(call: Call, input: Value, *dims: object, **options: object) -> Result:
    return views.permute(input, [d % len(input.known) for d in as_list(options.get("dims", dims))])


def transpose(call: Call, input: Value, dim0: int = -2, dim1: int = -1) -> Result:
    return views.transpose(input, dim0, dim1)


def movedim(call: Call, input: Value, source: object, destination: object) -> Result:
    rank = len(input.known)
    sources, places = ([d % rank for d in as_list(given)] for given in (source, destination))
    moved = dict(zip(places, sources, strict=True))
    rest = iter(d for d in range(rank) if d not in sources)
    return views.permute(input, [moved[d] if d in moved else next(rest) for d in range(rank)])


def squeeze(call: Call, input: Value, *args: object, dim: object = None) -> Result:
    dim, shape = args[0] if args else dim, input.shape
    wanted = range(len(shape)) if dim is None else as_list(dim)
    return views.squeeze(call, input, {d % len(shape) for d in wanted if shape[d] == 1})


def unsqueeze(call: Call, input: Value, dim: int) -> Result:
    return views.unsqueeze(input, [dim % (len(input.known) + 1)])


def expand(call: Call, input: Value, *sizes: object, **options: object) -> Result:
    return views.expand(call, input, call.made.shape)


def split(call: Call, input: Value, sizes: object = None, dim: int = 0, **options: object) -> Result:
    dim, pieces = dim % len(input.known), tensors_in(call.out)
    ends = accumulate(piece.shape[dim] for piece in pieces)
    spans = [slice(end - piece.shape[dim], end) for piece, end in zip(pieces, ends, strict=True)]
    return [views.slice_(call, input, {dim: span}) for span in spans]


def unbind(call: Call, input: Value, dim: int = 0) -> Result:
    return [_indexed(call, input, {dim: i}) for i in range(input.shape[dim])]


def roll(call: Call, input: Value, shifts: object, dims: object = ()) -> Result:
    return views.roll(call, as_map(input), dict(zip(as_list(dims), as_list(shifts), strict=True)))


def flip(call: Call, input: Value, *dims: object, **options: object) -> Result:
    axes = [d % len(input.known) for d in as_list(options.get("dims", dims))]
    return views.slice_(call, input, dict.fromkeys(axes, slice(None, None, -1)))


def select(call: Call, input: Value, dim: int, index: object) -> Result:
    return _indexed(call, input, {dim: index})


def narrow(call: Call, input: Value, dim: int, start: int, length: int) -> Result:
    return _indexed(call, input, {dim: slice(start, start + length)})


def slice_(
    call: Call, input: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Result:
    return _indexed(call, input, {dim: slice(start, end, step)})


def getitem(call: Call, input: Value, index: object) -> Result:
    items = _whole_index(index, len(input.known))
    value = _indexed(call, input, dict(enumerate(item for item in items if item is not None)))
    kept = [item for item in items if not isinstance(item, int)]
    value = views.unsqueeze(value, [at for at, item in enumerate(kept) if item is None])
    if len(value.known) != call.made.ndim:
        raise Stuck("picks positions")
    return value


def _indexed(call: Call, input: Value, items: Mapping[int, object]) -> Value:
    if any(isinstance(item, Map) for item in items.values()):
        raise Stuck("picks channels by the values of a map")
    shape = input.shape
    items = {d % len(shape): item for d, item in items.items()}
    ones = {d: item % shape[d] for d, item in items.items() if isinstance(item, int)}
    rows = {d: item for d, item in items.items() if isinstance(item, slice)}
    made = views.slice_(call, as_map(input), rows | {d: slice(i, i + 1) for d, i in ones.items()})
    for d, item in items.items():
        if d in rows or d in ones:
            continue
        numbers = None  # of channels they do not matter
        if isinstance(item, list):
            numbers = item
        elif made.known[d].positions and (given := call.numbers_of(item)) is not None and given.dtype != torch.bool:
            numbers = [int(n) for n in given.flatten()]
        n = call.made.numel() * made.known[d].size // prod(made.shape)
        made = views.gather(call, made, d, numbers, (plain(n),), call.part)
    return views.squeeze(call, made, ones) if ones else made


def _whole_index(index: object, ndim: int) -> list[object]:
    """Replace the ellipsis of an index, or what it leaves out, by slices of all."""
    given = list(index) if isinstance(index, tuple) else [index]
    count = sum(1 for item in given if item is not None and item is not ...)
    at = next((i for i, item in enumerate(given) if item is ...), len(given))
    return [*given[:at], *[slice(None)] * (ndim - count), *given[at + 1 :]]


def setitem(call: Call, input: Value, index: object, new: object) -> Result:
    """Write in place: around what is written into a constant is padding; among channels, both are there now."""
    input, source = call.arranger.unsplit(input), call.arranger.unsplit(new) if isinstance(new, Map) else None
    shape = input.shape
    items = _whole_index(index, len(shape))
    whole = [isinstance(item, slice) and item.indices(n) == (0, n, 1) for item, n in zip(items, shape, strict=False)]
    if source and (not isinstance(input, Map) or (shape == source.shape and all(whole))):
        return _write(call, source, items, shape)
    dims = input.known if isinstance(input, Map) else ()
    if len(dims) != len(items) or any(dim.positions and not every for dim, every in zip(dims, whole, strict=True)):
        raise Stuck("writes some rows or columns only")
    at = [call.arranger.unsplit(x).at for x in call.maps]
    return call.with_channels(Map(dims, at[0] if len(at) == 1 else call.trace.merge(call.name("merge"), "concat", at)))


def _write(call: Call, source: Map, items: Sequence[object], shape: Sequence[int]) -> Map:
    """Write a map into a constant, where rows and columns around it become padding."""
    ones = [d for d, (item, n) in enumerate(zip(items, shape, strict=False)) if isinstance(item, int) and n == 1]
    spans = {d: item.indices(shape[d]) for d, item in enumerate(items) if isinstance(item, slice)}
    fits = len(ones) + len(spans) == len(items) == len(shape) == len(source.known) + len(ones)
    if not fits or any(step != 1 for *_, step in spans.values()):
        raise Stuck("writes some rows or columns only")
    value, pads = views.unsqueeze(source, ones), dict[str, Op].fromkeys(call.trace.axes, Window(1))
    for d, (first, last, _) in spans.items():
        dim, n = value.known[d], shape[d]
        if dim.positions and (first, last) != (0, n):
            if not (role := dim.axis) or dim.size != last - first:
                raise Stuck("writes some rows or columns only")
            pads[role] = Window(1, padding=(first, n - last))
    if any(op != Window(1) for op in pads.values()):
        value = call.arranger.add(call.name("pad"), "pad", value, pads)
    return call.with_channels(value)


def cat(call: Call, tensors: Sequence[Value], dim: int = 0, **options: object) -> Result:
    call.tensors = [tensor for tensor in call.tensors if tensor.numel()]
    call.read_tensors()
    if len(call.tensors) == 1:
        return pointwise(call)
    along = [value.known[dim] for value in call.spatial]
    if len(along) > 1 and any(own.has_positions and not own.is_positions for own in along):
        return call.join_flattened(call.spatial)
    call.without_mixed()
    return views.concat(call, call.given, dim % call.made.ndim) if call.spatial else call.without_positions()


def stack(call: Call, tensors: Sequence[Value], dim: int = 0) -> Result:
    at = dim % call.made.ndim
    return views.concat(call, [views.unsqueeze(x, [at]) for x in tensors], at)
