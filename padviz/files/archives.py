"""Archives and stored arrays from elsewhere: sizes are checked before anything is expanded, nothing
is evaluated.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.files.opened import opened

MOST_AT_ONCE = 1 << 22  # bytes of an archive read in one piece, such as the list of members
PIECE = 1 << 20  # bytes
BROKEN = (
    ValueError,
    EOFError,
    RuntimeError,
    OverflowError,
    BadZipFile,
    struct.error,
    zlib.error,
    KeyError,
)
DIGITS = "little_endian_digits"
MAGIC = b"\x93NUMPY\x01\x00"
HEAD = re.compile(  # of arrays that padviz writes; nothing is evaluated
    rb"\{'descr': (?:'<([if][48])'|\[\('little_endian_digits', '\|u1', \((\d{1,4}),\)\)\]), "
    rb"'fortran_order': False, 'shape': \((\d{1,10}),(?: (\d{1,10}))?\), \} *\n"
)


class _Bounded(io.BufferedReader):
    """A file that is read in pieces of at most `MOST_AT_ONCE` bytes."""

    def read(self, size: int | None = -1) -> bytes:
        most = MOST_AT_ONCE + 1 if size is None or size < 0 else size
        if most > MOST_AT_ONCE + 1 or len(content := super().read(most)) > MOST_AT_ONCE:
            raise BadZipFile("lists too much")
        return content


@contextmanager
def unpacked(path: str | Path, kind: str) -> Iterator[ZipFile]:
    """Open an archive that should be `kind`, to read small members; reject a damaged one, or a name
    given twice.
    """
    where, hint = str(path), "save it again"
    with opened(path, kind) as file:
        try:
            with _Bounded(file.raw) as bounded, ZipFile(bounded) as archive:
                names = archive.namelist()
                if len({*names}) < len(names):
                    raise BadZipFile("names a member twice")
                yield archive
        except BROKEN:
            raise DescriptionError(
                f"is not {kind}, or is damaged", where=where, hint=hint
            ) from None


def member(archive: ZipFile, name: str, most: int) -> bytes:
    """Read a member of at most `most` bytes; raise one of `BROKEN` for any other, or one packed in
    an unusual way.
    """
    info = archive.getinfo(name)
    if info.file_size > most or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadZipFile("is too large, or packed in another way")
    with archive.open(info) as file:
        return b"".join(iter(lambda: file.read(PIECE), b""))


class Stored(NamedTuple):
    """An array within a file; only its header was read."""

    file: IO[bytes]
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    start: int  # of its data, in bytes

    def read(self, first: int, count: int) -> NDArray[Any]:
        """Read `count` values from the `first` on."""
        self.file.seek(self.start + first * self.dtype.itemsize)
        data = self.file.read(count * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype, count)


def stored_array(file: IO[bytes], size: int) -> Stored:
    """Read the header of an .npy file of `size` bytes, all of which it must account for; else one
    of `BROKEN`.
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
    """Read the headers of the arrays of an .npz file, which must have exactly these members; else
    one of `BROKEN`.
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
