"""Four pools leave 22 of 360 columns, of 45: where 22 are upsampled to 44, a column of zeros makes 45."""

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


class Ocean(nn.Module):
    def __init__(self, levels=LEVELS):
        super().__init__()
        self.down = nn.ModuleList(
            [nn.Sequential(Zonal(4 if level else 2, 4), Zonal(4, 4)) for level in range(levels)]
        )
        self.middle = Zonal(4, 4)
        self.up = nn.ModuleList([Zonal(8, 4) for _ in range(levels)])
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = functional.avg_pool2d(x, 2)
        x = self.middle(x)
        for block, skip in zip(self.up, reversed(skips)):
            x = functional.interpolate(x, scale_factor=2.0)
            x = functional.pad(x, (0, skip.shape[-1] - x.shape[-1], 0, skip.shape[-2] - x.shape[-2]))
            x = block(cat([x, skip], 1))
        return self.last(x)
"""


def widths_that_wrap(folder: Path) -> list[str]:
    """Turn the globe by 16 columns at widths below and above 360: where does the output only turn?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "ocean.py").read_text(), space)
    network = space["Ocean"]().eval().double()

    def wraps(width: int) -> bool:
        x = torch.randn(1, 2, 16, width, dtype=torch.float64)
        with torch.no_grad():
            turned, output = network(x.roll(16, -1)), network(x).roll(16, -1)
        return bool((turned - output).abs().max() < 1e-12)

    assert not wraps(360)
    below = next(width for width in range(359, 330, -1) if wraps(width))
    above = next(width for width in range(361, 390) if wraps(width))
    return [f"use a width of {below} or {above}", "22 units from 45 rows"]


QUESTION = Question(
    number=35,
    group="Images that wrap",
    asked="An ocean emulator pads its convolutions circularly. Why is there a seam at longitude 0?",
    threads=("m2lines/Samudra#574", "m2lines/Samudra#408"),
    ended="the pools are blamed, and padding before them is suggested (open). Of a grid of 1 degree, the second says "
    "that 45 columns become 22, and that zeros are padded where 22 become 45.",
    files={"ocean.py": OCEAN.replace("LEVELS", "4")},
    control={"ocean.py": OCEAN.replace("LEVELS", "3")},
    commands=("padviz check ocean:Ocean --size 16x360 --wraps width",),
    answer=(
        "wraps fails at pad (width): wanted no border, found reads 0+1 rows of zero padding; pad the width "
        "circularly, and use a width of 352 or 368",
        "fails  wraps        avg_pool_4  width  22 units from 45 rows    use a width of\n352 or 368",
    ),
    cause=("0+1 rows of zero padding", "22 units from 45 rows"),
    do="Interpolate the grid to 368 columns, or pool less often and retrain: 360 columns halve only three times. We "
    "disagree with padding before the pools: it does not make an odd width wrap.",
    truth=widths_that_wrap,
)
