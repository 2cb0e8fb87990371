"""A segmenter's two folders of label maps: pictures whose pixels are the numbers of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.files.opened import opened
from padviz.scoring.rings.bands import VOID, Masks

SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
CLASSES = 256  # at most; the last counts for nothing
FLAT = ("1", "L", "P")


def masks_in(folder: str | Path) -> list[Path]:
    """List the label maps of a folder."""
    return sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)


def read_masks(true: str | Path, made: str | Path, ends: Sequence[float], share: bool) -> Masks:
    """Count the pixels of each class in each ring of each pair of label maps, which have the same name.

    Raises
    ------
    DescriptionError
        Naming the picture that is no label map, or is not there.
    """
    counts = []
    for path in masks_in(true):
        other = Path(made) / path.name
        there, found = _labels(path), _labels(other)
        if there.shape != found.shape:
            what = f"is {found.shape[0]} x {found.shape[1]}, and {path.name} of the true ones is"
            raise DescriptionError(f"{what} {there.shape[0]} x {there.shape[1]}", where=str(other), hint="scale it")
        ring = np.searchsorted(ends, _depths(there.shape, share), side="right")
        counts.append(_counts(there, found, ring, len(ends) + 1))
    return Masks(*np.stack(counts, axis=1))


def _labels(path: Path) -> NDArray[np.uint8]:
    """Read a label map."""
    from PIL import Image, UnidentifiedImageError

    with opened(path, "a label map") as file:
        try:
            picture = Image.open(file)
            if picture.mode not in FLAT:
                what = f"has colours ({picture.mode}), not numbers of classes"
                raise DescriptionError(what, where=str(path), hint="write one channel of 8 bits, or a palette")
            return np.asarray(picture).astype(np.uint8)
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
            raise DescriptionError("is no picture", where=str(path), hint="leave it out") from None


def _depths(shape: tuple[int, ...], share: bool) -> NDArray[Any]:
    """Measure how far the middle of each pixel is from the nearest border."""
    rows, columns = (np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) for n in shape)
    depths: NDArray[Any] = np.minimum(rows[:, None], columns[None]) / (min(shape) / 2 if share else 1)
    return depths


def _counts(there: NDArray[np.uint8], found: NDArray[np.uint8], ring: NDArray[Any], rings: int) -> NDArray[np.int64]:
    """Count pixels by ring and class: alike, true and made, (3, rings, classes)."""
    counted = there != VOID
    place, shape = ring[counted] * CLASSES, (rings, CLASSES)
    true, made = place + there[counted], place + found[counted]
    parts = (true[true == made], true, made)
    return np.stack([np.bincount(part, minlength=rings * CLASSES).reshape(shape)[:, :VOID] for part in parts])
