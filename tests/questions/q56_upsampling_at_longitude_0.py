"""All convolutions wrap, and a linear upsampling between them repeats the outermost columns."""

from pathlib import Path

from tests.questions.question import Question

OCEAN = """
from torch import cat, nn
from torch.nn import functional


class Zonal(nn.Conv2d):
    def __init__(self, before, after):
        super().__init__(before, after, 3)

    def forward(self, x):
        x = functional.pad(functional.pad(x, (1, 1, 0, 0), "circular"), (0, 0, 1, 1))
        return functional.gelu(super().forward(x))


class Upsample(nn.Module):
    def forward(self, x):
        x = functional.pad(x, (SIDE, SIDE, 0, 0), "circular")
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
        return x[..., 2 * SIDE : x.shape[-1] - 2 * SIDE]


class Ocean(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Sequential(Zonal(4 if level else 2, 4), Zonal(4, 4)) for level in range(3)])
        self.middle = Zonal(4, 4)
        self.upsample = Upsample()
        self.up = nn.ModuleList([Zonal(8, 4) for _ in range(3)])
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = functional.avg_pool2d(x, 2)
        x = self.middle(x)
        for block, skip in zip(self.up, reversed(skips)):
            x = block(cat([self.upsample(x), skip], 1))
        return self.last(x)
"""


def does_not_wrap(folder: Path) -> list[str]:
    """Turn the globe by 8 columns: the output must turn with it, and does not."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "ocean.py").read_text(), space)
    network = space["Ocean"]().eval().double()
    x = torch.randn(1, 2, 16, 48, dtype=torch.float64)
    with torch.no_grad():
        turned, output = network(x.roll(8, -1)), network(x).roll(8, -1)
    assert (turned - output).abs().max() > 1e-9
    coarse = torch.randn(1, 4, 2, 6, dtype=torch.float64)
    breaking = [
        name
        for name, module in network.named_children()
        if name == "upsample"
        and not torch.equal(module(coarse.roll(1, -1)), module(coarse).roll(2, -1))
    ]
    return [f"wraps fails at {name}" for name in breaking]


QUESTION = Question(
    number=56,
    group="Images that wrap",
    asked="All convolutions wrap and the width halves often enough. Why is there still a seam at longitude 0?",
    threads=("ai2cm/ace#1316", "m2lines/Samudra#408"),
    ended="bilinear upsampling repeats the outermost column; the fix pads two columns circularly, one on each side, "
    "upsamples and crops.",
    files={"ocean.py": OCEAN.replace("SIDE", "0")},
    control={"ocean.py": OCEAN.replace("SIDE", "1")},
    commands=("padviz check ocean:Ocean --size 16x48 --wraps width",),
    answer=(
        "wraps fails at upsample (width): wanted shifts with the image, found does not; pad the width circularly "
        "before it, and crop its output",
    ),
    cause=("wraps fails at upsample", "pad the width circularly before it"),
    do="Before each upsampling pad a column on both sides circularly, upsample, and crop two on both sides; or upsample by nearest neighbour.",
    truth=does_not_wrap,
)
