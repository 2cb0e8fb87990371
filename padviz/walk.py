"""The walks: back from a target layer to the input (usage), and forward to its units (coverage)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from padviz.axis import AxisMap, Window
from padviz.errors import PadvizError, SizeError
from padviz.kernels import LIMB_BITS, Array, apply, carry
from padviz.network import Network, Resolved, backward, forward
from padviz.wide import HOLDS

Box = tuple[slice, slice]
WHOLE: Box = slice(None), slice(None)
MOST_NUMBERS = 1 << 27  # in one layer's array: 1 GiB
MOST_BITS = 14_000  # of a count: what Python prints
MOST_GAIN = (HOLDS - 1) >> LIMB_BITS  # of a map, for carried limbs to have room


@dataclass(frozen=True, slots=True)
class Walk:
    """What is walked: a network of which nothing is beside the way to its targets, and its axes at one size."""

    network: Network
    rows: Resolved
    cols: Resolved
    targets: tuple[int, ...]
    engine: str


@dataclass(frozen=True, slots=True)
class _Tally:
    """Counts as limbs, and what is proven of them: no limb passes `limb`, and no count passes `most`.

    Several limbs are there just where int64 might not hold a count.
    """

    limbs: Array
    limb: int
    most: int

    def __add__(self, other: _Tally) -> _Tally:
        a, b = self, other
        if a.limb + b.limb >= HOLDS:
            a, b = a.ready(2), b.ready(2)
        if len(a.limbs) != len(b.limbs):
            longest = max(len(a.limbs), len(b.limbs))
            a, b = (replace(each, limbs=_extended(each.limbs, longest)) for each in (a, b))
        return _Tally(a.limbs + b.limbs, a.limb + b.limb, a.most + b.most)

    def ready(self, gain: int) -> _Tally:
        """The same counts with room to grow by `gain`: carried, into more limbs where they need them."""
        if self.limb * gain < HOLDS or self.limbs.dtype.kind == "f":
            return self
        limbs = _extended(self.limbs, -(-self.most.bit_length() // LIMB_BITS))
        carry(limbs)
        return _Tally(limbs, (1 << LIMB_BITS) - 1, self.most)

    def through(self, made: AxisMap | None, axis: int, engine: str, passing: bool = False) -> _Tally:
        """The counts that a map makes of these along an axis."""
        if made is None:
            return self
        if made.gain > MOST_GAIN and self.limb * made.gain >= HOLDS and self.limbs.dtype.kind != "f":
            first, *others = (self.through(part, axis, engine) for part in made.parts(MOST_GAIN))
            return sum(others, start=first)
        ready = self.ready(made.gain)
        limbs = apply(made, ready.limbs, axis, engine=engine, passing=passing)
        return _Tally(limbs, ready.limb * made.gain, ready.most * made.gain)

    def settled(self) -> Array:
        """The limbs, carried."""
        carry(self.limbs)
        return self.limbs


def _extended(limbs: Array, n: int) -> Array:
    """The same counts in at least `n` limbs."""
    if len(limbs) >= n:
        return limbs
    longer = np.zeros((n, *limbs.shape[1:]), dtype=limbs.dtype)
    longer[: len(limbs)] = limbs
    return longer


def count_backward(walk: Walk, box: Box) -> Array:
    """Paths from each pixel to the units of `box` in the targets: (limbs, height, width), carried."""
    network, targets, rows, cols = walk.network, walk.targets, walk.rows, walk.cols
    if len(targets) == 1 and is_chain(network):  # nothing adds up: an outer product of two vectors
        flat = Resolved((1,) * len(network.layers), (None,) * len(network.layers))
        tall = _backward(replace(walk, cols=flat), (box[0], WHOLE[1]))
        if rows is cols and box == WHOLE:
            wide = replace(tall, limbs=tall.limbs.swapaxes(1, 2))
        else:
            wide = _backward(replace(walk, rows=flat), (WHOLE[0], box[1]))
        most = tall.most * wide.most
        if most < HOLDS or tall.limbs.dtype.kind == "f":
            _check_room(walk, 0, replace(tall, most=most))
            return tall.limbs * wide.limbs
    return _backward(walk, box).settled()


def _backward(walk: Walk, box: Box) -> _Tally:
    rows, cols = walk.rows.maps, walk.cols.maps

    def pull(i: int, value: _Tally) -> _Tally:
        """Through both axes, transposed; widths first, while there are fewer rows."""
        if rows[i] is cols[i] is None:
            return value
        _check_room(walk, walk.network.layers[i].inputs[0], value)
        tall, wide = rows[i], cols[i]
        across = value.through(wide and wide.transposed, 2, walk.engine, passing=tall is not None)
        return across.through(tall and tall.transposed, 1, walk.engine)

    _check_sizes(walk)
    kind = np.int64 if is_exact(walk) else np.float64
    seeds = {i: _seed(walk, i, box, kind) for i in walk.targets}
    return backward(walk.network, seeds, pull) or _seed(walk, 0, (slice(0), slice(0)), kind)


def count_forward(walk: Walk) -> list[tuple[Array, int | float]]:
    """Paths that reach the units of each target, (limbs, height, width), and how many a unit far from padding has."""
    rows, cols = walk.rows.maps, walk.cols.maps

    def push(i: int, value: _Tally) -> _Tally:
        """Through both axes, forward; heights first, which leaves fewer rows."""
        if rows[i] is cols[i] is None:
            return value
        _check_room(walk, i, value)
        down = value.through(rows[i], 1, walk.engine, passing=cols[i] is not None)
        return down.through(cols[i], 2, walk.engine)

    _check_sizes(walk)
    full = forward(walk.network, walk.targets, 1, lambda i, v: v * _taps(walk, i))
    exact = is_exact(walk)
    tallies = forward(walk.network, walk.targets, _seed(walk, 0, WHOLE, np.int64 if exact else np.float64), push)
    return [(tally.settled(), most if exact else float(most)) for tally, most in zip(tallies, full, strict=True)]


def is_exact(walk: Walk) -> bool:
    """Whether every read counts once, so that counts are integers."""
    return all(made is None or made.exact for made in (*walk.rows.maps, *walk.cols.maps))


def _check_room(walk: Walk, i: int, value: _Tally) -> None:
    """Refuse counts that are longer, or of a map that is larger, than padviz counts."""
    if value.most.bit_length() > (1000 if value.limbs.dtype.kind == "f" else MOST_BITS):
        what = "pass what a float holds" if value.limbs.dtype.kind == "f" else "have more than 4000 digits"
        raise PadvizError(f"its counts {what}", where=walk.network.name, hint="name an earlier --layer")
    _check_size(walk, i, len(value.limbs))


def _check_size(walk: Walk, i: int, limbs: int = 1) -> None:
    layer, height, width = walk.network.layers[i], walk.rows.sizes[i], walk.cols.sizes[i]
    if height * width * limbs > MOST_NUMBERS:
        what = f"its map of {height} x {width} repeats nothing, and is larger than padviz counts"
        raise SizeError(what, where=f"{walk.network.name}, {layer.name}", hint="use a smaller --size")


def _check_sizes(walk: Walk) -> None:
    """Refuse at once what a later layer would be too large for."""
    if max(walk.rows.sizes) * max(walk.cols.sizes) > MOST_NUMBERS:
        for i in range(len(walk.network.layers)):
            _check_size(walk, i)


@lru_cache(64)
def is_chain(network: Network) -> bool:
    """Whether each layer reads just the one before it."""
    return all(layer.inputs == (i,) for i, layer in enumerate(network.layers[1:]))


def _taps(walk: Walk, i: int) -> int:
    """How many positions a unit of layer `i` reads where nothing is missing; weights of a mean sum to 1."""
    layer = walk.network.layers[i]
    taps = 1
    for op, made in zip(layer.ops, (walk.rows.maps[i], walk.cols.maps[i]), strict=True):
        if op is None or made is None or getattr(op, "mean", False):
            continue
        taps *= op.kernel if isinstance(op, Window) else made.gain
    return taps


def _seed(walk: Walk, i: int, box: Box, kind: type) -> _Tally:
    """One path at each unit of a box of layer `i`: the unit itself."""
    limbs: Array = np.zeros((1, walk.rows.sizes[i], walk.cols.sizes[i]), dtype=kind)
    limbs[0][box] = 1
    return _Tally(limbs, 1, 1)
