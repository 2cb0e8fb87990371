"""Files of images that are run in tiles: the image, an array or a picture, and the output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.files.arrays import read_array
from padviz.files.output import check_output
from padviz.files.pictures import save_picture
from padviz.network.network import Size
from padviz.trained.images import SUFFIXES, normalisation, open_picture, pixels_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PICTURES = (".png", ".tif", ".tiff")  # that are written
WRITTEN = (".npy", *PICTURES)
KIND = "an .npy file of one array, or a picture"
HINT = "save it with np.save(file, image), as (channels, height, width)"
AT_ONCE = 1 << 22  # values that are checked or converted at once
WHITE = 255  # of a picture of 8 bits
Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image in a file: a picture, or an array (channels, height, width), which is mapped.

    `batched` says whether the array had a dimension of length 1 in front, which its output then
    has, too.
    """

    path: str
    content: Picture | Values
    batched: bool = False

    @property
    def size(self) -> Size:
        if isinstance(self.content, np.ndarray):
            return self.content.shape[1:]
        return self.content.size[::-1]

    def values(
        self,
        channels: int,
        dtype: np.dtype[Any],
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
    ) -> Values:
        """Return the image as a network reads it, of shape (1, channels, height, width).

        An array stays as it is. Pixels of a picture are from 0 to 1, less `mean` and over `std`; or
        from 0 to 255 for a network of integers. Raises OptionError for an image that does not suit
        the network.
        """
        if isinstance(self.content, np.ndarray):
            if mean or std:
                what = "is an array, which is run as it is"
                raise OptionError(what, where=self.path, hint="leave out `mean` and `std`")
            self._check_array(self.content, channels, dtype)
            # Frameworks take no other order of bytes; an array in the usual one stays mapped.
            native = self.content.dtype.newbyteorder("=")
            return self.content.astype(native, copy=False)[np.newaxis]
        if channels not in (1, 3, 4):
            what = f"is a picture, and the network reads {channels} channels"
            raise OptionError(what, where=self.path, hint="give an .npy array")
        if std is None:
            std = (1 if dtype.kind == "f" else 1 / WHITE,)
        means, stds = normalisation(channels, mean or (0,), std)
        return ((pixels_of(self.content, None, channels) - means) / stds)[np.newaxis]

    def _check_array(self, array: Values, channels: int, dtype: np.dtype[Any]) -> None:
        if len(array) != channels:
            what = f"has {len(array)} channels, and the network reads {channels}"
            hint = "use another image, or say with `shape` that the network reads others"
            raise OptionError(what, where=self.path, hint=hint)
        if array.dtype.kind != dtype.kind or not np.can_cast(array.dtype, dtype):
            what = f"holds {array.dtype}, and the network reads {dtype}"
            hint = f'save image.astype("{dtype}"), with values as the network was trained on'
            raise OptionError(what, where=self.path, hint=hint)
        for first, rows in _in_rows(array):
            finite = np.isfinite(rows)
            if not finite.all():
                channel, row, column = np.argwhere(~finite)[0]
                what = f"has NaN or infinities, the first at [{channel}, {first + row}, {column}]"
                raise OptionError(what, where=self.path, hint="replace them by numbers")


def check_written(path: Path, overwrite: bool) -> None:
    """Reject a file of an output that cannot or should not be written."""
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        what = f"ends in {suffix}, which is not written here" if suffix else "has no suffix"
        raise OptionError(what, where=str(path), hint=f"use {' '.join(WRITTEN)}")
    check_output(path, overwrite)


def open_image(path: str | Path) -> ImageFile:
    """Open an array or a picture; raises PadvizError for any other file."""
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        return ImageFile(str(path), open_picture(path))
    if suffix != ".npy":
        known = ", ".join((".npy", *SUFFIXES))
        what = f"ends in {suffix}" if suffix else "has no suffix"
        raise OptionError(f"{what}, and images in {known}", where=str(path), hint=HINT)
    array = read_array(Path(path), KIND, HINT)
    batched = array.ndim == 4 and len(array) == 1
    if batched:
        array = array[0]
    if array.dtype.kind not in "biuf" or array.ndim != 3 or not array.size:
        what = f"holds an array of {array.dtype} and of shape {array.shape}"
        raise OptionError(what, where=str(path), hint=HINT)
    if array.shape[-1] in (1, 3, 4) and len(array) > 4:
        what = f"has the shape {array.shape}, with channels last"
        raise OptionError(what, where=str(path), hint="save np.moveaxis(image, -1, 0)")
    return ImageFile(str(path), array, batched)


class Saved(NamedTuple):
    """What a file of an output holds; of a picture, the share of its values that were clipped."""

    shape: tuple[int, ...]
    dtype: str
    clipped: float


class OutputFile:
    """The file of an output, of which parts are written as to an array; `save` completes it.

    The first part tells its channels and type; `units` is the size of the whole map. All are
    written into an .npy file that is mapped, which is the output itself or becomes a picture.
    """

    def __init__(self, path: Path, units: Size, batched: bool) -> None:
        self.path, self.units, self.batched = path, units, batched
        self.pictured = path.suffix.lower() in PICTURES
        self.stored: Values | None = None

    def __setitem__(self, at: Any, part: Values) -> None:
        leading = part.shape[: -len(self.units)]
        if self.stored is None:
            self.stored = self._created(leading, part.dtype)
        self.stored.reshape(*leading, *self.units)[at] = part

    def save(self) -> Saved:
        """Complete the file."""
        assert isinstance(self.stored, np.memmap)
        if self.pictured:
            return _as_picture(self.path, self.stored.reshape(-1, *self.units))
        self.stored.flush()
        return Saved(self.stored.shape, self.stored.dtype.name, 0.0)

    def _created(self, leading: tuple[int, ...], dtype: np.dtype[Any]) -> Values:
        if leading[:1] == (1,) and not self.batched:
            leading = leading[1:]
        path = self.path
        if self.pictured:
            path = path.with_name("map.npy")
            if prod(leading) not in (1, 3) or dtype.kind not in "biuf":
                what = f"is a picture, and the output has {prod(leading)} channels of {dtype}"
                raise OptionError(what, where=self.path.name, hint="write an .npy file")
        stored = np.lib.format.open_memmap(path, "w+", dtype, (*leading, *self.units))
        # All room is taken now: writing into a map on a full disk would end the process.
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return stored


def _as_picture(path: Path, planes: Values) -> Saved:
    """Write 1 or 3 planes as a picture of 8 bits: integers as they are, others from 0 to 1.

    What lies beyond is clipped, and NaN black.
    """
    channels, height, width = planes.shape
    pixels = np.empty((height, width, channels), np.uint8)
    clipped = 0.0
    scale = 1 if planes.dtype.kind in "iu" else WHITE
    for first, rows in _in_rows(planes):
        levels = np.moveaxis(rows, 0, -1) * scale
        clipped += np.count_nonzero(~((levels >= 0) & (levels <= WHITE)))
        levels = np.nan_to_num(np.clip(levels, 0, WHITE))
        pixels[first : first + len(levels)] = np.rint(levels)
    if channels == 1:
        pixels = pixels[..., 0]
    save_picture(pixels, path)
    return Saved((channels, height, width), "uint8", clipped / planes.size)


def _in_rows(array: Values) -> Iterator[tuple[int, Values]]:
    """Slice an array (channels, rows, ...) into rows of which some millions of values are read at
    once, each slice with its first row.
    """
    step = max(1, AT_ONCE // array[:, 0].size)
    for first in range(0, array.shape[1], step):
        yield first, array[:, first : first + step]
