"""Padding replaced in the calls of a forward while it runs, and classes of modules that do so."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple, SupportsIndex, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padviz.errors import PadvizError, SizeError
from padviz.network.padding_modes import SCHEMES
from padviz.network.rewrites import schemes_of
from padviz.nn import (
    IMAGE,
    NONE,
    PaddedConv2d,
    Pads,
    Schemes,
    Steps,
    SymmetricPad2d,
    amounts,
    known,
    padded,
    padded_conv2d,
    pads_of,
)
from padviz.repadding.plan import checked_scheme

CHANNELS_LAST = (-3, -2)
NAMES = {scheme.torch: name for name, scheme in SCHEMES.items() if scheme.torch}
MOST_FUNCTIONS = 200  # to scan for one class
Sides = int | tuple[int, ...]  # one for both axes, or one for each


class Override(NamedTuple):
    """The padding of a forward: its `schemes`, or None to keep those that its calls declare.

    `pads` replace the rows that it declares: a convolution takes over those of a pad before it, and
    that pad has none.
    """

    schemes: Schemes | None
    pads: Pads | None = None


class LastPad(NamedTuple):
    """The last call of pad, which a convolution may take over; `zeros` is the mode that it had."""

    output: Tensor
    input: Tensor
    pads: Pads
    zeros: bool


REPLACED: dict[object, str] = {
    torch.conv2d: "conv2d",
    functional.pad: "pad",
    functional.unfold: "unfold",
}
CALLS = {*REPLACED.values()}


class Repadding(TorchFunctionMode):
    """While active, convolutions, pads and unfolds pad as `override` says.

    The calls that it makes instead are of other functions, so that another one active around it
    leaves them alone. If `lenient`, a call whose input has too few rows for a scheme keeps its
    padding.
    """

    def __init__(self, override: Override, lenient: bool = False) -> None:
        super().__init__()
        self.override, self.lenient = override, lenient
        self.last: LastPad | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func in REPLACED:
            try:
                return getattr(self, REPLACED[func])(*args, **kwargs)
            except SizeError:
                if not self.lenient:
                    raise
        return func(*args, **kwargs)

    def conv2d(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Steps = 1,
        padding: str | Steps = 0,
        dilation: Steps = 1,
        groups: int = 1,
    ) -> Tensor:
        """Convolve; take over the rows of a pad just before it where they add up."""
        schemes = self.override.schemes or ("zero", "zero")
        pads = self.override.pads or amounts(padding, weight.shape[-2:], dilation)
        if self.last and input is self.last.output:
            # Copies of copies would be wrong: zeros add up, or what partial convolution reweighs.
            if pads == NONE:
                adds_up = "partial" in schemes
            else:
                adds_up = self.last.zeros
            if adds_up:
                (top, bottom), (left, right) = pads
                (above, below), (before, after) = self.last.pads
                pads = (top + above, bottom + below), (left + before, right + after)
                input = self.last.input
        return padded_conv2d(input, weight, bias, stride, pads, dilation, groups, schemes)

    def pad(
        self,
        input: Tensor,
        pad: Sequence[int],
        mode: str = "constant",
        value: float | None = None,
    ) -> Tensor:
        """Pad rows and columns; pads of channels, and with infinity for a pool, stay."""
        where = image_pads(input.ndim, pad)
        if where is None or (mode == "constant" and not math.isfinite(value or 0)):
            return functional.pad(input, pad, mode, value)
        declared_pads, dims = where
        pads, scheme = self.override.pads or declared_pads, NAMES.get(mode, mode)
        schemes = self.override.schemes or (scheme, scheme)
        fill = None
        if mode == "constant" and set(schemes) == {"zero"}:
            fill = value
        output = padded(input, pads, schemes, dims, fill)
        if dims == IMAGE:
            self.last = LastPad(output, input, pads, mode == "constant")
        return output

    def unfold(
        self,
        input: Tensor,
        kernel_size: Sides,
        dilation: Sides = 1,
        padding: Steps = 0,
        stride: Sides = 1,
    ) -> Tensor:
        """Unfold windows to columns, for a convolution that is written as a matrix product."""
        pads, schemes = amounts(padding, (1, 1), 1), self.override.schemes or ("zero", "zero")
        if pads != NONE:
            if "partial" in schemes:
                what = "unfold pads by itself, and partial convolution reweighs only convolutions"
                raise PadvizError(what)
            input = padded(input, pads, schemes)
        return functional.unfold(input, kernel_size, dilation, 0, stride)


def image_pads(ndim: int, pad: Sequence[int]) -> tuple[Pads, tuple[int, int]] | None:
    """Convert the argument of a pad to rows and columns and their dimensions.

    Rows and columns are the last two dimensions, or the middle ones of four if columns are padded
    there; None if it pads anything else.

    >>> image_pads(4, (1, 1, 2, 2)), image_pads(4, (0, 0, 1, 1, 2, 2))
    ((((2, 2), (1, 1)), (-2, -1)), (((2, 2), (1, 1)), (-3, -2)))
    >>> image_pads(4, (0, 0, 0, 0, 8, 8)) is None
    True
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
    """Pad every convolution inside the `with` block by a scheme, whatever calls it.

    Pads of channels, and those with infinity before a pool, stay. A call whose input has too few
    rows for the scheme keeps its padding.

    >>> conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    >>> _ = nn.init.ones_(conv.weight)
    >>> with padded_by("circular"):
    ...     conv(torch.ones(1, 1, 2, 4))[0, 0, 0].tolist()
    [9.0, 9.0, 9.0, 9.0]
    """
    height, width = schemes_of(checked_scheme(padding))
    repadding = Repadding(Override((height, width)), lenient=True)
    # A mode does not reach compiled code.
    with torch.compiler.set_stance("force_eager"), repadding:
        yield


