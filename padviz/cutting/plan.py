"""A plan: which tiles to read of an image, and which units of each to keep, so that every unit is kept once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, pairwise
from math import ceil, prod
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.context import Context, all_graded, barrier_of, contexts_of
from padviz.cutting.right_units import Cut, Units, longest_run, read_at_tile, right_units, run_at
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.geometry.reaching.lattice import lattice_on
from padviz.network.network import Network, Size
from padviz.network.sizes import sizes_of

COSTS = (4, 2, 1.5, 1.25)  # times the pixels, of tile sizes that are told
Slices = tuple[slice, ...]  # on each axis
Span = tuple[int, int]
Flags = NDArray[np.bool_]


class Tile(NamedTuple):
    """One tile: `out[..., *tile.keep] = model(image[..., *tile.read])[..., *tile.take]`, a slice of each axis.

    Of a plan for several heads, `keep` and `take` are those of the first; `heads` has (keep, take) of each by name.
    """

    read: Slices
    keep: Slices
    take: Slices
    heads: dict[str, tuple[Slices, Slices]]


@dataclass(frozen=True)
class Line:
    """The tiles along one axis: as long as `length`, from `starts` on, and what each keeps of every head.

    `keeps[head][k]` are the units (first, last + 1) of the whole image that tile k keeps, and `offsets[head][k]` is
    what is added to a tile's own unit to have that of the whole image.
    """

    image: int
    length: int
    starts: tuple[int, ...]
    keeps: tuple[tuple[Span, ...], ...]
    offsets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Plan(Sequence[Tile]):
    """The tiles of an image for a network, one after another along the last axis.

    `contexts` has that of each head on each axis: exact, or from within which every unit draws the share `level` of its
    paths. `cost` is the pixels that are read over those of the image. `ignored` are layers taken for local, and why
    they are not.

    >>> from padviz.cutting.plan import plan_tiles
    >>> import padviz
    >>> plan = plan_tiles(padviz.load("unet_padded"), (1024, 1024), (512, 512))
    >>> len(plan), next(iter(plan)).read, round(plan.cost, 2)
    (9, (slice(0, 512, None), slice(0, 512, None)), 2.25)
    """

    network: Network = field(repr=False)
    image: Size
    tile: Size
    contexts: tuple[tuple[Context, ...], ...]
    lines: tuple[Line, ...] = field(repr=False)
    level: float | None = None
    ignored: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return prod(len(line.starts) for line in self.lines)

    @property
    def heads(self) -> tuple[str, ...]:
        """The layers that are kept, by name."""
        return self.network.targets

    @property
    def cost(self) -> float:
        """The pixels that all tiles read, over those of the image."""
        return len(self) * prod(self.tile) / prod(self.image)

    @overload
    def __getitem__(self, at: int) -> Tile: ...

    @overload
    def __getitem__(self, at: slice) -> list[Tile]: ...

    def __getitem__(self, at: int | slice) -> Tile | list[Tile]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        places = np.unravel_index(range(len(self))[at], [len(line.starts) for line in self.lines])
        axes = [(line, int(k)) for line, k in zip(self.lines, places, strict=True)]
        heads = {}
        for h, name in enumerate(self.heads):
            keep = tuple(slice(*line.keeps[h][k]) for line, k in axes)
            offsets = [line.offsets[h][k] for line, k in axes]
            take = tuple(slice(kept.start - n, kept.stop - n) for kept, n in zip(keep, offsets, strict=True))
            heads[name] = keep, take
        read = tuple(slice(line.starts[k], line.starts[k] + line.length) for line, k in axes)
        return Tile(read, *heads[self.heads[0]], heads)


def plan_tiles(
    network: Network, image: Size, tile: Size, objects: int = 0, without: frozenset[str] = frozenset(),
    level: float | None = None,
) -> Plan:  # fmt: skip
    """Plan tiles of at most `tile` pixels for an image, as few as keep every unit of every target right.

    Tiles are as long as the image is, modulo the lattice, so that rules that depend on the size choose as they do for
    the whole image. Any object of up to `objects` pixels lies within what one of them keeps right. At a `level` below 1
    units are kept that draw that share of their paths from within the tile, which is not exact.

    Raises
    ------
    OptionError
        Where a layer lets no context be exact, naming it; or where tiles are too small, with the least that are not.
    """
    network = network.at(image)
    contexts = exact_contexts(network, image, without)
    if level is not None:
        contexts = tuple(_at_level(network, image, pair, level) for pair in contexts)
    steps = [context.lattice for context in contexts[0]]
    sides = zip(image, tile, steps, strict=True)
    lengths = tuple(n if most >= n else most - (most - n) % step for n, most, step in sides)
    own = read_at_tile(network, lengths, tuple(steps)) if min(lengths) > 0 else None
    tile = own.size if own else tile
    axes = _axes(network, image, contexts, without, level is not None, own)
    lines = tuple(axis.plan(most, objects) for axis, most in zip(axes, tile, strict=True))
    tile = tuple(line.length for line in lines)
    return Plan(network, image, tile, contexts, lines, level, ignored_of(network, without))


def ignored_of(network: Network, without: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """List the layers that are taken for local, each with why it is not."""
    layers = [layer for layer in network.layers if layer.name in without]
    return tuple((layer.name, min(filter(None, map(layer.whole, range(len(layer.ops)))))) for layer in layers)


def _at_level(network: Network, image: Size, own: tuple[Context, ...], level: float) -> tuple[Context, ...]:
    """Put the graded contexts of a head in place of the exact ones; no less than valid convolutions cut off."""
    if not 0 < level < 1:
        raise OptionError(f"{level:g} is no share of the paths", option="level", hint="use .99 or .999")
    graded = all_graded(network, image, own, level)
    if graded is None:
        what = f"a unit of {own[0].layer} sees more than padviz counts at once"
        raise OptionError(what, option="level", hint="leave it out for the exact context")
    return tuple(_graded(exact, *sides) for exact, sides in zip(own, graded, strict=True))


def _graded(exact: Context, before: int, after: int) -> Context:
    lost = [exact.before - exact.units[0] * exact.stride, exact.after - exact.units[1] * exact.stride]
    return replace(exact, before=max(before, ceil(lost[0])), after=max(after, ceil(lost[1])))


def exact_contexts(network: Network, image: Size, without: frozenset[str]) -> tuple[tuple[Context, ...], ...]:
    """Find the contexts of a network's targets; refuse, by name, a layer that lets none be exact."""
    contexts = contexts_of(network, image, without)
    if barrier := barrier_of(network, chain.from_iterable(contexts)):
        what = f"no tiles are exact: {barrier.layer} ({barrier.why})"
        raise OptionError(what, where=network.name, hint="plan as if it were local with `ignore_norms`")
    return contexts


