"""Each of three steps that double the frames drops the first: 64 frames become 8, and 57 again."""

from pathlib import Path

from tests.questions.question import Question

VAE = """
from torch import cat, nn
from torch.nn import functional


class Causal(nn.Conv3d):
    def __init__(self, before, after, stride=1):
        super().__init__(before, after, 3, stride, (0, 1, 1))

    def forward(self, x):
        first = x[:, :, :1]
        return super().forward(cat([first, first, x], 2))


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = Causal(3, 2)
        self.down = nn.ModuleList([nn.Sequential(Causal(2, 2), nn.SiLU(), Causal(2, 2, (TIME, 1, 1))) for _ in range(3)])
        self.up = nn.ModuleList([nn.Sequential(Causal(2, 2), nn.SiLU(), Causal(2, 2)) for _ in range(3)])
        self.conv_out = Causal(2, 3)

    def forward(self, x):
        x = self.conv_in(x)
        for down in self.down:
            x = down(x)
        for up in self.up:
            x = functional.interpolate(up(x), scale_factor=(TIME, 1.0, 1.0))[:, :, TIME - 1 :]
        return self.conv_out(x)
"""


def frames_that_return(folder: Path) -> list[str]:
    """Run videos of 57 to 72 frames: which return as long as they were?"""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "vae.py").read_text(), space)
    network = space["Vae"]().eval()
    with torch.no_grad():
        made = {
            frames: network(torch.zeros(1, 3, frames, 8, 8)).shape[2] for frames in range(50, 73)
        }
    assert (made[64], made[56]) == (57, 49)  # as in the thread
    longer = next(frames for frames in range(64, 73) if made[frames] == frames)
    shorter = next(frames for frames in range(64, 49, -1) if made[frames] == frames)
    return [
        f"the last {64 - made[64]} px of the depth",
        f"pad to {longer} x",
        f"crop to {shorter} x",
    ]


QUESTION = Question(
    number=54,
    group="Sizes",
    asked="A video of 64 frames comes back from its autoencoder with 57. How many frames must it have?",
    threads=("Lightricks/LTX-Video#122", "PKU-YuanGroup/WF-VAE#11"),
    ended="8 n + 1 frames (4 n + 1 in others): 65, or 57.",
    files={"vae.py": VAE.replace("TIME", "2")},
    control={"vae.py": VAE.replace("TIME", "1")},
    commands=("padviz sizes vae:Vae --size 64x8x8",),
    answer=(
        "outputs   nothing reads the last 7 px of the depth",
        "pad to    65 x 8 x 8: 1 px at the back",
        "crop to   57 x 8 x 8: 7 px at the back",
    ),
    cause=("the last 7 px of the depth", "pad to 65"),
    do="Depth is time here. Pad the video by a frame, or crop it to 57 frames.",
    truth=frames_that_return,
)
