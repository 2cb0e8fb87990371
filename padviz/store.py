"""Files: written aside and renamed, so that a failed write leaves nothing behind; and counts read back exactly."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from padviz import wide
from padviz.counts import CountMap
from padviz.errors import OptionError

COUNT_SUFFIXES = (".npy", ".npz", ".csv")
DIGITS = "little_endian_digits"


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` if the block ends well.

    Raises
    ------
    OptionError
        If the folder cannot be written to.
    """
    temporary = path.with_name(f".padviz-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OptionError(f"cannot be written ({error.strerror or error})", where=str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_counts(counts: CountMap, path: Path) -> None:
    """Write the counts to `path` as .npy, .npz or .csv, exactly; `read_counts` reads the first two back.

    Counts beyond int64 become little-endian bytes: a structured array of shape (height, width) whose
    one field, `DIGITS`, holds the bytes of each count. CSV has decimal digits. No file holds objects.
    """
    exact = counts.tally.dtype.kind == "i"
    suffix = path.suffix.lower()
    data = counts.counts
    if len(counts.tally) > 1 and suffix != ".csv":
        digits = wide.to_bytes(counts.tally)
        data = digits.view([(DIGITS, "u1", (digits.shape[2],))])[..., 0]
    with aside(path) as temporary, temporary.open("wb") as file:
        if suffix == ".npy":
            np.save(file, data, allow_pickle=False)
        elif suffix == ".npz":
            np.savez_compressed(file, counts=data)
        else:
            np.savetxt(file, data, delimiter=",", fmt="%s" if exact else "%.17g")


def read_counts(path: str | Path) -> NDArray[Any]:
    """Read counts that padviz wrote as .npy or .npz.

    Returns
    -------
    ndarray of shape (height, width)
        int64, or Python ints where int64 cannot hold them, or float64 for rational modes.

    Raises
    ------
    OptionError
        If the file is missing, or holds something else.

    Examples
    --------
    >>> import tempfile, padviz
    >>> from padviz.store import write_counts
    >>> counts = padviz.usage("resnet152", 64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_counts(counts, Path(folder) / "counts.npz")
    ...     back = padviz.read_counts(Path(folder) / "counts.npz")
    >>> bool((back == counts.counts).all())
    True
    """
    try:
        with Path(path).open("rb") as file:
            data = np.load(file, allow_pickle=False)
            if isinstance(data, np.lib.npyio.NpzFile):
                data = data["counts"]
    except FileNotFoundError:
        raise OptionError("no such file", where=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, BadZipFile, zlib.error):
        raise _foreign(path) from None
    if not isinstance(data, np.ndarray) or data.ndim != 2 or not data.size:
        raise _foreign(path)
    if data.dtype.names == (DIGITS,) and data.dtype[DIGITS].base == np.uint8:
        return wide.from_bytes(data[DIGITS])
    if data.dtype not in (np.int64, np.float64):
        raise _foreign(path)
    return data


def _foreign(path: str | Path) -> OptionError:
    return OptionError("holds no counts that padviz wrote", where=str(path), hint="give its .npy or .npz file")
