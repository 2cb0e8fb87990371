"""Counts and the kernels that apply maps to them, as numpy and numba twins.

A map has strips (dst, dst_step, src, src_step, length, weight) along one axis, see `padviz.engine.axis_map`.
Arrays are (limbs, height, width). One limb holds int64 counts or float64 weights; more limbs hold
wide integers in base 2**LIMB_BITS, least significant first. A `Tally` knows when they must be carried.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from padviz.engine.axis_map import AxisMap, WritePlan

Array = NDArray[Any]
Number = int | float
Maps = tuple[AxisMap | None, AxisMap | None]  # of a layer: along height and width

HOLDS = 1 << 63  # int64 holds what is below
LIMB_BITS = 56  # whole bytes; leaves 7 bits for a layer to grow into before the next carry
CARRIED = (1 << LIMB_BITS) - 1  # what no carried limb passes
MOST_GAIN = (HOLDS - 1) >> LIMB_BITS  # of a map, for carried limbs to have room
CACHED = 1 << 15  # numbers of which several arrays fit into a core's cache
KEPT = 4 << 20  # numbers that a thread keeps memory for: 32 MiB
NUMBA_FROM = 200_000_000  # additions from which a numba kernel repays its loading and compiling

_memory = threading.local()


class Slower(RuntimeWarning):
    """A library that would count faster cannot be imported; the numbers are the same."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts as limbs, with proven bounds: no limb exceeds `limb`, no count exceeds `most`.

    There are several limbs only where int64 might not hold a count.
    """

    limbs: Array
    limb: int
    most: int

    def __add__(self, other: Tally) -> Tally:
        a, b = self, other
        if a.limb + b.limb >= HOLDS:
            a, b = a.with_room(2), b.with_room(2)
        if len(a.limbs) != len(b.limbs):
            longest = max(len(a.limbs), len(b.limbs))
            a, b = (replace(tally, limbs=extended(tally.limbs, longest)) for tally in (a, b))
        return Tally(a.limbs + b.limbs, a.limb + b.limb, a.most + b.most)

    def with_room(self, gain: int) -> Tally:
        """Return the same counts, carried if they would overflow when they grow by `gain`."""
        if self.limb * gain < HOLDS or self.limbs.dtype.kind == "f":
            return self
        return self.carried()

    def carried(self) -> Tally:
        """Return the same counts in limbs of `LIMB_BITS`, as many as the largest may need."""
        limbs = extended(self.limbs, limbs_for(self.most))
        if self.limb >> LIMB_BITS:
            carry(limbs)
        return Tally(limbs, CARRIED, self.most)

    def final(self) -> Tally:
        """Return the same counts as they are kept: carried where int64 might not hold one."""
        return self if self.most < HOLDS or self.limbs.dtype.kind == "f" else self.carried()

    def pull(self, maps: Maps, engine: str) -> Tally:
        """Apply the maps of both axes: widths first, while there are fewer rows."""
        down, across = maps
        return self._apply(across, 2, engine, passing=down is not None)._apply(down, 1, engine)

    def push(self, maps: Maps, engine: str) -> Tally:
        """Apply the maps of both axes: heights first, which leaves fewer rows."""
        down, across = maps
        return self._apply(down, 1, engine, passing=across is not None)._apply(across, 2, engine)

    def _apply(self, axis_map: AxisMap | None, axis: int, engine: str, passing: bool = False) -> Tally:
        if axis_map is None:
            return self
        if axis_map.gain > MOST_GAIN and self.limb * axis_map.gain >= HOLDS and self.limbs.dtype.kind != "f":
            first, *others = (self._apply(part, axis, engine) for part in axis_map.parts(MOST_GAIN))
            return sum(others, start=first)
        tally = self.with_room(axis_map.gain)
        limbs = apply(axis_map, tally.limbs, axis, engine=engine, passing=passing)
        return Tally(limbs, tally.limb * axis_map.gain, tally.most * axis_map.gain)


def limbs_for(most: int) -> int:
    """Return how many carried limbs hold counts up to `most`.

    >>> limbs_for((1 << 56) - 1), limbs_for(1 << 56)
    (1, 2)
    """
    return -(-most.bit_length() // LIMB_BITS)


def limbs_in(most: int, exact: bool) -> int:
    """Count the limbs of a final tally up to `most`: one while int64 holds the counts, and one of floats.

    >>> limbs_in((1 << 63) - 1, exact=True), limbs_in(1 << 63, exact=True), limbs_in(1 << 63, exact=False)
    (1, 2, 1)
    """
    return limbs_for(most) if exact and most >= HOLDS else 1


def extended(limbs: Array, n: int) -> Array:
    if len(limbs) >= n:
        return limbs
    longer = np.zeros((n, *limbs.shape[1:]), dtype=limbs.dtype)
    longer[: len(limbs)] = limbs
    return longer


def apply(axis_map: AxisMap, x: Array, axis: int, *, engine: str = "auto", passing: bool = False) -> Array:
    """Multiply `x` by a map's matrix along `axis` (1 height, 2 width).

    `engine` is "numpy", "numba" or "auto", which picks by the amount of work; numpy counts where numba
    cannot be imported. A `passing` result is valid until this thread's next one: fresh memory costs more than the sums.

    >>> from padviz.engine.axis_map import Strip
    >>> taps = AxisMap(3, 3, (Strip(0, 1, 0, 1, 3), Strip(1, 1, 0, 1, 2)))  # [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    >>> apply(taps, np.array([[[1], [10], [100]]]), 1).ravel().tolist()
    [1, 11, 110]
    """
    shape = (x.shape[0], axis_map.n_out, x.shape[2]) if axis == 1 else (x.shape[0], x.shape[1], axis_map.n_out)
    out = _kept("passing", shape, x.dtype) if passing else np.empty(shape, dtype=x.dtype)
    additions = 0 if engine == "numpy" else axis_map.reads * x.size // x.shape[axis]
    compiled = (engine == "numba" or additions >= NUMBA_FROM) and _numba() is not None
    add = _add_numba if compiled else _add_numpy
    add(axis_map, x, axis, out)
    return out


def carry(limbs: Array) -> None:
    """Bring every limb but the last into 0 .. 2**LIMB_BITS - 1, in place; the value stays the same.

    The last limb keeps the sign, so differences of counts normalise too.

    >>> limbs = np.array([[[(1 << 56) + 5]], [[1]]])
    >>> carry(limbs)
    >>> limbs.ravel().tolist()
    [5, 2]
    """
    rows = max(1, CACHED // limbs.shape[2])
    for start in range(0, limbs.shape[1], rows):
        part = limbs[:, start : start + rows]
        carried = _kept("carried", part.shape[1:], part.dtype)
        for low, high in pairwise(part):
            high += np.right_shift(low, LIMB_BITS, out=carried)
            low &= (1 << LIMB_BITS) - 1


def _kept(what: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an array in memory that this thread reuses for one purpose; a large one gets fresh memory."""
    size = prod(shape)
    if size > KEPT:
        return np.empty(shape, dtype=dtype)
    kept: Array | None = getattr(_memory, what, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, dtype=np.int64)
        setattr(_memory, what, kept)
    array: Array = kept[:size].view(dtype).reshape(shape)
    return array


