"""PyTorch's convolutions, pools, pads and resizes: their arguments as windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import TypeVar, cast

from padviz.network.operations import Same, Transposed, Window
from padviz.network.padding_modes import SCHEMES
from padviz.network.resize import SMALL, Resize, Runtime
from padviz.sources.torch.call import RESIZES, Call, as_map
from padviz.sources.torch.tensors import Refused
from padviz.sources.tracing import views, windows
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.calls import Result, merge_maps
from padviz.sources.tracing.dims import PLACES, Block, Dim, plain

Handler = Callable[..., Result]
Ints = int | Sequence[int]  # one for all axes, or one for each
N = TypeVar("N", int, float)
Pair = tuple[int, int]
MODES = {scheme.torch: name for name, scheme in SCHEMES.items() if scheme.torch}


def per_axis(value: N | Sequence[N], axes: int) -> tuple[N, ...]:
    """Return a number for each axis, from one for all of them or one for each."""
    numbers = (value,) if isinstance(value, int | float) else tuple(value)
    if len(numbers) == 1:
        return numbers * axes
    return numbers


def windows_of(
    kernel: Ints,
    stride: Ints,
    padding: object,
    dilation: Ints,
    ceil: bool = False,
    axes: int = 2,
    schemes: Sequence[str] = (),
) -> list[Window]:
    """Return a window for each axis; with `schemes`, the padding is the rows before and after, on
    each axis.
    """
    pads: Sequence[tuple[int, int] | Same] = ["same"] * axes
    if padding != "same":
        if schemes:
            pads = cast("Sequence[Pair]", padding)
        else:
            rows = 0 if padding == "valid" else cast("Ints", padding)
            pads = [(n, n) for n in per_axis(rows, axes)]
    modes = schemes or ["zero"] * axes
    figures = zip(
        per_axis(kernel, axes),
        per_axis(stride, axes),
        per_axis(dilation, axes),
        pads,
        modes,
        strict=True,
    )
    return [Window(*figure, ceil=ceil) for figure in figures]


def convolution(
    call: Call,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Ints = 1,
    padding: object = 0,
    dilation: Ints = 1,
    transposed: bool = False,
    output_padding: Ints = 0,
    groups: int = 1,
    schemes: Sequence[str] = (),
) -> Result:
    """Handle a convolution of any kind, as exported programs have it."""
    out, into, *kernel = weight.shape
    axes, given = len(kernel), input.shape[-len(kernel) - 1]
    ops: list[Window] | list[Transposed]
    ops = convs = windows_of(kernel, stride, padding, dilation, axes=axes, schemes=schemes)
    if transposed:
        if given != out:  # PyTorch says so too, but not of tensors without data
            raise Refused(f"a transposed convolution of {out} channels is given {given}")
        out = into * groups
        ends = zip(convs, per_axis(output_padding, axes), strict=True)
        ops = [
            Transposed(op.kernel, op.stride, op.dilation, cast("Pair", op.padding), more)
            for op, more in ends
        ]
    path, module = call.modules.stack[-1]
    own_pad = ""
    if getattr(module, "padding_mode", "zeros") != "zeros":
        own_pad = f"{path}.pad"
    return windows.conv(call, as_map(input), ops, given, out, groups, weight, bias, own_pad)


def max_pool(
    call: Call,
    input: Value,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Result:
    ops = windows_of(kernel_size, stride or kernel_size, padding, dilation, ceil_mode, call.axes)
    return windows.pool(call, input, ops, "maxpool")


def avg_pool(
    call: Call,
    input: Value,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Result:
    ops = windows_of(kernel_size, stride or kernel_size, padding, 1, ceil_mode, call.axes)
    return windows.pool(
        call, input, ops if count_include_pad else windows.without_padding(ops), "avgpool"
    )


def adaptive_pool(
    call: Call, input: Value, output_size: int | Sequence[int | None], return_indices: bool = False
) -> Result:
    sizes = [output_size] * call.axes if isinstance(output_size, int) else output_size
    return windows.adaptive(call, input, sizes, maximum="max" in call.stem)


def pad(
    call: Call, input: Value, pad: Sequence[int], mode: str = "constant", value: object = None
) -> Result:
    pairs = dict(
        zip(range(len(input.known))[::-1], zip(pad[::2], pad[1::2], strict=True), strict=False)
    )
    if not any(pad) and not all(input.known[dim].positions for dim in pairs):
        return merge_maps(call, "multiply", call.maps)  # channels
    scheme = MODES[mode]
    fill = windows.filling(value if isinstance(value, int | float) else 0)
    rows = {
        dim: Window(1, padding=pair, mode=scheme, fill=fill)
        for dim, pair in pairs.items()
        if any(pair)
    }
    return windows.pad(call, input, rows, scheme)


def padded(
    call: Call,
    input: Value,
    pads: Sequence[tuple[int, int]],
    schemes: Sequence[str],
    dims: Sequence[int] = (-2, -1),
    value: object = None,
) -> Result:
    rows = {
        dim % len(input.known): Window(1, padding=ends, mode=scheme)
        for dim, ends, scheme in zip(dims, pads, schemes, strict=True)
        if input.known[dim].positions or any(ends)
    }
    return windows.pad(call, input, rows)


def interpolate(
    call: Call,
    input: Value,
    size: Ints | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Result:
    axes = call.output.ndim - 2
    wanted: Sequence[int] = call.output.shape[2:]
    if size is not None:
        wanted = per_axis(size, axes)
    if mode == "area":
        return windows.adaptive(call, input, wanted)
    if antialias or mode not in windows.STYLES:
        how = " with antialias" if antialias else ""
        raise Stuck(f"in mode {mode!r}{how} is not known")
    kind = replace(windows.STYLES[mode], align_corners=bool(align_corners))
    ops: list[Resize | None] = [replace(kind, size=n) for n in wanted]
    if scale_factor is not None and not recompute_scale_factor:
        scales = per_axis(scale_factor, axes)
        ops = [replace(kind, scale=Fraction(scale).limit_denominator(10_000)) for scale in scales]
    # These modes copy an axis whose size stays, whatever the scale.
    copies = kind.mode == "linear" or (mode == "nearest" and axes == 2)
    for axis, (before, after) in enumerate(
        zip(input.shape[2:], call.output.shape[2:], strict=True)
    ):
        if copies and before == after:
            ops[axis] = None
    return windows.resize(call, input, ops, _kernel_of(call.output.shape[2:]))


def _kernel_of(size: Sequence[int]) -> Runtime:
    if len(size) == 2 and sum(size) <= SMALL:
        return "PyTorch on small maps"
    return "PyTorch"


def upsample(call: Call, input: Value, size: Ints | None, *rest: object) -> Result:
    """Handle a resize of exported programs: its last argument has scales, the one before aligns
    corners.
    """
    mode = call.stem.removeprefix("upsample_").replace("_", "-")
    scales = None
    if rest and size is None:
        scales = cast("float | Sequence[float] | None", rest[-1])
    return interpolate(
        call, input, size, scales, mode, align_corners=len(rest) > 1 and rest[0] is True
    )


def unfold(
    call: Call,
    input: Value,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Result:
    if call.output.ndim != 3:
        return call.unknown()  # Tensor.unfold
    value, roles = windows.image(call, input, 2)
    ops = dict(zip(roles, windows_of(kernel_size, stride, padding, dilation), strict=True))
    columns = call.trace.add_map(call.name(), "conv", value, ops)
    rows, cols = columns.known[-2:]
    taps = prod(op.kernel for op in ops.values())
    channels = plain(call.output.shape[1] // taps) + Dim(Block(taps, "taps"))
    return replace(columns, dims=(*map(plain, call.output.shape[:1]), channels, rows + cols))


def fold(
    call: Call,
    input: Value,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Result:
    """Add up windows where they overlap, whose channels were made of all their places."""
    *batch, channels, line = input.known
    if channels.kind in PLACES:
        raise Stuck("folds windows whose places were not mixed")
    if len(line) != len(call.trace.axes) or not all(Dim(part).axis for part in line):
        raise Stuck("folds a tensor that is not a line of windows")
    value, roles = windows.image(call, replace(input, dims=(*batch, channels, *map(Dim, line))), 2)
    figures = zip(
        *(per_axis(number, 2) for number in (kernel_size, stride, dilation, padding, output_size)),
        strict=True,
    )
    ops = {}
    for role, (kernel, step, apart, pads, wanted) in zip(roles, figures, strict=True):
        n = call.trace.sides(value.at)[role]
        more = wanted + 2 * pads - (n - 1) * step - apart * (kernel - 1) - 1
        if not 0 <= more < step:
            raise Stuck("folds windows into an image of another size")
        ops[role] = Transposed(kernel, step, apart, (pads, pads), more)
    folded = call.trace.add_map(call.name(), "convtranspose", value, ops)
    return replace(folded, dims=(*batch, plain(call.output.shape[-3]), *folded.known[-2:]))


def repeat_interleave(
    call: Call, input: Value, repeats: object, dim: int | None = None, *, output_size: object = None
) -> Result:
    if dim is None or not isinstance(repeats, int):
        raise Stuck("repeats each number, or some more often than others")
    value = call.trace.unsplit(as_map(input))
    if value.known[dim].kind == "channels":
        return call.with_channels(value)
    if not (role := value.known[dim].axis):
        raise Stuck("repeats dimensions that are not rows or columns")
    ops = {role: Resize(scale=Fraction(repeats))}
    if repeats > 1:
        return call.trace.add_map(call.name(), "resize", value, ops)
    return value


def max_unpool(
    call: Call,
    input: Value,
    indices: Value,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: object = None,
) -> Result:
    """Undo a max pool: each maximum may go to any place of its window, and rows that no window had
    are zeros.
    """
    if call.axes != 2:
        return call.unknown()
    steps = per_axis(stride or kernel_size, 2)
    if per_axis(kernel_size, 2) != steps or any(per_axis(padding, 2)):
        raise Stuck("unpools windows that overlap or pad")
    value, roles = windows.image(call, input, 2)
    scales = {role: Resize(scale=Fraction(n)) for role, n in zip(roles, steps, strict=True)}
    laid = call.trace.add_map(call.name(), "resize", value, scales)
    rests = [n - dim.size for n, dim in zip(call.output.shape[-2:], laid.known[-2:], strict=True)]
    if not any(rests):
        return laid
    ops = {role: Window(1, padding=(0, n)) for role, n in zip(roles, rests, strict=True)}
    return call.trace.add_map(call.name("rest"), "crop", laid, ops)


def forward_convolution(
    call: Call,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Ints = 1,
    padding: object = 0,
    dilation: Ints = 1,
    groups: int = 1,
    schemes: Sequence[str] = (),
) -> Result:
    return convolution(
        call, input, weight, bias, stride, padding, dilation, False, 0, groups, schemes
    )


def transposed_convolution(
    call: Call,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Ints = 1,
    padding: object = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Result:
    return convolution(
        call, input, weight, bias, stride, padding, dilation, True, output_padding, groups
    )


TABLE: Mapping[str, Handler] = {
    "conv padded_conv": forward_convolution,
    "conv_transpose": transposed_convolution,
    "convolution": convolution,
    "max_pool max_pool_with_indices": max_pool,
    "avg_pool": avg_pool,
    "lp_pool": lambda call, input, norm_type, kernel_size, stride=None, ceil_mode=False: avg_pool(
        call, input, kernel_size, stride, 0, ceil_mode
    ),
    "adaptive_avg_pool adaptive_max_pool adaptive_max_pool_with_indices": adaptive_pool,
    "pad": pad,
    "constant_pad_nd": lambda call, input, amounts, value=0: pad(call, input, amounts, value=value),
    "padded": padded,
    " ".join(RESIZES): upsample,
    "interpolate upsample": interpolate,
    "pixel_shuffle": (
        lambda call, input, upscale_factor: views.depth_to_space(
            call, *windows.image(call, input, 2), upscale_factor
        )
    ),
    "pixel_unshuffle": (
        lambda call, input, downscale_factor: views.space_to_depth(
            call, *windows.image(call, input, 2), downscale_factor
        )
    ),
    "unfold": unfold,
    "fold": fold,
    "repeat_interleave": repeat_interleave,
    "max_unpool": max_unpool,
}
