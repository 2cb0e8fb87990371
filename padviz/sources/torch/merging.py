"""PyTorch operations that join maps or positions: sums, products, norms, reductions, matrix products, attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from padviz.sources.torch.arguments import tensors_in
from padviz.sources.torch.call import Call
from padviz.sources.torch.data import WHY
from padviz.sources.tracing import elementwise, products
from padviz.sources.tracing.arranging import Map, Stuck
from padviz.sources.tracing.axis_labels import has_looked, has_positions, plain, positions
from padviz.sources.tracing.calls import Result, together, with_kernel
from padviz.sources.tracing.elementwise import MASKED, hidden, masked


def add(call: Call, *args: Any, **options: Any) -> Result:
    return masked(call, together(call, "add", call.maps))


def subtract(call: Call, *args: Any, **options: Any) -> Result:
    return elementwise.subtract(call)


def pick(call: Call, *args: Any, **options: Any) -> Result:
    """Pick each position from one of several maps, or between them."""
    picks = together(call, "add", call.maps)
    if call.op != "where" or len(args) != 3 or not has_looked(picks.dims or ()):
        return picks
    return elementwise.picked(picks, *map(call.number, args))


def masked_fill(call: Call, input: Any, mask: Any, value: Any) -> Result:
    return masked(call, together(call, "add", call.maps), lambda numbers: numbers & bool(value <= MASKED))


def pointwise(call: Call, *args: Any, **options: Any) -> Map:
    return together(call, "multiply", call.maps)


def copy(call: Call, input: Any, src: Any, *args: Any, **options: Any) -> Result:
    """Take the map that a tensor is overwritten with."""
    call.maps = [value] if (value := call.of(src)) else []
    return pointwise(call) if value else call.broken("overwrites a map")


def embedding(call: Call, input: Any, weight: Any = None, *args: Any, **options: Any) -> Result:
    """Look up a vector for each position, as a codebook is read, or is made of ones and zeros."""
    indices = call.map(input)
    vectors = indices.part_of((*indices.known, plain(call.out.shape[-1])), call.part)
    return with_kernel(call, lambda: vectors, call.of(weight), None)


def _norm(first: int, asked: str = "", default: bool = False) -> Callable[..., Result]:
    """Make a handler of a norm over the dimensions from one on, where the sixth argument, by its name, asks for it."""

    def run(call: Call, *args: Any, **options: Any) -> Result:
        is_over = not asked or options.get(asked, args[5] if len(args) > 5 else default)
        return _normed(call, first if is_over else None)

    return run


def _normed(call: Call, first: int | None) -> Result:
    activated = pointwise(call)
    axes = () if first is None else range(len(activated.dims or ()))[first:]
    return elementwise.norm(call, activated, call.op.replace("_", " "), axes)


group_norm, instance_norm, batch_norm = _norm(1), _norm(2, "use_input_stats", True), _norm(0, "training")


def batch_norm_of_three(call: Call, *args: Any, **options: Any) -> Result:
    """Handle what exported programs call a batch norm with running statistics, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(call: Call, input: Any, normalized_shape: Any, *args: Any, **options: Any) -> Result:
    return _normed(call, -1 if isinstance(normalized_shape, int) else -len(normalized_shape))


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
    return products.over(call, value, {d % input.ndim for d in dims}, kept)


def along(call: Call, input: Any, dim: Any = None, *args: Any, **options: Any) -> Result:
    """Run softmax and the like over one dimension."""
    value = call.of(input)
    dim = options.get("dim", dim)
    if value is None or not isinstance(dim, int):
        raise Stuck("runs along what is not known")
    if call.op != "glu":
        return products.along(call, value, [dim % input.ndim], f"{call.op} over positions")
    if positions(value.known[dim]):
        raise Stuck("joins one half of the rows or columns with the other")
    halves = call.trace.merge(call.name("merge"), "multiply", [call.arranger.unsplit(value).at] * 2)
    return call.shaped(replace(value, layer=halves))  # a product of two slices


def running(call: Call, input: Any, dim: int, **options: Any) -> Result:
    return products.running(call.map(input), dim)


def ordered(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    """Order channels, each position alone; the order of positions is a matter of their values."""
    given = args[1:] if call.op in ("topk", "kthvalue") else args
    dim = options.get("dim", given[0] if given and not isinstance(given[0], bool) else -1)
    value, n = call.map(input), tensors_in(call.out)[0].shape[dim]
    if has_positions(value.known[dim]):
        return call.broken(WHY, head=WHY)
    dim %= input.ndim
    return call.shaped(replace(value, dims=(*value.known[:dim], plain(n), *value.known[dim + 1 :])))


def linear(call: Call, input: Any, weight: Any, bias: Any = None) -> Result:
    made = products.dense(call, call.map(input), call.out.shape[-1])
    return with_kernel(call, lambda: made, call.of(weight), call.of(bias))


def matmul(call: Call, input: Any, other: Any) -> Result:
    return products.matmul(call, call.held(input), call.held(other))


def grid_sample(call: Call, input: Any, grid: Any, *args: Any, **options: Any) -> Result:
    """Sample what is channels of each position, or a constant, at places that are made for each position."""
    value = call.of(input)
    if value and any(map(has_positions, value.known[2:])):
        return call.unknown()
    letters = "ijk"[: input.ndim - 2]
    read = [(call.held(input), f"nc{letters.upper()}"), (call.held(grid), f"n{letters}x")]
    return products.product(call, read, f"nc{letters}")


def baddbmm(call: Call, input: Any, batch1: Any, batch2: Any, **options: Any) -> Result:
    return matmul(call, batch1, batch2)


def cdist(call: Call, x1: Any, x2: Any, *args: Any, **options: Any) -> Result:
    """Measure how far vectors are from those of a constant, as a codebook is: channels of each position alone."""
    return call.unknown() if call.of(x2) else matmul(call, x1, x2.mT)


def einsum(call: Call, equation: str, *operands: Any) -> Result:
    given = operands[0] if isinstance(operands[0], tuple | list) else operands
    return products.einsum(call, equation, [*map(call.held, given)])


def attention(call: Call, query: Any, key: Any, value: Any, *args: Any, **options: Any) -> Result:
    """Attend by scaled dot products, or with heads, whose positions are the first dimension."""
    heads = "multi" in call.op
    mask = options.get("attn_mask", args[0] if args and not heads else None)
    padding, causal = options.get("key_padding_mask"), options.get("is_causal", not heads and args[2:] == (True,))

    def masked(scores: Map) -> Map:
        if causal or padding is not None or (heads and mask is not None):
            raise Stuck("hides positions from each other")
        if mask is None or call.of(mask) or (numbers := call.numbers(mask)) is None:
            return scores
        return hidden(scores, ~numbers if numbers.dtype == torch.bool else numbers <= MASKED)

    seen = products.attention(call, call.held(query), call.held(value), [0 if heads else -2], masked)
    return [seen, *[Map(None, seen.at)] * (len(tensors_in(call.out)) - 1)]


def recurrence(call: Call, input: Any, states: Any, weights: Any, biases: bool, layers: int, *how: Any) -> Result:
    """Run recurrent layers, of which `how` says dropout, training, both ways, and whether batches come first."""
    _, _, both_ways, first = (*how, False)[:4]
    seen, *lasts = tensors_in(call.out)
    ways = 2 if both_ways else 1
    made, last = products.recurrence(call, call.map(input), 1 if first else 0, seen.shape[-1] // ways, ways, layers)
    return [made, *[last] * len(lasts)]
