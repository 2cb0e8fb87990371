"""How well a detector does by the distance to the border: reads what a person names, and calls a room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from padviz.analyses.asked import Pixels, Source
from padviz.analyses.result import Door, Result
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.intervals import FEW, IMAGES, Estimate, excludes_zero
from padviz.network.network import in_words
from padviz.reports.documents import flat, plain
from padviz.reports.report import Block, Column, Heading, Lines, Report, Table, grid
from padviz.scoring import rings as detected
from padviz.scoring.bands import NAMES, Band, Bands
from padviz.scoring.matching import Subset
from padviz.scoring.reading.formats import doubts_of, kind_of, read_bands, read_scenes
from padviz.scoring.rings import LARGE, SMALL, Ring, Rings, check_filled
from padviz.sources import load_at

RINGS = 4  # where nothing says how many
PLACE = "from the border"
LEGEND = "Recall at IoU .5; AP: mean over IoU .5 to .95."
INTERVALS = "In brackets: 95 % intervals over images."
NONE = f"No interval below {FEW} objects or {IMAGES} images."
JOINED = f"Each ring is half as deep as the next; rings of fewer than {FEW} objects are merged."
CAUSE = "Position may not be the cause: objects near the border are cut and smaller, and scenes differ."
SIZES = f"By area: small is below {SMALL:,} px² (32 x 32), large above {LARGE:,} px² (96 x 96), medium between."
LEAST_SHARE = 0.1  # of what is fair, below which no place has borders of its own

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RingsResult(Result[Ring], Rings):
    """A detector's results in rings, from the outermost inwards: `.rings`, each with `objects`, `recall` and `ap`."""


class BandsResult(Result[Band], Bands):
    """A classifier's or segmenter's results in rings, from the outermost inwards: `.rings`."""


def rings(
    gt: str | Path,
    pred: str | Path,
    network: Source | None = None,
    size: Pixels = None,
    *,
    image_sizes: str | Path | None = None,
    rings: int | None = None,
    px: Sequence[float] | None = None,
    iou: Sequence[float] | None = None,
    by_class: bool = False,
    seed: int = 0,
) -> RingsResult | BandsResult:
    """Score a detector's results by distance to the border: is it worse there?

    A ring has the objects whose centres are that far from the nearest border; those of other rings are ignored. If a
    detector does worse in the outer rings, its padding may not be the cause: objects are cut there, and smaller.

    Parameters
    ----------
    gt, pred : str or Path
        COCO's two files: instances, with images, annotations and categories; and results, a list of boxes with scores.
        Or YOLO's folders of labels: a text file for each image; behind the boxes of `pred` stand scores.
        Of a classifier two files of CSV, with the columns image, label, x, y, image_width and image_height, and image
        and label: x and y are the middle of an object, in pixels. Of a segmenter two folders of label maps of equal
        names.
    network, size
        As for `usage`: a network whose fair shares are compared, with images scaled to that size.
    image_sizes : str or Path, optional
        The folder of the images of YOLO's labels, or a CSV of their sizes: image, width, height.
    rings : int
        Number of rings, each half as deep as the next: 4 by default, to 1/8, 1/4, 1/2 and all of half the shorter side.
        One of fewer than 20 objects is merged with its neighbour.
    px : sequence of float, optional
        Inner edges of the rings in pixels, instead of `rings`.
    iou : sequence of float, optional
        IoU thresholds for average precision; .5 and .75 by default.
    by_class : bool
        Score each class too.
    seed : int
        Of the random halves of the images, for 95 % intervals.

    Returns
    -------
    RingsResult, or of a classifier or segmenter BandsResult
        `.rings` from the outermost inwards, each with `objects`, `recall` and `ap`; printed, drawn and saved as the
        command does.

    Raises
    ------
    PadvizError
        For files that cannot be read, if no detection overlaps an object, or the first or last ring is empty.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 8]}
    >>> there = {"images": [{"id": 1, "width": 64, "height": 48}], "categories": [{"id": 1}], "annotations": [box]}
    >>> _ = (folder / "gt.json").write_text(json.dumps(there))
    >>> _ = (folder / "pred.json").write_text(json.dumps([{**box, "score": 0.9}]))
    >>> scored = rings(folder / "gt.json", folder / "pred.json", rings=1)
    >>> scored[0].objects, scored[0].recall.value
    (1, 1.0)
    """
    if rings is not None and px:
        what = "sets the edges of the rings, so `rings` is not used"
        raise OptionError(what, option="px", hint="leave one of them out")
    kind, count, pixels = kind_of(gt, pred), RINGS if rings is None else rings, px or ()
    if kind in ("labels", "masks"):
        for option, value in (("image_sizes", image_sizes), ("size", network), ("iou", iou), ("by_class", by_class)):
            if value:
                raise OptionError("is for boxes", option=option, hint="leave it out")
        bands = read_bands(gt, pred, kind, count, pixels, seed)
        check_filled([band.count for band in bands.rings], pixels, "object" if kind == "labels" else "pixel")
        return BandsResult.made_of(bands, bands.rings, partial(report_of, bands), partial(_draw, bands))
    scenes, asked = read_scenes(gt, pred, image_sizes, kind), (count, pixels, iou or (0.5, 0.75), seed)
    doubts = doubts_of(scenes, gt, pred)
    loaded, at = (None, None) if network is None else load_at(network, size)
    scored = replace(detected.rings_of(scenes, *asked, loaded, at), doubts=doubts, notes=scenes.notes)
    check_filled([ring.objects for ring in scored.rings], pixels, "object")
    if by_class:
        scored = replace(scored, classes=detected.by_class(scored, scenes, seed))
    notes, draw = (*scored.doubts, *scored.notes), partial(_draw, scored)
    return RingsResult.made_of(scored, scored.rings, partial(report_of, scored), draw, notes=notes)