def smallest_plan(network: Network, size: Size, without: frozenset[str]) -> Plan:
    """Plan the smallest tiles, three along each axis, of an image that is as long as `size` modulo the lattice.

    >>> import padviz
    >>> plan = smallest_plan(padviz.load("unet_padded"), (512, 512), frozenset())
    >>> plan.image, plan.tile, len(plan)
    ((240, 240), (208, 208), 9)
    """
    lengths, apart = _smallest(network, size, exact_contexts(network, size, without), without)
    return plan_tiles(network, tuple(n + 2 * k for n, k in zip(lengths, apart, strict=True)), lengths, without=without)


def _smallest(
    network: Network, size: Size, contexts: Sequence[Sequence[Context]], without: frozenset[str]
) -> tuple[Size, Size]:
    tile, apart = zip(*(axis.smallest() for axis in _axes(network, size, contexts, without)), strict=True)
    return tile, apart


class TileSize(NamedTuple):
    """A size of tiles: what each keeps of a large image, and the pixels read over those kept."""

    tile: Size
    keeps: Size
    cost: float


def tile_sizes(network: Network, size: Size, without: frozenset[str] = frozenset()) -> list[TileSize]:
    """List the smallest tiles, and the smallest that read at most so many times the pixels that they keep.

    >>> import padviz
    >>> [row.tile for row in tile_sizes(padviz.load("unet_padded"), (512, 512))]
    [(208, 208), (384, 384), (656, 656), (1056, 1056), (1824, 1824)]
    """
    contexts = exact_contexts(network, size, without)
    least, apart = _smallest(network, size, contexts, without)
    step = [pair.lattice for pair in contexts[0]]
    lost = [n - k for n, k in zip(least, apart, strict=True)]  # of any tile: one period more keeps one period more
    sizes = []
    for times in (None, *COSTS):
        periods = [
            max(0, ceil((n * (1 - 1 / times ** (1 / len(size))) ** -1 - m) / s)) if times else 0
            for n, m, s in zip(lost, least, step, strict=True)
        ]
        tile = tuple(m + k * s for m, k, s in zip(least, periods, step, strict=True))
        keeps = tuple(n - m for n, m in zip(tile, lost, strict=True))
        row = TileSize(tile, keeps, prod(tile) / prod(keeps))
        with suppress(PadvizError):  # where it does something else in such a tile
            own = read_at_tile(network, tile, tuple(step))
            sizes += [row] if row not in sizes and (own is None or own.size == tile) else []
    return sizes


