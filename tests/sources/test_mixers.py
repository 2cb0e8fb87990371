"""What positions see in networks that mix them in ways of their own: recurrences, heads that talk, queries apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import padviz
from tests.sources.test_moving import check_supports

SIZES = ((24, 32), (40, 16))


class Recurrence(nn.Module):
    """Recurrences along rows and along columns, as in Sequencer."""

    def __init__(self, kind: type[nn.RNNBase], columns: bool = True, layers: int = 1, both_ways: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.down = kind(8, 4, layers, bidirectional=both_ways, batch_first=True)
        self.across = kind(8, 4, layers, bidirectional=both_ways) if columns else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        n, c, h, w = x.shape
        down, _ = self.down(x.permute(0, 3, 2, 1).reshape(n * w, h, c))
        y = down.reshape(n, w, h, -1).permute(0, 3, 2, 1)
        if self.across is not None:
            across, _ = self.across(x.permute(3, 0, 2, 1).flatten(1, 2))
            y = torch.cat([y, across.reshape(w, n, h, -1).permute(1, 3, 2, 0)], 1)
        return y


class States(Recurrence):
    """The last states of a recurrence, beside each of its steps."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        _, states = self.down(x.permute(0, 3, 2, 1).flatten(0, 1))
        return x + states.permute(0, 2, 1).reshape(1, 8, 1, -1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "LSTMs along rows and columns": lambda: Recurrence(nn.LSTM),
    "a GRU of two layers along rows": lambda: Recurrence(nn.GRU, columns=False, layers=2),
    "an RNN along rows": lambda: Recurrence(nn.RNN, columns=False),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_single_units_see_what_their_gradients_say(name: str, size: tuple[int, int]) -> None:
    module = NETWORKS[name]()
    check_supports(module, padviz.load(module, size=size), size)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Recurrence(nn.LSTM, both_ways=False), "lstm sees what comes before each position alone"),
        (States(nn.GRU), "the last state of gru is read"),
    ],
)
def test_recurrences_that_see_a_part_of_a_line_are_refused(module: nn.Module, why: str) -> None:
    with pytest.raises(padviz.PadvizError, match=why):
        padviz.usage(module, (24, 32))
