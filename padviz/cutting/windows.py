"""Which rows windows, pools, pads and resizes read of a map that is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from padviz import nn
from padviz.cutting.calls import by_dims
from padviz.cutting.cut_map import (
    CutMap,
    DisableTorchFunctionSubclass,
    Function,
    OpOverload,
    Rows,
    Rule,
    arguments_of,
    aten,
    put,
    rule_of,
    whole,
)
from padviz.cutting.exact_units import Span
from padviz.network.operations import Window, placement
from padviz.network.padding_modes import SCHEMES

MOST_ROWS = 1 << 24  # of a map that has an end
# the first row that each of some rows is made of, and the weights of it and of those behind it
Taps = tuple[Tensor, list[Tensor]]


def _sliding(window: Window, fill: float = 0.0) -> Rule:
    before, stride = window.padding[0], window.stride
    assert isinstance(before, int)
    return Rule(
        lambda n: placement(window, n).n_out,
        lambda first, end: (first * stride - before, (end - 1) * stride - before + window.extent),
        fill,
    )


def _each_axis(values: int | Sequence[int], axes: int) -> list[int]:
    """Return a number for each axis, where there may be one for all."""
    if isinstance(values, int):
        values = [values]
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
) -> object:
    given = (stride, padding, dilation, transposed, output_padding, groups, *flags)
    if not isinstance(x, CutMap) or isinstance(weight, CutMap):
        return whole(function, x, weight, bias, *given)
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
    return by_dims(x, rules, make, whole=[1], costly=taps)


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


class Windows(NamedTuple):
    """The windows of a pool: numbers for each of the last axes of a map."""

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]

    @classmethod
    def of(cls, function: OpOverload, given: Mapping[str, Any]) -> Self:
        axes = 2
        if "3d" in function._schema.name:
            axes = 3
        kernel, padding = given["kernel_size"], given["padding"]
        numbers = kernel, given["stride"] or kernel, padding, given.get("dilation", 1)
        return cls(*(_each_axis(n, axes) for n in numbers))

    def rules(self, x: Tensor, ceil: bool, fill: float) -> dict[int, Rule]:
        """Return the rule of each dimension of a map."""
        return {
            dim: _sliding(Window(k, s, d, (p, p), ceil=ceil), fill)
            for dim, (k, s, p, d) in enumerate(zip(*self, strict=True), x.ndim - len(self.kernel))
        }

    def axis_in_one(self, x: CutMap) -> int | None:
        """Return an axis along which a map is cut, and one window holds all its rows."""
        shift = x.ndim - len(self.kernel)
        for axis, (k, p) in enumerate(zip(self.kernel, self.padding, strict=True)):
            if axis + shift in x.cut and k == x.shape[axis + shift] and not p:
                return axis
        return None


@rule_of(aten.max_pool2d_with_indices, aten.max_pool3d_with_indices)
def _max_pool(function: OpOverload, x: CutMap, *args: object) -> tuple[object, Tensor]:
    given = arguments_of(function, x, *args)
    windows = Windows.of(function, given)
    kernel, stride, padding, dilation = windows
    ceil = bool(given["ceil_mode"])
    axis = windows.axis_in_one(x)
    if axis is not None:
        row = aten.amax(x, [axis - len(kernel)], True)
        one = put(kernel, axis, 1), put(stride, axis, 1)
        return function(row, *one, padding, dilation, ceil)  # type: ignore[no-any-return]
    if x.is_floating_point():
        least = -torch.inf
    else:
        least = torch.iinfo(x.dtype).min
    free = _free(padding, x, len(kernel))

    def largest(region: Tensor, rows: object) -> Tensor:
        return function(region, kernel, stride, free, dilation, ceil)[0]  # type: ignore[no-any-return]

    rules = windows.rules(x, ceil, least)
    return by_dims(x, rules, largest, costly=prod(kernel)), torch.empty(0)


@rule_of(aten.avg_pool2d, aten.avg_pool3d)
def _average_pool(function: OpOverload, x: CutMap, *args: object) -> object:
    given = arguments_of(function, x, *args)
    windows = Windows.of(function, given)
    kernel, stride, padding, _ = windows
    ceil, with_padding = bool(given["ceil_mode"]), bool(given["count_include_pad"])
    divisor = given["divisor_override"]
    axis = windows.axis_in_one(x)
    if axis is not None and divisor is None:
        row = aten.mean(x, [axis - len(kernel)], True)
        one = put(kernel, axis, 1), put(stride, axis, 1)
        return function(row, *one, padding, ceil, with_padding)
    # Windows that stick out of the map have other numbers of taps.
    counts_taps = divisor is None and (ceil or (any(padding) and not with_padding))
    if counts_taps:
        divisor = 1
    free = _free(padding, x, len(kernel))
    shift = x.ndim - len(kernel)

    def average(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        pooled: Tensor = function(region, kernel, stride, free, ceil, with_padding, divisor)
        if not counts_taps:
            return pooled
        for dim, (k, s, p, _) in enumerate(zip(*windows, strict=True), shift):
            first = rows[dim].first if dim in rows else 0
            start = torch.arange(first, first + pooled.shape[dim], device=pooled.device) * s - p
            n = x.shape[dim]
            end = (start + k).clamp(max=n + p)
            if not with_padding:
                start, end = start.clamp(min=0), end.clamp(max=n)
            pooled = pooled / (end - start).reshape(put([1] * len(kernel), dim - shift, -1))
        return pooled

    return by_dims(x, windows.rules(x, ceil, 0.0), average, costly=prod(kernel))


@rule_of(torch.max_pool1d, functional.max_pool1d)
def _max_pool_of_signal(
    function: object,
    x: CutMap,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> object:
    """Pool an image of one row, as PyTorch does, whose own check of a signal's length has 32
    bits.
    """
    given = kernel_size, stride or kernel_size, padding, dilation
    (k,), (s,), (p,), (d,) = (_each_axis(values, 1) for values in given)
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


@rule_of(aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d)
@rule_of(aten.adaptive_max_pool2d, aten.adaptive_max_pool3d)
def _adaptive_pool(function: OpOverload, x: CutMap, sizes: Sequence[int]) -> object:
    """Pool by windows, where all are of one size; otherwise put the map together."""
    axes = len(sizes)
    shape = x.shape[x.ndim - axes :]
    if any(n % m for n, m in zip(shape, sizes, strict=True)):
        return whole(function, x, sizes)
    kernel = [n // m for n, m in zip(shape, sizes, strict=True)]
    if "max" in function._schema.name:
        pool = [aten.max_pool2d_with_indices, aten.max_pool3d_with_indices][axes - 2]
    else:
        pool = [aten.avg_pool2d, aten.avg_pool3d][axes - 2]
    return pool(x, kernel)


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
    if mode == "circular":
        if min(pad) < 0:  # which repeats what a crop leaves
            return whole(function, x, pad, mode)
        return _pad(x, pad, mode, lambda part, others: function(part, others, mode))
    with DisableTorchFunctionSubclass():
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


@rule_of(aten.upsample_nearest1d, aten.upsample_nearest2d, aten.upsample_nearest3d)
@rule_of(aten._upsample_nearest_exact1d, aten._upsample_nearest_exact2d)
@rule_of(aten._upsample_nearest_exact3d, aten.upsample_bicubic2d)
@rule_of(aten.upsample_linear1d, aten.upsample_bilinear2d, aten.upsample_trilinear3d)
def _resize(function: OpOverload, x: CutMap, sizes: Sequence[int], *others: object) -> object:
    """Resize one axis after the other, from the rows around each row."""
    given = arguments_of(function, x, sizes, *others)
    corners = bool(given.get("align_corners"))
    scales = [scale for name, scale in given.items() if name.startswith("scales")]
    shape = x.shape[2:]
    multiples = not any(m % n for n, m in zip(shape, sizes, strict=True))
    mixes_integers = not x.is_floating_point() and "nearest" not in function._schema.name
    if mixes_integers or (max(shape) > MOST_ROWS and (corners or not multiples)):
        return whole(function, x, sizes, *others)  # of a stream, whose end is not known
    result: Any = x
    if [*sizes] == [*shape]:
        result = x.clone()
    for axis, (n, m, scale) in enumerate(zip(shape, sizes, scales, strict=True)):
        step = _step(n, m, scale, corners)
        if (m, step) != (n, 1):
            taps = partial(_taps, function._schema.name, step, corners)
            if "nearest" in function._schema.name and m % n:
                taps = partial(_picked, _nearest(function, len(shape), axis, n, m, scale))
            result = _resized(result, axis + 2, m, taps)
    return result


def _step(n: int, m: int, scale: float | None, corners: bool) -> float:
    """Return how many of n rows lie between two of m."""
    if corners:
        return (n - 1) / max(m - 1, 1)
    if scale:
        return 1 / scale
    return n / m


def _nearest(
    function: OpOverload, axes: int, axis: int, n: int, m: int, scale: float | None
) -> Tensor:
    """Return the row of n that PyTorch takes for each of m, which it finds in single precision."""
    ramp = torch.arange(n, dtype=torch.float64, device="cpu")
    sizes, scales = put([1] * axes, axis, m), put([None] * axes, axis, scale)
    rows = function(ramp.reshape(1, 1, *put([1] * axes, axis, n)), sizes, *scales)
    return rows.flatten().long()  # type: ignore[no-any-return]


def _picked(table: Tensor, rows: Tensor) -> Taps:
    """Return the row of a table for each of some rows of a resized map."""
    picked = table.to(rows.device)[rows.long().clamp(max=len(table) - 1)]
    return picked, [torch.ones_like(picked)]


def _resized(x: CutMap, dim: int, m: int, taps: Callable[[Tensor], Taps]) -> object:
    """Resize a dimension to m rows."""
    n = x.shape[dim]

    def reads(first: int, end: int) -> Span:
        low, weights = taps(torch.tensor([first, end - 1], device="cpu"))
        lo, hi = low.tolist()
        return lo, hi + len(weights)

    def make(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        at, first, end = 0, 0, m
        if dim in rows:
            at, first, end = rows[dim]
        low, weights = taps(torch.arange(first, end, device=region.device))

        def tap(k: int) -> Tensor:
            picked = (low + k - at).clamp(0, region.shape[dim] - 1)
            # Along the last dimension, this takes half the time of index_select.
            places: tuple[slice | Tensor, ...] = (*[slice(None)] * dim, picked)
            return region[places]

        total = tap(0)
        if len(weights) == 1:
            return total
        by_row = put([1] * x.ndim, dim, -1)
        weights = [weight.to(region.dtype).reshape(by_row) for weight in weights]
        total *= weights[0]
        for k, weight in enumerate(weights[1:], 1):
            total.addcmul_(tap(k), weight)
        return total

    rule = Rule(lambda rows: rows * m // n, reads, "replicate")
    return by_dims(x, {dim: rule}, make, costly=len(taps(torch.zeros(1))[1]))


def _taps(name: str, step: float, corners: bool, rows: Tensor) -> Taps:
    """Return for rows of a resized map the first row that each is made of, and the weights of that
    row and of those behind it.
    """
    if "nearest" in name:
        middle = 0.5 if "exact" in name else 0.0
        place = (rows.to(torch.float64) + middle) * step
        return place.floor().long(), [torch.ones_like(place)]
    middle = 0.0 if corners else 0.5
    place = (rows.to(torch.float64) + middle) * step - middle
    low = place.floor()
    t = place - low
    if "cubic" not in name:
        return low.long(), [1 - t, t]
    # the cubic convolution of Keys, with a = -0.75
    near = [(1.25 * d - 2.25) * d * d + 1 for d in (t, 1 - t)]
    far = [((-0.75 * d + 3.75) * d - 6) * d + 3 for d in (t + 1, 2 - t)]
    return low.long() - 1, [far[0], *near, far[1]]
