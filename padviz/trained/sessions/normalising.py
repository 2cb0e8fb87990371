"""Whether images are normalised as those that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padviz.trained.sessions.inputs import Inputs, normalisation
from padviz.trained.sessions.running import Images
from padviz.trained.weights.trained_network import TrainedOn

FAR = 1.6  # times the deviation: right normalisations lie within 1.3, and .5 in place of ImageNet's .226 beyond 2
SLACK = 1.5  # times the largest variance that pixels from 0 to 1 can have at their mean
USUAL = (  # mean and deviation; None are ImageNet's
    (None, None),
    ((0.5,), (0.5,)),
    ((0.0,), (1.0,)),
    ((0.0,), (1 / 255,)),
    (None, (1 / 255,)),
)


@dataclass(frozen=True, eq=False)
class _Normalised:
    """A normalisation, by channel, of pixels of some deviation; beside it the images of the training."""

    trained_on: TrainedOn
    deviation: float  # of the pixels from 0 to 1
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @property
    def far(self) -> float:
        """How many times larger one deviation is than the other."""
        ratio = self._trained / self.deviation
        return max(ratio, 1 / ratio)

    @property
    def fits(self) -> bool:
        """Whether deviations agree, and the images of the training so normalised were pixels from 0 to 1.

        Pixels from 0 to 1 of mean p have a variance of p (1 - p) at most.
        """
        pixels = float((self.mean + self.std * self.trained_on.mean).mean())
        return self.far <= FAR and self._trained**2 <= SLACK * pixels * (1 - pixels)

    @property
    def _trained(self) -> float:
        """The deviation of the pixels from 0 to 1 that the images of the training were."""
        return float(self.std.mean()) * self.trained_on.std


def unlike(trained_on: TrainedOn, images: Images, inputs: Inputs) -> str:
    """Say if images are normalised otherwise than those that a network was trained on, and by what it likely was.

    Images without contrast tell nothing.
    """
    channels = images.shape[1]
    stds = images.std((0, 2, 3))
    deviation = float((stds * normalisation(channels, inputs.mean, inputs.std)[1].ravel()).mean())
    tried = (
        _Normalised(trained_on, deviation, *(values.ravel() for values in normalisation(channels, *pair)))
        for pair in ((inputs.mean, inputs.std), *USUAL)
    )
    if not deviation or next(tried).fits:
        return ""
    better = min(
        (normalised for normalised in tried if normalised.fits), key=lambda normalised: normalised.far, default=None
    )
    hint = f"`mean` {_listed(better.mean)} and `std` {_listed(better.std)} fit" if better else "check `mean` and `std`"
    return (
        f"{trained_on.layer} reads inputs of mean {images.mean():.3g} and deviation {stds.mean():.3g}, and was trained "
        f"on {np.mean(trained_on.mean):.3g} and {trained_on.std:.3g}, as the batch normalisation after it tells: {hint}"
    )


def _listed(values: NDArray[np.float32]) -> str:
    """Write figures as an option takes them: one where all channels have the same.

    >>> _listed(np.float32([0.5, 0.5])), _listed(np.float32([0.485, 0.456]))
    ('0.5', '0.485,0.456')
    """
    return ",".join(f"{value:.3g}" for value in (values if len({*values.tolist()}) > 1 else values[:1]))
