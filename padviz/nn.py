"""PyTorch layers and functions that pad by any scheme, also those that PyTorch lacks.

`padviz.load` follows the functions as it follows PyTorch's own, so that symmetric padding counts as
symmetric and partial convolution as partial. Where sizes are integers the factors of partial
convolution are constants, also in an exported file; where one is symbolic or traced, they are
computed from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import EllipsisType
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from padviz.network.axis_maps import partial_weights
from padviz.network.operations import Window, placement
from padviz.network.padding_modes import SCHEMES, fits, fold, native
from padviz.network.rewrites import schemes_of

Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))
Schemes = tuple[str, str]  # of height and of width
NONE: Pads = ((0, 0), (0, 0))
IMAGE = (-2, -1)  # the dimensions of height and width
Steps = int | Sequence[int]  # one for both axes, or one for each


def padded(
    input: Tensor,
    pads: Pads,
    schemes: Schemes,
    dims: tuple[int, int] = IMAGE,
    value: float | None = None,
) -> Tensor:
    """Pad rows and columns of an image of shape (..., height, width) by a scheme each, ("zero",
    "symmetric").

    Negative `pads` crop. `dims` are the dimensions of height and width, and `value` is what "zero"
    pads with, 0 by default. Too few rows for the padding are a `SizeError`.
    """
    if has_torch_function((input,)):
        output: Tensor = handle_torch_function(padded, (input,), input, pads, schemes, dims, value)
        return output
    for scheme in dict.fromkeys(schemes):
        sides = zip(dims, pads, schemes, strict=True)
        rows = {}
        for dim, amounts_along, scheme_along in sides:
            if scheme_along != scheme:
                continue
            if not known(*amounts_along) or amounts_along != (0, 0):
                rows[dim] = amounts_along
        if rows:
            input = _padded(input, rows, scheme, value)
    return input


def _padded(
    input: Tensor, rows: Mapping[int, tuple[int, int]], scheme: str, value: float | None
) -> Tensor:
    """Pad some dimensions by one scheme, at once if PyTorch has it."""
    amounts = [n for dim in range(-1, min(rows) - 1, -1) for n in rows.get(dim, (0, 0))]
    if not SCHEMES[scheme].reads:
        return functional.pad(input, amounts, value=value)
    for dim, (before, after) in rows.items():
        n = input.shape[dim]
        if known(n, before, after) and not fits(scheme, n, max(before, after)):
            fold(scheme, int(n), max(before, 0), max(after, 0))  # raises the error of the counts
    if known(*amounts):  # an edge that is repeated once is replicated
        if min(amounts) < 0:
            mode = ""
        else:
            mode = SCHEMES[native(scheme, max(amounts))].torch
    else:
        if SCHEMES[scheme].wraps:
            mode = ""
        else:
            mode = SCHEMES[scheme].torch
    if mode and min(rows) in IMAGE and input.ndim in (3, 4):
        return functional.pad(input, (*amounts, 0, 0)[:4], mode=mode)
    for dim, (before, after) in rows.items():
        # int() of a trace warns, as PyTorch does
        input = _extended(input, dim, int(before), int(after), scheme)
    return input


def _extended(input: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """Add copied rows before and after those along a dimension; negative amounts are cut off."""
    (first, step), wraps, n = SCHEMES[mode].reads or (0, 0), SCHEMES[mode].wraps, input.shape[dim]

    def copied(count: int, front: bool) -> list[Tensor]:
        last = first + (count if step else 1)
        if front:
            rows = _slice(input, dim, first, last)
        else:
            rows = _slice(input, dim, n - last, n - first)
        return [rows if wraps or not step else rows.flip(dim)] * (1 if step else count)

    if min(before, after) >= 0:
        inner = input
    else:
        inner = _slice(input, dim, max(-before, 0), n - max(-after, 0))
    if before > 0:
        head = copied(before, not wraps)
    else:
        head = []
    if after > 0:
        tail = copied(after, wraps)
    else:
        tail = []
    return torch.cat([*head, inner, *tail], dim)


def _slice(input: Tensor, dim: int, start: int, stop: int) -> Tensor:
    places: tuple[EllipsisType | slice, ...] = (
        ...,
        slice(start, stop),
        *[slice(None)] * (input.ndim - 1 - dim % input.ndim),
    )
    return input[places]


def known(*numbers: object) -> bool:
    """Return whether numbers can be compared now; those of a trace cannot."""
    return not any(isinstance(number, Tensor) for number in numbers)


def padded_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Steps = 1,
    pads: Pads = NONE,
    dilation: Steps = 1,
    groups: int = 1,
    schemes: Schemes = ("zero", "zero"),
) -> Tensor:
    """Convolve as `torch.nn.functional.conv2d`, padding each axis by a scheme, partial convolution
    among them.

    Partial convolution (Liu et al., "Partial Convolution based Padding", 2018) pads with zeros, and
    multiplies each unit by taps / taps that hit real pixels, before the bias. Too few rows for the
    padding are a `SizeError`.
    """
    if has_torch_function((input, weight, bias)):
        given = (input, weight, bias, stride, pads, dilation, groups, schemes)
        output: Tensor = handle_torch_function(padded_conv2d, (input, weight, bias), *given)
        return output
    return convolved(input, weight, bias, stride, pads, dilation, groups, schemes)


def convolved(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Steps,
    pads: Pads,
    dilation: Steps,
    groups: int,
    schemes: Schemes,
) -> Tensor:
    """Return what `padded_conv2d` returns, by functions that a subclass of tensors may handle one
    by one.
    """
    image, rest = _padded_except_zeros(input, pads, schemes)
    if "partial" not in schemes:
        return functional.conv2d(image, weight, bias, stride, rest, dilation, groups)
    sums = functional.conv2d(image, weight, None, stride, rest, dilation, groups)
    windows = [
        Window(weight.shape[dim], _pair(stride)[axis], _pair(dilation)[axis], pads[axis])
        if schemes[axis] == "partial" and (not known(*pads[axis]) or any(pads[axis]))
        else None
        for axis, dim in enumerate(IMAGE)
    ]
    if any(windows):
        sums = sums * _factors(input.shape[-2:], windows, like=sums)
    if bias is None:
        return sums
    return sums + bias[:, None, None]


def _padded_except_zeros(
    input: Tensor, pads: Pads, schemes: Schemes
) -> tuple[Tensor, tuple[int, int]]:
    """Pad all but equal zeros on both sides, which are returned as the padding argument of the
    convolution.
    """
    by_argument = [_is_argument(rows, scheme) for rows, scheme in zip(pads, schemes, strict=True)]
    rest = [(0, 0) if alone else rows for rows, alone in zip(pads, by_argument, strict=True)]
    if any(not known(*rows) or any(rows) for rows in rest):
        plain = ["zero" if scheme == "partial" else scheme for scheme in schemes]
        if by_argument[0] != by_argument[1]:
            plain = [plain[by_argument[0]]] * 2
        input = padded(input, (rest[0], rest[1]), (plain[0], plain[1]))
    down = pads[0][0] if by_argument[0] else 0
    across = pads[1][0] if by_argument[1] else 0
    return input, (down, across)


def _is_argument(rows: tuple[int, int], scheme: str) -> bool:
    """Return whether a convolution can pad so itself; by branches, which a compiler with symbolic
    rows can guard.
    """
    if SCHEMES[scheme].reads or not known(*rows) or rows[0] != rows[1]:
        return False
    return not rows[0] < 0


def _factors(sizes: Sequence[int], windows: Sequence[Window | None], like: Tensor) -> Tensor:
    """Return the factors of partial convolution, shape (1, height, width), or 1 where an axis has
    no window.
    """
    pads = [n for op in windows if op for n in op.padding]
    if all(isinstance(n, int) for n in (*sizes, *pads)) and not torch.compiler.is_compiling():
        factors = [np.ones(1), np.ones(1)]
        for axis, op in enumerate(windows):
            # numbers of a trace may be a subclass of int that remembers it, which no shared cache
            # may hold
            if op:
                before, after = (int.__int__(rows) for rows in cast("tuple[int, int]", op.padding))
                factors[axis] = partial_weights(
                    replace(op, padding=(before, after)), int.__int__(sizes[axis])
                )
        return torch.tensor(np.outer(*factors)[None], dtype=like.dtype, device=like.device)
    high, wide = (_traced_factors(op, n, like) for op, n in zip(windows, sizes, strict=True))
    return (high[:, None] * wide)[None].to(like.dtype)


def _traced_factors(op: Window | None, n: int, like: Tensor) -> Tensor:
    """Return taps / taps that hit real rows for each unit of an axis of symbolic or traced size."""
    if op is None:
        return torch.ones(1, device=like.device)
    before, _, n_out = placement(op, n)
    taps = torch.arange(op.kernel, device=like.device) * op.dilation - before
    rows = torch.arange(n_out, device=like.device)[:, None] * op.stride + taps
    hits: Tensor = ((rows >= 0) & (rows < n)).sum(1).clamp(min=1)
    return op.kernel / hits


def pads_of(module: nn.Conv2d) -> Pads:
    """Return the padding that a convolution declares, ((top, bottom), (left, right)),
    in any mode.
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
    if padding == "valid":
        height, width = (0, 0)
    else:
        height, width = _pair(padding)
    return (height, height), (width, width)


