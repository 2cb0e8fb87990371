"""Arrays in .npy and .npz files from elsewhere: sizes are checked before anything is expanded or evaluated."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from math import prod
from typing import IO, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

DIGITS = "little_endian_digits"
MAGIC = b"\x93NUMPY\x01\x00"
HEAD = re.compile(  # of arrays that padviz writes; nothing is evaluated
    rb"\{'descr': (?:'<([if][48])'|\[\('little_endian_digits', '\|u1', \((\d{1,4}),\)\)\]), "
    rb"'fortran_order': False, 'shape': \((\d{1,10}),(?: (\d{1,10}))?\), \} *\n"
)
BROKEN = (ValueError, OSError, EOFError, RuntimeError, OverflowError, BadZipFile, struct.error, zlib.error)


class Stored(NamedTuple):
    """An array within a file; only its header was read."""

    file: IO[bytes]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # of its data, in bytes

    def read(self, first: int, count: int) -> NDArray[Any]:
        """Read `count` values from the `first` on."""
        self.file.seek(self.start + first * self.dtype.itemsize)
        data = self.file.read(count * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype, count)


def stored_array(file: IO[bytes], size: int) -> Stored:
    """Read the header of an .npy file of `size` bytes, whose data must have the size that the header implies.

    Raises one of `BROKEN` for any other file.

    >>> import io
    >>> stored_array(io.BytesIO(b"hello"), 5)
    Traceback (most recent call last):
        ...
    ValueError
    """
    file.seek(0)
    lead = file.read(len(MAGIC) + 2)
    length = int.from_bytes(lead[len(MAGIC) :], "little")
    head = HEAD.fullmatch(file.read(length))
    if not lead.startswith(MAGIC) or not head:
        raise ValueError
    kind, digits, *shape = (None if part is None else part.decode() for part in head.groups())
    dtype = np.dtype(f"<{kind}" if kind else [(DIGITS, "u1", (int(digits or 0),))])
    sides = tuple(int(side) for side in shape if side)
    if not prod(sides) or size != len(lead) + length + prod(sides) * dtype.itemsize:
        raise ValueError
    return Stored(file, dtype, sides, len(lead) + length)


def stored_arrays(archive: ZipFile, names: Sequence[str]) -> list[Stored]:
    """Read the headers of the arrays of an .npz file, which must have exactly these members; none is expanded.

    Raises one of `BROKEN` if it has others, or if padviz does not write such arrays.
    """
    members = {member.filename: member for member in archive.infolist()}
    packed = {member.compress_type for member in members.values()} <= {ZIP_STORED, ZIP_DEFLATED}
    if len(archive.infolist()) != len(names) or members.keys() != {*names} or not packed:
        raise ValueError
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # zipfile only warns of overlapping members
        try:
            return [stored_array(archive.open(name), members[name].file_size) for name in names]
        except UserWarning as warning:
            raise ValueError(str(warning)) from None
