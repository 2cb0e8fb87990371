"""Padding by a scheme, and convolutions with it, as functions; each declares what it does to whoever follows calls.

`padviz.load` follows them as it follows PyTorch's own functions, so that symmetric padding counts as symmetric and
partial convolution as partial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from padviz.axis.operations import Window
from padviz.axis.padding_modes import SCHEMES, native
from padviz.nn.padded_rows import check_fits, extended, known, reweighing

Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))
Schemes = tuple[str, str]  # of height and of width
NONE: Pads = ((0, 0), (0, 0))
IMAGE = (-2, -1)  # the dimensions of rows and columns


def padded(
    input: Tensor, pads: Pads, schemes: Schemes, dims: tuple[int, int] = IMAGE, value: float | None = None
) -> Tensor:
    """Pad rows and columns, each by a scheme.

    Parameters
    ----------
    input : Tensor
        Of shape (..., height, width), unless `dims` says which dimensions these are.
    pads : ((top, bottom), (left, right))
        Rows and columns to add; negative ones are cut off.
    schemes : (str, str)
        Of height and of width, as `padviz --help` lists them, but for those of convolutions: ("zero", "symmetric").
    dims : (int, int)
        The dimensions of height and of width.
    value : float, optional
        What "zero" pads with, where that is not 0.

    Raises
    ------
    SizeError
        If there are too few rows or columns for the padding: reflect needs more than it pads, symmetric and circular
        as many.

    Examples
    --------
    >>> import torch
    >>> padded(torch.arange(3.0).reshape(1, 1, 1, 3), ((0, 0), (2, 2)), ("zero", "symmetric")).tolist()
    [[[[1.0, 0.0, 0.0, 1.0, 2.0, 2.0, 1.0]]]]
    """
    if has_torch_function((input,)):
        made: Tensor = handle_torch_function(padded, (input,), input, pads, schemes, dims, value)
        return made
    if schemes[0] == schemes[1] and dims == IMAGE:
        both = _at_once(input, schemes[0], pads, value)
        if both is not None:
            return both
    for dim, rows, scheme in zip(dims, pads, schemes, strict=True):
        input = _along(input, dim, rows, scheme, value)
    return input


def _at_once(input: Tensor, scheme: str, pads: Pads, value: float | None) -> Tensor | None:
    """Both axes padded by PyTorch's own function, where it has the scheme."""
    (top, bottom), (left, right) = pads
    if scheme == "zero":
        return functional.pad(input, (left, right, top, bottom), value=value)
    mode = _native(scheme, (top, bottom, left, right))
    if not mode or input.ndim not in (3, 4):
        return None
    for dim, rows in zip(IMAGE, pads, strict=True):
        check_fits(scheme, input.shape[dim], *rows)
    return functional.pad(input, (left, right, top, bottom), mode=mode)


def _native(scheme: str, amounts: Sequence[int]) -> str:
    """PyTorch's name of a scheme that copies, or nothing: an edge that is repeated once is replicated."""
    if not known(*amounts):
        return "" if SCHEMES[scheme].wraps else SCHEMES[scheme].torch
    return "" if min(amounts) < 0 else SCHEMES[native(scheme, max(amounts))].torch


def _along(input: Tensor, dim: int, rows: tuple[int, int], scheme: str, value: float | None) -> Tensor:
    """One axis padded."""
    if known(*rows) and rows == (0, 0):
        return input
    if not SCHEMES[scheme].reads:
        return functional.pad(input, (*[0] * (2 * (-dim - 1)), *rows), value=value)
    check_fits(scheme, input.shape[dim], *rows)
    mode = _native(scheme, rows)
    if mode and dim in IMAGE and input.ndim in (3, 4):
        return functional.pad(input, (0, 0, *rows) if dim == IMAGE[0] else (*rows, 0, 0), mode=mode)
    return extended(input, dim, int(rows[0]), int(rows[1]), scheme)  # of a trace, with a warning of PyTorch's own


def padded_conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, pads: Pads = NONE, dilation: Any = 1,
    groups: int = 1, schemes: Schemes = ("zero", "zero"),
) -> Tensor:  # fmt: skip
    """Convolve an image that is padded by a scheme on each axis, partial convolution among them.

    Partial convolution pads with zeros, and multiplies each unit by taps / taps that hit real pixels, before the bias.

    Parameters
    ----------
    input, weight, bias, stride, dilation, groups
        As for `torch.nn.functional.conv2d`.
    pads : ((top, bottom), (left, right))
        Rows and columns to add.
    schemes : (str, str)
        Of height and of width, as `padviz --help` lists them.

    Raises
    ------
    SizeError
        If the image has too few rows or columns for the padding.

    Notes
    -----
    Source: Liu et al., "Partial Convolution based Padding", 2018.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 1, 3, 3)
    >>> padded_conv2d(ones, ones, pads=((1, 1), (1, 1)), schemes=("partial", "partial"))[0, 0, 0].tolist()
    [9.0, 9.0, 9.0]
    """
    if has_torch_function((input, weight, bias)):
        given = (input, weight, bias, stride, pads, dilation, groups, schemes)
        made: Tensor = handle_torch_function(padded_conv2d, (input, weight, bias), *given)
        return made
    if "partial" in schemes:
        return _partial(input, weight, bias, stride, pads, dilation, groups, schemes)
    input, left = _padded_but_zeros(input, pads, schemes)
    return functional.conv2d(input, weight, bias, stride, left, dilation, groups)


def _padded_but_zeros(input: Tensor, pads: Pads, schemes: Schemes) -> tuple[Tensor, tuple[int, int]]:
    """Pad the image, but for zeros that are the same on both sides, which the convolution pads itself."""
    own = [_of_its_own(rows, scheme) for rows, scheme in zip(pads, schemes, strict=True)]
    rest = [(0, 0) if alone else rows for rows, alone in zip(pads, own, strict=True)]
    if any(not known(*rows) or any(rows) for rows in rest):
        plain = ["zero" if scheme == "partial" else scheme for scheme in schemes]
        if own[0] != own[1]:
            plain = [plain[own[0]]] * 2
        input = padded(input, (rest[0], rest[1]), (plain[0], plain[1]))
    return input, (pads[0][0] if own[0] else 0, pads[1][0] if own[1] else 0)


def _of_its_own(rows: tuple[int, int], scheme: str) -> bool:
    """Whether a convolution can pad rows itself: branches, so that a compiler that has symbols for them decides."""
    if SCHEMES[scheme].reads or not known(*rows):
        return False
    if rows[0] != rows[1]:
        return False
    if rows[0] < 0:  # noqa: SIM103
        return False
    return True


def _partial(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, pads: Pads, dilation: Any, groups: int,
    schemes: Schemes,
) -> Tensor:  # fmt: skip
    """Partial convolution on the axes whose scheme it is."""
    ready, left = _padded_but_zeros(input, pads, schemes)
    made = functional.conv2d(ready, weight, None, stride, left, dilation, groups)
    windows = [
        Window(weight.shape[dim], _of(stride, axis), _of(dilation, axis), pads[axis])
        if schemes[axis] == "partial" and (not known(*pads[axis]) or any(pads[axis]))
        else None
        for axis, dim in enumerate(IMAGE)
    ]
    if any(windows):
        made = made * reweighing(input.shape[-2:], windows, like=made)
    return made if bias is None else made + bias[:, None, None]


def _of(value: Any, axis: int) -> int:
    """One number for both axes, or one for each."""
    return value if isinstance(value, int) else tuple(value)[axis if len(value) > 1 else 0]
