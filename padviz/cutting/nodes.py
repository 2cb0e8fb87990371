"""Maps of a run in parts: what they are made of, and which rows a part of one needs of the others.

A call on a map is noted as a node. What is stored has all its rows; of the others, those rows are
made, again and again, that a part of another map needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import prod
from typing import Literal, NamedTuple, TypeVar
from weakref import ref

import torch
from torch import Tensor

from padviz.cutting.cut_map import SAME, Function, Link, Make, Rule, counting_writes, only
from padviz.cutting.exact_units import Span
from padviz.cutting.shards import owned
from padviz.cutting.windows import padded
from padviz.network.padding_modes import SCHEMES, fold

T = TypeVar("T")
Operands = Sequence["tuple[Node, Sequence[Link]]"]
Box = dict[int, Span]  # the rows of a map along each dimension that is cut


class Node:
    """A map: how its rows are made of those of its operands, or all of them, `stored`.

    It is made in `fine` parts along each dimension that is cut, and once it is stored others are
    made of it in `coarse` ones: the scores of attention are made for few rows at once.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        coarse: Mapping[int, int],
        operands: Operands = (),
        make: Make | None = None,
        stored: Tensor | None = None,
        fine: Mapping[int, int] | None = None,
    ) -> None:
        self.shape, self.dtype, self.coarse = (*shape,), dtype, {**coarse}
        self.fine = {**(fine or coarse)}
        self.operands, self.make, self.stored = operands, make, stored
        self.number = -1  # among the maps of a run
        self.version: int | None = None

    @classmethod
    def constant(cls, x: Tensor) -> Node:
        """Return a tensor that is not cut, and must not be written into before it is read."""
        x = counting_writes(x)
        node = cls(x.shape, x.dtype, {}, stored=x)
        node.version = x._version
        return node

    @property
    def bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    @property
    def cut(self) -> dict[int, int]:
        """The number of parts along each dimension that is cut."""
        if self.stored is None:
            return self.fine
        return self.coarse

    def box(self, k: int, cut: Mapping[int, int] | None = None) -> Box:
        """Return the rows of part k; of the parts that it has now by default."""
        box = {}
        for dim, count in reversed([*(cut or self.cut).items()]):
            k, at = divmod(k, count)
            box[dim] = owned(self.shape[dim], count)[at]
        return box

    def store(self, whole: Tensor) -> None:
        """Keep all rows, and forget how they are made."""
        self.stored, self.operands, self.make = whole, (), None

    def forget(self) -> None:
        """Forget the rows, which nothing reads any more."""
        if self.make is None:
            self.stored = None


class Team:
    """Those who have the parts of a map, all in this process. A team of processes overrides all."""

    def mine(self, node: Node) -> Sequence[int]:
        """Return the numbers of the parts that are made here."""
        return range(prod(node.cut.values()))

    def rows(
        self, x: Tensor, n: int, dim: int, wanted: Callable[[int], Sequence[Span]], k: int
    ) -> Tensor:
        """Return the spans of rows that part k of another map wants of one of n rows, of which `x`
        are those that are stored here.
        """
        return joined(x, dim, wanted(k))

    def keep(
        self, node: Node, whole: Tensor | None, k: int, value: Tensor, empty: Function
    ) -> Tensor:
        """Keep part k of a map; return what has all that were kept so far, which begins as None.

        `empty` makes a tensor of a shape, of the type of a value.
        """
        if whole is None:
            whole = empty(node.shape, value)
        part(whole, node.box(k)).copy_(value)
        return whole

    def part(self, node: Node, k: int) -> Tensor:
        """Return part k of a map that is stored."""
        assert node.stored is not None
        return part(node.stored, node.box(k))

    def whole(self, node: Node) -> Tensor:
        """Return all rows of a map that is stored."""
        assert node.stored is not None
        return node.stored

    def adopt(self, node: Node, whole: Tensor) -> Tensor:
        """Return what is kept here of a map that all have."""
        return whole

    def collect(self, values: Mapping[int, T]) -> list[T]:
        """Return the values of all parts, in their order."""
        return [*values.values()]


Event = Literal["costly", "gathered", "pooled", "output"]


class Call(NamedTuple):
    """What a map is made of, and how many multiplications each of its values takes."""

    operands: Operands
    work: int


class Notes:
    """The maps of a run, and in which order they are made, from which segments are chosen.

    `given` are the maps that are stored from an event on, and not made of others. `maps` are what
    the module was given of all.
    """

    def __init__(self) -> None:
        self.calls: dict[Node, Call] = {}
        self.given: dict[Node, int] = {}
        self.events: list[tuple[Event, Node]] = []
        self.maps: list[ref[Tensor]] = []


def part(x: Tensor, box: Box) -> Tensor:
    """Return a view of some rows."""
    for dim, (first, end) in box.items():
        x = x.narrow(dim, first, end - first)
    return x


def joined(x: Tensor, dim: int, spans: Iterable[Span], at: int = 0) -> Tensor:
    """Return spans of rows one after another, of rows from `at` on."""
    pieces = [x.narrow(dim, lo - at, hi - lo) for lo, hi in spans if lo < hi]
    if not pieces:
        return x.narrow(dim, 0, 0)
    if len(pieces) == 1:
        return pieces[0]
    return torch.cat(pieces, dim)


