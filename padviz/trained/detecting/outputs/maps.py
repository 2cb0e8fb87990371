"""Maps among a network's outputs: those whose rows and columns fit the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.network.network import Size

Array = NDArray[np.float64]
LEAST = 3  # rows and columns of a map
STRIDES = 0.5, *range(1, 129)
UNITS = 2  # of rounding, and of what padding adds
MOST_LOST = 0.5  # of the image, to valid convolutions
STRETCHED = 2  # how far the strides of a tensor of 4 dimensions may differ between its axes


def fits(shape: Size, size: Size, stretched: float = 1) -> bool:
    """Tell whether a map can have that shape: one stride on both axes leaves equal margins, but for rounding.

    >>> fits((80, 80), (640, 640)), fits((388, 452), (572, 636)), fits((8, 8400), (640, 640))
    (True, True, False)
    """
    if min(shape) < LEAST:
        return False
    for stride in STRIDES:
        margins = [n - stride * units for n, units in zip(size, shape, strict=True)]
        lost = max(margin / n for margin, n in zip(margins, size, strict=True))
        if abs(margins[0] - margins[1]) < UNITS * stride and min(margins) > -UNITS * stride and lost <= MOST_LOST:
            return True
    down, along = (n / units for n, units in zip(size, shape, strict=True))
    return min(down, along) >= 1 and max(down, along) <= stretched * min(down, along) and stretched > 1


def channels_last(shape: tuple[int, ...], size: Size) -> bool:
    """Tell whether a tensor of 4 dimensions has its classes last: by what fits the image, else by the fewest."""
    for stretched in (1, STRETCHED):
        first, last = (fits((shape[i], shape[i + 1]), size, stretched) for i in (2, 1))
        if first != last:
            return last
    return shape[3] < min(shape[1:3])


def is_map(shape: tuple[int, ...], size: Size) -> bool:
    """Tell whether an output of that shape is a map of an image, or one for each class."""
    if len(shape) == 4:
        at = 1 if channels_last(shape, size) else 2
        return fits((shape[at], shape[at + 1]), size, STRETCHED)
    return len(shape) == 3 and fits((shape[1], shape[2]), size)


def as_maps(values: NDArray[Any], size: Size) -> NDArray[Any]:
    """Lay maps out as (images, classes, height, width); three dimensions have one class without a name."""
    if values.ndim == 3:
        return values[:, None]
    return values.transpose(0, 3, 1, 2) if channels_last(values.shape, size) else values


def peak(maps: NDArray[Any], box: NDArray[np.int64], size: Size) -> Array:
    """Find the largest value of each class's map within a box of image pixels."""
    slices = []
    for axis in (0, 1):
        ratio, n = maps.shape[1 + axis] / size[axis], maps.shape[1 + axis]
        first = min(max(int(np.floor(box[axis] * ratio)), 0), n - 1)
        slices.append(slice(first, max(int(np.ceil(box[2 + axis] * ratio)), first + 1)))
    highest: Array = maps[:, slices[0], slices[1]].max(axis=(1, 2))
    return highest
