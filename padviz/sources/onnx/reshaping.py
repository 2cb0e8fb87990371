"""Operations that only arrange a tensor: reshapes, transposes, slices, copies along dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from math import ceil, prod

import numpy as np

from padviz.axis.operations import Adaptive, Op
from padviz.sources.onnx.constants.external import Unread
from padviz.sources.onnx.constants.folding import axes_of, from_front, new_shape, sliced
from padviz.sources.onnx.constants.stored import worked_out
from padviz.sources.onnx.tensors import GraphArranger, Node
from padviz.sources.tracing.arranging import Constant, Map, Stuck, Value, of_batch, picked
from padviz.sources.tracing.axis_labels import (
    Block,
    Dim,
    axis_of,
    broadcast,
    has_parts,
    image_at,
    plain,
    positions,
    shape_of,
    size_of,
    whole,
)
from padviz.sources.tracing.calls import Result, copied
from padviz.sources.tracing.slices_as_padding import as_pad


def transpose(node: Node) -> Value:
    x = node.tensor(0)
    dims = x.known
    order = node.attrs.get("perm") or range(len(dims))[::-1]
    if sorted(order) != [*range(len(dims))]:
        raise Stuck("permutes dimensions that it does not have")
    return replace(x, dims=tuple(dims[i] for i in order))


def reshape(node: Node) -> Value:
    x = node.tensor(0)
    wanted = node.attrs.get("shape") or node.ints(1)
    return arranged(node, x, new_shape(shape_of(x.known), wanted, bool(node.attrs.get("allowzero"))))


def flatten(node: Node) -> Value:
    x = node.tensor(0)
    shape = shape_of(x.known)
    axis = int(node.attrs.get("axis", 1))
    axis = axis if axis == len(shape) else from_front(axis, len(shape))
    return arranged(node, x, [prod(shape[:axis]), prod(shape[axis:])])


def arranged(node: Node, x: Value, shape: Sequence[int]) -> Value:
    """Give the tensor another shape; one that does not divide makes it a head, as after a flatten."""
    reshaped = node.arranger.reshape(x, shape, node.title, node.title)
    if reshaped is None:
        return node.head() if isinstance(x, Map) else Constant(tuple(plain(n) for n in shape))
    return reshaped


def squeeze(node: Node) -> Value:
    x = node.tensor(0)
    dims = x.known
    axes = axes_of(node.attrs, node.arrays(1), len(dims)) or [i for i, dim in enumerate(dims) if size_of(dim) == 1]
    if any(size_of(dims[i]) != 1 for i in axes):
        raise Stuck("squeezes a dimension larger than 1")
    return replace(x, dims=tuple(dim for i, dim in enumerate(dims) if i not in axes))


def unsqueeze(node: Node) -> Value:
    x = node.tensor(0)
    axes = node.attrs.get("axes") or node.ints(1)
    dims = list(x.known)
    for axis in sorted(from_front(axis, len(dims) + len(axes)) for axis in axes):
        dims.insert(axis, ())
    return replace(x, dims=tuple(dims))


def expand(node: Node) -> Value:
    x = node.tensor(0)
    return copied(node, x, broadcast(x.known, tuple(plain(n) for n in node.ints(1))))


def tile(node: Node) -> Value:
    x = node.tensor(0)
    times = node.ints(1)
    if len(times) != len(x.known):
        raise Stuck("repeats dimensions that it does not have")
    sizes = [size_of(dim) * n for dim, n in zip(x.known, times, strict=True)]
    return copied(node, x, tuple(d if n == 1 else plain(m) for d, n, m in zip(x.known, times, sizes, strict=True)))


def cut(node: Node, x: Value, axis: int, rows: slice) -> Value:
    """Slice one dimension; of height or width it is pending, since it may be part of padding written out."""
    dim = x.known[axis]
    size = size_of(dim)
    taken = range(size)[rows]
    role = axis_of(dim)
    if taken == range(size):
        return x
    if isinstance(x, Map) and image_at(dim) is not None:
        return of_batch(x, axis, taken) or Constant((*x.known[:axis], plain(len(taken)), *x.known[axis + 1 :]))
    if not positions(dim):
        return picked(x, axis, (plain(len(taken)),), taken)
    if not role or has_parts(x.known) or not isinstance(x, Map):
        raise Stuck("takes a slice of mixed or split dimensions")
    before = dict(x.cuts).get(role, range(size))
    cuts = {**dict(x.cuts), role: before[rows]}
    dims = (*x.known[:axis], whole(role, len(taken)), *x.known[axis + 1 :])
    return replace(x, dims=dims, cuts=tuple(cuts.items()), by=node.title)


def whole_image(arranger: GraphArranger, x: Value, axis: int) -> Value:
    """Lay blocks of rows or columns whose places are channels out before a slice of an image's rows."""
    blocks = isinstance(x, Map) and has_parts(x.known) and [*map(axis_of, x.known[2:])] == [*arranger.trace.axes]
    return arranger.settled(x) if blocks and axis_of(x.known[axis]) else x


