"""Which rows windows, pools, pads and resizes read of a map that is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from padviz import nn
from padviz.cutting.calls import by_dims
from padviz.cutting.cut_map import (
    CutMap,
    Function,
    OpOverload,
    Rows,
    Rule,
    aten,
    local,
    put,
    rule_of,
    whole,
)
from padviz.cutting.exact_units import Span
from padviz.network.operations import Window, placement
from padviz.network.padding_modes import SCHEMES

N = TypeVar("N", int, float)
Numbers: TypeAlias = "N | list[N] | tuple[N, ...]"  # one for all axes, or one for each
# rows on each side that a resized row is made from
AROUND = {"nearest": 0, "nearest-exact": 0, "bicubic": 2}
MOST_WEIGHTS = 1 << 24  # of a resize that is no whole multiple


def _sliding(window: Window, fill: float = 0.0) -> Rule:
    before, stride = window.padding[0], window.stride
    assert isinstance(before, int)
    return Rule(
        lambda n: placement(window, n).n_out,
        lambda first, end: (first * stride - before, (end - 1) * stride - before + window.extent),
        fill,
    )


def _each_axis(values: Sequence[int], axes: int) -> list[int]:
    """Return a number for each axis, where there may be one for all."""
    if len(values) == 1:
        return [*values] * axes
    return [*values]


def _free(values: Sequence[int], x: CutMap, axes: int) -> list[int]:
    """Return the numbers of axes with 0 for those that are cut, whose padding is in the regions."""
    shift = x.ndim - axes
    return [0 if axis + shift in x.cut else n for axis, n in enumerate(values)]


@rule_of(aten.convolution, aten._convolution)  # as modules and as their traces call it
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
    given = (stride, padding, dilation, transposed, output_padding, groups, *flags)
    if not isinstance(x, CutMap) or isinstance(weight, CutMap):
        return whole(function, x, weight, bias, *given)  # type: ignore[no-any-return]
    axes = x.ndim - 2
    stride, padding, dilation, more = (
        _each_axis(values, axes) for values in (stride, padding, dilation, output_padding)
    )
    free, tail = _free(padding, x, axes), _free(more, x, axes)

    def run(region: Tensor) -> Tensor:
        home = region.device
        weights = weight.to(home), None if bias is None else bias.to(home)
        result: Tensor = function(
            region, *weights, stride, free, dilation, transposed, tail, groups, *flags
        )
        return result

    def added_up(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        """Run over one row more on each side, and keep what is asked for."""
        cut = [dim for dim in rows if dim > 1]
        wider = padded(region, dict.fromkeys(cut, (1, 1)), 0.0)
        result = run(wider)
        for dim in cut:
            at, first, end = rows[dim]
            start = first + padding[dim - 2] - (at - 1) * stride[dim - 2]
            result = result.narrow(dim, start, end - first)
        return result

    rules = {}
    for axis in range(axes):
        k, s, p, d = weight.shape[2 + axis], stride[axis], padding[axis], dilation[axis]
        if transposed:
            rules[axis + 2] = _transposed(d * (k - 1) + 1, s, p, more[axis])
        else:
            rules[axis + 2] = _sliding(Window(k, s, d, (p, p)))
    make = added_up if transposed else lambda region, rows: run(region)
    taps = weight[:1].numel()
    if transposed:
        taps = weight[:, :1].numel()
    return by_dims(x, rules, make, whole=[1], costly=taps)  # type: ignore[no-any-return]


def _transposed(extent: int, s: int, p: int, more: int) -> Rule:
    def reads(first: int, end: int) -> Span:
        """Output row y adds up rows (y + p - tap * d) / s, as far as these are whole numbers."""
        lo = -((extent - 1 - first - p) // s)
        return lo, max(lo, (end - 1 + p) // s + 1)

    return Rule(lambda n: (n - 1) * s - 2 * p + extent + more, reads)


def padded(x: Tensor, rows: Mapping[int, tuple[int, int]], value: float) -> Tensor:
    """Pad dimensions (before, after) with a value."""
    amounts = [n for dim in range(x.ndim - 1, -1, -1) for n in rows.get(dim, (0, 0))]
    if not any(amounts):
        return x
    wider: Tensor = aten.constant_pad_nd(x, amounts, value)
    return wider


def _axes_of(function: OpOverload) -> int:
    """Return the number of axes of a pool."""
    if "3d" in function._schema.name:
        return 3
    return 2


def _pool(
    x: CutMap,
    numbers: Sequence[Sequence[int]],
    ceil: bool,
    fill: float,
    run: Callable[[Tensor, list[int], Mapping[int, Rows]], Tensor],
) -> CutMap:
    """Pool by windows whose size, stride, padding and dilation have numbers for each axis."""
    kernel, stride, padding, dilation = numbers
    shift, rules = x.ndim - len(kernel), {}
    for axis, (k, s, p, d) in enumerate(zip(kernel, stride, padding, dilation, strict=True)):
        rules[axis + shift] = _sliding(Window(k, s, d, (p, p), ceil=ceil), fill)
    free = _free(padding, x, len(kernel))
    return by_dims(x, rules, lambda region, rows: run(region, free, rows), costly=prod(kernel))  # type: ignore[no-any-return]


@rule_of(aten.max_pool2d_with_indices, aten.max_pool3d_with_indices)
def _max_pool(
    function: OpOverload,
    x: CutMap,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[CutMap, Tensor]:
    axes = _axes_of(function)
    numbers = [_each_axis(n, axes) for n in (kernel, stride or kernel, padding, dilation)]
    if x.is_floating_point():
        least = -torch.inf
    else:
        least = torch.iinfo(x.dtype).min

    def run(region: Tensor, free: list[int], rows: object) -> Tensor:
        pooled: Tensor = function(region, numbers[0], numbers[1], free, numbers[3], ceil_mode)[0]
        return pooled

    return _pool(x, numbers, ceil_mode, least, run), torch.empty(0)


@rule_of(torch.max_pool1d, functional.max_pool1d)
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
    """Pool an image of one row, as PyTorch does, whose own check of a signal's length has 32
    bits.
    """
    given = kernel_size, stride or kernel_size, padding, dilation
    k, s, p, d = (value if isinstance(value, int) else value[0] for value in given)
    image = aten.max_pool2d_with_indices(
        x.unsqueeze(-2), [1, k], [1, s], [0, p], [1, d], ceil_mode
    )[0]
    return image.squeeze(-2)


# Where the largest lie is counted in positions of the whole map.
rule_of(
    *(
        getattr(functional, f"{kind}{axes}d_with_indices")
        for axes in (1, 2, 3)
        for kind in ("max_pool", "adaptive_max_pool")
    )
)(whole)


@rule_of(aten.avg_pool2d, aten.avg_pool3d)
def _average_pool(
    function: OpOverload,
    x: CutMap,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    with_padding: bool = True,
    divisor: int | None = None,
) -> object:
    axes = _axes_of(function)
    kernel, stride, padding = (_each_axis(n, axes) for n in (kernel, stride or kernel, padding))
    shift = x.ndim - axes
    for axis, n in enumerate(x.shape[shift:]):
        if axis + shift in x.cut and kernel[axis] == n and not padding[axis] and divisor is None:
            mean = aten.mean.dim(x, [axis + shift], True)
            one = (put(numbers, axis, 1) for numbers in (kernel, stride))
            return function(mean, *one, padding, ceil_mode, with_padding)
    # Windows that stick out of the map have other numbers of taps.
    counts_taps = divisor is None and (ceil_mode or (any(padding) and not with_padding))
    if counts_taps:
        divisor = 1

    def run(region: Tensor, free: list[int], rows: Mapping[int, Rows]) -> Tensor:
        pooled: Tensor = function(region, kernel, stride, free, ceil_mode, with_padding, divisor)
        if not counts_taps:
            return pooled
        for axis, (k, s, p) in enumerate(zip(kernel, stride, padding, strict=True)):
            dim = axis + shift
            first = rows[dim].first if dim in rows else 0
            unit = torch.arange(first, first + pooled.shape[dim], device=pooled.device)
            start, n = unit * s - p, x.shape[dim]
            end = (start + k).clamp(max=n + p)
            if not with_padding:
                start, end = start.clamp(min=0), end.clamp(max=n)
            pooled = pooled / (end - start).reshape(put([1] * axes, axis, -1))
        return pooled

    return _pool(x, (kernel, stride, padding, [1] * axes), ceil_mode, 0.0, run)


@rule_of(aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d)
def _adaptive_average(function: object, x: CutMap, output: Sequence[int]) -> Tensor:
    return _adaptive(x, output, aten.mean.dim)


@rule_of(aten.adaptive_max_pool2d, aten.adaptive_max_pool3d)
def _adaptive_max(function: object, x: CutMap, output: Sequence[int]) -> tuple[Tensor, Tensor]:
    return _adaptive(x, output, aten.amax.default), torch.empty(0)


def _adaptive(x: Tensor, output: Sequence[int], pool: Function) -> Tensor:
    """Pool to a number of rows on one axis after the other; `pool` makes one row of all."""
    for dim, m in enumerate(output, x.ndim - len(output)):
        x = _binned(x, dim, m, pool)
    return x


def _binned(x: Tensor, dim: int, m: int, pool: Function) -> Tensor:
    n = x.shape[dim]
    if m == 1:
        row: Tensor = pool(x, [dim], True)
        return row

    def spans(first: int, end: int) -> list[Span]:
        return [(row * n // m, -(-(row + 1) * n // m)) for row in range(first, end)]

    def binned(region: Tensor, at: int, first: int, end: int) -> Tensor:
        rows = [
            pool(region.narrow(dim, lo - at, hi - lo), [dim], True) for lo, hi in spans(first, end)
        ]
        return torch.cat(rows, dim)

    if not isinstance(x, CutMap):
        return binned(x, 0, 0, m)
    if dim not in x.cut:
        by_row: Tensor = local(lambda part: binned(part, 0, 0, m), x)
        return by_row
    rule = Rule(lambda n: m, lambda first, end: (first * n // m, -(-end * n // m)))
    result: Tensor = by_dims(
        x, {dim: rule}, lambda region, rows: binned(region, *rows[dim]), costly=-(-n // m)
    )
    return result


def _pad(
    x: CutMap, pads: Sequence[int], fill: float | str, pad: Callable[[Tensor, list[int]], Tensor]
) -> CutMap:
    """Pad along the rows that are cut, and the other dimensions of each part; `pads` begin with the
    last dimension.
    """
    others, rules = [*pads], {}
    for i in range(0, len(pads), 2):
        dim, before, after = x.ndim - 1 - i // 2, pads[i], pads[i + 1]
        if dim in x.cut:
            others[i : i + 2] = 0, 0
            rules[dim] = _shifted(before, after, fill)

    def make(region: Tensor, rows: object) -> Tensor:
        if any(others):
            return pad(region, others)
        return region.clone()

    return by_dims(x, rules, make)  # type: ignore[no-any-return]


def _shifted(before: int, after: int, fill: float | str) -> Rule:
    return Rule(
        lambda n: n + before + after,
        lambda first, end: (first - before, end - before),
        fill,
        read_at_end=after + 1 if isinstance(fill, str) else 0,
    )


@rule_of(aten.constant_pad_nd)
def _constant_pad(
    function: OpOverload, x: CutMap, pads: Sequence[int], value: float = 0.0
) -> CutMap:
    return _pad(x, pads, float(value), lambda region, others: function(region, others, value))


def _filled_pad(mode: str) -> Function:
    return lambda function, x, pads: _pad(x, pads, mode, function)


rule_of(aten.reflection_pad1d, aten.reflection_pad2d, aten.reflection_pad3d)(_filled_pad("reflect"))
rule_of(aten.replication_pad1d, aten.replication_pad2d, aten.replication_pad3d)(
    _filled_pad("replicate")
)


@rule_of(functional.pad)
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


@rule_of(nn.padded)
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


@rule_of(nn.padded_conv2d)
def _padded_convolution(function: object, *args: Any, **kwargs: Any) -> Tensor:
    return nn.convolved(*args, **kwargs)


@rule_of(functional.pixel_shuffle)
def _pixel_shuffle(function: Function, x: CutMap, upscale_factor: int) -> CutMap:
    factor = upscale_factor
    rule = Rule(lambda n: n * factor, lambda first, end: (first // factor, -(-end // factor)))

    def make(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        result = function(region, factor)
        for dim in (x.ndim - 2, x.ndim - 1):
            if dim in rows:
                at, first, end = rows[dim]
                result = result.narrow(dim, first - at * factor, end - first)
        return result  # type: ignore[no-any-return]

    return _shuffled(x, rule, make)


@rule_of(functional.pixel_unshuffle)
def _pixel_unshuffle(function: Function, x: CutMap, downscale_factor: int) -> CutMap:
    factor = downscale_factor
    rule = Rule(lambda n: n // factor, lambda first, end: (first * factor, end * factor))
    return _shuffled(x, rule, lambda region, rows: function(region, factor))


def _shuffled(x: CutMap, rule: Rule, make: Callable[[Tensor, dict[int, Rows]], Tensor]) -> CutMap:
    channels = x.ndim - 3
    return by_dims(x, {x.ndim - 2: rule, x.ndim - 1: rule}, make, whole=[channels])  # type: ignore[no-any-return]


@rule_of(functional.interpolate)
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
    shape = x.shape[2:]
    sizes, scales = _resized_to(shape, size, scale_factor)
    if size is not None or recompute_scale_factor:
        scales = [None] * len(shape)
    weights = max((n * m for n, m in zip(shape, sizes, strict=True) if m % n), default=0)
    if antialias or weights > MOST_WEIGHTS:
        given = (size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
        return whole(function, x, *given)

    def resized(part: Tensor, axis: int, m: int, scale: float | None) -> Tensor:
        to: dict[str, object] = {"size": put(part.shape[2:], axis, m)}
        if scale is not None:
            to = {"scale_factor": put([1.0] * len(shape), axis, scale)}
        result: Tensor = function(part, **to, mode=mode, align_corners=align_corners)
        return result

    if sizes == [*shape]:
        x = x.clone()
    for axis, (n, m, scale) in enumerate(zip(shape, sizes, scales, strict=True)):
        dim = axis + 2
        if m == n and scale in (None, 1):
            continue
        if dim not in getattr(x, "cut", ()):
            x = local(resized, x, axis, m, scale)
        elif m % n == 0 and scale in (None, m // n) and not align_corners:
            to_rows = partial(resized, axis=axis, scale=None)
            rule, make = _multiple(m // n, AROUND.get(mode, 1), dim, to_rows)
            x = by_dims(x, {dim: rule}, make, costly=2 * AROUND.get(mode, 1) + 1)
        else:
            table = _weights(len(shape), axis, n, m, partial(resized, axis=axis, m=m, scale=scale))
            rule, make = _weighted(table, dim)
            x = by_dims(x, {dim: rule}, make, costly=2 * AROUND.get(mode, 1) + 1)
    return x


def _weights(axes: int, i: int, n: int, m: int, resized: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the weights (m, n) by which PyTorch resizes `n` rows on axis `i` to `m`."""
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