class Figures(NamedTuple):
    """What is shown of boxes, labels and masks alike; the first figure is also known by side and by place."""

    counted: str  # "objects" or "pixels"
    counts: list[int]  # by ring
    by_name: dict[str, list[Estimate]]  # by ring
    apart: dict[str, Estimate]  # the outermost ring minus the innermost
    sides: dict[str, tuple[int, Estimate]]


def _figures(scored: Rings | Bands) -> Figures:
    if isinstance(scored, Bands):
        name, counted = NAMES[scored.figure], "pixels" if scored.figure == "iou" else "objects"
        sides = {side: (each.count, each.figure) for side, each in scored.sides.items()}
        figures = {name: [band.figure for band in scored.rings]}
        return Figures(counted, [band.count for band in scored.rings], figures, {name: scored.apart}, sides)
    figures = {"recall": [ring.recall for ring in scored.rings], "AP": [ring.ap["mean"] for ring in scored.rings]}
    apart = {"recall": scored.recall_apart, "AP": scored.ap_apart["mean"]}
    return Figures("objects", [ring.objects for ring in scored.rings], figures, apart, {**scored.sides})


def report_of(scored: Rings | Bands) -> Report:
    shown = _figures(scored)
    name, figures = next(iter(shown.by_name.items()))
    sentences = [*findings(scored), *compared(scored)]
    unit = "in % of half the shorter side" if scored.of == "share" else "in pixels"
    what = "an object's centre" if shown.counted == "objects" else "a pixel"
    legend = [f"From the border: distance of {what} from the nearest border, {unit}."]
    legend += [JOINED] * (scored.of == "share" and shown.counted == "objects")
    known = [figure for figure in (*figures, *(of for _, of in shown.sides.values())) if figure.value is not None]
    legend += [INTERVALS] * any(figure.low is not None for figure in known)
    legend += [NONE] * any(figure.low is None for figure in known)
    places, more = [where(ring, scored.of) for ring in scored.rings], []
    if isinstance(scored, Rings):
        sentences = [*scored.doubts, *sentences, *geometry(scored), CAUSE, *scored.notes]
        legend, more = [LEGEND, *legend], [*_of_boxes(scored, places)]
    else:
        sentences.append(CAUSE)
    rows = zip(places, shown.counts, *(map(percents, of) for of in shown.by_name.values()), strict=True)
    sides = [[side, count, percents(figure)] for side, (count, figure) in shown.sides.items()]
    by_ring = grid([PLACE, shown.counted, *shown.by_name], [*rows])
    ties = f"{_capital(shown.counted)} equally near two sides count for neither."
    by_side = grid(["side", shown.counted, name], sides, ties)
    first = [Heading(about(scored)), Lines(sentences), by_ring, Lines(legend)]
    second = [Heading("Outermost ring by nearest side"), by_side]
    return Report("rings", plain(scored), [first, second, *more], sheet_of(scored))


