"""A detector of keypoints pads zeros in every layer: near the frame it sees an edge that is no part of the scene."""

from pathlib import Path

from tests.questions.question import Question

DETECTOR = """
from torch import cat, nn
from torch.nn import functional


def double(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=PADDING), nn.ReLU(), nn.Conv2d(after, after, 3, padding=PADDING), nn.ReLU()
    )


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = nn.ModuleList([double(4 if step else 3, 4) for step in range(4)])
        self.decoder = nn.ModuleList([double(8, 4) for _ in range(3)])
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        skips = []
        for step in self.steps[:-1]:
            x = step(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.steps[-1](x)
        for block, skip in zip(self.decoder, reversed(skips)):
            x = functional.interpolate(x, scale_factor=2.0)
            crop = (skip.shape[-2] - x.shape[-2]) // 2, (skip.shape[-1] - x.shape[-1]) // 2
            skip = skip[..., crop[0] : crop[0] + x.shape[-2], crop[1] : crop[1] + x.shape[-1]]
            x = block(cat([x, skip], 1))
        return self.last(x)
"""


def outer_pixels(folder: Path) -> list[str]:
    """Cut 192 x 192 px out of a larger scene, in whole strides: where do scores differ from those of the scene?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "detector.py").read_text(), space)
    torch.manual_seed(0)
    network = space["Detector"]().double().eval()
    scene = torch.rand(1, 3, 384, 384, dtype=torch.float64)
    with torch.no_grad():
        whole = network(scene)[0, 0, 96:288, 96:288]
        alone = network(scene[..., 96:288, 96:288])[0, 0]
    column = (whole - alone)[:, 96].abs() > 1e-12
    above, below = int(column[:96].sum()), int(column[96:].sum())
    assert above == below
    return [f"outer {above} px on all sides"]


QUESTION = Question(
    number=58,
    group="Accuracy at the border",
    asked="With more detections, keypoints line up along the frame. Is it the padding, and how many pixels must go?",
    threads=("Parskatt/dad#3",),
    ended="common in such detectors; there is an option that removes points at the border.",
    files={"detector.py": DETECTOR.replace("PADDING", "1")},
    control={"detector.py": DETECTOR.replace("PADDING", "0")},
    commands=("padviz audit detector:Detector --size 192",),
    answer=(
        "Margin    8 px of margin (1.17x the pixels) move the image out of the rim",
        "Units in the outer 46 px on all sides depend on padding: drop their\n          results to be free of it.",
    ),
    cause=("8 px of margin", "Units in the outer 46 px"),
    do="Surround the image by the margin of 8 px and shift the points back. Dropping all points within 46 px leaves "
    "27 % of an image of this size. That units depend on padding does not show that padding makes points line up.",
    truth=outer_pixels,
)
