"""One network from the traces at several sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import lcm

from padviz.axis.operations import Transposed, Window
from padviz.errors import PadvizError
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.sources.tracing.last_maps import finish
from padviz.sources.tracing.settling import Tracer, alike, settled
from padviz.sources.tracing.sizes.rows import Probes
from padviz.sources.tracing.sizes.unify import Cut, Traced

EVEN = 64  # a size that this divides stays even where strides halve it, and one row more stays odd
LARGEST_STEP = 4096  # rows between the sizes that are traced
OTHERS = (
    (1, 65, 37),
    (64, 128, 192),
    (37, 22, 9),
    (18, 45, 70),
    (128, 256, 64),
)  # to trace at: whole steps, for each 64, and rows beyond the size
NAMED = 6  # last maps, in a line
TRACED = 3  # of them, where as many work


@dataclass(frozen=True, slots=True)
class About:
    """What a network is called and where it came from."""

    name: str
    title: str = ""
    source: str = ""


def general(tracer: Tracer, size: Size, about: About, *, alone: bool = False) -> Network:
    """Follow a network, for every size where the traces at a few sizes can be explained together.

    On an axis where they cannot, or where the graph works at one size only, the network is `fixed` to `size`; on all
    if it is to hold `alone` there.
    Several last feature maps make a network without targets: one must be chosen.

    >>> from padviz.sources.tracing.trace import Trace
    >>> def tracer(size, probes):
    ...     trace = Trace("tiny", size, probes)
    ...     pads = (trace.rows(0, 0) - 1) // 2 * 2 + 3 - trace.rows(0, 0)
    ...     window = Window(3, 2, padding=(pads // 2, pads - pads // 2))
    ...     trace.ends.add(trace.add("c", "conv", (0,), (window, None)))
    ...     return trace
    >>> general(tracer, (8, 8), About("tiny")).layers[1].ops[0].padding
    'same_upper'
    """
    probes = None if alone else Probes.around(size)
    first = finish(tracer(size, probes))
    explained = None
    fixed: tuple[int, ...] = ()
    assumed: tuple[str, ...] = ()
    every = tuple(range(len(size)))
    for fixed in [every] if alone else _subsets(every):  # the axes that stay as they are
        others = _others(tracer, first, fixed, probes)
        enough = others or len(fixed) == len(size)
        explained, assumed = settled(tracer, [first, *others], probes, fixed) if enough else (None, ())
        if explained:
            break
    layers, lasts = explained or (first.layers, first.lasts)
    targets = tuple(layers[i].name for i in lasts)
    return Network(
        name=about.name,
        layers=layers,
        targets=targets if len(targets) == 1 else (),
        title=about.title or about.name,
        source=about.source,
        size=size,
        fixed=fixed,
        notes=_cut_notes(first.cuts, targets) + _grid_notes(first.grids),
        assumptions=assumed,
        gone=_gone(first.cuts, targets) | _no_maps(first.vectors),
        aliases=_aliases(first, layers),
    )


def _cut_notes(cuts: Sequence[Cut], lasts: Sequence[str]) -> tuple[str, ...]:
    """Say up to where a network was analysed, and what was skipped.

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
    """Name the first few of the last maps.

    >>> _heads(["box"]), _heads("abcdefgh")
    ('head box', 'heads a, b, c, d, e, f and 2 more')
    """
    more = f" and {len(lasts) - NAMED} more" if len(lasts) > NAMED else ""
    return f"head{'s' * (len(lasts) > 1)} {', '.join(lasts[:NAMED])}{more}"


def _grid_notes(grids: Sequence[str]) -> tuple[str, ...]:
    """Say in a sentence for each last map that attention looks at what is counted to."""
    return tuple(f"counting stops at {name}, the grid of patches before attention" for name in grids)


def _aliases(traced: Traced, layers: Sequence[Layer]) -> dict[str, str]:
    """Map other names of layers to theirs; one that was left out is what it read."""
    names = {layer.name for layer in layers}
    aliases = {}
    for name, at in traced.aliases.items():
        while traced.layers[at].name not in names:
            at = traced.layers[at].inputs[0]
        aliases[name] = traced.layers[at].name
    return aliases


def _no_maps(vectors: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Say of names of outputs that they are no maps."""
    return {
        name: f"is no map: it is made of what was flattened or pooled of {', '.join(maps[:NAMED])}"
        for name, maps in vectors.items()
        if maps
    }


def _gone(cuts: Sequence[Cut], lasts: Sequence[str]) -> dict[str, str]:
    """Say why names were skipped, and up to which heads the network was analysed."""
    gone: dict[str, str] = {}
    there = f"the network was analysed up to the {_heads(lasts)}"
    for cut in cuts:
        gone |= dict.fromkeys(cut.behind, f"was skipped: it follows {cut.name}, which {cut.why}; {there}")
        gone[cut.name] = f"was skipped: it {cut.why}; {there}"
    return gone


def _others(tracer: Tracer, first: Traced, fixed: tuple[int, ...], probes: Probes | None) -> list[Traced]:
    """Trace at a few other sizes, which differ on the axes that are not fixed; none where the graph differs."""
    others: list[Traced] = []
    step = _step(first)
    own = first.sizes[0]
    for more in OTHERS[: 0 if len(fixed) == len(own) else 4 if fixed else len(OTHERS)]:
        size = tuple(n if axis in fixed else _beyond(n, more[axis], step) for axis, n in enumerate(own))
        try:
            other = finish(tracer(size, probes))
        except PadvizError:
            continue
        if alike(first, other):
            others.append(other)
        elif not any(layer.kind == "unknown" for layer in other.layers):  # it works at this size, in another way
            return []
        if len(others) == TRACED:
            break
    return others


def _subsets(axes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield none of the axes, each, more of them, and all.

    >>> [*_subsets((0, 1))]
    [(), (0,), (1,), (0, 1)]
    """
    return (some for n in range(len(axes) + 1) for some in combinations(axes, n))


def _step(traced: Traced) -> int:
    """Find rows that every stride divides: sizes that are so far apart leave the same rests, all the way down."""
    ratios = [Fraction(1)]
    for layer in traced.layers[1:]:
        ops = [op for op in layer.ops if isinstance(op, Window | Transposed)]
        strides = [Fraction(1, op.stride) if isinstance(op, Window) else Fraction(op.stride) for op in ops]
        ratios.append(ratios[layer.inputs[0]] * min(strides, default=Fraction(1)))
    step = lcm(EVEN, *(ratio.denominator for ratio in ratios))
    return step if step <= LARGEST_STEP else EVEN


def _beyond(n: int, more: int, step: int = EVEN) -> int:
    """Find a size beyond the least whole number of steps: by so many 64ths of a step, and the rest of `more` in rows.

    >>> _beyond(224, 1), _beyond(256, 64), _beyond(100, 65, 192)
    (257, 320, 385)
    """
    steps, rows = divmod(more, EVEN)
    return -(-n // step) * step + steps * step + rows
