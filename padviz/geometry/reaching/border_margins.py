"""How far padding reaches into every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from padviz.geometry.reaching.touching import Touched, touched_on
from padviz.network.network import Network, Size
from padviz.network.sizes import is_square, sizes_of

BeforeAfter = tuple[int, int]  # rows, or columns, of units or pixels


class Barrier(NamedTuple):
    """A layer behind which no surroundings are enough, as where each position depends on all, and why."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class Margin:
    """Units next to each border of a layer that padding touches, and the input pixels that they stand for.

    Pairs are (before, after) the image. An image cut into tiles keeps a layer's values if each tile
    has `halo` more pixels on each side, and their units are cut off after. The halo does not depend
    on the size, though a small map may have fewer units. No halo is exact behind what makes each position depend on
    all: it is None there, and `barrier_height` says the layer and why.

    >>> import padviz
    >>> margins(padviz.load("vgg11"), 224)[0].halo_width
    (1, 1)
    """

    layer: str
    kind: str
    height: BeforeAfter
    width: BeforeAfter
    halo_height: BeforeAfter | None
    halo_width: BeforeAfter | None
    barrier_height: Barrier | None = None
    barrier_width: Barrier | None = None


def margins(network: Network, size: int | Sequence[int] | None = None) -> tuple[Margin, ...]:
    """Find how far padding reaches into every layer: its units that read past an end of it, or of one before it.

    >>> import padviz
    >>> last = margins(padviz.load("vgg16"), 512)[-1]
    >>> last.height, last.halo_height
    ((3, 3), (96, 96))
    """
    pixels = network.at(size)
    square = pixels[0] == pixels[1] and is_square(network)
    rows = _touched_on(network, 0, pixels)
    touched, layer_margins = (rows, rows if square else _touched_on(network, 1, pixels)), []
    for layer, high, wide, *stops in list(
        zip(network.layers, *touched, *(_barriers(network, axis) for axis in (0, 1)), strict=True)
    )[1:]:
        halos = [None if stop else halo for stop, (_, halo) in zip(stops, (high, wide), strict=True)]
        layer_margins.append(Margin(layer.name, layer.kind, high[0], wide[0], *halos, *stops))
    return tuple(layer_margins)


def _touched_on(network: Network, axis: int, pixels: Size) -> list[tuple[BeforeAfter, BeforeAfter | None]]:
    """Measure the margin of every layer on one axis."""
    sizes = sizes_of(network, axis, pixels[axis])
    return [_margin(touched, m) for touched, m in zip(touched_on(network, axis, sizes), sizes, strict=True)]


def _barriers(network: Network, axis: int) -> list[Barrier | None]:
    """Find for every layer the first before it, or itself, that makes each position depend on all."""
    barriers: list[Barrier | None] = [None]
    for layer in network.layers[1:]:
        why = layer.whole(axis)
        before = next((barriers[j] for j in layer.inputs if barriers[j]), None)
        barriers.append(before or (Barrier(layer.name, why) if why else None))
    return barriers


def _margin(touched: Touched, m: int) -> tuple[BeforeAfter, BeforeAfter | None]:
    """Count of `m` units those that padding touches from either end, and the rows so many stand for on a long axis."""
    before, after = (side.depth for side in touched.sides)
    halo = (ceil(before * touched.stride), ceil(after * touched.stride)) if touched.stride else None
    return (min(before, m), min(after, m)), halo
