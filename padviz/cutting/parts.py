"""Maps whose parts are made one after another, or by several processes.

A call on a map is noted as a node: which rows of which maps it reads, and how it makes its own.
What is costly is made at once, part by part, and stored; what is cheap is made again, of the rows
that a part needs, whenever a part of another map reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import ceil, prod
from mmap import mmap
from os import PathLike, posix_fallocate
from tempfile import TemporaryFile
from typing import Any, Literal, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from padviz.cutting.cut_map import (
    SAME,
    CutMap,
    Function,
    Link,
    Make,
    Operand,
    Pooled,
    Refused,
    Rows,
    Rule,
    maps_in,
    only,
    tree_map_only,
)
from padviz.cutting.exact_units import Span
from padviz.cutting.plan import Gathered, Segments
from padviz.cutting.shards import owned
from padviz.cutting.windows import padded
from padviz.errors import OptionError
from padviz.network.padding_modes import SCHEMES, fold
from padviz.phrases import in_bytes

T = TypeVar("T")
Box = dict[int, Span]  # the rows of a map along each dimension that is cut
MOST_VALUES = 1 << 24  # of a part of what reads a whole map, such as the scores of attention


class Node:
    """A map: how its rows are made of those of its operands, or all of them, `stored`.

    `cut` has the number of parts along each dimension that is cut.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        cut: Mapping[int, int],
        operands: Sequence[tuple[Node, Sequence[Link]]] = (),
        make: Make | None = None,
        stored: Tensor | None = None,
    ) -> None:
        self.shape, self.dtype, self.cut = (*shape,), dtype, {**cut}
        self.operands, self.make, self.stored = operands, make, stored
        self.number = -1  # among the maps of a run

    @property
    def bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def box(self, k: int) -> Box:
        """Return the rows of part k."""
        box = {}
        for dim, count in reversed(self.cut.items()):
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

    def rows(self, node: Node, dim: int, wanted: Callable[[int], Sequence[Span]], k: int) -> Tensor:
        """Return the spans of rows of a stored map that part k of another wants."""
        assert node.stored is not None
        return joined(node.stored, dim, wanted(k))

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

    operands: Sequence[tuple[Node, Sequence[Link]]]
    work: int


class Notes:
    """The maps of a run, and in which order they are made, from which segments are chosen.

    `given` are the maps that are stored from an event on, and not made of others.
    """

    def __init__(self) -> None:
        self.calls: dict[Node, Call] = {}
        self.given: dict[Node, int] = {}
        self.events: list[tuple[Event, Node]] = []


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


class SharedMap(CutMap):
    """A map that a runner makes part by part."""

    runner: Runner
    node: Node

    @classmethod
    def of(cls, node: Node, runner: Runner) -> SharedMap:
        shared = cls.shell(node.shape, node.dtype, runner.home)
        shared.node, shared.runner = node, runner
        return shared

    @property
    def cut(self) -> Collection[int]:
        return self.node.cut

    def spans(self, operands: Sequence[Operand], make: Make, *, costly: int = 0) -> Any:
        return self.runner.spans(operands, make, costly)

    def pooled(
        self, dims: Sequence[int], keep: bool, part: Function, join: Callable[[Pooled], Any]
    ) -> Any:
        return self.runner.pooled(self.node, dims, keep, part, join)

    def gathered(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        along: Sequence[int] | None = None,
    ) -> Any:
        return self.runner.gathered(self.node, function, args, kwargs, along)

    def replace(self, other: CutMap) -> CutMap:
        assert isinstance(other, SharedMap)
        self.node = other.node
        return self


