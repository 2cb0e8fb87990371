"""The units of every layer that padding touches: those that read past an end of a layer, or a touched unit."""

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
from padviz.network.receptive_interval import rate_of, real_rows_of, rows_of
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import AlongAxes, Flags, on_each, sizes_of

BeforeAfter = tuple[int, int]  # rows, or columns, of units or pixels
SLACK = 3  # rows that an operation may read beyond what its rate says
MOST_UNITS = 1 << 23  # of a layer that are examined; no map has more


class Barrier(NamedTuple):
    """A layer behind which no context is enough, because each position depends on all, and the reason."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class NearPadding(AlongAxes[BeforeAfter]):
    """The number of units that padding touches at the two ends of each axis of a layer's map.

    Behind the layer that `barrier` names each position depends on all: `everywhere` on padding, too, if any unit that
    this layer reads is touched.

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
    names, reasons = network.axes, [[*map(layer.whole, range(len(size)))] for layer in network.layers]
    for layer, ends, whole in zip(network.layers, touched, reasons, strict=True):
        axes, before = dict(zip(names, ends, strict=True)), [rows[j] for j in layer.inputs]
        barrier = next((row.barrier for row in before if row.barrier), None)
        everywhere = any(row.everywhere for row in before)
        if why := min(filter(None, whole), default=""):
            barrier = barrier or Barrier(layer.name, why)
            lines = [name for name, reason in zip(names, whole, strict=True) if reason]
            everywhere |= any(any(row.axes[name]) for row in before for name in lines)
        rows.append(NearPadding(layer.name, axes, barrier, everywhere))
    return tuple(rows[1:])


def _depths_on(network: Network, axis: int, n: int, around: bool) -> list[BeforeAfter]:
    """Follow flags of the touched units from either end, up to the last touched one, on an axis that is long enough.

    In a layer behind a global pool each unit sees the whole image: padding touches all or none of its units.
    """
    sizes, around, none = sizes_of(network, axis, n), around and circular_axes(network)[axis], np.zeros(0, dtype=bool)
    touched, wholes = [[none, none]], set[int]()
    for i, layer in enumerate(network.layers[1:], start=1):
        op, n, m = layer.ops[axis], sizes[layer.inputs[0]], sizes[i]
        ends = [_any_of([touched[j][end] for j in layer.inputs]) for end in (0, 1)]
        hit, window = any(map(len, ends)), op if isinstance(op, Window) else None
        if isinstance(op, Adaptive) or not wholes.isdisjoint(layer.inputs):
            wholes.add(i)
            hit = hit or bool(window and any(len(_through(window, n, m, end, none)) for end in (0, 1)))
            ends = [np.full(m if hit else 0, True)] * 2
        elif op is not None and not (around and window and SCHEMES[window.mode].wraps and not hit):
            ends = [_through(op, n, m, end, flags) for end, flags in enumerate(ends)]
        touched.append(ends)
    return [(min(len(before), m), min(len(after), m)) for (before, after), m in zip(touched, sizes, strict=True)]


def _any_of(branches: Sequence[Flags]) -> Flags:
    union = np.zeros(max(map(len, branches)), dtype=bool)
    for flags in branches:
        union[: len(flags)] |= flags
    return union


def _through(op: Op, n: int, m: int, end: int, touched: Flags) -> Flags:
    """Flag the units of an operation that read past an end of `n` rows, or a touched row there."""
    first: int = rows_of(op, n, m, m - 1 if end else 0)[end]  # the row nearest to the end that the first unit reads
    first = min(max(first, 0), n - 1) if isinstance(op, Blocks) else first  # a block has fewer rows there
    first = n - 1 - first if end else first
    rate = rate_of(op, n, m)
    if not rate:
        return np.full(m if first < len(touched) else 0, True)
    if isinstance(op, Window) and touched.all():  # the outermost tap decides, of any number
        return np.full(min(max(0, -((first - len(touched)) // op.stride)), MOST_UNITS), True)
    slack = SLACK + (op.size if isinstance(op, Blocks) else 0)
    several = min(max(1, ceil((len(touched) - first + slack) / rate) + SLACK), MOST_UNITS)
    units = np.arange(several)
    rows, real = real_rows_of(op, n, m, m - 1 - units if end else units)
    rows = rows.clip(0, n - 1) if isinstance(op, Blocks) else rows
    rows = (n - 1 - rows if end else rows).astype(np.int64)
    near = np.append(touched, False)[rows.clip(0, len(touched))]
    hit: Flags = (((rows < 0) | near) & real).any(axis=0)
    return hit[: np.flatnonzero(hit)[-1] + 1] if hit.any() else hit[:0]
