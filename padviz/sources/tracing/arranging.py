"""What the tensors of a foreign graph hold, and how the positions of a layer are arranged in their dimensions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from padviz.network.layer import Channels, Kind
from padviz.network.network import Size
from padviz.network.operations import Adaptive, Op, Window, out_size
from padviz.sources.tracing.dims import Axis, Block, Channel, Dim, Dims, Factor, flat, plain, shape_of, whole, with_dim
from padviz.sources.tracing.trace import Trace

MOST_PARTS = 1024  # crops that one space-to-depth may take
Cuts = tuple[tuple[str, int], ...]  # after how many rows of which axis
Ranges = Mapping[str, range]  # rows or columns, by their axis
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
        return flat(self.dims or ()).has_parts

    @property
    def has_looked(self) -> bool:
        return flat(self.dims or ()).has_looked

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

    `acted`: an activation was applied since its layer. `part`: which of the layer's channels it has, where not all.
    `split_name`: what the layer is called that a pending split of rows or columns will become. `windows`, of scores:
    after how many rows and columns a mask cuts the last window in two.
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


def whole_axes(factors: Sequence[Factor]) -> set[str]:
    own = Dim(*factors).within(Axis)
    if Dim(*factors).has_places or not all(part.is_whole for part in own):
        raise Stuck("mixes positions inside of windows")
    return {part.role for part in own}


def in_places(dims: Dims) -> Dims:
    """Turn the inner parts of split axes into places of a block, and the outer parts into whole axes."""

    def placed(factor: Factor) -> Factor:
        if not isinstance(factor, Axis) or factor.looked:
            return factor
        return Block(factor.size, factor.role) if factor.inner else replace(factor, step=1)

    return tuple(Dim(*map(placed, dim)) for dim in dims)


class Arranger(Trace):
    """A trace that also adds the layers which slices, rolls and splits become: each once, however many calls read it.

    `laid` has these by what they are made of. `crops` has the layer that each is cropped (or mirrored) out of and the
    rows it keeps; `rolls` has the layer that each rolls, and by how far. `block_norms` are norms over the places of
    blocks, with the layer before them.
    """

    def __init__(
        self, where: str, size: Size, neutral: Iterable[str] = (), batch: int = 1, block: str = ".",
        follow_tokens: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(where, size)
        self.neutral = frozenset(neutral)  # operations to treat as elementwise
        self.batch = batch  # images
        self.block = block  # between the name of a split and the places of its blocks
        self.follow_tokens = follow_tokens  # whether positions beside tokens are followed
        self.tokens_added = self.tokens_removed = False
        self.laid: dict[tuple[object, ...], int] = {}
        self.crops: dict[int, tuple[int, Ranges]] = {}
        self.rolls: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.block_norms: dict[tuple[int, tuple[int, ...]], int] = {}

    def input_image(self, channels: int, channels_last: bool = False) -> Map:
        sides = [*map(whole, self.axes, self.sizes[0])]
        sides.insert(len(sides) if channels_last else 0, plain(channels))
        return Map((plain(self.batch), *sides), 0)

    def end(self, name: str, value: Value) -> None:
        if isinstance(value, Map):
            self.ends.add(value.at)
            self.vectors |= {name: value.at} if self.pooled[value.at] else {}

    def identity(self, x: Map) -> tuple[object, ...]:
        """Identify what paths see of a map: the layer, without a norm over it, and the part of its channels."""
        return self.without_norms(x.at), x.part

    def unsplit(self, x: V) -> V:
        """Add the layers of the splits of rows and columns that are pending in a value: space-to-depth."""
        if not isinstance(x, Map):
            return x
        inner = [part for part in flat(x.dims or ()).inner if not part.looked]
        blocks = {role: prod(part.size for part in inner if part.role == role) for role in self.axes}
        if max(blocks.values()) > 1:
            with self.made_by(x.split_name):
                layer = self.space_to_depth(x.split_name, x.at, blocks)
            x = replace(x, layer=layer, dims=in_places(x.known))
        return cast("V", replace(cast("Map", x), split_name=""))

    def split_alike(self, values: Sequence[Map]) -> list[Map]:
        """Add the layers of pending splits so that one layer can join the values, unless all maps are split alike."""
        maps = [x for x in values if not self.pooled[x.at]]
        splits = {tuple(tuple(dim.positions) for dim in x.known) for x in maps}
        return [*values] if len(splits) == 1 else [*map(self.unsplit, values)]

    def rows_of(self, layer: int, parts: Mapping[str, slice] | None = None) -> tuple[int, dict[str, range]]:
        """Return the layer that a layer, or some `parts` of it, is cropped from, and its rows there."""
        base, before = self.crops.get(layer, (layer, {}))
        whole = dict(zip(self.axes, map(range, self.sizes[base]), strict=True))
        runs = {role: before.get(role, run) for role, run in whole.items()}
        runs |= {role: runs[role][part] for role, part in (parts or {}).items()}
        return base, {role: run for role, run in runs.items() if run != whole[role]}

    def crop(self, name: str, layer: int, runs: Ranges) -> int:
        key = ("crop", layer, tuple(runs.items()))
        if key not in self.laid:
            sides = zip(self.axes, self.sizes[layer], strict=True)
            rows = [(runs.get(role, range(n)), n) for role, n in sides]
            ops = [Window(1, run.step, padding=(-run.start, min(run.stop - n, 0))) for run, n in rows]
            at = self.laid[key] = self.add(name, "crop", (layer,), ops)
            self.crops[at] = layer, dict(runs)
        return self.laid[key]

    def roll(self, name: str, layer: int, shifts: Mapping[str, int]) -> int:
        """Shift rows and columns, those at the end to the front; shifting a roll back gives the layer before it."""
        base, before = self.rolls.get(layer, (layer, (0,) * len(self.axes)))
        sums = zip(before, self.axes, self.sizes[base], strict=True)
        moved = tuple(((a + shifts.get(role, 0)) % n + n // 2) % n - n // 2 for a, role, n in sums)
        if not any(moved):
            return base
        key = ("roll", base, moved)
        if key not in self.laid:
            ops = [Window(1, padding=(n, -n), mode="circular") if n else None for n in moved]
            at = self.laid[key] = self.add(name, "roll", (base,), ops)
            self.rolls[at] = base, moved
        return self.laid[key]

    def space_to_depth(self, name: str, layer: int, blocks: Mapping[str, int]) -> int:
        """Turn each block of positions into one: add a crop for each place, and join them."""
        block = tuple(blocks.get(role, 1) for role in self.axes)
        layer = self.block_norms.get((layer, block), layer)
        if prod(block) > MOST_PARTS:
            raise Stuck(f"makes {prod(block)} maps of one")
        key = ("block", layer, block)
        if key not in self.laid:
            sizes = dict(zip(self.axes, self.sizes[layer], strict=True))
            parts = []
            for place in product(*map(range, block)):
                steps = zip(sizes, place, block, strict=True)
                cuts = {role: range(first, sizes[role], step) for role, first, step in steps}
                parts.append(self.crop(f"{name}{self.block}{'.'.join(map(str, place))}", layer, cuts))
            self.laid[key] = self.merge(name, "concat", parts)
        return self.laid[key]

    def has_several(self, layer: int, roles: Iterable[str]) -> bool:
        return any(self.sizes[layer][self.axes[role]] > 1 for role in roles)

    def add_map(
        self, name: str, kind: Kind, x: Value, ops: Mapping[str, Op | None], channels: Channels | None = None
    ) -> Map:  # fmt: skip
        """Add a layer with an operation for each role; "" is an axis that the image lacks, as a depth of one is."""
        if (beyond := ops.get("")) and (getattr(beyond, "stride", 1) < 1 or out_size(beyond, 1) != 1):
            raise Stuck("makes several positions of one along an axis that the image lacks")
        layer = self.add(name, kind, (x.at,), [ops.get(role) for role in self.axes], channels=channels)
        if [part.role for part in Dim(*flat(x.known).positions).within(Axis)] == ["w", "h"]:
            made = self.layers[layer]
            origin = made.origin and made.origin._replace(swapped=True)
            self.layers[layer] = replace(made, origin=origin)
        return Map(self.resize_dims(x.known, layer), layer)

    def resize_dims(self, dims: Dims, layer: int) -> Dims:
        if flat(dims).has_parts:
            return dims
        new = dict(zip(self.axes, self.sizes[layer], strict=True))

        def of_layer(factor: Factor) -> Factor:
            return replace(factor, size=new[role]) if (role := Dim(factor).axis) else factor

        return tuple(Dim(*map(of_layer, dim)) for dim in dims)

    def pool_over(self, name: str, layer: int, roles: Collection[str]) -> int:
        if not self.has_several(layer, {*self.axes} - {*roles}):
            return self.add(name, "global", (layer,))
        if not self.has_several(layer, roles):
            return layer
        return self.add(name, "adaptive", (layer,), self.on(roles, Adaptive(1)))

    def without_mixed(self, name: str, x: Map) -> Map:
        """Turn rows or columns that are one dimension with channels into channels: all of them are seen at once."""
        if not any(dim.is_mixed for dim in x.known):
            return x
        x = self.unsplit(x)
        mixed = [dim for dim in x.known if dim.is_mixed]
        if not all(any(isinstance(factor, Channel) for factor in dim) for dim in mixed):
            raise Stuck("reads mixed height, width and channels")
        lost = flat(mixed).positions
        kept = flat(dim for dim in x.known if dim.has_positions and dim not in mixed).positions
        if {at.kind for at in lost} & {at.kind for at in kept}:
            raise Stuck("reads a part of the rows or columns as channels")
        dims = tuple(plain(dim.size) if dim in mixed else dim for dim in x.known)
        return Map(dims, self.pool_over(name, x.at, whole_axes(lost)))
