"""The report of `rings`: recall and precision by the distance to the border."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from padviz.counting.shares.summary import percent
from padviz.intervals import FEW, IMAGES, Estimate, excludes_zero
from padviz.network.network import in_words
from padviz.reports.documents import flat, plain
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.scoring.bands import NAMES, Band, Bands
from padviz.scoring.matching import Subset
from padviz.scoring.rings import LARGE, SMALL, RecallGrid, Ring, Rings

LEGEND = ("Recall: overlapped by half. AP: mean over overlaps of .5 to .95.",)
INTERVALS = "In brackets 95 % intervals, over images."
UNSURE = "no interval"
NONE = f"No interval: fewer than {FEW} objects, or {IMAGES} images."
JOINED = f"Each is half as deep as the next; those of fewer than {FEW} objects are joined."
CAUSE = "Position need not be why: objects there are cut and smaller, and scenes differ."
BETWEEN_SIDES = "What is as near to two sides is of none."
SIZES = f"By area: small is below {SMALL:,} px² (32 x 32), large above {LARGE:,} px² (96 x 96), medium between."
LEAST_SHARE = 0.1  # of what is fair, below which no place has borders of its own


def report_of(scored: Rings | Bands) -> Report:
    """Report the rings from the outermost inwards, and how far the outermost is from the innermost."""
    if isinstance(scored, Bands):
        return _of_bands(scored)
    first = Lines((*scored.doubts, *findings(scored), *compared(scored), *geometry(scored), CAUSE, *scored.notes))
    screen = [
        [Heading(about(scored)), first, Table(_columns(scored), scored.rings), Lines((*LEGEND, *about_rings(scored)))],
        _by_side(scored),
        [Heading("AP by overlap"), Table(_overlaps(scored), scored.rings)],
        [Heading("Recall of objects that no border cuts"), Table(_sizes(scored), scored.rings, SIZES)],
    ]
    if scored.beside:
        size = in_words(scored.beside.size)
        heading = Heading(f"{scored.beside.network} at {size} where objects are, of images stretched to that size")
        screen.append([heading, Table(_beside(scored), scored.rings)])
    if scored.classes:
        rows = [*scored.classes.items()]
        screen.append([Heading("AP by class, and its objects in all rings"), Table(_classes(scored), rows)])
        screen.append([Heading("Recall by class"), Table(_recall_of_classes(scored), rows)])
    return Report("rings", plain(scored), screen, sheet_of(scored))


def _of_bands(bands: Bands) -> Report:
    counted = _counted(bands)
    columns = [_place(bands), Column("count", counted), Column("figure", NAMES[bands.figure], percents)]
    first = Lines((*findings(bands), *compared(bands), CAUSE))
    screen = [Heading(about(bands)), first, Table(columns, bands.rings), Lines(about_rings(bands))]
    return Report("rings", plain(bands), [screen, _by_side(bands)], sheet_of(bands))


def sheet_of(scored: Rings | Bands) -> Table:
    """Lay rings, sides, classes and places out as rows of one table; `part` says which of them a row is."""
    rows = [{"part": "ring", **flat(plain(ring))} for ring in scored.rings]
    if isinstance(scored, Rings) and scored.beside:
        for row, share, padded in zip(rows, scored.beside.fair_share, scored.beside.padding, strict=True):
            row |= {"fair_share": share, "padding": padded}
    rows += [{"part": "side", "side": name, **flat(plain(side))} for name, side in scored.sides.items()]
    classes = scored.classes.items() if isinstance(scored, Rings) else ()
    rows += [{"part": "class", "class": name, **flat(plain(ring))} for name, rings in classes for ring in rings]
    spots = scored.places
    names = ("objects", "recall_value") if isinstance(spots, RecallGrid) else ("count", "figure_value")
    cells = zip(*(spots[:2] if isinstance(spots, RecallGrid) else (spots.count, spots.figure)), strict=True)
    for y, line in enumerate(cells):
        for x, cell in enumerate(zip(*line, strict=True)):
            rows.append({"part": "place", "row": y, "column": x, **dict(zip(names, cell, strict=True))})
    first = [key for key in ("part", "side", "class", "row", "column") if any(key in row for row in rows)]
    keys = dict.fromkeys([*first, *(key for row in rows for key in row)])
    return Table([*map(Column, keys)], rows)


def headlines(scored: Rings | Bands) -> tuple[str, list[str], str]:
    """Title a picture by what is found, say how it was made and how sure that is, and how fair shares go with it."""
    first, *more = findings(scored)
    title = first.rstrip(".") if scored.standout is None else first.partition(";")[0]
    about_it = f"{about(scored)}; whiskers are 95 % intervals, over images"
    doubts = scored.doubts if isinstance(scored, Rings) else ()
    return title, [*doubts, about_it, " ".join([*more, between_rings(scored)]), CAUSE], beside_it(scored)


def beside_it(scored: Rings | Bands) -> str:
    """Label fair shares in a picture by their network and size, and by how they go with what is found."""
    if isinstance(scored, Bands) or scored.beside is None:
        return ""
    name, figure = f"fair share, {scored.beside.network} at {in_words(scored.beside.size)}", scored.beside.correlation
    if figure.value is None:
        return name
    return f"{name}\nSpearman with finding: {figure.value:+.2f} ({between(figure, '{:+.2f}')})"


def _by_side(scored: Rings | Bands) -> list[Any]:
    """Lay the sides of the outermost ring out."""
    counted, name = _counted(scored), _figures(scored)[0]
    sides = [(name, *_of(side)) for name, side in scored.sides.items()]
    columns = [
        Column("side", of=lambda row: row[0]),
        Column("objects", counted, of=lambda row: row[1]),
        Column("figure", name.lower() if name != "IoU" else name, percents, lambda row: row[2]),
    ]
    return [Heading("The outermost ring by the nearest side"), Table(columns, sides, BETWEEN_SIDES)]


def _of(each: Ring | Band | Subset | Any) -> tuple[int, Estimate]:
    """Find how many objects or pixels a ring or a side has, and their figure."""
    return (each.objects, each.recall) if isinstance(each, Ring | Subset) else (each.count, each.figure)


def _counted(scored: Rings | Bands) -> str:
    return "pixels" if isinstance(scored, Bands) and scored.figure == "iou" else "objects"


def about(scored: Rings | Bands) -> str:
    """Say what was scored."""
    images = f"{scored.images:,} image{'' if scored.images == 1 else 's'}"
    if isinstance(scored, Bands):
        return f"{images}, {_some(sum(ring.count for ring in scored.rings), _counted(scored))}"
    return f"{images}, {_some(scored.objects, 'objects')}, {_some(scored.detections, 'detections')}"


def _some(count: int, what: str) -> str:
    """Say how many there are.

    >>> _some(1, "objects"), _some(2000, "pixels")
    ('1 object', '2,000 pixels')
    """
    return f"{count:,} {what.removesuffix('s') if count == 1 else what}"


def about_rings(scored: Rings | Bands) -> list[str]:
    """Say from where to where rings are measured, what intervals are, and why there is none where there is none."""
    unit = "in % of half the shorter side" if scored.of == "share" else "in pixels"
    what = "pixels" if _counted(scored) == "pixels" else "centres of objects"
    joined = [JOINED] * (scored.of == "share" and what != "pixels")
    return [f"From the border: the distance of {what} from the nearest one, {unit}.", *joined, *intervals(scored)]


def intervals(scored: Rings | Bands) -> list[str]:
    """Say what intervals are, and why there is none where there is none."""
    figures = [_of(each)[1] for each in (*scored.rings, *scored.sides.values())]
    known = [figure for figure in figures if figure.value is not None]
    some = [INTERVALS] * any(figure.low is not None for figure in known)
    return some + [NONE] * any(figure.low is None for figure in known)


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
    def of(name: str) -> Callable[[Ring], Subset]:
        return lambda ring: ring.sizes[name]

    uncut = Column("uncut", "all", counted, lambda ring: ring.uncut)
    return [_place(scored), uncut, *(Column(name, show=counted, of=of(name)) for name in scored.rings[0].sizes)]


def counted(part: Subset) -> str | None:
    """Write the share of some objects that is found, and how many they are.

    >>> counted(Subset(8, Estimate(0.5, 0.4, 0.6))), counted(Subset(1, Estimate(1.0, None, None)))
    ('50.0 % of 8', '1 object, found')
    """
    if part.recall.value is None:
        return None
    if part.objects == 1:
        return f"1 object, {'found' if part.recall.value else 'missed'}"
    return f"{percent(part.recall.value)} of {part.objects:,}"


def _beside(scored: Rings) -> list[Column]:
    found = scored.beside
    if found is None:
        return []
    return [
        _place(scored),
        Column("fair_share", "fair share", "{:.3g}", lambda ring: found.fair_share[scored.rings.index(ring)]),
        Column("padding", "paths from padding", percent, lambda ring: found.padding[scored.rings.index(ring)]),
        Column("recall", show=percents),
    ]


def _classes(scored: Rings) -> list[Column]:
    def of(k: int) -> Callable[[tuple[str, Sequence[Ring]]], float | None]:
        return lambda row: row[1][k].ap["mean"].value

    shown = [where(ring, scored.of) for ring in scored.rings]
    return [
        *_class_and_objects(),
        *(Column(f"ring_{k}", name, percent, of(k)) for k, name in enumerate(shown)),
    ]


def _class_and_objects() -> list[Column]:
    def total(row: tuple[str, Sequence[Ring]]) -> int:
        return sum(ring.objects for ring in row[1])

    return [Column("class", of=lambda row: row[0]), Column("objects", of=total)]


def _recall_of_classes(scored: Rings) -> list[Column]:
    """Compare the outermost ring with the innermost, with intervals; those of all rings are in CSV and JSON."""
    ends = [(0, "outermost"), (-1, "innermost")][: len(scored.rings)]

    def of(k: int) -> Callable[[tuple[str, Sequence[Ring]]], Estimate]:
        return lambda row: row[1][k].recall

    return [*_class_and_objects(), *(Column(f"recall_{name}", name, percents, of(k)) for k, name in ends)]


def geometry(scored: Rings) -> list[str]:
    """Say how fair shares go with what is found; nothing without a network."""
    if scored.beside is None:
        return []
    if max((share for share in scored.beside.fair_share if share is not None), default=1) < LEAST_SHARE:
        size = in_words(scored.beside.size)
        words = f"At {size} no place of {scored.beside.network} has a fair share: its windows are larger than that"
        return [f"{words}, so that fair shares tell nothing here. Take the size at which it runs."]
    correlation = scored.beside.correlation
    if correlation.value is None:
        return ["Fair shares cannot be correlated with what is found, since all or none is."]
    words = f"Spearman {correlation.value:+.2f} ({between(correlation, '{:+.2f}')})"
    return [f"Fair share and being found: {words}; it does not say why."]


def where(ring: Ring | Band, of: str) -> str:
    """Write where a ring lies."""
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
    return f"{percent(figure.value)} ({between(scaled, '{:.1f}', '–')})"


def findings(scored: Rings | Bands) -> list[str]:
    """Say which sides stand out, if any, and what the rings have."""
    return [*([side] if (side := standing_out(scored)) else []), finding(scored)]


def standing_out(scored: Rings | Bands) -> str:
    """Say at which sides the outermost ring has another figure than at the others; nothing if there are none."""
    if scored.standout is None:
        return ""
    name, _ = _figures(scored)
    odd = [figure for side, each in scored.sides.items() for figure in [_of(each)[1]] if side in scored.standout.sides]
    others = [_of(each)[1] for side, each in scored.sides.items() if side not in scored.standout.sides]
    sides = " and ".join(scored.standout.sides)
    points = apart("", scored.standout.apart).strip()
    return f"{name} near the {sides} border: {_range(odd)}, near the others {_range(others)}; {points}."


def _range(figures: Sequence[Estimate]) -> str:
    """Write the least and the largest of some shares.

    >>> _range([Estimate(0.8, None, None), Estimate(0.84, None, None)]), _range([Estimate(0.37, None, None)])
    ('80.0 to 84.0 %', '37.0 %')
    """
    ends = dict.fromkeys(f"{100 * each(figure.value or 0 for figure in figures):.1f}" for each in (min, max))
    return f"{' to '.join(ends)} %"


def finding(scored: Rings | Bands) -> str:
    """Say which figures differ between the outermost ring and the innermost, and which do not."""
    name, figures = _figures(scored)
    if len(figures) == 1 and figures[0].value is not None:
        return f"{name}: {_percent(scored, 0)}; there is one ring, so nothing to compare."
    if None in (figures[0].value, figures[-1].value):
        where = "outermost" if figures[0].value is None else "innermost"
        return f"Nothing to compare: nothing is in the {where} ring."
    known: dict[str, tuple[Estimate, Estimate, Estimate]] = {}
    known[name] = (figures[0], figures[-1], scored.apart if isinstance(scored, Bands) else scored.recall_apart)
    if isinstance(scored, Rings):
        known["AP"] = (scored.rings[0].ap["mean"], scored.rings[-1].ap["mean"], scored.ap_apart["mean"])
    if any(apart.low is None for *_, apart in known.values()):
        few = f"fewer than {FEW} {_counted(scored)} or {IMAGES} images"
        return f"Too little to compare: the outermost or the innermost ring has {few}."
    lower = [name for name, (*_, apart) in known.items() if excludes_zero(apart) and (apart.value or 0) < 0]
    higher = [name for name, (*_, apart) in known.items() if excludes_zero(apart) and (apart.value or 0) > 0]
    same = [name for name in known if name not in lower + higher]
    parts = [_differ(names, word, known) for names, word in ((lower, "lower"), (higher, "higher")) if names]
    if same:
        verb = "does" if len(same) == 1 else "do"
        parts.append(f"{_listed(same)} {verb} not differ measurably: {_both_ends(same, known)}.")
    return " ".join(parts)


Known = Mapping[str, tuple[Estimate, Estimate, Estimate]]  # by name: the outermost ring's, the innermost's, apart


def _differ(names: Sequence[str], word: str, known: Known) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{_listed(names)} {verb} {word} near the border: {_both_ends(names, known)}."


def _listed(names: Sequence[str]) -> str:
    """List names: the first with a capital, the others as they stand within a sentence."""
    return " and ".join([names[0], *map(_within, names[1:])])


def _within(name: str) -> str:
    return name if name in ("AP", "IoU") else name.lower()


def _both_ends(names: Sequence[str], known: Known) -> str:
    """Write the figures of the outermost and the innermost ring."""
    words: list[str] = []
    for name in names:
        outer, inner = (percent(figure.value or 0) for figure in known[name][:2])
        named = f"{_within(name)} " if len(names) > 1 else ""
        where = (" in the outermost ring", " in the innermost") if not words else ("", "")
        words.append(f"{named}{outer}{where[0]}, {inner}{where[1]}")
    return "; ".join(words)


def _percent(scored: Rings | Bands, k: int) -> str:
    """Write the figure of a ring, and that it is of one object, if it is."""
    count, figure = _of(scored.rings[k])
    return f"{percent(figure.value or 0)}{' of 1 object' if count == 1 else ''}"


def by_chance(apart: Estimate) -> bool:
    """Tell whether an interval has 0."""
    return apart.low is not None and not excludes_zero(apart)


def _figures(scored: Rings | Bands) -> tuple[str, list[Estimate]]:
    if isinstance(scored, Rings):
        return "Recall", [ring.recall for ring in scored.rings]
    name = NAMES[scored.figure]
    return name[0].upper() + name[1:], [ring.figure for ring in scored.rings]


def compared(scored: Rings | Bands) -> list[str]:
    """Compare the outermost ring with the innermost, and opposite sides of it if both have an interval."""
    name = "recall" if isinstance(scored, Rings) else NAMES[scored.figure]
    lines = [words] if (words := between_rings(scored)) else []
    for pair, of in ((pair, of) for pair, of in scored.sides_apart.items() if of.low is not None):
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
