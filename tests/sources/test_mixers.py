"""What positions see in networks that mix them in ways of their own: recurrences, heads that talk, queries apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from tests.sources.test_moving import attended, check_supports, in_windows
from tests.sources.test_torch_functions import After, whole, windows

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


def in_heads(x: Tensor, heads: int = 2) -> Tensor:
    """The channels of each position, in heads: (n, heads, positions, channels)."""
    return x.flatten(2).unflatten(1, (heads, -1)).mT


class TalkingHeads(nn.Module):
    """Attention whose scores are mixed over heads, by strided queries, beside a local branch, as in EfficientFormer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.queries = nn.Conv2d(8, 8, 3, 2, 1)
        self.keys = nn.Conv2d(8, 8, 1)
        self.local = nn.Conv2d(8, 8, 3, 2, 1)
        self.talks = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        queries, keys, local = self.queries(x), in_heads(self.keys(x)), self.local(x)
        scores = self.talks[0](in_heads(queries) @ keys.mT / 100)
        seen = self.talks[1](scores.softmax(-1)) @ keys
        return functional.interpolate(seen.mT.reshape(local.shape) + local, scale_factor=2, mode="bilinear")


def talking_at_each_place(x: Tensor) -> Tensor:
    """A convolution of one tap that reads rows as a batch."""
    return functional.conv2d(x.permute(2, 1, 0, 3), torch.rand(8, 8, 1, 1).to(x)).permute(2, 1, 0, 3)


class RelativePositions(nn.Module):
    """Attention of pooled positions, with terms that queries make for each row and column, as in MViT."""

    def __init__(self, written: bool = True) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1)
        self.rows, self.columns = nn.Parameter(torch.rand(16, 8)), nn.Parameter(torch.rand(16, 8))
        self.written = written

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        queries, keys = self.pool(x), functional.avg_pool2d(x, 4)
        n, c, h, w = queries.shape
        high, wide = keys.shape[2:]
        scores = queries.flatten(2).mT @ keys.flatten(2) / 100
        rows = torch.einsum("nchw,kc->nhwk", queries / 100, self.rows[:high]).unsqueeze(-1)
        columns = torch.einsum("nchw,kc->nhwk", queries / 100, self.columns[:wide]).unsqueeze(-2)
        both = (scores.view(n, h, w, high, wide) + rows + columns).view(scores.shape)
        if self.written:
            scores[:, 0:] = both
        seen = (scores if self.written else both).softmax(-1) @ keys.flatten(2).mT
        return (seen + queries.flatten(2).mT).mT.reshape(n, c, h, w)


def cells(x: Tensor) -> Tensor:
    """The windows of a map as images of a batch."""
    return windows(x).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def whole_of(x: Tensor, rows: int) -> Tensor:
    """The map of so many rows of windows that such a batch is."""
    return whole(x.unflatten(0, (1, rows, -1)).permute(0, 3, 1, 2, 4, 5))


def by_queries_pooled_in_windows(x: Tensor) -> Tensor:
    """Attention in windows whose queries are pooled as images, as in SAM 2, and a window over it."""
    own = cells(x)
    queries = functional.max_pool2d(own, 2)
    seen = attended(own.flatten(2).mT, queries.flatten(2).mT).mT.reshape(queries.shape)
    return functional.avg_pool2d(whole_of(seen, x.shape[2] // 4), 3, 1, 1)


def near_in_windows(x: Tensor) -> Tensor:
    return functional.conv2d(cells(x), torch.rand(8, 8, 3, 3).to(x), padding=1)


def by_queries_convolved_in_windows(x: Tensor, keys: bool = False) -> Tensor:
    """Attention in windows whose queries, or keys, see their neighbours there, as in EfficientViT."""
    near, own = (y.flatten(2).mT / 100 for y in (near_in_windows(x), cells(x)))
    scores = own @ near.mT if keys else near @ own.mT
    return whole_of((scores.softmax(-1) @ own).mT.unflatten(2, (4, 4)), x.shape[2] // 4)


def in_windows_of_a_rolled_map(x: Tensor) -> Tensor:
    """Attention in windows of 8 x 8, with what hides the rows and columns that meet where the map was rolled."""
    rows, columns = ((torch.arange(n) >= n - moved).int() for n, moved in zip(x.shape[2:], (3, 2), strict=True))
    sides = windows((2 * rows[:, None] + columns)[None, None], 8).flatten(4)[:, 0]
    hidden = (sides.unsqueeze(-1) != sides.unsqueeze(-2)) * -100.0

    def attend(tokens: Tensor) -> Tensor:
        return (tokens @ tokens.mT / 100 + hidden).softmax(-1) @ tokens

    return torch.roll(in_windows(torch.roll(x, (-3, -2), (2, 3)), attend, 8), (3, 2), (2, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "LSTMs along rows and columns": lambda: Recurrence(nn.LSTM),
    "a GRU of two layers along rows": lambda: Recurrence(nn.GRU, columns=False, layers=2),
    "an RNN along rows": lambda: Recurrence(nn.RNN, columns=False),
    "last states along rows": lambda: States(nn.GRU),
    "heads that talk": TalkingHeads,
    "terms of relative positions": lambda: RelativePositions(written=False),
    "scores that are written over": RelativePositions,
    "queries that are pooled in windows": lambda: After(by_queries_pooled_in_windows),
    "queries that are convolved in windows": lambda: After(by_queries_convolved_in_windows),
    "keys that are convolved in windows": lambda: After(lambda x: by_queries_convolved_in_windows(x, keys=True)),
    "means inside of windows": lambda: After(lambda x: whole_of(functional.avg_pool2d(cells(x), 2), x.shape[2] // 4)),
    "a convolution of one tap of rows as a batch": lambda: After(talking_at_each_place),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_single_units_see_what_their_gradients_say(name: str, size: tuple[int, int]) -> None:
    module = NETWORKS[name]()
    check_supports(module, padviz.load(module, size=size), size)


@pytest.mark.parametrize("size", [(8, 32), (24, 8)])
def test_a_single_window_of_a_rolled_map_is_cut_as_others_are(size: tuple[int, int]) -> None:
    module = After(in_windows_of_a_rolled_map)
    check_supports(module, padviz.load(module, size=size), size)


def test_a_recurrence_that_sees_what_comes_before_alone_is_refused() -> None:
    with pytest.raises(padviz.PadvizError, match="lstm sees what comes before each position alone"):
        padviz.usage(Recurrence(nn.LSTM, both_ways=False), (24, 32))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: whole_of(near_in_windows(x), x.shape[2] // 4),
        lambda x: x + whole_of(near_in_windows(x).relu(), x.shape[2] // 4),
        lambda x: whole_of(attended(near_in_windows(x).flatten(2).mT).mT.unflatten(2, (4, 4)), x.shape[2] // 4),
        lambda x: near_in_windows(x).flatten(2).softmax(2).sum((0, 2)),
    ],
    ids=["alone", "added", "attended", "pooled"],
)
def test_what_is_convolved_in_windows_is_refused_but_where_it_asks(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(padviz.PadvizError, match="conv2d convolves inside of windows"):
        padviz.usage(padviz.load(After(function), size=(24, 32)), (24, 32))
