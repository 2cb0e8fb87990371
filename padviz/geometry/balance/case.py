"""A network at a size: what a change starts from, and what it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from padviz.geometry.balance.nearest import Suggestion, nearest_balanced
from padviz.geometry.costs import costs
from padviz.geometry.ledger import LayerPadding, Ledger, ledger
from padviz.geometry.reaching.near_padding import NearPadding, near_padding
from padviz.network.network import Network, Size


@dataclass(frozen=True, eq=False)
class Case:
    """A network at a size, as (height, width) in pixels; what its geometry says is worked out once.

    The padding that it has is part of it: schemes do not change how many padded rows are read, but where it wraps none
    of them is uneven.

    >>> import padviz
    >>> case = Case(padviz.load("resnet50"), (224, 224))
    >>> len(case.uneven), case.macs
    (4, 4087136256)
    """

    network: Network
    size: Size
    known_macs: int | None = None  # where they are counted already

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
        """How far padding reaches into each target; what wraps is none."""
        return tuple(
            each for each in near_padding(self.network, self.size, around=True) if each.layer in self.network.targets
        )

    @cached_property
    def near(self) -> tuple[tuple[Suggestion, Case], ...]:
        """The balanced sizes next below and above, each with the network at it."""
        found = nearest_balanced(self.network, self.size, self.macs)
        return tuple((each, Case(self.network.at(each.size), each.size, each.macs)) for each in found if each)
