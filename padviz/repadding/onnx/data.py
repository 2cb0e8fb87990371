"""External data: the files with weights that a model reads beside itself, wherever in it they are named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from padviz.errors import OptionError


def check_place(out: Path, path: Path, names: Iterable[str]) -> None:
    """Refuse to write a model in the place of data that it reads, or where it would not find that data.

    Parameters
    ----------
    out : Path
        The file to write.
    path : Path
        The model that it is made of; its data are named as seen from its folder, links included.
    names : iterable of str
        As `padviz.sources.onnx.constants.external.locations` lists them.

    Raises
    ------
    OptionError
        Naming the data.
    """
    for name in names:
        if _same(path.parent / name, out):
            what = f"holds the weights of {str(path)!r}, which names it {name!r}"
            raise OptionError(what, where=str(out), hint="name another file")
    for name in names:
        if not _same(path.parent / name, out.parent / name):
            what = f"the weights in {name!r} lie beside {str(path)!r}, and the result names them"
            raise OptionError(what, where=str(out), hint="write into the same folder")


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one place, by links or by another spelling; what is there need not exist."""
    with suppress(OSError, ValueError):  # ValueError: a null byte
        if os.path.realpath(one) == os.path.realpath(other):
            return True
        return os.path.samefile(one, other)
    return False
