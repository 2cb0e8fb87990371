"""Approved pictures, as thumbnails: `make approved` writes those of today."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from padviz.figures.canvas import pixels_of
from tests.figures.kinds import KINDS

FOLDER = Path(__file__).parent / "approved"
NAMES = ("usage", "uneven", "fields", "detect", "filters", "responses", "kernel", "tiles", "trial")
SIDE, SIZE = 64, (224, 224)


def thumbnail(figure: Figure) -> Image.Image:
    """Draw a picture so small that fonts make no difference."""
    return Image.fromarray(pixels_of(figure)).resize((SIDE, SIDE), Image.Resampling.BOX)


def differences(figure: Figure) -> dict[str, float]:
    """Measure how far a picture is from each approved one, in the mean over pixels, of 255."""
    drawn = np.asarray(thumbnail(figure), float)
    approved = {
        name: np.asarray(Image.open(FOLDER / f"{name}.png").convert("RGB")) for name in NAMES
    }
    return {name: float(np.abs(drawn - pixels).mean()) for name, pixels in approved.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        thumbnail(KINDS[name](SIZE)).save(FOLDER / f"{name}.png", optimize=True)
