"""What each call does to maps that are cut: products, sums and norms, and how they are rearranged.

A call is one of three kinds. Of *spans*: some rows of its result read some rows of its maps.
*Pooled*: a reduction over positions joins those of the parts. *Gathered*: what reads all positions
is given the whole map; of attention keys and values alone, since queries go by rows. Windows, pads
and resizes are in `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from padviz.cutting.cut_map import (
    SAME,
    CutMap,
    Function,
    Link,
    OpOverload,
    Pooled,
    Refused,
    Rows,
    Rule,
    arguments_of,
    aten,
    broadcast,
    decomposition_table,
    dims_of,
    first_of,
    linked,
    local,
    maps_in,
    moved,
    only,
    pointwise,
    put,
    reading,
    rule_of,
    uncounted,
    whole,
)
from padviz.network.operations import Window

rule_of(aten.copy, aten.copy_, aten.fill, aten.fill_)(pointwise)
rule_of(aten.alias, aten.clone, aten.detach, aten._to_copy)(local)
rule_of(aten.zeros_like, aten.ones_like, aten.empty_like, aten.full_like)(local)


# Rearranged: positions stay by themselves, or the map is put together.


@rule_of(aten.view, aten._unsafe_view)
def _view(function: object, x: CutMap, shape: Sequence[int]) -> object:
    """Keep, merge or split the dimensions that are cut; put a map together for other shapes.

    Of a merged dimension, such as the tokens of attention, a part has whole rows of positions.
    """
    # PyTorch tells what -1 stands for, and raises its own error, which a module may catch.
    with uncounted():
        shape = torch.empty_strided(x.shape, x.stride(), device="meta").view(*shape).shape
    links: list[Link] = []
    # By new dimension: the old, so many of whose rows become so many of the new.
    ratios: dict[int, tuple[int, int, int]] = {}
    groups = [pair for pair in _regrouped(x.shape, shape) if {*pair[0]} & {*x.cut}]
    for dims, news in groups:
        if min(len(dims), len(news)) > 1 or dims[0] not in x.cut:
            along = [new for _, news in groups for new in news]
            return x.gathered(aten.reshape, (x, shape), {}, along)
        before = prod(shape[new] for new in news[1:])
        after = prod(x.shape[dim] for dim in dims[1:])
        ratios[news[0]] = dims[0], before, after
        links.append(Link(news[0], dims[0], _rows_in(before, after)))
        links += [Link(None, dim, only(0, x.shape[dim])) for dim in dims[1:] if dim in x.cut]

    def viewed(regions: list[Tensor], rows: Mapping[int, Rows]) -> Tensor:
        sizes = [*shape]
        for new, (dim, before, after) in ratios.items():
            sizes[new] = regions[0].shape[dim] // before * after
        part = regions[0].reshape(sizes)
        for new, span in rows.items():
            part = part.narrow(new, span.first % ratios[new][2], span.end - span.first)
        return part

    return x.spans([(x, links)], viewed)


def _rows_in(before: int, after: int) -> Rule:
    """Return the rule by which `before` rows are one, or one row is `after` of them."""
    if before == after:
        return SAME
    return Rule(
        lambda n: n // before * after,
        lambda first, end: (first // after * before, -(-end // after) * before),
    )


def _regrouped(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return which dimensions of a shape become which of another; those of one position are left
    out.
    """
    old_ends, new_ends = [*accumulate(old, mul)], [*accumulate(new, mul)]
    groups = []
    before = 1
    for end in sorted({*old_ends} & {*new_ends}):
        pair = [
            [dim for dim, n in enumerate(sizes) if n > 1 and before < ends[dim] <= end]
            for sizes, ends in ((old, old_ends), (new, new_ends))
        ]
        groups.append((pair[0], pair[1]))
        before = end
    return groups


@rule_of(aten.permute)
def _permute(function: OpOverload, x: CutMap, dims: Sequence[int]) -> object:
    order = [dim % x.ndim for dim in dims]
    return moved(function, (x, dims), {}, order.index)


@rule_of(aten.transpose)
def _transpose(function: OpOverload, x: CutMap, one: int, other: int) -> object:
    swapped = {one % x.ndim: other % x.ndim, other % x.ndim: one % x.ndim}
    return moved(function, (x, one, other), {}, lambda dim: swapped.get(dim, dim))


