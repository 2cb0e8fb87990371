"""Remedies: changes that help a network at a size, each counted exactly by the same engine."""

from __future__ import annotations

from bisect import insort_right
from dataclasses import dataclass, field, replace
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from padviz.advice import evidence
from padviz.advice.changes import COSTLY, NEEDS, Change, Needs, changes
from padviz.advice.evidence import APART
from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Fairness, PerAxis, Rim, percent
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case
from padviz.network.network import Network, Size
from padviz.network.padding_modes import SCHEMES
from padviz.network.rewrites import circular_axes, schemes_of
from padviz.phrases import counted

# share of starved pixels above which a network is foveated: about half of the atlas
FOVEATED = 2 / 3
GAIN = 0.005  # share of the pixels that a remedy must make fair at least
# share of the unfair pixels that a larger image must make fair, or any change if every pixel is
# starved
LESS = 0.1


class Outcome(Fairness, frozen=True):
    """A network at a size, under a scheme: its uneven windows, and the fair shares of its pixels.

    `macs` are None where channels are not known. `jumps` counts the layers whose units jump in
    phase where an axis wraps.
    """

    size: list[int]
    uneven_convolutions: int
    uneven_pools: int
    remainders: int
    jumps: int
    share_reason: str | None
    rim: Rim | None
    overused_rim: Rim | None
    macs: int | None

    @property
    def unfair(self) -> float:
        """The share of the pixels that are starved or overused."""
        if self.share:
            return self.share.starved + self.share.overused
        return 0.0

    @property
    def deepest(self) -> int:
        """The depth of the deepest rim in pixels, starved or overused."""
        if self.rim and self.overused_rim:
            return max(*self.rim.depths, *self.overused_rim.depths)
        return 0

    @property
    def low(self) -> bool:
        """Whether every pixel is starved, as in an image smaller than the receptive field."""
        return self.share is not None and self.share.max < 0.5

    @property
    def tilt(self) -> int:
        """The difference of opposite rims in pixels, on the axis where it is largest."""
        if self.rim:
            return max(abs(near - far) for near, far in (self.rim.height, self.rim.width))
        return 0


class MapOutcome(Outcome, frozen=True):
    """An outcome with further figures of its map: see `padviz.counting.shares.summary.Summary`.

    `ring` is the share of the paths of the pixels within `ring_px`, one period, of the border, over
    their share of the pixels.
    """

    asymmetry: PerAxis
    skew: PerAxis
    marginalised: float
    ring: float
    ring_px: list[int]


class Remedy(msgspec.Struct, frozen=True):
    """A change that helps, its outcome, its edits, and the training that it needs.

    `as_is` and `trained` are its measured effects on accuracy elsewhere, in points: without
    training, and the worst with the training that it needs; None where nobody measured that. A
    remedy with a `price` ranks behind all others and is never advised. It costs more than 1.2 times
    the multiply-adds, or spares less than a tenth of the starved and overused pixels, or leaves
    more than 2/3 of the image so. Or it makes an axis wrap, or its layers jump in phase where one
    wraps, or it only has fewer stride remainders.

    Examples
    --------
    >>> import padviz
    >>> best = padviz.audit("resnet50", 224).remedies[0]
    >>> best.what, best.needs, best.as_is, best.trained
    ('partial padding', 'fine-tune', -19.1, -2.0)
    """

    kind: str
    what: str
    edit: list[str]
    needs: Needs
    outcome: Outcome
    padding: str | None
    macs_ratio: float | None
    price: str | None
    as_is: float | None = None
    trained: float | None = None


@dataclass(frozen=True)
class Attempt:
    """A change that was tried, its outcome or error, and the remedy if it helps; `counts` is its
    map, if kept.
    """

    change: Change
    after: Outcome | PadvizError
    remedy: Remedy | None = None
    counts: CountMap | None = field(default=None, repr=False)


def map_outcome(today: Case, counts: CountMap) -> MapOutcome:
    """Return all figures of a network's map; its ring is one period of the strides wide, or 32 px
    without a period.
    """
    summary = counts.summary()
    if counts.share_reason:
        ring: Size = (32, 32)
    else:
        ring = counts.shares.period
    return MapOutcome(
        **msgspec.structs.asdict(outcome(today, counts)),
        asymmetry=summary.asymmetry,
        skew=summary.skew,
        marginalised=summary.marginalised,
        ring=counts.border_use(ring),
        ring_px=[*ring],
    )


def outcome(case: Case, counts: CountMap) -> Outcome:
    rows, (starved, overused) = case.ledger, counts.rims or (None, None)
    return Outcome(
        size=[*counts.size],
        uneven_convolutions=len(rows.uneven_convolutions),
        uneven_pools=len(rows.uneven_pools),
        remainders=len(rows.remainders),
        jumps=len(rows.jumps),
        share=None if counts.share_reason else counts.shares.figures,
        share_reason=counts.share_reason,
        rim=starved,
        overused_rim=overused,
        macs=case.macs,
    )


def attempts(
    today: Case, before: Outcome, heads: str, most: int = 0, rounded: bool = False
) -> list[Attempt]:
    """Try all changes of a network with a known outcome: the best remedies first, `most` of them
    with maps.
    """
    ranked: list[tuple[tuple[Any, ...], Attempt]] = []
    for change in changes(today, before.deepest):
        attempt = _attempt(change, before, heads, rounded)
        rank: tuple[Any, ...] = (True,)
        if attempt.remedy:
            rank = (False, *Place.of(attempt.remedy, before))
        insort_right(ranked, (rank, attempt), key=itemgetter(0))
        # maps may be large
        ranked[most:] = [(rank, replace(tried, counts=None)) for rank, tried in ranked[most:]]
    return [attempt for _, attempt in ranked]


