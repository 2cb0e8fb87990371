"""Maps that meet position by position, or side by side: one policy for all frameworks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from padviz.network.layer import Kind
from padviz.sources.tracing.arranging import Value
from padviz.sources.tracing.axis_labels import regrouped
from padviz.sources.tracing.calls import Call


def together(call: Call, kind: Kind, values: Sequence[Value], once: bool = False) -> Value:
    """Join maps elementwise: one passes; of the same channels of a layer it is an activation; others merge.

    What is the same is multiplied by itself, as in x * sigmoid(x), or counted `once`.
    """
    plan = call.plan
    if len(values) > 1:
        values = [plan.settled(x) if x.cuts else x for x in values]
    alike = len({plan.seen(x) for x in values}) == 1 and (once or kind == "multiply" or len(values) == 1)
    values = values if alike else plan.in_step(values)
    dims = call.lined_up(values)
    if alike:
        last = max(values, key=lambda x: x.at)
        return replace(last, dims=dims, array=None, acted=last.acted or len(values) > 1)
    layer = join(call, kind, [x.at for x in values])
    return Value(plan.sized(dims, layer), layer, by=max(x.by for x in values))


def join(call: Call, kind: Kind, layers: Sequence[int]) -> int:
    """Lay a merge; single rows and columns, and vectors beside maps, are copied along the others first."""
    plan, trace, name = call.plan, call.trace, call.name("spread")
    maps = [at for at in layers if not trace.pooled[at]]
    if kind == "concat" and maps:
        maps = layers = [trace.spread(name, at, maps[0]) if trace.pooled[at] else at for at in layers]
    if len({trace.sizes[at] for at in maps}) > 1:
        largest = max(maps, key=lambda at: trace.sizes[at])
        tallest = max(maps, key=lambda at: trace.sizes[at][::-1])
        spread = {at: plan.spread(name, at, largest) for at in maps}
        spread = {at: plan.spread(name, made, tallest) for at, made in spread.items()}
        layers = [spread.get(at, at) for at in layers]
    return trace.merge(call.name("merge"), kind, layers)


def side_by_side(call: Call, values: Sequence[Value], axis: int, n: int, new: bool = False) -> Value:
    """Join maps along a dimension of `n` channels, which they have, or which is `new`."""
    values = call.plan.in_step(values)
    rest = [replace(x, dims=(*x.known[:axis], (), *x.known[axis + (not new) :])) for x in values]
    dims = call.lined_up(rest, axis)
    own = regrouped([] if new else [x.known[axis] for x in values], n)
    layer = join(call, "concat", [x.at for x in values])
    made = replace(values[0], array=None) if len(values) == 1 else Value(None, layer, by=values[0].by)
    return replace(made, dims=call.plan.sized((*dims[:axis], own, *dims[axis + 1 :]), layer))
