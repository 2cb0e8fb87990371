"""Operations that only rearrange a tensor, for every framework.

Values and plain arguments in, a value out.

A slice of rows or columns is laid as a crop at once. The trace remembers what it is cropped out of,
so that a slice of a slice is one crop. Rows that are joined again are the padding, or the roll,
that they were written for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import cast

import numpy as np

from padviz.errors import SizeError
from padviz.network.layer import Act
from padviz.network.network import in_words
from padviz.network.operations import MOST_ROWS, Blocks, Op, Window
from padviz.network.padding_modes import COPYING, RUNNING_ON, SCHEMES
from padviz.network.reads import PADDING, real_rows
from padviz.network.resize import Resize
from padviz.sources.tracing.arranging import STACKED, Arranger, Constant, Map, Stuck, V, Value
from padviz.sources.tracing.calls import Call, join
from padviz.sources.tracing.dims import (
    ROWS,
    Axis,
    Batch,
    Block,
    Channel,
    Composite,
    Dim,
    Dims,
    Tokens,
    as_channels,
    flat,
    plain,
    reshape_dims,
    whole,
    with_dim,
)
from padviz.sources.tracing.trace import Trace

Row = int | None
MOST_TRIES = 16


def _likeliest(mode: str) -> tuple[bool, bool]:
    return not SCHEMES[mode].wraps, mode not in RUNNING_ON


TRIED = ("zero", *sorted(COPYING, key=_likeliest))  # the first wins


def _rearranged(call: Call, x: Value, dims: Dims) -> Value:
    """Return a tensor with other dimensions.

    A map without rows and columns among these is pooled.
    """
    spatial = any(dim.kind == "mixed" or dim.kind in ROWS for dim in dims)
    if not spatial and call.trace.is_spatial(x):
        return replace(call.pool(x), dims=dims)
    return replace(x, dims=dims)


def reshape(call: Call, x: Value, shape: Sequence[int]) -> Value:
    """Reshape a tensor; what is put inside of each row or column is an upsampling by nearest."""
    dims = reshape_dims(x.known, shape)
    if dims is None and x.has_parts:
        x = call.trace.unsplit(x)
        dims = reshape_dims(x.known, shape)
    if not isinstance(x, Map):
        if dims is None:
            return Constant(tuple(map(plain, shape)))
        return replace(x, dims=dims)
    if _is_uniform(call, x):
        dims = _as_image(call, x, shape, dims)
    if dims is None:
        before, after = map(in_words, (x.shape, shape))
        raise Stuck(f"from {before} to {after} mixes rows and columns up", mixed=True)
    was_split = x.has_parts and x.split_name != ""
    if flat(dims).inner and not was_split:
        x = replace(x, split_name=call.name("merge"))
    if len(dims) == len(call.trace.axes) + 2:
        kept, ops = _grown(dims)
        if ops:
            x = call.trace.unsplit(replace(x, dims=kept))
            return call.trace.add_map(call.name(), "resize", x, ops)
    return _rearranged(call, x, dims)


def _is_uniform(call: Call, x: Map) -> bool:
    """Whether all positions of a map are copies of one vector, so that they may go anywhere."""
    layer = call.trace.layers[x.at]
    return layer.kind == "resize" and call.trace.layers[layer.inputs[0]].pooled


def _as_image(call: Call, x: Map, shape: Sequence[int], dims: Dims | None) -> Dims | None:
    """Return the dimensions of an image if a uniform map is reshaped to its size, or `dims`."""
    axes = call.trace.axes
    if dims is not None and axes.keys() <= {dim.axis for dim in dims[-2:]}:
        return dims
    if len(shape) != 4 or (*shape[-2:],) != call.trace.layers[x.at].size:
        return dims
    return (*map(plain, shape[:2]), *map(whole, axes, shape[-2:]))


def _grown(dims: Dims) -> tuple[Dims, dict[str, Op | None]]:
    """Return dimensions without channels inside of rows or columns, and a resize for these."""
    kept = [*dims]
    ops: dict[str, Op | None] = {}
    for i, dim in enumerate(dims):
        match dim:
            case (Axis() as rows, Channel(n, stacked=False)) if role := Dim(rows).axis:
                kept[i] = Dim(rows)
                ops[role] = Resize(scale=Fraction(n))
    return (*kept,), ops


def permute(x: V, order: Sequence[int]) -> V:
    return replace(x, dims=tuple(x.known[i] for i in order))


def transpose(x: V, one: int, other: int) -> V:
    order = [*range(len(x.known))]
    order[one], order[other] = order[other], order[one]
    return permute(x, order)


def squeeze(call: Call, x: Value, axes: Collection[int]) -> Value:
    if any(x.known[axis].size != 1 for axis in axes):
        raise Stuck("squeezes a dimension larger than 1")
    rest = tuple(dim for axis, dim in enumerate(x.known) if axis not in axes)
    return _rearranged(call, x, rest)


def unsqueeze(x: V, axes: Collection[int]) -> V:
    """Insert dimensions of size 1, at their places in the result."""
    dims = [*x.known]
    for axis in sorted(axes):
        dims.insert(axis, Dim())
    return replace(x, dims=(*dims,))


def expand(call: Call, x: Value, shape: Sequence[int]) -> Value:
    """Copy a tensor to a shape: along height or width, every row sees the one there was."""
    more = len(shape) - len(x.known)
    dims = [Dim()] * more + [*x.known]
    ops: dict[str, Op | None] = {}
    for i, n in enumerate(shape):
        dim = dims[i]
        if dim.size == n:
            continue
        if dim.kind not in ("channels", "single"):
            raise Stuck("repeats more than one row")
        if isinstance(x, Map) and dim.axis:
            ops[dim.axis] = Resize(n)
        else:
            dims[i] = plain(n)
    x = replace(x, dims=(*dims,))
    if not ops:
        return x
    return call.trace.add_map(call.name("spread"), "resize", call.trace.unsplit(x), ops)


def slice_(call: Call, x: Value, rows: Mapping[int, slice]) -> Value:
    """Slice some dimensions.

    The result is constant if it is empty, or has only constants of a batch.
    """
    runs: dict[int, range] = {}
    shape = x.shape
    for axis, part in rows.items():
        run = range(x.shape[axis])[part]
        if run != range(x.shape[axis]):
            runs[axis] = run
            shape[axis] = len(run)
    nothing = Constant(tuple(map(plain, shape)))
    if 0 in shape:
        return nothing
    if any(_needs_whole_rows(x.known[axis]) for axis in runs):
        x = call.trace.unsplit(x)
    crops: dict[str, slice] = {}
    for axis, run in runs.items():
        dim = x.known[axis]
        if isinstance(x, Map) and dim.kind == "axis":
            crops[dim.axis] = rows[axis]
            continue
        x = _slice_dim(call, x, axis, run)
        if x.dims is None:  # no map any more
            return replace(x, dims=nothing.dims)
    if crops and isinstance(x, Map):
        return _crop(call, x, crops)
    return x


def _needs_whole_rows(dim: Dim) -> bool:
    """Whether a slice picks rows or columns, whose pending splits must become layers first."""
    return dim.has_positions and dim.kind != "tokens"


def _slice_dim(call: Call, x: Value, axis: int, run: range) -> Value:
    """Slice a dimension that is no axis.

    If the result is no map, its dimensions are None.
    """
    dim = x.known[axis]
    match dim.kind:
        case "tokens" if isinstance(x, Map):
            return _without_tokens(call, x, axis, run)
        case "part" | "line" | "mixed" if isinstance(x, Map):
            raise Stuck("picks positions")
        case "batch" if (image := dim.within(Batch)[0].at) is not None:
            if image not in run:
                return Constant(None)
            if len(run) == 1:
                return x.with_dim(axis, Dim())
            return x.with_dim(axis, Dim(Batch(len(run), run.index(image))))
    return _pick(x, axis, (plain(len(run)),), run)


def _without_tokens(call: Call, x: Map, axis: int, run: range) -> Map:
    tokens = x.known[axis].within(Composite)[0]
    if not isinstance(tokens, Tokens):
        raise Stuck("slices runs of positions")
    count = tokens.of.size
    first = tokens.size - count
    if tokens.behind:
        first = 0
    if run == range(first, first + count):
        call.trace.tokens_removed = True
        return x.with_dim(axis, tokens.of)
    if run.start < first + count and run.stop > first:
        raise Stuck("slices positions that have tokens beside them")
    return call.pool(x)


def _crop(call: Call, x: Map, rows: Mapping[str, slice]) -> Map:
    """Add a crop, unless it removes the pad that windows were filled up with.

    Mirrored rows are an error until a concatenation makes padding of them.
    """
    trace = call.trace
    base, runs = trace.rows_of(x.at, rows)
    sides = trace.sides(base)
    upright: dict[str, range] = {}
    cut: dict[str, range] = {}
    for role, run in runs.items():
        upright[role] = run
        if run.step < 0:
            upright[role] = run[::-1]
        if upright[role] != range(sides[role]):
            cut[role] = upright[role]
    layer = _without_pad(trace, base, cut)
    if layer is None:
        layer = base
        if cut:
            layer = trace.crop(call.name("slice"), base, cut)
    if upright != runs:
        layer = trace.broken(call.name(), [layer], f"{call.what} mirrors rows or columns")
        trace.mark(layer, cropped=(base, runs))
    return replace(x, layer=layer, dims=trace.resize_dims(x.known, layer))


def _without_pad(trace: Trace, layer: int, runs: Mapping[str, range]) -> int | None:
    """Return windows without the pad that filled the last of them up, where a crop cuts it off.

    None for any other crop.
    """
    mixing = trace.layers[layer]
    if mixing.kind != "mixing":
        return None
    pad = trace.layers[mixing.inputs[0]]
    before, pads = mixing.inputs[0], trace.still
    if pad.kind == "pad":
        before, pads = pad.inputs[0], pad.ops
    for axis, role in enumerate(trace.axes):
        n, wanted = mixing.size[axis], trace.layers[before].size[axis]
        block = mixing.ops[axis]
        is_local = block is None or (isinstance(block, Blocks) and block.is_local)
        is_undone = runs.get(role, range(n)) == range(wanted)
        is_behind = pads[axis] in (None, Window(1, padding=(0, n - wanted)))
        if not (is_local and is_undone and is_behind):
            return None
    if pad.kind != "pad":
        return layer
    return trace.take_name(trace.add("", "mixing", pad.inputs, mixing.ops), layer, mixing.origin)


def _pick(x: V, axis: int, dims: Dims, which: object) -> V:
    """Pick some of the channels along a dimension, in whose place come `dims`."""
    dim = x.known[axis]
    match dim:
        case (Batch(),):
            raise Stuck("picks some of a batch of several maps")
        case (Block(role="bins"), *_):
            return x.activated(x.with_dim(axis, *dims).dims)
    if dim.kind not in ("channels", "places"):
        raise Stuck("picks rows or columns")
    picked = (as_channels([dim], new.size) for new in dims)
    return x.part_of(x.with_dim(axis, *picked).known, (axis, which))


def gather(
    call: Call,
    x: Value,
    axis: int,
    rows: Sequence[int] | None,
    dims: Dims,
    which: object,
) -> Value:
    """Gather `rows` along a dimension, by a tensor of these `dims`.

    If the rows are not known, they must be channels, identified by `which`.
    """
    if _needs_whole_rows(x.known[axis]):
        x = call.trace.unsplit(x)
    dim = x.known[axis]
    if not rows:
        if dim.positions and isinstance(x, Map):
            raise Stuck("gathers from mixed dimensions")
        return _pick(x, axis, dims, which)
    rows = _from_front(rows, dim.size)
    part = _slice_of(rows)
    # Mirrored rows may become padding when they are joined. Mirrored channels are just picked.
    if part and len(dims) < 2 and (part.step > 0 or dim.axis):
        x = slice_(call, x, {axis: part})
        if dims:
            return x
        return squeeze(call, x, [axis])
    if not dim.positions or not isinstance(x, Map):
        return _pick(x, axis, dims, tuple(rows))
    if not dim.axis or len(dims) != 1:
        raise Stuck("gathers from mixed dimensions")
    return _pad_to(call, x, dim.axis, rows)


def _from_front(rows: Sequence[int], n: int) -> list[int]:
    for row in rows:
        if not -n <= row < n:
            raise Stuck(f"picks {row} of {n} positions")
    return [row % n for row in rows]


def _slice_of(rows: Sequence[int]) -> slice | None:
    """Return the slice that picks these rows, mirrored or not; None if there is none."""
    steps = {b - a for a, b in pairwise(rows)} or {1}
    step = steps.pop()
    if steps or not (step > 0 or step == -1):
        return None
    end: int | None = rows[-1] + 1
    if step < 0:
        end = rows[-1] - 1
    if end == -1:
        end = None
    return slice(rows[0], end, step)


def concat(call: Call, values: Sequence[Value], axis: int) -> Value:
    """Concatenate tensors.

    Channels are joined side by side. Rows and columns must be those of one map, as padding has
    them.
    """
    if len({len(x.known) for x in values}) > 1:
        raise Stuck("joins tensors of different ranks")
    others = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in values}
    if len(others) > 1:
        sizes = " and ".join(map(in_words, sorted(others)))
        raise Stuck(f"joins tensors of different sizes: {sizes}")
    if any(x.known[axis].kind != "channels" for x in values):
        values = [*map(call.trace.unsplit, values)]
    with suppress(Stuck):
        rows, role = _picked_rows(call, values, axis)
        return _with_acts(call, values, _concat_rows(call, rows, axis, role))
    spatial = [x for x in values if call.trace.is_spatial(x)]
    if any(x.known[axis].kind in ROWS for x in spatial):
        return _concat_positions(call, values, spatial, axis)
    return _concat_channels(call, values, axis)


def _picked_rows(call: Call, values: Sequence[Value], axis: int) -> tuple[list[Map], str]:
    """Return single rows, or columns, of one map as such, and the axis that they were picked from.

    A number that was picked from both is a row if all were picked from the same column.
    """
    if any(x.known[axis] for x in values):
        raise Stuck("joins other than single rows")
    trace = call.trace
    rows = [_unpooled(trace, x) for x in values]
    runs = [trace.rows_of(x.at)[1] for x in rows]
    roles = [role for role in trace.axes if len({run.get(role) for run in runs}) > 1]
    if len(roles) != 1:
        raise Stuck("joins other than single rows")
    (role,) = roles
    if any(role in _roles(x) or trace.sides(x.at)[role] > 1 for x in rows):
        raise Stuck("joins other than single rows")
    return [x.with_dim(axis, whole(role, 1)) for x in rows], role


def _unpooled(trace: Arranger, x: Value) -> Map:
    """Return a vector as the single position that it was picked from."""
    layer = trace.layers[x.at]
    x = trace.unsplit(cast("Map", x))
    if layer.kind == "global":
        return replace(x, layer=layer.inputs[0])
    return x


def _roles(x: Map) -> set[str]:
    return {part.role for part in flat(x.known).within(Axis)}


def _side_by_side(call: Call, maps: Sequence[Map], axis: int, n: int) -> Dim:
    """Return `n` channels of maps: places if rows of one map became these."""
    joined = [x.known[axis] for x in maps]
    spatial = [x for x in maps if call.trace.is_spatial(x)]
    if len(spatial) < 2:
        return as_channels(joined, n)
    layers = {x.at for x in spatial}
    bases = {call.trace.rows_of(at)[0] for at in layers}
    is_new = {dim.size for dim in joined} == {1}
    is_lost = any(_roles(x) != call.trace.axes.keys() for x in spatial)
    if len(bases) < len(layers) or (is_lost and is_new):
        return Dim(Block(n))
    if is_lost or is_new:
        return Dim(Channel(n, stacked=True))
    return as_channels(joined, n)


def _concat_channels(call: Call, values: Sequence[Value], axis: int) -> Value:
    n = sum(x.known[axis].size for x in values)
    maps = [x for x in values if isinstance(x, Map)]
    channels = _side_by_side(call, maps, axis, n)
    maps = call.trace.split_alike(maps)
    line = call.broadcast([x.with_dim(axis, Dim()) for x in maps], axis)
    dims = with_dim(line, axis, channels)
    if not maps:
        return Constant(dims)
    layer = join(call, "concat", [x.at for x in maps])
    if len(values) > 1 and call.trace.layers[layer].pooled:
        layer = call.trace.marked_unlike(layer)
    joined = maps[0]
    if len(maps) > 1:
        joined = Map(None, layer, split_name=joined.split_name)
    joined = replace(joined, dims=call.trace.resize_dims(dims, layer))
    if axis:
        return joined
    return _in_batch(call, joined, values)


def _in_batch(call: Call, joined: Map, values: Sequence[Value]) -> Map:
    """Mark which of a batch that was joined of values the image is, or that they are several."""
    maps = [i for i, x in enumerate(values) if isinstance(x, Map)]
    sources = {call.trace.identity(x) for x in values if isinstance(x, Map)}
    if call.trace.layers[joined.at].pooled or (len(maps) == len(values) and len(sources) == 1):
        return joined
    if sum(not dim.has_positions for dim in joined.known) == 1:
        return joined  # one image without a batch, whose first dimension are channels
    counts = [x.known[0].size for x in values]
    image: int | None = None
    if len(maps) == 1 and counts[maps[0]] == 1:
        image = sum(counts[: maps[0]])
    return replace(joined, dims=(Dim(Batch(sum(counts), image)), *joined.known[1:]))


def _concat_positions(call: Call, values: Sequence[Value], maps: Sequence[Map], axis: int) -> Value:
    """Join along rows, columns, or both as one dimension, beside which others may be tokens."""
    roles = {x.known[axis].axis for x in maps}
    if "" not in roles:
        if len(roles) > 1:
            raise Stuck("concatenates rows with columns, as coordinate attention does")
        lines = [x.with_dim(axis, Dim()) for x in values if isinstance(x, Map)]
        call.broadcast(lines, axis)  # they must fit
        return _with_acts(call, values, _concat_rows(call, values, axis, *roles))
    if len(maps) > 1 or not call.trace.follow_tokens:
        return call.join_flattened(maps)
    call.trace.tokens_added = True
    (x,) = maps
    dim = x.known[axis]
    more = sum(value.known[axis].size for value in values) - dim.size
    return x.with_dim(axis, dim.with_tokens(more, behind=values[0] is x))


def _with_acts(call: Call, values: Sequence[Value], joined: Map) -> Map:
    """Return rows that were joined; if calls acted on some of them alone, positions differ."""
    parts = [call.trace.layers[x.at] for x in values if isinstance(x, Map)]
    if any(part.acts and (part.cropped or part.pooled) for part in parts):
        call.trace.act(joined.at, Act(call.name(), varies=True))
    return joined


def _concat_rows(call: Call, values: Sequence[Value], axis: int, role: str) -> Map:
    """Join rows of one map, and zeros, along its height or width.

    The result is a pad if some padding mode has that order of rows.
    """
    rows: list[Row] = []
    bases: dict[tuple[object, ...], Map] = {}
    for x in values:
        n = x.known[axis].size
        if len(rows) + n > MOST_ROWS:
            raise SizeError(f"its output would have {len(rows) + n} rows")
        if not isinstance(x, Map):
            rows += [None] * n
            continue
        layer, runs = call.trace.rows_of(x.at)
        rows += runs.pop(role, range(n))
        # The other axis may be cropped as well, but alike in all of them.
        key = (layer, *sorted(runs.items(), key=str))
        if runs:
            layer = call.trace.crop(call.name("slice"), layer, runs)
        bases[key] = replace(x, layer=layer)
    if len(bases) > 1:
        raise Stuck("concatenates different maps along rows or columns")
    (x,) = bases.values()
    read = [row for row in rows if row is not None]
    part = _slice_of(read)
    if len(read) == len(rows) and part and part.step > 0:
        layer, kept = x.at, range(call.trace.sides(x.at)[role])[part]
        if kept != range(call.trace.sides(x.at)[role]):
            layer = call.trace.crop(call.name("slice"), layer, {role: kept})
        return replace(x, layer=layer, dims=call.trace.resize_dims(x.known, layer))
    run = range(min(read), max(read) + 1)
    if len(run) < call.trace.sides(x.at)[role]:
        # What is padded is a crop, as where a decoder has dropped its first frame.
        x = replace(x, layer=call.trace.crop(call.name("slice"), x.at, {role: run}))
        rows = [row if row is None else row - run.start for row in rows]
    return _pad_to(call, x, role, rows)


def _pad_to(call: Call, x: Map, role: str, rows: Sequence[Row]) -> Map:
    """Pad or roll a map so that it has these `rows` (or columns), as some mode pads."""
    trace = call.trace
    x = trace.unsplit(x)
    n = trace.sides(x.at)[role]
    if rows[0] and [*rows] == [*range(rows[0], n), *range(rows[0])]:
        layer = trace.roll(call.name("pad"), x.at, {role: -rows[0]})
        return replace(x, layer=layer, dims=trace.resize_dims(x.known, layer))
    before, mode = mode_of(rows, n)
    ops = {axis: Window(1, mode=mode) for axis in trace.axes}
    ops[role] = Window(1, padding=(before, len(rows) - n - before), mode=mode)
    return trace.add_map(call.name("pad"), "pad", x, ops)


def mode_of(rows: Sequence[Row], n: int) -> tuple[int, str]:
    """Return how many of `rows` are before the `n` rows themselves, and the padding mode.

    >>> mode_of([2, 0, 1, 2, 0], 3)
    (1, 'circular')
    """
    wanted = [PADDING if row is None else row for row in rows]
    firsts = [at for at, row in enumerate(rows) if row == 0]
    starts = [at for at in firsts if rows[at + n - 1 : at + n] == [n - 1]]
    for before in starts[:MOST_TRIES]:
        if [*rows[before : before + n]] != [*range(n)]:
            continue
        padded = np.arange(len(rows)) - before
        for mode in TRIED:
            pad = Window(1, padding=(before, len(rows) - n - before), mode=mode)
            with suppress(SizeError):
                if real_rows(pad, n, padded).tolist() == wanted:
                    return before, mode
    raise Stuck("joins rows of a map in an order that no padding has")


def roll(call: Call, x: Map, shifts: Mapping[int, int]) -> Map:
    """Roll rows and columns, those at the end to the front.

    Rolled channels are still all of the channels.
    """
    by_role: dict[str, int] = {}
    for axis, n in shifts.items():
        dim = x.known[axis]
        if dim.has_positions and not dim.axis:
            raise Stuck("rolls dimensions that are not rows or columns")
        if dim.has_positions:
            by_role[dim.axis] = n
    if x.has_parts:
        raise Stuck("rolls dimensions that are not rows or columns")
    layer = call.trace.roll(call.name(), x.at, by_role)
    return replace(x, layer=layer)


def depth_to_space(call: Call, x: Map, roles: Sequence[str], block: int) -> Map:
    """Move channels of an image into blocks of rows and columns.

    For paths, that is an upsampling by nearest.
    """
    ops = {role: Resize(scale=Fraction(block)) for role in roles}
    resized = call.trace.add_map(call.name(), "resize", x, ops)
    return _times_channels(resized, Fraction(1, block ** len(roles)))


def space_to_depth(call: Call, x: Map, roles: Sequence[str], block: int) -> Map:
    layer = call.trace.space_to_depth(call.name("merge"), x.at, dict.fromkeys(roles, block))
    smaller = Map(call.trace.resize_dims(x.known, layer), layer)
    return _times_channels(smaller, Fraction(block ** len(roles)))


def _times_channels(x: Map, times: Fraction) -> Map:
    at = next(i for i, dim in enumerate(x.known) if dim.positions) - 1
    if times < 1 and x.known[at].stacked:
        raise Stuck(STACKED)
    channels = max(int(x.known[at].size * times), 1)
    return x.with_dim(at, Dim(Channel(channels, stacked=times > 1)))
