"""The walks: back from a target layer to the input (usage), and forward to its units (coverage)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from math import ceil

import numpy as np

from padviz.axis.operations import Window
from padviz.engine.apply import Array, Maps, Tally, limbs_in
from padviz.engine.axis_map import AxisMap
from padviz.engine.core import Core
from padviz.engine.product import Product
from padviz.errors import PadvizError, SizeError
from padviz.network.graph import backward, forward
from padviz.network.network import Network
from padviz.network.sizes import Resolved

Box = tuple[slice, slice]
Weights = tuple[float, ...] | None  # of a path to each target; None where each counts 1
WHOLE: Box = slice(None), slice(None)
MOST_NUMBERS = 1 << 27  # in one layer's array: 1 GiB
MOST_ADDITIONS = 1 << 31  # of wide windows in one walk, which take about a second
WIDE = 128  # taps of a unit, in the mean: no network that is used has as many
MOST_BITS = 14_000  # of a count: what Python prints
MOST_LIMBS = 64  # that counts of most networks need, and more
MOST_STEM = 256  # the gain of maps that are followed in parts, which bounds how far these overlap


@dataclass(frozen=True, slots=True)
class Walk:
    """What is walked: a network of which nothing is beside the way to its targets, and its axes at one size.

    >>> import padviz
    >>> from padviz.counting.request import prepare_request
    >>> request = prepare_request(padviz.load("vgg11"), 64, None, None, "count", "auto")
    >>> request.walk((64, 64), "numpy").rows.sizes[0]
    64
    """

    network: Network
    rows: Resolved
    cols: Resolved
    targets: tuple[int, ...]
    engine: str
    weights: Weights = None


def count_backward(walk: Walk, box: Box) -> Core:
    """Count the paths from each pixel to the units of `box` in the targets.

    >>> import padviz
    >>> from padviz.counting.request import prepare_request
    >>> request = prepare_request(padviz.load("vgg11"), 64, None, "features.0", "count", "auto")
    >>> count_backward(request.walk((64, 64), "auto"), WHOLE).whole[0, :2, :2].tolist()
    [[4, 6], [6, 9]]
    """
    network, targets, rows, cols = walk.network, walk.targets, walk.rows, walk.cols
    symmetric = rows is cols and box == WHOLE
    if len(targets) == 1 and is_chain(network):  # nothing adds up: an outer product of two vectors
        along, across = _split(walk)
        tall = _backward(along, (box[0], WHOLE[1]))
        if symmetric:
            wide = replace(tall, limbs=tall.limbs.swapaxes(1, 2))
        else:
            wide = _backward(across, (WHOLE[0], box[1]))
        product = Product(tall.final(), symmetric=symmetric, wide=wide.final())
        _check_room(walk, 0, replace(tall, most=product.most))
        _check_size(walk, 0, product.shape[0])
        return product
    stem = min(_leading(walk), key=partial(_positions, walk))
    pulls = tuple(_transposed(walk, i) for i in range(stem, 0, -1))
    core = Core(_backward(walk, box, stem).final(), pulls, walk.engine, symmetric)
    _check_room(walk, 0, replace(core.source, most=core.most))
    if core.kept:
        core.part()  # counted now, not when it is first looked at
    return core


def _split(walk: Walk) -> tuple[Walk, Walk]:
    """Split the walk of a chain into those along height and along width: in floats where either is not exact."""
    flat = Resolved((1,) * len(walk.network.layers), (None,) * len(walk.network.layers))
    walk = walk if is_exact(walk) else replace(walk, weights=(1.0,) * len(walk.targets))
    return replace(walk, cols=flat), replace(walk, rows=flat)


def _leading(walk: Walk) -> Iterator[int]:
    """Yield the input and the layers after it, while each alone reads the one before, and they gain little."""
    layers, readers = walk.network.layers, Counter(j for layer in walk.network.layers for j in layer.inputs)
    yield 0
    gains = [1, 1]
    for i, layer in enumerate(layers[1:], start=1):
        gains = [
            gain * (axis_map.gain if axis_map else 1)
            for gain, axis_map in zip(gains, _transposed(walk, i), strict=True)
        ]
        if layer.inputs != (i - 1,) or readers[i - 1] > 1 or i - 1 in walk.targets or max(gains) > MOST_STEM:
            return
        yield i


def _transposed(walk: Walk, i: int) -> Maps:
    """Find the maps that pull a value through layer `i`."""
    tall, wide = walk.rows.maps[i], walk.cols.maps[i]
    return tall and tall.transposed, wide and wide.transposed


def _positions(walk: Walk, i: int) -> int:
    return walk.rows.sizes[i] * walk.cols.sizes[i]


def _backward(walk: Walk, box: Box, stem: int = 0) -> Tally:
    """Count the paths from the layer `stem`."""

    def pull(i: int, value: Tally) -> Tally:
        """Pull through both axes, transposed."""
        _check_room(walk, walk.network.layers[i].inputs[0], value)
        return value.pull(_transposed(walk, i), walk.engine)

    _check_sizes(walk)
    kind = np.int64 if is_exact(walk) else np.float64
    pairs = enumerate(zip(walk.rows.maps, walk.cols.maps, strict=True))
    moving = {i for i, maps in pairs if i > stem and maps != (None, None)}
    counted = backward(walk.network, _seeds(walk, box, kind), pull, moving=moving)
    return counted or _seed(_shape(walk, stem), 1, (slice(0), slice(0)), kind)


def count_forward(walk: Walk) -> list[tuple[Core, int | float]]:
    """Count the paths that reach the units of each target, and how many a unit far from padding has.

    >>> import padviz
    >>> from padviz.counting.request import prepare_request
    >>> request = prepare_request(padviz.load("vgg11"), 64, None, "features.0", "count", "auto")
    >>> [(core, full)] = count_forward(request.walk((64, 64), "auto"))
    >>> core.whole[0, :2, :2].tolist(), full
    ([[4, 6], [6, 9]], 9)
    """
    full = forward(walk.network, walk.targets, 1, lambda i, v: v * taps_at(walk, i))
    if is_chain(walk.network):
        sides = zip(*map(_forward, _split(walk)), strict=True)
        cores: Sequence[Core] = [Product(tall.final(), wide=wide.final()) for tall, wide in sides]
        for i, core in zip(walk.targets, cores, strict=True):
            _check_size(walk, i, core.shape[0])
    else:
        cores = [Core(tally.final()) for tally in _forward(walk)]
    return [(core, most if core.exact else float(most)) for core, most in zip(cores, full, strict=True)]


def _forward(walk: Walk) -> list[Tally]:
    """Count the paths to each target."""
    rows, cols = walk.rows.maps, walk.cols.maps

    def push(i: int, value: Tally) -> Tally:
        """Push through both axes, forward."""
        if rows[i] is cols[i] is None:
            return value
        _check_room(walk, i, value)
        return value.push((rows[i], cols[i]), walk.engine)

    _check_sizes(walk)
    seed = _seed(_shape(walk, 0), 1, WHOLE, np.int64 if is_exact(walk) else np.float64)
    return forward(walk.network, walk.targets, seed, push)


def is_exact(walk: Walk) -> bool:
    """Tell whether every read, and every path, counts once, so that counts are integers.

    >>> import padviz
    >>> from padviz.counting.request import prepare_request
    >>> net, modes = padviz.load("vgg11"), ("zero", "partial")
    >>> requests = [prepare_request(net, 64, mode, None, "count", "auto") for mode in modes]
    >>> [is_exact(request.walk((64, 64), "auto")) for request in requests]
    [True, False]
    """
    return walk.weights is None and all(m is None or m.exact for m in {*walk.rows.maps, *walk.cols.maps})


def _check_room(walk: Walk, i: int, value: Tally) -> None:
    """Refuse counts that are longer, or of a map that is larger, than padviz counts."""
    if value.most.bit_length() > (1000 if value.limbs.dtype.kind == "f" else MOST_BITS):
        what = "pass what a float holds" if value.limbs.dtype.kind == "f" else "have more than 4000 digits"
        raise PadvizError(f"its counts {what}", where=walk.network.name, hint="name an earlier `layer`")
    _check_size(walk, i, len(value.limbs))


def _check_size(walk: Walk, i: int, limbs: int = 1) -> None:
    layer, height, width = walk.network.layers[i], walk.rows.sizes[i], walk.cols.sizes[i]
    if height * width * limbs > MOST_NUMBERS:
        what = f"its map of {height} x {width} repeats nothing, and is larger than padviz counts"
        raise SizeError(what, where=f"{walk.network.name}, {layer.name}", hint="use a smaller `size`")


def _check_sizes(walk: Walk) -> None:
    """Refuse at once what a later layer would be too large for, with as many limbs as its counts may come to need."""
    _check_work(walk)
    if max(walk.rows.sizes) * max(walk.cols.sizes) * MOST_LIMBS < MOST_NUMBERS:
        return
    for i in walk.targets:
        _check_size(walk, i)
    bounds = dict.fromkeys(range(len(walk.network.layers)), 0)

    def pull(i: int, most: int) -> int:
        for axis_map in (walk.rows.maps[i], walk.cols.maps[i]):
            most *= axis_map.transposed.gain if axis_map else 1
        bounds[i] = most
        return most

    backward(walk.network, dict.fromkeys(walk.targets, 1), pull)
    for i, most in bounds.items():
        _check_size(walk, walk.network.layers[i].inputs[0] if i else 0, limbs_in(most, is_exact(walk)))


def _check_work(walk: Walk) -> None:
    """Refuse windows of so many taps that adding up what they read would take long, by the layer that asks for most."""
    if not any(m and _is_wide(m) for m in {*walk.rows.maps, *walk.cols.maps}):
        return
    additions = [_additions(walk, i) for i in range(len(walk.network.layers))]
    if sum(additions) > MOST_ADDITIONS:
        layer = walk.network.layers[additions.index(max(additions))]
        what = f"its windows overlap too often: the map takes {sum(additions) / 1e9:.1f} billion additions"
        raise SizeError(what, where=f"{walk.network.name}, {layer.name}", hint="use a smaller `size`")


def _additions(walk: Walk, i: int) -> int:
    """Count the numbers that a layer of wide windows adds up, along both axes."""
    sides = walk.cols.sizes[walk.network.layers[i].inputs[0] if i else 0], walk.rows.sizes[i]
    maps = zip((walk.rows.maps[i], walk.cols.maps[i]), sides, strict=True)
    return sum(m.reads * across for m, across in maps if m and _is_wide(m))


def _is_wide(axis_map: AxisMap) -> bool:
    return axis_map.reads > WIDE * axis_map.n_out


@lru_cache(64)
def is_chain(network: Network) -> bool:
    """Tell whether each layer reads just the one before it."""
    return all(layer.inputs == (i,) for i, layer in enumerate(network.layers[1:]))


def taps_at(walk: Walk, i: int) -> int:
    """Count the positions that a unit of layer `i` reads where nothing is missing; weights of a mean sum to 1.

    >>> import padviz
    >>> from padviz.counting.request import prepare_request
    >>> request = prepare_request(padviz.load("vgg11"), 64, None, None, "count", "auto")
    >>> [taps_at(request.walk((64, 64), "auto"), i) for i in (1, 2)]
    [9, 4]
    """
    layer = walk.network.layers[i]
    taps = 1
    for op, axis_map in zip(layer.ops, (walk.rows.maps[i], walk.cols.maps[i]), strict=True):
        if op is None or axis_map is None or getattr(op, "mean", False):
            continue
        taps *= op.kernel if isinstance(op, Window) else axis_map.gain
    return taps


def _seeds(walk: Walk, box: Box, kind: type) -> dict[int, Tally]:
    """Lay one path, or its weight, at each unit of a box of each target: the same array where it is the same."""
    weights, seed = walk.weights or (1.0,) * len(walk.targets), cache(partial(_seed, box=box, kind=kind))
    return {i: seed(_shape(walk, i), weight) for i, weight in zip(walk.targets, weights, strict=True)}


def _seed(shape: tuple[int, int], weight: float, box: Box, kind: type) -> Tally:
    """Lay the same number at each unit of a box of a layer, and 0 elsewhere."""
    limbs: Array = np.zeros((1, *shape), dtype=kind)
    limbs[0][box] = weight
    return Tally(limbs, 1, ceil(weight))


def _shape(walk: Walk, i: int) -> tuple[int, int]:
    return walk.rows.sizes[i], walk.cols.sizes[i]
