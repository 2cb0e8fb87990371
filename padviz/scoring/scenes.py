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
    """Images of `sizes` (n, 2), height and width in pixels, with `objects`, `detections`, and names of `categories`.

    `notes` say which boxes were left out.
    """

    sizes: Numbers
    categories: tuple[str, ...]
    objects: Boxes
    detections: Boxes
    notes: tuple[str, ...] = ()


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


def usable(of: Boxes, sizes: Numbers, where: str, what: str) -> tuple[Boxes, tuple[str, ...]]:
    """Leave out boxes without area and boxes outside of their image, with a note that says how many.

    >>> two = boxes([0, 0], [0, 0], [[8, 8, 4, 6], [8, 8, 0, 6]])
    >>> kept, notes = usable(two, np.array([[64, 64]]), "gt.json", "object")
    >>> len(kept), notes
    (1, ('gt.json: 1 object left out: a box without area, or outside of its image',))
    """
    low, size = of.box[:, :2], sizes[of.image][:, ::-1]
    inside = np.array((of.box[:, 2:] > 0).all(axis=1) & ((low < size) & (low + of.box[:, 2:] > 0)).all(axis=1))
    left = int((~inside).sum())
    words = f"{left:,} {what}{'' if left == 1 else 's'} left out: a box without area, or outside of its image"
    return (chosen(of, inside), (f"{where}: {words}",)) if left else (of, ())
