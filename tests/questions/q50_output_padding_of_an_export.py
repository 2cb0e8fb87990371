"""An exporter pads the input of a transposed convolution in place of its output: one sample becomes a stride."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn
from torch.nn import functional


class Up(nn.Module):
    def __init__(self, stride, exported):
        super().__init__()
        odd = stride % 2
        self.ahead = odd if exported else 0
        padding = (stride + 1) // 2
        self.up = nn.ConvTranspose1d(2, 2, 2 * stride, stride, padding, output_padding=odd - self.ahead)

    def forward(self, x):
        if self.ahead:
            x = functional.pad(x, (0, self.ahead))
        return self.up(x)


class Decoder(nn.Module):
    def __init__(self, exported=False):
        super().__init__()
        self.conv_in = nn.Conv1d(2, 2, 7, padding=3)
        self.stages = nn.Sequential(
            *[
                nn.Sequential(Up(stride, exported), nn.Conv1d(2, 2, 7, padding=3), nn.Tanh())
                for stride in (8, 5, 4, 2)
            ]
        )
        self.conv_out = nn.Conv1d(2, 1, 7, padding=3)

    def forward(self, x):
        return self.conv_out(self.stages(self.conv_in(x)))


def exported():
    return Decoder(exported=PADS)
"""


def samples_too_many(folder: Path) -> list[str]:
    """The thread gives the excess: output padding x (stride - 1). Run both to see it."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    x, after = torch.zeros(1, 2, 40), "stages.1.0"
    lengths = []
    for network in (space["Decoder"](), space["exported"]()):
        found: list[int] = []
        layer = network.get_submodule(after)
        layer.register_forward_hook(
            lambda module, given, output, found=found: found.append(output.shape[-1])
        )
        network(x)
        lengths += found
    right, made = lengths
    assert made == right + 1 * (5 - 1)
    return [f"output {made} {right}", "output padding 0 1"]


QUESTION = Question(
    number=50,
    group="Ports and exports",
    asked="An exported audio decoder returns too many samples, with a false tail. Which layer makes them?",
    threads=("apple/coreai-torch#57",),
    ended="the exporter padded the input of transposed convolutions, for their output padding; an output is too long by"
    " output padding x (stride - 1). Fixed after 0.4.1.",
    files={"decoder.py": DECODER.replace("PADS", "True")},
    control={"decoder.py": DECODER.replace("PADS", "False")},
    commands=("padviz diff decoder:exported decoder:Decoder --size 40",),
    answer=(
        "stages.1.0.pad  length  layer           present  missing      remove it",
        "stages.1.0.up   length  output padding  0        1            set it to 1",
        "stages.1.0.up   length  output          1604     1600",
    ),
    cause=("stages.1.0.pad length layer present", "set it to 1"),
    do="Update to coreai-torch 0.4.2, or cut 4 samples off behind this layer. padviz does not read Core AI's files: "
    "we wrote what the exporter made as a PyTorch network.",
    truth=samples_too_many,
)
