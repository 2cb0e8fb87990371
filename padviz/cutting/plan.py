"""A plan: which tiles to read of an image, and which units of each to keep, so that every unit is kept once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise, product
from math import ceil, prod
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.context import Context, all_graded, contexts_of
from padviz.cutting.right_units import Cut, right_units
from padviz.errors import OptionError, SizeError
from padviz.geometry.reaching.lattice import lattice_on
from padviz.geometry.reaching.near_padding import BeforeAfter
from padviz.network.network import Network, Size
from padviz.network.sizes import sizes_of

COSTS = (4, 2, 1.5, 1.25)  # times the pixels, of tile sizes that are told
Slices = tuple[slice, ...]  # on each axis
Span = tuple[int, int]


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
        return _tile(self.heads, [_on_axis(line, int(k)) for line, k in zip(self.lines, places, strict=True)])

    def __iter__(self) -> Iterator[Tile]:
        along = ([_on_axis(line, k) for k in range(len(line.starts))] for line in self.lines)
        heads = self.heads
        return (_tile(heads, axes) for axes in product(*along))


class _OnAxis(NamedTuple):
    """A tile on one axis: what it reads, and of each head what it keeps and takes."""

    read: slice
    heads: list[tuple[slice, slice]]


def _on_axis(line: Line, k: int) -> _OnAxis:
    spans = [(keeps[k], offsets[k]) for keeps, offsets in zip(line.keeps, line.offsets, strict=True)]
    heads = [(slice(first, last), slice(first - offset, last - offset)) for (first, last), offset in spans]
    return _OnAxis(slice(line.starts[k], line.starts[k] + line.length), heads)


def _tile(names: Sequence[str], axes: Sequence[_OnAxis]) -> Tile:
    heads = {}
    for h, name in enumerate(names):
        keep, take = zip(*(axis.heads[h] for axis in axes), strict=True)
        heads[name] = keep, take
    return Tile(tuple(axis.read for axis in axes), *heads[names[0]], heads)


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
    contexts = exact_contexts(network, image, without)
    axes = range(len(image))
    graded: list[tuple[BeforeAfter, ...]] = [() for _ in axes]
    if level is not None:
        contexts = tuple(_at_level(network, image, pair, level) for pair in contexts)
        graded = [tuple((pair[axis].before, pair[axis].after) for pair in contexts) for axis in axes]
    ends = [_Ends(network, axis, image[axis], without, graded[axis]) for axis in axes]
    lines = tuple(_line(each, most, objects) for each, most in zip(ends, tile, strict=True))
    tile = tuple(line.length for line in lines)
    return Plan(network, image, tile, contexts, lines, level, ignored_of(network, without))


def ignored_of(network: Network, without: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """List the layers that are taken for local, each with why it is not."""
    layers = [layer for layer in network.layers if layer.name in without]
    return tuple((layer.name, next(filter(None, map(layer.whole, range(len(layer.ops)))))) for layer in layers)


def _at_level(network: Network, image: Size, own: tuple[Context, ...], level: float) -> tuple[Context, ...]:
    """Put the graded contexts of a head in place of the exact ones; no less than valid convolutions cut off."""
    if not 0 < level < 1:
        raise OptionError(f"{level:g} is no share of the paths", option="level", hint="use .99 or .999")
    graded = all_graded(network, image, own, [level])
    if graded is None:
        what = f"a unit of {own[0].layer} sees more than padviz counts at once"
        raise OptionError(what, option="level", hint="leave it out for the exact context")
    return tuple(_graded(exact, *sides[0]) for exact, sides in zip(own, graded, strict=True))


def _graded(exact: Context, before: int, after: int) -> Context:
    lost = [exact.before - exact.units[0] * exact.stride, exact.after - exact.units[1] * exact.stride]
    return replace(exact, before=max(before, ceil(lost[0])), after=max(after, ceil(lost[1])))


def exact_contexts(network: Network, image: Size, without: frozenset[str]) -> tuple[tuple[Context, ...], ...]:
    """Find the contexts of a network's targets; refuse, by name, a layer that lets none be exact."""
    contexts = contexts_of(network, image, without)
    for context in (own[axis] for axis in range(len(image)) for own in contexts):
        if context.barrier:
            what = f"no tiles are exact: {context.barrier.layer} ({context.barrier.why})"
            raise OptionError(what, where=network.name, hint="plan as if it were local with `ignore_norms`")
    return contexts


def smallest_plan(network: Network, size: Size, without: frozenset[str] = frozenset()) -> Plan:
    """Plan the smallest tiles, three along each axis, of an image that is as long as `size` modulo the lattice.

    >>> import padviz
    >>> plan = smallest_plan(padviz.load("unet_padded"), (512, 512))
    >>> plan.image, plan.tile, len(plan)
    ((240, 240), (208, 208), 9)
    """
    contexts = exact_contexts(network, size, without)
    lengths = [_smallest(network, axis, n, [own[axis] for own in contexts], without) for axis, n in enumerate(size)]
    image, tile = zip(*lengths, strict=True)
    return plan_tiles(network, image, tile, without=without)


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
    plan = smallest_plan(network, size, without)
    step = [pair.lattice for pair in plan.contexts[0]]
    lost = [line.length - line.starts[1] for line in plan.lines]  # of any tile: one period more keeps one period more
    sizes = []
    for times in (None, *COSTS):
        periods = [
            max(0, ceil((n * (1 - 1 / times ** (1 / len(size))) ** -1 - m) / s)) if times else 0
            for n, m, s in zip(lost, plan.tile, step, strict=True)
        ]
        tile = tuple(m + k * s for m, k, s in zip(plan.tile, periods, step, strict=True))
        keeps = tuple(n - m for n, m in zip(tile, lost, strict=True))
        row = TileSize(tile, keeps, prod(tile) / prod(keeps))
        sizes += [row] if row not in sizes else []
    return sizes


