"""How many units of every layer padding touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from padviz.geometry.reaching.along_axes import AlongAxes
from padviz.geometry.reaching.touching import touched_on
from padviz.network.network import Network
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

    Behind the layer that `barrier` names, and why, each position depends on all.

    >>> import padviz
    >>> near_padding(padviz.load("vgg11"), 224)[0].width
    (1, 1)
    """

    layer: str
    axes: Mapping[str, BeforeAfter] = field(hash=False)
    barrier: Barrier | None = None


def near_padding(
    network: Network, size: int | Sequence[int] | None = None, around: bool = False
) -> tuple[NearPadding, ...]:
    """Find how far padding reaches into every layer: its units that read past an end of it, or of one before it.

    With `around`, an axis that wraps has no end: only what its pools pad is padding.

    >>> import padviz
    >>> near_padding(padviz.load("vgg16"), 512)[-1].height
    (3, 3)
    """
    network, pixels = network.at(size), network.pixels(size)
    touched = zip(*on_each(partial(_touched_on, around=around), network, pixels), strict=True)
    barriers = zip(*(_barriers(network, axis) for axis in range(len(pixels))), strict=True)
    rows = zip(network.layers, touched, barriers, strict=True)
    return tuple(
        NearPadding(layer.name, dict(zip(network.axes, ends, strict=True)), next(filter(None, stops), None))
        for layer, ends, stops in rows
    )[1:]


def _touched_on(network: Network, axis: int, n: int, around: bool) -> list[BeforeAfter]:
    """Count the units of every layer that padding touches from either end, on one axis."""
    sizes = sizes_of(network, axis, n)
    touched = touched_on(network, axis, sizes, around and circular_axes(network)[axis])
    ends = [(before.depth, after.depth) for (before, after), _ in touched]
    return [(min(before, m), min(after, m)) for (before, after), m in zip(ends, sizes, strict=True)]


def _barriers(network: Network, axis: int) -> list[Barrier | None]:
    """Find for every layer the first before it, or itself, that makes each position depend on all."""
    barriers: list[Barrier | None] = [None]
    for layer in network.layers[1:]:
        why = layer.whole(axis)
        before = next((barriers[j] for j in layer.inputs if barriers[j]), None)
        barriers.append(before or (Barrier(layer.name, why) if why else None))
    return barriers
