"""What padded rows are made of, and what partial convolution multiplies by.

Where sizes are integers the factors are constants, so that an exported file has them as such; where one is symbolic, or
traced, they are computed of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from padviz.axis.build import partial_weights
from padviz.axis.operations import Window, placement
from padviz.axis.padding_modes import SCHEMES, fits, fold


def check_fits(mode: str, n: Any, before: Any, after: Any) -> None:
    """Refuse more padding than a scheme has rows to read for, as the counts do.

    Raises
    ------
    SizeError
        If the padding is too much for `n` rows.
    """
    if known(n, before, after) and not fits(mode, n, max(before, after)):
        fold(mode, int(n), max(before, 0), max(after, 0))


def extended(input: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """Put rows of a tensor before and after those along a dimension; negative amounts are cut off.

    >>> extended(torch.arange(4), 0, 2, 1, "symmetric").tolist()
    [1, 0, 0, 1, 2, 3, 3]
    """
    front = [rows_before(input, dim, before, mode)] if before > 0 else []
    back = [rows_after(input, dim, after, mode)] if after > 0 else []
    if min(before, after) < 0:
        first, last = max(-before, 0), input.shape[dim] - max(-after, 0)
        input = _slice(input, dim, first, last)
    return torch.cat([*front, input, *back], dim)


def rows_before(input: Tensor, dim: int, count: int, mode: str) -> Tensor:
    """Read the rows that padding adds before the first."""
    return _rows_from(input, dim, count, mode, front=not SCHEMES[mode].wraps)


def rows_after(input: Tensor, dim: int, count: int, mode: str) -> Tensor:
    """Read the rows that padding adds after the last."""
    return _rows_from(input, dim, count, mode, front=SCHEMES[mode].wraps)


def _rows_from(input: Tensor, dim: int, count: int, mode: str, front: bool) -> Tensor:
    """Read what a mode reads at one border, the front one or the last, in the order in which the rows pad."""
    first, step = SCHEMES[mode].reads or (0, 0)
    many = count if step else 1
    n = 0 if front else input.shape[dim]
    start, stop = (first, first + many) if front else (n - (first + many), n - first if first else n)
    rows = _slice(input, dim, start, stop)
    if not step:
        return torch.cat([rows] * count, dim)
    return rows if SCHEMES[mode].wraps else rows.flip(dim)


def _slice(input: Tensor, dim: int, start: Any, stop: Any) -> Tensor:
    places: Any = (..., slice(start, stop), *[slice(None)] * (input.ndim - 1 - dim % input.ndim))
    return input[places]


def known(*numbers: Any) -> bool:
    """Whether numbers are there to decide by: those of a trace are not.

    >>> known(1, 2), known(torch.tensor(1))
    (True, False)
    """
    return not any(isinstance(each, Tensor) for each in numbers)


def reweighing(sizes: Sequence[Any], windows: Sequence[Window | None], like: Tensor) -> Tensor:
    """Find what partial convolution multiplies units by, shape (1, height, width), or 1 where an axis has no window.

    >>> reweighing((5, 9), (Window(3, padding=(1, 1)), None), torch.empty(0)).tolist()
    [[[1.5], [1.0], [1.0], [1.0], [1.5]]]
    """
    pads = [n for op in windows if op for n in op.padding]
    if all(isinstance(n, int) for n in (*sizes, *pads)) and not torch.compiler.is_compiling():
        factors = [
            partial_weights(_plain(op), int.__int__(n)) if op else np.ones(1)
            for op, n in zip(windows, sizes, strict=True)
        ]
        return torch.tensor(np.outer(*factors)[None], dtype=like.dtype, device=like.device)
    high, wide = (_ratios(op, n, like) for op, n in zip(windows, sizes, strict=True))
    return (high[:, None] * wide)[None].to(like.dtype)


def _plain(op: Window) -> Window:
    """Make a window for caches that all share: a number of a trace may know what it is at other sizes."""
    assert isinstance(op.padding, tuple)
    before, after = map(int.__int__, op.padding)
    return replace(op, padding=(before, after))


def _ratios(op: Window | None, n: Any, like: Tensor) -> Tensor:
    """Find the ratios of one axis, of a size that is symbolic or traced."""
    if op is None:
        return torch.ones(1, device=like.device)
    before, _, n_out = placement(op, n)
    taps = torch.arange(op.kernel, device=like.device) * op.dilation - before
    rows = torch.arange(n_out, device=like.device)[:, None] * op.stride + taps
    hits: Tensor = ((rows >= 0) & (rows < n)).sum(1).clamp(min=1)
    return op.kernel / hits
