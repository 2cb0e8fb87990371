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
    rows, cols = (torch.arange(n) for n in x.shape[2:])
    sides = ((rows >= x.shape[2] - 3).int() * 2)[:, None] + (cols >= x.shape[3] - 2).int()
    tokens, parts = torch.roll(x, (-3, -2), (2, 3)).flatten(2).mT, sides.flatten()
    seen = attend(tokens, (parts[:, None] != parts) * -100.0)
    return torch.roll(seen.mT.reshape(x.shape), (3, 2), (2, 3))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "no token at all": without_a_token,
    "one window that is rolled": in_one_window,
    "one window that is rolled, in a call": lambda x: in_one_window(x, called),
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


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "hides positions behind": lambda x: in_order(x.flatten(2).mT),
    "hides positions by a mask": lambda x: by_heads(x, attn_mask=torch.eye(768, dtype=torch.bool)),
    "hides positions as padding": lambda x: by_heads(x, key_padding_mask=torch.ones(1, 768, dtype=torch.bool)),
    "pools to more than one": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 768),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused(name: str) -> None:
    with pytest.raises(padviz.PadvizError, match="`layer` conv stops before it"):
        padviz.usage(padviz.load(After(lambda x: x + REFUSED[name](x).mT.reshape(x.shape)), size=SIZES[0]))
