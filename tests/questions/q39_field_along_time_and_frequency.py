"""A network on spectrograms: strides and dilations differ between mel bands and frames, and so does the field."""

from pathlib import Path

from tests.questions.question import Question

MOBILENET = """
from torch import nn


class Block(nn.Module):
    def __init__(self, kernel, stride=1, dilation=1):
        super().__init__()
        (height, width), (down, across) = kernel, dilation
        padding = down * (height // 2), across * (width // 2)
        self.expand = nn.Conv2d(4, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, kernel, stride, padding, dilation, groups=8)
        self.project = nn.Conv2d(8, 4, 1)
        self.adds = stride == (1, 1)

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x).relu()).relu())
        return x + y if self.adds else y


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, 1)
        self.blocks = nn.Sequential(
            Block((3, 3), (1, 1), (1, 1)),
            Block((3, 3), (2, 2), (1, 1)),
            Block((5, 5), STRIDE, (1, 1)),
            Block((5, 5), (1, 1), DILATION),
            Block((3, 3), (2, 2), (1, 1)),
            Block((5, 5), (1, 1), DILATION),
        )

    def forward(self, x):
        return self.blocks(self.stem(x))
"""


def fields(folder: Path) -> list[str]:
    """Work backwards, along each axis, through the convolutions of the longest path."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "tagger.py").read_text(), space)
    sizes = [1, 1]
    convolutions = [
        module for module in space["Tagger"]().modules() if isinstance(module, torch.nn.Conv2d)
    ]
    for convolution in reversed(convolutions):
        for axis in (0, 1):
            extent = convolution.dilation[axis] * (convolution.kernel_size[axis] - 1) + 1
            sizes[axis] = (sizes[axis] - 1) * convolution.stride[axis] + extent
    return [f"{sizes[0]} x {sizes[1]} px"]


QUESTION = Question(
    number=39,
    group="Receptive field and grid",
    asked="What is the receptive field along time and along frequency, with strides and dilations of their own?",
    threads=("fschmid56/EfficientAT#37",),
    ended="its script treated both axes alike and left dilations out; it now prints two numbers.",
    files={"tagger.py": MOBILENET.replace("STRIDE", "(2, 1)").replace("DILATION", "(1, 2)")},
    control={"tagger.py": MOBILENET.replace("STRIDE", "(2, 2)").replace("DILATION", "(1, 1)")},
    commands=("padviz layers tagger:Tagger --size 128x100",),
    answer=("Receptive field of blocks.5: 139 x 131 px (height x width), stride 16 x 8",),
    cause=("139 x 131 px",),
    do="Height is frequency and width is time here. To see less of the signal, use smaller strides "
    "and dilations along it. A squeeze-and-excitation gate sees all of it; padviz leaves gates out, and says so.",
    truth=fields,
)
