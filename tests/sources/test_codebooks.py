"""Codebooks: each position takes the nearest of a few vectors, as in VQ-VAE."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import padviz
from tests.sources.test_moving import check_supports
from tests.sources.test_torch_functions import After


def nearest(x: Tensor) -> Tensor:
    """Look up the nearest vector of a codebook; a gradient goes through as if it were what it replaces."""
    book, z = torch.rand(16, 8).to(x), x.permute(0, 2, 3, 1)
    found = torch.cdist(z.reshape(-1, 8), book).argmin(1)
    looked_up = functional.embedding(found, book).view(z.shape)
    return functional.avg_pool2d((z + (looked_up - z).detach()).permute(0, 3, 1, 2), 3, 2, 1)


@pytest.mark.parametrize("size", [(24, 32), (27, 22)], ids=str)
def test_the_nearest_of_a_codebook_is_read_position_by_position(size: tuple[int, int]) -> None:
    module = After(nearest)
    check_supports(module, padviz.load(module, size=(24, 32)), size)


def test_what_is_looked_up_is_read_where_no_gradient_goes() -> None:
    """The vectors that stand for a map's positions count as the map does."""
    book = torch.rand(16, 8)

    def function(x: Tensor) -> Tensor:
        z = functional.max_pool2d(x, 3, 1, 1).permute(0, 2, 3, 1)
        found = torch.cdist(z.reshape(-1, 8), book.to(x)).argmin(1)
        return functional.embedding(found, book.to(x)).view(z.shape).permute(0, 3, 1, 2)

    plain, there = (
        padviz.usage(padviz.load(After(each), size=(24, 32))).counts
        for each in (lambda x: functional.max_pool2d(x, 3, 1, 1), function)
    )
    assert (plain == there).all()
