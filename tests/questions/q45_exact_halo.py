"""A window reads dilation x (kernel - 1) rows beyond its own, less than the estimate dilation x kernel - 1."""

from pathlib import Path

from tests.questions.question import Question

LAYERS = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 5, padding=2),
            nn.Conv2d(4, 4, 3, padding=DILATION, dilation=DILATION),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 3, 1),
        )
"""


def rows_beyond(folder: Path) -> list[str]:
    """Find by gradients which rows above 32 and below 64 the dilated layer reads for rows 32 to 63."""
    import torch

    space: dict[str, type[torch.nn.Sequential]] = {}
    exec((folder / "net.py").read_text(), space)
    dilated = space["Net"]()[3]
    x = torch.zeros(1, 4, 128, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(dilated(x)[:, :, 32:64].sum(), x)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    before, after = 32 - rows[0], rows[-1] - 63
    return [f"at most {before} + {after} rows", f"3 128 {before} {after} "]


QUESTION = Question(
    number=45,
    group="Several devices",
    asked="A convolution runs in slices, and an estimate of the rows that they share wastes memory. How many are they?",
    threads=("tenstorrent/tt-metal#25907",),
    ended="merged with the estimate, of dilation x kernel - 1 rows in all; exact sizes came months later (#30446).",
    files={"net.py": LAYERS.replace("DILATION", "4")},
    control={"net.py": LAYERS.replace("DILATION", "1")},
    commands=("padviz shards net:Net --size 128x16 --shards 4",),
    answer=(
        "at any layer, a shard fetches at most 4 + 4 rows, before and after its own",
        "3       128       4      4  6,144",
    ),
    cause=("4 + 4 rows", "4 4 6,144"),
    do="Reserve these rows before and after each slice: 8 in all where the estimate has 11.",
    truth=rows_beyond,
)
