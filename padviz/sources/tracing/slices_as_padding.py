"""Padding written out as slices: rows of one map, and zeros, joined along its height or width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from padviz.axis.operations import Window
from padviz.axis.padding_modes import COPYING, RUNNING_ON, SCHEMES, fold
from padviz.errors import SizeError
from padviz.sources.tracing.arranging import Arranger, Map, Stuck

Row = int | None
TRIED = "zero", *sorted(COPYING, key=lambda mode: (not SCHEMES[mode].wraps, mode not in RUNNING_ON))  # the first wins
MOST_TRIES = 16


def as_pad(arranger: Arranger, name: str, x: Map, role: str, rows: Sequence[Row]) -> Map:
    """Pad the map `x` so that its rows (or columns) are `rows` of it, which must be how some mode pads."""
    x = arranger.settled(x)
    n = arranger.trace.sizes[x.at][arranger.trace.axes[role]]
    if rows[0] and [*rows] == [*range(rows[0], n), *range(rows[0])]:
        on = [-rows[0] if axis == role else 0 for axis in arranger.trace.axes]
        at = rolled(arranger, name, x.at, on)
        return replace(x, layer=at, dims=arranger.sized(x.known, at))
    before, mode = mode_of(rows, n)
    ops = {axis: Window(1, mode=mode) for axis in arranger.trace.axes}
    ops[role] = Window(1, padding=(before, len(rows) - n - before), mode=mode)
    return arranger.lay(name, "pad", x, ops)


def mode_of(rows: Sequence[Row], n: int) -> tuple[int, str]:
    """Find how many of `rows` are before the `n` rows themselves, and the mode in which those around are padding.

    >>> mode_of([2, 0, 1, 2, 0], 3)
    (1, 'circular')
    """
    starts = [at for at, row in enumerate(rows) if row == 0 and rows[at + n - 1 : at + n] == [n - 1]]
    for before in starts[:MOST_TRIES]:
        if [*rows[before : before + n]] != [*range(n)]:
            continue
        for mode in TRIED:
            if [*rows] == folded(mode, n, before, len(rows) - n - before):
                return before, mode
    raise Stuck("joins rows of a map in an order that no padding has")


def folded(mode: str, n: int, before: int, after: int) -> list[Row] | None:
    """Fold the padded axis: the row that each place reads, or None where it reads nothing."""
    try:
        ends = fold(mode, n, before, after)
    except SizeError:
        return None
    head, tail = range(-before, 0), range(n, n + after)
    if ends is None:
        return [*(None for _ in head), *range(n), *(None for _ in tail)]
    (a, b), (c, d) = ends
    return [*(a * p + b for p in head), *range(n), *(c * p + d for p in tail)]


def rolled(arranger: Arranger, name: str, layer: int, shifts: Sequence[int]) -> int:
    """Move rows and columns on by so many, those at the end to the front; what is moved back is as it was."""
    base, before = arranger.rolls.get(layer, (layer, (0,) * len(shifts)))
    sums = zip(before, shifts, arranger.trace.sizes[base], strict=True)
    moved = tuple(((a + b) % n + n // 2) % n - n // 2 for a, b, n in sums)
    if not any(moved):
        return base
    if (base, moved) not in arranger.crops:
        ops = [Window(1, padding=(n, -n), mode="circular") if n else None for n in moved]
        at = arranger.crops[base, moved] = arranger.trace.add(name, "roll", (base,), ops)
        arranger.rolls[at] = base, moved
    return arranger.crops[base, moved]


def cropped(rows: slice, n: int) -> Window:
    """Make the crop that a slice takes of `n` rows, as Python reads its ends.

    >>> cropped(slice(1, -2), 8).padding, cropped(slice(None, 20), 8).padding
    ((-1, -2), (0, 0))
    """
    first, last, step = rows.indices(n)
    return Window(1, step, padding=(-first, max(last, first) - n))
