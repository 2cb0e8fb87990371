"""A decoder run on chunks pads each of them with zeros, where the signal goes on."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn


class Residual(nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.wide = nn.Conv1d(8, 8, KERNEL, padding=(KERNEL - 1) * dilation // 2, dilation=dilation)
        self.point = nn.Conv1d(8, 8, 1)

    def forward(self, x):
        return x + self.point(self.wide(x).relu())


class Decoder(nn.Sequential):
    def __init__(self):
        layers = [nn.Conv1d(4, 8, KERNEL, padding=KERNEL // 2)]
        for stride in (4, 2):
            layers += [nn.ConvTranspose1d(8, 8, stride, stride), Residual(1), Residual(3)]
        super().__init__(*layers, nn.Conv1d(8, 1, KERNEL, padding=KERNEL // 2))
"""


def samples_ahead(folder: Path) -> list[str]:
    """Ask PyTorch's gradients which samples of the input an output sample depends on, and add up
    what convolutions reach back to."""
    import torch
    from torch import nn

    space: dict[str, type[nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    network = space["Decoder"]().double().eval()
    signal = torch.rand(1, 4, 40, dtype=torch.float64, requires_grad=True)
    output = network(signal)
    lag = 0
    for unit in range(160, 168):  # those that sample 20 makes
        (gradient,) = torch.autograd.grad(output[0, 0, unit], signal, retain_graph=True)
        lag = max(lag, int(gradient.abs().sum(dim=(0, 1)).nonzero().max()) - 20)
    reach = sum(
        (layer.kernel_size[0] - 1) * layer.dilation[0]
        for layer in network.modules()
        if isinstance(layer, nn.Conv1d)
    )
    # A sum keeps its input until the convolution beside it has seen what it looks ahead.
    waiting = sum(layer.wide.padding[0] for layer in network if hasattr(layer, "wide"))
    return [f"keep {reach + waiting} samples in all", f"lags by {lag} input samples"]


QUESTION = Question(
    number=26,
    group="Audio",
    asked="Chunks of audio click where they meet. Can the model stream, and what must it keep?",
    threads=("herbertLJY/MSRCodec#2", "zeroone-universe/RealTimeBWE#3", "JusperLee/Apollo#43"),
    ended="the first has no answer; in the last, outputs are wrong for half a second at both ends of a chunk.",
    files={"decoder.py": DECODER.replace("KERNEL", "7")},
    control={"decoder.py": DECODER.replace("KERNEL", "1")},
    commands=("padviz stream decoder:Decoder --chunk 64",),
    answer=(
        "Chunks of 64 input samples: layers keep 84 samples in all between chunks; the",
        "output lags by 8 input samples, its look-ahead.",
    ),
    cause=("layers keep 84 samples", "lags by 8"),
    do="Give each layer the samples that it keeps in place of padding: `padviz.streamed` does. Then no crossfade is "
    "needed, if `padviz stream` names no layer that cannot be run so.",
    truth=samples_ahead,
)
