"""The counting kernels, as numpy and numba twins: arrays in, arrays out, no checks.

A strip is (dst, dst_step, src, src_step, length, weight) along one axis; see `padviz.axis.Strip`.
Arrays are (limbs, height, width). One limb holds int64 counts or float64 weights; more limbs hold
wide integers in base 2**LIMB_BITS, least significant first, which only `carry` needs to know.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Strips = Sequence[tuple[int, int, int, int, int, float]]

LIMB_BITS = 40  # whole bytes; leaves 23 bits for a layer to grow into before the next carry
KEPT = 4 << 20  # numbers that a thread keeps memory for: 32 MiB
NUMBA_FROM = 2_000_000_000  # additions from which a numba kernel repays its loading and compiling

_memory = threading.local()


def apply(strips: Strips, x: Array, n_out: int, axis: int, *, engine: str = "auto", passing: bool = False) -> Array:
    """Sum the strips of `x` along `axis` (1 height, 2 width) into an array of `n_out` there.

    `engine` is "numpy", "numba" or "auto", which picks by the amount of work. A `passing` result
    is good until this thread's next one: it saves fresh memory, which costs more than the sums.
    """
    shape = (x.shape[0], n_out, x.shape[2]) if axis == 1 else (x.shape[0], x.shape[1], n_out)
    out = _passing(shape, x.dtype) if passing else np.zeros(shape, dtype=x.dtype)
    if engine == "auto":
        additions = sum(strip[4] for strip in strips) * x.size // x.shape[axis]
        engine = "numba" if additions >= NUMBA_FROM else "numpy"
    add = _add_numba if engine == "numba" else _add_numpy
    if axis == 1:
        add(strips, x, out)
    else:
        add(strips, x.swapaxes(1, 2), out.swapaxes(1, 2))
    return out


def carry(limbs: Array) -> None:
    """Bring every limb but the last into 0 .. 2**LIMB_BITS - 1, in place; the value stays the same.

    The last limb keeps the sign, so differences of counts normalise too.
    """
    for low, high in pairwise(limbs):
        high += low >> LIMB_BITS
        low &= (1 << LIMB_BITS) - 1


def span(start: int, step: int, length: int) -> slice:
    """The slice that visits start, start + step, ... `length` times, for any step but 0.

    >>> list(range(9))[span(4, -2, 3)]
    [4, 2, 0]
    """
    stop = start + step * length
    return slice(start, stop if stop >= 0 else None, step)


def _passing(shape: tuple[int, int, int], dtype: Any) -> Array:
    """Zeros in memory that this thread keeps; large arrays get memory of their own."""
    size = shape[0] * shape[1] * shape[2]
    if size > KEPT:
        return np.zeros(shape, dtype=dtype)
    kept: Array | None = getattr(_memory, "kept", None)
    if kept is None or kept.size < size:
        kept = _memory.kept = np.empty(size, dtype=np.int64)
    zeros: Array = kept[:size].view(dtype).reshape(shape)
    zeros.fill(0)
    return zeros


def _add_numpy(strips: Strips, x: Array, out: Array) -> None:
    for dst, dst_step, src, src_step, length, weight in strips:
        rows = x[:, span(src, src_step, length)] if src_step else x[:, src : src + 1]
        if weight != 1:
            rows = rows * weight
        if dst_step:
            out[:, span(dst, dst_step, length)] += rows
        else:
            out[:, dst] += rows.sum(axis=1)


def _add_numba(strips: Strips, x: Array, out: Array) -> None:
    steps = np.array([strip[:5] for strip in strips], dtype=np.int64).reshape(-1, 5)
    weights = np.array([strip[5] for strip in strips], dtype=out.dtype)
    _numba_loop()(steps, weights, x, out)


@lru_cache(1)
def _numba_loop() -> Any:
    import numba

    try:
        return numba.njit(_loop, cache=True, nogil=True)
    except RuntimeError:  # nowhere to keep compiled code: a read-only install without a home
        return numba.njit(_loop, nogil=True)


def _loop(steps: Array, weights: Array, x: Array, out: Array) -> None:
    for limb in range(x.shape[0]):
        for strip in range(steps.shape[0]):
            dst, dst_step, src, src_step, length = steps[strip]
            for i in range(length):
                row, into = x[limb, src + i * src_step], out[limb, dst + i * dst_step]
                for j in range(x.shape[2]):
                    into[j] += weights[strip] * row[j]
