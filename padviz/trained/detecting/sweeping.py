"""A stimulus on a neutral background, or a picture shifted under the frame, and its scores at every
position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.phrases import counted
from padviz.trained.detecting.detectability import SEEN
from padviz.trained.detecting.outputs import Scorer
from padviz.trained.images import Pixels, normalisation, open_picture, pixels_of
from padviz.trained.networks.running import Floats, Images, Runner, batches, outputs_of

Places = NDArray[np.int64]  # (positions, 2): top and left, in pixels
TEXT, RINGS = "text:", "sample"
LONGEST = 40  # characters of a word
MOST_WIDE = 1 << 15  # pixels of a picture that is shown
NO_LETTER = "\uffff"  # in no font
STEPS = 9  # of a bisection: to 1 % of a contrast
FAINTEST = 1 / 128  # contrast


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A thing to draw on a background: `pixels` of (channels, height, width), from 0 to 1, and
    their opacity.

    `cover` is of shape (height, width): 0 leaves the background, and 1 hides it.
    """

    name: str
    pixels: Pixels
    cover: Pixels

    @property
    def shape(self) -> Size:
        return self.cover.shape[0], self.cover.shape[1]


class Canvas:
    """A neutral background, the mean pixel, that is 0 once it is normalised.

    `bgr` networks read blue first.
    """

    def __init__(
        self,
        size: Size,
        channels: int,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        bgr: bool = False,
    ) -> None:
        if bgr and channels != 3:
            what = f"has no use: the network reads {counted(channels, 'channel')}, not 3 colours"
            raise OptionError(what, option="bgr", hint="leave it out")
        self.size, self.bgr = size, bgr
        self.mean, self.std = normalisation(channels, mean, std)  # of red first

    def ordered(self, images: Images) -> Images:
        if self.bgr:
            return images[:, ::-1]
        return images

    def draw(self, stimulus: Stimulus, places: Places, contrasts: Floats) -> Images:
        """Draw a stimulus at places (top, left), each with its contrast: 1 leaves it as it is, 0
        hides it.
        """
        height, width = stimulus.shape
        patch = (stimulus.pixels - self.mean) / self.std * stimulus.cover
        images = np.zeros((len(places), len(self.mean), *self.size), np.float32)
        for image, (top, left), contrast in zip(images, places, contrasts, strict=True):
            image[:, top : top + height, left : left + width] = patch * np.float32(contrast)
        return self.ordered(images)


def stimulus_of(name: str, height: int, channels: int) -> Stimulus:
    """Return a stimulus of a height in pixels by its name: "text:WORD", "sample", or the path of a
    picture.
    """
    if name.startswith(TEXT):
        return _text(name.removeprefix(TEXT), height, channels)
    if name == RINGS:  # dark and bright, and fading outwards: edges in all directions
        at = (np.arange(height) + 0.5) / height * 2 - 1
        radius = np.hypot(at[:, None], at[None, :])
        rings = (0.5 - 0.5 * np.cos(3 * np.pi * radius)).astype(np.float32)
        cover = np.clip((1 - radius) * height / 4, 0, 1).astype(np.float32)
        return Stimulus(
            f"rings, {height} px high", np.broadcast_to(rings, (channels, *rings.shape)), cover
        )
    if not Path(name).suffix:
        hint = "use text:WORD, sample, or the path of a picture"
        raise OptionError(f"unknown stimulus {name!r}", option="stimulus", hint=hint)
    picture = open_picture(name)
    width = max(round(picture.width * height / picture.height), 1)
    if width > MOST_WIDE:
        raise OptionError(
            f"would be {width} pixels wide at a height of {height}", where=name, hint="crop it"
        )
    picture = picture.resize((width, height))  # Pillow weighs colours by how opaque they are
    cover = np.ones((height, width), np.float32)
    if picture.mode == "RGBA":  # the background shows where it is transparent
        cover = np.asarray(picture.getchannel("A"), np.float32) / np.float32(255)
    return Stimulus(
        f"{Path(name).name}, {height} px high", pixels_of(picture, None, channels), cover
    )


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
        raise OptionError(
            f"{word!r} leaves nothing to see", option="stimulus", hint="use letters or digits"
        )
    picture = picture.crop(box)
    width = max(round(picture.width * height / picture.height), 1)
    cover = np.asarray(
        picture.resize((width, height), Image.Resampling.BOX), np.float32
    ) / np.float32(255)
    return Stimulus(
        f"{word!r}, {height} px high", np.zeros((channels, height, width), np.float32), cover
    )


