"""What rearranging, products, sums and norms do to a map that is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch.nn import functional

from padviz.cutting.cut_map import (
    CutMap,
    Function,
    Pooled,
    Refused,
    arguments_of,
    cuts_in,
    dims_of,
    first_of,
    handles,
    put,
)

aten = torch.ops.aten
MAX_POOLS = ("max_pool", "adaptive_max_pool")


@handles(aten.view, aten._unsafe_view)
def _view(function: object, x: CutMap, shape: Sequence[int]) -> object:
    """Keep the rows where the new shape has them, with as many values in front; refuse
    any other.
    """
    if -1 in shape:
        shape = put(shape, [*shape].index(-1), prod(x.shape) // -prod(shape))
    in_front, n = prod(x.shape[: x.along]), x.n
    at = next(
        (i for i, rows in enumerate(shape) if rows == n and prod(shape[:i]) == in_front), None
    )
    if at is None:
        was, becomes = (" x ".join(map(str, size)) for size in (x.shape, shape))
        raise Refused(f"rearranges positions: {was} becomes {becomes}")
    return x.each(lambda part: part.reshape(put(shape, at, part.shape[x.along])), (x,), None, at)


@handles(aten.permute)
def _permute(function: OpOverload, x: CutMap, dims: Sequence[int]) -> object:
    return x.each(function, (x, dims), None, [dim % x.ndim for dim in dims].index(x.along))


@handles(aten.transpose)
def _transpose(function: OpOverload, x: CutMap, one: int, other: int) -> object:
    one, other = one % x.ndim, other % x.ndim
    return x.each(function, (x, one, other), None, {one: other, other: one}.get(x.along, x.along))


@handles(aten.unsqueeze)
def _unsqueeze(function: OpOverload, x: CutMap, dim: int) -> object:
    return x.each(function, (x, dim), None, x.along + (dim % (x.ndim + 1) <= x.along))


@handles(aten.squeeze)
def _squeeze(function: object, x: CutMap, dims: int | Sequence[int] | None = None) -> object:
    gone = [dim for dim in dims_of(x, dims) if x.shape[dim] == 1 and dims != []]
    if x.along in gone:
        raise Refused("drops a dimension of one position")
    return x.each(aten.squeeze.dims, (x, gone), None, x.along - sum(dim < x.along for dim in gone))


@handles(aten.select)
def _select(function: OpOverload, x: CutMap, dim: int, index: int) -> object:
    if dim % x.ndim == x.along:
        raise Refused("takes a single position")
    return x.each(function, (x, dim, index), None, x.along - (dim % x.ndim < x.along))


@handles(aten.expand)
def _expand(function: OpOverload, x: CutMap, shape: Sequence[int], **kwargs: object) -> object:
    along = len(shape) - x.behind
    if shape[along] not in (-1, x.n):
        raise Refused("repeats a single position")
    return x.each(function, (x, put(shape, along, -1)), kwargs, along)


@handles(aten.cat, aten.stack)
def _join(function: OpOverload, maps: Sequence[Tensor], dim: int = 0) -> object:
    """Concatenate or stack maps that are cut alike."""
    like = cuts_in(maps)[0]
    stacks = function.overloadpacket is aten.stack
    if not stacks and dim % like.ndim == like.along:
        raise Refused("joins maps end to end")
    along = like.along + (stacks and dim % (like.ndim + 1) <= like.along)
    cuts = [x if isinstance(x, CutMap) else like.narrowed(x, like.along) for x in maps]
    return like.each(lambda *parts: function([*parts], dim), cuts, None, along)


@handles(functional.linear)
def _linear(function: Function, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> object:
    if not isinstance(x, CutMap) or x.along == x.ndim - 1:
        raise Refused("is a linear layer over positions")
    return x.each(function, (x, weight, bias))


@handles(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm)
def _product(function: Function, one: Tensor, other: Tensor) -> object:
    both, (cut, *_) = len(cuts_in(one, other)) > 1, cuts_in(one, other)
    if both or cut.behind == (1 if cut is one else min(2, cut.ndim)):
        raise Refused("multiplies positions with each other, as attention does: no overlap helps")
    ndim = max(one.ndim, other.ndim)
    if cut.behind > 2:
        one, other = map(cut.fitted, (one, other))
    else:
        one, other = (one, other)
    return cut.each(function, (one, other), None, ndim - cut.behind - (one.ndim == cut.behind == 1))


@handles(functional.scaled_dot_product_attention, functional.multi_head_attention_forward)
@handles(
    *(
        getattr(functional, f"{kind}{axes}d_with_indices")
        for axes in (1, 2, 3)
        for kind in MAX_POOLS
    )
)
@handles(Tensor.numpy, Tensor.tolist, Tensor.__array__)
def _unknown(function: Function, *args: object, **kwargs: object) -> object:
    raise Refused(f"runs {function.__name__} over positions: no overlap helps")


def _reduced(combine: Callable[[Pooled], object] | None = None) -> Function:
    """Return a handler of what reduces dimensions, which combines the results of the parts if it
    can.
    """

    def handle(function: OpOverload, x: CutMap, *args: object, **kwargs: object) -> object:
        given = arguments_of(function, x, *args, **kwargs)
        dims = dims_of(x, given.get("dim"))
        if x.along not in dims:
            if given.get("keepdim"):
                gone = 0
            else:
                gone = sum(dim < x.along for dim in dims)
            return x.each(function, (x, *args), kwargs, x.along - gone)
        if combine is None or len(function._schema.returns) > 1:
            raise Refused(f"runs {function.overloadpacket.__name__} over positions that are cut")
        return combine(x.pooled(function, (x, *args), kwargs))

    return handle


def _total(parts: Pooled) -> object:
    return reduce(aten.add, [value for _, value in parts])


def _mean(parts: Pooled) -> object:
    n = sum(rows for rows, _ in parts)
    return reduce(aten.add, [value * (rows / n) for rows, value in parts])


def _extreme(function: Function) -> Function:
    return lambda parts: reduce(function, [value for _, value in parts])


def _moments_of_part(x: Tensor, dims: list[int], keep: bool) -> object:
    if isinstance(x, CutMap):
        return aten.var_mean.correction(x, dims, correction=0, keepdim=keep)
    mean = x.mean(dims, True)  # in two passes, which take a tenth of the time of PyTorch's var_mean
    variance = (x - mean).square_().mean(dims, keep)
    return variance, mean if keep else mean.squeeze(dims)


@handles(aten.var_mean, aten.var, aten.std)
def _moments(function: OpOverload, x: CutMap, *args: object, **kwargs: object) -> object:
    """Return variance and mean. Counts, means and squared sums of parts are combined by the formula
    of Chan et al.
    """
    given, packet = arguments_of(function, x, *args, **kwargs), function.overloadpacket
    dims, keep = dims_of(x, given.get("dim")), given.get("keepdim", False)
    if x.along not in dims:
        return x.each(
            function,
            (x, *args),
            kwargs,
            x.along - (0 if keep else sum(dim < x.along for dim in dims)),
        )
    if x.is_complex():
        raise Refused("takes the variance of complex numbers")
    mean: Any = 0.0
    squares: Any = 0.0
    parts = x.pooled(
        _moments_of_part, (x.to(torch.promote_types(x.dtype, torch.float32)), dims, keep), {}
    )
    others, count = prod(x.shape[dim] for dim in dims) // x.n, 0
    for rows, (variance, mean_of_part) in parts:
        n, apart = rows * others, mean_of_part - mean
        squares = squares + variance * n + apart * apart * (count * n / (count + n))
        mean, count = mean + apart * (n / (count + n)), count + n
    correction = given.get("correction", int(given.get("unbiased", True)))
    mean = mean.to(x.dtype)
    variance = (squares / (count - (1 if correction is None else correction))).to(x.dtype)
    if packet is aten.var_mean:
        return (variance, mean)
    if packet is aten.var:
        return variance
    return variance.sqrt()


@handles(aten.native_group_norm)
def _group_norm(
    function: object,
    x: CutMap,
    weight: Tensor | None,
    bias: Tensor | None,
    n: int,
    channels: int,
    positions: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    grouped = aten.view(wide, [n, groups, channels // groups, *x.shape[2:]])
    variance, mean = aten.var_mean.correction(
        grouped, [*range(2, grouped.ndim)], correction=0, keepdim=True
    )
    by_channel = [1, groups, channels // groups, *[1] * (x.ndim - 2)]
    scale = aten.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight.reshape(by_channel)
    if bias is None:
        shift = -mean * scale
    else:
        shift = bias.reshape(by_channel) - mean * scale
    result = aten.view(aten.addcmul(shift, grouped, scale), [*x.shape])
    return result.to(x.dtype), torch.empty(0), torch.empty(0)


@handles(aten.native_layer_norm)
def _layer_norm(function: OpOverload, x: CutMap, shape: Sequence[int], *others: object) -> object:
    local = x.along < x.ndim - len(shape)
    return (first_of if local else decomposition_table[function])(
        *([function] * local), x, shape, *others
    )


@handles(aten.native_batch_norm)
def _batch_norm(
    function: OpOverload,
    x: CutMap,
    weight: object,
    bias: object,
    mean: object,
    variance: object,
    *others: object,
) -> object:
    if others[0] and mean is None:  # it has no running statistics, also in evaluation mode
        return decomposition_table[function](x, weight, bias, mean, variance, *others)
    if others[0]:
        raise Refused("is a batch norm in training mode: call .eval() on the module")
    return first_of(function, x, weight, bias, mean, variance, *others)


@handles(functional.instance_norm)
def _instance_norm(
    function: object,
    x: CutMap,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> object:
    if not use_input_stats:
        return functional.batch_norm(
            x, running_mean, running_var, weight, bias, False, momentum, eps
        )
    return _group_norm(function, x, weight, bias, len(x), x.shape[1], 0, x.shape[1], eps)[0]


handles(aten.sum)(_reduced(_total))
handles(aten.mean)(_reduced(_mean))
handles(aten.amax, aten.max)(_reduced(_extreme(torch.maximum)))
handles(aten.amin, aten.min)(_reduced(_extreme(torch.minimum)))
handles(aten.argmax)(_reduced())
