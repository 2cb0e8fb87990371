"""One network from traces at several sizes: a rule is found for every operation that depends on the size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from padviz.axis.operations import ODDS, Fit, Odd, Op, Same, Window, fit_shift, placement
from padviz.axis.resize import Resize
from padviz.network.layer import WINDOWS, Layer
from padviz.network.network import Size
from padviz.network.rewrites import joined_to
from padviz.sources.tracing.sizes.rows import Turns

RULES: tuple[Same, ...] = ("same_upper", "same_lower")


class Cut(NamedTuple):
    """A head that a network is cut before: its name, what it does, and the names of what was made of it.

    It is `first` if it reads a map, and not other heads alone.
    """

    name: str
    why: str
    behind: tuple[str, ...] = ()
    first: bool = True


class Traced(NamedTuple):
    """A graph at one size: its layers, their sizes, the positions of its last feature maps, and the heads cut off.

    `aliases` are other names of layers, and `vectors` names of what is no map, with the maps that it is made of.
    `grids` are the last maps behind which attention looks at their positions. `moving` has what layers do at all
    sizes, where that depends on the size, and `turns` what the forward decided by it.
    """

    layers: tuple[Layer, ...]
    sizes: tuple[Size, ...]
    lasts: tuple[int, ...]
    cuts: tuple[Cut, ...] = ()
    aliases: Mapping[str, int] = MappingProxyType({})
    vectors: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    grids: tuple[str, ...] = ()
    moving: Mapping[int, tuple[Op | None, ...]] = MappingProxyType({})
    turns: Turns | None = None


Unified = tuple[tuple[Layer, ...], tuple[int, ...]]
Versions = list[Layer]  # one layer, as each trace has it


def unified(traces: Sequence[Traced]) -> Unified | None:
    """Find layers that hold at the size of every trace, and the positions of the last maps; None if no rule does.

    Tried in turn, where traces differ: a resize follows an earlier layer, or a scale; a crop or a pad
    fits an earlier layer; padding is SAME, its window's own or that of the pad before. Pads and crops
    of no rows are left out.
    """
    columns: list[Versions] = [list(versions) for versions in zip(*(trace.layers for trace in traces), strict=True)]
    idle = {at for at, versions in enumerate(columns) if all(_is_idle(layer) for layer in versions)}
    for at, versions in enumerate(columns):
        if at not in idle and _differs(versions) and versions[0].kind == "pad":
            _join_pad(traces, columns, at, idle)
    layers = []
    for at, versions in enumerate(columns):
        layer = versions[0] if at in idle or not _differs(versions) else _explained(traces, versions, at)
        if layer is None:
            return None
        layers.append(layer)
    return without(layers, traces[0].lasts, idle)


def without(layers: Sequence[Layer], lasts: Sequence[int], idle: set[int]) -> Unified:
    """Leave out the idle layers, whose readers read what they read."""
    position: list[int] = []
    kept: list[Layer] = []
    for at, layer in enumerate(layers):
        if at in idle:
            position.append(position[layer.inputs[0]])
            continue
        position.append(len(kept))
        like = None if layer.like is None else position[layer.like]
        kept.append(replace(layer, inputs=tuple(position[i] for i in layer.inputs), like=like))
    return tuple(kept), tuple(dict.fromkeys(position[i] for i in lasts))


def _is_idle(layer: Layer) -> bool:
    return layer.kind in ("pad", "crop") and all(
        op is None or (isinstance(op, Window) and (op.kernel, op.stride, op.padding) == (1, 1, (0, 0)))
        for op in layer.ops
    )


def _differs(versions: Versions) -> bool:
    return any(layer.ops != versions[0].ops for layer in versions[1:])


def _axes(versions: Versions) -> range:
    return range(len(versions[0].ops))


def _explained(traces: Sequence[Traced], versions: Versions, at: int) -> Layer | None:
    """Find the layer that is each of the versions at its size."""
    if versions[0].kind == "resize":
        return _as_resize(traces, versions, at)
    if versions[0].kind in ("pad", "crop") and (fitted := _as_fit(traces, versions, at)):
        return fitted
    if versions[0].kind in WINDOWS:
        ops = [_as_same(traces, versions, axis) for axis in _axes(versions)]
        if all(has_rule for _, has_rule in ops):
            return replace(versions[0], ops=tuple(op for op, _ in ops))
    return None


def _as_same(traces: Sequence[Traced], versions: Versions, axis: int) -> tuple[Op | None, bool]:
    """Make the window on one axis with a rule for its padding, and tell whether there is one."""
    ops = [layer.ops[axis] for layer in versions]
    if all(op == ops[0] for op in ops):
        return ops[0], True
    windows = [op for op in ops if isinstance(op, Window)]
    entering = [trace.sizes[versions[0].inputs[0]][axis] for trace in traces]
    for rule in RULES:
        op = replace(windows[0], padding=rule) if windows else None
        if op and len(windows) == len(ops) and all(replace(window, padding=rule) == op for window in windows):
            placed = [placement(op, n)[:2] for n in entering]
            if placed == [window.padding for window in windows]:
                return op, True
    return ops[0], False


def _join_pad(traces: Sequence[Traced], columns: list[Versions], at: int, idle: set[int]) -> None:
    """Give the rows of a pad that depends on the size to the windows that read it, where that is SAME for all."""
    readers = [i for i, versions in enumerate(columns) if at in versions[0].inputs or versions[0].like == at]
    joined: dict[int, Versions] = {}
    for i in readers:
        both = [_with_pad(pad, window) for pad, window in zip(columns[at], columns[i], strict=True)]
        windows = [layer for layer in both if layer is not None]
        if len(windows) < len(traces) or columns[i][0].kind not in WINDOWS:
            return
        if not all(_as_same(traces, windows, axis)[1] for axis in _axes(windows)):
            return
        joined[i] = windows
    if readers and at not in traces[0].lasts:
        for i, versions in joined.items():
            columns[i] = versions
        idle.add(at)


def _with_pad(pad: Layer, reader: Layer) -> Layer | None:
    """Give a window the rows of a pad as its own; None where these are not zeros, and it is none that reads them."""
    zeros = all(isinstance(op, Window) and op.mode == "zero" for op in (*pad.ops, *reader.ops))
    alone = reader.kind == "conv" and all(isinstance(op, Window) and op.padding == (0, 0) for op in reader.ops)
    return joined_to(pad, reader) if zeros or alone else None


def _as_resize(traces: Sequence[Traced], versions: Versions, at: int) -> Layer | None:
    axes = [axis for axis in _axes(versions) if isinstance(versions[0].ops[axis], Resize)]
    for like in _of_one_size(traces, at, axes):
        followed = [replace(op, size=None, scale=None) if isinstance(op, Resize) else op for op in versions[0].ops]
        return replace(versions[0], ops=tuple(followed), like=like)
    scaled = []
    for axis, op in enumerate(versions[0].ops):
        if not isinstance(op, Resize) or all(layer.ops[axis] == op for layer in versions):
            scaled.append(op)
            continue
        entering = versions[0].inputs[0]
        scales = {Fraction(trace.sizes[at][axis], trace.sizes[entering][axis]) for trace in traces}
        if len(scales) > 1:
            return None
        scaled.append(replace(op, size=None, scale=scales.pop()))
    return replace(versions[0], ops=tuple(scaled))


def _as_fit(traces: Sequence[Traced], versions: Versions, at: int) -> Layer | None:
    odds = [odd for axis in _axes(versions) if (odd := _odd(traces, versions, at, axis))]
    if len(odds) < len(versions[0].ops):
        return None
    for like in _of_one_size(traces, at, _axes(versions)):
        return replace(versions[0], kind="crop", ops=tuple(map(Fit, odds)), like=like)
    return None


def _odd(traces: Sequence[Traced], versions: Versions, at: int, axis: int) -> Odd | None:
    """Choose where the odd row goes on one axis, as far as traces tell; None if not all versions fit zeros or crop."""
    odds = [*ODDS]
    for layer, trace in zip(versions, traces, strict=True):
        op, n, m = layer.ops[axis], trace.sizes[layer.inputs[0]][axis], trace.sizes[at][axis]
        if not isinstance(op, Window) or op.stride > 1 or op.mode != "zero":
            return None
        odds = [odd for odd in odds if op.padding[0] == fit_shift(n, m, odd)]
    return next(iter(odds), None)


def _of_one_size(traces: Sequence[Traced], at: int, axes: Sequence[int]) -> Iterator[int]:
    """Yield earlier layers that have, in every trace, the size of the layer `at` on the axes."""
    for i in range(at):
        if all(trace.sizes[i][axis] == trace.sizes[at][axis] for trace in traces for axis in axes):
            yield i
