"""How well a detector does by the distance to the border: reads what a person names, and calls a room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.analyses.door import Door
from padviz.analyses.result import Result
from padviz.errors import OptionError
from padviz.scoring import rings as detected
from padviz.scoring.bands import Band, Bands
from padviz.scoring.rings import Ring, Rings

RINGS = 4  # where nothing says how many

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from padviz.network.network import Network


class RingsResult(Result[Ring], Rings):
    """A detector's results in rings, from the outermost inwards: `.rings`, each with `objects`, `recall` and `ap`."""


class BandsResult(Result[Band], Bands):
    """A classifier's or segmenter's results in rings, from the outermost inwards: `.rings`."""


def rings(
    gt: str | Path,
    pred: str | Path,
    network: str | Path | Network | nn.Module | None = None,
    size: int | Sequence[int] | None = None,
    *,
    image_sizes: str | Path | None = None,
    rings: int | None = None,
    px: Sequence[float] | None = None,
    iou: Sequence[float] | None = None,
    by_class: bool = False,
    seed: int = 0,
) -> RingsResult | BandsResult:
    """Score a detector's results in rings around the middle of the images: does it do worse near the border?

    A ring has the objects whose centres are so far from the nearest border. What other rings have is ignored: it is
    neither found nor false. Where a detector does worse in the outer rings, its padding need not be why: objects are
    cut there, and smaller, and scenes differ.

    Parameters
    ----------
    gt, pred : str or Path
        COCO's two files: instances, with images, annotations and categories; and results, a list of boxes with scores.
        Or YOLO's folders of labels: a text file for each image; behind the boxes of `pred` stand scores.
        Of a classifier two files of CSV, with the columns image, label, x, y, image_width and image_height, and image
        and label: x and y are the middle of an object, in pixels. Of a segmenter two folders of label maps of equal
        names.
    network, size
        As for `usage`: a network whose fair shares and padding are told beside, of images scaled to that size.
    image_sizes : str or Path, optional
        The folder of the images, whose sizes YOLO's labels need, or a CSV of them: image, width, height.
    rings : int
        How many, each half as deep as the next, so that those at the border are thin: 4 by default, to 1/8, 1/4, 1/2
        and all of half the shorter side. One of fewer than 20 objects is joined with its neighbour.
    px : sequence of float, optional
        Their inner ends in pixels, in place of `rings`.
    iou : sequence of float, optional
        The thresholds of intersection over union at which average precision is reported; .5 and .75 by default.
    by_class : bool
        Whether to score each class by itself, too.
    seed : int
        Of the resamples of images that intervals of 95 % are of.

    Returns
    -------
    RingsResult, or of a classifier or segmenter BandsResult
        `.rings` from the outermost inwards, each with `objects`, `recall` and `ap`; printed, drawn and saved as the
        command does.

    Raises
    ------
    PadvizError
        For files that are not COCO's, and figures that make no sense, in one line; and where no detection overlaps an
        object, or no object is in the outermost or the innermost ring.

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
    from padviz.reports.rings import report_of
    from padviz.scoring.reading.formats import doubts_of, kind_of, read_bands, read_scenes
    from padviz.scoring.rings import check_filled
    from padviz.sources import load_at

    if rings is not None and px:
        raise OptionError("says where rings end, so `rings` has no say", option="px", hint="leave one of them out")
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


def _draw(scored: Rings | Bands) -> Figure:
    from padviz.figures.trained.rings import rings as draw_rings
    from padviz.reports.rings import headlines

    return draw_rings(scored, *headlines(scored))


def _refuse(asked: Mapping[str, object]) -> None:
    if "size" in asked and asked["pairs"] == [(None, None)]:
        raise OptionError("is that of a network", option="size", hint="name MODEL, or leave it out")


DOOR = Door(
    rings,
    """Score a detector's results in rings around the middle of the images: does it do worse near the border?

    --gt and --pred are COCO's two files: instances, and results with image_id, category_id, bbox and score; or YOLO's
    two folders of labels, those of --pred with scores, and --image-sizes: the folder of images or a CSV (image, width,
    height). Of a classifier they are CSV (image, label, x, y, image_width, image_height: the middle of an object
    and the size of its image; and image, label), of a segmenter folders of label maps. A ring has the objects whose
    centres are so far from the nearest border, as a share of half the shorter side, or in pixels. What other rings have
    is ignored, so a perfect detector has 100 in each. Intervals are of 95 %, over images. With MODEL, its fair shares
    where objects are, of images scaled to --size, stand beside.

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
