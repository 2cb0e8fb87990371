"""Where positions meet: sums of products, attention, reductions, softmax and recurrence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Literal, cast

from padviz.network.layer import MERGES, Act
from padviz.network.operations import Adaptive
from padviz.sources.tracing.arranging import (
    Map,
    Stuck,
    Value,
    map_factors,
    whole_axes,
)
from padviz.sources.tracing.calls import Call, distinct, has_places, join
from padviz.sources.tracing.dims import (
    ROWS,
    Block,
    Channel,
    Dim,
    Dims,
    Factor,
    Position,
    Runs,
    Tokens,
    flat,
    plain,
    with_channels,
)
from padviz.sources.tracing.mixing import innermost, mix, pool_inside
from padviz.sources.tracing.trace import Trace

Letters = Sequence[object]
Times = Callable[[Sequence[Map]], int]  # lays the product of maps, and returns its layer
Named = Mapping[object, Dim]  # the dimensions of a factor of a product, by their letters
Case = Literal["each position alone", "scores", "attention", "summed over positions"]
Operand = tuple[Value, Letters]
Term = tuple[Map, Letters]
LINEAR = "linear over positions"


def contract(call: Call, terms: Sequence[Term], kept: Letters, times: Times) -> Map:
    """Sum products of maps, as einsum does: over each letter that is not kept.

    Each map has a letter for each of its dimensions. `times` adds the layer of a product. What is
    returned for rows i and j and channels c and d, by the case of `classify`:

    - each position alone, "ic, ic -> ic": the layer of the product.
    - scores, "ic, jc -> ij", of queries and then keys: the queries' layer, since i says where each
      score is. No layer is added before the values are summed, but j is marked as looked at.
    - attention, "ij, jc -> ic", of scores and values in either order: a layer in which each
      position of the queries sees all values.
    - summed over positions, "ic, id -> cd": a pool of the product.
    """
    maps: list[Map] = []
    factors: list[Named] = []
    for value, letters in terms:
        pairs = zip(letters, value.known, strict=True)
        if any(dim.kind == "mixed" and letter not in kept for letter, dim in pairs):
            value = call.trace.without_mixed(call.name("line"), value)
        maps.append(value)
        factors.append(dict(zip(letters, value.known, strict=True)))
    _check_fit(factors, kept)

    case = classify(factors, kept)
    if case == "attention" and _has_looked(_summed_by(factors[1], kept)):
        # Values came first, as in `values.T @ scores.T`: below, scores do.
        maps.reverse()
        factors.reverse()
    dims = _product_dims(factors, kept)
    if case == "each position alone":
        layer = times(maps)
        return Map(call.trace.resize_dims(dims, layer), layer)
    if case == "scores":
        queries = maps[0]
        return Map(_look_at_keys(dims, factors, kept), queries.at, acted=True)
    if case == "attention":
        scores, values = maps
        return _attend(call, scores, values, dims, factors[1], kept)

    unsplit = [call.trace.unsplit(value) for value in maps]
    if [value.at for value in unsplit] != [value.at for value in maps]:
        # Places inside of blocks are channels now, so the same product may be another case.
        again = [(value, letters) for value, (_, letters) in zip(unsplit, terms, strict=True)]
        return contract(call, again, kept, times)
    lost = _summed_positions(factors, kept)
    return Map(dims, call.trace.pool_over(call.name(), times(maps), whole_axes(lost)))


def _product_dims(factors: Sequence[Named], kept: Letters) -> Dims:
    """Return the dimensions of a product.

    Factors that have a letter in common are broadcast: the largest counts, positions before
    channels.
    """

    def order(dim: Dim) -> tuple[int, bool, int]:
        return dim.size, dim.has_positions, len(dim)

    largest = [max((named.get(letter, Dim()) for named in factors), key=order) for letter in kept]
    gone = [dim for named in factors for letter, dim in named.items() if letter not in kept]
    return merge_places((*largest,), gone)


def _look_at_keys(dims: Dims, factors: Sequence[Named], kept: Letters) -> Dims:
    """Mark the positions of keys in scores: those that the first map, the queries, lacks."""
    first, second, *others = factors
    queries = _places(first) - _places(second)
    keys = _places(second) - _places(first)
    if others or not keys.isdisjoint(first) or not queries.isdisjoint(second):
        raise Stuck("multiplies maps of different rows or columns")
    scores = [*dims]
    for i, letter in enumerate(kept):
        if letter in keys:
            scores[i] = dims[i].looked_at()
    return (*scores,)


def _summed_positions(factors: Sequence[Named], kept: Letters) -> list[Position]:
    """Return the positions that a product sums over; all of its factors must have them."""
    places = _places(factors[0])
    if any(_places(named) != places for named in factors):
        raise Stuck("sums over some rows or columns only")
    lost = _summed_by(factors[0], kept)
    if _has_looked(lost):
        raise Stuck("sums over positions that are looked at")
    return lost


def _attend(call: Call, scores: Map, values: Map, dims: Dims, named: Named, kept: Letters) -> Map:
    """Sum values, whose dimensions are `named`, over the positions that scores look at."""
    trace, name = call.trace, call.name()
    like = trace.layers[scores.at].alike
    if like is None:
        like = scores.at
    places = _places(named)
    summed = places - {*kept}
    lost = _along(named, summed)
    dims = tuple(map(_without_single_looked, dims))
    looking = [position for position in flat(dims).positions if not position.looked]
    if Dim(*looking).within(Runs):
        raise Stuck("attends from runs of positions")
    if Dim(*lost).within(Tokens) and not flat(dims).within(Tokens):
        trace.tokens_removed = True
    if places == summed and not scores.windows:
        return Map(dims, trace.mix(name, values.at, like))
    mixed = mix(trace, name, values, lost, "attention", like, scores.windows)
    return replace(mixed, dims=dims)


def _without_single_looked(dim: Dim) -> Dim:
    """Leave out what scores looked at before they were summed."""
    single = [factor for factor in dim.looked if factor.size == 1]
    return Dim(*(factor for factor in dim if factor not in single))


def classify(factors: Sequence[Named], kept: Letters) -> Case:
    """Return what a product does with positions, by its factors and the letters kept.

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
    places = [_places(named) for named in factors]
    all_places = set[object]().union(*places)
    if all_places <= {*kept}:
        if all_places in places:
            return "each position alone"
        return "scores"
    if len(factors) == 2:
        one, other = factors
        if _is_attention(one, other, kept) or _is_attention(other, one, kept):
            return "attention"
    return "summed over positions"


