"""Small networks of the kinds that the how-to pages cut, with random weights.

padviz tiles examples.networks:latent_decoder --size 64
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """Two convolutions behind group norms, added to what they read."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(n, m, 1) if n != m else nn.Identity()
        self.inner = nn.Sequential(
            *(nn.GroupNorm(4, n), nn.SiLU(), nn.Conv2d(n, m, 3, padding=1)),
            *(nn.GroupNorm(4, m), nn.SiLU(), nn.Conv2d(m, m, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.inner(x)  # type: ignore[no-any-return]


def latent_decoder(width: int = 8) -> nn.Module:
    """Build the decoder of Stable Diffusion's autoencoder, 16 times narrower and without attention:
    8 px a latent.
    """
    n = 4 * width
    layers: list[nn.Module] = [nn.Conv2d(4, n, 3, padding=1), Residual(n, n), Residual(n, n)]
    for level, m in enumerate((4 * width, 4 * width, 2 * width, width)):
        layers += [Residual(n, m), Residual(m, m), Residual(m, m)]
        if level < 3:
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(m, m, 3, padding=1)]
        n = m
    return nn.Sequential(
        *layers, nn.GroupNorm(4, n), nn.SiLU(), nn.Conv2d(n, 3, 3, padding=1)
    ).eval()


class UNet(nn.Module):
    """A U-Net with four pools, which joins maps of equal size only."""

    def __init__(self, width: int = 8, levels: int = 4) -> None:
        super().__init__()
        wide = [3, *(width << level for level in range(levels + 1))]
        self.down = nn.ModuleList(nn.Conv2d(n, m, 3, padding=1) for n, m in pairwise(wide))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, 2) for n in wide[-2:0:-1])
        self.up = nn.ModuleList(nn.Conv2d(2 * n, n, 3, padding=1) for n in wide[-2:0:-1])
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.down[0](x)]
        for down in self.down[1:]:
            skips.append(down(functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for grow, up in zip(self.grow, self.up, strict=True):
            x = up(torch.cat([skips.pop(), grow(x)], 1))
        return self.last(x)  # type: ignore[no-any-return]


class Globe(nn.Module):
    """A U-Net whose width is circular, and whose upsampled maps get a column of zeros where the
    skip is wider.
    """

    def __init__(self, width: int = 8, levels: int = 3) -> None:
        super().__init__()

        def block(n: int, m: int) -> nn.Module:
            return nn.Sequential(Round(n, m), nn.ReLU(), Round(m, m), nn.ReLU())

        wide = [1, *(width << level for level in range(levels + 1))]
        self.down = nn.ModuleList(block(n, m) for n, m in pairwise(wide))
        self.up = nn.ModuleList(block(3 * n, n) for n in wide[-2:0:-1])
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.down[0](x)]
        for down in self.down[1:]:
            skips.append(down(functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for up in self.up:
            skip, x = skips.pop(), functional.interpolate(x, scale_factor=2.0)
            x = functional.pad(
                x, (0, skip.shape[-1] - x.shape[-1], 0, skip.shape[-2] - x.shape[-2])
            )
            x = up(torch.cat([skip, x], 1))
        return self.last(x)  # type: ignore[no-any-return]


class Round(nn.Conv2d):
    """A convolution that pads the width circularly, and the height with its outermost row."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(functional.pad(x, (1, 1, 0, 0), "circular"), (0, 0, 1, 1), "replicate")
        return super().forward(x)


class Wide(nn.Module):
    """Two convolutions over time behind ELUs, added to what they read."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.ELU(), nn.Conv1d(n, n // 2, 3, padding=1), nn.ELU(), nn.Conv1d(n // 2, n, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)  # type: ignore[no-any-return]


def codec_decoder(width: int = 4) -> nn.Module:
    """Build a codec's decoder: 320 samples of audio for each frame of 8 numbers, at 24 kHz 75
    frames a second.
    """
    n = 16 * width
    layers: list[nn.Module] = [nn.Conv1d(8, n, 7, padding=3)]
    for stride in (8, 5, 4, 2):
        up = nn.ConvTranspose1d(
            n, n // 2, 2 * stride, stride, padding=(stride + 1) // 2, output_padding=stride % 2
        )
        layers += [nn.ELU(), up, Wide(n // 2)]
        n //= 2
    return nn.Sequential(*layers, nn.ELU(), nn.Conv1d(n, 1, 7, padding=3)).eval()