class Runner:
    """Runs calls on maps that are cut, each part on a device; all that is stored stays at home.

    `grid` has the number of parts along each axis, and `behind` says how many dimensions from the
    last the first axis is. `where` names the layer that runs. `gathers` are the maps that were put
    together.
    """

    def __init__(
        self,
        grid: Sequence[int],
        behind: int,
        home: torch.device,
        device: torch.device | None = None,
        team: Team | None = None,
    ) -> None:
        self.grid, self.behind, self.home = (*grid,), behind, home
        self.device = device or home
        self.team = team or Team()
        self.where: Callable[[], str] = lambda: ""
        self.on_part: Callable[[], None] = lambda: None
        self.steps = 0
        self.gathers = list[Gathered]()
        self.segments: Segments | None = None
        self.notes: Notes | None = None
        self.numbered = 0
        self.numbers: WeakValueDictionary[int, Node] = WeakValueDictionary()
        self.events = 0
        self.scratch: str | PathLike[str] | None = None

    def cut(
        self, x: Tensor, along: Sequence[int], counts: Mapping[int, int] | None = None
    ) -> Tensor:
        """Cut a tensor along dimensions; one of a single row stays whole."""
        if counts is None:
            counts = self._counts(x, along)
        counts = {dim: count for dim, count in counts.items() if x.shape[dim] > 1}
        if not counts:
            return x
        node = self._numbered(Node(x.shape, x.dtype, counts))
        node.stored = self.team.adopt(node, x)
        if self.notes:
            self.notes.given[node] = self.events
        return SharedMap.of(node, self)

    def cut_all(self, image: Tensor) -> Tensor:
        """Cut an image along its axes, into a grid of parts."""
        return self.cut(image, range(image.ndim - self.behind, image.ndim)[: len(self.grid)])

    def _numbered(self, node: Node) -> Node:
        node.number = self.numbered
        self.numbers[node.number] = node
        self.numbered += 1
        return node

    def _passed(self, kind: Event, node: Node) -> None:
        """Count what a map was made for, and forget maps that are read no more."""
        if self.notes:
            self.notes.events.append((kind, node))
        if self.segments:
            for number in self.segments.drops.get(self.events, ()):
                if number in self.numbers:
                    self.numbers[number].forget()
        self.events += 1

    def _counts(self, x: Tensor, along: Sequence[int]) -> dict[int, int]:
        along = [dim for dim in along if x.shape[dim] > 1]
        if not along:
            return {}
        if len(self.grid) == len(along):
            return dict(zip(along, self.grid, strict=True))
        dim = x.ndim - self.behind
        if len(self.grid) > 1 or dim not in along:
            dim = along[0]
        return {dim: prod(self.grid)}

    def spans(self, operands: Sequence[Operand], make: Make, costly: int) -> Any:
        """Note a call, and run it if it is costly; a result that is not cut is a plain tensor."""
        read: list[tuple[Node, Sequence[Link]]] = []
        sizes: dict[int, int] = {}
        counts: dict[int, int] = {}
        reads_all = False
        for x, links in operands:
            node = x.node if isinstance(x, SharedMap) else Node(x.shape, x.dtype, {}, stored=x)
            everything = _not_linked(node, links)
            if everything:
                self._gather(node)
                reads_all = True
            if any(_wraps(link.rule) for link in links):
                self.store(node)
                self._passed("gathered", node)
            for out, dim, rule in links:
                n = rule.rows(node.shape[dim])
                if node.shape[dim] < 1 or n < 1:
                    raise Refused("makes or reads an empty map")
                if out is not None:
                    if sizes.setdefault(out, n) != n:
                        raise Refused("joins maps of other sizes")
                    counts[out] = max(counts.get(out, 1), node.cut.get(dim, 1))
            read.append((node, [*links, *everything]))

        some = _some_unit(read, make, self.device)
        if isinstance(some, Tensor):
            return self._noted(some, read, _under(make), sizes, counts, reads_all, costly)
        results = []
        for i, output in enumerate(some):
            if not isinstance(output, Tensor):
                raise Refused("returns more than maps")

            def made(regions: list[Tensor], rows: Mapping[int, Rows], i: int = i) -> Any:
                return make(regions, rows)[i]

            results.append(
                self._noted(output, read, _under(made), sizes, counts, reads_all, costly)
            )
        return type(some)(results) if type(some) in (list, tuple) else (*results,)

    def _noted(
        self,
        unit: Tensor,
        read: Sequence[tuple[Node, Sequence[Link]]],
        make: Make,
        sizes: Mapping[int, int],
        counts: Mapping[int, int],
        reads_all: bool,
        costly: int,
    ) -> Tensor:
        shape = [*unit.shape]
        for out, n in sizes.items():
            shape[out] = n
        cut = {out: counts[out] for out in sorted(sizes) if sizes[out] > 1}
        if reads_all and cut:
            first = next(iter(cut))
            parts = ceil(prod(shape) / MOST_VALUES)
            others = prod(count for dim, count in cut.items() if dim != first)
            cut[first] = min(max(cut[first], ceil(parts / others)), sizes[first])
        node = Node(shape, unit.dtype, cut, read, make)
        if not cut:
            return self._value(node, 0).to(self.home)
        self._numbered(node)
        if self.notes:
            self.notes.calls[node] = Call(node.operands, max(costly, 1))
        if costly:
            if self.segments is None or node.number in self.segments.stores:
                self.store(node)
            self._passed("costly", node)
        return SharedMap.of(node, self)

    def store(self, node: Node) -> None:
        """Make all rows of a map, part by part, if they are not stored."""
        if node.stored is None:
            whole = None
            for k in self.team.mine(node):
                value = self._value(node, k).to(self.home)
                whole = self.team.keep(node, whole, k, value, self._empty)
                self._made_part()
            assert whole is not None
            node.store(whole)

    def write(self, x: Tensor, out: Any) -> None:
        """Write a map part by part into an array of its shape."""
        if tuple(out.shape) != tuple(x.shape):
            what = f"has the shape {tuple(out.shape)}, and the map {tuple(x.shape)}"
            raise OptionError(what, option="out", hint="make it as large as the map")
        if not isinstance(x, SharedMap):
            self._write(out, (), x)
            return
        node = x.node
        for k in self.team.mine(node):
            box = node.box(k)
            places = [slice(None)] * x.ndim
            for dim, span in box.items():
                places[dim] = slice(*span)
            self._write(out, (*places,), self._value(node, k))
            if node.stored is None:
                self._made_part()
        self._passed("output", node)

    def _write(self, out: Any, places: tuple[slice, ...], value: Tensor) -> None:
        if not isinstance(out, Tensor):
            out[places] = value.to("cpu").numpy()
        else:
            out[places] = value

    def _empty(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Return an empty tensor, in a file without a name if a folder for maps is named."""
        if self.scratch is None:
            return like.new_empty(shape)
        size = prod(shape)
        try:
            with TemporaryFile(dir=self.scratch) as file:
                posix_fallocate(file.fileno(), 0, max(1, size * like.itemsize))
                room = mmap(file.fileno(), 0)
        except OSError as error:
            what = f"cannot keep a map of {in_bytes(size * like.itemsize)}: {error.strerror}"
            raise OptionError(what, option="scratch", hint="name a folder with more room") from None
        return torch.frombuffer(room, dtype=like.dtype, count=size).reshape(*shape)

    def _made_part(self) -> None:
        self.steps += 1
        self.on_part()

    def whole(self, node: Node) -> Tensor:
        """Return all rows of a map."""
        self.store(node)
        return self.team.whole(node)

    def output(self, x: SharedMap) -> Tensor:
        """Return all rows of a map that the module returns."""
        whole = self.whole(x.node)
        self._passed("output", x.node)
        return whole

    def _gather(self, node: Node) -> None:
        self.gathers.append(Gathered(self.where(), node.shape, node.bytes))
        self.store(node)
        self._passed("gathered", node)

    def gathered(
        self,
        like: Node,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        along: Sequence[int] | None,
    ) -> Any:
        """Call a function on whole maps, and cut its results."""
        for x in maps_in(args, kwargs):
            self._gather(x.node)  # type: ignore[attr-defined]
        args, kwargs = tree_map_only(
            SharedMap, lambda x: self.whole(x.node).to(self.device), (args, kwargs)
        )
        if self.device != self.home:
            args, kwargs = tree_map_only(Tensor, lambda x: x.to(self.device), (args, kwargs))

        def again(x: Tensor) -> Tensor:
            x = x.to(self.home)
            if along is not None:
                return self.cut(x, along)
            if x.ndim == len(like.shape):
                return self.cut(x, (), like.cut)
            return x

        return tree_map_only(Tensor, again, function(*args, **kwargs))

    def pooled(
        self,
        node: Node,
        dims: Sequence[int],
        keep: bool,
        part: Function,
        join: Callable[[Pooled], Any],
    ) -> Any:
        """Pool the parts of a map; what is left of its dimensions that are cut stays cut."""
        left = [dim for dim in node.cut if dim not in dims]
        values: dict[int, tuple[tuple[Span, ...], int, Any] | None] = {}
        for k in self.team.mine(node):
            box = node.box(k)
            rows = prod(box[dim][1] - box[dim][0] for dim in node.cut if dim in dims)
            values[k] = None
            if rows and all(box[dim][0] < box[dim][1] for dim in left):
                pooled = part(self._value(node, k))
                home = tree_map_only(Tensor, lambda x: x.to(self.home), pooled)
                values[k] = (tuple(box[dim] for dim in left), rows, home)
            else:
                self._value(node, k)
            self._made_part()
        self._passed("pooled", node)
        by_place: dict[tuple[Span, ...], Pooled] = {}
        for value in self.team.collect(values):
            if value is not None:
                place, rows, pooled = value
                by_place.setdefault(place, []).append((rows, pooled))
        places = {place: join(parts) for place, parts in by_place.items()}
        outs = {dim: dim for dim in left}
        if not keep:
            outs = {dim: dim - sum(other < dim for other in dims) for dim in left}
        if isinstance(next(iter(places.values())), Tensor):
            return self._placed(node, places, outs)
        pairs = zip(*places.values(), strict=True)
        return tuple(
            self._placed(node, dict(zip(places, pair, strict=True)), outs) for pair in pairs
        )

    def _placed(
        self, node: Node, places: Mapping[tuple[Span, ...], Tensor], outs: Mapping[int, int]
    ) -> Tensor:
        """Put what is pooled of each part in its place."""
        some = next(iter(places.values()))
        if not outs:
            return some
        shape = [*some.shape]
        for dim, out in outs.items():
            shape[out] = node.shape[dim]
        whole = some.new_empty(shape)
        for spans, value in places.items():
            part(whole, dict(zip(outs.values(), spans, strict=True))).copy_(value)
        return self.cut(whole, (), {out: node.cut[dim] for dim, out in outs.items()})

    def _value(self, node: Node, k: int) -> Tensor:
        """Return part k of a map, of the rows of stored maps that it needs."""
        if node.stored is not None:
            return part(node.stored, node.box(k)).to(self.device)
        order = unmade(node, (), lambda node: node.operands)
        needed_by: dict[int, dict[Node, Box]] = {}

        def needs(k: int) -> dict[Node, Box]:
            if k not in needed_by:
                needed_by[k] = needs_of(order, node.box(k), lambda node: node.operands)
            return needed_by[k]

        def wanted(reader: Node, link: Link, n: int) -> Callable[[int], Sequence[Span]]:
            return lambda k: spans_read(link.rule, n, *_rows_of(needs(k)[reader], link))

        values: dict[Node, Tensor] = {}
        last = {operand: reader for reader in order for operand, _ in reader.operands}
        for reader in order:
            box = needs(k)[reader]
            regions = []
            for operand, links in reader.operands:
                if operand.stored is None:
                    region = _region(values[operand], needs(k)[operand], operand, links, box)
                else:
                    region = self._read(operand, links, box, wanted, reader, k)
                regions.append(region)
            rows = {}
            for link in reader.operands[0][1]:
                if link.out is not None:
                    first, end = _rows_of(box, link)
                    rows[link.out] = Rows(link.rule.reads(first, end)[0], first, end)
            assert reader.make is not None
            values[reader] = reader.make(regions, rows)
            del regions
            for operand, _ in reader.operands:
                if last[operand] is reader:
                    values.pop(operand, None)
        kept = {dim: (0, end - first) for dim, (first, end) in node.box(k).items()}
        return part(values[node], kept)

    def _read(
        self,
        node: Node,
        links: Sequence[Link],
        box: Box,
        wanted: Callable[[Node, Link, int], Callable[[int], Sequence[Span]]],
        reader: Node,
        k: int,
    ) -> Tensor:
        """Return a region of a stored map, on the device; rows that are shared are fetched."""
        region = node.stored
        assert region is not None
        for link in links:
            if link.dim in node.cut:
                there = Node(node.shape, node.dtype, node.cut, stored=region)
                n = node.shape[link.dim]
                region = self.team.rows(there, link.dim, wanted(reader, link, n), k)
            else:
                n = node.shape[link.dim]
                region = joined(region, link.dim, spans_read(link.rule, n, *_rows_of(box, link)))
        return _filled(region.to(self.device), node, links, box)


def _one_at_least(node: Node, box: Box) -> Box:
    """Return a box with a row where it has none, as those of parts do that outnumber the rows."""
    grown = {}
    for dim, (first, end) in box.items():
        first = min(first, node.shape[dim] - 1)
        grown[dim] = (first, max(end, first + 1))
    return grown


def _not_linked(node: Node, links: Sequence[Link]) -> list[Link]:
    """Return links that read all rows along the dimensions that are cut and have none."""
    linked = {link.dim for link in links}
    return [Link(None, dim, only(0, node.shape[dim])) for dim in node.cut if dim not in linked]


def reads_around(links: Sequence[Link]) -> bool:
    """Return whether some link reads other rows than the one that it makes."""
    return any(link.out is not None and link.rule is not SAME for link in links)


def _wraps(rule: Rule) -> bool:
    return isinstance(rule.fill, str) and SCHEMES[rule.fill].wraps


def _rows_of(box: Box, link: Link) -> Span:
    if link.out is None:
        return (0, 1)
    return box.get(link.out, (0, 1))


Operands = Callable[[Node], Sequence[tuple[Node, Sequence[Link]]]]


def unmade(node: Node, made: Collection[Node], operands_of: Operands) -> list[Node]:
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


def needs_of(order: Sequence[Node], box: Box, operands_of: Operands) -> dict[Node, Box]:
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
                        read = _rows_of(needs[reader], link)
                        rows[link.dim] = _hull(link.rule, n, read, rows.get(link.dim))
    return needs


def _region(value: Tensor, held: Box, node: Node, links: Sequence[Link], box: Box) -> Tensor:
    """Return a region of a map of which some rows were made."""
    for link in links:
        n = node.shape[link.dim]
        at, _ = held.get(link.dim, (0, n))
        spans = spans_read(link.rule, n, *_rows_of(box, link))
        value = joined(value, link.dim, spans, at)
    return _filled(value, node, links, box)


def _filled(region: Tensor, node: Node, links: Sequence[Link], box: Box) -> Tensor:
    """Pad a region where it lies beyond the ends of the map."""
    by_value: dict[float, dict[int, Span]] = {}
    for link in links:
        if not isinstance(link.rule.fill, str):
            lo, hi = link.rule.reads(*_rows_of(box, link))
            n = node.shape[link.dim]
            rows = max(0, min(0, hi) - lo), max(0, hi - max(n, lo))
            by_value.setdefault(link.rule.fill, {})[link.dim] = rows
    for value, amounts in by_value.items():
        region = padded(region, amounts, value)
    return region


def _some_unit(
    read: Sequence[tuple[Node, Sequence[Link]]], make: Make, device: torch.device
) -> Any:
    """Make the first unit of a map of zeros, which tells its type, and its other dimensions."""
    regions, rows = [], dict[int, Rows]()
    for k, (node, links) in enumerate(read):
        shape = [*node.shape]
        for out, dim, rule in links:
            lo, hi = rule.reads(0, 1)
            shape[dim] = hi - lo
            if out is not None and k == 0:
                rows[out] = Rows(lo, 0, 1)
        zero = torch.zeros((), dtype=node.dtype, device=device)
        regions.append(zero.expand(shape))
    return make(regions, rows)


def _under(make: Make) -> Make:
    """Return what makes rows under the automatic casts that are set now, or under none."""
    dtypes = {}
    for kind in ("cpu", "cuda"):
        if torch.is_autocast_enabled(kind):
            dtypes[kind] = torch.get_autocast_dtype(kind)

    def cast(regions: list[Tensor], rows: Mapping[int, Rows]) -> Any:
        kind = regions[0].device.type
        if kind not in ("cpu", "cuda") or torch.is_autocast_enabled(kind) == (kind in dtypes):
            return make(regions, rows)
        with torch.autocast(kind, dtypes.get(kind), enabled=kind in dtypes):
            return make(regions, rows)

    return cast
