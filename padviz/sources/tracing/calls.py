"""Calls of foreign graphs: what becomes of each is decided once, whichever framework the graph is of.

At the end are the elementwise operations: merges, norms, masks of attention, and partial convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations, product
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from padviz.network.axis_maps import partial_weights
from padviz.network.graph import ancestors
from padviz.network.layer import Kind, Layer
from padviz.network.operations import Op, Window
from padviz.network.resize import Resize
from padviz.network.rewrites import merge_pad
from padviz.sources.tracing.arranging import Arranger, Constant, Map, Stuck, Value
from padviz.sources.tracing.dims import ROLES, Axis, Dim, Dims, broadcast_all, flat, plain, shape_of, whole, with_dim
from padviz.sources.tracing.trace import Trace

MASKED = -50  # what is added to scores that count for nothing
Array = NDArray[np.generic]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
OTHERWISE = "masks attention in another way than windows do"
NEAR = 1e-2  # how much rounding, even to bfloat16, may change a factor; real ones differ from 1 by more
PARTS = ("spread", "line", "state")  # layers that are called after these, too
Result = Value | Sequence[Value | None] | None  # of a call: one value for all that it returns, one each, or a constant


@dataclass(eq=False)
class Call:
    """A call of a foreign graph: an operation `op`, and the values that it `read`; `given` are those that are there.

    Each framework names its calls, and has a `handler` for each operation that it knows. A call is `windowed` if it
    reads an image by windows, `pointwise` if its kernel has one tap.

    A call that cannot be followed returns one of three. `vector` is no map any more, `unknown` a layer whose error
    `neutral` may resolve, `broken` any other error. A handler raises `Stuck`, and `stuck` decides.
    """

    trace: Arranger
    title: str
    op: str
    read: tuple[Value | None, ...]
    handler: Callable[..., Result] | None = None
    windowed: bool = False
    pointwise: ClassVar[bool] = False
    has_vectors: ClassVar[bool] = True  # rather than errors where positions are lost
    given: list[Value] = field(init=False)
    maps: list[Map] = field(init=False)

    def __post_init__(self) -> None:
        self.given = [x for x in self.read if x is not None]
        self.maps = [x for x in self.given if isinstance(x, Map)]

    @property
    def what(self) -> str:
        return self.op

    @property
    def which(self) -> str:
        return f"function {self.op}"

    @property
    def spatial(self) -> list[Map]:
        return [x for x in self.maps if not self.trace.pooled[x.at]]

    @property
    def inputs(self) -> list[int]:
        return list(dict.fromkeys(x.at for x in self.spatial or self.maps))

    def constants(self) -> Iterator[NDArray[np.generic]]:
        yield from ()

    def name(self, part: str = "") -> str:
        """Return the name of its layer, or of a further one, its `part`."""
        return f"{self.title}.{part}" if part in PARTS else self.title

    @property
    def is_flat(self) -> bool:
        """Whether height and width are no dimensions of their own in any map that it reads."""
        return all(
            x.dims is None or self.trace.has_several(x.at, self.trace.axes.keys() - {dim.axis for dim in x.dims})
            for x in self.spatial
        )

    def without_positions(self) -> Result:
        """Raise `Stuck` for what reads no map, and needs one; None for all else."""
        if any(x.dims is None for x in self.maps) or (self.handler is None and self.is_flat):
            why = "reads what was flattened, or picked position by position, as an image"
            raise Stuck(why, flattened=True)
        return None

    def run_handler(self, handler: Callable[..., Result]) -> Result:
        return handler(self, self.tensor(0))

    def unknown(self) -> Map:
        return Map(None, self.trace.unknown(self.name(), self.inputs, self.which, self.op))

    def broken(self, why: str, head: str = "", firm: bool = False) -> Map:
        """Replace the result by an error once a target depends on it; `head` and `firm` are as in `Trace.broken`."""
        inputs = sorted(self.inputs)
        if not self.spatial and any(x.dims is None for x in self.maps):  # `layer` takes maps
            inputs = [max(at for at in ancestors(self.trace.layers, inputs) if not self.trace.pooled[at])]
        layer = self.trace.broken(self.name(), inputs, f"{self.what} {why}", head, firm)
        self.trace.pooled[layer] &= not self.windowed  # an image made of a vector would be a map
        return Map(None, layer)

    def stuck(self, error: Stuck) -> Value:
        """End the trace here: a vector where positions are lost anyway, an error elsewhere."""
        if self.has_vectors and (error.mixed or (self.is_flat and not self.windowed)):
            return self.vector()
        cut = error.flattened and self.pointwise  # each position reads what was flattened
        return self.broken(str(error), head="reads a flattened map as an image" if cut else "")

    def vector(self) -> Value:
        """Return what is no map any more, made of all that it reads; it may be a step of attention."""
        trace = self.trace
        if not self.maps:
            return Constant(None)
        pools = {x.at: x.at if trace.pooled[x.at] else self.pool(x).at for x in self.maps}
        trace.tokens |= pools.values() - pools.keys()
        # two parts of one vector are read as two, like two halves of a map's channels
        read = {(pools[x.at], x.part): pools[x.at] for x in self.maps}
        at = trace.merge(self.name("merge"), "concat", [*read.values()])
        tokens = ancestors(trace.layers, [at]) & trace.tokens
        if grids := frozenset(i for token in tokens for i in trace.layers[token].inputs):
            trace.attend(self.op.lower(), grids, len(self.maps))
        return Map(None, at, part=self.maps[0].part if len(self.maps) == 1 else ())

    def join_flattened(self, maps: Sequence[Map]) -> Value:
        raise Stuck("joins different maps along their height or width")

    def pool(self, x: Value) -> Map:
        return Map(None, self.trace.add(self.name(), "global", (x.at,)))

    def spread_vector(self, x: Map, rank: int) -> Map:
        """Spread a vector that was reshaped to an image of some axes: every position of it sees the vector."""
        sizes, roles = x.shape[-rank:], [*self.trace.axes]
        ops = [Resize(n) for n in [1] * (len(roles) - rank) + sizes]
        layer = self.trace.add(self.name("spread"), "resize", (x.at,), ops)
        return Map((*x.known[:-rank], *map(whole, roles[-rank:], sizes)), layer)

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
    trace, known = call.trace, (call.trace.asking, call.trace.crops)
    layers = list(dict.fromkeys(value.at for value in call.maps))
    if spoilt := [at for at in layers if trace.layers[at].kind == "unknown" and not any(at in by for by in known)]:
        if call.windowed and not call.pointwise:  # then it is an error, no head
            for head in ancestors(trace.layers, {*spoilt} - trace.firm) & trace.heads.keys():
                del trace.heads[head]
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
    trace = call.trace
    scores = [x for x in values if x.has_looked]
    if scores and len({x.at for x in values}) == 1:  # what scores are made of is left out
        return replace(scores[0], dims=call.broadcast(values), acted=True)
    if len({trace.identity(x) for x in values}) > 1:
        values = trace.split_alike(values)
    dims = call.broadcast(values)
    last, *others = distinct(call, values)
    if not others:
        return replace(last, dims=dims, acted=last.acted or len(values) > 1)
    layer = join(call, kind, [last.at, *(x.at for x in others)])
    return Map(trace.resize_dims(dims, layer), layer, split_name=max(x.split_name for x in values))


def distinct(call: Call, values: Sequence[Map]) -> list[Map]:
    return [*{call.trace.identity(x): x for x in sorted(values, key=lambda x: x.at)}.values()]


def join(call: Call, kind: Kind, layers: Sequence[int]) -> int:
    """Add a merge; single rows and columns, and vectors beside maps, are copied along the others first."""
    trace, name = call.trace, call.name("spread")
    maps = [at for at in layers if not trace.pooled[at]]
    if kind == "concat" and maps:
        maps = layers = [trace.spread(name, at, maps[0]) if trace.pooled[at] else at for at in layers]
    if len({trace.sizes[at] for at in maps}) > 1:
        largest = max(maps, key=lambda at: trace.sizes[at])
        tallest = max(maps, key=lambda at: trace.sizes[at][::-1])
        spread = {at: trace.spread(name, at, largest) for at in maps}
        spread = {at: trace.spread(name, wide, tallest) for at, wide in spread.items()}
        layers = [spread.get(at, at) for at in layers]
    return trace.merge(call.name("merge"), kind, layers)


def with_kernel(call: Call, convolve: Callable[[], Value], weight: Value | None, bias: Value | None) -> Value:
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


def as_elementwise(call: Call, first: Value) -> Result:
    return call.maps[0] if len(call.maps) == 1 else merge_maps(replace(call, read=(*call.maps,)), "add", call.maps)


def subtract(call: Call) -> Map:
    """Subtract; a mean over all positions taken away from each is a normalisation: like a gate, it is left out."""
    away = any(call.trace.pooled[x.at] for x in call.maps)
    return merge_maps(call, "multiply" if away else "add", call.maps)


def norm(call: Call, x: Value, why: str, axes: Iterable[int]) -> Value:
    """Record that each position depends on all that a norm over some dimensions reads, though paths pass it by.

    A norm over the places of blocks alone leaves each block by itself once that is one position.
    """
    lost = [] if x.dims is None else [at for at in flat(x.dims[i] for i in axes).positions if at.size > 1]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x
    layer = call.trace.add(call.name("norm"), "identity", (x.at,), everywhere=why)
    inner = Dim(*lost).inner
    if inner == lost:
        blocks = tuple(prod(part.size for part in inner if part.role == role) for role in call.trace.axes)
        call.trace.block_norms[layer, blocks] = x.at
    return replace(x, layer=layer)


def apply_masks(call: Call, x: Map, hides: Callable[[Numbers], Mask] = lambda numbers: numbers <= MASKED) -> Map:
    """Cut the windows of scores in two where constants hide positions from each other."""
    for numbers in call.constants() if x.has_looked else ():
        x = hide(x, hides(np.asarray(numbers, dtype=np.float64)))
    return x


def apply_where(x: Map, condition: Array | None, first: Array | None, second: Array | None) -> Map:
    """Cut the windows of scores in two where a pick between them and a number hides; what is not constant is None."""
    if condition is None or not x.has_looked or (first is None) == (second is None):
        return x
    picks = np.asarray(condition, dtype=bool)
    number, hides = (second, ~picks) if first is None else (first, picks)
    return hide(x, hides & (np.asarray(number, dtype=np.float64) <= MASKED))


def hide(scores: Map, hides: Mask) -> Map:
    """Record after how many rows and columns a mask, which broadcasts with scores, cuts the last window in two.

    Windows may only be cut as rolled images have it: the last one of each axis, in two parts of which each sees itself.
    A mask that does anything else raises `Stuck`.
    """
    if not hides.any():
        return scores
    factors = [factor for dim in scores.known for factor in dim]
    whole = np.broadcast_to(~hides, scores.shape).reshape([factor.size for factor in factors])
    both, cuts = np.ones_like(whole), list[tuple[str, int]]()
    for role in ROLES:
        own = {i: factor for i, factor in enumerate(factors) if isinstance(factor, Axis) and factor.role == role}
        order = sorted(own, key=lambda i: (own[i].looked, -own[i].step))  # windows, those that look, those looked at
        others = tuple(i for i in range(len(factors)) if i not in own)
        part = np.asarray(whole.any(axis=others, keepdims=True))
        both &= part
        looked = int(np.prod([own[i].size for i in order if own[i].looked]))
        *others_whole, last = part.transpose(*order, *others).reshape(-1, looked, looked)
        first = int(last[0].sum())
        side = np.arange(looked) < first
        if not np.all(others_whole) or (last != (side[:, None] == side)).any():
            raise Stuck(OTHERWISE)
        cuts += [(role, first)] if first % looked else []
    if (both != whole).any():
        raise Stuck(OTHERWISE)
    return replace(scores, windows=(*scores.windows, *cuts))


def partial_convolution(call: Call, x: Map, dims: Dims | None, factor: Callable[[], Array]) -> Map | None:
    """Add a partial convolution for one whose output is multiplied by a constant, if that is how it reweighs.

    None where it is not: then a constant is elementwise, and paths do not see it. The numbers of the constant, a
    `factor` of dimensions that may be unknown, are computed only if it may be one.
    """
    trace = call.trace
    if x.acted or x.part or trace.layers[x.at].kind != "conv":
        return None
    convs = [trace.layers[x.at]]  # as it is, and with each pad before it as its own, as far as that changes nothing
    while (pad := trace.layers[convs[0].inputs[0]]).kind == "pad" and (joined := merge_pad(pad, convs[0])):
        convs.insert(0, joined)  # the one with all pads is tried first: counts are rounded the same way in one layer
    roles = [dim.axis for dim in x.known]
    own = zip(roles[::-1], (dims or ())[::-1], strict=False)
    differs = dims is None or (len(dims) <= len(roles) and any(role and dim.size > 1 for role, dim in own))
    if not differs or not any(_is_zeros(op) for conv in convs for op in conv.ops):
        return None
    call.broadcast([x])  # it must fit: at another size than that of a file it does not
    array = factor()
    if array.ndim > len(roles) or not array.size or not {*trace.axes} <= {*roles}:
        return None
    order = [roles.index(role) for role in trace.axes]
    rest = [i for i in range(len(roles)) if i not in order]
    whole = array.reshape((1,) * (len(roles) - array.ndim) + array.shape).transpose(rest + order)
    planes: Numbers = whole.reshape(-1, *whole.shape[-len(order) :]).astype(np.float64)
    if (planes != planes[:1]).any():  # along channels
        return None
    axes = range(len(trace.axes))
    together = [some for n in axes[::-1] for some in combinations(axes, n + 1)]  # all axes first
    for conv, reweighed in product(convs, together):
        if (ops := _reweighed(trace, conv, planes[0], reweighed)) is not None:
            sums = trace.add(f"{conv.name}.sums", "conv", conv.inputs, ops, channels=conv.channels)
            return replace(x, layer=trace.take_name(sums, x.at, conv.origin))
    return None


def _is_zeros(op: Op | None) -> bool:
    return isinstance(op, Window) and op.mode == "zero" and op.padding != (0, 0)


def _reweighed(trace: Trace, conv: Layer, plane: Numbers, axes: tuple[int, ...]) -> list[Op | None] | None:
    """Return the operations with partial padding on some axes; None unless the factor is theirs."""
    ops = list(conv.ops)
    factors = [np.ones(1) for _ in ops]
    for axis in axes:
        op = ops[axis]
        if not isinstance(op, Window) or not _is_zeros(op):
            return None
        factors[axis] = partial_weights(op, trace.sizes[conv.inputs[0]][axis])
        ops[axis] = replace(op, mode="partial")
    wanted = reduce(np.multiply.outer, factors)
    if any(1 not in (n, m) and n != m for n, m in zip(wanted.shape, plane.shape, strict=True)):
        return None
    near = min(NEAR, *((factors[axis].max() - 1) / 4 for axis in axes))
    return ops if np.allclose(wanted, plane, rtol=near, atol=0) else None
