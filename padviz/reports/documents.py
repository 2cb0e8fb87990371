"""Rows as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from padviz.errors import printable
from padviz.reports.tables import readable

FORMULA = ("=", "+", "-", "@")  # how one starts; tabs and the like are written out
MARKED = re.compile(r"[|*`<]")  # what Markdown would take for markup, in a cell
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


def to_json(value: Any) -> str:
    """JSON in ASCII, indented; integers are exact however long they are.

    >>> to_json({"max": 9**25})
    '{\\n  "max": 717897987691852588770249\\n}'
    """
    return json.dumps(msgspec.to_builtins(value), indent=2).replace("\x7f", "\\u007f")


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header line, for programs and for spreadsheets, where a name must not become a formula.

    >>> print(to_csv(["layer", "skew"], [["=cmd()", -0.5], [None, "-0.5"]]))
    layer,skew
    '=cmd(),-0.5
    ,-0.5
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    return buffer.getvalue().rstrip("\n")


def _cell(value: Any) -> Any:
    """A cell of CSV: numbers as they are, and an apostrophe before what a spreadsheet would work out."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) and not NUMBER.fullmatch(text) else text


def to_markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table.

    >>> print(to_markdown(["layer", "rows"], [["a|b*", 3]]))
    | layer | rows |
    |---|---|
    | a\\|b\\* | 3 |
    """
    lines = [columns, ["---"] * len(columns)]
    lines += [[MARKED.sub(r"\\\g<0>", readable(cell)) for cell in row] for row in rows]
    return "\n".join(
        "|" + "|".join(line) + "|" if line[0] == "---" else "| " + " | ".join(line) + " |" for line in lines
    )
