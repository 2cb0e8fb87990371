"""Derived classes whose forward pads by another scheme, for modules to be switched to.

Only PyTorch's own convolutions and symmetric padding are called differently; any other module keeps its forward, run
with `Repadding` around it. There is one class for each base and override, which pickling and copying restore.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, cast

import torch
from torch import Tensor, nn

from padviz.nn.functional import Schemes, padded, padded_conv2d
from padviz.nn.modules import PaddedConv2d, SymmetricPad2d, pads_of
from padviz.repadding.torch_module.calls import Override, Repadding, add_pads

CALLS = {"conv2d", "pad", "unfold"}
MOST_FUNCTIONS = 200  # to scan for one class


def is_plain(kind: type[nn.Module]) -> bool:
    """Return whether a class convolves as PyTorch's own or ours does, without a forward of its own.

    >>> is_plain(nn.Conv2d), is_plain(nn.ConvTranspose2d), is_plain(PaddedConv2d)
    (True, False, True)
    """
    kind = base_of(kind)
    if not issubclass(kind, nn.Conv2d) or kind.forward is not nn.Conv2d.forward:
        return False
    return kind._conv_forward in (nn.Conv2d._conv_forward, PaddedConv2d._conv_forward)


def base_of(kind: type[nn.Module]) -> type[nn.Module]:
    """Return the base of a derived class; any other class is its own."""
    return cast("type[nn.Module]", kind.__dict__.get("repadded_base", kind))


def override_of(module: nn.Module) -> Override | None:
    return cast("Override | None", type(module).__dict__.get("repadded_override"))


def set_override(module: nn.Module, override: Override | None) -> None:
    """Make a module pad by an override, or as its class does."""
    base: Any = base_of(type(module))
    module.__class__ = base if override is None else _derived_class(base, override)


@lru_cache(4096)
def _derived_class(base: type[nn.Module], override: Override) -> type[nn.Module]:
    own: Callable[..., object]
    if is_plain(base):
        name, own = "_conv_forward", _convolution(override)
    elif issubclass(base, SymmetricPad2d):
        name, own = "forward", _symmetric_pad(override)
    else:
        name, own = "forward", _wrapped_forward(base, override)
    return type(
        f"Repadded{base.__name__}",
        (base,),
        {
            "__module__": base.__module__,
            "__doc__": base.__doc__,
            "_get_name": _get_name,
            "__reduce_ex__": _reduce_ex,
            "repadded_base": base,
            "repadded_override": override,
            "extra_repr": _extra_repr,
            name: own,
        },
    )


def _convolution(override: Override) -> Callable[..., Tensor]:
    def _conv_forward(self: nn.Conv2d, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        schemes, pads = override.schemes or declared(self), add_pads(pads_of(self), override.extra)
        return padded_conv2d(input, weight, bias, self.stride, pads, self.dilation, self.groups, schemes)

    return _conv_forward


def declared(module: nn.Conv2d) -> Schemes:
    """Return the schemes of a convolution without an override.

    >>> declared(nn.Conv2d(1, 1, 3)), declared(nn.Conv2d(1, 1, 3, padding_mode="circular"))
    (('zero', 'zero'), ('circular', 'circular'))
    """
    if isinstance(module, PaddedConv2d):
        return module.schemes[0], module.schemes[1]
    own = "zero" if module.padding_mode == "zeros" else module.padding_mode
    return own, own


def _symmetric_pad(override: Override) -> Callable[..., Tensor]:
    schemes = override.schemes or ("symmetric", "symmetric")

    def forward(self: SymmetricPad2d, input: Tensor) -> Tensor:
        left, right, top, bottom = self.padding
        return input if override.no_pads else padded(input, ((top, bottom), (left, right)), schemes)

    return forward


def _wrapped_forward(base: Any, override: Override) -> Callable[..., object]:
    inner = base.forward

    @functools.wraps(inner)
    def forward(self: nn.Module, *args: Any, **options: Any) -> object:
        with Repadding(override):
            return inner(self, *args, **options)

    if calls_of(base) <= {"conv2d"}:
        return forward
    hidden: Any = torch.compiler.disable  # a compiled forward would not show its pads
    return cast("Callable[..., object]", hidden(forward))


def _extra_repr(self: nn.Module) -> str:
    kind: Any = type(self)
    plain = kind.repadded_base.extra_repr(self)
    scheme = "/".join(dict.fromkeys(kind.repadded_override.schemes or ("as declared",)))
    return ", ".join(filter(None, [plain, f"repadded={scheme!r}"]))


def _get_name(self: nn.Module) -> str:
    kind: Any = type(self)
    name: str = kind.repadded_base._get_name(self)
    return name.removeprefix("Repadded") if kind.repadded_base._get_name is nn.Module._get_name else name


def _reduce_ex(self: nn.Module, protocol: Any) -> Any:
    """Reduce a module for pickle and copy as its base does, plus the override."""
    kind: Any = type(self)
    reduced = kind.repadded_base.__reduce_ex__(self, protocol)
    arguments = tuple(kind.repadded_base if part is kind else part for part in reduced[1])
    return (_restored, (reduced[0], arguments, kind.repadded_override), *reduced[2:])


def _restored(make: Callable[..., nn.Module], arguments: tuple[Any, ...], override: Override) -> nn.Module:
    module = make(*arguments)
    set_override(module, override)
    return module


@lru_cache(4096)
def calls_of(kind: type[nn.Module]) -> frozenset[str]:
    """Return the functions of `CALLS` that a forward names, or functions that it calls, which are not PyTorch's.

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
        names = {*_names(function.__code__)}
        calls |= names & CALLS
        for name in names:
            callee = inspect.getattr_static(kind, name, None) or function.__globals__.get(name)
            callee = inspect.unwrap(callee) if callable(callee) else None
            home = getattr(callee, "__module__", None) or "torch"
            if home.partition(".")[0] != "torch":
                pending.append(callee)
    return frozenset(calls)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function uses, including those of functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
