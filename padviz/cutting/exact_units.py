"""Which units of a tile compute what they compute in the whole image, on one axis.

A unit is exact if it reads the same rows in the tile as in the whole image, at the same phase, or padding in both, and
if all rows that it reads are exact. This is checked unit by unit, with the rules that a network has at each size, so it
holds whatever rule chooses the padding: a fixed pad, SAME, ceil, a crop that follows another layer.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.geometry.reaching.alignment import reads_far_side
from padviz.geometry.reaching.near_padding import Barrier
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Blocks, Op, Window, place
from padviz.network.padding_modes import COPYING, fold
from padviz.network.receptive_interval import rate_of, real_rows_of, rows_of
from padviz.network.resize import Resize, origin_of
from padviz.network.sizes import sizes_of

Flags = NDArray[np.bool_]


class Units(NamedTuple):
    """The units of a layer in a tile: unit j is unit j + `offset` of the whole image, exact where `exact[j]` is set.

    Where no unit can be exact, `barrier` names the layer that prevents it. Without an offset units have no place: a
    vector that global pooling made, and that is left out. `rows` are the first and last row, padding included, that
    they read of the layer's input in the whole image.
    """

    offset: int | None
    exact: Flags
    barrier: Barrier | None = None
    rows: tuple[int, int] | None = None

    def placed(self, first: Fraction | int) -> Flags:
        """Return which units are exact if the first of them is taken for unit `first` of the whole image."""
        return self.exact & (self.offset is None or self.offset == first)


class Cut(NamedTuple):
    """A tile on one axis: `length` rows of an image of `image` rows, from `start` on.

    Without a start it is an inner tile: so far from both ends of the image that nothing in it looks past them.
    """

    image: int
    start: int | None
    length: int


class _Sized(NamedTuple):
    """An operation from `n` rows to `m`; the image of an `inner` tile is never read past its ends."""

    op: Op
    n: int
    m: int
    inner: bool = False


def exact_units(
    network: Network, axis: int, cut: Cut, without: frozenset[str], tile: Network | None = None
) -> list[Units]:
    """Return which units of every layer are exact in a tile; layers named in `without` count as local.

    `tile` is the network as read at the tile's size, if that differs from the network at the image's size.

    >>> import padviz
    >>> unit = exact_units(padviz.load("vgg11"), 0, Cut(512, 128, 256), frozenset())[1]
    >>> unit.offset, unit.exact.shape, np.flatnonzero(~unit.exact).tolist()
    (128, (256,), [0, 255])
    """
    tile = tile or network
    here, there = sizes_of(tile, axis, cut.length), sizes_of(network, axis, cut.image)
    if cut.start == 0 and cut.length == cut.image:
        return [Units(0, np.ones(m, dtype=bool)) for m in there]
    barriers = _barriers(network, axis, cut.image)
    units = [Units(cut.start or 0, np.ones(cut.length, dtype=bool))]
    for i, layer in enumerate(network.layers[1:], start=1):
        op, j = layer.ops[axis], layer.inputs[0]
        entering = _meet(layer.name, [units[each] for each in layer.inputs])
        barrier = entering.barrier or (None if layer.name in without else barriers[i])
        if barrier:
            units.append(Units(0, np.zeros(here[i], dtype=bool), barrier))
        elif op is None or (isinstance(op, Blocks) and not op.is_local):  # the latter only where it counts as local
            units.append(entering)
        elif entering.offset is None or (layer.name in without and isinstance(op, Adaptive)):
            units.append(Units(None, np.ones(here[i], dtype=bool)))
        else:
            in_image = _Sized(op, there[j], there[i], inner=cut.start is None)
            in_tile = _Sized(tile.layers[i].ops[axis] or op, here[j], here[i])
            units.append(_follow(layer.name, entering, in_image, in_tile))
    return units


@lru_cache(256)
def _barriers(network: Network, axis: int, n: int) -> tuple[Barrier | None, ...]:
    """Return for each layer why no unit behind it is exact in any tile; None where some may be."""
    barriers: list[Barrier | None] = []
    sizes = sizes_of(network, axis, n)
    for layer in network.layers:
        op, why = layer.ops[axis], layer.whole(axis)
        if not why and isinstance(op, Window) and reads_far_side(op, sizes[layer.inputs[0]]):
            why = "circular padding, which reads the far side"
        barriers.append(Barrier(layer.name, why) if why else None)
    return tuple(barriers)


def _meet(name: str, branches: list[Units]) -> Units:
    """Merge branches: a unit is exact where all of them are, and at the same place of the whole image."""
    if len(branches) == 1:
        return branches[0]
    barrier = next((branch.barrier for branch in branches if branch.barrier), None)
    offsets = {branch.offset for branch in branches if branch.offset is not None}
    if barrier is None and len(offsets) > 1:
        barrier = Barrier(name, "its branches lie differently in a tile")
    if barrier:
        return branches[0]._replace(barrier=barrier)
    return Units(offsets.pop() if offsets else None, np.logical_and.reduce([branch.exact for branch in branches]))


def _follow(name: str, entering: Units, there: _Sized, here: _Sized) -> Units:
    """Follow units through an operation, as it is in the image, `there`, and in the tile, `here`."""
    assert entering.offset is not None
    nothing = np.zeros(here.m, dtype=bool)
    if isinstance(here.op, Adaptive):  # with as many outputs as rows it reads each row alone
        same = here.n == here.m and there.n == there.m
        return entering if same else Units(0, nothing, Barrier(name, "adaptive pooling"))
    offset = _offset(entering.offset, here, there)
    if offset is None:
        return Units(0, nothing, Barrier(name, _why_off_phase(here.op)))
    units = np.arange(here.m)
    rows, reads = real_rows_of(here.op, here.n, here.m, units)
    image_rows = real_rows_of(there.op, there.n, there.m, units + offset)[0]
    sources = _sources(here.op, here.n, rows)
    image_sources = image_rows if there.inner else _sources(there.op, there.n, image_rows)
    inside, inside_image = sources >= 0, np.full(rows.shape, True) if there.inner else image_sources >= 0
    same = inside & inside_image & (sources + entering.offset == image_sources)
    same &= entering.exact[np.where(inside, sources, 0)]
    exact: Flags = (same | (~inside & ~inside_image) | ~reads).all(axis=0)
    if not there.inner:
        exact &= (units + offset < there.m) & (units + offset >= 0)
    return Units(offset, exact, rows=(int(image_rows.min()), int(image_rows.max())))


def _offset(offset: int, here: _Sized, there: _Sized) -> int | None:
    """Return how far the units of the tile lie from those of the whole image; None where they lie between these.

    Unit u reads from row rate * u + start on. So unit u of the tile is unit u + k of the image where
    rate * u + start of the tile + offset = rate * (u + k) + start of the image.
    """
    rate = rate_of(*here[:3])
    if not rate or rate != rate_of(*there[:3]) or (isinstance(here.op, Blocks) and offset % here.op.size):
        return None
    tile, image = (
        origin_of(op, n, m) if isinstance(op, Resize) else int(rows_of(op, n, m, 0)[0]) for op, n, m, _ in (here, there)
    )
    exact = (offset + tile - image) / rate
    return int(exact) if exact.denominator == 1 else None


def _why_off_phase(op: Op) -> str:
    if isinstance(op, Resize) and op.layout == "align_corners":
        return "a resize that, with its corners aligned, follows the image's size"
    if isinstance(op, Resize):
        return "a resize that follows the image's size" if op.scale is None else "a resize off its phase"
    return "the tile is not aligned"


def _sources(op: Op, n: int, rows: NDArray[Any]) -> NDArray[Any]:
    """Return the input rows that positions of an endless axis are read from; -1 where they read nothing."""
    if isinstance(op, Resize):
        return np.asarray(np.clip(rows, 0, n - 1))
    if isinstance(op, Window) and op.mode in COPYING:
        before, after, _ = place(op, n)
        if folded := fold(op.mode, n, max(before, 0), max(after, 0)):
            (a, b), (c, d) = folded
            rows = np.where(rows < 0, a * rows + b, np.where(rows >= n, c * rows + d, rows))
    return np.where((rows < 0) | (rows >= n), -1, rows)  # beyond the padding, too, where ceil rounding reads


def run_around(exact: Flags, unit: int) -> tuple[int, int]:
    """Return the first and the last + 1 of the run of exact units around one; an empty run if it is not exact."""
    wrong = np.flatnonzero(~exact)
    k = int(np.searchsorted(wrong, unit))
    last = int(wrong[k]) if k < len(wrong) else len(exact)
    return min(int(wrong[k - 1]) + 1 if k else 0, last) if last > unit else last, last


def longest_run(exact: Flags) -> tuple[int, int]:
    """Return the first and the last + 1 of the longest run of exact units."""
    edges = np.flatnonzero(np.diff(exact, prepend=False, append=False)).reshape(-1, 2)
    first, last = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist() if len(edges) else (0, 0)
    return first, last