@dataclass(frozen=True, eq=False)
class Sweep:
    """A stimulus moved over positions, and what is mapped: its scores at a contrast, or the
    contrasts needed.

    `draw` makes images of positions and contrasts, and `boxes` are where each position is looked
    for. With `threshold` contrasts are mapped: the least that is seen, or with `below`, where the
    background alone is seen, that is not.
    """

    draw: Callable[[Places, Floats], Images]
    boxes: Callable[[Places], Places]
    scorer: Scorer
    name: str
    shape: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    contrast: float = 1.0
    threshold: bool = False
    below: bool = False

    @property
    def places(self) -> Places:
        return np.array([*product(self.tops, self.lefts)], np.int64)

    def scores(self, runner: Runner, places: Places, contrasts: Floats | float) -> Floats:
        """Score each position at one contrast, or each at its own."""
        by_place = np.broadcast_to(contrasts, len(places))
        scores = []
        for part in batches(runner, len(places)):
            outputs = outputs_of(runner, self.draw(places[part], by_place[part]))
            scores.append(self.scorer.scores(outputs, self.boxes(places[part])))
        return np.concatenate(scores)

    def background(self, runner: Runner) -> Floats:
        """Score each position where there is no stimulus: one image is run, for all of them."""
        blank = np.zeros((1, runner.channels, *runner.size), np.float32)
        output = outputs_of(runner, blank)[self.scorer.output]
        places = self.places
        boxes = self.boxes(places)
        if self.scorer.kind == "classes":  # which are the same wherever one looks
            boxes = boxes[:1]
        alike = np.broadcast_to(output, (len(boxes), *output.shape[1:]))
        scores = self.scorer.scores({self.scorer.output: alike}, boxes)
        return np.broadcast_to(scores, len(places))

    def values(self, runner: Runner, places: Places) -> Floats:
        """Compute what is mapped, at each position: scores, or the least contrasts that
        are enough.
        """
        if self.threshold:
            return self.thresholds(runner, places)
        return self.scores(runner, places, self.contrast)

    def thresholds(self, runner: Runner, places: Places) -> Floats:
        """Bisect for the contrast from which on each position scores .5.

        Infinite where none tried is enough.

        NaN where full contrast makes the network's score NaN.
        """
        contrasts = self._enough(runner, places)
        at = np.flatnonzero(np.isfinite(contrasts))
        if not at.size:
            return contrasts
        # Half of what is enough was tried, and is not; below full contrast nothing is known.
        high = np.log(contrasts[at])
        low = np.log(
            np.where(contrasts[at] == 1, FAINTEST, np.maximum(contrasts[at] / 2, FAINTEST))
        )
        for _ in range(STEPS):
            middle = (low + high) / 2
            enough = self._decided(self.scores(runner, places[at], np.exp(middle)))
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        contrasts[at] = np.exp(high)
        return contrasts

    def _decided(self, scores: Floats) -> NDArray[np.bool_]:
        """Whether each score is on the side of .5 that is looked for."""
        if self.below:
            decided: NDArray[np.bool_] = scores < SEEN
        else:
            decided = scores >= SEEN
        return decided

    def _enough(self, runner: Runner, places: Places) -> Floats:
        """Return 1 where full contrast is enough, else the least of 1/2, 1/4 ... that is.

        Infinity where none is.

        Scores may fall where contrast rises.
        """
        full = self.scores(runner, places, 1.0)
        contrasts = np.where(self._decided(full), 1.0, np.inf)
        contrasts[np.isnan(full)] = np.nan
        at = np.flatnonzero(np.isinf(contrasts))
        contrast = 0.5
        while at.size and contrast >= FAINTEST:
            enough = self._decided(self.scores(runner, places[at], contrast))
            contrasts[at[enough]] = contrast
            contrast /= 2
        return contrasts