def _attempt(change: Change, before: Outcome, heads: str, rounded: bool) -> Attempt:
    case = change.case
    try:
        counts = usage(case.network, case.size, change.padding, heads=heads, rounded=rounded)
        around = circular_axes(counts.walked)
        if around != circular_axes(case.network):  # else windows read as many rows of padding
            case = Case(case.network, case.size, case.macs, around)
        after = outcome(case, counts)
    except PadvizError as error:
        return Attempt(change, error)  # such as reflect on small maps
    ratio = None
    if after.macs and before.macs:
        ratio = after.macs / before.macs
    if not helps(change.kind, before, after):
        return Attempt(change, after)
    what = change.kind, change.what, [*change.edit], change.needs
    known = evidence.evidence_on(change.parts)
    if known:
        points = (known.as_is and known.as_is[0], known.after(change.needs))
    else:
        points = (None, None)
    price = _price(change, before, after, ratio)
    if change.padding and _joins_sides(case.network, change.padding):
        price = "suits only images that wrap"
    remedy = Remedy(*what, after, change.padding, ratio, price, *points)
    return Attempt(change, after, remedy, counts)


def _joins_sides(network: Network, padding: str) -> bool:
    """Whether a scheme makes opposite sides neighbours on an axis that did not wrap."""
    meets = zip(schemes_of(padding), circular_axes(network), strict=True)
    return any(SCHEMES[mode].wraps and not wrapped for mode, wrapped in meets)


def helps(kind: str, before: Outcome, after: Outcome) -> bool:
    """Whether a change leaves fewer convolutions uneven, fewer remainders or jumps (a size), or
    fewer unfair pixels.

    A change that leaves more pixels starved or overused never helps. Schemes help by fair shares
    alone, also combined with a size. A larger image always has fewer pixels near its border, so it
    must spare a tenth of the unfair ones, and there must be some. So must a margin, which leaves no
    rim. A change that leaves some windows uneven must not leave more remainders. If every pixel is
    starved, a change must free a tenth of them.
    """
    if after.unfair > before.unfair:
        return False
    if kind not in ("padding", "both") and after.uneven_convolutions != before.uneven_convolutions:
        cured = not after.uneven_convolutions or after.remainders <= before.remainders
        return after.uneven_convolutions < before.uneven_convolutions and cured
    if kind == "size":
        return after.remainders < before.remainders or after.jumps < before.jumps
    spared = after.unfair < before.unfair * (1 - LESS)
    if kind == "margin" and after.deepest:
        return False
    if kind in ("larger", "margin"):
        return not after.low and before.unfair > GAIN and spared
    if before.low:
        return spared
    return after.unfair < before.unfair - GAIN


def _price(change: Change, before: Outcome, after: Outcome, ratio: float | None) -> str | None:
    unit = "multiply-adds"
    if ratio is None:
        ratio, unit = change.work, "pixels"
    if ratio > COSTLY:
        return f"costs {ratio:.2f}x the {unit}"
    # Where hardly a pixel is starved, the windows alone count.
    if after.unfair > max(min(before.unfair * (1 - LESS), FOVEATED), GAIN):
        return f"leaves {percent(after.unfair)} starved or overused"
    if before.jumps and after.jumps:
        return f"leaves {counted(after.jumps, 'layer')} out of phase"
    idle = change.kind == "size" and after.uneven_convolutions == before.uneven_convolutions
    idle = idle and not before.jumps
    if idle and before.tilt - after.tilt <= APART:
        return "only leaves fewer rows unread"
    return None


class Place(NamedTuple):
    """The place of a remedy in the table; the first field that differs decides."""

    priced: bool
    training: int
    unmeasured: bool
    loss: float
    unfair: float
    work: float
    uneven: int
    away: int
    what: str

    @classmethod
    def of(cls, remedy: Remedy, before: Outcome) -> Place:
        after, lost = remedy.outcome, inf
        if remedy.trained is not None:
            lost = -remedy.trained
        return cls(
            remedy.price is not None,
            NEEDS.index(remedy.needs),
            remedy.trained is None,
            lost,
            round(after.unfair, 3),
            remedy.macs_ratio or 1.0,
            after.uneven_convolutions + after.uneven_pools,
            sum(abs(n - m) for n, m in zip(after.size, before.size, strict=True)),
            remedy.what,
        )


# What puts the next row behind the first, by the field of `Place` that decides.
BEHIND = {
    "training": "needs more training",
    "unmeasured": "was measured nowhere",
    "loss": "lost more in small test networks",
    "unfair": "leaves more pixels starved or overused",
    "work": "takes more multiply-adds",
    "uneven": "leaves more windows uneven",
    "away": "changes the size more",
    "what": "comes later in the alphabet",
}


def because(first: Remedy, second: Remedy | None, before: Outcome) -> str:
    """Return why a remedy is the first of the table: what puts the next one behind it."""
    if second is None:
        return "because nothing else that was tried helps"
    pairs = zip(Place._fields, Place.of(first, before), Place.of(second, before), strict=True)
    decides = next(name for name, one, other in pairs if one != other)
    return f"because the next, {second.what}, {second.price or BEHIND[decides]}"
