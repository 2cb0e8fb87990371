"""Random networks of signals: streams with strides, dilations, upsampling and skips, of one to five channels."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from tests.cutting.drawn_networks import Call, Draw, Drawn, Kinds, accepted, fitting
from tests.signals import Causal


class Skip(nn.Module):
    """Layers beside what they read, of which the ends are cut off."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        made = self.inner(x)
        trim = x.shape[-1] - made.shape[-1]
        return x[..., trim // 2 : x.shape[-1] - (trim - trim // 2)] + made


def _window(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride, dilation = draw.of([1, 2, 3, 3, 5, 7]), draw.of([1, 1, 1, 2, 3]), 1
    if draw.chance(0.4):
        dilation = draw.between(2, 9)
    extent = dilation * (kernel - 1) + 1
    pad = draw.of([0, extent // 2, extent // 2, draw.between(0, extent), extent + 2])
    channels, out = x.shape[1], draw.of([1, 2, 4])
    if draw.chance(0.25):
        return Causal(channels, out, kernel, stride, dilation=dilation)
    mode = draw.of(["zeros"] * 4 + ["replicate", "reflect"])
    return nn.Conv1d(channels, out, kernel, stride, pad, dilation, padding_mode=mode)


def _up(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride = draw.between(1, 6), draw.between(1, 4)
    pad, more = draw.between(0, kernel // 2), draw.between(0, stride - 1)
    return nn.ConvTranspose1d(x.shape[1], draw.of([1, 2, 4]), kernel, stride, pad, more)


def _pool(draw: Draw, x: Tensor) -> nn.Module:
    kernel = draw.between(2, 4)
    given = kernel, draw.between(1, 3), draw.between(0, kernel // 2)
    if draw.chance(0.5):
        return nn.MaxPool1d(*given, ceil_mode=draw.chance(0.5))
    return nn.AvgPool1d(*given, draw.chance(0.5), draw.chance(0.5))


def _pads(draw: Draw, x: Tensor) -> nn.Module:
    pads = draw.between(0, 4), draw.between(0, 4)
    constant = partial(nn.ConstantPad1d, value=0.5)
    return draw.of([constant, nn.ReplicationPad1d, nn.ReflectionPad1d, nn.ZeroPad1d])(pads)


def _resize(draw: Draw, x: Tensor) -> nn.Module:
    return nn.Upsample(scale_factor=draw.of([2, 3]), mode=draw.of(["nearest", "linear"]))


def _crop(draw: Draw, x: Tensor) -> nn.Module:
    before, after = draw.between(0, 4), draw.between(0, 4)
    return Call(f"crop {before}, {after}", lambda x: x[..., before : x.shape[-1] - after])


def _pointwise(draw: Draw, x: Tensor) -> nn.Module:
    channels = x.shape[1]
    return draw.of(
        [
            nn.ELU(),
            nn.GELU(),
            nn.PReLU(channels),
            nn.BatchNorm1d(channels),
            Call("gated channels", lambda x: torch.tanh(x) * torch.sigmoid(x.flip(1))),
            Call("channels last", lambda x: x.transpose(1, 2).sin().transpose(1, 2)),
            TokenNorm(channels),
        ]
    )


class TokenNorm(nn.Module):
    """A layer norm of the channels of each sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(x.transpose(1, 2)).transpose(1, 2)


def _skip(draw: Draw, x: Tensor) -> nn.Module:
    kernel, dilation = draw.of([3, 5]), draw.between(1, 3)
    return Skip(nn.Conv1d(x.shape[1], x.shape[1], kernel, dilation=dilation))


KINDS: Kinds = {
    "conv": (8, _window),
    "up": (3, _up),
    "pool": (2, _pool),
    "pads": (2, _pads),
    "resize": (1, _resize),
    "crop": (2, _crop),
    "pointwise": (5, _pointwise),
    "skip": (3, _skip),
}


@torch.no_grad()
def drawn_stream(seed: int) -> Drawn:
    """Draw a network of 2 to 7 layers and a signal of one to five channels that it takes."""
    draw = Draw(seed)
    while True:
        model, x = nn.Sequential(), draw.noise(1, draw.of([1, 1, 2, 5]), draw.between(60, 300))
        map_: Tensor = x
        for k in range(draw.between(2, 7)):
            name, layer, map_ = fitting(draw, map_, KINDS)
            model.add_module(f"{name}_{k}", layer)
        if accepted(model.eval(), x, whole := model(x), draw):
            return Drawn(seed, draw, model, x, whole)
