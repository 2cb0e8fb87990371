"""Files of counts: written exactly, and read back exactly."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap, machine_memory
from padviz.counting.walking.tiling import Selection, positions
from padviz.engine.apply import Array
from padviz.engine.limbs import from_bytes, to_bytes, to_ints
from padviz.errors import DescriptionError, OptionError
from padviz.files.archives import BROKEN, DIGITS, Stored, stored_array, stored_arrays
from padviz.files.atomic import atomic_path
from padviz.files.opened import opened
from padviz.network.network import Size, in_words
from padviz.network.operations import MOST_ROWS

MOST_WRITTEN = 1 << 31  # counts, one by one
AT_A_TIME = 1 << 22
MOST_DIGITS = 1 << 11  # bytes of a count: more than those that Python prints
INTEGER = 64  # bytes of a Python int, more or less, in an array
KIND = "an .npy or .npz file that padviz wrote"
MEMBERS = ("core.npy", "rows.npy", "cols.npy")
Index = NDArray[np.int64]


def write_counts(counts: CountMap, path: Path) -> None:
    """Write the counts as .npy, .npz or .csv, exactly; `read_counts` reads the first two back.

    An .npz file keeps what repeats once: `core` has the counts of some rows and columns, and `rows`
    and `cols` say which of them each position of the map has, so that the map is `core[rows][:,
    cols]`. Counts beyond int64 become little-endian bytes: a structured array whose one field,
    `DIGITS`, holds the bytes of each count. CSV has decimal digits. No file holds objects.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz":
        rows, cols = (tiling.index.astype(np.int32) for tiling in (counts.rows, counts.cols))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, core=np.ascontiguousarray(_plain(counts.tally)), rows=rows, cols=cols
            )
        return
    check_number(path, counts.shape)
    height, width = counts.shape
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for start in range(0, height, max(1, AT_A_TIME // width)):
            tally = counts.expanded(slice(start, start + max(1, AT_A_TIME // width)))
            if suffix == ".csv":
                np.savetxt(
                    file, to_ints(tally), delimiter=",", fmt="%s" if counts.core.exact else "%.17g"
                )
                continue
            block = _plain(tally)
            if not start:
                descr = np.lib.format.dtype_to_descr(block.dtype)
                head = {"descr": descr, "fortran_order": False, "shape": counts.shape}
                np.lib.format.write_array_header_1_0(file, head)
            file.write(np.ascontiguousarray(block).data)


def check_number(path: Path, shape: Size) -> None:
    """Reject a map of too many counts for a file that holds each of them."""
    if path.suffix.lower() != ".npz" and prod(shape) > MOST_WRITTEN:
        what = f"would hold {in_words(shape)} counts, one by one"
        raise OptionError(
            what, where=str(path), hint="write an .npz file, which keeps what repeats once"
        )


def _plain(tally: Array) -> NDArray[np.generic]:
    """Return counts as an array without objects."""
    if len(tally) == 1:
        return to_ints(tally)
    digits = to_bytes(tally)
    return digits.view([(DIGITS, "u1", (digits.shape[2],))])[..., 0]


def read_counts(
    path: str | Path, rows: Selection = slice(None), cols: Selection = slice(None)
) -> NDArray[Any]:
    """Read counts that padviz wrote as .npy or .npz: all, or where some rows and columns cross.

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
    DescriptionError
        If the file is missing, or holds something else, or what is asked does not fit into memory.
    OptionError
        For positions outside of the map.

    Examples
    --------
    >>> import tempfile, padviz
    >>> from padviz.reports.counts import write_counts
    >>> counts = padviz.usage("resnet152", 64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_counts(counts, Path(folder) / "counts.npz")
    ...     back = padviz.read_counts(Path(folder) / "counts.npz")
    >>> bool((back == counts.counts).all())
    True
    """
    foreign = DescriptionError(
        "holds no counts that padviz wrote", where=str(path), hint="give its .npy or .npz file"
    )
    with opened(path, KIND) as file:
        try:
            core, *index = _parts(file)
        except (*BROKEN, MemoryError):
            raise foreign from None
        down, across = positions(index[0], rows, "rows"), positions(index[1], cols, "columns")
        try:
            cell_bytes = core.dtype.itemsize + (INTEGER if core.dtype.names else 0)
            if len(down) * len(across) * cell_bytes > machine_memory():
                raise MemoryError
            cells = _cells(core, down, across)
            if cells.dtype.names:
                return from_bytes(cells[DIGITS])
            return cells
        except MemoryError:
            what = f"its {len(index[0])} x {len(index[1])} counts do not fit into memory"
            hint = "read parts of it: read_counts(path, rows, cols)"
            raise DescriptionError(what, where=str(path), hint=hint) from None
        except BROKEN:
            raise foreign from None


def _parts(file: IO[bytes]) -> tuple[Stored, Index, Index]:
    """Return the core in a file, and the row and the column of it that each position has.

    Raises one of `BROKEN` where sizes, which are checked before anything is expanded, or values
    make no sense.
    """
    if file.read(4) != b"PK\x03\x04":
        core = stored_array(file, file.seek(0, os.SEEK_END))
        _check(core, *core.shape)
        return core, np.arange(core.shape[0]), np.arange(core.shape[1])
    with ZipFile(file) as archive:
        core, *sides = stored_arrays(archive, MEMBERS)
        if any(len(side.shape) != 1 or side.dtype.kind != "i" for side in sides):
            raise ValueError
        _check(core, *(side.shape[0] for side in sides))
        rows, cols = (side.read(0, side.shape[0]) for side in sides)
    for index, n in zip((rows, cols), core.shape, strict=True):
        if index.min() < 0 or index.max() >= n:
            raise ValueError
    return core, rows, cols


def _check(core: Stored, *sides: int) -> None:
    """Reject a core whose numbers are no counts, or that is larger than the map."""
    digits = core.dtype.names is not None and 8 < core.dtype.itemsize <= MOST_DIGITS
    if len(core.shape) != 2 or not (digits or core.dtype in (np.int64, np.float64)):
        raise ValueError
    if any(n > side for n, side in zip(core.shape, sides, strict=True)) or max(sides) > MOST_ROWS:
        raise ValueError


def _cells(core: Stored, rows: Index, cols: Index) -> NDArray[Any]:
    """Read where some rows and columns of the core cross."""
    if not len(rows) or not len(cols):
        return np.empty((len(rows), len(cols)), core.dtype)
    needed, which = np.unique(rows, return_inverse=True)
    low, high = int(cols.min()), int(cols.max()) + 1
    cells = np.empty((len(needed), len(cols)), core.dtype)
    for at, row in enumerate(needed.tolist()):
        cells[at] = core.read(row * core.shape[1] + low, high - low)[cols - low]
    lowest = cells
    if cells.dtype.names:
        lowest = 127 - cells[DIGITS][..., -1].astype(np.int64)
    if not (lowest >= 0).all():
        raise ValueError
    if len(needed) == len(rows) and (needed == rows).all():
        return cells
    return cells[which]
