"""Reaches that repeat: what the units of one period see says what all see, at any size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from padviz.axis.operations import Adaptive, Blocks, Op
from padviz.axis.receptive_interval import all_rows_of, is_wavy, rate_of, rows_of
from padviz.geometry.reaching.reach import Interval, Reach, whole
from padviz.network.network import Network

MOST_PERIOD = 1 << 12  # units that are followed one by one, of a map that has fewer
MOST_KEPT = 1 << 20  # of all layers together


def by_periods(network: Network, axis: int, sizes: Sequence[int]) -> tuple[Reach, ...] | None:
    """Find the reach of every layer, at these sizes; None where one repeats too late for that, or never.

    >>> import padviz
    >>> from padviz.network.sizes import sizes_of
    >>> alexnet = padviz.load("alexnet")
    >>> by_periods(alexnet, 0, sizes_of(alexnet, 0, 224))[1].seen
    [(-2, 8)]
    """
    reaches, kept = [Reach([(0, 0)], Fraction(1), 1)], 0
    for i, layer in enumerate(network.layers[1:], start=1):
        entering, op = [reaches[j] for j in layer.inputs], layer.ops[axis]
        if len(entering) == 1 and op is None:
            reaches.append(entering[0])
            continue
        if any(reach.whole for reach in entering) or isinstance(op, Adaptive):
            reached: Reach | None = whole(entering, sizes[layer.inputs[0]], sizes[0])
        elif op is None:
            reached = _merged(entering, sizes[i])
        else:
            reached = _through(op, entering[0], sizes[layer.inputs[0]], sizes[i])
        kept += len(reached.seen) if reached else 0
        if reached is None or kept > MOST_KEPT:
            return None
        reaches.append(reached)
    return tuple(reaches)


def _through(op: Op, entering: Reach, n: int, m: int) -> Reach | None:
    """Pull the reach of the `m` units of `op` through it, which reads a layer of `n`."""
    rate = rate_of(op, n, m)
    if not rate:
        return None
    if isinstance(op, Blocks) and not op.is_local:
        return None
    period = lcm(rate.numerator, len(entering.seen)) // rate.numerator * rate.denominator
    period = lcm(period, op.size) if isinstance(op, Blocks) else period
    if period > max(MOST_PERIOD, m):
        return None
    seen = []
    if entering.wavy:
        for rows in all_rows_of(op, n, m, np.arange(period)).T.tolist():
            lows, highs = zip(*map(entering.of, rows), strict=True)
            seen.append((min(lows), max(highs)))
    else:
        for unit in range(period):
            first, last = rows_of(op, n, m, unit)
            seen.append((entering.of(first)[0], entering.of(last)[1]))
    return _repeating(seen, entering.stride * rate, m, wavy=entering.wavy or is_wavy(op))


def _merged(reaches: Sequence[Reach], m: int) -> Reach | None:
    """Unite the reaches of branches, where all advance alike."""
    period = lcm(*(len(reach.seen) for reach in reaches))
    stride = reaches[0].stride
    if period > max(MOST_PERIOD, m) or any(reach.stride != stride for reach in reaches):
        return None
    both = [[reach.of(unit) for reach in reaches] for unit in range(period)]
    seen = [(min(low for low, _ in intervals), max(high for _, high in intervals)) for intervals in both]
    return _repeating(seen, stride, m, wavy=any(reach.wavy for reach in reaches))


def _repeating(seen: Sequence[Interval], stride: Fraction, m: int, *, wavy: bool) -> Reach:
    """Make a reach with the most rows that a unit of a map of `m` sees."""
    size = max(high - low + 1 for low, high in seen[:m])
    return Reach(seen, stride, size, wavy=wavy)
