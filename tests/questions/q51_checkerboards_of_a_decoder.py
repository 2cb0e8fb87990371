"""A decoder of sea-ice maps upsamples with a kernel that is no multiple of its stride."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn


def upsample():
    return nn.Sequential(
        nn.ConvTranspose2d(4, 4, KERNEL, 2, 1, output_padding=ODD),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
    )


class Decoder(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(4, 4, 3, padding=1), upsample(), upsample(), nn.Conv2d(4, 1, 1))
"""


def unequal(folder: Path) -> list[str]:
    """Upsample a map of ones with weights of 1: units in the middle differ by their numbers of taps."""
    import torch

    space: dict[str, type[torch.nn.Sequential]] = {}
    exec((folder / "decoder.py").read_text(), space)
    layer = space["Decoder"]()[1][0]
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    row = layer(torch.ones(1, 4, 16, 16))[0, 0, 14, 10:22]
    row = row / row.min()
    return [f"{int(row.min())} to {int(row.max())} taps"]


QUESTION = Question(
    number=51,
    group="Checkerboards",
    asked="A convolutional decoder makes checkerboards on maps of sea ice. Which layers, and what instead?",
    threads=("alan-turing-institute/icenet-mp#276", "alan-turing-institute/icenet-mp#277"),
    ended="unequal overlap of transposed convolutions. A kernel that is a multiple of the stride was not enough: a "
    "shuffle of channels, whose weights begin equal (ICNR), replaced them.",
    files={"decoder.py": DECODER.replace("KERNEL", "3").replace("ODD", "1")},
    control={"decoder.py": DECODER.replace("KERNEL", "4").replace("ODD", "0")},
    commands=("padviz check decoder:Decoder --size 27 --all",),
    answer=(
        "note   transposed-ripple  1.0, 2.0  kernel 3, stride    kernel_size=4,\n"
        "2: 1 to 2 taps a    padding=1,\n"
        "unit                output_padding=0; or\n"
        "resize, then a\nconvolution",
    ),
    cause=("transposed-ripple", "kernel_size=4"),
    do="Resize and convolve. With a multiple of the stride the taps are equal in number, and not in value: what training "
    "makes of them is not seen here.",
    truth=unequal,
)
