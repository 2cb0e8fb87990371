"""Keras layers that read windows of an image: convolutions, pools, pads, crops and resizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from padviz.axis.operations import Transposed, Window
from padviz.axis.resize import Resize
from padviz.network.layer import Kind
from padviz.sources.keras.activations import activated
from padviz.sources.keras.call import Call
from padviz.sources.keras.model import Malformed
from padviz.sources.tracing import windows
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.products import over

STYLES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}  # what PyTorch calls them


def conv(call: Call) -> Result:
    return activated(call, _conv(call, call.tensor(0), call.windows(), call.number("filters"), call.number("groups")))


def depthwise(call: Call) -> Result:
    return activated(call, _depthwise(call))


def _depthwise(call: Call) -> Value:
    x = call.tensor(0)
    n = call.channels_of(x)
    return _conv(call, x, call.windows(), n * call.number("depth_multiplier"), n)


def separable(call: Call) -> Result:
    """Lay a depthwise convolution, and one of a single tap that joins its channels."""
    deep = _depthwise(replace(call, title=f"{call.title}.depthwise"))
    return activated(call, _conv(call, deep, [Window(1), Window(1)], call.number("filters")))


def transposed(call: Call) -> Result:
    given = call.config.get("output_padding") is not None
    extra = call.pair("output_padding", 0) if given else (None, None)
    ops = [_spread(window, call.same(), more) for window, more in zip(call.windows(), extra, strict=True)]
    return activated(call, _conv(call, call.tensor(0), ops, call.number("filters")))


def _spread(window: Window, same: bool, extra: int | None) -> Transposed:
    """Make a transposed convolution as large as Keras does: of n rows n * stride under SAME, all else without it."""
    extent, stride = window.extent, window.stride
    lost = extent - stride if extra is None else 2 * (extent // 2) - extra
    if not same:
        lost = min(extent - stride, 0) if extra is None else -extra
    return windows.transposed(window.kernel, stride, window.dilation, lost)


def _conv(call: Call, x: Value, ops: Sequence[Window | Transposed], out: int, groups: int = 1) -> Value:
    into = call.channels_of(x)
    if min(into, out, groups) < 1 or into % groups or out % groups:
        raise Malformed(f"it makes {out} channels of {into} in {groups} groups")
    return call.turned_back(windows.conv(call, call.picture(x), ops, into, out, groups))


def pool(kind: Kind) -> Callable[[Call], Result]:
    return lambda call: _over(call, windows.pool, call.windows("pool_size", pools=True), kind)


def global_pool(call: Call) -> Result:
    x = call.tensor(0)
    if len(x.known) != 4:
        raise Stuck("pools what is no image")
    return over(call, x, (1, 2) if call.channels_last else (2, 3), bool(call.config.get("keepdims")))


def adaptive_pool(call: Call) -> Result:
    return _over(call, windows.adaptive, _positive(call, "output_size"))


def pad(call: Call) -> Result:
    return _over(call, windows.pad, {i: Window(1, padding=rows) for i, rows in enumerate(call.sides("padding"), 2)})


def crop(call: Call) -> Result:
    rows = enumerate(call.sides("cropping"), 2)
    return _over(call, windows.pad, {i: Window(1, padding=(-before, -after)) for i, (before, after) in rows})


def upsample(call: Call) -> Result:
    style = _style(call, "nearest")
    return _over(call, windows.resize, [replace(style, scale=Fraction(n)) for n in _positive(call, "size")])


def resize(call: Call) -> Result:
    if any(call.config.get(key) for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")):
        raise Stuck("keeps an aspect ratio, or shrinks with antialiasing")
    style = _style(call, "bilinear")
    return _over(call, windows.resize, [replace(style, size=call.number(key, 0)) for key in ("height", "width")])


def _over(call: Call, lay: Callable[..., Result], *how: Any) -> Result:
    return call.turned_back(lay(call, call.picture(call.tensor(0)), *how))


def _style(call: Call, default: str) -> Resize:
    how = call.config.get("interpolation", default)
    if how not in STYLES:
        raise Stuck(f"interpolates by {str(how)[:40]}")
    return windows.STYLES[STYLES[how]]


def _positive(call: Call, key: str) -> tuple[int, int]:
    pair = call.pair(key, 2)
    if min(pair) < 1:
        raise Malformed(f"its {key} is not positive")
    return pair
