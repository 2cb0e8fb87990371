"""Where two networks differ: what every unit of every layer reads at one size, compared row by row.

Equal ends are proof that nothing differs. Nodes without an equal are aligned, and the facts that differ are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from padviz.errors import SizeError
from padviz.geometry.comparing.units import (
    JOINS,
    NOTHING,
    Graph,
    Node,
    Reads,
    every_row,
    family_of,
    graph_of,
    live_nodes,
    rows_through,
)
from padviz.geometry.ledger import axis_padding
from padviz.geometry.receptive_fields import grid_in_words, receptive_fields
from padviz.network.layer import WINDOWS
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Adaptive, Fit, Op, Transposed, Window, out_size, place
from padviz.network.resize import Resize
from padviz.network.targets import output_layers

MOST_PAIRS = 1 << 22  # of layers, tried to find which correspond


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact of one layer on one axis that differs, and what to change in A to make it as in B.

    The name of a layer that is missing in a network is None; `change` is "" where another row is the cause.
    """

    a: str | None
    b: str | None
    axis: str
    what: str
    in_a: str
    in_b: str
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
    tails = a.tail is not None and b.tail is not None  # a description is silent on what follows its last map
    numbers: dict[Any, int] = {}
    first, second = (graph_of(network, size, numbers, tails) for network in (a, b))
    nodes = live_nodes(first), live_nodes(second)
    mine, others = _unmatched(*nodes), _unmatched(*nodes[::-1])
    pairs = _aligned(first, mine, second, others)
    rows, later = list[Difference](), 0
    partners = {x.number: y.number for x, y in pairs if x and y}
    for x, y in pairs:
        if x is None or y is None:
            rows.append(_missing(first, x, second, y))
            continue
        found = list(_differences(first, x, second, y, partners))
        later += not found and x.family != "end" and first.sizes[0][x.at] != second.sizes[0][y.at]
        rows += found or _wiring(first, x, second, y, partners)
    if pairs and not rows:
        x, y = pairs[0]
        rows = [Difference(x and first.layer(x).name, y and second.layer(y).name, _every(a), "order of layers", "", "")]
    return Comparison(tuple(dict.fromkeys(rows)), later, (_offsets(a, size), _offsets(b, size)))


def _unmatched(nodes: Iterable[Node], others: Iterable[Node]) -> list[Node]:
    left, unmatched = Counter(node.number for node in others), []
    for node in nodes:
        if left[node.number]:
            left[node.number] -= 1
        else:
            unmatched.append(node)
    return unmatched


Pair = tuple[Node | None, Node | None]


def _aligned(a: Graph, first: Sequence[Node], b: Graph, second: Sequence[Node]) -> list[Pair]:
    """Pair the nodes that correspond, in order, with the largest sum of likenesses; None for one without a partner."""
    end = 0  # what is alike at the end needs no search
    while end < min(len(first), len(second)) and _spelling(a, first[-1 - end]) == _spelling(b, second[-1 - end]):
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


def _spelling(graph: Graph, node: Node) -> Any:
    return node.family, [[graph.layers[i].ops for i in chain] for _, chain in node.inputs]


def _likeness(a: Graph, x: Node, b: Graph, y: Node) -> float:
    """Return how much speaks for two nodes to be the same layer; below 0 they are not."""
    if (x.family == "end") != (y.family == "end") or (x.family in JOINS) != (y.family in JOINS):
        return -1
    one, other = a.layer(x), b.layer(y)
    named = 3 * (one.name == other.name) + (one.channels is not None and one.channels == other.channels)
    if x.local == y.local:
        return 4 + named
    if one.ops == other.ops:
        return 3 + named
    return named + (2 if x.family == y.family else -2)


def _every(network: Network) -> str:
    return {1: network.axes[0], 2: "both", 3: "all"}[len(network.axes)]


