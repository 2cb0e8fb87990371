"""A causal decoder that is called anew for each patch pads zeros where it should read the patch before."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn
from torch.nn import functional


class Causal(nn.Conv1d):
    def __init__(self, before, after, kernel, dilation=1):
        super().__init__(before, after, kernel, dilation=dilation)
        self.left = dilation * (kernel - 1)

    def forward(self, x):
        return super().forward(functional.pad(x, (self.left, 0)))


class Up(nn.ConvTranspose1d):
    def __init__(self, stride):
        super().__init__(2, 2, OVERLAP * stride, stride)
        self.crop = (OVERLAP - 1) * stride

    def forward(self, x):
        x = super().forward(x)
        return x[..., : x.shape[-1] - self.crop]


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = Causal(2, 2, KERNEL)
        self.stages = nn.Sequential(
            *[
                nn.Sequential(Up(stride), Causal(2, 2, KERNEL), nn.Tanh(), Causal(2, 2, KERNEL, 3), nn.Tanh())
                for stride in (8, 8, 6, 5)
            ]
        )
        self.conv_out = Causal(2, 1, KERNEL)

    def forward(self, x):
        return self.conv_out(self.stages(self.conv_in(x)))
"""


def history(folder: Path) -> list[str]:
    """Add up what the kernels reach back. A change of the next patch must not change this one."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    network = space["Decoder"]().eval()
    kept = 0
    for module in network.modules():
        if isinstance(module, torch.nn.Conv1d):
            kept += module.dilation[0] * (module.kernel_size[0] - 1)
        elif isinstance(module, torch.nn.ConvTranspose1d):
            kept += -(-module.kernel_size[0] // module.stride[0]) - 1
    x = torch.randn(1, 2, 8)
    later = x.clone()
    later[..., 4:] = 0
    with torch.no_grad():
        output, samples = network(x), network(x[..., :4]).shape[-1]
        assert torch.equal(output[..., :samples], network(later)[..., :samples])
        assert not torch.equal(output[..., samples:], network(x[..., 4:]))
    return [f"keep {kept} samples", f"makes {samples} samples", "lags by 0"]


QUESTION = Question(
    number=52,
    group="Audio",
    asked="Streamed speech clicks every 160 ms, at each patch of 4 frames. Do its chunks need context on the right?",
    threads=("0xShug0/audio.cpp#620", "0xShug0/audio.cpp#623"),
    ended="the decoder is causal, and its history began with zeros in every patch. Earlier patches are decoded again; "
    "context on the right changed nothing and was removed.",
    files={"decoder.py": DECODER.replace("KERNEL", "7").replace("OVERLAP", "2")},
    control={"decoder.py": DECODER.replace("KERNEL", "1").replace("OVERLAP", "1")},
    commands=("padviz stream decoder:Decoder --chunk 4",),
    answer=(
        "Chunks of 4 input samples: layers keep 112 samples in all between chunks; the\noutput lags by 0 input samples, its look-ahead.",
        "Each chunk makes 7680 samples of conv_out.",
    ),
    cause=("layers keep 112 samples",),
    do="Keep these samples between patches: `padviz.streamed(decoder, chunk=4)` does. A lag of 0 says that nothing is "
    "read ahead, so context on the right is of no use.",
    truth=history,
)
