"""Run a module layer by layer on a map that is cut, so that its output is exactly that of the whole
map.

The module's own forward runs once. Each layer makes the rows of a part from the rows that these
read, wherever they are, and pads at the ends of the whole map only. Norms and means pool the sums
of all parts. The parts are tiles, shards of a `Team`, or chunks of a `StreamedMap` that come one
after another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from copy import deepcopy
from math import inf
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from padviz.cutting import cut_values, cut_windows  # noqa: F401  # whose handlers maps find
from padviz.cutting.cut_map import CutMap, Function, Pooled, Refused, Rule, cuts_in, padded
from padviz.cutting.exact_units import Span
from padviz.cutting.plan import check_evaluating
from padviz.cutting.shards import owned
from padviz.errors import DescriptionError, OptionError, PadvizError, check_integer
from padviz.network.network import AXES
from padviz.network.padding_modes import fold
from padviz.sources.torch.call import Modules
from padviz.sources.torch.load import channels_of, copy_module, line_of, quiet, without_data

T = TypeVar("T")
Model = Callable[[Tensor], object]
# samples of a signal whose end is not known; a multiple of what networks divide by
ENDLESS = 720720 << 20
WHOLE = "run it on the whole image"
MOST_SITES = 20_000  # of a forward; one with more loops over the samples


def _spans(rule: Rule, n: int, first: int, end: int) -> list[Span]:
    """Return the rows of n that the rows [first, end) read, those that fill the padding as well, in
    order.
    """
    lo, hi = rule.reads(first, end)
    real = [(max(lo, 0), max(min(hi, n), lo, 0))]
    if not isinstance(rule.fill, str) or (lo >= 0 and hi <= n):
        return real
    ends = fold(rule.fill, n, max(0, -lo), max(0, hi - n))
    assert ends is not None
    outside = (range(lo, min(hi, 0)), range(max(lo, n), hi))
    before, after = [
        [(a * row + b, a * row + b + 1) for row in rows]
        for (a, b), rows in zip(ends, outside, strict=True)
    ]
    return [*before, *real, *after]


def _made(rule: Rule, n: int, first: int, end: int, pieces: Sequence[Tensor], along: int) -> Tensor:
    """Return the rows [first, end), which a rule makes of the pieces that they read."""
    if len(pieces) > 1:
        region = torch.cat([*pieces], along)
    else:
        region = pieces[0]
    lo, hi = rule.reads(first, max(end, first + 1))
    if end == first:
        return rule.run(
            padded(region.narrow(along, 0, 0), along, 0, hi - lo, 0.0), lo, first, first + 1
        ).narrow(along, 0, 0)
    if not isinstance(rule.fill, str):
        before, after = max(0, min(0, hi) - lo), max(0, hi - max(n, lo))
        if before or after:
            region = padded(region, along, before, after, rule.fill)
    return rule.run(region, lo, first, end)


class Team:
    """Those who share the rows of a map, all in this process. A team of processes overrides `fetch`
    and `collect`.

    `mine` are the numbers of the parts that are here.
    """

    def __init__(self, n: int, device: torch.device | None = None) -> None:
        self.n, self.device = n, device
        self.mine: Sequence[int] = range(n)

    def run(self, function: Function, args: Sequence[object], kwargs: Mapping[str, object]) -> Any:
        """Call a function on plain tensors, on the team's device."""
        home = next(leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        if self.device in (None, home):
            return function(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(self.device), (args, kwargs))
        return tree_map_only(Tensor, lambda tensor: tensor.to(home), function(*args, **kwargs))

    def fetch(self, cut: SharedMap, wanted: Sequence[Sequence[Span]]) -> dict[int, list[Tensor]]:
        """Return, for each part that is here, the spans of rows that it wants."""
        return {k: [self._rows(cut, *span) for span in wanted[k]] for k in self.mine}

    def collect(self, values: Mapping[int, T]) -> list[T]:
        """Return the values of all parts, in their order."""
        return [values[k] for k in range(self.n)]

    def _rows(self, cut: SharedMap, lo: int, hi: int) -> Tensor:
        pieces = []
        for k, (first, end) in enumerate(cut.edges):
            low, high = max(lo, first), min(hi, end)
            if low < high:
                pieces.append(cut.parts[k].narrow(cut.along, low - first, high - low))
        if pieces[1:]:
            return torch.cat(pieces, cut.along)
        return (pieces or [cut.parts[0].narrow(cut.along, 0, 0)])[0]


class SharedMap(CutMap):
    """A map whose rows are shared among a team: `parts` by number, those that are here."""

    parts: Mapping[int, Tensor]
    team: Team

    @classmethod
    def of(
        cls, parts: Mapping[int, Tensor], along: int, n: int, team: Team, alias: bool = False
    ) -> SharedMap:
        shared = cls.shell(next(iter(parts.values())), along, n, alias)
        shared.parts, shared.team = parts, team
        return shared

    @classmethod
    def cut(cls, x: Tensor, teams: Mapping[int, Team]) -> Tensor:
        """Cut a tensor along dimensions, each among a team; its parts along the first are cut along
        the next.
        """
        if not teams:
            return x
        (along, team), *rest = teams.items()
        n = x.shape[along]
        edges = enumerate(owned(n, team.n))
        return cls.of(
            {k: cls.cut(x.narrow(along, lo, hi - lo), dict(rest)) for k, (lo, hi) in edges},
            along,
            n,
            team,
        )

    @property
    def whole(self) -> Tensor:
        """All rows together."""
        parts = [
            part.whole if isinstance(part, SharedMap) else part for part in self.parts.values()
        ]
        return torch.cat(parts, self.along)

    @property
    def edges(self) -> list[Span]:
        """The rows that each part owns."""
        return owned(self.n, self.team.n)

    def windowed(self, rule: Rule) -> CutMap:
        m = rule.rows(self.n)
        edges = owned(m, self.team.n)
        wanted = [_spans(rule, self.n, *edge) if edge[0] < edge[1] else [(0, 0)] for edge in edges]
        fetched, parts = self.team.fetch(self, wanted), {}
        for k in self.team.mine:
            parts[k] = self._run(
                lambda pieces, along, k=k: _made(rule, self.n, *edges[k], pieces, along),
                (fetched[k], self.along),
                {},
            )
        return SharedMap.of(parts, self.along, m, self.team, rule.alias)

    def each(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object] | None = None,
        along: int = -1,
    ) -> CutMap | list[CutMap]:
        cuts: Any = cuts_in(args, kwargs)
        for cut in cuts:
            if cut.team is self.team:
                differs = (cut.n, cut.behind) != (self.n, self.behind)
            else:
                differs = cut.behind >= self.behind
            if differs:
                raise Refused("joins maps that are cut differently")
        alias = any(cut.alias for cut in cuts)
        along = self.along if along < 0 else along
        by_part = {k: self._of_part(k, function, args, kwargs or {}) for k in self.team.mine}
        some = next(iter(by_part.values()))
        if isinstance(some, Tensor):
            return SharedMap.of(by_part, along, self.n, self.team, alias)
        results = (
            dict(zip(by_part, parts, strict=True)) for parts in zip(*by_part.values(), strict=True)
        )
        return [SharedMap.of(parts, along, self.n, self.team, alias) for parts in results]

    def pooled(
        self, function: Function, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> Pooled:
        if 0 in self.shape:
            raise Refused("pools an empty map")
        rows = [end - first for first, end in self.edges]
        values = {
            k: self._of_part(k, function, args, kwargs) if rows[k] else None for k in self.team.mine
        }
        return [(n, value) for n, value in zip(rows, self.team.collect(values), strict=True) if n]

    def narrowed(self, tensor: Tensor, dim: int) -> Tensor:
        if tensor.shape[dim] != self.n:
            raise Refused("joins maps of other sizes")
        parts = {
            k: tensor.narrow(dim, self.edges[k][0], self.edges[k][1] - self.edges[k][0])
            for k in self.team.mine
        }
        return SharedMap.of(parts, dim, self.n, self.team)

    def _of_part(
        self, k: int, function: Function, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> Any:
        """Call a function on part k of the maps that this team shares; others are cut along later
        dimensions.
        """

        def part(cut: SharedMap) -> Tensor:
            if cut.team is self.team:
                return cut.parts[k]
            return cut

        return self._run(function, *tree_map_only(SharedMap, part, (args, kwargs)))

    def _run(self, function: Function, args: Sequence[object], kwargs: Mapping[str, object]) -> Any:
        if cuts_in(args, kwargs):
            return function(*args, **kwargs)
        return self.team.run(function, args, kwargs)


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
    """A map of n rows that comes in pieces: `piece` has those from `start` on.

    Until the signal ends, n is far away. If it ended now, the map would have `rows_if_ended`.
    """

    piece: Tensor
    start: int
    rows_if_ended: int
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
        alias: bool = False,
    ) -> StreamedMap:
        streamed = cls.shell(piece, along, n, alias)
        streamed.piece, streamed.start, streamed.rows_if_ended = piece, start, rows_if_ended
        streamed.session = session
        return streamed

    @property
    def received(self) -> int:
        """The number of rows so far, those of this piece included; n once the map has ended."""
        return self.start + self.piece.shape[self.along]

    def windowed(self, rule: Rule) -> CutMap:
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

        spans = [(held_from, held_from)]
        if first < end:
            spans = _spans(rule, self.n, first, end)
        pieces: list[Tensor] = []
        for lo, hi in spans:
            if lo < hi:
                pieces.append(held.narrow(self.along, lo - held_from, hi - lo))
            else:
                pieces.append(held.narrow(self.along, 0, 0))
        piece = _made(rule, self.n, first, end, pieces, self.along)
        site.emitted = end

        if not has_ended:
            next_read, _ = rule.reads(end, end + 1)
            # Padding by a mirror may read some of the last rows once more when the signal ends.
            site.drop(min(next_read, self.received - rule.read_at_end), [self])
        rows_if_ended = 0
        if self.rows_if_ended:
            rows_if_ended = max(0, rule.rows(self.rows_if_ended))
        n = rule.rows(self.n)
        return StreamedMap.of(piece, first, rows_if_ended, self.along, n, self.session, rule.alias)

    def _certain_until(self, rule: Rule, first: int) -> int:
        """Return the end of the rows, from `first` on, that are the same wherever the
        signal ends.
        """

        def reads_ahead(row: int) -> bool:
            return any(hi > self.received for _, hi in _spans(rule, self.n, first, row + 1))

        rows = range(first, max(first, rule.rows(self.rows_if_ended)))
        return first + bisect_left(rows, True, key=reads_ahead)

    def each(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object] | None = None,
        along: int = -1,
    ) -> CutMap | list[CutMap]:
        maps: Any = cuts_in(args, kwargs)
        if any((x.n, x.behind) != (self.n, self.behind) for x in maps):
            raise Refused("joins maps of other lengths")
        start = self.start
        pieces = {id(x): x.piece for x in maps}
        if len(maps) > 1:
            # Those that are ahead wait for the others.
            site = self.session.site(len(maps))
            site.add(maps)
            start = site.emitted
            received = min(x.received for x in maps)
            for x, (at, rows) in zip(maps, site.buffers, strict=True):
                pieces[id(x)] = rows.narrow(x.along, start - at, received - start)
            site.emitted = received
            site.drop(received, maps)
        plain_args, plain_kwargs = tree_map_only(
            StreamedMap, lambda x: pieces[id(x)], (args, dict(kwargs or {}))
        )
        result = function(*plain_args, **plain_kwargs)
        if along < 0:
            along = self.along
        alias = any(x.alias for x in maps)
        rows_if_ended = min(x.rows_if_ended for x in maps)

        def stream(piece: Tensor) -> StreamedMap:
            return StreamedMap.of(piece, start, rows_if_ended, along, self.n, self.session, alias)

        if isinstance(result, Tensor):
            return stream(result)
        return [*map(stream, result)]

    def pooled(
        self, function: Function, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> Pooled:
        raise Refused("pools all positions, also those to come")

    def narrowed(self, tensor: Tensor, dim: int) -> Tensor:
        raise Refused("has a value for each position")


def run(model: Model, x: Tensor) -> object:
    """Run a module on a map that is cut.

    Raises DescriptionError naming the layer that does not allow it.
    """
    modules = None
    if isinstance(model, nn.Module):
        modules = Modules(model)
    try:
        with torch.no_grad(), modules or nullcontext():
            return model(x)
    except Refused as why:
        where = (modules.path if modules else "") or type(model).__name__
        raise DescriptionError(f"cannot be cut: it {why}", where=where, hint=WHOLE) from None


def by_layer(model: Model, image: object, parts: Mapping[int, int]) -> Any:
    """Run a module layer by layer on an image that is cut into parts along dimensions, and return
    its whole outputs.

    Where the module's parameters are on another device, each part of a map moves there for a layer,
    and back.
    """
    if not isinstance(image, Tensor):
        raise OptionError("must be a tensor", option="image", hint="give torch.from_numpy(image)")
    weights = image
    if isinstance(model, nn.Module):
        weights = next(iter(model.parameters()), image)
    teams = {dim % image.ndim: Team(n, weights.device) for dim, n in parts.items()}
    return tree_map_only(SharedMap, lambda cut: cut.whole, run(model, SharedMap.cut(image, teams)))


def dry_run(model: nn.Module, size: Sequence[int], parts: Mapping[int, int]) -> str:
    """Run a module by layer on an image without data, and return why that shows nothing, or "".

    Raises DescriptionError naming the layer that does not allow it.
    """
    name, why = type(model).__name__, ""
    # A number in a module may decide what it does, so single numbers stay.
    empty = copy_module(
        model, name, lambda tensor: tensor if tensor.ndim == 0 else without_data(tensor)
    )
    kind = next(
        (weight.dtype for weight in empty.parameters() if weight.is_floating_point()), torch.float32
    )
    with torch.no_grad(), quiet(), torch.device("meta"):
        for channels in channels_of(model, len(size)):
            image = torch.empty(1, channels, *size, dtype=kind)
            try:
                whole = empty(image)
            except Exception as error:
                why = why or f"its forward does not run without data ({line_of(error)})"
                continue
            try:
                tiled = by_layer(empty, image, parts)
            except PadvizError:
                raise
            except Exception as error:
                raise DescriptionError(
                    f"cannot be cut: {line_of(error)}", where=name, hint=WHOLE
                ) from None
            shapes = [[leaf.shape for leaf in tree_leaves(output)] for output in (whole, tiled)]
            if shapes[0] != shapes[1]:
                raise DescriptionError(
                    "cannot be cut: its output gets another shape", where=name, hint=WHOLE
                )
            return ""
    return why


def differ(
    model: object, shape: Sequence[int], cut: Callable[[nn.Module, Tensor], object], seed: int = 0
) -> tuple[str, float]:
    """Run a module on noise, whole and cut; return in which precision, and how far the outputs are
    apart.

    The difference is over the largest value, and infinite where shapes differ.
    """
    if not isinstance(model, nn.Module):
        raise DescriptionError(
            "runs PyTorch modules only", where="model", hint="name one as package.module:attribute"
        )
    noise = np.random.default_rng(seed).random(shape)
    for module, precision in ((deepcopy(model).double(), "float64"), (model, "float32")):
        image = torch.from_numpy(noise).to(getattr(torch, precision))
        with (
            torch.no_grad(),
            suppress(RuntimeError),
        ):  # a module may make tensors of single precision inside
            outputs = module(image), cut(module, image)
            apart = []
            for one, other in zip(*map(tree_leaves, outputs), strict=True):
                difference = inf
                if one.shape == other.shape:
                    difference = float((one - other).abs().max() / one.abs().max())
                apart.append(difference)
            return precision, max(apart)
    what = f"does not run on noise of {' x '.join(map(str, shape))}"
    hint = (
        "say its channels with the `shape` that padviz.load takes, or name a module that takes it"
    )
    raise DescriptionError(what, where=type(model).__name__, hint=hint)


def sharded(model: Model, image: Tensor, n: int, *, axis: str | None = None) -> Any:
    """Run a module on shards of an image, as several devices would, and return its output, without
    gradients.

    Of a map of m rows, shard k owns the rows from k * m // n on. Each layer fetches the rows that
    it reads of other shards; norms and means exchange their sums. `padviz.shards` lists what is
    fetched.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    image : torch.Tensor, (batch, channels, height, width), (batch, channels, samples) or a volume
    n : int
        The number of shards.
    axis : str, optional
        "height" or "width" of an image, "length" of a signal, also "depth" of a volume. By default
        the height, or the length.

    Returns
    -------
    What the module returns.

    Raises
    ------
    OptionError
        For a module in training mode, and for an axis that the image does not have.
    DescriptionError
        For a layer that needs all positions in another way, such as attention, naming it.

    Examples
    --------
    >>> import torch
    >>> model, image = torch.nn.Conv2d(3, 4, 5, padding=2).eval(), torch.rand(1, 3, 31, 40)
    >>> torch.allclose(sharded(model, image, 3), model(image), atol=1e-6)
    True
    """
    check_integer(n, 1, "n")
    check_evaluating(model)
    axes = AXES.get(getattr(image, "ndim", 0) - 2)
    if axes is None:
        hint = "give a tensor (batch, channels, height, width)"
        raise OptionError(
            "must have a batch, channels and one to three axes", option="image", hint=hint
        )
    axis = axis or axes[-2:][0]
    if axis not in axes:
        raise OptionError(
            f"the image has {' x '.join(axes)}, not {axis!r}",
            option="axis",
            hint="name one of them",
        )
    return by_layer(model, image, {axes.index(axis) - len(axes): n})


class Streamed:
    """A module with state: each call takes a chunk and returns what is certain of the output.

    >>> from torch import nn, ones
    >>> stream = Streamed(nn.Conv1d(1, 1, 5, padding=2))
    >>> stream(ones(1, 1, 64)).shape[-1], stream(ones(1, 1, 64)).shape[-1], stream.flush().shape[-1]
    (62, 64, 2)
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.reset()

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

    def _run(self, chunk: Tensor, n: int) -> Any:
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
