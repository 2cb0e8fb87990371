"""What windows, pools, pads, slices and resizes do to a map that is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.nn import functional

from padviz import nn
from padviz.cutting.cut_map import CutMap, Function, Refused, Rule, handles, padded, put
from padviz.cutting.exact_units import Span
from padviz.network.operations import Window, placement
from padviz.network.padding_modes import SCHEMES

aten = torch.ops.aten
N = TypeVar("N", int, float)
Numbers: TypeAlias = "N | list[N] | tuple[N, ...]"  # one for all axes, or one for each
AROUND = {
    "nearest": 0,
    "nearest-exact": 0,
    "bicubic": 2,
}  # rows on each side that a resized row is made from
MOST_WEIGHTS = 1 << 24  # of a resize that is no whole multiple, and of the taps of a pool


def _sliding(window: Window, run: Callable[[Tensor], Tensor], fill: float = 0.0) -> Rule:
    before, stride = window.padding[0], window.stride
    assert isinstance(before, int)
    return Rule(
        lambda n: placement(window, n).n_out,
        lambda first, end: (first * stride - before, (end - 1) * stride - before + window.extent),
        lambda region, at, first, end: run(region),
        fill,
    )


@handles(aten.convolution, aten._convolution)  # as modules and as their traces call it
def _convolution(
    function: OpOverload,
    x: CutMap,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *flags: bool,
) -> CutMap:
    axis, along = x.along - 2, x.along
    if axis < 0 or isinstance(weight, CutMap):
        raise Refused("makes weights of positions")
    padding, output_padding = (
        [*of] * (1 if of[1:] else x.ndim - 2) for of in (padding, output_padding)
    )
    k, s, p, d, more = (
        of[axis] for of in (weight.shape[2:], stride, padding, dilation, output_padding)
    )
    free, tail, extent = put(padding, axis, 0), put(output_padding, axis, 0), d * (k - 1) + 1

    def run(region: Tensor) -> Tensor:
        result: Tensor = function(
            region, weight, bias, stride, free, dilation, transposed, tail, groups, *flags
        )
        return result

    if not transposed:
        return x.windowed(_sliding(Window(k, s, d, (p, p)), run))

    def reads(first: int, end: int) -> Span:
        """Output row y adds up rows (y + p - tap * d) / s, as far as these are whole numbers."""
        lo = -((extent - 1 - first - p) // s)
        return lo, max(lo, (end - 1 + p) // s + 1)

    def add_up(region: Tensor, at: int, first: int, end: int) -> Tensor:
        return run(padded(region, along, 1, 1, 0.0)).narrow(
            along, first + p - (at - 1) * s, end - first
        )

    return x.windowed(Rule(lambda n: (n - 1) * s - 2 * p + extent + more, reads, add_up))


def _pool_arguments(
    function: OpOverload, x: CutMap, *values: Sequence[int]
) -> tuple[int, list[list[int]]]:
    """Return the axis that is cut, and a list for each value with a number for each axis."""
    axes = 2
    if "3d" in function._schema.name:
        axes = 3
    return axes - x.behind, [[*value] * (axes if len(value) == 1 else 1) for value in values]


@handles(aten.max_pool2d_with_indices, aten.max_pool3d_with_indices)
def _max_pool(
    function: OpOverload,
    x: CutMap,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[CutMap, Tensor]:
    i, (kernel, stride, padding, dilation) = _pool_arguments(
        function, x, kernel, stride or kernel, padding, dilation
    )
    free = put(padding, i, 0)
    window = Window(kernel[i], stride[i], dilation[i], (padding[i],) * 2, ceil=ceil_mode)
    if x.is_floating_point():
        least = -torch.inf
    else:
        least = torch.iinfo(x.dtype).min
    rule = _sliding(
        window, lambda region: function(region, kernel, stride, free, dilation, ceil_mode)[0], least
    )
    return x.windowed(rule), torch.empty(0)


@handles(torch.max_pool1d, functional.max_pool1d)
def _max_pool_of_signal(
    function: object,
    x: CutMap,
    kernel_size: Numbers[int],
    stride: Numbers[int] | None = None,
    padding: Numbers[int] = 0,
    dilation: Numbers[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> object:
    """Pool an image of one row, as PyTorch does, whose own check of a signal's length
    has 32 bits.
    """
    given = kernel_size, stride or kernel_size, padding, dilation
    k, s, p, d = (value if isinstance(value, int) else value[0] for value in given)
    image = aten.max_pool2d_with_indices(
        x.unsqueeze(-2), [1, k], [1, s], [0, p], [1, d], ceil_mode
    )[0]
    return image.squeeze(-2)


@handles(aten.avg_pool2d, aten.avg_pool3d)
def _average_pool(
    function: OpOverload,
    x: CutMap,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    with_padding: bool = True,
    divisor: int | None = None,
) -> CutMap:
    i, (kernel, stride, padding) = _pool_arguments(function, x, kernel, stride or kernel, padding)
    if kernel[i] == x.n and not padding[i] and divisor is None:  # of all rows
        row = aten.mean.dim(x, [x.along], True)
        pooled: CutMap = function(
            row, put(kernel, i, 1), put(stride, i, 1), padding, ceil_mode, with_padding
        )
        return pooled
    # windows have other numbers of taps
    if divisor is None and (ceil_mode or (any(padding) and not with_padding)):
        total = function(x, kernel, stride, padding, ceil_mode, True, 1)
        axes = len(kernel)
        for j, n in enumerate(x.shape[-axes:]):
            if n > MOST_WEIGHTS:  # a stream has no end
                raise Refused("averages windows that stick out of its padding")
            first = torch.arange(total.shape[j - axes], device=x.device) * stride[j] - padding[j]
            end = (first + kernel[j]).clamp(max=n + padding[j])
            if with_padding:
                taps = end - first
            else:
                taps = end.clamp(max=n) - first.clamp(min=0)
            total = aten.div(total, taps.reshape(put([1] * axes, j, -1)))
        return total  # type: ignore[no-any-return]
    free = put(padding, i, 0)
    window = Window(kernel[i], stride[i], 1, (padding[i],) * 2, ceil=ceil_mode)
    return x.windowed(
        _sliding(
            window,
            lambda region: function(region, kernel, stride, free, ceil_mode, with_padding, divisor),
        )
    )


@handles(aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d)
def _adaptive_average(function: OpOverload, x: CutMap, output: Sequence[int]) -> object:
    return _adaptive(x, output, function, aten.mean.dim)


@handles(aten.adaptive_max_pool2d, aten.adaptive_max_pool3d)
def _adaptive_max(function: OpOverload, x: CutMap, output: Sequence[int]) -> tuple[object, Tensor]:
    return _adaptive(
        x, output, lambda part, size: function(part, size)[0], aten.amax.default
    ), torch.empty(0)


def _adaptive(x: CutMap, output: Sequence[int], pool: Function, pool_rows: Function) -> object:
    """Pool to a number of rows on each axis; `pool_rows` makes one row of all."""
    i, n, along = len(output) - x.behind, x.n, x.along
    m, one = output[i], put(output, i, 1)
    if m == 1:
        return pool(pool_rows(x, [along], True), output)

    def run(region: Tensor, at: int, first: int, end: int) -> Tensor:
        spans = ((row * n // m - at, -(-(row + 1) * n // m) - at) for row in range(first, end))
        return torch.cat([pool(region.narrow(along, lo, hi - lo), one) for lo, hi in spans], along)

    return x.windowed(Rule(lambda n: m, lambda first, end: (first * n // m, -(-end * n // m)), run))


def _pad(
    x: CutMap, pads: Sequence[int], fill: float | str, pad: Callable[[Tensor, list[int]], Tensor]
) -> CutMap:
    """Pad along the rows that are cut, and the other dimensions of each part; `pads` begin with the
    last dimension.
    """
    i = 2 * (x.behind - 1)
    before, after = [*pads[i : i + 2]] or (0, 0)
    others = [0 if j in (i, i + 1) else n for j, n in enumerate(pads)]
    rule = Rule(
        lambda n: n + before + after,
        lambda first, end: (first - before, end - before),
        lambda region, at, first, end: pad(region, others) if any(others) else region.clone(),
        fill,
        read_at_end=after + 1 if isinstance(fill, str) else 0,
    )
    return x.windowed(rule)


@handles(aten.constant_pad_nd)
def _constant_pad(
    function: OpOverload, x: CutMap, pads: Sequence[int], value: float = 0.0
) -> CutMap:
    return _pad(x, pads, float(value), lambda region, others: function(region, others, value))


def _filled_pad(mode: str) -> Function:
    return lambda function, x, pads: _pad(x, pads, mode, function)


handles(aten.reflection_pad1d, aten.reflection_pad2d, aten.reflection_pad3d)(_filled_pad("reflect"))
handles(aten.replication_pad1d, aten.replication_pad2d, aten.replication_pad3d)(
    _filled_pad("replicate")
)


@handles(functional.pad)
def _pad_by_mode(
    function: Function,
    x: CutMap,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> object:
    if mode == "circular":  # which copies what is left
        left: Any = x
        if min(pad) < 0:
            left = functional.pad(x, [min(n, 0) for n in pad])
        return _pad(
            left, [max(n, 0) for n in pad], mode, lambda part, others: function(part, others, mode)
        )
    with torch._C.DisableTorchFunctionSubclass():
        return function(x, pad, mode, value)


@handles(nn.padded)
def _pad_by_scheme(
    function: Function,
    x: CutMap,
    pads: nn.Pads,
    schemes: nn.Schemes,
    dims: tuple[int, int] = nn.IMAGE,
    value: float | None = None,
) -> CutMap:
    """Pad one dimension after the other."""
    for k, (dim, scheme) in enumerate(zip(dims, schemes, strict=True)):
        alone = put([(0, 0), (0, 0)], k, pads[k])
        behind = x.ndim - 1 - dim % x.ndim
        fill = scheme if SCHEMES[scheme].reads else float(value or 0)

        def pad(part: Tensor, _: object, alone: Sequence[object] = alone) -> Tensor:
            return function(part, alone, schemes, dims, value)  # type: ignore[no-any-return]

        x = _pad(x, [0, 0] * behind + [*pads[k]], fill, pad)
    return x


@handles(nn.padded_conv2d)
def _padded_convolution(function: object, *args: Any, **kwargs: Any) -> Tensor:
    return nn.convolved(*args, **kwargs)


@handles(aten.index)
def _index(function: OpOverload, x: Tensor, indices: Sequence[Tensor | None]) -> object:
    """Pick along one dimension that is not cut, as x[:, [2, 1, 0]] picks channels."""
    (dim, index), *others = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    # A mask of several dimensions picks along all of them.
    along_several = others or (index.dtype == torch.bool and index.ndim > 1)
    if not isinstance(x, CutMap) or isinstance(index, CutMap) or dim == x.along or along_several:
        raise Refused("runs index over positions that are cut")
    return x.each(function, (x, indices), None, x.along + (index.ndim - 1) * (dim < x.along))


@handles(aten.slice)
def _slice(
    function: OpOverload,
    x: CutMap,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> object:
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


@handles(functional.pixel_shuffle)
def _pixel_shuffle(function: Function, x: CutMap, upscale_factor: int) -> CutMap:
    factor, along = upscale_factor, x.along
    rule = Rule(
        lambda n: n * factor,
        lambda first, end: (first // factor, -(-end // factor)),
        lambda region, at, first, end: function(region, factor).narrow(
            along, first - at * factor, end - first
        ),
    )
    return x.windowed(rule)


@handles(functional.pixel_unshuffle)
def _pixel_unshuffle(function: Function, x: CutMap, downscale_factor: int) -> CutMap:
    factor, run = (
        downscale_factor,
        lambda region, at, first, end: function(region, downscale_factor),
    )
    return x.windowed(
        Rule(lambda n: n // factor, lambda first, end: (first * factor, end * factor), run)
    )


@handles(functional.interpolate)
def _interpolate(
    function: Function,
    x: Any,
    size: Numbers[int] | None = None,
    scale_factor: Numbers[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> object:
    """Resize one axis after the other: by whole multiples from the rows around, else by the weights
    of PyTorch.
    """
    if antialias:
        raise Refused("resizes with antialias")
    shape, i = x.shape[2:], x.along - 2
    sizes, scales = _resized_to(shape, size, scale_factor)
    if size is not None or recompute_scale_factor:
        scales = [None] * len(shape)

    def resized(part: Tensor, axis: int, m: int, scale: float | None) -> Tensor:
        if 0 in part.shape:  # PyTorch does not resize a part without rows
            return part.new_empty([*part.shape[:2], *put(part.shape[2:], axis, m)])
        to: dict[str, object] = {"size": put(part.shape[2:], axis, m)}
        if scale is not None:
            to = {"scale_factor": put([1.0] * len(shape), axis, scale)}
        result: Tensor = function(part, **to, mode=mode, align_corners=align_corners)
        return result

    if sizes == [*shape]:
        x = x.clone()
    for axis, (n, m, scale) in enumerate(zip(shape, sizes, scales, strict=True)):
        if m == n and scale in (None, 1):
            continue
        if axis != i:
            x = x.each(resized, (x, axis, m, scale))
        elif m % n == 0 and scale in (None, m // n) and not align_corners:
            rule = _multiple(
                m // n,
                AROUND.get(mode, 1),
                x.along,
                lambda part, rows: resized(part, i, rows, None),
            )
            x = x.windowed(rule)
        else:
            x = x.windowed(
                _weighted(
                    _weights(len(shape), i, n, m, partial(resized, axis=i, m=m, scale=scale)), x
                )
            )
    return x


def _weights(axes: int, i: int, n: int, m: int, resized: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the weights (m, n) by which PyTorch resizes `n` rows on axis `i` to `m`."""
    if n * m > MOST_WEIGHTS:
        raise Refused(f"resizes {n} rows to {m}, which is not a whole multiple")
    # Of n images, each has a one in another row. What becomes of it is that row's weight in each
    # row out.
    images = torch.eye(n, dtype=torch.float64, device="cpu").reshape(n, 1, *put([1] * axes, i, n))
    return resized(images).reshape(n, m).T


