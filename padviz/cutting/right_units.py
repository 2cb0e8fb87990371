"""Which units of a tile compute what they compute in the whole image, on one axis.

A unit is right if it reads the same rows in the tile as in the whole image, at the same phase, or padding in both, and
if all rows that it reads are right. This is checked unit by unit, with the rules that a network has at each size, so it
holds whatever rule chooses the padding: a fixed pad, SAME, ceil, a crop that follows another layer.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Adaptive, Blocks, Fit, Op, Transposed, Window, fit_shift, place
from padviz.axis.padding_modes import fold
from padviz.axis.receptive_interval import real_rows_of
from padviz.axis.resize import Resize, origin_of, ratio_of
from padviz.geometry.reaching.lattice import wraps
from padviz.geometry.reaching.near_padding import Barrier
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.network.sizes import sizes_of

Rows = NDArray[Any]


class Units(NamedTuple):
    """The units of a layer in a tile: unit j is unit j + `offset` of the whole image, right where `right[j]` is set.

    Where no unit can be right, `barrier` says which layer makes that so. Without an offset, units lie nowhere: a vector
    that global pooling made, and that is left out.
    """

    offset: int | None
    right: NDArray[np.bool_]
    barrier: Barrier | None = None


class Cut(NamedTuple):
    """A tile on one axis: `length` rows of an image of `image` rows, from `start` on."""

    image: int
    start: int
    length: int


def right_units(network: Network, axis: int, cut: Cut, without: frozenset[str] = frozenset()) -> list[Units]:
    """Say which units of every layer are right in a tile; layers named in `without` count as if they were local.

    >>> import padviz
    >>> unit = right_units(padviz.load("vgg11"), 0, Cut(512, 128, 256))[1]
    >>> unit.offset, unit.right.shape, np.flatnonzero(~unit.right).tolist()
    (128, (256,), [0, 255])
    """
    if cut.length == cut.image:
        return [Units(0, np.ones(m, dtype=bool)) for m in sizes_of(network, axis, cut.image)]
    here, there = sizes_of(network, axis, cut.length), sizes_of(network, axis, cut.image)
    units = [Units(cut.start, np.ones(cut.length, dtype=bool))]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = _merged(layer, [units[j] for j in layer.inputs], here[i])
        why = "" if layer.name in without else layer.whole(axis) or _wraps(layer.ops[axis], there[layer.inputs[0]])
        if entering.barrier is None and why:
            entering = _none(here[i], Barrier(layer.name, why))
        if entering.barrier or layer.ops[axis] is None:
            units.append(entering)
            continue
        if entering.offset is None or (layer.name in without and isinstance(layer.ops[axis], Adaptive)):
            units.append(Units(None, np.ones(here[i], dtype=bool)))
            continue
        j = layer.inputs[0]
        units.append(_through(layer, axis, entering, (here[j], here[i]), (there[j], there[i])))
    return units


def _wraps(op: Op | None, n: int) -> str:
    """Say so where an operation pads with rows of the far side, which no tile has."""
    return "circular padding, which reads the far side" if isinstance(op, Window) and wraps(op, n) else ""


def _none(m: int, barrier: Barrier) -> Units:
    return Units(0, np.zeros(m, dtype=bool), barrier)


def _merged(layer: Layer, branches: list[Units], m: int) -> Units:
    """Let branches meet: a unit is right where all of them are, and at the same place of the whole image."""
    if len(branches) == 1:
        first = branches[0]
        return first if first.barrier is None else _none(m, first.barrier)
    barrier = next((branch.barrier for branch in branches if branch.barrier), None)
    offsets = {branch.offset for branch in branches if branch.offset is not None}
    if barrier is None and len(offsets) > 1:
        barrier = Barrier(layer.name, "its branches lie differently in a tile")
    if barrier:
        return _none(m, barrier)
    return Units(offsets.pop() if offsets else None, np.logical_and.reduce([branch.right for branch in branches]))


def _through(layer: Layer, axis: int, entering: Units, here: tuple[int, int], there: tuple[int, int]) -> Units:
    """Follow units through an operation with (rows read, rows made) `here` in the tile and `there` in the image."""
    op = layer.ops[axis]
    assert op is not None
    assert entering.offset is not None
    if isinstance(op, Adaptive):  # with as many outputs as rows it reads each row alone
        same = here[0] == here[1] and there[0] == there[1]
        return entering if same else _none(here[1], Barrier(layer.name, "adaptive pooling"))
    offset = _offset(op, entering.offset, here, there)
    if offset is None:
        return _none(here[1], Barrier(layer.name, _why(op)))
    units = np.arange(here[1])
    rows, reads = real_rows_of(op, *here, units)
    sources = _sources(op, here[0], rows)
    true_sources = _sources(op, there[0], real_rows_of(op, *there, units + offset)[0])
    inside, truly = sources >= 0, true_sources >= 0
    kept = inside & truly & (sources + entering.offset == true_sources) & entering.right[np.where(inside, sources, 0)]
    right: NDArray[np.bool_] = (kept | (~inside & ~truly) | ~reads).all(axis=0)
    return Units(offset, right & (units + offset < there[1]) & (units + offset >= 0))


def _offset(op: Op, offset: int, here: tuple[int, int], there: tuple[int, int]) -> int | None:
    """Find how far units lie from those of the tile in the whole image; None where they lie between its units."""
    if isinstance(op, Transposed):
        return offset * op.stride
    if isinstance(op, Fit):
        return offset + fit_shift(there[0], there[1], op.odd) - fit_shift(here[0], here[1], op.odd)
    if isinstance(op, Blocks):
        return None if offset % op.size else offset
    if isinstance(op, Window):
        moved, off = divmod(offset + place(op, there[0]).before - place(op, here[0]).before, op.stride)
        return None if off else moved
    assert isinstance(op, Resize)
    ratio = ratio_of(op, *here)
    if not ratio or ratio != ratio_of(op, *there):
        return None
    exact: Fraction = (offset + origin_of(op, *here) - origin_of(op, *there)) / ratio
    return int(exact) if exact.denominator == 1 else None


def _why(op: Op) -> str:
    """Say why no unit of an operation is right."""
    if isinstance(op, Resize) and op.layout == "align_corners":
        return "a resize that, with its corners aligned, follows the image's size"
    if isinstance(op, Resize):
        return "a resize that follows the image's size" if op.scale is None else "a resize off its phase"
    return "the tile starts off the lattice"


def _sources(op: Op, n: int, rows: Rows) -> Rows:
    """Find the rows of the input that reads of an endless axis come from; -1 where they read nothing."""
    if isinstance(op, Resize):
        return np.clip(rows, 0, n - 1)
    outside = (rows < 0) | (rows >= n)
    folded = None
    if isinstance(op, Window):
        before, after, _ = place(op, n)
        folded = fold(op.mode, n, max(before, 0), max(after, 0))
    if folded is None:
        return np.where(outside, -1, rows)
    (a, b), (c, d) = folded
    moved = np.where(rows < 0, a * rows + b, np.where(rows >= n, c * rows + d, rows))
    return np.where((moved < 0) | (moved >= n), -1, moved)  # rows that ceil rounding reads beyond the padding
