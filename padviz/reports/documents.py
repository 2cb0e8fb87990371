"""Rows as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

import msgspec

from padviz.errors import printable
from padviz.reports.tables import readable

SIZES = (  # height and width: with an "x" in CSV
    *("size", "shape", "shapes", "input", "output", "kernel", "stride", "dilation", "tile"),
    *("tiled_shape", "period"),
)
FORMULA = ("=", "+", "-", "@")  # how one starts; tabs and the like are written out
MARKED = re.compile(r"[|*`<]")  # what Markdown would take for markup, in a cell
# Also of several, which no spreadsheet takes for a formula.
NUMBER = re.compile(
    r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?((; | |x)[+-]?\d+(\.\d+)?(e[+-]?\d+)?)*", re.ASCII
)


def plain(value: object) -> Any:
    """Return a value as JSON holds it: records as objects, fractions as floats.

    >>> from fractions import Fraction
    >>> plain({"a": (Fraction(1, 2), 3)})
    {'a': [0.5, 3]}
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    if is_dataclass(value):
        items: dict[str, object] = {}
        for field in fields(value):
            item = plain(getattr(value, field.name))
            items |= item if field.name == "axes" else {field.name: item}
        return items
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Fraction):
        return float(value)
    return msgspec.to_builtins(value)


def picked(value: object, names: str) -> dict[str, object]:
    """Pick some attributes of a value, as JSON holds them."""
    return {name: plain(getattr(value, name)) for name in names.split()}


def to_json(value: object) -> str:
    """Write JSON in ASCII, indented; integers are exact however long they are.

    >>> to_json({"max": 9**25})
    '{\\n  "max": 717897987691852588770249\\n}'
    """
    return json.dumps(plain(value), indent=2).replace("\x7f", "\\u007f")


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write CSV with a header line; no name becomes a formula in a spreadsheet.

    >>> print(to_csv(["layer", "size", "skew"], [["=cmd()", [3, 4], -0.5], [None, None, "-0.5"]]))
    layer,size,skew
    '=cmd(),3x4,-0.5
    ,,-0.5
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    for row in rows:
        writer.writerow([_cell(_joined(*pair)) for pair in zip(columns, row, strict=True)])
    return buffer.getvalue().rstrip("\n")


def _joined(key: str, value: object) -> object:
    """Write a list as one text: sizes with an "x", texts and rows of a matrix with ";" between.

    >>> _joined("output", [7, 7]), _joined("grid", [[1, 2], [3, 4]]), _joined("units", 9)
    ('7x7', '1 2; 3 4', 9)
    """
    if not isinstance(value, list):
        return value
    if any(isinstance(item, list | str) for item in value):
        return "; ".join(str(_joined(key, item)) for item in value)
    return ("x" if key in SIZES else " ").join("" if n is None else str(n) for n in value)


def _cell(value: object) -> object:
    """Write a cell of CSV, with an apostrophe before what a spreadsheet would compute."""
    if not isinstance(value, str):
        if value is None:
            return ""
        if isinstance(value, bool):
            return int(value)
        return value
    text = printable(value)
    if text.startswith(FORMULA) and not NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def marked(value: object) -> str:
    """Write a value as a person reads it, with what Markdown would take for markup escaped.

    >>> print(marked("a|b*"))
    a\\|b\\*
    """
    return MARKED.sub(r"\\\g<0>", readable(value))
