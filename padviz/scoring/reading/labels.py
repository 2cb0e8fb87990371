"""A classifier's two files, as CSV: where each object is and what it is, and what it was taken for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from padviz.errors import DescriptionError, OptionError
from padviz.scoring.reading.tables import read_rows, refuse
from padviz.scoring.rings.bands import Labelled
from padviz.scoring.scenes import MOST_SIDE

OBJECTS, LABELS = "image label x y image_width image_height", "image label"
MEANING = ", in px: the middle of an object, and the size of its image"


def read_labels(objects: str | Path, labels: str | Path) -> Labelled:
    """Read the objects of images, one each, with their centres and the images' sizes, and a classifier's labels.

    Raises
    ------
    DescriptionError
        Naming the file, and the row or column that is not as it should be.
    """
    there, made = _objects(objects, labels), read_rows(labels, LABELS.split())
    taken = {row[0]: row[1] for row in made}
    for name, label in made:
        if label != taken[name]:
            refuse(labels, f"has two labels of {name}: {label!r} and {taken[name]!r}")
    numbers = np.empty((len(there), 4))
    for k, row in enumerate(there):
        if row[0] not in taken:
            missing = sum(row[0] not in taken for row in there)
            more = f", nor of {missing - 1:,} more" if missing > 1 else ""
            refuse(labels, f"has no label of {row[0]}{more}; it has one of {made[0][0]}")
        try:
            numbers[k] = [float(cell) for cell in row[2:]]
        except ValueError:
            refuse(objects, f"row {k + 2} has no number where one belongs")
    x, y, width, height = numbers.T
    sides = np.minimum(width, height) > 0, np.maximum(width, height) < MOST_SIDE
    outside = ~np.all([x >= 0, y >= 0, x <= width, y <= height, *sides], axis=0)
    if outside.any():
        refuse(objects, f"row {int(np.argmax(outside)) + 2} lies outside its image")
    if {row[1] for row in there}.isdisjoint(row[1] for row in made):
        what = f"no label is among those of the objects: {made[0][1]!r} here, {there[0][1]!r} there"
        raise DescriptionError(what, where=str(labels), hint="name classes alike")
    right = np.array([row[1] == taken[row[0]] for row in there], bool)
    images, image = np.unique([row[0] for row in there], return_inverse=True)
    return Labelled(len(images), image, np.stack([x, y, width - x, height - y]), right)


def _objects(objects: str | Path, labels: str | Path) -> list[list[str]]:
    """Read the rows of the objects; tell where the other file has them."""
    try:
        return read_rows(objects, OBJECTS.split(), MEANING)
    except DescriptionError:
        if not _has_objects(labels):
            raise
    what = f"`gt` and `pred` look swapped: {labels} has the places of objects"
    raise OptionError(what, option="gt", hint="swap them")


def _has_objects(path: str | Path) -> bool:
    try:
        return bool(read_rows(path, OBJECTS.split()))
    except DescriptionError:
        return False
