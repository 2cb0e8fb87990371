"""A U-Net that halves its image seven times has 1 row left of 128: of 80 none."""

from pathlib import Path

from tests.questions.exported import exported, nearest
from tests.questions.question import Question

GENERATOR = """
from torch import cat, nn


class Level(nn.Module):
    def __init__(self, outer, before, inner, after):
        super().__init__()
        self.down = nn.Conv2d(before, 4, 4, 2, 1)
        self.inner = inner
        self.up = nn.ConvTranspose2d(8 if inner else 4, after, 4, 2, 1)
        self.outer = outer

    def forward(self, x):
        y = self.down(x).relu()
        if self.inner:
            y = self.inner(y)
        y = self.up(y)
        return y if self.outer else cat([x, y.relu()], 1)


def generator():
    level = None
    for _ in range(LEVELS - 1):
        level = Level(False, 4, level, 4)
    return Level(True, 3, level, 3)
"""


def truth(folder: Path) -> list[str]:
    height, width = nearest(folder / "generator.onnx", (80, 80), 128)
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=10,
    group="Sizes",
    asked="How do I change a U-Net for 128 or 256 px images to take 80 x 80?",
    threads=("junyanz/pytorch-CycleGAN-and-pix2pix#295",),
    ended="resize to 128 x 128, or halve four times instead of eight.",
    files={"generator.onnx": exported(GENERATOR.replace("LEVELS", "7"), "generator")},
    control={"generator.onnx": exported(GENERATOR.replace("LEVELS", "4"), "generator")},
    commands=("padviz sizes generator.onnx --size 80",),
    answer=(
        "refused by  /inner/inner/inner/inner/inner/inner/down/Conv: its input has 1 row",
        "            and its window spans 4 with padding 1+1",
        "accepts     multiples of 128 or 128*i + 1",
        "pad to      128 x 128: 48 px at the bottom, 48 px at the right",
    ),
    cause=(
        "its input has 1 row",
        "multiples of 128",
    ),
    do="Pad or resize to 128 x 128; or build the network with four halvings and train that.",
    truth=truth,
)
