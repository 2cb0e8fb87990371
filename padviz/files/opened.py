"""Files from elsewhere: their kind and size are checked before anything is read."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from padviz.errors import DescriptionError, NoSuchFile


@contextmanager
def opened(path: str | Path, kind: str, most: float = float("inf")) -> Iterator[io.BufferedReader]:
    """Open a regular file of at most `most` bytes that should be `kind`, such as "an ONNX file";
    else say so.
    """
    where, hint = str(path), f"give the path of {kind}"
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DescriptionError("is not a file", where=where, hint=hint)
        if status.st_size > most:
            raise DescriptionError(
                f"has more than {most} bytes, too many for {kind}", where=where, hint=hint
            )
        # a pipe that has replaced the file since is not waited for
        with open(
            path,
            "rb",
            opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)),
        ) as file:
            yield file
    except FileNotFoundError:
        raise NoSuchFile("no such file", where=where, hint=hint) from None
    except (OSError, ValueError) as error:  # a ValueError is a path that no file system takes
        reason = getattr(error, "strerror", None) or error
        raise DescriptionError(f"cannot be read ({reason})", where=where, hint=hint) from None


def read_file(path: str | Path, kind: str, most: int) -> bytes:
    with opened(path, kind, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)  # some files of the system never end
