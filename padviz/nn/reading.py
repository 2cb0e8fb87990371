"""Which rows padded rows read, and how many taps of a partial convolution hit real ones, as small tensors.

Where a size is an integer they are constants, so that an exported file has them as such; where it is symbolic, or
traced, they are computed of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from padviz.axis.padding_modes import Mode, fold, most_padding

LIMITED = ("reflect", "symmetric", "circular")  # schemes that need as many rows as they pad, or more


def check_fits(mode: Mode, n: Any, before: int, after: int) -> None:
    """Refuse more padding than a scheme has rows to read for, as the counts do.

    Raises
    ------
    SizeError
        If the padding is too much for `n` rows.
    """
    most = max(before, after)
    if mode in LIMITED and most > 0 and not isinstance(n, Tensor) and most > most_padding(mode, n):
        fold(mode, int(n), max(before, 0), max(after, 0))


def rows_read(mode: Mode, n: Any, before: int, after: int, like: Tensor) -> Tensor:
    """The row that each row of a padded axis reads: int64 of shape (before + n + after,).

    >>> rows_read("symmetric", 4, 2, 1, torch.empty(0)).tolist()
    [1, 0, 0, 1, 2, 3, 3]
    """
    ends = _ends(mode, n)
    if _is_constant(n):
        rows = [_row(p, n, ends) for p in range(-before, n + after)]
        return torch.tensor(rows, dtype=torch.int64, device=like.device)
    places = torch.arange(-before, n + after, device=like.device)
    (a, b), (c, d) = ends
    return torch.where(places < 0, a * places + b, torch.where(places >= n, c * places + d, places))


def _ends(mode: Mode, n: Any) -> tuple[tuple[int, Any], tuple[int, Any]]:
    """The fold of a mode on both sides, whatever the amount."""
    ends = fold(mode, n, 0, 0)
    assert ends is not None, mode
    return ends


def _row(place: int, n: int, ends: tuple[tuple[int, int], tuple[int, int]]) -> int:
    (a, b), (c, d) = ends
    return a * place + b if place < 0 else c * place + d if place >= n else place


def reweighing(n: Any, kernel: int, stride: int, dilation: int, pads: tuple[int, int], like: Tensor) -> Tensor:
    """What partial convolution multiplies each unit of an axis by: taps over taps that hit real rows.

    >>> reweighing(5, 3, 1, 1, (1, 1), torch.empty(0)).tolist()
    [1.5, 1.0, 1.0, 1.0, 1.5]
    """
    extent = dilation * (kernel - 1) + 1
    n_out = (n + pads[0] + pads[1] - extent) // stride + 1
    if _is_constant(n):
        firsts = [i * stride - pads[0] for i in range(n_out)]
        hits = [sum(0 <= first + tap * dilation < n for tap in range(kernel)) for first in firsts]
        return torch.tensor([kernel / max(each, 1) for each in hits], dtype=like.dtype, device=like.device)
    taps = torch.arange(kernel, device=like.device) * dilation - pads[0]
    rows = torch.arange(n_out, device=like.device)[:, None] * stride + taps
    hit: Tensor = ((rows >= 0) & (rows < n)).sum(1).clamp(min=1)
    return (kernel / hit).to(like.dtype)


def _is_constant(n: Any) -> bool:
    return isinstance(n, int) and not torch.compiler.is_compiling()
