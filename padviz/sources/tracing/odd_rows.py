"""Where the odd row of a crop or a pad goes that fits another layer: traced at sizes that tell.

At most sizes a fit may add or remove no row, or an even number of them. Which size has an odd one is known from the
layers, before any is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from padviz.axis.operations import Fit, fit_shift
from padviz.errors import PadvizError
from padviz.network.network import Network, Size
from padviz.network.sizes import sizes_of
from padviz.sources.tracing.last_maps import finish
from padviz.sources.tracing.trace import Trace
from padviz.sources.tracing.unify import Traced, Unified, odds_told, unified

MOST_MORE = 6  # traces
AROUND = 128  # rows beyond the size within which sizes are looked for


class Untold(NamedTuple):
    """A fit of which it is not known where, on an axis, an odd row is added (`sign` 1) or removed (-1)."""

    layer: str
    axis: int
    sign: int


def settled(tracer: Callable[[Size], Trace], traces: Sequence[Traced]) -> tuple[Unified | None, tuple[str, ...]]:
    """The layers that explain the traces, and more of them at sizes that tell what these do not.

    With them come sentences on what is assumed: where a fit puts an odd row at sizes that cannot be traced.
    """
    tried: set[Size] = set()
    found = unified(traces)
    for _ in range(MOST_MORE):
        size = _telling(found, traces, tried) if found and len(traces) > 1 else None
        if size is None:
            break
        tried.add(size)
        try:
            other = finish(tracer(size))
        except PadvizError:
            continue
        if not alike(traces[0], other):
            return None, ()
        traces = [*traces, other]
        found = unified(traces)
    return found, _assumed(found, traces) if found and tried else ()


def _untold(found: Unified, traces: Sequence[Traced]) -> Iterator[Untold]:
    """What the traces do not tell of the fits among the layers that explain them."""
    at = {layer.name: i for i, layer in enumerate(traces[0].layers)}
    for layer in found[0]:
        for axis, op in enumerate(layer.ops):
            varies = len({trace.sizes[0][axis] for trace in traces}) > 1
            if layer.name in at and isinstance(op, Fit) and varies:
                versions = [trace.layers[at[layer.name]] for trace in traces]
                told = odds_told(traces, versions, at[layer.name], axis)
                for sign in (1, -1):
                    if len({fit_shift(1, 1 + sign, odd) for odd in told}) > 1:
                        yield Untold(layer.name, axis, sign)


def _telling(found: Unified, traces: Sequence[Traced], tried: set[Size]) -> Size | None:
    """A size, not tried yet, at which some fit does on some axis what no trace tells of."""
    network, first = Network("", found[0], ()), traces[0].sizes[0]
    size = [*first]
    untold = [*_untold(found, traces)]
    for axis in {each.axis for each in untold}:
        wanted = [each for each in untold if each.axis == axis]
        before = {each[axis] for each in tried}
        more = range(first[axis] + 1, first[axis] + AROUND)
        tells = (n for n in more if n not in before and any(_shows(network, each, n) for each in wanted))
        size[axis] = next(tells, first[axis])
    return (size[0], size[1]) if tuple(size) != first else None


def _shows(network: Network, what: Untold, n: int) -> bool:
    """Whether at a size a fit adds, or removes, an odd number of rows."""
    try:
        sizes = sizes_of(network, what.axis, n)
    except PadvizError:
        return False
    layer = network.find(what.layer)
    more = (sizes[network.index[what.layer]] - sizes[layer.inputs[0]]) * what.sign
    return more > 0 and more % 2 == 1


def _assumed(found: Unified, traces: Sequence[Traced]) -> tuple[str, ...]:
    """That it is assumed where odd rows go, in a sentence, if there are sizes that have some."""
    network, (height, width) = Network("", found[0], ()), traces[0].sizes[0]
    near = [range(n + 1, n + AROUND) for n in (height, width)]
    untold = [each for each in _untold(found, traces) if any(_shows(network, each, n) for n in near[each.axis])]
    names = [*dict.fromkeys(each.layer for each in untold)]
    if not names:
        return ()
    some = f"{names[0]} and {len(names) - 1} more fit" if len(names) > 1 else f"{names[0]} fits"
    why = "no size at which it does could be followed"
    return (f"{some} another map; on which side an odd row is added or removed is assumed, since {why}",)


def alike(one: Traced, other: Traced) -> bool:
    """Whether two traces are of one graph: the same names, kinds and edges."""
    if len(one.layers) != len(other.layers) or one.lasts != other.lasts:
        return False
    pairs = zip(one.layers, other.layers, strict=True)
    return all((a.name, a.kind, a.inputs, a.like) == (b.name, b.kind, b.inputs, b.like) for a, b in pairs)