@rule_of(aten.unsqueeze)
def _unsqueeze(function: object, x: CutMap, dim: int) -> object:
    shape = [*x.shape]
    shape.insert(dim % (x.ndim + 1), 1)
    return aten.view(x, shape)


@rule_of(aten.squeeze)
def _squeeze(function: object, x: CutMap, dims: int | Sequence[int] | None = None) -> object:
    gone = dims_of(x, dims)
    if dims == []:
        gone = []
    return aten.view(x, [n for dim, n in enumerate(x.shape) if n > 1 or dim not in gone])


def _below(dims: Sequence[int], dim: int) -> int:
    return sum(other < dim for other in dims)


@rule_of(aten.select)
def _select(function: OpOverload, x: CutMap, dim: int, index: int) -> object:
    dim, index = dim % x.ndim, index % x.shape[dim]
    links = [Link(old - (dim < old), old, SAME) for old in x.cut if old != dim]
    at = index
    if dim in x.cut:
        links.append(Link(None, dim, only(index, index + 1)))
        at = 0
    return x.spans([(x, links)], lambda regions, _: function(regions[0], dim, at))


@rule_of(aten.expand)
def _expand(function: OpOverload, x: CutMap, shape: Sequence[int], **kwargs: object) -> object:
    shift = len(shape) - x.ndim
    for dim in x.cut:
        shape = put(shape, dim + shift, -1)
    return moved(function, (x, shape), kwargs, lambda dim: dim + shift)


@rule_of(aten.cat)
def _cat(function: OpOverload, maps: Sequence[Tensor], dim: int = 0) -> object:
    """Join maps along a dimension; where it is cut, each gives the rows that it has."""
    maps = [x for x in maps if x.shape != (0,)]  # which PyTorch ignores
    dim %= maps[0].ndim
    cut = {other for x in maps_in(maps) for other in x.cut}
    starts = [0, *accumulate(x.shape[dim] for x in maps)]

    def links(k: int) -> list[Link]:
        start, n = starts[k], maps[k].shape[dim]

        def reads(first: int, end: int) -> tuple[int, int]:
            lo = min(max(first - start, 0), n)
            return lo, min(max(end - start, lo), n)

        at_end = Rule(lambda _: starts[-1], reads)
        return [Link(out, out, at_end if out == dim else SAME) for out in sorted(cut)]

    operands = [(x, links(k)) for k, x in enumerate(maps)]
    return maps_in(maps)[0].spans(operands, lambda regions, _: function(regions, dim))


