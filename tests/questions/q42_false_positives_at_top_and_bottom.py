"""Trained on squares with bars, run without: the image's own top and bottom now lie where padding is read."""

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


def differ_without_bars(folder: Path) -> list[str]:
    """Run an image alone, and between bars as in training, of whole strides: all rows of units differ."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "detector.py").read_text(), space)
    torch.manual_seed(0)
    network = space["Detector"]().double().eval()
    image = torch.rand(1, 3, 224, 448, dtype=torch.float64)
    with torch.no_grad():
        alone = network(image)
        between = network(torch.nn.functional.pad(image, (0, 0, 96, 128), value=0.5))[:, :, 3:10]
    rows = (between - alone).abs().amax((0, 1, 3))
    assert (rows > 0).all()
    return ["Every unit depends on padding"]


QUESTION = Question(
    number=42,
    group="Accuracy at the border",
    asked="Trained at 448 x 224 and exported as 448 x 448 it is right; exported as 448 x 224 it sees false objects at the "
    "top and bottom. Why?",
    threads=("ultralytics/ultralytics#18830",),
    ended="it went stale; training puts such images on squares, with bars above and below.",
    files={"detector.py": DETECTOR.replace("MODE", "zeros")},
    control={"detector.py": DETECTOR.replace("MODE", "circular")},
    commands=("padviz audit detector:Detector --size 224x448",),
    answer=(
        "The outer 10 px above and left and 32 px below and right\n          are starved",
        "Margin    32 px of margin (1.47x the pixels) move the image out of the rim: 1.3\n"
        "          % of it is starved or overused instead of 29.3 %.",
        "Every unit depends on padding, at any distance from the border.",
    ),
    cause=("32 px of margin", "Every unit depends on padding"),
    do="Give the export the margin that the answer names, filled as the bars in training: 288 rows, say, not 448. Or "
    "train with `rect=True`.",
    truth=differ_without_bars,
)
