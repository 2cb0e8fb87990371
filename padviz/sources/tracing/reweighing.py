"""Partial convolution written out: a convolution's outputs multiplied by taps over taps that hit real pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Op, Window
from padviz.axis.reweighing import ratios
from padviz.network.layer import Layer
from padviz.network.rewrites import joined_to, same_mode
from padviz.sources.tracing.arranging import Value
from padviz.sources.tracing.axis_labels import AXES, alone, ranked, size_of
from padviz.sources.tracing.trace import Trace

NEAR, NEAR_HALF = 1e-5, 2e-3  # how far rounding may take a factor in float32, and in float16
WAYS = ((0, 1), (0,), (1,))  # axes that may be reweighed


def partial(trace: Trace, x: Value, factor: NDArray[Any] | None) -> Value | None:
    """What a convolution's output is once it is multiplied by a constant, if that is how partial convolution reweighs.

    None where it is not: then a constant acts on each position alone, and paths do not see it.
    """
    if factor is None or x.layer is None or x.acted or x.cuts or x.part or trace.layers[x.layer].kind != "conv":
        return None
    plane = _plane(x, factor)
    if plane is None:
        return None
    for conv in reversed(_with_pads(trace, trace.layers[x.layer])):  # counts are rounded the same way in one layer
        for axes in WAYS:
            if (ops := _reweighed(trace, conv, plane, axes)) is not None:
                return replace(x, layer=_laid(trace, x.layer, replace(conv, height=ops[0], width=ops[1])))
    return None


def _plane(x: Value, factor: NDArray[Any]) -> NDArray[Any] | None:
    """A factor by rows and columns, each of them all or one; None where it differs along channels."""
    if factor.dtype.kind != "f" or factor.ndim > len(x.known) or factor.ndim < 3:
        return None
    roles = [alone(dim) for dim in x.known]
    shape = [size_of(dim) for dim in ranked(tuple((("", n),) for n in factor.shape), len(roles))]
    if any(n > 1 and role not in AXES for n, role in zip(shape, roles, strict=True)) or not {*AXES} <= {*roles}:
        return None
    order = [roles.index(role) for role in AXES]
    rest = [i for i in range(len(roles)) if i not in order]
    plane: NDArray[Any] = factor.reshape(shape).transpose(rest + order)
    return plane.reshape(plane.shape[-2:])


def _with_pads(trace: Trace, conv: Layer) -> list[Layer]:
    """The convolution as it is, and with each pad before it as its own, as far as that changes nothing."""
    found = [conv]
    before = trace.layers[conv.inputs[0]]
    while before.kind == "pad" and same_mode(before, found[-1]) and (joined := joined_to(before, found[-1])):
        found.append(joined)
        before = trace.layers[joined.inputs[0]]
    return found


def _reweighed(trace: Trace, conv: Layer, plane: NDArray[Any], axes: tuple[int, ...]) -> list[Op | None] | None:
    """The operations with partial padding on some axes, where the factor is that of those."""
    ops = list(conv.ops)
    factors = [np.ones(1), np.ones(1)]
    for axis in axes:
        op = ops[axis]
        if not isinstance(op, Window) or op.mode != "zero" or op.padding == (0, 0):
            return None
        factors[axis] = ratios(op, trace.sizes[conv.inputs[0]][axis])
        ops[axis] = replace(op, mode="partial")
    near = NEAR_HALF if plane.dtype == np.float16 else NEAR
    wanted = np.outer(*factors)
    if any(1 not in (n, m) and n != m for n, m in zip(wanted.shape, plane.shape, strict=True)):
        return None
    return ops if np.allclose(wanted, plane, rtol=near, atol=0) else None


def _laid(trace: Trace, at: int, conv: Layer) -> int:
    """The partial convolution in the place and with the name of the plain one, which is left for what else reads it."""
    made = trace.add(f"{conv.name}.sums", "conv", conv.inputs, conv.height, conv.width, channels=conv.channels)
    plain, new = trace.layers[at], trace.layers[made]
    trace.layers[at] = replace(plain, name=new.name)
    trace.layers[made] = replace(new, name=plain.name, origin=conv.origin)
    return made
