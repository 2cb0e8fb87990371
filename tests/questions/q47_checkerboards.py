"""A transposed convolution of kernel 3 and stride 2 adds 1 tap to some pixels and 2 to others."""

from pathlib import Path

from tests.questions.question import Question

GENERATOR = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.ReflectionPad2d(1), nn.Conv2d(4, 4, 3)
        )

    def forward(self, x):
        return x + self.body(x)


class Generator(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, 4, 7),
            *[nn.Conv2d(4, 4, 3, 2, 1) for _ in range(3)],
            *[Block() for _ in range(3)],
            *[nn.ConvTranspose2d(4, 4, KERNEL, 2, 1, output_padding=ODD) for _ in range(3)],
            nn.ReflectionPad2d(3),
            nn.Conv2d(4, 3, 7),
        )
"""


def taps(folder: Path) -> list[str]:
    """Upsample a map of ones with weights of 1: units in the middle differ by their numbers of taps."""
    import torch

    space: dict[str, type[torch.nn.Sequential]] = {}
    exec((folder / "generator.py").read_text(), space)
    layers = space["Generator"]()
    numbers = [
        f"{n}" for n, layer in enumerate(layers) if isinstance(layer, torch.nn.ConvTranspose2d)
    ]
    layer = layers[int(numbers[0])]
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    along = layer(torch.ones(1, 4, 16, 16))[0, 0, 14, 10:22]
    along = along / along.min()
    return [f"{int(along.min())} to {int(along.max())} taps", ", ".join(numbers)]


QUESTION = Question(
    number=47,
    group="Checkerboards",
    asked="Does a transposed convolution of kernel 3 and stride 2 make checkerboards, and what should I use?",
    threads=("NVIDIA/pix2pixHD#149", "HsinYingLee/DRIT#36"),
    ended="the first has no answer from its authors; the second: train longer, or upsample and convolve.",
    files={"generator.py": GENERATOR.replace("KERNEL", "3").replace("ODD", "1")},
    control={"generator.py": GENERATOR.replace("KERNEL", "4").replace("ODD", "0")},
    commands=("padviz check generator:Generator --size 64 --all",),
    answer=(
        "note   transposed-ripple   8, 9, 10  kernel 3, stride   kernel_size=4,\n"
        "2: 1 to 2 taps a   padding=1,\n"
        "unit               output_padding=0; or\n"
        "resize, then a\nconvolution; at the\nstart, divide taps by\n2, 1, 2",
    ),
    cause=("transposed-ripple", "kernel_size=4"),
    do="Train with one of these layers; a kernel of 4 alone was not enough for the decoder of the next question. "
    "Where the network is trained already, it may have learnt to even the taps out.",
    truth=taps,
)