def _missing(a: Graph, x: Node | None, b: Graph, y: Node | None) -> Difference:
    every = _every(a.network)
    if y is None:
        assert x is not None
        return Difference(a.layer(x).name, None, every, _thing(x), "present", "missing", "remove it")
    return Difference(None, b.layer(y).name, every, _thing(y), "missing", "present", "add it")


def _thing(node: Node) -> str:
    return "last map" if node.family == "end" else "layer"


def _wiring(a: Graph, x: Node, b: Graph, y: Node, partners: Mapping[int, int]) -> list[Difference]:
    """List a node that does the same as its partner to other inputs, though these have partners, too."""
    mine = {a.nodes[at].number for at, _ in x.inputs}
    theirs = {b.nodes[at].number for at, _ in y.inputs}
    shared = {node.number for node in a.nodes} & {node.number for node in b.nodes}
    known = {**{number: number for number in shared}, **partners}
    if not mine <= known.keys() or not theirs <= {*known.values()} or {known[one] for one in mine} == theirs:
        return []
    names = _inputs(a, x), _inputs(b, y)
    return [Difference(a.layer(x).name, b.layer(y).name, _every(a.network), "inputs", *names)]


def _inputs(graph: Graph, node: Node) -> str:
    return ", ".join(graph.layer(graph.nodes[at]).name for at, _ in sorted(node.inputs))


class _Step(NamedTuple):
    """An operation on one axis with the pads before it, by name; its own name, and its op without and with them."""

    pads: tuple[tuple[str, Op], ...]
    name: str
    kind: str
    own: Op
    op: Op
    n: int
    n_out: int


def _differences(a: Graph, x: Node, b: Graph, y: Node, partners: Mapping[int, int]) -> Iterator[Difference]:
    """Yield the facts that make two nodes read differently, both at the sizes that A has."""
    one, other = a.layer(x), b.layer(y)
    if x.local == y.local:
        return
    if len(x.inputs) != len(y.inputs):
        names = _inputs(a, x), _inputs(b, y)
        yield Difference(one.name, other.name, _every(a.network), "inputs", *names)
        return
    if x.family != y.family and not (any(one.ops) and any(other.ops)):
        yield Difference(one.name, other.name, _every(a.network), "kind", one.kind, other.kind, f"use {other.kind}")
    left = [*y.inputs]
    for before, chain in x.inputs:
        number = a.nodes[before].number
        wanted = partners.get(number, number)  # branches may stand in another order
        other_branch = next((branch for branch in left if b.nodes[branch[0]].number == wanted), left[0])
        left.remove(other_branch)
        theirs = other_branch[1]
        rows: dict[Difference, list[str]] = {}
        for axis, name in enumerate(a.network.axes):
            n = a.sizes[axis][a.nodes[before].at]
            for row in _on_axis(a, chain, b, theirs, axis, n):
                rows.setdefault(row, []).append(name)
        for row, axes in rows.items():
            yield replace(row, axis=axes[0] if len(axes) < len(a.network.axes) else _every(a.network))


def _on_axis(
    a: Graph, chain: Sequence[int], b: Graph, theirs: Sequence[int], axis: int, n: int
) -> Iterator[Difference]:
    likes, others = a.likes(chain, axis), b.likes(theirs, axis)
    if len(likes) == len(others):  # a skip that is cropped to another size is a later difference
        others = [there if mine is None or there is None else mine for mine, there in zip(likes, others, strict=True)]
    if likes == others and _spelled(a, chain, axis) == _spelled(b, theirs, axis):
        return
    own = _along(a, chain, axis, n, likes)
    try:
        found, steps = _along(b, theirs, axis, n, others), _steps(b, theirs, axis, n, others)
    except SizeError:  # B's layer does not take the size that A's has
        n_b = b.sizes[axis][b.layers[theirs[0]].inputs[0]]
        found, steps = _along(b, theirs, axis, n_b, others), _steps(b, theirs, axis, n_b, others)
    if own.digest == found.digest:
        return
    some = False
    for mine, there in _paired(_steps(a, chain, axis, n, likes), steps):
        for row in _facts_of(mine, there):
            some = True
            yield row
    if not some:
        unit = _first_apart(own, found)
        layers = a.layers[chain[-1]].name, b.layers[theirs[-1]].name
        yield Difference(*layers, "", f"rows of unit {unit}", _in_words(own, unit), _in_words(found, unit))


