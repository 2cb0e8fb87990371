"""Images with the objects in them, and what a detector found."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_SIDE = 1 << 24  # pixels of an image


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of objects or of detections, in the order of their file.

    `image` and `category` index those of the scenes; `box` is (n, 4): left, top, width and height in pixels. Objects
    have `crowd`, true where any number of detections may match, and `area`, which decides their size class; detections
    have a `score`.
    """

    image: Ints
    category: Ints
    box: Floats
    score: Floats
    crowd: Flags
    area: Floats

    def __len__(self) -> int:
        return len(self.image)

    @property
    def centre(self) -> Floats:
        return self.box[:, :2] + self.box[:, 2:] / 2


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images of `sizes` (n, 2), height and width in pixels, with `objects`, `detections`, and names of `categories`.

    `notes` count the boxes that were left out.
    """

    sizes: Ints
    categories: tuple[str, ...]
    objects: Boxes
    detections: Boxes
    notes: tuple[str, ...] = ()


def select(of: Boxes, which: Flags) -> Boxes:
    return Boxes(*(getattr(of, each.name)[which] for each in fields(of)))


def boxes(
    image: ArrayLike, category: ArrayLike, box: ArrayLike, score: ArrayLike = 0.0, crowd: ArrayLike = False,
    area: ArrayLike | None = None,
) -> Boxes:  # fmt: skip
    """Convert lists to boxes; a single score or flag holds for all."""
    corners = np.asarray(box, float).reshape(-1, 4)
    n = len(corners)
    scores, crowds = np.broadcast_to(np.asarray(score, float), n), np.broadcast_to(np.asarray(crowd, bool), n)
    areas = corners[:, 2] * corners[:, 3] if area is None else np.asarray(area, float)
    return Boxes(np.asarray(image, np.int64), np.asarray(category, np.int64), corners, scores, crowds, areas)
