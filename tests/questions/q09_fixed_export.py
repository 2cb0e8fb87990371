"""A vision transformer was exported at 518 px: the file declares that size, and its position codes are for 37 x 37."""

from tests.questions.exported import exported
from tests.questions.question import Question

DEPTH = """
import torch
from torch import nn
from torch.nn.functional import interpolate


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1, self.fc2 = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x):
        y = self.norm1(x)
        attention = (self.q(y) @ self.k(y).transpose(1, 2)).softmax(-1)
        x = x + attention @ self.v(y)
        return x + self.fc2(self.fc1(self.norm2(x)).relu())


class Depth(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 4, 14, 14)
        self.positions = nn.Parameter(torch.zeros(1, 4, 37, 37))
        self.blocks = nn.ModuleList([Block(4) for _ in range(2)])
        self.project = nn.Conv2d(4, 4, 1)
        self.head = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, image):
        x = self.patches(image)
        rows, columns = x.shape[-2:]
        x = x + POSITIONS
        x = x.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        x = x.transpose(1, 2).reshape(1, 4, rows, columns)
        return self.head(interpolate(self.project(x), scale_factor=14.0, mode="bilinear"))
"""
MENDED = 'interpolate(self.positions, (rows, columns), mode="bicubic")'
QUESTION = Question(
    number=9,
    group="Sizes",
    asked="An exported depth network takes only 518 px, though it should take any multiple of 14.",
    threads=("fabio-sim/Depth-Anything-ONNX#14",),
    ended="the export got open axes.",
    files={
        "depth.onnx": exported(
            DEPTH.replace("POSITIONS", "self.positions"), "Depth", side=518, fixed=True
        )
    },
    control={"depth.onnx": exported(DEPTH.replace("POSITIONS", MENDED), "Depth", side=518)},
    commands=("padviz sizes depth.onnx --size 364",),
    answer=(
        "refused by  depth: the file declares an input of 518 x 518",
        "accepts     518 only",
        "instead     export it again with open axes, or resize the image",
    ),
    cause=(
        "the file declares an input of 518 x 518",
        "518 only",
    ),
    do="Export it again with open height and width.",
)
