"""Classes whose forward pads by another scheme: made of those that a module has, so that it stays what it was.

A module keeps its own forward: only a convolution that is PyTorch's own, and symmetric padding, are called anew; all
others run with `Repadding` around them. Classes are made once for each base and way, and are found again by both when a
module is pickled or copied.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from padviz.nn.functional import padded, padded_conv2d
from padviz.nn.modules import PaddedConv2d, SymmetricPad2d, pads_of
from padviz.repadding.torch_module.calls import How, Repadding, added
from padviz.repadding.torch_module.scan import calls_of


def is_plain(kind: type[nn.Module]) -> bool:
    """Tell whether a convolution is called as PyTorch's own or ours is: what a subclass does in its forward, it keeps.

    >>> is_plain(nn.Conv2d), is_plain(nn.ConvTranspose2d), is_plain(PaddedConv2d)
    (True, False, True)
    """
    kind = base_of(kind)
    if not issubclass(kind, nn.Conv2d) or kind.forward is not nn.Conv2d.forward:
        return False
    return kind._conv_forward in (nn.Conv2d._conv_forward, PaddedConv2d._conv_forward)


def base_of(kind: type[nn.Module]) -> type[nn.Module]:
    """Find the class that a repadded one was made of; any other is its own."""
    return cast("type[nn.Module]", kind.__dict__.get("repadded_base", kind))


def how_of(module: nn.Module) -> How | None:
    """Tell how a module was repadded, if it was."""
    return cast("How | None", type(module).__dict__.get("repadded_how"))


def change(module: nn.Module, how: How | None) -> None:
    """Make a module pad in a way, or as its class has it."""
    base: Any = base_of(type(module))
    module.__class__ = base if how is None else repadded_class(base, how)


@lru_cache(4096)
def repadded_class(base: Any, how: How) -> type[nn.Module]:
    """Derive the subclass of a module's class that pads in a way."""
    own: Callable[..., Any]
    if is_plain(base):
        name, own = "_conv_forward", _convolution(how)
    elif issubclass(base, SymmetricPad2d):
        name, own = "forward", _pad(how)
    else:
        name, own = "forward", _around(base, how)
    return type(
        f"Repadded{base.__name__}",
        (base,),
        {
            "__module__": base.__module__,
            "__doc__": base.__doc__,
            "_get_name": _get_name,
            "__reduce_ex__": _reduce_ex,
            "repadded_base": base,
            "repadded_how": how,
            "extra_repr": _extra_repr,
            name: own,
        },
    )


def _convolution(how: How) -> Callable[..., Tensor]:
    schemes, more = how.schemes, how.more

    def _conv_forward(self: nn.Conv2d, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        given = schemes or declared(self)
        pads = added(pads_of(self), more)
        return padded_conv2d(input, weight, bias, self.stride, pads, self.dilation, self.groups, given)

    return _conv_forward


def declared(module: nn.Conv2d) -> tuple[str, str]:
    """Read the schemes that a convolution has by itself.

    >>> declared(nn.Conv2d(1, 1, 3)), declared(nn.Conv2d(1, 1, 3, padding_mode="circular"))
    (('zero', 'zero'), ('circular', 'circular'))
    """
    if isinstance(module, PaddedConv2d):
        return module.schemes[0], module.schemes[1]
    own = "zero" if module.padding_mode == "zeros" else module.padding_mode
    return own, own


def _pad(how: How) -> Callable[..., Tensor]:
    schemes = how.schemes or ("symmetric", "symmetric")

    def forward(self: SymmetricPad2d, input: Tensor) -> Tensor:
        left, right, top, bottom = self.padding
        return input if how.without else padded(input, ((top, bottom), (left, right)), schemes)

    return forward


def _around(base: Any, how: How) -> Callable[..., Any]:
    inner = base.forward

    @functools.wraps(inner)
    def forward(self: nn.Module, *args: Any, **options: Any) -> Any:
        with Repadding(how):
            return inner(self, *args, **options)

    if calls_of(base) <= {"conv2d"}:
        return forward
    hidden: Any = torch.compiler.disable  # a compiled forward would not show its pads
    return cast("Callable[..., Any]", hidden(forward))


def _extra_repr(self: nn.Module) -> str:
    kind: Any = type(self)
    plain = kind.repadded_base.extra_repr(self)
    scheme = "/".join(dict.fromkeys(kind.repadded_how.schemes or ("as declared",)))
    return ", ".join(filter(None, [plain, f"repadded={scheme!r}"]))


def _get_name(self: nn.Module) -> str:
    kind: Any = type(self)
    name: str = kind.repadded_base._get_name(self)
    return name.removeprefix("Repadded") if kind.repadded_base._get_name is nn.Module._get_name else name


def _reduce_ex(self: nn.Module, protocol: Any) -> Any:
    """Reduce a module, as pickle and copy do: to what its own class makes of it, and the way in which it pads."""
    kind: Any = type(self)
    reduced = kind.repadded_base.__reduce_ex__(self, protocol)
    arguments = tuple(kind.repadded_base if part is kind else part for part in reduced[1])
    return (_restored, (reduced[0], arguments, kind.repadded_how), *reduced[2:])


def _restored(make: Callable[..., nn.Module], arguments: tuple[Any, ...], how: How) -> nn.Module:
    module = make(*arguments)
    change(module, how)
    return module
