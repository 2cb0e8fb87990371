"""Images to run networks on: noise, a blank, or those of a folder, as a network reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.trained.sessions.pictures import SUFFIXES, read_picture
from padviz.trained.sessions.running import Images, check_room

NOISE, BLANK = "noise", "blank"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of pixels from 0 to 1
MOST = 10_000  # images


@dataclass(frozen=True)
class Inputs:
    """What a network is run on for its responses, as in `padviz.responses`."""

    inputs: str = NOISE
    n: int = 16
    seed: int = 0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None


def images_of(
    inputs: str | Path, count: int, size: Size, channels: int, seed: int = 0,
    mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
) -> Images:  # fmt: skip
    """Make images as a network reads them, of shape (images, channels, height, width).

    Pixels are from 0 to 1, minus `mean` and over `std`: by default ImageNet's. Noise has them at random, each for
    itself; a blank is the mean everywhere, and one image.

    Raises
    ------
    OptionError
        For a count, a folder or figures that cannot be used.

    Examples
    --------
    >>> images_of("noise", 2, (8, 8), 3).shape, float(images_of("blank", 1, (8, 8), 3).max())
    ((2, 3, 8, 8), 0.0)
    """
    if not 1 <= count <= MOST:
        raise OptionError(f"{count} is no number of images", option="n", hint=f"use 1 to {MOST}")
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
    """Spread mean and deviation over the channels, of shape (channels, 1, 1).

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
            raise OptionError("cannot be used", option=option, hint="use finite numbers, of which none divides by 0")
        by_channel.append(np.broadcast_to(np.array(values, np.float32), (channels,)).reshape(channels, 1, 1).copy())
    return by_channel[0], by_channel[1]


def pictures_in(folder: str | Path, count: int, option: str = "inputs") -> list[Path]:
    """List the first pictures of a folder, by name.

    Raises
    ------
    OptionError
        If it is none, or has none.
    """
    place = Path(folder)
    if not place.is_dir():
        hint = "use noise, blank, or a folder of pictures" if option == "inputs" else "use a folder of pictures"
        raise OptionError(f"{str(folder)!r} is no folder", option=option, hint=hint)
    pictures = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not pictures:
        raise OptionError(f"{str(folder)!r} has no pictures", option=option, hint=f"those are {' '.join(SUFFIXES)}")
    return pictures[:count]
