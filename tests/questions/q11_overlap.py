"""A U-Net of three levels sees 53 px beyond a tile that starts on a multiple of 8: more than many a default overlap."""

from pathlib import Path

import torch

from tests.questions.contexts import context, network_of, positive
from tests.questions.question import Question

UNET = """
from torch import cat, nn


def block(before, after, norm):
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), norm(after), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, depth=3, norm=nn.BatchNorm2d):
        super().__init__()
        self.encoder = nn.ModuleList([block(4 if level else 1, 4, norm) for level in range(depth)])
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = block(4, 4, norm)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.decoder = nn.ModuleList([block(8, 4, norm) for _ in range(depth)])
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        skips = []
        for level in self.encoder:
            skips.append(level(x))
            x = self.pool(skips[-1])
        x = self.bottleneck(x)
        for block, skip in zip(self.decoder, reversed(skips)):
            x = block(cat([self.up(x), skip], 1))
        return self.last(x)
"""


def truth(folder: Path) -> list[str]:
    network = positive(network_of((folder / "unet.py").read_text(), "UNet"))
    before, after = context(network, torch.zeros(1, 1, 8, 128, dtype=torch.float64), at=64)
    assert before == after
    return [f"{before} px of context on each side"]


QUESTION = Question(
    number=11,
    group="Seams of tiles",
    asked="How much must tiles overlap? Users guess it.",
    threads=("CAREamics/careamics#295", "the-lay/tiler#1"),
    ended="both are requests to compute it; careamics measured it by gradients later.",
    files={"unet.py": UNET},
    control={"unet.py": UNET.replace("depth=3", "depth=2")},
    commands=("padviz tiles unet:UNet --size 1024 --tile 256",),
    answer=(
        "53 px of context on each side; tiles start on multiples of 8: tiles of 256 x 256",
        "keep 144 x 144; 7 x 7 tiles cover height 1024 x width 1024; 3.06 times the",
        "pixels.",
    ),
    cause=("53 px of context", "multiples of 8"),
    do="Start a tile of 256 px every 144 px and keep its middle; larger tiles cost less.",
    truth=truth,
)
