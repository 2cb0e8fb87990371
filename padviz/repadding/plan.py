"""Repadding plans: the layers to change, those to leave alone with the reason, and the law.

The law: usage of the result is that of the planned network, exactly, in every pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.walking.tiling import Tiling
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.geometry.balance.case import Case, limits, with_even_pads, with_strides_pooled
from padviz.network.layer import Layer
from padviz.network.network import LARGEST, Network, Size
from padviz.network.operations import Fit, Op, Window, pads_at
from padviz.network.padding_modes import MODES, fold, native
from padviz.network.rewrites import (
    canonical,
    check_image,
    padded_layer,
    schemes_of,
    with_pads_merged,
)
from padviz.network.sizes import at_many_sizes, sizes_of_each
from padviz.network.targets import last_maps

ALONE = "it pads on its own, and partial convolution reweighs only convolutions"
POOLED = ".pool"  # suffix of the name of a pool that took a layer's stride
ROWS = 256  # to compare at a time
NEAR = 64  # sizes to try, one after the other


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer before and after; `entering` is the size of its input, at the plan's size.

    If `pooled`, a new average pool after the layer takes its stride.
    """

    before: Layer
    after: Layer
    entering: Size
    pooled: bool = False

    @property
    def name(self) -> str:
        return self.before.name


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A layer that pads and cannot be changed, and the reason."""

    layer: str
    why: str


@dataclass(frozen=True)
class RepadPlan:
    """A network before and after repadding, at a size, and the layers that change or cannot.

    `targets` are the last maps, and `pads` counts the selected layers that pad. Both networks have
    the same layers in the same order; pads belong to the convolutions after them where possible. If
    everything can be changed, usage of `after` is usage with the scheme as an override. A `whole`
    plan is carried out completely or not at all.
    """

    before: Network
    after: Network
    size: Size
    targets: tuple[str, ...]
    changes: tuple[LayerChange, ...]
    left: tuple[LeftAlone, ...] = ()
    pads: int = 0
    whole: bool = False

    def at(self, size: Size) -> RepadPlan:
        before = self.before.at(size)
        return replace(self, before=before, after=_changed(before, self.changes), size=size)

    def leaving(self, why: Mapping[str, str]) -> RepadPlan:
        """Leave alone the layers in `why`, which has the reasons; reject that of a `whole` plan."""
        if not why:
            return self
        if self.whole:
            name, reason = next(iter(why.items()))
            raise PadvizError(f"nothing can be changed: {name}: {reason}", where=self.before.name)
        changes, left = [], [*self.left]
        for change in self.changes:
            if change.name in why:
                left.append(LeftAlone(change.name, why[change.name]))
            else:
                changes.append(change)
        after = _changed(self.before, changes)
        return replace(self, after=after, changes=tuple(changes), left=tuple(left))


def plan(
    network: Network,
    padding: str,
    size: int | Sequence[int] | None = None,
    layers: Iterable[str] = (),
    without: Iterable[str] = (),
) -> RepadPlan:
    """Plan to pad every convolution by a scheme, like `with_padding`, where that fits at a size.

    Only `layers` are changed, all by default, and those in `without` stay as they are.
    """
    check_image(network)
    padding = checked_scheme(padding)
    network, at = network.at(size), network.pixels(size)
    joined, schemes = with_pads_merged(network), schemes_of(padding)
    down, across = sizes_of_each(joined, at)
    selected = _selected(network, joined, layers, without)
    changes, left, unaffected = [], [], 0
    for i, layer in enumerate(joined.layers):
        if i not in selected or layer.name in joined.pool_pads:
            continue
        entering = down[layer.inputs[0]], across[layer.inputs[0]]
        after = padded_layer(layer, layer.kind, schemes)
        out = down[i], across[i]
        sizes = zip(layer.ops, entering, out, strict=True)
        if any(isinstance(op, Fit) and m > n for op, n, m in sizes):
            left.append(LeftAlone(layer.name, "it pads with zeros to the size of another map"))
        elif layer.kind not in ("conv", "pad") or not any(map(has_padding, layer.ops)):
            continue
        elif all(map(same_rows, layer.ops, after.ops)):
            unaffected += 1
        elif why := obstacle(after, entering):
            left.append(LeftAlone(layer.name, why))
        else:
            changes.append(LayerChange(layer, after, entering))
    pads = len(changes) + len(left) + unaffected
    return RepadPlan(
        joined,
        _changed(joined, changes),
        at,
        last_maps(network),
        tuple(changes),
        tuple(left),
        pads,
    )


def checked_scheme(padding: str) -> str:
    """Return a scheme in its short form; reject "valid" and "full", which change the amount."""
    for scheme in schemes_of(padding):
        if scheme not in MODES:
            what = f"{scheme!r} is another amount of padding, which changes the size of every map"
            hint = f"use {', '.join(MODES)}, or HEIGHT/WIDTH"
            raise OptionError(what, option="padding", hint=hint)
    return canonical(padding) or padding


def modes_of(layer: Layer) -> tuple[str, ...]:
    """Return the mode in which each axis is padded, "zero" where nothing pads."""
    return tuple(op.mode if isinstance(op, Window) else "zero" for op in layer.ops)


def has_padding(op: Op | None) -> bool:
    return isinstance(op, Window) and (isinstance(op.padding, str) or max(op.padding) > 0)


def same_rows(one: Op | None, other: Op | None) -> bool:
    """Return whether two operations read the same rows, as some modes do with one row of padding.

    >>> replicated = Window(3, padding=(1, 1), mode="replicate")
    >>> same_rows(replicated, replace(replicated, mode="symmetric"))
    True
    """
    if not isinstance(one, Window) or not isinstance(other, Window):
        return one == other
    if not isinstance(one.padding, tuple):
        return one == other
    count = max(one.padding)
    modes = [native(op.mode, count) if count > 0 else "zero" for op in (one, other)]
    return modes[0] == modes[1] and replace(one, mode="zero") == replace(other, mode="zero")


def obstacle(layer: Layer, entering: Size) -> str:
    """Return why a layer cannot pad its input, or ""."""
    for op, n in zip(layer.ops, entering, strict=True):
        if not isinstance(op, Window):
            continue
        before, after = pads_at(op, n)
        if layer.kind == "pad" and op.mode == "partial" and (before, after) != (0, 0):
            return ALONE
        try:
            fold(op.mode, n, max(before, 0), max(after, 0))
        except SizeError as error:
            return error.what
    return ""


def _changed(network: Network, changes: Iterable[LayerChange]) -> Network:
    """Apply the changes; only modes where a layer has other pads, as at another size."""
    known = {change.name: change for change in changes}
    layers: list[Layer] = []
    for layer in network.layers:
        change = known.get(layer.name)
        if change is None:
            layers.append(layer)
        elif layer == change.before:
            layers.append(change.after)
        else:
            ops = [*layer.ops]
            for axis, new in enumerate(change.after.ops):
                op = ops[axis]
                if isinstance(op, Window) and isinstance(new, Window):
                    ops[axis] = replace(op, mode=new.mode)
            layers.append(replace(layer, ops=tuple(ops)))
    return network.at_own_size(layers=tuple(layers))


def _selected(
    network: Network,
    joined: Network,
    layers: Iterable[str],
    without: Iterable[str],
) -> set[int]:
    """Return the positions of the selected layers."""

    def positions(names: Iterable[str]) -> set[int]:
        named = {joined.index[network.find(name).name] for name in names}
        # A pad that was merged stands for the convolutions with its rows.
        merged = {at for at in named if joined.layers[at].kind != network.layers[at].kind}
        readers = enumerate(network.layers)
        return named | {i for i, layer in readers if not merged.isdisjoint(layer.inputs)}

    selected = positions(layers) or {*range(1, len(joined.layers))}
    return selected - positions(without)


def plan_even(network: Network, size: Size) -> RepadPlan:
    """Plan even pads, or else pools in place of strides; reject what neither makes even."""
    check_image(network)
    case = Case(network, size)
    if not case.uneven:
        if size[0] != size[1]:
            at = f"{size[0]} x {size[1]}"
        else:
            at = str(size[0])
        what = f"no convolution is uneven at {at}"
        hint = "padviz uneven lists what its windows read"
        raise OptionError(what, where=network.name, hint=hint)
    joined = Case(with_pads_merged(network), size)
    remedied = with_even_pads(joined)
    if remedied and not remedied.case.uneven:
        return plan_between(network, remedied.case.network, size)
    pooled = with_strides_pooled(network, tuple(window.layer for window in case.uneven))
    if pooled:
        return plan_between(network, pooled, size)
    why = " ".join(limits(case)) or "Its strides cannot be moved."
    hint = "padviz sizes lists the sizes at which it is even"
    what = f"neither pads nor pools make it even. {why.rstrip('.')}"
    raise OptionError(what, where=network.name, hint=hint)


def plan_between(network: Network, changed: Network, size: Size) -> RepadPlan:
    """Plan to turn one network into another: other pads, or a stride moved into a pool.

    The last maps must keep their sizes, which layers after them may need.
    """
    before, after = with_pads_merged(network), with_pads_merged(changed)
    down, across = sizes_of_each(before, size)
    changes = []
    for layer in before.layers[1:]:
        new = replace(after.find(layer.name), inputs=layer.inputs, like=layer.like)
        if new != layer:
            entering = down[layer.inputs[0]], across[layer.inputs[0]]
            pooled = f"{layer.name}{POOLED}" in after.index
            changes.append(LayerChange(layer, new, entering, pooled))
    targets = []
    for name in last_maps(changed):
        if name in network.index:
            was = name
        else:
            was = name.removesuffix(POOLED)
        if was not in last_maps(network):
            continue
        targets.append(name)
        pairs = zip(sizes_of_each(network, size), sizes_of_each(changed, size), strict=True)
        if any(one[network.index[was]] != other[changed.index[name]] for one, other in pairs):
            what = "the last map would have another size"
            raise PadvizError(what, where=network.name, hint="try another `size`")
    count = len(changes)
    return RepadPlan(before, after, size, tuple(targets), tuple(changes), pads=count, whole=True)


def check_law(plan: RepadPlan, network: Network) -> list[CountMap]:
    """Return usage of a repadded network by its last maps; reject what was not planned."""
    maps = []
    for name in plan.targets:
        counts = None
        if name in network.index:
            counts = usage(network, plan.size, layer=name)
        if counts is None or not same_counts(usage(plan.after, plan.size, layer=name), counts):
            what = f"usage by {name} is not what was planned, so nothing was written"
            hint = "please report it, with the file if you can"
            raise PadvizError(what, where=plan.before.name, hint=hint)
        maps.append(counts)
    return maps


def open_axes(network: Network) -> tuple[int, ...]:
    """List the axes, 0 for height and 1 for width, whose size nothing declares."""
    declared = network.declared or (0, 0)
    return tuple(axis for axis in (0, 1) if not declared[axis] and axis not in network.fixed)


def at_larger_size(plan: RepadPlan) -> RepadPlan | None:
    """Return the plan at a size half as large again on open axes, or the next that is accepted.

    None if no axis is open, if there is no such size, or if strides become pools.

    >>> import padviz
    >>> at_larger_size(plan(padviz.load("vgg11"), "reflect", (64, 75))).size
    (96, 112)
    """
    axes, size = open_axes(plan.before), [*plan.size]
    if not axes or any(change.pooled for change in plan.changes):
        return None
    for axis in axes:
        sizes = np.arange(size[axis] * 3 // 2, min(size[axis] * 3 // 2 + NEAR, LARGEST + 1))
        runs = at_many_sizes(plan.before, axis, sizes).runs
        runs = runs & at_many_sizes(plan.after, axis, sizes).runs
        if not runs.any():
            return None
        size[axis] = int(sizes[np.argmax(runs)])
    with suppress(PadvizError):
        return plan.at((size[0], size[1]))
    return None


def same_counts(one: CountMap, other: CountMap) -> bool:
    """Return whether two maps have the same counts, to the last bit; compare repeated rows once."""
    if one.shape != other.shape:
        return False
    down, across = _distinct(one.rows, other.rows), _distinct(one.cols, other.cols)
    for start in range(0, len(down), ROWS):
        rows = down[start : start + ROWS]
        if not np.array_equal(one.counts_at(rows, across), other.counts_at(rows, across)):
            return False
    return True


def _distinct(one: Tiling, other: Tiling) -> NDArray[np.int64]:
    """Return rows that represent all others, which repeat one of them in both tilings."""
    rows: NDArray[np.int64] = np.unique(one.index * other.kept + other.index, return_index=True)[1]
    return np.sort(rows)
