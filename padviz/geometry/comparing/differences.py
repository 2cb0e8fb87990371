"""Where two networks differ: what every unit of every layer reads at one size, compared row by row.

Equal ends are proof that nothing differs. Nodes without an equal are aligned, and the facts that
differ are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, zip_longest
from typing import NamedTuple

import numpy as np

from padviz.errors import SizeError
from padviz.geometry.comparing.units import (
    JOINS,
    NOTHING,
    Graph,
    Node,
    Reads,
    family_of,
    graph_of,
    live_nodes,
    rows_through,
    whole_map,
)
from padviz.geometry.ledger import axis_padding
from padviz.geometry.receptive_fields import grid_in_words, receptive_fields
from padviz.network.layer import WINDOWS, Layer
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Adaptive, Blocks, Fit, Op, Transposed, Window, out_size, place
from padviz.network.resize import Resize
from padviz.network.targets import output_layers

GONE, ADDED = ("present", "missing", "remove it"), ("missing", "present", "add it")
MOST_PAIRS = 1 << 22  # of layers, tried to find which correspond


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact of one layer on one axis that differs, and what to change in A to make it as in B,
    the other network.

    The name of a layer that is missing in a network is None; `change` is "" where another row is
    the cause.
    """

    layer: str | None
    other_layer: str | None
    axis: str
    what: str
    value: str
    other_value: str
    change: str = ""


class Offset(NamedTuple):
    """The grid offset of a last map on each axis, None where it has none, and in words."""

    layer: str
    px: tuple[float | None, ...]
    words: str


class Comparison(NamedTuple):
    """The differences of two networks, A and B, and the grid offsets of their last maps.

    `later` counts the layers that only have other sizes because of these differences.
    """

    differences: tuple[Difference, ...]
    later: int
    offsets: tuple[tuple[Offset, ...], tuple[Offset, ...]]

    @property
    def moved(self) -> list[tuple[Offset, Offset]]:
        """Last maps of A and of B, in order, whose grids differ."""
        return [(a, b) for a, b in zip(*self.offsets, strict=False) if a.words != b.words]


def compared(a: Network, b: Network, size: Size) -> Comparison:
    """Compare two networks at a size.

    >>> import padviz
    >>> vgg = padviz.load("vgg11")
    >>> compared(vgg, vgg, (64, 64))[:2]
    ((), 0)
    """
    # a description is silent on what follows its last map
    tails = a.tail is not None and b.tail is not None
    numbers: dict[object, int] = {}
    first, second = graph_of(a, size, numbers, tails), graph_of(b, size, numbers, tails)
    mine, others = live_nodes(first), live_nodes(second)
    left = _unmatched(first, mine, second, others)
    others_left = _unmatched(second, others, first, mine)
    pairs = _aligned(first, left, second, others_left)
    partners = {x.number: y.number for x, y in pairs if x and y}
    rows, later = list[Difference](), 0
    for x, y in pairs:
        if x is None or y is None:
            rows.append(_missing(first, x, second, y))
            continue
        differences = list(_differences(first, x, second, y, partners)) or _wiring(
            first, x, second, y, partners
        )
        rows += differences
        if not differences and x.family != "end" and first.rows(x.at, 0) != second.rows(y.at, 0):
            later += 1
    if pairs and not rows:
        rows.append(_out_of_order(first, second, *pairs[0]))
    return Comparison(tuple(dict.fromkeys(rows)), later, (_offsets(a, size), _offsets(b, size)))


def _out_of_order(a: Graph, b: Graph, x: Node | None, y: Node | None) -> Difference:
    """Return the difference of networks that read differently though no layer does: never report
    them as equal.
    """
    names = x and a.layer(x).name, y and b.layer(y).name
    return Difference(*names, _every(a.network), "order of layers", "", "")