Resizing = tuple[Rule, Callable[[Tensor, Mapping[int, Rows]], Tensor]]


def _multiple(factor: int, around: int, dim: int, resized: Callable[..., Tensor]) -> Resizing:
    """Return how to resize by a factor: row y is made of `around` rows on each side of (2 y + 1 -
    factor) / (2 factor).
    """

    def reads(first: int, end: int) -> Span:
        if not around:
            return first // factor, -(-end // factor)
        lo, hi = ((2 * row + 1 - factor) // (2 * factor) for row in (first, end - 1))
        return lo + 1 - around, hi + 1 + around

    def make(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        at, first, end = rows[dim]
        lo, hi, n = first // factor - around, -(-end // factor) + around, region.shape[dim]
        # Rows of no weight, but PyTorch reads them.
        head, tail = region.narrow(dim, 0, 1), region.narrow(dim, n - 1, 1)
        grown = torch.cat([*[head] * (at - lo), region, *[tail] * (hi - at - n)], dim)
        made = resized(grown, m=(hi - lo) * factor)
        return made.narrow(dim, first - lo * factor, end - first)

    return Rule(lambda n: n * factor, reads, "replicate"), make


def _weighted(weights: Tensor, dim: int) -> Resizing:
    """Return how to multiply with weights (rows out, rows in), of which each row has few that are
    not 0.
    """
    spans = [(int(row.min()), int(row.max()) + 1) for row in map(torch.nonzero, weights)]

    def reads(first: int, end: int) -> Span:
        return min(lo for lo, _ in spans[first:end]), max(hi for _, hi in spans[first:end])

    def make(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        at, first, end = rows[dim]
        taps = weights[first:end, at : at + region.shape[dim]].to(region)
        result: Tensor = torch.tensordot(taps, region, ([1], [dim])).movedim(0, dim)
        return result

    return Rule(lambda n: len(spans), reads), make
