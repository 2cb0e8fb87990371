"""PyTorch's views: reshapes, permutations, slices, splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from padviz.axis.operations import Op, Window
from padviz.sources.torch.call import Call
from padviz.sources.tracing.arranging import Map, Stuck, of_batch, picked
from padviz.sources.tracing.axis_labels import (
    Dim,
    Dims,
    Tokens,
    axis_of,
    has_parts,
    has_positions,
    image_at,
    is_positions,
    plain,
    positions,
    ranked,
    size_of,
    tokens_of,
    whole,
)  # fmt: skip
from padviz.sources.tracing.calls import Result, copied
from padviz.sources.tracing.meeting.mixing import without_pad
from padviz.sources.tracing.slices_as_padding import cropped, rolled

ROWS = "picks rows or columns"


def view(call: Call, input: Any, *shape: Any, **options: Any) -> Result:
    value = call.of(input)
    if value is None:
        raise Stuck("reads the shape of a map")
    viewed = call.arranger.reshape(value, call.out.shape, call.name(), call.name("merge"))
    if viewed is None or not {*call.trace.axes} <= {*map(axis_of, viewed.known[-2:])}:
        viewed = _spread(call, value) or viewed
    if viewed is None:
        raise Stuck(f"from {_shape(input)} to {_shape(call.out)} mixes rows and columns up")
    return arranged(call, viewed, viewed.known)


def _spread(call: Call, value: Map) -> Map | None:
    """Arrange anew, as an image, a map of which all positions are the same; None for another one."""
    layer, shape = call.trace.layers[value.at], call.out.shape
    same = layer.kind == "resize" and call.trace.pooled[layer.inputs[0]]
    if not same or len(shape) != 4 or shape[-2:] != call.trace.sizes[value.at]:
        return None
    return Map((*map(plain, shape[:2]), *map(whole, call.trace.axes, shape[-2:])), value.at)


def arranged(call: Call, value: Map, dims: Dims) -> Map:
    """Arrange a map in other dimensions; what had one position alone and has none is pooled."""
    if any(is_positions(dim) or has_positions(dim) for dim in dims):
        return replace(value, dims=dims)
    return call.pool(value)


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape))


def permute(call: Call, input: Any, *dims: Any, **options: Any) -> Result:
    order = options.get("dims", dims[0] if dims and not isinstance(dims[0], int) else dims)
    return _reordered(call, input, [d % input.ndim for d in order])


def transpose(call: Call, input: Any, dim0: int = -2, dim1: int = -1) -> Result:
    order = list(range(input.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _reordered(call, input, order)


def movedim(call: Call, input: Any, source: Any, destination: Any) -> Result:
    sources, places = ([d] if isinstance(d, int) else list(d) for d in (source, destination))
    moved = dict(zip((d % input.ndim for d in places), (d % input.ndim for d in sources), strict=True))
    rest = iter(d for d in range(input.ndim) if d not in moved.values())
    return _reordered(call, input, [moved[d] if d in moved else next(rest) for d in range(input.ndim)])


def _reordered(call: Call, input: Any, order: Sequence[int]) -> Result:
    value = call.of(input)
    return value and replace(value, dims=tuple(value.known[d] for d in order))


def squeeze(call: Call, input: Any, *args: Any, dim: Any = None) -> Result:
    value = call.of(input)
    if value is None:
        return None
    dim = args[0] if args else dim
    wanted = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {d % input.ndim for d in wanted if input.shape[d] == 1}
    return arranged(call, value, tuple(dim for d, dim in enumerate(value.known) if d not in gone))


def unsqueeze(call: Call, input: Any, dim: int) -> Result:
    value = call.of(input)
    at = dim % (input.ndim + 1)
    return value and replace(value, dims=(*value.known[:at], (), *value.known[at:]))


def split(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    value = call.map(input)
    dim = options.get("dim", args[1] if len(args) > 1 else 0)
    ends = [*accumulate(piece.shape[dim] for piece in call.out)]
    return [
        _part(call, value, dim % input.ndim, slice(last - piece.shape[dim], last))
        for piece, last in zip(call.out, ends, strict=True)
    ]


def _part(call: Call, value: Map, dim: int, rows: slice) -> Map | None:
    """Slice the channels of a map, which lie along a dimension; or take tokens away, or what is beside them.

    None for what is a constant, in a batch beside the image.
    """
    n = size_of(value.known[dim])
    taken = rows.indices(n)
    if tokens_of(value.known[dim]) and taken != (0, n, 1):
        return _apart(call, value, dim, taken)
    if image_at(value.known[dim]) is not None and taken != (0, n, 1):
        return of_batch(value, dim, range(*taken))
    return value if taken == (0, n, 1) else picked(value, dim, (plain(len(range(*taken))),), taken)


def _apart(call: Call, value: Map, dim: int, taken: tuple[int, int, int]) -> Map:
    """Take the positions beside tokens, or tokens alone, which are no map."""
    (tokens,) = value.known[dim]
    if not isinstance(tokens, Tokens):
        raise Stuck("takes some runs of positions only")
    count = size_of(tokens.of)
    first = 0 if tokens.behind else tokens.size - count
    start, stop, step = taken
    if (start, stop) == (first, first + count) and step == 1:
        call.arranger.taken = True
        return replace(value, dims=(*value.known[:dim], tokens.of, *value.known[dim + 1 :]))
    if start < first + count and stop > first:
        raise Stuck("takes some positions beside tokens only")
    return call.pool(value)


def unbind(call: Call, input: Any, dim: int = 0) -> Result:
    value, dim = call.map(input), dim % input.ndim
    return [_one(_part(call, value, dim, slice(i, i + 1)), dim) for i in range(input.shape[dim])]


def _one(value: Map | None, dim: int) -> Map | None:
    """Drop a dimension of one channel from a map."""
    if value is None or value.dims is None:
        return value
    if positions(value.known[dim]):
        raise Stuck(ROWS)
    return replace(value, dims=value.known[:dim] + value.known[dim + 1 :])


def roll(call: Call, input: Any, shifts: Any, dims: Any = ()) -> Result:
    """Roll rows and columns; of channels it is others' turn."""
    value = call.map(input)
    pairs = [(n, d) for n, d in zip(_listed(shifts), _listed(dims), strict=True) if has_positions(value.known[d])]
    if has_parts(value.known) or not all(axis_of(value.known[d]) for _, d in pairs):
        raise Stuck("rolls what is not rows and columns")
    moved = {axis_of(value.known[d]): int(n) for n, d in pairs}
    at = rolled(
        call.arranger, call.name(), call.arranger.uncut(value).at, [moved.get(role, 0) for role in call.trace.axes]
    )
    return replace(value, layer=at)


