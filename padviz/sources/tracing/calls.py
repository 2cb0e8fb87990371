"""Calls of foreign graphs: what becomes of each is decided once, whichever framework the graph is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from padviz.axis.resize import Resize
from padviz.network.layer import Kind
from padviz.sources.tracing.arranging import Arranger, Constant, Head, Map, Stuck, Value
from padviz.sources.tracing.axis_labels import Dims, broadcast_all, plain, shape_of, whole, with_dim
from padviz.sources.tracing.trace import Step, Trace

PARTS = ("spread", "line", "state")  # layers that are called after these, too
PRODUCTS = frozenset(("matmul", "rmatmul", "mm", "bmm", "baddbmm", "einsum"))
Result = Value | Sequence[Value | None] | None  # of a call: one value for all that it returns, one each, or a constant


@dataclass(eq=False)
class Call:
    """A call of a foreign graph: an operation `op`, and the values that it `read`; `given` are those that are there.

    Each framework overrides the names of its calls, whether they read an image by windows (`windowed`) or by a kernel
    of one tap (`pointwise`), and has a `handler` for each operation that it knows.

    A call that cannot be followed ends in one of three ways: `head`, a value that is no map any more; `unknown`, a
    layer whose error `neutral` may resolve; `broken`, any other error. A handler raises `Stuck`, and `stuck` decides.
    """

    arranger: Arranger
    title: str
    op: str
    read: tuple[Value | None, ...]
    handler: Callable[..., Result] | None = None
    windowed: bool = False
    pointwise: ClassVar[bool] = False
    given: list[Value] = field(init=False)
    maps: list[Map] = field(init=False)
    heads: list[Head] = field(init=False)

    def __post_init__(self) -> None:
        self.given = [x for x in self.read if x is not None]
        self.maps = [x for x in self.given if isinstance(x, Map)]
        self.heads = [x for x in self.given if isinstance(x, Head)]

    @property
    def trace(self) -> Trace:
        return self.arranger.trace

    @property
    def what(self) -> str:
        return self.op

    @property
    def which(self) -> str:
        return f"function {self.op}"

    @property
    def inputs(self) -> list[int]:
        return list(dict.fromkeys(value.at for value in self.maps))

    @property
    def sources(self) -> list[int]:
        """The layers that it depends on, through heads too."""
        return sorted(frozenset().union(*(x.sources for x in self.given)))

    @property
    def part(self) -> object:
        return self.title

    def constants(self) -> Iterator[NDArray[np.generic]]:
        yield from ()

    def name(self, part: str = "") -> str:
        """Return the name of its layer, or of a further one, its `part`."""
        return f"{self.title}.{part}" if part in PARTS else self.title

    @property
    def flat(self) -> bool:
        """Whether height and width are no dimensions of their own in any map that it reads."""

        def is_flat(x: Map) -> bool:
            if x.dims is None:
                return True
            own = [dim.axis for dim in x.dims]
            absent = [role for role in self.trace.axes if role not in own]
            return self.trace.pooled[x.at] or self.arranger.has_several(x.at, absent)

        return all(map(is_flat, self.maps))

    def without_positions(self) -> Result:
        """Handle vectors and flattened maps; None where there are positions that it can read."""
        if self.heads or (self.handler is None and self.flat):
            first = self.tensor(0)
            why = "reads what was flattened, or picked position by position, as an image"
            return self.stuck(Stuck(why, flattened=isinstance(first, Head) and first.flattened))
        return None

    def run_handler(self, handler: Callable[..., Result]) -> Result:
        return handler(self)

    def unknown(self) -> Map:
        return Map(None, self.trace.unknown(self.name(), self.inputs, self.which, self.op))

    def broken(self, why: str, head: str = "", firm: bool = False) -> Map:
        """Make the result an error once a target depends on it; `head` and `firm` are as in `Trace.broken`."""
        layer = self.trace.broken(self.name(), self.sources, f"{self.what} {why}", head, firm)
        self.trace.pooled[layer] &= not self.windowed  # an image made of a vector would be a map
        return Map(None, layer)

    def stuck(self, error: Stuck) -> Value:
        """Give up: a head where positions are lost anyway, an error elsewhere."""
        if error.mixed or (self.flat and not self.windowed):
            return self.head()
        return self.broken_by(error)

    def broken_by(self, error: Stuck) -> Map:
        """Return an error as the result; where each position reads what was flattened, a head begins."""
        cut = error.flattened and self.pointwise
        return self.broken(str(error), head="reads a flattened map as an image" if cut else "")

    def head(self) -> Value:
        """Return a head of all inputs, never spatial again, which may be a step of attention."""
        flat = all(self.trace.pooled[x.at] or any(dim.is_flattened for dim in x.dims or ()) for x in self.maps)
        behind = frozenset(self.sources)
        self.attend(behind, len(self.maps) + len(self.heads))
        return Head(None, behind, flat and all(x.flattened for x in self.heads))

    def join_flattened(self, maps: Sequence[Map]) -> Value:
        raise Stuck("joins different maps along their height or width")

    def pool(self, x: Value) -> Map:
        return Map(None, self.trace.add(self.name(), "global", (x.at,)))

    def spread_vector(self, x: Map) -> Map:
        """Spread a vector that was reshaped to an image: every position of it sees the vector."""
        sizes, roles = x.shape[2:], [*self.trace.axes]
        ops = [Resize(n) for n in [1] * (len(roles) - len(sizes)) + sizes]
        layer = self.trace.add(self.name("spread"), "resize", (x.at,), ops)
        return Map((*x.known[:2], *map(whole, roles[-len(sizes) :], sizes)), layer)

    def attend(self, maps: frozenset[int], read: int) -> None:
        op = self.op.lower()
        step: Step | None = None
        if "attention" in op:
            step = "attention"
        elif op in PRODUCTS and read > 1:
            step = "product"
        elif "softmax" in op:
            step = "softmax"
        if maps and step:
            self.trace.attend(maps, step)

    def broadcast(self, values: Sequence[Map], along: int | None = None) -> Dims:
        """Broadcast the dimensions of maps with those of constants, but for the axis that they are joined `along`."""
        maps = [x.dims for x in values if x.dims is not None and not self.trace.pooled[x.at]]
        others = [x.dims for x in values if x.dims is not None and self.trace.pooled[x.at]]
        constants = [x.dims for x in self.given if isinstance(x, Constant) and x.dims is not None]
        others += [d if along is None else with_dim(d, along, plain(1)) for d in constants]
        dims = broadcast_all(maps, others) if maps or others else None
        if dims is None:
            shapes = " and ".join("x".join(map(str, shape_of(dims))) for dims in (*maps, *others))
            raise Stuck(f"joins {shapes}, whose rows and columns do not match")
        return dims

    def tensor(self, i: int) -> Value:
        x = self.optional(i)
        if x is None:
            raise Stuck("lacks an input")
        return x

    def optional(self, i: int) -> Value | None:
        return self.read[i] if i < len(self.read) else None


def follow(call: Call) -> Result:
    """Decide what a call makes of the maps that it reads."""
    trace, known = call.trace, (call.trace.asking, call.arranger.crops)
    layers = list(dict.fromkeys(value.at for value in call.maps))
    if spoilt := [at for at in layers if trace.layers[at].kind == "unknown" and not any(at in by for by in known)]:
        if call.windowed and not call.pointwise:
            for at in spoilt:
                trace.unmark_head(at)
        return Map(None, spoilt[0] if len(layers) == 1 else trace.add(call.name(), "concat", layers))
    try:
        result = call.without_positions()
        if result is not None:
            return result
        return call.unknown() if call.handler is None else call.run_handler(call.handler)
    except Stuck as error:
        return call.stuck(error)


def merge_maps(call: Call, kind: Kind, values: Sequence[Map]) -> Map:
    """Join maps elementwise: one passes, and others merge.

    What is made of the same channels of one layer counts once, as an activation does: x * sigmoid(x), x + sin(x).
    """
    arranger = call.arranger
    scores = [x for x in values if x.has_looked]
    if scores and len({x.at for x in values}) == 1:  # what scores are made of is left out
        return replace(scores[0], dims=call.broadcast(values), acted=True)
    if len({arranger.identity(x) for x in values}) > 1:
        values = arranger.split_alike(values)
    dims = call.broadcast(values)
    last, *others = distinct(call, values)
    if not others:
        return replace(last, dims=dims, acted=last.acted or len(values) > 1)
    layer = join(call, kind, [last.at, *(x.at for x in others)])
    return Map(arranger.resize_dims(dims, layer), layer, split_name=max(x.split_name for x in values))


def distinct(call: Call, values: Sequence[Map]) -> list[Map]:
    return [*{call.arranger.identity(x): x for x in sorted(values, key=lambda x: x.at)}.values()]


def join(call: Call, kind: Kind, layers: Sequence[int]) -> int:
    """Add a merge; single rows and columns, and vectors beside maps, are copied along the others first."""
    arranger, trace, name = call.arranger, call.trace, call.name("spread")
    maps = [at for at in layers if not trace.pooled[at]]
    if kind == "concat" and maps:
        maps = layers = [trace.spread(name, at, maps[0]) if trace.pooled[at] else at for at in layers]
    if len({trace.sizes[at] for at in maps}) > 1:
        largest = max(maps, key=lambda at: trace.sizes[at])
        tallest = max(maps, key=lambda at: trace.sizes[at][::-1])
        spread = {at: arranger.spread(name, at, largest) for at in maps}
        spread = {at: arranger.spread(name, wide, tallest) for at, wide in spread.items()}
        layers = [spread.get(at, at) for at in layers]
    return trace.merge(call.name("merge"), kind, layers)


def with_kernel(call: Call, convolve: Callable[[], Result], weight: Value | None, bias: Value | None) -> Result:
    """Add a convolution; a kernel that is computed from the image gates it, and such a bias is added."""
    computed: list[tuple[Value | None, str, Kind]] = [(weight, "gate", "multiply"), (bias, "bias", "add")]
    made = [(by.at, f"{call.name()}.{name}", kind) for by, name, kind in computed if isinstance(by, Map)]
    if not all(call.trace.pooled[at] for at, *_ in made):
        raise Stuck("has a kernel computed from a feature map")
    result = convolve()
    for at, name, kind in made:
        if isinstance(result, Map):
            result = Map(result.known, call.trace.merge(name, kind, [result.at, at]))
    return result


def as_elementwise(call: Call) -> Result:
    return call.maps[0] if len(call.maps) == 1 else merge_maps(replace(call, read=(*call.maps,)), "add", call.maps)
