"""A U-Net of four levels doubles 312 rows to 624 and meets 625, of which its crop takes half of 1, which is 0."""

from pathlib import Path

from tests.questions.exported import exported, nearest
from tests.questions.question import Question

UNET = """
from torch import cat, nn


def block(before):
    return nn.Sequential(nn.Conv2d(before, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleList([block(1 if level == 0 else 4) for level in range(4)])
        self.pool = nn.MaxPool2d(2)
        self.base = block(4)
        self.samplers = nn.ModuleList([nn.ConvTranspose2d(4, 4, 2, 2) for _ in range(4)])
        self.decoder = nn.ModuleList([block(8) for _ in range(4)])

    def forward(self, x):
        skips = []
        for level in self.encoder:
            skips.append(level(x))
            x = self.pool(skips[-1])
        x = self.base(x)
        for sampler, block, skip in zip(self.samplers, self.decoder, reversed(skips)):
            x = sampler(x)
            x = block(cat([x, CROPPED], 1))
        return x
"""
CROPPED = "skip[:, :, : x.shape[2], : x.shape[3]]"


def truth(folder: Path) -> list[str]:
    height, width = nearest(folder / "unet.onnx", (625, 625), 64, channels=1)
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=6,
    group="Sizes",
    asked="A U-Net crops its skips, yet fails at 625 x 625 because one is a pixel larger than the upsampled map. Is "
    "that a bug?",
    threads=("constantinpape/torch-em#43",),
    ended="expected, as sizes have to divide by 2 to the depth; a check of them was announced.",
    files={"unet.onnx": exported(UNET.replace("CROPPED", "skip"), "Unet", channels=1)},
    control={"unet.onnx": exported(UNET.replace("CROPPED", CROPPED), "Unet", channels=1)},
    commands=("padviz sizes unet.onnx --size 625",),
    answer=(
        "refused by  /Concat_3: its branches disagree in height:",
        "            /samplers.3/ConvTranspose has 624, /encoder.0/encoder.0.2/Conv has",
        "            625",
        "accepts     multiples of 16",
        "pad to      640 x 640: 15 px at the bottom, 15 px at the right",
    ),
    cause=(
        "ConvTranspose has 624",
        "multiples of 16",
    ),
    do="No: this network takes multiples of 16. Crop the image by the one pixel to 624 x 624, or pad it to 640 x 640.",
    truth=truth,
)
