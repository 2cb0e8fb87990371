"""The effect of ONNX operations on maps: one table from the name of an operation to a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, zip_longest
from math import inf, prod
from typing import cast

import numpy as np

from padviz.network.layer import Kind
from padviz.network.operations import Adaptive, Op, Transposed, Window
from padviz.network.padding_modes import SCHEMES
from padviz.network.resize import GRIDS, ROUNDINGS, Grid, Interpolation, Resize, Rounding
from padviz.sources.onnx.constants import (
    Array,
    Unread,
    axes_of,
    evaluate,
    listed,
    new_shape,
    slices_of,
    split_sizes,
)
from padviz.sources.onnx.node import CONVS, Handler, Node
from padviz.sources.tracing import calls, products, views, windows
from padviz.sources.tracing.arranging import Constant, Malformed, Map, Stuck, Value, from_front
from padviz.sources.tracing.calls import Result, merge_maps, with_kernel
from padviz.sources.tracing.dims import Block, Dim, plain, shape_of, whole
from padviz.sources.tracing.products import reduce_over


def transpose(node: Node, x: Value) -> Value:
    order = node.attrs.get("perm") or range(len(x.known))[::-1]
    if sorted(order) != [*range(len(x.known))]:
        raise Stuck("permutes dimensions that it does not have")
    return views.permute(x, order)


def reshape(node: Node, x: Value) -> Value:
    wanted = node.attrs.get("shape") or node.ints(1)
    return views.reshape(node, x, new_shape(x.shape, wanted, bool(node.attrs.get("allowzero"))))


def flatten(node: Node, x: Value) -> Value:
    shape = x.shape
    axis = int(node.attrs.get("axis", 1))
    if axis != len(shape):
        axis = from_front(axis, len(shape))
    return views.reshape(node, x, [prod(shape[:axis]), prod(shape[axis:])])


def squeeze(node: Node, x: Value) -> Value:
    shape = x.shape
    axes = axes_of(node.attrs, node.arrays(1), len(shape)) or [
        i for i, n in enumerate(shape) if n == 1
    ]
    return views.squeeze(node, x, axes)


def unsqueeze(node: Node, x: Value) -> Value:
    axes = listed(node.attrs, "axes", node.arrays(1))
    places = {from_front(axis, len(x.known) + len(axes)) for axis in axes}
    if len(places) < len(axes):
        raise Malformed("it names an axis twice")
    return views.unsqueeze(x, places)


def expand(node: Node, x: Value) -> Value:
    sizes = [*zip_longest(x.shape[::-1], node.ints(1)[::-1], fillvalue=1)][::-1]
    if any(n != m and 1 not in (n, m) for n, m in sizes):
        raise Stuck("copies a tensor to a shape that does not fit")
    return views.expand(node, x, [m if n == 1 else n for n, m in sizes])


def tile(node: Node, x: Value) -> Value:
    times = node.ints(1)
    if len(times) != len(x.known):
        raise Stuck("repeats dimensions that it does not have")
    return views.expand(node, x, [n * k for n, k in zip(x.shape, times, strict=True)])


def split(node: Node, x: Value) -> list[Value]:
    axis = node.axis(len(x.known), 0)
    size = x.known[axis].size
    sizes = split_sizes(node.attrs, node.arrays(1), size, node.outputs)
    if sum(sizes) != size or min(sizes) < 1:
        raise Stuck(f"splits {size} into {', '.join(map(str, sizes))}")
    return [
        views.slice_(node, x, {axis: slice(end - n, end)})
        for n, end in zip(sizes, accumulate(sizes), strict=True)
    ]


def gather(node: Node, x: Value) -> Value:
    at = node.tensor(1)
    rows = None
    if isinstance(at, Constant) and at.array is not None:
        rows = node.ints(1)
    return views.gather(node, x, node.axis(len(x.known), 0), rows, at.known, node.title)


def blocks(node: Node, x: Value) -> Value:
    size = int(node.required("blocksize"))
    if size < 1:
        raise Malformed(f"its blocksize is {size}")
    if node.op == "DepthToSpace":
        follow = views.depth_to_space
    else:
        follow = views.space_to_depth
    return follow(node, *windows.image(node, x, len(x.known) - 2), size)


def gather_nd(node: Node, x: Value) -> Value:
    """Recognise the windows of an adaptive pool, each with a dimension of its bins; any other
    gather is a head.

    Bin i of `out` begins at row i * n // out of n and is as long as the largest bin, clipped to n -
    1.
    """
    at, axes = node.tensor(1), [*node.trace.axes]
    with suppress(Unread):
        table = None
        if isinstance(at, Constant):
            table = evaluate(at, node.budget)
        if (
            table is None
            or table.ndim != 2 * len(axes) + 1
            or [dim.axis for dim in x.known[: len(axes)]] != axes
        ):
            raise Stuck("gathers positions one by one", mixed=True)
        ops: list[Op] = []
        dims: list[Dim] = []
        for i, role in enumerate(axes):
            n, (out, bins) = x.known[i].size, table.shape[2 * i : 2 * i + 2]
            first, last = np.arange(out) * n // out, -(-np.arange(1, out + 1) * n // out)
            rows = np.minimum(first[:, None] + np.arange((last - first).max()), n - 1)
            shape = [1] * 2 * i + [out, -1] + [1] * 2 * (len(axes) - i - 1)
            if rows.shape != (out, bins) or (table[..., i] != rows.reshape(shape)).any():
                raise Stuck("gathers positions one by one", mixed=True)
            ops.append(Adaptive(out))
            dims += [whole(role, out), Dim(Block(bins, "bins"))]
        layer = node.trace.add(node.title, "adaptive", (node.trace.unsplit(x).at,), ops)
        return Map((*dims, *x.known[len(axes) :]), layer)
    raise Stuck("gathers positions one by one", mixed=True)


def shape(node: Node, x: Value) -> Value:
    part = slice(node.attrs.get("start", 0), node.attrs.get("end"))
    sizes = x.shape[part]
    return Constant((plain(len(sizes)),), np.array(sizes, dtype=np.int64))


REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
AFFINE = ("Add", "Sub", "Sum", "Mean", "Mul", "Div")  # with constants these make no activation
MODES = {scheme.onnx: name for name, scheme in SCHEMES.items() if scheme.onnx}

LINEAR = "Cast CastLike DequantizeLinear Dropout Identity Neg QuantizeLinear"  # no activations
NEUTRAL = """
    Abs Acos Acosh Asin Asinh Atan Atanh Bernoulli BitShift BitwiseNot Ceil Celu Clip Cos Cosh Elu
    Erf Exp Floor Gelu HardSigmoid HardSwish IsInf IsNaN LRN LeakyRelu Log Mish Not PRelu Reciprocal
    Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh
    ThresholdedRelu com.microsoft.BiasGelu com.microsoft.FastGelu com.microsoft.Gelu
    com.microsoft.QuickGelu
