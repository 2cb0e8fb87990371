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
from padviz.errors import OptionError
from padviz.geometry.reaching.lattice import ALIKE, wraps
from padviz.geometry.reaching.near_padding import Barrier
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.sizes import another_at, sizes_of

Rows = NDArray[Any]


class Units(NamedTuple):
    """The units of a layer in a tile: unit j is unit j + `offset` of the whole image, right where `right[j]` is set.

    Where no unit can be right, `barrier` says which layer makes that so. Without an offset, units lie nowhere: a vector
    that global pooling made, and that is left out. `rows` are the first and the last row that they look at, padding
    included, of what the layer reads of the whole image.
    """

    offset: int | None
    right: NDArray[np.bool_]
    barrier: Barrier | None = None
    rows: tuple[int, int] | None = None

    def from_(self, first: Fraction | int) -> NDArray[np.bool_]:
        """Tell which units are right if the first of them is taken for unit `first` of the whole image."""
        return self.right & (self.offset is None or self.offset == first)


class Cut(NamedTuple):
    """A tile on one axis: `length` rows of an image of `image` rows, from `start` on.

    Without a start it is an inner tile: so far from both ends of the image that nothing in it looks past them.
    """

    image: int
    start: int | None
    length: int


def right_units(
    network: Network, axis: int, cut: Cut, without: frozenset[str], tile: Network | None = None
) -> list[Units]:
    """Find which units of every layer are right in a tile; layers named in `without` count as if they were local.

    `tile` is the network as it was read at the tile's size, where that is another one than at the image's.

    >>> import padviz
    >>> unit = right_units(padviz.load("vgg11"), 0, Cut(512, 128, 256), frozenset())[1]
    >>> unit.offset, unit.right.shape, np.flatnonzero(~unit.right).tolist()
    (128, (256,), [0, 255])
    """
    tile = tile or network
    here, there = sizes_of(tile, axis, cut.length), sizes_of(network, axis, cut.image)
    if cut.start == 0 and cut.length == cut.image:
        return [Units(0, np.ones(m, dtype=bool)) for m in there]
    units = [Units(cut.start or 0, np.ones(cut.length, dtype=bool))]
    for i, layer in enumerate(network.layers[1:], start=1):
        op, entering = layer.ops[axis], _merged(layer, [units[j] for j in layer.inputs], here[i])
        why = "" if layer.name in without else layer.whole(axis) or _wraps(op, there[layer.inputs[0]])
        if entering.barrier is None and why:
            entering = _none(here[i], Barrier(layer.name, why))
        if entering.barrier or op is None:
            units.append(entering)
        elif entering.offset is None or (layer.name in without and isinstance(op, Adaptive)):
            units.append(Units(None, np.ones(here[i], dtype=bool)))
        else:
            j, own = layer.inputs[0], tile.layers[i].ops[axis]
            through = _Pair(op, there[j], there[i], inner=cut.start is None), _Pair(own or op, here[j], here[i])
            units.append(_through(layer.name, entering, *through))
    return units


def read_at_tile(network: Network, size: Size, steps: Size) -> Network | None:
    """Read a network at the size of a tile, which must make of it what it makes of the image, but for pads.

    Where it does not, tiles some steps smaller are tried, since networks pad images to multiples of their own. None for
    a description, which is the same at each size.

    Raises
    ------
    OptionError
        Where it does not take the tile, or naming the first layer that is another one there.
    """
    if network.again is None:
        return None
    first = another_at(network, size)
    if first is None:
        return network.at(size)
    for k in range(1, ALIKE // min(steps) + 1):
        smaller = tuple(n - k * step for n, step in zip(size, steps, strict=True))
        if min(smaller) > 0 and another_at(network, smaller) is None:
            return network.at(smaller)
    raise OptionError(first[1], option="tile", where=first[0], hint="try another `tile`")


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


class _Pair(NamedTuple):
    """An operation, and the rows that it reads and makes; of an `inner` tile's image it never reads past an end."""

    op: Op
    n: int
    m: int
    inner: bool = False


def _through(name: str, entering: Units, there: _Pair, here: _Pair) -> Units:
    """Follow units through an operation as it is in the image, `there`, and in the tile, `here`."""
    assert entering.offset is not None
    if isinstance(here.op, Adaptive):  # with as many outputs as rows it reads each row alone
        same = here.n == here.m and there.n == there.m
        return entering if same else _none(here.m, Barrier(name, "adaptive pooling"))
    offset = _offset(entering.offset, here, there)
    if offset is None:
        return _none(here.m, Barrier(name, _why(here.op)))
    units = np.arange(here.m)
    rows, reads = real_rows_of(here.op, here.n, here.m, units)
    true_rows = real_rows_of(there.op, there.n, there.m, units + offset)[0]
    sources = _sources(here.op, here.n, rows)
    true_sources = true_rows if there.inner else _sources(there.op, there.n, true_rows)
    inside, truly = sources >= 0, np.full(rows.shape, True) if there.inner else true_sources >= 0
    kept = inside & truly & (sources + entering.offset == true_sources) & entering.right[np.where(inside, sources, 0)]
    right: NDArray[np.bool_] = (kept | (~inside & ~truly) | ~reads).all(axis=0)
    if not there.inner:
        right &= (units + offset < there.m) & (units + offset >= 0)
    return Units(offset, right, rows=(int(true_rows.min()), int(true_rows.max())))


def _offset(offset: int, here: _Pair, there: _Pair) -> int | None:
    """Find how far units lie from those of the tile in the whole image; None where they lie between its units."""
    op, own = there.op, here.op
    if isinstance(op, Transposed):
        return offset * op.stride
    if isinstance(op, Fit):
        return offset + fit_shift(there.n, there.m, op.odd) - fit_shift(here.n, here.m, op.odd)
    if isinstance(op, Blocks):
        return None if offset % op.size else offset
    if isinstance(op, Window):
        assert isinstance(own, Window)
        moved, off = divmod(offset + place(op, there.n).before - place(own, here.n).before, op.stride)
        return None if off else moved
    assert isinstance(op, Resize)
    assert isinstance(own, Resize)
    ratio = ratio_of(own, here.n, here.m)
    if not ratio or ratio != ratio_of(op, there.n, there.m):
        return None
    exact: Fraction = (offset + origin_of(own, here.n, here.m) - origin_of(op, there.n, there.m)) / ratio
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


def run_at(right: NDArray[np.bool_], unit: int) -> tuple[int, int]:
    """Find the first and the last + 1 of the right units in a row around one; none behind it where it is wrong.

    >>> right = np.array([True, False, True, True, False])
    >>> run_at(right, 3), run_at(right, 1)
    ((2, 4), (1, 1))
    """
    wrong = np.flatnonzero(~right)
    k = int(np.searchsorted(wrong, unit))
    last = int(wrong[k]) if k < len(wrong) else len(right)
    return min(int(wrong[k - 1]) + 1 if k else 0, last) if last > unit else last, last


def longest_run(right: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the first and the last + 1 of the most right units in a row."""
    edges = np.flatnonzero(np.diff(right, prepend=False, append=False)).reshape(-1, 2)
    first, last = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist() if len(edges) else (0, 0)
    return first, last
