"""Attention and pooling among all positions, or those of a window or a grid; images are rolled for shifted windows."""

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


def mix(
    arranger: Arranger, name: str, x: Map, lost: Sequence[Factor], why: str, like: int | None = None, windows: Cuts = ()
) -> Map:
    """Lay attention: positions, as many as those of `like`, see all that differ from them in what is `lost` alone.

    Those are its row, its column, both, or the window or the grid that it is in, each of them seen once. The last
    of `windows` may be cut in two, as it is where the image was rolled before: then it is the first and the last.
    """
    if like is None and within(Runs, lost):
        raise Stuck("mixes runs of positions")
    trace, like = arranger.trace, x.at if like is None else like
    blocks = _blocks_of(trace, x.at, lost)
    on = dict.fromkeys(trace.axes, 0)  # the second part of a window that is cut is rolled to the front
    for role, cut in windows:
        whole = Blocks(trace.sizes[x.at][trace.axes[role]])
        block, *others = blocks.get(role, [Blocks(0)]) or [whole]
        if others or not block.is_local:
            raise Stuck("masks attention in another way than windows do")
        on[role] = block.size - cut
        blocks[role] = [replace(block, first=on[role])]
    at = arranger.roll(f"{trace.layers[x.at].name}.roll", x.at, on)
    axes = [trace.axes[role] for role, runs in blocks.items() if not runs]
    local = [*zip_longest(*(blocks.get(role, ()) for role in trace.axes))]
    for ops in local:
        at = trace.add(name if not axes and ops == local[-1] else f"{name}.windows", "mixing", (at,), ops)
    at = arranger.roll(f"{name}.roll", at, {role: -n for role, n in on.items()})
    if axes:
        return Map(x.dims, trace.mix(name, at, like, axes, why))
    pairs = [*zip(trace.sizes[at], trace.sizes[like], strict=True)]
    if all(n == m for n, m in pairs):
        return Map(x.dims, at)
    if any(n % m for n, m in pairs):
        raise Stuck("looks at windows of other sizes")
    rows = [Window(1, n // m, padding=(0, 1 - n // m)) for n, m in pairs]  # all of a block are the same
    return Map(x.dims, trace.add(f"{name}.queries", "crop", (at,), rows))


def _blocks_of(trace: Trace, layer: int, lost: Iterable[Factor]) -> dict[str, list[Blocks]]:
    """List the blocks of rows and of columns that are lost, by their axis; none where that is all of it."""
    blocks: dict[str, list[Blocks]] = {}
    parts = sorted((part for part in within(Axis, lost) if part.size > 1), key=lambda part: -part.step)
    for role in trace.axes:
        own = joined(looked_at(tuple(part for part in parts if part.role == role), False))
        runs = [Blocks(part.size, part.step) for part in within(Axis, own)]
        if runs:
            blocks[role] = [] if runs[0].size == trace.sizes[layer][trace.axes[role]] else runs
    return blocks


def innermost(x: Map, gone: Sequence[Dim]) -> dict[str, int]:
    """Count, by their axis, the neighbours in each part of rows or columns that is gone, where others stay split.

    Nothing where it is all of an axis, or not the innermost part of it, or where what stays is whole.
    """
    lost = [position for position in positions(*gone) if position.size > 1]
    kept = (position for position in positions(*x.known) if position.size > 1 and position not in lost)
    ends = {part.role: part.size for part in inner_parts(tuple(lost)) if part.step == 1 and not part.looked}
    return ends if inner_parts(tuple(kept)) and len(ends) == len(lost) else {}


def pool_inside(arranger: Arranger, name: str, kind: Kind, x: Map, inner: Mapping[str, int]) -> Map:
    """Pool, by their axis, so many neighbours that are a part of windows: of the parts around them one remains."""
    ops = [Window(n, n) if (n := inner.get(role, 1)) > 1 else None for role in arranger.trace.axes]
    layer = arranger.trace.add(name, kind, (x.at,), ops)

    def fewer(part: Factor) -> Factor:
        if not isinstance(part, Axis) or part.role not in inner:
            return part
        n = inner[part.role]
        return replace(part, size=part.size // n) if part.step == 1 else replace(part, step=part.step // n)

    return replace(x, layer=layer, dims=tuple(tuple(map(fewer, dim)) for dim in x.known))
