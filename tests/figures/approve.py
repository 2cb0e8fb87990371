"""Approved pictures, as thumbnails: `make approved` writes those of today."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from padviz.figures.canvas import png
from tests.figures.kinds import KINDS

FOLDER = Path(__file__).parent / "approved"
NAMES = ("usage", "uneven", "fields", "detect", "filters", "responses", "kernel", "tiles", "trial")
SIDE, SIZE = 64, (224, 224)


@cache
def thumbnail(name: str) -> Image.Image:
    """Draw a picture so small that fonts make no difference."""
    with Image.open(BytesIO(png(KINDS[name](SIZE)))) as picture:
        return picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)


def difference(name: str, approved: str) -> float:
    """Measure how far a picture is from an approved one, in the mean over pixels, of 255."""
    with Image.open(FOLDER / f"{approved}.png") as picture:
        return float(np.abs(np.asarray(thumbnail(name), float) - np.asarray(picture.convert("RGB"))).mean())


def main() -> None:
    """Write the thumbnails of today."""
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        thumbnail(name).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
