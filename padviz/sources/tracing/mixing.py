"""What positions see in blocks: in rows, windows and grids; and pools inside of windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from padviz.network.layer import Kind
from padviz.network.operations import Blocks, Window
from padviz.sources.tracing.arranging import Arranger, Cuts, Map, Stuck, map_factors
from padviz.sources.tracing.calls import OTHERWISE
from padviz.sources.tracing.dims import Axis, Dim, Factor, Runs, flat
from padviz.sources.tracing.trace import Trace


def mix(
    trace: Arranger,
    name: str,
    x: Map,
    lost: Sequence[Factor],
    why: str,
    like: int | None = None,
    windows: Cuts = (),
) -> Map:
    """Add attention: each position of `like` sees all that differ from it only in what is `lost`.

    Those are its row, its column, both, its window or its grid, each position once. The last of
    `windows` may be cut in two, as in an image that was rolled before: then the parts are the first
    and the last window.
    """
    if like is None and Dim(*lost).within(Runs):
        raise Stuck("mixes runs of positions")
    if like is None:
        like = x.at
    blocks = _blocks_of(trace, x.at, lost)
    on = _cut_blocks(trace, x.at, blocks, windows)
    at = trace.roll(f"{trace.layers[x.at].name}.roll", x.at, on)
    lines = [role for role, runs in blocks.items() if not runs]
    steps = [*zip_longest(*(blocks.get(role, ()) for role in trace.axes))]
    for i, ops in enumerate(steps):
        title = f"{name}.windows"
        if i == len(steps) - 1 and not lines:
            title = name
        at = trace.add(title, "mixing", (at,), ops)
    back = {role: -n for role, n in on.items()}
    at = trace.roll(f"{name}.roll", at, back)
    if lines:
        return Map(x.dims, trace.mix(name, at, like, lines, why))
    if trace.layers[at].size == trace.layers[like].size:
        return Map(x.dims, at)
    return Map(x.dims, _pick_queries(trace, f"{name}.queries", at, like))


def _cut_blocks(
    trace: Arranger,
    layer: int,
    blocks: dict[str, list[Blocks]],
    windows: Cuts,
) -> dict[str, int]:
    """Shift the blocks of cut windows, and return by how much to roll each axis.

    The second part of a cut window is rolled to the front, where it is a block by itself.
    """
    on = dict.fromkeys(trace.axes, 0)
    for role, cut in windows:
        whole = Blocks(trace.sides(layer)[role])
        block, *others = blocks.get(role, [Blocks(0)]) or [whole]
        if others or not block.is_local:
            raise Stuck(OTHERWISE)
        on[role] = block.size - cut
        blocks[role] = [replace(block, first=on[role])]
    return on


def _pick_queries(trace: Arranger, name: str, layer: int, like: int) -> int:
    """Keep one row of each block where queries were pooled: all rows of a block are the same."""
    rows: list[Window] = []
    for n, wanted in zip(trace.layers[layer].size, trace.layers[like].size, strict=True):
        if n % wanted:
            raise Stuck("attends to windows of other sizes")
        step = n // wanted
        rows.append(Window(1, step, padding=(0, 1 - step)))
    return trace.add(name, "crop", (layer,), rows)


def _blocks_of(trace: Trace, layer: int, lost: Iterable[Factor]) -> dict[str, list[Blocks]]:
    """List the lost blocks of rows and of columns by their axis; none where that is all of it."""
    blocks: dict[str, list[Blocks]] = {}
    parts = [part for part in Dim(*lost).within(Axis) if part.size > 1]
    parts.sort(key=lambda part: -part.step)
    for role, n in trace.sides(layer).items():
        together = Dim(*(part for part in parts if part.role == role)).looked_at(False).joined()
        runs = [Blocks(part.size, part.step) for part in together.within(Axis)]
        if runs and runs[0].size == n:
            blocks[role] = []
        elif runs:
            blocks[role] = runs
    return blocks


def innermost(x: Map, gone: Sequence[Dim]) -> dict[str, int]:
    """Count, by axis, the neighbours in the innermost parts that are gone, if others stay split."""
    lost = [position for position in flat(gone).positions if position.size > 1]
    kept = Dim(*(position for position in flat(x.known).positions if position not in lost))
    ends: dict[str, int] = {}
    for part in Dim(*lost).inner:
        if part.step == 1 and not part.looked:
            ends[part.role] = part.size
    if not kept.inner or len(ends) < len(lost):
        return {}
    return ends


def pool_inside(trace: Arranger, name: str, kind: Kind, x: Map, inner: Mapping[str, int]) -> Map:
    """Pool the `inner` neighbours on each axis, which are part of a window, to one."""
    ops = {role: Window(n, n) for role, n in inner.items() if n > 1}
    layer = trace.add(name, kind, (x.at,), trace.ops(ops))

    def fewer(part: Factor) -> Factor:
        if not isinstance(part, Axis) or part.role not in inner:
            return part
        n = inner[part.role]
        if part.step == 1:
            return replace(part, size=part.size // n)
        return replace(part, step=part.step // n)

    return replace(x, layer=layer, dims=map_factors(fewer, x.known))
