"""A classifier's two files, as CSV: where each object is and what it is, and what it was taken for."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from padviz.errors import DescriptionError
from padviz.files.opened import read_file
from padviz.scoring.rings.bands import Labelled

MOST_BYTES = 1 << 28
OBJECTS, LABELS = "image label x y width height", "image label"
KIND = "CSV with the columns {}"


def read_labels(objects: str | Path, labels: str | Path) -> Labelled:
    """Read the objects of images, one each, with their centres and the images' sizes, and a classifier's labels.

    Raises
    ------
    DescriptionError
        Naming the file, and the row or column that is not as it should be.
    """
    there, made = _rows(objects, OBJECTS.split()), _rows(labels, LABELS.split())
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
    nearest = np.minimum.reduce([x, y, width - x, height - y])
    right = np.array([row[1] == taken[row[0]] for row in there], bool)
    depths = np.stack([2 * nearest / np.minimum(width, height), nearest])
    images, image = np.unique([row[0] for row in there], return_inverse=True)
    return Labelled(len(images), image, depths, right)


def _rows(path: str | Path, columns: Sequence[str]) -> list[list[str]]:
    kind = KIND.format(", ".join(columns))
    text = read_file(path, kind, MOST_BYTES).decode("utf-8-sig", "replace")
    reader = csv.DictReader(io.StringIO(text))
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise DescriptionError(f"has no column {missing[0]}", where=str(path), hint=f"give the path of {kind}")
    rows = [[row[name] or "" for name in columns] for row in reader]
    if not rows:
        _refuse(path, "has no rows")
    return rows


def _refuse(path: str | Path, what: str) -> NoReturn:
    raise DescriptionError(what, where=str(path), hint="correct it, or leave it out")
