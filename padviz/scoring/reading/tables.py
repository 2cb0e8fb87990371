"""Tables as CSV, of which some columns are read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from padviz.errors import DescriptionError
from padviz.files.opened import read_file

MOST_BYTES = 1 << 28


def refuse(path: str | Path, what: str) -> NoReturn:
    raise DescriptionError(what, where=str(path), hint="correct it, or leave it out")


def read_rows(path: str | Path, columns: Sequence[str], meaning: str = "") -> list[list[str]]:
    """Read some columns of each row; `meaning` is said where one is missing.

    Raises
    ------
    DescriptionError
        For a file without one of them, or without rows.
    """
    kind = f"CSV with the columns {', '.join(columns)}{meaning}"
    text = read_file(path, kind, MOST_BYTES).decode("utf-8-sig", "replace")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise DescriptionError(f"has no column {missing[0]}", where=str(path), hint=f"give the path of {kind}")
        rows = [[row[name] or "" for name in columns] for row in reader]
    except csv.Error as error:
        raise DescriptionError(f"is no CSV ({error})", where=str(path), hint=f"give the path of {kind}") from None
    if not rows:
        raise DescriptionError("has no rows", where=str(path), hint=f"give the path of {kind}")
    return rows
