"""`padviz rings`: accuracy by the distance to the border."""

from __future__ import annotations

from typing import Any

import click

from padviz.cli.showing import To, reported
from padviz.cli.vocabulary import Command, given


@click.command(name="rings", cls=Command)
@given("gt pred rings px iou seed", rings=4)
@reported("rings")
def command(gt: str, pred: str, to: To, **settings: Any) -> None:
    """Score a detector's results in rings around the middle of the images: does it do worse near the border?

    --gt and --pred are COCO's two files: instances, and results with image_id, category_id, bbox and score. A ring has
    the objects whose centres are so far from the nearest border, as a share of half the shorter side, or in pixels.
    What other rings have is ignored, so a perfect detector has 100 in each. Intervals are of 95 %, over images.

    \b
    Example:
      padviz rings --gt instances.json --pred results.json
      padviz rings --gt instances.json --pred results.json --px 16,32,64 --iou .2,.5,.75
    """
    from padviz.api.rings import rings
    from padviz.reports.trained.rings import report_of

    to.show(report_of(rings(gt, pred, **settings).value, to.files))
