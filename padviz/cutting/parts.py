"""Runs a module's calls on maps that are cut, part by part.

What is costly is made at once and stored; what is cheap is made again, of the rows that a part
needs, whenever a part of another map reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import ceil, prod
from mmap import mmap
from os import PathLike, posix_fallocate
from tempfile import TemporaryFile
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor

from padviz.cutting.cut_map import (
    CutMap,
    Function,
    Link,
    Make,
    Operand,
    Pooled,
    Refused,
    Rows,
    check_unwritten,
    maps_in,
    tree_map_only,
)
from padviz.cutting.nodes import (
    Call,
    Event,
    Node,
    Notes,
    Operands,
    Segment,
    Team,
    filled,
    joined,
    not_linked,
    part,
    rows_of,
    wraps,
)
from padviz.cutting.plan import Gathered, Segments
from padviz.errors import OptionError
from padviz.phrases import in_bytes

MOST_VALUES = 1 << 21  # of a part of what reads a whole map, such as the scores of attention


class Read(NamedTuple):
    """What a call reads: the operands, and those that it reads whole. Its result has along some
    dimensions `sizes` that follow, and is cut into `fine` numbers of parts, and into `coarse` ones
    once it is stored.
    """

    operands: list[tuple[Node, Sequence[Link]]]
    sizes: dict[int, int]
    fine: dict[int, int]
    coarse: dict[int, int]
    whole: list[Node]


class SharedMap(CutMap):
    """A map that notes its calls, and whose parts a runner makes."""

    runner: Runner
    node: Node

    @classmethod
    def of(cls, node: Node, runner: Runner, strides: Sequence[int] | None = None) -> SharedMap:
        shared = cls.shell(node.shape, node.dtype, runner.home, strides)
        shared.node, shared.runner = node, runner
        if runner.notes:
            runner.notes.maps.append(ref(shared))
        return shared

    @property
    def cut(self) -> Collection[int]:
        return self.node.cut

    def spans(self, operands: Sequence[Operand], make: Make, *, costly: int = 0) -> Any:
        """Note a call, and run it if it is costly; a result that is not cut is a plain tensor."""
        read = self._read(operands)
        some = _some_unit(read.operands, make, self.runner.device)
        if isinstance(some, Tensor):
            return self._noted(read, some, _under(make), costly)
        results = []
        for i, output in enumerate(some):
            if not isinstance(output, Tensor):
                raise Refused("returns more than maps")

            def made(regions: list[Tensor], rows: Mapping[int, Rows], i: int = i) -> object:
                return make(regions, rows)[i]

            results.append(self._noted(read, output, _under(made), costly))
        return type(some)(results) if type(some) in (list, tuple) else (*results,)

    def _read(self, operands: Sequence[Operand]) -> Read:
        """Check what a call reads, and put together the maps of which it reads all rows."""
        runner = self.runner
        read = Read([], {}, {}, {}, [])
        for x, links in operands:
            node = x.node if isinstance(x, SharedMap) else Node.constant(x)
            everything = not_linked(node, links)
            if everything:
                runner.gather(node)
                read.whole.append(node)
            if any(wraps(link.rule) for link in links):
                runner.store(node)
                runner.passed("gathered", node)
            for out, dim, rule in links:
                n = rule.rows(node.shape[dim])
                if node.shape[dim] < 1 or n < 1:
                    raise Refused("makes or reads an empty map")
                if out is not None:
                    if read.sizes.setdefault(out, n) != n:
                        raise Refused("joins maps of other sizes")
                    read.fine[out] = max(read.fine.get(out, 1), node.cut.get(dim, 1))
                    read.coarse[out] = max(read.coarse.get(out, 1), node.coarse.get(dim, 1))
            read.operands.append((node, [*links, *everything]))
        return read

    def _noted(self, read: Read, unit: Tensor, make: Make, costly: int) -> Tensor:
        """Note one result of a call, of which a unit is known."""
        runner, sizes = self.runner, read.sizes
        shape = [*unit.shape]
        for out, n in sizes.items():
            shape[out] = n
        cut = {out: read.fine[out] for out in sorted(sizes) if sizes[out] > 1}
        coarse = {out: read.coarse[out] for out in cut}
        if read.whole and cut:
            first = next(iter(cut))
            parts = ceil(prod(shape) / MOST_VALUES)
            others = prod(count for dim, count in cut.items() if dim != first)
            # A multiple, so that each process of a team makes as many parts.
            times = ceil(parts / others / cut[first])
            cut[first] = min(cut[first] * times, sizes[first])
        node = Node(shape, unit.dtype, coarse, read.operands, make, fine=cut)
        if costly:
            runner.number(node)
        if runner.notes:
            runner.notes.calls[node] = Call(node.operands, max(costly, 1))
        if not cut:
            whole = runner.value(node, 0).to(runner.home)
            runner.passed("pooled", node)
            return whole
        if costly:
            if runner.segments is None or node.number in runner.segments.stores:
                runner.store(node)
            runner.passed("costly", node)
        return SharedMap.of(node, runner)

    def gathered(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        along: Sequence[int] | None = None,
    ) -> object:
        """Call a function on whole maps, and cut its results."""
        runner, wholes = self.runner, {}
        for x in maps_in(args, kwargs):
            wholes[id(x)] = runner.gather(x.node)  # type: ignore[attr-defined]
        args, kwargs = tree_map_only(SharedMap, lambda x: wholes[id(x)], (args, kwargs))
        args, kwargs = tree_map_only(Tensor, lambda x: x.to(runner.device), (args, kwargs))

        def again(x: Tensor) -> Tensor:
            x = x.to(runner.home)
            if along is not None:
                return runner.cut(x, along)
            if x.ndim == len(self.shape):
                return runner.cut(x, (), self.node.coarse)
            return x

        return tree_map_only(Tensor, again, function(*args, **kwargs))

    def pooled(self, part: Function, join: Callable[[Pooled], object]) -> object:
        """Join what is pooled of each part of a map."""
        node, runner, values = self.node, self.runner, {}
        for k in runner.team.mine(node):
            rows = prod(end - first for first, end in node.box(k).values())
            pooled = None
            value = runner.value(node, k)
            if rows:
                pooled = tree_map_only(Tensor, lambda x: x.to(runner.home), part(value))
            values[k] = (rows, pooled)
            runner.made_part()
        runner.passed("pooled", node)
        return join([value for value in runner.team.collect(values) if value[0]])

    def replace(self, other: Tensor) -> CutMap:
        if isinstance(other, SharedMap):
            self.node = other.node
        else:
            self.node = Node.constant(other)
        return self

    def with_strides(self, strides: Sequence[int]) -> CutMap:
        return self.of(self.node, self.runner, strides)

    def uncut(self, view: Tensor) -> CutMap:
        return self.of(Node.constant(view), self.runner)


class Runner:
    """Makes the parts of maps, each on a device; all that is stored stays at home.

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
        self.kept: dict[int, Node] = {}
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
        node = self.number(Node(x.shape, x.dtype, counts))
        node.stored = self.team.adopt(node, x)
        if self.notes:
            self.notes.given[node] = self.events
        return SharedMap.of(node, self, x.stride())

    def cut_all(self, image: Tensor) -> Tensor:
        """Cut an image along its axes, into a grid of parts."""
        return self.cut(image, range(image.ndim - self.behind, image.ndim)[: len(self.grid)])

    def number(self, node: Node) -> Node:
        """Number a map that is stored, or may be; what copies there are depends on the device."""
        node.number = self.numbered
        self.numbered += 1
        if self.segments:
            self.kept[node.number] = node
        return node

    def passed(self, kind: Event, node: Node) -> None:
        """Count what a map was made for, and forget maps that are read no more."""
        if self.notes:
            self.notes.events.append((kind, node))
        if self.segments:
            for number in self.segments.drops.get(self.events, ()):
                if number in self.kept:
                    self.kept.pop(number).forget()
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

    def store(self, node: Node) -> None:
        """Compute all rows of a map, part by part, if they are not stored."""
        if node.stored is None:
            if node.number < 0:
                self.number(node)
            whole = None
            for k in self.team.mine(node):
                value = self.value(node, k).to(self.home)
                whole = self.team.keep(node, whole, k, value, self._empty)
                self.made_part()
            assert whole is not None
            node.store(whole)

    def write(self, x: Tensor, out: Any) -> None:
        """Write a map part by part into an array of its shape."""
        shape = tuple(getattr(out, "shape", ()))
        if shape != tuple(x.shape):
            what = f"has the shape {shape}, and the map {tuple(x.shape)}"
            raise OptionError(what, option="out", hint="make it as large as the map")
        if x.dtype.is_floating_point and "int" in str(out.dtype):
            what = f"is of {out.dtype}, and the map of {x.dtype}"
            raise OptionError(what, option="out", hint="make an array of that type")
        if not isinstance(x, SharedMap):
            self._write(out, (), x)
            return
        node = x.node
        for k in self.team.mine(node):
            box = node.box(k)
            places = [slice(None)] * x.ndim
            for dim, span in box.items():
                places[dim] = slice(*span)
            self._write(out, (*places,), self.value(node, k))
            if node.stored is None:
                self.made_part()
        self.passed("output", node)

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

    def made_part(self) -> None:
        self.steps += 1
        self.on_part()

    def whole(self, node: Node) -> Tensor:
        """Return all rows of a map."""
        self.store(node)
        return self.team.whole(node)

    def output(self, x: SharedMap) -> Tensor:
        """Return all rows of a map that the module returns."""
        whole = self.whole(x.node)
        self.passed("output", x.node)
        return whole

    def gather(self, node: Node) -> Tensor:
        """Gather a map for a layer that reads all of it."""
        self.gathers.append(Gathered(self.where(), node.shape, node.bytes))
        whole = self.whole(node)
        self.passed("gathered", node)
        return whole

    def value(self, node: Node, k: int) -> Tensor:
        """Return part k of a map, on the device."""
        if node.stored is not None:
            return self.team.part(node, k).to(self.device)
        if node.make is None:
            raise Refused("runs otherwise than when it was planned", "plan it again")
        segment, values = Segment(node), dict[Node, Tensor]()
        for reader in segment.order:
            regions = [
                self._region(operand, links, reader, segment, values, k)
                for operand, links in reader.operands
            ]
            rows = {}
            for link in reader.operands[0][1]:
                if link.out is not None:
                    first, end = rows_of(segment.needs(k)[reader], link)
                    rows[link.out] = Rows(link.rule.reads(first, end)[0], first, end)
            assert reader.make is not None
            values[reader] = reader.make(regions, rows)
            del regions
            for operand, _ in reader.operands:
                if segment.last[operand] is reader:
                    values.pop(operand, None)
        kept = {dim: (0, end - first) for dim, (first, end) in node.box(k).items()}
        return part(values[node], kept)

    def _region(
        self,
        node: Node,
        links: Sequence[Link],
        reader: Node,
        segment: Segment,
        values: Mapping[Node, Tensor],
        k: int,
    ) -> Tensor:
        """Return the rows of a map that another reads for part k; rows that are shared are
        fetched.
        """
        box, held = segment.needs(k)[reader], segment.needs(k).get(node, {})
        x = node.stored
        is_stored = x is not None
        if x is not None and node.version is not None:
            check_unwritten(x, node.version)
        if x is None and node in values:
            x = values[node]
        if x is None:
            raise Refused("runs otherwise than when it was planned", "plan it again")
        for link in links:
            n = node.shape[link.dim]
            wanted = segment.wanted(reader, link, n)
            if is_stored and link.dim in node.cut:
                x = self.team.rows(x, n, link.dim, wanted, k)
            else:
                at, _ = held.get(link.dim, (0, n))
                x = joined(x, link.dim, wanted(k), at)
        return filled(x.to(self.device), node, links, box)


def _some_unit(read: Operands, make: Make, device: torch.device) -> Any:
    """Compute the first unit of a map of zeros, which tells its type, and its other dimensions."""
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

    def cast(regions: list[Tensor], rows: Mapping[int, Rows]) -> object:
        kind = regions[0].device.type
        if kind not in ("cpu", "cuda") or torch.is_autocast_enabled(kind) == (kind in dtypes):
            return make(regions, rows)
        with torch.autocast(kind, dtypes.get(kind), enabled=kind in dtypes):
            return make(regions, rows)

    return cast
