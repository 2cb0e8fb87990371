"""Padding replaced while a forward runs: in every call of a convolution, a pad or an unfold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import TorchFunctionMode

from padviz.axis.padding_modes import SCHEMES
from padviz.errors import PadvizError, SizeError
from padviz.network.rewrites import schemes_of
from padviz.nn.functional import IMAGE, NONE, Pads, Schemes, Steps, known, padded, padded_conv2d
from padviz.nn.modules import amounts
from padviz.repadding.plan import checked_scheme

CHANNELS_LAST = (-3, -2)
NAMES = {scheme.torch: name for name, scheme in SCHEMES.items() if scheme.torch}


class Override(NamedTuple):
    """The padding of a forward: its `schemes`, or None to keep those that its calls declare.

    `extra` is padding that each convolution takes over from a pad before it; that pad has `no_pads`.
    """

    schemes: Schemes | None
    extra: Pads = NONE
    no_pads: bool = False


class LastPad(NamedTuple):
    """The last call of pad, which a convolution that reads its output may take over; `zeros` is its own mode."""

    output: Tensor
    input: Tensor
    pads: Pads
    zeros: bool


REPLACED: dict[object, str] = {torch.conv2d: "conv2d", functional.pad: "pad", functional.unfold: "unfold"}


class Repadding(TorchFunctionMode):
    """While active, convolutions, pads and unfolds pad as `override` says.

    The calls that it makes instead are of other functions, so that another one active around it leaves them alone. If
    `lenient`, a call whose input has too few rows for a scheme keeps its padding.
    """

    def __init__(self, override: Override, lenient: bool = False) -> None:
        super().__init__()
        self.override, self.lenient = override, lenient
        self.last: LastPad | None = None

    def __torch_function__(self, func: Any, types: object, args: Any = (), kwargs: Any = None) -> object:
        kwargs = kwargs or {}
        if func in REPLACED:
            try:
                return getattr(self, REPLACED[func])(*args, **kwargs)
            except SizeError:
                if not self.lenient:
                    raise
        return func(*args, **kwargs)

    def conv2d(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Steps = 1, padding: Any = 0,
        dilation: Steps = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        """Convolve; take over the rows of a pad just before it for partial convolution, or to pad further."""
        schemes = self.override.schemes or ("zero", "zero")
        pads = add_pads(amounts(padding, weight.shape[-2:], dilation), self.override.extra)
        if self.last and input is self.last.output and ("partial" in schemes if pads == NONE else self.last.zeros):
            input, pads = self.last.input, add_pads(pads, self.last.pads)
        return padded_conv2d(input, weight, bias, stride, pads, dilation, groups, schemes)

    def pad(self, input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
        """Pad rows and columns; pads of channels, and with infinity for a pool, stay as they are."""
        where = image_pads(input.ndim, pad)
        if where is None or (mode == "constant" and not math.isfinite(value or 0)):
            return functional.pad(input, pad, mode, value)
        if self.override.no_pads:
            return input
        pads, dims = where
        own = NAMES.get(mode, mode)
        schemes = self.override.schemes or (own, own)
        fill = value if mode == "constant" and set(schemes) == {"zero"} else None
        output = padded(input, pads, schemes, dims, fill)
        if dims == IMAGE:
            self.last = LastPad(output, input, pads, mode == "constant")
        return output

    def unfold(self, input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
        """Unfold windows to columns, for a convolution that is written as a matrix product."""
        pads, schemes = amounts(padding, (1, 1), 1), self.override.schemes or ("zero", "zero")
        if pads != NONE:
            if "partial" in schemes:
                raise PadvizError("unfold pads by itself, and partial convolution reweighs only convolutions")
            input = padded(input, pads, schemes)
        return functional.unfold(input, kernel_size, dilation, 0, stride)


def add_pads(one: Pads, other: Pads) -> Pads:
    (top, bottom), (left, right) = one
    (t, b), (l, r) = other  # noqa: E741
    return (top + t, bottom + b), (left + l, right + r)


def image_pads(ndim: int, pad: Sequence[int]) -> tuple[Pads, tuple[int, int]] | None:
    """Convert the argument of a pad to rows and columns and their dimensions; None if it pads anything else.

    Rows and columns are the last two dimensions, or the middle ones of four if columns are padded there.

    >>> image_pads(4, (1, 1, 2, 2)), image_pads(4, (0, 0, 1, 1, 2, 2))
    ((((2, 2), (1, 1)), (-2, -1)), (((2, 2), (1, 1)), (-3, -2)))
    >>> image_pads(4, (0, 0, 0, 0, 8, 8)), image_pads(3, (1, 1))
    (None, None)
    """
    whole = [n.long() if isinstance(n, Tensor) else n for n in pad]  # of a trace they may be floats
    rows = {-i - 1: (whole[2 * i], whole[2 * i + 1]) for i in range(len(pad) // 2)}
    touched = {dim for dim, amounts in rows.items() if not known(*amounts) or amounts != (0, 0)}
    if touched and touched <= {*IMAGE} and ndim > len(IMAGE) and (ndim > 3 or len(rows) > 1):
        dims = IMAGE
    elif ndim == 4 and CHANNELS_LAST[1] in touched and touched <= {*CHANNELS_LAST}:
        dims = CHANNELS_LAST
    else:
        return None
    return (rows.get(dims[0], (0, 0)), rows.get(dims[1], (0, 0))), dims


@contextmanager
def padded_by(padding: str) -> Iterator[None]:
    """Pad every convolution inside the `with` block by a scheme, whatever module or function calls it.

    Calls of `conv2d`, `pad` and `unfold` are replaced. Pads of channels, and those with infinity before a pool, stay. A
    call whose input has too few rows for the scheme keeps its own padding.

    Parameters
    ----------
    padding : str
        A scheme that `padviz --help` lists, but for valid and full; or one for each axis, height/width.

    Raises
    ------
    OptionError
        For a scheme that cannot be used.

    Examples
    --------
    >>> from torch import nn
    >>> conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    >>> _ = nn.init.ones_(conv.weight)
    >>> with padded_by("circular"):
    ...     conv(torch.ones(1, 1, 2, 4))[0, 0, 0].tolist()
    [9.0, 9.0, 9.0, 9.0]
    """
    height, width = schemes_of(checked_scheme(padding))
    with ExitStack() as stack:
        if hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))  # a mode does not reach compiled code
        stack.enter_context(Repadding(Override((height, width)), lenient=True))
        yield
