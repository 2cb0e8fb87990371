"""Windows over dimensions of which some, or all, are channels: of a position each reads what is there alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from padviz.axis.operations import Op
from padviz.network.layer import CONVOLUTIONS, Kind
from padviz.sources.tracing.arranging import Arranger, Map
from padviz.sources.tracing.axis_labels import axis_of, has_positions, is_channels, plain, size_of


def laid_among_channels(
    arranger: Arranger, name: str, kind: Kind, x: Map, ops: Sequence[Op | None], shape: Sequence[int], part: object,
    each_alone: bool = True,
) -> Map | None:  # fmt: skip
    """Lay the windows of rows and columns alone, where other dimensions that an operation reads are channels.

    What it returns has the `shape` from the dimension before on, and is a `part` of its own. None where no dimension is
    channels, and where positions are among what it mixes: the dimension before, unless it takes `each_alone` of that,
    as pools and depthwise convolutions do.
    """
    before, *own = x.known[-len(ops) - 1 :]
    roles = [axis_of(dim) for dim in own]
    rest = [dim for dim, role in zip(own, roles, strict=True) if not role]
    if not any(size_of(dim) > 1 for dim in rest) or not all(map(is_channels, rest)):
        return None
    if has_positions(before) and not each_alone:
        return None
    if any(roles):
        windows = {role: op for role, op in zip(roles, ops, strict=True) if role and op}
        x = arranger.lay(name, kind, x, windows)
        own = [*x.known[-len(ops) :]]
    new = (dim if role else plain(n) for dim, role, n in zip(own, roles, shape[1:], strict=True))
    first = before if has_positions(before) or kind not in CONVOLUTIONS else plain(shape[0])
    dims = (*x.known[: -len(ops) - 1], first, *new)
    return replace(x, dims=dims) if any(roles) else x.part_of(dims, part)
