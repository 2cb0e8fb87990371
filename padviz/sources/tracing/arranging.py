"""What the tensors of a foreign graph hold, and how the positions of a layer are arranged in their dimensions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any, TypeVar, cast

from padviz.axis.operations import Adaptive, Op, Window, out_size
from padviz.axis.resize import Resize
from padviz.network.layer import Channels, Kind
from padviz.sources.tracing.axis_labels import (
    Axis,
    Batch,
    Block,
    Channel,
    Dims,
    Factor,
    alone,
    axis_of,
    has_looked,
    has_parts,
    has_places,
    has_positions,
    image_at,
    inner_parts,
    is_flattened,
    is_mixed,
    kind_of,
    plain,
    positions,
    regrouped,
    reshaped,
    size_of,
    whole,
    within,
)
from padviz.sources.tracing.trace import Trace

MOST_PARTS = 1024  # crops that one space-to-depth may take
Cuts = tuple[tuple[str, int], ...]
V = TypeVar("V", bound="Value")


class Stuck(Exception):
    """A tensor cannot be followed through an operation; it matters only if a target depends on it."""


class Flattened(Stuck):
    """Rows and columns are one dimension beside channels: each position is there, but no image."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a tensor holds: a `Map`, a `Head` or a `Constant`; `dims` is None where its shape is not known."""

    dims: Dims | None

    @property
    def known(self) -> Dims:
        """Its dimensions, which must be known."""
        if self.dims is None:
            raise Stuck("reads a tensor whose shape is not known")
        return self.dims

    @property
    def at(self) -> int:
        """Its layer, which it must have."""
        raise Stuck("reads what is no map")

    @property
    def sources(self) -> frozenset[int]:
        """The layers it depends on, as far as outputs are concerned."""
        return frozenset()

    def activated(self: V, dims: Dims | None) -> V:
        """Copy it in other dimensions, after an activation."""
        return replace(self, dims=dims)

    def part_of(self: V, dims: Dims, part: object) -> V:
        """Take a part of its channels, or others made of them, in such dimensions."""
        return replace(self, dims=dims)


@dataclass(frozen=True, slots=True)
class Map(Value):
    """A `layer`, by its position in the trace, in some arrangement.

    It has `acted` once an activation was applied to it since its layer; `part` says which of the layer's channels it
    has, where not all; `cuts` are slices of its rows or columns that are not laid out yet, and `by` is the name that
    they, or a split of rows or columns, get. Of scores, `windows` says after how many rows and columns the last window
    is cut in two.
    """

    layer: int
    acted: bool = False
    part: tuple[object, ...] = ()
    cuts: tuple[tuple[str, range], ...] = ()
    by: str = ""
    windows: Cuts = ()

    @property
    def at(self) -> int:
        return self.layer

    @property
    def sources(self) -> frozenset[int]:
        return frozenset({self.layer})

    def activated(self, dims: Dims | None) -> Map:
        return replace(self, dims=dims, acted=True)

    def part_of(self, dims: Dims, part: object) -> Map:
        return replace(self, dims=dims, part=(*self.part, part))


@dataclass(frozen=True, slots=True)
class Head(Value):
    """What is no map any more: it is made of the layers `behind`, `flattened` if all of these were, or are vectors."""

    behind: frozenset[int] = frozenset()
    flattened: bool = False

    @property
    def sources(self) -> frozenset[int]:
        return self.behind


@dataclass(frozen=True, slots=True)
class Constant(Value):
    """Numbers: in an `array` where they are few, or else by what works them out `later`."""

    array: Any = None
    later: Any = None


def picked(x: V, axis: int, dims: Dims, which: object) -> V:
    """Pick some of the channels along a dimension, which `dims` take the place of."""
    match x.known[axis]:
        case (Batch(),):
            raise Stuck("picks some of a batch of several maps")
        case (Block(role="bins"), *_):
            return x.activated((*x.known[:axis], *dims, *x.known[axis + 1 :]))
        case own if positions(own) or alone(own):
            raise Stuck("picks rows or columns")
    grouped = (regrouped(x.known[axis : axis + 1], size_of(dim)) for dim in dims)
    return x.part_of((*x.known[:axis], *grouped, *x.known[axis + 1 :]), (axis, which))


