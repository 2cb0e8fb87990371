"""Remedies: what could be changed about a network at a size, each counted exactly by the same engine."""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from padviz.advice import evidence
from padviz.advice.changes import (
    NEEDS,
    Change,
    Needs,
    balanced_size_with_schemes,
    balanced_sizes,
    cropped_outputs,
    even_pads,
    larger_image,
    pooled_strides,
    schemes,
)
from padviz.advice.standing import APART
from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import FairShare, PerAxis, Rim
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case
from padviz.network.rewrites import with_padding

GAIN = 0.005  # of the pixels: what less would be called a remedy for?
HARSH = 4  # times as often as its due: a pixel that is used more is overused whatever the others are
COSTLY = 1.2  # times the multiply-adds: a size that costs more never stands first
LESS = 0.1  # of the unfair pixels that a larger image must spare, or any change where every pixel is starved


class Judged(msgspec.Struct, frozen=True):
    """A network at a size, under a scheme: how evenly its windows read, and what share its pixels get.

    `macs` are None where channels are not known. `jumps` counts the layers whose units jump in phase where
    an axis wraps.

    >>> import padviz
    >>> judgement = padviz.audit("resnet50", 225).remedies[0].outcome
    >>> judgement.uneven_convolutions, judgement.uneven_pools, judgement.macs
    (0, 0, 4624665792)
    """

    size: list[int]
    uneven_convolutions: int
    uneven_pools: int
    remainders: int
    jumps: int
    share: FairShare | None
    share_reason: str | None
    rim: Rim | None
    overused_rim: Rim | None
    macs: int | None

    @property
    def unfair(self) -> float:
        """The share of the pixels that are starved or overused."""
        return self.share.starved + self.share.overused if self.share else 0.0

    @property
    def low(self) -> bool:
        """Whether every pixel is starved: where an image is smaller than the receptive field, no share tells much."""
        return self.share is not None and self.share.most < 0.5

    @property
    def tilt(self) -> int:
        """How many pixels opposite rims differ by, on the axis where they differ most."""
        return max(abs(near - far) for near, far in (self.rim.height, self.rim.width)) if self.rim else 0


class Outcome(Judged, frozen=True):
    """What is judged of a network, and further figures of its map: see `padviz.counting.shares.summary.Summary`.

    `ring` is the share of the paths that the pixels within `ring_px`, one period, of the border have, over their share
    of the pixels.

    >>> import padviz
    >>> outcome(Case(padviz.load("resnet50"), (224, 224)), padviz.usage("resnet50", 224)).ring_px
    [32, 32]
    """

    asymmetry: PerAxis
    skew: PerAxis
    marginalised: float
    ring: float
    ring_px: list[int]


