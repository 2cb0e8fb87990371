"""A copy of a module whose convolutions pad by another scheme, checked against the law of repadding."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from padviz.axis.operations import Op, Window, pads_at
from padviz.counting.count import usage
from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName, nearest
from padviz.network.layer import Layer
from padviz.network.network import Network, Size, as_size
from padviz.network.rewrites import schemes_of, with_pads_joined
from padviz.network.targets import names_of
from padviz.repadding.plan import Left, Plan, checked, plan
from padviz.repadding.torch_module.calls import How
from padviz.repadding.torch_module.classes import base_of, change
from padviz.repadding.torch_module.owners import owner_of, shields, unseen, ways_of
from padviz.repadding.verify import same
from padviz.sources.torch.load import load_module
from padviz.sources.tracing.reading import AS_IT_IS, Reading

NEAR = 1e-12
SHOWN = 3  # layers in a warning
REACH = "its padding is made by calls out of reach"


@dataclass(frozen=True)
class Report:
    """What `repad` did: the names of the modules that pad anew, and the layers that were left alone and why.

    `size` is that at which the law was checked, in pixels, and None where it was not; `unread` says why no forward
    could be followed, if none could.
    """

    padding: str
    changed: tuple[str, ...]
    left: tuple[Left, ...] = ()
    size: Size | None = None
    unread: str = ""


def repad(
    module: nn.Module,
    padding: str,
    layers: str | Iterable[str] | None = None,
    *,
    size: int | Sequence[int] | None = None,
    share: bool = True,
    reading: Reading = AS_IT_IS,
) -> nn.Module:
    """Copy a PyTorch module so that its convolutions pad by another scheme: `padviz.repad`, of a module.

    It is replaced in convolutions and their subclasses, and where a forward calls `conv2d`, `pad` or `unfold` itself.

    Raises
    ------
    PadvizError
        If nothing can be done, naming what is in the way; or if the result does not count as `usage(module,
        padding=padding)` does, in every pixel.

    Examples
    --------
    >>> repad(nn.Conv2d(3, 8, 3, padding=1), "reflect", size=32).repadded.changed
    ('',)
    """
    module, padding = getattr(module, "_orig_mod", module), checked(padding)
    where = type(module).__name__
    refuse(module, where)
    module = copied(module, share, where)
    names = [layers] if isinstance(layers, str) else [*(layers or ())]
    try:
        network = load_module(module, reading, None if size is None else as_size(size))
        planned = plan(network, padding, size, _layers_of(network, names))
    except (OptionError, UnknownName):
        raise
    except PadvizError as error:
        if size is not None:
            raise
        return _by_code(module, padding, names, str(error))
    return _by_plan(module, planned, padding, names, reading)


def refuse(module: nn.Module, where: str) -> None:
    """Refuse, by name, modules whose code cannot be reached or that are not finished.

    Raises
    ------
    DescriptionError
        For scripted modules, lazy ones, and those whose forward is not their class's.
    """
    if not isinstance(module, nn.Module):
        raise DescriptionError(f"{module!r} is no torch.nn.Module", hint="name one, or the path of an ONNX file")
    for name, inner in module.named_modules():
        at = ", ".join(filter(None, (where, name)))
        if isinstance(inner, torch.jit.ScriptModule):
            raise DescriptionError("is a ScriptModule, whose code is fixed", where=at, hint="repad it before scripting")
        if any(map(nn.parameter.is_lazy, (*inner._parameters.values(), *inner._buffers.values()))):
            raise DescriptionError("is a lazy module that has not run yet", where=at, hint="run it once before")
        if {"forward", "_conv_forward"} & vars(inner).keys() and isinstance(inner, nn.Conv2d):
            raise DescriptionError("has a forward of its own, set on the module", where=at, hint="make it a subclass")


def copied(module: nn.Module, share: bool, where: str) -> nn.Module:
    """Copy a module, with its hooks; parameters are those of the module itself if it is to `share` them."""
    memo: dict[int, Any] = {}
    inside = {*module.modules()}
    for inner in inside:
        tensors = [*inner._parameters.values(), *(value for value in vars(inner).values() if isinstance(value, Tensor))]
        memo |= {id(tensor): tensor for tensor in tensors if share and tensor is not None}
        memo |= {id(hook): hook for hook in _hooks(inner) if getattr(hook, "__self__", None) not in inside}
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise DescriptionError(f"cannot be copied: {type(error).__name__}: {error}", where=where) from None


def _hooks(module: nn.Module) -> Iterator[Any]:
    """Yield the hooks of one module: what they belong to is not copied."""
    for key, value in vars(module).items():
        if key.endswith("_hooks") and isinstance(value, dict):
            yield from value.values()


def _layers_of(network: Network, names: Sequence[str]) -> list[str]:
    """List the layers that names mean: their own, or all that are inside of a module."""
    layers: list[str] = []
    for name in names:
        inside = [layer.name for layer in network.layers if layer.name == name or layer.name.startswith(f"{name}.")]
        layers += inside or [network.find(name).name]
    return layers


def _by_plan(module: nn.Module, planned: Plan, padding: str, names: Sequence[str], reading: Reading) -> nn.Module:
    """Change the module as planned, read it once more, and hold it against the law."""
    ways = ways_of(planned, module)
    planned = planned.leaving(ways.refused)
    rest = _rest(module, planned, padding, names)
    hows = rest | ways.hows
    apply(module, hows)
    done = load_module(module, reading, planned.size)
    planned = planned.leaving(dict.fromkeys(_out_of_reach(planned, done), REACH))
    if planned.left and not planned.changes and not rest:
        raise PadvizError(planned.left[0].why, where=f"{planned.before.name}, {planned.left[0].layer}")
    obey(planned, done, padding)
    warned = [f"{left.layer} is unchanged: {left.why}" for left in planned.left]
    return _reported(module, Report(padding, tuple(hows), planned.left, planned.size), warned)


def _reported(module: nn.Module, done: Report, warned: Sequence[str]) -> nn.Module:
    """Give the module its report, and warn if there is something that a person must know."""
    module.repadded = done  # type: ignore[assignment]
    if warned:
        more = f"; and {len(warned) - SHOWN} more, see .repadded" if len(warned) > SHOWN else ""
        warnings.warn(f"{base_of(type(module)).__name__}: {'; '.join(warned[:SHOWN])}{more}", UserWarning, stacklevel=5)
    return module


def _rest(module: nn.Module, planned: Plan, padding: str, names: Sequence[str]) -> dict[str, How]:
    """Find the ways of modules that the network does not have, since nothing on the way to its last maps runs them."""
    inside = {name for name, _ in module.named_modules()}
    origins = [layer.origin for layer in planned.before.layers if layer.origin]
    seen = {owner_of(name, inside) for origin in origins for name in (origin.name, *origin.pads)}
    height, width = schemes_of(padding)
    return {name: how for name, how in unseen(module, seen, (height, width)) if _named(name, names)}


def _named(name: str, names: Sequence[str]) -> bool:
    return not names or any(name == part or name.startswith(f"{part}.") for part in names)


def _by_code(module: nn.Module, padding: str, names: Sequence[str], unread: str) -> nn.Module:
    """Change the module where its code says that it pads: its forward could not be followed."""
    inside = [name for name, _ in module.named_modules()]
    for name in names:
        if not any(_named(module_name, [name]) for module_name in inside):
            raise UnknownName(f"no module is called {name!r}", where=type(module).__name__, hint=nearest(name, inside))
    height, width = schemes_of(padding)
    hows = {name: how for name, how in unseen(module, set(), (height, width)) if _named(name, names)}
    if not hows:
        raise DescriptionError(f"nothing to repad was found, and {unread}", where=type(module).__name__)
    apply(module, hows)
    return _reported(module, Report(padding, tuple(hows), unread=unread), [f"changed by its code, unchecked: {unread}"])


def apply(module: nn.Module, hows: dict[str, How]) -> None:
    """Make modules pad, each in its way, and shield those within that stay as they are."""
    for name, how in [*hows.items(), *shields(module, hows)]:
        change(module.get_submodule(name), how)


def _out_of_reach(planned: Plan, done: Network) -> Iterator[str]:
    """Name the layers that pad otherwise than they were to."""
    joined = with_pads_joined(done)
    for wanted in planned.changes:
        layer = joined.layers[joined.index[wanted.name]] if wanted.name in joined.index else None
        if layer and _windows(layer, wanted.entering) != _windows(wanted.after, wanted.entering):
            yield wanted.name


def _windows(layer: Layer, entering: Size) -> list[Any]:
    """Describe what a layer reads at a size, on each axis."""
    return [_window(op, n) for op, n in zip(layer.ops, entering, strict=True)]


def _window(op: Op | None, n: int) -> Any:
    if not isinstance(op, Window):
        return op
    pads = pads_at(op, n)
    return op.kernel, op.stride, op.dilation, pads, op.mode if any(pads) else "zero"


def obey(planned: Plan, done: Network, padding: str) -> None:
    """Hold a repadded network against the law: usage is that of the geometry rewritten, in every pixel.

    Counts are integers, and equal; those of partial convolution are floats, and equal to 12 digits.

    Raises
    ------
    PadvizError
        If it is not.
    """
    maps = [usage(net, planned.size, layer=names_of(None, net)) for net in (planned.after, done)]
    near = "partial" in schemes_of(padding) and np.allclose(maps[0].counts, maps[1].counts, rtol=NEAR, atol=0)
    if not near and not same(maps[0], maps[1]):
        what = f"does not use its pixels as it would under the padding that was asked for, at {planned.size}"
        raise PadvizError(what, where=planned.before.name, hint="name the layers with `only`")