def _spelled(graph: Graph, chain: Iterable[int], axis: int) -> Any:
    return [(family_of(graph.layers[i]), graph.layers[i].ops[axis]) for i in chain]


def _along(graph: Graph, chain: Sequence[int], axis: int, n: int, likes: Sequence[int | None]) -> Reads:
    found = Reads(every_row(n)[None])
    for i, like in zip(chain, likes, strict=True):
        layer = graph.layers[i]
        found = rows_through(found.rows[0], layer.ops[axis], family_of(layer), n, like)
        n = found.rows.shape[1]
    return found


def _steps(graph: Graph, chain: Sequence[int], axis: int, n: int, likes: Sequence[int | None]) -> list[_Step]:
    steps = list[_Step]()
    for i, like in zip(chain, likes, strict=True):
        layer = graph.layers[i]
        op = layer.ops[axis] or Window(1)
        n_out = out_size(op, n, like)
        if isinstance(op, Window):
            before, after, _ = place(op, n)
            leaves_out = layer.kind == "maxpool" and op.mode == "zero"
            op = replace(op, padding=(before, after), fill="none" if leaves_out else op.fill)
        if op in (Window(1), Window(1, fill="none")) and (i != chain[-1] or layer.kind not in WINDOWS):
            n = n_out  # it copies each row
            continue
        step = _Step((), layer.name, layer.kind, op, op, n, n_out)
        while steps and (joined := _with_pad(steps[-1], step)):
            steps.pop()
            step = joined
        steps.append(step)
        n = n_out
    return steps


def _with_pad(pad: _Step, step: _Step) -> _Step | None:
    """Count the rows that a step pads as padding of the window behind it; None where that says something else."""
    rows, window = pad.op, step.op
    if (
        not isinstance(rows, Window)
        or not isinstance(window, Window)
        or rows != Window(1, padding=rows.padding, mode=rows.mode, fill=rows.fill)
    ):
        return None
    ends, own = rows.padding, window.padding
    if isinstance(ends, str) or isinstance(own, str) or min(ends) < 0 or window.ceil:
        return None
    if own != (0, 0) and (rows.mode, rows.fill) != (window.mode, window.fill):
        return None
    both = ends[0] + own[0], ends[1] + own[1]
    op = replace(window, padding=both, mode=rows.mode, fill=rows.fill)
    return step._replace(pads=(*pad.pads, (pad.name, pad.own), *step.pads), op=op, n=pad.n)


def _paired(mine: Sequence[_Step], others: Sequence[_Step]) -> list[tuple[_Step | None, _Step | None]]:
    return [*zip_longest(mine[::-1], others[::-1])][::-1]


def _facts_of(x: _Step | None, y: _Step | None) -> Iterator[Difference]:
    if x is None or y is None:
        step = x or y
        assert step is not None
        names = x and x.name, y and y.name
        states = ("present", "missing", "remove it") if x else ("missing", "present", "add it")
        yield Difference(*names, "", "layer", *states)
        return
    if x.op == y.op:  # its rows differ since those before it do
        return
    first, second = _facts(x), _facts(y)
    names = x.name, y.name
    if x.own == y.own and x.pads and len(x.pads) == len(y.pads):  # some pads before it differ
        apart = [(a, b) for a, b in zip(x.pads, y.pads, strict=True) if a[1] != b[1]]
        names = ", ".join(a[0] for a, _ in apart), ", ".join(b[0] for _, b in apart)
    for what in {**first, **second}:
        one, other = first.get(what, ""), second.get(what, "")
        if one != other:
            yield Difference(*names, "", what, one, other, _cure(what, other))


