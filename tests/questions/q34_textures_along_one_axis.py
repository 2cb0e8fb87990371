"""Every convolution of a decoder pads zeros: its images have a left and a right border, and do not tile."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn
from torch.nn import functional


class Conv(nn.Conv2d):
    def __init__(self, before, after):
        super().__init__(before, after, 3)

    def forward(self, x):
        return super().forward(functional.pad(functional.pad(x, (1, 1, 0, 0), "MODE"), (0, 0, 1, 1)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = Conv(4, 4)
        self.blocks = nn.ModuleList([nn.Sequential(Conv(4, 4), nn.SiLU(), Conv(4, 4)) for _ in range(4)])
        self.ups = nn.ModuleList([Conv(4, 4) for _ in range(3)])
        self.conv_out = Conv(4, 3)

    def forward(self, x):
        x = self.conv_in(x)
        for block, up in zip(self.blocks, self.ups):
            x = up(functional.interpolate(x + block(x), scale_factor=2, mode="nearest"))
        return self.conv_out(x + self.blocks[-1](x))
"""


def padding_convolutions(folder: Path) -> list[str]:
    """Shift the latents by a column: the output must shift by 8, and does not. Count the convolutions."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    network = space["Decoder"]().eval().double()
    x = torch.randn(1, 4, 8, 16, dtype=torch.float64)
    with torch.no_grad():
        turned, output = network(x.roll(1, -1)), network(x).roll(8, -1)
    assert (turned - output).abs().max() > 1e-6
    names = [
        name for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)
    ]
    return [f"8 x 16: {len(names)} fail", f"wraps fails at {names[0]}"]


QUESTION = Question(
    number=34,
    group="Images that wrap",
    asked="How do I make textures that tile along one axis only?",
    threads=("black-forest-labs/flux#437", "lllyasviel/Fooocus#665"),
    ended="neither has an answer; the second asks to choose between x and y.",
    files={"decoder.py": DECODER.replace("MODE", "constant")},
    control={"decoder.py": DECODER.replace("MODE", "circular")},
    commands=("padviz check decoder:Decoder --size 8x16 --wraps width",),
    answer=(
        "decoder:Decoder, 8 x 16: 13 fail",
        "wraps fails at conv_in.pad (width): wanted no border, found reads 1+1 rows of zero padding; "
        "pad the width circularly (13 findings in all)",
    ),
    cause=("rows of zero padding", "pad the width circularly"),
    do="A denoiser in front of the decoder must wrap too: repadding the decoder alone does not make a generated "
    "texture tile. In both, pad the width of every convolution circularly: `padviz.repad(decoder, "
    "'zero/circular', size=(8, 16))` in Python. Positions that a transformer adds must repeat as well; padviz "
    "does not look at them.",
    truth=padding_convolutions,
)
