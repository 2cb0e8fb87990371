"""The override for each module of a network, so that its layers pad as planned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from padviz.axis.operations import Op, Window
from padviz.nn.functional import NONE, Schemes
from padviz.nn.modules import SymmetricPad2d, pads_of
from padviz.repadding.plan import LayerChange, RepadPlan
from padviz.repadding.torch_module.calls import Override
from padviz.repadding.torch_module.classes import calls_of, declared, is_plain, override_of


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
    layer_of: dict[str, str] = {}  # the first layer that asks for the override of a module
    for change in plan.changes:
        for owner, override in _overrides_for(change, module, names):
            called = owner or "the whole"
            if owner in kept:
                refused[change.name] = f"{kept[owner]} belongs to the same module, {called}"
            elif override is None:
                what = f"its pads belong to another module, {called}"
                refused[change.name] = f"{what}, and partial convolution needs them in one convolution"
            elif overrides.setdefault(owner, override) != override:
                what = f"two of its layers need different padding, {called}"
                refused[change.name] = f"{what}, and partial convolution needs them in one convolution"
            layer_of.setdefault(owner, change.name)
    return {owner: override for owner, override in overrides.items() if layer_of[owner] not in refused}, refused


def owner_of(origin: str, names: set[str]) -> str:
    """Return the module of an origin, which is its name or that of a function it calls.

    >>> owner_of("a.conv", {"", "a", "a.conv"}), owner_of("a.pad", {"", "a"}), owner_of("conv2d", {"", "a"})
    ('a.conv', 'a', '')
    """
    while origin not in names:
        origin = origin.rpartition(".")[0]
    return origin


def _overrides_for(change: LayerChange, module: nn.Module, names: set[str]) -> Iterator[tuple[str, Override | None]]:
    """Yield the modules that a change concerns, each with its override; None where none can do it."""
    origin = change.before.origin
    assert origin is not None, change.name
    owner = owner_of(origin.name, names)
    inner = module.get_submodule(owner)
    pad_modules = [pad for pad in (owner_of(pad, names) for pad in origin.pads) if pad != owner]
    schemes = _scheme(change.after.ops[0]), _scheme(change.after.ops[1])
    if not pad_modules:
        before = override_of(inner)
        yield owner, Override(schemes, before.extra if before else NONE)
        return
    own = pads_of(inner) if isinstance(inner, nn.Conv2d) else None
    if own == NONE and "partial" not in schemes:  # all pads are made by modules before it, and only these change
        yield from ((pad, Override(schemes)) for pad in pad_modules)
        return
    height, width = (op.padding if isinstance(op, Window) else "" for op in change.before.ops)
    if own is None or isinstance(height, str) or isinstance(width, str):
        yield from ((pad, None) for pad in pad_modules)
        return
    (top, bottom), (left, right) = own  # the convolution takes over the pads of the modules before it
    extra = (height[0] - top, height[1] - bottom), (width[0] - left, width[1] - right)
    yield owner, Override(schemes, extra)
    yield from ((pad, Override(schemes, no_pads=True)) for pad in pad_modules)


def _scheme(op: Op | None) -> str:
    return op.mode if isinstance(op, Window) else "zero"


def unseen(module: nn.Module, seen: set[str], schemes: Schemes) -> Iterator[tuple[str, Override]]:
    """Yield modules that pad and made no layer of the network: auxiliary heads, or all where it cannot be read."""
    for name, inner in module.named_modules():
        if name in seen:
            continue
        if isinstance(inner, nn.Conv2d) and is_plain(type(inner)):
            before = override_of(inner)
            now = (before and before.schemes) or declared(inner)
            read = zip(pads_of(inner), now, schemes, strict=True)
            if any(any(rows) and own != scheme for rows, own, scheme in read):
                yield name, Override(schemes)
        elif name and _may_pad(inner):
            yield name, Override(schemes)


def shields(module: nn.Module, overrides: dict[str, Override]) -> Iterator[tuple[str, Override]]:
    """Yield modules that keep their padding inside modules whose calls are replaced."""
    for outer in [name for name in overrides if not is_plain(type(module.get_submodule(name)))]:
        for name, inner in module.get_submodule(outer).named_modules(prefix=outer):
            overridden = name == outer or name in overrides or override_of(inner)
            if not overridden and (is_plain(type(inner)) or _may_pad(inner)):
                yield name, Override(None)


def _may_pad(module: nn.Module) -> bool:
    """Return whether a module other than a plain convolution pads by calls of its own."""
    kind: Any = type(module)
    other = isinstance(module, nn.modules.conv._ConvNd) and kind.__module__.partition(".")[0] == "torch"
    return isinstance(module, SymmetricPad2d) or (not other and bool(calls_of(kind)))
