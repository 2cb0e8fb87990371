"""Operations that only rearrange a tensor, for every framework: values and plain arguments in, a value out.

A slice of rows or columns is laid as a crop at once. The trace remembers what it is cropped out of, so that a slice
of a slice is one crop. Rows that are joined again are the padding, or the roll, that they were written for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from padviz.errors import SizeError
from padviz.network.network import in_words
from padviz.network.operations import MOST_ROWS, Blocks, Window
from padviz.network.padding_modes import COPYING, RUNNING_ON, SCHEMES, padded_rows
from padviz.network.resize import Resize
from padviz.sources.tracing.arranging import Constant, Map, Stuck, V, Value
from padviz.sources.tracing.calls import Call, join
from padviz.sources.tracing.dims import Batch, Block, Dim, Dims, Tokens, as_channels, plain, reshape_dims, whole
from padviz.sources.tracing.trace import Trace

Row = int | None
TRIED = "zero", *sorted(COPYING, key=lambda mode: (not SCHEMES[mode].wraps, mode not in RUNNING_ON))  # the first wins
MOST_TRIES = 16


def _rearranged(call: Call, x: Value, dims: Dims) -> Value:
    spatial = any(dim.is_positions or dim.has_positions for dim in dims)
    pools = isinstance(x, Map) and not call.trace.pooled[x.at] and not spatial
    return replace(call.pool(x) if pools else x, dims=dims)


def reshape(call: Call, x: Value, shape: Sequence[int]) -> Value:
    """Reshape a tensor; what is put inside of each row or column is an upsampling by nearest."""
    axes, dims = call.trace.axes, reshape_dims(x.known, shape)
    if dims is None and x.has_parts:
        x = call.trace.unsplit(x)
        dims = reshape_dims(x.known, shape)
    if not isinstance(x, Map):
        return Constant(tuple(map(plain, shape))) if dims is None else replace(x, dims=dims)
    layer = call.trace.layers[x.at]
    uniform = layer.kind == "resize" and call.trace.pooled[layer.inputs[0]]  # then positions may go anywhere
    is_image = dims is not None and {*axes} <= {*(dim.axis for dim in dims[-2:])}
    if uniform and not is_image and len(shape) == 4 and (*shape[-2:],) == call.trace.sizes[x.at]:
        dims = (*map(plain, shape[:2]), *map(whole, axes, shape[-2:]))
    if dims is None:
        before, after = map(in_words, (x.shape, shape))
        raise Stuck(f"from {before} to {after} mixes rows and columns up", mixed=True)
    if replace(x, dims=dims).has_parts:
        x = replace(x, split_name=(x.has_parts and x.split_name) or call.name("merge"))
    grown = {Dim(*dim[:1]).axis: dim[1].size for dim in dims if len(dim) == 2 and Dim(dim[1]).is_channels}
    grown.pop("", None)
    if grown and len(dims) == len(axes) + 2:
        kept = tuple(Dim(*dim[:1]) if Dim(*dim[:1]).axis in grown else dim for dim in dims)
        ops = {role: Resize(scale=Fraction(n)) for role, n in grown.items()}
        return call.trace.add_map(call.name(), "resize", call.trace.unsplit(replace(x, dims=kept)), ops)
    return _rearranged(call, x, dims)


def permute(x: V, order: Sequence[int]) -> V:
    return replace(x, dims=tuple(x.known[i] for i in order))


def transpose(x: V, one: int, other: int) -> V:
    order = [*range(len(x.known))]
    order[one], order[other] = order[other], order[one]
    return permute(x, order)


def squeeze(call: Call, x: Value, axes: Collection[int]) -> Value:
    if any(x.known[axis].size != 1 for axis in axes):
        raise Stuck("squeezes a dimension larger than 1")
    return _rearranged(call, x, tuple(dim for axis, dim in enumerate(x.known) if axis not in axes))


def unsqueeze(x: V, axes: Collection[int]) -> V:
    """Insert dimensions of size 1, at their places in the result."""
    rest = iter(x.known)
    return replace(x, dims=tuple(Dim() if i in axes else next(rest) for i in range(len(x.known) + len(axes))))


def expand(call: Call, x: Value, shape: Sequence[int]) -> Value:
    """Copy a tensor to a shape: along height or width, every row sees the one there was."""
    before = (Dim(),) * (len(shape) - len(x.known)) + x.known
    changed = [(dim, n) for dim, n in zip(before, shape, strict=True) if dim.size != n]
    grown = {dim.axis: n for dim, n in changed if dim.alone}
    if "" in grown or any(dim.size > 1 and not dim.is_channels for dim, _ in changed):
        raise Stuck("repeats more than one row")
    resizes = bool(grown) and isinstance(x, Map)
    kept = [dim.size == n or (resizes and dim.alone) for dim, n in zip(before, shape, strict=True)]
    x = replace(x, dims=tuple(dim if keeps else plain(n) for keeps, dim, n in zip(kept, before, shape, strict=True)))
    ops = {role: Resize(n) for role, n in grown.items()}
    return call.trace.add_map(call.name("spread"), "resize", call.trace.unsplit(x), ops) if resizes else x


def slice_(call: Call, x: Value, rows: Mapping[int, slice]) -> Value:
    """Slice some dimensions; a slice of nothing, or of the constants beside an image, is constant."""
    runs = {axis: range(x.known[axis].size)[part] for axis, part in rows.items()}
    runs = {axis: run for axis, run in runs.items() if run != range(x.known[axis].size)}
    shape = [len(runs.get(axis, range(n))) for axis, n in enumerate(x.shape)]
    if 0 in shape:
        return Constant(tuple(map(plain, shape)))
    if any(x.known[axis].has_positions and not x.known[axis].tokens for axis in runs):
        x = call.trace.unsplit(x)
    crops: dict[str, slice] = {}
    for axis, run in runs.items():
        dim = x.known[axis]
        if not isinstance(x, Map) or not (dim.positions or dim.image_at is not None):
            x = _pick(x, axis, (plain(len(run)),), run)
        elif dim.tokens:
            x = _without_tokens(call, x, axis, run)
            if call.trace.pooled[x.at]:
                return replace(x, dims=tuple(map(plain, shape)))
        elif (image := dim.image_at) is not None:
            if image not in run:
                return Constant(tuple(map(plain, shape)))
            rest = Dim() if len(run) == 1 else Dim(Batch(len(run), run.index(image)))
            x = x.with_dim(axis, rest)
        elif role := dim.axis:
            crops[role] = rows[axis]
        else:
            raise Stuck("picks positions")
    return _crop(call, x, crops) if crops and isinstance(x, Map) else x


def _without_tokens(call: Call, x: Map, axis: int, run: range) -> Map:
    (tokens,) = x.known[axis]
    if not isinstance(tokens, Tokens):
        raise Stuck("slices runs of positions")
    count = tokens.of.size
    first = 0 if tokens.behind else tokens.size - count
    if run == range(first, first + count):
        call.trace.tokens_removed = True
        return x.with_dim(axis, tokens.of)
    if run.start < first + count and run.stop > first:
        raise Stuck("slices positions that have tokens beside them")
    return call.pool(x)


def _crop(call: Call, x: Map, rows: Mapping[str, slice]) -> Map:
    """Add a crop, unless it takes back the pad that windows were filled up with; mirrored rows may become padding."""
    trace = call.trace
    base, runs = trace.rows_of(x.at, rows)
    upright = {role: run if run.step > 0 else run[::-1] for role, run in runs.items()}
    cut = {role: run for role, run in upright.items() if run != range(trace.sizes[base][trace.axes[role]])}
    layer = _without_pad(trace, base, cut)
    if layer is None:
        layer = trace.crop(call.name("slice"), base, cut) if cut else base
    if upright != runs:
        layer = trace.broken(call.name(), [layer], f"{call.what} mirrors rows or columns")
        trace.crops[layer] = base, runs
    return replace(x, layer=layer, dims=trace.resize_dims(x.known, layer))


def _without_pad(trace: Trace, layer: int, runs: Mapping[str, range]) -> int | None:
    """Add windows without the pad that filled the last of them up, where a crop cuts it off again; None elsewhere."""
    made = trace.layers[layer]
    if made.kind != "mixing":
        return None
    pad = trace.layers[made.inputs[0]]
    before, pads = (pad.inputs[0], pad.ops) if pad.kind == "pad" else (made.inputs[0], trace.still)
    for (role, axis), block, rows in zip(trace.axes.items(), made.ops, pads, strict=True):
        more = trace.sizes[layer][axis] - trace.sizes[before][axis]
        local = block is None or (isinstance(block, Blocks) and block.is_local)
        undone = runs.get(role, range(trace.sizes[layer][axis])) == range(trace.sizes[before][axis])
        if not (local and undone and rows in (None, Window(1, padding=(0, more)))):
            return None
    if pad.kind != "pad":
        return layer
    return trace.take_name(trace.add("", "mixing", pad.inputs, made.ops), layer, made.origin)


def _pick(x: V, axis: int, dims: Dims, which: object) -> V:
    """Pick some of the channels along a dimension, in whose place come `dims`."""
    match x.known[axis]:
        case (Batch(),):
            raise Stuck("picks some of a batch of several maps")
        case (Block(role="bins"), *_):
            return x.activated(x.with_dim(axis, *dims).dims)
        case own if own.positions or own.alone:
            raise Stuck("picks rows or columns")
    grouped = (as_channels(x.known[axis : axis + 1], dim.size) for dim in dims)
    return x.part_of(x.with_dim(axis, *grouped).known, (axis, which))


def gather(call: Call, x: Value, axis: int, rows: Sequence[int] | None, dims: Dims, which: object) -> Value:
    """Gather along a dimension by a tensor of such `dims`: its `rows`; where these are not known, channels `which`."""
    if x.known[axis].has_positions and not x.known[axis].tokens:
        x = call.trace.unsplit(x)
    dim = x.known[axis]
    if beyond := [row for row in rows or () if not -dim.size <= row < dim.size]:
        raise Stuck(f"picks {beyond[0]} of {dim.size} positions")
    rows = [row % dim.size for row in rows or ()]
    steps = {b - a for a, b in pairwise(rows)} or {1}
    if rows and len(dims) < 2 and len(steps) == 1 and min(steps) > 0:
        x = slice_(call, x, {axis: slice(rows[0], rows[-1] + 1, min(steps))})
        return x if dims else squeeze(call, x, [axis])
    if dim.axis and steps == {-1}:  # mirrored rows, which a join may make padding
        end = rows[-1] - 1 if rows[-1] > 0 else None
        return slice_(call, x, {axis: slice(rows[0], end, -1)})
    if not dim.positions or not isinstance(x, Map):
        return _pick(x, axis, dims, tuple(rows) if rows else which)
    if not (role := dim.axis) or not rows or len(dims) != 1:
        raise Stuck("gathers from mixed dimensions")
    return _pad_to(call, x, role, rows)


def concat(call: Call, values: Sequence[Value], axis: int) -> Value:
    """Concatenate tensors: channels side by side, rows and columns of one map as the padding that they are."""
    if len({len(x.known) for x in values}) > 1:
        raise Stuck("joins tensors of different ranks")
    others = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in values}
    if len(others) > 1:
        raise Stuck(f"joins tensors of different sizes: {' and '.join(map(in_words, sorted(others)))}")
    if not all(x.known[axis].is_channels for x in values):
        values = [*map(call.trace.unsplit, values)]
    maps = [x for x in values if isinstance(x, Map)]
    spatial = [x for x in maps if not call.trace.pooled[x.at]]
    if any(x.known[axis].is_positions for x in spatial):
        return _concat_positions(call, values, spatial, axis)
    n = sum(x.known[axis].size for x in values)
    own = as_channels([x.known[axis] for x in maps], n)
    maps = call.trace.split_alike(maps)
    line = call.broadcast([x.with_dim(axis, Dim()) for x in maps], axis)
    dims = (*line[:axis], own, *line[axis + 1 :])
    if not maps:
        return Constant(dims)
    layer = join(call, "concat", [x.at for x in maps])
    first = maps[0] if len(maps) == 1 else Map(None, layer, split_name=maps[0].split_name)
    joined = replace(first, dims=call.trace.resize_dims(dims, layer))
    return joined if axis else _in_batch(call, joined, values)


def _in_batch(call: Call, joined: Map, values: Sequence[Value]) -> Map:
    """Mark which of a batch that was joined of values the image is, or that they are several."""
    own = [call.trace.identity(x) if isinstance(x, Map) else None for x in values]
    counts = [x.known[0].size for x in values]
    if call.trace.pooled[joined.at] or (None not in own and len({*own}) == 1):
        return joined
    if sum(not dim.has_positions for dim in joined.known) == 1:
        return joined  # one image without a batch, whose first dimension are channels
    at = next(i for i, source in enumerate(own) if source)
    single = own.count(None) == len(own) - 1 and counts[at] == 1
    batch = Batch(sum(counts), sum(counts[:at]) if single else None)
    return replace(joined, dims=(Dim(batch), *joined.known[1:]))


def _concat_positions(call: Call, values: Sequence[Value], maps: Sequence[Map], axis: int) -> Value:
    """Join along rows, columns, or both as one dimension, beside which others may be tokens."""
    roles = {x.known[axis].axis for x in maps}
    if "" not in roles:
        if len(roles) > 1:
            raise Stuck("concatenates rows with columns, as coordinate attention does")
        call.broadcast([x.with_dim(axis, Dim()) for x in values if isinstance(x, Map)], axis)  # they must fit
        return _concat_rows(call, values, axis, *roles)
    if len(maps) > 1 or not call.trace.follow_tokens:
        return call.join_flattened(maps)
    call.trace.tokens_added = True
    (x,) = maps
    more = sum(value.known[axis].size for value in values) - x.known[axis].size
    return x.with_dim(axis, x.known[axis].with_tokens(more, behind=values[0] is x))


def _concat_rows(call: Call, values: Sequence[Value], axis: int, role: str) -> Map:
    """Join rows of one map, and zeros, along its height or width: a pad, if they are in the order of some mode."""
    rows: list[Row] = []
    bases: dict[tuple[object, ...], Map] = {}
    for x in values:
        n = x.known[axis].size
        if len(rows) + n > MOST_ROWS:
            raise SizeError(f"its output would have {len(rows) + n} rows")
        if not isinstance(x, Map):
            rows += [None] * n
            continue
        base, runs = call.trace.rows_of(x.at)
        rows += runs.pop(role, range(n))
        layer = call.trace.crop(call.name("slice"), base, runs) if runs else base
        bases[base, *sorted(runs.items(), key=str)] = replace(x, layer=layer)
    if len(bases) > 1:
        raise Stuck("concatenates different maps along rows or columns")
    (x,) = bases.values()
    return _pad_to(call, x, role, rows)


def _pad_to(call: Call, x: Map, role: str, rows: Sequence[Row]) -> Map:
    """Pad or roll a map so that its rows (or columns) are `rows` of it, which must be how some mode pads."""
    trace = call.trace
    x = trace.unsplit(x)
    n = trace.sizes[x.at][trace.axes[role]]
    if rows[0] and [*rows] == [*range(rows[0], n), *range(rows[0])]:
        layer = trace.roll(call.name("pad"), x.at, {role: -rows[0]})
        return replace(x, layer=layer, dims=trace.resize_dims(x.known, layer))
    before, mode = mode_of(rows, n)
    ops = {axis: Window(1, mode=mode) for axis in trace.axes}
    ops[role] = Window(1, padding=(before, len(rows) - n - before), mode=mode)
    return trace.add_map(call.name("pad"), "pad", x, ops)


def mode_of(rows: Sequence[Row], n: int) -> tuple[int, str]:
    """Return how many of `rows` are before the `n` rows themselves, and the mode in which those around are padding.

    >>> mode_of([2, 0, 1, 2, 0], 3)
    (1, 'circular')
    """
    starts = [at for at, row in enumerate(rows) if row == 0 and rows[at + n - 1 : at + n] == [n - 1]]
    for before in starts[:MOST_TRIES]:
        if [*rows[before : before + n]] != [*range(n)]:
            continue
        for mode in TRIED:
            with suppress(SizeError):
                if [*rows] == padded_rows(mode, n, before, len(rows) - n - before):
                    return before, mode
    raise Stuck("joins rows of a map in an order that no padding has")


def roll(call: Call, x: Map, shifts: Mapping[int, int]) -> Map:
    """Roll rows and columns, those at the end to the front; rolled channels are channels all the same."""
    shifts = {axis: n for axis, n in shifts.items() if x.known[axis].has_positions}
    if x.has_parts or not all(x.known[axis].axis for axis in shifts):
        raise Stuck("rolls dimensions that are not rows or columns")
    layer = call.trace.roll(call.name(), x.at, {x.known[axis].axis: n for axis, n in shifts.items()})
    return replace(x, layer=layer)


def depth_to_space(call: Call, x: Map, roles: Sequence[str], block: int) -> Map:
    """Move channels of an image into blocks of rows and columns: an upsampling by nearest, as far as paths go."""
    ops = {role: Resize(scale=Fraction(block)) for role in roles}
    return _times_channels(call.trace.add_map(call.name(), "resize", x, ops), Fraction(1, block ** len(roles)))


def space_to_depth(call: Call, x: Map, roles: Sequence[str], block: int) -> Map:
    layer = call.trace.space_to_depth(call.name("merge"), x.at, dict.fromkeys(roles, block))
    return _times_channels(Map(call.trace.resize_dims(x.known, layer), layer), Fraction(block ** len(roles)))


def _times_channels(x: Map, times: Fraction) -> Map:
    at = next(i for i, dim in enumerate(x.known) if dim.positions) - 1
    return x.with_dim(at, plain(max(int(x.known[at].size * times), 1)))
