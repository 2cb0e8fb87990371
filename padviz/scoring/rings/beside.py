"""What a network's geometry says of the places where objects are, beside what is found there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.coverage import coverage
from padviz.counting.usage import usage
from padviz.intervals import Estimate, mirrored
from padviz.network.network import Network, Size
from padviz.network.targets import weighing
from padviz.scoring.scored import Scored, enough


class Beside(NamedTuple):
    """A network's figures under the centres of objects: the means of each ring, from the outermost inwards.

    `fair_share` is that of the pixel, `padding` the share of the paths of the unit there that start at padding; None in
    a ring without objects. `correlation` is Spearman's, of fair share and being found, over all objects.
    """

    network: str
    size: list[int]
    fair_share: list[float | None]
    padding: list[float | None]
    correlation: Estimate


def beside(scored: Scored, rings: int, network: Network, size: Size) -> Beside:
    """Look up a network's fair shares, and its coverage, where objects are; images are scaled to `size`.

    Raises
    ------
    PadvizError
        For a network that has no fair shares, with the reason.
    """
    shares = at_centres(scored, usage(network, size, heads=weighing(None, None, network)).share())
    padded = 1 - at_centres(scored, coverage(network, size, layer=network.targets[-1]).share())
    fair, padding = (
        [_mean(values[(scored.rings == ring) & scored.real]) for ring in range(rings)] for values in (shares, padded)
    )
    return Beside(network.name, [*size], fair, padding, _correlation(scored, shares))


def at_centres(scored: Scored, values: NDArray[Any]) -> NDArray[Any]:
    """Find the value of a map that lies over each image, (height, width) cells, under the centre of each object."""
    objects = scored.scenes.objects
    part = (objects.box[:, :2] + objects.box[:, 2:] / 2) / scored.scenes.sizes[objects.image][:, ::-1]
    columns, rows = (
        np.clip((part[:, k] * values.shape[1 - k]).astype(int), 0, values.shape[1 - k] - 1) for k in (0, 1)
    )
    found: NDArray[Any] = values[rows, columns]
    return found


def _mean(values: NDArray[Any]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _correlation(scored: Scored, values: NDArray[Any]) -> Estimate:
    """Correlate the ranks of the objects' values with whether each is found.

    Ranks are those among all objects, in each resample, too.
    """
    of = scored.real & ~np.isnan(values)
    image = scored.scenes.objects.image[of]
    _, place, count = np.unique(values[of], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - count / 2)[place]
    found = scored.found[of].astype(float)
    columns = (np.ones(len(image)), ranks, found, ranks**2, found**2, ranks * found)
    by_image = np.stack([np.bincount(image, column, len(scored.scenes.sizes)) for column in columns], 1)
    n, x, y, xx, yy, xy = (scored.weights @ by_image).T
    with np.errstate(invalid="ignore", divide="ignore"):
        together = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    return mirrored(together, enough(by_image[:, 0]), "correlation").figure
