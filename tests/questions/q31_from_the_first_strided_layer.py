"""A converter wrote pools of kernel 3, stride 2 and padding 1 as "same", which pads the other side."""

from pathlib import Path

from tests.keras_files import functional, image, layer, written
from tests.questions.question import Question

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        layers = []
        for step in range(3):
            layers += [nn.Conv2d(8 if step else 3, 8, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(3, stride=2, padding=1)]
        super().__init__(*layers)
"""


def converted(by_hand: bool, path: Path) -> None:
    """Write the network as Keras does, its pools with "same" or with a pad in front of them."""
    layers, source = [image()], "image"

    def add(kind: str, name: str, **config: object) -> None:
        nonlocal source
        layers.append(layer(kind, name, source, **config))
        source = name

    for step in range(3):
        for name in (f"conv{step}", f"again{step}"):
            add("Conv2D", name, filters=8, kernel_size=[3, 3], strides=[1, 1], padding="same")
            add("ReLU", f"{name}_relu")
        padding = "valid" if by_hand else "same"
        if by_hand:  # behind a ReLU zeros are as good as -inf
            add("ZeroPadding2D", f"pad{step}", padding=[[1, 1], [1, 1]])
        add("MaxPooling2D", f"pool{step}", pool_size=[3, 3], strides=[2, 2], padding=padding)
    written(path, functional(layers, source))


def rule_of_keras(_: Path) -> list[str]:
    """TensorFlow's rule for a kernel of 3 and a stride of 2 at 64 px."""
    total = max((64 // 2 - 1) * 2 + 3 - 64, 0)
    return [f"SAME pads {total // 2}+{total - total // 2}"]


QUESTION = Question(
    number=31,
    group="Ports and exports",
    asked="The outputs of a converted network differ. From which layer on, and why?",
    threads=("gmalivenko/pytorch2keras#38",),
    ended="pools of kernel 3, stride 2 and padding 1 may differ; the thread names no cause.",
    files={"net.py": NET, "net.keras": lambda path: converted(False, path)},
    control={"net.keras": lambda path: converted(True, path)},
    commands=("padviz diff net:Net net.keras --size 64",),
    answer=(
        " 4      pool0        both  padding       1+1    0+1          pad 0 before and 1",
        "                                                             after",
        "4, 9, 14: SAME pads 0+1 where A pads 1+1. In PyTorch F.pad(x, (0, 1, 0, 1),",
        "value=-math.inf), then padding=0.",
    ),
    cause=("pad 0 before and 1 after", "4, 9, 14: SAME pads 0+1"),
    do='In Keras, `ZeroPadding2D(1)` in front of these max pools and padding="valid". That is right only behind a '
    "ReLU, as PyTorch pads a max pool with -inf.",
    truth=rule_of_keras,
)
