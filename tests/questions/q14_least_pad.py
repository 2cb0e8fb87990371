"""A super-resolution network of 16 residual blocks sees 40 px around each of its pixels: a pad of 128 px is too much."""

from pathlib import Path

import torch

from tests.questions.contexts import context, network_of, positive
from tests.questions.question import Question

GENERATOR = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(self.conv1(x).relu())


class Generator(nn.Module):
    def __init__(self, blocks=16):
        super().__init__()
        self.first = nn.Conv2d(4, 4, 9, padding=4)
        self.blocks = nn.Sequential(*[Block() for _ in range(blocks)])
        self.after = nn.Conv2d(4, 4, 3, padding=1)
        self.grow = nn.Sequential(*[layer for _ in range(2) for layer in (nn.Conv2d(4, 16, 3, padding=1), nn.PixelShuffle(2))])
        self.last = nn.Conv2d(4, 4, 9, padding=4)

    def forward(self, x):
        x = self.first(x).relu()
        x = x + self.after(self.blocks(x))
        return self.last(self.grow(x).relu())
"""


def truth(folder: Path) -> list[str]:
    network = positive(network_of((folder / "generator.py").read_text(), "Generator"))
    before, after = context(network, torch.zeros(1, 4, 1, 128, dtype=torch.float64), at=64, scale=4)
    assert before == after
    return [f"{before} px of context on each side"]


QUESTION = Question(
    number=14,
    group="Seams of tiles",
    asked="The patches of a super-resolution network show their boundaries. A larger pad helps: what is the least?",
    threads=("remicres/sr4rs#61", "yangxy/GPEN#129"),
    ended="a pad of 128 or 256 px is enough (sr4rs), 32 or 48 px after trials (GPEN).",
    files={"generator.py": GENERATOR},
    control={"generator.py": GENERATOR.replace("blocks=16", "blocks=4")},
    commands=("padviz tiles generator:Generator --size 512 --tile 144",),
    answer=(
        "40 px of context on each side; tiles start anywhere: tiles of 144 x 144 keep 65",
        "x 65",
    ),
    cause=("40 px of context",),
    do="Pad patches of 64 px by 40 px. A pad of 128 px works too, and computes 4.9 times as many pixels.",
    truth=truth,
)
