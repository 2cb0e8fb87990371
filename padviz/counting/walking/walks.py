"""The walks: back from a target layer to the input (usage), and forward to its units (coverage)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache, lru_cache, partial
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from padviz.counting.walking.core import Core, Product
from padviz.engine.apply import Array
from padviz.engine.limbs import Maps, Tally, limbs_in, to_ints
from padviz.errors import PadvizError, SizeError
from padviz.network.graph import backward, forward
from padviz.network.network import Network, Size
from padviz.network.operations import Window
from padviz.network.sizes import Resolved

Box = tuple[slice, slice]
Weights = tuple[float, ...] | None  # of a path to each target; None where each counts 1
WHOLE: Box = slice(None), slice(None)
MOST_NUMBERS = 3 << 26  # in one layer's array: 1.5 GiB
MOST_ADDITIONS = 1 << 31  # of wide windows in one walk, which take about a second
WIDE = 128  # taps of a unit, in the mean: no network that is used has as many
MOST_BITS = 14_000  # of a count: what Python prints
MOST_LIMBS = 64  # that counts of most networks need, and more
APART = 64  # rows between pixels that are counted severally
MOST_STEM = 256  # the gain of maps behind a stem


class Walk(NamedTuple):
    """A network cut down to its targets, resolved on both axes at one size; if `rounded`, it counts
    in floats.
    """

    network: Network
    rows: Resolved
    cols: Resolved
    targets: tuple[int, ...]
    engine: str
    weights: Weights = None
    rounded: bool = False

    @property
    def exact(self) -> bool:
        """Whether every read and every path counts once, so that counts are integers."""
        exact = [m is None or m.exact for m in {*self.rows.maps, *self.cols.maps}]
        return self.weights is None and all(exact)

    def shape(self, i: int) -> Size:
        """(height, width) of layer `i`."""
        return self.rows.sizes[i], self.cols.sizes[i]

    def maps(self, i: int) -> Maps:
        """The maps of layer `i`, from its input to its units."""
        return self.rows.maps[i], self.cols.maps[i]

    def pulls(self, i: int) -> Maps:
        """The maps of layer `i` transposed, from its units to its input."""
        tall, wide = self.rows.maps[i], self.cols.maps[i]
        return tall and tall.transposed, wide and wide.transposed


def count_backward(walk: Walk, box: Box) -> Core:
    """Count the paths from each pixel to the units of `box` in the targets."""
    symmetric = walk.rows is walk.cols and box == WHOLE
    walk = walk._replace(rounded=walk.rounded and walk.exact)
    exactly = None
    if walk.rounded:
        exactly = partial(_count_at, walk._replace(rounded=False), symmetric)
    if len(walk.targets) == 1 and is_chain(walk.network):
        along, across = _split(walk)
        tall = _backward(along, (box[0], WHOLE[1]))
        if symmetric:
            wide = replace(tall, limbs=tall.limbs.swapaxes(1, 2))
        else:
            wide = _backward(across, (WHOLE[0], box[1]))
        return replace(_product(walk, 0, tall, wide), exactly=exactly)
    stem = _stem(walk)
    tally, pulls = (
        _backward(walk, box, stem).final(),
        tuple([walk.pulls(i) for i in range(stem, 0, -1)]),
    )
    _check_core(
        walk, 0, tally, tally.most * prod(pull.gain for maps in pulls for pull in maps if pull)
    )
    if walk.rounded:
        tally = tally.scaled()
    return Core(tally, pulls, walk.engine, symmetric, exactly)


def _split(walk: Walk) -> tuple[Walk, Walk]:
    """Split the walk of a chain into those along height and along width: in floats where either is
    not exact.
    """
    if not walk.exact:
        walk = walk._replace(weights=(1.0,) * len(walk.targets))
    return walk._replace(cols=flat(walk.network)), walk._replace(rows=flat(walk.network))


def flat(network: Network) -> Resolved:
    """Return an axis of one row, which every layer keeps."""
    return Resolved((1,) * len(network.layers), (None,) * len(network.layers))


def _product(walk: Walk, i: int, tall: Tally, wide: Tally) -> Core:
    """Multiply the counts along both axes: nothing adds up in a chain, so that its map is an outer
    product.
    """
    tall, wide, most = tall.final(), wide.final(), tall.most * wide.most
    limbs = _check_core(walk, i, tall, most)
    if walk.rounded:
        tall, wide = tall.scaled(), wide.scaled()
        return Core(Tally(tall.limbs * wide.limbs, 1, most, tall.exponent + wide.exponent))
    if limbs == 1:
        return Core(Tally(tall.limbs * wide.limbs, most, most))
    return Product(tall, wide=wide.limbs, n=limbs)


def _check_core(walk: Walk, i: int, tally: Tally, most: int) -> int:
    """Return how many limbs hold counts up to `most`, unless a map of layer `i` with these is too
    large.
    """
    limbs = limbs_in(most, walk.exact)
    _check_room(walk, i, replace(tally, most=most))
    _check_size(walk, i, limbs)
    return limbs


def _stem(walk: Walk) -> int:
    """Return the smallest layer of those that lead up to the first branch, while their maps gain
    little.
    """
    layers, stem, gains = walk.network.layers, 0, [1, 1]
    readers = Counter(j for layer in layers for j in layer.inputs)
    for i, layer in enumerate(layers[1:], start=1):
        for axis, pull in enumerate(walk.pulls(i)):
            if pull:
                gains[axis] *= pull.gain
        if (
            layer.inputs != (i - 1,)
            or readers[i - 1] > 1
            or i - 1 in walk.targets
            or max(gains) > MOST_STEM
        ):
            break
        if prod(walk.shape(i)) < prod(walk.shape(stem)):
            stem = i
    return stem


def _backward(walk: Walk, box: Box, stem: int = 0) -> Tally:

    def pull(i: int, tally: Tally) -> Tally:
        maps = walk.pulls(i)
        if i <= stem or not any(maps):
            return tally
        if not walk.rounded:  # what floats hold is checked at the end
            _check_room(walk, walk.network.layers[i].inputs[0], tally)
        return tally.pull(maps, walk.engine)

    _check_sizes(walk)
    exact = walk.exact and not walk.rounded
    # targets of one shape and weight share an array
    seed = cache(partial(_seed, box=box, exact=exact))
    weights = walk.weights or (1.0,) * len(walk.targets)
    seeds = {
        i: seed(walk.shape(i), weight) for i, weight in zip(walk.targets, weights, strict=True)
    }
    nothing = slice(0), slice(0)
    return backward(walk.network, seeds, pull) or _seed(walk.shape(stem), 1, nothing, exact)


def _count_at(walk: Walk, symmetric: bool, rows: Array, cols: Array) -> Array:
    """Count the paths of some pixels as integers, from the rows that they are on."""
    if is_chain(walk.network):
        return count_backward(walk, WHOLE).at(rows, cols)
    if symmetric:  # what is on one column is on one row, too
        alone = np.bincount(rows)[rows] < np.bincount(cols)[cols]
        rows, cols = np.where(alone, cols, rows), np.where(alone, rows, cols)
    counts, ascending = np.empty(len(rows), dtype=object), np.unique(rows)
    for run in np.split(ascending, np.flatnonzero(np.diff(ascending) > APART) + 1):
        here = (rows >= run[0]) & (rows <= run[-1])
        limbs = _rows_backward(walk, int(run[0]), int(run[-1]) + 1).limbs
        counts[here] = to_ints(limbs[:, rows[here] - run[0], cols[here]][:, None])[0]
    return counts


def _rows_backward(walk: Walk, start: int, stop: int) -> Tally:
    """Count the paths from some rows of the image, through the rows of each layer that
    read these.
    """
    layers, spans = walk.network.layers, [(start, stop)]
    pulls: list[Maps] = [(None, None)]
    for i, layer in enumerate(layers[1:], start=1):
        (tall, wide), ends = walk.pulls(i), [spans[j] for j in layer.inputs]
        start, stop = min(start for start, _ in ends), max(stop for _, stop in ends)
        if tall:
            tall, start, stop = tall.only(start, stop)
        pulls.append((tall, wide))
        spans.append((start, stop))
    values = {
        i: _seed((spans[i][1] - spans[i][0], walk.shape(i)[1]), 1, WHOLE, exact=True)
        for i in walk.targets
    }
    for i in reversed(range(1, len(layers))):
        if i in values:
            pulled, inputs = values.pop(i).pull(pulls[i], walk.engine), layers[i].inputs
            first = min(spans[j][0] for j in inputs)
            for j in inputs:
                start, stop = spans[j]
                part = replace(pulled, limbs=pulled.limbs[:, start - first : stop - first])
                if j in values:
                    part = values[j] + part
                values[j] = part
    return values[0].final()


def count_forward(walk: Walk) -> list[tuple[Core, int | float]]:
    """Count the paths that reach the units of each target, and how many a unit far from padding
    has.
    """
    full = forward(walk.network, walk.targets, 1, lambda i, paths: paths * taps_at(walk, i))
    if is_chain(walk.network):
        sides = zip(walk.targets, *map(_forward, _split(walk)), strict=True)
        cores = [_product(walk, *side) for side in sides]
    else:
        cores = [Core(tally.final()) for tally in _forward(walk)]
    return [
        (core, paths if core.exact else float(paths))
        for core, paths in zip(cores, full, strict=True)
    ]


def _forward(walk: Walk) -> list[Tally]:

    def push(i: int, tally: Tally) -> Tally:
        if not any(walk.maps(i)):
            return tally
        _check_room(walk, i, tally)
        return tally.push(walk.maps(i), walk.engine)

    _check_sizes(walk)
    return forward(walk.network, walk.targets, _seed(walk.shape(0), 1, WHOLE, walk.exact), push)


def _seed(shape: Size, weight: float, box: Box, exact: bool) -> Tally:
    """Set the same number at each unit of a box of a layer, and 0 elsewhere."""
    limbs: Array = np.zeros((1, *shape), dtype=np.int64 if exact else np.float64)
    limbs[0][box] = weight
    return Tally(limbs, 1, ceil(weight))


def taps_at(walk: Walk, i: int) -> int:
    """Count the positions that a unit of layer `i` reads where nothing is missing; weights of a
    mean sum to 1.
    """
    taps = 1
    for op, axis_map in zip(walk.network.layers[i].ops, walk.maps(i), strict=True):
        if op is None or axis_map is None or getattr(op, "mean", False):
            continue
        taps *= op.kernel if isinstance(op, Window) else axis_map.gain
    return taps


@lru_cache(64)
def is_chain(network: Network) -> bool:
    """Return whether each layer reads just the one before it."""
    return all(layer.inputs == (i,) for i, layer in enumerate(network.layers[1:]))


def _check_room(walk: Walk, i: int, tally: Tally) -> None:
    """Refuse counts that are longer, or of a map that is larger, than padviz counts."""
    most, what = MOST_BITS, "have more than 4000 digits"
    if tally.limbs.dtype.kind == "f" and not walk.rounded:
        most, what = 1000, "pass what a float holds"
    if tally.most.bit_length() > most:
        raise PadvizError(
            f"its counts {what}", where=walk.network.name, hint="name an earlier `layer`"
        )
    _check_size(walk, i, len(tally.limbs))


def _check_size(walk: Walk, i: int, limbs: int = 1) -> None:
    height, width = walk.shape(i)
    if height * width * limbs > MOST_NUMBERS:
        what = f"its map of {height} x {width} repeats nothing, and is larger than padviz counts"
        where = f"{walk.network.name}, {walk.network.layers[i].name}"
        raise SizeError(what, where=where, hint="use a smaller `size`")


def _check_sizes(walk: Walk) -> None:
    """Refuse before counting what would turn out too large, with as many limbs as counts may come
    to need.
    """
    _check_work(walk)
    if max(walk.rows.sizes) * max(walk.cols.sizes) * MOST_LIMBS < MOST_NUMBERS:
        return
    for i in walk.targets:
        _check_size(walk, i)
    bounds = dict.fromkeys(range(len(walk.network.layers)), 0)

    def pull(i: int, most: int) -> int:
        for axis_map in walk.pulls(i):
            if axis_map:
                most *= axis_map.gain
        bounds[i] = most
        return most

    backward(walk.network, dict.fromkeys(walk.targets, 1), pull)
    for i, most in bounds.items():
        _check_size(walk, walk.network.layers[i].inputs[0] if i else 0, limbs_in(most, walk.exact))


def _check_work(walk: Walk) -> None:
    """Refuse windows whose many taps would take long to add up, naming the worst layer."""
    tall, wide = (
        [m and m.reads > WIDE * m.n_out for m in along.maps] for along in (walk.rows, walk.cols)
    )
    if not any(tall) and not any(wide):
        return
    additions = [0]
    for i, layer in enumerate(walk.network.layers[1:], start=1):
        sides = walk.cols.sizes[layer.inputs[0]], walk.rows.sizes[i]
        maps = zip(walk.maps(i), sides, (tall[i], wide[i]), strict=True)
        additions.append(sum(m.reads * side for m, side, many in maps if m and many))
    if sum(additions) > MOST_ADDITIONS:
        layer = walk.network.layers[additions.index(max(additions))]
        what = (
            f"its windows overlap too often: the map takes {sum(additions) / 1e9:.1f} billion "
            "additions"
        )
        raise SizeError(
            what, where=f"{walk.network.name}, {layer.name}", hint="use a smaller `size`"
        )
