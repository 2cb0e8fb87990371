"""A window of kernel 7, stride 2 and padding 3 reads rows that the devices before and behind it own."""

from pathlib import Path

from tests.questions.question import Question

RESNET = """
from torch import nn


class Block(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, KERNEL, stride, PADDING)
        self.conv2 = nn.Conv2d(4, 4, KERNEL, 1, PADDING)
        self.skip = nn.Conv2d(4, 4, 1, stride)

    def forward(self, x):
        return self.conv2(self.conv1(x).relu()) + self.skip(x)


class Resnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, STEM)
        self.layers = nn.Sequential(Block(1), Block(2), Block(2))

    def forward(self, x):
        return self.layers(self.conv1(x).relu())
"""


def rows_of_neighbours(folder: Path) -> list[str]:
    """Cut 64 rows into two halves: which rows of the other half do 16 output rows of the stem read?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "resnet.py").read_text(), space)
    stem = space["Resnet"]().get_submodule("conv1")
    x = torch.zeros(1, 3, 64, 64, requires_grad=True)
    output = stem(x)

    def read(rows: slice) -> list[int]:
        (gradient,) = torch.autograd.grad(output[:, :, rows].sum(), x, retain_graph=True)
        return gradient.abs().sum((0, 1, 3)).nonzero().flatten().tolist()

    before = sum(row < 32 for row in read(slice(16, 32)))
    after = sum(row >= 32 for row in read(slice(0, 16)))
    return [f"at most {before} + {after} rows"]


QUESTION = Question(
    number=44,
    group="Several devices",
    asked="A map is cut among devices, and a convolution of stride 2 with padding is refused. What must they exchange?",
    threads=("pytorch/pytorch#176446",),
    ended="the check also fires where the batch alone is cut and nothing is exchanged; the fix moves it behind that "
    "case. Cut along the height, such a convolution stays refused there.",
    files={
        "resnet.py": RESNET.replace("STEM", "7, 2, 3")
        .replace("KERNEL", "3")
        .replace("PADDING", "1")
    },
    control={
        "resnet.py": RESNET.replace("STEM", "2, 2, 0")
        .replace("KERNEL", "1")
        .replace("PADDING", "0")
    },
    commands=("padviz shards resnet:Resnet --size 64 --shards 2",),
    answer=(
        "2 shards along the height: at any layer, a shard fetches at most 3 + 2 rows, before and after its own; "
        "7 exchanges, 7.4 kB in all",
        "conv1             32       3      2  3,840",
    ),
    cause=("3 + 2 rows", "7 exchanges"),
    do="Fetch these rows before each layer: `padviz.sharded` does it for a PyTorch module. Or cut the batch: then "
    "nothing is exchanged.",
    truth=rows_of_neighbours,
)
