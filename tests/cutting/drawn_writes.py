"""Random networks of signals, images and volumes whose layers write in place, in each precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd

from padviz.errors import PadvizError
from tests.cutting import drawn_networks, drawn_signals
from tests.cutting.drawn_networks import Call, Draw, Drawn, Kinds, apart, fitting

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}  # of the largest value
MOST_AMPLIFIED = 5  # how many times a network may amplify rounding
MODES = ("linear", "bilinear", "trilinear")  # by the number of axes
Write = Callable[[Tensor], object]


def _view(draw: Draw, x: Tensor) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Draw a view of a map, or a view of a view."""
    axis = draw.between(1, x.ndim - 1)
    n = x.shape[axis]
    first = draw.between(0, n - 1)
    rows = draw.between(1, n - first)
    channel = draw.between(0, x.shape[1] - 1)
    views: dict[str, Callable[[Tensor], Tensor]] = {
        f"row {first} of dimension {axis}": lambda y: y.select(axis, first),
        f"last row of dimension {axis}": lambda y: y.select(axis, -1),
        f"rows {first} + {rows} of dimension {axis}": lambda y: y.narrow(axis, first, rows),
        f"one row {first} of dimension {axis}": lambda y: y.narrow(axis, first, 1),
        f"channel {channel} at the end": lambda y: y[:, channel][..., -1],
        f"channel {channel} of the permuted": lambda y: y.movedim(1, -1)[..., channel],
        "flat": lambda y: y.flatten(2)[..., :5],
        "unbound": lambda y: y.unbind(axis)[first],
        "every other row": lambda y: y.movedim(axis, 0)[::2],
    }
    name = draw.of([*views])
    return name, views[name]


def _write(draw: Draw, x: Tensor) -> nn.Module:
    place, view = _view(draw, x)
    writes: dict[str, Write] = {
        "fill": lambda v: v.fill_(0.7),
        "multiply": lambda v: v.mul_(2),
        "add": lambda v: v.add_(0.3),
        "copy": lambda v: v.copy_(v.sin()),
        "set": lambda v: v.__setitem__(..., 0.3),
        "activate": lambda v: functional.leaky_relu_(v, 0.1),
    }
    name = draw.of([*writes])

    def write(x: Tensor) -> Tensor:
        y = x.clone()
        writes[name](view(y))
        return y

    return Call(f"{name}, {place}", write)


def _mask(draw: Draw, x: Tensor) -> nn.Module:
    axis = draw.between(1, x.ndim - 1)
    rows = torch.from_numpy(draw.numbers.permutation(x.shape[axis])[: draw.between(1, 3)].copy())
    at = (*[slice(None)] * axis, rows)
    masks: dict[str, Write] = {
        "masked fill": lambda y: y.masked_fill_(y > 0.5, 0.1),
        "mask": lambda y: y.__setitem__(y < 0, 0.2),
        "index fill": lambda y: y.index_fill_(axis, rows, 0.4),
        "rows by index": lambda y: y.__setitem__(at, 0.4),
    }
    name = draw.of([*masks])

    def write(x: Tensor) -> Tensor:
        y = x * 1
        masks[name](y)
        return y

    return Call(f"{name} along dimension {axis}", write)


def _beside(draw: Draw, x: Tensor) -> nn.Module:
    """Draw a write into a constant, a copy or a view that is then added to the map."""
    place, view = _view(draw, x)
    later = draw.chance(0.3)

    def constant(x: Tensor) -> Tensor:
        z = torch.zeros(x.shape, dtype=x.dtype)
        view(z).add_(1)
        y = x + z
        if later:
            view(z).add_(1)
        return y

    def copy(x: Tensor) -> Tensor:
        z = x.movedim(1, -1).contiguous()
        view(z.movedim(-1, 1)).mul_(2)
        return x + z.movedim(-1, 1)

    def reshaped(x: Tensor) -> Tensor:
        y = x.clone()
        y.transpose(1, 2).reshape(-1).mul_(2)
        return y

    def kept(x: Tensor) -> Tensor:
        y = x.clone()
        v = view(y)
        y.mul_(2)
        return y + v.mean()

    made = {"constant": constant, "copy": copy, "reshaped": reshaped, "kept": kept}
    name = draw.of([*made])
    return Call(f"{name}, {place}, {later}", made[name])


def _odd_resize(draw: Draw, x: Tensor) -> nn.Module:
    """Draw a resize by odd factors and sizes."""
    linear = MODES[x.ndim - 3]
    modes = ["nearest", "nearest-exact", "area", linear, linear]
    if x.ndim == 4:
        modes.append("bicubic")
    mode = draw.of(modes)
    corners = draw.chance(0.5) if mode in (linear, "bicubic") else None
    if draw.chance(0.5):
        scale = draw.of([2, 3, 5, 7, 1.7, 0.6])
        return nn.Upsample(scale_factor=scale, mode=mode, align_corners=corners)
    sizes = tuple(draw.between(2, 2 * n + 7) for n in x.shape[2:])
    return nn.Upsample(size=sizes, mode=mode, align_corners=corners)


