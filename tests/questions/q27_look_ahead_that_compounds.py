"""Two frames of look-ahead in each of 17 blocks, behind a subsampling by 4, are 136 frames."""

from pathlib import Path

from tests.questions.question import Question

ENCODER = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.pad = nn.ConstantPad1d((4 - AHEAD, AHEAD), 0.0)
        self.depthwise = nn.Conv1d(8, 8, 5, groups=8)
        self.pointwise = nn.Conv1d(8, 8, 1)

    def forward(self, x):
        return x + self.pointwise(self.depthwise(self.pad(x)))


class Halve(nn.Module):
    def __init__(self, before):
        super().__init__()
        self.pad = nn.ConstantPad1d((1, 0), 0.0)
        self.conv = nn.Conv1d(before, 8, 3, stride=2)

    def forward(self, x):
        return self.conv(self.pad(x)).relu()


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.subsampling = nn.Sequential(Halve(4), Halve(8))
        self.blocks = nn.Sequential(*[Block() for _ in range(17)])

    def forward(self, x):
        return self.blocks(self.subsampling(x))
"""


def look_ahead(folder: Path) -> list[str]:
    """Ask PyTorch's gradients for the last frame that unit 50 depends on; it stands for 200 to 203."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "encoder.py").read_text(), space)
    signal = torch.rand(1, 4, 400, dtype=torch.float64, requires_grad=True)
    space["Encoder"]().double().eval()(signal)[..., 50].sum().backward()
    assert signal.grad is not None
    last = int(signal.grad.abs().sum(dim=(0, 1)).nonzero().max())
    frames = last - 203
    return [
        f"lags by {frames} input samples ({10 * frames:,}.0 ms)",
        f"{frames // 4} of these frames",
    ]


QUESTION = Question(
    number=27,
    group="Audio",
    asked="How far ahead does a streaming encoder look if its 17 layers each look two frames ahead?",
    threads=("NVIDIA-NeMo/Speech#5837", "NVIDIA-NeMo/Speech#3888"),
    ended="17 layers x 2 frames x 4 of subsampling x 10 ms are 1,360 ms, so later models look ahead by chunks.",
    files={"encoder.py": ENCODER.replace("AHEAD", "2")},
    control={"encoder.py": ENCODER.replace("AHEAD", "0")},
    commands=("padviz stream encoder:Encoder --chunk 64 --rate 100",),
    answer=(
        "Chunks of 64 input samples (640.0 ms): layers keep 104 samples in all between",
        "chunks; the output lags by 136 input samples (1,360.0 ms), its look-ahead.",
        "Future (right) context: 34 of these frames (1,360.0 ms).",
    ),
    cause=("lags by 136", "1,360.0 ms"),
    do="Pad in front alone and retrain: causal convolutions look no frame ahead.",
    truth=look_ahead,
)