def is_plain(kind: type[nn.Module]) -> bool:
    """Return whether a class convolves as PyTorch's or ours does, without a forward of its own."""
    kind = base_of(kind)
    if not issubclass(kind, nn.Conv2d) or kind.forward is not nn.Conv2d.forward:
        return False
    return kind._conv_forward in (nn.Conv2d._conv_forward, PaddedConv2d._conv_forward)


def base_of(kind: type[nn.Module]) -> type[nn.Module]:
    """Return the base of a derived class; any other class is its own."""
    return cast("type[nn.Module]", kind.__dict__.get("repadded_base", kind))


def override_of(module: nn.Module) -> Override | None:
    return cast("Override | None", type(module).__dict__.get("repadded_override"))


def set_override(module: nn.Module, override: Override) -> None:
    base: type = base_of(type(module))
    module.__class__ = _derived_class(base, override)


@lru_cache(4096)
def _derived_class(base: type[nn.Module], override: Override) -> type[nn.Module]:
    """Return the one class for a base and an override, which pickling and copying restore."""
    if is_plain(base):
        members: dict[str, object] = {"_conv_forward": _conv_forward}
    elif issubclass(base, SymmetricPad2d):
        members = {"forward": _pad_forward}
    else:
        members = {"forward": _wrapped_forward(base, override)}
    members |= {"__module__": base.__module__, "__doc__": base.__doc__}
    members |= {"repadded_base": base, "repadded_override": override}
    return type(f"Repadded{base.__name__}", (_Repadded, base), members)


class _Repadded(nn.Module):
    """The first base of a derived class: printed as the other base, pickled with the override."""

    repadded_base: type[nn.Module]
    repadded_override: Override

    def extra_repr(self) -> str:
        plain: str = super().extra_repr()
        scheme = "/".join(dict.fromkeys(self.repadded_override.schemes or ("as declared",)))
        return ", ".join(filter(None, [plain, f"repadded={scheme!r}"]))

    def _get_name(self) -> str:
        get_name: Callable[[nn.Module], str] = self.repadded_base._get_name
        name = get_name(self)
        if get_name is nn.Module._get_name:
            return name.removeprefix("Repadded")
        return name

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        reduced: Any = super().__reduce_ex__(protocol)
        arguments = tuple(self.repadded_base if part is type(self) else part for part in reduced[1])
        return (_restored, (reduced[0], arguments, self.repadded_override), *reduced[2:])


def _conv_forward(self: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    override: Override = self.repadded_override
    schemes, pads = override.schemes or declared(self), override.pads or pads_of(self)
    steps = self.stride, pads, self.dilation
    return padded_conv2d(input, weight, bias, *steps, self.groups, schemes)


def _pad_forward(self: Any, input: Tensor) -> Tensor:
    (left, right, top, bottom), override = self.padding, self.repadded_override
    pads = override.pads or ((top, bottom), (left, right))
    return padded(input, pads, override.schemes or ("symmetric", "symmetric"))


def declared(module: nn.Conv2d) -> Schemes:
    if isinstance(module, PaddedConv2d):
        return module.schemes[0], module.schemes[1]
    if module.padding_mode == "zeros":
        scheme = "zero"
    else:
        scheme = module.padding_mode
    return scheme, scheme


def _wrapped_forward(base: Any, override: Override) -> Callable[..., object]:
    inner = base.forward

    @functools.wraps(inner)
    def forward(self: nn.Module, *args: object, **options: object) -> object:
        with Repadding(override):
            return inner(self, *args, **options)

    if calls_of(base) <= {"conv2d"}:
        return forward
    hidden: Any = torch.compiler.disable  # a compiled forward would not show its pads
    return cast("Callable[..., object]", hidden(forward))


def _restored(
    make: Callable[..., nn.Module],
    arguments: tuple[object, ...],
    override: Override,
) -> nn.Module:
    module = make(*arguments)
    set_override(module, override)
    return module


@lru_cache(4096)
def calls_of(kind: type[nn.Module]) -> frozenset[str]:
    """Return the functions of `CALLS` that a forward names, or functions that it calls.

    PyTorch's functions are not searched.

    >>> [sorted(calls_of(kind)) for kind in (nn.ZeroPad2d, nn.Unfold, nn.ReLU, nn.Sequential)]
    [['pad'], ['unfold'], [], []]
    """
    pending: list[object] = [inspect.unwrap(kind.forward)]
    seen: set[FunctionType] = set()
    calls: set[str] = set()
    while pending and len(seen) < MOST_FUNCTIONS:
        function = pending.pop()
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        codes = [function.__code__]
        for code in codes:  # and those of functions inside it
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        names = set[str]().union(*(code.co_names for code in codes))
        calls |= names & CALLS
        for name in names:
            callee = inspect.getattr_static(kind, name, None) or function.__globals__.get(name)
            if callable(callee):
                callee = inspect.unwrap(callee)
            else:
                callee = None
            home = getattr(callee, "__module__", None) or "torch"
            if home.partition(".")[0] != "torch":
                pending.append(callee)
    return frozenset(calls)
