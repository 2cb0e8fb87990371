"""Windows over the last dimensions of a tensor.

Convolutions, pools, pads, crops and resizes of any framework.

There is one operation for each of these dimensions. Those of rows and columns become a layer; each
position reads its own channels, so that windows along these are none to paths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import inf, prod

from padviz.network.layer import POOLS, Channels, Kind
from padviz.network.operations import Adaptive, Fill, Op, Transposed, Window, out_size, sized
from padviz.network.resize import Resize, Runtime, as_computed
from padviz.sources.tracing.arranging import STACKED, Arranger, Map, Stuck, Value, in_places
from padviz.sources.tracing.calls import Call, with_kernel
from padviz.sources.tracing.dims import (
    Axis,
    Dim,
    Dims,
    Runs,
    as_channels,
    is_image,
    plain,
    shape_of,
    whole,
    without_single,
)
from padviz.sources.tracing.mixing import pool_inside
from padviz.sources.tracing.products import dense, reduce_over
from padviz.sources.tracing.trace import is_idle

Ops = Sequence[Op | None]
STYLES = {
    "nearest": Resize(),
    "nearest-exact": Resize(grid="tf_half_pixel_for_nn"),
    "linear": Resize(mode="linear"),
    "bilinear": Resize(mode="linear"),
    "trilinear": Resize(mode="linear"),
    "bicubic": Resize(mode="cubic"),
}


def image(call: Call, x: Value, rank: int) -> tuple[Map, list[str]]:
    """Arrange a map so that its last dimensions are rows and columns.

    Return it with the axis of each of these dimensions.
    """
    trace = call.trace
    x = trace.unsplit(x)
    first = len(x.known) - rank
    if not isinstance(x, Map):
        raise Stuck("reads a flattened map as an image")
    if first < 1 or not 1 <= rank <= 3:
        raise Stuck(f"reads a tensor of {len(x.known)} dimensions as an image")
    if _is_spread_vector(trace, x, rank):
        x = call.spread_vector(x, rank)
    batch, *channels = x.known[:first]
    if any(dim.has_positions for dim in channels):
        raise Stuck("reads height or width as channels")
    if batch.has_positions:
        raise Stuck("reads parts of an image as a batch")
    if x.has_looked:
        raise Stuck("reads attention scores as an image")
    roles = _roles(trace, x, rank)
    sides = trace.sides(x.at)
    dims = [without_single(dim) for dim in x.known[:first]]
    for role in roles:
        if role:
            dims.append(whole(role, sides[role]))
        else:
            dims.append(plain(1))
    return replace(x, dims=(*dims,)), roles


def _is_spread_vector(trace: Arranger, x: Map, rank: int) -> bool:
    """Whether a vector was reshaped to an image of several positions."""
    before, last = x.known[:-rank], x.known[-rank:]
    if not trace.layers[x.at].pooled or rank > len(trace.axes) or {*shape_of(last)} == {1}:
        return False
    is_image = not any(dim.has_positions for dim in before)
    return is_image and not any(dim.stacked for dim in last)


def _roles(trace: Arranger, x: Map, rank: int) -> list[str]:
    """Return the axis of each of the last dimensions; "" for a depth of one, for example."""
    last = x.known[-rank:]
    roles = [dim.axis for dim in last]
    absent = [role for role in trace.axes if role not in roles]
    for dim in last:
        # Where an axis has a single position, a dimension of size 1 may stand for it.
        stands_for_none = dim.kind in ("channels", "single") and dim.size == 1
        if not dim.axis and not stands_for_none:
            raise _mixed(last)
    if trace.has_several(x.at, absent):
        raise _mixed(last)
    for i in reversed(range(rank)):
        if not roles[i] and absent:
            roles[i] = absent.pop()
    return roles


def _mixed(dims: Dims) -> Stuck:
    if any(dim.stacked for dim in dims):
        return Stuck(STACKED)
    kinds = {dim.kind for dim in dims}
    why = "reads mixed height, width and channels as an image"
    return Stuck(why, flattened="line" in kinds and "mixed" not in kinds)


def add_layer(call: Call, kind: Kind, x: Value, ops: Ops, channels: Channels | None = None) -> Map:
    x, roles = image(call, x, len(ops))
    by_role = {role: op for role, op in zip(roles, ops, strict=True) if op}
    return call.trace.add_map(call.name(), kind, x, by_role, channels=channels)


def conv(
    call: Call,
    x: Value,
    ops: Sequence[Window | Transposed],
    into: int,
    out: int,
    groups: int = 1,
    weight: Value | None = None,
    bias: Value | None = None,
    own_pad: str = "",
) -> Value:
    """Add a convolution, or a transposed one; a pad that is called `own_pad` is its own."""

    def laid() -> Value:
        channels = _channels(call, x, len(ops), into, out, groups)
        if any(isinstance(op, Transposed) for op in ops):
            return _with_channels(add_layer(call, "convtranspose", x, ops, channels), len(ops), out)
        if isinstance(x, Map) and _is_dense(call, x, ops):
            return dense(call, x, out, axis=-len(ops) - 1)
        result = _conv_in_windows(call, x, ops)
        if result is None:
            among = _among_channels(call, "conv", x, ops, out, into == out == groups)
            if among is not None:
                return among
            result = _conv_image(call, x, ops, channels, own_pad)
        return _with_channels(result, len(ops), out)

    return with_kernel(call, laid, weight, bias)


def _channels(call: Call, x: Value, rank: int, into: int, out: int, groups: int) -> Channels | None:
    """Return the channels of a convolution; None where a file states impossible ones."""
    # What becomes further images of a batch on the way is groups of channels.
    batch, rest = divmod(prod(x.shape[: -rank - 1]), call.trace.batch)
    if rest or min(batch, into, out, groups) < 1 or into % groups or out % groups:
        return None
    return Channels(batch * into, batch * out, batch * groups)


def _with_channels(x: Map, rank: int, n: int) -> Map:
    return x.with_dim(len(x.known) - rank - 1, plain(n))


def _is_dense(call: Call, x: Map, ops: Ops) -> bool:
    """Whether a convolution of one tap reads positions that are not arranged as an image.

    Then it acts on each position alone, as a linear layer does.
    """
    if any(op != Window(1) for op in ops):
        return False
    rank = len(ops)
    for dim in x.known[-rank:]:
        # flattened positions as one dimension
        if rank < len(call.trace.axes) and dim.kind in ("line", "mixed"):
            return True
        # patches as two dimensions: the places in each, and all patches
        if len({part.role for part in dim.inner}) > 1:
            return True
    return not is_image(in_places(x.known), rank)


def _conv_image(call: Call, x: Value, ops: Ops, channels: Channels | None, own_pad: str) -> Map:
    picture, roles = image(call, x, len(ops))
    windows = dict(zip(roles, ops, strict=True))
    pad = call.trace.layers[picture.at]
    if own_pad and pad.name == own_pad:
        for role, rows in zip(call.trace.axes, pad.ops, strict=True):
            op = windows.get(role)
            if isinstance(op, Window) and isinstance(rows, Window):
                windows[role] = replace(op, padding=rows.padding, mode=rows.mode)
        picture = replace(picture, layer=pad.inputs[0])
    return call.trace.add_map(call.name(), "conv", picture, windows, channels)


def _inner_axes(x: Value, ops: Ops) -> list[tuple[Axis, Op]]:
    """Pair operations with the innermost parts of split axes that they slide along.

    The list is empty unless every operation slides along one such part and nothing else.
    """
    if x.known[-len(ops) - 1].has_positions:
        return []
    pairs: list[tuple[Axis, Op]] = []
    for dim, op in zip(x.known[-len(ops) :], ops, strict=True):
        if dim.kind != "part" or op is None:
            return []
        for part in dim.within(Axis):
            if part.inner and part.step == 1:
                pairs += [(part, op)]
    if len(pairs) < len(ops):
        return []
    return pairs


def _conv_in_windows(call: Call, x: Value, ops: Ops) -> Map | None:
    """Convolve inside of windows, each padded by itself.

    The result cannot be followed. It may only be the queries or keys of attention.
    """
    pairs = _inner_axes(x, ops)
    if not isinstance(x, Map) or not pairs:
        return None
    if any(sized(op, part.size) != part.size for part, op in pairs):
        return None
    layer = call.broken("convolves inside of windows, each padded by itself").at
    call.trace.mark(layer, alike=x.at)
    return replace(x, layer=layer, part=())


def _pool_in_windows(call: Call, x: Value, kind: Kind, ops: Ops) -> Map | None:
    """Pool inside of windows, each to a smaller one.

    None if some pool overlaps or leaves rows out.
    """
    pools: dict[str, int] = {}
    for part, op in _inner_axes(x, ops):
        if not isinstance(op, Window) or part.size % op.kernel:
            continue
        if op == Window(op.kernel, op.kernel):
            pools[part.role] = op.kernel
    if not isinstance(x, Map) or len(pools) < len(ops):
        return None
    return pool_inside(call.trace, call.name(), kind, x, pools)


def _among_channels(
    call: Call,
    kind: Kind,
    x: Value,
    ops: Ops,
    out: int | None = None,
    each_alone: bool = True,
) -> Map | None:
    """Add windows of which some slide along channels.

    None if none does, or if positions would be mixed. Pools and depthwise convolutions take
    `each_alone` of the dimension before.
    """
    x = call.trace.unsplit(x)
    *rest, before = x.known[: -len(ops)]
    dims = [*x.known[-len(ops) :]]
    if not isinstance(x, Map) or not _slides_among_channels(dims, ops):
        return None
    # A convolution makes an image of a vector first, and joins channels of the dimension before.
    if call.trace.layers[x.at].pooled and _makes_image(call, kind, len(ops)):
        return None
    if before.has_positions and not each_alone:
        return None
    windows: dict[str, Op | None] = {}
    for i, op in enumerate(ops):
        if op and dims[i].axis:
            windows[dims[i].axis] = op
        elif op:
            dims[i] = plain(out_size(op, dims[i].size))
    if out is not None and not before.has_positions:
        before = plain(out)
    known = (*rest, before, *dims)
    if _is_layer(kind, windows.values()):
        x = call.trace.add_map(call.name(), kind, x, windows)
        return replace(x, dims=call.trace.resize_dims(known, x.at))
    if out is None:
        return x.activated(known)
    return x.part_of(known, call)


def _makes_image(call: Call, kind: Kind, rank: int) -> bool:
    return kind not in POOLS or rank == len(call.trace.axes)


def _is_layer(kind: Kind, windows: Collection[Op | None]) -> bool:
    """Whether windows do anything; a convolution of one tap costs something at least."""
    if kind == "conv":
        return bool(windows)
    return not all(map(is_idle, windows))


def _slides_among_channels(dims: Sequence[Dim], ops: Ops) -> bool:
    """Whether a window slides along several channels, and all others along rows and columns."""
    if any(getattr(op, "stride", 1) < 1 for op in ops):
        return False  # a stride that is refused as a layer
    slides = False
    for dim, op in zip(dims, ops, strict=True):
        if not dim.axis and not is_idle(op):
            if dim.kind != "channels" or dim.stacked:
                return False
            slides = slides or dim.size > 1
    return slides


def transposed(
    kernel: int,
    stride: int,
    dilation: int,
    lost: int,
    extra: int = 0,
    upper: bool = True,
) -> Transposed:
    """Return a transposed convolution that loses some rows, as SAME has it: the odd one at the end.

    >>> transposed(3, 2, 1, lost=1)
    Transposed(kernel=3, stride=2, dilation=1, padding=(0, 1), output_padding=0)
    """
    less = max(lost, 0)
    ends = less // 2, less - less // 2
    if not upper:
        ends = ends[::-1]
    return Transposed(kernel, stride, dilation, ends, extra + max(-lost, 0))


def pool(call: Call, x: Value, ops: Sequence[Window], kind: Kind) -> Value:
    """Pool by windows.

    Along flattened positions these must be whole runs, which may be longer than a row.
    """
    if len(ops) == 1 < len(call.trace.axes) and x.known[-1].kind == "line":
        return _pool_line(x, ops[0])
    pooled = _pool_in_windows(call, x, kind, ops)
    if pooled is None:
        pooled = _among_channels(call, kind, x, ops)
    if pooled is not None:
        return pooled
    picture, _ = image(call, x, len(ops))
    layer = call.trace.layers[picture.at]
    # over the single position of a map, a window of one tap may be a global pool
    if all(map(is_idle, ops)) and (layer.pooled or {*layer.size} != {1}):
        return picture.activated(x.dims)
    return add_layer(call, kind, x, ops)


def _pool_line(x: Value, op: Window) -> Value:
    line, run = x.known[-1], op.kernel
    if op != Window(run, run) or x.has_parts:
        raise Stuck("pools flattened positions other than by whole runs")
    if line.size % run:
        raise Stuck("pools runs of positions that leave some out")
    return x.with_dim(len(x.known) - 1, Dim(Runs(line.size // run, line)))


def without_padding(ops: Sequence[Window]) -> list[Window]:
    """Return the windows of an average that leaves padding out."""
    if all(op.padding == (0, 0) for op in ops):
        return [*ops]
    return [replace(op, fill="none") for op in ops]


def filling(value: float) -> Fill:
    """Return what a pad of one value is filled with: -inf is nothing to a max pool."""
    if value == -inf:
        return "none"
    return value


def adaptive(call: Call, x: Value, sizes: Sequence[int | None], maximum: bool = False) -> Value:
    rank = len(sizes)
    shape = x.shape[-rank:]
    wanted = [*shape]
    ops: list[Op | None] = [None] * rank
    for i, n in enumerate(sizes):
        if n is not None:
            wanted[i] = n
        if n is not None and not n == shape[i] == 1:  # a single row is its own mean
            ops[i] = Adaptive(n, maximum=maximum)
    if all(n == 1 for n in wanted):
        return reduce_over(call, x, range(len(x.known))[-rank:], keep=True)
    if not any(ops):
        return image(call, x, rank)[0].activated(x.dims)
    return _among_channels(call, "adaptive", x, ops) or add_layer(call, "adaptive", x, ops)


def resize(call: Call, x: Value, ops: Sequence[Resize | None], runtime: Runtime) -> Value:
    """Resize the last dimensions, in the arithmetic of the runtime."""
    if not any(ops):
        return image(call, x, len(ops))[0].activated(x.dims)
    resized = _among_channels(call, "resize", x, ops) or add_layer(call, "resize", x, ops)
    layers = call.trace.layers
    layer = layers[resized.at]
    computed = list[Op | None]()
    for op, n, m in zip(layer.ops, layers[layer.inputs[0]].size, layer.size, strict=True):
        computed.append(as_computed(op, n, m, runtime) if isinstance(op, Resize) else op)
    call.trace.mark(resized.at, ops=(*computed,))
    return resized


def pad(call: Call, x: Value, rows: Mapping[int, Window], mode: str = "zero") -> Value:
    """Pad, or crop, some dimensions, counted from the front.

    Dimensions without rows or columns get other channels.
    """
    x = call.trace.unsplit(x)
    ends: dict[int, tuple[int, int]] = {}
    for at, op in rows.items():
        if not isinstance(op.padding, str):
            ends[at] = op.padding
    if call.trace.follow_tokens:
        padded = _pad_tokens(call, x, ends)
        if padded is not None:
            return padded
    ops: dict[str, Op | None] = {role: Window(1, mode=mode) for role in call.trace.axes}
    roles: dict[int, str] = {at: _role(call, x, at) for at in rows}
    dims = [*x.known]
    amounts: list[int] = []
    for at, role in roles.items():
        if not role:
            dims[at] = as_channels([dims[at]], max(dims[at].size + sum(ends[at]), 0))
            continue
        ops[role] = rows[at]
        amounts += ends[at]
        if not dims[at].axis:  # a vector, whose only row is the image's now
            dims[at] = whole(role, 1)
    x = replace(x, dims=(*dims,))
    if rows and not any(roles.values()):
        return x
    name = call.name("pad")
    with call.trace.made_by(name):
        if not amounts or min(amounts) >= 0:
            return call.trace.add_map(name, "pad", x, ops)
        if max(amounts) <= 0:
            return call.trace.add_map(name, "crop", x, ops)
        # What a pad adds counts as padding of the window after it; what it crops is no padding, and
        # goes first.
        cropped = call.trace.add_map(f"{name}.cropped", "crop", x, _clipped(ops, min))
        return call.trace.add_map(name, "pad", cropped, _clipped(ops, max))


def _clipped(
    ops: Mapping[str, Op | None], bound: Callable[[int, int], int]
) -> dict[str, Op | None]:
    """Return the windows of a pad with only the rows that it adds, or only those that it crops."""
    clipped = dict(ops)
    for role, op in ops.items():
        if isinstance(op, Window) and not isinstance(op.padding, str):
            before, after = op.padding
            clipped[role] = replace(op, padding=(bound(before, 0), bound(after, 0)))
    return clipped


def _pad_tokens(call: Call, x: Value, ends: Mapping[int, tuple[int, int]]) -> Value | None:
    """Pad flattened positions with tokens in front, or behind.

    None if anything else is padded.
    """
    padded = [at for at, amounts in ends.items() if any(amounts)]
    if len(padded) != 1:
        return None
    (at,) = padded
    before, behind = ends[at]
    if 0 not in (before, behind) or x.known[at].kind != "line":
        return None
    call.trace.tokens_added = True
    return x.with_dim(at, x.known[at].with_tokens(before + behind, behind=behind > 0))


def _role(call: Call, x: Value, at: int) -> str:
    """Return the axis that a padded dimension is; "" for channels."""
    dim = x.known[at]
    if dim.axis:
        return dim.axis
    if dim.kind not in ("channels", "places"):
        raise Stuck("pads dimensions that are not rows or columns")
    roles = [*call.trace.axes]
    if dim.size == 1 and len(x.known) == len(roles) + 2 and at > 1:
        return roles[at - 2]
    return ""
