"""Zero padding cuts the globe at a meridian, and starves the rows near the poles."""

from pathlib import Path

from tests.questions.question import Question

CLIMATE = """
from torch import nn
from torch.nn import functional


class Conv(nn.Conv2d):
    def __init__(self, before, after):
        super().__init__(before, after, 3)

    def forward(self, x):
        x = functional.pad(x, (1, 1, 0, 0), "ALONG")
        return functional.relu(super().forward(functional.pad(x, (0, 0, 1, 1), "ACROSS")))


class Climate(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList(
            [nn.Sequential(Conv(4 if stage else 1, 4), Conv(4, 4), Conv(4, 4)) for stage in range(3)]
        )

    def forward(self, x):
        for stage in self.stages:
            x = functional.avg_pool2d(stage(x), 2)
        return x
"""


def borders(folder: Path) -> list[str]:
    """Turn the globe: the output must turn with it. Then wrap the width, and count the starved rows at the poles
    by gradients, with all weights 1; with their outermost rows repeated, there are none.
    """
    import torch

    def built(text: str) -> torch.nn.Module:
        space: dict[str, type[torch.nn.Module]] = {}
        exec(text, space)
        return space["Climate"]().eval().double()

    text = (folder / "climate.py").read_text()
    network = built(text)
    x = torch.randn(1, 1, 32, 64, dtype=torch.float64)
    with torch.no_grad():
        assert (network(x.roll(8, -1)) - network(x).roll(1, -1)).abs().max() > 1e-6
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]

    def starved(across: str) -> int:
        text = CLIMATE.replace("ALONG", "circular").replace("ACROSS", across)
        network = built(text)
        for parameter in network.parameters():
            torch.nn.init.ones_(parameter)
        x = torch.ones(1, 1, 32, 64, dtype=torch.float64, requires_grad=True)
        network(x).sum().backward()
        assert x.grad is not None
        used = x.grad[0, 0, :, 0]
        return int((used[:16] < used[16] / 2).sum())

    assert starved("replicate") == 0
    poles = starved("constant")
    # of the rim, one for each axis
    return [f"{len(convolutions) + 2} fail", f"{poles}, {poles} px"]


QUESTION = Question(
    number=36,
    group="Images that wrap",
    asked="Which padding respects a globe: longitudes that join, and poles?",
    threads=("georgemilosh/Climate-Learning#24",),
    ended="open: it wants padding that knows how the grid's points are connected.",
    files={"climate.py": CLIMATE.replace("ALONG", "constant").replace("ACROSS", "constant")},
    control={"climate.py": CLIMATE.replace("ALONG", "circular").replace("ACROSS", "replicate")},
    commands=("padviz check climate:Climate --size 32x64 --wraps width --rim 0",),
    answer=(
        "climate:Climate, 32 x 64: 11 fail",
        "fails  rim                            height and    3, 3 px        see padviz",
        "wraps fails at stages.0.0.pad (width): wanted no border, found reads 1+1 rows of zero padding; pad the width "
        "circularly",
    ),
    cause=("pad the width circularly", "3, 3 px"),
    do="Pad the width circularly, and retrain. At a pole, repeat the outermost row (`replicate`): the mended network "
    "does so, and has no starved rows, where zeros starve 3 at each pole. Rows from the other side of the pole, turned "
    "by half of the width, come nearer to a globe, but padviz does not read networks that turn them.",
    truth=borders,
)
