"""PyTorch operations that join maps or positions: sums, products, norms, reductions, matrix products, attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from padviz.sources.torch.arguments import BY_VALUES, as_list, tensors_in
from padviz.sources.torch.call import Call, as_map
from padviz.sources.tracing import elementwise, products, views
from padviz.sources.tracing.arranging import Map, Stuck, Value
from padviz.sources.tracing.axis_labels import plain
from padviz.sources.tracing.calls import Result, merge_maps, with_kernel
from padviz.sources.tracing.elementwise import MASKED, Mask, Numbers, apply_masks, hide


def add(call: Call, *args: object, **options: object) -> Result:
    return apply_masks(call, merge_maps(call, "add", call.maps))


def subtract(call: Call, *args: object, **options: object) -> Result:
    return elementwise.subtract(call)


def pick(call: Call, *args: object, **options: object) -> Result:
    """Pick each position from one of several maps, or between them."""
    picks = merge_maps(call, "add", call.maps)
    if call.op != "where" or len(args) != 3 or not picks.has_looked:
        return picks
    return elementwise.apply_where(picks, *map(call.number, args))


def masked_fill(call: Call, input: Value, mask: Value, value: object) -> Result:
    def hides(numbers: Numbers) -> Mask:
        filled = call.number(value)
        return np.asarray(numbers != 0) & (filled is not None and bool(filled <= MASKED))

    return apply_masks(call, merge_maps(call, "add", call.maps), hides)


def pointwise(call: Call, *args: object, **options: object) -> Map:
    return merge_maps(call, "multiply", call.maps)


def copy(call: Call, input: Value, src: Value, *args: object, **options: object) -> Result:
    if not isinstance(src, Map):
        return call.broken("overwrites a map")
    call.maps = [src]
    return pointwise(call)


def embedding(call: Call, input: Value, weight: Value | None = None, *args: object, **options: object) -> Result:
    """Look up a vector for each position, as a codebook is read, or is made of ones and zeros."""
    indices = as_map(input)
    vectors = indices.part_of((*indices.known, plain(call.made.shape[-1])), call.part)
    return with_kernel(call, lambda: vectors, weight, None)


def _norm(first: int, asked: str = "", default: bool = False) -> Callable[..., Result]:
    """Return a handler of a norm over the dimensions from `first` on, if the sixth argument, `asked`, is true."""

    def run(call: Call, *args: object, **options: object) -> Result:
        is_over = not asked or options.get(asked, args[5] if len(args) > 5 else default)
        return _normed(call, first if is_over else None)

    return run


def _normed(call: Call, first: int | None) -> Result:
    activated = pointwise(call)
    axes = () if first is None else range(len(activated.dims or ()))[first:]
    return elementwise.norm(call, activated, call.op.replace("_", " "), axes)


group_norm, instance_norm, batch_norm = _norm(1), _norm(2, "use_input_stats", True), _norm(0, "training")


def batch_norm_of_three(call: Call, *args: object, **options: object) -> Result:
    """Handle a batch norm with running statistics of exported programs, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(
    call: Call, input: Value, normalized_shape: int | Sequence[int], *args: object, **options: object
) -> Result:
    return _normed(call, -1 if isinstance(normalized_shape, int) else -len(normalized_shape))


def reduce(call: Call, input: Value, *args: object, **options: object) -> Result:
    given = next((arg for arg in args if not isinstance(arg, str | bool)), None)
    if not isinstance(input, Map) or isinstance(given, Value):
        return pick(call)  # torch.max(a, b)
    if call.op == "norm" and args and isinstance(args[-1], tuple | list):
        given = args[-1]
    elif call.op == "linalg_vector_norm":  # its order comes first
        given = args[1] if len(args) > 1 else None
    dim = options.get("dim", options.get("axis", given))
    rank = len(input.known)
    axes = {axis % rank for axis in (range(rank) if dim is None or dim == () else as_list(dim))}
    return products.reduce_over(call, input, axes, keep=call.made.ndim == rank)


