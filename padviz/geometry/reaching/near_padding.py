"""How many units of every layer padding touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from padviz.geometry.reaching.along_axes import AlongAxes
from padviz.geometry.reaching.touching import touched_on
from padviz.network.network import Network, Size
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import on_each, sizes_of

BeforeAfter = tuple[int, int]  # rows, or columns, of units or pixels


class Barrier(NamedTuple):
    """A layer behind which no surroundings are enough, as where each position depends on all, and why."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class NearPadding(AlongAxes[BeforeAfter]):
    """How many units padding touches next to the two ends of each axis of a layer's map.

    Behind the layer that `barrier` names, and why, each position depends on all: `everywhere` on padding, too, where
    what that layer reads is touched.

    >>> import padviz
    >>> near_padding(padviz.load("vgg11"), (224, 224))[0].width
    (1, 1)
    """

    layer: str
    axes: Mapping[str, BeforeAfter] = field(hash=False)
    barrier: Barrier | None = None
    everywhere: bool = False


def near_padding(network: Network, size: Size, around: bool = False) -> tuple[NearPadding, ...]:
    """Find how far padding reaches into every layer: its units that read past an end of it, or of one before it.

    With `around`, an axis that wraps has no end: only what its pools pad is padding.

    >>> import padviz
    >>> near_padding(padviz.load("vgg16"), (512, 512))[-1].height
    (3, 3)
    """
    touched = zip(*on_each(partial(_touched_on, around=around), network, size), strict=True)
    rows: list[NearPadding] = []
    for layer, ends in zip(network.layers, touched, strict=True):
        axes, before = dict(zip(network.axes, ends, strict=True)), [rows[j] for j in layer.inputs]
        barrier = next((row.barrier for row in before if row.barrier), None)
        everywhere = any(row.everywhere for row in before)
        if why := min(filter(None, map(layer.whole, range(len(size)))), default=""):
            barrier = barrier or Barrier(layer.name, why)
            everywhere |= any(any(side) for row in before for side in row.axes.values())
        rows.append(NearPadding(layer.name, axes, barrier, everywhere))
    return tuple(rows[1:])


def _touched_on(network: Network, axis: int, n: int, around: bool) -> list[BeforeAfter]:
    """Count the units of every layer that padding touches from either end, on one axis."""
    sizes = sizes_of(network, axis, n)
    touched = touched_on(network, axis, sizes, around and circular_axes(network)[axis])
    ends = [(before.depth, after.depth) for (before, after), _ in touched]
    return [(min(before, m), min(after, m)) for (before, after), m in zip(ends, sizes, strict=True)]
