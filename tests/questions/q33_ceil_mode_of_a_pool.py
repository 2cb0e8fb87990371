"""ceil_mode rounds the number of windows up, but leaves out one that would start behind the map."""

from pathlib import Path

from tests.questions.question import Question

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(1, stride=2, ceil_mode=CEIL),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2, stride=2, ceil_mode=CEIL),
            nn.Conv2d(4, 4, 3, padding=1),
        )
"""


def of_pytorch(folder: Path) -> list[str]:
    """Run the pool itself, and the formula of the documentation when the question was asked."""
    import math

    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "net.py").read_text(), space)
    image = torch.zeros(1, 3, 32, 32)
    for module in [*space["Net"]().children()][:5]:
        image = module(image)
    units = image.shape[-1]
    return [f"4 has {units} units", f"rounds up to {math.ceil((32 - 1) / 2 + 1)}"]


QUESTION = Question(
    number=33,
    group="Ports and exports",
    asked="By the formula of the documentation a pool with ceil_mode returns 17 rows. Why are there 16?",
    threads=("pytorch/pytorch#57178", "pytorch/pytorch#71549", "onnx/onnx#5711"),
    ended="PyTorch leaves out a window that would start in the far padding; ONNX did not, so exports had a row more.",
    files={"net.py": NET.replace("CEIL", "True")},
    control={"net.py": NET.replace("CEIL", "False")},
    commands=("padviz layers net:Net --size 32",),
    answer=(
        " 4      maxpool  1/2/1  0+0   32     16",
        "4 has 16 units along the height and width, though ceil_mode rounds up to 17: a",
        "last window would start behind its input.",
    ),
    cause=("ceil_mode rounds up to 17", "start behind its input"),
    do="Take the sizes of the table. A runtime that returns 17 has a row of -inf or nan there: cut it off.",
    truth=of_pytorch,
)
