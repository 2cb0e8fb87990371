"""Products of maps and weights, attention and recurrence, of any framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from padviz.sources.tracing.arranging import Map, Stuck, Value, whole_axes
from padviz.sources.tracing.axis_labels import Dims, has_positions, looked_at, plain, positions, size_of
from padviz.sources.tracing.calls import Call, distinct, join
from padviz.sources.tracing.meeting.contracting import Letters, along, contract, linear, met

Operand = tuple[Value, Letters]


def product(call: Call, operands: Sequence[Operand], out: Letters) -> Value:
    """Multiply tensors, with a letter for each dimension, and sum over the letters that are left out."""
    sizes: dict[object, int] = {}
    for x, letters in operands:
        if x.dims is not None and len(x.dims) != len(letters):
            raise Stuck(f"multiplies a tensor of {len(x.dims)} dimensions as one of {len(letters)}")
        for letter, dim in zip(letters, x.dims or (), strict=False):
            sizes[letter] = max(sizes.get(letter, 1), size_of(dim))
    read = [(x, letters) for x, letters in operands if isinstance(x, Map)]
    if len(read) < 2:
        return linear(call, *(*read, *operands)[0], out, sizes, call.part)
    vectors = [x for x, _ in read if call.trace.pooled[x.at]]

    def times(values: Sequence[Map]) -> int:
        return join(call, "multiply", [x.at for x in distinct(call, [*values, *vectors])])

    made = contract(call, [(x, own) for x, own in read if x not in vectors] or read, out, times)
    return replace(made, dims=_with_channels(made.known, [sizes.get(letter, 1) for letter in out]))


def _with_channels(dims: Dims, shape: Sequence[int]) -> Dims:
    """Give dimensions of channels the sizes of a shape, as those that a vector alone has lack theirs."""
    return tuple(d if positions(d) or size_of(d) == n else plain(n) for d, n in zip(dims, shape, strict=True))


def matmul(call: Call, a: Value, b: Value) -> Value:
    """Multiply matrices, the last two dimensions of tensors, or a vector that one of them is."""
    ranks = [2 if x.dims is None else len(x.dims) for x in (a, b)]
    batch: list[object] = [*range(-max(ranks), -2)]
    first = [*batch, "i", "k"][-ranks[0] :]
    second = [*batch, "k", "j"][-ranks[1] :] if ranks[1] > 1 else ["k"]
    out = [*batch, *(["i"] if ranks[0] > 1 else []), *(["j"] if ranks[1] > 1 else [])]
    return product(call, [(a, first), (b, second)], out)


def einsum(call: Call, equation: str, operands: Sequence[Value]) -> Value:
    read, arrow, out = equation.replace(" ", "").partition("->")
    terms = read.split(",")
    if not arrow or "." in equation or len(terms) != len(operands):
        raise Stuck(f"sums by {equation!r}")
    return product(call, [*zip(operands, terms, strict=True)], out)


def dense(call: Call, x: Value, n: int, axis: int = -1) -> Value:
    """Make `n` channels of one dimension, by weights."""
    own: list[object] = [*range(len(x.known))]
    out = [*own]
    out[axis] = "out"
    return linear(call, x, own, out, {"out": n}, call.part)


def attention(
    call: Call, query: Value, value: Value, axes: Sequence[int], masked: Callable[[Map], Map] = lambda scores: scores
) -> Map:
    """Attend along some dimensions: each position of the query there sees all that the value has.

    Where that has channels alone there, each position sees its own. Of scores `masked` hides some.
    """
    own = sorted(axis % len(value.known) for axis in axes)
    seen = [value.known[axis] for axis in own]
    if not isinstance(value, Map) or not any(map(has_positions, seen)):
        last, *others = distinct(call, call.arranger.in_step(call.maps))
        alone = Map(None, join(call, "multiply", [last.at, *(x.at for x in others)])) if others else last
        return alone.activated(met((*query.known[:-1], value.known[-1]), seen))
    if not isinstance(query, Map) or call.trace.pooled[query.at]:
        at = call.arranger.pooled_over(call.name(), call.arranger.settled(value).at, call.trace.axes)
        return Map((*query.known[:-1], plain(size_of(value.known[-1]))), at)
    if len(query.known) != len(value.known):
        raise Stuck("attends from a tensor of another rank")
    rows = range(len(value.known) - 1)
    looks: list[object] = [("query", axis) if axis in own else axis for axis in rows]
    keys: list[object] = [("key", axis) if axis in own else axis for axis in rows]
    scores = masked(replace(query, dims=(*query.known[:-1], *map(looked_at, seen))))
    looking = [*looks, *(("key", axis) for axis in own)]
    return contract(call, [(scores, looking), (value, [*keys, "channels"])], [*looks, "channels"], _never)


def _never(values: Sequence[Map]) -> int:
    raise Stuck("attends along some rows or columns only")


def recurrence(call: Call, x: Value, steps: int, hidden: int, ways: int, layers: int = 1) -> tuple[Map, Map]:
    """Run recurrent layers both ways along a dimension of three: each step, and the last state, see every step."""
    if not isinstance(x, Map) or len(x.known) != 3:
        raise Stuck("runs along what is no sequence")
    if len(call.maps) > 1:
        raise Stuck("begins with states that are made of a map")
    x = call.arranger.unmixed(call.name("line"), x)
    seen = last = cast("Map", linear(call, x, "sbi", "sbo", {"o": ways * hidden}, call.part))
    if has_positions(seen.known[steps]):
        if ways < 2:
            raise Stuck("sees what comes before each position alone")
        lines = call.arranger.settled(seen)
        for _ in range(layers):
            seen = cast("Map", along(call, seen, [steps], f"{call.op} over positions"))
        at = call.arranger.pooled_over(call.name("state"), lines.at, whole_axes(positions(lines.known[steps])))
        last = replace(lines, layer=at)
    return seen, replace(last, dims=(plain(layers * ways), seen.known[1 - steps], plain(hidden)))