def _is_attention(scores: Named, values: Named, kept: Letters) -> bool:
    """Whether two factors are scores, and values summed over just what these look at."""
    summed = (_places(scores) | _places(values)) - {*kept}
    if not summed <= _places(scores) & _places(values):
        return False
    # A position that the values keep, as rows do while columns are attended, belongs to both.
    if not _places(values) - summed <= _places(scores):
        return False
    looking = all(position.looked for position in _summed_by(scores, kept))
    return looking and not _has_looked(_summed_by(values, kept))


def _check_fit(factors: Sequence[Named], kept: Letters) -> None:
    for letter in set[object]().union(*map(_places, factors)):
        meeting: set[tuple[Factor, ...]] = set()
        for named in factors:
            if letter in _places(named):
                dim = named[letter]
                if letter not in kept:  # looked at or not, they are summed
                    dim = dim.looked_at(False)
                large = [position for position in dim.positions if position.size > 1]
                meeting.add(tuple(position.unsized for position in large))
        if len(meeting) > 1:
            raise Stuck("multiplies rows with columns")


def _places(named: Named) -> set[object]:
    return {letter for letter, dim in named.items() if dim.has_positions}


def _summed_by(named: Named, kept: Letters) -> list[Position]:
    """Return the positions of a factor that a product sums over."""
    return _along(named, _places(named) - {*kept})


def _has_looked(positions: Iterable[Position]) -> bool:
    return any(position.looked for position in positions)


def _along(named: Named, letters: Iterable[object]) -> list[Position]:
    return flat(named[letter] for letter in letters).positions