def _of_boxes(scored: Rings, places: list[str]) -> Iterator[list[Block]]:
    """Yield what only detections have: AP by IoU threshold, recall by size, fair shares, and classes."""
    rings = [*zip(places, scored.rings, strict=True)]
    names = [name for name, _ in zip(scored.rings[0].ap, scored.ious, strict=False)]
    overlaps = [[place, *(percents(ring.ap[name]) for name in names)] for place, ring in rings]
    yield [Heading("AP by IoU threshold"), grid([PLACE, *(f"AP {iou:g}" for iou in scored.ious)], overlaps)]
    sizes = [[place, *map(counted, (ring.uncut, *ring.sizes.values()))] for place, ring in rings]
    by_size = grid([PLACE, "all", *scored.rings[0].sizes], sizes, SIZES)
    yield [Heading("Recall of uncut objects"), by_size]
    if beside := scored.beside:
        size = in_words(beside.size)
        heading = Heading(f"Fair share of {beside.network} where objects are, with images scaled to {size}")
        rows = [
            [place, share if share is None else f"{share:.3g}", padded and percent(padded), percents(ring.recall)]
            for (place, ring), share, padded in zip(rings, beside.fair_share, beside.padding, strict=True)
        ]
        yield [heading, grid([PLACE, "fair share", "paths from padding", "recall"], rows)]
    if scored.classes:
        ends = [(0, "outermost"), (-1, "innermost")][: len(places)]  # those between are in CSV and JSON
        precisions, recalls = [], []
        for name, own in scored.classes.items():
            objects = sum(ring.objects for ring in own)
            values = [ring.ap["mean"].value for ring in own]
            precisions.append([name, objects, *(value if value is None else percent(value) for value in values)])
            recalls.append([name, objects, *(percents(own[k].recall) for k, _ in ends)])
        heading = Heading("AP by class; objects of all rings")
        yield [heading, grid(["class", "objects", *places], precisions)]
        yield [Heading("Recall by class"), grid(["class", "objects", *(name for _, name in ends)], recalls)]


def sheet_of(scored: Rings | Bands) -> Table:
    """Return rings, sides, classes and places as rows of one table; `part` says which of them a row is."""
    rows = [{"part": "ring", **flat(plain(ring))} for ring in scored.rings]
    if isinstance(scored, Rings) and scored.beside:
        for row, share, padded in zip(rows, scored.beside.fair_share, scored.beside.padding, strict=True):
            row |= {"fair_share": share, "padding": padded}
    rows += [{"part": "side", "side": name, **flat(plain(side))} for name, side in scored.sides.items()]
    classes = scored.classes.items() if isinstance(scored, Rings) else ()
    rows += [{"part": "class", "class": name, **flat(plain(ring))} for name, rings in classes for ring in rings]
    (count, counts), (figure, values), _ = plain(scored.places).items()
    for y, line in enumerate(zip(counts, values, strict=True)):
        for x, (many, value) in enumerate(zip(*line, strict=True)):
            rows.append({"part": "place", "row": y, "column": x, count: many, f"{figure}_value": value})
    first = [key for key in ("part", "side", "class", "row", "column") if any(key in row for row in rows)]
    keys = dict.fromkeys([*first, *(key for row in rows for key in row)])
    return Table([*map(Column, keys)], rows)


def _draw(scored: Rings | Bands) -> Figure:
    from padviz.figures.trained.intervals import rings as draw_rings

    return draw_rings(scored, *headlines(scored))


def headlines(scored: Rings | Bands) -> tuple[str, list[str], str]:
    """Return the title of a picture, the lines below it, and the label of the fair shares in it."""
    first, *more = findings(scored)
    title = first.rstrip(".") if scored.standout is None else first.partition(";")[0]
    lines = [f"{about(scored)}; whiskers are 95 % intervals, over images", " ".join([*more, *compared(scored)[:1]])]
    if isinstance(scored, Bands):
        return title, [*lines, CAUSE], ""
    beside, label = scored.beside, ""
    if beside:
        label = f"fair share, {beside.network} at {in_words(beside.size)}"
        if (figure := beside.correlation).value is not None:
            label += f"\nSpearman with detection: {figure.value:+.2f} ({between(figure, '{:+.2f}')})"
    return title, [*scored.doubts, *lines, CAUSE], label


