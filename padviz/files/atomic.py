"""Atomic writes: files are written in a temporary folder beside their place, and moved there when
complete.

Such a folder holds a mark that is locked as long as its process lives. The leftovers of a killed
process are recognised by that mark, and removed when another file is written beside them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from padviz.errors import OptionError

PREFIX = ".padviz-"
MARK, MARKED = (
    "padviz.lock",
    b"Files that padviz is writing. If it does not run, this folder can be removed.\n",
)
LOCK = ".padviz.lock"  # of a whole folder; empty, and present only while files are moved
NO_WAIT, NO_LINK = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_NOFOLLOW", 0)


def check_file(path: Path) -> None:
    """Raise OptionError for a folder, a pipe or a device."""
    if path.exists() and not path.is_file():
        raise OptionError("is not a file", where=str(path), hint="name another")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same name, and move it to `path` if the block succeeds; else
    `OptionError`. Missing folders are created.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "counts.csv") as temporary:
    ...         written = temporary.write_text("1,2")
    ...         is_aside = os.listdir(folder)[0].startswith(PREFIX)
    ...     is_aside, os.listdir(folder)
    (True, ['counts.csv'])
    """
    try:
        check_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        with temporary_folder(path.parent) as stage:
            yield stage / path.name
            replace_file(path, stage / path.name)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OptionError(what, where=str(path), hint="choose another place") from None


def replace_file(path: Path, new: Path) -> None:
    """Move a new file over an old one; whoever could not read the old one cannot read it either."""
    with suppress(FileNotFoundError):
        shutil.copymode(path, new)
    os.replace(new, path)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder inside `folder` for files while they are written, and remove it in the end."""
    stage, descriptor = _marked(folder)
    try:
        yield stage
    finally:
        os.close(descriptor)
        shutil.rmtree(stage, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove the folders that killed processes left in `folder`; links are never followed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in [entry for entry in entries if entry.name.startswith(PREFIX)]:
            if entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_stage(folder / entry.name)


def _open_or_create(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CREAT | NO_LINK)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder` among padviz's processes and threads, to move files that belong together; else
    `OptionError`.
    """
    path = folder / LOCK
    while True:
        try:
            file = open(path, "r+b", opener=_open_or_create)  # noqa: SIM115
        except OSError as error:
            raise OptionError(
                f"cannot be written ({error.strerror or error})", where=str(path)
            ) from None
        with file:
            _lock(file.fileno(), wait=True)
            status = os.fstat(file.fileno())
            if not status.st_nlink:
                continue  # its last owner has removed it since
            try:
                yield
                return
            finally:
                if not status.st_size:  # a file with content is not padviz's
                    path.unlink(missing_ok=True)


def _marked(folder: Path) -> tuple[Path, int]:
    """Create a new folder and its mark, which is open and locked."""
    while True:
        stage = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        with suppress(FileNotFoundError, BlockingIOError):  # swept before it was locked
            descriptor = os.open(stage / MARK, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                _lock(descriptor)
                os.write(descriptor, MARKED)
                if os.fstat(descriptor).st_nlink:
                    return stage, descriptor
            except BaseException:
                os.close(descriptor)
                shutil.rmtree(stage, ignore_errors=True)
                raise
            os.close(descriptor)


def _remove_stage(stage: Path) -> None:
    """Remove a folder whose mark belongs to a process that has ended, or that is empty; `OSError`
    for any other.
    """
    try:
        descriptor = os.open(stage / MARK, os.O_RDWR | NO_LINK | NO_WAIT)
    except FileNotFoundError:
        stage.rmdir()  # killed before it was marked; fails if it is not empty
        return
    try:
        if _lock(descriptor):
            held = os.read(descriptor, len(MARKED) + 1)
            if held == MARKED or (not held and os.listdir(stage) == [MARK]):
                shutil.rmtree(stage)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed or the process ends; False if the system has no such
    locks.

    Raises `BlockingIOError` if another process has the lock, and `wait` is False.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except (ImportError, OSError):
        return False
    return True
