"""A segmenter's two folders of label maps: pictures whose pixels are the numbers of classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.files.pictures import opened_picture
from padviz.network.network import in_words
from padviz.scoring.labels import VOID, Masks
from padviz.scoring.rings import SIDES, nearest_side

SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
CLASSES = 256  # at most; the last counts for nothing
STRIP = 1 << 18  # pixels
FLAT = ("1", "L", "P")
Bytes = NDArray[np.uint8]  # (rows, columns)


def masks_in(folder: str | Path) -> list[Path]:
    return sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)


def read_masks(
    true: str | Path, predicted: str | Path, ends: Sequence[float], share: bool
) -> Masks:
    """Count the pixels of each class at each side of each ring, in pairs of label maps of the same
    name.
    """
    counts = []
    regions = len(ends) + 1, len(SIDES) + 1
    for path in masks_in(true):
        true_labels, predicted_labels = _read_pair(path, Path(predicted) / path.name)
        of_pair = np.zeros((3, prod(regions), VOID), int)
        height, width = true_labels.shape
        step = max(1, STRIP // width)  # regions take 100 bytes a pixel while they are computed
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            region = _regions(rows.start, rows.stop, true_labels.shape, tuple(ends), share)
            of_pair += _count(true_labels[rows], predicted_labels[rows], region, prod(regions))
        counts.append(of_pair.astype(np.uint32).reshape(3, *regions, VOID))
    pixels = np.stack(counts, axis=1)
    _check_classes(pixels.sum(axis=(1, 2, 3), dtype=np.int64), true, predicted)
    return Masks(pixels)


def _read_pair(true: Path, predicted: Path) -> tuple[Bytes, Bytes]:
    try:
        true_labels, predicted_labels = _labels(true), _labels(predicted)
    except MemoryError:
        what, hint = "is too large for the memory", "scale both maps down"
        raise DescriptionError(what, where=str(true), hint=hint) from None
    if true_labels.shape != predicted_labels.shape:
        size, true_size = (in_words(labels.shape) for labels in (predicted_labels, true_labels))
        what = f"is {size}, and {true.name} of the true ones is {true_size}"
        raise DescriptionError(what, where=str(predicted), hint="scale it")
    return true_labels, predicted_labels


def _check_classes(pixels: NDArray[np.int64], true: str | Path, predicted: str | Path) -> None:
    """Reject maps of one class, such as those of 0 and 255, and folders that have at most one class
    in common.
    """
    _, true_labels, predicted_labels = pixels > 0
    hint = "number classes 0, 1, 2, ... in both folders"
    for classes, folder in ((true_labels, true), (predicted_labels, predicted)):
        if classes.sum() < 2:
            only = VOID
            if classes.any():
                only = int(np.flatnonzero(classes)[0])
            what = f"has no class but {only}; {VOID} counts for nothing"
            raise DescriptionError(what, where=str(folder), hint=hint)
    if (true_labels & predicted_labels).sum() < 2:
        named = ", ".join(map(str, np.flatnonzero(true_labels)[:5]))
        what = f"has hardly a class in common with {true}, which has {named}"
        raise DescriptionError(what, where=str(predicted), hint=hint)


@lru_cache(maxsize=64)
def _regions(
    top: int, bottom: int, shape: tuple[int, ...], ends: tuple[float, ...], share: bool
) -> Bytes:
    """Number the regions of pixels in these rows: the sides of the outermost ring, then of the
    next.
    """
    height, width = shape
    rows, columns = np.meshgrid(np.arange(top, bottom) + 0.5, np.arange(width) + 0.5, indexing="ij")
    margins = np.stack([columns, rows, width - columns, height - rows])
    depth = margins.min(axis=0)
    if share:
        depth = depth / (min(shape) / 2)
    ring = np.searchsorted(ends, depth, side="right")
    regions: Bytes = (ring * (len(SIDES) + 1) + nearest_side(margins)).astype(np.uint8)
    return regions


def _labels(path: Path) -> Bytes:
    with opened_picture(path, "a label map", "leave it out") as picture:
        if picture.mode not in FLAT:
            what = f"has colours ({picture.mode}), not numbers of classes"
            raise DescriptionError(
                what, where=str(path), hint="write one channel of 8 bits, or a palette"
            )
        return np.asarray(picture).astype(np.uint8, copy=False)


def _count(true_labels: Bytes, predicted_labels: Bytes, region: Bytes, n: int) -> NDArray[np.int64]:
    """Count pixels by region and class: those labelled right, true and predicted, (3, regions,
    classes).
    """
    counted = true_labels != VOID
    place, shape = region[counted].astype(np.int64) * CLASSES, (n, CLASSES)
    true, predicted = place + true_labels[counted], place + predicted_labels[counted]
    parts = (true[true == predicted], true, predicted)
    return np.stack(
        [np.bincount(part, minlength=n * CLASSES).reshape(shape)[:, :VOID] for part in parts]
    )
