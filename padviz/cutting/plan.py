"""A plan: which tiles to read of an image, and which units of each to keep, so that every unit is kept once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import ceil, prod
from typing import NamedTuple, overload

import numpy as np

from padviz.cutting.context import Context, exact_contexts, graded_contexts
from padviz.cutting.exact_units import Cut, Flags, Units, exact_units, longest_run, run_around
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.geometry.reaching.alignment import ALIKE, alignment_on
from padviz.network.network import Network, Size, in_words
from padviz.network.sizes import another_at, is_square, sizes_of

COSTS = (4, 2, 1.5, 1.25)  # times the pixels: of each the smallest tile is listed
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
    """The tiles along one axis: their length, where they start, and what each keeps of every head.

    `keeps[head][k]` are the units (first, last + 1) of the whole image that tile k keeps; a tile's own unit plus
    `offsets[head][k]` is that of the whole image.
    """

    image: int
    length: int
    starts: tuple[int, ...]
    keeps: tuple[tuple[Span, ...], ...]
    offsets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Plan(Sequence[Tile]):
    """The tiles of an image for a network, one after another along the last axis.

    `contexts` are those of each head on each axis: exact, or from within which every unit draws the share `level` of
    its paths. `ignored` are layers that count as local, and why they are not.

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
    """Plan tiles of at most `tile` pixels for an image, as few as keep every unit of every target exact.

    Tiles are as long as the image is, modulo the alignment, so that rules that depend on the size choose as they do for
    the whole image. Any object of up to `objects` pixels lies within the exact units of one of them. With a `level`
    below 1, units are kept that draw that share of their paths from within the tile, which is not exact.

    Raises OptionError if a layer lets no context be exact, naming it; or if tiles are too small, with the least size
    that is not.
    """
    network = network.at(image)
    contexts = exact_contexts(network, image, without)
    if level is not None:
        contexts = tuple(graded_contexts(network, image, head, level) for head in contexts)
    steps = [context.alignment for context in contexts[0]]
    sides = zip(image, tile, steps, strict=True)
    lengths = tuple(n if most >= n else most - (most - n) % step for n, most, step in sides)
    own = read_at_tile(network, lengths, tuple(steps)) if min(lengths) > 0 else None
    axes = _axes(network, image, contexts, without, level is not None, own)
    line_of = cache(_Axis.plan)  # equal axes have equal lines
    lines = tuple(line_of(axis, most, objects) for axis, most in zip(axes, own.size if own else tile, strict=True))
    tile = tuple(line.length for line in lines)
    return Plan(network, image, tile, contexts, lines, level, ignored_of(network, without))


