"""A half U-Net adds maps of all levels at full size: each side must halve four times."""

from pathlib import Path

from tests.questions.exported import exported, nearest
from tests.questions.question import Question

HALF = """
from torch import nn
from torch.nn.functional import interpolate


def block(before):
    return nn.Sequential(
        nn.Conv2d(before, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
    )


class HalfUnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleList([block(3 if level == 0 else 4) for level in range(5)])
        self.pool = nn.MaxPool2d(2)
        self.decoder = block(4)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        total = x = self.encoder[0](x)
        for level in range(1, 5):
            x = self.encoder[level](self.pool(x))
            total = total + interpolate(x, GROWN, mode="bilinear")
        return self.last(self.decoder(total))
"""


def truth(folder: Path) -> list[str]:
    height, width = nearest(folder / "half_unet.onnx", (61, 77), 64)
    return [f"pad to {height} x {width}", f"(0, {height - 61}), (0, {width - 77})"]


QUESTION = Question(
    number=5,
    group="Sizes",
    asked="Check a shape, give the nearest that fits, pad to it and undo that: must each model have code for it?",
    threads=("meteofrance/mfai#9", "meteofrance/mfai#10"),
    ended="a method of each model, written by hand, gives the nearest shape; a function pads.",
    files={"half_unet.onnx": exported(HALF.replace("GROWN", "scale_factor=2**level"), "HalfUnet")},
    control={"half_unet.onnx": exported(HALF.replace("GROWN", "total.shape[-2:]"), "HalfUnet")},
    commands=("padviz sizes half_unet.onnx --size 61x77",),
    answer=(
        "refused by  /Add: its branches disagree in height: /encoder.0/encoder.0.3/Conv",
        "            has 61, /Resize has 60",
        "pad to      64 x 80: 3 px at the bottom, 3 px at the right",
        'x = np.pad(x, [(0, 0), (0, 0), (0, 3), (0, 3)], mode="reflect")',
        "y = y[..., :61, :77]",
    ),
    cause=("/Resize has 60",),
    do="Paste the printed lines: they pad, run the network and crop its output. In Python, `padviz.sizes(model, size).near` has the sizes.",
    truth=truth,
)
