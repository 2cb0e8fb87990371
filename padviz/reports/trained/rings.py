"""The report of `rings`: recall and precision by the distance to the border."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from padviz.reports.documents import flat, plain
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.scoring.rings import Estimate, Ring, Rings

LEGEND = "AP: mean over overlaps of .5 to .95; recall: overlapped by half. In brackets 95 % intervals, over images."
CAUSE = "Position need not be why: objects at the border are cut and smaller, and scenes differ there."
NOTHING = Estimate(None, None, None)


def report_of(scored: Rings, files: Sequence[str] = ()) -> Report:
    """Report the rings from the outermost inwards, and how far the outermost is from the innermost."""
    sheet = [flat(plain(ring)) for ring in scored.rings]
    heading = f"{scored.images:,} images, {scored.objects:,} objects, {scored.detections:,} detections"
    screen = [Heading(heading), Lines((answer(scored), CAUSE)), Table(_columns(scored), scored.rings), Lines((LEGEND,))]
    return Report("rings", plain(scored), [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def _columns(scored: Rings) -> list[Column]:
    def of(name: str) -> Callable[[Ring], Estimate]:
        return lambda ring: ring.ap[name]

    names = zip(scored.rings[0].ap, scored.ious, strict=False)
    precisions = [Column(f"ap_{name}", f"AP {iou:g}", percents, of(name)) for name, iou in names]
    return [
        Column("ring", "from the border", of=lambda ring: where(ring, scored.of)),
        Column("objects"),
        Column("recall", show=percents),
        *precisions,
        Column("ap_mean", "AP", percents, of("mean")),
    ]


def where(ring: Ring, of: str) -> str:
    """Say where a ring lies.

    >>> where(Ring(0.25, 0.5, 0, NOTHING, {}), "share"), where(Ring(64, None, 0, NOTHING, {}), "px")
    ('25 to 50 %', 'from 64 px')
    """
    if of == "share":
        return f"{100 * ring.first:.3g} to {100 * (ring.last or 1):.3g} %"
    return f"from {ring.first:g} px" if ring.last is None else f"{ring.first:g} to {ring.last:g} px"


def percents(figure: Estimate) -> str | None:
    """Write a share in percent, and its interval.

    >>> percents(Estimate(0.5, 0.41, 0.6049))
    '50.0 % (41.0 to 60.5)'
    """
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def answer(scored: Rings) -> str:
    """Say whether the outermost ring does worse than the innermost."""
    parts = [apart("recall", scored.recall_apart), apart("AP", scored.ap_apart["mean"])]
    if len(scored.rings) == 1:
        return "There is one ring, so nothing to compare."
    return f"Outermost ring against innermost: {'; '.join(parts)}."


def apart(name: str, figure: Estimate) -> str:
    """Say how far a figure of the outermost ring is from that of the innermost.

    >>> apart("recall", Estimate(-0.125, -0.2, -0.05)), apart("recall", Estimate(0.01, -0.02, 0.04))
    ('recall -12.5 points (-20.0 to -5.0)', 'recall does not differ measurably, +1.0 points (-2.0 to +4.0)')
    """
    if figure.value is None or figure.low is None or figure.high is None:
        return f"{name} cannot be compared, since one has no objects"
    low, high = 100 * figure.low, 100 * figure.high
    differs = "" if low > 0 or high < 0 else "does not differ measurably, "
    return f"{name} {differs}{100 * figure.value:+.1f} points ({low:+.1f} to {high:+.1f})"
