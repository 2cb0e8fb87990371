"""A plan: which tiles to read of an image, and which units of each to keep, so that every unit is
kept once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property
from itertools import pairwise, product
from math import ceil, prod
from typing import NamedTuple, overload

import numpy as np

from padviz.cutting.context import (
    ALIKE,
    Context,
    check_returned,
    contexts_of,
    exact_contexts,
    graded_contexts,
)
from padviz.cutting.exact_units import (
    Cut,
    Flags,
    Span,
    Units,
    exact_units,
    longest_run,
    runs_of,
)
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network, Size
from padviz.network.sizes import another_at, on_each, sizes_of

COSTS = (4, 2, 1.5, 1.25)  # times the pixels: of each the smallest tile is listed
LEVELS = (1, 0.999, 0.99)  # shares of the paths of a unit for which it is said what a tile keeps
KEEPS_TOO_LITTLE = "a tile's border affects outputs that it must keep"
Slices = tuple[slice, ...]  # on each axis
# along one axis: what a tile reads, keeps of each head, and takes
Part = tuple[slice, Slices, Slices]


class Tile(NamedTuple):
    """One tile: `out[..., *tile.keep] = model(image[..., *tile.read])[..., *tile.take]`, a slice of
    each axis.

    Of a plan for several heads, `keep` and `take` are those of the first; `heads` has (keep, take)
    of each by name.
    """

    read: Slices
    keep: Slices
    take: Slices
    heads: dict[str, tuple[Slices, Slices]]


@dataclass(frozen=True)
class Line:
    """The tiles along one axis: their length, where they start, and what each keeps of every head.

    `keeps[head][k]` are the units (first, last + 1) of the whole image that tile k keeps; a unit of
    the head stands for `strides[head]` pixels, and a tile has `units[head]`.
    """

    image: int
    length: int
    starts: tuple[int, ...]
    keeps: tuple[tuple[Span, ...], ...]
    strides: tuple[Fraction, ...]
    units: tuple[int, ...]

    @cached_property
    def parts(self) -> list[Part]:
        """What each tile reads, keeps and takes."""
        parts = []
        for k, start in enumerate(self.starts):
            keeps, takes = [], []
            for of_head, stride in zip(self.keeps, self.strides, strict=True):
                (first, last), offset = of_head[k], int(start / stride)
                keeps.append(slice(first, last))
                takes.append(slice(first - offset, last - offset))
            parts.append((slice(start, start + self.length), tuple(keeps), tuple(takes)))
        return parts


@dataclass(frozen=True)
class Plan(Sequence[Tile]):
    """The tiles of an image for a network, one after another along the last axis.

    `contexts` are those of each head on each axis: exact, or from within which every unit draws the
    share `level` of its paths. `ignored` are layers that count as local, and why they are not. Of a
    plan for a layer inside a module, `inside` is that module, which returns another map.

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
    inside: object = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "inside": None}

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
        return self._tile([line.parts[int(k)] for line, k in zip(self.lines, places, strict=True)])

    def __iter__(self) -> Iterator[Tile]:
        return map(self._tile, product(*(line.parts for line in self.lines)))

    def _tile(self, parts: Sequence[Part]) -> Tile:
        reads, keeps, takes = zip(*parts, strict=True)
        of_heads = zip(zip(*keeps, strict=True), zip(*takes, strict=True), strict=True)
        heads = dict(zip(self.heads, of_heads, strict=True))
        return Tile(reads, *heads[self.heads[0]], heads)


def plan_tiles(
    network: Network,
    image: Size,
    tile: Size,
    objects: int = 0,
    *,
    ignore_norms: bool = False,
    level: float | None = None,
) -> Plan:
    """Plan tiles of at most `tile` pixels for an image, as few as keep every unit of every target
    exact.

    Tiles are as long as the image is, modulo the alignment, so that rules that depend on the size
    choose as they do for the whole image. Any object of up to `objects` pixels lies within the
    exact units of one of them. With a `level` below 1, units are kept that draw that share of their
    paths from within the tile, which is not exact.

    Raises OptionError if a layer lets no context be exact, naming it; or if tiles are too small,
    with the least size that is not.
    """
    if not ignore_norms:
        check_returned(network)
    network = network.at(image)
    contexts = exact_contexts(network, image, ignore_norms)
    if level is not None:
        contexts = tuple(graded_contexts(network, image, head, level) for head in contexts)
    steps = tuple(context.alignment for context in contexts[0])
    at_tile, lengths = read_at_tile(network, _lengths(image, tile, steps), steps)
    line_of = cache(_Axis.plan)  # equal axes have equal lines
    axes = _axes(network, image, contexts, at_tile, _Axis if level is None else _GradedAxis)
    lines = tuple(
        line_of(axis, length, most, objects)
        for axis, length, most in zip(axes, lengths, tile, strict=True)
    )
    ignored: tuple[tuple[str, str], ...] = ()
    if ignore_norms:
        ignored = (*ignored_of(network), *network.behind)
    return Plan(
        network, image, tuple(line.length for line in lines), contexts, lines, level, ignored
    )


