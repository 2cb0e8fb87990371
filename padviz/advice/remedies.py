"""Remedies: changes that help a network at a size, each counted exactly by the same engine."""

from __future__ import annotations

from bisect import insort_right
from dataclasses import dataclass, field, replace
from operator import itemgetter

import msgspec

from padviz.advice import evidence
from padviz.advice.changes import COSTLY, NEEDS, Change, Needs, changes
from padviz.advice.evidence import APART
from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Fairness, PerAxis, Rim, percent
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case
from padviz.network.network import Size
from padviz.network.rewrites import circular_axes
from padviz.phrases import counted

# share of starved pixels above which a network is foveated: about half of the atlas
FOVEATED = 2 / 3
GAIN = 0.005  # share of the pixels that a remedy must make fair at least
HARSH = 4  # fair share above which a pixel is overused even if all others are starved
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
    remedy with a `price` ranks behind all others. It costs more than 1.2 times the multiply-adds,
    or leaves a foveated image nearly as starved. Or its layers still jump in phase where an axis
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
    ranked: list[tuple[tuple[float, ...], Attempt]] = []
    for change in changes(today, before.deepest):
        attempt = _attempt(change, before, heads, rounded)
        insort_right(ranked, (_rank(attempt, before), attempt), key=itemgetter(0))
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
    remedy = Remedy(
        *what, after, change.padding, ratio, _price(change, before, after, ratio), *points
    )
    return Attempt(change, after, remedy, counts)


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
    if change.work != 1 and ratio > COSTLY:
        return f"costs {ratio:.2f}x the {unit}"
    # Even windows are no cure where most of the image is starved.
    if (
        before.share
        and before.share.starved > FOVEATED
        and after.share
        and after.unfair > before.unfair * (1 - LESS)
    ):
        return f"leaves {percent(after.share.starved)} starved"
    if before.jumps and after.jumps:
        verb = "jump"
        if after.jumps == 1:
            verb = "jumps"
        return f"{counted(after.jumps, 'layer')} {verb} in phase still"
    idle = change.kind == "size" and after.uneven_convolutions == before.uneven_convolutions
    idle = idle and not before.jumps
    if idle and before.tilt - after.tilt <= APART:
        return "only leaves fewer rows unread"
    return None


def _rank(attempt: Attempt, before: Outcome) -> tuple[float, ...]:
    """Return the sort key of an attempt: remedies first, those without a price, by needs, evidence,
    and then geometry.

    Geometry ranks by the number of uneven windows, jumps, remainders, pixels above four times their
    fair share, the distance of the size, and unfair pixels.
    """
    remedy = attempt.remedy
    if remedy is None:
        return (True,)
    after = remedy.outcome
    away = sum(abs(n - m) for n, m in zip(after.size, before.size, strict=True))
    harsh = not before.low and after.share is not None and after.share.max > HARSH
    needed = (
        remedy.price is not None,
        NEEDS.index(remedy.needs),
        *evidence.rank(attempt.change.parts, remedy.needs),
    )
    left = (
        after.uneven_convolutions,
        after.jumps,
        after.remainders > 0,
        harsh,
        away,
        round(after.unfair, 2),
    )
    return False, *needed, *left, remedy.macs_ratio or 1.0