def _unmatched(a: Graph, mine: Sequence[Node], b: Graph, others: Sequence[Node]) -> list[Node]:
    """Return the nodes of A without an equal in B; of equal ones, one that B has under another
    name.
    """
    left, unmatched = Counter(node.number for node in others), []
    names = {(node.number, b.layer(node).name) for node in others}
    # Nodes of one name in both are matched first.
    for node in sorted(mine, key=lambda x: (x.number, a.layer(x).name) not in names):
        if left[node.number]:
            left[node.number] -= 1
        else:
            unmatched.append(node)
    return sorted(unmatched, key=lambda node: node.at)


Pair = tuple[Node | None, Node | None]


def _aligned(a: Graph, first: Sequence[Node], b: Graph, second: Sequence[Node]) -> list[Pair]:
    """Pair the nodes that correspond, in order, with the largest sum of likenesses; None for one
    without a partner.
    """
    end = 0  # what is alike at the end needs no search
    while end < min(len(first), len(second)) and _spelling(a, first[-1 - end]) == _spelling(
        b, second[-1 - end]
    ):
        end += 1
    n, m = len(first) - end, len(second) - end
    tail: list[Pair] = [*zip(first[n:], second[m:], strict=True)]
    if n * m > MOST_PAIRS:
        return [*zip_longest(first[:n], second[:m]), *tail]
    best = np.zeros((n + 1, m + 1))
    likeness = np.zeros((n, m))
    for i in reversed(range(n)):
        for j in reversed(range(m)):
            likeness[i, j] = _likeness(a, first[i], b, second[j])
            best[i, j] = max(best[i + 1, j], best[i, j + 1], best[i + 1, j + 1] + likeness[i, j])
    pairs, i, j = list[Pair](), 0, 0
    while i < n and j < m:
        if likeness[i, j] > 0 and best[i, j] == best[i + 1, j + 1] + likeness[i, j]:
            pairs.append((first[i], second[j]))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            pairs.append((first[i], None))
            i += 1
        else:
            pairs.append((None, second[j]))
            j += 1
    pairs += [(x, None) for x in first[i:n]]
    pairs += [(None, y) for y in second[j:m]]
    return pairs + tail


def _spelling(graph: Graph, node: Node) -> object:
    return node.family, [[graph.layers[i].ops for i in chain] for _, chain in node.inputs]


def _likeness(a: Graph, x: Node, b: Graph, y: Node) -> float:
    """Return how much speaks for two nodes to be the same layer; below 0 they are not."""
    if (x.family == "end") != (y.family == "end") or (x.family in JOINS) != (y.family in JOINS):
        return -1
    one, other = a.layer(x), b.layer(y)
    named = 3 * (one.name == other.name) + (
        one.channels is not None and one.channels == other.channels
    )
    if x.local == y.local:
        return 4 + named
    if one.ops == other.ops:
        return 3 + named
    return named + (2 if x.family == y.family else -2)


def _every(network: Network) -> str:
    return {1: network.axes[0], 2: "both", 3: "all"}[len(network.axes)]


def _missing(a: Graph, x: Node | None, b: Graph, y: Node | None) -> Difference:
    node = x or y
    assert node is not None
    thing = "last map" if node.family == "end" else "layer"
    if y is None:
        return Difference(a.layer(node).name, None, _every(a.network), thing, *GONE)
    return Difference(None, b.layer(node).name, _every(a.network), thing, *ADDED)


def _wiring(a: Graph, x: Node, b: Graph, y: Node, partners: Mapping[int, int]) -> list[Difference]:
    """List a node that does the same as its partner to other inputs, though these have partners,
    too.
    """
    mine = {a.nodes[at].number for at, _ in x.inputs}
    theirs = {b.nodes[at].number for at, _ in y.inputs}
    shared = {node.number for node in a.nodes} & {node.number for node in b.nodes}
    known = {number: number for number in shared}
    known.update(partners)
    if not mine <= known.keys() or not theirs <= {*known.values()}:
        return []
    if {known[number] for number in mine} == theirs:
        return []
    return [_other_inputs(a, x, b, y)]