def _pair(value: Steps) -> tuple[int, int]:
    if isinstance(value, int):
        return (value, value)
    return (value[0], value[-1])


class PaddedConv2d(nn.Conv2d):
    """A convolution that pads by any scheme, or by one for each axis; otherwise as
    `torch.nn.Conv2d`.

    Input of shape (N, C, H, W) or (C, H, W). Checkpoints of `nn.Conv2d` load into it, and the other
    way round.

    Parameters
    ----------
    scheme : str
        One that `padviz --help` lists, but for valid and full; or two, height/width:
        "zero/circular".

    Examples
    --------
    >>> import padviz
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
        return padded_conv2d(
            input,
            weight,
            bias,
            self.stride,
            pads_of(self),
            self.dilation,
            self.groups,
            self.schemes,
        )

    def extra_repr(self) -> str:
        plain: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{plain}, scheme={'/'.join(dict.fromkeys(self.schemes))!r}"


class PartialConv2d(PaddedConv2d):
    """A partial convolution over the image's border; otherwise as `torch.nn.Conv2d`.

    It pads with zeros, and multiplies each unit by taps / taps that hit real pixels, before the
    bias (Liu et al., "Partial Convolution based Padding", 2018).

    Examples
    --------
    >>> conv = PartialConv2d(1, 1, 3, padding=1, bias=False)
    >>> _ = torch.nn.init.ones_(conv.weight)
    >>> conv(torch.ones(1, 1, 5, 5))[0, 0, 0].tolist()
    [9.0, 9.0, 9.0, 9.0, 9.0]
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, scheme="partial", **options)


class SymmetricPad2d(nn.Module):
    """Pads an image by its mirror image, the edge repeated: a b c becomes b a a b c c b with 2
    columns on each side.

    Input of shape (N, C, H, W) or (C, H, W); output of shape (..., H + top + bottom, W + left +
    right).

    Parameters
    ----------
    padding : int or (left, right, top, bottom)
        Rows and columns to add, in the order of `torch.nn.ReflectionPad2d`; at most as many as the
        image has.

    Examples
    --------
    >>> SymmetricPad2d((2, 1, 0, 0))(torch.arange(3.0).reshape(1, 1, 1, 3)).tolist()
    [[[[1.0, 0.0, 0.0, 1.0, 2.0, 2.0]]]]
    """

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        left, right, top, bottom = self.padding
        return padded(input, ((top, bottom), (left, right)), ("symmetric", "symmetric"))

    def extra_repr(self) -> str:
        return f"{self.padding}"
