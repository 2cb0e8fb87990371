"""A foreign graph laid out at one input size."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from padviz.axis.operations import Adaptive, Op, Transposed, Window, out_size
from padviz.axis.resize import Resize
from padviz.errors import DescriptionError, SizeError
from padviz.network.graph import ancestors
from padviz.network.layer import MERGES, Channels, Kind, Layer, Origin
from padviz.network.network import Size, in_words
from padviz.sources.tracing.axis_labels import ROLES
from padviz.sources.tracing.reading import moves

Step = Literal["product", "softmax", "attention"]
Maps = frozenset[int]
Ops = tuple[Op | None, ...]  # on each axis
MOST_LAYERS = 10_000
MOST_KERNEL = 4096  # taps on an axis
MOST_STEP = 100_000  # rows of a stride, a dilation, or padding
WAY_OUT = "`layer` {name} stops before it"
WAYS_OUT = f"`neutral` {{op}} treats it as elementwise, {WAY_OUT}"


class Trace:
    """A graph laid out at one input size: `layers`, and in step with them `sizes` and `pooled`.

    Every method that lays a layer returns its position, which is what flows along the edges. What
    reads an unknown operation becomes unknown itself. `ends` collects the positions that the graph's
    outputs are made of, heads and pooled ones too. `heads` are unknown layers that a network may be cut before, with
    what each does, and those that are `firm` stay heads even where windows read them; `behind` has the names of what
    was made of them. `tensors` are names that a file has for positions, and `vectors` those of outputs that are no maps
    any more, with what they are made of. `tokens` are pooled layers of positions beside tokens, and `attending` has the
    maps that attention in heads looks at. `asking` are unknown layers by which attention may look, as what scores are
    made of is left out, each with one of its size that is known.

    >>> trace = Trace("tiny", (8, 9))
    >>> conv = trace.add("conv", "conv", (0,), (Window(3), Window(3)))
    >>> vector = trace.add("pool", "global", (conv,))
    >>> gated = trace.merge("scale", "multiply", (conv, vector))
    >>> trace.layers[gated].kind, trace.layers[gated].inputs, trace.sizes[gated]
    ('gate', (1,), (6, 7))
    """

    def __init__(self, where: str, size: Size) -> None:
        self.where = where
        self.axes = {role: axis for axis, role in enumerate(ROLES[-len(size) :])}
        self.layers = [Layer("input", "input", (), self.still)]
        self.sizes = [size]
        self.pooled = [False]
        self.ends: set[int] = set()
        self.heads: dict[int, str] = {}
        self.firm: set[int] = set()
        self.behind: dict[str, int] = {}
        self.tensors: dict[str, int] = {}
        self.vectors: dict[str, frozenset[int]] = {}
        self.tokens: set[int] = set()
        self.attending = Attending()
        self.origin: Origin | None = None
        self._names: dict[str, int] = {"input": 1}
        self.asking: dict[int, int] = {}

    @property
    def still(self) -> Ops:
        """The operations of what leaves each position alone."""
        return (None,) * len(self.axes)

    @contextmanager
    def made_by(self, name: str) -> Iterator[None]:
        """Lay, within, layers as those of the node, the module or the function with this name."""
        before, self.origin = self.origin, Origin(name)
        try:
            yield
        finally:
            self.origin = before

    def swapped(self, at: int) -> None:
        """Remember that a layer has width before height."""
        origin = self.layers[at].origin
        if origin is not None:
            self.layers[at] = replace(self.layers[at], origin=replace(origin, swapped=True))

    def add(
        self,
        name: str,
        kind: Kind,
        inputs: Sequence[int],
        ops: Sequence[Op | None] = (),
        like: int | None = None,
        channels: Channels | None = None,
    ) -> int:
        """Lay one layer, whose inputs are of one size; a "global" needs no operations.

        Raises
        ------
        SizeError
            Naming the file and the layer, where the size does not work.
        """
        if spoilt := [i for i in inputs if self.layers[i].kind == "unknown"]:
            unknown = self._unknown(name, inputs, self.layers[spoilt[0]].note)
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
                raise self._disagree(name, inputs[0], other)
        followed = (None,) * len(ops) if like is None else self.sizes[like]
        sides = zip(ops, entering, followed, strict=True)
        size = tuple(n if op is None else self._out(name, op, n, m) for op, n, m in sides)
        pooled = kind == "global" or (all(self.pooled[i] for i in inputs) and {*size} == {1})
        return self._append(Layer(name, kind, tuple(inputs), ops, like, channels=channels), size, pooled)

    def merge(self, name: str, kind: Kind, inputs: Sequence[int]) -> int:
        """Merge branches by "add", "multiply" or "concat"; one alone passes through.

        A map multiplied by something pooled is a gate: paths leave the vector out. What is added is spread.
        """
        assert kind in MERGES
        maps = [i for i in inputs if not self.pooled[i]]
        if kind == "add" and maps:
            inputs = [self.spread(f"{name}.spread", i, maps[0]) if self.pooled[i] else i for i in inputs]
        if kind != "multiply" or not maps or len(maps) == len(inputs):
            return self.add(name, kind, inputs) if len(inputs) > 1 else inputs[0]
        return self.add(name, "gate", (self.merge(f"{name}.maps", kind, maps),))

    def normalise(self, name: str, value: int, why: str) -> int:
        """Lay what makes each position depend on all, though paths pass it by: a norm over positions."""
        if self.pooled[value]:
            return value
        return self._append(Layer(name, "identity", (value,), self.still, everywhere=why), self.sizes[value], False)

    def seen(self, at: int) -> int:
        """Find the layer that paths see in the place of a norm over positions."""
        while self.layers[at].kind == "identity" and self.layers[at].everywhere:
            at = self.layers[at].inputs[0]
        return at

    def mix(self, name: str, value: int, like: int, axes: Collection[int] = (), why: str = "attention") -> int:
        """Lay attention and the like: positions of `like` see all of `value`, or along some axes all of its line."""
        if 0 < len(axes) < len(self.axes):
            line = self.add(f"{name}.line", "adaptive", (value,), self.on(axes, Adaptive(1)))
            return self.add(name, "resize", (self._because(why, line),), self.on(axes, Resize()), like)
        vector = self._because(why, self.add(f"{name}.global", "global", (value,)))
        return vector if self.pooled[like] else self.spread(name, vector, like)

    def on(self, axes: Collection[int], op: Op) -> Ops:
        """Do one thing on some axes, and nothing on the others."""
        return tuple(op if axis in axes else None for axis in self.axes.values())

    def _because(self, why: str, at: int) -> int:
        if self.layers[at].kind != "unknown":
            self.layers[at] = replace(self.layers[at], everywhere=why)
        return at

    def spread(self, name: str, vector: int, like: int) -> int:
        """Copy a vector, or a map one row or column large, to every position of `like`."""
        return self.add(name, "resize", (vector,), self.on(self.axes.values(), Resize()), like)

    def unknown(self, name: str, inputs: Sequence[int], what: str, op: str) -> int:
        """Lay an operation that is not known: it, and what reads it, is an error once a target depends on it.

        `what` says which it is, with its opset or module path; `op` is what `neutral` takes, where that is an answer.
        """
        why, ways = (", and moves positions or joins them", WAY_OUT) if moves(op) else ("", WAYS_OUT)
        hint = ways.format(op=op, name=self.layers[inputs[0]].name)
        return self._unknown(name, inputs, f"{what} is not known{why}; {hint}")

    def broken(self, name: str, inputs: Sequence[int], what: str) -> int:
        """Lay something that cannot be followed, such as what reads a flattened map as an image again."""
        return self._unknown(name, inputs, f"{what}; {WAY_OUT.format(name=self.layers[inputs[0]].name)}")

    def head(self, name: str, inputs: Sequence[int], what: str, why: str) -> int:
        """Lay something broken that a head begins with: the network is cut before it, if no window reads it again.

        `why` says, after its name, what it does.
        """
        broken = self.broken(name, inputs, what)
        self.heads[broken] = why
        return broken

    def windowed(self, at: int) -> None:
        """Take back that an unknown layer is a head: a window of several taps, or a resize, reads what it made."""
        for head in ancestors(self.layers, [at]) & self.heads.keys() if at not in self.firm else ():
            del self.heads[head]

    def _unknown(self, name: str, inputs: Sequence[int], note: str) -> int:
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

    def _out(self, name: str, op: Op, n: int, like: int | None) -> int:
        where = f"{self.where}, {name}"
        _check(op, where)
        try:
            return out_size(op, n, like)
        except SizeError as error:
            hint = f"the input is {in_words(self.sizes[0])}: try another `size`"
            raise SizeError(error.what, where=where, hint=hint) from None

    def _disagree(self, name: str, one: int, other: int) -> SizeError:
        parts = [f"{self.layers[i].name} has {in_words(self.sizes[i])}" for i in (one, other)]
        hint = f"the input is {in_words(self.sizes[0])}: try another `size`"
        what = f"its branches disagree in size: {parts[0]}, {parts[1]}"
        return SizeError(what, where=f"{self.where}, {name}", hint=hint)


class Attending:
    """The maps that tokens were made of which attend to each other, in a graph that is gone through in order.

    Attention in heads is told by its steps: a product of what maps became, a softmax of it, and a product again.

    >>> attending = Attending()
    >>> for step in ("softmax", "product", "softmax"):
    ...     attending.step(frozenset({3}), step)
    >>> attending.maps
    set()
    >>> attending.step(frozenset({3}), "product")
    >>> attending.maps
    {3}
    """

    def __init__(self) -> None:
        self.maps: set[int] = set()
        self._last: dict[Maps, Step] = {}

    def step(self, maps: Maps, step: Step) -> None:
        """Take the next step of a head that is made of some maps."""
        last = self._last.get(maps)
        if step == "attention" or (last, step) == ("softmax", "product"):
            self.maps |= maps
        if step != "softmax" or last == "product":
            self._last[maps] = step


def _check(op: Op, where: str) -> None:
    """Refuse figures that no network has, before anything is made of them."""
    if isinstance(op, Window | Transposed):
        if not 1 <= op.kernel <= MOST_KERNEL:
            raise DescriptionError(f"its kernel of {op.kernel} is not from 1 to {MOST_KERNEL}", where=where)
        for name, step in (("stride", op.stride), ("dilation", op.dilation)):
            if not 1 <= step <= MOST_STEP:
                raise DescriptionError(f"its {name} of {step} is not from 1 to {MOST_STEP}", where=where)
        if isinstance(op.padding, tuple) and max(op.padding) > MOST_STEP:
            raise DescriptionError(f"its padding of {max(op.padding)} is more than {MOST_STEP}", where=where)