def about(scored: Rings | Bands) -> str:
    shown = _figures(scored)
    counts = {"images": scored.images, shown.counted: sum(shown.counts)}
    if isinstance(scored, Rings):
        counts["detections"] = scored.detections
    return ", ".join(f"{n:,} {what.removesuffix('s') if n == 1 else what}" for what, n in counts.items())


def counted(part: Subset) -> str | None:
    """Write the share of some objects that is found, and their number.

    >>> counted(Subset(8, Estimate(0.5, 0.4, 0.6))), counted(Subset(1, Estimate(1.0, None, None)))
    ('50.0 % of 8', '1 object, found')
    """
    if part.recall.value is None:
        return None
    if part.objects == 1:
        return f"1 object, {'found' if part.recall.value else 'missed'}"
    return f"{percent(part.recall.value)} of {part.objects:,}"


def geometry(scored: Rings) -> list[str]:
    """Return a sentence on how fair shares correlate with what is found; none without a network."""
    if scored.beside is None:
        return []
    if max((share for share in scored.beside.fair_share if share is not None), default=1) < LEAST_SHARE:
        size = in_words(scored.beside.size)
        words = f"At {size} all fair shares of {scored.beside.network} are below {LEAST_SHARE}: its windows are larger"
        return [f"{words} than the image. Use the size at which it runs."]
    correlation = scored.beside.correlation
    if correlation.value is None:
        return ["No correlation of fair share and detection: all objects are found, or none."]
    words = f"Spearman {correlation.value:+.2f} ({between(correlation, '{:+.2f}')})"
    return [f"Fair share and detection: {words}; correlation does not show a cause."]


def where(ring: Ring | Band, of: str) -> str:
    if of == "share":
        return f"{100 * ring.first:.3g} to {100 * (ring.last or 1):.3g} %"
    return f"from {ring.first:g} px" if ring.last is None else f"{ring.first:g} to {ring.last:g} px"


def between(figure: Estimate, show: str, to: str = " to ") -> str:
    """Write an interval, or that there is none.

    >>> between(Estimate(0.5, 0.41, 0.6049), "{:.1f}"), between(Estimate(0.5, None, None), "{:.1f}")
    ('0.4 to 0.6', 'no interval')
    """
    if figure.low is None or figure.high is None:
        return "no interval"
    return f"{show.format(figure.low)}{to}{show.format(figure.high)}"


def _times_100(figure: Estimate) -> Estimate:
    return Estimate(*(None if each is None else 100 * each for each in figure))


def percents(figure: Estimate) -> str | None:
    """Write a share in percent, and its interval.

    >>> percents(Estimate(0.5, 0.41, 0.6049))
    '50.0 % (41.0–60.5)'
    """
    if figure.value is None:
        return None
    return f"{percent(figure.value)} ({between(_times_100(figure), '{:.1f}', '–')})"


def findings(scored: Rings | Bands) -> list[str]:
    """Return sentences on the sides of the outermost ring that differ, if any, and one that compares rings."""
    shown = _figures(scored)
    if (odd := scored.standout) is None:
        return [*_pairs(scored, measurable=True), _finding(shown)]
    ranges = []
    for out in (True, False):
        values = [figure.value or 0 for side, (_, figure) in shown.sides.items() if (side in odd.sides) == out]
        ends = dict.fromkeys(f"{100 * each(values):.1f}" for each in (min, max))
        ranges.append(f"{' to '.join(ends)} %")
    near = f"{_capital(next(iter(shown.by_name)))} near the {' and '.join(odd.sides)} border"
    return [f"{near}: {ranges[0]}, near the others {ranges[1]}; {apart('', odd.apart).strip()}.", _finding(shown)]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _finding(shown: Figures) -> str:
    """Return which figures differ between the outermost ring and the innermost, and which do not."""
    ends = {name: (figures[0], figures[-1]) for name, figures in shown.by_name.items()}
    outer, inner = next(iter(ends.values()))
    if len(shown.counts) == 1 and outer.value is not None:
        lone = " of 1 object" if shown.counts[0] == 1 else ""
        name = _capital(next(iter(ends)))
        return f"{name}: {percent(outer.value)}{lone}; only one ring, so nothing to compare."
    if None in (outer.value, inner.value):
        return f"Nothing to compare: the {'outermost' if outer.value is None else 'innermost'} ring is empty."
    if any(apart.low is None for apart in shown.apart.values()):
        few = f"fewer than {FEW} {shown.counted} or {IMAGES} images"
        return f"Not enough to compare: the outermost or the innermost ring has {few}."
    groups: dict[str, list[str]] = {"lower": [], "higher": [], "": []}
    for name, apart in shown.apart.items():
        groups[("lower" if (apart.value or 0) < 0 else "higher") if excludes_zero(apart) else ""].append(name)
    sentences = []
    for word, names in groups.items():
        if names:
            one = len(names) == 1
            verb = f"{'is' if one else 'are'} {word} near the border"
            verb = verb if word else f"{'does' if one else 'do'} not differ measurably"
            sentences.append(f"{_capital(' and '.join(names))} {verb}: {_both_ends(names, ends)}.")
    return " ".join(sentences)