def read_at_tile(network: Network, size: Size, steps: Size) -> tuple[Network, Size]:
    """Read a network at the size of a tile, where it must be what it is at the image's size, but
    for pads; return it and that size.

    If it is not, tiles some steps smaller are tried, since networks pad images to multiples of
    their own. A description is the same at each size.

    Raises OptionError if the network does not take the tile, or naming the first layer that differs
    there.
    """
    if network.again is None or min(size) < 1:
        return network, size
    first = another_at(network, size)
    if first is None:
        return network.at(size), size
    for k in range(1, ALIKE // min(steps) + 1):
        smaller = tuple(n - k * step for n, step in zip(size, steps, strict=True))
        if min(smaller) > 0 and another_at(network, smaller) is None:
            return network.at(smaller), smaller
    raise OptionError(first[1], option="tile", where=first[0], hint="try another `tile`")


def _lengths(image: Size, tile: Size, steps: Size) -> Size:
    """Return the largest tiles of at most a size that are as long as the image modulo the
    alignment.
    """
    return tuple(
        min(n, most - (most - n) % step) for n, most, step in zip(image, tile, steps, strict=True)
    )


def ignored_of(network: Network) -> tuple[tuple[str, str], ...]:
    """List the layers by which each position depends on all, each with the reason."""
    reasons = (
        (layer.name, [*filter(None, map(layer.whole, range(len(layer.ops))))])
        for layer in network.layers
    )
    return tuple((name, min(why)) for name, why in reasons if why)


class Gathered(NamedTuple):
    """A map that is put together since a layer reads all of it."""

    layer: str
    shape: tuple[int, ...]
    bytes: int


class Choice(NamedTuple):
    """What a run needs: the bytes of its maps, as a run without data counted them, and the
    computing, over that of the run that makes each costly map once.
    """

    bytes: int
    computing: float


class Segments(NamedTuple):
    """The maps of a run that are stored, by number, and after which event which are forgotten.

    `chosen` is what that needs, and `faster` about what the next choice needs, with one map more.
    """

    stores: frozenset[int]
    drops: Mapping[int, Sequence[int]]
    chosen: Choice
    faster: Choice | None


@dataclass(frozen=True)
class LayerPlan:
    """Tiles of an image whose layers run one after another, each on all tiles, so that norms share
    statistics.

    There are `counts` tiles along each axis. Of a map of m rows, tile k of n has those from k * m
    // n on. `shared` are the layers that need all positions, and why: norms pool sums, attention
    reads maps that are put together. The plan is exact if it was run, on an image without data or
    on noise; else `untried` says why it was not. Where it was run, `gathered` are the maps that are
    put together, and `steps` counts the parts that are made. `segments` are the maps that are
    stored, and `process` is an estimate of the bytes that a process needs in all, if it is planned
    there; 0 if unknown.
    """

    network: Network = field(repr=False)
    image: Size
    tile: Size
    counts: Size
    shared: tuple[tuple[str, str], ...]
    untried: str
    gathered: tuple[Gathered, ...] = ()
    steps: int = 0
    segments: Segments | None = None
    process: int = field(default=0, compare=False)

    @property
    def tiles(self) -> int:
        """The number of tiles."""
        return prod(self.counts)

    @property
    def parts(self) -> dict[int, int]:
        """The number of parts along each dimension of the image, counted from the last."""
        return dict(zip(range(-len(self.counts), 0), self.counts, strict=True))


def check_evaluating(model: object) -> None:
    """Reject a module in training mode, where dropout is random and batch norms see a
    tile alone.
    """
    if trains := training(model):
        what = f"{trains} is in training mode"
        raise OptionError(what, option="model", hint="call model.eval()")


def training(model: object) -> str:
    """Return the name of the first module in training mode; "" if there is none."""
    if hasattr(model, "named_modules"):
        for name, module in model.named_modules():
            if module.training:
                return name or type(module).__name__
    return ""


def plan_by_layer(network: Network, image: Size, tile: Size) -> LayerPlan:
    """Plan tiles of at most `tile` pixels that share the statistics of norms and gates, without
    trying the plan.
    """
    network = network.at(image)
    counts = tuple(ceil(n / most) for n, most in zip(image, tile, strict=True))
    largest = tuple(ceil(n / k) for n, k in zip(image, counts, strict=True))
    return LayerPlan(network, image, largest, counts, ignored_of(network), "it has not run")


def _smallest(
    network: Network, size: Size, contexts: Sequence[Sequence[Context]]
) -> list[tuple[int, int]]:
    """Return for each axis the smallest tile, and how many pixels further on the next
    one starts.
    """
    axes = _axes(network, size, contexts, network)
    return [*map(cache(_Axis.smallest), axes)]  # equal axes have the same


class TileSize(NamedTuple):
    """A size of tiles: what each keeps of a large image, and the pixels read over those kept."""

    tile: Size
    keeps: Size
    cost: float


def tile_sizes(network: Network, size: Size, ignore_norms: bool = False) -> list[TileSize]:
    """List the smallest tiles, and the smallest whose overhead stays below each of a few ratios."""
    contexts = exact_contexts(network, size, ignore_norms)
    least, apart = zip(*_smallest(network, size, contexts), strict=True)
    alignment = tuple(context.alignment for context in contexts[0])
    # of any tile: one period more keeps one more
    lost = [n - keeps for n, keeps in zip(least, apart, strict=True)]
    sizes: list[TileSize] = []
    for cost in (None, *COSTS):
        tile = least
        # on each axis a tile of n costs n / (n - lost), at most the root of the whole cost
        if cost:
            root = cost ** (1 / len(size))
            enough = (n * root / (root - 1) for n in lost)
            sides = zip(least, enough, alignment, strict=True)
            tile = tuple(n + max(0, ceil((most - n) / step)) * step for n, most, step in sides)
        keeps = tuple(n - m for n, m in zip(tile, lost, strict=True))
        row = TileSize(tile, keeps, prod(tile) / prod(keeps))
        with suppress(PadvizError):  # tiles at whose size the network is another one
            if row not in sizes and read_at_tile(network, tile, alignment)[1] == tile:
                sizes.append(row)
    return sizes


class Kept(NamedTuple):
    """What a tile inside of an image keeps of a layer on an axis: units that draw this share of
    their paths from it.

    `pixels` are those that the `units` stand for; the tile reads `before` and `after` pixels around
    them.
    """

    level: float
    layer: str
    axis: str
    units: int
    pixels: float
    before: float
    after: float


def kept_of(network: Network, image: Size, tile: Size) -> list[Kept]:
    """List what tiles of a size keep: at level 1 what is exact, which is nothing where a layer
    depends on all.

    At other levels, nothing is listed if a unit sees more than padviz counts at once.

    Raises OptionError for a tile that is smaller than the alignment.
    """
    network = network.at(image)
    contexts, kept = contexts_of(network, image), list[Kept]()
    steps = tuple(context.alignment for context in contexts[0])
    at_tile, lengths = read_at_tile(network, _lengths(image, tile, steps), steps)
    if min(lengths) < 1:
        raise OptionError(
            f"tiles start on multiples of {max(steps)}", option="tile", hint="use a larger `tile`"
        )
    for level, head in product(LEVELS, contexts):
        if level < 1:
            try:
                head = graded_contexts(network, image, head, level)
            except OptionError:
                continue
        for axis, context in enumerate(head):
            n, lost = lengths[axis], (0, 0)
            m = sizes_of(at_tile, axis, n)[at_tile.index[context.layer]]
            if n < image[axis]:
                lost = context.lost(n, m)
            units = max(0, m - sum(lost))
            if not units or (context.barrier and level == 1):
                units, lost = 0, (0, 0)
            pixels = (float(n_units * context.stride) for n_units in (units, *lost))
            kept.append(Kept(level, context.layer, network.axes[axis], units, *pixels))
    return kept


class _KeepsTooLittle(SizeError):
    """Some unit of the image is exact in no tile of a length, or some object fits into none."""

    def __init__(self) -> None:
        super().__init__(KEEPS_TOO_LITTLE)


@dataclass(frozen=True)
class _Axis:
    """A network on one axis of an image of `n` rows, and the context of each head there.

    `tile` is the network as it was read at a tile's size. Names in _px count rows of the image. A
    head's units are counted from the start of a tile, or of the image.
    """

    network: Network
    axis: int
    n: int
    contexts: tuple[Context, ...]
    tile: Network

    @property
    def step(self) -> int:
        """The pixels on whose multiples tiles start."""
        return self.contexts[0].alignment

    def plan(self, wanted_px: int, most_px: int, objects_px: int) -> Line:
        """Place tiles of the length that is wanted, the longest of at most `most_px` pixels; refuse
        too few, naming the least length that is enough.
        """
        refused = list[SizeError]()
        first_px = wanted_px
        if wanted_px < 1:
            first_px += self.step
        # The last length is that of the image, a single tile that keeps everything.
        lengths_px = range(first_px, self.n + 1, self.step)
        for length_px in lengths_px:
            try:
                line = self.lay(length_px, objects_px)
            except _KeepsTooLittle:
                continue
            except SizeError as error:
                refused.append(error)
                continue
            if length_px == wanted_px:
                return line
            break
        if refused and len(refused) == len(lengths_px) - 1:
            what = f"no tile smaller than the image is exact: {refused[0].what}"
            raise SizeError(what, where=refused[0].where, hint=refused[0].hint)
        what = f"{most_px} {self.network.px} are too few: below {length_px}, {KEEPS_TOO_LITTLE}"
        widest = max(self.contexts, key=lambda context: context.before + context.after)
        what += f" (context: {widest.before} + {widest.after})"
        hint = f"use `tile` {length_px} or more"
        # A tile of n costs n / (n - lost) on each axis, as in `tile_sizes`.
        lost, root = length_px - self.step, 2 ** (1 / len(self.network.axes))
        longer = max(0, ceil((lost * root / (root - 1) - length_px) / self.step))
        twice = length_px + longer * self.step
        if length_px < twice < self.n:
            hint += f"; from {twice} on, tiles read at most twice a large input"
        raise OptionError(what, option="tile", hint=hint)

    def lay(self, length_px: int, objects_px: int) -> Line:
        """Place tiles of one length, each as far on as inner tiles are exact.

        Raises _KeepsTooLittle if these tiles do not keep everything, or another SizeError if they
        cannot be read.
        """
        inner, first_px, last_px = self.inner(length_px)
        # Where inner tiles keep nothing, only those at both ends of the image are left.
        apart_px = self.apart(inner, objects_px) or self.n
        starts_px = [*range(0, self.n - length_px, apart_px), self.n - length_px]
        tiles = []
        for start_px in starts_px:
            is_inner = first_px <= start_px <= last_px
            tiles.append(inner if is_inner else self.kept(start_px, length_px))
        keeps = []
        for context, m, exact in zip(
            self.contexts, self.sizes(self.n), zip(*tiles, strict=True), strict=True
        ):
            runs = _runs(exact, [int(start_px / context.stride) for start_px in starts_px], m)
            if any((end - first) * context.stride < objects_px for first, end in _overlaps(runs)):
                raise _KeepsTooLittle
            keeps.append(_shared_out(runs))
        strides = tuple([context.stride for context in self.contexts])
        units = tuple([len(exact) for exact in inner])
        return Line(self.n, length_px, tuple(starts_px), tuple(keeps), strides, units)

    def smallest(self) -> tuple[int, int]:
        """Return the least length of a tile that keeps a whole period, and how far apart such tiles
        start.
        """
        read_px = max(context.before + context.after for context in self.contexts)
        least_px = read_px // self.step * self.step + (self.n % self.step or self.step)
        refused = SizeError(
            "no tile is known to be exact", where=self.network.name, hint="name an earlier `layer`"
        )
        for length_px in range(least_px, 2 * least_px + 3 * self.step, self.step):
            try:
                apart_px = self.apart(self.inner(length_px)[0], 0)
                if apart_px:
                    replace(self, n=length_px + 2 * apart_px).lay(length_px, 0)
                    return length_px, apart_px
            except _KeepsTooLittle:
                continue
            except SizeError as error:
                refused = error
        raise refused

    def apart(self, inner: Sequence[Flags], objects_px: int) -> int:
        """Return how many pixels further on the next inner tile may start; 0 if it keeps less than
        a period.
        """
        spans = [
            (context.stride, *longest_run(exact))
            for context, exact in zip(self.contexts, inner, strict=True)
        ]
        room_px = min((last - first) * stride for stride, first, last in spans)
        return max(0, int((room_px - objects_px) // self.step) * self.step)

    def inner(self, length: int) -> tuple[list[Flags], Fraction, Fraction]:
        """Return the units of each head to keep in an inner tile, and the first and last start of
        such tiles in px.
        """
        strides = alignment_on(self.network, self.axis, self.n).strides
        sizes = sizes_of(self.network, self.axis, self.n)
        units = self.units(None, length)
        low, high = Fraction(0), Fraction(self.n - length)
        for layer, of_layer in zip(self.network.layers, units, strict=True):
            if of_layer.rows:
                j = layer.inputs[0]
                low = max(low, -of_layer.rows[0] * strides[j])
                high = min(high, (sizes[j] - 1 - of_layer.rows[1]) * strides[j])
        return [units[i].placed(0) for i in self.heads], low, high

    def kept(self, start: int, length: int) -> list[Flags]:
        """Return the units of each head to keep in a tile: those that are exact."""
        units = self.units(start, length)
        return [
            units[i].placed(start / context.stride)
            for i, context in zip(self.heads, self.contexts, strict=True)
        ]

    def units(self, start: int | None, length: int) -> list[Units]:
        tile = self.network
        if self.tile.size[self.axis] == length:
            tile = self.tile
        return exact_units(self.network, self.axis, Cut(self.n, start, length), tile)

    @property
    def heads(self) -> list[int]:
        return [self.network.index[context.layer] for context in self.contexts]

    def sizes(self, n: int) -> list[int]:
        sizes = sizes_of(self.network, self.axis, n)
        return [sizes[i] for i in self.heads]


class _GradedAxis(_Axis):
    """An axis where tiles keep the units that lie their context away from a tile's border, exact or
    not.
    """

    def inner(self, length: int) -> tuple[list[Flags], Fraction, Fraction]:
        return self._away(length, True, True), Fraction(1), self.n - length - Fraction(1)

    def kept(self, start: int, length: int) -> list[Flags]:
        return self._away(length, start > 0, start + length < self.n)

    def _away(self, length: int, before: bool, after: bool) -> list[Flags]:
        """Return the units of each head that lie away from those borders that are not
        the image's.
        """
        flags = []
        for context, m in zip(self.contexts, self.sizes(length), strict=True):
            (first, last), units = context.lost(length, m), np.arange(m)
            flags.append((units >= first * before) & (units < m - last * after))
        return flags


def _runs(exact: Sequence[Flags], first_units: Sequence[int], m: int) -> list[Span]:
    """Return the run of exact units in each tile that continues the run of the one before, in units
    of the image.

    Unit u of tile k is unit u + first_units[k] of the image, which has m.
    """
    runs: list[Span] = []
    end = 0  # units of the image before it are in a run
    for exact_in_tile, first_unit in zip(exact, first_units, strict=True):
        unit = end - first_unit
        around = [run for run in runs_of(exact_in_tile) if run[0] <= unit < run[1]]
        if not around:
            raise _KeepsTooLittle
        first, last = around[0]
        end = last + first_unit
        runs.append((first + first_unit, end))
    if end != m:
        raise _KeepsTooLittle
    return runs


def _overlaps(runs: Sequence[Span]) -> list[Span]:
    """Return the units that are in the runs of a tile and of the next one."""
    return [(first, end) for (_, end), (first, _) in pairwise(runs)]


def _shared_out(runs: Sequence[Span]) -> tuple[Span, ...]:
    """Return the units that each tile keeps of its run: of those in two runs, each goes to the
    nearer tile.
    """
    cuts = [0]
    for first, end in _overlaps(runs):
        middle = ceil(Fraction(first + end, 2))
        cuts.append(max(middle, cuts[-1] + 1))
    _, m = runs[-1]
    return tuple(pairwise((*cuts, m)))


def _axes(
    network: Network,
    image: Size,
    contexts: Sequence[Sequence[Context]],
    tile: Network,
    kind: type[_Axis] = _Axis,
) -> Iterable[_Axis]:
    """Return each axis of an image; where all are the same, each is the first."""
    by_axis = [*zip(*contexts, strict=True)]
    return on_each(
        lambda network, axis, n: kind(network, axis, n, by_axis[axis], tile), network, image
    )
