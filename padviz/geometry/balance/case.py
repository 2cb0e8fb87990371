"""A network at a size, from which changes start and to which they lead; and pads distributed evenly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from padviz.geometry.balance.nearest import Suggestion, nearest_balanced, odd_window
from padviz.geometry.costs import costs
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger, ledger
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Window


@dataclass(frozen=True, eq=False)
class Case:
    """A network at a size, (height, width) in pixels, with its geometry, computed once.

    Its own padding counts: schemes do not change how many padded rows are read, except that an axis that wraps has no
    uneven window.
    """

    network: Network
    size: Size
    known_macs: int | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """The padding of every window."""
        return ledger(self.network, self.size)

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
        return tuple(
            each for each in near_padding(self.network, self.size, around=True) if each.layer in self.network.targets
        )

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
        height, width = (_half(row) for row in each.axes.values())
        if height is not None and width is not None:
            at, pads[each.layer] = today.network.index[each.layer], (height, width)
            halves = zip(layers[at].ops, pads[each.layer], strict=True)
            ops = tuple(replace(op, padding=(n, n)) if isinstance(op, Window) else op for op, n in halves)
            layers[at] = replace(layers[at], ops=ops)
    if not pads:
        return None
    changed = Case(today.network.at_own_size(layers=tuple(layers)), today.size)
    return EvenPads(changed, pads) if len(changed.uneven) <= len(today.uneven) - len(pads) else None


def _half(row: AxisPadding) -> int | None:
    """Return half of the rows that a window reads, or on a circular axis its own pads; None where they are odd."""
    rows = sum(row.declared) if row.circular else sum(row.reads)
    return None if rows % 2 or (row.circular and row.declared[0] != row.declared[1]) else rows // 2


def limits(today: Case) -> list[str]:
    """Return sentences on what neither sizes, nor pads, nor schemes can achieve."""
    sentences = []
    if today.uneven and not today.near:
        window = odd_window(today.network, today.size)
        why = f": {window} reads an odd number of padded rows at each." if window else "."
        sentences.append(f"No balanced size is near{why}")
    for each in today.uneven:
        odd = [row for row in each.axes.values() if row.uneven and sum(row.reads) % 2]
        if odd:
            many = f"{sum(odd[0].reads)} row{'' if sum(odd[0].reads) == 1 else 's'} of padding, an odd number"
            at = in_words(today.size)
            sentences.append(f"At {at} no padding makes {each.layer} even: its {odd[0].output} units read {many}.")
            break
    if not today.network.pads:
        sentences.append("No convolution pads, so no padding scheme changes anything.")
    return sentences
