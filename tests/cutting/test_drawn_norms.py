"""Drawn networks with norms: a plan that is called exact runs and makes the whole output; a refused one cannot run."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.cutting.by_layer import by_layer
from padviz.errors import PadvizError
from padviz.nn import PaddedConv2d
from tests.cutting.test_by_layer import Call, apart, image

WIDTH = 4
SCHEMES = ("symmetric", "zero/circular", "circular", "reflect/zero", "partial")


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2).transpose(1, 2)
        return (
            functional.scaled_dot_product_attention(rows, rows, rows)
            .transpose(1, 2)
            .reshape(x.shape)
        )


class Skip(nn.Module):
    """Layers beside what they read, resized to it."""

    def __init__(self, inner: nn.Module, mode: str, corners: bool | None) -> None:
        super().__init__()
        self.inner, self.mode, self.corners = inner, mode, corners

    def forward(self, x: Tensor) -> Tensor:
        made = self.inner(x)
        return x + functional.interpolate(
            made, x.shape[2:], mode=self.mode, align_corners=self.corners
        )


CALLS: tuple[Callable[[Tensor], Any], ...] = (
    lambda x: x[:, [2, 1, 0, 3]],
    lambda x: x * functional.adaptive_max_pool2d(x, 1).sigmoid(),
    lambda x: x * functional.adaptive_avg_pool2d(x, 1).sigmoid(),
    lambda x: x * functional.avg_pool2d(x, x.shape[2:]).sigmoid(),
    lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    lambda x: x * x.flatten(2).mean(-1)[..., None, None],
    lambda x: (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 1),
    lambda x: x[:, :, 1:, ::2],
    lambda x: x.cumsum(2),
)


def drawn_layer(draw: Random, depth: int = 0) -> nn.Module:
    kernel, stride, dilation = (
        draw.choice([1, 2, 3, 3, 5]),
        draw.choice([1, 1, 2, 3]),
        draw.choice([1, 1, 2]),
    )
    pad = draw.choice([0, dilation * (kernel - 1) // 2, draw.randint(0, 3)])
    mode, corners = draw.choice(
        [("nearest", None), ("bilinear", False), ("bilinear", True), ("bicubic", True)]
    )
    window = draw.choice([2, 3]), draw.choice([1, 2, 3]), draw.choice([0, 1])
    kinds: list[Callable[[], nn.Module]] = [
        lambda: nn.Conv2d(
            WIDTH,
            WIDTH,
            kernel,
            stride,
            pad,
            dilation,
            padding_mode=draw.choice(["zeros", "circular"]),
        ),
        lambda: PaddedConv2d(
            WIDTH, WIDTH, kernel, stride, pad, dilation, scheme=draw.choice(SCHEMES)
        ),
        lambda: nn.ConvTranspose2d(
            WIDTH, WIDTH, kernel, stride, min(pad, dilation * (kernel - 1)), dilation=dilation
        ),
        lambda: nn.AvgPool2d(
            *window, ceil_mode=draw.random() < 0.7, count_include_pad=draw.random() < 0.5
        ),
        lambda: nn.MaxPool2d(*window, ceil_mode=draw.random() < 0.5),
        lambda: nn.Upsample(scale_factor=draw.choice([2, 1.5]), mode=mode, align_corners=corners),
        lambda: draw.choice(
            [nn.GroupNorm(2, WIDTH), nn.InstanceNorm2d(WIDTH), nn.BatchNorm2d(WIDTH)]
        ),
        lambda: nn.BatchNorm2d(WIDTH, track_running_stats=False),
        lambda: draw.choice(
            [nn.AdaptiveMaxPool2d((5, 4)), nn.AdaptiveAvgPool2d((5, 4)), nn.PixelUnshuffle(1)]
        ),
        lambda: Call(draw.choice(CALLS)),
        lambda: Call(draw.choice(CALLS)),
    ]
    if depth < 2:
        kinds.append(lambda: Skip(drawn_layer(draw, depth + 1), mode, corners))
    if draw.random() < 0.05:
        return Attention()
    return draw.choice(kinds)()


def check(seed: int) -> str:
    """Draw a network, an image and tiles; return whether its plan is exact or refused."""
    draw = Random(seed)
    torch.manual_seed(seed)
    layers = [drawn_layer(draw) for _ in range(draw.randint(1, 4))]
    model = (
        nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1), *layers, nn.GroupNorm(2, WIDTH))
        .double()
        .eval()
    )
    size = draw.randint(20, 50), draw.randint(20, 50)
    tile, x = [draw.randint(n // 3, n) for n in size], image(1, 3, *size, seed=seed)
    with torch.no_grad():
        try:
            whole = model(x)
        except (PadvizError, RuntimeError, ValueError):
            return "no network"  # it does not take that image
        try:
            tiles = padviz.tiles(model, size, tile, norms="shared")
        except PadvizError:
            counts = [-(-n // most) for n, most in zip(size, tile, strict=True)]
            with pytest.raises(PadvizError):
                by_layer(model, x, {-2: counts[0], -1: counts[1]})
            return "refused"
        assert "Exact" in str(tiles)
        assert apart(whole, padviz.tiled(model, x, tiles.plan)) < 1e-12, (seed, model)
    return "exact"


def test_drawn_plans_with_shared_norms_run() -> None:
    found = [check(seed) for seed in range(24)]
    assert found.count("exact") > 12
    assert "refused" not in found