class Remedy(msgspec.Struct, frozen=True):
    """A change, what comes of it, and what it needs of a trained network; `edit` is how it is made.

    `as_is` and `trained` are what was measured of it elsewhere, in points: without training, and the worst with the
    training that it needs; None where nobody measured that. `price` says what speaks against it, where that keeps it
    behind all others: it costs more than 1.2 times the multiply-adds, its layers still jump in phase where an axis
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
    outcome: Judged
    padding: str | None
    macs_ratio: float | None
    price: str | None
    as_is: float | None = None
    trained: float | None = None


@dataclass(frozen=True)
class Attempt:
    """A change that was tried, and what comes of it, or why it cannot run; the remedy that it is, where it helps.

    `counts` is its map, where that is kept.
    """

    change: Change
    after: Judged | PadvizError
    remedy: Remedy | None = None
    counts: CountMap | None = field(default=None, repr=False)


def outcome(today: Case, counts: CountMap) -> Outcome:
    """Describe the map of a network at a size by all figures that `Outcome` holds."""
    summary, ring = counts.summary(), _ring(counts)
    return Outcome(
        **msgspec.structs.asdict(judged(today, counts, summary.share)),
        asymmetry=summary.asymmetry,
        skew=summary.skew,
        marginalised=summary.marginalised,
        ring=counts.border_use(ring),
        ring_px=[*ring],
    )


def judged(case: Case, counts: CountMap, share: FairShare | None) -> Judged:
    """Judge the map of a network at a size whose fair shares are known."""
    rows, (starved, overused) = case.ledger, counts.rims or (None, None)
    return Judged(
        size=[*counts.size],
        uneven_convolutions=len(rows.uneven_convolutions),
        uneven_pools=len(rows.uneven_pools),
        remainders=len(rows.remainders),
        jumps=len(rows.jumps),
        share=share,
        share_reason=counts.share_reason,
        rim=starved,
        overused_rim=overused,
        macs=case.macs,
    )


def attempts(today: Case, before: Judged, heads: str, most: int = 0) -> list[Attempt]:
    """Try all changes of a network whose outcome today is known: the best remedies first, `most` of them with maps.

    >>> import padviz
    >>> today = Case(padviz.load("resnet18"), (224, 224))
    >>> tried = attempts(today, outcome(today, padviz.usage("resnet18", 224)), "sum")
    >>> tried[0].change.what, tried[0].after.uneven_convolutions
    ('partial padding', 4)
    """
    tried: list[Attempt] = []
    rank = partial(_rank, before=before)
    for change in changes(today):
        insort_right(tried, _attempt(change, before, heads), key=rank)
        tried[most:] = [replace(attempt, counts=None) for attempt in tried[most:]]  # maps may be large
    return tried


def _attempt(change: Change, before: Judged, heads: str) -> Attempt:
    """Count what a change does."""
    case = change.case
    try:
        counts = usage(case.network, case.size, change.padding, heads=heads)
        padded = Case(with_padding(case.network, change.padding), case.size, case.macs) if change.padding else case
        after = judged(padded, counts, None if counts.share_reason else counts.shares.figures)
    except PadvizError as error:
        return Attempt(change, error)  # as reflect on small maps
    ratio = after.macs / before.macs if after.macs and before.macs else None
    if not helps(change.kind, before, after):
        return Attempt(change, after)
    what = change.kind, change.what, [*change.edit], change.needs
    known = evidence.of(change.parts)
    points = (known.as_is and known.as_is[0], known.after(change.needs)) if known else (None, None)
    remedy = Remedy(*what, after, change.padding, ratio, _price(change, before, after, ratio), *points)
    return Attempt(change, after, remedy, counts)


def helps(kind: str, before: Judged, after: Judged) -> bool:
    """Tell whether fewer convolutions are uneven; for a size, fewer remainders or jumps; or fewer pixels unfair shares.

    Nothing helps that leaves more pixels starved or overused. A scheme helps by its shares alone, also at another size.
    A larger image has fewer pixels near its border whatever the network does: a size must do more than that, and where
    hardly a pixel gets an unfair share there is nothing to spare. What leaves windows uneven must not leave more
    remainders for those that it makes even. Where every pixel is starved, a tenth must be so no longer.
    """
    if after.unfair > before.unfair:
        return False
    if kind not in ("padding", "both") and after.uneven_convolutions != before.uneven_convolutions:
        cured = not after.uneven_convolutions or after.remainders <= before.remainders
        return after.uneven_convolutions < before.uneven_convolutions and cured
    if kind == "size":
        return after.remainders < before.remainders or after.jumps < before.jumps
    spared = after.unfair < before.unfair * (1 - LESS)
    if kind == "larger":
        return not after.low and before.unfair > GAIN and spared
    return spared if before.low else after.unfair < before.unfair - GAIN


def changes(today: Case) -> Iterator[Change]:
    """Yield all that is tried."""
    makers: tuple[Callable[[Case], Iterator[Change]], ...] = (
        balanced_sizes,
        partial(balanced_size_with_schemes, most=COSTLY),
        larger_image,
        schemes,
        even_pads,
        pooled_strides,
        cropped_outputs,
    )
    for make in makers:
        yield from make(today)


def _price(change: Change, before: Judged, after: Judged, ratio: float | None) -> str | None:
    if change.case.size != (before.size[0], before.size[1]) and (ratio or 0) > COSTLY:
        return f"costs {ratio:.2f}x the multiply-adds"
    if before.jumps and after.jumps:
        return f"{after.jumps} layer{'s jump' if after.jumps > 1 else ' jumps'} in phase still"
    idle = change.kind == "size" and after.uneven_convolutions == before.uneven_convolutions
    idle = idle and not before.jumps
    return "only has fewer stride remainders" if idle and before.tilt - after.tilt <= APART else None


def _rank(attempt: Attempt, before: Judged) -> tuple[float, ...]:
    """Rank what helps: what needs least of a trained network, then by evidence, and only then by geometry.

    Of what was measured alike, what leaves fewest windows uneven comes first, then no stride remainder, no pixel above
    four times its share, the nearest size, fewest unfair pixels. What has a price comes last of all.
    """
    remedy = attempt.remedy
    if remedy is None:
        return (True,)
    after = remedy.outcome
    away = sum(abs(n - m) for n, m in zip(after.size, before.size, strict=True))
    harsh = not before.low and after.share is not None and after.share.most > HARSH
    needed = remedy.price is not None, NEEDS.index(remedy.needs), *evidence.rank(attempt.change.parts, remedy.needs)
    left = after.uneven_convolutions, after.jumps, after.remainders > 0, harsh, away, round(after.unfair, 2)
    return False, *needed, *left, remedy.macs_ratio or 1.0


def _ring(counts: CountMap) -> tuple[int, int]:
    """Choose how wide the outer ring is: a period of the strides, or 32 pixels where nothing repeats."""
    if counts.share_reason is None:
        height, width = counts.shares.period
        return height, width
    return 32, 32
