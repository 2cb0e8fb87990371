"""Windows over the last dimensions of a tensor: convolutions, pools, pads, crops and resizes of any framework.

Operations are given one for each of these dimensions. Those that are rows and columns become a layer; of channels each
position reads its own, so that paths pass what slides along these by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, cast, get_args

from padviz.axis.operations import Adaptive, Op, Same, Transposed, Window, out_size, sized
from padviz.axis.resize import Resize
from padviz.network.layer import POOLS, Channels, Kind
from padviz.sources.tracing.arranging import Map, Stuck, Value, in_places
from padviz.sources.tracing.axis_labels import (
    Axis,
    Dims,
    alone,
    axis_of,
    has_parts,
    has_places,
    has_positions,
    in_runs,
    is_channels,
    is_flattened,
    is_image,
    is_mixed,
    plain,
    positions,
    regrouped,
    shape_of,
    size_of,
    with_tokens,
)
from padviz.sources.tracing.calls import Call, Result, with_kernel
from padviz.sources.tracing.mixing import joined_inside
from padviz.sources.tracing.products import dense, over

Ops = Sequence[Op | None]
SAMES = get_args(Same)
STYLES = {
    "nearest": Resize(),
    "nearest-exact": Resize(grid="tf_half_pixel_for_nn"),
    "linear": Resize(linear=True),
    "bilinear": Resize(linear=True),
    "trilinear": Resize(linear=True),
    "bicubic": Resize(cubic=True),
}


def image(call: Call, x: Value, rank: int) -> tuple[Map, list[str]]:
    """Arrange a map so that its last dimensions are rows and columns, and say which of them is which."""
    x = call.arranger.unsplit(x)
    first = len(x.known) - rank
    if not isinstance(x, Map):
        raise Stuck("reads a flattened map as an image")
    if first < 1 or not 1 <= rank <= 3:
        raise Stuck(f"reads a tensor of {len(x.known)} dimensions as an image")
    before, own = x.known[:first], x.known[first:]
    vector = rank <= len(call.trace.axes) and call.trace.pooled[x.at] and not any(map(has_positions, before))
    if vector and {*shape_of(own)} != {1} and not has_places(own):
        x = call.unfolded(x)
    return call.arranger.image(x, first)


def lay(call: Call, kind: Kind, x: Value, ops: Ops, channels: Channels | None = None) -> Map:
    """Lay one layer over an image."""
    x, roles = image(call, x, len(ops))
    given = {role: op for role, op in zip(roles, ops, strict=True) if op}
    return call.arranger.lay(call.name(), kind, x, given, channels=channels)


def conv(
    call: Call, x: Value, ops: Sequence[Window | Transposed], into: int, out: int, groups: int = 1,
    weight: Value | None = None, bias: Value | None = None, own_pad: str = "",
) -> Result:  # fmt: skip
    """Convolve, or the transposed of that; a kernel that is computed from the image is a gate.

    A pad that is called `own_pad` is the convolution's own.
    """
    return with_kernel(call, lambda: _conv(call, x, ops, (into, out, groups), own_pad), weight, bias)


def _conv(call: Call, x: Value, ops: Sequence[Window | Transposed], counts: tuple[int, int, int], own_pad: str) -> Map:
    rank, (into, out, groups) = len(ops), counts
    channels = _channels(call, x, rank, *counts)
    if any(isinstance(op, Transposed) for op in ops):
        return with_channels(lay(call, "convtranspose", x, ops, channels=channels), rank, out)
    if isinstance(x, Map) and all(op == Window(1) for op in ops) and not _is_picture(call, x, rank):
        return cast("Map", dense(call, x, out, axis=-rank - 1))
    if (asking := _asking(call, x, ops)) is not None:
        return with_channels(asking, rank, out)
    if (among := _among_channels(call, "conv", x, ops, out, into == out == groups)) is not None:
        return among
    picture, roles = image(call, x, rank)
    windows: dict[str, Any] = dict(zip(roles, ops, strict=True))
    pad = call.trace.layers[picture.at]
    if own_pad and pad.name == own_pad:
        rows: dict[str, Any] = dict(zip(call.trace.axes, pad.ops, strict=True))
        windows = {role: replace(op, padding=rows[role].padding, mode=rows[role].mode) for role, op in windows.items()}
        picture = replace(picture, layer=pad.inputs[0])
    laid = call.arranger.lay(call.name(), "conv", picture, windows, channels=channels)
    return with_channels(laid, rank, out)


def _channels(call: Call, x: Value, rank: int, into: int, out: int, groups: int) -> Channels | None:
    """Count the channels of a convolution for each image; None where they make no sense.

    What becomes further images of a batch on the way is groups of channels.
    """
    batch, rest = divmod(prod(map(size_of, x.known[: -rank - 1])), call.arranger.batch)
    if rest or min(batch, into, out, groups) < 1 or into % groups or out % groups:
        return None
    return Channels(batch * into, batch * out, batch * groups)


def with_channels(x: Map, rank: int, n: int) -> Map:
    return replace(x, dims=(*x.known[: -rank - 1], plain(n), *x.known[-rank:]))


def _is_picture(call: Call, x: Map, rank: int) -> bool:
    """Tell whether the last dimensions of a map are an image once it is settled, or ought to be."""
    line = rank < len(call.trace.axes) and is_flattened(x.known[-rank:])
    return is_image(in_places(x.known), rank) and not line


def _asking(call: Call, x: Value, ops: Ops) -> Map | None:
    """Convolve inside of windows, each padded by itself: what has their positions may ask, and cannot be followed."""
    own = [alone(dim) for dim in x.known[-len(ops) :]]
    kept = (
        isinstance(part, Axis) and op and part.inner and part.step == 1 and sized(op, part.size) == part.size
        for part, op in zip(own, ops, strict=True)
    )  # fmt: skip
    if not isinstance(x, Map) or not all(kept) or has_positions(x.known[-len(ops) - 1]):
        return None
    layer = call.broken("convolves inside of windows, each padded by itself").at
    call.trace.asking[layer] = x.at
    return replace(x, layer=layer, part=())


def _inside(call: Call, x: Value, kind: Kind, ops: Ops) -> Map | None:
    """Lay what joins neighbours by so many, inside of the windows that an image is split into; None for all else."""
    own = [alone(dim) for dim in x.known[-len(ops) :]]
    split = {
        part.role: op.kernel
        for part, op in zip(own, ops, strict=True)
        if isinstance(part, Axis) and part.inner and part.step == 1 and isinstance(op, Window)
        and op == Window(op.kernel, op.kernel) and part.size % op.kernel == 0
    }  # fmt: skip
    if not isinstance(x, Map) or len(split) < len(ops) or has_positions(x.known[-len(ops) - 1]):
        return None
    return joined_inside(call.arranger, call.name(), kind, x, split)


def _among_channels(
    call: Call, kind: Kind, x: Value, ops: Ops, out: int | None = None, each_alone: bool = True
) -> Map | None:
    """Lay windows of which some slide along channels: of a position each reads what is there alone.

    None where none does, and where positions are among what is mixed: the dimension before, unless the windows take
    `each_alone` of that, as pools and depthwise convolutions do.
    """
    x = call.arranger.unsplit(x)
    *rest, before = x.known[: -len(ops)]
    own = x.known[-len(ops) :]
    each = [*zip(own, map(axis_of, own), ops, strict=True)]
    among = [dim for dim, role, op in each if not role and not _is_idle(op)]
    if not isinstance(x, Map) or not all(map(is_channels, among)):
        return None
    if (call.trace.pooled[x.at] and kind not in POOLS) or any(getattr(op, "stride", 1) < 1 for op in ops):
        return None  # of a vector an image is made first; and what makes no sense is refused as a layer
    if not any(size_of(dim) > 1 for dim in among) or (has_positions(before) and not each_alone):
        return None
    windows = {role: op for _, role, op in each if role and op}
    laid = bool(windows) and (kind == "conv" or not all(map(_is_idle, windows.values())))
    x = call.arranger.lay(call.name(), kind, x, windows) if laid else x
    pairs = zip(x.known[-len(ops) :], each, strict=True)
    dims = [dim if role or not op else plain(out_size(op, size_of(dim))) for dim, (_, role, op) in pairs]
    known = (*rest, before if out is None or has_positions(before) else plain(out), *dims)
    return replace(x, dims=known) if laid else x.activated(known) if out is None else x.part_of(known, call.part)


def _is_idle(op: Op | None) -> bool:
    return op is None or (isinstance(op, Window) and op.kernel == op.stride == 1 and op.padding in ((0, 0), *SAMES))


def transposed(kernel: int, stride: int, dilation: int, lost: int, extra: int = 0, upper: bool = True) -> Transposed:
    """Make a transposed convolution that loses so many rows of all that it makes, as SAME says: the odd one at the end.

    >>> transposed(3, 2, 1, lost=1)
    Transposed(kernel=3, stride=2, dilation=1, padding=(0, 1), output_padding=0)
    """
    less = max(lost, 0)
    ends = less // 2, less - less // 2
    return Transposed(kernel, stride, dilation, ends if upper else ends[::-1], extra + max(-lost, 0))


def pool(call: Call, x: Value, ops: Sequence[Window], kind: Kind) -> Result:
    """Pool by windows; those of a line of flattened positions are runs of it."""
    if len(ops) == 1 < len(call.trace.axes) and is_flattened(x.known[-1:]):
        return _in_runs(x, ops[0])
    if (found := _inside(call, x, kind, ops) or _among_channels(call, kind, x, ops)) is not None:
        return found
    return image(call, x, len(ops))[0].activated(x.dims) if all(map(_is_idle, ops)) else lay(call, kind, x, ops)


def _in_runs(x: Value, window: Window) -> Value:
    """Pool runs of positions that are one dimension, all of them: more than one row may be in a run."""
    *dims, line = x.known
    if window != Window(window.kernel, window.kernel) or is_mixed(line) or has_parts(x.known):
        raise Stuck("pools flattened positions, not by runs of all of them")
    if size_of(line) % window.kernel:
        raise Stuck("pools runs of positions, and leaves some out")
    return replace(x, dims=(*dims, in_runs(line, window.kernel)))


def adaptive(call: Call, x: Value, sizes: Sequence[int | None]) -> Result:
    """Pool to so many rows and columns: to one of each is a reduction."""
    if {*sizes} == {1}:
        return over(call, x, range(len(x.known))[-len(sizes) :], keep=True)
    ops = [None if n is None else Adaptive(n) for n in sizes]
    return _among_channels(call, "adaptive", x, ops) or lay(call, "adaptive", x, ops)


def resize(call: Call, x: Value, ops: Sequence[Resize | None]) -> Result:
    if not any(ops):
        return image(call, x, len(ops))[0].activated(x.dims)
    return _among_channels(call, "resize", x, ops) or lay(call, "resize", x, ops)


def pad(call: Call, x: Value, rows: Mapping[int, Window], mode: str = "zero") -> Result:
    """Pad, or crop, some dimensions, counted from the front; what is not rows and columns gets other channels."""
    x = call.arranger.unsplit(x)
    if call.arranger.follow_tokens and (beside := _tokens_of_zeros(x, rows)):
        call.arranger.tokens_added = True
        return replace(x, dims=beside)
    ops = dict.fromkeys(call.trace.axes, Window(1, mode=mode))
    dims, own = [*x.known], {at: _role(call, x, at) for at in rows}
    for at, op in rows.items():
        if own[at]:
            ops[own[at]] = op
        else:
            dims[at] = regrouped([dims[at]], max(size_of(dims[at]) + sum(_ends(op)), 0))
    if rows and not any(own.values()):
        return replace(x, dims=tuple(dims))
    ends = [n for op in ops.values() for n in _ends(op)]
    name = call.name("pad")
    with call.trace.made_by(name):
        kind: Kind = "crop" if max(ends) <= 0 > min(ends) else "pad"
        return call.arranger.lay(name, kind, replace(x, dims=tuple(dims)), ops)


def _ends(op: Window) -> tuple[int, int]:
    assert not isinstance(op.padding, str)
    return op.padding


def _role(call: Call, x: Value, at: int) -> str:
    """Find the axis that a dimension is, which must be no mixture; "" for channels."""
    dim, roles = x.known[at], [*call.trace.axes]
    if not positions(dim) and not alone(dim):
        return roles[at - 2] if size_of(dim) == 1 and len(x.known) == len(roles) + 2 and at > 1 else ""
    if not (role := axis_of(dim)):
        raise Stuck("pads what is not rows and columns")
    return role


def _tokens_of_zeros(x: Value, rows: Mapping[int, Window]) -> Dims | None:
    """Put zeros in front of positions that are one dimension, or behind them, as tokens; None for other pads."""
    padded = {at: _ends(op) for at, op in rows.items() if any(_ends(op))}
    if len(padded) != 1:
        return None
    (at, (before, after)) = padded.popitem()
    if (before and after) or not is_flattened(x.known[at : at + 1]) or is_mixed(x.known[at]):
        return None
    return (*x.known[:at], with_tokens(x.known[at], before + after, behind=after > 0), *x.known[at + 1 :])
