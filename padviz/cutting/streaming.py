"""Signals that come in chunks: each call makes the rows that are certain by now, and holds those
that later ones read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from padviz.cutting.by_layer import Model, run
from padviz.cutting.cut_map import (
    SAME,
    WHOLE,
    CutMap,
    Function,
    Make,
    Operand,
    Pooled,
    Refused,
    Rows,
    Rule,
    tree_leaves,
    tree_map_only,
)
from padviz.cutting.nodes import joined, spans_read
from padviz.cutting.windows import padded
from padviz.errors import DescriptionError, OptionError
from padviz.phrases import counted

# samples of a signal whose end is not known; a multiple of what networks divide by
ENDLESS = 720720 << 20
MOST_SITES = 20_000  # of a forward; one with more loops over the samples


class Site:
    """One operation of a stream's forward: the rows of its operands that it still needs.

    `emitted` is the number of rows that it has returned so far.
    """

    def __init__(self, key: object) -> None:
        self.key, self.emitted = key, 0
        self.buffers: list[tuple[int, Tensor]] = []  # the first row, and the rows, of each operand

    def add(self, maps: Sequence[StreamedMap]) -> None:
        if not self.buffers:
            self.buffers = [(x.start, x.piece.narrow(x.along, 0, 0)) for x in maps]
        for i, ((at, rows), x) in enumerate(zip(self.buffers, maps, strict=True)):
            self.buffers[i] = at, torch.cat([rows, x.piece], x.along)

    def drop(self, row: int, maps: Sequence[StreamedMap]) -> None:
        """Forget the rows in front of one."""
        for i, ((at, rows), x) in enumerate(zip(self.buffers, maps, strict=True)):
            n = rows.shape[x.along]
            gone = min(max(0, row - at), n)
            self.buffers[i] = at + gone, rows.narrow(x.along, gone, n - gone).clone()


class Session:
    """The state of a stream: the sites of its forward, in their order."""

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.passed = 0

    def site(self, *key: object) -> Site:
        """Return the next site, which must be what it was for the chunk before."""
        if self.passed == len(self.sites):
            self.sites.append(Site(key))
        site = self.sites[self.passed]
        self.passed += 1
        if site.key != key or self.passed > MOST_SITES:
            raise Refused("depends on the length of the signal")
        return site


class StreamedMap(CutMap):
    """A map of n rows along its dimension `along` that comes in pieces: `piece` has those from
    `start` on.

    Until the signal ends, n is far away. If it ended now, the map would have `rows_if_ended`.
    """

    piece: Tensor
    start: int
    rows_if_ended: int
    along: int
    session: Session

    @classmethod
    def of(
        cls,
        piece: Tensor,
        start: int,
        rows_if_ended: int,
        along: int,
        n: int,
        session: Session,
        strides: Sequence[int] | None = None,
    ) -> StreamedMap:
        shape = [*piece.shape]
        shape[along] = n
        streamed = cls.shell(shape, piece.dtype, piece.device, strides)
        streamed.piece, streamed.start, streamed.rows_if_ended = piece, start, rows_if_ended
        streamed.along, streamed.session = along, session
        return streamed

    @property
    def cut(self) -> Collection[int]:
        return (self.along,)

    @property
    def n(self) -> int:
        """The number of its rows."""
        return self.shape[self.along]

    @property
    def received(self) -> int:
        """The number of rows so far, those of this piece included; n once the map has ended."""
        return self.start + self.piece.shape[self.along]

    def spans(self, operands: Sequence[Operand], make: Make, *, costly: int = 0) -> Any:
        maps = []
        for x, links in operands:
            if not isinstance(x, StreamedMap):
                raise Refused("has a value for each position")
            if [link.dim for link in links] != [x.along]:
                raise Refused("reads all positions, also those to come")
            maps.append(x)
        ((out, _, rule), *others) = [link for _, links in operands for link in links]
        if out is None or any(link.out != out for link in others):
            raise Refused("reads all positions, also those to come")
        if all(link.rule is SAME for _, links in operands for link in links):
            return self._row_by_row(maps, out, make)
        if others:
            raise Refused("joins maps end to end")
        return self._windowed(rule, out, make)

    def _windowed(self, rule: Rule, out: int, make: Make) -> object:
        """Return the rows of the result that are certain by now, and hold what later ones read.

        A convolution of 5 taps, padded by 2, with the second of its chunks of 64 samples; n is far
        away, since the signal goes on:

            row           0           60  62  64              124 126 128         n
            emitted before|---------------|
            this piece                        |-----------------------|
            held to read              |-------------------------------|
            returned now                  |-----------------------|
            held afterwards                                   |-------|
                                              start                   received, rows_if_ended

        Row 126 reads row 128, which is a sample of the next chunk, or padding if there is none.
        """
        if rule.fill == "circular":
            raise Refused("pads circularly, and so reads the end of the signal first")
        site = self.session.site(rule.reads(0, 1), rule.fill)
        site.add([self])
        ((held_from, held),) = site.buffers
        has_ended = self.received == self.n
        first = site.emitted
        if has_ended:
            end = max(first, rule.rows(self.n))
        else:
            end = self._certain_until(rule, first)
        pieces = self._made(rule, out, make, held, held_from, (first, end))
        site.emitted = end

        if not has_ended:
            next_read, _ = rule.reads(end, end + 1)
            # Padding by a mirror may read some of the last rows once more when the signal ends.
            site.drop(min(next_read, self.received - rule.read_at_end), [self])
        rows_if_ended = 0
        if self.rows_if_ended:
            rows_if_ended = max(0, rule.rows(self.rows_if_ended))
        n = rule.rows(self.n)

        def stream(piece: Tensor) -> StreamedMap:
            return StreamedMap.of(piece, first, rows_if_ended, out, n, self.session)

        return tree_map_only(Tensor, stream, pieces)

    def _made(
        self, rule: Rule, out: int, make: Make, held: Tensor, held_from: int, rows: tuple[int, int]
    ) -> object:
        """Compute some rows, which may be none, of those that are held."""
        first, end = rows
        lo, hi = rule.reads(first, max(end, first + 1))
        if first == end:
            # A row of nothing has the type and the other dimensions of the result.
            region = held.narrow(self.along, 0, 0)
            region = padded(region, {self.along: (0, hi - lo)}, 0.0)
            made = make([region], {out: Rows(lo, first, first + 1)})
            return tree_map_only(Tensor, lambda row: row.narrow(out, 0, 0), made)
        region = joined(held, self.along, spans_read(rule, self.n, first, end), held_from)
        if not isinstance(rule.fill, str):
            beyond = max(0, min(0, hi) - lo), max(0, hi - max(self.n, lo))
            region = padded(region, {self.along: beyond}, rule.fill)
        return make([region], {out: Rows(lo, first, end)})

    def _certain_until(self, rule: Rule, first: int) -> int:
        """Return the end of the rows, from `first` on, that are the same wherever the signal
        ends.
        """

        def reads_ahead(row: int) -> bool:
            return any(hi > self.received for _, hi in spans_read(rule, self.n, first, row + 1))

        rows = range(first, max(first, rule.rows(self.rows_if_ended)))
        return first + bisect_left(rows, True, key=reads_ahead)

    def _row_by_row(self, maps: Sequence[StreamedMap], out: int, make: Make) -> object:
        if any(x.n != self.n for x in maps):
            raise Refused("joins maps of other lengths")
        start = self.start
        pieces = [x.piece for x in maps]
        apart = [*{id(x): x for x in maps}.values()]
        if len(apart) > 1:
            # Those that are ahead wait for the others.
            site = self.session.site(len(apart))
            site.add(apart)
            start = site.emitted
            received = min(x.received for x in apart)
            ready = {}
            for x, (at, rows) in zip(apart, site.buffers, strict=True):
                ready[id(x)] = rows.narrow(x.along, start - at, received - start)
            pieces = [ready[id(x)] for x in maps]
            site.emitted = received
            site.drop(received, apart)
        rows_if_ended = min(x.rows_if_ended for x in maps)

        def stream(piece: Tensor) -> StreamedMap:
            return StreamedMap.of(piece, start, rows_if_ended, out, self.n, self.session)

        return tree_map_only(Tensor, stream, make(pieces, {}))

    def pooled(self, part: Function, join: Callable[[Pooled], object]) -> object:
        raise Refused("pools all positions, also those to come")

    def gathered(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        along: Sequence[int] | None = None,
    ) -> object:
        name = getattr(function, "overloadpacket", function).__name__
        raise Refused(f"runs {name} over all positions, also those to come")

    def with_strides(self, strides: Sequence[int]) -> CutMap:
        rows = self.start, self.rows_if_ended
        return self.of(self.piece, *rows, self.along, self.n, self.session, strides)

    def replace(self, other: CutMap) -> CutMap:
        """A stream then holds the rows that all of its operands have."""
        kept = self.family, self.origin, self.call
        vars(self).update(vars(other))
        self.family, self.origin, self.call = kept
        return self


class Streamed:
    """A module with state: each call takes a chunk and returns what is certain of the output.

    >>> from torch import nn, ones
    >>> stream = Streamed(nn.Conv1d(1, 1, 5, padding=2))
    >>> stream(ones(1, 1, 64)).shape[-1], stream(ones(1, 1, 64)).shape[-1], stream.flush().shape[-1]
    (62, 64, 2)
    >>> stream
    <Streamed Conv1d, 0 samples read>
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.reset()

    def __repr__(self) -> str:
        return f"<Streamed {type(self.model).__name__}, {counted(self.read, 'sample')} read>"

    def reset(self) -> None:
        """Forget the signal so far."""
        self.session, self.read = Session(), 0
        self.none: Tensor | None = None

    def __call__(self, chunk: Tensor) -> Any:
        """Return the next units of the output, for the next samples (..., samples)."""
        none = None
        if isinstance(chunk, Tensor) and chunk.ndim:
            none = chunk[..., :0]
        if self.none is None:
            like = none
        else:
            like = self.none
        if none is None or like is None or (none.shape, none.dtype) != (like.shape, like.dtype):
            raise OptionError("must be a tensor (..., samples), like those before", option="chunk")
        self.none = none
        self.read += chunk.shape[-1]
        return self._run(chunk, ENDLESS)

    def flush(self) -> Any:
        """Return the last units of the output; the next chunk begins another signal."""
        if self.none is None:
            raise OptionError("none came before flush()", option="chunk")
        rest = self._run(self.none, self.read)
        self.reset()
        return rest

    def _run(self, chunk: Tensor, n: int) -> object:
        self.session.passed = 0
        signal = StreamedMap.of(
            chunk, self.read - chunk.shape[-1], self.read, chunk.ndim - 1, n, self.session
        )
        output = run(self.model, signal)
        if self.session.passed < len(self.session.sites):
            what = "cannot be cut: it depends on the length of the signal"
            raise DescriptionError(what, where=type(self.model).__name__, hint=WHOLE)
        return tree_map_only(StreamedMap, lambda streamed: streamed.piece, output)


def in_chunks(model: Model, signal: Tensor, first: int, chunk: int) -> list[Tensor]:
    """Run a module on a signal in chunks, `first` samples before all others, and join each of its
    outputs.

    Raises DescriptionError if nothing comes before the end.
    """
    stream = Streamed(model)
    pieces = [
        *map(stream, (signal[..., :first], *torch.split(signal[..., first:], chunk, -1))),
        stream.flush(),
    ]
    if not any(leaf.shape[-1] for leaf in tree_leaves(pieces[:-1])):
        what = "returns nothing before the signal ends"
        raise DescriptionError(what, where=type(model).__name__, hint="run it whole")
    return [torch.cat(parts, -1) for parts in zip(*map(tree_leaves, pieces), strict=True)]
