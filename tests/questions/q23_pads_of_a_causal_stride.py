"""A causal convolution of 15 with stride 6 is padded (14, 0): it never reads the last frames."""

from pathlib import Path

from tests.questions.question import Question

SUBSAMPLER = """
from torch import nn


class Causal(nn.Module):
    def __init__(self, before, after, window, stride=1):
        super().__init__()
        pads = PADS
        self.pad = nn.ConstantPad1d(pads, 0.0)
        self.conv = nn.Conv1d(before, after, window, stride)

    def forward(self, x):
        return self.conv(self.pad(x)).relu()


class Subsampler(nn.Sequential):
    def __init__(self):
        layers = [Causal(4, 8, 5), Causal(8, 8, 15, 6)]
        super().__init__(*layers, *[Causal(8, 8, 3) for _ in range(6)])
"""


def frames_not_seen(folder: Path) -> list[str]:
    """Ask PyTorch's gradients which of 60 frames no output depends on."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "subsampler.py").read_text(), space)
    torch.manual_seed(0)
    frames = torch.rand(1, 4, 60, dtype=torch.float64, requires_grad=True)
    space["Subsampler"]().double().eval()(frames).sum().backward()
    assert frames.grad is not None
    unread = 59 - int(frames.grad.abs().sum(dim=(0, 1)).nonzero().max())
    window, stride = 15, 6  # the formula of the thread
    return [f"the last {unread} of 60 samples", f"{window - stride}+{stride - 1}"]


QUESTION = Question(
    number=23,
    group="Audio",
    asked="A causal subsampler loses the last frame. How much must a strided causal convolution pad?",
    threads=("apple/axlearn#801", "apple/axlearn#841"),
    ended="(window - stride, stride - 1): for a window of 15 and a stride of 6 it is (9, 5).",
    files={"subsampler.py": SUBSAMPLER.replace("PADS", "(window - 1, 0)")},
    control={"subsampler.py": SUBSAMPLER.replace("PADS", "(window - stride, stride - 1)")},
    commands=("padviz uneven subsampler:Subsampler --size 60",),
    answer=("1.conv leaves the last 5 of 60 samples unread: pad 1.conv 9+5 instead of 14+0.",),
    cause=("leaves the last 5", "9+5 instead of 14+0"),
    do="Pad 9 frames in front and 5 behind.",
    truth=frames_not_seen,
)
