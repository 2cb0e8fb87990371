"""Nodes of an ONNX graph while it is laid out, and what they become in the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from padviz.axis.resize import Resize
from padviz.network.layer import Channels
from padviz.sources.onnx.constants.everywhere import LOST
from padviz.sources.onnx.constants.folding import Array, integers
from padviz.sources.onnx.constants.later import Budget
from padviz.sources.tracing.arranging import Arranger, Stuck, Value
from padviz.sources.tracing.axis_labels import (
    AXES,
    alone,
    has_places,
    has_positions,
    is_flattened,
    shape_of,
    size_of,
)
from padviz.sources.tracing.sizes.rows import tracked


@dataclass(frozen=True, slots=True)
class Node:
    """A node with the tensors it reads; `op` has its domain in front where that is not ONNX's own."""

    name: str
    op: str
    version: int
    attrs: dict[str, Any]
    inputs: tuple[Value | None, ...]
    outputs: int = 1

    @property
    def given(self) -> list[Value]:
        """The inputs that are there."""
        return [each for each in self.inputs if each is not None]

    def tensor(self, i: int) -> Value:
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
class Plan(Arranger):
    """A graph while it is laid out; the operations in `neutral` act on each position alone. A `batch` is images."""

    neutral: frozenset[str] = frozenset()
    batch: int = 1
    budget: Budget = field(default_factory=Budget)

    def spatial(self, node: Node, x: Value) -> tuple[Value, list[str]]:
        """A map that a spatial operation can read, and the roles of its dimensions from the third on."""
        x = self.settled(x)
        if x.layer is None:
            raise Stuck("reads what was flattened as an image")
        if not 3 <= len(x.known) <= 4:
            raise Stuck(f"reads a tensor of {len(x.known)} dimensions as an image")
        vector = self.trace.pooled[x.layer] and not any(map(has_positions, x.known[:2]))
        if vector and shape_of(x.known[2:]) != [1] * (len(x.known) - 2) and not has_places(x.known[2:]):
            x = self._unfolded(node, x)
        return self.image(x, 2)

    def rows_in(self, node: Node, i: int) -> list[Any]:
        """An input as Python ints, with what they are at other sizes; nothing where it is missing or empty."""
        found, turns = node.ints(i), self.trace.turns
        over = node.tensor(i).over if found else None
        if over is None or turns is None:
            return [*found]
        if over is LOST:
            turns.lost = True
            return [*found]
        columns = over.reshape(len(over), -1).T
        pairs = zip(found, columns, strict=True)
        return [n if (column == n).all() else tracked(n, column, turns) for n, column in pairs]

    def turn(self, outcome: bool, over: Any) -> None:
        """Keep what was decided by the size of the image."""
        turns = self.trace.turns
        if turns is not None and over is LOST:
            turns.lost = True
        elif turns is not None and over is not None:
            turns.on = True
            turns.kept(outcome, over.reshape(-1))
            turns.on = False

    def channels(self, x: Value, weight: Sequence[int], groups: int, transposed: bool = False) -> Channels | None:
        """What a weight says of a convolution of `x`, for each image; None where it says nothing that makes sense.

        What becomes further images of a batch on the way is groups of channels.
        """
        if len(weight) < 2 or min(*weight[:2], groups) < 1:
            return None
        first, second = weight[0], weight[1] * groups
        if first % groups:
            return None
        into, out = (first, second) if transposed else (second, first)
        batch, rest = divmod(size_of(x.known[0]), self.batch)
        return None if rest or not batch else Channels(batch * into, batch * out, batch * groups)

    def _unfolded(self, node: Node, x: Value) -> Value:
        """A vector that was reshaped to an image: every position of it sees the vector."""
        sizes = shape_of(x.known)[2:]
        height, width = [1] * (2 - len(sizes)) + sizes
        layer = self.trace.add(f"{node.name}.spread", "resize", (x.at,), Resize(height), Resize(width))
        dims = (*x.known[:2], *(((role, n),) for role, n in zip("hw"[-len(sizes) :], sizes, strict=True)))
        return Value(dims, layer)

    def is_flat(self, x: Value) -> bool:
        """Whether height and width are no dimensions of their own any more: a head, unless it is reshaped back."""
        if x.layer is None or x.dims is None:
            return True
        own = {alone(dim) for dim in x.dims}
        return self.trace.pooled[x.layer] or self.tells_apart(x.layer, [role for role in AXES if role not in own])

    def head(self, node: Node) -> Value:
        """A head made of all inputs: never spatial again."""
        maps = [each for each in node.given if not each.is_constant]
        flat = all(each.flattened or self._vector(each) or is_flattened(each.dims or ()) for each in maps)
        return Value(None, behind=frozenset().union(*(each.sources for each in maps)), flattened=flat)

    def _vector(self, x: Value) -> bool:
        return x.layer is not None and self.trace.pooled[x.layer]
