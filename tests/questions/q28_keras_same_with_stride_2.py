"""Keras pads a strided "same" convolution at the bottom and right alone, PyTorch's padding=1 all sides."""

from pathlib import Path

from tests.questions.question import Question

RESNET = """
from torch import nn


class Basic(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.pad = nn.Identity()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1)
        if SAME and stride > 1:
            self.pad = nn.ZeroPad2d((0, 1, 0, 1))
            self.conv1.padding = (0, 0)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1, stride)

    def forward(self, x):
        return self.skip(x) + self.conv2(self.conv1(self.pad(x)).relu())


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1),
            Basic(8, 8, 1),
            Basic(8, 8, 2),
            Basic(8, 8, 1),
            Basic(8, 8, 2),
        )
"""


def by_formula(_: Path) -> list[str]:
    """TensorFlow's rule: as many units as strides fit, and the odd row of padding behind."""
    rows, kernel, stride = 64, 3, 2
    total = max((-(-rows // stride) - 1) * stride + kernel - rows, 0)
    return [f"SAME pads {total // 2}+{total - total // 2}"]


QUESTION = Question(
    number=28,
    group="Ports and exports",
    asked="I ported weights between PyTorch and Keras. Why do outputs differ where the stride is 2?",
    threads=("keras-team/keras#16363", "keras-team/keras#19291"),
    ended="which side a stride begins on differs: #16363 pads unevenly in Keras, for weights of PyTorch; #19291 pads "
    "(0, 1, 0, 1) in PyTorch.",
    files={"net.py": RESNET.replace("SAME", "False")},
    control={"net.py": RESNET.replace("SAME", "True")},
    commands=("padviz diff net:Net --size 64 --same",),
    answer=(
        " 2.conv1  both  padding       1+1    0+1          pad 0 before and 1 after",
        "2.conv1, 4.conv1: SAME pads 0+1 where A pads 1+1. In PyTorch F.pad(x, (0, 1, 0,",
        "1)), then padding=0.",
    ),
    cause=("2.conv1, 4.conv1", "SAME pads 0+1 where A pads 1+1"),
    do="Trained in Keras: `F.pad(x, (0, 1, 0, 1))` in PyTorch, as the answer says. Trained in PyTorch: pad by 1 on "
    'all sides in Keras, then padding="valid".',
    truth=by_formula,
)
