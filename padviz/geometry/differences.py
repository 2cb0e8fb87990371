"""Where two networks differ: what every unit of every layer reads at one size, compared row by row.

Pads, crops, slices and nearest resizes copy rows, so they are folded into the layers that read them: a pad in front of
a convolution equals padding of its own, and a crop that undoes a pad vanishes, as activations do. What remains are
nodes: windows, resizes between rows, merges, and the ends of the network. Two nodes are equal if they do the same to
the same rows of equal nodes, so equal ends are proof that nothing differs, whatever the layers are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import SizeError
from padviz.geometry.ledger import axis_padding
from padviz.geometry.receptive_fields import grid_in_words, receptive_fields
from padviz.network.layer import MERGES, WINDOWS, Layer
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Adaptive, Fit, Op, Transposed, Window, fit_shift, out_size, place
from padviz.network.padding_modes import fold
from padviz.network.resize import Resize, reads
from padviz.network.sizes import sizes_of_each
from padviz.network.targets import output_layers

ZERO, NOTHING = -1, -2  # what a tap reads outside of the map: a zero, or nothing, since the row is left out
STEP = -(1 << 40)  # minus the step of a block's rows
DIGITS = 10**9  # weights of averages are compared to nine digits
MOST_PAIRS = 1 << 22  # of layers, tried to find which correspond
JOINS = MERGES | {"gate"}
Rows = NDArray[np.int64]


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


class _Reads(NamedTuple):
    """The row that each tap of each unit reads, shape (taps, units), and its weight in an average."""

    rows: Rows
    weights: Rows | None = None

    @property
    def digest(self) -> bytes:
        parts = [part for part in self if part is not None]
        return blake2b(b"".join(part.tobytes() for part in parts), person=repr(parts[0].shape).encode()[:16]).digest()


class _Place(NamedTuple):
    """Where a layer's rows come from: a node, the layers that copied them, and the row copied, on each axis."""

    node: int
    copied: tuple[int, ...]
    rows: tuple[Rows, ...]
    digests: tuple[bytes, ...]


class _Node(NamedTuple):
    """A layer that is more than a copy. Its inputs are nodes, each with the layers up to this one.

    Nodes of equal `number` compute the same of the image, of equal `local` the same of their inputs.
    """

    at: int
    family: str
    inputs: tuple[tuple[int, tuple[int, ...]], ...]
    local: tuple[Any, ...]
    number: int
    sources: tuple[_Place, ...]


class _Graph(NamedTuple):
    network: Network
    layers: tuple[Layer, ...]
    sizes: tuple[list[int], ...]
    nodes: list[_Node]

    def layer(self, node: _Node) -> Layer:
        return self.layers[node.at]

    def likes(self, chain: Iterable[int], axis: int) -> list[int | None]:
        followed = [self.layers[i].like for i in chain]
        return [None if like is None else self.sizes[axis][like] for like in followed]


def compared(a: Network, b: Network, size: Size) -> Comparison:
    """Compare two networks at a size.

    >>> import padviz
    >>> vgg = padviz.load("vgg11")
    >>> compared(vgg, vgg, (64, 64))[:2]
    ((), 0)
    """
    tails = a.tail is not None and b.tail is not None  # a description is silent on what follows its last map
    numbers: dict[Any, int] = {}
    first, second = (_graph(network, size, numbers, tails) for network in (a, b))
    nodes = _live(first), _live(second)
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


def _graph(network: Network, size: Size, numbers: dict[Any, int], tail: bool) -> _Graph:
    layers = (*network.layers, *(network.tail or ())) if tail else network.layers
    sizes = tuple([*along] for along in sizes_of_each(network, size))
    graph = _Graph(network, layers, sizes, [])
    places = [_at_node(_add(graph, numbers, 0, "input", [], []), size)]
    for i, layer in enumerate(layers[1:], start=1):
        sources = [places[j] for j in layer.inputs]
        if layer.kind in JOINS or (layer.everywhere and not any(layer.ops)):
            places.append(_joined(graph, numbers, i, sources))
        elif any(layer.ops):
            places.append(_placed(graph, numbers, i, sources[0]))
        else:
            places.append(sources[0])
        for axis, along in enumerate(sizes):
            if len(along) == i:  # of the tail
                along.append(len(places[i].rows[axis]))
    read = {j for layer in layers for j in layer.inputs}
    for i in range(len(layers)):
        if i not in read:
            _add(graph, numbers, i, "end", [places[i]], [places[i].digests])
    return graph


