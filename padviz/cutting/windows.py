"""Which rows windows, pools, pads and resizes read of a map that is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, Self

import numpy as np
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
    OpOverloadPacket,
    Refused,
    Rows,
    Rule,
    arguments_of,
    aten,
    put,
    reading,
    rule_of,
    whole,
)
from padviz.cutting.exact_units import Span
from padviz.network.operations import Op, Transposed, Window
from padviz.network.padding_modes import SCHEMES
from padviz.network.reads import real_rows
from padviz.network.resize import SMALL

MOST_ROWS = 1 << 24  # of a map that has an end


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
        op: Op = Window(k, s, d, (p, p))
        if transposed:
            op = Transposed(k, s, d, (p, p), more[axis])
        rules[axis + 2] = reading(op)
    make = added_up if transposed else lambda region, rows: run(region)
    taps = weight[:1].numel()
    if transposed:
        taps = weight[:, :1].numel()
    return by_dims(x, rules, make, whole=[1], costly=taps)


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
            dim: reading(Window(k, s, d, (p, p), ceil=ceil), fill)
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
# Decomposed, it would count by the strides in memory of the whole map.
rule_of(aten.unfold)(whole)


@rule_of(aten.as_strided)
def _as_strided(function: OpOverload, x: CutMap, *args: object) -> object:
    """Run it on the whole map, which is put together with the strides of a new one."""
    if not x.is_contiguous():
        raise Refused("picks numbers of a map by its strides in memory")
    return whole(function, x, *args)


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
    x: Tensor, pads: Sequence[int], fill: float | str, pad: Callable[[Tensor, list[int]], Tensor]
) -> Tensor:
    """Pad along the rows that are cut, and the other dimensions of each part; `pads` begin with the
    last dimension.
    """
    others, rules = [*pads], {}
    for i in range(0, len(pads), 2):
        dim, before, after = x.ndim - 1 - i // 2, pads[i], pads[i + 1]
        if dim in getattr(x, "cut", ()):
            others[i : i + 2] = 0, 0
            read_at_end = 0
            if isinstance(fill, str):
                read_at_end = after + 1
                _check_pad(pad, x, pads, i, fill)
            rules[dim] = reading(Window(1, padding=(before, after)), fill, read_at_end)

    def make(region: Tensor, rows: object) -> Tensor:
        if any(others):
            return pad(region, others)
        return region.clone()

    return by_dims(x, rules, make)  # type: ignore[no-any-return]


def _check_pad(
    pad: Callable[[Tensor, list[int]], Tensor], x: Tensor, pads: Sequence[int], i: int, mode: str
) -> None:
    """Compare the rows that a pad copies with those that are read for it: it pads their numbers."""
    dim, before, after = x.ndim - 1 - i // 2, pads[i], pads[i + 1]
    n = x.shape[dim]
    if n > MOST_ROWS or not (before or after):
        return
    alone = [0] * len(pads)
    alone[i : i + 2] = before, after
    numbers = torch.arange(n, dtype=torch.float64, device="cpu")
    copied = pad(numbers.reshape(put([1] * x.ndim, dim, n)), alone).flatten().long()
    window = Window(1, padding=(before, after), mode=mode)
    if copied.tolist() != real_rows(window, n, np.arange(-before, n + after)).tolist():
        raise Refused("pads with other rows than padviz reads")


@rule_of(aten.constant_pad_nd)
def _constant_pad(
    function: OpOverload, x: CutMap, pads: Sequence[int], value: float = 0.0
) -> Tensor:
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
    x: Tensor,
    pads: nn.Pads,
    schemes: nn.Schemes,
    dims: tuple[int, int] = nn.IMAGE,
    value: float | None = None,
) -> Tensor:
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


RESIZES = {
    aten.upsample_nearest1d: 1,
    aten.upsample_nearest2d: 1,
    aten.upsample_nearest3d: 1,
    aten._upsample_nearest_exact1d: 1,
    aten._upsample_nearest_exact2d: 1,
    aten._upsample_nearest_exact3d: 1,
    aten.upsample_linear1d: 2,
    aten.upsample_bilinear2d: 2,
    aten.upsample_trilinear3d: 2,
    aten.upsample_bicubic2d: 4,
}  # and how many rows each row is made of, along one axis


class _Resize(NamedTuple):
    """A resize of PyTorch along one axis, to a map of these sizes; of a type, on a device, and laid
    out in memory as a map is.
    """

    function: OpOverloadPacket
    corners: tuple[bool, ...]
    scale: float | None
    axis: int
    sizes: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    layout: torch.memory_format

    @property
    def taps(self) -> int:
        """The number of rows that each row is made of."""
        return RESIZES[self.function]

    def run(self, maps: Tensor, m: int) -> Tensor:
        """Resize maps (maps, rows) to m rows, by the kernel that the whole map meets."""
        device, axes = self.device, len(self.sizes)
        if device.type == "meta":
            device = torch.device("cpu")
        dtype = torch.promote_types(self.dtype, torch.float32)
        shape = put([1] * axes, self.axis, maps.shape[1])
        # Small images have a kernel of their own.
        sizes = [max(1, min(size, SMALL + 1 - m)) for size in self.sizes]
        sizes, scales = put(sizes, self.axis, m), put([None] * axes, self.axis, self.scale)
        with torch.inference_mode(False), torch.no_grad():
            maps = maps.to(device, dtype).reshape(len(maps), 1, *shape)
            if self.layout != torch.contiguous_format:
                maps = maps.repeat(1, FEWEST, *[1] * axes).contiguous(memory_format=self.layout)
            resized: Tensor = self.function.default(maps, sizes, *self.corners, *scales)
        return resized.movedim(2 + self.axis, 1).reshape(len(maps), m, -1)[..., 0].cpu()


LAYOUTS = torch.channels_last, torch.channels_last_3d
FEWEST = 4  # channels for which PyTorch has kernels of these layouts


def _layout_of(x: Tensor) -> torch.memory_format:
    """Return the layout by which PyTorch chooses the kernel that resizes a map."""
    if x.shape[1] >= FEWEST and not x.is_contiguous():
        for layout in LAYOUTS:
            if x.is_contiguous(memory_format=layout):
                return layout
    return torch.contiguous_format


@rule_of(*RESIZES)
def _resize(function: OpOverload, x: CutMap, *args: object) -> object:
    """Resize one axis after the other, by the rows and weights of the call itself."""
    given, packet, shape = arguments_of(function, x, *args), function.overloadpacket, x.shape[2:]
    sizes, scales = _sizes_and_scales(shape, given)
    corners = [bool(given[name]) for name in given if name == "align_corners"]
    mixes_integers = not x.is_floating_point() and RESIZES[packet] > 1
    multiples = not any(m % n for n, m in zip(shape, sizes, strict=True))
    if mixes_integers or (max(shape) > MOST_ROWS and (any(corners) or not multiples)):
        return whole(function, x, *args)  # of a stream, whose end is not known
    result: Any = x
    if sizes == [*shape]:
        result = x.clone()
    layout = _layout_of(x)
    for axis, (n, m, scale) in enumerate(zip(shape, sizes, scales, strict=True)):
        if (m, scale or 1) != (n, 1):
            call = _Resize(packet, (*corners,), scale, axis, (*sizes,), x.dtype, x.device, layout)
            result = _resized(result, axis + 2, m, call)
    return result


def _sizes_and_scales(
    shape: Sequence[int], given: Mapping[str, Any]
) -> tuple[list[int], list[float | None]]:
    """Return the size and the scale of each axis; in inference mode, PyTorch gives all scales by
    one argument, and may give no sizes.
    """
    scales = given.get("scale_factors")
    if not scales:
        scales = [scale for name, scale in given.items() if name.startswith("scales")]
    scales = scales or [None] * len(shape)
    sizes = given["output_size"]
    if sizes is None:
        sizes = [int(n * scale) for n, scale in zip(shape, scales, strict=True)]
    return [*sizes], [*scales]


@lru_cache(64)
def _rows_and_weights(resize: _Resize, n: int, m: int) -> tuple[Tensor, Tensor]:
    """Return the first row that each of m rows is made of, shape (m,), and the weights of it and
    those behind it, shape (taps, m).

    The call itself is run on maps that are 1 at every few rows, which tell the weights apart.
    """
    period = resize.taps + 2  # with a row on each side, where rounding may move the first row
    remainders = torch.arange(period, device="cpu")[:, None]
    by_remainder = resize.run(torch.arange(n, device="cpu") % period == remainders, m)
    before = _first_rows(resize, n, m) - 1
    weights = by_remainder.gather(0, (before + remainders) % period)
    moved = (weights[-1] != 0).long() - (weights[0] != 0).long()
    return before + 1 + moved, weights.gather(0, remainders[1:-1] + moved)


def _first_rows(resize: _Resize, n: int, m: int) -> Tensor:
    """Return the first row that each of m rows is made of, in double precision."""
    step = n / m
    if any(resize.corners):
        step = (n - 1) / max(m - 1, 1)
    elif resize.scale:
        step = 1 / resize.scale
    middle = 0.5
    if any(resize.corners) or "nearest" in resize.function.__name__:
        middle = 0.0
    places = (torch.arange(m, dtype=torch.float64, device="cpu") + middle) * step - middle
    if "exact" in resize.function.__name__:
        places += step / 2
    before = resize.taps // 4  # of cubic interpolation, a row in front
    return places.floor().long() - before


def _resized(x: Tensor, dim: int, m: int, resize: _Resize) -> object:
    """Resize a dimension to m rows."""
    n = x.shape[dim]

    def table(end: int) -> tuple[Tensor, Tensor]:
        """Return the rows and weights of all rows, or of a stream of those up to `end`."""
        if n <= MOST_ROWS:
            return _rows_and_weights(resize, n, m)
        scale = resize.scale or m / n
        most = 1 << end.bit_length()
        read = int(most / scale) + 4
        read += read == most  # as many rows would be copied, whatever the scale
        return _rows_and_weights(resize._replace(scale=scale), read, most)

    def reads(first: int, end: int) -> Span:
        rows, weights = table(end)
        last = len(rows) - 1  # a stream asks for the row behind it, too
        return int(rows[min(first, last)]), int(rows[min(end - 1, last)]) + len(weights)

    def make(region: Tensor, rows: Mapping[int, Rows]) -> Tensor:
        at, first, end = rows.get(dim, Rows(0, 0, m))
        low, weights = (part[..., first:end].to(region.device) for part in table(end))

        def tap(k: int) -> Tensor:
            picked = (low + k - at).clamp(0, region.shape[dim] - 1)
            # Along the last dimension, this takes half the time of index_select.
            places: tuple[slice | Tensor, ...] = (*[slice(None)] * dim, picked)
            return region[places]

        total = tap(0)
        if len(weights) == 1:
            return total
        weights = weights.reshape(len(weights), *put([1] * x.ndim, dim, -1))
        total = total * weights[0]
        for k in range(1, len(weights)):
            total.addcmul_(tap(k), weights[k])
        return total.to(region.dtype)

    rule = Rule(lambda rows: rows * m // n, reads, "replicate")
    return by_dims(x, {dim: rule}, make, costly=resize.taps)
