"""A foreign network: it is traced at each size that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from padviz.network.network import Network, Size, in_words
from padviz.sources.tracing.last_maps import Cut, Traced, finish
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