def _add_numpy(axis_map: AxisMap, x: Array, axis: int, out: Array) -> None:
    limbs = 1 if x[0].size > CACHED else len(x)  # at a time, so that they stay in the cache
    for i in range(0, len(x), limbs):
        part = pairs = x[i : i + limbs]
        if axis_map.plan.paired:
            low, high = (part[:, :-1], part[:, 1:]) if axis == 1 else (part[:, :, :-1], part[:, :, 1:])
            pairs = np.add(low, high, out=_kept("pairs", low.shape, x.dtype))
        arrays = part, pairs, out[i : i + limbs]
        _follow(axis_map.plan, *(arrays if axis == 1 else [array.swapaxes(1, 2) for array in arrays]))


def _follow(plan: WritePlan, x: Array, pairs: Array, out: Array) -> None:
    read = (x, pairs)
    for into, sources in plan.writes:
        if len(sources) == 2:
            (first, rows), (second, others) = sources
            np.add(read[first][:, rows], read[second][:, others], out=out[:, into])
        else:
            out[:, into] = read[sources[0][0]][:, sources[0][1]] if sources else 0
    for into, (which, rows), weight in plan.adds:
        added = read[which][:, rows]
        out[:, into] += added if weight == 1 else added * weight
    for row, rows, weight in plan.sums:
        total = x[:, rows.start] if rows.stop == rows.start + 1 else x[:, rows].sum(axis=1)
        out[:, row] += total if weight == 1 else total * weight


def _add_numba(axis_map: AxisMap, x: Array, axis: int, out: Array) -> None:
    steps = np.array([strip.ascending[:5] for strip in axis_map.strips], dtype=np.int64).reshape(-1, 5)
    weights = np.array([strip.weight for strip in axis_map.strips], dtype=out.dtype)
    out.fill(0)
    _compiled(_down if axis == 1 else _across)(steps, weights, x, out)


@cache
def _numba() -> Any:
    """Import numba; where that fails, warn once and return None."""
    try:
        import numba
    except ImportError as error:
        if not isinstance(error.__context__, Exception | None):
            raise  # it was interrupted, by a signal
        missing = (
            "is not installed" if error.name == "numba" else f"cannot be imported ({' '.join(str(error).split())})"
        )
        line = f"numba {missing}: numpy counts, the same numbers in more time; pip install numba"
        warnings.warn(line, Slower, stacklevel=2)
        return None
    return numba


@lru_cache(2)
def _compiled(loop: Callable[..., None]) -> Any:
    try:
        return _numba().njit(loop, cache=True, nogil=True)
    except RuntimeError:  # nowhere to keep compiled code: a read-only install without a home
        return _numba().njit(loop, nogil=True)


def _down(steps: Array, weights: Array, x: Array, out: Array) -> None:
    """Add rows to rows, some rows of the output at a time, so that what they read is still in the cache."""
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
    """Add columns to columns, row by row."""
    for limb in range(out.shape[0]):
        for row in range(out.shape[1]):
            for strip in range(steps.shape[0]):
                dst, dst_step, src, src_step, length = steps[strip]
                for i in range(length):
                    out[limb, row, dst + i * dst_step] += weights[strip] * x[limb, row, src + i * src_step]