def _resized_to(
    shape: Sequence[int],
    size: Numbers[int] | None,
    scale_factor: Numbers[float] | None,
) -> tuple[list[int], list[float | None]]:
    """Return the size of each axis after a resize, and the scales that are given, one for each
    axis.
    """
    scales: list[Any] = [scale_factor] * len(shape)
    if isinstance(scale_factor, list | tuple):
        scales = [*scale_factor]
    if size is None:
        return [int(n * scale) for n, scale in zip(shape, scales, strict=True)], scales
    if isinstance(size, list | tuple):
        return [*size], scales
    return [size] * len(shape), scales


def _multiple(
    factor: int, around: int, along: int, resized: Callable[[Tensor, int], Tensor]
) -> Rule:
    """Return the rule of a resize: row y is made of `around` rows on each side of (2 y + 1 -
    factor) / (2 factor).
    """

    def reads(first: int, end: int) -> Span:
        if not around:
            return first // factor, -(-end // factor)
        lo, hi = ((2 * row + 1 - factor) // (2 * factor) for row in (first, end - 1))
        return lo + 1 - around, hi + 1 + around

    def run(region: Tensor, at: int, first: int, end: int) -> Tensor:
        lo, hi, n = first // factor - around, -(-end // factor) + around, region.shape[along]
        head, tail = (
            region.narrow(along, 0, 1),
            region.narrow(along, n - 1, 1),
        )  # of no weight, but PyTorch reads them
        grown = torch.cat([*[head] * (at - lo), region, *[tail] * (hi - at - n)], along)
        return resized(grown, (hi - lo) * factor).narrow(along, first - lo * factor, end - first)

    return Rule(lambda n: n * factor, reads, run, "replicate")


def _weighted(weights: Tensor, x: CutMap) -> Rule:
    """Return the rule of a product with weights (rows out, rows in), of which each row has few that
    are not 0.
    """
    spans = [(int(row.min()), int(row.max()) + 1) for row in map(torch.nonzero, weights)]
    weights, along = weights.to(x), x.along

    def run(region: Tensor, at: int, first: int, end: int) -> Any:
        return product(region, weights[first:end, at : at + region.shape[along]])

    def product(x: Tensor, rows: Tensor) -> Any:
        if isinstance(x, CutMap):
            return x.each(product, (x, rows))
        return torch.tensordot(rows, x, ([1], [along])).movedim(0, along)

    def reads(first: int, end: int) -> Span:
        return min(lo for lo, _ in spans[first:end]), max(hi for _, hi in spans[first:end])

    return Rule(lambda n: len(spans), reads, run)
