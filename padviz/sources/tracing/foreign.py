"""A foreign network: it is traced at each size that is asked for, and cut down to its last spatial feature maps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import replace
from fractions import Fraction
from functools import cache

from padviz.axis.operations import Op, Window
from padviz.axis.resize import Resize
from padviz.errors import DescriptionError
from padviz.network.graph import ancestors
from padviz.network.layer import Layer
from padviz.network.network import Network, Size, in_words
from padviz.sources.tracing.trace import Trace

NAMED = 6  # last maps, in a line


def foreign_network(
    tracer: Callable[[Size], Trace], name: str, size: Size, source: str = "", declared: Size = ()
) -> Network:
    """Trace a network at a size, and later once at each other size that is asked for.

    `declared` has the size that a file gives its image on each axis, 0 where it leaves an axis open.

    >>> from padviz.axis.operations import Window
    >>> def tracer(size):
    ...     trace = Trace("tiny", size)
    ...     trace.ends.add(trace.add("c", "conv", (0,), (Window(3, padding=(1, size[0] % 2)), None)))
    ...     return trace
    >>> network = foreign_network(tracer, "tiny", (8, 8))
    >>> network.layers[1].ops[0].padding, network.at(9).layers[1].ops[0].padding
    ((1, 0), (1, 1))
    """

    @cache
    def at(size: Size) -> Network:
        return replace(_network(tracer(size), name), source=source, declared=declared, again=at)

    return at(size)


def _network(trace: Trace, name: str) -> Network:
    """Cut a trace down to what its last spatial feature maps are made of, and name them.

    A last map is one that no later map is made of: outputs, heads and pooled vectors may read it. An
    adaptive pool before a head, or a pool that reads its whole input, is not one: the map before it is. Nor is a head
    that reads a flattened map as an image: the maps that were flattened are. Of several last maps one must be chosen.
    """
    heads = ancestors(trace.layers, trace.ends) & trace.heads.keys()
    ends = ({i for at in heads for i in trace.layers[at].inputs} | trace.ends) - heads
    heads -= ancestors(trace.layers, ends)  # something that is not known reads those
    live = ancestors(trace.layers, ends)
    targets = _targets(trace, live)
    last_norms = [i for i in live if not trace.pooled[i] and trace.without_norms(i) in targets]
    wanted = ancestors(trace.layers, [*targets, *last_norms]) | {0}
    layers: list[Layer] = []
    place: dict[int, int] = {}
    for i in sorted(wanted):
        layer = trace.layers[i]
        if _is_idle(layer) and i not in targets:
            place[i] = place[layer.inputs[0]]
            continue
        inputs = tuple(place[j] for j in layer.inputs)
        place[i] = len(layers)
        like, ops = _resize_at_any_size(trace, i, wanted)
        layers.append(replace(layer, inputs=inputs, like=None if like is None else place[like], ops=ops))
    names = {i: layers[at].name for i, at in place.items()}
    lasts, size = [names[i] for i in targets], trace.sizes[0]

    notes, gone = list[str](), dict[str, str]()
    resized = next((i for i in place if trace.layers[i].kind == "resize" and 0 in trace.layers[i].inputs), 0)
    if trace.sizes[resized] != size:
        notes.append(f"the image is resized from {in_words(size)} to {in_words(trace.sizes[resized])} inside")
    for output, sources in trace.vectors.items():
        if maps := _maps_behind(trace, sources, place):
            gone[output] = f"is no map: it is made of what was flattened or pooled of {', '.join(maps[:NAMED])}"
    if heads:
        more = f" and {len(lasts) - NAMED} more" if len(lasts) > NAMED else ""
        analysed = f"analysed up to the head{'s' * (len(lasts) > 1)} {', '.join(lasts[:NAMED])}{more}"
        first, *others = (at for at in sorted(heads) if not heads.issuperset(trace.layers[at].inputs))
        cut = trace.layers[first].name
        beside, it = (f", {len(others)} more", cut) if others else ("", "it")
        notes.append(f"{analysed}; skipped {cut}{beside} and what follows: {it} {trace.heads[first]}")
        for at in sorted(heads):
            cut, why = trace.layers[at].name, trace.heads[at]
            there = f"{why}; the network was {analysed}"
            behind = (output for output, by in trace.behind.items() if by == at)
            gone |= dict.fromkeys(behind, f"was skipped: it follows {cut}, which {there}")
            gone[cut] = f"was skipped: it {there}"
    attended = {_before_pooling(trace, i) for i in trace.attended}
    grids = [names[i] for i in targets if i in attended]
    return Network(
        name=name,
        layers=tuple(layers),
        targets=tuple(lasts) if len(lasts) == 1 else (),
        title=name,
        size=size,
        notes=(*notes, *(f"counting stops at {grid}, the grid of patches before attention" for grid in grids)),
        gone=gone,
        aliases={alias: names[i] for alias, i in trace.tensors.items() if i in names},
    )


def _is_idle(layer: Layer) -> bool:
    return layer.kind in ("pad", "crop") and all(
        op is None or (isinstance(op, Window) and (op.kernel, op.stride, op.padding) == (1, 1, (0, 0)))
        for op in layer.ops
    )


def _resize_at_any_size(trace: Trace, at: int, kept: Collection[int]) -> tuple[int | None, tuple[Op | None, ...]]:
    """Return the layer that a resize follows, the first one of its size, and its operations, to hold at any size."""
    layer = trace.layers[at]
    axes = [axis for axis, op in enumerate(layer.ops) if isinstance(op, Resize) and op.size is not None]
    if not axes:
        return layer.like, layer.ops

    def by(op: Op | None, scale: Fraction | None) -> Op | None:
        return replace(op, size=None, scale=scale) if isinstance(op, Resize) and op.size is not None else op

    for i in sorted(kept):
        if i < at and not trace.pooled[i] and all(trace.sizes[i][axis] == trace.sizes[at][axis] for axis in axes):
            return i, tuple(by(op, None) for op in layer.ops)
    if trace.pooled[layer.inputs[0]]:
        return None, layer.ops
    rows = zip(layer.ops, trace.sizes[layer.inputs[0]], trace.sizes[at], strict=True)
    return None, tuple(by(op, Fraction(m, n)) for op, n, m in rows)


def _targets(trace: Trace, live: Collection[int]) -> list[int]:
    read_by_maps = {i for at in live if not trace.pooled[at] for i in trace.layers[at].inputs}
    lasts = [i for i in sorted(live) if not trace.pooled[i] and i not in read_by_maps]
    stripped = list(dict.fromkeys(_before_pooling(trace, i) for i in lasts))
    inner = ancestors(trace.layers, [j for i in stripped for j in trace.layers[i].inputs])
    if targets := [i for i in stripped if i not in inner and i > 0]:
        return targets
    hint = "padviz looks for windows over an image"
    raise DescriptionError("no output is made of a spatial layer", where=trace.where, hint=hint)


def _maps_behind(trace: Trace, sources: Iterable[int], kept: Container[int]) -> list[str]:
    """List the last layers that are kept among those that a vector is made of."""
    maps, ahead = set(), [*sources]
    while ahead:
        at = ahead.pop()
        if at in kept:
            maps.add(at)
        else:
            ahead += trace.layers[at].inputs
    return [trace.layers[at].name for at in sorted(maps)]


def _before_pooling(trace: Trace, at: int) -> int:
    """Return the map before the pooling that a trace ends with; without one, the layer itself."""
    while True:
        at = trace.without_norms(at)
        layer = trace.layers[at]
        if layer.kind not in ("adaptive", "avgpool", "maxpool"):
            return at
        before = layer.inputs[0]
        entering = trace.sizes[before]
        reads_all = all(isinstance(op, Window) and op.kernel >= n for op, n in zip(layer.ops, entering, strict=True))
        if layer.kind != "adaptive" and not ({*trace.sizes[at]} == {1} != {*entering} and reads_all):
            return at
        at = before
