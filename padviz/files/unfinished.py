"""Values of a long calculation, kept beside its result until it is whole."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.files.atomic import aside

SUFFIX = ".unfinished.npz"
EVERY = 2.0  # seconds between two times that they are written


class Unfinished:
    """So many values, NaN where they are to come, and the file that keeps them; without a path, none does.

    `question` says what they are values of: those of another question are not taken up.

    Examples
    --------
    >>> Unfinished(None, "scores of a net", 3).values
    array([nan, nan, nan])
    """

    def __init__(self, path: Path | None, question: str, count: int, resume: bool = False) -> None:
        self.path, self.question, self.values = path, question, np.full(count, np.nan)
        self.written = time.monotonic()
        if path is not None and resume:
            self.values = self._read(path)

    def save(self) -> None:
        """Keep what there is, unless that was done a moment ago."""
        if self.path is not None and time.monotonic() - self.written >= EVERY:
            self.write()

    def write(self) -> None:
        """Keep what there is."""
        if self.path is not None:
            with aside(self.path) as temporary, open(temporary, "wb") as file:
                np.savez(file, values=self.values, question=np.array(self.question))
            self.written = time.monotonic()

    def done(self) -> None:
        """All is there, and its result is written: the file is not needed any more."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self, path: Path) -> NDArray[np.float64]:
        """What a file holds, if it is of the same question."""
        hint = "leave out `resume` to begin anew"
        if not path.exists():
            return self.values
        try:
            with np.load(path, allow_pickle=False) as file:
                question, values = str(file["question"]), file["values"]
        except Exception as error:  # whatever a damaged archive makes numpy raise
            what = f"is no unfinished sweep that can be read ({type(error).__name__})"
            raise OptionError(what, where=str(path), hint=hint) from None
        if question != self.question or values.shape != self.values.shape or values.dtype != self.values.dtype:
            raise OptionError("was begun with other options, or another network", where=str(path), hint=hint)
        found: NDArray[np.float64] = values
        return found
