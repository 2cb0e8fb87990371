"""What the operations of PyTorch do to a map that is cut along a dimension.

An operation is handled as PyTorch dispatches it, with the arguments of its schema. One that is not known is refused,
unless PyTorch tags it as pointwise or decomposes it. Handlers take the function and its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import prod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.nn import functional
from torch.utils._pytree import tree_leaves, tree_map_only

from padviz.network.operations import Window, placement

aten = torch.ops.aten
Function = Callable[..., Any]
Span = tuple[int, int]  # rows from the first up to the last + 1
MOST_WEIGHTS = 1 << 24  # of a resize that is no whole multiple, and of the taps of a pool
AROUND = {"nearest": 0, "nearest-exact": 0, "bicubic": 2}  # rows on each side that a resized row is made from


class Refused(Exception):
    """A map that is cut does not allow what a layer does; the message says what."""


class Rule(NamedTuple):
    """How an operation makes rows along the dimension that is cut.

    It makes `rows(n)` rows of n. Rows [first, end) read the span `reads(first, end)` of an endless axis, and
    `run(region, at, first, end)` makes them of that span, whose first row is `at`. Rows beyond the ends are filled with
    a number, or as a padding mode does. `again` rows at the end are read once more when the map ends.
    """

    rows: Callable[[int], int]
    reads: Callable[[int, int], Span]
    run: Callable[[Tensor, int, int, int], Tensor]
    fill: float | str = 0.0
    alias: bool = False
    again: int = 0


class CutMap(Tensor):
    """A map whose rows along dimension `along` lie in several places. Its shape is that of the whole map."""

    along: int
    alias: bool  # whether it may share memory with another map, row by row

    @classmethod
    def shell(cls, part: Tensor, along: int, n: int, alias: bool) -> Self:
        """Return a map with the shape of a part but n rows, and without any data."""
        shape = _put(part.shape, along, n)
        made: Self = Tensor._make_wrapper_subclass(cls, shape, dtype=part.dtype, device=part.device)
        made.along, made.alias = along, alias
        return made

    @property
    def n(self) -> int:
        """The number of its rows."""
        return self.shape[self.along]

    @property
    def behind(self) -> int:
        """The number of dimensions from its rows to the last."""
        return self.ndim - self.along

    def __repr__(self) -> str:  # type: ignore[override]
        return f"<{type(self).__name__} {tuple(self.shape)}, cut along dimension {self.along}>"

    def windowed(self, rule: Rule) -> CutMap:
        """Return the map that a rule makes of this one."""
        raise NotImplementedError

    def each(self, function: Function, args: Any, kwargs: Mapping[str, Any] | None = None, along: int = -1) -> Any:
        """Call a function on the parts of all maps in its arguments. The result has its rows along `along`."""
        raise NotImplementedError

    def pooled(self, function: Function, args: Any, kwargs: Mapping[str, Any]) -> list[tuple[int, Any]]:
        """Call a function on each part, and return the number of its rows with the result."""
        raise NotImplementedError

    def narrowed(self, tensor: Tensor, dim: int) -> Tensor:
        """Cut a tensor, which has a value for each row along `dim`, as this map is cut."""
        raise NotImplementedError

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if own := FUNCTIONS.get(function):
            return own(function, *args, **(kwargs or {}))
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if handle := OPERATIONS.get(function.overloadpacket):
            return handle(function, *args, **kwargs)
        if is_pointwise(function):
            return pointwise(function, *args, **kwargs)
        decompose = decomposition_table.get(function, function.decompose)
        if (made := decompose(*args, **kwargs)) is NotImplemented:
            raise Refused(f"runs {function.overloadpacket.__name__} over positions that are cut")
        return made


def cuts_in(*args: Any) -> list[CutMap]:
    """Return the maps that are cut among some arguments, each once."""
    return [*{id(leaf): leaf for leaf in tree_leaves(args) if isinstance(leaf, CutMap)}.values()]


def is_pointwise(function: Any) -> bool:
    """Return whether PyTorch tags an operation as pointwise, or the one that it does in place."""
    packet = getattr(aten, function.overloadpacket.__name__.removesuffix("_"), None)
    same = getattr(packet, function._overloadname, function)
    return torch.Tag.pointwise in {*function.tags, *same.tags}


def pointwise(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Broadcast from the last dimension. A plain tensor with a value for each row is cut like the maps."""
    like = max(cuts_in(args, kwargs), key=lambda each: each.behind)
    if function._schema.is_mutable and (args[0] is not like or like.alias):
        raise Refused("writes into a part of a map")

    def fitted(tensor: Tensor) -> Tensor:
        dim = tensor.ndim - like.behind
        if isinstance(tensor, CutMap) and tensor.behind == like.behind:
            return tensor
        return like.narrowed(tensor, dim) if dim >= 0 and tensor.shape[dim] != 1 else tensor

    fitted_args, fitted_kwargs = tree_map_only(Tensor, fitted, (args, kwargs))
    ndim = max(leaf.ndim for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
    result = like.each(function, fitted_args, fitted_kwargs, ndim - like.behind)
    return args[0] if function._schema.is_mutable else result


def _local(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call what works on each position alone."""
    return cuts_in(args, kwargs)[0].each(function, args, kwargs)


def _first_of(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call what works on each position alone, and returns other things behind the map."""
    first = _local(lambda *own, **more: function(*own, **more)[0], *args, **kwargs)
    return (first, *[torch.empty(0)] * (len(function._schema.returns) - 1))


def _given(function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a call by the names in its schema, with their defaults."""
    defaults = {argument.name: argument.default_value for argument in function._schema.arguments}
    return defaults | dict(zip(defaults, args, strict=False)) | kwargs


def _along_dims(function: Any, x: CutMap, *args: Any, **kwargs: Any) -> Any:
    """Call what works along the dimensions in its schema's `dim` or `dims`, if the rows are none of them."""
    given = _given(function, x, *args, **kwargs)
    if x.along in _dims(x, given.get("dim", given.get("dims"))):
        raise Refused(f"runs {function.overloadpacket.__name__} along positions that are cut")
    return x.each(function, (x, *args), kwargs)


def _dims(x: Tensor, dims: Any) -> list[int]:
    """Return dimensions, counted from the first and in order; all of them for None or an empty list."""
    return sorted({dim % x.ndim for dim in ([dims] if isinstance(dims, int) else dims or range(x.ndim))})


def _put(values: Sequence[Any], i: int, value: Any) -> list[Any]:
    return [value if j == i else own for j, own in enumerate(values)]


def padded(x: Tensor, along: int, before: int, after: int, value: float) -> Tensor:
    """Pad rows with a value."""
    return aten.constant_pad_nd(x, [0, 0] * (x.ndim - 1 - along) + [before, after], value)  # type: ignore[no-any-return]


# Windows


def _sliding(window: Window, run: Callable[[Tensor], Tensor], fill: float = 0.0) -> Rule:
    before, stride = window.padding[0], window.stride
    assert isinstance(before, int)
    return Rule(
        lambda n: placement(window, n).n_out,
        lambda first, end: (first * stride - before, (end - 1) * stride - before + window.extent),
        lambda region, at, first, end: run(region),
        fill,
    )


def _convolution(
    function: Any, x: CutMap, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> CutMap:  # fmt: skip
    axis, along = x.along - 2, x.along
    if axis < 0 or isinstance(weight, CutMap):
        raise Refused("makes weights of positions")
    k, s, p, d, more = (of[axis] for of in (weight.shape[2:], stride, padding, dilation, output_padding))
    free, tail, extent = _put(padding, axis, 0), _put(output_padding, axis, 0), d * (k - 1) + 1

    def run(region: Tensor) -> Tensor:
        return function(region, weight, bias, stride, free, dilation, transposed, tail, groups)  # type: ignore[no-any-return]

    if not transposed:
        return x.windowed(_sliding(Window(k, s, d, (p, p)), run))

    def reads(first: int, end: int) -> Span:
        """Output row y adds up rows (y + p - tap * d) / s, as far as these are whole numbers."""
        lo = -((extent - 1 - first - p) // s)
        return lo, max(lo, (end - 1 + p) // s + 1)

    def add_up(region: Tensor, at: int, first: int, end: int) -> Tensor:
        return run(padded(region, along, 1, 1, 0.0)).narrow(along, first + p - (at - 1) * s, end - first)

    return x.windowed(Rule(lambda n: (n - 1) * s - 2 * p + extent + more, reads, add_up))


def _pool_arguments(function: Any, x: CutMap, *values: Sequence[int]) -> tuple[int, list[list[int]]]:
    """Return the axis that is cut, and a list for each value with a number for each axis."""
    axes = 3 if "3d" in function._schema.name else 2
    return axes - x.behind, [[*own] * (axes if len(own) == 1 else 1) for own in values]


def _max_pool(
    function: Any, x: CutMap, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,), ceil_mode: bool = False,
) -> tuple[CutMap, Tensor]:  # fmt: skip
    i, (kernel, stride, padding, dilation) = _pool_arguments(function, x, kernel, stride or kernel, padding, dilation)
    free, window = _put(padding, i, 0), Window(kernel[i], stride[i], dilation[i], (padding[i],) * 2, ceil=ceil_mode)
    rule = _sliding(window, lambda region: function(region, kernel, stride, free, dilation, ceil_mode)[0], -torch.inf)
    return x.windowed(rule), torch.empty(0)


def _max_pool_of_signal(
    function: Any, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """Pool an image of one row, as PyTorch does, whose own check of a signal's length has 32 bits."""
    values = (
        each if isinstance(each, int) else each[0] for each in (kernel_size, stride or kernel_size, padding, dilation)
    )
    k, s, p, d = values
    image = aten.max_pool2d_with_indices(x.unsqueeze(-2), [1, k], [1, s], [0, p], [1, d], ceil_mode)[0]
    return image.squeeze(-2)


def _average_pool(
    function: Any, x: CutMap, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    ceil_mode: bool = False, with_padding: bool = True, divisor: int | None = None,
) -> CutMap:  # fmt: skip
    i, (kernel, stride, padding) = _pool_arguments(function, x, kernel, stride or kernel, padding)
    if divisor is None and (ceil_mode or (any(padding) and not with_padding)):  # windows have other numbers of taps
        shape = x.shape[-len(kernel) :]
        if (ceil_mode and any(padding) and with_padding) or prod(shape) > MOST_WEIGHTS:
            raise Refused("averages windows that stick out of its padding")
        ones = torch.ones((1, *shape), dtype=x.dtype, device=x.device)
        total, taps = (function(each, kernel, stride, padding, ceil_mode, True, 1) for each in (x, ones))
        return aten.div(total, taps)  # type: ignore[no-any-return]
    free, window = _put(padding, i, 0), Window(kernel[i], stride[i], 1, (padding[i],) * 2, ceil=ceil_mode)
    return x.windowed(
        _sliding(window, lambda region: function(region, kernel, stride, free, ceil_mode, with_padding, divisor))
    )


def _adaptive_pool(function: Any, x: CutMap, output: Sequence[int]) -> Any:
    i, n, along = len(output) - x.behind, x.n, x.along
    m, one = output[i], _put(output, i, 1)
    if m == 1:
        mean = aten.mean.dim(x, [along], True)
        return (
            mean
            if {*output} == {1} and not isinstance(mean, CutMap) and prod(mean.shape[-len(output) :]) == 1
            else function(mean, output)
        )

    def run(region: Tensor, at: int, first: int, end: int) -> Tensor:
        spans = ((row * n // m - at, -(-(row + 1) * n // m) - at) for row in range(first, end))
        return torch.cat([function(region.narrow(along, lo, hi - lo), one) for lo, hi in spans], along)

    return x.windowed(Rule(lambda n: m, lambda first, end: (first * n // m, -(-end * n // m)), run))


def _pad(x: CutMap, pads: Sequence[int], fill: float | str, pad: Callable[[Tensor, list[int]], Tensor]) -> CutMap:
    """Pad along the rows that are cut, and the other dimensions of each part; `pads` begin with the last dimension."""
    i = 2 * (x.behind - 1)
    before, after = [*pads[i : i + 2]] or (0, 0)
    others = [0 if j in (i, i + 1) else own for j, own in enumerate(pads)]
    rule = Rule(
        lambda n: n + before + after,
        lambda first, end: (first - before, end - before),
        lambda region, at, first, end: pad(region, others) if any(others) else region,
        fill,
        again=after + 1 if isinstance(fill, str) else 0,
    )
    return x.windowed(rule)


def _constant_pad(function: Any, x: CutMap, pads: Sequence[int], value: float = 0.0) -> CutMap:
    return _pad(x, pads, float(value), lambda region, others: function(region, others, value))


def _filled_pad(mode: str) -> Function:
    return lambda function, x, pads: _pad(x, pads, mode, function)


def _pad_by_mode(function: Any, x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    if mode == "circular":
        return _pad(x, pad, mode, lambda part, others: function(part, others, mode))
    with torch._C.DisableTorchFunctionSubclass():
        return function(x, pad, mode, value)


def _slice(
    function: Any, x: CutMap, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    if dim % x.ndim != x.along:
        return x.each(function, (x, dim, start, end, step))
    n, along = x.n, x.along
    begin, stop, _ = slice(start, end, step).indices(n)
    if (begin, stop, step) == (0, n, 1):
        return x.each(aten.alias.default, (x,))
    short = n - max(begin, stop)
    rule = Rule(
        lambda n: -(-(n - short - begin) // step),
        lambda first, end: (begin + first * step, begin + (end - 1) * step + 1),
        lambda region, at, first, end: function(region, along, 0, None, step),
        alias=True,
    )
    return x.windowed(rule)


def _pixel_shuffle(function: Any, x: Any, upscale_factor: int) -> Any:
    factor, along = upscale_factor, x.along
    rule = Rule(
        lambda n: n * factor,
        lambda first, end: (first // factor, -(-end // factor)),
        lambda region, at, first, end: function(region, factor).narrow(along, first - at * factor, end - first),
    )
    return x.windowed(rule)


def _pixel_unshuffle(function: Any, x: Any, downscale_factor: int) -> Any:
    factor = downscale_factor
    rule = Rule(
        lambda n: n // factor,
        lambda first, end: (first * factor, end * factor),
        lambda region, at, first, end: function(region, factor),
    )
    return x.windowed(rule)


def _interpolate(
    function: Any, x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Any:  # fmt: skip
    """Resize one axis after the other: by whole multiples from the rows around, else by the weights of PyTorch."""
    if antialias:
        raise Refused("resizes with antialias")
    shape, i = x.shape[2:], x.along - 2
    scales = [*scale_factor] if isinstance(scale_factor, list | tuple) else [scale_factor] * len(shape)
    sizes = [*size] if isinstance(size, list | tuple) else [size] * len(shape)
    if size is None:
        sizes = [int(n * scale) for n, scale in zip(shape, scales, strict=True)]
    if size is not None or recompute_scale_factor:
        scales = [None] * len(shape)

    def resized(part: Tensor, axis: int, m: int, scale: float | None) -> Tensor:
        if 0 in part.shape:  # PyTorch does not resize a part without rows
            return part.new_empty([*part.shape[:2], *_put(part.shape[2:], axis, m)])
        own: dict[str, Any] = {"size": _put(part.shape[2:], axis, m)}
        if scale is not None:
            own = {"scale_factor": _put([1.0] * len(shape), axis, scale)}
        return function(part, **own, mode=mode, align_corners=align_corners)  # type: ignore[no-any-return]

    for axis, (n, m, scale) in enumerate(zip(shape, sizes, scales, strict=True)):
        if m == n and scale in (None, 1):
            continue
        if axis != i:
            x = x.each(resized, (x, axis, m, scale))
        elif m % n == 0 and scale in (None, m // n) and not align_corners:
            rule = _multiple(m // n, AROUND.get(mode, 1), x.along, lambda part, rows: resized(part, i, rows, None))
            x = x.windowed(rule)
        elif n * m > MOST_WEIGHTS:
            raise Refused(f"resizes {n} rows to {m}, which is not a whole multiple")
        else:
            lines = torch.eye(n, dtype=torch.float64).reshape(n, 1, *_put([1] * len(shape), i, n))
            x = x.windowed(_weighted(resized(lines, i, m, scale).reshape(n, m).T.to(x), x.along))
    return x


def _multiple(factor: int, around: int, along: int, resized: Callable[[Tensor, int], Tensor]) -> Rule:
    """Return the rule of a resize: row y is made of `around` rows on each side of (2 y + 1 - factor) / (2 factor)."""

    def reads(first: int, end: int) -> Span:
        if not around:
            return first // factor, -(-end // factor)
        lo, hi = ((2 * row + 1 - factor) // (2 * factor) for row in (first, end - 1))
        return lo + 1 - around, hi + 1 + around

    def run(region: Tensor, at: int, first: int, end: int) -> Tensor:
        lo, hi, n = first // factor - around, -(-end // factor) + around, region.shape[along]
        head, tail = region.narrow(along, 0, 1), region.narrow(along, n - 1, 1)  # of no weight, but PyTorch reads them
        grown = torch.cat([*[head] * (at - lo), region, *[tail] * (hi - at - n)], along)
        return resized(grown, (hi - lo) * factor).narrow(along, first - lo * factor, end - first)

    return Rule(lambda n: n * factor, reads, run, "replicate")


def _weighted(weights: Tensor, along: int) -> Rule:
    """Return the rule of a product with weights (rows out, rows in), of which each row has few that are not 0."""
    spans = [(int(row.min()), int(row.max()) + 1) for row in map(torch.nonzero, weights)]

    def run(region: Tensor, at: int, first: int, end: int) -> Any:
        return product(region, weights[first:end, at : at + region.shape[along]])

    def product(x: Tensor, own: Tensor) -> Any:
        if isinstance(x, CutMap):
            return x.each(product, (x, own))
        return torch.tensordot(own, x, ([1], [along])).movedim(0, along)

    def reads(first: int, end: int) -> Span:
        return min(lo for lo, _ in spans[first:end]), max(hi for _, hi in spans[first:end])

    return Rule(lambda n: len(spans), reads, run)


# Other arrangements of the same values


def _view(function: Any, x: CutMap, shape: Sequence[int]) -> Any:
    """Keep the rows where the new shape has them, with as many values in front; refuse any other."""
    if -1 in shape:
        shape = _put(shape, [*shape].index(-1), prod(x.shape) // -prod(shape))
    in_front, n = prod(x.shape[: x.along]), x.n
    at = next((i for i, rows in enumerate(shape) if rows == n and prod(shape[:i]) == in_front), None)
    if at is None:
        was, becomes = (" x ".join(map(str, each)) for each in (x.shape, shape))
        raise Refused(f"rearranges positions: {was} becomes {becomes}")
    return x.each(lambda part: part.reshape(_put(shape, at, part.shape[x.along])), (x,), None, at)


def _permute(function: Any, x: CutMap, dims: Sequence[int]) -> Any:
    return x.each(function, (x, dims), None, [dim % x.ndim for dim in dims].index(x.along))


def _transpose(function: Any, x: CutMap, one: int, other: int) -> Any:
    one, other = one % x.ndim, other % x.ndim
    return x.each(function, (x, one, other), None, {one: other, other: one}.get(x.along, x.along))


def _unsqueeze(function: Any, x: CutMap, dim: int) -> Any:
    return x.each(function, (x, dim), None, x.along + (dim % (x.ndim + 1) <= x.along))


def _squeeze(function: Any, x: CutMap, dims: Any = None) -> Any:
    gone = [dim for dim in _dims(x, dims) if x.shape[dim] == 1 and dim != x.along]
    return x.each(aten.squeeze.dims, (x, gone), None, x.along - sum(dim < x.along for dim in gone))


def _select(function: Any, x: CutMap, dim: int, index: int) -> Any:
    if dim % x.ndim == x.along:
        raise Refused("takes a single position")
    return x.each(function, (x, dim, index), None, x.along - (dim % x.ndim < x.along))


def _expand(function: Any, x: CutMap, shape: Sequence[int], **kwargs: Any) -> Any:
    along = len(shape) - x.behind
    return x.each(function, (x, _put(shape, along, -1)), kwargs, along)


def _join(function: Any, maps: Sequence[Tensor], dim: int = 0) -> Any:
    """Concatenate or stack maps that are cut alike."""
    like = cuts_in(maps)[0]
    stacks = function.overloadpacket is aten.stack
    if not stacks and dim % like.ndim == like.along:
        raise Refused("joins maps end to end")
    along = like.along + (stacks and dim % (like.ndim + 1) <= like.along)
    own = [each if isinstance(each, CutMap) else like.narrowed(each, like.along) for each in maps]
    return like.each(lambda *parts: function([*parts], dim), own, None, along)


# Products, sums and norms


def _linear(function: Any, x: Any, weight: Tensor, bias: Tensor | None = None) -> Any:
    if not isinstance(x, CutMap) or x.along == x.ndim - 1:
        raise Refused("is a linear layer over positions")
    return x.each(function, (x, weight, bias))


def _product(function: Any, one: Any, other: Any) -> Any:
    both, (cut, *_) = len(cuts_in(one, other)) > 1, cuts_in(one, other)
    if both or cut.along == cut.ndim - (1 if cut is one else 2):
        raise Refused("multiplies positions with each other, as attention does: no overlap helps")
    return cut.each(function, (one, other))


def _attention(function: Any, *args: Any, **kwargs: Any) -> Any:
    raise Refused("is attention over positions: no overlap helps")


def _reduced(combine: Callable[[list[tuple[int, Any]]], Any] | None = None) -> Function:
    """Return a handler of what reduces dimensions, which combines the results of the parts if it can."""

    def handle(function: Any, x: CutMap, *args: Any, **kwargs: Any) -> Any:
        given = _given(function, x, *args, **kwargs)
        dims = _dims(x, given.get("dim"))
        if x.along not in dims:
            gone = 0 if given.get("keepdim") else sum(dim < x.along for dim in dims)
            return x.each(function, (x, *args), kwargs, x.along - gone)
        if combine is None or len(function._schema.returns) > 1:
            raise Refused(f"runs {function.overloadpacket.__name__} over positions that are cut")
        return combine(x.pooled(function, (x, *args), kwargs))

    return handle


def _total(parts: list[tuple[int, Any]]) -> Any:
    return reduce(aten.add, [value for _, value in parts])


def _mean(parts: list[tuple[int, Any]]) -> Any:
    n = sum(rows for rows, _ in parts)
    return reduce(aten.add, [value * (rows / n) for rows, value in parts])


def _extreme(function: Function) -> Function:
    return lambda parts: reduce(function, [value for _, value in parts])


def _moments(function: Any, x: CutMap, *args: Any, **kwargs: Any) -> Any:
    """Return variance and mean. Counts, means and squared sums of parts are combined by the formula of Chan et al."""
    given, packet = _given(function, x, *args, **kwargs), function.overloadpacket
    dims, keep = _dims(x, given.get("dim")), given.get("keepdim", False)
    if x.along not in dims:
        return x.each(function, (x, *args), kwargs, x.along - (0 if keep else sum(dim < x.along for dim in dims)))
    others, count = prod(x.shape[dim] for dim in dims) // x.n, 0
    mean: Any = 0.0
    squares: Any = 0.0
    parts = x.pooled(aten.var_mean.correction, (x, dims), {"correction": 0, "keepdim": keep})
    for rows, (variance, own_mean) in parts:
        n, apart = rows * others, own_mean - mean
        squares = squares + variance * n + apart * apart * (count * n / (count + n))
        mean, count = mean + apart * (n / (count + n)), count + n
    correction = given.get("correction", int(given.get("unbiased", True)))
    variance = squares / (count - (1 if correction is None else correction))
    return (variance, mean) if packet is aten.var_mean else variance if packet is aten.var else variance.sqrt()


def _group_norm(
    function: Any, x: CutMap, weight: Tensor | None, bias: Tensor | None, n: int, channels: int, positions: int,
    groups: int, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    grouped = aten.view(x, [n, groups, channels // groups, *x.shape[2:]])
    variance, mean = aten.var_mean.correction(grouped, [*range(2, grouped.ndim)], correction=0, keepdim=True)
    by_channel = [1, groups, channels // groups, *[1] * (x.ndim - 2)]
    scale = aten.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight.reshape(by_channel)
    shift = -mean * scale if bias is None else bias.reshape(by_channel) - mean * scale
    return aten.view(aten.addcmul(shift, grouped, scale), [*x.shape]), torch.empty(0), torch.empty(0)


def _layer_norm(function: Any, x: CutMap, shape: Sequence[int], *others: Any) -> Any:
    local = x.along < x.ndim - len(shape)
    return (_first_of if local else decomposition_table[function])(*([function] * local), x, shape, *others)


def _batch_norm(function: Any, x: CutMap, weight: Any, bias: Any, mean: Any, variance: Any, *others: Any) -> Any:
    if others[0]:
        raise Refused("is a batch norm in training mode: call .eval() on the module")
    return _first_of(function, x, weight, bias, mean, variance, *others)


def _instance_norm(
    function: Any, x: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if not use_input_stats:
        return functional.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _group_norm(function, x, weight, bias, len(x), x.shape[1], 0, x.shape[1], eps)[0]


FUNCTIONS: dict[Any, Function] = {
    functional.pad: _pad_by_mode,
    functional.interpolate: _interpolate,
    functional.pixel_shuffle: _pixel_shuffle,
    functional.pixel_unshuffle: _pixel_unshuffle,
    functional.instance_norm: _instance_norm,
    functional.linear: _linear,
    **dict.fromkeys((torch.max_pool1d, functional.max_pool1d), _max_pool_of_signal),
    **dict.fromkeys(
        (torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, torch.bmm, Tensor.bmm), _product
    ),
    **dict.fromkeys((functional.scaled_dot_product_attention, functional.multi_head_attention_forward), _attention),
}
OPERATIONS: dict[Any, Function] = {
    aten.convolution: _convolution,
    **dict.fromkeys((aten.max_pool2d_with_indices, aten.max_pool3d_with_indices), _max_pool),
    **dict.fromkeys((aten.avg_pool2d, aten.avg_pool3d), _average_pool),
    **dict.fromkeys((aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d), _adaptive_pool),
    aten.constant_pad_nd: _constant_pad,
    **{getattr(aten, f"reflection_pad{axes}d"): _filled_pad("reflect") for axes in (1, 2, 3)},
    **{getattr(aten, f"replication_pad{axes}d"): _filled_pad("replicate") for axes in (1, 2, 3)},
    aten.slice: _slice,
    aten.copy_: pointwise,
    **dict.fromkeys((aten.view, aten._unsafe_view), _view),
    aten.permute: _permute,
    aten.transpose: _transpose,
    aten.unsqueeze: _unsqueeze,
    aten.squeeze: _squeeze,
    aten.select: _select,
    aten.expand: _expand,
    **dict.fromkeys((aten.cat, aten.stack), _join),
    aten.sum: _reduced(_total),
    aten.mean: _reduced(_mean),
    **dict.fromkeys((aten.amax, aten.max), _reduced(_extreme(torch.maximum))),
    **dict.fromkeys((aten.amin, aten.min), _reduced(_extreme(torch.minimum))),
    aten.argmax: _reduced(),
    **dict.fromkeys((aten.var_mean, aten.var, aten.std), _moments),
    aten.native_group_norm: _group_norm,
    aten.native_layer_norm: _layer_norm,
    aten.native_batch_norm: _batch_norm,
    aten._native_batch_norm_legit_no_training: _first_of,
    **dict.fromkeys((aten.alias, aten.clone, aten.detach, aten._to_copy), _local),
    **dict.fromkeys((aten.zeros_like, aten.ones_like, aten.empty_like, aten.full_like), _local),
    **dict.fromkeys((aten._softmax, aten._log_softmax, aten.cumsum, aten.flip, aten.roll, aten.topk), _along_dims),
    **dict.fromkeys((aten.split, aten.split_with_sizes), _along_dims),
}
