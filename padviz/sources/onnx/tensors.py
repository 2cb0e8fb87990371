"""Tensors and nodes of an ONNX graph while it is laid out, and what they become in the trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from padviz.axis.operations import Adaptive, Op, Window
from padviz.axis.resize import Resize
from padviz.network.layer import Kind
from padviz.sources.onnx.constants import Array, integers
from padviz.sources.tracing.axis_labels import Dim, Dims, alone, plain, roles_of, shape_of, size_of
from padviz.sources.tracing.trace import Trace

AXES = {"h": 0, "w": 1}
MOST_PARTS = 1024  # crops that one space-to-depth may take


class Stuck(Exception):
    """A tensor cannot be followed through a node; it matters only if a target depends on it."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a name stands for: a map (it has a `layer`), a head (made of the layers `behind`), or a constant.

    `dims` is None where the shape is not known. A map has `acted` once an activation was applied to it
    since its layer; `part` says which of the layer's channels it has, where not all; `cuts` are slices of its rows or
    columns that are not laid out yet, and `by` is the node that they, or a split of rows or columns, belong to.
    """

    dims: Dims | None
    layer: int | None = None
    behind: frozenset[int] = frozenset()
    array: Array | None = None
    acted: bool = False
    part: tuple[object, ...] = ()
    cuts: tuple[tuple[str, range], ...] = ()
    by: str = ""

    @property
    def is_constant(self) -> bool:
        return self.layer is None and not self.behind

    @property
    def sources(self) -> frozenset[int]:
        """The layers it depends on, as far as outputs are concerned."""
        return self.behind if self.layer is None else frozenset({self.layer})

    @property
    def known(self) -> Dims:
        """Its dimensions, which must be known."""
        if self.dims is None:
            raise Stuck("reads a tensor whose shape is not known")
        return self.dims


@dataclass(frozen=True, slots=True)
class Node:
    """A node with the tensors it reads; `op` has its domain in front where that is not ONNX's own."""

    name: str
    op: str
    version: int
    attrs: dict[str, Any]
    inputs: tuple[Tensor | None, ...]
    outputs: int = 1

    @property
    def given(self) -> list[Tensor]:
        """The inputs that are there."""
        return [each for each in self.inputs if each is not None]

    def tensor(self, i: int) -> Tensor:
        """An input that must be there."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None:
            raise Stuck("lacks an input")
        return found

    def arrays(self, start: int) -> list[Array | None]:
        """The inputs from `start` on as small constants; what is not one is an error."""
        found: list[Array | None] = []
        for each in self.inputs[start:]:
            if each is not None and each.array is None:
                raise Stuck("has an input that is no small constant")
            found.append(None if each is None else each.array)
        return found

    def numbers(self, key: str, default: Sequence[int]) -> list[int]:
        """An attribute of several numbers."""
        return [int(n) for n in self.attrs.get(key) or default]

    def ints(self, i: int) -> list[int]:
        """An input as Python ints; nothing where it is missing or empty."""
        return integers(self.arrays(i)[0]) if i < len(self.inputs) else []


@dataclass
class Plan:
    """A graph while it is laid out: the trace, and the crops that were laid for slices."""

    trace: Trace
    neutral: frozenset[str] = frozenset()
    crops: dict[Any, int] = field(default_factory=dict)

    def settled(self, x: Tensor) -> Tensor:
        """The tensor with what is pending laid out: slices as crops, rows that became channels as several crops."""
        if x.layer is not None and x.cuts:
            x = replace(x, layer=self.crop(x.by, x.layer, dict(x.cuts)), cuts=())
        inner = {role[0]: size for dim in x.dims or () for role, size in dim if role.endswith(".")}
        return replace(self._unshuffled(x, inner) if inner else x, by="")

    def crop(self, name: str, layer: int, cuts: dict[str, range]) -> int:
        """Rows and columns of a layer, as a layer; laid once, however many read it."""
        key = (layer, *sorted(cuts.items(), key=lambda cut: cut[0]))
        if key not in self.crops:
            ops: list[Op | None] = [None, None]
            for role, rows in cuts.items():
                if rows.step < 1:
                    raise Stuck("reverses the order of rows or columns")
                n = self.trace.sizes[layer][AXES[role]]
                ops[AXES[role]] = Window(1, rows.step, padding=(-rows.start, rows.stop - n))
            self.crops[key] = self.trace.add(name, "crop", (layer,), ops[0], ops[1])
        return self.crops[key]

    def _unshuffled(self, x: Tensor, inner: dict[str, int]) -> Tensor:
        """Height or width was split, and the inner part is among the channels: space to depth."""
        assert x.layer is not None
        if len(x.known) == 4 and any(role.endswith(".") for role in roles_of(x.known[2:])):
            raise Stuck("takes the outer part of split rows or columns as channels")
        high, across = inner.get("h", 1), inner.get("w", 1)
        layer = self.space_to_depth(x.by, x.layer, high, across)
        dims = tuple(tuple(("" if role.endswith(".") else role, n) for role, n in dim) for dim in x.known)
        return replace(x, layer=layer, dims=dims)

    def space_to_depth(self, name: str, layer: int, high: int, across: int) -> int:
        """Every block of `high` x `across` positions becomes one: as many crops, joined."""
        if high * across > MOST_PARTS:
            raise Stuck(f"makes {high * across} maps of one")
        height, width = self.trace.sizes[layer]
        parts = [
            self.crop(f"{name}.{i}.{j}", layer, {"h": range(i, height, high), "w": range(j, width, across)})
            for i in range(high)
            for j in range(across)
        ]
        return self.trace.merge(name, "concat", parts)

    def spatial(self, node: Node, x: Tensor) -> tuple[Tensor, list[str]]:
        """A map that a spatial operation can read, and the roles of its dimensions from the third on."""
        x = self.settled(x)
        if x.layer is None:
            raise Stuck("reads what was flattened as an image")
        dims = x.known
        if not 3 <= len(dims) <= 4:
            raise Stuck(f"reads a tensor of {len(dims)} dimensions as an image")
        if any(size > 1 for dim in dims[:2] for role, size in dim if role):
            raise Stuck("reads height or width as channels")
        if self.trace.pooled[x.layer] and any(size_of(dim) > 1 for dim in dims[2:]):
            x = self._unfolded(node, x)
        roles = [alone(dim) for dim in x.known[2:]]
        absent = [role for role in "hw" if role not in roles]
        blank = [dim for role, dim in zip(roles, x.known[2:], strict=True) if not role]
        if (
            not {*roles} <= {"h", "w", ""}
            or self._longer(x.layer or 0, absent)
            or any(size_of(dim) > 1 for dim in blank)
        ):
            raise Stuck("reads mixed height, width and channels as an image")
        return x, [role or absent.pop(0 if len(roles) == 2 else -1) for role in roles]

    def _longer(self, layer: int, roles: Sequence[str]) -> bool:
        return any(self.trace.sizes[layer][AXES[role]] > 1 for role in roles)

    def _unfolded(self, node: Node, x: Tensor) -> Tensor:
        """A vector that was reshaped to an image: every position of it sees the vector."""
        assert x.layer is not None
        sizes = shape_of(x.known)[2:]
        height, width = [1] * (2 - len(sizes)) + sizes
        layer = self.trace.add(f"{node.name}.spread", "resize", (x.layer,), Resize(height), Resize(width))
        dims = (*x.known[:2], *(((role, n),) for role, n in zip("hw"[-len(sizes) :], sizes, strict=True)))
        return Tensor(dims, layer)

    def laid(self, node: Node, kind: Kind, x: Tensor, ops: Mapping[str, Op], channels: int | None = None) -> Tensor:
        """One layer with an operation for each role, and the tensor it makes."""
        assert x.layer is not None
        layer = self.trace.add(node.name, kind, (x.layer,), ops.get("h"), ops.get("w"))
        dims = x.known if channels is None else (x.known[0], plain(channels), *x.known[2:])
        return Tensor(self.sized(dims, layer), layer)

    def sized(self, dims: Dims, layer: int) -> Dims:
        """The dimensions with the height and the width that a layer has."""
        height, width = self.trace.sizes[layer]
        new = {"h": height, "w": width}
        return tuple(tuple((role, new.get(role, size)) for role, size in dim) for dim in dims)

    def imaged(self, x: Tensor, roles: Sequence[str]) -> Tensor:
        """The tensor with its dimensions from the third on being just the roles."""
        sizes = [self.trace.sizes[x.layer or 0][AXES[role]] for role in roles]
        image: tuple[Dim, ...] = tuple(((role, n),) for role, n in zip(roles, sizes, strict=True))
        return replace(x, dims=(*x.known[:2], *image))

    def pooled_over(self, name: str, layer: int, roles: set[str]) -> int:
        """All rows, all columns, or both seen at once: a global layer, or an adaptive one on one axis."""
        if not roles <= {"h", "w"}:
            raise Stuck("mixes positions inside of windows")
        left = {"h", "w"} - roles
        if not self._longer(layer, sorted(left)):
            return self.trace.add(name, "global", (layer,))
        height, width = (Adaptive(1) if role in roles else None for role in "hw")
        return self.trace.add(name, "adaptive", (layer,), height, width)

    def joined(self, name: str, x: Tensor, roles: set[str]) -> int:
        """The same of a tensor; what is sliced along the other axis is cut out last, so that it stays a place."""
        if x.layer is not None and x.cuts and roles.isdisjoint(role for role, _ in x.cuts):
            return self.crop(name, self.pooled_over(f"{name}.line", x.layer, roles), dict(x.cuts))
        return self.pooled_over(name, self.settled(x).layer or 0, roles)

    def mixed(self, name: str, x: Tensor, roles: Iterable[str], why: str) -> Tensor:
        """A settled map of which each position saw all of its column, its row, or both."""
        if not {*roles} <= {*AXES}:
            raise Stuck("mixes positions inside of windows")
        layer = x.layer or 0
        return Tensor(x.dims, self.trace.mix(name, layer, layer, [AXES[role] for role in sorted(roles)], why))

    def spread(self, name: str, small: int, like: int) -> int:
        """A map one row or one column large, copied along that axis to the size of another."""
        sizes = zip(self.trace.sizes[small], self.trace.sizes[like], strict=True)
        height, width = (Resize() if n == 1 != m else None for n, m in sizes)
        return self.trace.add(name, "resize", (small,), height, width, like) if height or width else small

    def is_flat(self, x: Tensor) -> bool:
        """Whether height and width are no dimensions of their own any more: a head, unless it is reshaped back."""
        if x.layer is None or x.dims is None:
            return True
        own = {alone(dim) for dim in x.dims}
        return self.trace.pooled[x.layer] or self._longer(x.layer, [role for role in "hw" if role not in own])

    def head(self, node: Node) -> Tensor:
        """A head made of all inputs: never spatial again."""
        return Tensor(None, behind=frozenset().union(*(each.sources for each in node.given)))


def upper(dim: Dim) -> Dim:
    """A dimension of positions that are looked at, rather than those that look."""
    return tuple((role.upper(), size) for role, size in dim)


def has_positions(dim: Dim) -> bool:
    """Whether a dimension tells rows or columns apart."""
    return any(role and size > 1 for role, size in dim)


def has_keys(x: Tensor) -> bool:
    """Whether a tensor holds attention's scores: some of its positions are looked at."""
    return any(role.isupper() for role in roles_of(x.dims or ()))
