"""Arrays in .npy and .npz files from elsewhere."""

from __future__ import annotations

import warnings
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.files.archives import BROKEN
from padviz.files.opened import opened

ZIPPED = b"PK"  # how an .npz file begins


def read_array(path: Path, kind: str, hint: str) -> NDArray[Any]:
    """Read the only array of an .npy or .npz file that should be `kind`; that of an .npy file is
    mapped, and the file never changes.
    """
    with opened(path, kind) as content, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, on headers that Python 2 wrote
        packed = content.read(len(ZIPPED)) == ZIPPED
        content.seek(0)
        try:
            if not packed:
                # Mapped, so that a false shape takes no memory; "c" because PyTorch takes only
                # arrays that may be written into.
                mapped: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
                return mapped
            # Given a path, numpy leaves a damaged archive open.
            with np.load(content, allow_pickle=False) as file:
                (array,) = file.values()
                return array  # type: ignore[no-any-return]
        # numpy reads headers as Python
        except (*BROKEN, OSError, MemoryError, SyntaxError, TokenError):
            raise DescriptionError(f"is not {kind}", where=str(path), hint=hint) from None
