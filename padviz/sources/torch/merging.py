"""PyTorch operations that join maps or positions: sums, products, norms, reductions, matrix products, attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from padviz.sources.torch.arguments import BY_VALUES, as_list, tensors_in
from padviz.sources.torch.call import Call
from padviz.sources.tracing import elementwise, products
from padviz.sources.tracing.arranging import Map, Stuck
from padviz.sources.tracing.axis_labels import plain
from padviz.sources.tracing.calls import Result, merge_maps, with_kernel
from padviz.sources.tracing.elementwise import MASKED, apply_masks, hide


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


def masked_fill(call: Call, input: Tensor, mask: Tensor, value: float | Tensor) -> Result:
    return apply_masks(call, merge_maps(call, "add", call.maps), lambda numbers: (numbers != 0) & bool(value <= MASKED))


def pointwise(call: Call, *args: object, **options: object) -> Map:
    return merge_maps(call, "multiply", call.maps)


def copy(call: Call, input: Tensor, src: Tensor, *args: object, **options: object) -> Result:
    """Return the map that a tensor is overwritten with."""
    call.maps = [value] if (value := call.of(src)) else []
    return pointwise(call) if value else call.broken("overwrites a map")


def embedding(call: Call, input: Tensor, weight: object = None, *args: object, **options: object) -> Result:
    """Look up a vector for each position, as a codebook is read, or is made of ones and zeros."""
    indices = call.map(input)
    vectors = indices.part_of((*indices.known, plain(call.made.shape[-1])), call.part)
    return with_kernel(call, lambda: vectors, call.of(weight), None)


def _norm(first: int, asked: str = "", default: bool = False) -> Callable[..., Result]:
    """Return a handler of a norm over the dimensions from `first` on, where the sixth argument, `asked`, is true."""

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
    """Handle what exported programs call a batch norm with running statistics, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(
    call: Call, input: Tensor, normalized_shape: int | Sequence[int], *args: object, **options: object
) -> Result:
    return _normed(call, -1 if isinstance(normalized_shape, int) else -len(normalized_shape))


def reduce(call: Call, input: Tensor, *args: object, **options: object) -> Result:
    """Reduce to a mean, sum, maximum ... over some dimensions."""
    value = call.of(input)
    given = next((arg for arg in args if not isinstance(arg, str | bool)), None)
    if value is None or isinstance(given, Tensor):
        return pick(call)  # torch.max(a, b)
    if call.op == "norm" and args and isinstance(args[-1], tuple | list):
        given = args[-1]
    elif call.op == "linalg_vector_norm":  # its order comes first
        given = args[1] if len(args) > 1 else None
    dim = options.get("dim", options.get("axis", given))
    dims = range(input.ndim) if dim is None or dim == () else as_list(dim)
    return products.reduce_over(call, value, {d % input.ndim for d in dims}, keep=call.made.ndim == input.ndim)


def along(call: Call, input: Tensor, dim: object = None, *args: object, **options: object) -> Result:
    """Handle softmax and the like over one dimension."""
    value = call.of(input)
    if value is None or not isinstance(dim, int):
        raise Stuck("runs along an unknown dimension")
    if call.op != "glu":
        return products.softmax_along(call, value, [dim % input.ndim], f"{call.op} over positions")
    if value.known[dim].positions:
        raise Stuck("multiplies one half of the rows or columns by the other")
    halves = call.trace.merge(call.name("merge"), "multiply", [call.arranger.unsplit(value).at] * 2)
    return call.with_channels(replace(value, layer=halves))  # a product of two slices


def running(call: Call, input: Tensor, dim: int, **options: object) -> Result:
    return products.cumulate(call.map(input), dim)


def ordered(call: Call, input: Tensor, *args: object, **options: object) -> Result:
    """Order channels, each position alone; the order of positions is a matter of their values."""
    given = args[1:] if call.op in ("topk", "kthvalue") else args
    dim = options.get("dim", given[0] if given and not isinstance(given[0], bool) else -1)
    if not isinstance(dim, int):
        raise Stuck("runs along an unknown dimension")
    value, dim = call.map(input), dim % input.ndim
    if value.known[dim].has_positions:
        return call.broken(BY_VALUES, head=BY_VALUES)
    return call.with_channels(value.with_dim(dim, plain(call.made.shape[dim])))


def linear(call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Result:
    made = products.dense(call, call.map(input), call.made.shape[-1])
    return with_kernel(call, lambda: made, call.of(weight), call.of(bias))


def matmul(call: Call, input: Tensor, other: Tensor) -> Result:
    return products.matmul(call, call.value(input), call.value(other))


def grid_sample(call: Call, input: Tensor, grid: Tensor, *args: object, **options: object) -> Result:
    """Sample channels of each position, or a constant, at places that are computed for each position."""
    value = call.of(input)
    if value and any(dim.has_positions for dim in value.known[2:]):
        return call.unknown()
    letters = "ijk"[: input.ndim - 2]
    read = [(call.value(input), f"nc{letters.upper()}"), (call.value(grid), f"n{letters}x")]
    return products.product(call, read, f"nc{letters}")


def baddbmm(call: Call, input: Tensor, batch1: Tensor, batch2: Tensor, **options: object) -> Result:
    return matmul(call, batch1, batch2)


def cdist(call: Call, x1: Tensor, x2: Tensor, *args: object, **options: object) -> Result:
    """Measure how far vectors are from those of a constant, as a codebook is: channels of each position alone."""
    return call.unknown() if call.of(x2) else matmul(call, x1, x2.mT)


def einsum(call: Call, equation: str, *operands: Tensor | Sequence[Tensor]) -> Result:
    return products.einsum(call, equation, [*map(call.value, tensors_in(operands))])


def attention(
    call: Call, query: Tensor, key: Tensor, value: Tensor, *args: object, **options: object
) -> Result:  # fmt: skip
    """Handle scaled dot products, and attention in heads, whose positions are the first dimension."""
    heads = "multi" in call.op
    mask = options.get("attn_mask", args[0] if args and not heads else None)
    padding, causal = options.get("key_padding_mask"), options.get("is_causal", not heads and args[2:] == (True,))

    def cut(scores: Map) -> Map:
        if causal or padding is not None or (heads and mask is not None):
            raise Stuck("masks positions from each other")
        if not isinstance(mask, Tensor) or call.of(mask) or (numbers := call.numbers(mask)) is None:
            return scores
        hides = ~numbers if numbers.dtype == torch.bool else numbers <= MASKED
        return hide(scores, hides.numpy())

    seen = products.attention(call, call.value(query), call.value(value), [0 if heads else -2], cut)
    return [seen, *[Map(None, seen.at)] * (len(tensors_in(call.out)) - 1)]


def recurrence(
    call: Call, input: Tensor, states: object, weights: object, biases: bool, layers: int, *how: object
) -> Result:
    """Handle recurrent layers, of which `how` says dropout, training, both ways, and whether batches come first."""
    _, _, both_ways, first = (*how, False)[:4]
    seen, *lasts = tensors_in(call.out)
    ways = 2 if both_ways else 1
    made, last = products.recurrence(call, call.map(input), 1 if first else 0, seen.shape[-1] // ways, ways, layers)
    return [made, *[last] * len(lasts)]