def read_at_tile(network: Network, size: Size, steps: Size) -> Network | None:
    """Read a network at the size of a tile, where it must be what it is at the image's size, but for pads.

    If it is not, tiles some steps smaller are tried, since networks pad images to multiples of their own. None for a
    description, which is the same at each size.

    Raises OptionError if the network does not take the tile, or naming the first layer that differs there.
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


def ignored_of(network: Network, without: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """List the layers that count as local, each with why it is not."""
    layers = [layer for layer in network.layers if layer.name in without]
    return tuple((layer.name, min(filter(None, map(layer.whole, range(len(layer.ops)))))) for layer in layers)


def smallest_plan(network: Network, size: Size, without: frozenset[str]) -> Plan:
    """Plan the smallest tiles, three along each axis, of an image that is as long as `size` modulo the alignment."""
    lengths, steps = _smallest(network, size, exact_contexts(network, size, without), without)
    image = tuple(length + 2 * step for length, step in zip(lengths, steps, strict=True))
    return plan_tiles(network, image, lengths, without=without)


def _smallest(
    network: Network, size: Size, contexts: Sequence[Sequence[Context]], without: frozenset[str]
) -> tuple[Size, Size]:
    """Return the smallest tile, and how many pixels further on the next one starts."""
    smallest = cache(_Axis.smallest)  # equal axes have the same
    lengths, steps = zip(*map(smallest, _axes(network, size, contexts, without)), strict=True)
    return lengths, steps


class TileSize(NamedTuple):
    """A size of tiles: what each keeps of a large image, and the pixels read over those kept."""

    tile: Size
    keeps: Size
    cost: float


def tile_sizes(network: Network, size: Size, without: frozenset[str] = frozenset()) -> list[TileSize]:
    """List the smallest tiles, and the smallest whose overhead stays below each of a few ratios."""
    contexts = exact_contexts(network, size, without)
    least, apart = _smallest(network, size, contexts, without)
    alignment = [context.alignment for context in contexts[0]]
    lost = [n - keeps for n, keeps in zip(least, apart, strict=True)]  # of any tile: one period more keeps one more
    sizes: list[TileSize] = []
    for cost in (None, *COSTS):
        tile = least
        if cost:  # on each axis a tile of n costs n / (n - lost), at most the root of the whole cost
            root = cost ** (1 / len(size))
            enough = (n * root / (root - 1) for n in lost)
            sides = zip(least, enough, alignment, strict=True)
            tile = tuple(n + max(0, ceil((most - n) / step)) * step for n, most, step in sides)
        keeps = tuple(n - m for n, m in zip(tile, lost, strict=True))
        row = TileSize(tile, keeps, prod(tile) / prod(keeps))
        with suppress(PadvizError):  # tiles at whose size the network is another one
            own = read_at_tile(network, tile, tuple(alignment))
            if row not in sizes and (own is None or own.size == tile):
                sizes.append(row)
    return sizes


def globals_of(network: Network) -> frozenset[str]:
    """Return the names of layers at which each position depends on all, or on the far side."""
    return frozenset(layer.name for layer in network.layers if any(map(layer.whole, range(len(layer.ops)))))


@contextmanager
def padded_to_fit(load: Callable[[], Network], size: Size | None) -> Iterator[None]:
    """If a network does not take an image of `size`, name the size to pad it to; `load` reads it at its own size.

    Raises OptionError in place of an error of a network that is read at `size`.
    """
    try:
        yield
    except PadvizError:
        better = None
        with suppress(PadvizError):
            if size is not None:
                network = load()
                steps = [alignment_on(network, axis, n).step for axis, n in enumerate(network.size)]
                sides = zip(network.pixels(size), network.size, steps, strict=True)
                better = tuple(n + (own - n) % step for n, own, step in sides)
        if size is None or better is None or better == size:
            raise
        reason = f"the network does not take {in_words(size)}, where its maps part"
        raise OptionError(reason, option="size", hint=f"pad the image to {in_words(better)}") from None


@dataclass(frozen=True)
class _Axis:
    """A network on one axis of an image of `n` rows, and the context of each head there.

    With `graded`, units are kept that lie their context away from a tile's border, exact or not. `tile` is the network
    as it was read at a tile's size.
    """

    network: Network
    axis: int
    n: int
    without: frozenset[str]
    contexts: tuple[Context, ...]
    graded: bool
    tile: Network | None = None

    @property
    def step(self) -> int:
        """The pixels on whose multiples tiles start."""
        return self.contexts[0].alignment

    def plan(self, most: int, objects: int) -> Line:
        """Place tiles of at most `most` pixels; refuse too few, naming the least length that is enough."""
        if most >= self.n:
            sizes = self._sizes(self.n)
            return Line(self.n, self.n, (0,), tuple(((0, m),) for m in sizes), tuple((0,) for _ in sizes))
        wanted = most - (most - self.n) % self.step
        lengths = range(wanted if wanted > 0 else wanted + self.step, self.n, self.step)
        refused: list[SizeError] = []
        for length in lengths:
            try:
                line = self.lay(length, objects)
            except SizeError as error:
                refused.append(error)
                continue
            if line and length == wanted:
                return line
            if line:
                raise self._too_few(most, length)
        if refused and len(refused) == len(lengths):
            what = f"no tile smaller than the image is exact: {refused[0].what}"
            raise SizeError(what, where=refused[0].where, hint=refused[0].hint)
        raise self._too_few(most, self.n)

    def _too_few(self, most: int, least: int) -> OptionError:
        what = f"{most} {self.network.px} are too few: below {least}, a tile's border affects outputs that it must keep"
        return OptionError(what, option="tile", hint=f"use `tile` {least} or more")

    def lay(self, length: int, objects: int) -> Line | None:
        """Place tiles of one length, each as far on as inner tiles are exact; None where any keeps too little.

        Every tile keeps a run of units that are exact in that very tile and that continues the run of the one before.
        """
        inner, (first_inner, last_inner) = self._inner(length)
        starts = [*range(0, self.n - length, self._apart(inner, objects) or self.n), self.n - length]
        tiles = [inner if first_inner <= start <= last_inner else self._units(start, length) for start in starts]
        keeps, offsets = [], []
        for h, (context, m) in enumerate(zip(self.contexts, self._sizes(self.n), strict=True)):
            shifts = [int(start / context.stride) for start in starts]
            end, cuts = 0, [0]
            for start, shift, tile in zip(starts, shifts, tiles, strict=True):
                first, last = (unit + shift for unit in run_around(tile[h], end - shift))
                if first > end or last <= end or (start and (end - first) * context.stride < objects):
                    return None
                if start:  # units exact in both go to the tile whose middle is nearer
                    cuts.append(max(ceil(Fraction(end + first, 2)), cuts[-1] + 1))
                end = last
            if end != m:
                return None
            keeps.append(tuple(pairwise((*cuts, m))))
            offsets.append(tuple(shifts))
        return Line(self.n, length, tuple(starts), tuple(keeps), tuple(offsets))

    def smallest(self) -> tuple[int, int]:
        """Return the least length of a tile that keeps a whole period, and how far apart such tiles start."""
        read = max(context.before + context.after for context in self.contexts)
        least = read // self.step * self.step + (self.n % self.step or self.step)
        refused = SizeError("no tile is known to be exact", where=self.network.name, hint="name an earlier `layer`")
        for length in range(least, 2 * least + 3 * self.step, self.step):
            try:
                apart = self._apart(self._inner(length)[0], 0)
                if apart and replace(self, n=length + 2 * apart).lay(length, 0):
                    return length, apart
            except SizeError as error:
                refused = error
        raise refused

    def _apart(self, inner: Sequence[Flags], objects: int) -> int:
        """Return how many pixels further on the next inner tile may start; 0 if it keeps less than a period."""
        spans = [(context.stride, *longest_run(exact)) for context, exact in zip(self.contexts, inner, strict=True)]
        room = min((last - first) * stride for stride, first, last in spans)
        return max(0, int((room - objects) // self.step) * self.step)

    def _inner(self, length: int) -> tuple[list[Flags], tuple[Fraction, Fraction]]:
        """Return the units of each head that are exact in an inner tile, and the first and last start of such tiles."""
        if self.graded:
            return self._units(None, length), (Fraction(1), self.n - length - Fraction(1))
        strides, sizes = (
            alignment_on(self.network, self.axis, self.n).strides,
            sizes_of(self.network, self.axis, self.n),
        )
        units = self._exact(None, length)
        low, high = Fraction(0), Fraction(self.n - length)
        for layer, own in zip(self.network.layers, units, strict=True):
            if own.rows:
                j = layer.inputs[0]
                low = max(low, -own.rows[0] * strides[j])
                high = min(high, (sizes[j] - 1 - own.rows[1]) * strides[j])
        return [units[i].placed(0) for i in self._heads], (low, high)

    def _units(self, start: int | None, length: int) -> list[Flags]:
        """Return the units of each head that are exact in a tile, or far enough from its borders inside the image."""
        if not self.graded:
            units = self._exact(start, length)
            heads = zip(self._heads, self.contexts, strict=True)
            return [units[i].placed((start or 0) / context.stride) for i, context in heads]
        flags = [np.ones(m, dtype=bool) for m in self._sizes(length)]
        for context, near in zip(self.contexts, flags, strict=True):
            lost = (length - len(near) * context.stride) / 2  # pixels that the map does not stand for, on each side
            first, last = (max(0, ceil((side - lost) / context.stride)) for side in (context.before, context.after))
            near[: 0 if start == 0 else first] = False
            near[len(near) if start is not None and start + length == self.n else max(0, len(near) - last) :] = False
        return flags

    def _exact(self, start: int | None, length: int) -> list[Units]:
        own = self.tile if self.tile and self.tile.size[self.axis] == length else None
        return exact_units(self.network, self.axis, Cut(self.n, start, length), self.without, own)

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
    """Return each axis of an image; where all are the same, each is the first."""
    same = len({*image}) == 1 and is_square(network)
    by_axis = enumerate(zip(image, zip(*contexts, strict=True), strict=True))
    return [_Axis(network, 0 if same else i, n, without, own, graded, tile) for i, (n, own) in by_axis]
