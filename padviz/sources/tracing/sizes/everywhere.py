"""Layers at many sizes at once: how many rows each has, whether it fits, and what it pads, crops or resizes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from padviz.axis.operations import Adaptive, Blocks, Fit, Op, Transposed, Window, fit_shift, pads_at, sized
from padviz.axis.padding_modes import fits
from padviz.axis.resize import Resize
from padviz.network.layer import Layer
from padviz.sources.tracing.sizes.rows import Over

Ops = tuple[Op | None, ...]  # on each axis
Moving = Mapping[int, Ops]  # the operations of layers that depend on the size, at all sizes
Each = tuple[Over, ...]  # on each axis


class Walked(NamedTuple):
    """The rows of each layer on each axis, and at which sizes all of them fit."""

    sizes: list[Each]
    fits: Over


def walked(layers: Sequence[Layer], moving: Moving, axes: Each) -> Walked:
    """Walk the sizes of an image through layers, of which those in `moving` do something else at each."""
    sizes: list[Each] = [axes]
    fits = np.ones(axes[0].shape, dtype=bool)
    known: dict[Any, tuple[Over, Any]] = {}
    with np.errstate(all="ignore"):
        for i, layer in enumerate(layers[1:], start=1):
            for other in layer.inputs[1:]:
                for one, n in zip(sizes[layer.inputs[0]], sizes[other], strict=True):
                    fits &= True if one is n else one == n
            out = []
            for axis, op in enumerate(layer.ops):
                over, n = moving[i][axis] if i in moving else None, sizes[layer.inputs[0]][axis]
                like = None if layer.like is None else sizes[layer.like][axis]
                key = (op, id(n), id(like)) if over is None else (i, axis)
                if key not in known:
                    known[key] = _leaving(over or op, n, like)
                rows, right = known[key]
                fits &= right
                out.append(rows)
            sizes.append(tuple(out))
    return Walked(sizes, fits)


def leaving(op: Op | None, n: Over, like: Over | None) -> Over:
    """Count the rows that an operation makes at each size."""
    with np.errstate(all="ignore"):
        return _leaving(op, n, like)[0]


def _leaving(op: Op | None, n: Over, like: Over | None) -> tuple[Over, Any]:
    if op is None:
        return n, True
    rows = np.broadcast_to(sized(op, n, like), n.shape)
    right = rows >= 1
    if isinstance(op, Window):
        before, after = pads_at(op, n)
        right = right & ((np.asarray(before) >= 0) | (n + before + after >= op.extent))
        right = right & fits(op.mode, n, np.maximum(before, after))
    return rows, right


def figures(op: Op | None, n: Over, n_out: Over) -> tuple[Any, ...]:
    """Sum up what an operation does to `n` rows, of which it makes `n_out`: two that say the same do the same."""
    if isinstance(op, Window):
        return "window", op.kernel, op.stride, op.dilation, *pads_at(op, n)
    if isinstance(op, Fit):
        before = _fit_shifts(n, n_out, op)
        return "window", 1, 1, 1, before, n_out - n - before
    if isinstance(op, Transposed):
        return "transposed", op.kernel, op.stride, op.dilation, *op.padding, op.output_padding
    if isinstance(op, Adaptive):
        return "adaptive", op.output
    if isinstance(op, Blocks):
        return "blocks", *op.of(n), op.first
    if isinstance(op, Resize):
        ratio = (1, op.scale.numerator, op.scale.denominator) if op.scale is not None else (0, n_out, n)
        return "resize", n_out, *ratio
    return ("none",)


def _fit_shifts(n: Over, n_out: Over, op: Fit) -> Over:
    pairs, which = np.unique(n_out - n, return_inverse=True)
    shifts: Over = np.array([fit_shift(0, int(more), op.odd) for more in pairs])[which]
    return shifts


def differs(one: tuple[Any, ...], other: tuple[Any, ...], shape: tuple[int, ...]) -> Over:
    """Find at which sizes two operations do not do the same."""
    if one[0] == other[0] == "resize":
        (_, n_out, *ratio), (_, n_out2, *ratio2) = one, other
        uneven: Over = np.zeros(shape, dtype=bool) | (n_out != n_out2)
        if ratio[0] != ratio2[0] or ratio[0]:  # a scale reads what a size does only where it is met exactly
            uneven |= ratio[1] * ratio2[2] != ratio2[1] * ratio[2]
        return uneven
    if one[0] != other[0] or len(one) != len(other):
        return np.ones(shape, dtype=bool)
    differing: Over = np.zeros(shape, dtype=bool)
    for a, b in zip(one[1:], other[1:], strict=True):
        differing |= a != b
    return differing
