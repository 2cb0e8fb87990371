"""What tensors of a foreign graph hold, and how positions are arranged in their dimensions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TypeGuard, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from padviz.network.layer import Channels, Kind
from padviz.network.network import AXES, Size, in_words
from padviz.network.operations import Adaptive, Op, Window, out_size
from padviz.sources.tracing.dims import (
    Axis,
    Block,
    Channel,
    Dim,
    Dims,
    Factor,
    Position,
    flat,
    plain,
    shape_of,
    whole,
    with_dim,
)
from padviz.sources.tracing.trace import Ranges, Trace

STACKED = "reads stacked or flattened values as height or width"
MOST_PARTS = 1024  # crops that one space-to-depth may take
Cuts = tuple[tuple[str, int], ...]  # after how many rows of which axis
V = TypeVar("V", bound="Value")


class Stuck(Exception):
    """An operation that cannot be followed; it matters only if a target depends on it.

    Either it reads a `flattened` map as an image, or rows and columns were `mixed` for good.
    """

    def __init__(self, why: str, *, flattened: bool = False, mixed: bool = False) -> None:
        super().__init__(why)
        self.flattened, self.mixed = flattened, mixed


class Malformed(Exception):
    """Invalid data in a file."""


def from_front(axis: int, rank: int) -> int:
    """Count an axis from the front; raise `Malformed` if there is none."""
    if not -rank <= axis < rank:
        raise Malformed(f"it has {rank} dimensions and no axis {axis}")
    return axis % rank


@dataclass(frozen=True, slots=True)
class Value:
    """What a tensor holds: a `Map` or a `Constant`; `dims` is None where its shape is not known."""

    dims: Dims | None

    @property
    def known(self) -> Dims:
        if self.dims is None:
            raise Stuck("reads a tensor whose shape is not known")
        return self.dims

    @property
    def shape(self) -> list[int]:
        return shape_of(self.known)

    @property
    def has_parts(self) -> bool:
        return bool(flat(self.dims or ()).inner)

    @property
    def has_looked(self) -> bool:
        return bool(flat(self.dims or ()).looked)

    @property
    def at(self) -> int:
        raise Stuck("needs a feature map")

    def with_dim(self: V, at: int, *new: Dim) -> V:
        return replace(self, dims=with_dim(self.known, at, *new))

    def activated(self: V, dims: Dims | None) -> V:
        return replace(self, dims=dims)

    def part_of(self: V, dims: Dims, part: object) -> V:
        """Pick some of its channels, or make others of them; `part` identifies which."""
        return replace(self, dims=dims)


@dataclass(frozen=True, slots=True)
class Map(Value):
    """A `layer`, by its position in the trace, in some arrangement.

    `acted`: an activation was applied since its layer. `part`: which of the layer's channels it
    has, where not all. `split_name`: what the layer is called that a pending split of rows or
    columns will become. `windows`, of scores: after how many rows and columns a mask cuts the last
    window in two.
    """

    layer: int
    acted: bool = False
    part: tuple[object, ...] = ()
    split_name: str = ""
    windows: Cuts = ()

    @property
    def at(self) -> int:
        return self.layer

    def activated(self, dims: Dims | None) -> Map:
        return replace(self, dims=dims, acted=True)

    def part_of(self, dims: Dims, part: object) -> Map:
        return replace(self, dims=dims, part=(*self.part, part))


@dataclass(frozen=True, slots=True)
class Constant(Value):
    """Numbers: in an `array` where they are few, or else by what works them out `later`."""

    array: NDArray[np.generic] | None = None
    later: object = None


def whole_axes(positions: Sequence[Position]) -> set[str]:
    axes = Dim(*positions).within(Axis)
    if not all(axis.is_whole for axis in axes):
        raise Stuck("mixes positions inside of windows")
    return {axis.role for axis in axes}


def in_places(dims: Dims) -> Dims:
    """Turn inner parts of split axes into places of a block, and outer parts into whole axes."""

    def placed(factor: Factor) -> Factor:
        if not isinstance(factor, Axis) or factor.looked:
            return factor
        if factor.inner:
            return Block(factor.size, factor.role)
        return replace(factor, step=1)

    return map_factors(placed, dims)


def map_factors(change: Callable[[Factor], Factor], dims: Dims) -> Dims:
    return tuple(Dim(*map(change, dim)) for dim in dims)


def block_of(parts: Iterable[Axis], roles: Iterable[str]) -> dict[str, int]:
    """Return how many rows and columns the parts of split axes have together, by axis."""
    block = dict.fromkeys(roles, 1)
    for part in parts:
        if part.role in block:
            block[part.role] *= part.size
    return block


class Arranger(Trace):
    """A trace that also adds the layers that slices, rolls and splits become.

    Each is added once, however many calls read it: `laid` has them by what they are made of.
    `block_norms` has norms over the places of blocks, with the layer before them.
    """

    def __init__(
        self,
        where: str,
        size: Size,
        neutral: Iterable[str] = (),
        batch: int = 1,
        block: str = ".",
        follow_tokens: bool = False,
    ) -> None:
        super().__init__(where, size)
        self.neutral = frozenset(neutral)  # operations to treat as elementwise
        self.batch = batch  # images
        self.block = block  # between the name of a split and the places of its blocks
        self.follow_tokens = follow_tokens  # whether positions beside tokens are followed
        self.tokens_added = self.tokens_removed = False
        self.laid: dict[tuple[object, ...], int] = {}
        self.block_norms: dict[tuple[int, tuple[int, ...]], int] = {}

    def input_image(self, channels: int, channels_last: bool = False) -> Map:
        sides = [whole(role, n) for role, n in self.sides(0).items()]
        if channels_last:
            sides.append(plain(channels))
        else:
            sides.insert(0, plain(channels))
        return Map((plain(self.batch), *sides), 0)

    def end(self, name: str, value: Value) -> None:
        if isinstance(value, Map):
            self.ends.add(value.at)
            if self.layers[value.at].pooled:
                self.vectors[name] = value.at

    def note_layout(self, name: str, value: Map) -> None:
        """Record an output whose last dimensions are not the axes of the image in their order."""
        if value.dims is None or self.layers[value.at].pooled:
            return
        axes = len(self.axes)
        roles = dict(enumerate(self.axes, len(value.dims) - axes))
        for i, dim in enumerate(value.dims):
            if dim.has_positions and dim.axis != roles.get(i):
                last = in_words(AXES[axes])
                why = f"is {in_words(value.shape)}, whose last dimensions are not {last}"
                self.turned[name] = why

    def is_spatial(self, x: Value) -> TypeGuard[Map]:
        """Whether a value is a map with positions, rather than a constant or a pooled vector."""
        return isinstance(x, Map) and not self.layers[x.at].pooled

    def identity(self, x: Map) -> tuple[object, ...]:
        """Return what paths see of a map: its layer without norms, and the part of its channels."""
        return self.without_norms(x.at), x.part

    def unsplit(self, x: V) -> V:
        """Turn pending splits of rows and columns into layers, as space-to-depth does."""
        if not isinstance(x, Map):
            return x
        inner = [part for part in flat(x.dims or ()).inner if not part.looked]
        if inner:
            with self.made_by(x.split_name):
                layer = self.space_to_depth(x.split_name, x.at, block_of(inner, self.axes))
            x = replace(x, layer=layer, dims=in_places(x.known))
        return cast("V", replace(cast("Map", x), split_name=""))

    def split_alike(self, values: Sequence[Map]) -> list[Map]:
        """Add the layers of pending splits, unless all maps are split alike, to join the values."""
        splits: set[tuple[tuple[Position, ...], ...]] = set()
        for x in values:
            if self.is_spatial(x):
                splits.add(tuple(tuple(dim.positions) for dim in x.known))
        if len(splits) == 1:
            return [*values]
        return [*map(self.unsplit, values)]

    def rows_of(
        self,
        layer: int,
        parts: Mapping[str, slice] | None = None,
    ) -> tuple[int, dict[str, range]]:
        """Return what a layer, or some `parts` of it, is cropped from, and its rows there."""
        base, before = self.layers[layer].cropped or (layer, {})
        runs: dict[str, range] = {}
        for role, n in self.sides(base).items():
            run = before.get(role, range(n))
            if parts and role in parts:
                run = run[parts[role]]
            if run != range(n):
                runs[role] = run
        return base, runs

    def crop(self, name: str, layer: int, runs: Ranges) -> int:
        key = ("crop", layer, tuple(runs.items()))
        if key not in self.laid:
            ops: list[Op | None] = []
            for role, n in self.sides(layer).items():
                run = runs.get(role, range(n))
                ops.append(Window(1, run.step, padding=(-run.start, min(run.stop - n, 0))))
            self.laid[key] = self.add(name, "crop", (layer,), ops)
            self.mark(self.laid[key], cropped=(layer, dict(runs)))
        return self.laid[key]

    def roll(self, name: str, layer: int, shifts: Mapping[str, int]) -> int:
        """Shift rows and columns, those at the end to the front.

        Shifting a roll back gives the layer before it.
        """
        base, before = self.layers[layer].rolled or (layer, (0,) * len(self.axes))
        shifted: list[int] = []
        for earlier, (role, n) in zip(before, self.sides(base).items(), strict=True):
            rows = (earlier + shifts.get(role, 0)) % n
            # By more than half of the rows is the same as by less, the other way round.
            shifted.append((rows + n // 2) % n - n // 2)
        if not any(shifted):
            return base
        key = ("roll", base, (*shifted,))
        if key not in self.laid:
            ops = [Window(1, padding=(n, -n), mode="circular") if n else None for n in shifted]
            self.laid[key] = self.add(name, "roll", (base,), ops)
            self.mark(self.laid[key], rolled=(base, (*shifted,)))
        return self.laid[key]

    def space_to_depth(self, name: str, layer: int, blocks: Mapping[str, int]) -> int:
        """Turn each block of positions into one: add a crop for each place, and join them."""
        block = tuple(blocks.get(role, 1) for role in self.axes)
        layer = self.block_norms.get((layer, block), layer)
        if prod(block) > MOST_PARTS:
            raise Stuck(f"makes {prod(block)} maps of one")
        key = ("block", layer, block)
        if key not in self.laid:
            parts: list[int] = []
            for place in product(*map(range, block)):
                cuts: dict[str, range] = {}
                steps = zip(self.sides(layer).items(), place, block, strict=True)
                for (role, n), first, step in steps:
                    cuts[role] = range(first, n, step)
                title = ".".join(map(str, place))
                parts.append(self.crop(f"{name}{self.block}{title}", layer, cuts))
            self.laid[key] = self.merge(name, "concat", parts)
        return self.laid[key]

    def has_several(self, layer: int, roles: Iterable[str]) -> bool:
        sides = self.sides(layer)
        return any(sides[role] > 1 for role in roles)

    def add_map(
        self,
        name: str,
        kind: Kind,
        x: Value,
        ops: Mapping[str, Op | None],
        channels: Channels | None = None,
    ) -> Map:
        """Add a layer with an operation for each axis.

        The axis "" is one that the image lacks: a depth of one, for example.
        """
        beyond = ops.get("")
        if beyond and (getattr(beyond, "stride", 1) < 1 or out_size(beyond, 1) != 1):
            raise Stuck("makes several positions of one along an axis that the image lacks")
        layer = self.add(name, kind, (x.at,), self.ops(ops), channels=channels)
        origin = self.layers[layer].origin
        if origin:
            places = {dim.axis: place for place, dim in enumerate(x.known)}
            dims = tuple(places.get(role, -1) for role in self.axes)
            self.mark(layer, origin=origin._replace(dims=dims))
        return Map(self.resize_dims(x.known, layer), layer)

    def resize_dims(self, dims: Dims, layer: int) -> Dims:
        if flat(dims).inner:
            return dims
        sides = self.sides(layer)

        def of_layer(factor: Factor) -> Factor:
            if isinstance(factor, Axis) and factor.is_whole:
                return replace(factor, size=sides[factor.role])
            return factor

        return map_factors(of_layer, dims)

    def pool_over(self, name: str, layer: int, roles: Collection[str]) -> int:
        if not self.has_several(layer, self.axes.keys() - roles):
            return self.add(name, "global", (layer,))
        if not self.has_several(layer, roles):
            return layer
        return self.add(name, "adaptive", (layer,), self.on(roles, Adaptive(1)))

    def without_mixed(self, name: str, x: Map) -> Map:
        """Turn rows and columns that share a dimension with channels into channels.

        Whatever reads such channels sees all of these rows and columns at once, so they are pooled.
        """
        if all(dim.kind != "mixed" for dim in x.known):
            return x
        x = self.unsplit(x)
        dims: list[Dim] = []
        lost: list[Position] = []
        kept: list[Position] = []
        for dim in x.known:
            if dim.kind == "mixed":
                if not any(isinstance(factor, Channel) for factor in dim):
                    raise Stuck("reads mixed height, width and channels")
                lost += dim.positions
                dims.append(Dim(Block(dim.size)))
            else:
                if dim.has_positions:
                    kept += dim.positions
                dims.append(dim)
        if {position.unsized for position in lost} & {position.unsized for position in kept}:
            raise Stuck("reads a part of the rows or columns as channels")
        return Map((*dims,), self.pool_over(name, x.at, whole_axes(lost)))
