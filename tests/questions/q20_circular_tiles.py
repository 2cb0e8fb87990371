"""Circular convolutions in tiles read the far side of the tile, not of the image."""

from pathlib import Path

from tests.questions.q17_norms_of_a_tiled_decoder import OF_TRAINING
from tests.questions.question import Question

CIRCULAR = OF_TRAINING.replace("padding=1", 'padding=1, padding_mode="circular"')


def least_to_wrap(folder: Path) -> list[str]:
    """Wrap a latent by more and more columns and rows, until zeros at its border are not seen."""
    import torch
    from torch import nn
    from torch.nn import functional

    space: dict[str, type[nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    circular = space["Decoder"]().double().eval()
    exec(OF_TRAINING, space)
    zeros = space["Decoder"]().double().eval()
    zeros.load_state_dict(circular.state_dict())
    torch.manual_seed(0)
    latent = torch.rand(1, 4, 16, 16, dtype=torch.float64)

    def seen(wrapped: int) -> bool:
        image = functional.pad(latent, (wrapped,) * 4, "circular")
        inside = zeros(image)[..., 8 * wrapped : -8 * wrapped, 8 * wrapped : -8 * wrapped]
        return not torch.allclose(inside, circular(latent), rtol=0, atol=1e-13)

    with torch.no_grad():
        return [f"{next(n for n in range(1, 16) if not seen(n))} px of context on each side"]


QUESTION = Question(
    number=20,
    group="Latent decoders",
    asked="A decoder with circular padding has seams in tiles. How do I tile an image that wraps around?",
    threads=("leejet/stable-diffusion.cpp#1299",),
    ended="the tiles wrap around now, in place of the decoder's convolutions.",
    files={"decoder.py": CIRCULAR},
    control={"decoder.py": OF_TRAINING},
    commands=("padviz tiles decoder:Decoder --size 32x64",),
    answer=(
        "No tiles are exact: start (circular padding, which reads the far side). Without",
        "it: 7 px of context on each side; tiles start anywhere.",
        "Try --norms shared: padviz.tiled then runs a module layer by layer. Or wrap the",
        "image itself by this context, a multiple of the alignment, and pad the layers",
        "with zeros.",
    ),
    cause=("No tiles are exact", "circular padding", "wrap the image itself"),
    do="On every axis that is circular, prepend the last 7 latents and append the first 7. Decode that in tiles, "
    "with zeros as padding, and cut 7 x 8 = 56 px off each side.",
    truth=least_to_wrap,
)
