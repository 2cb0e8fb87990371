"""Crops of pictures, with room around each for a larger image and for a shift by a pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, check_integer
from padviz.intervals import IMAGES
from padviz.network.network import Size
from padviz.trained.images import NOISE, open_picture, pictures_in, pixels_of, resize_box
from padviz.trained.networks.trained_network import check_room

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SURROUNDINGS = 8 / 7  # of a frame, that a picture is scaled to: 256 of 224 px, as networks are usually tested
MOST = 10_000  # crops
OVERSAMPLED = 3  # pixels of a large picture that are kept for each pixel of its crops
NOISE_SAYS = "noise says little about what a network does to photographs"
Pixels = NDArray[np.float32]  # (channels, height, width), from 0 to 1


class TooSmall(OptionError):
    """No picture has room for the sizes asked for."""


class Frame(NamedTuple):
    """A part of a scene: where it begins, relative to the network's own frame, and its height and width in pixels."""

    top: int
    left: int
    height: int
    width: int


def resized_frame(own: Size, size: Size) -> Frame:
    """Return a frame of another size with the same centre; odd rows are added or left out at the bottom and right."""
    top, left = (math.trunc((old - new) / 2) for old, new in zip(own, size, strict=True))
    return Frame(top, left, *size)


def room_for(frames: Sequence[Frame]) -> Frame:
    """Return the least frame that holds all others."""
    top, left = min(frame.top for frame in frames), min(frame.left for frame in frames)
    bottom = max(frame.top + frame.height for frame in frames)
    right = max(frame.left + frame.width for frame in frames)
    return Frame(top, left, bottom - top, right - left)


@dataclass(frozen=True, eq=False)
class Crop:
    """A place in a picture: `pixels` of all of it, the `scale` to show it at, and where the network's frame begins.

    `top` and `left` count pixels of the scaled picture; crops of one picture share its number, `picture`.
    """

    picture: int
    pixels: Pixels
    scale: float
    top: int
    left: int

    def scene(self, frame: Frame, size: Size | None = None) -> Pixels:
        """Cut out the pixels of a frame, at the crop's scale; or resized to a size, from the picture's own pixels."""
        height, width = size or (frame.height, frame.width)
        top, left = self.top + frame.top, self.left + frame.left
        tall, wide = self.pixels.shape[1:]
        low = min(left / self.scale, wide), min(top / self.scale, tall)
        high = min((left + frame.width) / self.scale, wide), min((top + frame.height) / self.scale, tall)
        return resize_box(self.pixels, (height, width), (*low, *high))


@dataclass(frozen=True)
class CropOptions:
    """The inputs of `padviz.trial`: crops of photographs, or noise on request."""

    images: str | Path | None
    n: int
    noise: bool = False
    seed: int = 0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.images is None and not self.noise:
            raise OptionError(NOISE_SAYS, option="images", hint="name a folder of them, or add `noise`")
        if self.images is not None and self.noise:
            raise OptionError("cannot be combined with `images`", option="noise", hint="leave out one of them")
        check_integer(self.n, 1, "n", MOST)
        check_integer(self.seed, 0, "seed")


class Crops:
    """Crops of the pictures of a folder, equally many of each, or of scenes of noise, whose pixels are random.

    Each has the `room` around the network's `own` frame; none are taken of pictures too small for it. Once all are
    read, `notes` count what was left out.
    """

    def __init__(self, options: CropOptions, own: Size, room: Frame, channels: int) -> None:
        self.options, self.own, self.room, self.channels = options, own, room, channels
        self.small = 0
        self.name = NOISE if options.images is None else str(options.images)
        if options.images is None:
            check_room("size", 1, channels, (room.height, room.width))
        else:
            self.paths = pictures_in(options.images, options.n, "images")

    def __iter__(self) -> Iterator[Crop]:
        return self._of_noise() if self.options.images is None else self._of_pictures()

    @property
    def notes(self) -> tuple[str, ...]:
        if self.options.images is None:
            return (NOISE_SAYS,)
        were = "picture is" if self.small == 1 else "pictures are"
        what = f"{self.small} {were} below {self.room.height} x {self.room.width} px, and left out"
        return (what,) if self.small else ()

    def _of_noise(self) -> Iterator[Crop]:
        random, room = np.random.default_rng(self.options.seed), self.room
        for number in range(self.options.n):
            pixels = random.random((self.channels, room.height, room.width), dtype=np.float32)
            yield Crop(number, pixels, 1.0, -room.top, -room.left)

    def _of_pictures(self) -> Iterator[Crop]:
        left = self.options.n
        for i, path in enumerate(self.paths):
            picture = open_picture(path)
            if picture.height < self.room.height or picture.width < self.room.width:
                self.small += 1
                continue
            share = -(-left // (len(self.paths) - i))
            left -= share
            yield from self._of(i, picture, share)
        if self.small == len(self.paths):
            what = f"no picture in {self.name!r} has {self.room.height} x {self.room.width} pixels or more"
            raise TooSmall(what, option="images", hint="use larger pictures, or smaller sizes")

    def _of(self, number: int, picture: Picture, count: int) -> Iterator[Crop]:
        """Crop one picture at random places; scaled down as far as frame and surroundings allow."""
        around = max(SURROUNDINGS * n / have for n, have in zip(self.own, picture.size[::-1], strict=True))
        least = max(self.room.height / picture.height, self.room.width / picture.width)
        scale = max(least, min(around, 1))
        tall, wide = (math.floor(n * scale + 1e-6) for n in picture.size[::-1])
        fold = int(1 / (OVERSAMPLED * scale)) if picture.mode in ("L", "RGB") else 1
        pixels = pixels_of(picture.reduce(fold) if fold > 1 else picture, None, self.channels)
        random = np.random.default_rng([self.options.seed, number])
        for _ in range(count):
            top = int(random.integers(tall - self.room.height + 1)) - self.room.top
            left = int(random.integers(wide - self.room.width + 1)) - self.room.left
            yield Crop(number, pixels, scale * max(fold, 1), top, left)


def few_pictures(pictures: Iterable[int]) -> tuple[str, ...]:
    count = len({*pictures})
    are = "picture is" if count == 1 else "pictures are"
    return () if count >= IMAGES else (f"{count} {are} too few for intervals; use {IMAGES} or more",)
