"""Partial convolution written out: a convolution's outputs multiplied by taps over taps that hit real pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import combinations

import numpy as np

from padviz.axis.build import partial_weights
from padviz.axis.operations import Op, Window
from padviz.network.layer import Layer
from padviz.network.rewrites import can_merge, merge_pad
from padviz.sources.tracing.arranging import Map, Value
from padviz.sources.tracing.axis_labels import Dims, axis_of, size_of
from padviz.sources.tracing.elementwise import Array, Numbers
from padviz.sources.tracing.trace import Trace

NEAR = 1e-2  # how far rounding, be it that of bfloat16, may take a factor, where the least ratio is well above 1


def may_reweigh(trace: Trace, x: Value, dims: Dims | None) -> bool:
    """Whether a constant of a shape, which may be unknown, could reweigh a convolution that pads."""
    if not isinstance(x, Map) or x.acted or x.part or trace.layers[x.at].kind != "conv":
        return False
    pads = [op for conv in _with_pads(trace, trace.layers[x.at]) for op in conv.ops if _is_zeros(op)]
    if not pads or dims is None or x.dims is None:
        return bool(pads)
    roles = [axis_of(dim) for dim in x.dims][-len(dims) :] if len(dims) <= len(x.dims) else []
    return any(role and size_of(dim) > 1 for role, dim in zip(roles, dims, strict=False))


def partial(trace: Trace, x: Value, factor: Array) -> Value | None:
    """Lay a partial convolution for one whose output is multiplied by a constant, if that is how it reweighs.

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
    """Yield the axes that may be reweighed together: all of them first.

    >>> [*subsets(2)]
    [(0, 1), (0,), (1,)]
    """
    return (some for n in range(axes, 0, -1) for some in combinations(range(axes), n))


def _plane(trace: Trace, x: Value, factor: Array) -> Numbers | None:
    """Arrange a factor by rows and columns, each of them all or one; None where it differs along channels."""
    if factor.ndim > len(x.known) or not factor.size:
        return None
    roles = [axis_of(dim) for dim in x.known]
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
    """Whether an operation pads with zeros that may be reweighed."""
    return isinstance(op, Window) and op.mode == "zero" and op.padding != (0, 0)


def _reweighed(trace: Trace, conv: Layer, plane: Numbers, axes: tuple[int, ...]) -> list[Op | None] | None:
    """Return the operations with partial padding on some axes; None unless the factor is that of these."""
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
