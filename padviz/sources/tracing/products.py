"""Where positions meet: sums of products, attention, reductions, softmax and recurrence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Literal, cast

from padviz.network.layer import MERGES, Kind
from padviz.network.operations import Adaptive, Blocks, Window
from padviz.sources.tracing.arranging import Arranger, Cuts, Map, Stuck, Value, whole_axes
from padviz.sources.tracing.calls import Call, distinct, join
from padviz.sources.tracing.dims import Axis, Block, Channel, Dim, Dims, Factor, Position, Runs, Tokens, flat, plain
from padviz.sources.tracing.trace import Trace

Letters = Sequence[object]
Times = Callable[[Sequence[Map]], int]  # lays the product of maps, and returns its layer
Named = Mapping[object, Dim]  # the dimensions of a factor of a product, by their letters
Case = Literal["each position alone", "scores", "attention", "summed over positions"]
Operand = tuple[Value, Letters]
LINEAR = "linear over positions"


def contract(call: Call, terms: Iterable[tuple[Map, Letters]], kept: Letters, times: Times) -> Map:
    """Sum products of maps: each with a letter for each dimension; summed over letters that are not kept."""
    trace, maps, factors = call.trace, list[Map](), list[Named]()
    for value, letters in terms:
        if any(dim.is_mixed for letter, dim in zip(letters, value.known, strict=True) if letter not in kept):
            value = trace.without_mixed(call.name("line"), value)
        maps.append(value)
        factors.append(dict(zip(letters, value.known, strict=True)))
    _check_fit(factors, kept)
    if classify(factors[::-1], kept) == "attention":  # values times scores
        maps, factors = maps[::-1], factors[::-1]
    case, places = classify(factors, kept), [*map(_places, factors)]
    largest = (
        max((f.get(letter, Dim()) for f in factors), key=lambda dim: (dim.size, dim.has_positions, len(dim)))
        for letter in kept
    )
    dims = merge_places(tuple(largest), [dim for f in factors for letter, dim in f.items() if letter not in kept])
    if case == "each position alone":
        layer = times(maps)
        return Map(trace.resize_dims(dims, layer), layer)
    if case == "scores":  # positions that the first map has alone, as queries have, look at those of keys
        queries, keys = places[0] - places[1], places[1] - places[0]
        if len(factors) > 2 or keys & {*factors[0]} or queries & {*factors[1]}:
            raise Stuck("multiplies maps of different rows or columns")
        dims = tuple(dim.looked_at() if letter in keys else dim for letter, dim in zip(kept, dims, strict=True))
        return Map(dims, maps[0].at, acted=True)
    if case == "attention":
        summed = places[1] - {*kept}
        return _attend(call, maps[0], maps[1], dims, _along(factors[1], summed), sees_all=places[1] == summed)
    unsplit = [trace.unsplit(value) for value in maps]
    if [value.at for value in unsplit] != [value.at for value in maps]:
        return contract(call, [(value, [*f]) for value, f in zip(unsplit, factors, strict=True)], kept, times)
    if any(own != places[0] for own in places):
        raise Stuck("sums over some rows or columns only")
    lost = _along(factors[0], places[0] - {*kept})
    if any(position.looked for position in lost):
        raise Stuck("sums over positions that are looked at")
    return Map(dims, trace.pool_over(call.name(), times(maps), whole_axes(lost)))


def _attend(call: Call, scores: Map, values: Map, dims: Dims, lost: list[Position], sees_all: bool) -> Map:
    trace, name = call.trace, call.name()
    like = trace.asking.get(scores.at, scores.at)
    dims = tuple(Dim(*(f for f in dim if f.size > 1 or not (isinstance(f, Position) and f.looked))) for dim in dims)
    looking = [position for position in flat(dims).positions if not position.looked]
    if Dim(*looking).within(Runs):
        raise Stuck("attends from runs of positions")
    trace.tokens_removed |= bool(Dim(*lost).within(Tokens)) and not flat(dims).within(Tokens)
    if sees_all and not scores.windows:
        return Map(dims, trace.mix(name, values.at, like))
    return replace(mix(trace, name, values, lost, "attention", like, scores.windows), dims=dims)


def classify(factors: Sequence[Named], kept: Letters) -> Case:
    """Return what a product does with positions, by its factors' dimensions and the letters that are kept.

    >>> from padviz.sources.tracing.dims import Dim, whole
    >>> line, keys, channels = whole("h", 4), whole("h", 4).looked_at(), plain(8)
    >>> classify([{"i": line, "c": channels}, {"i": line, "c": channels}], "i")
    'each position alone'
    >>> classify([{"i": line, "c": channels}, {"j": line, "c": channels}], "ij")
    'scores'
    >>> classify([{"i": line, "j": keys}, {"j": line, "c": channels}], "ic")
    'attention'
    >>> classify([{"i": line, "c": channels}, {"i": line, "d": channels}], "cd")
    'summed over positions'
    """
    own = [*map(_places, factors)]
    places = set[object]().union(*own)
    summed = places - {*kept}
    if not summed:
        return "each position alone" if places in own else "scores"
    if len(factors) == 2 and summed <= own[0] & own[1] and own[1] - summed <= own[0]:
        scores, values = (_along(named, summed) for named in factors)
        if all(at.looked for at in scores) and not any(at.looked for at in values):
            return "attention"
    return "summed over positions"


def _check_fit(factors: Sequence[Named], kept: Letters) -> None:
    for letter in set[object]().union(*map(_places, factors)):
        meeting = [named[letter] for named in factors if letter in _places(named)]
        if letter not in kept:  # looked at or not, they are summed
            meeting = [dim.looked_at(False) for dim in meeting]
        if len({tuple(at.kind for at in dim.positions if at.size > 1) for dim in meeting}) > 1:
            raise Stuck("multiplies rows with columns")


def _places(named: Named) -> set[object]:
    return {letter for letter, dim in named.items() if dim.has_positions}


def _along(named: Named, letters: Iterable[object]) -> list[Position]:
    return flat(named[letter] for letter in letters).positions


def merge_places(dims: Dims, gone: Iterable[Dim]) -> Dims:
    """Turn places of blocks into plain channels where dimensions with places of their axis are gone: they have met."""
    roles = {factor.role for dim in gone for factor in dim if isinstance(factor, Block)} - {""}

    def merged(factor: Factor) -> Factor:
        return Channel(factor.size) if isinstance(factor, Block) and factor.role in roles else factor

    return tuple(Dim(*map(merged, dim)) for dim in dims)


def linear(call: Call, x: Value, own: Letters, out: Letters, sizes: Mapping[object, int]) -> Value:
    """Multiply by a constant: channels give others; where positions are summed, each result sees them all."""
    gone = [dim for letter, dim in zip(own, x.known, strict=True) if letter not in out]
    back = [i for i, letter in enumerate(out) if letter not in own and sizes.get(letter, 1) == gone[0].size]
    # places in a block beside a whole axis are channels, however many results there are
    mixed = len({isinstance(part, Axis) and part.inner for part in flat(gone).positions if part.size > 1}) > 1
    as_many = len(gone) == 1 and bool(back) and gone[0].is_positions and not mixed
    if isinstance(x, Map) and flat(gone).positions and x.has_parts and not as_many:
        x = call.trace.unsplit(x)
    named = dict(zip(own, x.known, strict=True))
    gone = [dim for letter, dim in named.items() if letter not in out]
    lost = flat(gone).positions
    dims = merge_places(tuple(named.get(letter) or plain(sizes.get(letter, 1)) for letter in out), gone)
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x.part_of(dims, call)
    if as_many:
        seen = _mix_linear(call, x, lost)
        return replace(seen, dims=dims).with_dim(back[0], gone[0])
    name, roles = call.name(), whole_axes(lost)
    x = replace(x, layer=_before_spread(call.trace, x.at, roles))
    base, runs = call.trace.rows_of(x.at)
    if runs and roles.isdisjoint(runs):  # slices along the other axis are cut out last, so that they stay places
        line = call.trace.pool_over(f"{name}.line", base, roles)
        return Map(dims, call.trace.crop(name, line, runs))
    return Map(dims, call.trace.pool_over(name, call.trace.unsplit(x).at, roles))


def _mix_linear(call: Call, x: Map, lost: Sequence[Position]) -> Map:
    """Multiply positions by a square matrix: each of the result sees them all."""
    if x.has_parts or flat(x.known).within(Runs):
        return mix(call.trace, call.name(), x, lost, LINEAR)
    roles = whole_axes(lost)
    vector = _before_spread(call.trace, x.at, roles)
    return replace(x, layer=call.trace.mix(call.name(), vector, x.at, roles, LINEAR))


def _before_spread(trace: Trace, at: int, roles: Collection[str]) -> int:
    """Return what linear layers made of all positions along some axes, before it was spread along these again.

    Whether a layer makes as many numbers as there are positions or not, the next one sees each of them once.
    """
    layer = trace.layers[at]
    source = trace.layers[layer.inputs[0]] if layer.inputs else layer
    if layer.kind == "resize" and source.everywhere == LINEAR:
        spread = trace.on(roles, Adaptive(1))
        return layer.inputs[0] if source.kind == "global" or source.ops == spread else at
    if layer.kind not in MERGES:
        return at
    vectors = []
    for i in layer.inputs:
        vector = _before_spread(trace, i, roles)
        # One branch that was not spread decides. Following the others too would take twice as long at each merge.
        if vector == i:
            return at
        vectors.append(vector)
    return trace.merge(layer.name, layer.kind, vectors)


def softmax_along(call: Call, x: Value, axes: Collection[int], why: str) -> Value:
    """Run softmax and the like over channels, places or positions; over rows or columns each sees them all."""
    over = [x.known[axis] for axis in axes]
    x = x.activated(merge_places(x.known, over))
    lost = [position for position in flat(over).positions if not position.looked and position.size > 1]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x
    return mix(call.trace, call.name(), x, lost, why)


def reduce_over(call: Call, x: Value, axes: Collection[int], keep: bool) -> Value:
    """Reduce to a mean, sum or extreme: over channels each position alone, over rows and columns pooling."""
    if isinstance(x, Map) and (inner := innermost(x, [x.known[axis] for axis in axes])):
        x = pool_inside(call.trace, call.name(), "maxpool", x, inner)
    if x.has_parts and any(x.known[axis].has_positions for axis in axes):
        x = call.trace.unsplit(x)
    gone = [x.known[axis] for axis in axes]
    dims = merge_places(reduce_dims(x.known, axes, keep), gone)
    lost = [at for at in flat(gone).positions if not at.looked and (at.size > 1 or Dim(at).axis)]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x.activated(dims)
    at = call.trace.pool_over(call.name(), x.at, whole_axes(lost))
    return x.activated(dims) if at == x.at else Map(dims, at)  # a single row is its own mean


def reduce_dims(dims: Dims, axes: Collection[int], keep: bool) -> Dims:
    """Reduce some dimensions, of which single rows are kept; what was looked at stays known, in the last dimension."""
    single = {axis: Dim(*(replace(position, size=1) for position in dims[axis].positions)) for axis in axes}
    if not keep:
        rest = [dim for axis, dim in enumerate(dims) if axis not in axes]
        looked = Dim(*(position for position in flat(single.values()).positions if position.looked))
        return (*rest[:-1], rest[-1] + looked) if rest else ()
    for axis, dim in single.items():
        if len(dims[axis]) > 1 and not dim.has_looked:
            single[axis] = Dim()
    return tuple(single.get(axis, dim) for axis, dim in enumerate(dims))


def cumulate(x: Value, axis: int) -> Value:
    if x.known[axis].has_positions:
        raise Stuck("sums up rows or columns, so that each position sees only those before it")
    return x.activated(x.known)


def product(call: Call, operands: Sequence[Operand], out: Letters) -> Value:
    """Multiply tensors, with a letter for each dimension, and sum over the letters that are left out."""
    sizes: dict[object, int] = {}
    for x, letters in operands:
        if x.dims is not None and len(x.dims) != len(letters):
            raise Stuck(f"multiplies a tensor of {len(x.dims)} dimensions as one of {len(letters)}")
        for letter, dim in zip(letters, x.dims or (), strict=False):
            sizes[letter] = max(sizes.get(letter, 1), dim.size)
    read = [(x, letters) for x, letters in operands if isinstance(x, Map)]
    if len(read) < 2:
        return linear(call, *(*read, *operands)[0], out, sizes)
    vectors = [x for x, _ in read if call.trace.pooled[x.at]]

    def times(values: Sequence[Map]) -> int:
        return join(call, "multiply", [x.at for x in distinct(call, [*values, *vectors])])

    made = contract(call, [(x, own) for x, own in read if x not in vectors] or read, out, times)
    shape = [sizes.get(letter, 1) for letter in out]  # channels that a vector alone has lack their size
    dims = (d if d.positions or d.size == n else plain(n) for d, n in zip(made.known, shape, strict=True))
    return replace(made, dims=tuple(dims))


def matmul(call: Call, input: Value, other: Value) -> Value:
    ranks = [2 if x.dims is None else len(x.dims) for x in (input, other)]
    batch: list[object] = [*range(-max(ranks), -2)]
    first = [*batch, "i", "k"][-ranks[0] :]
    second = [*batch, "k", "j"][-ranks[1] :] if ranks[1] > 1 else ["k"]
    out = [*batch, *(["i"] if ranks[0] > 1 else []), *(["j"] if ranks[1] > 1 else [])]
    return product(call, [(input, first), (other, second)], out)


def einsum(call: Call, equation: str, operands: Sequence[Value]) -> Value:
    read, arrow, out = equation.replace(" ", "").partition("->")
    terms = read.split(",")
    if not arrow or "." in equation or len(terms) != len(operands):
        raise Stuck(f"sums by {equation!r}")
    return product(call, [*zip(operands, terms, strict=True)], out)


def dense(call: Call, x: Value, n: int, axis: int = -1) -> Value:
    own: list[object] = [*range(len(x.known))]
    out = [*own]
    out[axis] = "out"
    return linear(call, x, own, out, {"out": n})


def attention(
    call: Call, query: Value, value: Value, axes: Sequence[int], masked: Callable[[Map], Map] = lambda scores: scores
) -> Map:
    """Attend along some dimensions: each position of the query sees all positions of the value; `masked` hides some.

    Where the value has only channels there, each position sees its own.
    """
    own = sorted(axis % len(value.known) for axis in axes)
    seen = [value.known[axis] for axis in own]
    if not isinstance(value, Map) or not any(dim.has_positions for dim in seen):
        last, *others = distinct(call, call.trace.split_alike(call.maps))
        alone = Map(None, join(call, "multiply", [last.at, *(x.at for x in others)])) if others else last
        return alone.activated(merge_places((*query.known[:-1], value.known[-1]), seen))
    if not isinstance(query, Map) or call.trace.pooled[query.at]:
        at = call.trace.pool_over(call.name(), call.trace.unsplit(value).at, call.trace.axes)
        return Map((*query.known[:-1], plain(value.known[-1].size)), at)
    if len(query.known) != len(value.known):
        raise Stuck("attends from a tensor of another rank")
    rows = range(len(value.known) - 1)
    looks: list[object] = [("query", axis) if axis in own else axis for axis in rows]
    keys: list[object] = [("key", axis) if axis in own else axis for axis in rows]
    scores = masked(replace(query, dims=(*query.known[:-1], *map(Dim.looked_at, seen))))
    looking = [*looks, *(("key", axis) for axis in own)]

    def times(values: Sequence[Map]) -> int:
        raise Stuck("attends along some rows or columns only")

    return contract(call, [(scores, looking), (value, [*keys, "channels"])], [*looks, "channels"], times)


def recurrence(call: Call, x: Value, steps: int, hidden: int, ways: int, layers: int = 1) -> tuple[Map, Map]:
    """Run recurrent layers both ways along a dimension of three: each step, and the last state, see every step."""
    if not isinstance(x, Map) or len(x.known) != 3:
        raise Stuck("runs along a tensor that is not a sequence")
    if len(call.maps) > 1:
        raise Stuck("starts from states computed from a feature map")
    x = call.trace.without_mixed(call.name("line"), x)
    seen = last = cast("Map", linear(call, x, "sbi", "sbo", {"o": ways * hidden}))
    if seen.known[steps].has_positions:
        if ways < 2:
            raise Stuck("sees only what comes before each position")
        lines = call.trace.unsplit(seen)
        for _ in range(layers):
            seen = cast("Map", softmax_along(call, seen, [steps], f"{call.op} over positions"))
        at = call.trace.pool_over(call.name("state"), lines.at, whole_axes(lines.known[steps].positions))
        last = replace(lines, layer=at)
    return seen, replace(last, dims=(plain(layers * ways), seen.known[1 - steps], plain(hidden)))


def mix(
    trace: Arranger, name: str, x: Map, lost: Sequence[Factor], why: str, like: int | None = None, windows: Cuts = ()
) -> Map:
    """Add attention: each position of `like` sees all positions that differ from it only along what is `lost`.

    Those are its row, its column, both, or its window or grid, each of them seen once. The last
    of `windows` may be cut in two, as it is where the image was rolled before: then it is the first and the last.
    """
    if like is None and Dim(*lost).within(Runs):
        raise Stuck("mixes runs of positions")
    like = x.at if like is None else like
    blocks = _blocks_of(trace, x.at, lost)
    on = dict.fromkeys(trace.axes, 0)  # the second part of a window that is cut is rolled to the front
    for role, cut in windows:
        whole = Blocks(trace.sizes[x.at][trace.axes[role]])
        block, *others = blocks.get(role, [Blocks(0)]) or [whole]
        if others or not block.is_local:
            raise Stuck("masks attention in another way than windows do")
        on[role] = block.size - cut
        blocks[role] = [replace(block, first=on[role])]
    at = trace.roll(f"{trace.layers[x.at].name}.roll", x.at, on)
    lines = [role for role, runs in blocks.items() if not runs]
    local = [*zip_longest(*(blocks.get(role, ()) for role in trace.axes))]
    for ops in local:
        at = trace.add(name if not lines and ops == local[-1] else f"{name}.windows", "mixing", (at,), ops)
    at = trace.roll(f"{name}.roll", at, {role: -n for role, n in on.items()})
    if lines:
        return Map(x.dims, trace.mix(name, at, like, lines, why))
    pairs = [*zip(trace.sizes[at], trace.sizes[like], strict=True)]
    if all(n == m for n, m in pairs):
        return Map(x.dims, at)
    if any(n % m for n, m in pairs):
        raise Stuck("attends to windows of other sizes")
    rows = [Window(1, n // m, padding=(0, 1 - n // m)) for n, m in pairs]  # all of a block are the same
    return Map(x.dims, trace.add(f"{name}.queries", "crop", (at,), rows))


def _blocks_of(trace: Trace, layer: int, lost: Iterable[Factor]) -> dict[str, list[Blocks]]:
    """List the lost blocks of rows and of columns by their axis; none where that is all of it."""
    blocks: dict[str, list[Blocks]] = {}
    parts = sorted((part for part in Dim(*lost).within(Axis) if part.size > 1), key=lambda part: -part.step)
    for role in trace.axes:
        own = Dim(*(part for part in parts if part.role == role)).looked_at(False).joined()
        runs = [Blocks(part.size, part.step) for part in own.within(Axis)]
        if runs:
            blocks[role] = [] if runs[0].size == trace.sizes[layer][trace.axes[role]] else runs
    return blocks


def innermost(x: Map, gone: Sequence[Dim]) -> dict[str, int]:
    """Count, by axis, the neighbours in each innermost part of rows or columns that is gone, if others stay split."""
    lost = [position for position in flat(gone).positions if position.size > 1]
    kept = (position for position in flat(x.known).positions if position.size > 1 and position not in lost)
    ends = {part.role: part.size for part in Dim(*lost).inner if part.step == 1 and not part.looked}
    return ends if Dim(*kept).inner and len(ends) == len(lost) else {}


def pool_inside(trace: Arranger, name: str, kind: Kind, x: Map, inner: Mapping[str, int]) -> Map:
    """Pool the `inner` neighbours on each axis, which are part of a window, to one."""
    ops = [Window(n, n) if (n := inner.get(role, 1)) > 1 else None for role in trace.axes]
    layer = trace.add(name, kind, (x.at,), ops)

    def fewer(part: Factor) -> Factor:
        if not isinstance(part, Axis) or part.role not in inner:
            return part
        n = inner[part.role]
        return replace(part, size=part.size // n) if part.step == 1 else replace(part, step=part.step // n)

    return replace(x, layer=layer, dims=tuple(Dim(*map(fewer, dim)) for dim in x.known))