def _norm(draw: Draw, x: Tensor) -> nn.Module:
    channels = x.shape[1]
    instance = {3: nn.InstanceNorm1d, 5: nn.InstanceNorm3d}[x.ndim]
    return draw.of([nn.GroupNorm(1, channels), instance(channels), nn.LayerNorm([*x.shape[1:]])])


def _gate(draw: Draw, x: Tensor) -> nn.Module:
    return Call(
        "gate", lambda x: x * x.flatten(2).mean(-1).sigmoid()[(...,) + (None,) * (x.ndim - 2)]
    )


def _window(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride, dilation = draw.of([1, 2, 3, 3]), draw.of([1, 1, 2]), draw.of([1, 1, 2, 4])
    extent = dilation * (kernel - 1) + 1
    pad = draw.of([0, extent // 2, extent // 2, extent + 1])
    mode = draw.of(["zeros", "zeros", "replicate", "reflect", "circular"])
    return nn.Conv3d(x.shape[1], draw.of([2, 4]), kernel, stride, pad, dilation, padding_mode=mode)


def _up(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride = draw.between(1, 4), draw.between(1, 2)
    return nn.ConvTranspose3d(x.shape[1], 2, kernel, stride, draw.between(0, kernel // 2))


def _pool(draw: Draw, x: Tensor) -> nn.Module:
    kernel = draw.between(2, 3)
    given = kernel, draw.between(1, 2), draw.between(0, kernel // 2)
    if draw.chance(0.5):
        return nn.MaxPool3d(*given, ceil_mode=draw.chance(0.5))
    return nn.AvgPool3d(*given, draw.chance(0.5), draw.chance(0.5))


def _pads(draw: Draw, x: Tensor) -> nn.Module:
    pads = tuple(draw.between(0, 3) for _ in range(6))
    constant = partial(nn.ConstantPad3d, value=0.5)
    return draw.of([constant, nn.ReplicationPad3d, nn.ReflectionPad3d, nn.CircularPad3d])(pads)


WRITES: Kinds = {"write": (5, _write), "mask": (2, _mask), "beside": (3, _beside)}
NORMS: Kinds = {"norm": (3, _norm), "gate": (2, _gate), "resize": (3, _odd_resize)}
VOLUMES: Kinds = {
    "conv": (6, _window),
    "up": (2, _up),
    "pool": (2, _pool),
    "pads": (2, _pads),
    "pointwise": (2, lambda draw, x: draw.of([nn.GELU(), nn.ReLU(inplace=True)])),
}
KINDS: dict[int, Kinds] = {
    1: drawn_signals.KINDS | NORMS,
    2: drawn_networks.KINDS | {"resize": (5, _odd_resize)},
    3: VOLUMES | NORMS,
}


@torch.no_grad()
def drawn_with_writes(seed: int, axes: int) -> Drawn:
    """Draw a network of 2 to 6 layers, most of them with a write, of so many axes, and its input.

    Every other one is of single precision.
    """
    draw = Draw(seed)
    dtype = [torch.float64, torch.float32][seed // 3 % 2]
    kinds = KINDS[axes] | WRITES
    sides = {1: (40, 200), 2: (14, 36), 3: (6, 11)}[axes]
    while True:
        model = nn.Sequential()
        x = draw.noise(1, 3, *(draw.between(*sides) for _ in range(axes)))
        x = map_ = x * torch.linspace(0.5, 2, x.shape[-1])
        count = draw.between(2, 6)
        for k in range(count):
            some = kinds
            if k == count // 2 and draw.chance(0.7):
                some = WRITES
            name, layer, map_ = fitting(draw, map_, some)
            model.add_module(f"{name}_{k}", layer)
        if not any(
            isinstance(layer, (_ConvNd, _MaxPoolNd, _AvgPoolNd)) for layer in model.modules()
        ):
            continue
        model, x = model.to(dtype).eval(), x.to(dtype)
        if axes == 2 and draw.chance(0.3):
            model = model.to(memory_format=torch.channels_last)
        try:
            whole = model(x)
            moved = model(x * (1 + TOLERANCES[dtype] / 100 * draw.noise(*x.shape).sign().to(dtype)))
        except (RuntimeError, PadvizError):
            continue  # of constants in double precision
        if apart(whole, moved) < TOLERANCES[dtype] / 100 * MOST_AMPLIFIED:
            return Drawn(seed, draw, model, x, whole)
