"""Small pictures for a gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from padviz.counting.count_map import CountMap
from padviz.figures.maps.scales import COUNTS, scale_of
from padviz.files.atomic import aside


def write_map_thumbnail(counts: CountMap, path: Path, most: int, cmap: str | None = None) -> None:
    """Write the heat map alone as a PNG file of at most `most` pixels a side, each the mean of a block.

    Fair shares are drawn where a map has them, all maps on one scale.
    """
    from PIL.Image import fromarray

    block, scale = -(-max(counts.shape) // most), scale_of(counts)
    unshared = scale is COUNTS and counts.full is None
    values = counts.relative((block, block)) if unshared else counts.share((block, block))
    pixels = scale.colours(cmap)(values / scale.most, bytes=True)[..., :3]
    with aside(path) as temporary:
        fromarray(np.ascontiguousarray(pixels)).save(temporary, "png", compress_level=2)


def write_thumbnail(picture: Path, path: Path, most: int) -> None:
    """Write a picture again as a PNG file of at most `most` pixels a side."""
    from PIL import Image

    with Image.open(picture) as opened, aside(path) as temporary:
        opened.thumbnail((most, most))
        opened.save(temporary, "png")
