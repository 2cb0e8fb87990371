"""Images with the objects in them, and what a detector found."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
MOST_SIDE = 1 << 24  # pixels of an image


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of objects or of detections, in the order of their file.

    `image` and `category` are positions among those of the scenes, `box` is (n, 4): left, top, width and height in
    pixels. Of objects `crowd` marks those that any number of detections may match, and `area` is that of COCO's size
    classes; of detections `score` says how sure each is.
    """

    image: Numbers
    category: Numbers
    box: Numbers
    score: Numbers
    crowd: Numbers
    area: Numbers

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images of `sizes` (n, 2), height and width in pixels, with `objects`, `detections`, and names of `categories`."""

    sizes: Numbers
    categories: tuple[str, ...]
    objects: Boxes
    detections: Boxes


def chosen(of: Boxes, which: NDArray[np.bool_]) -> Boxes:
    """Choose some of the boxes."""
    return Boxes(*(getattr(of, each.name)[which] for each in fields(of)))


def boxes(image: Any, category: Any, box: Any, score: Any = 0.0, crowd: Any = False, area: Any = None) -> Boxes:
    """Make boxes of lists; one score, and one flag, may stand for all.

    >>> len(boxes([0], [0], [[8, 8, 4, 6]], [0.9]))
    1
    """
    corners = np.asarray(box, float).reshape(-1, 4)
    n = len(corners)
    scores, crowds = np.broadcast_to(np.asarray(score, float), n), np.broadcast_to(np.asarray(crowd, bool), n)
    areas = corners[:, 2] * corners[:, 3] if area is None else np.asarray(area, float)
    return Boxes(np.asarray(image, np.int64), np.asarray(category, np.int64), corners, scores, crowds, areas)
