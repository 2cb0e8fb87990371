"""YOLO's label folders: a text file for each image, and in it a box a line, in shares of the
image's sides.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.files.opened import read_file
from padviz.files.pictures import opened_picture
from padviz.scoring.matching import MOST_SIDE, Boxes, Scenes, boxes
from padviz.scoring.reading.tables import read_rows

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MOST_BYTES = 1 << 24  # of a label file
LABELS = "YOLO's labels, CLASS X Y WIDTH HEIGHT a line in shares of the image"
LAST_CLASS = 1 << 20
PIXELS = re.compile(r"0*[1-9][0-9]{0,8}")  # Python refuses to read thousands of digits
SIZES = "image width height"  # columns of a table of sizes
SWAPPED = (5, 6, 7, 8)  # EXIF's orientations that swap the sides
ORIENTATION = 274


def read_yolo(objects: str | Path, detections: str | Path, images: str | Path) -> Scenes:
    """Read folders of labels, those of detections with a score behind each box, and the sizes of
    the images.
    """
    stems, sizes = _sizes_in(Path(images))
    true = _boxes(Path(objects), stems, sizes, 5, images)
    predicted = _boxes(Path(detections), stems, sizes, 6, images)
    last = np.concatenate([true.category, predicted.category]).max(initial=0)
    return Scenes(sizes, tuple(map(str, range(last + 1))), true, predicted)


def _sizes_in(path: Path) -> tuple[dict[str, int], NDArray[np.int64]]:
    """List the images of a folder, or of a table, by their names without suffix, and read their
    heights and widths.
    """
    if path.is_dir():
        pictures = _pictures_in(path)
        for one, other in pairwise(pictures):
            if one.stem == other.stem:
                what = f"{one.name} and {other.name} have the same labels"
                raise DescriptionError(what, where=str(path), hint="leave one out")
        stems = {picture.stem: k for k, picture in enumerate(pictures)}
        return stems, np.array([size_of(picture) for picture in pictures])
    rows = read_rows(path, SIZES.split())
    stems = {stem_of(row[0]): k for k, row in enumerate(rows)}
    sizes = np.empty((len(rows), 2), np.int64)
    for k, (name, width, height) in enumerate(rows):
        if not all(PIXELS.fullmatch(side) and int(side) < MOST_SIDE for side in (width, height)):
            raise DescriptionError(
                f"row {k + 2}, of {name}, has no size in pixels", where=str(path), hint="correct it"
            )
        sizes[k] = int(height), int(width)
    if len(stems) < len(rows):
        raise DescriptionError("has an image twice", where=str(path), hint="leave one out")
    return stems, sizes


def _pictures_in(folder: Path) -> list[Path]:
    pictures = sorted(picture for picture in folder.iterdir() if picture.suffix.lower() in SUFFIXES)
    if not pictures:
        raise DescriptionError(
            "has no images", where=str(folder), hint=f"images end in {' '.join(SUFFIXES)}"
        )
    return pictures


def sizes_of_pictures(folder: Path) -> list[tuple[int, int]]:
    """Read the heights and widths of the pictures of a folder, as they are shown."""
    return [size_of(picture) for picture in _pictures_in(folder)]


def stem_of(name: str) -> str:
    """Remove the folder and the suffix of a picture from its name.

    >>> stem_of("val/a.v2.jpg"), stem_of("a.v2")
    ('a.v2', 'a.v2')
    """
    path = PurePath(name)
    if path.suffix.lower() in SUFFIXES:
        return path.stem
    return path.name


def size_of(path: Path) -> tuple[int, int]:
    """Read the height and the width of a picture, as it is shown."""
    with opened_picture(path, "a picture", "leave it out") as picture:
        width, height = picture.size
        if picture.getexif().get(ORIENTATION) in SWAPPED:
            width, height = height, width
    return height, width


def _boxes(
    folder: Path, stems: dict[str, int], sizes: NDArray[np.int64], columns: int, images: str | Path
) -> Boxes:
    """Read all labels of a folder, whose lines have 5 or 6 `columns`."""
    paths = sorted(folder.glob("*.txt"))
    unknown = [path for path in paths if path.stem not in stems]
    if unknown:
        others = ""
        if len(unknown) > 1:
            others = f", like {len(unknown) - 1:,} more of {len(paths):,}"
        hint = f"labels are named as their images, such as {next(iter(stems))}"
        raise DescriptionError(
            f"matches no image of {images}{others}", where=str(unknown[0]), hint=hint
        )
    parts = [_rows(path, columns) for path in paths]
    image = np.repeat([stems[path.stem] for path in paths], [len(part) for part in parts]).astype(
        np.int64
    )
    rows, size = np.concatenate([np.empty((0, columns)), *parts]), np.tile(sizes[image][:, ::-1], 2)
    centre, extent = rows[:, 1:3], rows[:, 3:5]
    box = np.concatenate([centre - extent / 2, extent], axis=1) * size
    if columns == 5:
        scores = np.zeros(len(rows))
    else:
        scores = rows[:, 5]
    return boxes(image, rows[:, 0].astype(int), box, scores)


def _rows(path: Path, columns: int) -> NDArray[np.float64]:
    rows = []
    text = read_file(path, LABELS, MOST_BYTES).decode("utf-8-sig", "replace")
    for k, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        why = _wrong(row, columns)
        if why:
            raise DescriptionError(f"line {k} {why}", where=str(path), hint=f"lines are {LABELS}")
        rows.append(row)
    return np.array(rows).reshape(-1, columns)


def _wrong(row: list[float], columns: int) -> str:
    """Return what is wrong with a line of labels, if anything."""
    if not row:
        return "is not numbers"
    if len(row) != columns:
        why = f"has {len(row)} numbers, not {columns}"
        if len(row) == columns + 1:
            return f"{why}: with a score, as detections are; are `gt` and `pred` swapped?"
        if columns == 6:
            return f"{why}: a score behind each box, too"
        return why
    category, *shares = row[:5]
    if (
        not np.isfinite(row).all()
        or category < 0
        or category % 1
        or category > LAST_CLASS
        or max(shares) > 2
    ):
        return "is not a box in shares of the image"
    return ""
