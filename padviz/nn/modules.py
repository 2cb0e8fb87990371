"""Modules for new networks: convolutions that pad by any scheme, with the parameters of `nn.Conv2d`, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from padviz.network.rewrites import schemes_of
from padviz.nn.functional import Pads, Steps, padded, padded_conv2d


def pads_of(module: nn.Conv2d) -> Pads:
    """Return the padding that a convolution declares, ((top, bottom), (left, right)), in any mode.

    >>> pads_of(nn.Conv2d(1, 1, 4, padding="same")), pads_of(nn.Conv2d(1, 1, 3, padding=(1, 0)))
    (((1, 2), (1, 2)), ((1, 1), (0, 0)))
    """
    return amounts(module.padding, module.kernel_size, module.dilation)


def amounts(padding: Any, kernel: Sequence[int], dilation: Steps) -> Pads:
    """Convert a `padding` argument of PyTorch to ((top, bottom), (left, right)).

    >>> amounts("same", (4, 3), 1), amounts(1, (3, 3), 1)
    (((1, 2), (1, 1)), ((1, 1), (1, 1)))
    """
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, _pair(dilation), strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    height, width = (0, 0) if padding == "valid" else _pair(padding)
    return (height, height), (width, width)


def _pair(value: Steps) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


class PaddedConv2d(nn.Conv2d):
    """A convolution that pads by any scheme, or by one for each axis; otherwise as `torch.nn.Conv2d`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype
        As for `torch.nn.Conv2d`.
    scheme : str
        One that `padviz --help` lists, but for valid and full; or two, height/width: "zero/circular".

    Notes
    -----
    Input of shape (N, C, H, W) or (C, H, W). Checkpoints of `nn.Conv2d` load into it, and the other way round.

    Examples
    --------
    >>> import torch, padviz
    >>> conv = PaddedConv2d(3, 8, 3, padding=1, scheme="zero/circular")
    >>> conv(torch.zeros(1, 3, 5, 6)).shape
    torch.Size([1, 8, 5, 6])
    >>> padviz.load(conv).layers[1].ops[1].mode
    'circular'
    """

    def __init__(self, *args: Any, scheme: str = "symmetric", **options: Any) -> None:
        height, width = schemes_of(scheme)
        super().__init__(*args, **options)
        self.schemes = height, width

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return padded_conv2d(input, weight, bias, self.stride, pads_of(self), self.dilation, self.groups, self.schemes)

    def extra_repr(self) -> str:
        """Return what `print` shows of it."""
        plain: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{plain}, scheme={'/'.join(dict.fromkeys(self.schemes))!r}"


class PartialConv2d(PaddedConv2d):
    """A partial convolution over the image's border: zeros, and each unit times taps / taps that hit real pixels.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype
        As for `torch.nn.Conv2d`.

    Notes
    -----
    Source: Liu et al., "Partial Convolution based Padding", 2018. The bias is not multiplied.

    Examples
    --------
    >>> import torch
    >>> conv = PartialConv2d(1, 1, 3, padding=1, bias=False)
    >>> _ = torch.nn.init.ones_(conv.weight)
    >>> conv(torch.ones(1, 1, 5, 5))[0, 0, 0].tolist()
    [9.0, 9.0, 9.0, 9.0, 9.0]
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, scheme="partial", **options)


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
        """Return what `print` shows of it."""
        return f"{self.padding}"
