"""A 3-D U-Net of three levels sees 46 voxels beyond a patch, along time as along height and width."""

from pathlib import Path

import torch

from tests.questions.contexts import context, network_of, positive
from tests.questions.question import Question

UNET = """
from torch import cat, nn


def block(before, after):
    return nn.Sequential(nn.Conv3d(before, after, 3, padding=1), nn.ReLU(), nn.Conv3d(after, after, 3, padding=1), nn.ReLU())


class UNet3d(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.encoder = nn.ModuleList([block(2 if level else 1, 2) for level in range(depth)])
        self.pool = nn.MaxPool3d(2)
        self.bottleneck = block(2, 2)
        self.up = nn.ModuleList([nn.ConvTranspose3d(2, 2, 2, 2) for _ in range(depth)])
        self.decoder = nn.ModuleList([block(4, 2) for _ in range(depth)])

    def forward(self, x):
        skips = []
        for level in self.encoder:
            skips.append(level(x))
            x = self.pool(skips[-1])
        x = self.bottleneck(x)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips)):
            x = block(cat([up(x), skip], 1))
        return x
"""


def truth(folder: Path) -> list[str]:
    network = positive(network_of((folder / "unet.py").read_text(), "UNet3d"))
    before, after = context(network, torch.zeros(1, 1, 8, 8, 128, dtype=torch.float64), at=64)
    assert before == after
    return [f"{before} px of context on each side"]


QUESTION = Question(
    number=16,
    group="Seams of tiles",
    asked="Denoised films shift a little at each patch along time. How much must patches overlap?",
    threads=("cabooster/DeepCAD-RT#23",),
    ended="the receptive field of its 3-D U-Net is 88, so patches should overlap by at least about 90 in all dimensions.",
    files={"unet.py": UNET},
    control={"unet.py": UNET.replace("depth=3", "depth=2")},
    commands=("padviz tiles unet:UNet3d --size 304x512x512 --tile 150",),
    answer=(
        "46 px of context on each side; tiles start on multiples of 8: tiles of 144 x 144",
        "x 144 keep 48 x 48 x 48",
    ),
    cause=("46 px of context", "multiples of 8"),
    do="Let patches overlap by twice 46, which is 92, start them on multiples of 8, and keep the middle of each.",
    truth=truth,
)
