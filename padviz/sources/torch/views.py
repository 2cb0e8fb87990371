"""PyTorch's views: reshapes, permutations, slices, splits, joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

from padviz.axis.operations import Op, Window
from padviz.sources.torch.arguments import as_list, tensors_in
from padviz.sources.torch.call import Call
from padviz.sources.torch.merging import pointwise
from padviz.sources.tracing import views
from padviz.sources.tracing.arranging import Map, Stuck, Value
from padviz.sources.tracing.axis_labels import plain
from padviz.sources.tracing.calls import Result


def view(call: Call, input: Tensor, *shape: object, **options: object) -> Result:
    if call.of(input) is None:
        raise Stuck("reads the shape of a map")
    return views.reshape(call, call.map(input), call.made.shape)


def permute(call: Call, input: Tensor, *dims: object, **options: object) -> Result:
    return _permuted(call, input, [d % input.ndim for d in as_list(options.get("dims", dims))])


def transpose(call: Call, input: Tensor, dim0: int = -2, dim1: int = -1) -> Result:
    order = list(range(input.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permuted(call, input, order)


def movedim(call: Call, input: Tensor, source: object, destination: object) -> Result:
    sources, places = ([d % input.ndim for d in as_list(given)] for given in (source, destination))
    moved = dict(zip(places, sources, strict=True))
    rest = iter(d for d in range(input.ndim) if d not in sources)
    return _permuted(call, input, [moved[d] if d in moved else next(rest) for d in range(input.ndim)])


def _permuted(call: Call, input: Tensor, order: Sequence[int]) -> Result:
    value = call.of(input)
    return value and views.permute(value, order)


def squeeze(call: Call, input: Tensor, *args: object, dim: object = None) -> Result:
    value, dim = call.of(input), args[0] if args else dim
    wanted = range(input.ndim) if dim is None else as_list(dim)
    return value and views.squeeze(call, value, {d % input.ndim for d in wanted if input.shape[d] == 1})


def unsqueeze(call: Call, input: Tensor, dim: int) -> Result:
    value = call.of(input)
    return value and views.unsqueeze(value, [dim % (input.ndim + 1)])


def expand(call: Call, input: Tensor, *sizes: object, **options: object) -> Result:
    return views.expand(call, call.map(input), call.made.shape)


def split(call: Call, input: Tensor, sizes: object = None, dim: int = 0, **options: object) -> Result:
    dim, pieces = dim % input.ndim, tensors_in(call.out)
    ends = accumulate(piece.shape[dim] for piece in pieces)
    spans = [slice(end - piece.shape[dim], end) for piece, end in zip(pieces, ends, strict=True)]
    return [views.slice_(call, call.map(input), {dim: span}) for span in spans]


def unbind(call: Call, input: Tensor, dim: int = 0) -> Result:
    return [_indexed(call, input, {dim: i}) for i in range(input.shape[dim])]


def roll(call: Call, input: Tensor, shifts: object, dims: object = ()) -> Result:
    return views.roll(call, call.map(input), dict(zip(as_list(dims), as_list(shifts), strict=True)))


def flip(call: Call, input: Tensor, *dims: object, **options: object) -> Result:
    axes = [d % input.ndim for d in as_list(options.get("dims", dims))]
    return views.slice_(call, call.map(input), dict.fromkeys(axes, slice(None, None, -1)))


def select(call: Call, input: Tensor, dim: int, index: object) -> Result:
    return _indexed(call, input, {dim: index})


def narrow(call: Call, input: Tensor, dim: int, start: int, length: int) -> Result:
    return _indexed(call, input, {dim: slice(start, start + length)})


def slice_(
    call: Call, input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Result:
    """Handle what exported programs call a slice."""
    return _indexed(call, input, {dim: slice(start, end, step)})


def getitem(call: Call, input: Tensor, index: object) -> Result:
    """Pick or slice along dimensions, and insert new ones."""
    items = _whole_index(index, input.ndim)
    value = _indexed(call, input, dict(enumerate(item for item in items if item is not None)))
    kept = [item for item in items if not isinstance(item, int)]
    value = views.unsqueeze(value, [at for at, item in enumerate(kept) if item is None])
    if len(value.known) != call.made.ndim:
        raise Stuck("picks positions")
    return value


def _indexed(call: Call, input: Tensor, items: Mapping[int, object]) -> Value:
    """Pick or slice along dimensions: one number drops its dimension."""
    if any(map(call.of, items.values())):
        raise Stuck("picks channels by the values of a map")
    items = {d % input.ndim: item for d, item in items.items()}
    ones = {d: item % input.shape[d] for d, item in items.items() if isinstance(item, int)}
    rows = {d: item for d, item in items.items() if isinstance(item, slice)}
    made = views.slice_(call, call.map(input), rows | {d: slice(i, i + 1) for d, i in ones.items()})
    for d, item in items.items():
        if d in rows or d in ones:
            continue
        numbers = None  # of channels they do not matter
        if isinstance(item, list):
            numbers = item
        elif isinstance(item, Tensor) and made.known[d].positions:
            given = call.numbers(item)
            if given is not None and given.dtype != torch.bool:
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


def setitem(call: Call, input: Tensor, index: object, new: object) -> Result:
    """Write in place: around what is written into a constant is padding; among channels, both are there now."""
    call.unsplit()
    value, source = call.of(input), call.of(new)
    items, shape = _whole_index(index, input.ndim), input.shape
    whole = [isinstance(item, slice) and item.indices(n) == (0, n, 1) for item, n in zip(items, shape, strict=False)]
    if source and isinstance(new, Tensor) and (value is None or (shape == new.shape and all(whole))):
        return _write(call, source, items, shape)
    dims = value.known if value else ()
    if len(dims) != len(items) or any(dim.positions and not every for dim, every in zip(dims, whole, strict=True)):
        raise Stuck("writes some rows or columns only")
    at = [x.at for x in call.maps]
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


def cat(call: Call, tensors: Sequence[Tensor], dim: int = 0, **options: object) -> Result:
    call.tensors = [tensor for tensor in tensors if tensor.numel()]
    call.maps = [value for tensor in call.tensors if (value := call.of(tensor))]
    if len(call.tensors) == 1:
        return pointwise(call)
    along = [value.known[dim] for value in call.spatial]
    if len(along) > 1 and any(own.has_positions and not own.is_positions for own in along):
        return call.join_flattened(call.spatial)
    call.without_mixed()
    if not call.spatial:
        return call.without_positions()
    return views.concat(call, [*map(call.value, call.tensors)], dim % call.tensors[0].ndim)


def stack(call: Call, tensors: Sequence[Tensor], dim: int = 0) -> Result:
    at = dim % call.made.ndim
    return views.concat(call, [views.unsqueeze(call.value(tensor), [at]) for tensor in tensors], at)
