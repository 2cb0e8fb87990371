"""A U-Net sees 53 px beyond a tile: windows of 96 px that overlap by a quarter stay wrong where Gaussians blend them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.questions.contexts import network_of
from tests.questions.q11_overlap import UNET
from tests.questions.question import Question

SIDE = 312  # four windows of 96 px, each 72 px after the one before
IMAGE = torch.rand(
    1, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
)


def blended(network: torch.nn.Module) -> Tensor:
    """Run a network in windows of 96 px, a quarter of which overlaps, with Gaussian weights of 1/8 of their side."""
    places = (np.arange(96) - 47.5) / 12
    along = np.exp(-(places**2) / 2)
    weights = torch.from_numpy(np.outer(along, along).clip(1e-3))
    total, shares = torch.zeros_like(IMAGE), torch.zeros_like(IMAGE)
    for top in range(0, SIDE - 95, 72):
        for left in range(0, SIDE - 95, 72):
            window = (..., slice(top, top + 96), slice(left, left + 96))
            total[window] += weights * network(IMAGE[window])
            shares[window] += weights
    return total / shares


def cropped(network: torch.nn.Module) -> Tensor:
    """Run a network in tiles that read 56 px around the 72 px that they keep."""
    result = torch.zeros_like(IMAGE)
    for top in range(0, SIDE, 72):
        for left in range(0, SIDE, 72):
            first, start = max(0, top - 56), max(0, left - 56)
            tile = network(IMAGE[..., first : top + 128, start : left + 128])
            keep = (
                ...,
                slice(top - first, top - first + 72),
                slice(left - start, left - start + 72),
            )
            result[..., top : top + 72, left : left + 72] = tile[keep]
    return result


def saved(run: Callable[[torch.nn.Module], Tensor]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with torch.no_grad():
            np.save(path, run(network_of(UNET, "UNet"))[0].numpy())

    return write


def truth(folder: Path) -> list[str]:
    whole, tiled = np.load(folder / "whole.npy"), np.load(folder / "tiled.npy")
    rms = np.sqrt(np.mean((whole - tiled) ** 2))
    decibels = 20 * np.log10((whole.max() - whole.min()) / rms)
    return [
        f"PSNR {decibels:.1f} dB",
        f"{rms / whole.std():.1%}".replace("%", " %"),
        f"{96 * 3 // 4} px",
    ]


QUESTION = Question(
    number=13,
    group="Seams of tiles",
    asked="Windows that overlap by a quarter and are blended with Gaussian weights: what is left of the seam?",
    threads=("Project-MONAI/MONAI#298", "Project-MONAI/MONAI#355"),
    ended="overlap and Gaussian weights were added; the threads do not measure what is left.",
    files={"whole.npy": saved(lambda network: network(IMAGE)), "tiled.npy": saved(blended)},
    control={"tiled.npy": saved(cropped)},
    commands=("padviz seams whole.npy tiled.npy",),
    answer=(
        "Seams every 72 px (first at 96) along the height, every 72 px along the",
        "width. Tiles need more context, or start at the wrong pixels: padviz tiles MODEL computes both for",
        "your network.",
        "PSNR 39.1 dB (range of whole: 0.01379); rms 0.000153 (13.5 % of the sd of",
        "whole); largest 0.00438.",
    ),
    cause=("Seams every 72 px", "Tiles need more context"),
    do="Let windows read the context that `padviz tiles MODEL` computes and keep their middle; Gaussians hide steps, not errors.",
    truth=truth,
)
