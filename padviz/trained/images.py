"""Images to run networks on: noise, a blank, the pictures of a folder, or crops of them with room
for a shift.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, check_integer
from padviz.files.pictures import opened_picture
from padviz.intervals import IMAGES
from padviz.network.network import Size
from padviz.phrases import counted
from padviz.trained.networks.running import Images, check_room
from padviz.trained.networks.trained_network import TrainedOn

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

KIND = "a .png or .jpg"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# Modes of at most 8 bits.
PLAIN = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
BITS, PHOTOMETRIC, SAMPLES = 258, 262, 339  # tags of TIFF
WHITE_IS_ZERO, SIGNED = 0, 2
Pixels = NDArray[np.float32]  # (channels, height, width), from 0 to 1
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of pixels from 0 to 1
MOST = 10_000  # images or crops
# Of a frame, that a picture is scaled to: 256 of 224 px, as networks are usually tested.
SURROUNDINGS = 8 / 7
OVERSAMPLED = 3  # pixels of a large picture that are kept for each pixel of its crops
NOISE_SAYS = "noise says little about what a network does to photographs"
# Times the deviation: right normalisations lie within 1.3, and .5 in place of ImageNet's .226
# beyond 2.
FAR = 1.6
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
    """`n` images to run on: the pictures of the folder `images`, else noise, or a `blank`.

    Pixels are from 0 to 1, minus `mean` and over `std`: by default ImageNet's.
    """

    images: str | Path | None = None
    n: int = 16
    seed: int = 0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    blank: bool = False

    def __post_init__(self) -> None:
        if self.blank and self.images is not None:
            raise OptionError(
                "cannot be combined with `images`", option="blank", hint="leave out one of them"
            )
        check_integer(self.n, 1, "n", MOST)
        check_integer(self.seed, 0, "seed")

    @property
    def name(self) -> str:
        """What a report calls them."""
        if self.blank:
            return "blank"
        if self.images is None:
            return "noise"
        return str(self.images)


def to_crop(
    images: str | Path | None,
    n: int,
    noise: bool,
    seed: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Inputs:
    """Return the inputs of `padviz.trial` and `padviz.seen`: crops of photographs, or noise on
    request.
    """
    if images is None and not noise:
        raise OptionError(NOISE_SAYS, option="images", hint="name a folder of them, or add `noise`")
    if images is not None and noise:
        raise OptionError(
            "cannot be combined with `images`", option="noise", hint="leave out one of them"
        )
    return Inputs(images, n, seed, mean, std)


def images_of(inputs: Inputs, size: Size, channels: int) -> Images:
    """Return images as a network reads them, of shape (images, channels, height, width).

    A blank is a single one.
    """
    means, stds = normalisation(channels, inputs.mean, inputs.std)
    if inputs.blank:
        check_room("n", 1, channels, size)
        return np.zeros((1, channels, *size), np.float32)
    if inputs.images is None:
        check_room("n", inputs.n, channels, size)
        noise = np.random.default_rng(inputs.seed).random(
            (inputs.n, channels, *size), dtype=np.float32
        )
        return (noise - means) / stds
    pictures = pictures_in(inputs.images, inputs.n)
    check_room("n", len(pictures), channels, size)
    return np.stack(
        [(pixels_of(open_picture(path), size, channels) - means) / stds for path in pictures]
    )


def normalisation(
    channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Broadcast mean and deviation to the channels, of shape (channels, 1, 1)."""
    by_channel = []
    for option, values, usual in (("mean", mean, MEAN), ("std", std, STD)):
        if not values:
            # Other channels than colours get the mean over the three.
            if channels == 3:
                values = usual
            else:
                values = (sum(usual) / 3,)
        if len(values) not in (1, channels):
            what = f"has {len(values)} numbers, and the network reads {channels} channels"
            raise OptionError(what, option=option, hint=f"give 1 or {channels}")
        if not np.isfinite(values).all() or (option == "std" and min(values) <= 0):
            what = "must be finite" if option == "mean" else "must be finite and above 0"
            raise OptionError(what, option=option)
        of_channel = np.broadcast_to(np.array(values, np.float32), (channels,))
        by_channel.append(of_channel.reshape(channels, 1, 1).copy())
    return by_channel[0], by_channel[1]


