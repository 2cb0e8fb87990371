"""The units of every layer that padding touches: those that read past an end of a layer, or a
touched unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import NamedTuple

import numpy as np

from padviz.network.network import Network, Size
from padviz.network.operations import Adaptive, Blocks, Op, Window
from padviz.network.padding_modes import SCHEMES
from padviz.network.reads import rate_of, reads, rows_of
from padviz.network.resize import Ints
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import AlongAxes, Flags, on_each, sizes_of

BeforeAfter = tuple[int, int]  # rows, or columns, of units or pixels
SLACK = 3  # rows that an operation may read beyond what its rate says
MOST_UNITS = 1 << 23  # of a layer that are examined; no map has more


class Barrier(NamedTuple):
    """A layer behind which no context is enough, because each position depends on all, and the
    reason.
    """

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class NearPadding(AlongAxes[BeforeAfter]):
    """The number of units that padding touches at the two ends of each axis of a layer's map.

    Behind the layer that `barrier` names each position depends on all: `everywhere` on padding,
    too, if any unit that this layer reads is touched.

    >>> import padviz
    >>> near_padding(padviz.load("vgg11"), (224, 224))[0].width
    (1, 1)
    """

    layer: str
    axes: Mapping[str, BeforeAfter] = field(hash=False)
    barrier: Barrier | None = None
    everywhere: bool = False


def near_padding(network: Network, size: Size, around: bool = False) -> tuple[NearPadding, ...]:
    """Count the units of every layer that read past an end of it, or of one before it.

    With `around`, an axis that wraps has no end: only what its pools pad is padding.
    """
    touched = zip(*on_each(partial(_depths_on, around=around), network, size), strict=True)
    rows: list[NearPadding] = []
    for layer, ends in zip(network.layers, touched, strict=True):
        before = [rows[j] for j in layer.inputs]
        barrier = next((row.barrier for row in before if row.barrier), None)
        everywhere = any(row.everywhere for row in before)
        reasons = []
        for axis, name in enumerate(network.axes):
            reason = layer.whole(axis)
            if reason:
                reasons.append(reason)
                # A layer that mixes all positions of a line spreads what padding touches on it.
                everywhere |= any(any(row.axes[name]) for row in before)
        if reasons and barrier is None:
            barrier = Barrier(layer.name, min(reasons))
        rows.append(
            NearPadding(layer.name, dict(zip(network.axes, ends, strict=True)), barrier, everywhere)
        )
    return tuple(rows[1:])


def _depths_on(network: Network, axis: int, n: int, around: bool) -> list[BeforeAfter]:
    """Follow flags of the touched units from either end, up to the last touched one, on an axis
    that is long enough.

    In a layer behind a global pool each unit sees the whole image: padding touches all or none of
    its units.
    """
    sizes = sizes_of(network, axis, n)
    wraps = around and circular_axes(network)[axis]
    none = np.zeros(0, dtype=bool)
    touched, wholes = [(none, none)], set[int]()
    for i, layer in enumerate(network.layers[1:], start=1):
        op, n, m = layer.ops[axis], sizes[layer.inputs[0]], sizes[i]
        ends = (
            _any_of([touched[j][0] for j in layer.inputs]),
            _any_of([touched[j][1] for j in layer.inputs]),
        )
        if isinstance(op, Adaptive) or not wholes.isdisjoint(layer.inputs):
            wholes.add(i)
            if isinstance(op, Window):
                ends = _ends_through(op, n, m, ends)
            all_of_it = np.full(m if any(map(len, ends)) else 0, True)
            ends = all_of_it, all_of_it
        elif op is not None and not (wraps and _wraps_alone(op, ends)):
            ends = _ends_through(op, n, m, ends)
        touched.append(ends)
    return [
        (min(len(before), m), min(len(after), m))
        for (before, after), m in zip(touched, sizes, strict=True)
    ]


def _wraps_alone(op: Op, ends: tuple[Flags, Flags]) -> bool:
    """Whether an operation pads with rows of the other end, none of which padding touches."""
    return isinstance(op, Window) and SCHEMES[op.mode].wraps and not any(map(len, ends))


def _ends_through(op: Op, n: int, m: int, ends: tuple[Flags, Flags]) -> tuple[Flags, Flags]:
    return _through(op, n, m, 0, ends[0]), _through(op, n, m, 1, ends[1])


def _any_of(branches: Sequence[Flags]) -> Flags:
    union = np.zeros(max(map(len, branches)), dtype=bool)
    for flags in branches:
        union[: len(flags)] |= flags
    return union


def _from(end: int, at: Ints, count: int) -> Ints:
    """Number rows or units from the other end, if that is `end`, and back."""
    if end:
        return count - 1 - at
    return at


def _through(op: Op, n: int, m: int, end: int, touched: Flags) -> Flags:
    """Flag the units of an operation that read past an end of `n` rows, or a touched row there.

    Flags are numbered from that end.
    """
    # the row nearest to the end that the first unit reads
    first = rows_of(op, n, m, _from(end, 0, m))[end]
    slack = SLACK
    if isinstance(op, Blocks):  # a block has fewer rows there
        first = min(max(first, 0), n - 1)
        slack += op.size
    first = _from(end, first, n)
    rate = rate_of(op, n, m)
    if not rate:
        return np.full(m if first < len(touched) else 0, True)
    if isinstance(op, Window) and touched.all():  # the outermost tap decides, of any number
        return np.full(min(max(0, -((first - len(touched)) // op.stride)), MOST_UNITS), True)
    several = min(max(1, ceil((len(touched) - first + slack) / rate) + SLACK), MOST_UNITS)
    rows, real = reads(op, n, m, _from(end, np.arange(several), m))
    if isinstance(op, Blocks):  # it reads no row past an end
        real &= (rows >= 0) & (rows < n)
    rows = _from(end, rows, n).astype(np.int64)
    near = np.append(touched, False)[rows.clip(0, len(touched))]
    hit: Flags = (((rows < 0) | near) & real).any(axis=0)
    return hit[: np.flatnonzero(np.append(True, hit))[-1]]
