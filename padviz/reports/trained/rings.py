"""The report of `rings`: recall and precision by the distance to the border."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from padviz.counting.shares.summary import percent
from padviz.reports.documents import flat, plain
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.scoring.rings.bands import Band, Bands
from padviz.scoring.rings.detected import Ring, Rings
from padviz.scoring.scored import Estimate, Part

LEGEND = "AP: mean over overlaps of .5 to .95; recall: overlapped by half. In brackets 95 % intervals, over images."
CAUSE = "Position need not be why: objects at the border are cut and smaller, and scenes differ there."
NAMES = {"accuracy": "accuracy", "iou": "IoU"}
NOTHING = Estimate(None, None, None)


def report_of(scored: Rings | Bands, files: Sequence[str] = ()) -> Report:
    """Report the rings from the outermost inwards, and how far the outermost is from the innermost."""
    if isinstance(scored, Bands):
        return _of_bands(scored, files)
    sheet = [flat(plain(ring)) for ring in scored.rings]
    if scored.beside:
        for row, share, padded in zip(sheet, scored.beside.fair_share, scored.beside.padding, strict=True):
            row |= {"fair_share": share, "padding": padded}
    heading = f"{scored.images:,} images, {scored.objects:,} objects, {scored.detections:,} detections"
    first = Lines((answer(scored), CAUSE, sides(scored), *geometry(scored)))
    screen = [
        [Heading(heading), first, Table(_columns(scored), scored.rings), Lines((LEGEND,))],
        [Heading("Recall of objects that no border cuts"), Table(_sizes(scored), scored.rings)],
    ]
    if scored.beside:
        screen.append([Heading(f"{scored.beside.network} where objects are"), Table(_beside(scored), scored.rings)])
    if scored.classes:
        screen.append([Heading("AP by class"), Table(_classes(scored), [*scored.classes.items()])])
    return Report("rings", plain(scored), screen, Table([*map(Column, sheet[0])], sheet), files=files)


def _of_bands(bands: Bands, files: Sequence[str]) -> Report:
    counted = "objects" if bands.figure == "accuracy" else "pixels"
    sheet = [flat(plain(band)) for band in bands.rings]
    columns = [
        _place(bands),
        Column("count", counted),
        Column("figure", NAMES[bands.figure], percents),
    ]
    about = Lines(("In brackets 95 % intervals, over images.",))
    screen = [Heading(f"{bands.images:,} images"), Lines((answer(bands), CAUSE)), Table(columns, bands.rings), about]
    return Report("rings", plain(bands), [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def _columns(scored: Rings) -> list[Column]:
    def of(name: str) -> Callable[[Ring], Estimate]:
        return lambda ring: ring.ap[name]

    names = zip(scored.rings[0].ap, scored.ious, strict=False)
    precisions = [Column(f"ap_{name}", f"AP {iou:g}", percents, of(name)) for name, iou in names]
    return [
        _place(scored),
        Column("objects"),
        Column("recall", show=percents),
        *precisions,
        Column("ap_mean", "AP", percents, of("mean")),
    ]


def _place(scored: Rings | Bands) -> Column:
    return Column("ring", "from the border", of=lambda ring: where(ring, scored.of))


def _sizes(scored: Rings) -> list[Column]:
    def of(name: str) -> Callable[[Ring], Part]:
        return lambda ring: ring.sizes[name]

    uncut = Column("uncut", "all", counted, lambda ring: ring.uncut)
    return [_place(scored), uncut, *(Column(name, show=counted, of=of(name)) for name in scored.rings[0].sizes)]


def counted(part: Part) -> str | None:
    """Write the share of some objects that is found, and how many they are.

    >>> counted(Part(8, Estimate(0.5, 0.4, 0.6)))
    '50.0 % of 8'
    """
    return None if part.recall.value is None else f"{100 * part.recall.value:.1f} % of {part.objects:,}"


def _beside(scored: Rings) -> list[Column]:
    found = scored.beside
    if found is None:
        return []
    index = {id(ring): k for k, ring in enumerate(scored.rings)}
    return [
        _place(scored),
        Column("fair_share", "fair share", "{:.3g}", lambda ring: found.fair_share[index[id(ring)]]),
        Column("padding", "paths from padding", percent, lambda ring: found.padding[index[id(ring)]]),
        Column("recall", show=percents),
    ]


def _classes(scored: Rings) -> list[Column]:
    def of(k: int) -> Callable[[tuple[str, Sequence[Ring]]], float | None]:
        return lambda row: row[1][k].ap["mean"].value

    shown = [where(ring, scored.of) for ring in scored.rings]
    objects = Column("objects", "objects outermost", of=lambda row: row[1][0].objects)
    return [
        Column("class", of=lambda row: row[0]),
        objects,
        *(Column(f"ring_{k}", name, percent, of(k)) for k, name in enumerate(shown)),
    ]


def sides(scored: Rings) -> str:
    """Say whether opposite sides of the outermost ring differ, as uneven padding would have it."""
    pairs = [name.replace("_", " against ") for name in scored.sides_apart]
    parts = [apart(f"{pair}:", of) for pair, of in zip(pairs, scored.sides_apart.values(), strict=True)]
    return f"Recall in the outermost ring, {'; '.join(parts)}."


def geometry(scored: Rings) -> list[str]:
    """Say how fair shares go with what is found; nothing without a network."""
    if scored.beside is None:
        return []
    value, low, high = scored.beside.correlation
    if value is None or low is None or high is None:
        return ["Fair shares cannot be correlated with what is found, since all or none is."]
    return [f"Fair share and being found: Spearman {value:+.2f} ({low:+.2f} to {high:+.2f}); it does not say why."]


def where(ring: Ring | Band, of: str) -> str:
    """Say where a ring lies.

    >>> nothing = Part(0, NOTHING)
    >>> where(Ring(0.25, 0.5, 0, NOTHING, {}, nothing, {}), "share")
    '25 to 50 %'
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


def answer(scored: Rings | Bands) -> str:
    """Say whether the outermost ring does worse than the innermost."""
    if len(scored.rings) == 1:
        return "There is one ring, so nothing to compare."
    if isinstance(scored, Bands):
        parts = [apart(NAMES[scored.figure], scored.apart)]
    else:
        parts = [apart("recall", scored.recall_apart), apart("AP", scored.ap_apart["mean"])]
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
