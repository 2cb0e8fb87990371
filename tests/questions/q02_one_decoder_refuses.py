"""A U-Net's decoder doubles 23 rows to 46 and meets 45; one that resizes to its skip's size does not."""

from pathlib import Path

from tests.questions.exported import exported, nearest
from tests.questions.question import Question

UNET = """
from torch import cat, nn
from torch.nn.functional import interpolate


def stage(before, after, stride):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()
    )


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleList([stage(3 if level == 0 else 4, 4, 2) for level in range(5)])
        self.decoder = nn.ModuleList([stage(8, 4, 1) for _ in range(4)])
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, image):
        skips = [image]
        for level in self.encoder:
            skips.append(level(skips[-1]))
        x = skips[-1]
        for block, skip in zip(self.decoder, skips[-2:0:-1]):
            x = block(cat([interpolate(x, RESIZED), skip], 1))
        return interpolate(self.head(x), scale_factor=2)
"""


def truth(folder: Path) -> list[str]:
    height, width = nearest(folder / "unet.onnx", (720, 960), 64)
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=2,
    group="Sizes",
    asked="720 x 960 fails in a decoder, which joins maps of 45 and 46 rows. Which sizes does it take?",
    threads=(
        "qubvel-org/segmentation_models.pytorch#196",
        "qubvel-org/segmentation_models.pytorch#146",
    ),
    ended="the threads name no cause; the project says elsewhere (#18) that sizes must divide by 32.",
    files={"unet.onnx": exported(UNET.replace("RESIZED", "scale_factor=2"), "Unet")},
    control={"unet.onnx": exported(UNET.replace("RESIZED", "skip.shape[-2:]"), "Unet")},
    commands=("padviz sizes unet.onnx --size 720x960",),
    answer=(
        "refused by  /Concat: its branches disagree in height: /Resize has 46,",
        "            /encoder.3/encoder.3.2/Conv has 45",
        "accepts     multiples of 32 or 32*i + 31",
        "pad to      735 x 960: 15 px at the bottom",
    ),
    cause=(
        "disagree in height: /Resize has 46",
        "multiples of 32",
    ),
    do="Pad 15 px at the bottom: 735 is the least height that this file runs, and 736, a multiple of 32, runs as "
    "well. Or take a decoder that resizes to its skips.",
    truth=truth,
)
