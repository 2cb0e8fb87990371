"""Pictures, with Pillow: those from elsewhere in few formats, without warnings, and with one error
for all that can go wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError, PadvizError
from padviz.files.opened import opened

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "WEBP",
    "TIFF",
    "GIF",
)  # that Pillow tries; others run programs, or have no end
MOST_PIXELS, MOST_BYTES = 1 << 26, 1 << 29


@contextmanager
def opened_picture(path: str | Path, kind: str, hint: str) -> Iterator[Picture]:
    """Open a picture that should be `kind`, such as "a label map"; any failure in the block is the
    picture's.
    """
    from PIL import Image

    where = str(path)
    with opened(path, kind, MOST_BYTES) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, on damaged EXIF and large pictures
        try:
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                yield picture
        except PadvizError:
            raise
        except Image.DecompressionBombError:
            raise OptionError(
                f"has more than {MOST_PIXELS} pixels", where=where, hint="scale it down"
            ) from None
        except Exception:  # of Pillow, which has many
            raise OptionError("cannot be read as a picture", where=where, hint=hint) from None


def save_picture(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write pixels (height, width) or (height, width, 3) in the format of the path's suffix."""
    from PIL import Image

    Image.fromarray(pixels).save(path)
