"""Context: how many pixels around what it keeps a tile must read, and where tiles may start."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm
from typing import NamedTuple

import numpy as np

from padviz.axis.operations import Adaptive, Op
from padviz.axis.receptive_interval import rate_of
from padviz.axis.resize import Resize
from padviz.cutting.right_units import Cut, Units, right_units
from padviz.errors import SizeError
from padviz.geometry.reaching.near_padding import Barrier, BeforeAfter
from padviz.network.network import LARGEST, Network, Size
from padviz.network.sizes import sizes_of

MOST_LATTICE = 1 << 16


@dataclass(frozen=True, slots=True)
class Context:
    """What a tile must read on one axis so that all units of a layer that it keeps are right.

    `before` and `after` are input pixels beyond those that the kept units stand for, and `units` how many units at
    either end of a tile's own map are not right. Tiles start on multiples of `lattice` pixels, and are as long as the
    image is, modulo the lattice. A unit of the layer stands for `stride` pixels. Where nothing is exact, `barrier` says
    which layer makes that so, and why; the context is then that without it.

    >>> import padviz
    >>> context_on(padviz.load("unet"), 0, 572)[-1].before
    92
    """

    layer: str
    before: int
    after: int
    units: BeforeAfter
    lattice: int
    stride: Fraction
    barrier: Barrier | None = None


class Lattice(NamedTuple):
    """Where tiles may start: multiples of `step` pixels; a unit of layer i stands for `strides[i]` pixels."""

    step: int
    strides: tuple[Fraction, ...]


def lattice_on(network: Network, axis: int, n: int) -> Lattice:
    """Find the starts at which every stride has the phase that it has in the whole image of `n` rows.

    >>> import padviz
    >>> lattice_on(padviz.load("resnet50"), 0, 224).step
    32
    """
    sizes, strides = sizes_of(network, axis, n), [Fraction(1)]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = max(strides[j] for j in layer.inputs)
        strides.append(entering * _rate(layer.ops[axis], sizes[layer.inputs[0]], sizes[i]))
    step = lcm(*(stride.numerator for stride in strides))
    if step > MOST_LATTICE:
        what = f"its strides come to the same phase again after {step} pixels only"
        raise SizeError(what, where=network.name, hint="name an earlier `layer`")
    return Lattice(step, tuple(strides))


def _rate(op: Op | None, n: int, m: int) -> Fraction:
    """Count how many rows a unit stands for: of a resize to a size, to the nearest whole scale."""
    if op is None or isinstance(op, Adaptive):
        return Fraction(1)
    if isinstance(op, Resize) and (op.scale is None or op.layout == "align_corners"):
        return Fraction(max(1, round(n / m))) if n > m else Fraction(1, max(1, round(m / n)))
    return rate_of(op, n, m)


def context_on(network: Network, axis: int, n: int, without: frozenset[str] = frozenset()) -> list[Context]:
    """Find the context of every target of a network on one axis, for images as long as `n` modulo the lattice.

    The layers in `without` count as if each position were by itself there. What else lets nothing be exact is named as
    the barrier, and left out.

    >>> import padviz
    >>> [(head.before, head.after, head.lattice) for head in context_on(padviz.load("unet_padded"), 0, 512)]
    [(94, 94, 16)]
    """
    lattice = lattice_on(network, axis, n)
    return [_context(network, axis, n, network.index[name], lattice, without) for name in network.targets]


def contexts_of(
    network: Network, size: Size, without: frozenset[str] = frozenset()
) -> tuple[tuple[Context, Context], ...]:
    """Find the context of every target on (height, width)."""
    return tuple(zip(*(context_on(network, axis, n, without) for axis, n in enumerate(size)), strict=True))


def _context(network: Network, axis: int, n: int, i: int, lattice: Lattice, without: frozenset[str]) -> Context:
    """Look at longer and longer tiles, far from the image's ends, until one has right units."""
    step, barrier, periods, units = lattice.step, None, 1, None
    while (length := periods * step + n % step) <= LARGEST:
        cut = Cut((3 * periods + 1) * step + n % step, periods * step, length)
        units, periods = _units(network, axis, cut, i, without), 2 * periods
        while units and units.barrier and (left_out := without | {units.barrier.layer}) != without:
            barrier, without = barrier or units.barrier, left_out
            units = _units(network, axis, cut, i, without)
        if units is not None and units.right.any():
            where = np.flatnonzero(units.right)
            ends = int(where[0]), int(len(units.right) - 1 - where[-1])
            stands = lattice.strides[i]
            lost = (length - len(units.right) * stands) / 2  # pixels that the map does not stand for, on each side
            pixels = max(0, ceil(ends[0] * stands + lost)), max(0, ceil(ends[1] * stands + lost))
            return Context(network.layers[i].name, *pixels, ends, step, stands, barrier)
    if units and units.barrier:  # which cannot be left out: units lie nowhere behind it
        what = f"no tiles are exact: {units.barrier.layer} ({units.barrier.why})"
        raise SizeError(what, where=network.name, hint="name an earlier `layer`")
    what = "no tile of any size is right: it needs more context than an image has"
    raise SizeError(what, where=f"{network.name}, {network.layers[i].name}", hint="name an earlier `layer`")


def _units(network: Network, axis: int, cut: Cut, i: int, without: frozenset[str]) -> Units | None:
    """Find the units of a layer in a tile that are right; None where the network does not take it."""
    try:
        return right_units(network, axis, cut, without)[i]
    except SizeError:
        return None