def _both_ends(names: Sequence[str], ends: Mapping[str, tuple[Estimate, Estimate]]) -> str:
    words: list[str] = []
    for name in names:
        outer, inner = (percent(figure.value or 0) for figure in ends[name])
        outer, inner = (outer, inner) if words else (f"{outer} in the outermost ring", f"{inner} in the innermost")
        words.append(f"{name} {outer}, {inner}" if len(names) > 1 else f"{outer}, {inner}")
    return "; ".join(words)


def compared(scored: Rings | Bands) -> list[str]:
    """Compare the outermost ring with the innermost, and opposite sides of it if both have an interval."""
    shown, lines = _figures(scored), []
    if len(shown.counts) > 1:
        lines.append(f"Outermost minus innermost: {'; '.join(apart(*each) for each in shown.apart.items())}.")
    lines += _pairs(scored, measurable=False)
    if scored.standout is not None:
        lines += _pairs(scored, measurable=True)
    return lines


def _pairs(scored: Rings | Bands, measurable: bool) -> list[str]:
    """Compare opposite sides of the outermost ring: those that differ measurably, or those that do not."""
    name, lines = next(iter(_figures(scored).by_name)), []
    for pair, of in scored.sides_apart.items():
        if of.low is not None and excludes_zero(of) == measurable:
            lines.append(f"Outermost ring, {pair.replace('_', ' minus ')}: {apart(name, of)}.")
    return lines


def apart(name: str, figure: Estimate) -> str:
    """Write how far a figure is from another one.

    >>> apart("recall", Estimate(-0.125, -0.2, -0.05)), apart("recall", Estimate(0.01, -0.02, 0.04))
    ('recall -12.5 points (-20.0 to -5.0)', 'recall +1.0 points (-2.0 to +4.0), not measurable')
    """
    if figure.value is None:
        return f"{name} is not comparable: one of the two has no objects"
    scaled = _times_100(figure)
    ending = "" if figure.low is None or excludes_zero(figure) else ", not measurable"
    return f"{name} {scaled.value:+.1f} points ({between(scaled, '{:+.1f}')}){ending}"


def _refuse(asked: Mapping[str, object]) -> None:
    if "size" in asked and asked["pairs"] == [(None, None)]:
        raise OptionError("needs a network", option="size", hint="name MODEL, or leave it out")


DOOR = Door(
    rings,
    """Score a detector's results by distance to the border: is it worse there?

    \b
    you have    --gt and --pred
    COCO        instances; results with image_id, category_id, bbox, score
    YOLO        two folders of labels, with scores in --pred; and
                --image-sizes, images or a CSV: image, width, height
    classifier  CSV: image, label, x, y, image_width, image_height, with
                the object's middle at x, y; and CSV: image, label
    segmenter   two folders of label maps

    A ring holds the objects whose centres lie at that distance from the nearest border, as a share of half the shorter
    side, or in pixels. Objects of other rings are ignored, so a perfect detector scores 100 in each. 95 % intervals are
    over images.

    With MODEL, the report adds its fair shares (paths relative to an interior pixel) where objects are, with images
    scaled to --size.

    \b
    Example:
      padviz rings --gt instances.json --pred results.json
      padviz rings --gt instances.json --pred results.json --px 8,16 --iou .2,.5,.75
      padviz rings --gt instances.json --pred results.json resnet50 --size 224 -o rings.png
    """,
    "gt pred image-sizes size rings px iou by-class seed",
    model="optional",
    refuse=_refuse,
)