def merge_places(dims: Dims, gone: Iterable[Dim]) -> Dims:
    """Turn places of blocks into plain channels where a product sums over such places.

    Summing mixes all places of a block, so that none is picked any more.
    """
    roles = {factor.role for dim in gone for factor in dim if isinstance(factor, Block)} - {""}

    def merged(factor: Factor) -> Factor:
        if isinstance(factor, Block) and factor.role in roles:
            return Channel(factor.size)
        return factor

    return map_factors(merged, dims)


def linear(
    call: Call,
    x: Value,
    letters: Letters,
    out: Letters,
    sizes: Mapping[object, int],
) -> Value:
    """Multiply by a constant.

    Summed channels become other channels. Where positions are summed, each result sees all of them.
    """
    gone = _gone(x, letters, out)
    back = _square(gone, letters, out, sizes)
    if back is None and x.has_parts and flat(gone).positions:
        x = call.trace.unsplit(x)
        gone = _gone(x, letters, out)
    named = dict(zip(letters, x.known, strict=True))
    results = [named.get(letter) or plain(sizes.get(letter, 1)) for letter in out]
    dims = merge_places((*results,), gone)
    lost = flat(gone).positions
    if not lost or not call.trace.is_spatial(x):
        return _mixed(call, x, gone).part_of(dims, call)
    if back is not None:
        seen = _mix_linear(call, x, lost)
        return replace(seen, dims=dims).with_dim(back, gone[0])
    name, roles = call.name(), whole_axes(lost)
    x = replace(x, layer=_before_spread(call.trace, x.at, roles))
    base, runs = call.trace.rows_of(x.at)
    # Slices along the other axis are cut out last, so that they stay places.
    if runs and roles.isdisjoint(runs):
        line = call.trace.pool_over(f"{name}.line", base, roles)
        return Map(dims, call.trace.crop(name, line, runs))
    return Map(dims, call.trace.pool_over(name, call.trace.unsplit(x).at, roles))


def _mixed(call: Call, x: Value, gone: Sequence[Dim]) -> Value:
    """Return a vector of which all numbers are summed, so that each result is made of all."""
    is_whole = prod(x.shape) == flat(gone).size
    if isinstance(x, Map) and call.trace.layers[x.at].unlike and is_whole:
        return replace(x, layer=call.trace.marked_unlike(x.at, unlike=False))
    return x


def _gone(x: Value, letters: Letters, out: Letters) -> list[Dim]:
    """Return the dimensions that are summed."""
    return [dim for letter, dim in zip(letters, x.known, strict=True) if letter not in out]


def _square(
    gone: Sequence[Dim],
    letters: Letters,
    out: Letters,
    sizes: Mapping[object, int],
) -> int | None:
    """Return the dimension of the result that is as large as the summed positions, or None.

    Such a product mixes positions and keeps them, as in an MLP-Mixer. Places in a block beside a
    whole axis become channels, however many results there are.
    """
    if len(gone) != 1 or gone[0].kind not in ROWS:
        return None
    (dim,) = gone
    large = [factor for factor in dim if factor.size > 1]
    if 0 < len(dim.inner) < len(large):
        return None
    for i, letter in enumerate(out):
        if letter not in letters and sizes.get(letter, 1) == dim.size:
            return i
    return None


def _mix_linear(call: Call, x: Map, lost: Sequence[Position]) -> Map:
    """Multiply positions by a square matrix: each of the result sees them all."""
    if x.has_parts or flat(x.known).within(Runs):
        return mix(call.trace, call.name(), x, lost, LINEAR)
    roles = whole_axes(lost)
    vector = _before_spread(call.trace, x.at, roles)
    return replace(x, layer=call.trace.mix(call.name(), vector, x.at, roles, LINEAR))


def _before_spread(trace: Trace, at: int, roles: Collection[str]) -> int:
    """Return the vector that linear layers over positions made, before it was spread again.

    Whether a layer makes as many numbers as there are positions or not, the next one sees each of
    them once.
    """
    layer = trace.layers[at]
    if not layer.inputs:
        return at
    source = trace.layers[layer.inputs[0]]
    if layer.kind == "resize" and source.everywhere == LINEAR:
        if source.kind == "global" or source.ops == trace.on(roles, Adaptive(1)):
            return layer.inputs[0]
        return at
    if layer.kind not in MERGES:
        return at
    vectors = []
    for i in layer.inputs:
        vector = _before_spread(trace, i, roles)
        # One branch that was not spread decides. Following the others too would take twice as long
        # at each merge.
        if vector == i:
            return at
        vectors.append(vector)
    return trace.merge(layer.name, layer.kind, vectors)


