"""A foreign graph laid out at one input size, and the network that it is cut down to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Literal, get_args

from padviz.errors import DescriptionError, SizeError, typed
from padviz.network.graph import ancestors
from padviz.network.layer import MERGES, Channels, Kind, Layer, Origin
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Adaptive, Op, Same, Transposed, Window, out_size, pads_at
from padviz.network.resize import Resize
from padviz.sources.tracing.dims import ROLES
from padviz.sources.tracing.reading import moves

SAMES = get_args(Same)
PRODUCTS = frozenset(("matmul", "rmatmul", "mm", "bmm", "baddbmm", "einsum"))
Ops = tuple[Op | None, ...]  # on each axis
MOST_LAYERS = 10_000
NAMED = 6  # last maps, in a line
MOST_KERNEL = 4096  # taps on an axis
MOST_STEP = 100_000  # rows of a stride, a dilation, or padding


class Trace:
    """A graph at one input size: `layers`, and in step with them `sizes` and `pooled`.

    Methods that add a layer return its position. What reads an unknown layer becomes unknown itself.
    """

    def __init__(self, where: str, size: Size) -> None:
        self.where, self.size_hint = where, f"the input is {in_words(size)}: try another `size`"
        self.axes = {role: axis for axis, role in enumerate(ROLES[-len(size) :])}
        self.layers = [Layer("input", "input", (), self.still)]
        self.sizes = [size]
        self.pooled = [False]  # whether a layer has one position by pooling, as vectors have
        self.pooled_by_windows: dict[int, Layer] = {}  # those of windows as large as a map, each as a map would be
        self.ends: set[int] = set()  # what the graph's outputs are made of
        self.heads: dict[int, str] = {}  # unknown layers that a network may be cut before, and what each does
        self.firm: set[int] = set()  # those that stay heads even where windows read them
        self.behind: dict[str, int] = {}  # names of what was made of heads
        self.tensors: dict[str, int] = {}  # names that a file has for layers, or a module's outputs
        self.vectors: dict[str, int] = {}  # outputs that are no maps any more
        self.tokens: set[int] = set()  # pooled layers of positions beside tokens
        self.attended: set[int] = set()  # maps that attention in heads looks at
        self.asking: dict[int, int] = {}  # unknown layers that scores may be made of, each with a known one of its size
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
        """Swap the names of a new layer and of the old one that it replaces, which others may still read."""
        before, after = self.layers[old], self.layers[new]
        self.layers[old] = replace(before, name=after.name)
        self.layers[new] = replace(after, name=before.name, origin=origin)
        return new

    def add(
        self, name: str, kind: Kind, inputs: Sequence[int], ops: Sequence[Op | None] = (), like: int | None = None,
        channels: Channels | None = None, everywhere: str = "",
    ) -> int:  # fmt: skip
        """Add a layer, whose inputs are of one size; a "global" needs no operations."""
        if spoilt := [i for i in inputs if self.layers[i].kind == "unknown"]:
            unknown = self._lay_unknown(name, inputs, self.layers[spoilt[0]].note)
            if self.heads.keys() >= {*spoilt}:
                self.heads[unknown] = self.heads[spoilt[0]]
                self.firm |= {unknown} if self.firm & {*spoilt} else set()
            return unknown
        if kind == "global":
            ops = [Adaptive(1)] * len(self.axes)
        ops = tuple(ops or self.still)
        entering = self.sizes[inputs[0]]
        for other in inputs[1:]:
            if self.sizes[other] != entering:
                parts = [f"{self.layers[i].name} has {in_words(self.sizes[i])}" for i in (inputs[0], other)]
                what = f"its branches disagree in size: {parts[0]}, {parts[1]}"
                raise SizeError(what, where=f"{self.where}, {name}", hint=self.size_hint)
        followed = (None,) * len(ops) if like is None else self.sizes[like]
        sides = zip(ops, entering, followed, strict=True)
        size = tuple(n if op is None else self._out_size(name, op, n, m) for op, n, m in sides)
        if any(isinstance(op, Window | Transposed) and not is_idle(op) for op in ops):
            self._keep_maps(inputs)
        layer = Layer(name, kind, tuple(inputs), ops, like, channels=channels, everywhere=everywhere)
        has_one, made = {*size} == {1}, layer
        # however its kernel is written, a pool that reads its whole map is global
        if kind in ("maxpool", "avgpool") and has_one and all(map(_reads_all, ops, entering)):
            made = replace(layer, kind="global", ops=(Adaptive(1),) * len(ops))
        pooled = made.kind == "global" or (has_one and all(self.pooled[i] for i in inputs))
        at = self._append(made, size, pooled)
        if made is not layer or (pooled and self.pooled_by_windows.keys() >= {*inputs}):
            self.pooled_by_windows[at] = layer
        return at

    def _keep_maps(self, inputs: Sequence[int]) -> None:
        """Turn vectors that windows read back to maps: at another size, the pools before them leave more positions."""
        vectors = self.pooled_by_windows
        kept = {*inputs} & vectors.keys()
        if not kept:
            return
        for at in reversed([*vectors]):
            if at in kept:
                kept |= {*self.layers[at].inputs} & vectors.keys()
        for at in [*vectors]:
            if at in kept or not kept.isdisjoint(self.layers[at].inputs):
                kept.add(at)
                layer = vectors.pop(at)
                self.layers[at] = replace(self.layers[at], kind=layer.kind, ops=layer.ops)
                self.pooled[at] = False

    def merge(self, name: str, kind: Kind, inputs: Sequence[int]) -> int:
        """Merge branches by "add", "multiply" or "concat"; one alone passes through.

        A map multiplied by something pooled is a gate: paths leave the vector out. What is added is spread.
        """
        assert kind in MERGES
        maps = [i for i in inputs if not self.pooled[i]]
        if kind != "multiply" and any({*self.sizes[i]} == {1} for i in maps):
            self._keep_maps(inputs)
        if kind == "add" and maps:
            inputs = [self.spread(f"{name}.spread", i, maps[0]) if self.pooled[i] else i for i in inputs]
        if kind != "multiply" or not maps or len(maps) == len(inputs):
            return self.add(name, kind, inputs) if len(inputs) > 1 else inputs[0]
        return self.add(name, "gate", (self.merge(f"{name}.maps", kind, maps),))

    def without_norms(self, at: int) -> int:
        """Return the layer that paths see in the place of a norm over positions."""
        while self.layers[at].kind == "identity" and self.layers[at].everywhere:
            at = self.layers[at].inputs[0]
        return at

    def mix(self, name: str, value: int, like: int, roles: Collection[str] = (), why: str = "attention") -> int:
        """Add attention: positions of `like` see all of `value`, or along some axes all of its line."""
        if 0 < len(roles) < len(self.axes):
            small = self.add(f"{name}.line", "adaptive", (value,), self.on(roles, Adaptive(1)), everywhere=why)
            return self.add(name, "resize", (small,), self.on(roles, Resize()), like)
        small = self.add(f"{name}.global", "global", (value,), everywhere=why)
        return small if self.pooled[like] else self.spread(name, small, like)

    def on(self, roles: Collection[str], op: Op) -> Ops:
        return tuple(op if role in roles else None for role in self.axes)

    def spread(self, name: str, small: int, like: int) -> int:
        """Copy single rows and columns, as a vector has them, along those of another layer."""
        ops = [Resize() if n == 1 != m else None for n, m in zip(self.sizes[small], self.sizes[like], strict=True)]
        return self.add(name, "resize", (small,), ops, like) if any(ops) else small

    def unknown(self, name: str, inputs: Sequence[int], what: str, op: str) -> int:
        """Add an unknown operation; `what` says which it is, and `op` is what `neutral` takes."""
        why, hint = ", and moves positions or joins them", self._way_out(inputs[0])
        if not moves(op):
            why, hint = "", f"`neutral` {typed(op)} treats it as elementwise, {hint}"
        return self._lay_unknown(name, inputs, f"{what} is not known{why}; {hint}")

    def _way_out(self, layer: int) -> str:
        return f"`layer` {typed(self.layers[layer].name)} stops before it"

    def broken(self, name: str, inputs: Sequence[int], what: str, head: str = "", firm: bool = False) -> int:
        """Add a layer for an operation that cannot be followed.

        If it is a `head`, described by that text, the network is cut before it rather than refused, unless a window
        reads it again and it is not `firm`.
        """
        layer = self._lay_unknown(name, inputs, f"{what}; {self._way_out(inputs[0])}")
        if head:
            self.heads[layer] = head
        if firm:
            self.firm.add(layer)
        return layer

    def attend(self, op: str, maps: frozenset[int], read: int) -> None:
        """Record a step of attention in a head made of some maps: a product of what it `read`, a softmax, a product."""
        last, product = self._last_steps.get(maps), op in PRODUCTS and read > 1
        if "attention" in op or (product and last == "softmax"):
            self.attended |= maps
        if product or "attention" in op:
            self._last_steps[maps] = "product"
        elif "softmax" in op and last == "product":
            self._last_steps[maps] = "softmax"

    def _lay_unknown(self, name: str, inputs: Sequence[int], note: str) -> int:
        pooled = all(self.pooled[i] for i in inputs)
        return self._append(Layer(name, "unknown", tuple(inputs), self.still, note=note), self.sizes[inputs[0]], pooled)

    def _append(self, layer: Layer, size: Size, pooled: bool) -> int:
        if len(self.layers) >= MOST_LAYERS:
            raise DescriptionError(f"has more than {MOST_LAYERS} layers", where=self.where)
        name = self._unique(layer.name or f"{layer.kind}_{len(self.layers)}")
        self.layers.append(replace(layer, name=name, origin=self.origin))
        self.sizes.append(size)
        self.pooled.append(pooled)
        return len(self.layers) - 1

    def _unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else self._unique(f"{name}_{count}")

    def _out_size(self, name: str, op: Op, n: int, like: int | None) -> int:
        where = f"{self.where}, {name}"
        if isinstance(op, Window | Transposed):
            for what, most in (("kernel", MOST_KERNEL), ("stride", MOST_STEP), ("dilation", MOST_STEP)):
                if not 1 <= (figure := getattr(op, what)) <= most:
                    raise DescriptionError(f"its {what} of {figure} is not from 1 to {most}", where=where)
            if isinstance(op.padding, tuple) and max(op.padding) > MOST_STEP:
                raise DescriptionError(f"its padding of {max(op.padding)} is more than {MOST_STEP}", where=where)
        try:
            return out_size(op, n, like)
        except SizeError as error:
            raise SizeError(error.what, where=where, hint=self.size_hint) from None


def foreign_network(
    tracer: Callable[[Size], Trace], name: str, size: Size, source: str = "", declared: Size = ()
) -> Network:
    """Trace a network at a size, and later once at each other size that is asked for.

    `declared` has the size that a file gives its image on each axis, 0 where it leaves an axis open.
    """

    @cache
    def at(size: Size) -> Network:
        return replace(_network(tracer(size), name), source=source, declared=declared, again=at)

    return at(size)


def _network(trace: Trace, name: str) -> Network:
    """Cut a trace down to what its last spatial feature maps are made of, and name them.

    A last map is one that no later map is made of: outputs, heads and pooled vectors may read it. An
    adaptive pool before a head, or a pool that reads its whole input, is not one: the map before it is. Nor is a head
    that reads a flattened map as an image: the maps that were flattened are. Of several last maps one must be chosen.
    """
    heads = ancestors(trace.layers, trace.ends) & trace.heads.keys()
    ends = ({i for at in heads for i in trace.layers[at].inputs} | trace.ends) - heads
    heads -= ancestors(trace.layers, ends)  # something that is not known reads those
    live = ancestors(trace.layers, ends)
    targets = _targets(trace, live)
    last_norms = [i for i in live if not trace.pooled[i] and trace.without_norms(i) in targets]
    wanted = ancestors(trace.layers, [*targets, *last_norms]) | {0}
    layers: list[Layer] = []
    place: dict[int, int] = {}
    for i in sorted(wanted):
        layer = trace.layers[i]
        if layer.kind in ("pad", "crop") and i not in targets and all(map(is_idle, layer.ops)):
            place[i] = place[layer.inputs[0]]
            continue
        inputs = tuple(place[j] for j in layer.inputs)
        place[i] = len(layers)
        like, ops = _resize_at_any_size(trace, i, wanted)
        layers.append(replace(layer, inputs=inputs, like=None if like is None else place[like], ops=ops))
    names = {i: layers[at].name for i, at in place.items()}
    lasts, size = [names[i] for i in targets], trace.sizes[0]

    notes, gone = list[str](), dict[str, str]()
    resized = next((i for i in place if trace.layers[i].kind == "resize" and 0 in trace.layers[i].inputs), 0)
    if trace.sizes[resized] != size:
        notes.append(f"the image is resized from {in_words(size)} to {in_words(trace.sizes[resized])} inside")
    for output, vector in trace.vectors.items():
        lost = ancestors(trace.layers, [vector], followed=False) - place.keys()
        if maps := {vector, *(i for at in lost for i in trace.layers[at].inputs)} & place.keys():
            made_of = ", ".join(trace.layers[at].name for at in sorted(maps)[:NAMED])
            gone[output] = f"is no map: it is made of what was flattened or pooled of {made_of}"
    if heads:
        note, skipped = _explain_cut(trace, heads, lasts)
        notes.append(note)
        gone |= skipped
    attended = {_before_pooling(trace, i) for i in trace.attended}
    grids = [names[i] for i in targets if i in attended]
    notes += [f"counting stops at {grid}, the grid of patches before attention" for grid in grids]
    return Network(
        name=name,
        layers=tuple(layers),
        targets=tuple(lasts) if len(lasts) == 1 else (),
        title=name,
        size=size,
        notes=tuple(notes),
        gone=gone,
        aliases={alias: names[i] for alias, i in trace.tensors.items() if i in names},
        tail=_pools_behind(trace, live, place, len(layers)),
    )


def _pools_behind(trace: Trace, live: Collection[int], place: Mapping[int, int], count: int) -> tuple[Layer, ...]:
    """Return the pools to several units that heads read behind the last maps; a global one reads a map evenly."""
    known, behind = dict(place), list[Layer]()
    for i in sorted(live - place.keys()):
        layer = trace.layers[i]
        if layer.kind in ("adaptive", "avgpool", "maxpool") and layer.inputs[0] in known and {*trace.sizes[i]} != {1}:
            known[i] = count + len(behind)
            behind.append(replace(layer, inputs=(known[layer.inputs[0]],)))
    return tuple(behind)


def _explain_cut(trace: Trace, heads: Collection[int], lasts: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return a note on where a network was cut before its heads, and why each name behind the cut is gone."""
    more = f" and {len(lasts) - NAMED} more" if len(lasts) > NAMED else ""
    analysed = f"analysed up to the head{'s' * (len(lasts) > 1)} {', '.join(lasts[:NAMED])}{more}"
    maps = {at: [i for i in trace.layers[at].inputs if i in heads or not trace.pooled[i]] for at in sorted(heads)}
    first, *others = (at for at, inputs in maps.items() if not inputs or not {*inputs} <= {*heads})
    cut = trace.layers[first].name
    beside, it = (f", {len(others)} more", cut) if others else ("", "it")
    gone: dict[str, str] = {}
    for at in sorted(heads):
        name, why = trace.layers[at].name, f"{trace.heads[at]}; the network was {analysed}"
        behind = [output for output, by in trace.behind.items() if by == at]
        gone |= dict.fromkeys(behind, f"was skipped: it follows {name}, which {why}") | {name: f"was skipped: it {why}"}
    return f"{analysed}; skipped {cut}{beside} and what follows: {it} {trace.heads[first]}", gone


