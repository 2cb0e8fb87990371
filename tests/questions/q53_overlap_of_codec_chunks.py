"""A codec decoder reads more latent frames around each than the 8 by which its chunks overlap."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
import torch
from torch import nn


class Unit(nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.conv1 = nn.Conv1d(2, 2, 7, padding=3 * dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(2, 2, 1)

    def forward(self, x):
        return x + self.conv2(torch.tanh(self.conv1(x)))


class Stage(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.up = nn.ConvTranspose1d(
            2, 2, 2 * stride, stride, padding=(stride + 1) // 2, output_padding=stride % 2
        )
        self.units = nn.Sequential(*[Unit(dilation) for dilation in DILATIONS])

    def forward(self, x):
        return self.units(self.up(torch.tanh(x)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv1d(2, 2, 7, padding=3)
        self.stages = nn.Sequential(*[Stage(stride) for stride in (8, 5, 4, 2, 3)])
        self.conv_out = nn.Conv1d(2, 1, 7, padding=3)

    def forward(self, x):
        return self.conv_out(torch.tanh(self.stages(self.conv_in(x))))
"""


def frames_that_matter(folder: Path) -> list[str]:
    """Cut 64 frames in the middle: how many before and after it must a chunk have, to be right from there on?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    network = space["Decoder"]().eval().double()
    x = torch.randn(1, 2, 64, dtype=torch.float64)
    with torch.no_grad():
        whole = network(x)
        hop = whole.shape[-1] // 64

        def right(context: int) -> bool:
            behind = network(x[..., 32 - context :])[..., context * hop :]
            ahead = network(x[..., : 32 + context])[..., : 32 * hop]
            same_behind = torch.allclose(behind, whole[..., 32 * hop :], rtol=0, atol=1e-12)
            return same_behind and torch.allclose(ahead, whole[..., : 32 * hop], rtol=0, atol=1e-12)

        least = next(context for context in range(32) if right(context))
    return [f"{least} input samples of context on each side", f"keep {128 - 2 * least}"]


QUESTION = Question(
    number=53,
    group="Audio",
    asked="Long speech clicks every 5.12 s: chunks of 128 frames, of which 8 overlap. How much is enough?",
    threads=("0xShug0/audio.cpp#429", "0xShug0/audio.cpp#436"),
    ended="8 frames, on the left alone, are fewer than the decoder reads. Its author estimates 27 on each side; chunks "
    "now read 32 more on both.",
    files={"decoder.py": DECODER.replace("DILATIONS", "(1, 3, 9)")},
    control={"decoder.py": DECODER.replace("DILATIONS", "(1, 1)")},
    commands=("padviz tiles decoder:Decoder --size 640 --tile 128",),
    answer=(
        "10 input samples of context on each side; tiles start anywhere: tiles of 128 keep 108; 6 tiles cover length "
        "640",
    ),
    cause=("10 input samples of context on each side",),
    do="Read more frames on both sides of each chunk and cut them off the output. 10 suffice for this decoder as we "
    "rebuilt it, with the strides of the thread. We do not know why the thread has 27, so ask about your own.",
    truth=frames_that_matter,
)
