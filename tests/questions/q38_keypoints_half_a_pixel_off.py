"""Two convolutions of stride 2 start at the first pixel, so the heatmap of a mirrored image lies off the mirrored one."""

from pathlib import Path

from tests.questions.question import Question

HRNET = """
from torch import nn


class Unit(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(self.conv1(x).relu())


class Pose(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem1 = nn.Conv2d(3, 4, KERNEL, 2, 1)
        self.stem2 = nn.Conv2d(4, 4, KERNEL, 2, 1)
        self.stage = nn.Sequential(Unit(), Unit(), Unit())
        self.head = nn.Conv2d(4, 17, 1)

    def forward(self, x):
        return self.head(self.stage(self.stem2(self.stem1(x).relu()).relu()))
"""


def shift_of_the_mirror(folder: Path) -> list[str]:
    """Find the rows and columns that a unit of the heatmap reads by gradients: where is its centre?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "pose.py").read_text(), space)
    network = space["Pose"]()
    for parameter in network.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.ones(1, 3, 256, 192, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[0, 0, 32, 24], x)
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    centre = (columns[0] + columns[-1]).item() / 2
    # unit 24 of 48 should lie 2 px to the right of the image's centre
    off = 191 / 2 + 2 - centre
    return [f"width -{off:g} px", f"lies {2 * off:g} px off"]


QUESTION = Question(
    number=38,
    group="Receptive field and grid",
    asked="Why do keypoints from a mirrored image lie off, until its heatmap is shifted by a pixel?",
    threads=("leoxiaobin/deep-high-resolution-net.pytorch#22",),
    ended="AP is .720 without a shift, .740 with one of a heatmap's pixel, .674 with two; the thread names no cause.",
    files={"pose.py": HRNET.replace("KERNEL", "3")},
    control={"pose.py": HRNET.replace("KERNEL", "4")},
    commands=("padviz layers pose:Pose --size 256x192 --layer head",),
    answer=(
        "Receptive field of head: 55 x 55 px (height x width), stride 4, centre of the\nfirst unit at 0 px.",
        "Sampling-grid offset: height -1.5 px, width -1.5 px. The map of a mirrored image\nlies 3 px off",
    ),
    cause=("Sampling-grid offset", "lies 3 px off"),
    do="Shift the heatmap of the mirrored image by .75 of its pixels, which are 4 px each; a whole one is the "
    "nearest. Our network has no lower-resolution branches. Or train strided convolutions with kernel 4 and "
    "padding 1.",
    truth=shift_of_the_mirror,
)
