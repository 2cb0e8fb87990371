"""Copies of PyTorch modules whose convolutions pad by another scheme, checked against the law of repadding."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from padviz.counting.count import usage
from padviz.errors import DescriptionError, OptionError, PadvizError, UnknownName, nearest
from padviz.network.network import Network, Size, as_size
from padviz.network.operations import Op, Window, pads_at
from padviz.network.rewrites import schemes_of, with_pads_merged
from padviz.network.targets import target_names
from padviz.nn import NONE, SymmetricPad2d, pads_of
from padviz.repadding.plan import LayerChange, LeftAlone, RepadPlan, checked_scheme, plan, same_counts, same_rows
from padviz.repadding.torch_calls import Override, base_of, calls_of, declared, is_plain, override_of, set_override
from padviz.sources.torch.load import load_module
from padviz.sources.tracing.reading import AS_IT_IS, Reading

NEAR = 1e-12
SHOWN = 3  # layers in a warning
REACH = "its padding is made by calls that cannot be replaced"


def overrides_of(plan: RepadPlan, module: nn.Module) -> tuple[dict[str, Override], dict[str, str]]:
    """Return the overrides of modules by name, and the reasons why layers cannot be changed after all."""
    names = {name for name, _ in module.named_modules()}
    unchanged = {left.layer for left in plan.left}
    kept = {
        owner_of(layer.origin.name, names): layer.name
        for layer in plan.before.layers
        if layer.name in unchanged and layer.origin
    }
    overrides: dict[str, Override] = {}
    refused: dict[str, str] = {}
    for change in plan.changes:
        wanted = _overrides_for(change, module, names)
        for owner, override in wanted.items():
            called, apart = owner or "the whole", "and partial convolution needs them in one convolution"
            if owner in kept:
                refused[change.name] = f"{kept[owner]} belongs to the same module, {called}"
            elif override is None:
                refused[change.name] = f"its pads belong to another module, {called}, {apart}"
            elif overrides.get(owner, override) != override:
                refused[change.name] = f"two of its layers need different padding, {called}, {apart}"
        if change.name in refused:
            kept |= dict.fromkeys(wanted.keys() - overrides.keys(), change.name)
        else:
            overrides |= {owner: override for owner, override in wanted.items() if override}
    return overrides, refused


def owner_of(origin: str, names: set[str]) -> str:
    """Return the module of an origin, which is its name or that of a function it calls."""
    while origin not in names:
        origin = origin.rpartition(".")[0]
    return origin


def _overrides_for(change: LayerChange, module: nn.Module, names: set[str]) -> dict[str, Override | None]:
    """Return the overrides of the modules that a change concerns; None where none can do it."""
    origin = change.before.origin
    assert origin is not None, change.name
    owner = owner_of(origin.name, names)
    inner = module.get_submodule(owner)
    pad_modules = [pad for pad in (owner_of(pad, names) for pad in origin.pads) if pad != owner]
    down, across = (op.mode if isinstance(op, Window) else "zero" for op in change.after.ops)
    schemes = down, across
    if not pad_modules:
        before = override_of(inner)
        return {owner: Override(schemes, before.extra if before else NONE)}
    own = pads_of(inner) if isinstance(inner, nn.Conv2d) else None
    if own == NONE and "partial" not in schemes:  # all pads are made by modules before it, and only these change
        return dict.fromkeys(pad_modules, Override(schemes))
    height, width = (op.padding if isinstance(op, Window) else "" for op in change.before.ops)
    if own is None or isinstance(height, str) or isinstance(width, str):
        return dict.fromkeys(pad_modules)
    (top, bottom), (left, right) = own  # the convolution takes over the pads of the modules before it
    extra = (height[0] - top, height[1] - bottom), (width[0] - left, width[1] - right)
    return {owner: Override(schemes, extra), **dict.fromkeys(pad_modules, Override(schemes, no_pads=True))}


def _unseen(module: nn.Module, seen: set[str], padding: str, names: Sequence[str]) -> dict[str, Override]:
    """Return overrides of modules that pad and made no layer: auxiliary heads, or all where no forward can be read."""
    height, width = schemes = schemes_of(padding)
    overrides = {}
    for name, inner in module.named_modules():
        if name in seen or (names and not _is_named(name, names)):
            continue
        if isinstance(inner, nn.Conv2d) and is_plain(type(inner)):
            before = override_of(inner)
            now = (before and before.schemes) or declared(inner)
            read = zip(pads_of(inner), now, schemes, strict=True)
            pads = any(any(rows) and own != scheme for rows, own, scheme in read)
        else:
            pads = bool(name) and _may_pad(inner)
        if pads:
            overrides[name] = Override((height, width))
    return overrides


def _apply(module: nn.Module, overrides: dict[str, Override]) -> None:
    """Set overrides; modules inside those whose calls are replaced keep their own padding."""
    kept = {}
    for outer in [name for name in overrides if not is_plain(type(module.get_submodule(name)))]:
        for name, inner in module.get_submodule(outer).named_modules(prefix=outer):
            overridden = name == outer or name in overrides or override_of(inner)
            if not overridden and (is_plain(type(inner)) or _may_pad(inner)):
                kept[name] = Override(None)
    for name, override in (overrides | kept).items():
        set_override(module.get_submodule(name), override)


def _may_pad(module: nn.Module) -> bool:
    """Return whether a module other than a plain convolution pads by calls of its own."""
    kind: Any = type(module)
    other = isinstance(module, nn.modules.conv._ConvNd) and kind.__module__.partition(".")[0] == "torch"
    return isinstance(module, SymmetricPad2d) or (not other and bool(calls_of(kind)))


@dataclass(frozen=True)
class RepadReport:
    """The result of `repad`: the names of the changed modules, and the layers left alone, each with the reason.

    `size` is the size at which the law was checked, in pixels, or None; `unread` is the reason why no forward could be
    followed, or "".
    """

    padding: str
    changed: tuple[str, ...]
    left: tuple[LeftAlone, ...] = ()
    size: Size | None = None
    unread: str = ""


def repad(
    module: nn.Module,
    padding: str,
    layers: Sequence[str] = (),
    *,
    size: int | Sequence[int] | None = None,
    share: bool = True,
    reading: Reading = AS_IT_IS,
) -> nn.Module:
    """Copy a PyTorch module so that its convolutions pad by another scheme; see `padviz.repad`."""
    module, padding = getattr(module, "_orig_mod", module), checked_scheme(padding)
    where = type(module).__name__
    module = _copied(module, share, where)
    try:
        network = load_module(module, reading, None if size is None else as_size(size))
        inside = {name: [each.name for each in network.layers if _is_named(each.name, [name])] for name in layers}
        chosen = [layer for name in layers for layer in inside[name] or [network.find(name).name]]
        planned = plan(network, padding, size, chosen)
    except (OptionError, UnknownName):
        raise
    except PadvizError as error:
        if size is not None:
            raise
        return _by_code(module, padding, layers, str(error))
    return _by_plan(module, planned, padding, layers, reading)


def _copied(module: nn.Module, share: bool, where: str) -> nn.Module:
    """Copy a module; keep its parameters if they are to be shared, and hooks that belong to objects outside it.

    Scripted modules, lazy ones, and convolutions whose forward was set on the module are rejected.
    """
    if not isinstance(module, nn.Module):
        raise DescriptionError(f"{module!r} is not a torch.nn.Module", hint="name one, or the path of an ONNX file")
    for name, inner in module.named_modules():
        at = ", ".join(filter(None, (where, name)))
        if isinstance(inner, torch.jit.ScriptModule):
            raise DescriptionError("is a ScriptModule, whose code is fixed", where=at, hint="repad it before scripting")
        if any(map(nn.parameter.is_lazy, (*inner._parameters.values(), *inner._buffers.values()))):
            raise DescriptionError("is a lazy module that has not run yet", where=at, hint="run it once before")
        if {"forward", "_conv_forward"} & vars(inner).keys() and isinstance(inner, nn.Conv2d):
            raise DescriptionError("has a forward of its own, set on the module", where=at, hint="make it a subclass")
    memo: dict[int, Any] = {}
    inside = {*module.modules()}
    for inner in inside:
        values = vars(inner)
        if share:
            tensors = [*inner._parameters.values(), *(value for value in values.values() if isinstance(value, Tensor))]
            memo |= {id(tensor): tensor for tensor in tensors if tensor is not None}
        hooks = [value for key, value in values.items() if key.endswith("_hooks") and isinstance(value, dict)]
        for hook in (hook for table in hooks for hook in table.values()):
            if getattr(hook, "__self__", None) not in inside:
                memo[id(hook)] = hook
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise DescriptionError(f"cannot be copied: {type(error).__name__}: {error}", where=where) from None


def _by_plan(module: nn.Module, planned: RepadPlan, padding: str, names: Sequence[str], reading: Reading) -> nn.Module:
    overrides, refused = overrides_of(planned, module)
    planned = planned.leaving(refused)
    inside = {name for name, _ in module.named_modules()}
    origins = [layer.origin for layer in planned.before.layers if layer.origin]
    seen = {owner_of(name, inside) for origin in origins for name in (origin.name, *origin.pads)}
    off_path = _unseen(module, seen, padding, names)  # modules that no path to the last maps runs
    overrides = off_path | overrides
    _apply(module, overrides)
    done = load_module(module, reading, planned.size)
    planned = planned.leaving(dict.fromkeys(_out_of_reach(planned, done), REACH))
    if planned.left and not planned.changes and not off_path:
        raise PadvizError(planned.left[0].why, where=f"{planned.before.name}, {planned.left[0].layer}")
    one, other = (usage(net, planned.size, layer=target_names(None, net)) for net in (planned.after, done))
    # counts are integers, and equal; those of partial convolution are floats, and equal to 12 digits
    near = "partial" in schemes_of(padding) and np.allclose(one.counts, other.counts, rtol=NEAR, atol=0)
    if not near and not same_counts(one, other):
        what = f"has another usage than with the requested padding, at {planned.size}"
        raise PadvizError(what, where=planned.before.name, hint="name the layers with `only`")
    warned = [f"{left.layer} is unchanged: {left.why}" for left in planned.left]
    return _reported(module, RepadReport(padding, tuple(overrides), planned.left, planned.size), warned)


def _by_code(module: nn.Module, padding: str, names: Sequence[str], unread: str) -> nn.Module:
    """Change the modules whose code pads, since the forward could not be followed."""
    inside = [name for name, _ in module.named_modules()]
    for name in names:
        if not any(_is_named(module_name, [name]) for module_name in inside):
            raise UnknownName(f"no module is called {name!r}", where=type(module).__name__, hint=nearest(name, inside))
    overrides = _unseen(module, set(), padding, names)
    if not overrides:
        raise DescriptionError(f"nothing to repad was found, and {unread}", where=type(module).__name__)
    _apply(module, overrides)
    report = RepadReport(padding, tuple(overrides), unread=unread)
    return _reported(module, report, [f"changed by its code, unchecked: {unread}"])


def _is_named(name: str, names: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in names)


def _reported(module: nn.Module, report: RepadReport, warned: Sequence[str]) -> nn.Module:
    module.repadded = report  # type: ignore[assignment]
    if warned:
        more = f"; and {len(warned) - SHOWN} more, see .repadded" if len(warned) > SHOWN else ""
        what = f"{base_of(type(module)).__name__}: {'; '.join(warned[:SHOWN])}{more}"
        warnings.warn(what, UserWarning, stacklevel=5)  # at the caller of padviz.repad
    return module


def _out_of_reach(planned: RepadPlan, done: Network) -> Iterator[str]:
    joined = with_pads_merged(done)
    for change in planned.changes:
        if change.name in joined.index:
            ops = joined.layers[joined.index[change.name]].ops
            pairs = zip(ops, change.after.ops, change.entering, strict=True)
            if not all(same_rows(_explicit(op, n), _explicit(wanted, n)) for op, wanted, n in pairs):
                yield change.name


def _explicit(op: Op | None, n: int) -> Op | None:
    return replace(op, padding=pads_at(op, n)) if isinstance(op, Window) else op
