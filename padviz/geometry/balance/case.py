"""A network at a size, from which changes start; pads distributed evenly, and strides moved into
pools.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from padviz.geometry.balance.balanced_sizes import Suggestion, nearest_balanced, odd_window
from padviz.geometry.costs import costs
from padviz.geometry.ledger import LayerPadding, Ledger, ledger
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.network.graph import ancestors
from padviz.network.layer import MERGES, Layer
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Window

POOL = Window(2, stride=2)  # reads each unit once, whatever the padding


@dataclass(frozen=True, eq=False)
class Case:
    """A network at a size, (height, width) in pixels, with its geometry, computed once.

    Its own padding counts: schemes do not change how many padded rows are read, except that an axis
    that wraps has no uneven window. `around` says which axes wrap, where these are not the
    network's own.
    """

    network: Network
    size: Size
    known_macs: int | None = None
    around: tuple[bool, ...] | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """The padding of every window."""
        return ledger(self.network, self.size, self.around)

    @property
    def uneven(self) -> tuple[LayerPadding, ...]:
        """The uneven layers with weights."""
        return self.ledger.uneven_convolutions

    @cached_property
    def macs(self) -> int | None:
        """The multiply-adds; None where channels are not known."""
        return self.known_macs or costs(self.network, self.size).macs

    @cached_property
    def near_padding(self) -> tuple[NearPadding, ...]:
        """How far padding reaches into each target; axes that wrap have none."""
        near = near_padding(self.network, self.size, around=True)
        return tuple([row for row in near if row.layer in self.network.targets])

    @cached_property
    def near(self) -> tuple[tuple[Suggestion, Case], ...]:
        """The balanced sizes next below and above, each with the network at it."""
        cases = []
        for suggestion in nearest_balanced(self.network, self.size, self.macs):
            if suggestion is not None:
                there = Case(self.network.at(suggestion.size), suggestion.size, suggestion.macs)
                cases.append((suggestion, there))
        return tuple(cases)


class EvenPads(NamedTuple):
    """A network with evenly distributed pads, at the same size, and the new pads by layer: rows,
    columns per side.
    """

    case: Case
    pads: dict[str, tuple[int, int]]


def with_even_pads(today: Case) -> EvenPads | None:
    """Distribute evenly the pads of uneven convolutions that read an even number of rows; None if
    that mends none.
    """
    layers, pads = list(today.network.layers), {}
    for uneven in today.uneven:
        halves = _halves(uneven)
        if halves is None:
            continue
        height, width = halves
        pads[uneven.layer] = height, width
        at = today.network.index[uneven.layer]
        ops = list(layers[at].ops)
        for axis, op in enumerate(ops):
            if isinstance(op, Window):
                ops[axis] = replace(op, padding=(halves[axis], halves[axis]))
        layers[at] = replace(layers[at], ops=tuple(ops))
    if not pads:
        return None
    changed = Case(today.network.at_own_size(layers=tuple(layers)), today.size)
    if len(changed.uneven) > len(today.uneven) - len(pads):
        return None
    return EvenPads(changed, pads)


def _halves(layer: LayerPadding) -> list[int] | None:
    """Return half of the padding that a layer reads on each axis; None where that is odd, or cannot
    be split evenly.
    """
    halves = []
    for row in layer.axes.values():
        before, after = row.reads
        if row.circular:
            before, after = row.pads
            if before != after:
                return None
        if (before + after) % 2:
            return None
        halves.append((before + after) // 2)
    return halves


def limits(today: Case) -> list[str]:
    """Return sentences on what neither sizes, nor pads, nor schemes can achieve."""
    sentences, at = [], in_words(today.size)
    if today.uneven and not today.near:
        window = odd_window(today.network, today.size)
        if window:
            sentences.append(
                f"No balanced size is near: {window} reads an odd number of padded rows at each."
            )
        else:
            sentences.append("No balanced size is near.")
    for layer in today.uneven:
        odd = [row for row in layer.axes.values() if row.uneven and sum(row.reads) % 2]
        if odd:
            rows, units = sum(odd[0].reads), odd[0].output
            many = "1 row" if rows == 1 else f"{rows} rows"
            words = f"its {units} units read {many} of padding, an odd number"
            sentences.append(f"At {at} no padding makes {layer.layer} even: {words}.")
            break
    if not today.network.pads:
        sentences.append("No convolution pads, so no padding scheme changes anything.")
    return sentences


def with_strides_pooled(network: Network, names: tuple[str, ...]) -> Network | None:
    """Move the strides of those convolutions, and of the shortcuts beside them, as in ResNet-D,
    into average pools.

    None where a stride is not 2 on both axes, or a convolution pads by a rule that follows its
    stride.
    """
    moved = {network.index[name] for name in names}
    if not all(_movable(network.layers[i]) for i in moved):
        return None
    # A shortcut that joins a branch with a moved stride must keep in step with it.
    shortcuts = [i for i, layer in enumerate(network.layers) if _strided_1x1(layer)]
    moved |= {i for i in shortcuts if any(_are_branches(network, i, j) for j in moved)}
    if not all(_movable(network.layers[i]) for i in moved):
        return None
    return _with_pools(network, moved)


def _with_pools(network: Network, moved: Collection[int]) -> Network:
    """Return the network with a pool behind each of some convolutions, which has their strides."""
    layers: list[Layer] = []
    place: list[int] = []  # the new position of each layer's output
    for i, layer in enumerate(network.layers):
        layer = layer.moved(place)
        if i in moved:
            ops = tuple([replace(op, stride=1) for op in _windows(layer)])
            layers.append(replace(layer, ops=ops))
            layer = Layer(f"{layer.name}.pool", "avgpool", (len(layers) - 1,), (POOL,) * len(ops))
        place.append(len(layers))
        layers.append(layer)
    targets = tuple([layers[place[network.index[name]]].name for name in network.targets])
    return network.at_own_size(layers=tuple(layers), targets=targets)


def _windows(layer: Layer) -> list[Window]:
    """Return the windows of a convolution, one for each axis; none of any other layer."""
    windows = [op for op in layer.ops if isinstance(op, Window)]
    if layer.kind != "conv" or len(windows) < len(layer.ops):
        return []
    return windows


def _strided_1x1(layer: Layer) -> bool:
    windows = _windows(layer)
    return bool(windows) and all(window.kernel == 1 and window.stride > 1 for window in windows)


def _movable(layer: Layer) -> bool:
    windows = _windows(layer)
    rules = [window.padding for window in windows if isinstance(window.padding, str)]
    return bool(windows) and {window.stride for window in windows} == {2} and {*rules} <= {"same"}


def _are_branches(network: Network, shortcut: int, other: int) -> bool:
    """Whether two layers are in different branches of one merge, the first after the shortcut."""
    if {shortcut, other} & (
        ancestors(network.layers, [shortcut]) & ancestors(network.layers, [other])
    ):
        return False  # one comes before the other
    for i in range(max(shortcut, other) + 1, len(network.layers)):
        if network.layers[i].kind in MERGES and shortcut in (
            before := ancestors(network.layers, [i])
        ):
            return other in before
    return False
