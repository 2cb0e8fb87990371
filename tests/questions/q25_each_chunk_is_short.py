"""Causal transposed convolutions cut a stride at both ends: each chunk is 555 samples short."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn


class Up(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.ConvTranspose1d(before, after, 2 * stride, stride)

    def forward(self, x):
        return self.conv(x)[..., CUT : -self.stride]


class Causal(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.pad = nn.ConstantPad1d((6, 0), 0.0)
        self.conv = nn.Conv1d(before, after, 7)

    def forward(self, x):
        return self.conv(self.pad(x)).relu()


class Decoder(nn.Sequential):
    def __init__(self):
        layers = [Causal(4, 8)]
        for stride in (8, 5, 4, 3):
            layers += [Up(8, 8, stride), Causal(8, 8)]
        super().__init__(*layers, Causal(8, 1))
"""


def samples_missing(folder: Path) -> list[str]:
    """Run the decoder on a chunk of 100 frames, each of 480 samples."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    whole = 100 * 8 * 5 * 4 * 3
    short = whole - space["Decoder"]()(torch.zeros(1, 4, 100)).shape[-1]
    return [f"is short of {100 * short / whole:.3g} %", f"{short} samples ({short / 24:.1f} ms)"]


QUESTION = Question(
    number=25,
    group="Audio",
    asked="Streamed speech is 1.2 % too short and clicks at each chunk. What is lost?",
    threads=("vllm-project/vllm-omni#4706", "sgl-project/sglang-omni#1354"),
    # The threads give the strides, and 555 samples (23 ms at 24 kHz).
    ended="the decoder's output is always 555 samples short. Each chunk lost its last 555; they are now taken from the "
    "next window.",
    files={"decoder.py": DECODER.replace("CUT", "self.stride")},
    control={"decoder.py": DECODER.replace("CUT", "")},
    commands=("padviz stream decoder:Decoder --chunk 100 --size 800 --rate 24000",),
    answer=(
        "A chunk that is run alone is short of 1.16 % of 9.conv: 555 samples (23.1 ms) at",
        "each boundary, unless layers keep samples (padviz.streamed).",
    ),
    cause=("short of 1.16 %", "555 samples"),
    do="Run `padviz.streamed`. Or cut each window from its end (its last new_frames x hop samples), not from a fixed"
    " offset.",
    truth=samples_missing,
)
