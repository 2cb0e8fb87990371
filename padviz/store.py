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
from padviz.kernels import Array
from padviz.tiling import positions

COUNT_SUFFIXES = (".npy", ".npz", ".csv")
DIGITS = "little_endian_digits"
MOST_WRITTEN = 1 << 31  # counts, one by one
AT_A_TIME = 1 << 22


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

    An .npz file keeps what repeats once: `core` has the counts of some rows and columns, and `rows` and
    `cols` say which of them each position of the map has, so that the map is `core[rows][:, cols]`.
    Counts beyond int64 become little-endian bytes: a structured array whose one field, `DIGITS`, holds
    the bytes of each count. CSV has decimal digits. No file holds objects.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz":
        rows, cols = (tiling.index.astype(np.int32) for tiling in (counts.rows, counts.cols))
        with aside(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, core=_plain(counts.tally), rows=rows, cols=cols)
        return
    height, width = counts.shape
    if height * width > MOST_WRITTEN:
        what = f"would hold {height} x {width} counts, one by one"
        raise OptionError(what, where=str(path), hint="write an .npz file, which keeps what repeats once")
    with aside(path) as temporary, temporary.open("wb") as file:
        for start in range(0, height, max(1, AT_A_TIME // width)):
            tally = counts.expanded(slice(start, start + max(1, AT_A_TIME // width)))
            if suffix == ".npy":
                _write_rows(file, _plain(tally), counts.shape, first=start == 0)
            else:
                np.savetxt(file, wide.to_ints(tally), delimiter=",", fmt="%s" if counts.core.exact else "%.17g")


def _write_rows(file: Any, rows: NDArray[Any], shape: tuple[int, int], *, first: bool) -> None:
    """Some rows of an .npy file of that shape, after its head."""
    if first:
        head = {"descr": np.lib.format.dtype_to_descr(rows.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
    file.write(np.ascontiguousarray(rows).data)


def _plain(tally: Array) -> NDArray[Any]:
    """Counts as an array without objects."""
    if len(tally) == 1:
        return wide.to_ints(tally)
    digits = wide.to_bytes(tally)
    return digits.view([(DIGITS, "u1", (digits.shape[2],))])[..., 0]


def read_counts(path: str | Path, rows: Any = slice(None), cols: Any = slice(None)) -> NDArray[Any]:
    """Read counts that padviz wrote as .npy or .npz: all of them, or where some rows and columns cross.

    Parameters
    ----------
    path : str or Path
    rows, cols : position, sequence of positions or slice, optional
        The part to read of a map that is too large to be read whole.

    Returns
    -------
    ndarray of shape (height, width), or of the part asked for
        int64, or Python ints where int64 cannot hold them, or float64 for rational modes.

    Raises
    ------
    OptionError
        If the file is missing, or holds something else, or more than fits into memory.

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
    core, *index = _arrays(path)
    down, across = positions(index[0], rows, "rows"), positions(index[1], cols, "columns")
    try:
        part = core[down[:, None], across]
        return wide.from_bytes(part[DIGITS]) if part.dtype.names else part
    except MemoryError:
        what = f"its {len(index[0])} x {len(index[1])} counts do not fit into memory"
        raise OptionError(what, where=str(path), hint="read parts of it: read_counts(path, rows, cols)") from None


def _arrays(path: str | Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The core in a file, and which of its rows and columns each position has; of an .npy file, all of them."""
    try:
        with Path(path).open("rb") as file:
            data = np.load(file, allow_pickle=False)
            if isinstance(data, np.lib.npyio.NpzFile):
                core, rows, cols = data["core"], data["rows"], data["cols"]
            else:
                core, (rows, cols) = data, map(np.arange, data.shape)
    except FileNotFoundError:
        raise OptionError("no such file", where=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, BadZipFile, zlib.error):
        raise _foreign(path) from None
    wide_ints = core.dtype.names == (DIGITS,) and core.dtype[DIGITS].base == np.uint8
    if core.ndim != 2 or not core.size or not (wide_ints or core.dtype in (np.int64, np.float64)):
        raise _foreign(path)
    for index, n in zip((rows, cols), core.shape, strict=True):
        if index.ndim != 1 or index.dtype.kind != "i" or not index.size or index.min() < 0 or index.max() >= n:
            raise _foreign(path)
    return core, rows, cols


def _foreign(path: str | Path) -> OptionError:
    return OptionError("holds no counts that padviz wrote", where=str(path), hint="give its .npy or .npz file")