def slice_(node: Node) -> Value:
    x = node.tensor(0)
    for axis, rows in sliced(node.attrs, node.arrays(1), len(x.known)).items():
        x = cut(node, whole_image(node.arranger, x, axis), axis, rows)
    if any(size_of(dim) == 0 for dim in x.known):
        raise Stuck("takes an empty slice")
    return x


def split(node: Node) -> list[Value]:
    x = node.tensor(0)
    axis = node.axis(len(x.known), 0)
    size = size_of(x.known[axis])
    sizes = node.attrs.get("split") or node.ints(1)
    if not sizes:
        per_part = ceil(size / node.outputs)
        sizes = [min(per_part, size - per_part * i) for i in range(node.outputs)]
    if sum(sizes) != size or min(sizes) < 1:
        raise Stuck(f"splits {size} into {', '.join(map(str, sizes))}")
    ends = np.cumsum(sizes).tolist()
    return [cut(node, x, axis, slice(end - n, end)) for n, end in zip(sizes, ends, strict=True)]


def gather(node: Node) -> Value:
    """Gather rows by their numbers: of channels any, of height or width a slice, or padding written out."""
    x, at = node.tensor(0), node.tensor(1)
    axis = node.axis(len(x.known), 0)
    dim = x.known[axis]
    array = at.array if isinstance(at, Constant) else None
    batch = image_at(dim) is not None
    if not (positions(dim) or batch) or not isinstance(x, Map):
        rows = [] if array is None else [row % max(size_of(dim), 1) for row in node.ints(1)]
        return picked(x, axis, at.known, node.title if array is None else _run_of(rows) or tuple(rows))
    rows = [row % size_of(dim) for row in node.ints(1)]
    if not (axis_of(dim) or batch) or not rows or array is None or array.ndim > 1:
        raise Stuck("gathers from mixed dimensions")
    if run := _run_of(rows):
        x = cut(node, x, axis, slice(run.start, run.stop, run.step))
    elif batch:
        raise Stuck("gathers some of a batch")
    else:
        x = as_pad(node.arranger, node.name("pad"), x, axis_of(dim), rows)
    return x if array.ndim else replace(x, dims=(*x.known[:axis], *x.known[axis + 1 :]))


def _run_of(rows: Sequence[int]) -> range | None:
    """Find the run that rows are; None for those in another order.

    >>> _run_of([1, 3, 5]), _run_of([2]), _run_of([0, 0])
    (range(1, 6, 2), range(2, 3), None)
    """
    steps = {b - a for a, b in pairwise(rows)} or {1}
    return range(rows[0], rows[-1] + 1, *steps) if rows and len(steps) == 1 and min(steps) > 0 else None


def gather_nd(node: Node) -> Value:
    """Gather the windows of an adaptive pool, whose rows are bins beside their window; make a head of all else."""
    x, at, axes = node.tensor(0), node.tensor(1), [*node.trace.axes]
    with suppress(Unread):
        table = worked_out(at, node.arranger.budget) if isinstance(at, Constant) else None
        if table is None or table.ndim != 2 * len(axes) + 1 or [*map(axis_of, x.known[: len(axes)])] != axes:
            return node.head()
        ops: list[Op] = []
        dims: list[Dim] = []
        for i, role in enumerate(axes):
            n, (out, bins) = size_of(x.known[i]), table.shape[2 * i : 2 * i + 2]
            first, last = np.arange(out) * n // out, -(-np.arange(1, out + 1) * n // out)
            rows = np.minimum(first[:, None] + np.arange((last - first).max()), n - 1)
            shape = [1] * 2 * i + [out, -1] + [1] * 2 * (len(axes) - i - 1)
            if rows.shape != (out, bins) or (table[..., i] != rows.reshape(shape)).any():
                return node.head()
            ops.append(Adaptive(out))
            dims += [whole(role, out), (Block(bins, "bins"),)]
        layer = node.trace.add(node.title, "adaptive", (node.arranger.settled(x).at,), ops)
        return Map((*dims, *x.known[len(axes) :]), layer)
    return node.head()


def shape(node: Node) -> Value:
    x = node.tensor(0)
    part = slice(node.attrs.get("start", 0), node.attrs.get("end"))
    sizes = shape_of(x.known)[part]
    return Constant((plain(len(sizes)),), np.array(sizes, dtype=np.int64))


def size(node: Node) -> Value:
    return Constant((), array=np.array(prod(shape_of(node.tensor(0).known)), dtype=np.int64))


def filled(node: Node) -> Value:
    """Make a constant too large to be worked out."""
    return Constant(tuple(plain(n) for n in node.ints(0)))


SHAPING: dict[str, Callable[[Node], Result]] = {
    "ConstantOfShape": filled,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherND": gather_nd,
    "Reshape": reshape,
    "Shape": shape,
    "Size": size,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
