"""Files: written aside and renamed, so that a failed write leaves nothing behind; and counts read back exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz import wide
from padviz.counts import CountMap
from padviz.errors import OptionError

COUNT_SUFFIXES = (".npy", ".npz", ".csv")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` if the block ends well.

    Raises
    ------
    OptionError
        If the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OptionError(f"cannot be written ({error.strerror or error})", where=str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_counts(counts: CountMap, path: Path) -> None:
    """Write the counts to `path` as .npy, .npz or .csv, exactly; `read_counts` reads the first two back.

    Counts beyond int64 become little-endian bytes, an array of shape (height, width, bytes) and
    type uint8; CSV has decimal digits. No file holds pickled objects.
    """
    writers: dict[str, Callable[[Path, NDArray[Any]], None]] = {
        ".npy": lambda to, data: np.save(to, data, allow_pickle=False),
        ".npz": lambda to, data: np.savez_compressed(to, counts=data),
        ".csv": lambda to, data: np.savetxt(to, data, delimiter=",", fmt="%s" if exact else "%.17g"),
    }
    exact = counts.tally.dtype.kind == "i"
    plain = len(counts.tally) == 1 or path.suffix == ".csv"
    with aside(path) as temporary:
        writers[path.suffix](temporary, counts.counts if plain else wide.to_bytes(counts.tally))


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
        data = _loaded(path)
    except FileNotFoundError:
        raise OptionError("no such file", where=str(path)) from None
    except (OSError, ValueError, KeyError, EOFError):
        raise OptionError("holds no counts that padviz wrote", where=str(path)) from None
    if data.ndim == 3 and data.dtype == np.uint8:
        return wide.from_bytes(data)
    if data.ndim != 2 or data.dtype not in (np.int64, np.float64):
        raise OptionError("holds no counts that padviz wrote", where=str(path))
    return data


def _loaded(path: str | Path) -> NDArray[Any]:
    if Path(path).suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            counts: NDArray[Any] = archive["counts"]
            return counts
    loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    return loaded
