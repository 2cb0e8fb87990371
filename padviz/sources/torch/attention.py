"""PyTorch's reductions, products of matrices and attention: where positions meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from padviz.sources.torch.arguments import tensors_in
from padviz.sources.torch.call import Call
from padviz.sources.torch.data import WHY
from padviz.sources.torch.merging import hidden, pick, pointwise
from padviz.sources.tracing.arranging import Map, Stuck
from padviz.sources.tracing.axis_labels import has_positions, looked_at, plain, positions
from padviz.sources.tracing.calls import Result, distinct, join, with_kernel
from padviz.sources.tracing.meeting import contracting
from padviz.sources.tracing.meeting.contracting import Letters, contract, met
from padviz.sources.tracing.meeting.masks import MASKED


def reduce(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    """Reduce to a mean, sum, maximum ... over some dimensions."""
    value = call.of(input)
    dim = options.get("dim", options.get("axis", next((arg for arg in args if not isinstance(arg, str | bool)), None)))
    if value is None or hasattr(dim, "shape"):
        return pick(call)  # torch.max(a, b)
    if call.op == "norm":
        dim = options.get("dim", args[-1] if args and isinstance(args[-1], tuple | list) else dim)
    if call.op == "linalg_vector_norm":  # its order comes first
        dim = options.get("dim", args[1] if len(args) > 1 else None)
    dims = range(input.ndim) if dim is None or dim == () else [dim] if isinstance(dim, int) else dim
    kept = next(iter(call.out if isinstance(call.out, tuple) else [call.out])).ndim == input.ndim
    return contracting.over(call, value, {d % input.ndim for d in dims}, kept)


def along(call: Call, input: Any, dim: Any = None, *args: Any, **options: Any) -> Result:
    """Run softmax and the like over one dimension."""
    value = call.of(input)
    dim = options.get("dim", dim)
    if value is None or not isinstance(dim, int):
        raise Stuck("runs along what is not known")
    if call.op != "glu":
        return contracting.along(call, value, [dim % input.ndim], f"{call.op} over positions")
    if positions(value.known[dim]):
        raise Stuck("joins one half of the rows or columns with the other")
    halves = call.trace.merge(call.name("merge"), "multiply", [call.arranger.settled(value).at] * 2)
    return call.shaped(replace(value, layer=halves))  # a product of two slices


def running(call: Call, input: Any, dim: int, **options: Any) -> Result:
    return contracting.running(call.map(input), dim)


def ordered(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    """Order channels, each position alone; the order of positions is a matter of their values."""
    given = args[1:] if call.op in ("topk", "kthvalue") else args
    dim = options.get("dim", given[0] if given and not isinstance(given[0], bool) else -1)
    value, n = call.map(input), tensors_in(call.out)[0].shape[dim]
    if has_positions(value.known[dim]):
        return call.cut(WHY, WHY)
    dim %= input.ndim
    return call.shaped(replace(value, dims=(*value.known[:dim], plain(n), *value.known[dim + 1 :])))


def linear(call: Call, input: Any, weight: Any, bias: Any = None) -> Result:
    def times() -> Result:
        own = [*range(input.ndim)]
        return weighed(call, call.map(input), own, [*own[:-1], "out"], {"out": call.out.shape[-1]})

    return with_kernel(call, times, call.of(weight), call.of(bias))


def weighed(call: Call, value: Map, own: Letters, out: Letters, sizes: Mapping[Any, int]) -> Map:
    """Multiply by weights, whose channels are others than those of the same layer."""
    return cast("Map", contracting.linear(call, value, own, out, sizes, part=(id(call.out),)))


def matmul(call: Call, input: Any, other: Any) -> Result:
    """Multiply matrices, in the words of `product`."""
    batch = "ABCDEFGH"[: max(input.ndim, other.ndim) - 2]
    first, second = batch[len(batch) - input.ndim + 2 :] + "ik", batch[len(batch) - other.ndim + 2 :] + "kj"
    return product(call, [(input, first), (other, second)], batch + "ij")


def grid_sample(call: Call, input: Any, grid: Any, *args: Any, **options: Any) -> Result:
    """Sample what is channels of each position, or a constant, at places that are made for each position."""
    value = call.of(input)
    if value and any(map(has_positions, value.known[2:])):
        return call.unknown()
    letters = "ijk"[: input.ndim - 2]
    return product(call, [(input, f"nc{letters.upper()}"), (grid, f"n{letters}x")], f"nc{letters}")


def baddbmm(call: Call, input: Any, batch1: Any, batch2: Any, **options: Any) -> Result:
    return matmul(call, batch1, batch2)


def cdist(call: Call, x1: Any, x2: Any, *args: Any, **options: Any) -> Result:
    """Measure how far vectors are from those of a constant, as a codebook is: channels of each position alone."""
    return call.unknown() if call.of(x2) else matmul(call, x1, x2.mT)


def einsum(call: Call, equation: str, *operands: Any) -> Result:
    given = operands[0] if isinstance(operands[0], tuple | list) else operands
    read, arrow, out = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        return call.unknown()
    return product(call, list(zip(given, read.split(","), strict=True)), out)


def product(call: Call, operands: Sequence[tuple[Any, str]], out: str) -> Result:
    """Sum products: operands with a letter for each dimension, and the letters that are left."""
    read = [(value, letters) for operand, letters in operands if (value := call.of(operand))]
    maps = [(value, letters) for value, letters in read if not call.pooled(value)]
    if len(read) == 1:
        sizes = {k: n for operand, letters in operands for k, n in zip(letters, operand.shape, strict=True)}
        return weighed(call, *read[0], out, sizes)

    def times(values: Sequence[Map]) -> int:
        vectors = [value for value, _ in read if call.pooled(value)]
        return join(call, "multiply", [value.at for value in distinct(call, [*values, *vectors])])

    return call.shaped(contract(call, maps, out, times))


def attention(call: Call, query: Any, key: Any, value: Any, *args: Any, **options: Any) -> Result:
    """Attend by scaled dot products, or with heads, whose positions are the first dimension."""
    queries, read = call.of(query), call.of(value)
    at, batch = 0 if "multi" in call.op else -2, "ABCDEFGH"[: query.ndim - 2]
    if read is None or not has_positions(read.known[at]):
        seen = pointwise(call)
        seen = replace(seen, dims=met(seen.known, [read.known[at]] if read else ()))
    elif queries is None or call.pooled(queries):
        seen = call.pool(read)
    else:
        looks, own, out = ("inj", "jnd", "ind") if at == 0 else (batch + "ij", batch + "jd", batch + "id")
        scores = replace(queries, dims=(*queries.known[:-1], looked_at(read.known[at])))
        scores = _masked(call, scores, *args, **options)
        seen = contract(call, [(scores, looks), (read, own)], out, _never)
    return [seen, *[Map(None, seen.at)] * (len(tensors_in(call.out)) - 1)]


def recurrence(call: Call, input: Any, states: Any, weights: Any, biases: bool, layers: int, *how: Any) -> Result:
    """Run recurrent layers, each both ways along a sequence: every step sees every step."""
    _, _, both_ways, first = (*how, False)[:4]  # after dropout and training: whether batches come first
    value, steps = call.map(input), 1 if first else 0
    seen = weighed(call, value, "nlk", "nlo", {"o": tensors_in(call.out)[0].shape[-1]})
    if len(call.maps) > 1:
        raise Stuck("begins with states that are made of a map")
    if any(map(has_positions, seen.known[steps : steps + 1])):
        if not both_ways:
            raise Stuck("sees what comes before each position alone")
        for _ in range(layers):
            seen = cast("Map", contracting.along(call, seen, [steps], f"{call.op} over positions"))
    last = call.trace.broken(call.inner("state"), [seen.at], f"the last state of {call.op} is read")
    return [seen, *[Map(None, last)] * (len(tensors_in(call.out)) - 1)]


def _masked(call: Call, scores: Map, *args: Any, **options: Any) -> Map:
    """Hide from scores what the mask of a call does; a call with heads must have none."""
    heads = "multi" in call.op
    mask = options.get("attn_mask", args[0] if args and not heads else None)
    padding, causal = options.get("key_padding_mask"), options.get("is_causal", not heads and args[2:] == (True,))
    if causal or padding is not None or (heads and mask is not None):
        raise Stuck("hides positions from each other")
    if mask is None or call.of(mask):
        return scores
    return hidden(call, scores, mask, lambda numbers: ~numbers if numbers.dtype == torch.bool else numbers <= MASKED)


def _never(values: Sequence[Map]) -> int:
    raise Stuck("attends along some rows or columns only")
