"""PyTorch's views: reshapes, permutations, slices, splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

from padviz.axis.operations import Adaptive, Window
from padviz.axis.resize import Resize
from padviz.sources.torch.axes import Axes, reshape
from padviz.sources.torch.merging import pointwise
from padviz.sources.torch.tracer import Call, Map, Result


def view(call: Call, input: Any, *shape: Any, **options: Any) -> Result:
    value = call.of(input)
    if value is None:
        return call.broken("reads the shape of a map")
    found = reshape(value.axes, input.shape, call.out.shape, call.trace.sizes[value.at])
    if found is None:
        return call.broken(f"from {_shape(input)} to {_shape(call.out)} mixes rows and columns up")
    if found.split:
        value = Map(in_blocks(call, value, *(found.split.get(label, 1) for label in "HW")))
    if found.joined:
        value = Map(enlarged(call, value, *(found.joined.get(label, 1) for label in "HW")))
    return without(call, value, tuple(found.axes), found.lost)


def without(call: Call, value: Map, axes: Axes, lost: set[str]) -> Map:
    """A map that lost its rows, its columns or both, to the channels: whatever is made of it sees them all."""
    at = value.at
    if not {"H", "W", "HW"} & set(axes):
        return Map(call.trace.add(call.name(), "global", (at,)))
    height, width = (Adaptive(1) if label in lost else None for label in "HW")
    sizes = call.trace.sizes[at]
    if all(op is None or n == 1 for op, n in zip((height, width), sizes, strict=True)):
        return replace(value, axes=axes)
    return Map(call.trace.add(call.name(), "adaptive", (at,), height, width), axes)


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape))


def enlarged(call: Call, value: Map, rows: int, cols: int) -> int:
    """Depth to space: each position becomes a block."""
    return call.lay("resize", value, [Resize(scale=Fraction(n)) if n > 1 else None for n in (rows, cols)]).at


def in_blocks(call: Call, value: Map, rows: int, cols: int) -> int:
    """Space to depth: each position reads a block, here as a strided crop for each place in it."""
    places = [(y, x) for y in range(rows) for x in range(cols)]
    crops = [
        call.lay("crop", value, (_every(y, rows), _every(x, cols)), call.inner(f"block.{y}.{x}")) for y, x in places
    ]
    return call.trace.merge(call.name(merge=True), "concat", [crop.at for crop in crops])


def _every(first: int, step: int) -> Window:
    return Window(1, step, padding=(-first, first + 1 - step))


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
    return value and replace(value, axes=tuple(value.axes[d] for d in order))


def squeeze(call: Call, input: Any, *dim: Any) -> Result:
    value = call.of(input)
    if value is None:
        return None
    wanted = range(input.ndim) if not dim else [dim[0]] if isinstance(dim[0], int) else dim[0]
    gone = {d % input.ndim for d in wanted if input.shape[d] == 1}
    axes = tuple(label for d, label in enumerate(value.axes) if d not in gone)
    return without(call, value, axes, set())


def unsqueeze(call: Call, input: Any, dim: int) -> Result:
    value = call.of(input)
    at = dim % (input.ndim + 1)
    return value and replace(value, axes=(*value.axes[:at], None, *value.axes[at:]))


def split(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    value = call.of(input)
    dim = options.get("dim", args[1] if len(args) > 1 else 0)
    if value is None or value.axes[dim] is not None:
        return call.broken("splits rows or columns")
    ends = [*accumulate(piece.shape[dim] for piece in call.out)]
    return [
        _part(value, input, dim, slice(last - piece.shape[dim], last))
        for piece, last in zip(call.out, ends, strict=True)
    ]


def _part(value: Map, tensor: Any, dim: int, rows: slice) -> Map:
    """A map with a slice of its channels, which lie along a dimension of the tensor."""
    n, dim = tensor.shape[dim], dim % tensor.ndim
    taken = rows.indices(n)
    return value if taken == (0, n, 1) else replace(value, part=(*value.part, (dim, *taken)))


def unbind(call: Call, input: Any, dim: int = 0) -> Result:
    value = call.of(input)
    if value is None or value.axes[dim] is not None:
        return call.broken("splits rows or columns")
    axes = list(value.axes)
    del axes[dim]
    parts = [_part(value, input, dim, slice(i, i + 1)) for i in range(input.shape[dim])]
    return [replace(part, axes=tuple(axes)) for part in parts]


def expand(call: Call, input: Any, *sizes: Any, **options: Any) -> Result:
    return pointwise(call)


def select(call: Call, input: Any, dim: int, index: Any) -> Result:
    return getitem(call, input, (*[slice(None)] * (dim % input.ndim), index))


def narrow(call: Call, input: Any, dim: int, start: int, length: int) -> Result:
    return getitem(call, input, (*[slice(None)] * (dim % input.ndim), slice(start, start + length)))


def index_select(call: Call, input: Any, dim: int, index: Any) -> Result:
    value = call.of(input)
    return value if value and value.axes[dim] is None else call.broken("picks rows or columns")


def getitem(call: Call, input: Any, index: Any) -> Result:
    value = call.of(input)
    if value is None:
        return call.broken("is indexed with a map")
    labels = iter(zip(value.axes, input.shape, strict=True))
    axes: list[str | None] = []
    crops: dict[str, Window] = {}
    for each in _whole_index(index, input.ndim):
        if each is None:
            axes.append(None)
            continue
        label, n = next(labels)
        if isinstance(each, slice):
            axes.append(label)
            if label and each not in (slice(None), slice(0, None)):
                start, stop, step = each.indices(n)
                crops[label] = Window(1, step, padding=(-start, max(stop, start) - n))
        elif label:
            return call.broken("picks rows or columns")
        elif not isinstance(each, int):
            axes.append(None)
    if len(axes) != call.out.ndim or not set(crops) <= {"H", "W"}:
        return call.broken("picks positions")
    if not crops:
        return replace(_sliced(value, index, input), axes=tuple(axes))
    windows = [crops.get(label, Window(1)) for label in "HW"]
    return call.lay("crop", Map(value.at, tuple(axes)), windows, call.inner("slice"))


def _sliced(value: Map, index: Any, tensor: Any) -> Map:
    """A map with the channels that an index takes."""
    for dim, each in enumerate(each for each in _whole_index(index, tensor.ndim) if each is not None):
        if isinstance(each, int | slice) and value.axes[dim] is None:
            first = each % tensor.shape[dim] if isinstance(each, int) else 0
            value = _part(value, tensor, dim, each if isinstance(each, slice) else slice(first, first + 1))
    return value


def _whole_index(index: Any, ndim: int) -> list[Any]:
    """An index with its ellipsis written out."""
    given = list(index) if isinstance(index, tuple) else [index]
    count = sum(1 for each in given if each is not None and each is not ...)
    at = next((i for i, each in enumerate(given) if each is ...), len(given))
    return [*given[:at], *[slice(None)] * (ndim - count), *given[at + 1 :]]


def setitem(call: Call, input: Any, index: Any, new: Any) -> Result:
    """Channels written in place: the tensor holds both what was there and what is there now."""
    value, source = call.of(input), call.of(new)
    given = _whole_index(index, input.ndim)
    axes = value.axes if value else source.axes if source and len(source.axes) == input.ndim else ()
    dims = [each for each in given if each is not None]
    if len(axes) != len(dims) or any(label and each != slice(None) for label, each in zip(axes, dims, strict=True)):
        return call.broken("writes some rows or columns only")
    at = call.maps[0].at if len(call.maps) == 1 else call.trace.merge(call.name(merge=True), "concat", _at(call))
    return Map(at, axes)


def _at(call: Call) -> list[int]:
    return [value.at for value in call.maps]
