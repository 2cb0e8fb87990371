"""Small pictures for a gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from padviz.counting.count_map import CountMap
from padviz.figures.maps.scales import COUNTS
from padviz.files.atomic import aside


def write_map_thumbnail(counts: CountMap, path: Path, most: int, cmap: str | None = None) -> None:
    """Write the heat map alone as a PNG file of at most `most` pixels a side, each the mean of a block."""
    from PIL.Image import fromarray

    block = -(-max(counts.shape) // most)
    values = counts.relative((block, block)) if counts.full is None else counts.share((block, block))
    pixels = COUNTS.colours(cmap)(values, bytes=True)[..., :3]
    with aside(path) as temporary:
        fromarray(np.ascontiguousarray(pixels)).save(temporary, "png", compress_level=2)


def write_thumbnail(picture: Path, path: Path, most: int) -> None:
    """Write a picture again as a PNG file of at most `most` pixels a side."""
    from PIL import Image

    with Image.open(picture) as opened, aside(path) as temporary:
        opened.thumbnail((most, most))
        opened.save(temporary, "png")