def _smallest(
    network: Network, axis: int, n: int, contexts: Sequence[Context], without: frozenset[str]
) -> tuple[int, int]:
    """Find the least length of a tile that keeps a period of the lattice, and of an image of three of them."""
    step, strides = contexts[0].lattice, [context.stride for context in contexts]
    read = max(context.before + context.after for context in contexts)
    tile = read // step * step + (n % step or step)
    while not (advance := _advance(_Ends(network, axis, tile + 2 * step, without), tile, step, strides, 0)):
        tile += step
    return tile + 2 * advance, tile


def globals_of(network: Network) -> frozenset[str]:
    """Name the layers at which each position depends on all, or on the far side.

    >>> import padviz
    >>> len(globals_of(padviz.load("efficientnet_b0"))), len(globals_of(padviz.load("vgg11")))
    (16, 0)
    """
    return frozenset(layer.name for layer in network.layers if any(map(layer.whole, range(len(layer.ops)))))


def _line(ends: _Ends, most: int, objects: int) -> Line:
    """Lay tiles along one axis, each as far on as the one before it is right."""
    network, axis, n = ends.network, ends.axis, ends.n
    sizes = [sizes_of(network, axis, n)[network.index[name]] for name in network.targets]
    if most >= n:
        return Line(n, n, (0,), tuple(((0, m),) for m in sizes), tuple((0,) for _ in sizes))
    step, strides = lattice_on(network, axis, n)
    length = most - (most - n) % step
    apart = [strides[network.index[name]] for name in network.targets]
    advance = _advance(ends, length, step, apart, objects)
    if not advance:
        least = next((m for m in range(length + step, n, step) if _advance(ends, m, step, apart, objects)), n)
        what = f"{most} {network.px} are too few: a tile needs {least} to keep anything that is right"
        raise OptionError(what, option="tile", hint=f"use `tile` {least} or more")
    starts = [0]
    while starts[-1] < n - length:
        starts.append(min(starts[-1] + advance, n - length))
    shifts = tuple(tuple(int(start / stride) for start in starts) for stride in apart)
    spans = [ends.of(start, length) for start in starts[:2]] + [ends.of(n - length, length)]
    keeps = tuple(_kept([heads[h] for heads in spans], shifts[h], sizes[h]) for h in range(len(sizes)))
    return Line(n, length, tuple(starts), keeps, shifts)


class _Ends(NamedTuple):
    """A network on one axis, with an image of `n` rows: what tiles of it have right, or what lies within `graded`."""

    network: Network
    axis: int
    n: int
    without: frozenset[str]
    graded: tuple[BeforeAfter, ...] = ()

    def of(self, start: int, length: int) -> list[Span]:
        """Find the units (first, last + 1) of each head that are right in a tile; (0, 0) where it is too small."""
        try:
            if self.graded:
                return self._within(start, length)
            units = right_units(self.network, self.axis, Cut(self.n, start, length), self.without)
        except SizeError:
            return [(0, 0)] * len(self.network.targets)
        return [longest_run(units[self.network.index[name]].right) for name in self.network.targets]

    def _within(self, start: int, length: int) -> list[Span]:
        """Find the units of each head that are as far from a border of the tile as its graded context."""
        strides, units = lattice_on(self.network, self.axis, length).strides, []
        sizes = sizes_of(self.network, self.axis, length)
        for name, (before, after) in zip(self.network.targets, self.graded, strict=True):
            stride, m = strides[self.network.index[name]], sizes[self.network.index[name]]
            lost = (length - m * stride) / 2  # pixels that the map does not stand for, on each side
            first = 0 if start == 0 else max(0, ceil((before - lost) / stride))
            last = 0 if start + length == self.n else max(0, ceil((after - lost) / stride))
            units.append((first, max(first, m - last)))
        return units


def longest_run(flags: NDArray[np.bool_]) -> Span:
    """Find the first and the last + 1 of the longest run of flags that are set."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).reshape(-1, 2)
    if not len(edges):
        return 0, 0
    first, last = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist()
    return first, last


def _advance(ends: _Ends, length: int, step: int, strides: Sequence[Fraction], objects: int) -> int:
    """Count how many pixels further on the next tile may start: 0 where tiles of that length keep too little."""
    inner, first = ends.of(min(step, ends.n - length), length), ends.of(0, length)
    if any(begin for begin, _ in first):
        return 0
    pairs = zip(first, inner, strides, strict=True)  # the inner one may be the last, which is right up to its end
    room = min((min(one[1], other[1]) - other[0]) * stride for one, other, stride in pairs)
    return max(0, int((room - objects) // step) * step)


def _kept(spans: Sequence[Span], shifts: Sequence[int], m: int) -> tuple[Span, ...]:
    """Part the `m` units among tiles: where two have the same ones right, each keeps those nearer to its middle.

    `spans` are what the first tile has right, what each further one has, and what the last one has.
    """
    kinds = [0, *[1] * (len(shifts) - 2), 2] if len(shifts) > 1 else [0]
    whole = [(spans[kind][0] + shift, spans[kind][1] + shift) for kind, shift in zip(kinds, shifts, strict=True)]
    cuts = [0, *(ceil(Fraction(a[1] + b[0], 2)) for a, b in pairwise(whole)), m]
    return tuple(pairwise(cuts))
