"""What the tensors of a foreign graph hold, and how the positions of a layer are arranged in their dimensions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any, TypeVar, cast

from padviz.axis.operations import Adaptive, Op, Window, out_size
from padviz.axis.resize import Resize
from padviz.network.layer import Channels, Kind
from padviz.sources.tracing.axis_labels import (
    Axis,
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
    inner_parts,
    is_flattened,
    is_mixed,
    kind_of,
    plain,
    positions,
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
    has, where not all; `by` is the name that a split of its rows or columns gets. Of scores, `windows` says after how
    many rows and columns the last window is cut in two.
    """

    layer: int
    acted: bool = False
    part: tuple[object, ...] = ()
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

    `block` is what stands between the name of a split and the places of its blocks; a `batch` is images. `rows` are
    layers that were cropped or mirrored, with what they were made of and which rows of that they are.
    """

    trace: Trace
    block: str = "."
    batch: int = 1
    tokens: bool = False  # whether to follow positions beside tokens; whether there were some; and were taken away
    put: bool = False
    taken: bool = False
    laid: dict[tuple[str, int, Any], int] = field(default_factory=dict)  # by what was laid: crops, rolls, blocks
    rows: dict[int, tuple[int, dict[str, range]]] = field(default_factory=dict)
    rolls: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)  # layers, and what was moved how far
    by_blocks: dict[tuple[int, tuple[int, ...]], int] = field(
        default_factory=dict
    )  # norms over these, and what they read

    def seen(self, x: Map) -> tuple[object, ...]:
        """Identify what paths see of a map: the layer, without a norm over it, and the slice of its channels."""
        return self.trace.seen(x.at), x.part

    def settled(self, x: V) -> V:
        """Lay out rows that became channels, which are pending in a value, as several crops."""
        if not isinstance(x, Map):
            return x
        inner = [part for part in inner_parts(*(x.dims or ())) if not part.looked]
        blocks = {role: prod(part.size for part in inner if part.role == role) for role in self.trace.axes}
        if max(blocks.values()) > 1:
            with self.trace.made_by(x.by):
                layer = self.space_to_depth(x.by, x.at, blocks)
            x = replace(x, layer=layer, dims=in_places(x.known))
        return cast("V", replace(cast("Map", x), by=""))

    def in_step(self, values: Sequence[Map]) -> list[Map]:
        """Arrange values so that one layer can join them: settled, unless rows and columns are split alike in all."""
        maps = [x for x in values if not self.trace.pooled[x.at]]
        split = {tuple(tuple(positions(dim)) for dim in x.known) for x in maps}
        return [*values] if len(split) == 1 else [*map(self.settled, values)]

    def rows_of(self, layer: int, parts: Mapping[str, slice] | None = None) -> tuple[int, dict[str, range]]:
        """Find what a layer was cropped out of, or itself, and which rows of that it, or some `parts` of it, are."""
        base, before = self.rows.get(layer, (layer, {}))
        whole = dict(zip(self.trace.axes, map(range, self.trace.sizes[base]), strict=True))
        runs = {role: before.get(role, run) for role, run in whole.items()}
        runs |= {role: runs[role][part] for role, part in (parts or {}).items()}
        return base, {role: run for role, run in runs.items() if run != whole[role]}

    def crop(self, name: str, layer: int, runs: Mapping[str, range]) -> int:
        """Crop rows and columns of a layer, as a layer."""
        key = ("crop", layer, tuple(runs.items()))
        if key not in self.laid:
            sides = zip(self.trace.axes, self.trace.sizes[layer], strict=True)
            rows = [(runs.get(role, range(n)), n) for role, n in sides]
            ops = [Window(1, run.step, padding=(-run.start, min(run.stop - n, 0))) for run, n in rows]
            at = self.laid[key] = self.trace.add(name, "crop", (layer,), ops)
            self.rows[at] = layer, dict(runs)
        return self.laid[key]

    def roll(self, name: str, layer: int, shifts: Mapping[str, int]) -> int:
        """Move rows and columns on by so many, those at the end to the front; what is moved back is as it was."""
        base, before = self.rolls.get(layer, (layer, (0,) * len(self.trace.axes)))
        sums = zip(before, self.trace.axes, self.trace.sizes[base], strict=True)
        moved = tuple(((a + shifts.get(role, 0)) % n + n // 2) % n - n // 2 for a, role, n in sums)
        if not any(moved):
            return base
        if ("roll", base, moved) not in self.laid:
            ops = [Window(1, padding=(n, -n), mode="circular") if n else None for n in moved]
            at = self.laid["roll", base, moved] = self.trace.add(name, "roll", (base,), ops)
            self.rolls[at] = base, moved
        return self.laid["roll", base, moved]

    def space_to_depth(self, name: str, layer: int, blocks: Mapping[str, int]) -> int:
        """Make every block of positions, so many along each axis, one: as many crops, joined."""
        block = tuple(blocks.get(role, 1) for role in self.trace.axes)
        layer = self.by_blocks.get((layer, block), layer)
        if prod(block) > MOST_PARTS:
            raise Stuck(f"makes {prod(block)} maps of one")
        if ("block", layer, block) not in self.laid:
            sizes = dict(zip(self.trace.axes, self.trace.sizes[layer], strict=True))
            parts = []
            for place in product(*map(range, block)):
                steps = zip(sizes, place, block, strict=True)
                cuts = {role: range(first, sizes[role], step) for role, first, step in steps}
                parts.append(self.crop(f"{name}{self.block}{'.'.join(map(str, place))}", layer, cuts))
            self.laid["block", layer, block] = self.trace.merge(name, "concat", parts)
        return self.laid["block", layer, block]

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
        base, runs = self.rows_of(x.at)
        if runs and {*roles}.isdisjoint(runs):
            return self.crop(name, self.pooled_over(f"{name}.line", base, roles), runs)
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