def globals_of(network: Network) -> frozenset[str]:
    """Name the layers at which each position depends on all, or on the far side.

    >>> import padviz
    >>> len(globals_of(padviz.load("efficientnet_b0"))), len(globals_of(padviz.load("vgg11")))
    (16, 0)
    """
    return frozenset(layer.name for layer in network.layers if any(map(layer.whole, range(len(layer.ops)))))


@dataclass(frozen=True)
class _Axis:
    """A network on one axis of an image of `n` rows, and the context of each head there.

    With `graded`, units are kept that lie that context away from a tile's border, and not those that are right. `tile`
    is the network as it was read at a tile's size.
    """

    network: Network
    axis: int
    n: int
    without: frozenset[str]
    contexts: Sequence[Context]
    graded: bool
    tile: Network | None = None

    @property
    def step(self) -> int:
        """The pixels on whose multiples tiles start."""
        return self.contexts[0].lattice

    def plan(self, most: int, objects: int) -> Line:
        """Lay tiles of at most so many pixels; refuse too few, with the least that are enough."""
        if most >= self.n:
            sizes = self._sizes(self.n)
            return Line(self.n, self.n, (0,), tuple(((0, m),) for m in sizes), tuple((0,) for _ in sizes))
        length = most - (most - self.n) % self.step
        lengths = range(length if length > 0 else length + self.step, self.n, self.step)
        refused: list[SizeError] = []
        for least in lengths:
            try:
                line = self.lay(least, objects)
            except SizeError as error:
                refused.append(error)
                continue
            if line and least == length:
                return line
            if line:
                break
        else:
            least = self.n
        if refused and len(refused) == len(lengths):
            what = f"no tile smaller than the image is right: {refused[0].what}"
            raise SizeError(what, where=refused[0].where, hint=refused[0].hint)
        what = f"{most} {self.network.px} are too few: a tile needs {least} to keep anything that is right"
        raise OptionError(what, option="tile", hint=f"use `tile` {least} or more")

    def lay(self, length: int, objects: int) -> Line | None:
        """Lay tiles of one length, each as far on as inner tiles are right; None where any keeps too little.

        What each keeps is right in that very tile, in a row with the last unit that the tile before it has right.
        """
        inner, alike = self._inner(length)
        starts = [*range(0, self.n - length, self._apart(inner, objects) or self.n), self.n - length]
        tiles = [inner if alike[0] <= start <= alike[1] else self._units(start, length) for start in starts]
        keeps, offsets = [], []
        for h, (context, m) in enumerate(zip(self.contexts, self._sizes(self.n), strict=True)):
            shifts = [int(start / context.stride) for start in starts]
            end, cuts = 0, [0]
            for start, shift, tile in zip(starts, shifts, tiles, strict=True):
                first, last = (unit + shift for unit in run_at(tile[h], end - shift))
                if first > end or last <= end or (start and (end - first) * context.stride < objects):
                    return None
                if start:  # where two have the same units right, each keeps those nearer to its middle
                    cuts.append(max(ceil(Fraction(end + first, 2)), cuts[-1] + 1))
                end = last
            if end != m:
                return None
            keeps.append(tuple(pairwise((*cuts, m))))
            offsets.append(tuple(shifts))
        return Line(self.n, length, tuple(starts), tuple(keeps), tuple(offsets))

    def smallest(self) -> tuple[int, int]:
        """Find the least length of a tile that keeps a period of the lattice, and how far apart such tiles start."""
        read = max(context.before + context.after for context in self.contexts)
        least = read // self.step * self.step + (self.n % self.step or self.step)
        refused = SizeError("no tile is known to be right", where=self.network.name, hint="name an earlier `layer`")
        for length in range(least, 2 * least + 3 * self.step, self.step):
            try:
                apart = self._apart(self._inner(length)[0], 0)
                if apart and replace(self, n=length + 2 * apart).lay(length, 0):
                    return length, apart
            except SizeError as error:
                refused = error
        raise refused

    def _apart(self, inner: Sequence[Flags], objects: int) -> int:
        """Count how many pixels further on the next inner tile may start; 0 where they keep less than a period."""
        spans = [(context.stride, *longest_run(right)) for context, right in zip(self.contexts, inner, strict=True)]
        room = min((last - first) * stride for stride, first, last in spans)
        return max(0, int((room - objects) // self.step) * self.step)

    def _inner(self, length: int) -> tuple[list[Flags], tuple[Fraction, Fraction]]:
        """Find the units of each head that are right in an inner tile, and the first and last start of such tiles."""
        if self.graded:
            return self._units(None, length), (Fraction(1), self.n - length - Fraction(1))
        strides, sizes = lattice_on(self.network, self.axis, self.n).strides, sizes_of(self.network, self.axis, self.n)
        units = self._right(None, length)
        low, high = Fraction(0), Fraction(self.n - length)
        for layer, own in zip(self.network.layers, units, strict=True):
            if own.rows:
                j = layer.inputs[0]
                low = max(low, -own.rows[0] * strides[j])
                high = min(high, (sizes[j] - 1 - own.rows[1]) * strides[j])
        return [units[i].from_(0) for i in self._heads], (low, high)

    def _units(self, start: int | None, length: int) -> list[Flags]:
        """Find the units of each head that are right in a tile, or far enough from its borders inside the image."""
        if not self.graded:
            units = self._right(start, length)
            return [
                units[i].from_((start or 0) / own.stride) for i, own in zip(self._heads, self.contexts, strict=True)
            ]
        flags = [np.ones(m, dtype=bool) for m in self._sizes(length)]
        for context, right in zip(self.contexts, flags, strict=True):
            lost = (length - len(right) * context.stride) / 2  # pixels that the map does not stand for, on each side
            first, last = (max(0, ceil((side - lost) / context.stride)) for side in (context.before, context.after))
            right[: 0 if start == 0 else first] = False
            right[len(right) if start is not None and start + length == self.n else max(0, len(right) - last) :] = False
        return flags

    def _right(self, start: int | None, length: int) -> list[Units]:
        own = self.tile if self.tile and self.tile.size[self.axis] == length else None
        return right_units(self.network, self.axis, Cut(self.n, start, length), self.without, own)

    @property
    def _heads(self) -> list[int]:
        return [self.network.index[context.layer] for context in self.contexts]

    def _sizes(self, n: int) -> list[int]:
        sizes = sizes_of(self.network, self.axis, n)
        return [sizes[i] for i in self._heads]


def _axes(
    network: Network, image: Size, contexts: Sequence[Sequence[Context]], without: frozenset[str],
    graded: bool = False, tile: Network | None = None,
) -> list[_Axis]:  # fmt: skip
    pairs = enumerate(zip(image, zip(*contexts, strict=True), strict=True))
    return [_Axis(network, i, n, without, own, graded, tile) for i, (n, own) in pairs]
