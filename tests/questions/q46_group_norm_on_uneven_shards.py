"""63 rows on four devices: a mean of four means is not the mean of the image, as one device has fewer rows."""

from pathlib import Path

from tests.questions.question import Question

LAYERS = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            *[
                nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), NORM, nn.SiLU())
                for _ in range(8)
            ]
        )
"""


def norms_to_share(folder: Path) -> list[str]:
    """Join the statistics of 16, 16, 16 and 15 rows with and without their counts."""
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "net.py").read_text(), space)
    rows = torch.randn(63, 8, dtype=torch.float64)
    parts = [rows[:16], rows[16:32], rows[32:48], rows[48:]]
    counts = torch.tensor([float(part.numel()) for part in parts], dtype=torch.float64)
    means = torch.stack([part.mean() for part in parts])
    squares = torch.stack([(part - part.mean()).square().sum() for part in parts])
    mean = (counts * means).sum() / counts.sum()
    variance = (squares + counts * (means - mean).square()).sum() / counts.sum()
    assert torch.allclose(mean, rows.mean())
    assert torch.allclose(variance, rows.var(correction=0))
    assert not torch.allclose(means.mean(), rows.mean())
    norms = [
        module for module in space["Net"]().modules() if isinstance(module, torch.nn.GroupNorm)
    ]
    return [f"layers that need all shards: {len(norms)}"]


QUESTION = Question(
    number=46,
    group="Several devices",
    asked="A group norm is wrong where devices hold unequal parts of a map. What must they share?",
    threads=("NVIDIA/physicsnemo#1421", "NVIDIA/physicsnemo#1393"),
    ended="the norm was written anew, so that it works with uneven parts and is more accurate.",
    files={"net.py": LAYERS.replace("NORM", "nn.GroupNorm(2, 4)")},
    control={"net.py": LAYERS.replace("NORM", "nn.BatchNorm2d(4)")},
    commands=("padviz shards net:Net --size 63x16 --shards 4",),
    answer=(
        "layers that need all shards: 8.",
        "0.1      63       0      0      0  sums      group norm",
        "sums: for norms count, mean and squared deviations of each group.",
    ),
    cause=("need all shards: 8", "sums group norm"),
    do="Sum counts, means and squared deviations over the devices before each norm normalises: `padviz.sharded` does. "
    "Do not average means.",
    truth=norms_to_share,
)
