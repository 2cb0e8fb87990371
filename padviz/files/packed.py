"""Archives from elsewhere: a member is read by its name, into memory, once its size is known to be small."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from padviz.errors import DescriptionError
from padviz.files.opened import opened

MOST_AT_ONCE = 1 << 22  # bytes that are read in one piece: the list of members is
PIECE = 1 << 20  # bytes
BROKEN = (ValueError, EOFError, RuntimeError, OverflowError, BadZipFile, struct.error, zlib.error, KeyError)


class _Bounded(io.RawIOBase):
    """A file of which no more than so many bytes are read in one piece."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def read(self, size: int | None = -1) -> bytes:
        most = MOST_AT_ONCE + 1 if size is None or size < 0 else size
        if most > MOST_AT_ONCE + 1 or len(content := self.file.read(most)) > MOST_AT_ONCE:
            raise BadZipFile("lists too much")
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True


@contextmanager
def unpacked(path: str | Path, kind: str) -> Iterator[ZipFile]:
    """Open an archive that should be `kind`, such as "a .keras file", to read small members of it.

    Raises
    ------
    DescriptionError
        Naming the file, where it is no archive, is damaged, or names one member twice.
    """
    where, hint = str(path), "save it anew"
    with opened(path, kind) as file:
        try:
            with ZipFile(_Bounded(file)) as archive:
                names = archive.namelist()
                if len({*names}) < len(names):
                    raise BadZipFile("names a member twice")
                yield archive
        except BROKEN:
            raise DescriptionError(f"is no archive as {kind} is, or is damaged", where=where, hint=hint) from None


def member(archive: ZipFile, name: str, most: int) -> bytes:
    """Read a member of at most so many bytes.

    Raises one of `BROKEN` where it is missing, damaged, larger, encrypted, or packed in a way that Python's alone is.
    """
    info = archive.getinfo(name)
    if info.file_size > most or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadZipFile("is too large, or packed in another way")
    with archive.open(info) as file:
        content = b"".join(iter(lambda: file.read(PIECE), b""))
    return content
