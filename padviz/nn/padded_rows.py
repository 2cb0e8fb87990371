"""What padded rows are made of, and what partial convolution multiplies by.

Where sizes are integers the factors are constants, so that an exported file has them as such; where one is symbolic, or
traced, they are computed of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from padviz.axis.operations import Window, placement
from padviz.axis.padding_modes import Mode, fold, most_padding
from padviz.axis.reweighing import ratios

LIMITED = ("reflect", "symmetric", "circular")  # schemes that need as many rows as they pad, or more


def check_fits(mode: Mode, n: Any, before: Any, after: Any) -> None:
    """Refuse more padding than a scheme has rows to read for, as the counts do.

    Raises
    ------
    SizeError
        If the padding is too much for `n` rows.
    """
    if mode in LIMITED and known(n, before, after) and max(before, after) > max(most_padding(mode, n), 0):
        fold(mode, int(n), max(before, 0), max(after, 0))


def extended(input: Tensor, dim: int, before: int, after: int, mode: Mode) -> Tensor:
    """Put rows of its own before and after those along a dimension; negative amounts are cut off.

    >>> extended(torch.arange(4), 0, 2, 1, "symmetric").tolist()
    [1, 0, 0, 1, 2, 3, 3]
    """
    front = [rows_before(input, dim, before, mode)] if before > 0 else []
    back = [rows_after(input, dim, after, mode)] if after > 0 else []
    if min(before, after) < 0:
        first, last = max(-before, 0), input.shape[dim] - max(-after, 0)
        input = _slice(input, dim, first, last)
    return torch.cat([*front, input, *back], dim)


def rows_before(input: Tensor, dim: int, count: int, mode: Mode) -> Tensor:
    """Make the rows that padding adds before the first.

    >>> rows_before(torch.arange(4), 0, 2, "reflect").tolist()
    [2, 1]
    """
    if mode == "replicate":
        return torch.cat([_slice(input, dim, 0, 1)] * count, dim)
    if mode == "circular":
        n = input.shape[dim]
        return _slice(input, dim, n - count, n)
    first = 1 if mode == "reflect" else 0
    return _slice(input, dim, first, first + count).flip(dim)


def rows_after(input: Tensor, dim: int, count: int, mode: Mode) -> Tensor:
    """Make the rows that padding adds after the last.

    >>> rows_after(torch.arange(4), 0, 2, "circular").tolist()
    [0, 1]
    """
    n = input.shape[dim]
    if mode == "replicate":
        return torch.cat([_slice(input, dim, n - 1, n)] * count, dim)
    if mode == "circular":
        return _slice(input, dim, 0, count)
    last = n - 1 if mode == "reflect" else n
    return _slice(input, dim, last - count, last).flip(dim)


def _slice(input: Tensor, dim: int, start: Any, stop: Any) -> Tensor:
    slices: Any = (..., slice(start, stop), *[slice(None)] * (input.ndim - 1 - dim % input.ndim))
    return input[slices]


def known(*numbers: Any) -> bool:
    """Tell whether numbers are there to decide by: those of a trace are not.

    >>> known(1, 2), known(torch.tensor(1))
    (True, False)
    """
    return not any(isinstance(n, Tensor) for n in numbers)


def reweighing(sizes: Sequence[Any], windows: Sequence[Window | None], like: Tensor) -> Tensor:
    """Find what partial convolution multiplies units by, (1, height, width), or 1 where an axis has no window.

    >>> reweighing((5, 9), (Window(3, padding=(1, 1)), None), torch.empty(0)).tolist()
    [[[1.5], [1.0], [1.0], [1.0], [1.5]]]
    """
    pads = [n for op in windows if op for n in op.padding]
    if all(isinstance(n, int) for n in (*sizes, *pads)) and not torch.compiler.is_compiling():
        factors = [ratios(op, n) if op else np.ones(1) for op, n in zip(windows, sizes, strict=True)]
        return torch.tensor(np.outer(*factors)[None], dtype=like.dtype, device=like.device)
    high, wide = (_ratios(op, n, like) for op, n in zip(windows, sizes, strict=True))
    return (high[:, None] * wide)[None].to(like.dtype)


def _ratios(op: Window | None, n: Any, like: Tensor) -> Tensor:
    """Find the ratios of one axis, of a size that is symbolic or traced."""
    if op is None:
        return torch.ones(1, device=like.device)
    before, _, n_out = placement(op, n)
    taps = torch.arange(op.kernel, device=like.device) * op.dilation - before
    rows = torch.arange(n_out, device=like.device)[:, None] * op.stride + taps
    hits: Tensor = ((rows >= 0) & (rows < n)).sum(1).clamp(min=1)
    return op.kernel / hits
