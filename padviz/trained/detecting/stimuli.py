"""Stimuli: a word, a picture or a sample on a neutral background, or a picture shifted under the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.trained.images import normalisation, open_picture, pixels_of
from padviz.trained.networks.trained_network import Images

Pixels = NDArray[np.float32]
TEXT, SAMPLE = "text:", "sample"
LONGEST = 40  # characters of a word
MOST_WIDE = 1 << 15  # pixels of a picture that is shown
NO_LETTER = "\uffff"  # in no font


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A thing to draw on a background: `pixels` of (channels, height, width), from 0 to 1, and their opacity.

    `cover` is of shape (height, width): 0 leaves the background, and 1 hides it.
    """

    name: str
    pixels: Pixels
    cover: Pixels

    @property
    def shape(self) -> Size:
        return self.cover.shape[0], self.cover.shape[1]


@dataclass(frozen=True, eq=False)
class Canvas:
    """A neutral background at a size, the mean pixel, and what pixels are normalised by: then the background is 0."""

    size: Size
    mean: Pixels
    std: Pixels
    bgr: bool = False  # the network reads blue first; mean and deviation are of red first

    @classmethod
    def of(
        cls, size: Size, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None, bgr: bool = False
    ) -> Canvas:
        if bgr and channels != 3:
            what = f"has no use: the network reads {channels} channel{'s' if channels > 1 else ''}, not 3 colours"
            raise OptionError(what, option="bgr", hint="leave it out")
        return cls(size, *normalisation(channels, mean, std), bgr)

    def ordered(self, images: Images) -> Images:
        return images[:, ::-1] if self.bgr else images

    def draw(self, stimulus: Stimulus, places: NDArray[np.int64], contrasts: NDArray[np.float64]) -> Images:
        """Draw a stimulus at places (top, left), each with its contrast: 1 leaves it as it is, 0 hides it."""
        height, width = stimulus.shape
        patch = (stimulus.pixels - self.mean) / self.std * stimulus.cover
        images = np.zeros((len(places), len(self.mean), *self.size), np.float32)
        for image, (top, left), contrast in zip(images, places, contrasts, strict=True):
            image[:, top : top + height, left : left + width] = patch * np.float32(contrast)
        return self.ordered(images)

    def frames(self, picture: Pixels, places: NDArray[np.int64]) -> Images:
        """Crop a larger picture to frames that begin at places (top, left)."""
        height, width = self.size
        parts = [picture[:, top : top + height, left : left + width] for top, left in places]
        frames: Images = (np.stack(parts) - self.mean) / self.std
        return self.ordered(frames)


def stimulus_of(name: str, height: int, channels: int) -> Stimulus:
    """Return a stimulus of a height in pixels by its name: "text:WORD", "sample", or the path of a picture."""
    if name.startswith(TEXT):
        return _text(name.removeprefix(TEXT), height, channels)
    if name == SAMPLE:
        return _sample(height, channels)
    if not Path(name).suffix:
        hint = "use text:WORD, sample, or the path of a picture"
        raise OptionError(f"unknown stimulus {name!r}", option="stimulus", hint=hint)
    return _picture(name, height, channels)


def _text(word: str, height: int, channels: int) -> Stimulus:
    """Draw a dark word, `height` pixels high from its highest letter to its lowest."""
    from PIL import Image, ImageDraw, ImageFont

    if not word.strip() or len(word) > LONGEST or not word.isprintable():
        what, hint = f"{word!r} cannot be written", f"use text: and 1 to {LONGEST} characters"
        raise OptionError(what, option="stimulus", hint=hint)
    small, font = ImageFont.load_default(16), ImageFont.load_default(8 * height)
    lacks = small.getmask(NO_LETTER)
    for letter in word:  # the font draws the same box for all that it lacks
        mask = small.getmask(letter)
        if (mask.size, bytes(mask)) == (lacks.size, bytes(lacks)):
            hint = "use other letters, or a picture of the word"
            raise OptionError(f"the font has no {letter!r}", option="stimulus", hint=hint)
    left, top, right, bottom = font.getbbox(word)
    picture = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), word, fill=255, font=font)
    if (box := picture.getbbox()) is None:
        raise OptionError(f"{word!r} leaves nothing to see", option="stimulus", hint="use letters or digits")
    picture = picture.crop(box)
    width = max(round(picture.width * height / picture.height), 1)
    cover = np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32) / np.float32(255)
    return Stimulus(f"{word!r}, {height} px high", np.zeros((channels, height, width), np.float32), cover)


def _sample(height: int, channels: int) -> Stimulus:
    """Draw rings, dark and bright, that fade outwards: edges in all directions."""
    at = (np.arange(height) + 0.5) / height * 2 - 1
    radius = np.hypot(at[:, None], at[None, :])
    rings: Pixels = (0.5 - 0.5 * np.cos(3 * np.pi * radius)).astype(np.float32)
    cover: Pixels = np.clip((1 - radius) * height / 4, 0, 1).astype(np.float32)
    return Stimulus(f"rings, {height} px high", np.broadcast_to(rings, (channels, *rings.shape)).copy(), cover)


def _picture(path: str, height: int, channels: int) -> Stimulus:
    """Read a picture; where it is transparent, the background shows."""
    picture = open_picture(path)
    width = max(round(picture.width * height / picture.height), 1)
    if width > MOST_WIDE:
        raise OptionError(f"would be {width} pixels wide at a height of {height}", where=path, hint="crop it")
    picture = picture.resize((width, height))  # Pillow weighs colours by how opaque they are
    pixels = pixels_of(picture, None, channels)
    cover = np.ones((height, width), np.float32)
    if picture.mode == "RGBA":
        cover = np.asarray(picture.getchannel("A"), np.float32) / np.float32(255)
    return Stimulus(f"{Path(path).name}, {height} px high", pixels, cover)
