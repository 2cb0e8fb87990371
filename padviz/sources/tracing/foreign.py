"""A foreign network: it is traced at each size that is asked for, and cut down to its last spatial feature maps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from padviz.axis.operations import Op, Window
from padviz.axis.resize import Resize
from padviz.errors import DescriptionError
from padviz.network.graph import ancestors
from padviz.network.layer import Layer
from padviz.network.network import Network, Size, in_words
from padviz.sources.tracing.trace import Trace

NAMED = 6  # last maps, in a line


@dataclass(frozen=True, eq=False)
class Foreign:
    """A module or a file: `at` traces it at a size, once for each.

    `declared` has the size that a file gives its image on each axis, 0 where it leaves an axis open.

    >>> from padviz.axis.operations import Window
    >>> def tracer(size):
    ...     trace = Trace("tiny", size)
    ...     trace.ends.add(trace.add("c", "conv", (0,), (Window(3, padding=(1, size[0] % 2)), None)))
    ...     return trace
    >>> network = Foreign(tracer, "tiny").at((8, 8))
    >>> network.layers[1].ops[0].padding, network.at(9).layers[1].ops[0].padding
    ((1, 0), (1, 1))
    """

    tracer: Callable[[Size], Trace]
    name: str
    source: str = ""
    declared: Size = ()
    read: dict[Size, Network] = field(default_factory=dict, repr=False)

    def at(self, size: Size) -> Network:
        """Read the network at a size.

        Several last feature maps make a network without targets: one must be chosen.

        Raises
        ------
        PadvizError
            In the network's own words, where it does not take that size.
        """
        if size not in self.read:
            traced = finish(self.tracer(size))
            self.read[size] = Network(
                name=self.name,
                layers=traced.layers,
                targets=traced.lasts if len(traced.lasts) == 1 else (),
                title=self.name,
                source=self.source,
                size=size,
                declared=self.declared,
                notes=_notes(traced, size),
                gone=_gone(traced),
                aliases=traced.aliases,
                again=self.at,
            )
        return self.read[size]


def _notes(traced: Traced, size: Size) -> tuple[str, ...]:
    grids = (f"counting stops at {name}, the grid of patches before attention" for name in traced.grids)
    first = f"the image is resized from {in_words(size)} to {in_words(traced.resized or ())} inside"
    resized = (first,) if traced.resized not in (None, size) else ()
    return (*resized, *_cut_notes(traced.cuts, traced.lasts), *grids)


def _cut_notes(cuts: Sequence[Cut], lasts: Sequence[str]) -> tuple[str, ...]:
    """Report up to where a network was analysed, and what was skipped.

    >>> cut = Cut("dfl", "reads a flattened map as an image")
    >>> _cut_notes([cut], ["box"])
    ('analysed up to the head box; skipped dfl and what follows: it reads a flattened map as an image',)
    >>> _cut_notes([cut, cut._replace(name="dfl_1")], ["box", "cls"])
    ('analysed up to the heads box, cls; skipped dfl, 1 more and what follows: dfl reads a flattened map as an image',)
    """
    if not cuts:
        return ()
    (name, why, *_), *others = (cut for cut in cuts if cut.first)
    beside, it = (f", {len(others)} more", name) if others else ("", "it")
    return (f"analysed up to the {_heads(lasts)}; skipped {name}{beside} and what follows: {it} {why}",)


def _heads(lasts: Sequence[str]) -> str:
    """List the first few of the last maps.

    >>> _heads(["box"]), _heads("abcdefgh")
    ('head box', 'heads a, b, c, d, e, f and 2 more')
    """
    more = f" and {len(lasts) - NAMED} more" if len(lasts) > NAMED else ""
    return f"head{'s' * (len(lasts) > 1)} {', '.join(lasts[:NAMED])}{more}"


def _gone(traced: Traced) -> Mapping[str, str]:
    """Explain, by name, why an output or something that was cut off is no layer."""
    gone = {
        name: f"is no map: it is made of what was flattened or pooled of {', '.join(maps[:NAMED])}"
        for name, maps in traced.vectors.items()
        if maps
    }
    there = f"the network was analysed up to the {_heads(traced.lasts)}"
    for cut in traced.cuts:
        gone |= dict.fromkeys(cut.behind, f"was skipped: it follows {cut.name}, which {cut.why}; {there}")
        gone[cut.name] = f"was skipped: it {cut.why}; {there}"
    return gone


class Cut(NamedTuple):
    """A head that a network is cut before: its name, what it does, and the names of what was made of it.

    It is `first` if it reads a map, and not other heads alone.
    """

    name: str
    why: str
    behind: tuple[str, ...] = ()
    first: bool = True


class Traced(NamedTuple):
    """A graph at one size: its layers, its last feature maps by name, and the heads that were cut off.

    `aliases` are other names of layers, and `vectors` names of what is no map, with the maps that it is made of.
    `grids` are the last maps at whose positions attention looks, and `resized` is the size that the image is given
    before all else.
    """

    layers: tuple[Layer, ...]
    lasts: tuple[str, ...]
    cuts: tuple[Cut, ...]
    aliases: Mapping[str, str]
    vectors: Mapping[str, tuple[str, ...]]
    grids: tuple[str, ...]
    resized: Size | None = None


def finish(trace: Trace) -> Traced:
    """Cut a trace down to what its last spatial feature maps are made of, and name them.

    A last map is one that no later map is made of: outputs, heads and pooled vectors may read it. An
    adaptive pool before a head, or a pool that reads its whole input, is not one: the map before it is. Nor is a head
    that reads a flattened map as an image: the maps that were flattened are.
    """
    ends, cuts = _before_heads(trace)
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
    attended = {_before_pooling(trace, i) for i in trace.attended}
    resizes = (i for i in place if trace.layers[i].kind == "resize" and 0 in trace.layers[i].inputs)
    return Traced(
        layers=tuple(layers),
        lasts=tuple(names[i] for i in targets),
        cuts=cuts,
        aliases={name: names[i] for name, i in trace.tensors.items() if i in names},
        vectors=_vectors(trace, place),
        grids=tuple(names[i] for i in targets if i in attended),
        resized=next((trace.sizes[i] for i in resizes), None),
    )


def _is_idle(layer: Layer) -> bool:
    """Whether a layer is a pad or a crop of no rows."""
    return layer.kind in ("pad", "crop") and all(
        op is None or (isinstance(op, Window) and (op.kernel, op.stride, op.padding) == (1, 1, (0, 0)))
        for op in layer.ops
    )


def _resize_at_any_size(trace: Trace, at: int, kept: Collection[int]) -> tuple[int | None, tuple[Op | None, ...]]:
    """Return the layer that a resize to a number of rows follows, and its operations, so that they hold at any size.

    It follows the first layer of that size; without one it is a resize by the ratio of the rows.
    """
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
    """List the last maps among the layers that something is made of."""
    read_by_maps = {i for at in live if not trace.pooled[at] for i in trace.layers[at].inputs}
    lasts = [i for i in sorted(live) if not trace.pooled[i] and i not in read_by_maps]
    stripped = list(dict.fromkeys(_before_pooling(trace, i) for i in lasts))
    inner = ancestors(trace.layers, [j for i in stripped for j in trace.layers[i].inputs])
    if targets := [i for i in stripped if i not in inner and i > 0]:
        return targets
    hint = "padviz looks for windows over an image"
    raise DescriptionError("no output is made of a spatial layer", where=trace.where, hint=hint)


def _vectors(trace: Trace, kept: Container[int]) -> dict[str, tuple[str, ...]]:
    """List the outputs that are no maps any more, each with the last maps that it is made of."""
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
    """Return what a trace ends with once its heads are cut off, and these."""
    heads = ancestors(trace.layers, trace.ends) & trace.heads.keys()
    ends = {i for at in heads for i in trace.layers[at].inputs} | trace.ends
    ends -= heads
    heads -= ancestors(trace.layers, ends)  # something that is not known reads those
    behind = {at: tuple(name for name, by in trace.behind.items() if by == at) for at in heads}
    first = {at for at in heads if not heads.issuperset(trace.layers[at].inputs)}
    return ends, tuple(Cut(trace.layers[at].name, trace.heads[at], behind[at], at in first) for at in sorted(heads))


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
