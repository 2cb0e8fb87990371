"""Files from elsewhere: regular ones of a bounded size. A pipe or a device is refused, and never waited for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from padviz.errors import DescriptionError


@contextmanager
def opened(path: str | Path, kind: str, most: float = float("inf")) -> Iterator[BinaryIO]:
    """Open a file that should be `kind`, such as "an ONNX file", to be read.

    Raises
    ------
    DescriptionError
        If it is missing, no regular file, larger than `most` bytes, or cannot be read.
    """
    where, hint = str(path), f"give the path of {kind}"
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DescriptionError("is not a file", where=where, hint=hint)
        if status.st_size > most:
            raise DescriptionError(f"has more than {most} bytes, too many for {kind}", where=where, hint=hint)
        with open(path, "rb", opener=_at_once) as file:
            yield file
    except FileNotFoundError:
        raise DescriptionError("no such file", where=where, hint=hint) from None
    except (OSError, ValueError) as error:  # a path that no file system takes is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise DescriptionError(f"cannot be read ({reason})", where=where, hint=hint) from None


def read_file(path: str | Path, kind: str, most: int) -> bytes:
    """Read all of a file that should be `kind`; see `opened`.

    >>> read_file("missing.toml", "a TOML description", 100)
    Traceback (most recent call last):
        ...
    padviz.errors.DescriptionError: missing.toml: no such file; give the path of a TOML description
    """
    with opened(path, kind, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)  # some files of the system never end


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, should a pipe have taken the file's place since it was looked at."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
