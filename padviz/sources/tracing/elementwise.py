"""Elementwise operations: sums, norms, which paths pass by, masks of attention, and partial convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import reduce
from itertools import combinations
from math import prod

import numpy as np
from numpy.typing import NDArray

from padviz.axis.build import partial_weights
from padviz.axis.operations import Op, Window
from padviz.network.layer import Layer
from padviz.network.rewrites import can_merge, merge_pad
from padviz.sources.tracing.arranging import Cuts, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import ROLES, Axis, Dims, inner_parts, positions, shape_of
from padviz.sources.tracing.calls import Call, merge_maps
from padviz.sources.tracing.trace import Trace

MASKED = -50  # what is added to scores that count for nothing
Array = NDArray[np.generic]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
OTHERWISE = "masks attention in another way than windows do"


def subtract(call: Call) -> Map:
    """Subtract; a mean over all positions taken away from each is a normalisation: like a gate, it is left out."""
    away = any(call.trace.pooled[x.at] for x in call.maps)
    return merge_maps(call, "multiply" if away else "add", call.maps)


def norm(call: Call, x: Value, why: str, axes: Iterable[int]) -> Value:
    """Record that each position depends on all that a norm over some dimensions reads, though paths pass it by.

    A norm over the places of blocks alone leaves each block by itself once that is one position.
    """
    lost = [] if x.dims is None else [each for each in positions(x.dims[i] for i in axes) if each.size > 1]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x
    layer = call.trace.normalise(call.name("norm"), x.at, why)
    inner = inner_parts(lost)
    if inner == lost:
        blocks = tuple(prod(part.size for part in inner if part.role == role) for role in call.trace.axes)
        call.arranger.block_norms[layer, blocks] = x.at
    return replace(x, layer=layer)


def apply_masks(call: Call, x: Map, hides: Callable[[Numbers], Mask] = lambda numbers: numbers <= MASKED) -> Map:
    """Cut the windows of scores in two where constants hide positions from each other."""
    for numbers in call.constants() if x.has_looked else ():
        x = hide(x, hides(np.asarray(numbers, dtype=np.float64)))
    return x


def apply_where(x: Map, condition: Array | None, first: Array | None, second: Array | None) -> Map:
    """Cut the windows of scores in two where a pick between them and a number hides; what is no constant is None."""
    if condition is None or not x.has_looked or (first is None) == (second is None):
        return x
    picks = np.asarray(condition, dtype=bool)
    number, hides = (second, ~picks) if first is None else (first, picks)
    return hide(x, hides & (np.asarray(number, dtype=np.float64) <= MASKED))


def hide(scores: Map, hides: Mask) -> Map:
    return replace(scores, windows=scores.windows + cuts_of(scores.known, ~hides))


def cuts_of(dims: Dims, seen: Mask) -> Cuts:
    """Return after how many rows and columns a mask cuts the last window in two; `seen` broadcasts with scores, `dims`.

    Windows may only be cut as rolled images have it: the last one of each axis, in two parts of which each sees itself.
    A mask that does anything else raises `Stuck`.
    """
    if seen.all():
        return ()
    factors = [factor for dim in dims for factor in dim]
    whole = np.broadcast_to(seen, shape_of(dims)).reshape([factor.size for factor in factors])
    both, cuts = np.ones_like(whole), list[tuple[str, int]]()
    for role in ROLES:
        own = {i: factor for i, factor in enumerate(factors) if isinstance(factor, Axis) and factor.role == role}
        order = sorted(own, key=lambda i: (own[i].looked, -own[i].step))  # windows, those that look, those looked at
        others = tuple(i for i in range(len(factors)) if i not in own)
        part = np.asarray(whole.any(axis=others, keepdims=True))
        both &= part
        looked = int(np.prod([own[i].size for i in order if own[i].looked]))
        cuts.append((role, _cut(part.transpose(*order, *others).reshape(-1, looked, looked))))
    if not (both == whole).all():
        raise Stuck(OTHERWISE)
    return tuple((role, cut) for role, cut in cuts if cut)


def _cut(windows: Mask) -> int:
    n = windows.shape[-1]
    first = int(windows[-1, 0].sum())
    side = np.arange(n) < first
    if not windows[:-1].all() or not (windows[-1] == (side[:, None] == side)).all():
        raise Stuck(OTHERWISE)
    return int(first % n)


NEAR = 1e-2  # how far rounding, be it that of bfloat16, may take a factor, where the least ratio is well above 1


def may_reweigh(trace: Trace, x: Value, dims: Dims | None) -> bool:
    """Whether a constant of a shape, which may be unknown, could reweigh a convolution that pads."""
    if not isinstance(x, Map) or x.acted or x.part or trace.layers[x.at].kind != "conv":
        return False
    pads = [op for conv in _with_pads(trace, trace.layers[x.at]) for op in conv.ops if _is_zeros(op)]
    if not pads or dims is None or x.dims is None:
        return bool(pads)
    roles = [dim.axis for dim in x.dims][-len(dims) :] if len(dims) <= len(x.dims) else []
    return any(role and dim.size > 1 for role, dim in zip(roles, dims, strict=False))


def partial(trace: Trace, x: Value, factor: Array) -> Value | None:
    """Add a partial convolution for one whose output is multiplied by a constant, if that is how it reweighs.

    None where it is not: then a constant is elementwise, and paths do not see it.
    """
    plane = _plane(trace, x, factor)
    if not isinstance(x, Map) or plane is None:
        return None
    for conv in reversed(_with_pads(trace, trace.layers[x.at])):  # counts are rounded the same way in one layer
        for axes in subsets(len(conv.ops)):
            if (ops := _reweighed(trace, conv, plane, axes)) is not None:
                sums = trace.add(f"{conv.name}.sums", "conv", conv.inputs, ops, channels=conv.channels)
                return replace(x, layer=trace.take_name(sums, x.at, conv.origin))
    return None


def subsets(axes: int) -> Iterator[tuple[int, ...]]:
    """Yield the axes that may be reweighed together: all of them first."""
    return (some for n in range(axes, 0, -1) for some in combinations(range(axes), n))


def _plane(trace: Trace, x: Value, factor: Array) -> Numbers | None:
    """Arrange a factor by rows and columns, each of them all or one; None where it differs along channels."""
    if factor.ndim > len(x.known) or not factor.size:
        return None
    roles = [dim.axis for dim in x.known]
    if not {*trace.axes} <= {*roles}:
        return None
    order = [roles.index(role) for role in trace.axes]
    rest = [i for i in range(len(roles)) if i not in order]
    whole = factor.reshape((1,) * (len(roles) - factor.ndim) + factor.shape).transpose(rest + order)
    planes: Numbers = whole.reshape(-1, *whole.shape[-len(order) :]).astype(np.float64)
    return planes[0] if (planes == planes[:1]).all() else None


def _with_pads(trace: Trace, conv: Layer) -> list[Layer]:
    """List the convolution as it is, and with each pad before it as its own, as far as that changes nothing."""
    versions = [conv]
    before = trace.layers[conv.inputs[0]]
    while before.kind == "pad" and can_merge(before, versions[-1]) and (joined := merge_pad(before, versions[-1])):
        versions.append(joined)
        before = trace.layers[joined.inputs[0]]
    return versions


def _is_zeros(op: Op | None) -> bool:
    return isinstance(op, Window) and op.mode == "zero" and op.padding != (0, 0)


def _reweighed(trace: Trace, conv: Layer, plane: Numbers, axes: tuple[int, ...]) -> list[Op | None] | None:
    """Return the operations with partial padding on some axes; None unless the factor is theirs."""
    ops = list(conv.ops)
    factors = [np.ones(1) for _ in ops]
    for axis in axes:
        op = ops[axis]
        if not isinstance(op, Window) or not _is_zeros(op):
            return None
        factors[axis] = partial_weights(op, trace.sizes[conv.inputs[0]][axis])
        ops[axis] = replace(op, mode="partial")
    wanted = reduce(np.multiply.outer, factors)
    if any(1 not in (n, m) and n != m for n, m in zip(wanted.shape, plane.shape, strict=True)):
        return None
    near = min(NEAR, *((factors[axis].max() - 1) / 4 for axis in axes))
    return ops if np.allclose(wanted, plane, rtol=near, atol=0) else None
