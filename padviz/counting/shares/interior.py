"""The interior: one period of the usage map of an endless image, exact at any size.

Far from all borders a map repeats with the network's strides. Its paths are those of a network on a torus of one
period, which is counted by the same walk as any other map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from padviz.axis.build import axis_map, ring_map
from padviz.axis.operations import CACHED
from padviz.counting.walking.stable_rows import growth
from padviz.counting.walking.walks import WHOLE, Walk, Weights, count_backward
from padviz.engine.apply import Array
from padviz.engine.axis_map import AxisMap
from padviz.errors import PadvizError
from padviz.network.graph import ancestors
from padviz.network.network import Network, Size
from padviz.network.rewrites import with_zeros
from padviz.network.sizes import Resolved, is_square, sizes_of

MOST_PERIOD = 1 << 12  # rows of a pattern that still means something to a person


class NoInterior(PadvizError):
    """The map repeats no pattern; the message says why.

    >>> import padviz
    >>> padviz.usage("vgg11", 64, unit=(0, 0)).share_reason
    'vgg11: only usage by all units of a layer has fair shares'
    """


def interior(network: Network, size: Size, targets: tuple[int, ...], weights: Weights = None) -> Array:
    """Count the pattern of usage far from all borders, aligned with the first row and column of the map at `size`.

    Raises NoInterior where the map is not periodic, naming the layer.

    >>> import padviz
    >>> net = padviz.load("vgg19")
    >>> pattern = interior(net, (512, 512), (net.index["features.36"],))
    >>> pattern.shape[1:], int(pattern.max()) == 9**16
    ((32, 32), True)
    """
    return _interior(endless(network), phased(network, size), targets, weights)


@lru_cache(256)
def _interior(network: Network, at: Phased, targets: tuple[int, ...], weights: Weights) -> Array:
    rows = ring(network, 0, at.size[0], targets)
    cols = rows if at.square and is_square(network) else ring(network, 1, at.size[1], targets)
    return count_backward(Walk(network, rows, cols, targets, "auto", weights), WHOLE).limbs


@dataclass(frozen=True)
class Phased:
    """A size that equals all others with the same phase: an endless network cannot tell them apart.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> phased(net, (224, 64)) == phased(net, (64, 64)), phased(net, (224, 64)) == phased(net, (225, 64))
    (True, False)
    """

    phases: Size
    size: Size = field(compare=False)

    @property
    def square(self) -> bool:
        """Whether height and width have the same phase."""
        return self.phases[0] == self.phases[1]


def phased(network: Network, size: Size) -> Phased:
    """Return the phase of a size; where a layer does not grow with the image, each size is a phase of its own."""
    rows, cols = (growth(network, axis) or (0,) for axis in (0, 1))
    return Phased((size[0] % rows[0], size[1] % cols[0]) if all(rows) and all(cols) else size, size)


def endless(network: Network) -> Network:
    """Return the network without its padding schemes, which do not matter far from borders, where all layers grow.

    >>> import padviz
    >>> net = padviz.load("vgg11")
    >>> endless(padviz.usage(net, 64, "reflect").walked) is endless(net)
    True
    """
    return with_zeros(network) if all(all(growth(network, axis) or [0]) for axis in (0, 1)) else network


@lru_cache(256)
def ring(network: Network, axis: int, n: int, targets: tuple[int, ...]) -> Resolved:
    """Resolve one axis of the network on a ring: one period of each layer, and the maps between them.

    Raises NoInterior where the axis does not repeat, naming the layer.
    """
    grows, sizes = growth(network, axis), sizes_of(network, axis, n)
    if grows is None:
        raise NoInterior("its branches advance at different rates", where=network.name)
    if grows[0] > MOST_PERIOD:
        raise NoInterior(f"it repeats every {grows[0]} pixels only", where=network.name)
    walked = ancestors(network.layers, targets, followed=False)
    axis_maps = (_layer_ring(network, axis, n, i) if i in walked else None for i in range(len(sizes)))
    return Resolved(tuple(grow or n for grow, n in zip(grows, sizes, strict=True)), tuple(axis_maps))


@lru_cache(CACHED)
def _layer_ring(network: Network, axis: int, n: int, i: int) -> AxisMap | None:
    """Return the map of layer `i` on a ring; a layer that does not grow, like its input, keeps its own map."""
    grows, sizes, layer = growth(network, axis), sizes_of(network, axis, n), network.layers[i]
    op = layer.ops[axis]
    if op is None or grows is None:
        return None
    j = layer.inputs[0]
    if grows[i] == grows[j] == 0:
        made: AxisMap | None = axis_map(op, sizes[j], None if layer.like is None else sizes[layer.like])
    else:
        made = ring_map(op, sizes[j], sizes[i], (grows[j], grows[i]))
    if made is None:
        whole = layer.whole(axis)
        what = f"its {whole} makes every position depend on the size" if whole else "it does not scale with the image"
        raise NoInterior(what, where=f"{network.name}, {layer.name}")
    return None if made.identity else made
