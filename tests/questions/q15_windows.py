"""Attention in shifted windows of 8 px sees 21 px beyond a tile that starts on a multiple of 8."""

from pathlib import Path

import torch

from tests.questions.contexts import context, network_of
from tests.questions.question import Question

RESTORER = """
import torch
from torch import nn
W = WINDOW


def windows(x):
    n, h, w, c = x.shape
    return x.view(n, h // W, W, w // W, W, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, W * W, c)


class Layer(nn.Module):
    def __init__(self, dim, shift):
        super().__init__()
        self.shift = shift
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def mask(self, h, w):
        part = torch.zeros(1, h, w, 1)
        number = 0
        for rows in (slice(0, -W), slice(-W, -self.shift), slice(-self.shift, None)):
            for columns in (slice(0, -W), slice(-W, -self.shift), slice(-self.shift, None)):
                part[:, rows, columns] = number
                number += 1
        part = windows(part).squeeze(-1)
        return (part[:, None] != part[:, :, None]) * -100.0

    def forward(self, x):
        n, h, w, c = x.shape
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        q, k, v = self.qkv(windows(y)).chunk(3, -1)
        scores = q @ k.transpose(-2, -1)
        if self.shift:
            scores = scores + self.mask(h, w)
        y = self.project(scores.softmax(-1) @ v)
        y = y.view(n, h // W, w // W, W, W, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class Restorer(nn.Module):
    def __init__(self, layers=4):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.layers = nn.ModuleList([Layer(4, W // 2 * (i % 2)) for i in range(layers)])
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        y = self.first(x)
        z = y.permute(0, 2, 3, 1)
        for layer in self.layers:
            z = layer(z)
        return x + self.last(y + z.permute(0, 3, 1, 2))
"""


def truth(folder: Path) -> list[str]:
    network = network_of((folder / "restorer.py").read_text(), "Restorer")
    before, after = context(network, torch.randn(1, 1, 8, 128, dtype=torch.float64), at=64)
    assert before == after
    return [f"{before} px of context on each side"]


QUESTION = Question(
    number=15,
    group="Seams of tiles",
    asked="Attention in shifted windows: is there an overlap without artifacts, and where must tiles start?",
    threads=("JingyunLiang/SwinIR#91", "AmusementClub/vs-mlrt#133"),
    ended="the thread names no overlap: tiles give artifacts, test on the whole image (SwinIR).",
    files={"restorer.py": RESTORER.replace("WINDOW", "8")},
    control={"restorer.py": RESTORER.replace("WINDOW", "4")},
    commands=("padviz tiles restorer:Restorer --size 512 --tile 128",),
    answer=(
        "21 px of context on each side; tiles start on multiples of 8: tiles of 128 x 128",
        "keep 80 x 80",
    ),
    cause=("21 px of context", "multiples of 8"),
    do="Start a tile of 128 px every 80 px and keep its middle. More layers see farther, so ask about your network.",
    truth=truth,
)
