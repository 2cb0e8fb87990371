"""An operation as an `AxisMap`: what each output row reads, at a size, and far from all borders.

Far from the borders a map repeats, so an endless axis is a ring of one period: row r is row r
modulo the period. Rows are numbered from the first row of the real axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from padviz.engine.axis_map import AxisMap, Strip
from padviz.errors import SizeError
from padviz.network.operations import (
    CACHED,
    Adaptive,
    Blocks,
    Fit,
    Op,
    Window,
    fit_shift,
    out_size,
    pads_at,
    place,
)
from padviz.network.padding_modes import fold
from padviz.network.reads import rate_of, reads
from padviz.network.resize import Resize, interpolated, ratio_of

Ring = tuple[int, int]  # rows that the input and the output grow by, together
AROUND = 8  # rows that no interpolation reaches past
MOST_STRIPS = 1 << 18  # of a window under partial padding: one for each tap and weight


@lru_cache(CACHED)
def axis_map(op: Op, n: int, like: int | None = None) -> AxisMap:
    """Build the map of `op` over `n` input rows; `like` is the size of the layer it follows.

    Raises SizeError if the input is too small for the window, or for the padding mode.

    >>> from padviz.engine.apply import apply
    >>> made = axis_map(Window(3, padding=(1, 1), mode="reflect"), 4)
    >>> apply(made, np.eye(4, dtype=np.int64)[None], 1)[0]
    array([[1, 2, 0, 0],
           [1, 1, 1, 0],
           [0, 1, 1, 1],
           [0, 0, 2, 1]])
    """
    n_out = out_size(op, n, like)
    return AxisMap(n, n_out, tuple(_strips(op, n, n_out)))


def _strips(op: Op, n: int, n_out: int) -> Iterable[Strip]:
    if isinstance(op, Adaptive):
        ends = ((j * n // op.output, -(-(j + 1) * n // op.output)) for j in range(op.output))
        return (
            Strip(j, 0, a, 1, z - a, 1 / (z - a) if op.mean else 1) for j, (a, z) in enumerate(ends)
        )
    if isinstance(op, Blocks):
        return _block_strips(op, n)
    if isinstance(op, Resize):
        return _resize_strips(op, n, n_out)
    strips = tuple(_tap_strips(op, n, n_out))
    if isinstance(op, Window):
        return _weighted(op, n, strips)
    return strips


def _weighted(window: Window, n: int, strips: tuple[Strip, ...]) -> tuple[Strip, ...]:
    """Weight the strips of a window for partial padding, and of means."""
    if window.mode == "partial" and window.kernel > 1:
        weights = partial_weights(window, n)
        if len(strips) * np.count_nonzero(np.diff(weights)) > MOST_STRIPS:
            raise SizeError(
                f"its {window.kernel} taps weigh otherwise in too many rows under partial padding"
            )
        strips = tuple(_reweighed(strips, weights))
    if window.mean:
        strips = tuple([strip._replace(weight=strip.weight / window.kernel) for strip in strips])
    return strips


def _tap_strips(op: Op, n: int, n_out: int) -> Iterator[Strip]:
    """Yield for each tap of each unit of one period a strip of the rows inside, and one for each
    end where it reads folded padding.
    """
    after, outside = 0, None
    if isinstance(op, Window):
        before, after = (max(int(pad), 0) for pad in pads_at(op, n))
        if before + after:
            outside = fold(op.mode, n, before, after)
    rate = rate_of(op, n, n_out)
    period, step = rate.denominator, rate.numerator
    rows, real = reads(op, n, n_out, np.arange(min(period, n_out)))
    for tap, unit in np.argwhere(real).tolist():
        first, units = int(rows[tap, unit]), -(-(n_out - unit) // period)
        enter = min(max(-(first // step), 0), units)  # the first whose tap is inside
        leave = min(max(-((first - n) // step), enter), units)  # the first whose tap is beyond
        # the first past the padding: ceil overhangs
        padded = min(max(-((first - n - after) // step), leave), units)
        runs = [(enter, leave, (1, 0))]
        if outside:
            runs += [(0, enter, outside[0]), (leave, padded, outside[1])]
        for start, stop, (a, b) in runs:  # of units, whose row r is row a * r + b
            if start < stop:
                row = a * (first + start * step) + b
                yield Strip(unit + start * period, period, row, a * step, stop - start)


def _reweighed(strips: Iterable[Strip], weights: NDArray[np.float64]) -> Iterator[Strip]:
    """Split strips so that each has one weight: `weights[dst]`."""
    edges = np.flatnonzero(np.diff(weights)) + 1
    for strip in strips:
        inside = edges[(edges > strip.dst) & (edges < strip.dst + strip.length)]
        starts = [strip.dst, *inside.tolist()]
        for start, stop in zip(starts, [*starts[1:], strip.dst + strip.length], strict=True):
            src = strip.src + (start - strip.dst) * strip.src_step
            yield Strip(start, 1, src, strip.src_step, stop - start, float(weights[start]))


def partial_weights(window: Window, n: int) -> NDArray[np.float64]:
    """Return what partial convolution multiplies each output by: its taps over those on real rows,
    at least one.

    Source: Liu et al., "Partial Convolution based Padding", 2018.
    """
    n_out = place(window, n).n_out
    rows, _ = reads(window, n, n_out, np.arange(n_out))
    hits = ((rows >= 0) & (rows < n)).sum(0)
    return np.asarray(window.kernel / np.maximum(hits, 1))


def _block_strips(op: Blocks, n: int) -> Iterator[Strip]:
    """Yield a strip for each pair of places in a block, or for each row, whichever are fewer."""
    size, step = op.of(n)
    if step > 1:
        if n % (size * step):
            raise SizeError(
                f"its input has {n} rows, not a multiple of blocks of {size} rows {step} apart"
            )
        for start in range(0, n, size * step):
            if size > step:
                for row in range(start, start + size * step):
                    yield Strip(row, 0, start + (row - start) % step, step, size)
            else:
                for i, j in np.ndindex(size, size):
                    yield Strip(start + i * step, 1, start + j * step, 1, step)
    elif size * size < n and not (op.first or n % size):
        for i, j in np.ndindex(size, size):
            yield Strip(i, size, j, size, n // size)
    else:
        for row in range(n):
            first, last = op.around(row)
            yield Strip(row, 0, max(first, 0), 1, min(last + 1, n) - max(first, 0))


def _resize_strips(op: Resize, n: int, n_out: int) -> Iterator[Strip]:
    period = ratio_of(op, n, n_out).denominator
    period = period if 2 * period <= n_out else 1  # else a phase has two rows at most
    for dst, src, weights in interpolated(op, n, n_out):
        yield from _runs(dst, src, weights if op.mean else np.ones(weights.shape), period)


def _runs(
    dst: NDArray[np.int64], src: NDArray[np.int64], weight: NDArray[np.float64], period: int
) -> Iterator[Strip]:
    """Group reads into strips: rows of one phase of the period advance evenly, so they make long
    runs.
    """
    order = np.argsort(dst % period, kind="stable")
    d, s, w = (values[order].tolist() for values in (dst, src, weight))
    start = 0
    while start < len(d):
        step = 0
        if start + 1 < len(s):
            step = s[start + 1] - s[start]
        stop = start + 1
        while (
            stop < len(d)
            and d[stop] - d[stop - 1] == period
            and s[stop] - s[stop - 1] == step
            and w[stop] == w[start]
        ):
            stop += 1
        yield Strip(
            d[start], period, s[start], step if stop - start > 1 else 0, stop - start, w[start]
        )
        start = stop


@lru_cache(CACHED)
def ring_map(op: Op, n: int, n_out: int, ring: Ring) -> AxisMap | None:
    """Map one period of `op`'s output to one period of its input; None where its reads do not
    repeat with the ring.

    `n` and `n_out` are the rows of the real axis, which decide where the first window lies.
    """
    rows, units = ring
    if isinstance(op, Adaptive):
        return _pooled_ring(op, n, ring)
    if not rows or not units:
        return None
    if isinstance(op, Fit):
        if rows != units:
            return None
        op = Window(1, padding=(fit_shift(n, n_out, op.odd), 0))
    if isinstance(op, Blocks):
        if not op.is_local or rows != units or rows % op.size:
            return None
        reach, n = op.size, 0
    elif isinstance(op, Resize):
        op = op.exact  # as rounded rows do not repeat
        if ratio_of(op, n + rows, n_out + units) != Fraction(rows, units):
            return None
        reach = AROUND
    else:
        if isinstance(op, Window):
            before = int(pads_at(op, n)[0])
            op = replace(op, mode="zero")  # no padding is read far from borders
        else:
            before = op.padding[0]
        op, reach = replace(op, padding=(before, 0)), op.extent + abs(before)
    turns = -(-reach // min(ring)) + 1  # whole periods before and after the one that is cut out
    strips = _strips(op, n + (2 * turns + 1) * rows, n_out + (2 * turns + 1) * units)
    return AxisMap(rows, units, tuple(_one_period(strips, turns * units, ring)))


def _pooled_ring(op: Adaptive, n: int, ring: Ring) -> AxisMap | None:
    """Return the map of a global pool, whose one unit reads all rows; other adaptive pools do not
    repeat.
    """
    rows, units = ring
    if op.output != 1 or units:
        return None
    weight = 1 / n if op.mean else 1
    return AxisMap(rows, 1, (Strip(0, 0, 0, 1, rows, weight),))


def _one_period(strips: Iterable[Strip], first: int, ring: Ring) -> Iterator[Strip]:
    """Cut the units of one period out of strips, from the `first` on, and wrap the rows that they
    read around.
    """
    rows, units = ring
    for strip in strips:
        at, step = strip.dst - first, strip.dst_step
        # The first element of the strip in this period, and the first behind it.
        i, stop = 0, strip.length
        if step:
            i, stop = max(-(at // step), 0), min(-((at - units) // step), strip.length)
        elif not 0 <= at < units:
            continue
        while i < stop:  # until it comes round
            src, length = (strip.src + i * strip.src_step) % rows, stop - i
            if strip.src_step:
                length = min(length, -(-(rows - src) // strip.src_step))
            yield strip._replace(dst=at + i * step, src=src, length=length)
            i += length
