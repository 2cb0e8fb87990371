"""Picture files as pixels from 0 to 1, however they are stored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError
from padviz.files.opened import opened
from padviz.network.network import Size

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

KIND = "a .png or .jpg"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")  # that Pillow tries; others run programs, or have no end
PLAIN = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")  # modes of at most 8 bits
MOST_PIXELS, MOST_BYTES = 1 << 26, 1 << 29
BITS, PHOTOMETRIC, SAMPLES = 258, 262, 339  # tags of TIFF
WHITE_IS_ZERO, SIGNED = 0, 2
Pixels = NDArray[np.float32]


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
    """Resize the part of an image within a box (left, top, right, bottom); bicubic, and smoothed where it shrinks.

    >>> float(resize_box(np.full((1, 8, 8), 0.5, np.float32), (4, 4), (0, 0, 8, 8)).mean())
    0.5
    """
    from PIL import Image

    to = size[1], size[0]
    resized = [Image.fromarray(plane).resize(to, Image.Resampling.BICUBIC, box=box) for plane in pixels]
    clipped: Pixels = np.clip(np.stack([np.asarray(plane) for plane in resized]), 0, 1)
    return clipped