def _facts(step: _Step) -> dict[str, str]:
    """Return what a step is made of, in words."""
    op, facts = step.op, dict[str, object]()
    if isinstance(op, Window):
        before, after = place(op, step.n)[:2]
        if step.kind in WINDOWS:
            facts = {"kind": step.kind, "kernel": op.kernel}
        if step.kind in WINDOWS or op.stride > 1:
            facts |= {"stride": op.stride}
        if step.kind in WINDOWS:
            facts |= {"dilation": op.dilation, "rounding": "up" if op.ceil else "down"}
        crops = max(before, after) <= 0 > min(before, after)
        facts["crop" if crops else "padding"] = f"{-before}+{-after}" if crops else f"{before}+{after}"
        filled = max(before, after) > 0
        if step.kind in WINDOWS and min(before, after) >= 0:
            read = axis_padding(op, step.n).reads
            facts["padding read"] = f"{read[0]}+{read[1]}"
            filled = any(read)
        facts["mode"] = _filling(step) if filled else ""
    elif isinstance(op, Transposed):
        facts = {"kind": step.kind, "kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        facts |= {"padding": f"{op.padding[0]}+{op.padding[1]}", "output padding": op.output_padding}
    elif isinstance(op, Adaptive):
        facts = {"kind": step.kind, "pools": "maximum" if op.maximum else "average"}
    elif isinstance(op, Resize):
        method = "cubic" if op.cubic else "linear" if op.linear else "nearest"
        facts = {"kind": step.kind, "mode": method, "coordinates": op.layout}
        facts |= {"scale": str(op.scale or Fraction(step.n_out, step.n))}
        if method == "nearest":
            facts["rounding"] = op.rounding
    elif isinstance(op, Fit):
        facts = {"kind": step.kind, "odd row": op.odd}
    else:
        facts = {"kind": step.kind, "block": in_words(op.of(step.n)), "first block": op.first or op.size}
    facts["output"] = step.n_out
    return {what: str(value) for what, value in facts.items()}


def _filling(step: _Step) -> str:
    """Return what the padding of a step is made of."""
    op = step.op
    assert isinstance(op, Window)
    if op.mode != "zero":
        return op.mode
    if op.fill == "none":
        return "left out"
    return "zero" if not op.fill else f"{op.fill:g}"


def _cure(what: str, wanted: str) -> str:
    if what in ("output", "padding read") or not wanted:
        return ""
    before, plus, after = wanted.partition("+")
    if what == "padding" and plus and before != after:
        return f"pad {before} before and {after} after"
    return f"set it to {before if what == 'padding' and before == after else wanted}"


def _first_apart(a: Reads, b: Reads) -> int:
    columns = [
        (None if each.weights is None else each.weights[:, unit].tolist(), each.rows[:, unit].tolist())
        for each in (a, b)
        for unit in range(each.rows.shape[1])
    ]
    mine, others = columns[: a.rows.shape[1]], columns[a.rows.shape[1] :]
    return next(unit for unit, (x, y) in enumerate(zip_longest(mine, others)) if x != y)


def _in_words(found: Reads, unit: int) -> str:
    if unit >= found.rows.shape[1]:
        return "no such unit"
    return ", ".join("zeros" if row < 0 else str(row) for row in found.rows[:, unit].tolist() if row != NOTHING)


def _offsets(network: Network, size: Size) -> tuple[Offset, ...]:
    try:
        fields = {row.layer: row for row in receptive_fields(network, size)}
    except SizeError:  # a map whose units see no repeating pattern, and are too many to follow
        fields = {}
    ends = output_layers(None, network)
    return tuple(Offset(name, fields[name].offsets, grid_in_words(fields[name])) for name in ends if name in fields)
