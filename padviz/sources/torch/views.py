"""PyTorch's views: reshapes, permutations, slices, splits, joins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import torch
from torch import Tensor

from padviz.axis.operations import Op, Window
from padviz.sources.torch.call import Call
from padviz.sources.torch.merging import pointwise
from padviz.sources.tracing import views
from padviz.sources.tracing.arranging import Map, Stuck, Value
from padviz.sources.tracing.axis_labels import (
    Dim,
    axis_of,
    has_positions,
    is_positions,
    plain,
    positions,
    shape_of,
    size_of,
)
from padviz.sources.tracing.calls import Result


def view(call: Call, input: Any, *shape: Any, **options: Any) -> Result:
    if call.of(input) is None:
        raise Stuck("reads the shape of a map")
    return views.reshape(call, call.map(input), call.out.shape)


def permute(call: Call, input: Any, *dims: Any, **options: Any) -> Result:
    return _permuted(call, input, [d % input.ndim for d in _listed(options.get("dims", dims))])


def transpose(call: Call, input: Any, dim0: int = -2, dim1: int = -1) -> Result:
    order = list(range(input.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permuted(call, input, order)


def movedim(call: Call, input: Any, source: Any, destination: Any) -> Result:
    sources, places = ([d % input.ndim for d in _listed(given)] for given in (source, destination))
    moved = dict(zip(places, sources, strict=True))
    rest = iter(d for d in range(input.ndim) if d not in sources)
    return _permuted(call, input, [moved[d] if d in moved else next(rest) for d in range(input.ndim)])


def _permuted(call: Call, input: Any, order: Sequence[int]) -> Result:
    value = call.of(input)
    return value and views.permute(value, order)


def squeeze(call: Call, input: Any, *args: Any, dim: Any = None) -> Result:
    value, dim = call.of(input), args[0] if args else dim
    wanted = range(input.ndim) if dim is None else _listed(dim)
    return value and views.squeeze(call, value, {d % input.ndim for d in wanted if input.shape[d] == 1})


def unsqueeze(call: Call, input: Any, dim: int) -> Result:
    value = call.of(input)
    return value and views.unsqueeze(value, [dim % (input.ndim + 1)])


def expand(call: Call, input: Any, *sizes: Any, **options: Any) -> Result:
    return views.expand(call, call.map(input), call.out.shape)


def split(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    dim = options.get("dim", args[1] if len(args) > 1 else 0) % input.ndim
    ends = accumulate(piece.shape[dim] for piece in call.out)
    spans = [slice(end - piece.shape[dim], end) for piece, end in zip(call.out, ends, strict=True)]
    return [views.slice_(call, call.map(input), {dim: span}) for span in spans]


def unbind(call: Call, input: Any, dim: int = 0) -> Result:
    return [_indexed(call, input, {dim: i}) for i in range(input.shape[dim])]


def roll(call: Call, input: Any, shifts: Any, dims: Any = ()) -> Result:
    return views.roll(call, call.map(input), dict(zip(_listed(dims), _listed(shifts), strict=True)))


def flip(call: Call, input: Any, *dims: Any, **options: Any) -> Result:
    axes = [d % input.ndim for d in _listed(options.get("dims", dims))]
    return views.slice_(call, call.map(input), dict.fromkeys(axes, slice(None, None, -1)))


def _listed(numbers: Any) -> list[Any]:
    """List one number or several, which may be given as a sequence of their own."""
    if isinstance(numbers, int):
        return [numbers]
    return [*numbers[0]] if len(numbers) == 1 and not isinstance(numbers[0], int) else [*numbers]


def select(call: Call, input: Any, dim: int, index: Any) -> Result:
    return _indexed(call, input, {dim: index})


def narrow(call: Call, input: Any, dim: int, start: int, length: int) -> Result:
    return _indexed(call, input, {dim: slice(start, start + length)})


def slice_(call: Call, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Result:
    """Handle what exported programs call a slice."""
    return _indexed(call, input, {dim: slice(start, end, step)})


def index_select(call: Call, input: Any, dim: int, index: Any) -> Result:
    return _indexed(call, input, {dim: index})


def getitem(call: Call, input: Any, index: Any) -> Result:
    """Pick or slice along dimensions, and insert new ones."""
    items = _whole_index(index, input.ndim)
    value = _indexed(call, input, dict(enumerate(item for item in items if item is not None)))
    kept = [item for item in items if not isinstance(item, int)]
    value = views.unsqueeze(value, [at for at, item in enumerate(kept) if item is None])
    if len(value.known) != call.out.ndim:
        raise Stuck("picks positions")
    return value


def _indexed(call: Call, input: Any, items: dict[int, Any]) -> Value:
    """Pick or slice along dimensions: one number drops its dimension."""
    if any(map(call.of, items.values())):
        raise Stuck("picks channels by the values of a map")
    value = call.map(input)
    items = {d % input.ndim: item for d, item in items.items()}
    ones = {d: item % input.shape[d] for d, item in items.items() if isinstance(item, int)}
    rows = {d: item for d, item in items.items() if isinstance(item, slice)}
    made = views.slice_(call, value, rows | {d: slice(i, i + 1) for d, i in ones.items()})
    for d, item in items.items():
        if d not in rows and d not in ones:
            n = call.out.numel() * size_of(made.known[d]) // prod(shape_of(made.known))
            made = views.gather(call, made, d, _numbers(call, made.known[d], item), (plain(n),), call.part)
    return views.squeeze(call, made, ones) if ones else made


def _numbers(call: Call, dim: Dim, index: Any) -> list[int] | None:
    """Read the numbers of rows or columns that are picked; of channels they are of no matter."""
    if not positions(dim) or isinstance(index, list):
        return index if isinstance(index, list) else None
    if not isinstance(index, Tensor) or (numbers := call.numbers(index)) is None:
        return None
    return [int(n) for n in numbers.flatten()] if numbers.dtype != torch.bool else None


def _whole_index(index: Any, ndim: int) -> list[Any]:
    """Write an index out without its ellipsis."""
    given = list(index) if isinstance(index, tuple) else [index]
    count = sum(1 for item in given if item is not None and item is not ...)
    at = next((i for i, item in enumerate(given) if item is ...), len(given))
    return [*given[:at], *[slice(None)] * (ndim - count), *given[at + 1 :]]


def setitem(call: Call, input: Any, index: Any, new: Any) -> Result:
    """Write in place: around what is written into a constant is padding; among channels, both are there now."""
    call.unsplit()
    value, source = call.of(input), call.of(new)
    items, shape = _whole_index(index, input.ndim), input.shape
    whole = [isinstance(item, slice) and item.indices(n) == (0, n, 1) for item, n in zip(items, shape, strict=False)]
    if source and (value is None or (shape == new.shape and all(whole))):
        return _placed(call, source, items, shape)
    dims = value.known if value else ()
    if len(dims) != len(items) or any(positions(dim) and not every for dim, every in zip(dims, whole, strict=True)):
        raise Stuck("writes some rows or columns only")
    at = [x.at for x in call.maps]
    return call.shaped(Map(dims, at[0] if len(at) == 1 else call.trace.merge(call.name("merge"), "concat", at)))


def _placed(call: Call, source: Map, items: Sequence[Any], shape: Sequence[int]) -> Map:
    """Write a map into a constant: rows and columns around it are padding."""
    ones = [d for d, (item, n) in enumerate(zip(items, shape, strict=False)) if isinstance(item, int) and n == 1]
    spans = {d: item.indices(shape[d]) for d, item in enumerate(items) if isinstance(item, slice)}
    fits = len(ones) + len(spans) == len(items) == len(shape) == len(source.known) + len(ones)
    if not fits or any(step != 1 for *_, step in spans.values()):
        raise Stuck("writes some rows or columns only")
    value, pads = views.unsqueeze(source, ones), dict[str, Op].fromkeys(call.trace.axes, Window(1))
    for d, (first, last, _) in spans.items():
        dim, n = value.known[d], shape[d]
        if positions(dim) and (first, last) != (0, n):
            if not (role := axis_of(dim)) or size_of(dim) != last - first:
                raise Stuck("writes some rows or columns only")
            pads[role] = Window(1, padding=(first, n - last))
    padded = any(op != Window(1) for op in pads.values())
    return call.lay("pad", value, pads, call.name("pad")) if padded else call.shaped(value)


def cat(call: Call, tensors: Sequence[Any], dim: int = 0, **options: Any) -> Result:
    call.tensors = tensors = [tensor for tensor in tensors if tensor.numel()]
    call.maps = [value for tensor in tensors if (value := call.of(tensor))]
    if len(tensors) == 1:
        return pointwise(call)
    along = [value.known[dim] for value in call.spatial]
    if len(along) > 1 and any(has_positions(own) and not is_positions(own) for own in along):
        return call.join_flattened(call.spatial)
    call.unmix()
    if not call.spatial:
        return call.without_positions()
    return views.concat(call, [*map(call.held, tensors)], dim % tensors[0].ndim)


def stack(call: Call, tensors: Sequence[Any], dim: int = 0) -> Result:
    at = dim % call.out.ndim
    return views.concat(call, [views.unsqueeze(call.held(tensor), [at]) for tensor in tensors], at)
