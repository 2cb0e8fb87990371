"""What each PyTorch function does to maps: handlers by name, but for those of windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate
from math import prod

import numpy as np
import torch
from torch._ops import OpOverloadPacket

from padviz.network.operations import Op, Window
from padviz.sources.torch import windows
from padviz.sources.torch.call import Call, as_map
from padviz.sources.torch.tensors import (
    BY_VALUES,
    CONSTANTS,
    RECURRENT,
    as_list,
    is_own,
    tensors_in,
)
from padviz.sources.tracing import calls, products, views
from padviz.sources.tracing.arranging import Map, Stuck, Value
from padviz.sources.tracing.calls import (
    MASKED,
    Mask,
    Numbers,
    Result,
    apply_masks,
    merge_maps,
    with_kernel,
)
from padviz.sources.tracing.dims import plain

Handler = Callable[..., Result]


def pick(call: Call, *args: object, **options: object) -> Result:
    """Pick each position from one of several maps, or between them."""
    picks = merge_maps(call, "add", call.maps)
    if call.op != "where" or len(args) != 3 or not picks.has_looked:
        return picks
    return calls.apply_where(picks, *map(call.array_of, args))


def add(call: Call, *args: object, **options: object) -> Result:
    return apply_masks(call, merge_maps(call, "add", call.maps))


def subtract(call: Call, *args: object, **options: object) -> Result:
    return calls.subtract(call)


def masked_fill(call: Call, input: Value, mask: Value, value: object) -> Result:
    def hides(numbers: Numbers) -> Mask:
        filled = call.array_of(value)
        return np.asarray(numbers != 0) & (filled is not None and bool(filled <= MASKED))

    return apply_masks(call, merge_maps(call, "add", call.maps), hides)


def pointwise(call: Call, *args: object, **options: object) -> Map:
    return merge_maps(call, "multiply", call.maps)


def copy(call: Call, input: Value, src: Value, *args: object, **options: object) -> Result:
    if not isinstance(src, Map):
        return call.broken("overwrites a map")
    call.maps = [src]
    return pointwise(call)


def embedding(
    call: Call, input: Value, weight: Value | None = None, *args: object, **options: object
) -> Result:
    """Look up a vector for each position, as a codebook is read, or is made of ones and zeros."""
    indices = as_map(input)
    vectors = indices.part_of((*indices.known, plain(call.output.shape[-1])), call)
    return with_kernel(call, lambda: vectors, weight, None)


def norm(call: Call, input: Value, *args: object, **options: object) -> Result:
    activated, over = pointwise(call), 0
    rank, of_input = (
        len(activated.dims or ()),
        args[4:5],
    )  # whether its statistics are those of the input
    if call.stem in ("layer_norm", "rms_norm"):
        over = len(as_list(options.get("normalized_shape", args[0] if args else ())))
    elif call.stem == "group_norm":
        over = rank - 1
    elif call.stem == "instance_norm":
        over = 0
        if options.get("use_input_stats", all(of_input)):
            over = rank - 2
    elif options.get("training", any(of_input)):
        over = rank
    axes = range(-over, 0) if activated.dims else ()
    return calls.norm(call, activated, call.op.replace("_", " "), axes)


def reduce(call: Call, input: Value, *args: object, **options: object) -> Result:
    given = next((arg for arg in args if not isinstance(arg, str | bool)), None)
    if not isinstance(input, Map) or isinstance(given, Value):
        return pick(call)  # torch.max(a, b)
    if call.op == "norm" and args and isinstance(args[-1], tuple | list):
        given = args[-1]
    elif call.op == "linalg_vector_norm":  # its order comes first
        given = None
        if len(args) > 1:
            given = args[1]
    dim = options.get("dim", options.get("axis", given))
    rank = len(input.known)
    axes = {axis % rank for axis in (range(rank) if dim is None or dim == () else as_list(dim))}
    return products.reduce_over(call, input, axes, keep=call.output.ndim == rank)


def along(call: Call, input: Value, dim: object = None, *args: object, **options: object) -> Result:
    if not isinstance(input, Map) or not isinstance(dim, int):
        raise Stuck("runs along an unknown dimension")
    if call.op != "glu":
        return products.softmax_along(
            call, input, [dim % len(input.known)], f"{call.op} over positions"
        )
    if input.known[dim].positions:
        raise Stuck("multiplies one half of the rows or columns by the other")
    halves = call.trace.merge(call.name("merge"), "multiply", [call.trace.unsplit(input).at] * 2)
    return call.with_channels(replace(input, layer=halves))  # a product of two slices


def ordered(call: Call, input: Value, *args: object, **options: object) -> Result:
    """Order channels, each position alone; the order of positions is a matter of their values."""
    given = args
    if call.op in ("topk", "kthvalue"):
        given = args[1:]
    dim = options.get("dim", given[0] if given and not isinstance(given[0], bool) else -1)
    if not isinstance(dim, int):
        raise Stuck("runs along an unknown dimension")
    if input.known[dim].has_positions:
        return call.broken(BY_VALUES, head=BY_VALUES)
    return call.with_channels(
        as_map(input).with_dim(dim % len(input.known), plain(call.output.shape[dim]))
    )


def linear(call: Call, input: Value, weight: Value, bias: Value | None = None) -> Result:
    result = products.dense(call, as_map(input), call.output.shape[-1])
    return with_kernel(call, lambda: result, weight, bias)


def grid_sample(call: Call, input: Value, grid: Value, *args: object, **options: object) -> Result:
    """Sample channels of each position, or a constant, at places that are computed for each
    position.
    """
    if isinstance(input, Map) and any(dim.has_positions for dim in input.known[2:]):
        return call.unknown()
    letters = "ijk"[: len(input.known) - 2]
    return products.product(
        call, [(input, f"nc{letters.upper()}"), (grid, f"n{letters}x")], f"nc{letters}"
    )


def cdist(call: Call, x1: Value, x2: Value, *args: object, **options: object) -> Result:
    """Measure how far vectors are from those of a constant, as a codebook is: channels of each
    position alone.
    """
    if isinstance(x2, Map):
        return call.unknown()
    return products.matmul(call, x1, views.transpose(x2, -2, -1))


def attention(
    call: Call, query: Value, key: Value, value: Value, *args: object, **options: object
) -> Result:
    """Handle scaled dot products, and attention in heads, whose positions are the first
    dimension.
    """
    heads = "multi" in call.op
    mask = options.get("attn_mask", args[0] if args and not heads else None)
    padding, causal = (
        options.get("key_padding_mask"),
        options.get("is_causal", not heads and args[2:] == (True,)),
    )

    def cut(scores: Map) -> Map:
        if causal or padding is not None or (heads and mask is not None):
            raise Stuck("masks positions from each other")
        if (numbers := call.numbers_of(mask)) is None:
            return scores
        if numbers.dtype == torch.bool:
            hides = ~numbers
        else:
            hides = numbers <= MASKED
        return calls.hide(scores, hides.numpy())

    seen = products.attention(call, query, value, [0 if heads else -2], cut)
    return [seen, *[Map(None, seen.at)] * (len(tensors_in(call.out)) - 1)]


def recurrence(
    call: Call,
    input: Value,
    states: object,
    weights: object,
    biases: bool,
    layers: int,
    *how: object,
) -> Result:
    """Handle recurrent layers; `how` has dropout, training, both ways, and whether batches come
    first.
    """
    _, _, both_ways, first = (*how, False)[:4]
    seen, *lasts = tensors_in(call.out)
    ways = 2 if both_ways else 1
    sequence, last = products.recurrence(
        call, as_map(input), 1 if first else 0, seen.shape[-1] // ways, ways, layers
    )
    return [sequence, *[last] * len(lasts)]


def view(call: Call, input: Value, *shape: object, **options: object) -> Result:
    if not isinstance(input, Map):
        raise Stuck("reads the shape of a map")
    return views.reshape(call, input, call.output.shape)


def permute(call: Call, input: Value, *dims: object, **options: object) -> Result:
    return views.permute(input, [d % len(input.known) for d in as_list(options.get("dims", dims))])


def movedim(call: Call, input: Value, source: object, destination: object) -> Result:
    rank = len(input.known)
    sources, places = ([d % rank for d in as_list(given)] for given in (source, destination))
    moved = dict(zip(places, sources, strict=True))
    rest = iter(d for d in range(rank) if d not in sources)
    return views.permute(input, [moved[d] if d in moved else next(rest) for d in range(rank)])


def squeeze(call: Call, input: Value, *args: object, dim: object = None) -> Result:
    dim, shape = args[0] if args else dim, input.shape
    wanted = range(len(shape)) if dim is None else as_list(dim)
    return views.squeeze(call, input, {d % len(shape) for d in wanted if shape[d] == 1})


def split(
    call: Call, input: Value, sizes: object = None, dim: int = 0, **options: object
) -> Result:
    dim, pieces = dim % len(input.known), tensors_in(call.out)
    ends = accumulate(piece.shape[dim] for piece in pieces)
    spans = [slice(end - piece.shape[dim], end) for piece, end in zip(pieces, ends, strict=True)]
    return [views.slice_(call, input, {dim: span}) for span in spans]


def roll(call: Call, input: Value, shifts: object, dims: object = ()) -> Result:
    return views.roll(call, as_map(input), dict(zip(as_list(dims), as_list(shifts), strict=True)))


def flip(call: Call, input: Value, *dims: object, **options: object) -> Result:
    axes = [d % len(input.known) for d in as_list(options.get("dims", dims))]
    return views.slice_(call, input, dict.fromkeys(axes, slice(None, None, -1)))


def getitem(call: Call, input: Value, index: object) -> Result:
    items = _whole_index(index, len(input.known))
    value = _indexed(call, input, dict(enumerate(item for item in items if item is not None)))
    kept = [item for item in items if not isinstance(item, int)]
    value = views.unsqueeze(value, [at for at, item in enumerate(kept) if item is None])
    if len(value.known) != call.output.ndim:
        raise Stuck("picks positions")
    return value


def _indexed(call: Call, input: Value, items: Mapping[int, object]) -> Value:
    if any(isinstance(item, Map) for item in items.values()):
        raise Stuck("picks channels by the values of a map")
    shape = input.shape
    items = {d % len(shape): item for d, item in items.items()}
    ones = {d: item % shape[d] for d, item in items.items() if isinstance(item, int)}
    rows = {d: item for d, item in items.items() if isinstance(item, slice)}
    part = views.slice_(call, as_map(input), rows | {d: slice(i, i + 1) for d, i in ones.items()})
    for d in items.keys() - rows.keys() - ones.keys():
        numbers = None
        if part.known[d].positions:
            numbers = _picked(call, items[d])
        n = call.output.numel() * part.known[d].size // prod(part.shape)
        part = views.gather(call, part, d, numbers, (plain(n),), call)
    if ones:
        return views.squeeze(call, part, ones)
    return part


def _picked(call: Call, item: object) -> list[int] | None:
    """Return the positions that a list or a tensor picks; None for a mask, or if they are not
    known.
    """
    if isinstance(item, list):
        return item
    given = call.numbers_of(item)
    if given is None or given.dtype == torch.bool:
        return None
    return [int(n) for n in given.flatten()]


def _whole_index(index: object, ndim: int) -> list[object]:
    """Replace the ellipsis of an index, or what it leaves out, by slices of all."""
    if isinstance(index, tuple):
        given = list(index)
    else:
        given = [index]
    count = sum(1 for item in given if item is not None and item is not ...)
    at = next((i for i, item in enumerate(given) if item is ...), len(given))
    return [*given[:at], *[slice(None)] * (ndim - count), *given[at + 1 :]]


def setitem(call: Call, input: Value, index: object, new: object) -> Result:
    """Write in place: around what is written into a constant is padding; among channels, both are
    there now.
    """
    input, source = (
        call.trace.unsplit(input),
        call.trace.unsplit(new) if isinstance(new, Map) else None,
    )
    shape = input.shape
    items = _whole_index(index, len(shape))
    whole = [
        isinstance(item, slice) and item.indices(n) == (0, n, 1)
        for item, n in zip(items, shape, strict=False)
    ]
    if source and (not isinstance(input, Map) or (shape == source.shape and all(whole))):
        return _write(call, source, items, shape)
    if isinstance(input, Map):
        dims = input.known
    else:
        dims = ()
    if len(dims) != len(items) or any(
        dim.positions and not every for dim, every in zip(dims, whole, strict=True)
    ):
        raise Stuck("writes some rows or columns only")
    at = [call.trace.unsplit(x).at for x in call.maps]
    return call.with_channels(
        Map(dims, at[0] if len(at) == 1 else call.trace.merge(call.name("merge"), "concat", at))
    )


def _write(call: Call, source: Map, items: Sequence[object], shape: Sequence[int]) -> Map:
    """Write a map into a constant, where rows and columns around it become padding."""
    ones = [
        d
        for d, (item, n) in enumerate(zip(items, shape, strict=False))
        if isinstance(item, int) and n == 1
    ]
    spans = {d: item.indices(shape[d]) for d, item in enumerate(items) if isinstance(item, slice)}
    fits = len(ones) + len(spans) == len(items) == len(shape) == len(source.known) + len(ones)
    if not fits or any(step != 1 for *_, step in spans.values()):
        raise Stuck("writes some rows or columns only")
    value, pads = views.unsqueeze(source, ones), dict[str, Op]()
    for d, (first, last, _) in spans.items():
        dim, n = value.known[d], shape[d]
        if dim.positions and (first, last) != (0, n):
            if not (role := dim.axis) or dim.size != last - first:
                raise Stuck("writes some rows or columns only")
            pads[role] = Window(1, padding=(first, n - last))
    if pads:
        pads = dict[str, Op].fromkeys(call.trace.axes, Window(1)) | pads
        value = call.trace.add_map(call.name("pad"), "pad", value, pads)
    return call.with_channels(value)


def cat(call: Call, tensors: Sequence[Value], dim: int = 0, **options: object) -> Result:
    call.tensors = [tensor for tensor in call.tensors if tensor.numel()]
    call.read_tensors()
    if len(call.tensors) == 1:
        return pointwise(call)
    along = [value.known[dim] for value in call.spatial]
    if len(along) > 1 and any(dims.kind == "mixed" for dims in along):
        return call.join_flattened(call.spatial)
    call.without_mixed()
    return views.concat(call, call.given, dim % call.output.ndim)


def unbind(call: Call, input: Value, dim: int = 0) -> Result:
    if input.known[dim].kind == "mixed":
        call.without_mixed()
    return [_indexed(call, call.given[0], {dim: i}) for i in range(input.shape[dim])]


def stack(call: Call, tensors: Sequence[Value], dim: int = 0) -> Result:
    at = dim % call.output.ndim
    return views.concat(call, [views.unsqueeze(x, [at]) for x in tensors], at)


# Each position alone; of several maps, the product. PyTorch marks most such functions as pointwise;
# these it does not.
ALONE = """
    absolute alpha_dropout and arccos arccosh arcsin arcsinh arctan arctan2 arctanh as_tensor
    bfloat16 bool byte channel_shuffle contiguous cpu cuda data detach divide double dropout
    feature_dropout fill fix float floor_divide floordiv half hardswish idiv imul int invert
    leaky_relu local_response_norm log_sigmoid long lshift multiply native_dropout negative or
    prelu rdiv requires_grad rfloordiv rlshift rmod rmul rpow rrshift rshift short softsign
    tanhshrink to type type_as xor
