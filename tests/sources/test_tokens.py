"""Positions in one dimension, and networks that mix them: tokens, recurrences, heads that talk, queries apart."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from tests.torch_attention import After, attended, check_supports, whole, windows

SIZES = ((24, 32), (16, 40))


def beside_a_token(x: Tensor) -> Tensor:
    """Attention of all positions with a token beside them, which is taken away, then a window."""
    token, tokens = torch.ones(1, 1, 8).to(x), x.flatten(2).mT
    return smoothed(attended(torch.cat([token, tokens], 1))[:, 1:], x)


def and_a_token_behind(x: Tensor) -> Tensor:
    """Attention of all positions with a token behind them, which is added to a window over each."""
    count = x.shape[2] * x.shape[3]
    tokens = attended(torch.cat([x.flatten(2).mT, torch.ones(1, 1, 8).to(x)], 1))
    return smoothed(tokens[:, :count], x) + tokens[:, count:].mT[..., None]


def smoothed(tokens: Tensor, x: Tensor) -> Tensor:
    return functional.avg_pool2d(tokens.mT.reshape(x.shape), 3, 1, 1)


def written(tokens: Tensor, mask: Tensor) -> Tensor:
    return (tokens @ tokens.mT / 100 + mask).softmax(-1) @ tokens


def called(tokens: Tensor, mask: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(tokens, tokens, tokens, mask.to(tokens), scale=0.01)


def in_one_window(x: Tensor, attend: Callable[[Tensor, Tensor], Tensor] = written) -> Tensor:
    """Attention in a rolled image that is one window, whose parts do not see each other."""
    if int(x.shape[2]) not in (24, 16):
        raise ValueError("another size")  # whose mask would be large
    rows, cols = (torch.arange(n) for n in x.shape[2:])
    sides = ((rows >= x.shape[2] - 3).int() * 2)[:, None] + (cols >= x.shape[3] - 2).int()
    tokens, parts = torch.roll(x, (-3, -2), (2, 3)).flatten(2).mT, sides.flatten()
    seen = attend(tokens, (parts[:, None] != parts) * -100.0)
    return torch.roll(seen.mT.reshape(x.shape), (3, 2), (2, 3))


OUTLOOK = torch.rand(9 * 9, 8) - 0.5


def outlook(x: Tensor) -> Tensor:
    """Attention in windows that overlap, by scores that are made of their centres, as in VOLO."""
    windows = functional.unfold(x, 3, padding=1, stride=2).unflatten(1, (8, 9)).permute(0, 3, 2, 1)
    centres = functional.avg_pool2d(x, 2).flatten(2).mT
    scores = functional.linear(centres, OUTLOOK.to(x)).unflatten(2, (9, 9)).softmax(-1)
    seen = (scores @ windows).permute(0, 3, 2, 1).flatten(1, 2)
    return functional.fold(seen, x.shape[2:], 3, padding=1, stride=2)


def over_runs(x: Tensor) -> Tensor:
    """Attention of all positions to runs of them, each pooled, as in Next-ViT."""
    tokens = x.flatten(2)
    runs = functional.avg_pool1d(tokens, 16).tanh().mT
    return functional.scaled_dot_product_attention(tokens.mT, runs, runs).mT.reshape(x.shape)


class Recurrence(nn.Module):
    """A recurrence along rows, both ways, or its last states beside each of its steps."""

    def __init__(self, kind: type[nn.RNNBase], layers: int = 1, last: bool = False) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 8, 3, 2, 1), last
        self.down = kind(8, 4, layers, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        down, states = self.down(x.permute(0, 3, 2, 1).flatten(0, 1))
        return x + (states.permute(0, 2, 1).reshape(1, 8, 1, -1) if self.last else down.permute(2, 1, 0)[None])


def by_relative_positions(x: Tensor) -> Tensor:
    """Attention of pooled positions, with terms that queries make for each row and column, as in MViT."""
    queries, keys = functional.avg_pool2d(x, 2), functional.avg_pool2d(x, 4)
    n, c, h, w = queries.shape
    high, wide = keys.shape[2:]
    scores = queries.flatten(2).mT @ keys.flatten(2) / 100
    rows = torch.einsum("nchw,kc->nhwk", queries / 100, torch.rand(high, 8).to(x)).unsqueeze(-1)
    columns = torch.einsum("nchw,kc->nhwk", queries / 100, torch.rand(wide, 8).to(x)).unsqueeze(-2)
    scores[:, 0:] = (scores.view(n, h, w, high, wide) + rows + columns).view(scores.shape)
    seen = scores.softmax(-1) @ keys.flatten(2).mT
    return (seen + queries.flatten(2).mT).mT.reshape(n, c, h, w)


def cells(x: Tensor) -> Tensor:
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


def along_columns(x: Tensor) -> Tensor:
    return x.permute(0, 3, 2, 1)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "attention along columns": lambda x: along_columns(attended(along_columns(x))),
    "tokens in front that meet positions": beside_a_token,
    "a token behind positions": and_a_token_behind,
    "all positions in another order": lambda x: functional.avg_pool2d(
        attended(x.flatten(2).mT).reshape(x.shape), 3, 1, 1
    ),
    "one window that is rolled": in_one_window,
    "one window that is rolled, in a call": lambda x: in_one_window(x, called),
    "windows that are put back": outlook,
    "runs that are pooled": over_runs,
    "terms of relative positions, written over scores": by_relative_positions,
    "queries that are pooled in windows": by_queries_pooled_in_windows,
    "queries that are convolved in windows": by_queries_convolved_in_windows,
    "keys that are convolved in windows": lambda x: by_queries_convolved_in_windows(x, keys=True),
    "a convolution of one tap of rows as a batch": lambda x: functional.conv2d(
        x.permute(2, 1, 0, 3), torch.rand(8, 8, 1, 1).to(x)
    ).permute(2, 1, 0, 3),
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "an LSTM along rows": lambda: Recurrence(nn.LSTM),
    "a GRU of two layers along rows": lambda: Recurrence(nn.GRU, layers=2),
    "last states along rows": lambda: Recurrence(nn.GRU, last=True),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", [*FUNCTIONS, *NETWORKS])
def test_single_units_see_what_their_gradients_say(name: str, size: tuple[int, int]) -> None:
    module = After(FUNCTIONS[name]) if name in FUNCTIONS else NETWORKS[name]()
    check_supports(module, padviz.load(module, size=size), size)


HEADS = torch.nn.MultiheadAttention(8, 2, batch_first=True)


def by_heads(x: Tensor, **options: Tensor) -> Tensor:
    tokens = x.flatten(2).mT
    return HEADS.to(tokens)(tokens, tokens, tokens, need_weights=False, **options)[0]


def in_order(tokens: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(tokens, tokens, tokens, is_causal=True)


def runs(x: Tensor) -> Tensor:
    return functional.avg_pool1d(x.flatten(2), 2)


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "pools flattened positions other than": lambda x: functional.avg_pool1d(x.flatten(2), 3, 1, 1),
    "pools runs of positions that leave": lambda x: functional.avg_pool1d(x.flatten(2), 5).repeat(1, 1, 6)[..., :768],
    "folds windows whose": lambda x: functional.fold(
        functional.unfold(x, 3, padding=1), (24, 32), 3, padding=1
    ).flatten(2),
    "mixes runs of positions": lambda x: runs(x).softmax(2).repeat(1, 1, 2),
    "attends from runs": lambda x: (runs(x).mT @ x.flatten(2)).softmax(2) @ x.flatten(2).mT,
    "conv1d reads mixed": lambda x: functional.conv1d(runs(x), torch.ones(16, 8, 3).to(x), padding=1),
    "masks positions": lambda x: in_order(x.flatten(2).mT),
    "masks positions from": lambda x: by_heads(x, attn_mask=torch.eye(768, dtype=torch.bool)),
    "adaptive_avg_pool1d reads": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 768),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused(name: str) -> None:
    with pytest.raises(padviz.PadvizError, match=rf"{name}.*; `layer` \w+ stops before it"):
        padviz.usage(padviz.load(After(lambda x: x + REFUSED[name](x).sum(-1).sum(-1)), size=SIZES[0]))


def test_what_is_convolved_in_windows_is_refused_but_where_it_asks() -> None:
    def seen(x: Tensor) -> Tensor:
        return whole_of(attended(near_in_windows(x).flatten(2).mT).mT.unflatten(2, (4, 4)), x.shape[2] // 4)

    with pytest.raises(padviz.PadvizError, match="conv2d convolves inside of windows"):
        padviz.usage(padviz.load(After(seen), size=(24, 32)), (24, 32))