def _reads_all(op: Op | None, n: int) -> bool:
    """Return whether the one window of a pool reads each of `n` rows once, and no padding."""
    if not isinstance(op, Window):
        return op is None and n == 1
    # a stride over a single position belongs to a map which has more of them at other sizes
    slides = n == 1 and op.stride > 1
    return op.kernel >= n and op.dilation == 1 and pads_at(op, n) == (0, 0) and not slides


def is_idle(op: Op | None) -> bool:
    return op is None or (isinstance(op, Window) and op.kernel == op.stride == 1 and op.padding in ((0, 0), *SAMES))


def _resize_at_any_size(trace: Trace, at: int, kept: Collection[int]) -> tuple[int | None, tuple[Op | None, ...]]:
    """Return the layer that a resize follows, the first one of its size, and its operations, to hold at any size."""
    layer = trace.layers[at]
    axes = [axis for axis, op in enumerate(layer.ops) if isinstance(op, Resize) and op.size is not None]
    if not axes:
        return layer.like, layer.ops

    def by(op: Op | None, scale: Fraction | None) -> Op | None:
        return replace(op, size=None, scale=scale) if isinstance(op, Resize) and op.size is not None else op

    for i in sorted(kept):
        if i < at and not trace.pooled[i] and all(trace.sizes[i][axis] == trace.sizes[at][axis] for axis in axes):
            return i, tuple(by(op, None) for op in layer.ops)
    if trace.pooled[layer.inputs[0]]:
        return None, layer.ops
    rows = zip(layer.ops, trace.sizes[layer.inputs[0]], trace.sizes[at], strict=True)
    return None, tuple(by(op, Fraction(m, n)) for op, n, m in rows)


def _targets(trace: Trace, live: Collection[int]) -> list[int]:
    read_by_maps = {i for at in live if not trace.pooled[at] for i in trace.layers[at].inputs}
    lasts = [i for i in sorted(live) if not trace.pooled[i] and i not in read_by_maps]
    stripped = list(dict.fromkeys(_before_pooling(trace, i) for i in lasts))
    inner = ancestors(trace.layers, [j for i in stripped for j in trace.layers[i].inputs])
    if targets := [i for i in stripped if i not in inner and i > 0]:
        return targets
    hint = "padviz looks for windows over an image"
    raise DescriptionError("no output is made of a spatial layer", where=trace.where, hint=hint)


def _before_pooling(trace: Trace, at: int) -> int:
    """Return the map before the pooling that a trace ends with; without one, the layer itself."""
    while True:
        at = trace.without_norms(at)
        layer = trace.layers[at]
        if layer.kind not in ("adaptive", "global"):
            return at
        at = layer.inputs[0]