def softmax_along(call: Call, x: Value, axes: Collection[int], why: str) -> Value:
    """Run softmax and the like over channels, places or positions.

    Over rows or columns, each position sees all of them.
    """
    over = [x.known[axis] for axis in axes]
    x = x.activated(merge_places(x.known, over))
    positions = [position for position in flat(over).positions if position.size > 1]
    lost = [position for position in positions if not position.looked]
    if not lost or not call.trace.is_spatial(x):
        return x
    return mix(call.trace, call.name(), x, lost, why)


def reduce_over(call: Call, x: Value, axes: Collection[int], keep: bool) -> Value:
    """Reduce to a mean, sum or extreme.

    Over channels that acts on each position alone, over rows and columns it is a pool.
    """
    if isinstance(x, Map):
        inner = innermost(x, [x.known[axis] for axis in axes])
        if inner:
            x = pool_inside(call.trace, call.name(), "maxpool", x, inner)
    if x.has_parts and any(x.known[axis].has_positions for axis in axes):
        x = call.trace.unsplit(x)
    gone = [x.known[axis] for axis in axes]
    dims = merge_places(reduce_dims(x.known, axes, keep), gone)
    lost = [position for position in flat(gone).positions if _is_pooled(position)]
    if not lost or not call.trace.is_spatial(x):
        return x.activated(dims)
    at = call.trace.pool_over(call.name(), x.at, whole_axes(lost))
    if at == x.at:  # a single row is its own mean
        return x.activated(dims)
    return Map(dims, at)


def _is_pooled(position: Position) -> bool:
    """Whether a reduction over a position is a pool.

    A single row of an image counts, too: at another size it may be several.
    """
    return not position.looked and (position.size > 1 or Dim(position).axis != "")


def reduce_dims(dims: Dims, axes: Collection[int], keep: bool) -> Dims:
    """Return the dimensions of a reduction, with single rows where dimensions are kept.

    The positions that scores looked at are recorded as single ones in the last dimension.
    """
    single: dict[int, Dim] = {}
    for axis in axes:
        single[axis] = Dim(*(replace(position, size=1) for position in dims[axis].positions))
    if not keep:
        rest = [dim for axis, dim in enumerate(dims) if axis not in axes]
        if rest:
            rest[-1] += flat(single.values()).looked
        return (*rest,)
    for axis, dim in single.items():
        if len(dims[axis]) > 1 and not dim.looked:
            single[axis] = Dim()
    return tuple(single.get(axis, dim) for axis, dim in enumerate(dims))


def cumulate(x: Value, axis: int) -> Value:
    if x.known[axis].has_positions:
        raise Stuck("sums up rows or columns, so that each position sees only those before it")
    return x.activated(x.known)


def product(call: Call, operands: Sequence[Operand], out: Letters) -> Value:
    """Multiply tensors with a letter for each dimension; sum over letters that are left out."""
    result, places = _product(call, operands, out), set[object]()
    for x, letters in operands:
        if isinstance(x, Map):
            pairs = zip(letters, x.dims or (), strict=False)
            places |= {letter for letter, dim in pairs if has_places(x, dim)}
    for x, letters in operands:
        if not isinstance(x, Map) and places.intersection(letters, out):
            call.trace.act(result.at, Act(call.name(), varies=True))
    return result


def _product(call: Call, operands: Sequence[Operand], out: Letters) -> Value:
    sizes: dict[object, int] = {}
    terms: list[Term] = []
    for x, letters in operands:
        if x.dims is not None and len(x.dims) != len(letters):
            raise Stuck(f"multiplies a tensor of {len(x.dims)} dimensions as one of {len(letters)}")
        for letter, dim in zip(letters, x.dims or (), strict=False):
            sizes[letter] = max(sizes.get(letter, 1), dim.size)
        if isinstance(x, Map):
            terms.append((x, letters))
    if len(terms) < 2:
        first, letters = [*terms, *operands][0]
        return linear(call, first, letters, out, sizes)
    vectors = [x for x, _ in terms if not call.trace.is_spatial(x)]

    def times(values: Sequence[Map]) -> int:
        return join(call, "multiply", [x.at for x in distinct(call, [*values, *vectors])])

    maps = [term for term in terms if term[0] not in vectors]
    result = contract(call, maps or terms, out, times)
    # Channels that a vector alone has lack their size.
    shape = [sizes.get(letter, 1) for letter in out]
    return replace(result, dims=with_channels(result.known, shape))


