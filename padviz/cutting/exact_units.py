"""Which units of a tile compute what they compute in the whole image, on one axis.

A unit is exact if it reads the same rows in the tile as in the whole image, at the same phase, or
padding in both, and if all rows that it reads are exact. This is checked unit by unit, with the
rules that a network has at each size, so it holds whatever rule chooses the padding: a fixed pad,
SAME, ceil, a crop that follows another layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.geometry.reaching.near_padding import Barrier
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Blocks, Fit, Op, Window, fit_shift, place
from padviz.network.padding_modes import SCHEMES
from padviz.network.reads import PADDING, rate_of, reads, real_rows
from padviz.network.resize import Resize
from padviz.network.sizes import sizes_of

BY_POSITION = "it differs by position"
Flags = NDArray[np.bool_]
Span = tuple[int, int]  # rows or units from the first up to the last + 1


class Units(NamedTuple):
    """The units of a layer in a tile: unit j is unit j + `offset` of the whole image, exact where
    `exact[j]` is set.

    Where the tile's units lie between those of the image, none is exact, and `barrier` names the
    layer and the reason. Without an offset units have no place: those of a pool to a fixed size, if
    it counts as local. `rows` are the first and last row, padding included, that they read of the
    layer's input in the whole image.
    """

    offset: int | None
    exact: Flags
    barrier: Barrier | None = None
    rows: tuple[int, int] | None = None

    def placed(self, first: Fraction | int) -> Flags:
        """Return which units are exact if the first of them is taken for unit `first` of the whole
        image.
        """
        return self.exact & (self.offset is None or self.offset == first)


class Cut(NamedTuple):
    """A tile on one axis: `length` rows of an image of `image` rows, from `start` on.

    Without a start it is an inner tile: so far from both ends of the image that nothing in it looks
    past them.
    """

    image: int
    start: int | None
    length: int


class _Sized(NamedTuple):
    """An operation from `n` rows to `m`."""

    op: Op
    n: int
    m: int


def exact_units(network: Network, axis: int, cut: Cut, tile: Network | None = None) -> list[Units]:
    """Return for every layer which of its units are exact in a tile, and where they lie in the
    whole image.

    Layers by which each position depends on all count as local: `barriers_on` names them. `tile` is
    the network as read at the tile's size, if that differs from the network at the image's size.

    >>> import padviz
    >>> unit = exact_units(padviz.load("vgg11"), 0, Cut(512, 128, 256))[1]
    >>> unit.offset, unit.exact.shape, np.flatnonzero(~unit.exact).tolist()
    (128, (256,), [0, 255])
    """
    tile = tile or network
    here, there = sizes_of(tile, axis, cut.length), sizes_of(network, axis, cut.image)
    units = [Units(cut.start or 0, np.ones(cut.length, dtype=bool))]
    for i, layer in enumerate(network.layers[1:], start=1):
        op, j = layer.ops[axis], layer.inputs[0]
        entering = _meet(layer.name, [units[k] for k in layer.inputs])
        if op is None or (isinstance(op, Blocks) and not op.is_local):
            units.append(entering)
        elif entering.barrier:
            units.append(Units(0, np.zeros(here[i], dtype=bool), entering.barrier))
        elif entering.offset is None or isinstance(op, Adaptive):
            units.append(Units(None, np.ones(here[i], dtype=bool)))
        else:
            in_tile = _Sized(tile.layers[i].ops[axis] or op, here[j], here[i])
            in_image = _Sized(op, there[j], there[i])
            units.append(_follow(layer.name, entering, in_tile, in_image, cut.start is None))
    return units


@lru_cache(64)
def barriers_on(
    network: Network, axis: int, n: int, ignore_norms: bool
) -> tuple[Barrier | None, ...]:
    """Return for each layer what, up to it, makes positions depend on all, or on the far side, if
    anything.

    Of several it is the `hardest`. To `ignore_norms` is to leave out what depends on all: norms,
    gates, attention and global pooling.
    """
    sizes = sizes_of(network, axis, n)
    barriers: list[Barrier | None] = []
    for layer in network.layers:
        op, why = layer.ops[axis], layer.whole(axis)
        wraps = isinstance(op, Window) and SCHEMES[op.mode].wraps
        if why and ignore_norms:
            why = ""
        elif wraps and not why and max(place(op, sizes[layer.inputs[0]])[:2]) > 0:
            why = "circular padding, which reads the far side"
        elif isinstance(op, Resize) and op.float32:
            why = "a resize, which float32 rounds by the place in the image"
        before = [barriers[j] for j in layer.inputs]
        if why:
            before.append(Barrier(layer.name, why))
        before += [Barrier(act.name, BY_POSITION) for act in layer.acts if act.varies]
        barriers.append(hardest(before))
    return tuple(barriers)


def hardest(barriers: Iterable[Barrier | None]) -> Barrier | None:
    """Return the first barrier that reads all positions, or else the first."""
    return min(filter(None, barriers), key=lambda barrier: pools_sums(barrier.why), default=None)


def pools_sums(why: str) -> bool:
    """Return whether a barrier needs no more of all positions than sums, as norms and gates do.

    Attention and the like read all positions.
    """
    return "attention" not in why and ("over positions" not in why or "normalize" in why)


def _meet(name: str, branches: list[Units]) -> Units:
    """Merge branches: a unit is exact where all of them are, and at the same place of the whole
    image.
    """
    exact = np.logical_and.reduce([branch.exact for branch in branches])
    barrier = next((branch.barrier for branch in branches if branch.barrier), None)
    offsets = {branch.offset for branch in branches if branch.offset is not None}
    if len(offsets) > 1:
        exact[:] = False
        barrier = barrier or Barrier(name, "its branches lie differently in a tile")
    return Units(min(offsets, default=None), exact, barrier)


def _follow(name: str, entering: Units, here: _Sized, there: _Sized, inner: bool) -> Units:
    """Follow units through an operation, as it is in the tile, `here`, and in the image, `there`.

    Unit u reads from row rate * u + start on. So unit u of the tile is unit u + k of the image
    where rate * u + start of the tile + offset = rate * (u + k) + start of the image.
    """
    assert entering.offset is not None
    op, rate, moved = here.op, rate_of(*here), entering.offset
    if isinstance(op, Window) and isinstance(there.op, Window):
        moved += place(there.op, there.n).before - place(op, here.n).before
    elif isinstance(op, Fit):
        moved += fit_shift(there.n, there.m, op.odd) - fit_shift(here.n, here.m, op.odd)
    # All other operations start alike where their rates are the same.
    off_phase = not rate or rate != rate_of(*there) or moved % rate != 0
    if isinstance(op, Resize) and op.layout == "align_corners":
        off_phase = off_phase or here.m != there.m
    if off_phase or (isinstance(op, Blocks) and moved % op.size):
        return Units(0, np.zeros(here.m, dtype=bool), Barrier(name, _why_off_phase(op)))
    units, first = np.arange(here.m), int(moved / rate)
    rows, read = reads(*here, units)
    image_rows = rows + entering.offset
    sources = real_rows(op, here.n, rows)
    image_sources = image_rows
    if not inner:
        image_sources = real_rows(there.op, there.n, image_rows)
    same = (sources + entering.offset == image_sources) & entering.exact[np.maximum(sources, 0)]
    exact: Flags = (np.where(sources < 0, image_sources == PADDING, same) | ~read).all(axis=0)
    if not inner:
        exact &= (units + first < there.m) & (units + first >= 0)
    return Units(first, exact, rows=(int(image_rows.min()), int(image_rows.max())))


def _why_off_phase(op: Op) -> str:
    if isinstance(op, Resize) and op.layout == "align_corners":
        return "a resize that, with its corners aligned, follows the image's size"
    if isinstance(op, Resize):
        if op.scale is None:
            return "a resize that follows the image's size"
        return "a resize off its phase"
    return "the tile is not aligned"


def runs_of(exact: Flags) -> list[Span]:
    """Return the first and the last + 1 of each run of exact units."""
    edges = np.flatnonzero(np.diff(exact, prepend=False, append=False)).tolist()
    return [*zip(edges[::2], edges[1::2], strict=True)]


def longest_run(exact: Flags) -> Span:
    """Return the first and the last + 1 of the longest run of exact units."""
    return max(runs_of(exact), key=lambda run: run[1] - run[0], default=(0, 0))
