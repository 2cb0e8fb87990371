"""Symmetric padding, which PyTorch does not have: the mirror image, edge repeated."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from padviz.nn.functional import padded


class SymmetricPad2d(nn.Module):
    """Pads an image by its mirror image, the edge repeated: a b c becomes b a a b c c b with 2 columns on each side.

    Parameters
    ----------
    padding : int or (left, right, top, bottom)
        Rows and columns to add, in the order of `torch.nn.ReflectionPad2d`; at most as many as the image has.

    Notes
    -----
    Input of shape (N, C, H, W) or (C, H, W); output of shape (..., H + top + bottom, W + left + right).

    Examples
    --------
    >>> import torch
    >>> SymmetricPad2d((2, 1, 0, 0))(torch.arange(3.0).reshape(1, 1, 1, 3)).tolist()
    [[[[1.0, 0.0, 0.0, 1.0, 2.0, 2.0]]]]
    """

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """Pad an image."""
        left, right, top, bottom = self.padding
        return padded(input, ((top, bottom), (left, right)), ("symmetric", "symmetric"))

    def extra_repr(self) -> str:
        """Say what `print` shows of it."""
        return f"{self.padding}"
