"""What every unit of every layer reads at one size, of the layers that are more than copies.

Pads, crops, slices and nearest resizes copy rows, so they are folded into the layers that read
them: a pad in front of a convolution equals padding of its own, and a crop that undoes a pad
vanishes, as activations do. What remains are nodes: windows, resizes between rows, merges, and the
ends of the network. Two nodes are equal if they do the same to the same rows of equal nodes,
whatever the layers are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.network.layer import MERGES, Layer
from padviz.network.network import Network, Size
from padviz.network.operations import (
    Adaptive,
    Fit,
    Op,
    Transposed,
    Window,
    out_size,
    pads_at,
)
from padviz.network.reads import PADDING, reads, real_rows
from padviz.network.resize import Resize, interpolated
from padviz.network.sizes import sizes_of_each

ZERO, NOTHING = (
    -1,
    -2,
)  # what a tap reads outside of the map: a zero, or nothing, since the row is left out
STEP = -(1 << 40)  # minus the step of a block's rows
DIGITS = 10**9  # weights of averages are compared to nine digits
JOINS = MERGES | {"gate"}
Rows = NDArray[np.int64]
Digests = tuple[bytes, ...]  # of what is read on each axis


@dataclass(frozen=True, eq=False)
class Reads:
    """The row that each tap of each unit reads, shape (taps, units), and its weight in
    an average.
    """

    rows: Rows
    weights: Rows | None = None

    def __len__(self) -> int:
        return int(self.rows.shape[1])

    @cached_property
    def digest(self) -> bytes:
        """A short stand-in for the arrays: equal digests are equal reads."""
        content = self.rows.tobytes()
        if self.weights is not None:
            content += self.weights.tobytes()
        return blake2b(content, person=repr(self.rows.shape).encode()[:16]).digest()


@lru_cache(64)
def whole_map(n: int) -> Reads:
    """Return what reads each row of a map once; one value for all, which nobody changes."""
    return Reads(np.arange(n)[None])


class _Place(NamedTuple):
    """Where a layer's rows come from: a node, the layers that copied them, and the row copied, on
    each axis.
    """

    node: int
    copied: tuple[int, ...]
    reads: tuple[Reads, ...]

    @property
    def digests(self) -> Digests:
        return tuple([along.digest for along in self.reads])


class Node(NamedTuple):
    """A layer that is more than a copy. Its inputs are nodes, each with the layers up to this one.

    Nodes of equal `number` compute the same of the image, of equal `local` the same of their
    inputs.
    """

    at: int
    family: str
    inputs: tuple[tuple[int, tuple[int, ...]], ...]
    local: tuple[object, ...]
    number: int
    sources: tuple[_Place, ...]


class Graph(NamedTuple):
    """The nodes of a network, and the place of each layer.

    Graphs that are compared share `numbers`, which has a number for everything that a node may
    compute.
    """

    network: Network
    layers: tuple[Layer, ...]
    numbers: dict[object, int]
    nodes: list[Node]
    places: list[_Place]

    def layer(self, node: Node) -> Layer:
        return self.layers[node.at]

    def rows(self, at: int, axis: int) -> int:
        """Count the rows out of a layer."""
        return len(self.places[at].reads[axis])

    def like(self, at: int, axis: int) -> int | None:
        """Count the rows of the layer whose size a layer follows, if any."""
        followed = self.layers[at].like
        if followed is None:
            return None
        return self.rows(followed, axis)


def graph_of(network: Network, size: Size, numbers: dict[object, int], tail: bool) -> Graph:
    """Follow the layers of a network, with those behind its last map if its `tail` is compared,
    too.
    """
    # rejects a size that the network does not take, and names the layer
    sizes_of_each(network, size)
    layers = network.layers
    if tail:
        layers = (*layers, *(network.tail or ()))
    graph = Graph(network, layers, numbers, [], [])
    graph.places.append(_at_node(_add(graph, 0, "input", [], []), size))
    for at in range(1, len(layers)):
        graph.places.append(_place_of(graph, at))
    read = set[int]().union(*(layer.inputs for layer in layers))
    for at, place_ in enumerate(graph.places):
        if at not in read:
            _add(graph, at, "end", [place_], [place_.digests])
    return graph


def live_nodes(graph: Graph) -> list[Node]:
    """Return the nodes that ends are made of, without sums whose branches became those
    of others.
    """
    live = set[int]()
    for at in reversed(range(len(graph.nodes))):
        node = graph.nodes[at]
        if node.family == "end" or at in live:
            live |= {at, *(before for before, _ in node.inputs)}
    return [graph.nodes[at] for at in sorted(live)]


def _at_node(node: int, size: Iterable[int]) -> _Place:
    """Return the place of all rows of a node, as they are."""
    return _Place(node, (), tuple(map(whole_map, size)))


def _add(
    graph: Graph, at: int, family: str, sources: Sequence[_Place], digests: Sequence[Digests]
) -> int:
    """Add a node, and return its position. `digests` stand for what it reads of each of its
    sources.
    """
    pairs = list(zip(sources, digests, strict=True))
    known = sorted({(graph.nodes[source.node].number, digest) for source, digest in pairs})
    local = (family, *sorted({digest for _, digest in pairs}))
    number = graph.numbers.setdefault((family, *known), len(graph.numbers))
    # An end and the image are no layers that read rows.
    last = () if family in ("end", "input") else (at,)
    inputs = tuple(dict.fromkeys((source.node, (*source.copied, *last)) for source in sources))
    graph.nodes.append(Node(at, family, inputs, local, number, tuple(sources)))
    return len(graph.nodes) - 1


def _place_of(graph: Graph, at: int) -> _Place:
    layer = graph.layers[at]
    sources = [graph.places[source] for source in layer.inputs]
    if layer.kind in JOINS or (layer.everywhere and not any(layer.ops)):
        return _joined(graph, at, sources)
    if any(layer.ops):
        return _read_through(graph, at, sources[0])
    return sources[0]


def _joined(graph: Graph, at: int, sources: Sequence[_Place]) -> _Place:
    """Join branches; those that read the same rows of the same node, as x * sigmoid(x) does, are
    that node.
    """
    layer = graph.layers[at]
    size = [graph.rows(layer.inputs[0], axis) for axis in range(len(layer.ops))]
    if layer.everywhere:
        return _at_node(
            _add(graph, at, "whole", sources, [source.digests for source in sources]), size
        )
    branches = list[_Place]()
    for before, source in zip(layer.inputs, sources, strict=True):
        # Sums of sums and the like are one: their branches are listed, whatever the brackets.
        if layer.kind in MERGES and graph.layers[before].kind == layer.kind:
            branches += _branches(graph, source)
        else:
            branches.append(source)
    distinct = {(graph.nodes[branch.node].number, branch.digests) for branch in branches}
    if len(distinct) == 1 and layer.kind in MERGES:
        return branches[0]
    return _at_node(
        _add(graph, at, layer.kind, branches, [branch.digests for branch in branches]), size
    )


def _branches(graph: Graph, source: _Place) -> list[_Place]:
    """Return the branches of a merge that another merge of its kind reads as it is."""
    node = graph.nodes[source.node]
    if node.family not in MERGES or source.copied:  # a sum of one branch is that branch
        return [source]
    return [branch._replace(copied=(*branch.copied, node.at)) for branch in node.sources]


def _read_through(graph: Graph, at: int, source: _Place) -> _Place:
    """Fold a layer that copies rows into those before it, and add a node for any other."""
    layer = graph.layers[at]
    family = family_of(layer)
    reads, known = list[Reads](), dict[object, Reads]()
    for axis, op in enumerate(layer.ops):
        # An operation is the same on both axes, as a rule, and so is what it reads.
        n, like = graph.rows(layer.inputs[0], axis), graph.like(at, axis)
        key = op, n, like, id(source.reads[axis])
        if key not in known:
            known[key] = rows_through(source.reads[axis], op, family, n, like)
        reads.append(known[key])
    along = _Place(source.node, (*source.copied, at), tuple(reads))
    if not _copies(layer, family, reads, source.reads):
        return _at_node(_add(graph, at, family, [source], [along.digests]), map(len, reads))
    # A crop that undoes a pad leaves the rows of the node as they are.
    node_at = graph.nodes[source.node].at
    unchanged = _at_node(source.node, [graph.rows(node_at, axis) for axis in range(len(reads))])
    if along.digests == unchanged.digests:
        return unchanged
    return along


def _copies(layer: Layer, family: str, reads: Sequence[Reads], before: Sequence[Reads]) -> bool:
    """Whether a layer only copies rows, which the layers that read it could do instead."""
    if layer.everywhere:
        return False
    for axis, along in enumerate(reads):
        if len(along.rows) > 1 or along.weights is not None:
            return False
        if layer.kind in ("resize", "mixing") and along.digest != before[axis].digest:
            return False
        # What a padded 1x1 convolution makes of its padding is its bias, and no zero.
        if family == "conv" and along.rows.min() < 0:
            return False
    return True


def family_of(layer: Layer) -> str:
    """Return what a layer does to the rows that it reads: layers of one family may be spelled
    differently.
    """
    family: str = layer.kind
    if layer.kind == "maxpool" or any(isinstance(op, Adaptive) and op.maximum for op in layer.ops):
        family = "maximum"
    elif layer.kind in ("avgpool", "adaptive", "global", "resize"):
        family = "average"
    if layer.everywhere:
        return f"{family} over all"
    return family


def rows_through(source: Reads, op: Op | None, family: str, n: int, like: int | None) -> Reads:
    """Return what an operation over `n` rows reads of the rows that these were copied from."""
    if op is None:
        return source
    taps = _taps(op, family, n, out_size(op, n, like))
    copied = source.rows[0]
    rows = np.where(taps.rows >= 0, copied[np.maximum(taps.rows, 0)], taps.rows)
    if family.startswith("average"):
        return _averaged(rows, taps.weights)
    if family.startswith("maximum"):
        return Reads(_averaged(rows, None).rows)
    return Reads(rows)


class _Taps(NamedTuple):
    """The row that each tap of each unit reads, and its weight, shape (taps, units); None for equal
    weights.
    """

    rows: Rows
    weights: NDArray[np.float64] | None = None


def _taps(op: Op, family: str, n: int, n_out: int) -> _Taps:
    units = np.arange(n_out)
    if isinstance(op, Window | Transposed | Fit):
        rows, real = reads(op, n, n_out, units)
        inside = np.where(real, real_rows(op, n, rows), PADDING)
        outside: Rows | int = ZERO
        if isinstance(op, Window):
            outside = _padding_read(op, family, n, rows)
        return _Taps(np.where(inside == PADDING, outside, inside))
    if isinstance(op, Adaptive):
        first, end = units * n // n_out, -(-(units + 1) * n // n_out)
        rows = first + np.arange((end - first).max())[:, None]
        rows[rows >= end] = NOTHING
        return _Taps(rows)
    if isinstance(op, Resize):
        taps = interpolated(op, n, n_out)
        rows, weights = np.full((len(taps), n_out), NOTHING), np.zeros((len(taps), n_out))
        for k, (units_of_tap, read, share) in enumerate(taps):
            rows[k, units_of_tap], weights[k, units_of_tap] = read, share
        return _Taps(rows, weights)
    # A block is known by its first row, its last and their step, which stands below all codes of
    # rows.
    size, step = op.of(n)
    if op.is_local:
        first, last = op.around(units)
    else:
        first, last = units % step, units % step + (size - 1) * step
    rows = np.stack(
        [np.clip(first, 0, n - 1), np.clip(last, 0, n - 1), np.full(n_out, STEP - step)]
    )
    return _Taps(rows)


def _padding_read(op: Window, family: str, n: int, rows: Rows) -> Rows:
    """Return the code of what a window reads at rows outside of the map."""
    _, after = pads_at(op, n)
    if family == "maximum" or op.fill == "none" or op.mode == "partial":
        code = NOTHING
    elif not op.fill:
        code = ZERO
    else:
        # Another value stands for itself, below the codes of zeros and of nothing.
        code = -3 - (hash(op.fill) & 0x7FFFFFFF)
    # No average counts what ceil rounding reads beyond the padding.
    return np.where(rows >= n + max(after, 0), NOTHING, code)


def _averaged(rows: Rows, weights: NDArray[np.float64] | None) -> Reads:
    """Sort what each unit reads, and add the weights of what it reads twice; equal averages are
    then equal arrays.
    """
    if weights is None:
        weights = np.ones(rows.shape)
    order = np.argsort(rows, axis=0, kind="stable")
    rows, weights = np.take_along_axis(rows, order, 0), np.take_along_axis(weights, order, 0)
    weights[rows == NOTHING] = 0
    for tap in range(1, len(rows)):
        again = rows[tap] == rows[tap - 1]
        weights[tap] += np.where(again, weights[tap - 1], 0)
        weights[tap - 1] = np.where(again, 0, weights[tap - 1])
    rows = np.where(weights == 0, NOTHING, rows)
    total = weights.sum(axis=0)
    shares = np.rint(weights / np.where(total == 0, 1, total) * DIGITS).astype(np.int64)
    order = np.lexsort((shares, rows), axis=0)
    rows, shares = np.take_along_axis(rows, order, 0), np.take_along_axis(shares, order, 0)
    used = (rows != NOTHING).any(axis=1)
    used[-1] = True
    rows, shares = rows[used], shares[used]
    if len(rows) == 1:
        return Reads(rows)
    return Reads(rows, shares)
