"""The images that a network was trained on: their mean and deviation, as its first batch normalisation keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
NEIGHBOURS, COLOURS = 0.95, 0.9  # correlation in photographs: of pixels side by side, and of the channels of one
CLOSE = 0.1  # how far the running means may lie from what one image explains, in running deviations
SINGULAR = 0.03  # of the largest singular value: colours that the filters do not tell apart


@dataclass(frozen=True)
class TrainedOn:
    """The mean and the deviation of the images that a convolution was trained on, as it read them: over all channels.

    >>> TrainedOn("conv1", (0.0, 0.0, 0.0), 1.0).layer
    'conv1'
    """

    layer: str
    mean: tuple[float, ...]  # by channel
    std: float


def trained_on(layer: str, weights: Array, bias: Array | float, mean: Array, variance: Array) -> TrainedOn | None:
    """Solve the running statistics of a convolution's map for those of the image that it reads.

    The mean of a map is, by channel, the sums of its filter times the mean of the image, whatever that shows. Its
    variance is that of filtered photographs: nearly all of it comes of filters that blur, which hardly ask how
    sharp they are.

    Parameters
    ----------
    weights : array of shape (channels out, channels in, height, width)
    bias, mean, variance : arrays of shape (channels out,)

    Returns
    -------
    TrainedOn or None
        None where nothing was trained, or where no image explains the running means.

    Examples
    --------
    >>> blur = np.ones((1, 1, 1, 1))
    >>> trained_on("conv", blur, 0.0, np.array([0.4]), np.array([0.09]))
    TrainedOn(layer='conv', mean=(0.4,), std=0.3)
    """
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and np.isfinite(weights).all()):
        return None
    if (variance < 0).any() or not variance.any() or (not mean.any() and (variance == 1).all()):
        return None  # of no training
    filtered = np.einsum("oi,ij,oj->o", flat := weights.reshape(len(weights), -1), _correlation(weights.shape), flat)
    scale = np.sqrt(variance + variance.mean() * CLOSE**2)
    sums = weights.sum((2, 3)) / scale[:, None]
    wanted = (mean - bias) / scale
    image, *_ = np.linalg.lstsq(sums, wanted, rcond=SINGULAR)
    if not filtered.any() or np.sqrt(np.mean((sums @ image - wanted) ** 2)) > CLOSE:
        return None
    std = float(np.sqrt(variance.sum() / filtered.sum()))
    return TrainedOn(layer, tuple(float(f"{value:.6g}") for value in image), float(f"{std:.6g}"))


def _correlation(shape: tuple[int, ...]) -> Array:
    """Correlate the pixels under a filter as photographs do, of shape (taps, taps)."""
    _, channels, height, width = shape
    places = np.argwhere(np.ones((height, width)))
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    colours = np.where(np.eye(channels, dtype=bool), 1.0, COLOURS)
    return np.kron(colours, NEIGHBOURS**distances)