def matmul(call: Call, input: Value, other: Value) -> Value:
    """Multiply matrices, or vectors, or batches of them, as PyTorch and ONNX do."""
    ranks = [2, 2]  # where a shape is not known
    for i, x in enumerate((input, other)):
        if x.dims is not None:
            ranks[i] = len(x.dims)
    batch: list[object] = [*range(-max(ranks), -2)]
    first = [*batch, "i", "k"][-ranks[0] :]
    second = [*batch, "k", "j"][-ranks[1] :]
    out = [*batch]
    if ranks[0] > 1:
        out.append("i")
    if ranks[1] > 1:
        out.append("j")
    else:
        second = ["k"]
    return product(call, [(input, first), (other, second)], out)


def einsum(call: Call, equation: str, operands: Sequence[Value]) -> Value:
    read, arrow, out = equation.replace(" ", "").partition("->")
    terms = read.split(",")
    if not arrow or "." in equation or len(terms) != len(operands):
        raise Stuck(f"sums by {equation!r}")
    return product(call, [*zip(operands, terms, strict=True)], out)


def dense(call: Call, x: Value, n: int, axis: int = -1) -> Value:
    letters: list[object] = [*range(len(x.known))]
    out = [*letters]
    out[axis] = "out"
    return linear(call, x, letters, out, {"out": n})


def attention(
    call: Call,
    query: Value,
    value: Value,
    axes: Sequence[int],
    masked: Callable[[Map], Map] = lambda scores: scores,
) -> Map:
    """Attend along some dimensions: each position of the query sees all positions of the value.

    `masked` hides some of them. Where the value has only channels there, each position sees itself.
    """
    along = sorted(axis % len(value.known) for axis in axes)
    seen = [value.known[axis] for axis in along]
    if not isinstance(value, Map) or not any(dim.has_positions for dim in seen):
        alone = _multiply_alone(call)
        return alone.activated(merge_places((*query.known[:-1], value.known[-1]), seen))
    if not call.trace.is_spatial(query):
        at = call.trace.pool_over(call.name(), call.trace.unsplit(value).at, call.trace.axes)
        return Map((*query.known[:-1], plain(value.known[-1].size)), at)
    if len(query.known) != len(value.known):
        raise Stuck("attends from a tensor of another rank")
    looks: list[object] = [*range(len(value.known) - 1)]
    keys = [*looks]
    for axis in along:
        looks[axis], keys[axis] = ("query", axis), ("key", axis)
    scores = masked(replace(query, dims=(*query.known[:-1], *map(Dim.looked_at, seen))))
    looking = [*looks, *(keys[axis] for axis in along)]

    def times(values: Sequence[Map]) -> int:
        raise Stuck("attends along some rows or columns only")

    terms: list[Term] = [(scores, looking), (value, [*keys, "channels"])]
    return contract(call, terms, [*looks, "channels"], times)


def _multiply_alone(call: Call) -> Map:
    """Multiply what attention reads where each position sees its own."""
    last, *others = distinct(call, call.trace.split_alike(call.maps))
    if not others:
        return last
    return Map(None, join(call, "multiply", [last.at, *(x.at for x in others)]))


def recurrence(
    call: Call,
    x: Value,
    steps: int,
    hidden: int,
    ways: int,
    layers: int = 1,
) -> tuple[Map, Map]:
    """Run recurrent layers both ways along one of three dimensions.

    Each step, and the last state, sees every step.
    """
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
        roles = whole_axes(lines.known[steps].positions)
        at = call.trace.pool_over(call.name("state"), lines.at, roles)
        last = replace(lines, layer=at)
    return seen, replace(last, dims=(plain(layers * ways), seen.known[1 - steps], plain(hidden)))
