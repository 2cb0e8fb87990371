"""What every unit of every layer reads at one size, of the layers that are more than copies.

Pads, crops, slices and nearest resizes copy rows, so they are folded into the layers that read them: a pad in front of
a convolution equals padding of its own, and a crop that undoes a pad vanishes, as activations do. What remains are
nodes: windows, resizes between rows, merges, and the ends of the network. Two nodes are equal if they do the same to
the same rows of equal nodes, whatever the layers are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.network.layer import MERGES, Layer
from padviz.network.network import Network, Size
from padviz.network.operations import Adaptive, Fit, Op, Transposed, Window, fit_shift, out_size, place
from padviz.network.padding_modes import fold
from padviz.network.resize import Resize, reads
from padviz.network.sizes import sizes_of_each

ZERO, NOTHING = -1, -2  # what a tap reads outside of the map: a zero, or nothing, since the row is left out
STEP = -(1 << 40)  # minus the step of a block's rows
DIGITS = 10**9  # weights of averages are compared to nine digits
JOINS = MERGES | {"gate"}
Rows = NDArray[np.int64]


class Reads(NamedTuple):
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


class Node(NamedTuple):
    """A layer that is more than a copy. Its inputs are nodes, each with the layers up to this one.

    Nodes of equal `number` compute the same of the image, of equal `local` the same of their inputs.
    """

    at: int
    family: str
    inputs: tuple[tuple[int, tuple[int, ...]], ...]
    local: tuple[Any, ...]
    number: int
    sources: tuple[_Place, ...]


class Graph(NamedTuple):
    network: Network
    layers: tuple[Layer, ...]
    sizes: tuple[list[int], ...]
    nodes: list[Node]

    def layer(self, node: Node) -> Layer:
        return self.layers[node.at]

    def likes(self, chain: Iterable[int], axis: int) -> list[int | None]:
        followed = [self.layers[i].like for i in chain]
        return [None if like is None else self.sizes[axis][like] for like in followed]


def graph_of(network: Network, size: Size, numbers: dict[Any, int], tail: bool) -> Graph:
    layers = (*network.layers, *(network.tail or ())) if tail else network.layers
    sizes = tuple([*along] for along in sizes_of_each(network, size))
    graph = Graph(network, layers, sizes, [])
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


def live_nodes(graph: Graph) -> list[Node]:
    """Return the nodes that ends are made of, without sums whose branches became those of others."""
    live = set[int]()
    for at in reversed(range(len(graph.nodes))):
        node = graph.nodes[at]
        if node.family == "end" or at in live:
            live |= {at, *(before for before, _ in node.inputs)}
    return [graph.nodes[at] for at in sorted(live)]


@lru_cache(64)
def every_row(n: int) -> Rows:
    """Return the rows of a map that is read as it is; one array, which nobody changes."""
    return np.arange(n)


@lru_cache(64)
def _every_digest(n: int) -> bytes:
    return Reads(every_row(n)[None]).digest


def _at_node(node: int, size: Iterable[int]) -> _Place:
    """Return the place of a node's own rows."""
    lengths = [*size]
    return _Place(node, (), tuple(map(every_row, lengths)), tuple(map(_every_digest, lengths)))


def _add(
    graph: Graph, numbers: dict[Any, int], at: int, family: str, sources: Sequence[_Place], digests: Sequence[Any]
) -> int:
    """Add a node, and return its place among them."""
    pairs = [*zip(sources, digests, strict=True)] if digests else []
    known = sorted({(graph.nodes[source.node].number, digest) for source, digest in pairs})
    local = (family, *sorted({digest for _, digest in pairs}))
    number = numbers.setdefault((family, *known), len(numbers))
    own = () if family in ("end", "input") else (at,)
    inputs = tuple(dict.fromkeys((source.node, (*source.copied, *own)) for source, _ in pairs))
    graph.nodes.append(Node(at, family, inputs, local, number, tuple(sources)))
    return len(graph.nodes) - 1


def _joined(graph: Graph, numbers: dict[Any, int], at: int, sources: Sequence[_Place]) -> _Place:
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


def _branches(graph: Graph, source: _Place) -> list[_Place]:
    """Return the branches of a merge that another merge of its kind reads as it is."""
    node = graph.nodes[source.node]
    if node.family not in MERGES or source.copied:  # a sum of one branch is that branch
        return [source]
    return [branch._replace(copied=(*branch.copied, node.at)) for branch in node.sources]


def _placed(graph: Graph, numbers: dict[Any, int], at: int, source: _Place) -> _Place:
    """Fold a layer that copies rows into those before it, and add a node for any other."""
    layer = graph.layers[at]
    family = family_of(layer)
    found, known = list[Reads](), dict[Any, Reads]()
    for axis, op in enumerate(layer.ops):
        n, like = graph.sizes[axis][layer.inputs[0]], graph.likes((at,), axis)[0]
        key = op, n, like, id(source.rows[axis])  # the same on both axes, as a rule
        if key not in known:
            known[key] = rows_through(source.rows[axis], op, family, n, like)
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
        if all(np.array_equal(row, every_row(n)) for row, n in zip(rows, before, strict=True)):
            return _at_node(source.node, before)
        return _Place(source.node, (*source.copied, at), rows, digests)
    node = _add(graph, numbers, at, family, [source], [digests])
    return _at_node(node, [each.rows.shape[1] for each in found])


def family_of(layer: Layer) -> str:
    """Return what a layer does to the rows that it reads: layers of one family may be spelled differently."""
    if layer.kind == "maxpool" or any(isinstance(op, Adaptive) and op.maximum for op in layer.ops):
        family = "maximum"
    else:
        averages = layer.kind in ("avgpool", "adaptive", "global", "resize")
        family = "average" if averages else layer.kind
    return f"{family} over all" if layer.everywhere else family


def rows_through(source: Rows, op: Op | None, family: str, n: int, like: int | None) -> Reads:
    """Return what an operation over `n` rows reads of the rows that these were copied from."""
    if op is None:
        return Reads(source[None])
    rows, weights = _taps(op, family, n, out_size(op, n, like))
    rows = np.where(rows >= 0, source[np.maximum(rows, 0)], rows)
    if family.startswith(("average", "maximum")):
        return _in_any_order(rows, weights if family.startswith("average") else None)
    return Reads(rows)


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


def _in_any_order(rows: Rows, weights: NDArray[np.float64] | None) -> Reads:
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
    return Reads(rows, None if weights is None or len(rows) == 1 else shares)