def of_batch(x: Map, axis: int, taken: range) -> Map | None:
    """Take some of a batch of the image and constants: those without the image are constant, and no map."""
    at = image_at(x.known[axis])
    if at is None or at not in taken:
        return None
    rest = () if len(taken) == 1 else (Batch(len(taken), taken.index(at)),)
    return replace(x, dims=(*x.known[:axis], rest, *x.known[axis + 1 :]))


def whole_axes(dim: Sequence[Factor]) -> set[str]:
    """Name the axes that rows and columns are of, which must be all of these."""
    own = within(Axis, dim)
    if has_places([tuple(dim)]) or not all(part.is_whole for part in own):
        raise Stuck("mixes positions inside of windows")
    return {part.role for part in own}


def in_places(dims: Dims) -> Dims:
    """Make places of the inner parts of axes, and whole axes of the outer ones."""
    return tuple(tuple(map(_placed, dim)) for dim in dims)


def _placed(factor: Factor) -> Factor:
    if not isinstance(factor, Axis) or factor.looked:
        return factor
    return Block(factor.size, factor.role) if factor.inner else replace(factor, step=1)


@dataclass
class Arranger:
    """A trace, and the crops and blocks that were laid for slices and splits: each once, however many read it.

    `block` is what stands between the name of a split and the places of its blocks; a `batch` is images.
    """

    trace: Trace
    block: str = "."
    batch: int = 1
    tokens: bool = False  # whether to follow positions beside tokens; whether there were some; and were taken away
    put: bool = False
    taken: bool = False
    crops: dict[Any, int] = field(default_factory=dict)
    rolls: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)  # layers, and what was moved how far
    by_blocks: dict[tuple[int, tuple[int, ...]], int] = field(
        default_factory=dict
    )  # norms over these, and what they read

    def seen(self, x: Map) -> tuple[object, ...]:
        """Identify what paths see of a map: the layer, without a norm over it, and the slice of its channels."""
        return self.trace.seen(x.at), x.part

    def in_batch(self, joined: Map, values: Sequence[Value | None], counts: Sequence[int]) -> Map:
        """Remember which of a batch that was joined of values, so many each, the image is, or that they are several."""
        own = [self.seen(x) if isinstance(x, Map) else None for x in values]
        if self.trace.pooled[joined.at] or (None not in own and len({*own}) == 1):
            return joined
        if sum(not has_positions(dim) for dim in joined.known) == 1:
            return joined  # one image without a batch, whose first dimension are channels
        at = next(i for i, seen in enumerate(own) if seen)
        alone = own.count(None) == len(own) - 1 and counts[at] == 1
        batch = Batch(sum(counts), sum(counts[:at]) if alone else None)
        return replace(joined, dims=((batch,), *joined.known[1:]))

    def settled(self, x: V) -> V:
        """Lay out what is pending in a value: slices as crops, rows that became channels as several crops."""
        if not isinstance(x, Map):
            return x
        with self.trace.made_by(x.by):
            return cast("V", replace(self._laid_out(x), by=""))

    def uncut(self, x: Map) -> Map:
        """Lay out the slices that are pending in a map; what is split stays so."""
        if not x.cuts:
            return x
        with self.trace.made_by(x.by):
            return replace(x, layer=self.crop(x.by, x.at, dict(x.cuts)), cuts=())

    def _laid_out(self, x: Map) -> Map:
        x = self.uncut(x)
        inner = [part for part in inner_parts(*(x.dims or ())) if not part.looked]
        blocks = {role: prod(part.size for part in inner if part.role == role) for role in self.trace.axes}
        if max(blocks.values()) > 1:
            layer = self.space_to_depth(x.by, x.at, blocks)
            x = replace(x, layer=layer, dims=in_places(x.known))
        return x

    def in_step(self, values: Sequence[Map]) -> list[Map]:
        """Arrange values so that one layer can join them: settled, unless rows and columns are split alike in all."""
        maps = [x for x in values if not self.trace.pooled[x.at]]
        split = {tuple(tuple(positions(dim)) for dim in x.known) for x in maps}
        return [*values] if len(split) == 1 and not any(x.cuts for x in maps) else [*map(self.settled, values)]

    def crop(self, name: str, layer: int, cuts: Mapping[str, range]) -> int:
        """Crop rows and columns of a layer, as a layer."""
        key = (layer, *sorted(cuts.items(), key=lambda cut: cut[0]))
        if key not in self.crops:
            ops = [*self.trace.still]
            for role, rows in cuts.items():
                if rows.step < 1:
                    raise Stuck("reverses the order of rows or columns")
                n = self.trace.sizes[layer][self.trace.axes[role]]
                ops[self.trace.axes[role]] = Window(1, rows.step, padding=(-rows.start, rows.stop - n))
            self.crops[key] = self.trace.add(name, "crop", (layer,), ops)
        return self.crops[key]

    def space_to_depth(self, name: str, layer: int, blocks: Mapping[str, int]) -> int:
        """Make every block of positions, so many along each axis, one: as many crops, joined."""
        block = tuple(blocks.get(role, 1) for role in self.trace.axes)
        layer = self.by_blocks.get((layer, block), layer)
        if prod(block) > MOST_PARTS:
            raise Stuck(f"makes {prod(block)} maps of one")
        if (layer, block) not in self.crops:
            sizes = dict(zip(self.trace.axes, self.trace.sizes[layer], strict=True))
            parts = []
            for place in product(*map(range, block)):
                steps = zip(sizes, place, block, strict=True)
                cuts = {role: range(first, sizes[role], step) for role, first, step in steps}
                parts.append(self.crop(f"{name}{self.block}{'.'.join(map(str, place))}", layer, cuts))
            self.crops[layer, block] = self.trace.merge(name, "concat", parts)
        return self.crops[layer, block]

    def reshape(self, x: V, shape: Sequence[int], name: str, by: str) -> V | None:
        """Give the value another shape; None where that does not divide.

        Copies, or channels, laid inside of each row or column of an image are depth to space, called `name`: an
        upsampling by nearest. What a split of rows or columns becomes is called `by`.
        """
        dims = reshaped(x.known, shape)
        if dims is None and has_parts(x.known):
            x = self.settled(x)
            dims = reshaped(x.known, shape)
        if dims is None:
            return None
        x = replace(x, dims=dims)
        return cast("V", self._reshaped(x, dims, name, by)) if isinstance(x, Map) else x

    def _reshaped(self, x: Map, dims: Dims, name: str, by: str) -> Map:
        """Arrange a map in other dimensions, with what grew inside of its rows or columns laid as a resize."""
        x = replace(x, by=x.by or by if has_parts(dims) else x.by)
        grown = {axis_of(dim[:1]): dim[1].size for dim in dims if len(dim) == 2 and isinstance(dim[1], Channel)}
        grown.pop("", None)
        if not grown or len(dims) != len(self.trace.axes) + 2:
            return x
        x = self.settled(replace(x, dims=tuple(dim[:1] if axis_of(dim[:1]) in grown else dim for dim in dims)))
        return self.lay(name, "resize", x, {role: Resize(scale=Fraction(n)) for role, n in grown.items()})

    def image(self, x: Value, first: int) -> tuple[Map, list[str]]:
        """Arrange a map so that a spatial operation can read it; name the roles of its dimensions from `first` on."""
        x = self.settled(x)
        dims, within = x.known[:first], x.known[first:]
        if not isinstance(x, Map) or any(map(has_positions, dims[1:])):
            raise Stuck("reads height or width as channels")
        if any(map(has_positions, dims)):
            raise Stuck("reads parts of an image as a batch")
        if has_looked(x.known):
            raise Stuck("reads as an image what attention looks at")
        roles = [axis_of(dim) for dim in within]
        absent = [role for role in self.trace.axes if role not in roles]
        stray = any(size_of(dim) > 1 or alone(dim) for role, dim in zip(roles, within, strict=True) if not role)
        if stray or self.tells_apart(x.at, absent):
            kind = Flattened if is_flattened(within) and not any(map(is_mixed, within)) else Stuck
            raise kind("reads mixed height, width and channels as an image")
        roles = [role or (absent.pop() if absent else "") for role in roles[::-1]][::-1]
        sizes = dict(zip(self.trace.axes, self.trace.sizes[x.at], strict=True))
        return replace(x, dims=(*dims, *(whole(role, sizes[role]) if role else () for role in roles))), roles

    def tells_apart(self, layer: int, roles: Iterable[str]) -> bool:
        """Tell whether a layer has several rows, or columns, as the roles say."""
        return any(self.trace.sizes[layer][self.trace.axes[role]] > 1 for role in roles)

    def lay(
        self, name: str, kind: Kind, x: Value, ops: Mapping[str, Op], out: int | None = None,
        channels: Channels | None = None,
    ) -> Map:  # fmt: skip
        """Lay one layer with an operation for each role, and hold it in a map with as many channels as go `out`.

        Of role "" is a single position along an axis that the image lacks, as a depth of one is.
        """
        if (beyond := ops.get("")) and (getattr(beyond, "stride", 1) < 1 or out_size(beyond, 1) != 1):
            raise Stuck("makes several positions of one along an axis that the image lacks")
        layer = self.trace.add(name, kind, (x.at,), [ops.get(role) for role in self.trace.axes], channels=channels)
        if [part.role for part in within(Axis, positions(*x.known))] == ["w", "h"]:
            self.trace.swapped(layer)
        dims = x.known if out is None else (x.known[0], plain(out), *x.known[2:])
        return Map(self.sized(dims, layer), layer)

    def sized(self, dims: Dims, layer: int) -> Dims:
        """Give the dimensions the height and the width that a layer has; where those are split, keep them."""
        if has_parts(dims):
            return dims
        new = dict(zip(self.trace.axes, self.trace.sizes[layer], strict=True))

        def of_layer(factor: Factor) -> Factor:
            return replace(factor, size=new[role]) if (role := axis_of((factor,))) else factor

        return tuple(tuple(map(of_layer, dim)) for dim in dims)

    def pooled_over(self, name: str, layer: int, roles: Collection[str]) -> int:
        """Lay what sees all rows, all columns, or both at once: a global layer, or an adaptive one on one axis."""
        if not self.tells_apart(layer, {*self.trace.axes} - {*roles}):
            return self.trace.add(name, "global", (layer,))
        if not self.tells_apart(layer, roles):
            return layer
        axes = {self.trace.axes[role] for role in roles}
        return self.trace.add(name, "adaptive", (layer,), self.trace.on(axes, Adaptive(1)))

    def joined(self, name: str, x: Value, roles: Collection[str]) -> int:
        """Pool a value likewise; what is sliced along the other axis is cut out last, so that it stays a place."""
        if isinstance(x, Map) and x.cuts and {*roles}.isdisjoint(role for role, _ in x.cuts):
            return self.crop(name, self.pooled_over(f"{name}.line", x.at, roles), dict(x.cuts))
        return self.pooled_over(name, self.settled(x).at, roles)

    def spread(self, name: str, small: int, like: int) -> int:
        """Copy a map one row or one column large along that axis to the size of another."""
        sizes = zip(self.trace.sizes[small], self.trace.sizes[like], strict=True)
        axes = [axis for axis, (n, m) in enumerate(sizes) if n == 1 != m]
        return self.trace.add(name, "resize", (small,), self.trace.on(axes, Resize()), like) if axes else small

    def unmixed(self, name: str, x: Map) -> Map:
        """Make channels of rows or columns that are one dimension with channels: all of them are seen at once."""
        if not any(map(is_mixed, x.known)):
            return x
        x = self.settled(x)
        mixed = [dim for dim in x.known if is_mixed(dim)]
        if not all(any(isinstance(factor, Channel) for factor in dim) for dim in mixed):
            raise Stuck("reads mixed height, width and channels")
        lost, kept = positions(*mixed), positions(*(dim for dim in x.known if has_positions(dim) and dim not in mixed))
        if {*map(kind_of, lost)} & {*map(kind_of, kept)}:
            raise Stuck("takes a part of the rows or columns as channels")
        dims = tuple(plain(size_of(dim)) if dim in mixed else dim for dim in x.known)
        return Map(dims, self.pooled_over(name, x.at, whole_axes(lost)))
