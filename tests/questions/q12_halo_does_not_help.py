"""A 3-D U-Net has group norms, whose statistics are of the tile: no halo makes its tiles equal to the whole."""

from tests.questions.question import Question

UNET = """
from torch import cat, nn


def single(before, after):
    return nn.Sequential(NORM, nn.Conv3d(before, after, 3, padding=1), nn.ReLU())


def double(before, after):
    return nn.Sequential(single(before, after), single(after, after))


class UNet3d(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, padding=1)
        self.encoders = nn.ModuleList([double(4, 4) for _ in range(3)])
        self.pool = nn.MaxPool3d(2)
        self.up = nn.Upsample(scale_factor=2)
        self.decoders = nn.ModuleList([double(8, 4) for _ in range(2)])
        self.final = nn.Conv3d(4, 1, 1)

    def forward(self, x):
        x = self.encoders[0](self.stem(x))
        skips = []
        for encoder in self.encoders[1:]:
            skips.append(x)
            x = encoder(self.pool(x))
        for decoder, skip in zip(self.decoders, reversed(skips)):
            x = decoder(cat([skip, self.up(x)], 1))
        return self.final(x)
"""
QUESTION = Question(
    number=12,
    group="Seams of tiles",
    asked="Tiles show although the halo is big. Is it the overlap, a norm, or the tiler?",
    threads=("kreshuklab/panseg#190", "kreshuklab/panseg#577"),
    ended="group norm exposes each tile differently, batch norm fixes it (#577); a wrong halo was fixed before.",
    files={"unet.py": UNET.replace("NORM", "nn.GroupNorm(2, before)")},
    control={"unet.py": UNET.replace("NORM", "nn.BatchNorm3d(before)")},
    commands=("padviz tiles unet:UNet3d --size 96x256x256 --tile 96",),
    answer=(
        "padviz: UNet3d: no tiles are exact: encoders.0.0.0 (group norm); try --norms",
        "shared, which runs a module layer by layer on all tiles",
    ),
    cause=("no tiles are exact", "group norm", "--norms shared"),
    do="Run all tiles with the statistics of the whole volume, with `--norms shared`; or train with batch norm.",
)
