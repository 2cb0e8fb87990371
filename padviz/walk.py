"""The walks: back from a target layer to the input (usage), and forward to its units (coverage)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from padviz.axis import AxisMap, Window
from padviz.errors import PadvizError, SizeError
from padviz.kernels import LIMB_BITS, Array, apply, carry
from padviz.network import Network, Resolved, backward, forward
from padviz.wide import HOLDS, limbs_for

Box = tuple[slice, slice]
WHOLE: Box = slice(None), slice(None)
MOST_NUMBERS = 1 << 27  # in one layer's array: 1 GiB
MOST_BITS = 14_000  # of a count: what Python prints


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
    """Limbs, and a bound on every limb, so that carries happen only when the next step could overflow."""

    limbs: Array
    bound: int

    def __add__(self, other: _Tally) -> _Tally:
        a, b = self.ready(2), other.ready(2)
        return _Tally(a.limbs + b.limbs, a.bound + b.bound)

    def ready(self, gain: int) -> _Tally:
        """The same value, with room to grow by `gain`."""
        if len(self.limbs) == 1 or self.bound * gain < HOLDS:
            return self
        carry(self.limbs)
        return _Tally(self.limbs, 1 << LIMB_BITS)

    def pulled(self, back: AxisMap | None, axis: int, engine: str, passing: bool) -> _Tally:
        if back is None:
            return self
        ready = self.ready(back.gain)
        limbs = apply(back.strips, ready.limbs, back.n_out, axis, engine=engine, passing=passing)
        return _Tally(limbs, ready.bound * back.gain)


def count_backward(walk: Walk, box: Box) -> Array:
    """Paths from each pixel to the units of `box` in the targets: (limbs, height, width), carried."""
    network, targets, engine = walk.network, walk.targets, walk.engine
    ways = dict.fromkeys(targets, 1)
    bound = backward(network, ways, lambda i, v: v * _gain(walk.rows, i) * _gain(walk.cols, i)) or 0
    exact, limbs = _width(walk, bound)
    kind = np.int64 if exact else np.float64

    def counted(rows: Resolved, cols: Resolved, box: Box) -> Array:
        seeds = {i: _seed((limbs, rows.sizes[i], cols.sizes[i]), box, kind) for i in targets}
        result = backward(network, seeds, lambda i, v: _pull(rows.maps[i], cols.maps[i], v, engine))
        if result is None:
            return np.zeros((limbs, rows.sizes[0], cols.sizes[0]), kind)
        carry(result.limbs)
        return result.limbs

    if limbs == 1 and len(targets) == 1 and is_chain(network):  # nothing adds up: an outer product of two vectors
        flat = Resolved((1,) * len(network.layers), (None,) * len(network.layers))
        return counted(walk.rows, flat, (box[0], WHOLE[1])) * counted(flat, walk.cols, (WHOLE[0], box[1]))
    return counted(walk.rows, walk.cols, box)


def count_forward(walk: Walk) -> list[tuple[Array, int | float]]:
    """Paths that reach the units of each target, (limbs, height, width), and how many a unit far from padding has."""
    full = forward(walk.network, walk.targets, 1, lambda i, v: v * _taps(walk, i))
    exact, limbs = _width(walk, max(full))
    ones = _seed((limbs, walk.rows.sizes[0], walk.cols.sizes[0]), WHOLE, np.int64 if exact else np.float64)
    rows, cols = walk.rows.maps, walk.cols.maps
    tallies = forward(walk.network, walk.targets, ones, lambda i, v: _push(rows[i], cols[i], v, walk.engine))
    for tally in tallies:
        carry(tally.limbs)
    return [(tally.limbs, most if exact else float(most)) for tally, most in zip(tallies, full, strict=True)]


def _width(walk: Walk, bound: int) -> tuple[bool, int]:
    """Whether counts up to `bound` are exact integers here, and in how many limbs; refuses what does not fit."""
    exact = all(m is None or m.exact for m in (*walk.rows.maps, *walk.cols.maps))
    if bound.bit_length() > (MOST_BITS if exact else 1000):
        what = "have more than 4000 digits" if exact else "pass what a float holds"
        raise PadvizError(f"its counts {what}", where=walk.network.name, hint="name an earlier --layer")
    limbs = limbs_for(bound) if exact else 1
    for layer, height, width in zip(walk.network.layers, walk.rows.sizes, walk.cols.sizes, strict=True):
        if height * width * limbs > MOST_NUMBERS:
            what = f"its map of {height} x {width} is larger than padviz counts"
            raise SizeError(what, where=f"{walk.network.name}, {layer.name}", hint="use a smaller --size")
    return exact, limbs


def is_chain(network: Network) -> bool:
    """Whether each layer reads just the one before it."""
    return all(layer.inputs == (i,) for i, layer in enumerate(network.layers[1:]))


def _pull(rows: AxisMap | None, cols: AxisMap | None, value: _Tally, engine: str) -> _Tally:
    """Through both axes, transposed; widths first, while there are fewer rows."""
    across = value.pulled(cols and cols.transposed, 2, engine, passing=rows is not None)
    return across.pulled(rows and rows.transposed, 1, engine, passing=False)


def _push(rows: AxisMap | None, cols: AxisMap | None, value: _Tally, engine: str) -> _Tally:
    """Through both axes, forward; heights first, which leaves fewer rows."""
    down = value.pulled(rows, 1, engine, passing=cols is not None)
    return down.pulled(cols, 2, engine, passing=False)


def _taps(walk: Walk, i: int) -> int:
    """How many positions a unit of layer `i` reads where nothing is missing; weights of a mean sum to 1."""
    layer = walk.network.layers[i]
    taps = 1
    for op, made in zip(layer.ops, (walk.rows.maps[i], walk.cols.maps[i]), strict=True):
        if op is None or made is None or getattr(op, "mean", False):
            continue
        taps *= op.kernel if isinstance(op, Window) else made.gain
    return taps


def _gain(axis: Resolved, i: int) -> int:
    back = axis.maps[i]
    return 1 if back is None else back.transposed.gain


def _seed(shape: tuple[int, int, int], box: Box, kind: type) -> _Tally:
    """One path at each unit of the box: the unit itself."""
    limbs: Array = np.zeros(shape, dtype=kind)
    limbs[0][box] = 1
    return _Tally(limbs, 1)
