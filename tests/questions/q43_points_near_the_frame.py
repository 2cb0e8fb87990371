"""Ten padded convolutions and three pools: a keypoint near the frame is found by units that read padding."""

from pathlib import Path

from tests.questions.question import Question

POINTS = """
from torch import nn


class Points(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for stage in range(4):
            for _ in range(2):
                layers += [nn.Conv2d(4 if layers else 1, 4, 3, padding=PADDING), nn.ReLU()]
            if stage < 3:
                layers.append(nn.MaxPool2d(2))
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=PADDING), nn.ReLU(), nn.Conv2d(4, 65, 1))

    def forward(self, x):
        return self.head(self.encoder(x))
"""


def outer_units(folder: Path) -> list[str]:
    """Cut 240 x 320 px out of a larger scene, in whole strides: where do its units differ from those of the scene?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "points.py").read_text(), space)
    torch.manual_seed(0)
    network = space["Points"]().double().eval()
    scene = torch.rand(1, 1, 400, 480, dtype=torch.float64)
    with torch.no_grad():
        whole = network(scene)[:, :, 10:40, 10:50]
        alone = network(scene[..., 80:320, 80:400])
    # the units of a column in the middle differ by what is above and below alone
    rows = (whole - alone)[0, :, :, 20].abs().amax(0)
    above, below = int((rows[:15] > 1e-12).sum()), int((rows[15:] > 1e-12).sum())
    assert above == below
    return [f"Units in the outer {8 * above} px on all sides"]


QUESTION = Question(
    number=43,
    group="Accuracy at the border",
    asked="Keypoints near the frame are weak or dropped. Within how many pixels, and how much padding around helps?",
    threads=("CMU-Perceptual-Computing-Lab/openpose#1615", "lzx551402/ASLFeat#3"),
    ended="the first: leave a tenth of a person's box around it; the second: such points are less stable, probably by "
    "the padding of convolutions.",
    files={"points.py": POINTS.replace("PADDING", "1")},
    control={"points.py": POINTS.replace("PADDING", "0")},
    commands=("padviz audit points:Points --size 240x320",),
    answer=(
        "Margin    8 px of margin (1.12x the pixels) move the image out of the rim: 0.1 %\n"
        "          of it is starved or overused instead of 8.8 %.",
        "Units in the outer 40 px on all sides depend on padding: drop their\n          results to be free of it.",
    ),
    cause=("8 px of margin", "Units in the outer 40 px"),
    do="Take the margin of 8 px around the image, and subtract it from positions. Dropping all points within 40 px "
    "leaves 50 % of an image of this size. That units depend on padding does not show that padding makes points "
    "weak.",
    truth=outer_units,
)
