"""PyTorch's convolutions, pools, pads and resizes, as layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from torch import Tensor

from padviz.axis.operations import Adaptive, Transposed, Window
from padviz.axis.padding_modes import Mode
from padviz.axis.resize import Resize
from padviz.sources.torch.merging import pointwise
from padviz.sources.torch.tracer import Call, Map, Result
from padviz.sources.torch.views import enlarged, in_blocks

IMAGE = ("H", "W")
MODES: dict[str, Mode] = {
    "constant": "zero", "reflect": "reflect", "replicate": "replicate", "circular": "circular",
}  # fmt: skip

KINDS = {
    "nearest": Resize(),
    "nearest-exact": Resize(grid="tf_half_pixel_for_nn"),
    "bilinear": Resize(linear=True),
    "bicubic": Resize(cubic=True),
}


def image(call: Call, tensor: Tensor) -> Map:
    """A map whose last two dimensions are rows and columns; anything else has no place in an image's function."""
    value = call.of(tensor)
    if value is None or value.axes[-2:] != IMAGE:
        raise ValueError("not a map")
    return value


def both(value: Any) -> tuple[int, int]:
    """One number for both axes, or one for each."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    return pair[0], pair[-1]


def laid(kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, ceil: bool = False) -> list[Window]:
    """The windows of a function's arguments: each one number for both axes, or one for each."""
    pads: Any = ["same"] * 2 if padding == "same" else [(n, n) for n in both(0 if padding == "valid" else padding)]
    figures = zip(both(kernel), both(stride), both(dilation), pads, strict=True)
    return [Window(*figure, ceil=ceil) for figure in figures]


def conv2d(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Result:  # fmt: skip
    value, windows = image(call, input), laid(weight.shape[-2:], stride, padding, dilation)
    if call.of(weight) in call.spatial:
        return call.broken("has a kernel that is made of a map")
    pad, (path, module) = call.trace.layers[value.at], call.tracer.stack[-1]
    if pad.name == f"{path}.pad" and getattr(module, "padding_mode", "zeros") != "zeros":
        return call.lay("conv", Map(pad.inputs[0], value.axes), map(_with_pad, windows, pad.ops))
    return call.lay("conv", value, windows)


def _with_pad(window: Window, pad: Any) -> Window:
    """A convolution whose own module padded its input before, for another mode than zero."""
    return replace(window, padding=pad.padding, mode=pad.mode)


def conv1d(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Result:  # fmt: skip
    """A convolution of columns, where the rows are gone; of one tap, it leaves each position alone."""
    value, (_, window) = call.of(input), laid(weight.shape[-1], stride, padding, dilation)
    if value and window == Window(1):
        return pointwise(call)
    if value is None or value.axes[-1] not in ("W", "HW") or call.trace.sizes[value.at][0] != 1:
        return call.broken("reads what is not columns")
    return call.lay("conv", value, (None, window))


def conv_transpose2d(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Result:  # fmt: skip
    value, pads = image(call, input), [(n, n) for n in both(padding)]
    figures = zip(weight.shape[-2:], both(stride), both(dilation), pads, both(output_padding), strict=True)
    return call.lay("convtranspose", value, [Transposed(*figure) for figure in figures])


def max_pool2d(
    call: Call, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Result:  # fmt: skip
    windows = laid(kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    return call.lay("maxpool", image(call, input), windows)


def avg_pool2d(
    call: Call, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Any = None,
) -> Result:  # fmt: skip
    value = image(call, input)
    if isinstance(kernel_size, tuple) and kernel_size == call.trace.sizes[value.at]:
        return call.pool(value)  # F.avg_pool2d(x, x.shape[2:])
    return call.lay("avgpool", value, laid(kernel_size, stride or kernel_size, padding, 1, ceil_mode))


def lp_pool2d(
    call: Call, input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Result:
    return avg_pool2d(call, input, kernel_size, stride, 0, ceil_mode)


def adaptive_pool2d(call: Call, input: Any, output_size: Any, return_indices: bool = False) -> Result:
    value = image(call, input)
    wanted = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if wanted == (1, 1):
        return call.pool(value)
    return call.lay("adaptive", value, [None if n is None else Adaptive(n) for n in wanted])


def pad(call: Call, input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Result:
    source = call.of(input)
    assert source
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    labels = source.axes[: -len(pairs) - 1 : -1]  # the last dimension's first
    amounts = {label: pair for label, pair in zip(labels, pairs, strict=True) if label}
    if not any(map(any, amounts.values())) and (len(amounts) < len(pairs) or not amounts):
        return pointwise(call)  # channels
    if not amounts.keys() <= {*IMAGE}:
        return call.broken("pads what is not rows and columns")
    name = call.name() if "Pad" in type(call.tracer.stack[-1][1]).__name__ else call.inner("pad")
    windows = [Window(1, padding=amounts.get(label, (0, 0)), mode=MODES[mode]) for label in IMAGE]
    return call.lay("pad", source, windows, name)


def interpolate(
    call: Call, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None, antialias: bool = False,
) -> Result:  # fmt: skip
    value, wanted = image(call, input), call.out.shape[-2:]
    if mode == "area":
        return call.lay("adaptive", value, map(Adaptive, wanted))
    if antialias or mode not in KINDS:
        return call.broken(f"in mode {mode!r}{' with antialias' if antialias else ''} is not known")
    kind = replace(KINDS[mode], align_corners=bool(align_corners))
    if scale_factor is None or recompute_scale_factor:
        return call.lay("resize", value, [replace(kind, size=n) for n in wanted])
    scales = [scale_factor] * 2 if isinstance(scale_factor, int | float) else scale_factor
    return call.lay("resize", value, [replace(kind, scale=Fraction(n).limit_denominator(10_000)) for n in scales])


def pixel_shuffle(call: Call, input: Any, upscale_factor: int) -> Result:
    value = image(call, input)
    return Map(enlarged(call, value, upscale_factor, upscale_factor), value.axes)


def pixel_unshuffle(call: Call, input: Any, downscale_factor: int) -> Result:
    value = image(call, input)
    return Map(in_blocks(call, value, downscale_factor, downscale_factor), value.axes)


def unfold(call: Call, input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Result:
    if call.out.ndim != 3:
        return call.unknown()  # Tensor.unfold
    windows = call.lay("conv", image(call, input), laid(kernel_size, stride, padding, dilation))
    return Map(windows.at, (None, None, "HW"))


def repeat_interleave(call: Call, input: Any, repeats: int, dim: int) -> Result:
    value = call.of(input)
    if value is None or value.axes[dim] not in (*IMAGE, None):
        return call.broken("repeats what is not rows or columns")
    rows, cols = (repeats if value.axes[dim] == label else 1 for label in IMAGE)
    return value if rows == cols else Map(enlarged(call, value, rows, cols), value.axes)
