"""The values of a long calculation, kept beside its result until it is complete."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError, OptionError, printable
from padviz.files.archives import BROKEN, stored_arrays
from padviz.files.atomic import atomic_path
from padviz.files.opened import opened

SUFFIX = ".unfinished.npz"
EVERY = 2.0  # seconds between two writes
MEMBERS = ("values.npy", "question.npy")


class ResumeOptions(NamedTuple):
    """The file of unfinished values, and whether to resume from it."""

    path: Path | None = None
    resume: bool = False


def digest_of(contents: Iterable[bytes], files: Iterable[str | Path] = ()) -> str:
    """Hash contents, and those of files: another file may have taken a name between two runs."""
    digest = sha256()
    for content in contents:
        digest.update(sha256(content).digest())  # so that it matters where one ends
    for path in files:
        with opened(path, "a file") as file:
            digest.update(file_digest(file, "sha256").digest())
    return digest.hexdigest()


class Unfinished:
    """The values of a calculation, NaN where they are missing, and the file that keeps them, if
    there is a path.

    `question` identifies the calculation: values of another one are not resumed.
    """

    def __init__(self, path: Path | None, question: str, count: int, resume: bool = False) -> None:
        self.path, self.values = path, np.full(count, np.nan)
        self.question = np.frombuffer(
            sha256(question.encode("utf-8", "backslashreplace")).digest(), "<i8"
        )
        self.written = time.monotonic()
        if path is not None and resume:
            self.values = self._read(path)

    def save(self) -> None:
        """Write the values, unless that was done a moment ago."""
        if self.path is not None and time.monotonic() - self.written >= EVERY:
            self.write()

    def write(self) -> None:
        if self.path is not None:
            with atomic_path(self.path) as temporary, open(temporary, "wb") as file:
                np.savez(file, values=self.values, question=self.question)
            self.written = time.monotonic()

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self, path: Path) -> NDArray[np.float64]:
        hint = "leave out `resume` to start over"
        if not path.exists():
            return self.values
        with opened(path, "an unfinished sweep") as file:
            try:
                with ZipFile(file) as archive:
                    pairs = [
                        *zip(
                            stored_arrays(archive, MEMBERS),
                            (self.values, self.question),
                            strict=True,
                        )
                    ]
                    same = all(
                        (part.dtype, part.shape) == (array.dtype, array.shape)
                        for part, array in pairs
                    )
                    # A file that is not the same may be large.
                    if same:
                        held = [part.read(0, len(array)) for part, array in pairs]
                    else:
                        held = []
            except (*BROKEN, MemoryError) as error:
                what = f"is not a readable unfinished sweep ({type(error).__name__})"
                raise DescriptionError(what, where=str(path), hint=hint) from None
        if not same or (held[1] != self.question).any():
            raise OptionError(
                "was started with other options, or another network", where=str(path), hint=hint
            )
        return held[0].copy()


@contextmanager
def saved_on_exit(kept: Unfinished) -> Iterator[None]:
    """Write the values when a calculation ends; if it is interrupted, add a note to the error on
    what is kept.
    """
    try:
        yield
    except BaseException as error:
        if kept.path is not None and not np.isnan(kept.values).all():
            kept.write()
            done = np.count_nonzero(~np.isnan(kept.values))
            where = printable(kept.path.name)
            error.add_note(
                f"{done} of {kept.values.size} scores are kept in {where}, and `resume` goes on"
            )
        raise
    with suppress(OptionError):  # values that cannot be written can still be returned
        kept.write()