@rule_of(aten.slice)
def _slice(
    function: OpOverload,
    x: CutMap,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> object:
    dim %= x.ndim
    if dim not in x.cut:
        return local(function, x, dim, start, end, step)
    n = x.shape[dim]
    begin, stop, _ = slice(start, end, step).indices(n)
    if (begin, stop, step) == (0, n, 1):
        return local(aten.alias.default, x)
    short = n - max(begin, stop)
    rule = reading(Window(1, step, padding=(-begin, -short)))
    return by_dims(x, {dim: rule}, lambda part, rows: function(part, dim, 0, None, step))


def by_dims(
    x: Tensor,
    rules: dict[int, Rule],
    make: Callable[[Tensor, dict[int, Rows]], Tensor],
    *,
    whole: Collection[int] = (),
    costly: int = 0,
) -> Any:
    """Return a map of the same dimensions by a rule along some of them, of all rows along what is
    `whole`, and along others row by row.
    """
    if not isinstance(x, CutMap):  # of which a call along another dimension left a single row
        return make(x, {})
    links = [Link(dim, dim, rules.get(dim, SAME)) for dim in x.cut if dim not in whole]
    return x.spans([(x, links)], lambda regions, rows: make(regions[0], {**rows}), costly=costly)


@rule_of(aten.split, aten.split_with_sizes)
def _split(function: object, x: CutMap, sizes: int | Sequence[int], dim: int = 0) -> object:
    if isinstance(sizes, int):
        firsts = range(0, max(x.shape[dim], 1), sizes)  # far too many of a stream for a list
        return [aten.slice(x, dim, first, first + sizes) for first in firsts]
    ends = accumulate(sizes)
    return [aten.slice(x, dim, end - size, end) for size, end in zip(sizes, ends, strict=True)]


@rule_of(aten.index)
def _index(function: OpOverload, x: Tensor, indices: Sequence[Tensor | None]) -> object:
    """Pick along one dimension that is not cut, as x[:, [2, 1, 0]] picks channels."""
    (dim, index), *others = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    # A mask of several dimensions picks along all of them.
    along_several = others or (index.dtype == torch.bool and index.ndim > 1)
    if not isinstance(x, CutMap) or isinstance(index, CutMap) or dim in x.cut or along_several:
        return whole(function, x, indices)
    return moved(function, (x, indices), {}, lambda old: old + (index.ndim - 1) * (dim < old))


@rule_of(aten.cumsum, aten.topk, aten.sort, aten.roll, aten.flip, aten.index_select)
def _along(function: OpOverload, x: CutMap, *args: object, **kwargs: object) -> object:
    """Call what reads all rows along the dimensions in its schema's `dim` or `dims`, and makes as
    many or others.
    """
    given = arguments_of(function, x, *args, **kwargs)
    read = dims_of(x, given.get("dim", given.get("dims")))
    return moved(function, (x, *args), kwargs, lambda dim: None if dim in read else dim)


# Written into: what a map becomes if a view of it, made by a call, is written into.


def _slice_back(
    x: CutMap,
    view: CutMap,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> object:
    if step != 1:
        raise Refused("writes into every few rows of a map")
    first, _, _ = slice(start, end).indices(x.shape[dim])
    rest = first + view.shape[dim]
    return _around(x, view, dim, first, rest)


def _around(x: CutMap, view: Tensor, dim: int, first: int, rest: int) -> object:
    pieces = [view]
    if first:
        pieces.insert(0, aten.slice(x, dim, 0, first))
    if rest < x.shape[dim]:
        pieces.append(aten.slice(x, dim, rest))
    return aten.cat(pieces, dim)


def _select_back(x: CutMap, view: CutMap, dim: int, index: int) -> object:
    index %= x.shape[dim]
    return _around(x, aten.unsqueeze(view, dim), dim, index, index + 1)


def _permute_back(x: CutMap, view: CutMap, dims: Sequence[int]) -> object:
    order = [dim % x.ndim for dim in dims]
    return aten.permute(view, [order.index(dim) for dim in range(x.ndim)])


def _reshaped_back(x: CutMap, view: CutMap, *args: object) -> object:
    return aten.view(view, [*x.shape])


CutMap.written_back.update(
    {
        aten.slice: _slice_back,
        aten.select: _select_back,
        aten.permute: _permute_back,
        aten.transpose: lambda x, view, one, other: aten.transpose(view, one, other),
        aten.alias: lambda x, view: aten.alias(view),
        aten.detach: lambda x, view: aten.alias(view),
        **dict.fromkeys((aten.view, aten.unsqueeze, aten.squeeze), _reshaped_back),
    }
)


# Products: what is summed over is read whole.


@rule_of(functional.linear)
def _linear(function: Function, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> object:
    if isinstance(weight, CutMap) or not isinstance(x, CutMap):
        return whole(function, x, weight, bias)
    last = x.ndim - 1
    return moved(function, (x, weight, bias), {}, lambda dim: None if dim == last else dim)


@rule_of(torch.matmul, Tensor.matmul, Tensor.__matmul__)
@rule_of(torch.bmm, Tensor.bmm, torch.mm, Tensor.mm, aten.mm, aten.bmm)
def _product(function: Function, one: Tensor, other: Tensor) -> object:
    """Multiply rows of one map with all columns of the other, or, if it alone is cut, its
    columns.
    """
    if 1 in (one.ndim, other.ndim):
        return whole(function, one, other)
    ndim = max(one.ndim, other.ndim)
    row, column = ndim - 2, ndim - 1
    alone = len(maps_in(one, other)) == 1
    cut = {dim + ndim - x.ndim for x in maps_in(one, other) for dim in x.cut}

    in_front = {dim for dim in cut if dim < row}
    rows, columns = {*in_front}, {*in_front}
    if one.ndim - 2 in getattr(one, "cut", ()):
        rows.add(row)
    if alone and other.ndim - 1 in getattr(other, "cut", ()):
        columns.add(column)
    operands = [(one, broadcast(one, ndim, rows)), (other, broadcast(other, ndim, columns))]
    return maps_in(one, other)[0].spans(operands, lambda regions, _: function(*regions))


@rule_of(functional.scaled_dot_product_attention)
def _attention(
    function: Function,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> object:
    """Attend from the rows of the queries to all keys and values.

    PyTorch does so without storing the scores for queries (batch, heads, rows, width). Of others
    they are products here, which the memory of a plan counts.
    """
    if attn_mask is not None or is_causal or enable_gqa or dropout_p:
        given = (attn_mask, dropout_p, is_causal)
        return whole(function, query, key, value, *given, scale=scale, enable_gqa=enable_gqa)
    if isinstance(query, CutMap) and query.shape[-1] == value.shape[-1]:
        if query.ndim == 3:
            query, key, value = (x.unsqueeze(1) for x in (query, key, value))
            by_head = functional.scaled_dot_product_attention(query, key, value, scale=scale)
            return by_head.squeeze(1)
        if query.ndim == 4:
            in_front = [Link(dim, dim, SAME) for dim in {*query.cut} & {0, 1}]
            rows = [Link(dim, dim, SAME) for dim in {*query.cut} & {0, 1, 2}]

            def attend(regions: list[Tensor], _: object) -> Tensor:
                maps = [x.contiguous() for x in regions]
                result: Tensor
                if maps[0].is_meta:  # where PyTorch stores the scores
                    result, _ = aten._scaled_dot_product_flash_attention_for_cpu(*maps, scale=scale)
                else:
                    result = function(*maps, scale=scale)
                return result

            return query.spans([(query, rows), (key, in_front), (value, in_front)], attend)
    return _attend_by_products(query, key, value, scale)


def _attend_by_products(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """Attend by products, whose scores are maps as others, in single precision at least."""
    dtype = query.dtype
    wide = torch.promote_types(dtype, torch.float32)
    query, key, value = (x.to(wide) for x in (query, key, value))
    if scale is None:
        scale = query.shape[-1] ** -0.5
    scores = torch.matmul(query * scale, key.transpose(-2, -1))
    return torch.matmul(scores.softmax(-1), value).to(dtype)


rule_of(functional.multi_head_attention_forward)(whole)
rule_of(Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.item)(whole)


# Pooled: the parts' own are joined.


def _reduced(join: Callable[[Pooled], object] | None = None) -> Function:
    """Return the rule of what reduces dimensions, which joins the results of the parts if it
    can.
    """

    def rule(function: OpOverload, x: CutMap, *args: object, **kwargs: object) -> object:
        given = arguments_of(function, x, *args, **kwargs)
        dims = dims_of(x, given.get("dim"))
        keep = bool(given.get("keepdim"))
        single = len(function._schema.returns) == 1 and 0 not in x.shape
        if join and single and {*x.cut} <= {*dims}:
            return x.pooled(lambda part: function(part, *args, **kwargs), join)

        def to(dim: int) -> int | None:
            if dim in dims:
                return None
            return dim - (0 if keep else _below(dims, dim))

        return moved(function, (x, *args), kwargs, to)

    return rule


def _joined_by(function: Function) -> Function:
    return _reduced(lambda parts: reduce(function, [value for _, value in parts]))


def _mean(parts: Pooled) -> object:
    n = sum(count for count, _ in parts)
    return reduce(aten.add, [value * (count / n) for count, value in parts])


rule_of(aten.sum)(_joined_by(aten.add))
rule_of(aten.mean)(_reduced(_mean))
rule_of(aten.amax, aten.max)(_joined_by(torch.maximum))
rule_of(aten.amin, aten.min)(_joined_by(torch.minimum))
rule_of(aten.prod, aten.any, aten.all, aten.argmax, aten.argmin, aten.median)(_reduced())


@rule_of(aten._softmax, aten._log_softmax)
def _softmax(function: OpOverload, x: CutMap, dim: int, half_to_float: bool = False) -> object:
    dim %= x.ndim
    if dim not in x.cut:
        return local(function, x, dim, half_to_float)
    return decomposition_table[function](x, dim, half_to_float)


@rule_of(aten.var_mean, aten.var, aten.std)
def _moments(function: OpOverload, x: CutMap, *args: object, **kwargs: object) -> object:
    """Return variance and mean. Counts, means and squared sums of parts are joined by the formula
    of Chan et al.
    """
    given, packet = arguments_of(function, x, *args, **kwargs), function.overloadpacket
    dims, keep = dims_of(x, given.get("dim")), bool(given.get("keepdim", False))
    if not {*x.cut} <= {*dims} or x.is_complex() or 0 in x.shape:
        return _reduced()(function, x, *args, **kwargs)

    def part(x: Tensor) -> tuple[Tensor, Tensor]:
        # In two passes, which take a tenth of the time of PyTorch's var_mean.
        mean = x.mean(dims, True)
        variance = (x - mean).square_().mean(dims, keep)
        return variance, mean if keep else mean.squeeze(dims)

    def join(parts: Pooled) -> tuple[Tensor, Tensor]:
        count, (variance, mean) = parts[0]
        squares = variance * count
        for n, (variance_of_part, mean_of_part) in parts[1:]:
            apart = mean_of_part - mean
            squares = squares + variance_of_part * n + apart * apart * (count * n / (count + n))
            mean, count = mean + apart * (n / (count + n)), count + n
        return squares / count, mean

    wide: Any = _wide(x)
    variance, mean = wide.pooled(part, join)
    correction = given.get("correction", int(given.get("unbiased", True)))
    if correction is None:
        correction = 1
    count = prod(x.shape[dim] for dim in dims)
    variance = (variance * (count / (count - correction))).to(x.dtype)
    mean = mean.to(x.dtype)
    if packet is aten.var_mean:
        return (variance, mean)
    if packet is aten.var:
        return variance
    return variance.sqrt()


def _scaled(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    weight: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Normalize a map (batch, channels, ...) in one product and sum for each value."""
    by_channel = [1, -1, *[1] * (x.ndim - 2)]
    scale = aten.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight.reshape(by_channel)
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias.reshape(by_channel)
    result: Tensor = aten.addcmul(shift, _wide(x), scale).to(x.dtype)
    return result


def _wide(x: Tensor) -> Tensor:
    """Return a map in the precision in which it is summed, single at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@rule_of(aten.native_group_norm)
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
    size = channels // groups
    grouped = aten.view(_wide(x), [n, groups, size, *x.shape[2:]])
    dims = [*range(2, grouped.ndim)]
    variance, mean = (
        of_group.squeeze(2).repeat_interleave(size, 1)
        for of_group in aten.var_mean.correction(grouped, dims, correction=0, keepdim=True)
    )
    none = torch.empty(0)
    return _scaled(x, mean, variance, eps, weight, bias), none, none


@rule_of(aten.native_layer_norm)
def _layer_norm(function: OpOverload, x: CutMap, shape: Sequence[int], *others: object) -> object:
    if max(x.cut, default=0) < x.ndim - len(shape):
        return first_of(function, x, shape, *others)
    return decomposition_table[function](x, shape, *others)


def _by_channel(function: OpOverload, x: CutMap, *given: object) -> tuple[object, ...]:
    """Call what has a value for each channel; heads of attention may be cut along channels."""

    def links(tensor: Tensor) -> list[Link]:
        if tensor is x:
            return [Link(dim, dim, SAME) for dim in sorted(x.cut)]
        return [Link(1, 0, SAME)] * (1 in x.cut)

    first = linked(lambda *parts: function(*parts)[0], (x, *given), {}, links)
    return (first, *[torch.empty(0)] * (len(function._schema.returns) - 1))


rule_of(aten._native_batch_norm_legit_no_training)(_by_channel)


@rule_of(aten.native_batch_norm)
def _batch_norm(
    function: OpOverload,
    x: CutMap,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_variance: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[object, ...]:
    """Normalize by running statistics; an instance norm, or a batch norm without any, by those of
    the map.
    """
    if not training:
        given = weight, bias, running_mean, running_variance, training, momentum, eps
        return _by_channel(function, x, *given)
    if running_mean is not None:
        raise Refused("is a batch norm in training mode: call .eval() on the module")
    dims = [0, *range(2, x.ndim)]
    variance, mean = aten.var_mean.correction(_wide(x), dims, correction=0, keepdim=True)
    none = torch.empty(0)
    return _scaled(x, mean, variance, eps, weight, bias), none, none
