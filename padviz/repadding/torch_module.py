"""Copies of PyTorch modules that pad by another scheme, checked against the law of repadding."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from padviz.repadding.plan import (
    LayerChange,
    LeftAlone,
    RepadPlan,
    checked_scheme,
    modes_of,
    plan,
    same_counts,
    same_rows,
)
from padviz.repadding.torch_calls import (
    Override,
    base_of,
    calls_of,
    declared,
    is_plain,
    override_of,
    set_override,
)
from padviz.sources.torch.load import load_module
from padviz.sources.tracing.reading import AS_IT_IS, Reading

NEAR = 1e-12
SHOWN = 3  # layers in a warning
APART = "and partial convolution needs them in one convolution"
REACH = "its padding is made by calls that cannot be replaced"


def overrides_of(plan: RepadPlan, module: nn.Module) -> tuple[dict[str, Override], dict[str, str]]:
    """Return overrides of modules by name, and the reasons why layers cannot change after all."""
    names = {name for name, _ in module.named_modules()}
    unchanged = {left.layer for left in plan.left}
    kept: dict[str, str] = {}
    for layer in plan.before.layers:
        if layer.name in unchanged and layer.origin:
            kept[owner_of(layer.origin.name, names)] = layer.name
    overrides: dict[str, Override] = {}
    refused: dict[str, str] = {}
    for change in plan.changes:
        wanted = _overrides_for(change, module, names)
        for owner, override in wanted.items():
            called = owner or "the whole"
            if owner in kept:
                why = f"{kept[owner]} belongs to the same module, {called}"
            elif override is None:
                why = f"its pads belong to another module, {called}, {APART}"
            elif overrides.get(owner, override) != override:
                why = f"two of its layers need different padding, {called}, {APART}"
            else:
                continue
            refused[change.name] = why
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


def _overrides_for(
    change: LayerChange,
    module: nn.Module,
    names: set[str],
) -> dict[str, Override | None]:
    """Return the overrides of the modules that a change concerns; None where none can do it."""
    origin = change.before.origin
    assert origin is not None, change.name
    owner = owner_of(origin.name, names)
    conv = module.get_submodule(owner)
    down, across = modes_of(change.after)
    override = Override((down, across))
    pad_modules = dict.fromkeys(owner_of(pad, names) for pad in origin.pads)
    pad_modules.pop(owner, None)
    if not pad_modules:
        before = override_of(conv) or override
        return {owner: override._replace(pads=before.pads)}
    conv_pads = None
    if isinstance(conv, nn.Conv2d):
        conv_pads = pads_of(conv)
    if conv_pads == NONE and "partial" not in (down, across):
        # Modules before it make all of its padding: only these change.
        return dict.fromkeys(pad_modules, override)
    pads = [op.padding for op in change.before.ops if isinstance(op, Window)]
    rows = [pad for pad in pads if isinstance(pad, tuple)]
    if conv_pads is None or len(rows) < 2:
        return dict.fromkeys(pad_modules)
    # The convolution takes over the pads of the modules before it.
    overrides: dict[str, Override | None] = dict.fromkeys(pad_modules, override._replace(pads=NONE))
    return overrides | {owner: override._replace(pads=(rows[0], rows[1]))}


def _unseen(
    module: nn.Module,
    seen: set[str],
    padding: str,
    names: Sequence[str],
) -> dict[str, Override]:
    """Return overrides of modules that pad and made no layer.

    These are auxiliary heads, or all where no forward can be read.
    """
    height, width = schemes = schemes_of(padding)
    overrides = {}
    for name, inner in module.named_modules():
        if name in seen or (names and not _is_named(name, names)):
            continue
        if isinstance(inner, nn.Conv2d) and is_plain(type(inner)):
            before = override_of(inner)
            now = (before and before.schemes) or declared(inner)
            axes = zip(pads_of(inner), now, schemes, strict=True)
            changes = any(any(rows) and mode != scheme for rows, mode, scheme in axes)
        else:
            changes = bool(name) and _may_pad(inner)
        if changes:
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
    kind: type = type(module)
    if isinstance(module, SymmetricPad2d):
        return True
    if isinstance(module, nn.modules.conv._ConvNd) and kind.__module__.startswith("torch."):
        return False  # of a signal or a volume
    return bool(calls_of(kind))


@dataclass(frozen=True)
class RepadReport:
    """The result of `repad`: the changed modules, and the layers left alone, each with the reason.

    `size` is the size at which the law was checked, in pixels, or None; `unread` is the reason why
    no forward could be followed, or "".
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
    _check(module, where)
    module = _copied(module, share, where)
    try:
        network = load_module(module, reading, None if size is None else as_size(size))
        chosen: list[str] = []
        for name in layers:
            inside = [layer.name for layer in network.layers if _is_named(layer.name, [name])]
            chosen += inside or [network.find(name).name]
        planned = plan(network, padding, size, chosen)
    except (OptionError, UnknownName):
        raise
    except PadvizError as error:
        if size is not None:
            raise
        return _by_code(module, padding, layers, str(error))
    return _by_plan(module, planned, padding, layers, reading)


