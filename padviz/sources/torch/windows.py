"""PyTorch's convolutions, pools, pads and resizes, as layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

from padviz.axis.operations import Adaptive, Op, Transposed, Window
from padviz.axis.padding_modes import SCHEMES
from padviz.axis.resize import Resize
from padviz.network.layer import CONVOLUTIONS, Channels, Kind
from padviz.sources.torch.arguments import Refused, tensors_in
from padviz.sources.torch.attention import weighed
from padviz.sources.torch.call import Call
from padviz.sources.torch.merging import pointwise
from padviz.sources.tracing.arranging import Map, Stuck
from padviz.sources.tracing.axis_labels import (
    Axis,
    Block,
    Dims,
    alone,
    axis_of,
    has_parts,
    has_places,
    has_positions,
    in_runs,
    is_channels,
    is_flattened,
    is_image,
    is_mixed,
    plain,
    positions,
    size_of,
    with_tokens,
)
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.meeting import contracting
from padviz.sources.tracing.meeting.among_channels import laid_among_channels
from padviz.sources.tracing.meeting.mixing import joined_inside

MODES = {scheme.torch: name for name, scheme in SCHEMES.items() if scheme.torch}

KINDS = {
    "nearest": Resize(),
    "nearest-exact": Resize(grid="tf_half_pixel_for_nn"),
    "linear": Resize(linear=True),
    "bilinear": Resize(linear=True),
    "trilinear": Resize(linear=True),
    "bicubic": Resize(cubic=True),
}


def over(call: Call, kind: Kind, input: Any, ops: Iterable[Op | None], channels: Channels | None = None) -> Map:
    """Lay one layer over an image, with an operation for each of its last dimensions."""
    ops = [*ops]
    if (inside := _inside(call, call.map(input), kind, ops)) is not None:
        return inside
    if kind not in CONVOLUTIONS and (among := _among(call, kind, input, ops)) is not None:
        return among
    value, roles = call.image(input, len(ops))
    return call.lay(kind, value, dict(zip(roles, ops, strict=True)), channels=channels)


def _inside(call: Call, value: Map, kind: Kind, ops: Sequence[Op | None]) -> Map | None:
    """Lay what joins neighbours by so many, inside of the windows that an image is split into; None for all else."""
    own = [alone(dim) for dim in value.known[-len(ops) :]]
    split = {
        part.role: op.kernel
        for part, op in zip(own, ops, strict=True)
        if isinstance(part, Axis) and part.inner and part.step == 1 and isinstance(op, Window)
        and op == Window(op.kernel, op.kernel) and part.size % op.kernel == 0
    }  # fmt: skip
    if len(split) < len(ops) or any(map(has_positions, value.known[-len(ops) - 1 : -len(ops)])):
        return None
    return call.shaped(joined_inside(call.arranger, call.name(), kind, value, split))


def _among(call: Call, kind: Kind, input: Any, ops: Sequence[Op | None], each_alone: bool = True) -> Map | None:
    value, out = call.arranger.settled(call.map(input)), tensors_in(call.out)[0]
    shape = out.shape[-len(ops) - 1 :]
    return laid_among_channels(call.arranger, call.name(), kind, value, ops, shape, id(out), each_alone)


def _asking(call: Call, value: Map, axes: int) -> Map | None:
    """Convolve inside of windows, each padded by itself: what has their positions may ask, and cannot be followed."""
    own = [alone(dim) for dim in value.known[-axes:]]
    sizes = [part.size for part in own if isinstance(part, Axis) and part.inner and part.step == 1]
    if tuple(sizes) != call.out.shape[-axes:] or has_positions(value.known[-axes - 1]):
        return None
    layer = call.broken("convolves inside of windows, each padded by itself").at
    call.trace.asking[layer] = value.at
    return call.shaped(replace(value, layer=layer, part=()))


def channels_of(input: Any, out_channels: Any, rank: int, groups: int = 1) -> Channels:
    """Count the channels of a convolution over the last `rank` dimensions; images of a batch are groups of it."""
    batch = prod(input.shape[: -rank - 1])
    return Channels(batch * input.shape[-rank - 1], batch * out_channels, batch * groups)


def each(value: Any, axes: int) -> tuple[int, ...]:
    """Take one number for all axes, or one for each."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * axes if len(numbers) == 1 else numbers


def laid(kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool = False, axes: int = 2) -> list[Window]:
    """Make the windows of a function's arguments: each one number for all axes, or one for each."""
    pads: Any = ["same"] * axes
    if padding != "same":
        pads = [(n, n) for n in each(0 if padding == "valid" else padding, axes)]
    figures = zip(each(kernel, axes), each(stride, axes), each(dilation, axes), pads, strict=True)
    return [Window(*figure, ceil=ceil) for figure in figures]


