"""Windows over the last dimensions of a tensor: convolutions, pools, pads, crops and resizes of any framework.

There is one operation for each of these dimensions. Those of rows and columns become a layer; each position reads its
own channels, so that windows along these are none to paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, prod

from padviz.network.layer import POOLS, Channels, Kind
from padviz.network.operations import Adaptive, Fill, Op, Transposed, Window, out_size, sized
from padviz.network.resize import Resize
from padviz.sources.tracing.arranging import Map, Stuck, Value, in_places
from padviz.sources.tracing.calls import Call, with_kernel
from padviz.sources.tracing.dims import Axis, Dim, Runs, as_channels, is_image, plain, shape_of, whole
from padviz.sources.tracing.products import dense, pool_inside, reduce_over
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
    """Arrange a map so that its last dimensions are rows and columns; return the axis of each, too."""
    trace, x = call.trace, call.trace.unsplit(x)
    first = len(x.known) - rank
    if not isinstance(x, Map):
        raise Stuck("reads a flattened map as an image")
    if first < 1 or not 1 <= rank <= 3:
        raise Stuck(f"reads a tensor of {len(x.known)} dimensions as an image")
    before, own = x.known[:first], x.known[first:]
    vector = rank <= len(trace.axes) and trace.pooled[x.at] and not any(dim.has_positions for dim in before)
    if vector and {*shape_of(own)} != {1} and not any(dim.has_places for dim in own):
        x = call.spread_vector(x, rank)
        before, own = x.known[:first], x.known[first:]
    if any(dim.has_positions for dim in before[1:]):
        raise Stuck("reads height or width as channels")
    if before[0].has_positions:
        raise Stuck("reads parts of an image as a batch")
    if x.has_looked:
        raise Stuck("reads attention scores as an image")
    roles = [dim.axis for dim in own]
    absent = [role for role in trace.axes if role not in roles]
    stray = any(dim.size > 1 or dim.alone for role, dim in zip(roles, own, strict=True) if not role)
    if stray or call.trace.has_several(x.at, absent):
        flattened = any(dim.is_flattened for dim in own) and not any(dim.is_mixed for dim in own)
        raise Stuck("reads mixed height, width and channels as an image", flattened=flattened)
    roles = [role or (absent.pop() if absent else "") for role in roles[::-1]][::-1]
    sizes = dict(zip(trace.axes, trace.sizes[x.at], strict=True))
    own = tuple(whole(role, sizes[role]) if role else plain(1) for role in roles)
    return replace(x, dims=(*(dim.without_single for dim in before), *own)), roles


def add_layer(call: Call, kind: Kind, x: Value, ops: Ops, channels: Channels | None = None) -> Map:
    x, roles = image(call, x, len(ops))
    given = {role: op for role, op in zip(roles, ops, strict=True) if op}
    return call.trace.add_map(call.name(), kind, x, given, channels=channels)


def conv(
    call: Call, x: Value, ops: Sequence[Window | Transposed], into: int, out: int, groups: int = 1,
    weight: Value | None = None, bias: Value | None = None, own_pad: str = "",
) -> Value:  # fmt: skip
    """Add a convolution, or a transposed one; a pad that is called `own_pad` is its own."""
    rank = len(ops)

    def with_channels(x: Map) -> Map:
        return replace(x, dims=(*x.known[: -rank - 1], plain(out), *x.known[-rank:]))

    def laid() -> Value:
        # what becomes further images of a batch on the way is groups of channels
        batch, rest = divmod(prod(x.shape[: -rank - 1]), call.trace.batch)
        channels = None
        if not rest and min(batch, into, out, groups) > 0 and not into % groups and not out % groups:
            channels = Channels(batch * into, batch * out, batch * groups)
        if any(isinstance(op, Transposed) for op in ops):
            return with_channels(add_layer(call, "convtranspose", x, ops, channels))
        if isinstance(x, Map) and all(op == Window(1) for op in ops):
            own = x.known[-rank:]
            line = rank < len(call.trace.axes) and any(dim.is_flattened for dim in own)
            # patches as two dimensions: the places in each, and all patches
            patches = any(dim.has_parts and len({part.role for part in dim.inner}) > 1 for dim in own)
            if line or patches or not is_image(in_places(x.known), rank):
                return dense(call, x, out, axis=-rank - 1)
        if (inside := _conv_in_windows(call, x, ops)) is not None:
            return with_channels(inside)
        if (among := _among_channels(call, "conv", x, ops, out, into == out == groups)) is not None:
            return among
        picture, roles = image(call, x, rank)
        windows = dict(zip(roles, ops, strict=True))
        pad = call.trace.layers[picture.at]
        if own_pad and pad.name == own_pad:
            for role, rows in zip(call.trace.axes, pad.ops, strict=True):
                if isinstance(op := windows.get(role), Window) and isinstance(rows, Window):
                    windows[role] = replace(op, padding=rows.padding, mode=rows.mode)
            picture = replace(picture, layer=pad.inputs[0])
        return with_channels(call.trace.add_map(call.name(), "conv", picture, windows, channels))

    return with_kernel(call, laid, weight, bias)


def _inner_axes(x: Value, ops: Ops) -> list[tuple[Axis, Op]]:
    """Pair operations with the innermost parts of split axes; an empty list unless each is over one, and each alone."""
    own = [dim.alone for dim in x.known[-len(ops) :]]
    pairs = [(part, op) for part, op in zip(own, ops, strict=True) if isinstance(part, Axis) and op]
    inner = all(part.inner and part.step == 1 for part, _ in pairs)
    return pairs if inner and len(pairs) == len(ops) and not x.known[-len(ops) - 1].has_positions else []


def _conv_in_windows(call: Call, x: Value, ops: Ops) -> Map | None:
    """Convolve inside of windows, each padded by itself: what has their positions may ask, and cannot be followed."""
    inner = _inner_axes(x, ops)
    if not isinstance(x, Map) or not inner or any(sized(op, part.size) != part.size for part, op in inner):
        return None
    layer = call.broken("convolves inside of windows, each padded by itself").at
    call.trace.asking[layer] = x.at
    return replace(x, layer=layer, part=())


def _pool_in_windows(call: Call, x: Value, kind: Kind, ops: Ops) -> Map | None:
    pools = {
        part.role: op.kernel
        for part, op in _inner_axes(x, ops)
        if isinstance(op, Window) and op == Window(op.kernel, op.kernel) and not part.size % op.kernel
    }
    if not isinstance(x, Map) or len(pools) < len(ops):
        return None
    return pool_inside(call.trace, call.name(), kind, x, pools)


def _among_channels(
    call: Call, kind: Kind, x: Value, ops: Ops, out: int | None = None, each_alone: bool = True
) -> Map | None:
    """Add windows of which some slide along channels; None where none does, or where positions are mixed.

    Pools and depthwise convolutions take `each_alone` of the dimension before.
    """
    x = call.trace.unsplit(x)
    *rest, before = x.known[: -len(ops)]
    own = x.known[-len(ops) :]
    each = [*zip(own, (dim.axis for dim in own), ops, strict=True)]
    among = [dim for dim, role, op in each if not role and not is_idle(op)]
    if not isinstance(x, Map) or not all(dim.is_channels for dim in among):
        return None
    if (call.trace.pooled[x.at] and kind not in POOLS) or any(getattr(op, "stride", 1) < 1 for op in ops):
        return None  # an image is made of a vector first; a stride below 1 is refused as a layer
    if not any(dim.size > 1 for dim in among) or (before.has_positions and not each_alone):
        return None
    windows = {role: op for _, role, op in each if role and op}
    is_layer = bool(windows) and (kind == "conv" or not all(map(is_idle, windows.values())))
    x = call.trace.add_map(call.name(), kind, x, windows) if is_layer else x
    pairs = zip(x.known[-len(ops) :], each, strict=True)
    dims = [dim if role or not op else plain(out_size(op, dim.size)) for dim, (_, role, op) in pairs]
    known = (*rest, before if out is None or before.has_positions else plain(out), *dims)
    if is_layer:
        return replace(x, dims=known)
    return x.activated(known) if out is None else x.part_of(known, call)


def transposed(kernel: int, stride: int, dilation: int, lost: int, extra: int = 0, upper: bool = True) -> Transposed:
    """Return a transposed convolution that loses some rows, as SAME has it: the odd one at the end.

    >>> transposed(3, 2, 1, lost=1)
    Transposed(kernel=3, stride=2, dilation=1, padding=(0, 1), output_padding=0)
    """
    less = max(lost, 0)
    ends = less // 2, less - less // 2
    return Transposed(kernel, stride, dilation, ends if upper else ends[::-1], extra + max(-lost, 0))


def pool(call: Call, x: Value, ops: Sequence[Window], kind: Kind) -> Value:
    """Pool by windows; those of a line of flattened positions must be runs of it, of more than one row maybe."""
    if len(ops) == 1 < len(call.trace.axes) and x.known[-1].is_flattened:
        line, run = x.known[-1], ops[0].kernel
        if ops[0] != Window(run, run) or line.is_mixed or x.has_parts:
            raise Stuck("pools flattened positions other than by whole runs")
        if line.size % run:
            raise Stuck("pools runs of positions that leave some out")
        return x.with_dim(len(x.known) - 1, Dim(Runs(line.size // run, line)))
    if (found := _pool_in_windows(call, x, kind, ops) or _among_channels(call, kind, x, ops)) is not None:
        return found
    found, _ = image(call, x, len(ops))
    # over the single position of a map, a window of one tap may be a global pool
    if all(map(is_idle, ops)) and (call.trace.pooled[found.at] or {*call.trace.sizes[found.at]} != {1}):
        return found.activated(x.dims)
    return add_layer(call, kind, x, ops)


def without_padding(ops: Sequence[Window]) -> list[Window]:
    """Return the windows of an average that leaves padding out."""
    padded = any(op.padding != (0, 0) for op in ops)
    return [replace(op, fill="none") for op in ops] if padded else [*ops]


def filling(value: float) -> Fill:
    """Return what a pad of one value is filled with: -inf is nothing to a max pool."""
    return "none" if value == -inf else value


def adaptive(call: Call, x: Value, sizes: Sequence[int | None], maximum: bool = False) -> Value:
    own = [*zip(sizes, x.shape[-len(sizes) :], strict=True)]
    if all((m if n is None else n) == 1 for n, m in own):
        return reduce_over(call, x, range(len(x.known))[-len(sizes) :], keep=True)
    # a single row is its own mean
    ops = [None if n is None or n == m == 1 else Adaptive(n, maximum=maximum) for n, m in own]
    if not any(ops):
        return image(call, x, len(ops))[0].activated(x.dims)
    return _among_channels(call, "adaptive", x, ops) or add_layer(call, "adaptive", x, ops)


def resize(call: Call, x: Value, ops: Sequence[Resize | None]) -> Value:
    if not any(ops):
        return image(call, x, len(ops))[0].activated(x.dims)
    return _among_channels(call, "resize", x, ops) or add_layer(call, "resize", x, ops)


def pad(call: Call, x: Value, rows: Mapping[int, Window], mode: str = "zero") -> Value:
    """Pad, or crop, some dimensions, counted from the front; those that are no rows and columns get other channels."""
    x = call.trace.unsplit(x)
    ends = {at: op.padding for at, op in rows.items() if not isinstance(op.padding, str)}
    padded = [at for at, amounts in ends.items() if any(amounts)]
    if call.trace.follow_tokens and len(padded) == 1:
        (at,) = padded
        if 0 in ends[at] and x.known[at].is_flattened and not x.known[at].is_mixed:
            call.trace.tokens_added = True
            beside = x.known[at].with_tokens(sum(ends[at]), behind=ends[at][1] > 0)
            return x.with_dim(at, beside)
    ops = dict.fromkeys(call.trace.axes, Window(1, mode=mode))
    dims, own = [*x.known], {at: _role(call, x, at) for at in rows}
    for at, op in rows.items():
        if own[at]:
            ops[own[at]] = op
            # a vector, whose only row is the image's now
            dims[at] = dims[at] if dims[at].alone else whole(own[at], 1)
        else:
            dims[at] = as_channels([dims[at]], max(dims[at].size + sum(ends[at]), 0))
    x = replace(x, dims=tuple(dims))
    if rows and not any(own.values()):
        return x
    amounts = [n for at in rows if own[at] for n in ends[at]] or [0]
    name = call.name("pad")
    with call.trace.made_by(name):
        return call.trace.add_map(name, "crop" if max(amounts) <= 0 > min(amounts) else "pad", x, ops)


def _role(call: Call, x: Value, at: int) -> str:
    dim, roles = x.known[at], [*call.trace.axes]
    if not dim.positions and not dim.alone:
        return roles[at - 2] if dim.size == 1 and len(x.known) == len(roles) + 2 and at > 1 else ""
    if not (role := dim.axis):
        raise Stuck("pads dimensions that are not rows or columns")
    return role
