"""Positions that see each other: all, or those of a window or of a grid; and images that are rolled for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from padviz.axis.operations import Blocks, Window
from padviz.network.layer import Kind
from padviz.sources.tracing.arranging import Arranger, Cuts, Map, Stuck
from padviz.sources.tracing.axis_labels import (
    Axis,
    Dim,
    Factor,
    Runs,
    inner_parts,
    joined,
    looked_at,
    positions,
    within,
)
from padviz.sources.tracing.trace import Trace


def mixed(
    arranger: Arranger, name: str, x: Map, lost: Sequence[Factor], why: str, like: int | None = None, windows: Cuts = ()
) -> Map:
    """Lay a map whose positions, as many as those of `like`, saw all that differ from them in what is `lost` alone.

    Those are its row, its column, both, or the window or the grid that it is in, each of them seen once. The last
    of `windows` may be cut in two, as it is where the image was rolled before: then it is the first and the last.
    """
    if like is None and within(Runs, lost):
        raise Stuck("mixes runs of positions")
    trace, like = arranger.trace, x.at if like is None else like
    blocks = _blocks_of(trace, x.at, lost)
    at, back = _rolled_on(arranger, x.at, blocks, dict(windows))
    axes = [trace.axes[role] for role, met in blocks.items() if not met]
    local = [*zip_longest(*(blocks.get(role, ()) for role in trace.axes))]
    for ops in local:
        at = trace.add(name if not axes and ops == local[-1] else f"{name}.windows", "mixing", (at,), ops)
    at = arranger.roll(f"{name}.roll", at, back)
    return Map(x.dims, trace.mix(name, at, like, axes, why) if axes else _every_nth(trace, f"{name}.queries", at, like))


def _blocks_of(trace: Trace, layer: int, lost: Iterable[Factor]) -> dict[str, list[Blocks]]:
    """Find the blocks of rows and of columns that are lost, by their axis; none where that is all of it."""
    blocks: dict[str, list[Blocks]] = {}
    parts = sorted((part for part in within(Axis, lost) if part.size > 1), key=lambda part: -part.step)
    for role in trace.axes:
        own = joined(looked_at(tuple(part for part in parts if part.role == role), False))
        runs = [Blocks(part.size, part.step) for part in within(Axis, own)]
        if runs:
            blocks[role] = [] if runs[0].size == trace.sizes[layer][trace.axes[role]] else runs
    return blocks


def _rolled_on(
    arranger: Arranger, layer: int, blocks: dict[str, list[Blocks]], windows: Mapping[str, int]
) -> tuple[int, dict[str, int]]:
    """Roll the second part of last windows that are cut in two to the front, and say how far it is back from there."""
    on = dict.fromkeys(arranger.trace.axes, 0)
    for role, cut in windows.items():
        whole = Blocks(arranger.trace.sizes[layer][arranger.trace.axes[role]])
        block, *others = blocks.get(role, [Blocks(0)]) or [whole]
        if others or not block.is_local:
            raise Stuck("masks attention in another way than windows do")
        on[role] = block.size - cut
        blocks[role] = [replace(block, first=on[role])]
    name = f"{arranger.trace.layers[layer].name}.roll"
    return arranger.roll(name, layer, on), {role: -n for role, n in on.items()}


def innermost(x: Map, gone: Sequence[Dim]) -> dict[str, int]:
    """Find, by their axis, how many neighbours each part of rows or columns has that is gone, where others stay split.

    Nothing where it is all of an axis, or not the innermost part of it, or where what stays is whole.
    """
    lost = [position for position in positions(*gone) if position.size > 1]
    kept = (position for position in positions(*x.known) if position.size > 1 and position not in lost)
    ends = {part.role: part.size for part in inner_parts(tuple(lost)) if part.step == 1 and not part.looked}
    return ends if inner_parts(tuple(kept)) and len(ends) == len(lost) else {}


def joined_inside(arranger: Arranger, name: str, kind: Kind, x: Map, inner: Mapping[str, int]) -> Map:
    """Join, by their axis, so many neighbours that are a part of windows: of the parts around them one remains."""
    ops = [Window(n, n) if (n := inner.get(role, 1)) > 1 else None for role in arranger.trace.axes]
    layer = arranger.trace.add(name, kind, (x.at,), ops)

    def fewer(part: Factor) -> Factor:
        if not isinstance(part, Axis) or part.role not in inner:
            return part
        n = inner[part.role]
        return replace(part, size=part.size // n) if part.step == 1 else replace(part, step=part.step // n)

    return replace(x, layer=layer, dims=tuple(tuple(map(fewer, dim)) for dim in x.known))


def _every_nth(trace: Trace, name: str, layer: int, like: int) -> int:
    """Take as many rows and columns of a layer, evenly apart, as another one has; all of a block are the same."""
    pairs = [*zip(trace.sizes[layer], trace.sizes[like], strict=True)]
    if all(n == m for n, m in pairs):
        return layer
    if any(n % m for n, m in pairs):
        raise Stuck("looks at windows of other sizes")
    return trace.add(name, "crop", (layer,), [Window(1, n // m, padding=(0, 1 - n // m)) for n, m in pairs])
