"""Tables as CSV: their rows by column, and a classifier's two files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from padviz.errors import DescriptionError, OptionError
from padviz.files.opened import read_file
from padviz.scoring.labels import Labelled
from padviz.scoring.matching import MOST_SIDE

MOST_BYTES = 1 << 28
OBJECTS, LABELS = "image label x y image_width image_height", "image label"
MEANING = ", in px: the middle of an object, and the size of its image"


def refuse(path: str | Path, what: str) -> NoReturn:
    raise DescriptionError(what, where=str(path), hint="correct it, or leave it out")


def read_rows(path: str | Path, columns: Sequence[str], meaning: str = "") -> list[list[str]]:
    """Read some columns of each row; errors explain them by `meaning`."""
    kind = f"CSV with the columns {', '.join(columns)}{meaning}"
    text = read_file(path, kind, MOST_BYTES).decode("utf-8-sig", "replace")
    rows, what = [], "has no rows"
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            what = f"has no column {missing[0]}"
        else:
            rows = [[row[name] or "" for name in columns] for row in reader]
    except csv.Error as error:
        what = f"is not CSV ({error})"
    if not rows:
        raise DescriptionError(what, where=str(path), hint=f"give the path of {kind}")
    return rows


def read_labels(objects: str | Path, labels: str | Path) -> Labelled:
    """Read the objects of images, with their centres and the images' sizes, and the labels that a
    classifier gives.
    """
    rows = _read_objects(objects, labels)
    predicted = read_rows(labels, LABELS.split())
    label_of = dict(predicted)
    for name, label in predicted:
        if label != label_of[name]:
            refuse(labels, f"has two labels of {name}: {label!r} and {label_of[name]!r}")
    numbers = np.empty((len(rows), 4))
    for k, row in enumerate(rows):
        if row[0] not in label_of:
            missing = sum(other[0] not in label_of for other in rows)
            more = f", nor of {missing - 1:,} more" if missing > 1 else ""
            refuse(labels, f"has no label of {row[0]}{more}; it has one of {predicted[0][0]}")
        try:
            numbers[k] = [float(cell) for cell in row[2:]]
        except ValueError:
            refuse(objects, f"row {k + 2} must have numbers in {', '.join(OBJECTS.split()[2:])}")
    x, y, width, height = numbers.T
    sides = np.minimum(width, height) > 0, np.maximum(width, height) < MOST_SIDE
    outside = ~np.all([x >= 0, y >= 0, x <= width, y <= height, *sides], axis=0)
    if outside.any():
        refuse(objects, f"row {int(np.argmax(outside)) + 2} lies outside its image")
    names, true = [row[0] for row in rows], [row[1] for row in rows]
    if set(true).isdisjoint(label_of.values()):
        what = (
            f"no label is among those of the objects: {predicted[0][1]!r} here, {true[0]!r} there"
        )
        raise DescriptionError(what, where=str(labels), hint="name classes alike")
    right = np.array(true) == np.array([label_of[name] for name in names])
    images, image = np.unique(names, return_inverse=True)
    return Labelled(len(images), image, np.stack([x, y, width - x, height - y]), right)


def _read_objects(objects: str | Path, labels: str | Path) -> list[list[str]]:
    """Read the rows of objects; if it is the file of labels that has them, the two are swapped."""
    try:
        return read_rows(objects, OBJECTS.split(), MEANING)
    except DescriptionError as error:
        try:
            read_rows(labels, OBJECTS.split())
        except DescriptionError:
            raise error from None
        what = f"`gt` and `pred` look swapped: {labels} has the places of objects"
        raise OptionError(what, option="gt", hint="swap them") from None
