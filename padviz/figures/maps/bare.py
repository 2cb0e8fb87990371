"""Maps as pictures without words: one image pixel for each position, and thumbnails."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from padviz.counting.count_map import CountMap
from padviz.errors import SizeError
from padviz.figures.maps.scales import COUNTS, scale_of
from padviz.files.atomic import aside

MOST_PIXELS = 1 << 29  # of a picture


def write_bare(counts: CountMap, path: Path, cmap: str | None = None, most: int | None = None) -> None:
    """Write the heat map alone as a PNG file, one image pixel per position; means where it has more than `most`.

    Fair shares are drawn where a map has them, all maps on one scale.

    Raises
    ------
    SizeError
        If that is more than `MOST_PIXELS`.
    """
    from PIL.Image import fromarray

    (height, width), scale = counts.shape, scale_of(counts)
    block = -(-max(height, width) // most) if most else 1
    if block > 1:
        values = (
            counts.relative((block, block)) if scale is COUNTS and counts.full is None else counts.share((block, block))
        )
    elif height * width > MOST_PIXELS:
        what = f"a picture of {height} x {width} pixels is larger than padviz writes"
        raise SizeError(what, where=counts.network.name, hint="leave `bare` out, for one that fits a screen")
    else:  # what repeats is coloured once
        values = counts.shares.values if scale.share else counts.core.shares(counts.full or counts.max)
    pixels = scale.colours(cmap)(values / scale.most, bytes=True)[..., :3]
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