def _other_inputs(a: Graph, x: Node, b: Graph, y: Node) -> Difference:
    names = a.layer(x).name, b.layer(y).name
    return Difference(*names, _every(a.network), "inputs", _inputs(a, x), _inputs(b, y))


def _inputs(graph: Graph, node: Node) -> str:
    return ", ".join(graph.layer(graph.nodes[at]).name for at, _ in sorted(node.inputs))


def _differences(
    a: Graph, x: Node, b: Graph, y: Node, partners: Mapping[int, int]
) -> Iterator[Difference]:
    """Yield the facts that make two nodes read differently, both at the sizes that A has."""
    one, other = a.layer(x), b.layer(y)
    if x.local == y.local:
        return
    if len(x.inputs) != len(y.inputs):
        yield _other_inputs(a, x, b, y)
        return
    every = _every(a.network)
    if x.family != y.family and not (any(one.ops) and any(other.ops)):
        yield Difference(
            one.name, other.name, every, "kind", one.kind, other.kind, f"use {other.kind}"
        )
    unpaired = [*y.inputs]
    for before, mine in x.inputs:
        # Branches may stand in another order: the partner reads what is the same, or corresponds.
        number = a.nodes[before].number
        wanted = partners.get(number, number)
        branch = next((pair for pair in unpaired if b.nodes[pair[0]].number == wanted), unpaired[0])
        unpaired.remove(branch)
        axes: dict[Difference, list[str]] = {}
        for axis, name in enumerate(a.network.axes):
            n = a.rows(a.nodes[before].at, axis)
            for row in _on_axis(_Chain.of(a, mine, axis, n), _Chain.of(b, branch[1], axis, n)):
                axes.setdefault(row, []).append(name)
        for row, names in axes.items():
            if len(names) == len(a.network.axes):
                yield replace(row, axis=every)
            else:
                yield replace(row, axis=names[0])


class _Link(NamedTuple):
    """A layer of a chain on one axis: its operation, and the rows of the layer whose size it
    follows, if any.
    """

    layer: Layer
    op: Op | None
    like: int | None


class _Chain(NamedTuple):
    """Layers that follow each other, on one axis of `n` rows; the first one reads `n_own` rows in
    its network.
    """

    links: tuple[_Link, ...]
    n: int
    n_own: int

    @classmethod
    def of(cls, graph: Graph, layers: Sequence[int], axis: int, n: int) -> _Chain:
        links, n_own = list[_Link](), n
        for at in layers:
            layer = graph.layers[at]
            if not links:
                n_own = graph.rows(layer.inputs[0], axis)
            links.append(_Link(layer, layer.ops[axis], graph.like(at, axis)))
        return cls(tuple(links), n, n_own)

    def following(self, other: _Chain) -> _Chain:
        """Return the chain with the sizes that the other one follows: another size is a later
        difference.
        """
        if len(self.links) != len(other.links):
            return self
        links = []
        for link, theirs in zip(self.links, other.links, strict=True):
            if link.like is not None and theirs.like is not None:
                link = link._replace(like=theirs.like)
            links.append(link)
        return self._replace(links=tuple(links))

    @property
    def spelling(self) -> list[tuple[str, Op | None, int | None]]:
        return [(family_of(layer), op, like) for layer, op, like in self.links]

    def reads(self) -> Reads:
        reads = whole_map(self.n)
        for layer, op, like in self.links:
            reads = rows_through(reads, op, family_of(layer), len(reads), like)
        return reads


