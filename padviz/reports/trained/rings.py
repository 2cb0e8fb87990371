"""The report of `rings`: recall and precision by the distance to the border."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from padviz.counting.shares.summary import percent
from padviz.reports.documents import flat, plain
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.scoring.rings.bands import Band, Bands
from padviz.scoring.rings.detected import Ring, Rings
from padviz.scoring.scored import Estimate, Part

LEGEND = ("Recall: overlapped by half. AP: mean over overlaps of .5 to .95.",)
INTERVALS = "In brackets 95 % intervals, over images."
UNSURE = "no interval"
ONE = "No interval: images are drawn anew for it, and one has what this is of."
CAUSE = "Position need not be why: objects there are cut and smaller, and scenes differ."
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
    first = Lines((finding(scored), *compared(scored), *geometry(scored), CAUSE))
    screen = [
        [Heading(about(scored)), first, Table(_columns(scored), scored.rings), Lines((*LEGEND, *intervals(scored)))],
        [Heading("AP by overlap"), Table(_overlaps(scored), scored.rings)],
        [Heading("Recall of objects that no border cuts"), Table(_sizes(scored), scored.rings)],
    ]
    if scored.beside:
        screen.append([Heading(f"{scored.beside.network} where objects are"), Table(_beside(scored), scored.rings)])
    if scored.classes:
        heading = Heading("AP by class, and objects in the outermost ring")
        screen.append([heading, Table(_classes(scored), [*scored.classes.items()])])
    return Report("rings", plain(scored), screen, Table([*map(Column, sheet[0])], sheet), files=files)


def _of_bands(bands: Bands, files: Sequence[str]) -> Report:
    counted = "objects" if bands.figure == "accuracy" else "pixels"
    sheet = [flat(plain(band)) for band in bands.rings]
    columns = [_place(bands), Column("count", counted), Column("figure", NAMES[bands.figure], percents)]
    first = Lines((finding(bands), *compared(bands), CAUSE))
    screen = [Heading(about(bands)), first, Table(columns, bands.rings), Lines(intervals(bands))]
    return Report("rings", plain(bands), [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def headlines(scored: Rings | Bands) -> tuple[str, str, str]:
    """Title a picture by what is found, how it was made, and how sure that is."""
    return finding(scored).rstrip("."), f"{about(scored)}; bars are 95 % intervals, over images", between_rings(scored)


def about(scored: Rings | Bands) -> str:
    """Say what was scored."""
    images = f"{scored.images:,} image{'' if scored.images == 1 else 's'}"
    if isinstance(scored, Bands):
        counted = "objects" if scored.figure == "accuracy" else "pixels"
        return f"{images}, {sum(ring.count for ring in scored.rings):,} {counted}"
    return f"{images}, {scored.objects:,} objects, {scored.detections:,} detections"


def intervals(scored: Rings | Bands) -> list[str]:
    """Say what intervals are, and why there is none where there is none."""
    figures = [ring.figure if isinstance(ring, Band) else ring.recall for ring in scored.rings]
    known = [figure for figure in figures if figure.value is not None]
    some = [INTERVALS] * any(figure.low is not None for figure in known)
    return some + [ONE] * any(figure.low is None for figure in known)


def _columns(scored: Rings) -> list[Column]:
    whole = Column("ap_mean", "AP", percents, lambda ring: ring.ap["mean"])
    return [_place(scored), Column("objects"), Column("recall", show=percents), whole]


def _overlaps(scored: Rings) -> list[Column]:
    def of(name: str) -> Callable[[Ring], Estimate]:
        return lambda ring: ring.ap[name]

    names = zip(scored.rings[0].ap, scored.ious, strict=False)
    return [_place(scored), *(Column(f"ap_{name}", f"AP {iou:g}", percents, of(name)) for name, iou in names)]


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
    objects = Column("objects", of=lambda row: row[1][0].objects)
    return [
        Column("class", of=lambda row: row[0]),
        objects,
        *(Column(f"ring_{k}", name, percent, of(k)) for k, name in enumerate(shown)),
    ]


def geometry(scored: Rings) -> list[str]:
    """Say how fair shares go with what is found; nothing without a network."""
    if scored.beside is None:
        return []
    correlation = scored.beside.correlation
    if correlation.value is None:
        return ["Fair shares cannot be correlated with what is found, since all or none is."]
    words = f"Spearman {correlation.value:+.2f} ({between(correlation, '{:+.2f}')})"
    return [f"Fair share and being found: {words}; it does not say why."]


def where(ring: Ring | Band, of: str) -> str:
    """Say where a ring lies.

    >>> nothing = Part(0, NOTHING)
    >>> where(Ring(0.25, 0.5, 0, NOTHING, {}, nothing, {}), "share")
    '25 to 50 %'
    """
    if of == "share":
        return f"{100 * ring.first:.3g} to {100 * (ring.last or 1):.3g} %"
    return f"from {ring.first:g} px" if ring.last is None else f"{ring.first:g} to {ring.last:g} px"


def between(figure: Estimate, show: str, to: str = " to ") -> str:
    """Write an interval, or that there is none.

    >>> between(Estimate(0.5, 0.41, 0.6049), "{:.1f}"), between(Estimate(0.5, None, None), "{:.1f}")
    ('0.4 to 0.6', 'no interval')
    """
    if figure.low is None or figure.high is None:
        return UNSURE
    return f"{show.format(figure.low)}{to}{show.format(figure.high)}"


def percents(figure: Estimate) -> str | None:
    """Write a share in percent, and its interval.

    >>> percents(Estimate(0.5, 0.41, 0.6049))
    '50.0 % (41.0–60.5)'
    """
    if figure.value is None:
        return None
    scaled = Estimate(*(None if each is None else 100 * each for each in figure))
    return f"{scaled.value:.1f} % ({between(scaled, '{:.1f}', '–')})"


def finding(scored: Rings | Bands) -> str:
    """Say what the outermost ring has, and what the innermost."""
    name, figures = _figures(scored)
    outer, inner = figures[0].value, figures[-1].value
    if len(figures) == 1 and outer is not None:
        return f"{name}: {percent(outer)}; there is one ring, so nothing to compare."
    if outer is None or inner is None:
        where = "outermost" if outer is None else "innermost"
        return f"Nothing to compare: nothing is in the {where} ring."
    same = by_chance(scored.apart if isinstance(scored, Bands) else scored.recall_apart)
    words = f"{percent(outer)} in the outermost ring, {percent(inner)} in the innermost"
    return f"{name} does not differ measurably: {words}." if same else f"{name}: {words}."


def by_chance(apart: Estimate) -> bool:
    """Tell whether an interval has 0."""
    return apart.low is not None and apart.high is not None and apart.low <= 0 <= apart.high


def _figures(scored: Rings | Bands) -> tuple[str, list[Estimate]]:
    if isinstance(scored, Rings):
        return "Recall", [ring.recall for ring in scored.rings]
    name = NAMES[scored.figure]
    return name[0].upper() + name[1:], [ring.figure for ring in scored.rings]


def compared(scored: Rings | Bands) -> list[str]:
    """Compare the outermost ring with the innermost, and opposite sides of it, as uneven padding would have them."""
    name = "recall" if isinstance(scored, Rings) else NAMES[scored.figure]
    lines = [words] if (words := between_rings(scored)) else []
    for pair, of in scored.sides_apart.items():
        lines.append(f"Outermost ring, {pair.replace('_', ' minus ')}: {apart(name, of)}.")
    return lines


def between_rings(scored: Rings | Bands) -> str:
    """Compare the outermost ring with the innermost; nothing if they are one."""
    if len(scored.rings) == 1:
        return ""
    if isinstance(scored, Bands):
        return f"Outermost minus innermost: {apart(NAMES[scored.figure], scored.apart)}."
    recall, precision = apart("recall", scored.recall_apart), apart("AP", scored.ap_apart["mean"])
    return f"Outermost minus innermost: {recall}; {precision}."


def apart(name: str, figure: Estimate) -> str:
    """Say how far a figure is from another one.

    >>> apart("recall", Estimate(-0.125, -0.2, -0.05)), apart("recall", Estimate(0.01, -0.02, 0.04))
    ('recall -12.5 points (-20.0 to -5.0)', 'recall +1.0 points (-2.0 to +4.0), not measurable')
    """
    if figure.value is None:
        return f"{name} cannot be compared, since one has no objects"
    scaled = Estimate(*(None if each is None else 100 * each for each in figure))
    ending = ", not measurable" if by_chance(figure) else ""
    return f"{name} {scaled.value:+.1f} points ({between(scaled, '{:+.1f}')}){ending}"
