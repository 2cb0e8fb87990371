"""Masks of attention: which positions of a window see each other, and how windows that were rolled are cut by that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from padviz.sources.tracing.arranging import Cuts, Stuck
from padviz.sources.tracing.axis_labels import ROLES, Axis, Dims, shape_of

MASKED = -50  # what is added to scores that count for nothing
OTHERWISE = "masks attention in another way than windows do"


def cuts_of(dims: Dims, seen: NDArray[np.bool_]) -> Cuts:
    """Find after how many rows, and columns, the last window is cut in two by what of scores is `seen`.

    Scores have the dimensions `dims`, with which `seen` broadcasts. Windows may only be cut as rolled images have it:
    the last one of each axis, in two parts of which each sees itself.

    Raises
    ------
    Stuck
        If a mask does anything else.
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


def _cut(windows: NDArray[np.bool_]) -> int:
    """Find after how many rows the last window is cut; 0 where it is not."""
    n = windows.shape[-1]
    first = int(windows[-1, 0].sum())
    side = np.arange(n) < first
    if not windows[:-1].all() or not (windows[-1] == (side[:, None] == side)).all():
        raise Stuck(OTHERWISE)
    return int(first % n)
