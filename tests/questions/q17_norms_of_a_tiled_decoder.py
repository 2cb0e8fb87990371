"""A group norm takes the mean and the variance of what it sees: of a tile, those of the tile."""

from pathlib import Path

from tests.questions.question import Question

DECODER = """
from torch import nn


class Block(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.norm = NORM(before)
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.again = NORM(after)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1)

    def forward(self, x):
        y = self.first(self.norm(x).sigmoid())
        return self.skip(x) + self.second(self.again(y).sigmoid())


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Conv2d(4, 8, 3, padding=1)
        self.middle = Block(8, 8)
        self.up = nn.ModuleList([Block(8, 8), Block(8, 4), Block(4, 4)])
        self.end = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        x = self.middle(self.start(x))
        for block in self.up:
            x = nn.functional.interpolate(block(x), scale_factor=2)
        return self.end(x)
"""
OF_POSITIONS = DECODER.replace("NORM(", "nn.GroupNorm(2, ")
OF_TRAINING = DECODER.replace("NORM(", "nn.BatchNorm2d(")


def first_that_differs(folder: Path) -> list[str]:
    """Run the decoder on a whole map and on half of it, and compare the layers far from the cut."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "decoder.py").read_text(), space)
    network = space["Decoder"]().eval()
    outputs: dict[str, torch.Tensor] = {}

    def keep(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        outputs[names[module]] = output[..., :8, :8]

    names = {module: name for name, module in network.named_modules()}
    for module in names:
        module.register_forward_hook(keep)
    latent = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        network(latent)
        whole = dict(outputs)
        outputs.clear()
        network(latent[..., :24])
    return [next(name for name in whole if not torch.allclose(whole[name], outputs[name]))]


QUESTION = Question(
    number=17,
    group="Latent decoders",
    asked="Why do tiles of a decoder differ in tone, however far they overlap?",
    threads=("huggingface/diffusers#1441",),
    ended="the tiles overlap and are blended as a compromise; the group norms still see one tile each.",
    files={"decoder.py": OF_POSITIONS},
    control={"decoder.py": OF_TRAINING},
    commands=("padviz tiles decoder:Decoder --size 64 --tile 32",),
    answer=(
        "Decoder: no tiles are exact: middle.norm (group norm); try --norms shared,",
        "which runs a module layer by layer on all tiles",
    ),
    cause=("no tiles are exact", "group norm", "--norms shared"),
    do="Plan with `--norms shared` and run the plan with `padviz.tiled`: norms then see the whole image.",
    truth=first_that_differs,
)
