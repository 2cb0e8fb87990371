"""Causal padding of a strided convolution that is stride - 1 too long: its units end too early."""

from pathlib import Path

from tests.questions.question import Question

ENCODER = """
from torch import nn


class Causal(nn.Module):
    def __init__(self, before, after, kernel, stride=1):
        super().__init__()
        self.pad = nn.ConstantPad1d((kernel - LESS, 0), 0.0)
        self.conv = nn.Conv1d(before, after, kernel, stride)

    def forward(self, x):
        return self.conv(self.pad(x)).tanh()


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.bands = nn.Sequential(nn.ConstantPad1d((16, 0), 0.0), nn.Conv1d(1, 8, 32, 16))
        layers = []
        for stride in (4, 4, 4, 2):
            layers += [Causal(8, 8, 3), Causal(8, 8, 2 * stride, stride)]
        self.layers = nn.Sequential(*layers, Causal(8, 4, 3))

    def forward(self, x):
        return self.layers(self.bands(x))
"""


def samples_not_seen(folder: Path) -> list[str]:
    """Ask PyTorch's gradients for the last sample that unit 3 depends on; its stride ends at 8,191."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "encoder.py").read_text(), space)
    signal = torch.rand(1, 1, 16384, dtype=torch.float64, requires_grad=True)
    space["Encoder"]().double().eval()(signal)[..., 3].sum().backward()
    assert signal.grad is not None
    late = 4 * 2048 - 1 - int(signal.grad[0, 0].nonzero().max())
    return [f"last {late:,} input samples ({1000 * late / 48000:.1f} ms)"]


QUESTION = Question(
    number=22,
    group="Audio",
    asked="Why does a causal encoder answer a block late, and lose the last samples of each?",
    threads=("acids-ircam/cached_conv#10",),
    # The thread says 40 ms of a model at about 48 kHz; ours has its strides and bands.
    ended="the padding is too long by stride - 1; the fix removed 40 ms of delay from one model.",
    files={"encoder.py": ENCODER.replace("LESS", "1")},
    control={"encoder.py": ENCODER.replace("LESS", "stride")},
    commands=("padviz stream encoder:Encoder --rate 48000",),
    answer=(
        "Too much padding in front: only later units read the last 2,032 input samples",
        "(42.3 ms) of a stride. Pad layers.1.conv 4+3 instead of 7+0, layers.3.conv 4+3",
        "instead of 7+0, layers.5.conv 4+3 instead of 7+0 and 1 more:",
    ),
    cause=("Too much padding in front", "2,032 input samples", "layers.1.conv 4+3"),
    do="Pad kernel - stride samples in front, and stride - 1 behind, if the length is not a multiple of the stride. "
    "Then retrain.",
    truth=samples_not_seen,
)
