"""The last spatial feature maps of a trace."""

from __future__ import annotations

from collections.abc import Collection, Container

from padviz.axis.operations import Window
from padviz.errors import DescriptionError
from padviz.network.graph import ancestors, only
from padviz.network.layer import Layer
from padviz.network.network import Size
from padviz.sources.tracing.sizes.unify import Cut, Traced
from padviz.sources.tracing.trace import Trace


def finish(trace: Trace) -> Traced:
    """Cut a trace down to what its last spatial feature maps are made of, and name them.

    A last map is one that no later map is made of: outputs, heads and pooled vectors may read it. An
    adaptive pool before a head, or a pool that reads its whole input, is not one: the map before it is. Nor is a head
    that reads a flattened map as an image: the maps that were flattened are.
    """
    ends, cuts = _before_heads(trace)
    live = ancestors(trace.layers, ends)
    targets = _targets(trace, live)
    after = [i for i in live if not trace.pooled[i] and trace.seen(i) in targets]  # norms that nothing reads again
    kept = sorted(ancestors(trace.layers, [*targets, *after]) | {0})
    place = {i: k for k, i in enumerate(kept)}
    attended = {_before_pooling(trace, i) for i in trace.attending.maps}
    return Traced(
        layers=only(trace.layers, kept),
        sizes=tuple(trace.sizes[i] for i in kept),
        lasts=tuple(place[i] for i in targets),
        cuts=cuts,
        aliases={name: place[i] for name, i in trace.tensors.items() if i in place},
        vectors=_vectors(trace, place),
        grids=tuple(trace.layers[i].name for i in targets if i in attended),
        moving={place[i]: ops for i, ops in trace.moving.items() if i in place},
        turns=trace.turns,
    )


def _targets(trace: Trace, live: Collection[int]) -> list[int]:
    """Find the last maps, among the layers that something is made of."""
    read_by_maps = {i for at in live if not trace.pooled[at] for i in trace.layers[at].inputs}
    lasts = [i for i in sorted(live) if not trace.pooled[i] and i not in read_by_maps]
    stripped = list(dict.fromkeys(_before_pooling(trace, i) for i in lasts))
    inner = ancestors(trace.layers, [j for i in stripped for j in trace.layers[i].inputs])
    if targets := [i for i in stripped if i not in inner and i > 0]:
        return targets
    hint = "padviz looks for windows over an image"
    raise DescriptionError("no output is made of a spatial layer", where=trace.where, hint=hint)


def _vectors(trace: Trace, kept: Container[int]) -> dict[str, tuple[str, ...]]:
    """Name what is no map any more, with the last maps that it is made of."""
    vectors = {}
    for name, sources in trace.vectors.items():
        maps, ahead = set(), [*sources]
        while ahead:
            at = ahead.pop()
            if at in kept:
                maps.add(at)
            else:
                ahead += trace.layers[at].inputs
        vectors[name] = tuple(trace.layers[at].name for at in sorted(maps))
    return vectors


def _before_heads(trace: Trace) -> tuple[set[int], tuple[Cut, ...]]:
    """Cut the heads off: what a trace ends with then, and the heads."""
    heads = ancestors(trace.layers, trace.ends) & trace.heads.keys()
    ends = {i for at in heads for i in trace.layers[at].inputs} | trace.ends
    ends -= heads
    heads -= ancestors(trace.layers, ends)  # something that is not known reads those
    behind = {at: tuple(name for name, by in trace.behind.items() if by == at) for at in heads}
    first = {at for at in heads if not heads.issuperset(trace.layers[at].inputs)}
    return ends, tuple(Cut(trace.layers[at].name, trace.heads[at], behind[at], at in first) for at in sorted(heads))


def _before_pooling(trace: Trace, at: int) -> int:
    """Find the map before the pooling that a trace ends with, if it does."""
    while trace.seen(at) != at or trace.layers[at].kind in ("adaptive", "avgpool", "maxpool"):
        if trace.seen(at) != at:
            at = trace.seen(at)
            continue
        before = trace.layers[at].inputs[0]
        whole = {*trace.sizes[at]} == {1} != {*trace.sizes[before]} and _reads_all(
            trace.layers[at], trace.sizes[before]
        )
        if trace.layers[at].kind != "adaptive" and not whole:
            break
        at = before
    return at


def _reads_all(layer: Layer, entering: Size) -> bool:
    return all(isinstance(op, Window) and op.kernel >= n for op, n in zip(layer.ops, entering, strict=True))
