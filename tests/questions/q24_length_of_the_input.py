"""An encoder pads with zeros: latents within 512 samples of an end see them, and not the signal."""

from pathlib import Path

from tests.questions.question import Question

ENCODER = """
from torch import nn


class Encoder(nn.Sequential):
    def __init__(self):
        layers = [nn.Conv1d(1, 8, 7, padding=3)]
        for stride in (4, 4, 4, 2):
            layers += [nn.LeakyReLU(), nn.Conv1d(8, 8, 2 * stride, stride, padding=stride // 2)]
            layers += [nn.LeakyReLU(), nn.Conv1d(8, 8, 3, padding=1)]
        super().__init__(*layers, nn.Conv1d(8, 4, 3, padding=1))
"""
ALONE = """
from torch import nn


class Encoder(nn.Sequential):
    def __init__(self):
        layers = [nn.Conv1d(1, 8, 1)]
        for stride in (4, 4, 4, 2):
            layers += [nn.LeakyReLU(), nn.Conv1d(8, 8, stride, stride)]
            layers += [nn.LeakyReLU(), nn.Conv1d(8, 8, 1)]
        super().__init__(*layers, nn.Conv1d(8, 4, 1))
"""


def latents_alike(folder: Path) -> list[str]:
    """Encode a signal of 8,192 samples, and 2,048 of them alone, and count the equal latents."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "encoder.py").read_text(), space)
    torch.manual_seed(0)
    network = space["Encoder"]().double().eval()
    signal = torch.rand(1, 1, 8192, dtype=torch.float64)
    with torch.no_grad():
        whole, alone = network(signal), network(signal[..., 4096:6144])
    apart = (whole[..., 32:48] - alone).abs().amax(dim=(0, 1)) > 1e-13
    kept = int((~apart).sum())
    return [f"keeps {kept * 128} input samples exactly"]


QUESTION = Question(
    number=24,
    group="Audio",
    asked="Does the length of the input change the latents of an encoder?",
    threads=("acids-ircam/RAVE#13",),
    ended="the receptive field is about half a second; keep the samples two or three seconds long.",
    files={"encoder.py": ENCODER},
    control={"encoder.py": ALONE},
    commands=("padviz keeps encoder:Encoder --size 8192 --tile 2048",),
    answer=(
        "Inside a signal, a chunk of 2048 keeps 1024 input samples exactly;",
        " 17     length  100 %       8  1,024.0     512    512",
        "before, after: input samples that it reads on either side of those that it",
        "keeps.",
    ),
    cause=("keeps 1024", "512 512"),
    do="Encode with 512 samples more on each side and drop their latents, or keep the state with `padviz.streamed`.",
    truth=latents_alike,
)
