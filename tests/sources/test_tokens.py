"""Positions in one dimension: some of them picked, pooled, or looked at in parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import padviz
from tests.sources.test_moving import check_supports
from tests.sources.test_torch_functions import After

SIZES = ((24, 32), (16, 40))


def without_a_token(x: Tensor, tokens: int = 0) -> Tensor:
    """Turn all positions but the tokens, of which there are none."""
    flat = x.flatten(2).mT
    flat = torch.cat([flat[:, :tokens], -flat[:, tokens:]], 1)
    return functional.avg_pool2d(flat.mT.unflatten(2, x.shape[2:]), 3, 1, 1)


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


def beside_keys(x: Tensor) -> Tensor:
    """Attention of all positions to themselves and to one token more."""
    tokens = x.flatten(2).mT
    keys = torch.cat([torch.ones(1, 1, 8).to(x), tokens], 1)
    return functional.scaled_dot_product_attention(tokens, keys, keys).mT.reshape(x.shape)


OUTLOOK = torch.rand(9 * 9, 8) - 0.5


def outlook(x: Tensor, stride: int = 2) -> Tensor:
    """Attention in windows that overlap, by scores that are made of their centres, as in VOLO."""
    windows = functional.unfold(x, 3, padding=1, stride=stride).unflatten(1, (8, 9)).permute(0, 3, 2, 1)
    centres = functional.avg_pool2d(x, stride, stride, ceil_mode=True).flatten(2).mT
    scores = functional.linear(centres, OUTLOOK.to(x)).unflatten(2, (9, 9)).softmax(-1)
    seen = (scores @ windows).permute(0, 3, 2, 1).flatten(1, 2)
    return functional.fold(seen, x.shape[2:], 3, padding=1, stride=stride)


def over_runs(x: Tensor, run: int = 16, token: bool = False) -> Tensor:
    """Attention of all positions to runs of them, each pooled, as in Next-ViT."""
    tokens = x.flatten(2)
    runs = functional.avg_pool1d(tokens, run).tanh().mT
    keys = torch.cat([torch.ones(1, 1, 8).to(x), runs], 1) if token else runs
    return functional.scaled_dot_product_attention(tokens.mT, keys, keys).mT.reshape(x.shape)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "no token at all": without_a_token,
    "one window that is rolled": in_one_window,
    "one window that is rolled, in a call": lambda x: in_one_window(x, called),
    "a token beside keys alone": beside_keys,
    "windows that are put back": outlook,
    "windows that are put back, each position": lambda x: outlook(x, 1),
    "runs that are pooled": over_runs,
    "runs of rows that are pooled": lambda x: over_runs(x, 8),
    "runs beside a token": lambda x: over_runs(x, token=True),
    "a mean of runs": lambda x: x + functional.avg_pool1d(x.flatten(2), 16).mean(2)[..., None, None],
    "a line that is pooled": lambda x: x + functional.adaptive_avg_pool1d(x.flatten(2), 1)[..., None],
    "columns that are pooled": lambda x: x + functional.adaptive_avg_pool1d(x[0].mT, 1)[None].mT,
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_see_what_their_gradients_say(name: str, size: tuple[int, int]) -> None:
    module = After(FUNCTIONS[name])
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
    "pools flattened positions, not by runs": lambda x: functional.avg_pool1d(x.flatten(2), 3, 1, 1),
    "pools runs of positions, and leaves": lambda x: functional.avg_pool1d(x.flatten(2), 5).repeat(1, 1, 6)[..., :768],
    "puts windows back whose": lambda x: functional.fold(
        functional.unfold(x, 3, padding=1), (24, 32), 3, padding=1
    ).flatten(2),
    "mixes runs of positions": lambda x: runs(x).softmax(2).repeat(1, 1, 2),
    "attends from runs": lambda x: (runs(x).mT @ x.flatten(2)).softmax(2) @ x.flatten(2).mT,
    "conv1d reads mixed": lambda x: functional.conv1d(runs(x), torch.ones(16, 8, 3).to(x), padding=1),
    "reshape from": lambda x: runs(x).reshape(1, 16, -1),
    "hides positions": lambda x: in_order(x.flatten(2).mT),
    "hides positions from": lambda x: by_heads(x, attn_mask=torch.eye(768, dtype=torch.bool)),
    "hides positions from each": lambda x: by_heads(x, key_padding_mask=torch.ones(1, 768, dtype=torch.bool)),
    "adaptive_avg_pool1d reads": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 768),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused(name: str) -> None:
    with pytest.raises(padviz.PadvizError, match=rf"{name}.*; `layer` \w+ stops before it"):
        padviz.usage(padviz.load(After(lambda x: x + REFUSED[name](x).sum(-1).sum(-1)), size=SIZES[0]))
