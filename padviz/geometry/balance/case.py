"""A network at a size, from which changes start; pads distributed evenly, and strides moved into pools."""

from __future__ import annotations

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

    Its own padding counts: schemes do not change how many padded rows are read, except that an axis that wraps has no
    uneven window. `around` says which axes wrap, where these are not the network's own.
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
        return tuple(each for each in near if each.layer in self.network.targets)

    @cached_property
    def near(self) -> tuple[tuple[Suggestion, Case], ...]:
        """The balanced sizes next below and above, each with the network at it."""
        found = nearest_balanced(self.network, self.size, self.macs)
        return tuple((each, Case(self.network.at(each.size), each.size, each.macs)) for each in found if each)


class EvenPads(NamedTuple):
    """A network with evenly distributed pads, at the same size, and the new pads by layer: rows, columns per side."""

    case: Case
    pads: dict[str, tuple[int, int]]


def with_even_pads(today: Case) -> EvenPads | None:
    """Distribute evenly the pads of uneven convolutions that read an even number of rows; None if that mends none."""
    layers, pads = list(today.network.layers), {}
    for each in today.uneven:
        rows = [row.declared if row.circular else row.reads for row in each.axes.values()]
        lopsided = any(row.circular and row.declared[0] != row.declared[1] for row in each.axes.values())
        if not lopsided and not any(sum(pair) % 2 for pair in rows):
            height, width = (sum(pair) // 2 for pair in rows)
            at, pads[each.layer] = today.network.index[each.layer], (height, width)
            halves = zip(layers[at].ops, pads[each.layer], strict=True)
            ops = tuple(replace(op, padding=(n, n)) if isinstance(op, Window) else op for op, n in halves)
            layers[at] = replace(layers[at], ops=ops)
    if not pads:
        return None
    changed = Case(today.network.at_own_size(layers=tuple(layers)), today.size)
    return EvenPads(changed, pads) if len(changed.uneven) <= len(today.uneven) - len(pads) else None


def limits(today: Case) -> list[str]:
    """Return sentences on what neither sizes, nor pads, nor schemes can achieve."""
    sentences, at = [], in_words(today.size)
    if today.uneven and not today.near:
        window = odd_window(today.network, today.size)
        why = f": {window} reads an odd number of padded rows at each." if window else "."
        sentences.append(f"No balanced size is near{why}")
    for each in today.uneven:
        odd = [row for row in each.axes.values() if row.uneven and sum(row.reads) % 2]
        if odd:
            many = f"{sum(odd[0].reads)} row{'' if sum(odd[0].reads) == 1 else 's'} of padding, an odd number"
            sentences.append(f"At {at} no padding makes {each.layer} even: its {odd[0].output} units read {many}.")
            break
    if not today.network.pads:
        sentences.append("No convolution pads, so no padding scheme changes anything.")
    return sentences


def with_strides_pooled(network: Network, names: tuple[str, ...]) -> Network | None:
    """Move the strides of those convolutions, and of the shortcuts beside them, as in ResNet-D, into average pools.

    None where a stride is not 2 on both axes, or a convolution pads by a rule that follows its stride.
    """
    moved = {network.index[name] for name in names}
    if not all(_movable(network.layers[i]) for i in moved):
        return None
    shortcuts = [
        i
        for i, layer in enumerate(network.layers)
        if layer.kind == "conv" and all(isinstance(op, Window) and op.kernel == 1 and op.stride > 1 for op in layer.ops)
    ]
    moved |= {i for i in shortcuts if any(_are_branches(network, i, j) for j in moved)}
    if not all(_movable(network.layers[i]) for i in moved):
        return None
    layers: list[Layer] = []
    place: list[int] = []  # the new position of each layer's output
    for i, layer in enumerate(network.layers):
        like = None if layer.like is None else place[layer.like]
        layer = replace(layer, inputs=tuple(place[j] for j in layer.inputs), like=like)
        if i in moved:
            ops = tuple(replace(op, stride=1) if isinstance(op, Window) else op for op in layer.ops)
            layers.append(replace(layer, ops=ops))
            layer = Layer(f"{layer.name}.pool", "avgpool", (len(layers) - 1,), (POOL,) * len(layer.ops))
        place.append(len(layers))
        layers.append(layer)
    targets = tuple(layers[place[network.index[name]]].name for name in network.targets)
    return network.at_own_size(layers=tuple(layers), targets=targets)


def _movable(layer: Layer) -> bool:
    return layer.kind == "conv" and all(
        isinstance(op, Window) and op.stride == 2 and not (isinstance(op.padding, str) and op.padding != "same")
        for op in layer.ops
    )


def _are_branches(network: Network, shortcut: int, other: int) -> bool:
    """Whether two layers are in different branches of one merge, the first after the shortcut."""
    if {shortcut, other} & (ancestors(network.layers, [shortcut]) & ancestors(network.layers, [other])):
        return False  # one comes before the other
    for i in range(max(shortcut, other) + 1, len(network.layers)):
        if network.layers[i].kind in MERGES and shortcut in (before := ancestors(network.layers, [i])):
            return other in before
    return False
