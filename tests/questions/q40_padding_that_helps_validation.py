"""A detector's outermost pixels are read by fewer than half as many paths; a frame of padding moves objects inside."""

from pathlib import Path

from tests.questions.question import Question

DETECTOR = """
from torch import nn


class Conv(nn.Module):
    def __init__(self, before, after, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, stride, 1, padding_mode="MODE")

    def forward(self, x):
        return self.conv(x).relu()


class Bottleneck(nn.Module):
    def __init__(self):
        super().__init__()
        self.cv1 = Conv(4, 4)
        self.cv2 = Conv(4, 4)

    def forward(self, x):
        return x + self.cv2(self.cv1(x))


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 4, 2)
        self.stages = nn.Sequential(*[nn.Sequential(Conv(4, 4, 2), Bottleneck()) for _ in range(4)])
        self.head = nn.Conv2d(4, 6, 1)

    def forward(self, x):
        return self.head(self.stages(self.stem(x)))
"""


def starved(folder: Path, height: int, width: int) -> list[str]:
    """Count paths by gradients, with equal weights, and compare with those of a middle at the same phase of 32."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "detector.py").read_text(), space)
    network = space["Detector"]().double()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.in_channels)

    def paths(rows: int, columns: int) -> torch.Tensor:
        x = torch.ones(1, 3, rows, columns, dtype=torch.float64, requires_grad=True)
        (counts,) = torch.autograd.grad(network(x)[:, 0].sum(), x)
        return counts[0, 0]

    middle = paths(640, 640)[320:352, 320:352].repeat(height // 32, width // 32)
    few = paths(height, width) < middle / 2
    rows = few[:, width // 2].nonzero().flatten()
    half = height // 2
    before, after = rows[rows < half].max() + 1, height - rows[rows >= half].min()
    share = few.double().mean()
    return [
        f"{before} px above and left and {after} px below and right",
        f"instead of {share:.1%}".replace("%", " %"),
    ]


QUESTION = Question(
    number=40,
    group="Accuracy at the border",
    asked="Why does a detector score better in validation, where 640 px are padded to 672?",
    threads=("ultralytics/ultralytics#24388", "ultralytics/ultralytics#3676"),
    ended="nobody is sure: it is done because scores are higher. Objects at the edges may gain by it; #24388 also calls"
    " it a bug that somehow helped.",
    files={"detector.py": DETECTOR.replace("MODE", "zeros")},
    control={"detector.py": DETECTOR.replace("MODE", "circular")},
    commands=("padviz audit detector:Detector --size 640",),
    answer=(
        "Border    The outer 10 px above and left and 32 px below and right are starved\n"
        "          (fewer than half the paths of a pixel far from every border)",
        "Margin    32 px of margin (1.21x the pixels) move the image out of the rim: 0.3\n"
        "          % of it is starved or overused instead of 13.4 %.",
    ),
    cause=("The outer 10 px", "32 px of margin"),
    do="A plausible cause, not a shown one: 672 px are a margin of 16 px. Pad when you predict, too, and measure: "
    "counts say where a margin acts, and not how much it gains. `padviz rings` scores objects by their distance "
    "to the border.",
    truth=lambda folder: starved(folder, 640, 640),
)
