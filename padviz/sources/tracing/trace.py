"""A foreign graph laid out at one input size, and the network that it is cut down to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from padviz.errors import DescriptionError, SizeError, typed
from padviz.network.graph import ancestors
from padviz.network.layer import MERGES, Act, Channels, Kind, Layer, Origin
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Adaptive, Op, Same, Transposed, Window, out_size, pads_at
from padviz.network.resize import Resize, nearest_rows
from padviz.phrases import some_names
from padviz.sources.tracing.dims import ROLES
from padviz.sources.tracing.reading import moves

SAMES = get_args(Same)
PRODUCTS = frozenset(("matmul", "rmatmul", "mm", "bmm", "baddbmm", "einsum"))
Ops = tuple[Op | None, ...]  # on each axis
Ranges = Mapping[str, range]  # rows or columns, by their axis
MOST_LAYERS = 10_000
NAMED = 6  # last maps, in a line
MOST_KERNEL = 4096  # taps on an axis
MOST_STEP = 100_000  # rows of a stride, a dilation, or padding
MOST = {"kernel": MOST_KERNEL, "stride": MOST_STEP, "dilation": MOST_STEP}


# Facts of a traced layer that are marked after it was added, or that later calls undo:
#
#             set by                         undone by             read by
# pooled      `add`, `_lay_unknown`: global  `_restore_maps`, if   `merge`, `is_spatial`, `_targets`
#             pools, and what is made of     windows read it;      and others: vectors are no maps
#             vectors alone                  `Call.broken`, if its
#                                            call has windows
# as_map      `add`, with `pooled`           `_restore_maps`       `_restore_maps`
# head        `broken`, `_add_behind`        `read_by_windows`,    `heads`: where networks are cut
#                                            if it is not `firm`
# firm        `broken`, `_add_behind`        -                     `read_by_windows`
# alike       windows._conv_in_windows       -                     products._attend, _is_spoilt
# from_tokens `Call.vector`, torch's         -                     `Call.vector`, which then calls
#             `join_flattened`                                     `attend` on what was pooled
# attended    `attend`                       -                     `_network`, for a note
# cropped     `crop`, views of mirrored rows -                     `rows_of`: crops of crops are one
#                                                                  `_is_spoilt`
# rolled      `roll`                         -                     `roll`: rolls of rolls are one
# unlike      `unlike`, and what is made of  convolutions, linear  `check_alike`: no row is made of
#             such vectors                   layers                such a vector
#
# An unknown layer that is `alike` or `cropped` is not spoilt: some calls may still read it.
@dataclass(frozen=True, slots=True)
class Traced(Layer):
    """A layer, and what only its trace knows of it: its size, and how it came about.

    `pooled`: it has one position by pooling, as vectors have. `as_map`: the kind and operations
    that it has as a map, if windows as large as the map before made it a vector.

    Of unknown layers: a network may be cut before a `head`, described by that text. One that is
    `firm` stays a head even if windows read it. An `alike` is a known layer of its size, for scores
    that are made of it.

    `from_tokens`: it was pooled from positions beside tokens. `attended`: attention in heads looks
    at it. `cropped`: the layer that it is cropped or mirrored out of, and the rows it keeps.
    `rolled`: the layer that it rolls, and by how many rows on each axis. `unlike`: a vector whose
    numbers are made of different positions or maps.
    """

    size: Size = ()
    pooled: bool = False
    as_map: tuple[Kind, Ops] | None = None
    head: str = ""
    firm: bool = False
    alike: int | None = None
    from_tokens: bool = False
    attended: bool = False
    cropped: tuple[int, Ranges] | None = None
    rolled: tuple[int, tuple[int, ...]] | None = None
    unlike: bool = False

    def of_network(self, inputs: tuple[int, ...], like: int | None, ops: Ops) -> Layer:
        """Return the layer as it is in a network, where its inputs have other positions."""
        return Layer(
            self.name,
            self.kind,
            inputs,
            ops,
            like,
            self.note,
            self.everywhere,
            self.origin,
            self.channels,
            self.acts,
        )


class Trace:
    """A graph at one input size, with a record of each layer.

    Methods that add a layer return its position. What reads an unknown layer becomes unknown
    itself.
    """

    def __init__(self, where: str, size: Size) -> None:
        self.where, self.size_hint = where, f"the input is {in_words(size)}: try another `size`"
        self.axes = {role: axis for axis, role in enumerate(ROLES[-len(size) :])}
        self.layers = [Traced("input", "input", (), self.still, size=size)]
        self.ends: set[int] = set()  # what the graph's outputs are made of
        self.behind: dict[str, int] = {}  # names of what was made of heads
        self.tensors: dict[str, int] = {}  # names that a file has for layers, or a module's outputs
        self.vectors: dict[str, int] = {}  # outputs that are no maps any more
        self.turned: dict[str, str] = {}  # outputs that are no images any more, and why
        self.origin: Origin | None = None
        self._names: dict[str, int] = {"input": 1}
        self._last_steps: dict[frozenset[int], Literal["product", "softmax"]] = {}

    @property
    def still(self) -> Ops:
        return (None,) * len(self.axes)

    @contextmanager
    def made_by(self, name: str) -> Iterator[None]:
        """Record a node, a module or a function as the origin of all layers laid within."""
        before, self.origin = self.origin, Origin(name)
        try:
            yield
        finally:
            self.origin = before

    def take_name(self, new: int, old: int, origin: Origin | None) -> int:
        """Swap the names of a new layer and of the one it replaces, which others may still read."""
        before, after = self.layers[old], self.layers[new]
        self.layers[old] = replace(before, name=after.name)
        self.layers[new] = replace(after, name=before.name, origin=origin)
        return new

    def act(self, layer: int, act: Act) -> None:
        """Record an elementwise call on a layer."""
        self.mark(layer, acts=(*self.layers[layer].acts, act))

    def mark(self, layer: int, **facts: Any) -> None:
        """Record further facts of a layer."""
        self.layers[layer] = replace(self.layers[layer], **facts)

    @property
    def heads(self) -> set[int]:
        return {at for at, layer in enumerate(self.layers) if layer.head}

    def read_by_windows(self, unknown: Iterable[int]) -> None:
        """Turn heads that unknown layers are made of into errors, now that windows read these."""
        soft = [at for at in unknown if not self.layers[at].firm]
        for head in ancestors(self.layers, soft) & self.heads:
            self.mark(head, head="")

    def add(
        self,
        name: str,
        kind: Kind,
        inputs: Sequence[int],
        ops: Sequence[Op | None] = (),
        like: int | None = None,
        channels: Channels | None = None,
        everywhere: str = "",
    ) -> int:
        """Add a layer, whose inputs are of one size; a "global" needs no operations."""
        spoilt = [i for i in inputs if self.layers[i].kind == "unknown"]
        if spoilt:
            return self._add_behind(name, inputs, spoilt)
        if kind == "global":
            ops = [Adaptive(1)] * len(self.axes)
        ops = tuple(ops or self.still)
        size = self._size_of(name, inputs, ops, like)
        if any(isinstance(op, Window | Transposed) and not is_idle(op) for op in ops):
            self._restore_maps(inputs)
        layer = Traced(
            name,
            kind,
            tuple(inputs),
            ops,
            like,
            everywhere=everywhere,
            channels=channels,
            size=size,
        )
        return self._append(self._pooled(layer))

    def _pooled(self, layer: Traced) -> Traced:
        """Record whether a layer of one position has it by pooling, as vectors have."""
        if {*layer.size} != {1}:
            return layer
        read = [self.layers[i] for i in layer.inputs]
        as_map: tuple[Kind, Ops] | None = (layer.kind, layer.ops)
        if layer.kind in ("maxpool", "avgpool") and all(map(_reads_all, layer.ops, read[0].size)):
            # However its kernel is written, it reads its whole map.
            ops = (Adaptive(1),) * len(layer.ops)
            return replace(layer, kind="global", ops=ops, pooled=True, as_map=as_map)
        if layer.kind != "global" and not all(source.pooled for source in read):
            return layer
        if not all(source.as_map for source in read):
            as_map = None
        unlike = layer.kind != "conv" and any(source.unlike for source in read)
        return replace(layer, pooled=True, as_map=as_map, unlike=unlike)

    def _size_of(self, name: str, inputs: Sequence[int], ops: Ops, like: int | None) -> Size:
        first = self.layers[inputs[0]]
        for i in inputs[1:]:
            other = self.layers[i]
            if other.size != first.size:
                sizes = [f"{layer.name} has {in_words(layer.size)}" for layer in (first, other)]
                what = f"its branches disagree in size: {sizes[0]}, {sizes[1]}"
                raise SizeError(what, where=f"{self.where}, {name}", hint=self.size_hint)
        followed: Sequence[int | None] = [None] * len(ops)
        if like is not None:
            followed = self.layers[like].size
        sides = zip(ops, first.size, followed, strict=True)
        return tuple(n if op is None else self._out_size(name, op, n, m) for op, n, m in sides)

    def _restore_maps(self, read: Sequence[int]) -> None:
        """Turn vectors that windows read back into the maps that they were before pooling.

        At another size, the pools before them leave more than one position.
        """
        restored = {i for i in read if self.layers[i].as_map}
        if not restored:
            return
        as_maps = {at: layer.as_map for at, layer in enumerate(self.layers) if layer.as_map}
        # Backwards: the vectors that they are made of, up to the pools.
        for at in reversed(as_maps):
            if at in restored:
                restored.update(as_maps.keys() & self.layers[at].inputs)
        # Forwards: all vectors that are made of any of these.
        for at in as_maps:
            if not restored.isdisjoint(self.layers[at].inputs):
                restored.add(at)
        for at in restored:
            kind, ops = as_maps[at]
            self.mark(at, kind=kind, ops=ops, pooled=False, as_map=None)

    def marked_unlike(self, vector: int, unlike: bool = True) -> int:
        """Copy a vector, and mark whether its numbers are made of different positions."""
        layer = self.add(f"{self.layers[vector].name}.copy", "identity", (vector,))
        self.mark(layer, unlike=unlike)
        return layer

    def merge(self, name: str, kind: Kind, inputs: Sequence[int]) -> int:
        """Merge branches by "add", "multiply" or "concat"; one alone passes through.

        A map multiplied by something pooled is a gate: paths leave the vector out. What is added is
        spread.
        """
        assert kind in MERGES
        maps = [i for i in inputs if not self.layers[i].pooled]
        if kind != "multiply" and any({*self.layers[i].size} == {1} for i in maps):
            self._restore_maps(inputs)
        if kind == "multiply" and 0 < len(maps) < len(inputs):
            return self.add(name, "gate", (self.merge(f"{name}.maps", kind, maps),))
        if kind == "add" and maps:
            inputs = self.spread_vectors(f"{name}.spread", inputs, maps[0])
        if len(inputs) == 1:
            return inputs[0]
        return self.add(name, kind, inputs)

    def without_norms(self, at: int) -> int:
        """Return the layer that paths see in the place of a norm over positions."""
        while self.layers[at].kind == "identity" and self.layers[at].everywhere:
            at = self.layers[at].inputs[0]
        return at

    def last_map(self, layers: Iterable[int]) -> int:
        """Return the last map that some layers are made of."""
        return max(at for at in ancestors(self.layers, layers) if not self.layers[at].pooled)

    def mix(
        self,
        name: str,
        value: int,
        like: int,
        roles: Collection[str] = (),
        why: str = "attention",
    ) -> int:
        """Add attention: positions of `like` see all of `value`, or their lines along some axes."""
        if 0 < len(roles) < len(self.axes):
            pools = self.on(roles, Adaptive(1))
            small = self.add(f"{name}.line", "adaptive", (value,), pools, everywhere=why)
            return self.add(name, "resize", (small,), self.on(roles, Resize()), like)
        small = self.add(f"{name}.global", "global", (value,), everywhere=why)
        if self.layers[like].pooled:
            return small
        return self.spread(name, small, like)

    def on(self, roles: Collection[str], op: Op) -> Ops:
        return self.ops(dict.fromkeys(roles, op))

    def ops(self, by_role: Mapping[str, Op | None]) -> Ops:
        """Return operations in the order of the axes; None on those that have none."""
        return tuple(by_role.get(role) for role in self.axes)

    def sides(self, layer: int) -> dict[str, int]:
        """Return the size of a layer by the role of each axis."""
        return dict(zip(self.axes, self.layers[layer].size, strict=True))

    def spread(self, name: str, small: int, like: int) -> int:
        """Copy single rows and columns, as a vector has them, along those of another layer."""
        wanted = self.sides(like)
        roles = [role for role, n in self.sides(small).items() if n == 1 != wanted[role]]
        if not roles:
            return small
        return self.add(name, "resize", (small,), self.on(roles, Resize()), like)

    def spread_vectors(self, name: str, layers: Sequence[int], like: int) -> list[int]:
        """Copy the vectors among some layers along the rows and columns of another."""
        spread = [*layers]
        for i, at in enumerate(layers):
            if self.layers[at].pooled:
                spread[i] = self.spread(name, at, like)
        return spread

    def unknown(self, name: str, inputs: Sequence[int], what: str, op: str) -> int:
        """Add an unknown operation; `what` says which it is, and `op` is what `neutral` takes."""
        why, hint = ", and moves positions or joins them", self._way_out(inputs[0])
        if not moves(op):
            why, hint = "", f"`neutral` {typed(op)} treats it as elementwise, {hint}"
            # Keras files and exported programs cannot be run.
            if not self.where.endswith((".keras", ".pt2")):
                hint += "; padviz verify then asks the network"
        return self._lay_unknown(name, inputs, f"{what} is not known{why}; {hint}")

    def _way_out(self, layer: int) -> str:
        return f"`layer` {typed(self.layers[layer].name)} stops before it"

    def broken(
        self,
        name: str,
        inputs: Sequence[int],
        what: str,
        head: str = "",
        firm: bool = False,
    ) -> int:
        """Add a layer for an operation that cannot be followed.

        If it is a `head`, described by that text, the network is cut before it rather than refused,
        unless a window reads it again and it is not `firm`.
        """
        layer = self._lay_unknown(name, inputs, f"{what}; {self._way_out(inputs[0])}")
        self.mark(layer, head=head, firm=firm)
        return layer

    def attend(self, op: str, maps: frozenset[int], read: int) -> None:
        """Record a step of attention in a head made of some maps.

        Attention is a product of what it `read`, then a softmax, then another product.
        """
        last, product = self._last_steps.get(maps), op in PRODUCTS and read > 1
        if "attention" in op or (product and last == "softmax"):
            for layer in maps:
                self.mark(layer, attended=True)
        if product or "attention" in op:
            self._last_steps[maps] = "product"
        elif "softmax" in op and last == "product":
            self._last_steps[maps] = "softmax"

    def _add_behind(self, name: str, inputs: Sequence[int], spoilt: Sequence[int]) -> int:
        """Add an unknown layer behind others.

        If all of these are heads, it belongs to the first of them.
        """
        read = [self.layers[i] for i in spoilt]
        layer = self._lay_unknown(name, inputs, read[0].note)
        if all(source.head for source in read):
            self.mark(layer, head=read[0].head, firm=any(source.firm for source in read))
        return layer

    def _lay_unknown(self, name: str, inputs: Sequence[int], note: str) -> int:
        read = [self.layers[i] for i in inputs]
        pooled = all(layer.pooled for layer in read)
        size = read[0].size
        layer = Traced(name, "unknown", (*inputs,), self.still, note=note, size=size, pooled=pooled)
        return self._append(layer)

    def _append(self, layer: Traced) -> int:
        if len(self.layers) >= MOST_LAYERS:
            raise DescriptionError(f"has more than {MOST_LAYERS} layers", where=self.where)
        name = self._unique(layer.name or f"{layer.kind}_{len(self.layers)}")
        self.layers.append(replace(layer, name=name, origin=self.origin))
        return len(self.layers) - 1

    def _unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        if count == 1:
            return name
        return self._unique(f"{name}_{count}")

    def _out_size(self, name: str, op: Op, n: int, like: int | None) -> int:
        where = f"{self.where}, {name}"
        if isinstance(op, Window | Transposed):
            for what, most in MOST.items():
                figure = getattr(op, what)
                if not 1 <= figure <= most:
                    problem = f"its {what} of {figure} is not from 1 to {most}"
                    raise DescriptionError(problem, where=where)
            if isinstance(op.padding, tuple) and max(op.padding) > MOST_STEP:
                problem = f"its padding of {max(op.padding)} is more than {MOST_STEP}"
                raise DescriptionError(problem, where=where)
        try:
            return out_size(op, n, like)
        except SizeError as error:
            raise SizeError(error.what, where=where, hint=self.size_hint) from None


def foreign_network(
    tracer: Callable[[Size], Trace],
    name: str,
    size: Size,
    source: str = "",
    declared: Size = (),
    channels: int = 0,
) -> Network:
    """Trace a network at a size, and later once at each other size that is asked for.

    `declared` has the size that a file gives its image on each axis, 0 where it leaves an axis
    open. `channels` are those of the image that a module is traced with.
    """

    @cache
    def at(size: Size) -> Network:
        network = _network(tracer(size), name)
        return replace(network, source=source, declared=declared, channels=channels, again=at)

    return at(size)


def _network(trace: Trace, name: str) -> Network:
    """Cut a trace down to what its last spatial feature maps are made of, and name them.

    A last map is one that no later map is made of: outputs, heads and pooled vectors may read it.
    An adaptive pool before a head, or a pool that reads its whole input, is not one: the map before
    it is. Nor is a head that reads a flattened map as an image: the maps that were flattened are.
    Of several last maps one must be chosen.
    """
    heads, live = _heads_and_live(trace)
    targets = _targets(trace, live)
    layers, place = _lay_wanted(trace, targets, live)
    names = {i: layers[at].name for i, at in place.items()}
    lasts = [names[i] for i in targets]

    notes = _note_resize(trace, place)
    notes += _note_rounding(trace, place)
    gone = _explain_vectors(trace, place) | trace.turned
    behind = [*trace.turned.items()]
    if heads:
        note, skipped, cut = _explain_cut(trace, heads, lasts)
        notes.append(note)
        behind.insert(0, cut)
        gone |= skipped
    attended = {_before_pooling(trace, i) for i, layer in enumerate(trace.layers) if layer.attended}
    for i in targets:
        if i in attended:
            notes.append(f"counting stops at {names[i]}, the grid of patches before attention")
    return Network(
        name=name,
        layers=tuple(layers),
        targets=tuple(lasts) if len(lasts) == 1 else (),
        title=name,
        size=trace.layers[0].size,
        notes=tuple(notes),
        gone=gone,
        behind=tuple(behind),
        aliases={
            alias: names[i]
            for alias, i in trace.tensors.items()
            if i in names and alias not in trace.turned
        },
        tail=_pools_behind(trace, live, place, len(layers)),
    )


def _heads_and_live(trace: Trace) -> tuple[set[int], set[int]]:
    """Return the heads to cut the network before, and all layers that stay."""
    heads = ancestors(trace.layers, trace.ends) & trace.heads
    read_by_heads = {i for at in heads for i in trace.layers[at].inputs}
    ends = (read_by_heads | trace.ends) - heads
    live = ancestors(trace.layers, ends)
    # A head that is live is an error: something that is not known reads it.
    return heads - live, live


def _lay_wanted(
    trace: Trace,
    targets: Sequence[int],
    live: Collection[int],
) -> tuple[list[Layer], dict[int, int]]:
    """Return the layers that targets, and norms over them, depend on, and the new place of each.

    A pad or a crop that changes nothing has the place of the layer before it.
    """
    norms = [i for i in live if not trace.layers[i].pooled and trace.without_norms(i) in targets]
    wanted = ancestors(trace.layers, [*targets, *norms]) | {0}
    layers: list[Layer] = []
    place: dict[int, int] = {}
    for i in sorted(wanted):
        layer = trace.layers[i]
        idle = layer.kind in ("pad", "crop") and all(map(is_idle, layer.ops)) and not layer.acts
        if idle and i not in targets:
            place[i] = place[layer.inputs[0]]
            continue
        inputs = tuple(place[j] for j in layer.inputs)
        like, ops = _resize_at_any_size(trace, i, wanted)
        if like is not None:
            like = place[like]
        place[i] = len(layers)
        layers.append(layer.of_network(inputs, like, ops))
    return layers, place


def _note_resize(trace: Trace, kept: Iterable[int]) -> list[str]:
    """Return a note if the image itself is resized."""
    size = trace.layers[0].size
    for i in kept:
        layer = trace.layers[i]
        if layer.kind == "resize" and 0 in layer.inputs:
            if layer.size == size:
                return []
            return [f"the image is resized from {in_words(size)} to {in_words(layer.size)} inside"]
    return []


def _note_rounding(trace: Trace, kept: Iterable[int]) -> Iterable[str]:
    """Return a note for each resize that takes other rows than those of exact arithmetic."""
    notes: dict[str, None] = {}
    for i in kept:
        layer = trace.layers[i]
        for axis, op in enumerate(layer.ops):
            if isinstance(op, Resize) and op.float32:
                n, m = trace.layers[layer.inputs[0]].size[axis], layer.size[axis]
                rows = np.flatnonzero(nearest_rows(op, n, m) != nearest_rows(op.exact, n, m))
                notes[
                    f"{layer.name} rounds in float32: of its {m} rows, "
                    f"{some_names(map(str, rows), NAMED)} copy the row next to the exact one"
                ] = None
    return notes


def _explain_vectors(trace: Trace, kept: Collection[int]) -> dict[str, str]:
    """Return why each output that was flattened or pooled is no map, and what it is made of."""
    gone: dict[str, str] = {}
    for output, vector in trace.vectors.items():
        read = {vector}
        for at in ancestors(trace.layers, [vector], followed=False).difference(kept):
            read.update(trace.layers[at].inputs)
        maps = sorted(read.intersection(kept))
        if maps:
            made_of = ", ".join(trace.layers[at].name for at in maps[:NAMED])
            gone[output] = f"is no map: it is made of what was flattened or pooled of {made_of}"
    return gone


def _pools_behind(
    trace: Trace,
    live: Collection[int],
    place: Mapping[int, int],
    count: int,
) -> tuple[Layer, ...]:
    """Return pools to several units that heads read behind the last maps.

    A pool to one unit reads its map evenly, and is left out.
    """
    known = dict(place)
    behind: list[Layer] = []
    for i in sorted(live - place.keys()):
        layer = trace.layers[i]
        pools = layer.kind in ("adaptive", "avgpool", "maxpool") and {*layer.size} != {1}
        if pools and layer.inputs[0] in known:
            known[i] = count + len(behind)
            behind.append(layer.of_network((known[layer.inputs[0]],), layer.like, layer.ops))
    return tuple(behind)


def _explain_cut(
    trace: Trace,
    heads: Collection[int],
    lasts: Sequence[str],
) -> tuple[str, dict[str, str], tuple[str, str]]:
    """Return a note on where a network was cut, why each name behind the cut is gone, and the first
    of them.
    """
    head = "head"
    if len(lasts) > 1:
        head = "heads"
    analysed = f"analysed up to the {head} {some_names(lasts, NAMED)}"

    gone: dict[str, str] = {}
    for at in sorted(heads):
        name = trace.layers[at].name
        why = f"{trace.layers[at].head}; the network was {analysed}"
        for output, by in trace.behind.items():
            if by == at:
                gone[output] = f"was skipped: it follows {name}, which {why}"
        gone[name] = f"was skipped: it {why}"

    # The note names the first of the heads that read a map: others only follow heads.
    first, *others = [at for at in sorted(heads) if not _follows_heads(trace, at, heads)]
    cut, why = trace.layers[first].name, trace.layers[first].head
    if others:
        note = f"{analysed}; skipped {cut}, {len(others)} more and what follows: {cut} {why}"
    else:
        note = f"{analysed}; skipped {cut} and what follows: it {why}"
    return note, gone, (cut, why)


def _follows_heads(trace: Trace, head: int, heads: Collection[int]) -> bool:
    """Whether all that a head reads, but for vectors, are other heads."""
    inputs = trace.layers[head].inputs
    maps = [i for i in inputs if i in heads or not trace.layers[i].pooled]
    return bool(maps) and all(i in heads for i in maps)


def _reads_all(op: Op | None, n: int) -> bool:
    """Return whether the one window of a pool reads each of `n` rows once, and no padding."""
    if not isinstance(op, Window):
        return op is None and n == 1
    # a stride over a single position belongs to a map which has more of them at other sizes
    slides = n == 1 and op.stride > 1
    return op.kernel >= n and op.dilation == 1 and pads_at(op, n) == (0, 0) and not slides


def is_idle(op: Op | None) -> bool:
    """Whether an operation leaves each position as it is."""
    if op is None:
        return True
    return isinstance(op, Window) and op.kernel == op.stride == 1 and op.padding in ((0, 0), *SAMES)


def _resize_at_any_size(trace: Trace, at: int, kept: Collection[int]) -> tuple[int | None, Ops]:
    """Return the layer that a resize follows, the first one of its size, and its operations."""
    layer = trace.layers[at]
    axes = [i for i, op in enumerate(layer.ops) if isinstance(op, Resize) and op.size is not None]
    if not axes:
        return layer.like, layer.ops

    def resized(scales: Mapping[int, Fraction | None]) -> Ops:
        ops = [*layer.ops]
        for axis in axes:
            op = ops[axis]
            assert isinstance(op, Resize)
            ops[axis] = replace(op, size=None, scale=scales.get(axis))
        return tuple(ops)

    for i in sorted(kept):
        other = trace.layers[i]
        same = all(other.size[axis] == layer.size[axis] for axis in axes)
        if i < at and same and not other.pooled:
            return i, resized({})
    source = trace.layers[layer.inputs[0]]
    if source.pooled:
        return None, layer.ops
    return None, resized({axis: Fraction(layer.size[axis], source.size[axis]) for axis in axes})


def _targets(trace: Trace, live: Collection[int]) -> list[int]:
    """Return the last maps: those before the pools at the end that no other last map is made of."""
    maps = [i for i in sorted(live) if not trace.layers[i].pooled]
    read_by_maps = {i for at in maps for i in trace.layers[at].inputs}
    ends = [i for i in maps if i not in read_by_maps]
    # Behind one map there may be several pools, or a pool and further windows.
    before_pools = list(dict.fromkeys(_before_pooling(trace, i) for i in ends))
    inputs = [j for i in before_pools for j in trace.layers[i].inputs]
    inner = ancestors(trace.layers, inputs)
    targets = [i for i in before_pools if i not in inner and i > 0]
    if not targets:
        hint = "padviz looks for windows over an image"
        raise DescriptionError("no output is made of a spatial layer", where=trace.where, hint=hint)
    return targets


def _before_pooling(trace: Trace, at: int) -> int:
    """Return the map before the pooling that a trace ends with; without one, the layer itself."""
    while True:
        at = trace.without_norms(at)
        layer = trace.layers[at]
        if layer.kind not in ("adaptive", "global"):
            return at
        at = layer.inputs[0]
