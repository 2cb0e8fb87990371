"""Keras layers that read windows of an image: convolutions, pools, pads, crops and resizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from padviz.axis.operations import Adaptive, Op, Transposed, Window
from padviz.axis.resize import Resize
from padviz.network.layer import Channels, Kind
from padviz.sources.keras.activations import activated
from padviz.sources.keras.call import Call
from padviz.sources.keras.model import Malformed
from padviz.sources.tracing.arranging import Map, Stuck
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.meeting.contracting import over

STYLES: dict[str, dict[str, Any]] = {
    "nearest": {"grid": "tf_half_pixel_for_nn"},
    "bilinear": {"linear": True},
    "bicubic": {"cubic": True},
}


def conv(call: Call) -> Result:
    x, out, groups = call.tensor(0), call.number("filters"), call.number("groups")
    channels = _channels(call.channels_of(x), out, groups)
    return activated(call, call.lay_windows("conv", x, call.windows(), out, channels))


def depthwise(call: Call) -> Result:
    return activated(call, _depthwise(call))


def _depthwise(call: Call) -> Map:
    x, times = call.tensor(0), call.number("depth_multiplier")
    n = call.channels_of(x)
    return call.lay_windows("conv", x, call.windows(), n * times, _channels(n, n * times, n))


def separable(call: Call) -> Result:
    """Lay a depthwise convolution, and one of a single tap that joins its channels."""
    deep = _depthwise(replace(call, title=f"{call.title}.depthwise"))
    out = call.number("filters")
    channels = _channels(call.channels_of(deep), out, 1)
    return activated(call, call.lay_windows("conv", deep, [Window(1), Window(1)], out, channels))


def transposed(call: Call) -> Result:
    x, out = call.tensor(0), call.number("filters")
    given = call.config.get("output_padding") is not None
    extra = call.pair("output_padding", 0) if given else (None, None)
    ops = [_spread(window, call.same(), more) for window, more in zip(call.windows(), extra, strict=True)]
    return activated(call, call.lay_windows("convtranspose", x, ops, out, _channels(call.channels_of(x), out, 1)))


def _spread(window: Window, same: bool, extra: int | None) -> Transposed:
    """Make a transposed convolution as large as Keras does: of n rows n * stride under SAME, all else without it."""
    extent, stride = window.extent, window.stride
    lost = extent - stride if extra is None else 2 * (extent // 2) - extra
    if not same:
        lost = min(extent - stride, 0) if extra is None else -extra
    before = max(lost, 0) // 2
    return Transposed(window.kernel, stride, window.dilation, (before, max(lost, 0) - before), max(-lost, 0))


def _channels(into: int, out: int, groups: int) -> Channels:
    if min(into, out, groups) < 1 or into % groups or out % groups:
        raise Malformed(f"it makes {out} channels of {into} in {groups} groups")
    return Channels(into, out, groups)


def pool(kind: Kind) -> Callable[[Call], Result]:
    def run(call: Call) -> Result:
        windows = call.windows("pool_size", pools=True)
        if all(window.kernel == window.stride == 1 for window in windows):
            return call.tensor(0)
        return call.lay_windows(kind, call.tensor(0), windows)

    return run


def global_pool(call: Call) -> Result:
    x = call.arranger.settled(call.tensor(0))
    if len(x.known) != 4:
        raise Stuck("pools what is no image")
    return over(call, x, (1, 2) if call.channels_last else (2, 3), bool(call.config.get("keepdims")))


def adaptive_pool(call: Call) -> Result:
    return call.lay_windows("adaptive", call.tensor(0), [Adaptive(n) for n in _positive(call, "output_size")])


def pad(call: Call) -> Result:
    return call.lay_windows("pad", call.tensor(0), [Window(1, padding=rows) for rows in call.sides("padding")])


def crop(call: Call) -> Result:
    rows = [(-before, -after) for before, after in call.sides("cropping")]
    return call.lay_windows("crop", call.tensor(0), [Window(1, padding=each) for each in rows])


def upsample(call: Call) -> Result:
    style = _style(call, "nearest")
    ops = [Resize(scale=Fraction(n), **style) for n in _positive(call, "size")]
    return call.lay_windows("resize", call.tensor(0), ops)


def resize(call: Call) -> Result:
    if any(call.config.get(key) for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")):
        raise Stuck("keeps an aspect ratio, or shrinks with antialiasing")
    style = _style(call, "bilinear")
    ops: list[Op] = [Resize(size=call.number(key, 0), **style) for key in ("height", "width")]
    return call.lay_windows("resize", call.tensor(0), ops)


def _style(call: Call, default: str) -> dict[str, Any]:
    """Tell how a layer interpolates, in the words of `padviz.axis.resize`."""
    how = call.config.get("interpolation", default)
    if how not in STYLES:
        raise Stuck(f"interpolates by {str(how)[:40]}")
    return STYLES[how]


def _positive(call: Call, key: str) -> tuple[int, int]:
    pair = call.pair(key, 2)
    if min(pair) < 1:
        raise Malformed(f"its {key} is not positive")
    return pair
