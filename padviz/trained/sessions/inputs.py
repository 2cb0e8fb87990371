"""Images to run networks on: noise, a blank, or those of a folder; and whether they are normalised as in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, check_integer
from padviz.network.network import Size
from padviz.trained.sessions.pictures import SUFFIXES, read_picture
from padviz.trained.sessions.running import Images, check_room
from padviz.trained.weights.trained_network import TrainedOn

NOISE, BLANK = "noise", "blank"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of pixels from 0 to 1
MOST = 10_000  # images
FAR = 1.6  # times the deviation: right normalisations lie within 1.3, and .5 in place of ImageNet's .226 beyond 2
SLACK = 1.5  # times the largest variance that pixels from 0 to 1 can have at their mean
USUAL = (  # mean and deviation; None are ImageNet's
    (None, None),
    ((0.5,), (0.5,)),
    ((0.0,), (1.0,)),
    ((0.0,), (1 / 255,)),
    (None, (1 / 255,)),
)


@dataclass(frozen=True)
class Inputs:
    """The inputs of `padviz.responses`."""

    inputs: str = NOISE
    n: int = 16
    seed: int = 0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None


def images_of(
    inputs: str | Path, count: int, size: Size, channels: int, seed: int = 0,
    mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
) -> Images:  # fmt: skip
    """Return images as a network reads them, of shape (images, channels, height, width).

    Pixels are from 0 to 1, minus `mean` and over `std`: by default ImageNet's. Those of noise are random; a blank is
    one image, the mean everywhere.

    >>> images_of("noise", 2, (8, 8), 3).shape, float(images_of("blank", 1, (8, 8), 3).max())
    ((2, 3, 8, 8), 0.0)
    """
    check_integer(count, 1, "n", MOST)
    check_integer(seed, 0, "seed")
    means, stds = normalisation(channels, mean, std)
    pictures = [] if inputs in (NOISE, BLANK) else pictures_in(inputs, count)
    count = 1 if inputs == BLANK else len(pictures) or count
    check_room("n", count, channels, size)
    if inputs == NOISE:
        return (np.random.default_rng(seed).random((count, channels, *size), dtype=np.float32) - means) / stds
    if inputs == BLANK:
        return np.zeros((count, channels, *size), np.float32)
    return np.stack([(read_picture(path, size, channels) - means) / stds for path in pictures])


def normalisation(
    channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Broadcast mean and deviation to the channels, of shape (channels, 1, 1).

    >>> [float(each.ravel()[0]) for each in normalisation(3, None, (0.5,))]
    [0.48500001430511475, 0.5]
    """
    by_channel = []
    for option, values, usual in (("mean", mean, MEAN), ("std", std, STD)):
        values = tuple(values) if values else usual if channels == 3 else (sum(usual) / 3,)
        if len(values) not in (1, channels):
            what = f"has {len(values)} numbers, and the network reads {channels} channels"
            raise OptionError(what, option=option, hint=f"give 1 or {channels}")
        if not np.isfinite(values).all() or (option == "std" and min(values) <= 0):
            raise OptionError(f"must be finite{' and above 0' * (option == 'std')}", option=option)
        by_channel.append(np.broadcast_to(np.array(values, np.float32), (channels,)).reshape(channels, 1, 1).copy())
    return by_channel[0], by_channel[1]


def pictures_in(folder: str | Path, count: int, option: str = "inputs") -> list[Path]:
    """List the first pictures of a folder, by name."""
    place = Path(folder)
    if not place.is_dir():
        hint = "use noise, blank, or a folder of pictures" if option == "inputs" else "use a folder of pictures"
        raise OptionError(f"{str(folder)!r} is not a folder", option=option, hint=hint)
    pictures = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not pictures:
        raise OptionError(f"{str(folder)!r} has no pictures", option=option, hint=f"those are {' '.join(SUFFIXES)}")
    return pictures[:count]


def compare_normalisation(trained_on: TrainedOn, images: Images, inputs: Inputs) -> str:
    """Warn if images are normalised otherwise than those of the training, and name values that fit; else "".

    Images without contrast tell nothing.
    """
    channels, stds = images.shape[1], images.std((0, 2, 3))

    def by_channel(mean: Sequence[float] | None, std: Sequence[float] | None) -> list[NDArray[np.float32]]:
        return [values.ravel() for values in normalisation(channels, mean, std)]

    own = by_channel(inputs.mean, inputs.std)
    deviation = float((stds * own[1]).mean())  # of the pixels from 0 to 1
    if not deviation:
        return ""

    def misfit(mean: NDArray[np.float32], std: NDArray[np.float32]) -> float:
        """By which factor deviations differ; infinite where that is too much, or for images of no pixels from 0 to 1.

        Pixels from 0 to 1 of mean p have a variance of p (1 - p) at most.
        """
        trained = float(std.mean()) * trained_on.std
        pixels = float((mean + std * trained_on.mean).mean())
        ratio = max(trained / deviation, deviation / trained)
        return ratio if ratio <= FAR and trained**2 <= SLACK * pixels * (1 - pixels) else np.inf

    if np.isfinite(misfit(*own)):
        return ""
    usual = [by_channel(*pair) for pair in USUAL]
    best = min(usual, key=lambda pair: misfit(*pair))
    hint = "check `mean` and `std`"
    if np.isfinite(misfit(*best)):
        hint = f"`mean` {_as_option(best[0])} and `std` {_as_option(best[1])} fit"
    return (
        f"{trained_on.layer} reads inputs of mean {images.mean():.3g} and deviation {stds.mean():.3g}, and was trained "
        f"on {np.mean(trained_on.mean):.3g} and {trained_on.std:.3g}, as the batch normalisation after it tells: {hint}"
    )


def _as_option(values: NDArray[np.float32]) -> str:
    """Write figures as an option takes them: one where all channels have the same.

    >>> _as_option(np.float32([0.5, 0.5])), _as_option(np.float32([0.485, 0.456]))
    ('0.5', '0.485,0.456')
    """
    return ",".join(f"{value:.3g}" for value in (values if len({*values.tolist()}) > 1 else values[:1]))
