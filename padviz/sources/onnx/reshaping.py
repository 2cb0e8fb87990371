"""ONNX operations that rearrange a tensor: reshapes, transposes, slices, copies along dimensions."""

from __future__ import annotations

from contextlib import suppress
from itertools import accumulate, zip_longest
from math import ceil, prod

import numpy as np

from padviz.network.operations import Adaptive, Op
from padviz.sources.onnx.constants import Unread, evaluate
from padviz.sources.onnx.folding import axes_of, new_shape, slices_of
from padviz.sources.onnx.node import Handler, Node
from padviz.sources.tracing import views
from padviz.sources.tracing.arranging import Constant, Malformed, Map, Stuck, Value, from_front
from padviz.sources.tracing.dims import Block, Dim, plain, whole
from padviz.sources.tracing.windows import image


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
    axis = axis if axis == len(shape) else from_front(axis, len(shape))
    return views.reshape(node, x, [prod(shape[:axis]), prod(shape[axis:])])


def squeeze(node: Node, x: Value) -> Value:
    shape = x.shape
    axes = axes_of(node.attrs, node.arrays(1), len(shape)) or [i for i, n in enumerate(shape) if n == 1]
    return views.squeeze(node, x, axes)


def unsqueeze(node: Node, x: Value) -> Value:
    axes = node.attrs.get("axes") or node.ints(1)
    return views.unsqueeze(x, {from_front(axis, len(x.known) + len(axes)) for axis in axes})


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


def slice_(node: Node, x: Value) -> Value:
    return views.slice_(node, x, slices_of(node.attrs, node.arrays(1), len(x.known)))


def split(node: Node, x: Value) -> list[Value]:
    axis = node.axis(len(x.known), 0)
    size = x.known[axis].size
    sizes = node.attrs.get("split") or node.ints(1)
    if not sizes:
        per_part = ceil(size / node.outputs)
        sizes = [min(per_part, size - per_part * i) for i in range(node.outputs)]
    if sum(sizes) != size or min(sizes) < 1:
        raise Stuck(f"splits {size} into {', '.join(map(str, sizes))}")
    return [views.slice_(node, x, {axis: slice(end - n, end)}) for n, end in zip(sizes, accumulate(sizes), strict=True)]


def gather(node: Node, x: Value) -> Value:
    at = node.tensor(1)
    rows = node.ints(1) if isinstance(at, Constant) and at.array is not None else None
    return views.gather(node, x, node.axis(len(x.known), 0), rows, at.known, node.title)


def blocks(node: Node, x: Value) -> Value:
    size = int(node.required("blocksize"))
    if size < 1:
        raise Malformed(f"its blocksize is {size}")
    follow = views.depth_to_space if node.op == "DepthToSpace" else views.space_to_depth
    return follow(node, *image(node, x, len(x.known) - 2), size)


def gather_nd(node: Node, x: Value) -> Value:
    """Recognise the windows of an adaptive pool, each with a dimension of its bins; any other gather makes a head.

    Bin i of `out` begins at row i * n // out of n and is as long as the largest bin, clipped to n - 1.
    """
    at, axes = node.tensor(1), [*node.trace.axes]
    with suppress(Unread):
        table = evaluate(at, node.arranger.budget) if isinstance(at, Constant) else None
        if table is None or table.ndim != 2 * len(axes) + 1 or [dim.axis for dim in x.known[: len(axes)]] != axes:
            return node.head()
        ops: list[Op] = []
        dims: list[Dim] = []
        for i, role in enumerate(axes):
            n, (out, bins) = x.known[i].size, table.shape[2 * i : 2 * i + 2]
            first, last = np.arange(out) * n // out, -(-np.arange(1, out + 1) * n // out)
            rows = np.minimum(first[:, None] + np.arange((last - first).max()), n - 1)
            shape = [1] * 2 * i + [out, -1] + [1] * 2 * (len(axes) - i - 1)
            if rows.shape != (out, bins) or (table[..., i] != rows.reshape(shape)).any():
                return node.head()
            ops.append(Adaptive(out))
            dims += [whole(role, out), Dim(Block(bins, "bins"))]
        layer = node.trace.add(node.title, "adaptive", (node.arranger.unsplit(x).at,), ops)
        return Map((*dims, *x.known[len(axes) :]), layer)
    return node.head()


def shape(node: Node, x: Value) -> Value:
    part = slice(node.attrs.get("start", 0), node.attrs.get("end"))
    sizes = x.shape[part]
    return Constant((plain(len(sizes)),), np.array(sizes, dtype=np.int64))


SHAPING: dict[str, Handler] = {
    "Concat": lambda node, x: views.concat(node, node.given, node.axis(len(x.known), 1)),
    "ConstantOfShape": lambda node, x: Constant(tuple(plain(n) for n in node.ints(0))),
    "DepthToSpace": blocks,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherND": gather_nd,
    "Reshape": reshape,
    "Shape": shape,
    "Size": lambda node, x: Constant((), array=np.array(prod(x.shape), dtype=np.int64)),
    "Slice": slice_,
    "SpaceToDepth": blocks,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
