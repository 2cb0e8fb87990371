"""Three causal convolutions of stride 2 and kernel 3: a step of an encoder reads 15 frames, none of them ahead."""

from pathlib import Path

from tests.questions.question import Question

ENCODER = """
from torch import nn
from torch.nn import functional


class Half(nn.Module):
    def __init__(self, before, groups):
        super().__init__()
        self.depthwise = nn.Conv1d(before, 4, 3, 2, groups=groups)
        self.pointwise = nn.Conv1d(4, 4, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(functional.pad(x, PADS))).relu()


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.halve = nn.Sequential(Half(8, 1), Half(4, 4), Half(4, 4))
        self.convs = nn.ModuleList([nn.Conv1d(4, 4, 9, groups=4) for _ in range(4)])

    def forward(self, x):
        x = self.halve(x)
        for conv in self.convs:
            x = x + conv(functional.pad(x, (8, 0)))
        return x
"""


def frames_read(folder: Path) -> list[str]:
    """Find by gradients the frames that step t reads, from 8 t."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "encoder.py").read_text(), space)
    network = space["Encoder"]().double()
    for parameter in network.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.ones(1, 8, 160, dtype=torch.float64, requires_grad=True)
    halved = network.get_submodule("halve")(x)
    (gradient,) = torch.autograd.grad(halved[0, 0, 10], x)
    frames = gradient[0, 0].nonzero().flatten() - 80
    first, last = frames[0].item(), frames[-1].item()
    assert (first, last) == (-14, 0)  # as in the thread
    return [f"{last - first + 1} samples, stride 8", f"first unit at {(first + last) // 2} samples"]


QUESTION = Question(
    number=55,
    group="Audio",
    asked="Which mel frames does an output step read after three stride-2 convolutions?",
    threads=("Blaizzy/mlx-audio#773",),
    ended="step t reads the frames from 8 t - 14 to 8 t, and none ahead.",
    files={"encoder.py": ENCODER.replace("PADS", "(2, 0)")},
    control={"encoder.py": ENCODER.replace("PADS", "(1, 1)")},
    commands=("padviz layers encoder:Encoder --size 160 --layer halve.2.pointwise",),
    answer=(
        "Receptive field of halve.2.pointwise: 15 samples, stride 8, centre of the first\nunit at -7 samples.",
    ),
    cause=("at -7 samples",),
    do="Keep the last 14 frames between chunks, or 2 samples before each of the three convolutions; `padviz stream` "
    "lists them. The 15 samples around -7 are those from -14 to 0: none is ahead. The table's `before` and `after` say how far each layer sees.",
    truth=frames_read,
)
