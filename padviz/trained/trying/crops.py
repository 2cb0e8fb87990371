"""Crops of pictures, with room around each for a larger image and for a shift by a pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.trained.sessions.inputs import NOISE, pictures_in
from padviz.trained.sessions.pictures import open_picture, pixels_of, resize_box
from padviz.trained.sessions.running import check_room

SURROUNDINGS = 8 / 7  # of a frame, that a picture is scaled to: 256 of 224 px, as networks are usually tested
MOST = 10_000  # crops
OVERSAMPLED = 3  # pixels of a large picture for each of its crops' are kept
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
    """Frame another size around the same centre; an odd row is added, or left out, at the bottom and right.

    >>> resized_frame((224, 224), (225, 223)), resized_frame((224, 224), (256, 224))
    (Frame(top=0, left=0, height=225, width=223), Frame(top=-16, left=0, height=256, width=224))
    """
    top, left = (math.trunc((old - new) / 2) for old, new in zip(own, size, strict=True))
    return Frame(top, left, *size)


def room_for(frames: Sequence[Frame]) -> Frame:
    """Find the least frame that holds all others.

    >>> room_for([Frame(0, 0, 8, 8), Frame(1, 1, 8, 8), Frame(-2, 0, 10, 8)])
    Frame(top=-2, left=0, height=11, width=9)
    """
    top, left = min(frame.top for frame in frames), min(frame.left for frame in frames)
    bottom = max(frame.top + frame.height for frame in frames)
    right = max(frame.left + frame.width for frame in frames)
    return Frame(top, left, bottom - top, right - left)


@dataclass(frozen=True, eq=False)
class Crop:
    """A place in a picture: `pixels` of all of it, `scale` of one of its pixels, and where the network's frame begins.

    `top` and `left` count pixels of the scaled picture; `picture` is its number, which crops of one picture share.
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
        edges = left, top, left + frame.width, top + frame.height
        limits = (self.pixels.shape[2], self.pixels.shape[1]) * 2
        box = tuple(min(edge / self.scale, limit) for edge, limit in zip(edges, limits, strict=True))
        return resize_box(self.pixels, (height, width), box)


class Crops:
    """Crops of the pictures of a folder, as many of each as its share; after it is used up, `notes` say what was not.

    Of pictures so small that the room does not fit in them, none are taken.
    """

    def __init__(self, folder: str | Path, own: Size, count: int, room: Frame, channels: int, seed: int = 0) -> None:
        self.paths = pictures_in(folder, checked(count), "images")
        self.name, self.count, self.own, self.room = str(folder), count, own, room
        self.channels, self.seed = channels, seed
        self.small = 0

    def __iter__(self) -> Iterator[Crop]:
        left = self.count
        for i, path in enumerate(self.paths):
            picture = open_picture(path)
            if min(self._fits(picture)) < 1:
                self.small += 1
                continue
            share = -(-left // (len(self.paths) - i))
            left -= share
            yield from self._of(i, picture, share)
        if self.small == len(self.paths):
            what = f"no picture in {self.name!r} has {self.room.height} x {self.room.width} pixels or more"
            raise TooSmall(what, option="images", hint="use larger pictures, or smaller sizes")

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the pictures: how many are too small."""
        if not self.small:
            return ()
        were = "picture is" if self.small == 1 else "pictures are"
        return (f"{self.small} {were} below {self.room.height} x {self.room.width} px, and left out",)

    def _fits(self, picture: Any) -> tuple[float, float]:
        return picture.height / self.room.height, picture.width / self.room.width

    def _of(self, number: int, picture: Any, count: int) -> Iterator[Crop]:
        """Crop one picture, at places drawn at random; scaled down as far as frame and surroundings allow."""
        around = max(SURROUNDINGS * n / have for n, have in zip(self.own, picture.size[::-1], strict=True))
        scale = max(1 / min(self._fits(picture)), min(around, 1))
        tall, wide = (math.floor(n * scale + 1e-6) for n in picture.size[::-1])
        fold = int(1 / (OVERSAMPLED * scale)) if picture.mode in ("L", "RGB") else 1
        pixels = pixels_of(picture.reduce(fold) if fold > 1 else picture, None, self.channels)
        random = np.random.default_rng([self.seed, number])
        for _ in range(count):
            top = int(random.integers(tall - self.room.height + 1)) - self.room.top
            left = int(random.integers(wide - self.room.width + 1)) - self.room.left
            yield Crop(number, pixels, scale * max(fold, 1), top, left)


class NoiseCrops:
    """Crops of noise, each of a scene of its own, whose pixels are random, from 0 to 1.

    >>> [crop.pixels.shape for crop in NoiseCrops(2, Frame(0, 0, 9, 8), 3)]
    [(3, 9, 8), (3, 9, 8)]
    """

    name = NOISE
    notes = ("noise tells little about what a network does to photographs",)

    def __init__(self, count: int, room: Frame, channels: int, seed: int = 0) -> None:
        self.count, self.room, self.channels, self.seed = checked(count), room, channels, seed
        check_room("size", 1, channels, (room.height, room.width))

    def __iter__(self) -> Iterator[Crop]:
        random = np.random.default_rng(self.seed)
        for number in range(self.count):
            pixels = random.random((self.channels, self.room.height, self.room.width), dtype=np.float32)
            yield Crop(number, pixels, 1.0, -self.room.top, -self.room.left)


def crops_of(
    folder: str | Path | None, own: Size, count: int, room: Frame, channels: int, seed: int
) -> Crops | NoiseCrops:
    """Crop the pictures of a folder; or noise where there is none."""
    about = count, room, channels, seed
    return NoiseCrops(*about) if folder is None else Crops(folder, own, *about)


def checked(count: int) -> int:
    """Check a number of crops.

    Raises
    ------
    OptionError
        If there cannot be so many.
    """
    if not 1 <= count <= MOST:
        raise OptionError(f"{count}: must be 1 to {MOST:,}", option="n")
    return count