"""
WHOLE: Mapping[
    str, Handler
] = {  # these read rows, columns and channels that are one dimension as it is
    ALONE: pointwise,
    "add iadd radd": add,
    "sub isub rsub subtract": subtract,
    "maximum minimum fmax fmin lerp where addcmul addcdiv eq ne gt ge lt le": pick,
    "masked_fill": masked_fill,
    "mean sum amax amin max min std var norm linalg_vector_norm logsumexp prod median "
    "argmax argmin": reduce,
    "nanmean all any nansum count_nonzero aminmax std_mean var_mean": reduce,
    "softmax log_softmax softmin normalize glu gumbel_softmax": along,
    "cumsum cumprod logcumsumexp cummax cummin": lambda call, input, dim, **options: (
        products.cumulate(input, dim)
    ),
    "topk sort argsort kthvalue": ordered,
    "linear": linear,
    "matmul rmatmul mm bmm": products.matmul,
    "einsum": lambda call, equation, *operands: products.einsum(call, equation, call.given),
    "scaled_dot_product_attention multi_head_attention_forward": attention,
    "view reshape flatten ravel unflatten view_as reshape_as": view,
    "permute": permute,
    "transpose swapaxes swapdims t T mT H mH adjoint": (
        lambda call, input, dim0=-2, dim1=-1: views.transpose(input, dim0, dim1)
    ),
    "movedim moveaxis": movedim,
    "unbind": unbind,
    "squeeze": squeeze,
    "view_as_complex": lambda call, input: products.reduce_over(
        call, input, [len(input.known) - 1], keep=False
    ),
    "view_as_real": (
        lambda call, input: views.expand(
            call, views.unsqueeze(input, [len(input.known)]), call.output.shape
        )
    ),
    "unsqueeze": lambda call, input, dim: views.unsqueeze(input, [dim % (len(input.known) + 1)]),
    "expand expand_as broadcast_to repeat tile": (
        lambda call, input, *sizes, **options: views.expand(call, input, call.output.shape)
    ),
    "cat concat concatenate": cat,
    "batch_norm native_batch_norm group_norm instance_norm layer_norm rms_norm": norm,
    "native_batch_norm_legit_no_training": lambda call, *args, **options: [
        pointwise(call),
        None,
        None,
    ],
}
APART: Mapping[str, Handler] = {  # and these read rows and columns as dimensions of their own
    "copy": copy,
    "embedding one_hot": embedding,
    "grid_sample": grid_sample,
    "baddbmm": lambda call, input, batch1, batch2, **options: products.matmul(call, batch1, batch2),
    "cdist": cdist,
    " ".join(RECURRENT): recurrence,
    "chunk split split_with_sizes tensor_split": split,
    "roll": roll,
    "flip": flip,
    "select index_select": lambda call, input, dim, index: _indexed(call, input, {dim: index}),
    "narrow": lambda call, input, dim, start, length: _indexed(
        call, input, {dim: slice(start, start + length)}
    ),
    "slice": lambda call, input, dim=0, start=None, end=None, step=1: _indexed(
        call, input, {dim: slice(start, end, step)}
    ),
    "getitem": getitem,
    "setitem": setitem,
    "stack": stack,
    **windows.TABLE,
}
TABLE = {
    name: handler for names, handler in [*WHOLE.items(), *APART.items()] for name in names.split()
}
ACTS = (add, cat, masked_fill, pick, pointwise, setitem, stack, subtract)
WHOLE_NAMES = frozenset(" ".join(WHOLE).split())


@cache
def is_pointwise(op: str) -> bool:
    """Return whether PyTorch marks a function as one whose every result is made of one number of
    each argument.
    """
    packet = getattr(torch.ops.aten, op, None)
    if not isinstance(packet, OpOverloadPacket):
        return False
    names: list[str] = packet.overloads()  # type: ignore[no-untyped-call]
    return any(torch.Tag.pointwise in getattr(packet, name).tags for name in names)


def lower(call: Call) -> Result:
    if call.op in CONSTANTS:
        return None
    if call.by_value and call.spatial:
        return call.broken(BY_VALUES, head=BY_VALUES, firm=True)
    neutral = call.op in call.trace.neutral and not is_own(call.op)
    if call.output.ndim == 0 and call.stem not in TABLE:
        return call.vector()  # a number, such as a loss, is no map
    known = TABLE.get("add" if neutral else call.stem)
    call.handler = known or (pointwise if is_pointwise(call.op) else None)
    call.acts = call.handler in ACTS and call.stem != "prelu"  # whose weights are of channels
    call.whole = call.handler is pointwise or neutral or call.stem in WHOLE_NAMES
    return calls.follow(call)
