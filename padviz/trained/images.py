"""Images to run networks on: noise, a blank, or the pictures of a folder, as pixels from 0 to 1 and normalised."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError, check_integer
from padviz.files.opened import opened
from padviz.network.network import Size
from padviz.trained.networks.trained_network import Images, TrainedOn, check_room

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

KIND = "a .png or .jpg"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")  # that Pillow tries; others run programs, or have no end
PLAIN = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")  # modes of at most 8 bits
MOST_PIXELS, MOST_BYTES = 1 << 26, 1 << 29
BITS, PHOTOMETRIC, SAMPLES = 258, 262, 339  # tags of TIFF
WHITE_IS_ZERO, SIGNED = 0, 2
Pixels = NDArray[np.float32]  # (channels, height, width), from 0 to 1
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
    """Broadcast mean and deviation to the channels, of shape (channels, 1, 1)."""
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
    """Write figures as an option takes them: one where all channels have the same."""
    return ",".join(f"{value:.3g}" for value in (values if len({*values.tolist()}) > 1 else values[:1]))


def open_picture(path: str | Path) -> Picture:
    """Open a picture with Pillow, upright and of mode L, RGB, RGBA, or F from 0 to 1."""
    from PIL import Image, ImageOps

    where = str(path)
    with opened(path, KIND, MOST_BYTES) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, on damaged EXIF and large pictures
        try:
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                ImageOps.exif_transpose(picture, in_place=True)
                picture.load()
                return _convert(picture, where)
        except PadvizError:
            raise
        except Image.DecompressionBombError:
            raise OptionError(f"has more than {MOST_PIXELS} pixels", where=where, hint="scale it down") from None
        except Exception:  # of Pillow, which has many
            raise OptionError("cannot be read as a picture", where=where, hint=f"use {KIND}") from None


def _convert(picture: Picture, where: str) -> Picture:
    """Convert a picture to a mode whose black and white are known."""
    from PIL import Image

    tags = getattr(picture, "tag_v2", {})
    signed = SIGNED in np.atleast_1d(tags.get(SAMPLES, 1))
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode in PLAIN and not signed:
        kind = "RGBA" if picture.has_transparency_data else "L" if picture.mode in ("1", "L") else "RGB"
        return picture if picture.mode == kind else picture.convert(kind)
    # Pillow before 11 opens a PNG of 16 bits as I.
    wide = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG")
    if signed or "transparency" in picture.info or not (wide or picture.mode == "F"):
        what = f"{'signed ' if signed else ''}pixels of mode {picture.mode} have no known black and white"
        what += " with transparency" if "transparency" in picture.info else ""
        raise OptionError(what, where=where, hint="save it as an RGB picture of 8 bits")
    white = (1 << int(np.ravel(tags.get(BITS, 16))[0])) - 1 if wide else 1
    values = np.asarray(picture, np.float32) / np.float32(white)
    if not ((values >= 0) & (values <= 1)).all():  # nor is NaN
        what = "has floats beyond 0 to 1, and nothing says which of them is white"
        raise OptionError(what, where=where, hint="scale them to 0 to 1, or save it with 8 bits")
    return Image.fromarray(1 - values if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else values)


def read_picture(path: str | Path, size: Size | None, channels: int) -> Pixels:
    """Read a picture with pixels from 0 to 1, of shape (channels, height, width): its middle, scaled to the size."""
    return pixels_of(open_picture(path), size, channels)


def pixels_of(picture: Picture, size: Size | None, channels: int) -> Pixels:
    """Convert an opened picture to an array, as `read_picture` does; transparent pixels have their own colour."""
    from PIL import ImageOps

    if channels not in (1, 3, 4):
        what = f"a picture has 1, 3 or 4 channels, and the network reads {channels}"
        raise OptionError(what, hint="use a network that reads pictures")
    kind = "F" if picture.mode == "F" else "L" if channels == 1 else "RGB"
    picture = picture if picture.mode == kind else picture.convert(kind)
    if size is not None:
        picture = ImageOps.fit(picture, (size[1], size[0]))
    pixels: Pixels = np.asarray(picture, dtype=np.float32)
    if kind == "F":  # which bicubic scaling overshoots; in fewer bits it is clipped
        planes = np.broadcast_to(np.clip(pixels, 0, 1), (min(channels, 3), *pixels.shape))
    else:
        planes = (pixels[None] if kind == "L" else pixels.transpose(2, 0, 1)) / np.float32(255)
    return planes if channels != 4 else np.concatenate([planes, np.ones_like(planes[:1])])


def resize_box(pixels: Pixels, size: Size, box: tuple[float, float, float, float]) -> Pixels:
    """Resize the part of an image within a box (left, top, right, bottom); bicubic, and smoothed where it shrinks."""
    from PIL import Image

    to = size[1], size[0]
    resized = [Image.fromarray(plane).resize(to, Image.Resampling.BICUBIC, box=box) for plane in pixels]
    clipped: Pixels = np.clip(np.stack([np.asarray(plane) for plane in resized]), 0, 1)
    return clipped
