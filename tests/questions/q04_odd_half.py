"""A restoration network halves a map of 453 rows to 226 and doubles them to 452, which it adds to the 453."""

from pathlib import Path

from tests.questions.exported import exported, nearest
from tests.questions.question import Question

RESTORER = """
import torch
from torch import nn
from torch.nn.functional import interpolate


def block():
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.PReLU(), nn.Conv2d(4, 4, 3, padding=1))


class Restorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.shallow = nn.Conv2d(3, 4, 3, padding=1)
        self.encoder = nn.ModuleList([block() for _ in range(4)])
        self.decoder = nn.ModuleList([block() for _ in range(3)])
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, image):
        x = self.shallow(image)
        skips = []
        for level in self.encoder[:-1]:
            skips.append(level(x))
            x = interpolate(skips[-1], scale_factor=0.5, mode="bilinear", align_corners=False)
        x = self.encoder[-1](x)
        for block, skip in zip(self.decoder, reversed(skips)):
            x = block(GROWN + skip)
        return image + self.last(x)
"""
GROWN = 'interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)'


def truth(folder: Path) -> list[str]:
    height, width = nearest(folder / "restorer.onnx", (1814, 1360), 64)
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=4,
    group="Sizes",
    asked="A restoration network fails on an image 1814 px high and 1360 px wide: 452 against 453. What must I pad?",
    threads=("megvii-research/TLC#22",),
    ended="a map with an odd size is halved and doubled again: check the size of the image and pad it.",
    files={"restorer.onnx": exported(RESTORER.replace("GROWN", "self.up(x)"), "Restorer")},
    control={"restorer.onnx": exported(RESTORER.replace("GROWN", GROWN), "Restorer")},
    commands=("padviz sizes restorer.onnx --size 1814x1360",),
    answer=(
        "refused by  /Add: its branches disagree in height: /encoder.2/encoder.2.2/Conv",
        "            has 453, /up/Resize has 452",
        "accepts     multiples of 8",
        "pad to      1816 x 1360: 2 px at the bottom",
        'x = np.pad(x, [(0, 0), (0, 0), (0, 2), (0, 0)], mode="reflect")',
        "y = y[..., :1814, :1360]",
    ),
    cause=(
        "/up/Resize has 452",
        "multiples of 8",
    ),
    do="Pad 2 px at the bottom before the network and crop them from its output, as the printed lines do.",
    truth=truth,
)
