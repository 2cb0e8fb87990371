"""Remedies: what could be changed about a network at a size, each counted exactly by the same engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from padviz.advice.changes import Change, even_pads, even_sizes_near, pooled_strides, schemes
from padviz.audit.costs import costs
from padviz.audit.ledger import ledger
from padviz.counting.count_map import CountMap
from padviz.counting.summary import FairShare, PerAxis
from padviz.counting.usage import usage
from padviz.errors import PadvizError
from padviz.network.network import Network
from padviz.network.rewrites import with_padding

GAIN = 0.005  # of the pixels: what less would be called a remedy for?
Asks = Literal["nothing", "fine-tuning", "training anew"]


class Outcome(msgspec.Struct, frozen=True):
    """A network at a size, under a scheme: how evenly its windows read, and what share its pixels get.

    `ring` is the share of the paths that the pixels within one period of the border have, over their share of the
    pixels; `macs` are None where channels are not known.

    Examples
    --------
    >>> import padviz
    >>> found = outcome(padviz.load("resnet50"), 224)
    >>> found.uneven_learned, found.uneven_rigid, found.macs
    (4, 1, 4087136256)
    """

    size: list[int]
    uneven_learned: int
    uneven_rigid: int
    drops: int
    share: FairShare | None
    asymmetry: PerAxis
    skew: PerAxis
    marginalised: float
    ring: float
    macs: int | None

    @property
    def unfair(self) -> float:
        """The share of the pixels that are starved or overused."""
        return self.share.starved + self.share.overused if self.share else 0.0


class Remedy(msgspec.Struct, frozen=True):
    """A change, what comes of it, and what it asks of a trained network; `edit` is how it is made.

    Examples
    --------
    >>> import padviz
    >>> remedies(padviz.load("resnet50"), 224)[0].edit
    ['CenterCrop(225)']
    """

    kind: str
    what: str
    edit: list[str]
    asks: Asks
    outcome: Outcome
    macs_ratio: float | None


def outcome(
    network: Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | None = None,
    heads: str = "sum",
) -> Outcome:
    """All figures of a network at a size, under a padding scheme: what `Outcome` holds.

    Raises
    ------
    PadvizError
        If it cannot run so.
    """
    counts = usage(network, size, padding, layer, heads=heads)
    rows = ledger(with_padding(network, padding), size)
    summary = counts.summary()
    return Outcome(
        size=[*counts.size],
        uneven_learned=sum(row.learned for row in rows.uneven),
        uneven_rigid=sum(not row.learned for row in rows.uneven),
        drops=sum(row.drops for row in rows.layers),
        share=summary.share,
        asymmetry=summary.asymmetry,
        skew=summary.skew,
        marginalised=summary.marginalised,
        ring=counts.border_use(_ring(counts)),
        macs=costs(network, size).macs,
    )


def remedies(
    network: Network, size: int | Sequence[int] | None = None, layer: str | None = None, heads: str = "sum"
) -> tuple[Remedy, ...]:
    """What could be changed at a size, best first: `padviz.remedies`, of a network that is loaded.

    Parameters
    ----------
    network : Network
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    layer : str, optional
        The target layer; the last feature map by default.
    heads : "sum" or "share"
        How several last feature maps count, as for `usage`.

    Raises
    ------
    PadvizError
        For a size or option that cannot be used.

    Examples
    --------
    >>> import padviz
    >>> [remedy.what for remedy in remedies(padviz.load("resnet18"), 224)][:2]
    ['225 x 225 px', '193 x 193 px']
    """
    return improvements(network, outcome(network, network.at(size), None, layer, heads), layer, heads)


def improvements(network: Network, before: Outcome, layer: str | None = None, heads: str = "sum") -> tuple[Remedy, ...]:
    """The `remedies` of a network whose outcome, as it is, is known.

    >>> import padviz
    >>> net = padviz.load("resnet18")
    >>> improvements(net, outcome(net, 224)) == remedies(net, 224)
    True
    """
    found = []
    for change in changes(network, (before.size[0], before.size[1])):
        try:
            after = outcome(change.network, change.size, change.padding, layer and change.target(layer), heads)
        except PadvizError:
            continue  # it cannot run so: reflect on small maps
        ratio = after.macs / before.macs if after.macs and before.macs else None
        remedy = Remedy(change.kind, change.what, [*change.edit], change.asks, after, ratio)
        if helps(change.kind, before, after):
            found.append(remedy)
    return tuple(sorted(found, key=_rank))


def helps(kind: str, before: Outcome, after: Outcome) -> bool:
    """Whether fewer learned windows are uneven or, for a size, drop rows; or fewer pixels get too little or too much.

    A larger image has fewer pixels near its border whatever the network does: a size must do more than that.
    """
    if after.uneven_learned != before.uneven_learned:
        return after.uneven_learned < before.uneven_learned
    if kind == "size":
        return after.drops < before.drops
    return after.unfair < before.unfair - GAIN


def changes(network: Network, size: tuple[int, int]) -> Iterator[Change]:
    """All that is tried."""
    makers: tuple[Callable[..., Iterator[Change]], ...] = (even_sizes_near, schemes, even_pads, pooled_strides)
    for make in makers:
        yield from make(network, size)


def _rank(remedy: Remedy) -> tuple[float, ...]:
    """Even learned windows first, then what drops nothing, then fair shares, then what costs little."""
    after = remedy.outcome
    asks = ("nothing", "fine-tuning", "training anew").index(remedy.asks)
    return bool(after.uneven_learned), asks, after.drops > 0, round(after.unfair, 2), remedy.macs_ratio or 1.0


def _ring(counts: CountMap) -> tuple[int, int]:
    """How wide the outer ring is: a period of the strides, or 32 pixels where nothing repeats."""
    if counts.share_reason is None:
        height, width = counts.shares.period
        return height, width
    return 32, 32