def spans_read(rule: Rule, n: int, first: int, end: int) -> list[Span]:
    """Return the rows of n that the rows [first, end) read, those that fill the padding as well, in
    order.
    """
    lo, hi = rule.reads(first, end)
    real = (min(max(lo, 0), n), max(min(hi, n), 0))
    if not isinstance(rule.fill, str) or (lo >= 0 and hi <= n):
        return [real]
    ends = fold(rule.fill, n, max(0, -lo), max(0, hi - n))
    assert ends is not None
    outside = (range(lo, min(hi, 0)), range(max(lo, n), hi))
    before, after = [
        [(a * row + b, a * row + b + 1) for row in rows]
        for (a, b), rows in zip(ends, outside, strict=True)
    ]
    return [*before, real, *after]


def _hull(rule: Rule, n: int, rows: Span, other: Span | None) -> Span:
    """Return the rows from the first to the last that are read, one at least, and some others."""
    spans = [span for span in spans_read(rule, n, *rows) if span[0] < span[1]]
    if not spans:
        row = min(max(rule.reads(*rows)[0], 0), n - 1)
        spans = [(row, row + 1)]
    if other:
        spans.append(other)
    return min(lo for lo, _ in spans), max(hi for _, hi in spans)


def _one_at_least(node: Node, box: Box) -> Box:
    """Return a box with a row where it has none, as those of parts do that outnumber the rows."""
    grown = {}
    for dim, (first, end) in box.items():
        first = min(first, node.shape[dim] - 1)
        grown[dim] = (first, max(end, first + 1))
    return grown


def not_linked(node: Node, links: Sequence[Link]) -> list[Link]:
    """Return links that read all rows along the dimensions that are cut and have none."""
    linked = {link.dim for link in links}
    return [Link(None, dim, only(0, node.shape[dim])) for dim in node.cut if dim not in linked]


def reads_around(links: Sequence[Link]) -> bool:
    """Return whether some link reads other rows than the one that it makes."""
    return any(link.out is not None and link.rule is not SAME for link in links)


def wraps(rule: Rule) -> bool:
    return isinstance(rule.fill, str) and SCHEMES[rule.fill].wraps


def rows_of(box: Box, link: Link) -> Span:
    if link.out is None:
        return (0, 1)
    return box.get(link.out, (0, 1))


def unmade(
    node: Node, made: Collection[Node], operands_of: Callable[[Node], Operands]
) -> list[Node]:
    """Return the maps that are made for a map, each behind those that it reads; what has no
    operands is there.
    """
    order: dict[Node, None] = {}
    waiting = [node]
    while waiting:
        current = waiting[-1]
        ahead = [
            operand
            for operand, _ in operands_of(current)
            if operand not in order and operand not in made and operands_of(operand)
        ]
        if ahead:
            waiting += ahead
        else:
            waiting.pop()
            order[current] = None
    return [*order]


def needs_of(
    order: Sequence[Node], box: Box, operands_of: Callable[[Node], Operands]
) -> dict[Node, Box]:
    """Return the rows that each of some maps must have for a box of the last of them."""
    needs: dict[Node, Box] = {order[-1]: _one_at_least(order[-1], box)}
    made = {*order}
    for reader in reversed(order):
        for operand, links in operands_of(reader):
            if operand in made:
                rows = needs.setdefault(operand, {})
                for link in links:
                    if link.dim in operand.cut:
                        n = operand.shape[link.dim]
                        read = rows_of(needs[reader], link)
                        rows[link.dim] = _hull(link.rule, n, read, rows.get(link.dim))
    return needs


def filled(region: Tensor, node: Node, links: Sequence[Link], box: Box) -> Tensor:
    """Pad a region where it lies beyond the ends of the map."""
    by_value: dict[float, dict[int, Span]] = {}
    for link in links:
        if not isinstance(link.rule.fill, str):
            lo, hi = link.rule.reads(*rows_of(box, link))
            n = node.shape[link.dim]
            rows = max(0, min(0, hi) - lo), max(0, hi - max(n, lo))
            by_value.setdefault(link.rule.fill, {})[link.dim] = rows
    for value, amounts in by_value.items():
        region = padded(region, amounts, value)
    return region


class Segment:
    """The maps that are made for a part of one of them, in `order`, from those that are stored.

    `last` has for each map the last that reads it.
    """

    def __init__(self, node: Node) -> None:
        self.order = unmade(node, (), lambda node: node.operands)
        self.last = {operand: made for made in self.order for operand, _ in made.operands}
        self._needs: dict[int, dict[Node, Box]] = {}

    def needs(self, k: int) -> dict[Node, Box]:
        """Return the rows that each map must have for part k."""
        if k not in self._needs:
            box = self.order[-1].box(k)
            self._needs[k] = needs_of(self.order, box, lambda node: node.operands)
        return self._needs[k]

    def wanted(self, reader: Node, link: Link, n: int) -> Callable[[int], Sequence[Span]]:
        """Return what lists the rows of n that a map reads for part k."""
        return lambda k: spans_read(link.rule, n, *rows_of(self.needs(k)[reader], link))