def _live(graph: _Graph) -> list[_Node]:
    """Return the nodes that ends are made of, without sums whose branches became those of others."""
    live = set[int]()
    for at in reversed(range(len(graph.nodes))):
        node = graph.nodes[at]
        if node.family == "end" or at in live:
            live |= {at, *(before for before, _ in node.inputs)}
    return [graph.nodes[at] for at in sorted(live)]


@lru_cache(64)
def _every_row(n: int) -> Rows:
    """Return the rows of a map that is read as it is; one array, which nobody changes."""
    return np.arange(n)


@lru_cache(64)
def _every_digest(n: int) -> bytes:
    return _Reads(_every_row(n)[None]).digest


def _at_node(node: int, size: Iterable[int]) -> _Place:
    """Return the place of a node's own rows."""
    lengths = [*size]
    return _Place(node, (), tuple(map(_every_row, lengths)), tuple(map(_every_digest, lengths)))


def _add(
    graph: _Graph, numbers: dict[Any, int], at: int, family: str, sources: Sequence[_Place], digests: Sequence[Any]
) -> int:
    """Add a node, and return its place among them."""
    pairs = [*zip(sources, digests, strict=True)] if digests else []
    known = sorted({(graph.nodes[source.node].number, digest) for source, digest in pairs})
    local = (family, *sorted({digest for _, digest in pairs}))
    number = numbers.setdefault((family, *known), len(numbers))
    own = () if family in ("end", "input") else (at,)
    inputs = tuple(dict.fromkeys((source.node, (*source.copied, *own)) for source, _ in pairs))
    graph.nodes.append(_Node(at, family, inputs, local, number, tuple(sources)))
    return len(graph.nodes) - 1


def _joined(graph: _Graph, numbers: dict[Any, int], at: int, sources: Sequence[_Place]) -> _Place:
    """Join branches; those that read the same rows of the same node, as x * sigmoid(x) does, are that node.

    Sums of sums and the like are one: their branches are listed, whatever the brackets.
    """
    layer = graph.layers[at]
    family = "whole" if layer.everywhere else layer.kind
    if family in MERGES:
        nested = [graph.layers[j].kind == family for j in layer.inputs]
        parts = [_branches(graph, each) if of else [each] for each, of in zip(sources, nested, strict=True)]
        sources = [branch for part in parts for branch in part]
    branches = {(graph.nodes[source.node].number, source.digests) for source in sources}
    if len(branches) == 1 and family in MERGES:
        return sources[0]
    node = _add(graph, numbers, at, family, sources, [source.digests for source in sources])
    return _at_node(node, [along[at] for along in graph.sizes])


def _branches(graph: _Graph, source: _Place) -> list[_Place]:
    """Return the branches of a merge that another merge of its kind reads as it is."""
    node = graph.nodes[source.node]
    if node.family not in MERGES or source.copied:  # a sum of one branch is that branch
        return [source]
    return [branch._replace(copied=(*branch.copied, node.at)) for branch in node.sources]


def _placed(graph: _Graph, numbers: dict[Any, int], at: int, source: _Place) -> _Place:
    """Fold a layer that copies rows into those before it, and add a node for any other."""
    layer = graph.layers[at]
    family = _family(layer)
    found, known = list[_Reads](), dict[Any, _Reads]()
    for axis, op in enumerate(layer.ops):
        n, like = graph.sizes[axis][layer.inputs[0]], graph.likes((at,), axis)[0]
        key = op, n, like, id(source.rows[axis])  # the same on both axes, as a rule
        if key not in known:
            known[key] = _through(source.rows[axis], op, family, n, like)
        found.append(known[key])
    known_digests = {id(each): each.digest for each in found}
    digests = tuple([known_digests[id(each)] for each in found])
    copies = all(len(each.rows) == 1 and each.weights is None for each in found)
    if layer.kind in ("resize", "mixing"):
        copies = all(np.array_equal(each.rows[0], source.rows[axis]) for axis, each in enumerate(found)) and copies
    # what a padded 1x1 convolution makes of its padding is its bias, and no zero
    if copies and not layer.everywhere and (family != "conv" or all(each.rows.min() >= 0 for each in found)):
        rows = tuple([each.rows[0] for each in found])
        before = [along[graph.nodes[source.node].at] for along in graph.sizes]
        if all(np.array_equal(row, _every_row(n)) for row, n in zip(rows, before, strict=True)):
            return _at_node(source.node, before)
        return _Place(source.node, (*source.copied, at), rows, digests)
    node = _add(graph, numbers, at, family, [source], [digests])
    return _at_node(node, [each.rows.shape[1] for each in found])