def along(call: Call, input: Value, dim: object = None, *args: object, **options: object) -> Result:
    """Handle softmax and the like over one dimension."""
    if not isinstance(input, Map) or not isinstance(dim, int):
        raise Stuck("runs along an unknown dimension")
    if call.op != "glu":
        return products.softmax_along(call, input, [dim % len(input.known)], f"{call.op} over positions")
    if input.known[dim].positions:
        raise Stuck("multiplies one half of the rows or columns by the other")
    halves = call.trace.merge(call.name("merge"), "multiply", [call.arranger.unsplit(input).at] * 2)
    return call.with_channels(replace(input, layer=halves))  # a product of two slices


def running(call: Call, input: Value, dim: int, **options: object) -> Result:
    return products.cumulate(input, dim)


def ordered(call: Call, input: Value, *args: object, **options: object) -> Result:
    """Order channels, each position alone; the order of positions is a matter of their values."""
    given = args[1:] if call.op in ("topk", "kthvalue") else args
    dim = options.get("dim", given[0] if given and not isinstance(given[0], bool) else -1)
    if not isinstance(dim, int):
        raise Stuck("runs along an unknown dimension")
    if input.known[dim].has_positions:
        return call.broken(BY_VALUES, head=BY_VALUES)
    return call.with_channels(as_map(input).with_dim(dim % len(input.known), plain(call.made.shape[dim])))


def linear(call: Call, input: Value, weight: Value, bias: Value | None = None) -> Result:
    made = products.dense(call, as_map(input), call.made.shape[-1])
    return with_kernel(call, lambda: made, weight, bias)


def grid_sample(call: Call, input: Value, grid: Value, *args: object, **options: object) -> Result:
    """Sample channels of each position, or a constant, at places that are computed for each position."""
    if isinstance(input, Map) and any(dim.has_positions for dim in input.known[2:]):
        return call.unknown()
    letters = "ijk"[: len(input.known) - 2]
    return products.product(call, [(input, f"nc{letters.upper()}"), (grid, f"n{letters}x")], f"nc{letters}")


def baddbmm(call: Call, input: Value, batch1: Value, batch2: Value, **options: object) -> Result:
    return products.matmul(call, batch1, batch2)


def cdist(call: Call, x1: Value, x2: Value, *args: object, **options: object) -> Result:
    """Measure how far vectors are from those of a constant, as a codebook is: channels of each position alone."""
    return call.unknown() if isinstance(x2, Map) else products.matmul(call, x1, views.transpose(x2, -2, -1))


def einsum(call: Call, equation: str, *operands: object) -> Result:
    return products.einsum(call, equation, call.given)


def attention(call: Call, query: Value, key: Value, value: Value, *args: object, **options: object) -> Result:
    """Handle scaled dot products, and attention in heads, whose positions are the first dimension."""
    heads = "multi" in call.op
    mask = options.get("attn_mask", args[0] if args and not heads else None)
    padding, causal = options.get("key_padding_mask"), options.get("is_causal", not heads and args[2:] == (True,))

    def cut(scores: Map) -> Map:
        if causal or padding is not None or (heads and mask is not None):
            raise Stuck("masks positions from each other")
        if (numbers := call.numbers_of(mask)) is None:
            return scores
        hides = ~numbers if numbers.dtype == torch.bool else numbers <= MASKED
        return hide(scores, hides.numpy())

    seen = products.attention(call, query, value, [0 if heads else -2], cut)
    return [seen, *[Map(None, seen.at)] * (len(tensors_in(call.out)) - 1)]


def recurrence(
    call: Call, input: Value, states: object, weights: object, biases: bool, layers: int, *how: object
) -> Result:
    """Handle recurrent layers, of which `how` says dropout, training, both ways, and whether batches come first."""
    _, _, both_ways, first = (*how, False)[:4]
    seen, *lasts = tensors_in(call.out)
    ways = 2 if both_ways else 1
    made, last = products.recurrence(call, as_map(input), 1 if first else 0, seen.shape[-1] // ways, ways, layers)
    return [made, *[last] * len(lasts)]
