"""Maps as pictures without words: one image pixel for each position, and thumbnails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from padviz.counting.count_map import CountMap
from padviz.counting.walking.tiling import Tiling
from padviz.errors import SizeError
from padviz.figures.maps.scales import COUNTS
from padviz.files.atomic import aside

MOST_PIXELS = 1 << 29  # of a picture


def write_bare(counts: CountMap, path: Path, cmap: str | None = None, most: int | None = None) -> None:
    """Write the heat map alone as a PNG file, one image pixel per position; means where it has more than `most`.

    Raises
    ------
    SizeError
        If that is more than `MOST_PIXELS`.
    """
    from PIL.Image import fromarray

    block = -(-max(counts.shape) // most) if most else 1
    core_map = counts
    if block == 1:
        height, width = counts.shape
        if height * width > MOST_PIXELS:
            what = f"a picture of {height} x {width} pixels is larger than padviz writes"
            raise SizeError(what, where=counts.network.name, hint="leave `bare` out, for one that fits a screen")
        core_map = replace(counts, rows=Tiling(counts.rows.kept), cols=Tiling(counts.cols.kept))  # what repeats, once
    values = core_map.relative((block, block)) if counts.full is None else core_map.share((block, block))
    pixels = COUNTS.colours(cmap)(values, bytes=True)[..., :3]
    if block == 1:
        pixels = pixels.take(counts.cols.index, 1).take(counts.rows.index, 0)
    with aside(path) as temporary:
        fromarray(np.ascontiguousarray(pixels)).save(temporary, "png", compress_level=2)


def write_thumbnail(picture: Path, path: Path, most: int) -> None:
    """Write a picture again as a PNG file of at most `most` screen pixels."""
    from PIL import Image

    with Image.open(picture) as opened, aside(path) as temporary:
        opened.thumbnail((most, most))
        opened.save(temporary, "png")
