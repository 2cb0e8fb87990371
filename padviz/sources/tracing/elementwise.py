"""Elementwise operations, the masks of attention among them, and norms, which paths pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from padviz.sources.tracing.arranging import Cuts, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import ROLES, Axis, Dims, has_looked, inner_parts, positions, shape_of
from padviz.sources.tracing.calls import Call, together

MASKED = -50  # what is added to scores that count for nothing
Array = NDArray[np.generic]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
OTHERWISE = "masks attention in another way than windows do"


def subtract(call: Call) -> Map:
    """Subtract; a mean over all positions taken away from each is a normalisation: like a gate, it is left out."""
    away = any(call.trace.pooled[x.at] for x in call.maps)
    return together(call, "multiply" if away else "add", call.maps)


def norm(call: Call, x: Value, why: str, axes: Iterable[int]) -> Value:
    """Record that each position depends on all that a norm over some dimensions reads, though paths pass it by.

    A norm over the places of blocks alone leaves each block by itself once that is one position.
    """
    lost = [] if x.dims is None else [each for each in positions(*(x.dims[i] for i in axes)) if each.size > 1]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x
    layer = call.trace.normalise(call.name("norm"), x.at, why)
    inner = inner_parts(tuple(lost))
    if inner == lost:
        blocks = tuple(prod(part.size for part in inner if part.role == role) for role in call.trace.axes)
        call.arranger.block_norms[layer, blocks] = x.at
    return replace(x, layer=layer)


def masked(call: Call, x: Map, hides: Callable[[Numbers], Mask] = lambda numbers: numbers <= MASKED) -> Map:
    """Cut the windows of scores in two where the constants that a call reads hide positions from each other."""
    for numbers in call.constants() if x.dims is not None and has_looked(x.dims) else ():
        x = hidden(x, hides(np.asarray(numbers, dtype=np.float64)))
    return x


def picked(x: Map, condition: Array | None, first: Array | None, second: Array | None) -> Map:
    """Cut the windows of scores in two where a pick between them and a number hides; what is no constant is None."""
    if condition is None or not has_looked(x.dims or ()) or (first is None) == (second is None):
        return x
    picks = np.asarray(condition, dtype=bool)
    number, hides = (second, ~picks) if first is None else (first, picks)
    return hidden(x, hides & (np.asarray(number, dtype=np.float64) <= MASKED))


def hidden(scores: Map, hides: Mask) -> Map:
    """Cut the windows of scores in two where a mask hides positions from each other."""
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
    """Return after how many rows the last window is cut; 0 where it is not."""
    n = windows.shape[-1]
    first = int(windows[-1, 0].sum())
    side = np.arange(n) < first
    if not windows[:-1].all() or not (windows[-1] == (side[:, None] == side)).all():
        raise Stuck(OTHERWISE)
    return int(first % n)