def _family(layer: Layer) -> str:
    """Return what a layer does to the rows that it reads: layers of one family may be spelled differently."""
    if layer.kind == "maxpool" or any(isinstance(op, Adaptive) and op.maximum for op in layer.ops):
        family = "maximum"
    else:
        averages = layer.kind in ("avgpool", "adaptive", "global", "resize")
        family = "average" if averages else layer.kind
    return f"{family} over all" if layer.everywhere else family


def _through(source: Rows, op: Op | None, family: str, n: int, like: int | None) -> _Reads:
    """Return what an operation over `n` rows reads of the rows that these were copied from."""
    if op is None:
        return _Reads(source[None])
    rows, weights = _taps(op, family, n, out_size(op, n, like))
    rows = np.where(rows >= 0, source[np.maximum(rows, 0)], rows)
    if family.startswith(("average", "maximum")):
        return _in_any_order(rows, weights if family.startswith("average") else None)
    return _Reads(rows)


def _taps(op: Op, family: str, n: int, n_out: int) -> tuple[Rows, NDArray[np.float64]]:
    """Return the row that each tap of each unit reads, shape (taps, units), and the taps' weights."""
    weights = None
    units = np.arange(n_out)
    if isinstance(op, Window):
        rows = _window_taps(op, family, n)
    elif isinstance(op, Transposed):
        at = units + op.padding[0] - np.arange(op.kernel)[:, None] * op.dilation
        rows = np.where(at % op.stride == 0, at // op.stride, ZERO)
        rows[(rows < 0) | (rows >= n)] = ZERO
    elif isinstance(op, Adaptive):
        first, end = units * n // n_out, -(-(units + 1) * n // n_out)
        rows = first + np.arange((end - first).max())[:, None]
        rows[rows >= end] = NOTHING
    elif isinstance(op, Fit):
        rows = (units - fit_shift(n, n_out, op.odd))[None]
        rows[(rows < 0) | (rows >= n)] = ZERO
    elif isinstance(op, Resize):
        found = reads(op, n, n_out)
        rows, weights = np.full((len(found), n_out), NOTHING), np.zeros((len(found), n_out))
        for row, weight, (at, read, share) in zip(rows, weights, found, strict=True):
            row[at], weight[at] = read, share
    else:
        # a block is known by its first row, its last and their step, which stands below all codes of rows
        size, step = op.of(n)
        first, last = op.around(units) if op.is_local else (units % step, units % step + (size - 1) * step)
        rows = np.stack([np.clip(first, 0, n - 1), np.clip(last, 0, n - 1), np.full(n_out, STEP - step)])
    return rows, np.ones(rows.shape) if weights is None else weights


def _window_taps(op: Window, family: str, n: int) -> Rows:
    before, after, n_out = place(op, n)
    rows = np.arange(n_out) * op.stride + np.arange(op.kernel)[:, None] * op.dilation - before
    ends = fold(op.mode, n, max(before, 0), max(after, 0))
    overhang = rows >= n + max(after, 0)  # of ceil rounding: no average counts it
    if ends:
        (a, b), (c, d) = ends
        rows = np.where(rows < 0, a * rows + b, np.where(rows >= n, c * rows + d, rows))
    else:
        left_out = family == "maximum" or op.fill == "none" or op.mode == "partial"
        rows[(rows < 0) | (rows >= n)] = NOTHING if left_out else _code(op.fill)
    rows[overhang] = NOTHING
    return rows


def _code(fill: float | str) -> int:
    """Return the number that stands for a row of one value: -1 for zeros."""
    return ZERO if not fill else -3 - (hash(fill) & 0x7FFFFFFF)


def _in_any_order(rows: Rows, weights: NDArray[np.float64] | None) -> _Reads:
    """Sort what each unit reads: an average adds the weights of what is read twice, a maximum reads it once."""
    given = np.ones(rows.shape) if weights is None else weights
    order = np.argsort(rows, axis=0, kind="stable")
    rows, given = np.take_along_axis(rows, order, 0), np.take_along_axis(given, order, 0)
    given[rows == NOTHING] = 0
    for tap in range(1, len(rows)):
        again = rows[tap] == rows[tap - 1]
        given[tap] += np.where(again, given[tap - 1], 0)
        given[tap - 1] = np.where(again, 0, given[tap - 1])
    rows = np.where(given == 0, NOTHING, rows)
    total = given.sum(axis=0)
    shares = np.rint(given / np.where(total == 0, 1, total) * DIGITS).astype(np.int64)
    order = np.lexsort((shares, rows), axis=0)
    rows, shares = np.take_along_axis(rows, order, 0), np.take_along_axis(shares, order, 0)
    used = (rows != NOTHING).any(axis=1)
    used[-1] = True
    rows, shares = rows[used], shares[used]
    return _Reads(rows, None if weights is None or len(rows) == 1 else shares)


def _unmatched(nodes: Iterable[_Node], others: Iterable[_Node]) -> list[_Node]:
    left, unmatched = Counter(node.number for node in others), []
    for node in nodes:
        if left[node.number]:
            left[node.number] -= 1
        else:
            unmatched.append(node)
    return unmatched


Pair = tuple[_Node | None, _Node | None]


def _aligned(a: _Graph, first: Sequence[_Node], b: _Graph, second: Sequence[_Node]) -> list[Pair]:
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


def _spelling(graph: _Graph, node: _Node) -> Any:
    return node.family, [[graph.layers[i].ops for i in chain] for _, chain in node.inputs]


def _likeness(a: _Graph, x: _Node, b: _Graph, y: _Node) -> float:
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


def _missing(a: _Graph, x: _Node | None, b: _Graph, y: _Node | None) -> Difference:
    every = _every(a.network)
    if y is None:
        assert x is not None
        return Difference(a.layer(x).name, None, every, _thing(x), "present", "missing", "remove it")
    return Difference(None, b.layer(y).name, every, _thing(y), "missing", "present", "add it")


def _thing(node: _Node) -> str:
    return "last map" if node.family == "end" else "layer"


def _wiring(a: _Graph, x: _Node, b: _Graph, y: _Node, partners: Mapping[int, int]) -> list[Difference]:
    """List a node that does the same as its partner to other inputs, though these have partners, too."""
    mine = {a.nodes[at].number for at, _ in x.inputs}
    theirs = {b.nodes[at].number for at, _ in y.inputs}
    shared = {node.number for node in a.nodes} & {node.number for node in b.nodes}
    known = {**{number: number for number in shared}, **partners}
    if not mine <= known.keys() or not theirs <= {*known.values()} or {known[one] for one in mine} == theirs:
        return []
    names = _inputs(a, x), _inputs(b, y)
    return [Difference(a.layer(x).name, b.layer(y).name, _every(a.network), "inputs", *names)]


def _inputs(graph: _Graph, node: _Node) -> str:
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


def _differences(a: _Graph, x: _Node, b: _Graph, y: _Node, partners: Mapping[int, int]) -> Iterator[Difference]:
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
    a: _Graph, chain: Sequence[int], b: _Graph, theirs: Sequence[int], axis: int, n: int
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


def _spelled(graph: _Graph, chain: Iterable[int], axis: int) -> Any:
    return [(_family(graph.layers[i]), graph.layers[i].ops[axis]) for i in chain]


def _along(graph: _Graph, chain: Sequence[int], axis: int, n: int, likes: Sequence[int | None]) -> _Reads:
    found = _Reads(_every_row(n)[None])
    for i, like in zip(chain, likes, strict=True):
        layer = graph.layers[i]
        found = _through(found.rows[0], layer.ops[axis], _family(layer), n, like)
        n = found.rows.shape[1]
    return found


def _steps(graph: _Graph, chain: Sequence[int], axis: int, n: int, likes: Sequence[int | None]) -> list[_Step]:
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


def _first_apart(a: _Reads, b: _Reads) -> int:
    columns = [
        (None if each.weights is None else each.weights[:, unit].tolist(), each.rows[:, unit].tolist())
        for each in (a, b)
        for unit in range(each.rows.shape[1])
    ]
    mine, others = columns[: a.rows.shape[1]], columns[a.rows.shape[1] :]
    return next(unit for unit, (x, y) in enumerate(zip_longest(mine, others)) if x != y)


def _in_words(found: _Reads, unit: int) -> str:
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
