"""What ONNX's operations do to a map: one table from the name of an operation to a function, and the neutral ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import inf
from typing import Any

from padviz.axis.operations import Op, Transposed, Window, out_size
from padviz.axis.padding_modes import SCHEMES
from padviz.axis.resize import GRIDS, ROUNDINGS, Resize
from padviz.network.layer import Kind
from padviz.sources.onnx.constants.folding import Malformed, from_front
from padviz.sources.onnx.merging import MIXING
from padviz.sources.onnx.quantised import quantised
from padviz.sources.onnx.reshaping import SHAPING
from padviz.sources.onnx.tensors import CONVS, SAME, GraphArranger, Node
from padviz.sources.tracing.arranging import Constant, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import (
    alone,
    axis_of,
    has_positions,
    is_channels,
    plain,
    positions,
    shape_of,
    size_of,
)
from padviz.sources.tracing.calls import Result, with_kernel
from padviz.sources.tracing.meeting.contracting import along

Function = Callable[[Node], Result]
MODES = {scheme.onnx: name for name, scheme in SCHEMES.items() if scheme.onnx}
WHY = "softmax over positions"

# Elementwise operations. The first ones are linear: they do not make an activation of what they are part of.
LINEAR = {
    "Cast", "CastLike", "DequantizeLinear", "Dropout", "Identity",
    "Neg", "QuantizeLinear",
}  # fmt: skip
NEUTRAL = LINEAR | {
    "Abs", "Acos", "Acosh", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseNot",
    "Bernoulli", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LRN",
    "LeakyRelu", "Log",
    "Mish", "Not", "PRelu", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
    "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
    "com.microsoft.BiasGelu", "com.microsoft.FastGelu", "com.microsoft.Gelu", "com.microsoft.QuickGelu",
}  # fmt: skip


def neutral(node: Node) -> Result:
    """Pass what is elementwise: the same map."""
    x = node.tensor(0)
    if node.op != "CastLike" and not all(isinstance(other, Constant) for other in node.given[1:]):
        raise Stuck("joins several maps")
    if node.op in ("ArgMax", "ArgMin"):
        return _picked(node, x)
    return x if node.op in LINEAR else x.activated(x.dims)


def softmax(node: Node) -> Result:
    x = node.tensor(0)
    rank = len(x.known)
    axis = node.axis(rank, 1 if node.version < 13 else -1)
    return along(node, x, range(axis, rank) if node.version < 13 else [axis], WHY)


def _picked(node: Node, x: Value) -> Value:
    """Pick the best channel of each position."""
    dims, axis = list(x.known), node.axis(len(x.known), 0)
    if positions(dims[axis]):
        raise Stuck("picks one of all positions")
    dims[axis : axis + 1] = [()] if node.attrs.get("keepdims", 1) else []
    return x.activated(tuple(dims))


def conv(node: Node) -> Result:
    shape = shape_of(node.weight.dims or ())
    x, roles = node.image(node.tensor(0))
    kernel = node.numbers("kernel_shape", shape[2:])
    channels = node.channels(x, shape, int(node.attrs.get("group", 1)))
    ops, out = node.windows(kernel, roles), shape[0] if shape else 1
    return with_kernel(node, lambda: node.lay("conv", x, ops, out, channels), node.weight, node.optional(2))


def transposed(node: Node) -> Result:
    x, roles = node.image(node.tensor(0))
    shape = shape_of(node.tensor(1).dims or ())
    kernel = node.numbers("kernel_shape", shape[2:])
    if len(kernel) != len(roles) or len(shape) < 2:
        raise Stuck(f"has a kernel of {len(kernel)} dimensions over {len(roles)}")
    sizes = shape_of(x.known)[2:]
    ops: dict[str, Op] = {
        role: _transposed_op(node, kernel, i, n) for i, (role, n) in enumerate(zip(roles, sizes, strict=True))
    }
    groups = int(node.attrs.get("group", 1))
    channels = node.channels(x, shape, groups, transposed=True)
    out = shape[1] * groups
    return with_kernel(node, lambda: node.lay("convtranspose", x, ops, out, channels), node.weight, node.optional(2))


def _transposed_op(node: Node, kernel: Sequence[int], i: int, n: int) -> Transposed:
    k = len(kernel)
    stride, dilation = node.each("strides", 1, k)[i], node.each("dilations", 1, k)[i]
    extra = node.each("output_padding", 0, k)[i]
    pads, rule = node.each("pads", 0, 2 * k), node.text("auto_pad", "NOTSET")
    before, after = (0, 0) if rule == "VALID" else (pads[i], pads[k + i])
    output_shape = node.attrs.get("output_shape") and node.each("output_shape", 0, k)[-k:]
    if output_shape or rule in SAME:
        out = output_shape[i] if output_shape else n * stride
        total = (n - 1) * stride + dilation * (kernel[i] - 1) + 1 + extra - out
        extra, total = extra + max(-total, 0), max(total, 0)
        before, after = (total // 2, total - total // 2) if rule == "SAME_UPPER" else (total - total // 2, total // 2)
    return Transposed(kernel[i], stride, dilation, (before, after), extra)


def pool(kind: Kind) -> Function:
    def run(node: Node) -> Result:
        kernel = node.numbers("kernel_shape", [])
        if across := _across_channels(node, kernel):
            return across
        x, roles = node.image(node.tensor(0))
        ceil = bool(node.attrs.get("ceil_mode", 0))
        ops = node.windows(kernel, roles, ceil)
        if all(op == Window(1, ceil=ceil) for op in ops.values()):
            return replace(x, acted=True)
        return node.lay(kind, x, ops)

    return run


def _across_channels(node: Node, kernel: Sequence[int]) -> Value | None:
    """Pass a pool that slides along channels only, as in a local response normalisation: neutral."""
    x = node.tensor(0)
    windows = [node.window(kernel, i) for i in range(len(kernel))]
    dims = x.known[2:]
    slides = [window != Window(1) for window in windows]
    if len(dims) != len(windows) or not any(slides) or any(window.stride < 1 for window in windows):
        return None
    if any(slid and (has_positions(dim) or alone(dim)) for slid, dim in zip(slides, dims, strict=True)):
        return None
    sizes = [out_size(window, size_of(dim)) for window, dim in zip(windows, dims, strict=True)]
    slid = tuple(dim if alone(dim) else plain(n) for dim, n in zip(dims, sizes, strict=True))
    return x.activated((*x.known[:2], *slid))


def pad(node: Node) -> Result:
    x = node.arranger.settled(node.tensor(0))
    rank = len(x.known)
    amounts = node.attrs.get("pads") or node.attrs.get("paddings") or node.ints(1)
    named = node.ints(3) if len(node.read) > 3 and node.read[3] is not None else range(rank)
    axes = [from_front(int(axis), rank) for axis in named]
    mode = MODES.get(node.text("mode", "constant"))
    if mode is None or len(amounts) != 2 * len(axes) or len({*axes}) < len(axes):
        raise Stuck("has a mode or amounts that make no sense")
    ops: dict[str, Op] = dict.fromkeys(node.trace.axes, Window(1, mode=mode))
    dims = list(x.known)
    for i, axis in enumerate(axes):
        before, after = amounts[i], amounts[len(axes) + i]
        role = _own_role(node.arranger, x, axis, rank) if before or after else ""
        if role:
            ops[role] = Window(1, padding=(before, after), mode=mode)
        elif before or after:
            dims[axis] = plain(max(size_of(dims[axis]) + before + after, 0))
    if tuple(dims) != x.known and all(op == Window(1, mode=mode) for op in ops.values()):
        return replace(x, dims=tuple(dims))  # channels alone
    every = [n for op in ops.values() if isinstance(op, Window) for n in op.padding if isinstance(n, int)]
    kind: Kind = "crop" if max(every) <= 0 and min(every) < 0 else "pad"
    return node.lay(kind, replace(x, dims=tuple(dims)), ops)


def _own_role(arranger: GraphArranger, x: Value, axis: int, rank: int) -> str:
    """Find the role of one axis, which must be no mixture."""
    dim = x.known[axis]
    if is_channels(dim):
        roles = [*arranger.trace.axes]
        return roles[axis - 2] if size_of(dim) == 1 and rank == len(roles) + 2 and axis > 1 else ""
    if len(dim) > 1 or not axis_of(dim):
        raise Stuck("changes height, width and channels as one")
    return axis_of(dim)


def resize(node: Node) -> Result:
    x, roles = node.image(node.tensor(0))
    rank = len(x.known)
    scales, sizes = _targets(node)
    axes = [from_front(int(axis), rank) for axis in node.attrs.get("axes") or range(rank)]
    if len(scales or sizes) < len(axes):
        raise Malformed(f"it resizes {len(axes)} axes by {len(scales or sizes)} numbers")
    style = _style(node)
    ops: dict[str, Op] = {}
    for i, axis in enumerate(axes):
        n = size_of(x.known[axis])
        scale = Fraction(scales[i]).limit_denominator(10_000) if scales else None
        if axis < 2:
            if scale not in (None, 1) or (sizes and sizes[i] != n):
                raise Stuck("resizes batch or channels")
        elif scale != 1:
            op = Resize(sizes[i] if sizes else None, scale, **style)
            ops[roles[axis - 2]] = _checked(node, op, n)
    return node.lay("resize", x, ops) if ops else replace(x, acted=True)


def _targets(node: Node) -> tuple[list[float], list[int]]:
    """Read the scales or the sizes that a Resize or an Upsample asks for."""
    if node.op == "Upsample" and "scales" in node.attrs:
        return [float(scale) for scale in node.attrs["scales"]], []
    at = 1 if node.op == "Upsample" or node.version < 11 else 2
    arrays = node.arrays(at)
    scales = [] if not arrays or arrays[0] is None else [float(n) for n in arrays[0].reshape(-1)]
    sizes = node.ints(3) if len(arrays) > 1 and at == 2 else []
    if bool(scales) == bool(sizes) or not all(0 < scale < inf for scale in scales):
        raise Stuck("asks for no size, or for two")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Stuck("keeps an aspect ratio")
    return scales, sizes


def _style(node: Node) -> dict[str, Any]:
    """Tell how a Resize interpolates, in the words of `padviz.axis.resize`."""
    mode = node.text("mode", "nearest")
    plainly = node.op == "Upsample" or node.version < 11
    grid = node.text("coordinate_transformation_mode", "asymmetric" if plainly else "half_pixel")
    rounding = node.text("nearest_mode", "floor" if plainly else "round_prefer_floor")
    if grid not in GRIDS or rounding not in ROUNDINGS or mode not in ("nearest", "linear", "bilinear", "cubic"):
        raise Stuck(f"interpolates by {mode}, {grid}, {rounding}")
    style: dict[str, Any] = {"linear": mode.endswith("linear"), "cubic": mode == "cubic", "grid": grid}
    return style | ({"rounding": rounding} if mode == "nearest" else {})


def _checked(node: Node, op: Resize, n: int) -> Resize:
    """Do as onnxruntime does before opset 11 when it shrinks; refuse antialiasing, which reads more rows then."""
    shrinks = (op.size or 0) < n if op.scale is None else op.scale < 1
    if shrinks and node.attrs.get("antialias") and (op.linear or op.cubic):
        raise Stuck("shrinks with antialiasing")
    plainly = node.version < 11 and not op.linear and not op.cubic
    return replace(op, rounding="ceil") if shrinks and plainly else op


def depth_to_space(node: Node) -> Result:
    x, roles = node.image(node.tensor(0))
    block = node.block()
    ops: dict[str, Op] = {role: Resize(scale=Fraction(block)) for role in roles}
    return node.lay("resize", x, ops, max(size_of(x.known[1]) // block**2, 1))


def space_to_depth(node: Node) -> Result:
    x, roles = node.image(node.tensor(0))
    block = node.block()
    layer = node.arranger.space_to_depth(node.title, x.at, dict.fromkeys(roles, block))
    dims = (x.known[0], plain(size_of(x.known[1]) * block**2), *x.known[2:])
    return Map(node.arranger.sized(dims, layer), layer)


def norm(node: Node) -> Result:
    """Normalise over some dimensions, as the table says; running statistics make no activation."""
    x, (why, over) = node.tensor(0), NORMS[node.op]
    read = node.given[1:3] if node.attrs.get("training_mode") else node.given[1:]  # statistics are only updated then
    if vectors := [other for other in read if isinstance(other, Map)]:
        if not all(node.trace.pooled[vector.at] for vector in vectors):
            raise Stuck("joins several maps")
        x = node.arranger.settled(x)
        layer = node.trace.merge(f"{node.name()}.gate", "multiply", [x.at, *(vector.at for vector in vectors)])
        x = Map(x.known, layer)
    activated = x if node.op == "BatchNormalization" else x.activated(x.dims)
    if not isinstance(activated, Map) or activated.dims is None:
        return activated
    return node.norm(activated, why, [activated.dims[i] for i in over(node, len(activated.dims))])


def _images(node: Node, rank: int) -> Sequence[int]:
    return range(2, rank)


def _last(node: Node, rank: int) -> Sequence[int]:
    return range(node.axis(rank, -1), rank)


def _listed(node: Node, rank: int) -> Sequence[int]:
    return [from_front(int(axis), rank) for axis in node.numbers("axes", [0, 2, 3])]


NORMS: dict[str, tuple[str, Callable[[Node, int], Sequence[int]]]] = {
    "BatchNormalization": ("batch norm", lambda node, rank: range(2, rank) if node.attrs.get("training_mode") else ()),
    "GroupNormalization": ("group norm", _images),
    "InstanceNormalization": ("instance norm", _images),
    "LayerNormalization": ("layer norm", _last),
    "LpNormalization": ("norm over positions", lambda node, rank: [node.axis(rank, -1)]),
    "MeanVarianceNormalization": ("norm over positions", _listed),
    "RMSNormalization": ("rms norm", _last),
    "com.microsoft.GroupNorm": ("group norm", lambda node, rank: range(1, rank)),
}

OPS: dict[str, Function] = {
    **dict.fromkeys(NEUTRAL, neutral),
    **dict.fromkeys(NORMS, norm),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    **SHAPING,
    **MIXING,
    **dict.fromkeys(CONVS, conv),
    **dict.fromkeys(("Resize", "Upsample"), resize),
    "AveragePool": pool("avgpool"),
    "ConvTranspose": transposed,
    "DepthToSpace": depth_to_space,
    "LpPool": pool("avgpool"),
    "MaxPool": pool("maxpool"),
    "Pad": pad,
    "SpaceToDepth": space_to_depth,
}
OPS |= quantised(OPS)
