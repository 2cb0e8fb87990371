"""What each module of a network is to do, so that its layers pad as a plan says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from padviz.axis.operations import Op, Window
from padviz.network.layer import Layer
from padviz.nn.functional import NONE, Pads
from padviz.nn.modules import SymmetricPad2d, pads_of
from padviz.repadding.plan import Change, Plan
from padviz.repadding.torch_module.calls import How
from padviz.repadding.torch_module.classes import declared, how_of, is_plain
from padviz.repadding.torch_module.scan import calls_of


@dataclass
class Ways:
    """How each module is to pad, by its name, and why layers cannot be changed after all."""

    hows: dict[str, How] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    takes: dict[str, str] = field(default_factory=dict)  # the layer that each way is for


def ways_of(plan: Plan, module: nn.Module) -> Ways:
    """Work out the ways in which the modules of a plan's changes are to pad."""
    ways, names = Ways(), {name for name, _ in module.named_modules()}
    left = {owner_of(layer.origin.name, names): layer.name for layer in _left_alone(plan) if layer.origin}
    for change in plan.changes:
        for owner, how in _ways_of_change(change, module, names):
            if owner in left:
                ways.refused[change.name] = f"{left[owner]} is of the same module, {owner or 'the whole'}"
            elif how is None or ways.hows.setdefault(owner, how) != how:
                what = (
                    "its pads are of another module" if how is None else "two of its layers ask for different padding"
                )
                ways.refused[change.name] = (
                    f"{what}, {owner or 'the whole'}, and partial convolution needs them as its own"
                )
            ways.takes.setdefault(owner, change.name)
    for owner, layer in ways.takes.items():
        if layer in ways.refused:
            ways.hows.pop(owner, None)
    return ways


def _left_alone(plan: Plan) -> Iterator[Layer]:
    """Yield layers that pad, and that the plan leaves as they are."""
    names = {left.layer for left in plan.left}
    yield from (layer for layer in plan.before.layers if layer.name in names)


def owner_of(origin: str, names: set[str]) -> str:
    """Name the module that an origin means: its own, or that of the module whose function it was.

    >>> owner_of("a.conv", {"", "a", "a.conv"}), owner_of("a.pad", {"", "a"}), owner_of("conv2d", {"", "a"})
    ('a.conv', 'a', '')
    """
    while origin not in names:
        origin = origin.rpartition(".")[0]
    return origin


def _ways_of_change(change: Change, module: nn.Module, names: set[str]) -> Iterator[tuple[str, How | None]]:
    """Yield the modules that a change concerns, each with its way; None where there is none."""
    origin = change.before.origin
    assert origin is not None, change.name
    owner = owner_of(origin.name, names)
    apart = [pad for pad in (owner_of(pad, names) for pad in origin.pads) if pad != owner]
    schemes = _scheme(change.after.ops[0]), _scheme(change.after.ops[1])
    if not apart:
        before = how_of(module.get_submodule(owner))
        yield owner, How(schemes, more=before.more if before else NONE)
        return
    own, both = _own_pads(module.get_submodule(owner)), _amounts(change.before)
    if own == NONE and "partial" not in schemes:  # all pads are made by modules before it, which change alone
        yield from ((pad, How(schemes)) for pad in apart)
    elif own is None or both is None:
        yield from ((pad, None) for pad in apart)
    else:  # the convolution takes over what the modules before it padded
        more = [(near[0] - here[0], near[1] - here[1]) for near, here in zip(both, own, strict=True)]
        yield owner, How(schemes, more=(more[0], more[1]))
        yield from ((pad, How(schemes, without=True)) for pad in apart)


def _scheme(op: Op | None) -> str:
    return op.mode if isinstance(op, Window) else "zero"


def _own_pads(module: nn.Module) -> Pads | None:
    """Read what a convolution pads by itself, where that can be told."""
    return pads_of(module) if isinstance(module, nn.Conv2d) else None


def _amounts(layer: Layer) -> Pads | None:
    """Read the rows and columns of a convolution, where they are the same at every size."""
    height, width = (op.padding if isinstance(op, Window) else None for op in layer.ops)
    return (height, width) if isinstance(height, tuple) and isinstance(width, tuple) else None


def unseen(module: nn.Module, seen: set[str], schemes: tuple[str, str]) -> Iterator[tuple[str, How]]:
    """Yield modules that pad and made no layer of the network: auxiliary heads, or all where it cannot be read."""
    for name, inner in module.named_modules():
        if name in seen:
            continue
        if isinstance(inner, nn.Conv2d) and is_plain(type(inner)):
            before = how_of(inner)
            now = (before and before.schemes) or declared(inner)
            read = zip(pads_of(inner), now, schemes, strict=True)
            if any(any(rows) and own != scheme for rows, own, scheme in read):
                yield name, How(schemes)
        elif name and may_pad(inner):
            yield name, How(schemes)


def may_pad(module: nn.Module) -> bool:
    """Tell whether a module other than a plain convolution pads by calls of its own."""
    kind: Any = type(module)
    other = isinstance(module, nn.modules.conv._ConvNd) and kind.__module__.partition(".")[0] == "torch"
    return isinstance(module, SymmetricPad2d) or (not other and bool(calls_of(kind)))


def shields(module: nn.Module, hows: dict[str, How]) -> Iterator[tuple[str, How]]:
    """Yield modules that stay as they are inside of those whose calls are watched."""
    watched = [name for name in hows if not is_plain(type(module.get_submodule(name)))]
    for outer in watched:
        for name, inner in module.get_submodule(outer).named_modules(prefix=outer):
            if name != outer and name not in hows and not how_of(inner) and (is_plain(type(inner)) or may_pad(inner)):
                yield name, How(None)
