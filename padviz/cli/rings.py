"""`padviz rings`: accuracy by the distance to the border."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli import options
from padviz.cli.showing import To, reported
from padviz.cli.value_types import Pixels, complete_model
from padviz.cli.vocabulary import Command, given, read
from padviz.errors import OptionError


@click.command(name="rings", cls=Command)
@click.argument("model", required=False, shell_complete=complete_model)
@read
@given("gt pred image-sizes size rings px iou by-class seed")
@reported("rings", draws=True)
def command(model: str | None, size: Pixels | None, gt: str, pred: str, to: To, **settings: Any) -> None:
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
    """
    from padviz.api.rings import rings
    from padviz.figures.trained.rings import drawn
    from padviz.reports.trained.rings import headlines, report_of

    if size and not model:
        raise OptionError("is that of a network", where="--size", hint="name MODEL, or leave it out")
    scored = rings(gt, pred, options.load_as(model, size) if model else None, size, **settings)
    options.say_all((*getattr(scored, "doubts", ()), *getattr(scored, "notes", ())))
    to.show(report_of(scored, to.files), lambda: drawn(scored, *headlines(scored)))
