"""PyTorch refuses padding="same" with a stride, since what TensorFlow does depends on the image's size."""

from pathlib import Path

from tests.questions.question import Question

STEM = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 7, stride=STRIDE, padding=3)
        self.pool = nn.MaxPool2d(3, stride=STRIDE, padding=1)
        self.blocks = nn.Sequential(
            *[nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(6)]
        )
        self.last = nn.Conv2d(8, 8, 3, stride=STRIDE, padding=1)

    def forward(self, x):
        return self.last(self.blocks(self.pool(self.stem(x))))
"""


def of_tensorflow(_: Path) -> list[str]:
    """TensorFlow's rule for a kernel of 7 and a stride of 2 at 64 px."""
    total = max((64 // 2 - 1) * 2 + 7 - 64, 0)
    return [f"SAME pads {total // 2}+{total - total // 2}"]


QUESTION = Question(
    number=30,
    group="Ports and exports",
    asked='What would padding="same" mean for a convolution with stride 2, and how do I write it in PyTorch?',
    threads=("pytorch/pytorch#67551", "pytorch/pytorch#3867"),
    ended='it stays refused: TensorFlow\'s "same" depends on the size of the image, and others do not.',
    files={"net.py": STEM.replace("STRIDE", "2")},
    control={"net.py": STEM.replace("STRIDE", "1")},
    commands=("padviz diff net:Net --size 64 --same",),
    answer=(
        " stem   both  padding       3+3    2+3          pad 2 before and 3 after",
        "stem: SAME pads 2+3 where A pads 3+3. In PyTorch F.pad(x, (2, 3, 2, 3)), then",
        "padding=0.",
    ),
    cause=("stem: SAME pads 2+3 where A pads 3+3",),
    do="Write this line in front of the stem; at another size of image, ask again.",
    truth=of_tensorflow,
)
