"""Where padviz may write: one rule for all commands, and for `save` in Python."""

from __future__ import annotations

import os
from pathlib import Path

from padviz.errors import DescriptionError, OptionError
from padviz.files.atomic import check_file, temporary_folder
from padviz.files.opened import opened

# what the first bytes of a PNG file, a page and a file of counts say about who made them
SOFTWARE = b"Software\0padviz"
GENERATOR = b'<meta name="generator" content="padviz">'
COUNTS = b"core.npy"
HEAD = 256  # bytes


def check_output(path: Path, overwrite: bool = False, *, named: bool = True) -> None:
    """Raise OptionError for a file that cannot or should not be written.

    A file that is there is replaced if that is asked for, with `overwrite`. Under a name that
    padviz chose, `named=False`, it is also replaced if padviz made it. Missing folders are created
    when the file is written.

    >>> check_output(Path("counts.csv"))
    >>> check_output(Path())
    Traceback (most recent call last):
    ...
    padviz.errors.OptionError: .: is not a file; name another
    """
    where = str(path)
    try:
        check_file(path)
        if os.path.lexists(path) and not overwrite:
            if named:
                raise OptionError("exists", where=where, hint="add `overwrite` to replace it")
            if not made_by_padviz(path):
                hint = "add `overwrite` to replace it, or `o` to write another file"
                raise OptionError("exists, and padviz did not make it", where=where, hint=hint)
        _check_folder(path)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OptionError(what, where=where, hint="choose another place") from None


def _check_folder(path: Path) -> None:
    """Write into the folder of a file, or into the one in which it will be created."""
    folder = next(folder for folder in path.parents if folder.exists())
    if not folder.is_dir():
        raise OptionError(
            f"{str(folder)!r} is not a folder", where=str(path), hint="choose another"
        )
    # Permissions alone do not tell about full disks, read-only file systems and long names.
    with temporary_folder(folder) as stage:
        (stage / path.name).touch()


def made_by_padviz(path: Path) -> bool:
    """Return whether a picture, a page or a file of counts shows that padviz made it."""
    try:
        with opened(path, "a file") as file:
            head = file.read(HEAD)
    except DescriptionError:
        return False
    return any(mark in head for mark in (SOFTWARE, GENERATOR, COUNTS))