def pictures_in(folder: str | Path, count: int) -> list[Path]:
    """List the first pictures of a folder, by name."""
    place = Path(folder)
    if not place.is_dir():
        raise OptionError(
            f"{str(folder)!r} is not a folder", option="images", hint="use a folder of pictures"
        )
    pictures = sorted(
        path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not pictures:
        raise OptionError(
            f"{str(folder)!r} has no pictures",
            option="images",
            hint=f"those are {' '.join(SUFFIXES)}",
        )
    return pictures[:count]


def compare_normalisation(trained_on: TrainedOn, images: Images, inputs: Inputs) -> str:
    """Warn if images are normalised otherwise than those of the training, and name values that fit.

    Else "".

    Images without contrast tell nothing.
    """
    channels, by_image = (
        images.shape[1],
        [(image.mean((1, 2)), image.var((1, 2))) for image in images],
    )
    means, variances = np.array(by_image).swapaxes(0, 1)  # (images, channels)
    stds = np.sqrt(variances.mean(0) + means.var(0))

    def by_channel(
        mean: Sequence[float] | None, std: Sequence[float] | None
    ) -> list[NDArray[np.float32]]:
        return [values.ravel() for values in normalisation(channels, mean, std)]

    given = by_channel(inputs.mean, inputs.std)
    deviation = float((stds * given[1]).mean())  # of the pixels from 0 to 1
    if not deviation:
        return ""

    def misfit(mean: NDArray[np.float32], std: NDArray[np.float32]) -> float:
        """By which factor deviations differ.

        Infinite where that is too much, or beyond pixels from 0 to 1.
        """
        trained = float(std.mean()) * trained_on.std
        pixels = float((mean + std * trained_on.mean).mean())
        ratio = max(trained / deviation, deviation / trained)
        most = SLACK * pixels * (1 - pixels)  # variance of pixels from 0 to 1
        if ratio > FAR or trained**2 > most:
            return np.inf
        return ratio

    if np.isfinite(misfit(*given)):
        return ""
    usual = [by_channel(*pair) for pair in USUAL]
    best = min(usual, key=lambda pair: misfit(*pair))
    hint = "check `mean` and `std`"
    if np.isfinite(misfit(*best)):
        hint = f"`mean` {_as_option(best[0])} and `std` {_as_option(best[1])} fit"
    return (
        f"{trained_on.layer} reads inputs of mean {images.mean():.3g} and deviation "
        f"{stds.mean():.3g}, and was trained on {np.mean(trained_on.mean):.3g} and "
        f"{trained_on.std:.3g}, as the batch normalisation after it tells: {hint}"
    )


def _as_option(values: NDArray[np.float32]) -> str:
    """Write figures as an option takes them: one where all channels have the same."""
    texts = [f"{value:.3g}" for value in values.tolist()]
    if len(set(texts)) == 1:
        return texts[0]
    return ",".join(texts)


def open_picture(path: str | Path) -> Picture:
    """Open a picture with Pillow, upright and of mode L, RGB, RGBA, or F from 0 to 1."""
    from PIL import ImageOps

    with opened_picture(path, KIND, f"use {KIND}") as picture:
        ImageOps.exif_transpose(picture, in_place=True)
        picture.load()
        return _convert(picture, str(path))


def _convert(picture: Picture, where: str) -> Picture:
    """Convert a picture to a mode whose black and white are known."""
    tags = getattr(picture, "tag_v2", {})
    signed = SIGNED in np.atleast_1d(tags.get(SAMPLES, 1))
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode in PLAIN and not signed:
        if picture.has_transparency_data:
            return _in_mode(picture, "RGBA")
        return _in_mode(picture, "L" if picture.mode in ("1", "L") else "RGB")
    transparent = "transparency" in picture.info
    # Pillow before 11 opens a PNG of 16 bits as I.
    wide = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG")
    if signed or transparent or not (wide or picture.mode == "F"):
        what = f"pixels of mode {picture.mode} have no known black and white"
        if signed:
            what = f"signed {what}"
        if transparent:
            what += " with transparency"
        raise OptionError(what, where=where, hint="save it as an RGB picture of 8 bits")
    most = 1
    if wide:
        bits = int(np.ravel(tags.get(BITS, 16))[0])
        most = (1 << bits) - 1
    return _in_floats(picture, most, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO, where)


def _in_floats(picture: Picture, most: int, negative: bool, where: str) -> Picture:
    """Convert a picture whose values go up to `most` to mode F, from 0, which is black, to 1."""
    from PIL import Image

    values = np.asarray(picture, np.float32) / np.float32(most)
    if not ((values >= 0) & (values <= 1)).all():  # nor is NaN
        what = "has floats beyond 0 to 1, and nothing says which of them is white"
        raise OptionError(what, where=where, hint="scale them to 0 to 1, or save it with 8 bits")
    if negative:
        values = 1 - values
    return Image.fromarray(values)


def _in_mode(picture: Picture, mode: str) -> Picture:
    if picture.mode == mode:
        return picture
    return picture.convert(mode)


def pixels_of(picture: Picture, size: Size | None, channels: int) -> Pixels:
    """Return pixels from 0 to 1, of shape (channels, height, width): of the picture's middle,
    scaled to the size.

    Transparent pixels have their own colour.
    """
    from PIL import ImageOps

    if channels not in (1, 3, 4):
        what = f"a picture has 1, 3 or 4 channels, and the network reads {channels}"
        raise OptionError(what, hint="use a network that reads pictures")
    if picture.mode != "F":
        picture = _in_mode(picture, "L" if channels == 1 else "RGB")
    if size is not None:
        picture = ImageOps.fit(picture, (size[1], size[0]))
    planes: Pixels = np.atleast_3d(np.asarray(picture, dtype=np.float32)).transpose(2, 0, 1)
    if picture.mode == "F":  # which bicubic scaling overshoots; in fewer bits it is clipped
        planes = np.broadcast_to(np.clip(planes, 0, 1), (min(channels, 3), *planes.shape[1:]))
    else:
        planes = planes / np.float32(255)
    if channels == 4:  # opaque
        planes = np.concatenate([planes, np.ones_like(planes[:1])])
    return planes


class TooSmall(OptionError):
    """No picture has room for the sizes asked for."""


class Frame(NamedTuple):
    """A part of a scene: where it begins, relative to the network's own frame, and its height and
    width in pixels.
    """

    top: int
    left: int
    height: int
    width: int


def resized_frame(trained_size: Size, size: Size) -> Frame:
    """Return a frame of another size with the same centre.

    Odd rows are added or left out at the bottom and right.
    """
    top, left = (math.trunc((old - new) / 2) for old, new in zip(trained_size, size, strict=True))
    return Frame(top, left, *size)


def room_for(frames: Sequence[Frame]) -> Frame:
    """Return the least frame that holds all others."""
    top, left = min(frame.top for frame in frames), min(frame.left for frame in frames)
    bottom = max(frame.top + frame.height for frame in frames)
    right = max(frame.left + frame.width for frame in frames)
    return Frame(top, left, bottom - top, right - left)


def in_frame(scenes: Images, room: Frame, frame: Frame) -> Images:
    """Slice the pixels of a frame from scenes of the `room` around it."""
    top, left = frame.top - room.top, frame.left - room.left
    return scenes[:, :, top : top + frame.height, left : left + frame.width]


@dataclass(frozen=True, eq=False)
class Crop:
    """A place in a picture: `pixels` of all of it, the `scale` to show it at, and where the
    network's frame begins.

    `top` and `left` count pixels of the scaled picture; crops of one picture share its number,
    `picture`. Scenes are normalised by `mean` and `std`.
    """

    picture: int
    pixels: Pixels
    scale: float
    top: int
    left: int
    mean: Pixels | float = 0.0
    std: Pixels | float = 1.0

    def scene(self, frame: Frame, size: Size | None = None) -> Pixels:
        """Cut out the pixels of a frame, at the crop's scale.

        Or resized to a size, from the picture's own pixels.
        """
        from PIL import Image

        height, width = size or (frame.height, frame.width)
        top, left = self.top + frame.top, self.left + frame.left
        tall, wide = self.pixels.shape[1:]
        low = min(left / self.scale, wide), min(top / self.scale, tall)
        high = (
            min((left + frame.width) / self.scale, wide),
            min((top + frame.height) / self.scale, tall),
        )
        images = (Image.fromarray(plane) for plane in self.pixels)
        resized = [
            image.resize((width, height), Image.Resampling.BICUBIC, box=(*low, *high))
            for image in images
        ]
        # Bicubic overshoots.
        clipped = np.clip(np.stack([np.asarray(image) for image in resized]), 0, 1)
        scene: Pixels = (clipped - self.mean) / self.std
        return scene


class Crops:
    """Crops of the pictures of a folder, equally many of each, or of scenes of noise, whose pixels
    are random.

    Each has the `room` around the network's own frame, of `size`: pictures are scaled down as far
    as it and the surroundings allow, and none are taken of those that are too small. Once all are
    read, `notes` count what was left out.
    """

    def __init__(self, inputs: Inputs, size: Size, room: Frame, channels: int) -> None:
        self.inputs, self.size, self.room, self.channels = inputs, size, room, channels
        self.normal = normalisation(channels, inputs.mean, inputs.std)
        self.small, self.name = 0, inputs.name
        self.noise = inputs.images is None
        self.paths: list[Path] = []
        if inputs.images is None:
            check_room("size", 1, channels, (room.height, room.width))
        else:
            self.paths = pictures_in(inputs.images, inputs.n)

    def __iter__(self) -> Iterator[Crop]:
        left, room = self.inputs.n, self.room
        if self.noise:
            random = np.random.default_rng(self.inputs.seed)
            for number in range(left):
                pixels = random.random((self.channels, room.height, room.width), dtype=np.float32)
                yield Crop(number, pixels, 1.0, -room.top, -room.left, *self.normal)
            return
        for i, path in enumerate(self.paths):
            picture = open_picture(path)
            if picture.height < room.height or picture.width < room.width:
                self.small += 1
                continue
            around = max(
                SURROUNDINGS * n / have
                for n, have in zip(self.size, picture.size[::-1], strict=True)
            )
            least = max(room.height / picture.height, room.width / picture.width)
            scale = max(least, min(around, 1))
            tall, wide = (math.floor(n * scale + 1e-6) for n in picture.size[::-1])
            fold = 1
            if picture.mode in ("L", "RGB"):
                fold = max(int(1 / (OVERSAMPLED * scale)), 1)
            if fold > 1:
                picture = picture.reduce(fold)
            pixels = pixels_of(picture, None, self.channels)
            random, share = (
                np.random.default_rng([self.inputs.seed, i]),
                -(-left // (len(self.paths) - i)),
            )
            left -= share
            for _ in range(share):  # at random places
                at = (
                    int(random.integers(tall - room.height + 1)),
                    int(random.integers(wide - room.width + 1)),
                )
                yield Crop(
                    i, pixels, scale * fold, at[0] - room.top, at[1] - room.left, *self.normal
                )
        if self.small == len(self.paths):
            what = f"no picture in {self.name!r} has {room.height} x {room.width} pixels or more"
            raise TooSmall(what, option="images", hint="use larger pictures, or smaller sizes")

    @property
    def notes(self) -> tuple[str, ...]:
        if self.noise:
            return (NOISE_SAYS,)
        if not self.small:
            return ()
        were = "is" if self.small == 1 else "are"
        size = f"{self.room.height} x {self.room.width} px"
        return (f"{counted(self.small, 'picture')} {were} below {size}, and left out",)


def few_pictures(pictures: Iterable[int]) -> tuple[str, ...]:
    count = len({*pictures})
    if count >= IMAGES:
        return ()
    are = "is" if count == 1 else "are"
    return (f"{counted(count, 'photograph')} {are} too few for intervals; use {IMAGES} or more",)