def conv(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Result:  # fmt: skip
    axes = weight.ndim - 2
    taps = laid(weight.shape[2:], stride, padding, dilation, axes=axes)
    if taps == [Window(1)] * 2 and (value := call.of(input)) and not is_image(value.known, axes):
        return weighed(call, value, [*"nkij"[-input.ndim :]], [*"noij"[-input.ndim :]], {"o": weight.shape[0]})
    if (asking := _asking(call, call.map(input), axes)) is not None:
        return asking
    if (among := _among(call, "conv", input, taps, groups == weight.shape[0] == input.shape[-axes - 1])) is not None:
        return among
    value, roles = call.image(input, axes)
    windows = dict(zip(roles, taps, strict=True))
    pad, (path, module) = call.trace.layers[value.at], call.modules.stack[-1]
    if pad.name == f"{path}.pad" and getattr(module, "padding_mode", "zeros") != "zeros":
        ops = {role: _with_pad(window, pad.ops[call.trace.axes[role]]) for role, window in windows.items()}
        value, windows = replace(value, layer=pad.inputs[0]), ops
    return call.lay("conv", value, windows, channels=channels_of(input, weight.shape[0], axes, groups))


def _with_pad(window: Window, pad: Any) -> Window:
    """Give a convolution the padding, for another mode than zero, that its own module did before."""
    return replace(window, padding=pad.padding, mode=pad.mode)


def padded_conv2d(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, pads: Any = ((0, 0), (0, 0)),
    dilation: Any = 1, groups: int = 1, schemes: Any = ("zero", "zero"),
) -> Result:  # fmt: skip
    """Convolve as `padviz.nn` does, which says what its padding reads."""
    value, roles = call.image(input)
    windows = laid(weight.shape[-2:], stride, 0, dilation)
    ops = {
        role: replace(window, padding=rows, mode=scheme)
        for role, window, rows, scheme in zip(roles, windows, pads, schemes, strict=True)
    }
    return call.lay("conv", value, ops, channels=channels_of(input, weight.shape[0], 2, groups))


def conv1d(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Result:  # fmt: skip
    """Convolve a signal; of an image, columns, or rows, where the others are gone: one tap leaves each alone."""
    if len(call.trace.axes) == 1:
        return conv(call, input, weight, bias, stride, padding, dilation, groups)
    (window,), value = laid(weight.shape[-1], stride, padding, dilation, axes=1), call.map(input)
    if window == Window(1):
        own = [*"nkl"[-input.ndim :]]
        return weighed(call, value, own, ["o" if letter == "k" else letter for letter in own], {"o": weight.shape[0]})
    value, (role,) = call.image(input, 1)
    return call.lay("conv", value, {role: window}, channels=channels_of(input, weight.shape[0], 1, groups))


def convolution(
    call: Call, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Result:  # fmt: skip
    """Handle what exported programs call a convolution of any kind."""
    if transposed:
        return conv_transpose(call, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return (conv1d if len(stride) == 1 else conv)(call, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose(
    call: Call, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Result:  # fmt: skip
    axes = weight.ndim - 2
    if input.shape[-axes - 1] != weight.shape[0]:  # PyTorch says so too, but not of tensors without data
        raise Refused(f"a transposed convolution of {weight.shape[0]} channels is given {input.shape[-axes - 1]}")
    pads = [(n, n) for n in each(padding, axes)]
    steps = (each(number, axes) for number in (stride, dilation))
    figures = zip(weight.shape[2:], *steps, pads, each(output_padding, axes), strict=True)
    channels = channels_of(input, weight.shape[1] * groups, axes, groups)
    return over(call, "convtranspose", input, [Transposed(*figure) for figure in figures], channels)


def max_pool(
    call: Call, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Result:  # fmt: skip
    windows = laid(kernel_size, stride or kernel_size, padding, dilation, ceil_mode, call.axes)
    return over(call, "maxpool", input, windows)


def avg_pool(
    call: Call, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Any = None,
) -> Result:  # fmt: skip
    if isinstance(kernel_size, tuple) and kernel_size == input.shape[-call.axes :]:
        return call.pool(call.image(input, call.axes)[0])  # F.avg_pool2d(x, x.shape[2:])
    windows = laid(kernel_size, stride or kernel_size, padding, 1, ceil_mode, call.axes)
    if call.axes < len(call.trace.axes) and is_flattened(call.map(input).known[-1:]):
        return _in_runs(call, call.map(input), windows[0])
    return over(call, "avgpool", input, windows)


def _in_runs(call: Call, value: Map, window: Window) -> Map:
    """Pool runs of positions that are one dimension, all of them: more than one row may be in a run."""
    *dims, line = value.known
    if window != Window(window.kernel, window.kernel) or is_mixed(line) or has_parts(value.known):
        raise Stuck("pools flattened positions, not by runs of all of them")
    if size_of(line) % window.kernel:
        raise Stuck("pools runs of positions, and leaves some out")
    return replace(value, dims=(*dims, in_runs(line, window.kernel)))


def lp_pool(
    call: Call, input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Result:
    return avg_pool(call, input, kernel_size, stride, 0, ceil_mode)


def adaptive_pool(call: Call, input: Any, output_size: Any, return_indices: bool = False) -> Result:
    wanted = (output_size,) * call.axes if isinstance(output_size, int) else tuple(output_size)
    if {*wanted} == {1}:
        if call.axes < len(call.trace.axes):  # rows and columns may be one dimension
            return contracting.over(call, call.map(input), {input.ndim - 1}, keep=True)
        return call.pool(call.image(input, call.axes)[0])
    return over(call, "adaptive", input, [None if n is None else Adaptive(n) for n in wanted])


def pad(call: Call, input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Result:
    source = call.arranger.settled(call.map(input))
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    if call.arranger.tokens and (beside := _tokens_of_zeros(source, pairs)):
        call.arranger.put = True
        return replace(source, dims=beside)
    dims = source.known[: -len(pairs) - 1 : -1]  # the last dimension's first
    amounts = {axis_of(dim): pair for dim, pair in zip(dims, pairs, strict=True) if positions(dim)}
    if not any(map(any, amounts.values())) and (len(amounts) < len(pairs) or not amounts):
        return pointwise(call)  # channels
    if not amounts.keys() <= {*call.trace.axes}:
        raise Stuck("pads what is not rows and columns")
    return _laid_pad(
        call, source, {role: Window(1, padding=amounts.get(role, (0, 0)), mode=MODES[mode]) for role in call.trace.axes}
    )


def _tokens_of_zeros(source: Map, pairs: Sequence[tuple[int, int]]) -> Dims | None:
    """Put zeros in front of positions that are one dimension, or behind them, as tokens; None for other pads."""
    padded = [i for i, pair in enumerate(pairs) if any(pair)]
    at = len(source.known) - 1 - padded[0] if len(padded) == 1 else 0
    before, after = pairs[padded[0]] if len(padded) == 1 else (1, 1)
    if (before and after) or not is_flattened(source.known[at : at + 1]) or is_mixed(source.known[at]):
        return None
    beside = with_tokens(source.known[at], before + after, behind=after > 0)
    return (*source.known[:at], beside, *source.known[at + 1 :])


def constant_pad_nd(call: Call, input: Any, amounts: Sequence[int], value: Any = 0) -> Result:
    """Handle what exported programs call a pad."""
    return pad(call, input, amounts)


def _laid_pad(call: Call, source: Map, windows: dict[str, Window]) -> Map:
    name = call.name() if "Pad" in call.modules.kind else call.name("pad")
    with call.trace.made_by(name):
        return call.lay("pad", source, windows, name)


def padded(call: Call, input: Any, pads: Any, schemes: Any, dims: Any = (-2, -1), value: Any = None) -> Result:
    """Pad as `padviz.nn` does, which says what it reads."""
    source = call.arranger.settled(call.map(input))
    windows = {
        axis_of(source.known[dim]): Window(1, padding=rows, mode=scheme)
        for dim, rows, scheme in zip(dims, pads, schemes, strict=True)
        if positions(source.known[dim]) or any(rows)
    }
    if not windows.keys() <= {*call.trace.axes}:
        raise Stuck("pads what is not rows and columns")
    return _laid_pad(call, source, windows)


def interpolate(
    call: Call, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None, antialias: bool = False,
) -> Result:  # fmt: skip
    axes = call.out.ndim - 2
    wanted = call.out.shape[2:] if size is None else each(size, axes)
    if mode == "area":
        return over(call, "adaptive", input, map(Adaptive, wanted))
    if antialias or mode not in KINDS:
        raise Stuck(f"in mode {mode!r}{' with antialias' if antialias else ''} is not known")
    kind = replace(KINDS[mode], align_corners=bool(align_corners))
    if scale_factor is None or recompute_scale_factor:
        return over(call, "resize", input, [replace(kind, size=n) for n in wanted])
    scales = [scale_factor] * axes if isinstance(scale_factor, int | float) else scale_factor
    return over(call, "resize", input, [replace(kind, scale=Fraction(n).limit_denominator(10_000)) for n in scales])


def upsample(call: Call, input: Any, size: Any, *rest: Any) -> Result:
    """Handle what exported programs call a resize: its last argument has scales, the one before aligns corners."""
    mode = call.op.removeprefix("upsample_")[:-2].replace("_", "-")
    scales = rest[-1] if rest and size is None else None
    return interpolate(call, input, size, scales, mode, align_corners=len(rest) > 1 and rest[0] is True)


def pixel_shuffle(call: Call, input: Any, upscale_factor: int) -> Result:
    return over(call, "resize", input, [Resize(scale=Fraction(upscale_factor))] * 2)


def pixel_unshuffle(call: Call, input: Any, downscale_factor: int) -> Result:
    value, roles = call.image(input)
    layer = call.arranger.space_to_depth(call.name("merge"), value.at, dict.fromkeys(roles, downscale_factor))
    return call.shaped(replace(value, layer=layer, dims=call.arranger.sized(value.known, layer)))


def unfold(call: Call, input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Result:
    if call.out.ndim != 3:
        return call.unknown()  # Tensor.unfold
    value, roles = call.image(input)
    windows = dict(zip(roles, laid(kernel_size, stride, padding, dilation), strict=True))
    columns = call.arranger.lay(call.name(), "conv", value, windows)
    rows, cols = columns.known[-2:]
    taps = prod(window.kernel for window in windows.values())
    channels = (*plain(call.out.shape[1] // taps), Block(taps, "taps"))
    return replace(columns, dims=(*map(plain, call.out.shape[:1]), channels, rows + cols))


def fold(
    call: Call, input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Result:
    """Add up windows where they overlap, whose channels were made of all their places."""
    value = call.arranger.uncut(call.map(input))
    *batch, channels, line = value.known
    if has_places([channels]):
        raise Stuck("puts windows back whose places have not met")
    if len(line) != len(call.trace.axes) or not all(axis_of((part,)) for part in line):
        raise Stuck("puts back what is no line of windows")
    value, roles = call.arranger.image(replace(value, dims=(*batch, channels, *((part,) for part in line))), -2)
    figures = zip(*(each(number, 2) for number in (kernel_size, stride, dilation, padding, output_size)), strict=True)
    ops = {}
    for role, (kernel, step, apart, pads, wanted) in zip(roles, figures, strict=True):
        n = call.trace.sizes[value.at][call.trace.axes[role]]
        more = wanted + 2 * pads - (n - 1) * step - apart * (kernel - 1) - 1
        if not 0 <= more < step:
            raise Stuck("puts windows back into an image of another size")
        ops[role] = Transposed(kernel, step, apart, (pads, pads), more)
    folded = call.arranger.lay(call.name(), "convtranspose", value, ops)
    return replace(folded, dims=(*batch, plain(call.out.shape[-3]), *folded.known[-2:]))


def repeat_interleave(
    call: Call, input: Any, repeats: int, dim: int | None = None, *, output_size: Any = None
) -> Result:
    if dim is None or not isinstance(repeats, int):
        raise Stuck("repeats each number, or some more often than others")
    value = call.arranger.settled(call.map(input))
    if is_channels(value.known[dim]):
        return call.shaped(value)
    if not (role := axis_of(value.known[dim])):
        raise Stuck("repeats what is not rows or columns")
    return call.lay("resize", value, {role: Resize(scale=Fraction(repeats))}) if repeats > 1 else value


def max_unpool2d(
    call: Call,
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Result:
    """Put maxima back: each may go to any place of its window, and rows that no window had are zeros."""
    steps = tuple(each(stride or kernel_size, 2))
    if tuple(each(kernel_size, 2)) != steps or any(each(padding, 2)):
        raise Stuck("puts maxima back into windows that overlap or pad")
    value, roles = call.image(input)
    laid = call.arranger.lay(
        call.name(), "resize", value, {role: Resize(scale=Fraction(n)) for role, n in zip(roles, steps, strict=True)}
    )
    rests = [n - size_of(dim) for n, dim in zip(call.out.shape[-2:], laid.known[-2:], strict=True)]
    if not any(rests):
        return laid
    ops = {role: Window(1, padding=(0, n)) for role, n in zip(roles, rests, strict=True)}
    return call.lay("crop", laid, ops, call.name("rest"))