def _on_axis(mine: _Chain, theirs: _Chain) -> Iterator[Difference]:
    theirs = theirs.following(mine)
    if mine.spelling == theirs.spelling:
        return
    reads = mine.reads()
    try:
        other_reads, other_steps = theirs.reads(), _steps(theirs)
    except SizeError:  # B's layer does not take the size that A's has
        theirs = theirs._replace(n=theirs.n_own)
        other_reads, other_steps = theirs.reads(), _steps(theirs)
    if reads.digest == other_reads.digest:
        return
    # Steps are paired from the last one backwards.
    backwards = zip_longest(_steps(mine)[::-1], other_steps[::-1])
    rows: list[Difference] = []
    for x, y in reversed([*backwards]):
        rows += _facts_of(x, y)
    if not rows:
        unit = _first_apart(reads, other_reads)
        names = mine.links[-1].layer.name, theirs.links[-1].layer.name
        rows.append(
            Difference(
                *names,
                "",
                f"rows of unit {unit}",
                _in_words(reads, unit),
                _in_words(other_reads, unit),
            )
        )
    yield from rows


class _Step(NamedTuple):
    """An operation on one axis, `plain`, and `op`, which has the rows that pads before it add;
    these by name.
    """

    pads: tuple[tuple[str, Op], ...]
    name: str
    kind: str
    plain: Op
    op: Op
    n: int
    n_out: int


def _steps(chain: _Chain) -> list[_Step]:
    steps, n = list[_Step](), chain.n
    for link in chain.links:
        layer, op = link.layer, link.op or Window(1)
        n_out = out_size(op, n, link.like)
        if isinstance(op, Window):
            before, after, _ = place(op, n)
            op = replace(op, padding=(before, after))
            if layer.kind == "maxpool" and op.mode == "zero":
                op = replace(op, fill="none")  # a maximum leaves its padding out
        copies = op in (Window(1), Window(1, fill="none"))
        if not copies or (link is chain.links[-1] and layer.kind in WINDOWS):
            step = _Step((), layer.name, layer.kind, op, op, n, n_out)
            while steps and (joined := _with_pad(steps[-1], step)):
                steps.pop()
                step = joined
            steps.append(step)
        n = n_out
    return steps


def _with_pad(pad: _Step, step: _Step) -> _Step | None:
    """Count the rows that a step pads as padding of the window behind it; None where that says
    something else.
    """
    rows, window = pad.op, step.op
    if not isinstance(rows, Window) or not isinstance(window, Window) or window.ceil:
        return None
    if rows != Window(1, padding=rows.padding, mode=rows.mode, fill=rows.fill):
        return None
    outer, inner = rows.padding, window.padding
    if isinstance(outer, str) or isinstance(inner, str) or min(outer) < 0:
        return None
    if inner != (0, 0) and (rows.mode, rows.fill) != (window.mode, window.fill):
        return None
    padding = outer[0] + inner[0], outer[1] + inner[1]
    op = replace(window, padding=padding, mode=rows.mode, fill=rows.fill)
    return step._replace(pads=(*pad.pads, (pad.name, pad.plain), *step.pads), op=op, n=pad.n)


def _facts_of(x: _Step | None, y: _Step | None) -> Iterator[Difference]:
    if y is None:
        assert x is not None
        yield Difference(x.name, None, "", "layer", *GONE)
    elif x is None:
        yield Difference(None, y.name, "", "layer", *ADDED)
    elif (x.kind, x.op) != (y.kind, y.op):  # else its rows differ since those before it do
        first, second = _facts(x), _facts(y)
        names = _names(x, y)
        for what in {**first, **second}:
            one, other = first.get(what, ""), second.get(what, "")
            if one != other:
                yield Difference(*names, "", what, one, other, _cure(what, other))


def _names(x: _Step, y: _Step) -> tuple[str, str]:
    """List the layers to change: pads that differ, if the operations behind them are equal."""
    if x.plain != y.plain or not x.pads or len(x.pads) != len(y.pads):
        return x.name, y.name
    differing = [
        (a, b) for (a, one), (b, other) in zip(x.pads, y.pads, strict=True) if one != other
    ]
    return ", ".join(a for a, _ in differing), ", ".join(b for _, b in differing)


