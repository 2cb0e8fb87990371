"""What sources that follow a foreign graph share: layers laid out at one size, and the network that holds for all.

A *tracer* lays a foreign graph out at one concrete input size, as a `Trace`; `general` runs it at a few
sizes and explains what differs between them, so that the `Network` holds for every size.

A value on an edge of the graph is, for this module, the position of the layer that made it. What
each position does to itself (activations, normalisations, casts) makes no layer: the position passes
through. What global pooling left, and all that is made of it alone, is *pooled*: it has no positions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

from padviz.axis import Adaptive, Op, Resize, Transposed, Window, out_size
from padviz.errors import DescriptionError, PadvizError, SizeError
from padviz.network import MERGES, Kind, Layer, Network, Size, ancestors, only
from padviz.sources.moving import moves
from padviz.sources.unify import Traced, unified

MOST_LAYERS = 10_000
MOST_KERNEL = 4096  # taps on an axis
MOST_STEP = 100_000  # rows of a stride, a dilation, or padding
EVEN = 64  # a size that this divides stays even where strides halve it, and one row more stays odd
LARGEST_STEP = 4096  # rows between the sizes that are traced
OTHERS = (
    (1, 65),
    (64, 128),
    (37, 22),
    (18, 45),
    (128, 256),
)  # to trace at: whole steps, for each 64, and rows beyond the size
TRACED = 3  # of them, where as many work
WAY_OUT = "--layer {name} stops before it"
WAYS_OUT = f"--neutral {{op}} treats it as acting on each position alone, {WAY_OUT}"


class Trace:
    """A graph laid out at one input size: `layers`, and in step with them `sizes` and `pooled`.

    Every method that lays a layer returns its position, which is what flows along the edges. What
    reads an unknown operation becomes unknown itself. `ends` collects the positions that the graph's
    outputs are made of, heads and pooled ones too.

    Examples
    --------
    >>> trace = Trace("tiny", (8, 9))
    >>> conv = trace.add("conv", "conv", (0,), Window(3), Window(3))
    >>> vector = trace.add("pool", "global", (conv,))
    >>> gated = trace.merge("scale", "multiply", (conv, vector))
    >>> trace.layers[gated].kind, trace.layers[gated].inputs, trace.sizes[gated]
    ('gate', (1,), (6, 7))
    """

    def __init__(self, where: str, size: Size) -> None:
        self.where = where
        self.layers = [Layer("input", "input", ())]
        self.sizes = [size]
        self.pooled = [False]
        self.ends: set[int] = set()
        self._names: dict[str, int] = {"input": 1}

    def add(
        self,
        name: str,
        kind: Kind,
        inputs: Sequence[int],
        height: Op | None = None,
        width: Op | None = None,
        like: int | None = None,
    ) -> int:
        """Lay one layer, whose inputs are of one size; a "global" needs no operations.

        Raises
        ------
        SizeError
            Naming the file and the layer, where the size does not work.
        """
        if spoilt := [i for i in inputs if self.layers[i].kind == "unknown"]:
            return self._unknown(name, inputs, self.layers[spoilt[0]].note)
        if kind == "global":
            height = width = Adaptive(1)
        entering = self.sizes[inputs[0]]
        for other in inputs[1:]:
            if self.sizes[other] != entering:
                raise self._disagree(name, inputs[0], other)
        followed = (None, None) if like is None else self.sizes[like]
        ops = zip((height, width), entering, followed, strict=True)
        size = [n if op is None else self._out(name, op, n, m) for op, n, m in ops]
        pooled = kind == "global" or (all(self.pooled[i] for i in inputs) and size == [1, 1])
        return self._append(Layer(name, kind, tuple(inputs), height, width, like), (size[0], size[1]), pooled)

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
        """What makes each position depend on all, though paths pass it by: a norm over positions."""
        if self.pooled[value] or self.layers[value].kind == "unknown":
            return value
        return self._append(Layer(name, "identity", (value,), everywhere=why), self.sizes[value], False)

    def seen(self, at: int) -> int:
        """The layer that paths see in the place of a norm over positions."""
        while self.layers[at].kind == "identity" and self.layers[at].everywhere:
            at = self.layers[at].inputs[0]
        return at

    def mix(self, name: str, value: int, like: int, axes: Collection[int] = (0, 1), why: str = "attention") -> int:
        """Attention and the like: every position of `like` sees every position of `value`, or of its row or column."""
        if len(axes) == 1:
            height, width = (Adaptive(1) if axis in axes else None for axis in (0, 1))
            line = self._because(why, self.add(f"{name}.line", "adaptive", (value,), height, width))
            back = [Resize() if axis in axes else None for axis in (0, 1)]
            return self.add(name, "resize", (line,), back[0], back[1], like)
        vector = self._because(why, self.add(f"{name}.global", "global", (value,)))
        return vector if self.pooled[like] else self.spread(name, vector, like)

    def _because(self, why: str, at: int) -> int:
        if self.layers[at].kind != "unknown":
            self.layers[at] = replace(self.layers[at], everywhere=why)
        return at

    def spread(self, name: str, vector: int, like: int) -> int:
        """A vector, or a map one row or column large, copied to every position of `like`."""
        return self.add(name, "resize", (vector,), Resize(), Resize(), like)

    def unknown(self, name: str, inputs: Sequence[int], what: str, op: str) -> int:
        """Lay an operation that is not known: it, and what reads it, is an error once a target depends on it.

        `what` says which it is, with its opset or module path; `op` is what --neutral takes, where that is an answer.
        """
        why, ways = (", and moves positions or joins them", WAY_OUT) if moves(op) else ("", WAYS_OUT)
        hint = ways.format(op=op, name=self.layers[inputs[0]].name)
        return self._unknown(name, inputs, f"{what} is not known{why}; {hint}")

    def broken(self, name: str, inputs: Sequence[int], what: str) -> int:
        """Lay something that cannot be followed, such as what reads a flattened map as an image again."""
        return self._unknown(name, inputs, f"{what}; {WAY_OUT.format(name=self.layers[inputs[0]].name)}")

    def _unknown(self, name: str, inputs: Sequence[int], note: str) -> int:
        pooled = all(self.pooled[i] for i in inputs)
        return self._append(Layer(name, "unknown", tuple(inputs), note=note), self.sizes[inputs[0]], pooled)

    def _append(self, layer: Layer, size: Size, pooled: bool) -> int:
        if len(self.layers) >= MOST_LAYERS:
            raise DescriptionError(f"has more than {MOST_LAYERS} layers", where=self.where)
        self.layers.append(replace(layer, name=self._unique(layer.name or f"{layer.kind}_{len(self.layers)}")))
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
            height, width = self.sizes[0]
            hint = f"the input is {height} x {width}: try another --size"
            raise SizeError(error.what, where=where, hint=hint) from None

    def _disagree(self, name: str, one: int, other: int) -> SizeError:
        parts = [f"{self.layers[i].name} has {self.sizes[i][0]} x {self.sizes[i][1]}" for i in (one, other)]
        height, width = self.sizes[0]
        hint = f"the input is {height} x {width}: try another --size"
        what = f"its branches disagree in size: {parts[0]}, {parts[1]}"
        return SizeError(what, where=f"{self.where}, {name}", hint=hint)


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


def finish(trace: Trace) -> Traced:
    """The part of a trace that its last spatial feature maps are made of, and their names.

    A last map is one that no later map is made of: outputs, heads and pooled vectors may read it. An
    adaptive pool before a head, or a pool that reads its whole input, is not one: the map before it is.
    """
    readers: list[list[int]] = [[] for _ in trace.layers]
    for i, layer in enumerate(trace.layers):
        for j in {*layer.inputs}:
            readers[j].append(i)
    live = ancestors(trace.layers, trace.ends)
    lasts = [i for i in sorted(live) if not trace.pooled[i] and all(trace.pooled[r] for r in readers[i] if r in live)]
    stripped = list(dict.fromkeys(_before_pooling(trace, i) for i in lasts))
    inner = ancestors(trace.layers, [j for i in stripped for j in trace.layers[i].inputs])
    targets = [i for i in stripped if i not in inner and i > 0]
    if not targets:
        hint = "padviz looks for windows over an image"
        raise DescriptionError("no output is made of a spatial layer", where=trace.where, hint=hint)
    after = [i for i in live if not trace.pooled[i] and trace.seen(i) in targets]  # norms that nothing reads again
    kept = sorted(ancestors(trace.layers, [*targets, *after]) | {0})
    sizes = tuple(trace.sizes[i] for i in kept)
    return Traced(only(trace.layers, kept), sizes, tuple(kept.index(i) for i in targets))


def _before_pooling(trace: Trace, at: int) -> int:
    """The map before the pooling that a trace ends with, if it does."""
    while trace.seen(at) != at or trace.layers[at].kind in ("adaptive", "avgpool", "maxpool"):
        if trace.seen(at) != at:
            at = trace.seen(at)
            continue
        before = trace.layers[at].inputs[0]
        whole = trace.sizes[at] == (1, 1) != trace.sizes[before] and _reads_all(trace.layers[at], trace.sizes[before])
        if trace.layers[at].kind != "adaptive" and not whole:
            break
        at = before
    return at


def _reads_all(layer: Layer, entering: Size) -> bool:
    return all(isinstance(op, Window) and op.kernel >= n for op, n in zip(layer.ops, entering, strict=True))


@dataclass(frozen=True, slots=True)
class About:
    """What a network is called and where it came from."""

    name: str
    title: str = ""
    source: str = ""


def general(tracer: Callable[[Size], Trace], size: Size, about: About) -> Network:
    """The network that a tracer follows, for every size where the traces at a few sizes can be explained together.

    On an axis where they cannot, or where the graph works at one size only, the network is `fixed` to `size`.
    Several last feature maps make a network without targets: one must be chosen.

    >>> def tracer(size):
    ...     trace = Trace("tiny", size)
    ...     pads = (size[0] - 1) // 2 * 2 + 3 - size[0]
    ...     trace.ends.add(trace.add("c", "conv", (0,), Window(3, 2, padding=(pads // 2, pads - pads // 2)), None))
    ...     return trace
    >>> general(tracer, (8, 8), About("tiny")).layers[1].height.padding
    'same_upper'
    """
    first = finish(tracer(size))
    found = None
    fixed: tuple[int, ...] = ()
    for fixed in ((), (0,), (1,), (0, 1)):  # the axes that stay as they are
        others = _others(tracer, first, fixed)
        found = unified([first, *others]) if others or len(fixed) == 2 else None
        if found:
            break
    layers, lasts = found or (first.layers, first.lasts)
    targets = tuple(layers[i].name for i in lasts)
    return Network(
        name=about.name,
        layers=layers,
        targets=targets if len(targets) == 1 else (),
        title=about.title or about.name,
        source=about.source,
        size=size,
        fixed=fixed,
    )


def _others(tracer: Callable[[Size], Trace], first: Traced, fixed: tuple[int, ...]) -> list[Traced]:
    """Traces at a few other sizes, which differ on the axes that are not fixed; none where the graph differs."""
    found: list[Traced] = []
    step = _step(first)
    for more in OTHERS[: (len(OTHERS), 4, 0)[len(fixed)]]:
        height, width = (n if axis in fixed else _beyond(n, more[axis], step) for axis, n in enumerate(first.sizes[0]))
        try:
            other = finish(tracer((height, width)))
        except PadvizError:
            continue
        if alike(first, other):
            found.append(other)
        elif not any(layer.kind == "unknown" for layer in other.layers):  # it works at this size, in another way
            return []
        if len(found) == TRACED:
            break
    return found


def _step(traced: Traced) -> int:
    """Rows that every stride divides: sizes that are so far apart leave the same rests, all the way down."""
    ratios = [Fraction(1)]
    for layer in traced.layers[1:]:
        ops = [op for op in layer.ops if isinstance(op, Window | Transposed)]
        strides = [Fraction(1, op.stride) if isinstance(op, Window) else Fraction(op.stride) for op in ops]
        ratios.append(ratios[layer.inputs[0]] * min(strides, default=Fraction(1)))
    step = lcm(EVEN, *(ratio.denominator for ratio in ratios))
    return step if step <= LARGEST_STEP else EVEN


def _beyond(n: int, more: int, step: int = EVEN) -> int:
    """A size beyond the least whole number of steps: by so many 64ths of a step, and the rest of `more` in rows.

    >>> _beyond(224, 1), _beyond(256, 64), _beyond(100, 65, 192)
    (257, 320, 385)
    """
    steps, rows = divmod(more, EVEN)
    return -(-n // step) * step + steps * step + rows


def alike(one: Traced, other: Traced) -> bool:
    """Whether two traces are of one graph: the same names, kinds and edges."""
    if len(one.layers) != len(other.layers) or one.lasts != other.lasts:
        return False
    pairs = zip(one.layers, other.layers, strict=True)
    return all((a.name, a.kind, a.inputs, a.like) == (b.name, b.kind, b.inputs, b.like) for a, b in pairs)
