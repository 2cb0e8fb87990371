"""Calls of foreign graphs.

What becomes of each is decided once, whichever framework the graph is of.

At the end are the elementwise operations: merges, norms, masks of attention, and partial
convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from padviz.network.axis_maps import partial_weights
from padviz.network.graph import ancestors
from padviz.network.layer import Act, Kind, Layer
from padviz.network.operations import Op, Window
from padviz.network.resize import Resize
from padviz.network.rewrites import merge_pad
from padviz.sources.tracing.arranging import (
    STACKED,
    Arranger,
    Constant,
    Map,
    Stuck,
    Value,
    block_of,
)
from padviz.sources.tracing.dims import (
    ROLES,
    Axis,
    Dim,
    Dims,
    broadcast_all,
    flat,
    plain,
    shape_of,
    whole,
    with_dim,
)
from padviz.sources.tracing.trace import Trace

FEW = 4096  # numbers that are compared from size to size
MASKED = -50  # what is added to scores that count for nothing
Array = NDArray[np.generic]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
OTHERWISE = "masks attention in another way than windows do"
# How much rounding, even to bfloat16, may change a factor. Real ones differ from 1 by more.
NEAR = 1e-2
PARTS = ("spread", "line", "state")  # layers that are called after these, too
# Of a call: one value for all that it returns, one for each tensor, or None for a constant.
Result = Value | Sequence[Value | None] | None


@dataclass(eq=False)
class Call:
    """A call of a foreign graph: an operation `op`, and the values that it `read`.

    `given` are those values that are there. Each framework names its calls, and has a `handler` for
    each operation that it knows. A call is `windowed` if it reads an image by windows, `pointwise`
    if its kernel has one tap. It `acts` if it reads each position alone, and constants as they are
    broadcast to its map.

    A call that cannot be followed returns one of three. `vector` is no map any more, `unknown` a
    layer whose error `neutral` may resolve, `broken` any other error. A handler raises `Stuck`, and
    `stuck` decides.
    """

    trace: Arranger
    title: str
    op: str
    read: tuple[Value | None, ...]
    handler: Callable[..., Result] | None = None
    windowed: bool = False
    acts: bool = False
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
    def slides(self) -> bool:
        """Whether it makes a map of an image."""
        return self.windowed

    @property
    def spatial(self) -> list[Map]:
        return [x for x in self.maps if self.trace.is_spatial(x)]

    @property
    def inputs(self) -> list[int]:
        return list(dict.fromkeys(x.at for x in self.spatial or self.maps))

    def array_of(self, value: object) -> Array | None:
        """Return the numbers of a constant, None for a map; raise `Stuck` if they are not known."""
        return None

    def constants(self) -> Iterator[Array]:
        return (numbers for x in self.given if (numbers := self.array_of(x)) is not None)

    def name(self, part: str = "") -> str:
        """Return the name of its layer, or of a further one, its `part`."""
        if part in PARTS:
            return f"{self.title}.{part}"
        return self.title

    @property
    def plain(self) -> list[object]:
        """The plain numbers among its arguments."""
        return []

    def made(self, x: Constant) -> tuple[bool, str]:
        """Return whether all numbers of a constant are the same, and how they were computed."""
        return False, ""

    @property
    def is_flat(self) -> bool:
        """Whether height and width are no dimensions of their own in any map that it reads."""
        for x in self.spatial:
            if x.dims is not None:
                lost = self.trace.axes.keys() - {dim.axis for dim in x.dims}
                if not self.trace.has_several(x.at, lost):
                    return False
        return True

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
        """Return an error in place of the result, raised only if a target depends on it.

        `head` and `firm` are as in `Trace.broken`.
        """
        inputs = sorted(self.inputs)
        if not self.spatial and (self.slides or any(x.dims is None for x in self.maps)):
            # An image made of a vector would be a map. The error says which `layer` stops before
            # it, and that must be a map, too.
            inputs = [self.trace.last_map(inputs)]
        layer = self.trace.broken(self.name(), inputs, f"{self.what} {why}", head, firm)
        return Map(None, layer)

    def stuck(self, error: Stuck) -> Value:
        """End the trace here: a vector where positions are lost anyway, an error elsewhere."""
        if self.has_vectors and (error.mixed or (self.is_flat and not self.windowed)):
            return self.vector()
        head = ""
        if error.flattened and self.pointwise:  # each position reads what was flattened
            head = "reads a flattened map as an image"
        return self.broken(str(error), head=head)

    def vector(self) -> Value:
        """Return a vector made of all that the call reads, without positions.

        Such calls may be steps of attention, which are recorded.
        """
        trace = self.trace
        if not self.maps:
            return Constant(None)
        pools: dict[int, int] = {}
        for x in self.maps:
            pools[x.at] = x.at
            if trace.is_spatial(x):
                pools[x.at] = self.pool(x).at
                trace.mark(pools[x.at], from_tokens=True)
        # two parts of one vector are read as two, like two halves of a map's channels
        read = {(pools[x.at], x.part): pools[x.at] for x in self.maps}
        at = trace.merge(self.name("merge"), "concat", [*read.values()])
        grids: set[int] = set()
        for i in ancestors(trace.layers, [at]):
            if trace.layers[i].from_tokens:
                grids.update(trace.layers[i].inputs)
        if grids:
            trace.attend(self.op.lower(), frozenset(grids), len(self.maps))
        part: tuple[object, ...] = ()
        if len(self.maps) == 1:
            part = self.maps[0].part
        return Map(None, at, part=part)

    def join_flattened(self, maps: Sequence[Map]) -> Value:
        raise Stuck("joins different maps along their height or width")

    def pool(self, x: Value) -> Map:
        return Map(None, self.trace.add(self.name(), "global", (x.at,)))

    def check_alike(self, layers: Iterable[int]) -> None:
        """Reject vectors as rows or columns if their numbers are made of different positions."""
        if any(self.trace.layers[at].unlike for at in layers):
            raise Stuck(STACKED)

    def spread_vector(self, x: Map, rank: int) -> Map:
        """Copy a vector that was reshaped to several positions to each of these."""
        self.check_alike([x.at])
        if any(dim.stacked for dim in x.known[-rank:]):
            raise Stuck(STACKED)
        sizes = x.shape[-rank:]
        roles = [*self.trace.axes][-rank:]
        ops = [Resize(1)] * (len(self.trace.axes) - rank) + [Resize(n) for n in sizes]
        layer = self.trace.add(self.name("spread"), "resize", (x.at,), ops)
        return Map((*x.known[:-rank], *map(whole, roles, sizes)), layer)

    def broadcast(self, values: Sequence[Map], along: int | None = None) -> Dims:
        """Broadcast maps with constants, but for the axis that they are joined `along`."""
        maps: list[Dims] = []
        others: list[Dims] = []
        for x in values:
            if x.dims is not None and self.trace.is_spatial(x):
                maps.append(x.dims)
            elif x.dims is not None:
                others.append(x.dims)
        for value in self.given:
            if isinstance(value, Constant) and value.dims is not None:
                dims = value.dims
                if along is not None:
                    dims = with_dim(dims, along, plain(1))
                others.append(dims)
        joined = broadcast_all(maps, others)
        if joined is None or not (maps or others):
            shapes = " and ".join("x".join(map(str, shape_of(dims))) for dims in (*maps, *others))
            raise Stuck(f"joins {shapes}, whose rows and columns do not match")
        return joined

    def tensor(self, i: int) -> Value:
        x = self.optional(i)
        if x is None:
            raise Stuck("lacks an input")
        return x

    def optional(self, i: int) -> Value | None:
        if i < len(self.read):
            return self.read[i]
        return None


def follow(call: Call) -> Result:
    """Add what a call makes to the trace.

    A call that reads an unknown layer makes another one. A call that is stuck ends the trace there.
    """
    trace = call.trace
    layers = list(dict.fromkeys(value.at for value in call.maps))
    spoilt = [at for at in layers if _is_spoilt(trace, at)]
    if spoilt:
        if call.windowed and not call.pointwise:  # then it is an error, no head
            trace.read_by_windows(spoilt)
        at = layers[0]
        if len(layers) > 1:
            at = trace.add(call.name(), "concat", layers)
        return Map(None, at)
    try:
        result = call.without_positions()
        if result is None:
            if call.handler is None:
                return call.unknown()
            result = call.run_handler(call.handler)
    except Stuck as error:
        return call.stuck(error)
    if call.acts:
        note_act(call, result)
    return result


def note_act(call: Call, result: Result) -> None:
    """Record on the layer of a result that a call acts on it, and what it reads besides.

    A constant that made a convolution a partial one is its padding.
    """
    layers = call.trace.layers
    if isinstance(result, Map) and (layers[result.at].kind != "conv" or result.at in call.inputs):
        beside = [_beside(call, x, result) for x in call.given if isinstance(x, Constant)]
        given = (call.op, *map(repr, call.plain), *(made for _, made in beside))
        varies = any(varies for varies, _ in beside)
        call.trace.act(result.at, Act(call.name(), given, varies))


def has_places(x: Map, dim: Dim) -> bool:
    """Whether numbers along a dimension differ by position.

    Those of scores in windows are the same in all windows, with which tiles start.
    """
    inside = x.has_looked and len(dim.inner) == len(dim.positions)
    return dim.has_positions and not inside


def _beside(call: Call, constant: Constant, x: Map) -> tuple[bool, str]:
    """Return whether the numbers of a constant may differ along positions of a map that it meets,
    and a text that differs where they do at another size.
    """
    if x.dims is None or constant.dims is None:
        return call.trace.is_spatial(x), ""
    pairs = enumerate(zip(x.dims[::-1], constant.dims[::-1], strict=False), start=1)
    along = [-i for i, (dim, other) in pairs if other.size > 1 and has_places(x, dim)]
    same, made = call.made(constant)
    array = None
    if not same and (along or prod(constant.shape) <= FEW):
        with suppress(Stuck):
            array = call.array_of(constant)
    if array is None:
        return bool(along) and not same, made
    first = array
    for axis in along:
        first = first.take([0], axis)
    return bool((array != first).any()), str(hash(first.tobytes()))


def _is_spoilt(trace: Trace, at: int) -> bool:
    """Whether whatever reads a layer is unknown, too.

    Some unknown layers may still be used: as queries or keys of scores, or mirrored a second time.
    """
    layer = trace.layers[at]
    return layer.kind == "unknown" and layer.alike is None and layer.cropped is None


def merge_maps(call: Call, kind: Kind, values: Sequence[Map]) -> Map:
    """Join maps elementwise: one passes, and others merge.

    What is made of the same channels of one layer counts once, as an activation does: x *
    sigmoid(x), x + sin(x).
    """
    trace = call.trace
    scores = [x for x in values if x.has_looked]
    if scores:
        # Paths leave out what scores are made of, such as a vector that is added to them.
        values = [x for x in values if trace.is_spatial(x)]
    if scores and len({x.at for x in values}) == 1:
        # Scores have the layer of the queries that they are made of. What else is made of it is
        # left out.
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
    """Return the values of which paths see different things, by their layers."""
    in_order = sorted(values, key=lambda x: x.at)
    return list({call.trace.identity(x): x for x in in_order}.values())


def join(call: Call, kind: Kind, layers: Sequence[int]) -> int:
    """Add a merge of layers.

    Single rows and columns, and vectors beside maps, are first copied along the other layers.
    """
    trace, name = call.trace, call.name("spread")
    maps = [at for at in layers if not trace.layers[at].pooled]
    if maps and kind != "multiply":
        call.check_alike(layers)
    if kind == "concat" and maps:
        maps = layers = trace.spread_vectors(name, layers, maps[0])
    if len({trace.layers[at].size for at in maps}) > 1:
        largest = max(maps, key=lambda at: trace.layers[at].size)
        tallest = max(maps, key=lambda at: trace.layers[at].size[::-1])
        spread: dict[int, int] = {}
        for at in maps:
            spread[at] = trace.spread(name, at, largest)
        for at, wide in spread.items():
            spread[at] = trace.spread(name, wide, tallest)
        layers = [spread.get(at, at) for at in layers]
    return trace.merge(call.name("merge"), kind, layers)


def with_kernel(
    call: Call,
    convolve: Callable[[], Value],
    weight: Value | None,
    bias: Value | None,
) -> Value:
    """Add a convolution whose kernel or bias may be computed from the image.

    Such a kernel gates the result, and such a bias is added to it.
    """
    merges: list[tuple[str, Kind, int]] = []
    if isinstance(weight, Map):
        merges.append((f"{call.name()}.gate", "multiply", weight.at))
    if isinstance(bias, Map):
        merges.append((f"{call.name()}.bias", "add", bias.at))
    if not all(call.trace.layers[at].pooled for _, _, at in merges):
        raise Stuck("has a kernel computed from a feature map")
    result = convolve()
    for name, kind, at in merges:
        if isinstance(result, Map):
            result = Map(result.known, call.trace.merge(name, kind, [result.at, at]))
    return result


def as_elementwise(call: Call, first: Value) -> Result:
    if len(call.maps) == 1:
        return call.maps[0]
    return merge_maps(replace(call, read=(*call.maps,)), "add", call.maps)


def subtract(call: Call) -> Map:
    """Subtract one map from another.

    Subtracting a mean over all positions is a normalisation: like a gate, the mean is left out.
    """
    if any(call.trace.layers[x.at].pooled for x in call.maps):
        return merge_maps(call, "multiply", call.maps)
    return merge_maps(call, "add", call.maps)


def norm(call: Call, x: Value, why: str, axes: Iterable[int]) -> Value:
    """Record that each position depends on all that a norm reads, though paths pass it by.

    A norm over the places of blocks alone leaves each block by itself once that is one position.
    """
    if x.dims is None or not call.trace.is_spatial(x):
        return x
    lost = [position for position in flat(x.dims[i] for i in axes).positions if position.size > 1]
    if not lost:
        return x
    layer = call.trace.add(call.name("norm"), "identity", (x.at,), everywhere=why)
    inner = Dim(*lost).inner
    if len(inner) == len(lost):
        blocks = block_of(inner, call.trace.axes)
        call.trace.block_norms[layer, (*blocks.values(),)] = x.at
    return replace(x, layer=layer)


def apply_masks(
    call: Call,
    x: Map,
    hides: Callable[[Numbers], Mask] = lambda numbers: numbers <= MASKED,
) -> Map:
    """Cut the windows of scores in two where constants hide positions from each other."""
    if x.has_looked:
        for numbers in call.constants():
            x = hide(x, hides(np.asarray(numbers, dtype=np.float64)))
    return x


def apply_where(x: Map, condition: Array | None, first: Array | None, second: Array | None) -> Map:
    """Cut the windows of scores in two where `where` replaces scores by a large negative number.

    Arguments that are not constant are None.
    """
    if condition is None or not x.has_looked or (first is None) == (second is None):
        return x
    hides = np.asarray(condition, dtype=bool)
    number = first
    if first is None:  # the condition picks scores, and hides the others
        number, hides = second, ~hides
    return hide(x, hides & (np.asarray(number, dtype=np.float64) <= MASKED))


def hide(scores: Map, hides: Mask) -> Map:
    """Record after how many rows and columns a mask over scores cuts the last window in two.

    Windows may only be cut as rolled images need it: the last one of each axis, into two parts of
    which each sees itself. A mask that does anything else raises `Stuck`.
    """
    if not hides.any():
        return scores
    factors = flat(scores.known)
    seen = np.broadcast_to(~hides, scores.shape).reshape([factor.size for factor in factors])
    # What is seen must be what is seen along rows, and along columns.
    along_both = np.ones_like(seen)
    windows = [*scores.windows]
    for role in ROLES:
        parts = {i: part for i, part in enumerate(factors) if isinstance(part, Axis)}
        rows = {i: part for i, part in parts.items() if part.role == role}
        others = tuple(i for i in range(len(factors)) if i not in rows)
        along_rows = np.asarray(seen.any(axis=others, keepdims=True))
        along_both &= along_rows
        first, n = _cut_after(along_rows.transpose(*_order(rows), *others), rows.values())
        if first % n:
            windows.append((role, first))
    if (along_both != seen).any():
        raise Stuck(OTHERWISE)
    return replace(scores, windows=(*windows,))


def _order(rows: Mapping[int, Axis]) -> list[int]:
    """Return the dimensions that hold rows in the order windows, queries, keys, by their parts."""
    return sorted(rows, key=lambda i: (rows[i].looked, -rows[i].step))


def _cut_after(seen: Mask, rows: Iterable[Axis]) -> tuple[int, int]:
    """Return after how many rows (or columns) a mask cuts the last window, and how many it has.

    The mask has the dimensions of windows, queries and keys, in this order.
    """
    n = prod(part.size for part in rows if part.looked)
    *inner, last = seen.reshape(-1, n, n)
    first = int(last[0].sum())
    is_first = np.arange(n) < first
    sees_its_part = is_first[:, None] == is_first
    if not np.all(inner) or (last != sees_its_part).any():
        raise Stuck(OTHERWISE)
    return first, n


def partial_convolution(
    call: Call,
    x: Map,
    dims: Dims | None,
    factor: Callable[[], Array],
) -> Map | None:
    """Return a partial convolution if a constant multiplies a convolution as one would.

    None otherwise: then the constant is elementwise, and paths do not see it. Its numbers,
    `factor`, are computed only if its dimensions, which may be unknown, allow for one.
    """
    trace = call.trace
    if x.acted or x.part or trace.layers[x.at].kind != "conv":
        return None
    convs = _with_pads(trace, trace.layers[x.at])
    pads = any(_is_zeros(op) for conv in convs for op in conv.ops)
    if not pads or not _varies(x, dims):
        return None
    call.broadcast([x])  # it must fit: at another size than that of a file it does not
    plane = _plane_of(call, x, factor())
    if plane is None:
        return None
    axes = range(len(trace.axes))
    for conv in convs:
        for n in reversed(axes):  # all axes first
            for reweighed in combinations(axes, n + 1):
                ops = _reweighed(trace, conv, plane, reweighed)
                if ops is not None:
                    name = f"{conv.name}.sums"
                    sums = trace.add(name, "conv", conv.inputs, ops, channels=conv.channels)
                    return replace(x, layer=trace.take_name(sums, x.at, conv.origin))
    return None


def _with_pads(trace: Trace, conv: Layer) -> list[Layer]:
    """List a convolution as it is, and joined with the pads before it, where that is the same.

    The one with most pads comes first: counts are rounded the same way if one layer pads by itself.
    """
    convs = [conv]
    while True:
        pad = trace.layers[convs[0].inputs[0]]
        if pad.kind != "pad":
            return convs
        joined = merge_pad(pad, convs[0])
        if joined is None:
            return convs
        convs.insert(0, joined)


def _varies(x: Map, dims: Dims | None) -> bool:
    """Whether a constant may differ along the rows or columns of a map."""
    if dims is None:
        return True
    if len(dims) > len(x.known):
        return False
    pairs = zip(x.known[::-1], dims[::-1], strict=False)
    return any(rows.axis and dim.size > 1 for rows, dim in pairs)


def _plane_of(call: Call, x: Map, array: Array) -> Numbers | None:
    """Return the numbers of a constant at each position of a map.

    None if they differ along channels.
    """
    roles = [dim.axis for dim in x.known]
    if array.ndim > len(roles) or not array.size or not call.trace.axes.keys() <= {*roles}:
        return None
    order = [roles.index(role) for role in call.trace.axes]
    whole = array.reshape((1,) * (len(roles) - array.ndim) + array.shape)
    whole = np.moveaxis(whole, order, range(-len(order), 0))
    planes: Numbers = whole.reshape(-1, *whole.shape[-len(order) :]).astype(np.float64)
    if (planes != planes[:1]).any():
        return None
    first: Numbers = planes[0]
    return first


def _is_zeros(op: Op | None) -> bool:
    return isinstance(op, Window) and op.mode == "zero" and op.padding != (0, 0)


def _reweighed(
    trace: Trace,
    conv: Layer,
    plane: Numbers,
    axes: tuple[int, ...],
) -> list[Op | None] | None:
    """Return the operations with partial padding on some axes; None unless the factor is theirs."""
    ops = list(conv.ops)
    factors = [np.ones(1) for _ in ops]
    for axis in axes:
        op = ops[axis]
        if not isinstance(op, Window) or not _is_zeros(op):
            return None
        factors[axis] = partial_weights(op, trace.layers[conv.inputs[0]].size[axis])
        ops[axis] = replace(op, mode="partial")
    wanted = reduce(np.multiply.outer, factors)
    if any(1 not in (n, m) and n != m for n, m in zip(wanted.shape, plane.shape, strict=True)):
        return None
    near = min(NEAR, *((factors[axis].max() - 1) / 4 for axis in axes))
    if not np.allclose(wanted, plane, rtol=near, atol=0):
        return None
    return ops