"""


ADDED = "Add Sub Sum Mean Max Min"
MULTIPLIED = """
    Mul Div Pow Mod Where And Or Xor Equal Greater GreaterOrEqual Less LessOrEqual
    BitwiseAnd BitwiseOr BitwiseXor
"""
ACTS = {"Clip", "Concat", "PRelu", *f"{ADDED} {MULTIPLIED}".split()}
ELEMENTWISE = {*f"{LINEAR} {NEUTRAL} {ADDED} {MULTIPLIED}".split()}


def merged(kind: Kind) -> Handler:
    """Return a handler that merges maps elementwise; constants are neutral, and one pooled map
    makes a gate.
    """

    def run(node: Node, x: Value) -> Value:
        maps = node.maps
        if not maps:
            return Constant(None if any(x.dims is None for x in node.given) else node.broadcast([]))
        if len(maps) == 1 and (partial_conv := _reweighed(node, maps[0])) is not None:
            return partial_conv
        if node.op == "Sub":
            joined = calls.subtract(node)
        else:
            joined = merge_maps(node, kind, maps)
        if node.op == "Add":
            joined = calls.apply_masks(node, joined)
        if node.op == "Where" and joined.has_looked:
            numbers = node.constants()
            joined = calls.apply_where(
                joined, *(next(numbers) if isinstance(x, Constant) else None for x in node.given)
            )
        return replace(joined, acted=joined.acted or (len(maps) == 1 and node.op not in AFFINE))

    return run


def _reweighed(node: Node, x: Map) -> Value | None:
    """Return the output of a partial convolution, if a constant factor makes `x` one; None
    otherwise.
    """
    divided = node.op == "Div" and node.given[0] is x
    if node.op != "Mul" and not divided:
        return None
    factor = next((x for x in node.given if isinstance(x, Constant)), None)
    if factor is None or (factor.array is None and factor.later is None):
        return None  # an input of the graph, such as a mask

    def numbers() -> Array:
        array = evaluate(factor, node.budget)
        with np.errstate(all="ignore"):
            return 1 / array if divided else array

    try:
        return calls.partial_convolution(node, x, factor.dims, numbers)
    except Unread as error:
        how = "divides" if divided else "multiplies"
        which = (
            f"the constant that it {how} a convolution by, which may make it partial convolution"
        )
        what = f"node {node.title}: {which}, {error}, and"
        return Map(None, node.trace.unknown(node.title, (x.at,), what, node.op))


def reduced(node: Node, x: Value) -> Value:
    axes = axes_of(node.attrs, node.arrays(1), len(x.known))
    if not axes and node.attrs.get("noop_with_empty_axes"):
        return node.trace.unsplit(x)
    return reduce_over(node, x, axes or range(len(x.known)), node.keeps_dims)


def gemm(node: Node, a: Value) -> Result:
    first, second = (
        "ki" if node.attrs.get("transA") else "ik",
        "jk" if node.attrs.get("transB") else "kj",
    )
    if isinstance(a, Map) and len(a.known) != 2:
        raise Stuck("multiplies a tensor that is not a matrix")
    b, bias = node.tensor(1), node.optional(2)
    if b.dims is not None and len(b.dims) != 2:
        raise Malformed(f"it multiplies a tensor of {len(b.dims)} dimensions as one of 2")
    return with_kernel(
        node, lambda: products.product(node, [(a, first), (b, second)], "ij"), None, bias
    )


def cumulate(node: Node, x: Value) -> Value:
    axes = node.ints(1)
    if len(axes) != 1:
        raise Malformed(f"it sums along {len(axes)} axes")
    return products.cumulate(x, from_front(axes[0], len(x.known)))


def recurrent(node: Node, x: Value) -> Sequence[Value]:
    ways, hidden = (
        2 if node.attrs.get("direction") == "bidirectional" else 1,
        int(node.attrs.get("hidden_size", 1)),
    )
    if node.attrs.get("layout"):
        raise Stuck("runs along its second dimension")
    seen, last = products.recurrence(node, x, 0, hidden, ways)
    steps, batch, _ = seen.known
    return [replace(seen, dims=(steps, plain(ways), batch, plain(hidden))), last, last][
        : node.outputs
    ]


def unary(node: Node, x: Value) -> Result:
    if node.op != "CastLike" and not all(isinstance(other, Constant) for other in node.given[1:]):
        raise Stuck("joins several maps")
    if node.op in LINEAR.split():
        return x
    return x.activated(x.dims)


def softmax(node: Node, x: Value) -> Result:
    rank = len(x.known)
    axis = node.axis(rank, 1 if node.version < 13 else -1)
    return products.softmax_along(
        node, x, range(axis, rank) if node.version < 13 else [axis], "softmax over positions"
    )


def conv(node: Node, x: Value) -> Result:
    out, within, *kernel = _weight_shape(node)
    groups = int(node.attrs.get("group", 1))
    ops = node.windows(node.checked_kernel(node.numbers("kernel_shape", kernel), x))
    return windows.conv(node, x, ops, within * groups, out, groups, node.weight, node.optional(2))


def transposed(node: Node, x: Value) -> Result:
    into, within, *shape = _weight_shape(node)
    groups = int(node.attrs.get("group", 1))
    kernel = node.checked_kernel(node.numbers("kernel_shape", shape) if within else [], x)
    k = len(kernel)
    sizes = None
    if node.attrs.get("output_shape"):
        sizes = node.numbers_or("output_shape", 0, k)[-k:]
    ops = []
    for i, (window, extra) in enumerate(
        zip(node.windows(kernel), node.numbers_or("output_padding", 0, k), strict=False)
    ):
        taps, stride, dilation = window.kernel, window.stride, window.dilation
        if not sizes and not isinstance(window.padding, str):
            ops.append(Transposed(taps, stride, dilation, window.padding, extra))
            continue
        n = x.known[2 + i].size
        lost = (n - 1) * stride + window.extent + extra - (sizes[i] if sizes else n * stride)
        ops.append(
            windows.transposed(
                taps, stride, dilation, lost, extra, upper=window.padding == "same_upper"
            )
        )
    return windows.conv(node, x, ops, into, within * groups, groups, node.weight, node.optional(2))


def _weight_shape(node: Node) -> Sequence[int]:
    shape = shape_of(node.weight.dims or ())
    # unknown
    if len(shape) > 1:
        return shape
    return (1, 0)


def pool(kind: Kind) -> Handler:
    def run(node: Node, x: Value) -> Result:
        ceil = bool(node.attrs.get("ceil_mode", 0))
        ops = node.windows(node.checked_kernel(node.numbers("kernel_shape", []), x), ceil)
        if kind == "avgpool" and not node.attrs.get("count_include_pad", 0):
            ops = windows.without_padding(ops)
        return windows.pool(node, x, ops, kind)

    return run


def pad(node: Node, x: Value) -> Result:
    rank = len(x.known)
    amounts = node.attrs.get("pads") or node.attrs.get("paddings") or node.ints(1)
    named = node.ints(3) if len(node.read) > 3 and node.read[3] is not None else range(rank)
    axes = [from_front(int(axis), rank) for axis in named]
    mode = MODES.get(node.attrs.get("mode", "constant"))
    if mode is None or len(amounts) != 2 * len(axes) or len({*axes}) < len(axes):
        raise Stuck("has an invalid mode or amounts")
    ends = zip(axes, amounts, amounts[len(axes) :], strict=False)
    fill = windows.filling(_pad_value(node))
    rows = {
        axis: Window(1, padding=(before, after), mode=mode, fill=fill)
        for axis, before, after in ends
        if before or after
    }
    return windows.pad(node, x, rows, mode)


INTERPOLATIONS: dict[str, Interpolation] = {
    "nearest": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "cubic": "cubic",
}


def _pad_value(node: Node) -> float:
    if "value" in node.attrs:
        return float(node.attrs["value"])
    given = None
    if len(node.read) > 2:
        given = node.read[2]
    if isinstance(given, Constant) and given.array is not None and given.array.size == 1:
        return float(given.array.reshape(-1)[0])
    return 0


def resize(node: Node, x: Value) -> Result:
    rank, old = len(x.known), node.op == "Upsample" or node.version < 11
    style = _interpolation(node, old)
    ops: list[Resize | None] = [None] * rank
    for axis, op in _resized(node, old, rank, style).items():
        n = x.known[axis].size
        if axis < 2:
            if op.scale not in (None, 1) or op.size not in (None, n):
                raise Stuck("resizes batch or channels")
        elif op.scale != 1:
            ops[axis] = _shrinking(node, op) if _shrinks(op, n) else op
    return windows.resize(node, x, ops[2:], "onnxruntime")


def _resized(node: Node, old: bool, rank: int, style: Resize) -> dict[int, Resize]:
    """Return the axes that a node resizes: its style, with a `scale` or a `size`."""
    scales = _scales(node, 1 if old else 2)
    if old:
        sizes = []
    else:
        sizes = node.ints(3)
    if bool(scales) == bool(sizes) or not all(0 < scale < inf for scale in scales):
        raise Stuck("needs either scales or sizes")
    if node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Stuck("keeps an aspect ratio")
    axes = [from_front(int(axis), rank) for axis in node.attrs.get("axes") or range(rank)]
    if len(scales or sizes) < len(axes):
        raise Malformed(f"it resizes {len(axes)} axes by {len(scales or sizes)} numbers")
    ops: dict[int, Resize] = {}
    for i, axis in enumerate(axes):
        if sizes:
            ops[axis] = replace(style, size=sizes[i])
        else:
            scale = Fraction(scales[i]).limit_denominator(10_000)
            ops[axis] = replace(style, scale=scale)
    return ops


def _interpolation(node: Node, old: bool) -> Resize:
    """Return how a node interpolates, without size and scale; `old` nodes have other defaults."""
    mode = node.attrs.get("mode", "nearest")
    grid = node.attrs.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    rounding = node.attrs.get("nearest_mode", "floor" if old else "round_prefer_floor")
    if grid not in GRIDS or rounding not in ROUNDINGS or mode not in INTERPOLATIONS:
        raise Stuck(f"interpolates by {mode}, {grid}, {rounding}")
    if INTERPOLATIONS[mode] == "nearest":
        return Resize(grid=cast("Grid", grid), rounding=cast("Rounding", rounding))
    return Resize(mode=INTERPOLATIONS[mode], grid=cast("Grid", grid))


def _shrinks(op: Resize, n: int) -> bool:
    if op.scale is not None:
        return op.scale < 1
    return (op.size or 0) < n


def _shrinking(node: Node, op: Resize) -> Resize:
    """Return what a node that shrinks its map does: with antialiasing it would read more rows."""
    if op.mode != "nearest":
        if node.attrs.get("antialias"):
            raise Stuck("shrinks with antialiasing")
        return op
    # onnxruntime rounds up in old versions
    if node.version < 11:
        return replace(op, rounding="ceil")
    return op


def _scales(node: Node, at: int) -> list[float]:
    given = None
    if node.op == "Upsample":
        given = node.attrs.get("scales")
    if given is None:
        array = next(iter(node.arrays(at)), None)
        if array is None:
            given = []
        else:
            given = array.reshape(-1).tolist()
    try:
        return [float(scale) for scale in given]
    except (TypeError, ValueError):
        raise Malformed("it has scales that are not numbers") from None


def norm(node: Node, x: Value) -> Result:
    why, over = NORMS[node.op]
    # statistics are only updated then
    if node.attrs.get("training_mode"):
        read = node.given[1:3]
    else:
        read = node.given[1:]
    if vectors := [other for other in read if isinstance(other, Map)]:
        if not all(node.trace.layers[vector.at].pooled for vector in vectors):
            raise Stuck("joins several maps")
        x = node.trace.unsplit(x)
        layer = node.trace.merge(
            f"{node.name()}.gate", "multiply", [x.at, *(vector.at for vector in vectors)]
        )
        x = Map(x.known, layer)
    if node.op != "BatchNormalization":
        x = x.activated(x.dims)
    return calls.norm(node, x, why, () if x.dims is None else over(node, len(x.dims)))


def _last(node: Node, rank: int) -> Sequence[int]:
    return range(node.axis(rank, -1), rank)


NORMS: dict[
    str, tuple[str, Callable[[Node, int], Sequence[int]]]
] = {  # the name of a norm, and its dimensions
    "BatchNormalization": (
        "batch norm",
        lambda node, rank: range(2, rank) if node.attrs.get("training_mode") else (),
    ),
    "GroupNormalization": ("group norm", lambda node, rank: range(1, rank)),
    "InstanceNormalization": ("instance norm", lambda node, rank: range(2, rank)),
    "LayerNormalization": ("layer norm", _last),
    "LpNormalization": ("norm over positions", lambda node, rank: [node.axis(rank, -1)]),
    "MeanVarianceNormalization": (
        "norm over positions",
        lambda node, rank: [
            from_front(int(axis), rank) for axis in node.numbers("axes", [0, 2, 3])
        ],
    ),
    "RMSNormalization": ("rms norm", _last),
    "com.microsoft.GroupNorm": ("group norm", lambda node, rank: range(1, rank)),
}


def quantised(op: str, read: slice, handler: Handler) -> Handler:
    """Return a handler that treats a quantised node as its twin on floats, `op`."""

    def run(node: Node, x: Value) -> Result:
        if node.attrs.get("channels_last"):
            raise Stuck("has its channels last")
        version = int(node.attrs.get("opset", 13))
        return replace(node, op=op, version=version, read=node.read[read]).run_handler(handler)

    return run


WINDOWS: dict[str, Handler] = {  # what reads an image by windows
    " ".join(CONVS): conv,
    "AveragePool LpPool": pool("avgpool"),
    "ConvTranspose": transposed,
    "DepthToSpace SpaceToDepth": blocks,
    "MaxPool": pool("maxpool"),
    "Pad": pad,
    "Resize Upsample": resize,
}
TABLE: dict[str, Handler] = {
    **WINDOWS,
    LINEAR + NEUTRAL: unary,
    " ".join(NORMS): norm,
    " ".join(f"Reduce{how}" for how in REDUCTIONS): reduced,
    ADDED: merged("add"),
    MULTIPLIED: merged("multiply"),
    "ArgMax ArgMin": lambda node, x: reduce_over(
        node, x, [node.axis(len(x.known), 0)], node.keeps_dims
    ),
    "Attention com.microsoft.Attention com.microsoft.MultiHeadAttention": (
        # values may be packed with queries
        lambda node, x: products.attention(node, x, node.optional(2) or x, [-2])
    ),
    "Concat": lambda node, x: views.concat(node, node.given, node.axis(len(x.known), 1)),
    "ConstantOfShape": lambda node, x: Constant(tuple(plain(n) for n in node.ints(0))),
    "CumSum": cumulate,
    # scale and zero point
    "DynamicQuantizeLinear": lambda node, x: [x, Constant(()), Constant(())][: node.outputs],
    "Einsum": lambda node, x: products.einsum(node, str(node.required("equation")), node.given),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherND": gather_nd,
    "Gemm": gemm,
    "GlobalAveragePool GlobalMaxPool GlobalLpPool": (
        lambda node, x: reduce_over(node, x, range(2, len(x.known)), keep=True)
    ),
    "LSTM GRU RNN": recurrent,
    "MatMul MatMulInteger com.microsoft.FusedMatMul": lambda node, x: products.matmul(
        node, x, node.tensor(1)
    ),
    "QLinearMatMul": lambda node, x: products.matmul(node, x, node.tensor(3)),
    "Reshape": reshape,
    "Shape": shape,
    "Size": lambda node, x: Constant((), array=np.array(prod(x.shape), dtype=np.int64)),
    "Slice": lambda node, x: views.slice_(
        node, x, slices_of(node.attrs, node.arrays(1), len(x.known))
    ),
    "Softmax LogSoftmax Hardmax": softmax,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
OPS = {op: handler for ops, handler in TABLE.items() for op in ops.split()}
QUANTISED: dict[
    str, tuple[str, slice]
] = {  # its twin on floats, and which of its inputs that reads: no scales
    **{
        f"QLinear{op}": (op, slice(0, 1))
        for op in ("AveragePool", "GlobalAveragePool", "LeakyRelu", "ReduceMean")
    },
    **{f"QLinear{op}": (op, slice(0, 1)) for op in ("Sigmoid", "Softmax")},
    **{f"QLinear{op}": (op, slice(0, 4, 3)) for op in ("Add", "Mul")},
    **{op: (op, slice(0, 1)) for op in ("DequantizeLinear", "QuantizeLinear")},
    "DynamicQuantizeMatMul": ("MatMul", slice(0, 2)),
    "MatMulIntegerToFloat": ("MatMul", slice(0, 2)),
    "QGemm": ("Gemm", slice(0, 7, 3)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
}
OPS |= {
    f"com.microsoft.{op}": quantised(twin, read, OPS[twin])
    for op, (twin, read) in QUANTISED.items()
}
WINDOWED = {*" ".join(WINDOWS).split()}
WINDOWED |= {f"com.microsoft.{op}" for op, (twin, _) in QUANTISED.items() if twin in WINDOWED}