def _check(module: nn.Module, where: str) -> None:
    """Reject scripted modules, lazy ones, and convolutions whose forward was set on the module."""
    if not isinstance(module, nn.Module):
        hint = "name one, or the path of an ONNX file"
        raise DescriptionError(f"{module!r} is not a torch.nn.Module", hint=hint)
    for name, inner in module.named_modules():
        at = f"{where}, {name}" if name else where
        tensors = [*inner._parameters.values(), *inner._buffers.values()]
        if isinstance(inner, torch.jit.ScriptModule):
            what, hint = "is a ScriptModule, whose code is fixed", "repad it before scripting"
        elif any(map(nn.parameter.is_lazy, tensors)):
            what, hint = "is a lazy module that has not run yet", "run it once before"
        elif {"forward", "_conv_forward"} & vars(inner).keys() and isinstance(inner, nn.Conv2d):
            what, hint = "has a forward of its own, set on the module", "make it a subclass"
        else:
            continue
        raise DescriptionError(what, where=at, hint=hint)


def _copied(module: nn.Module, share: bool, where: str) -> nn.Module:
    """Copy a module; keep hooks of objects outside it, and its parameters if they are shared."""
    memo: dict[int, object] = {}
    inside = {*module.modules()}
    for inner in inside:
        for key, value in vars(inner).items():
            if share and isinstance(value, Tensor):
                memo[id(value)] = value
            if not key.endswith("_hooks") or not isinstance(value, dict):
                continue
            for hook in value.values():
                if getattr(hook, "__self__", None) not in inside:
                    memo[id(hook)] = hook
        if share:  # None stands for a parameter that is not there, and is its own copy
            memo |= {id(tensor): tensor for tensor in inner._parameters.values()}
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        what = f"cannot be copied: {type(error).__name__}: {error}"
        raise DescriptionError(what, where=where) from None


def _by_plan(
    module: nn.Module,
    planned: RepadPlan,
    padding: str,
    names: Sequence[str],
    reading: Reading,
) -> nn.Module:
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
        first = planned.left[0]
        raise PadvizError(first.why, where=f"{planned.before.name}, {first.layer}")
    one = usage(planned.after, planned.size, layer=target_names(None, planned.after))
    other = usage(done, planned.size, layer=target_names(None, done))
    if "partial" in schemes_of(padding):
        # Counts of partial convolution are floats, added in another order; all others are integers.
        alike = np.allclose(one.counts, other.counts, rtol=NEAR, atol=0)
    else:
        alike = same_counts(one, other)
    if not alike:
        what = f"has another usage than with the requested padding, at {planned.size}"
        raise PadvizError(what, where=planned.before.name, hint="name the layers with `only`")
    warned = [f"{left.layer} is unchanged: {left.why}" for left in planned.left]
    report = RepadReport(padding, tuple(overrides), planned.left, planned.size)
    return _reported(module, report, warned)


def _by_code(module: nn.Module, padding: str, names: Sequence[str], unread: str) -> nn.Module:
    """Change the modules whose code pads, since the forward could not be followed."""
    inside = [name for name, _ in module.named_modules()]
    for name in names:
        if not any(_is_named(module_name, [name]) for module_name in inside):
            what, where = f"no module is called {name!r}", type(module).__name__
            raise UnknownName(what, where=where, hint=nearest(name, inside))
    overrides = _unseen(module, set(), padding, names)
    if not overrides:
        what = f"nothing to repad was found, and {unread}"
        raise DescriptionError(what, where=type(module).__name__)
    _apply(module, overrides)
    report = RepadReport(padding, tuple(overrides), unread=unread)
    return _reported(module, report, [f"changed by its code, unchecked: {unread}"])


def _is_named(name: str, names: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in names)


def _reported(module: nn.Module, report: RepadReport, warned: Sequence[str]) -> nn.Module:
    module.repadded = report  # type: ignore[assignment]
    if warned:
        more = ""
        if len(warned) > SHOWN:
            more = f"; and {len(warned) - SHOWN} more, see .repadded"
        what = f"{base_of(type(module)).__name__}: {'; '.join(warned[:SHOWN])}{more}"
        warnings.warn(what, UserWarning, stacklevel=5)  # at the caller of padviz.repad
    return module


def _out_of_reach(planned: RepadPlan, done: Network) -> Iterator[str]:
    joined = with_pads_merged(done)
    for change in planned.changes:
        if change.name in joined.index:
            ops = joined.layers[joined.index[change.name]].ops
            axes = zip(ops, change.after.ops, change.entering, strict=True)
            if not all(same_rows(_explicit(op, n), _explicit(new, n)) for op, new, n in axes):
                yield change.name


def _explicit(op: Op | None, n: int) -> Op | None:
    if isinstance(op, Window):
        return replace(op, padding=pads_at(op, n))
    return op