def _facts(step: _Step) -> dict[str, str]:
    """Describe a step in words, fact by fact."""
    op, facts = step.op, dict[str, object]()
    if isinstance(op, Window):
        facts = _window_facts(step, op)
    else:
        facts["kind"] = step.kind
    if isinstance(op, Transposed):
        facts |= {"kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        facts |= {
            "padding": f"{op.padding[0]}+{op.padding[1]}",
            "output padding": op.output_padding,
        }
    elif isinstance(op, Adaptive):
        facts["pools"] = "maximum" if op.maximum else "average"
    elif isinstance(op, Resize):
        facts |= {
            "mode": op.mode,
            "coordinates": op.layout,
            "scale": op.scale or Fraction(step.n_out, step.n),
        }
        if op.mode == "nearest":
            facts["rounding"] = op.rounding
            if op.float32:
                facts["rounding"] = f"{op.rounding} in float32, by {op.float32.runtime}"
    elif isinstance(op, Fit):
        facts["odd row"] = op.odd
    elif isinstance(op, Blocks):
        facts |= {"block": in_words(op.of(step.n)), "first block": op.first or op.size}
    facts["output"] = step.n_out
    return {what: str(value) for what, value in facts.items()}


def _window_facts(step: _Step, op: Window) -> dict[str, object]:
    before, after, _ = place(op, step.n)
    facts: dict[str, object] = {}
    if step.kind in WINDOWS:
        rounding = "up" if op.ceil else "down"
        facts |= {"kind": step.kind, "kernel": op.kernel, "stride": op.stride}
        facts |= {"dilation": op.dilation, "rounding": rounding}
    elif op.stride > 1:
        facts["stride"] = op.stride
    if max(before, after) <= 0 > min(before, after):
        facts["crop"] = f"{-before}+{-after}"
    else:
        facts["padding"] = f"{before}+{after}"
    filled = max(before, after) > 0
    if step.kind in WINDOWS and min(before, after) >= 0:
        first, last = axis_padding(op, step.n).reads
        facts["padding read"] = f"{first}+{last}"
        filled = bool(first or last)
    facts["mode"] = _filling(op) if filled else ""
    return facts


def _filling(op: Window) -> str:
    """Return what the padding of a window is made of."""
    if op.mode != "zero":
        return op.mode
    if op.fill == "none":
        return "left out"
    if not op.fill:
        return "zero"
    return f"{op.fill:g}"


def _cure(what: str, wanted: str) -> str:
    if what in ("output", "padding read") or not wanted:
        return ""
    if "float32" in wanted:
        return "resize by 2, which every runtime rounds alike"
    if what == "kind":
        return f"use {wanted}"
    if what == "padding":
        before, _, after = wanted.partition("+")
        if before != after:
            return f"pad {before} before and {after} after"
        wanted = before
    return f"set it to {wanted}"


def _first_apart(a: Reads, b: Reads) -> int:
    return next(unit for unit in count() if _unit(a, unit) != _unit(b, unit))


def _unit(reads: Reads, unit: int) -> object:
    """Return the rows and the weights of a unit; None if there is no such unit."""
    if unit >= len(reads):
        return None
    weights = None
    if reads.weights is not None:
        weights = reads.weights[:, unit].tolist()
    return reads.rows[:, unit].tolist(), weights


def _in_words(reads: Reads, unit: int) -> str:
    if unit >= len(reads):
        return "no such unit"
    return ", ".join(
        "zeros" if row < 0 else str(row) for row in reads.rows[:, unit].tolist() if row != NOTHING
    )


def _offsets(network: Network, size: Size) -> tuple[Offset, ...]:
    try:
        fields = {row.layer: row for row in receptive_fields(network, size)}
    except SizeError:  # a map whose units see no repeating pattern, and are too many to follow
        return ()
    ends = [fields[name] for name in output_layers(None, network) if name in fields]
    return tuple([Offset(field.layer, field.offsets, grid_in_words(field)) for field in ends])
