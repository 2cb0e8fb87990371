"""What ONNX's operations do to a map: one table from the name of an operation to a function, and the neutral ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import inf
from typing import Any

from padviz.axis.operations import Transposed, Window
from padviz.axis.padding_modes import SCHEMES
from padviz.axis.resize import GRIDS, ROUNDINGS, Resize
from padviz.network.layer import Kind
from padviz.sources.onnx.constants.folding import Malformed, from_front
from padviz.sources.onnx.merging import MIXING
from padviz.sources.onnx.quantised import quantised
from padviz.sources.onnx.reshaping import SHAPING
from padviz.sources.onnx.tensors import CONVS, SAME, Node
from padviz.sources.tracing import elementwise, windows
from padviz.sources.tracing.arranging import Constant, Map, Stuck
from padviz.sources.tracing.axis_labels import shape_of, size_of
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.products import along

Function = Callable[[Node], Result]
MODES = {scheme.onnx: name for name, scheme in SCHEMES.items() if scheme.onnx}

# Elementwise operations. The first ones are linear: they do not make an activation of what they are part of.
LINEAR = {
    "Cast", "CastLike", "DequantizeLinear", "Dropout", "Identity",
    "Neg", "QuantizeLinear",
}  # fmt: skip
NEUTRAL = LINEAR | {
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseNot",
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
    return x if node.op in LINEAR else x.activated(x.dims)


def softmax(node: Node) -> Result:
    x = node.tensor(0)
    rank = len(x.known)
    axis = node.axis(rank, 1 if node.version < 13 else -1)
    return along(node, x, range(axis, rank) if node.version < 13 else [axis], "softmax over positions")


def conv(node: Node) -> Result:
    x, (out, within, *kernel) = node.tensor(0), _weight(node)
    groups = int(node.attrs.get("group", 1))
    ops = node.windows(node.numbers("kernel_shape", kernel), x)
    return windows.conv(node, x, ops, within * groups, out, groups, node.weight, node.optional(2))


def transposed(node: Node) -> Result:
    x, (into, within, *kernel) = node.tensor(0), _weight(node)
    groups = int(node.attrs.get("group", 1))
    taps = node.over(node.numbers("kernel_shape", kernel) if within else [], x)
    ops = [_transposed_op(node, taps, i, size_of(dim)) for i, dim in enumerate(x.known[2:])]
    return windows.conv(node, x, ops, into, within * groups, groups, node.weight, node.optional(2))


def _weight(node: Node) -> Sequence[int]:
    """Read the shape of the weights; channels that it does not have are none."""
    shape = shape_of(node.weight.dims or ())
    return shape if len(shape) > 1 else (1, 0)


def _transposed_op(node: Node, kernel: Sequence[int], i: int, n: int) -> Transposed:
    k = len(kernel)
    stride, dilation = node.each("strides", 1, k)[i], node.each("dilations", 1, k)[i]
    extra = node.each("output_padding", 0, k)[i]
    pads, rule = node.each("pads", 0, 2 * k), node.text("auto_pad", "NOTSET")
    asked = node.attrs.get("output_shape") and node.each("output_shape", 0, k)[-k:]
    if not asked and rule not in SAME:
        return Transposed(kernel[i], stride, dilation, (0, 0) if rule == "VALID" else (pads[i], pads[k + i]), extra)
    made = (n - 1) * stride + dilation * (kernel[i] - 1) + 1 + extra
    lost = made - (asked[i] if asked else n * stride)
    return windows.transposed(kernel[i], stride, dilation, lost, extra, upper=rule == "SAME_UPPER")


def pool(kind: Kind) -> Function:
    def run(node: Node) -> Result:
        x, ceil = node.tensor(0), bool(node.attrs.get("ceil_mode", 0))
        return windows.pool(node, x, node.windows(node.numbers("kernel_shape", []), x, ceil), kind)

    return run


def pad(node: Node) -> Result:
    x = node.tensor(0)
    rank = len(x.known)
    amounts = node.attrs.get("pads") or node.attrs.get("paddings") or node.ints(1)
    named = node.ints(3) if len(node.read) > 3 and node.read[3] is not None else range(rank)
    axes = [from_front(int(axis), rank) for axis in named]
    mode = MODES.get(node.text("mode", "constant"))
    if mode is None or len(amounts) != 2 * len(axes) or len({*axes}) < len(axes):
        raise Stuck("has a mode or amounts that make no sense")
    ends = zip(axes, amounts, amounts[len(axes) :], strict=False)
    rows = {axis: Window(1, padding=(before, after), mode=mode) for axis, before, after in ends if before or after}
    return windows.pad(node, x, rows, mode)


def resize(node: Node) -> Result:
    x = node.tensor(0)
    rank = len(x.known)
    scales, sizes = _targets(node)
    axes = [from_front(int(axis), rank) for axis in node.attrs.get("axes") or range(rank)]
    if len(scales or sizes) < len(axes):
        raise Malformed(f"it resizes {len(axes)} axes by {len(scales or sizes)} numbers")
    style = _style(node)
    ops: list[Resize | None] = [None] * rank
    for i, axis in enumerate(axes):
        n = size_of(x.known[axis])
        scale = Fraction(scales[i]).limit_denominator(10_000) if scales else None
        if axis < 2:
            if scale not in (None, 1) or (sizes and sizes[i] != n):
                raise Stuck("resizes batch or channels")
        elif scale != 1:
            ops[axis] = _checked(node, replace(style, size=sizes[i] if sizes else None, scale=scale), n)
    return windows.resize(node, x, ops[2:])


def _targets(node: Node) -> tuple[list[float], list[int]]:
    """Read the scales or the sizes that a Resize or an Upsample asks for."""
    if node.op == "Upsample" and "scales" in node.attrs:
        return [float(scale) for scale in node.attrs["scales"]], []
    at = 1 if node.op == "Upsample" or node.version < 11 else 2
    given = next(iter(node.arrays(at)), None)
    scales = [] if given is None else [float(n) for n in given.reshape(-1)]
    sizes = node.ints(3) if at == 2 else []
    if bool(scales) == bool(sizes) or not all(0 < scale < inf for scale in scales):
        raise Stuck("asks for no size, or for two")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Stuck("keeps an aspect ratio")
    return scales, sizes


def _style(node: Node) -> Resize:
    mode = node.text("mode", "nearest")
    plainly = node.op == "Upsample" or node.version < 11
    grid: Any = node.text("coordinate_transformation_mode", "asymmetric" if plainly else "half_pixel")
    rounding: Any = node.text("nearest_mode", "floor" if plainly else "round_prefer_floor")
    if grid not in GRIDS or rounding not in ROUNDINGS or mode not in ("nearest", "linear", "bilinear", "cubic"):
        raise Stuck(f"interpolates by {mode}, {grid}, {rounding}")
    if mode == "nearest":
        return Resize(grid=grid, rounding=rounding)
    return Resize(linear=mode != "cubic", cubic=mode == "cubic", grid=grid)


def _checked(node: Node, op: Resize, n: int) -> Resize:
    """Do as onnxruntime does before opset 11 when it shrinks; refuse antialiasing, which reads more rows then."""
    shrinks = (op.size or 0) < n if op.scale is None else op.scale < 1
    if shrinks and node.attrs.get("antialias") and (op.linear or op.cubic):
        raise Stuck("shrinks with antialiasing")
    plainly = node.version < 11 and not op.linear and not op.cubic
    return replace(op, rounding="ceil") if shrinks and plainly else op


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
    acted = x if node.op == "BatchNormalization" else x.activated(x.dims)
    return elementwise.norm(node, acted, why, () if x.dims is None else over(node, len(x.dims)))


def _last(node: Node, rank: int) -> Sequence[int]:
    return range(node.axis(rank, -1), rank)


def _listed(node: Node, rank: int) -> Sequence[int]:
    return [from_front(int(axis), rank) for axis in node.numbers("axes", [0, 2, 3])]


NORMS: dict[str, tuple[str, Callable[[Node, int], Sequence[int]]]] = {
    "BatchNormalization": ("batch norm", lambda node, rank: range(2, rank) if node.attrs.get("training_mode") else ()),
    "GroupNormalization": ("group norm", lambda node, rank: range(1, rank)),
    "InstanceNormalization": ("instance norm", lambda node, rank: range(2, rank)),
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
    "LpPool": pool("avgpool"),
    "MaxPool": pool("maxpool"),
    "Pad": pad,
}
OPS |= quantised(OPS)
