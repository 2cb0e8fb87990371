"""A U-Net of five levels pools its image five times: 350 and 525 px do not halve that often."""

from pathlib import Path

from tests.questions.question import Question

UNET = """
from torch import cat, nn
from torch.nn.functional import interpolate


def step(before, after):
    return nn.Conv2d(before, after, 3, padding=1)


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = nn.ModuleList([step(3 if depth == 0 else 4, 4) for depth in range(6)])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2)
        self.decoder = nn.ModuleList([step(8, 4) for _ in range(5)])

    def forward(self, x):
        skips = []
        for step in self.steps[:-1]:
            x = step(x)
            skips.append(x)
            x = self.pool(x)
        x = self.steps[-1](x)
        for block, skip in zip(self.decoder, reversed(skips)):
            x = ENLARGED
            x = block(cat([x, skip], 1))
        return x
"""


def nearest_that_run(folder: Path) -> list[str]:
    """Run the network itself on every size from 350 and from 525 on."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "unet.py").read_text(), space)
    network = space["Unet"]().eval()

    def runs(height: int, width: int) -> bool:
        try:
            network(torch.zeros(1, 3, height, width))
        except RuntimeError:
            return False
        return True

    height = next(side for side in range(350, 400) if runs(side, 64))
    width = next(side for side in range(525, 600) if runs(64, side))
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=1,
    group="Sizes",
    asked="Which sizes does a U-Net take? 350 x 525 fails at a skip.",
    threads=(
        "qubvel-org/segmentation_models.pytorch#57",
        "qubvel-org/segmentation_models.pytorch#93",
    ),
    ended="sizes that divide by 32, as the network halves them five times.",
    files={"unet.py": UNET.replace("ENLARGED", "self.up(x)")},
    control={"unet.py": UNET.replace("ENLARGED", "interpolate(x, size=skip.shape[-2:])")},
    commands=("padviz sizes unet:Unet --size 350x525",),
    answer=(
        "refused by  cat: its branches disagree in height: up has 20, steps.4 has 21",
        "accepts     multiples of 32",
        "pad to      352 x 544: 2 px at the bottom, 19 px at the right",
    ),
    cause=("multiples of 32",),
    do="Pad the image as the answer says, and crop the output; or resize to a multiple of 32.",
    truth=nearest_that_run,
)
