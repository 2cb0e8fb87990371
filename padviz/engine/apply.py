"""The kernel that applies an axis map to arrays (limbs, height, width), as numpy and
numba twins.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from padviz.engine.axis_map import AxisMap

Array = NDArray[Any]  # of int64 or float64, or of Python integers
Loop = Callable[[Array, Array, Array, Array], None]  # of steps, weights, x and out
NUMBA_FROM = 200_000_000  # additions from which a numba kernel repays its loading and compiling


class Slower(RuntimeWarning):
    """A library that would count faster cannot be imported; the numbers are the same."""


def apply(axis_map: AxisMap, x: Array, axis: int, *, engine: str = "auto") -> Array:
    """Multiply `x` by a map's matrix along `axis` (1 height, 2 width).

    `engine` is "numpy", "numba" or "auto", which picks by the amount of work; numpy counts where
    numba cannot be imported.

    >>> from padviz.engine.axis_map import Strip
    >>> # [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    >>> taps = AxisMap(3, 3, (Strip(0, 1, 0, 1, 3), Strip(1, 1, 0, 1, 2)))
    >>> apply(taps, np.array([[[1], [10], [100]]]), 1).ravel().tolist()
    [1, 11, 110]
    """
    shape = [*x.shape]
    shape[axis] = axis_map.n_out
    out = np.zeros(shape, dtype=x.dtype)
    if engine == "numpy":
        additions = 0
    else:
        additions = axis_map.reads * x.size // x.shape[axis]
    if (engine == "numba" or additions >= NUMBA_FROM) and _numba() is not None:
        steps = np.array(
            [strip.ascending[:5] for strip in axis_map.strips], dtype=np.int64
        ).reshape(-1, 5)
        weights = np.array([strip.weight for strip in axis_map.strips], dtype=out.dtype)
        _compiled(_down if axis == 1 else _across)(steps, weights, x, out)
        return out
    if axis == 1:
        into, source = (out, x)
    else:
        into, source = (out.swapaxes(1, 2), x.swapaxes(1, 2))
    for dst, src, one, weight in axis_map.slices:
        rows = source[:, src]
        if one:
            rows = rows.sum(axis=1, keepdims=True)
        into[:, dst] += rows if weight == 1 else rows * weight
    return out


@cache
def _numba() -> ModuleType | None:
    """Import numba; where that fails, warn once and return None."""
    try:
        import numba
    except ImportError as error:
        if not isinstance(error.__context__, Exception | None):
            raise  # it was interrupted, by a signal
        missing = (
            "is not installed"
            if error.name == "numba"
            else f"cannot be imported ({' '.join(str(error).split())})"
        )
        line = f"numba {missing}: numpy counts, the same numbers in more time; pip install numba"
        warnings.warn(line, Slower, stacklevel=2)
        return None
    return numba


@cache
def _compiled(loop: Loop) -> Loop:
    numba = cast("ModuleType", _numba())
    compiled: Loop
    try:
        compiled = numba.njit(loop, cache=True, nogil=True)
    except RuntimeError:  # nowhere to keep compiled code: a read-only install without a home
        compiled = numba.njit(loop, nogil=True)
    return compiled


def _down(steps: Array, weights: Array, x: Array, out: Array) -> None:
    """Add rows to rows, some rows of the output at a time, so that what they read is still in the
    cache.
    """
    some = max(1, 16384 // out.shape[2])
    for limb in range(out.shape[0]):
        for start in range(0, out.shape[1], some):
            for strip in range(steps.shape[0]):
                dst, dst_step, src, src_step, length = steps[strip]
                first, last = 0, length
                if dst_step:
                    first = max(0, -((dst - start) // dst_step))
                    last = min(length, -((dst - start - some) // dst_step))
                elif not start <= dst < start + some:
                    last = 0
                weight = weights[strip]
                for i in range(first, last):
                    row, into = x[limb, src + i * src_step], out[limb, dst + i * dst_step]
                    if weight == 1:
                        for j in range(row.shape[0]):
                            into[j] += row[j]
                    else:
                        for j in range(row.shape[0]):
                            into[j] += weight * row[j]


def _across(steps: Array, weights: Array, x: Array, out: Array) -> None:
    for limb in range(out.shape[0]):
        for row in range(out.shape[1]):
            for strip in range(steps.shape[0]):
                dst, dst_step, src, src_step, length = steps[strip]
                for i in range(length):
                    out[limb, row, dst + i * dst_step] += (
                        weights[strip] * x[limb, row, src + i * src_step]
                    )