def flip(call: Call, input: Any, *dims: Any, **options: Any) -> Result:
    """Put channels in the opposite order, as from BGR to RGB."""
    value = call.map(input)
    given = options.get("dims", dims[0] if dims and not isinstance(dims[0], int) else dims)
    for dim in (d % input.ndim for d in _listed(given)):
        if has_positions(value.known[dim]):
            raise Stuck("mirrors rows or columns")
        value = picked(value, dim, (value.known[dim],), "flip")
    return value


def _listed(numbers: Any) -> list[Any]:
    return [numbers] if isinstance(numbers, int) else [*numbers]


def expand(call: Call, input: Any, *sizes: Any, **options: Any) -> Result:
    value, shape = call.map(input), call.out.shape
    before = ranked(value.known, len(shape))
    return copied(call, value, tuple(d if size_of(d) == n else plain(n) for d, n in zip(before, shape, strict=True)))


def select(call: Call, input: Any, dim: int, index: Any) -> Result:
    return getitem(call, input, (*[slice(None)] * (dim % input.ndim), index))


def narrow(call: Call, input: Any, dim: int, start: int, length: int) -> Result:
    return getitem(call, input, (*[slice(None)] * (dim % input.ndim), slice(start, start + length)))


def slice_(call: Call, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Result:
    """Handle what exported programs call a slice."""
    return getitem(call, input, (*[slice(None)] * (dim % input.ndim), slice(start, end, step)))


def index_select(call: Call, input: Any, dim: int, index: Any) -> Result:
    return getitem(call, input, (*[slice(None)] * (dim % input.ndim), index))


def getitem(call: Call, input: Any, index: Any) -> Result:
    """Pick or slice channels; slice rows and columns, of which none at all may be left."""
    value, items = call.map(input), _whole_index(index, input.ndim)
    if any(map(call.of, items)):
        raise Stuck("picks channels by the values of a map")
    return _sliced(call, value, items) if call.out.numel() else replace(value, dims=None)


def _sliced(call: Call, value: Map, items: Sequence[Any]) -> Result:
    value, at = call.arranger.uncut(value), 0
    taken = zip(value.known, (item for item in items if item is not None), strict=False)
    if any(has_positions(dim) and not tokens_of(dim) and item != slice(None) for dim, item in taken):
        value = call.arranger.settled(value)
    crops: dict[str, Op] = {}
    for item in items:
        if item is None:
            value = replace(value, dims=(*value.known[:at], (), *value.known[at:]))
        elif isinstance(item, int):
            first = item % size_of(value.known[at])
            part, at = _one(_part(call, value, at, slice(first, first + 1)), at), at - 1
            if part is None or call.pooled(part):
                return part
            value = part
        elif isinstance(item, slice) and positions(value.known[at]) and not tokens_of(value.known[at]):
            crops |= _crop(call, value, value.known[at], item)
        elif isinstance(item, slice):
            part = _part(call, value, at, item)
            if part is None or call.pooled(part):
                return part
            value = part
        else:
            value = picked(value, at, (plain(call.out.shape[at]),), id(call.out))
        at += 1
    if len(value.known) != call.out.ndim:
        raise Stuck("picks positions")
    if not crops:
        return call.shaped(value)
    if (whole := without_pad(call.trace, value.at, crops)) is not None:
        return call.shaped(replace(value, layer=whole, dims=call.arranger.sized(value.known, whole)))
    return call.lay("crop", value, {**dict.fromkeys(call.trace.axes, Window(1)), **crops}, call.name("slice"))


def _crop(call: Call, value: Map, dim: Dim, rows: slice) -> dict[str, Op]:
    """Make the crop that a slice of a dimension is."""
    if rows in (slice(None), slice(0, None)):
        return {}
    if not (role := axis_of(dim)):
        raise Stuck("picks positions")
    return {role: cropped(rows, size_of(dim))}


def _whole_index(index: Any, ndim: int) -> list[Any]:
    """Write an index out without its ellipsis."""
    given = list(index) if isinstance(index, tuple) else [index]
    count = sum(1 for item in given if item is not None and item is not ...)
    at = next((i for i, item in enumerate(given) if item is ...), len(given))
    return [*given[:at], *[slice(None)] * (ndim - count), *given[at + 1 :]]


def setitem(call: Call, input: Any, index: Any, new: Any) -> Result:
    """Write channels in place: the tensor holds both what was there and what is there now."""
    call.settle()
    value, source = call.of(input), call.of(new)
    if value is None and source is not None:
        return _placed(call, input, index, source)
    given = [item for item in _whole_index(index, input.ndim) if item is not None]
    if source and input.shape == new.shape and all(map(_is_whole, given, input.shape)):
        return call.shaped(source)
    dims = value.known if value else ()
    if len(dims) != len(given) or any(
        positions(dim) and item != slice(None) for dim, item in zip(dims, given, strict=True)
    ):
        raise Stuck("writes some rows or columns only")
    at = [x.at for x in call.maps]
    return call.shaped(Map(dims, at[0] if len(at) == 1 else call.trace.merge(call.name("merge"), "concat", at)))


def _is_whole(item: Any, n: int) -> bool:
    return isinstance(item, slice) and item.indices(n) == (0, n, 1)


def _placed(call: Call, input: Any, index: Any, source: Map) -> Map:
    """Write a map into a constant: rows and columns around it are padding."""
    pads: dict[str, Op] = {}
    read = iter(source.known)
    dims: list[Dim] = []
    for item, n in zip(_whole_index(index, input.ndim), input.shape, strict=True):
        if isinstance(item, int) and n == 1:
            dims.append(())
            continue
        dim = next(read, None)
        if not isinstance(item, slice) or item.step not in (None, 1) or dim is None:
            raise Stuck("writes some rows or columns only")
        first, last, _ = item.indices(n)
        dims.append(dim)
        if positions(dim) and (first, last) != (0, n):
            if (role := axis_of(dim)) is None or size_of(dim) != last - first:
                raise Stuck("writes some rows or columns only")
            pads[role] = Window(1, padding=(first, n - last))
    value = replace(source, dims=tuple(dims))
    if next(read, None) is not None:
        raise Stuck("writes some rows or columns only")
    return (
        call.lay("pad", value, {**dict.fromkeys(call.trace.axes, Window(1)), **pads}, call.name("pad"))
        if pads
        else call.shaped(value)
    )
