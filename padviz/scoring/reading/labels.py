"""A classifier's two files, as CSV: where each object is and what it is, and what it was taken for."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np

from padviz.errors import DescriptionError
from padviz.scoring.reading.tables import read_rows
from padviz.scoring.rings.bands import Labelled

OBJECTS, LABELS = "image label x y width height", "image label"


def read_labels(objects: str | Path, labels: str | Path) -> Labelled:
    """Read the objects of images, one each, with their centres and the images' sizes, and a classifier's labels.

    Raises
    ------
    DescriptionError
        Naming the file, and the row or column that is not as it should be.
    """
    there, made = read_rows(objects, OBJECTS.split()), read_rows(labels, LABELS.split())
    taken = {row[0]: row[1] for row in made}
    numbers = np.empty((len(there), 4))
    for k, row in enumerate(there):
        if row[0] not in taken:
            _refuse(labels, f"has no label of {row[0]}")
        try:
            numbers[k] = [float(cell) for cell in row[2:]]
        except ValueError:
            _refuse(objects, f"row {k + 2} has no number where one belongs")
    x, y, width, height = numbers.T
    outside = ~((x >= 0) & (y >= 0) & (x <= width) & (y <= height) & (np.minimum(width, height) > 0))
    if outside.any():
        _refuse(objects, f"row {int(np.argmax(outside)) + 2} lies outside its image")
    right = np.array([row[1] == taken[row[0]] for row in there], bool)
    images, image = np.unique([row[0] for row in there], return_inverse=True)
    return Labelled(len(images), image, np.stack([x, y, width - x, height - y]), right)


def _refuse(path: str | Path, what: str) -> NoReturn:
    raise DescriptionError(what, where=str(path), hint="correct it, or leave it out")
