"""How well a detector does by the distance to the border: reads what a person names, and calls a
room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Required, TypedDict

from padviz import phrases
from padviz.analyses.asked import OptionalSource, Pixels
from padviz.analyses.result import Result
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.intervals import FEW, IMAGES, Estimate, excludes_zero
from padviz.network.network import in_words
from padviz.options import (
    BY_CLASS,
    GT,
    IMAGE_SIZES,
    IOU,
    MODEL,
    PRED,
    PX,
    RINGS,
    SEED,
    SIZE,
    Command,
)
from padviz.reports.documents import picked, plain
from padviz.reports.report import Block, Heading, Lines, Report, Table, grid
from padviz.reports.rows import about as about_network
from padviz.reports.rows import rows_of
from padviz.scoring import detections
from padviz.scoring.detections import LARGE, SMALL
from padviz.scoring.reading.formats import doubts_of, kind_of, read_rings, read_scenes
from padviz.scoring.rings import INNERMOST, Difference, Part, Ring, Rings, check_filled
from padviz.sources import load_at

NUMBER = 4  # of rings, where nothing says how many
HEADLINE = 2  # figures of the first table and the sentence: recall and AP, accuracy, or IoU
PLACE = "from the border"
LEGEND = "Recall at IoU .5; AP: mean over IoU .5 to .95."
INTERVALS = f"Intervals are 95 %, over images; none below {FEW} objects or {IMAGES} images."
DISTANCE = (
    "From the border: distance of an object's centre, or of a pixel, from the nearest border."
)
JOINED = f"Percent of half the shorter side. Rings of fewer than {FEW} objects are merged."
CAUSE = (
    "Position may not be the cause: objects near the border are cut and smaller, and scenes differ."
)
SIZES = (
    f"By area: small is below {SMALL:,} px² (32 x 32), large above {LARGE:,} px² (96 x 96), "
    "medium between."
)
LEAST_SHARE = 0.1  # of what is fair, below which no place has borders of its own

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RingsResult(Result[Ring], Rings):
    """Results in rings, from the outermost inwards: `.rings`, each with its `count` and
    `figures`.
    """


def rings(
    gt: Annotated[str | Path, GT],
    pred: Annotated[str | Path, PRED],
    network: Annotated[OptionalSource, MODEL] = None,
    size: Annotated[Pixels, SIZE] = None,
    *,
    image_sizes: Annotated[str | Path | None, IMAGE_SIZES] = None,
    rings: Annotated[int | None, RINGS] = None,
    px: Annotated[Sequence[float] | None, PX] = None,
    iou: Annotated[Sequence[float] | None, IOU] = None,
    by_class: Annotated[bool, BY_CLASS] = False,
    seed: Annotated[int, SEED] = 0,
) -> RingsResult:
    """Score a detector's results by distance to the border: is it worse there?

    A ring has the objects whose centres are that far from the nearest border; those of other rings
    are ignored. If a detector does worse in the outer rings, its padding may not be the cause:
    objects are cut there, and smaller.

    Parameters
    ----------
    gt, pred : str or Path
        COCO's two files: instances, with images, annotations and categories; and results, a list of
        boxes with scores. Or YOLO's folders of labels: a text file for each image; behind the boxes
        of `pred` stand scores. Of a classifier two files of CSV, with the columns image, label, x,
        y, image_width and image_height, and image and label: x and y are the middle of an object,
        in pixels. Of a segmenter two folders of label maps of equal names.
    network, size
        As for `usage`: a network whose fair shares are compared, with images scaled to that size.
    image_sizes : str or Path, optional
        The folder of the images of YOLO's labels, or a CSV of their sizes: image, width, height.
    rings : int
        Number of rings, each half as deep as the next: 4 by default, to 1/8, 1/4, 1/2 and all of
        half the shorter side. One of fewer than 20 objects is merged with its neighbour.
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
    RingsResult
        `.rings` from the outermost inwards, each with its `count` and `figures`, and `.differences`
        between the outermost and the innermost, and between sides; printed, drawn and saved as the
        command does.

    Raises
    ------
    PadvizError
        For files that cannot be read, if no detection overlaps an object, or the first or last ring
        is empty.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 8]}
    >>> there = {"images": [{"id": 1, "width": 64, "height": 48}], "categories": [{"id": 1}],
    ...     "annotations": [box]}
    >>> _ = (folder / "gt.json").write_text(json.dumps(there))
    >>> _ = (folder / "pred.json").write_text(json.dumps([{**box, "score": 0.9}]))
    >>> scored = rings(folder / "gt.json", folder / "pred.json", rings=1)
    >>> scored[0].count, scored[0].figures["recall"].value
    (1, 1.0)
    """
    if size is not None and network is None:
        raise OptionError("needs a network", option="size", hint="name MODEL, or leave it out")
    if rings is not None and px:
        what = "sets the edges of the rings, so `rings` is not used"
        raise OptionError(what, option="px", hint="leave one of them out")
    kind, count, pixels = kind_of(gt, pred), NUMBER if rings is None else rings, px or ()
    if kind in ("labels", "masks"):
        boxes_only = {"image_sizes": image_sizes, "size": network, "iou": iou, "by_class": by_class}
        for option, value in boxes_only.items():
            if value:
                raise OptionError("is for boxes", option=option, hint="leave it out")
        scored = read_rings(gt, pred, kind, count, pixels, seed)
    else:
        scenes, ious = read_scenes(gt, pred, image_sizes, kind), iou or (0.5, 0.75)
        doubts = doubts_of(scenes, gt, pred)
        if network is None:
            loaded, at = (None, None)
        else:
            loaded, at = load_at(network, size)
        scored = detections.rings_of_boxes(scenes, count, pixels, ious, seed, loaded, at)
        notes = *doubts, *scenes.notes
        scored = replace(scored, notes=notes, touching=detections.at_border(scenes))
    check_filled([ring.count for ring in scored.rings], pixels, scored.counted.removesuffix("s"))
    if by_class:
        scored = replace(scored, classes=detections.by_class(scored, scenes, ious, seed))
    report, draw = partial(report_of, scored), partial(_draw, scored)
    return RingsResult.made_of(scored, scored.rings, report, draw, notes=scored.notes)


def report_of(scored: Rings) -> Report:
    sentences = [*scored.notes, finding(scored), *correlated(scored), CAUSE]
    if scored.touching:
        sentences.insert(len(scored.notes), scored.touching)
    legend = [INTERVALS, DISTANCE]
    if scored.of == "share":
        legend.append(JOINED)
    main: list[Block] = [Heading(about(scored)), Lines(sentences)]
    between_rings = [
        [row.figure, *compared(row)] for row in scored.differences if row.other == INNERMOST
    ]
    if between_rings:
        headings = ["figure", "outermost", "innermost", "difference", "interval"]
        main.append(grid(headings, between_rings))
    main += [_by_ring(scored), Lines(legend)]

    name = next(iter(scored.rings[0].figures))
    outermost = scored.rings[0].sides
    by_side = [[side, part.count, percents(part.figure)] for side, part in outermost.items()]
    ties = f"{scored.counted.capitalize()} equally near two sides count for neither."
    side_rows = [row for row in scored.differences if row.other != INNERMOST]
    between_sides = [[f"{row.one}, {row.other}", *compared(row)] for row in side_rows]
    sides: list[Block] = [
        Heading("Outermost ring by nearest side"),
        grid(["side", scored.counted, name], by_side, ties),
        grid([name, "first", "second", "difference", "interval"], between_sides),
    ]
    parts = [main, sides]
    if scored.detections is not None:
        legend.append(LEGEND)
        uncut = [
            [where(ring, scored.of), *map(counted, ring.uncut.values())] for ring in scored.rings
        ]
        headings = [PLACE, *scored.rings[0].uncut]
        parts.append([Heading("Recall of uncut objects"), grid(headings, uncut, SIZES)])
    if scored.network is not None:
        name, size, _ = scored.network
        legend.append(
            f"Fair shares are those of {name} where objects are, with images scaled to "
            f"{in_words(size)}."
        )
    if scored.classes:
        parts.append([Heading("Classes"), _by_class(scored)])
    return Report("rings", _facts(scored), parts, rows_of([*_rows(scored)], RingRow))


def _by_ring(scored: Rings) -> Table:
    names = [*scored.rings[0].figures][:HEADLINE]
    headings = [PLACE, scored.counted, *names]
    if scored.network is not None:
        headings += ["fair share", "from padding"]
    rows = []
    for ring in scored.rings:
        row = [
            where(ring, scored.of),
            ring.count,
            *(percents(ring.figures[name]) for name in names),
        ]
        if ring.fair_share is not None and ring.from_padding is not None:
            row += [f"{ring.fair_share:.3g}", percent(ring.from_padding)]
        rows.append(row)
    return grid(headings, rows)


def _by_class(scored: Rings) -> Table:
    """Return the outermost and the innermost ring of each class; those between are in
    CSV and JSON.
    """
    ends = {"outermost": 0, "innermost": -1}
    headings = ["class", "objects"]
    for name in ("recall", "AP"):
        headings += [f"{name} {end}" for end in ends]
    rows = []
    for name, rings in scored.classes.items():
        row = [name, sum(ring.count for ring in rings)]
        row += [percents(rings[k].figures["recall"]) for k in ends.values()]
        row += [percents(rings[k].figures["AP"]) for k in ends.values()]
        rows.append(row)
    return grid(headings, rows, "Objects of all rings.")


# A field of a class cannot be called so.
OfClass = TypedDict("OfClass", {"class": str | None}, total=False)


class RingRow(OfClass, total=False):
    """A figure of a part of the images, with its 95 % interval over images.

    A "ring" lies from `first` to `last` off the nearest border. A "class" is a ring of one class,
    "uncut" one of objects that touch no border, of an `area`. A "side" is one of a ring. A
    "difference" is the figure of `one` minus that of the `other` part.
    """

    part: Required[Literal["ring", "difference", "side", "class", "uncut"]]
    figure: Required[str]
    value: Required[float | None]
    low: float | None
    high: float | None
    count: int | None
    first: float | None
    last: float | None
    area: str | None
    side: str | None
    one: str | None
    one_value: float | None
    other: str | None
    other_value: float | None


def _facts(scored: Rings) -> dict[str, object]:
    facts: dict[str, object] = {}
    correlation = None
    if scored.network is not None:
        name, size, correlation = scored.network
        facts = about_network(name, size)
    facts |= picked(scored, "counted of images count detections notes touching")
    return facts | {"correlation": plain(correlation)}


def _rows(scored: Rings) -> Iterator[dict[str, object]]:
    """Yield rings, differences, sides, classes and uncut objects as rows."""
    headline = next(iter(scored.rings[0].figures))
    for ring in scored.rings:
        yield from _of_ring(ring, {"part": "ring"})
    for difference in scored.differences:
        value, low, high = difference.difference
        row: dict[str, object] = {"part": "difference", "figure": difference.figure, "value": value}
        row |= {"low": low, "high": high, "one": difference.one, "one_value": difference.first}
        yield {**row, "other": difference.other, "other_value": difference.second}
    for ring in scored.rings:
        for side, part in ring.sides.items():
            row = _of_part(part, headline, {"part": "side", "side": side})
            yield {**row, "first": ring.first, "last": ring.last}
    for name, rings in scored.classes.items():
        for ring in rings:
            yield from _of_ring(ring, {"part": "class", "class": name})
    for ring in scored.rings:
        for area, part in ring.uncut.items():
            row = _of_part(part, headline, {"part": "uncut", "area": area})
            yield {**row, "first": ring.first, "last": ring.last}


def _of_ring(ring: Ring, about: Mapping[str, object]) -> Iterator[dict[str, object]]:
    known = {**about, "count": ring.count, "first": ring.first, "last": ring.last}
    for name, figure in ring.figures.items():
        yield {**known, "figure": name, **figure._asdict()}
    for name in ("fair_share", "from_padding"):
        value = getattr(ring, name)
        if value is not None:
            yield {**known, "figure": name, "value": value}


def _of_part(part: Part, figure: str, about: Mapping[str, object]) -> dict[str, object]:
    return {**about, "figure": figure, **part.figure._asdict(), "count": part.count}


def _draw(scored: Rings) -> Figure:
    from padviz.figures.trained.intervals import rings as draw_rings

    return draw_rings(scored, *headlines(scored))


def headlines(scored: Rings) -> tuple[str, list[str], str]:
    """Return the title of a picture, the lines below it, and the label of the fair shares in it."""
    title, _, more = finding(scored).removesuffix(".").partition("; ")
    lines = [*scored.notes, f"{about(scored)}; whiskers are 95 % intervals, over images"]
    if more:
        lines.append(more)
    lines += [*correlated(scored), CAUSE]
    label = ""
    if scored.network is not None:
        label = f"fair share, {scored.network.name} at {in_words(scored.network.size)}"
    return title, lines, label


def about(scored: Rings) -> str:
    counts = {"images": scored.images, scored.counted: scored.count}
    if scored.detections is not None:
        counts["detections"] = scored.detections
    return ", ".join(phrases.counted(n, what.removesuffix("s")) for what, n in counts.items())


def counted(part: Part) -> str | None:
    """Write the share of some objects that is found, and their number.

    >>> counted(Part(8, Estimate(0.5, 0.4, 0.6))), counted(Part(0, Estimate(None, None, None)))
    ('50.0 % of 8', None)
    """
    if part.figure.value is None:
        return None
    return f"{percent(part.figure.value)} of {part.count:,}"


def correlated(scored: Rings) -> list[str]:
    """Return a sentence on how fair shares correlate with what is found; none without a network."""
    if scored.network is None:
        return []
    name, size, correlation = scored.network
    shares = [ring.fair_share for ring in scored.rings if ring.fair_share is not None]
    if max(shares, default=1) < LEAST_SHARE:
        words = f"At {in_words(size)} all fair shares of {name} are below {LEAST_SHARE}"
        return [f"{words}: its windows are larger than the image. Use the size at which it runs."]
    if correlation.value is None:
        return ["No correlation of fair share and detection: all objects are found, or none."]
    words = f"Spearman {correlation.value:+.2f} ({between(correlation, '{:+.2f}')})"
    return [f"Fair share and detection: {words}; correlation does not show a cause."]


def where(ring: Ring, of: str) -> str:
    if of == "share":
        return f"{100 * ring.first:.3g} to {100 * (ring.last or 1):.3g} %"
    if ring.last is None:
        return f"from {ring.first:g} px"
    return f"{ring.first:g} to {ring.last:g} px"


def between(figure: Estimate, show: str, to: str = " to ") -> str:
    """Write an interval, or that there is none.

    >>> between(Estimate(0.5, 0.41, 0.6049), "{:.1f}"), between(Estimate(0.5, None, None), "{:.1f}")
    ('0.4 to 0.6', 'no interval')
    """
    if figure.low is None or figure.high is None:
        return "no interval"
    return f"{show.format(figure.low)}{to}{show.format(figure.high)}"


def _times_100(figure: Estimate) -> Estimate:
    return Estimate(*(None if number is None else 100 * number for number in figure))


def percents(figure: Estimate) -> str | None:
    """Write a share in percent, and its interval.

    >>> percents(Estimate(0.5, 0.41, 0.6049))
    '50.0 % (41.0–60.5)'
    """
    if figure.value is None:
        return None
    return f"{percent(figure.value)} ({between(_times_100(figure), '{:.1f}', '–')})"


def compared(row: Difference) -> list[str | None]:
    """Write both figures in percent, and their difference and its interval in points.

    >>> compared(Difference("recall", "left border", "right border", 0.25, 0.375, Estimate(-0.125,
    ...     -0.2, -0.05)))
    ['25.0 %', '37.5 %', '-12.5 points', '-20.0 to -5.0']
    """
    values = [value if value is None else percent(value) for value in (row.first, row.second)]
    if row.difference.value is None:
        return [*values, None, None]
    scaled = _times_100(row.difference)
    return [*values, f"{scaled.value:+.1f} points", between(scaled, "{:+.1f}")]


def finding(scored: Rings) -> str:
    """Return a sentence on the first sides that differ measurably, and on the outermost and the
    innermost ring.
    """
    shown = [*scored.rings[0].figures][:HEADLINE]
    clauses, alike, unknown = [], [], []
    for row in scored.differences:
        if row.figure not in shown or row.other != INNERMOST:
            continue
        if row.difference.low is None:
            unknown.append(row.figure)
        elif excludes_zero(row.difference):
            clauses.append(_differs(row, "in the"))
        else:
            alike.append(row.figure)
    if len(scored.rings) == 1:
        value = scored.rings[0].figures[shown[0]].value
        if value is None:
            figure = "unknown"
        else:
            figure = percent(value)
        clauses.append(f"{shown[0]} is {figure}, in only one ring, so nothing to compare")
    if unknown:
        few = f"fewer than {FEW} {scored.counted} or {IMAGES} images"
        clauses.append(f"not enough to compare: the outermost or the innermost ring has {few}")
    if alike:
        verb = "do"
        if len(alike) == 1:
            verb = "does"
        words = (
            f"{' and '.join(alike)} {verb} not differ measurably between the outermost and the "
            "innermost ring"
        )
        clauses.append(words)
    for row in scored.differences:
        if row.other != INNERMOST and excludes_zero(row.difference):
            clauses.insert(0, _differs(row, "near the"))
            break
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}."


def _differs(row: Difference, where: str) -> str:
    """Write which of two figures is lower.

    >>> _differs(Difference("AP", "left border", "right border", 0.25, 0.375, Estimate(-0.1, -0.2,
    ...     -0.05)), "near the")
    'AP is lower near the left border (25.0 %) than near the right border (37.5 %)'
    """
    word = "higher"
    if (row.difference.value or 0) < 0:
        word = "lower"
    first, second, *_ = compared(row)
    return f"{row.figure} is {word} {where} {row.one} ({first}) than {where} {row.other} ({second})"


COMMAND = Command(
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

    A ring holds the objects whose centres lie at that distance from the nearest border, as a share
    of half the shorter side, or in pixels. Objects of other rings are ignored, so a perfect
    detector scores 100 in each. 95 % intervals are over images.

    With MODEL, the report adds its fair shares (paths relative to an interior pixel) where objects
    are, with images scaled to --size.

    \b
    Example:
      padviz rings --gt instances.json --pred results.json
      padviz rings --gt instances.json --pred results.json --px 8,16 --iou .2,.5,.75
      padviz rings --gt instances.json --pred results.json resnet50 --size 224 -o rings.png
    """,
)
