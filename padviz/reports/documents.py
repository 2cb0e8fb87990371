"""Rows as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec

from padviz.errors import printable
from padviz.reports.tables import readable

if TYPE_CHECKING:
    from padviz.geometry.ledger import Ledger

PAIRS = ("declared", "consumed", "rim_added")  # rows before and after the image
SIZES = ("size", "shape")  # height and width
FORMULA = ("=", "+", "-", "@")  # how one starts; tabs and the like are written out
MARKED = re.compile(r"[|*`<]")  # what Markdown would take for markup, in a cell
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


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


def flat(value: object) -> dict[str, object]:
    """Return the cells of a value for CSV: nested keys are joined, sizes have an "x", pads a side.

    >>> flat({"energy": {"top": 1}, "size": [3, 4], "rim": [14, 34], "consumed": [1, 0]})
    {'energy_top': 1, 'size': '3x4', 'rim': '14 34', 'consumed_before': 1, 'consumed_after': 0}
    """
    cells: dict[str, object] = {}
    for key, item in plain(value).items():
        if key in PAIRS:
            cells |= {f"{key}_before": item and item[0], f"{key}_after": item and item[1]}
        elif isinstance(item, dict):
            cells |= {f"{key}_{inner}": figure for inner, figure in flat(item).items()}
        else:
            cells[key] = (
                ("x" if key in SIZES else " ").join(map(str, item))
                if isinstance(item, list)
                else item
            )
    return cells


def ledger_facts(ledger: Ledger) -> dict[str, Any]:
    counts = {
        "uneven_convolutions": len(ledger.uneven_convolutions),
        "uneven_pools": len(ledger.uneven_pools),
    }
    counts["remainders"] = len(ledger.remainders)
    layers = [
        picked(layer, "layer kind convolution uneven") | plain(layer.axes)
        for layer in ledger.layers
    ]
    return {**picked(ledger, "network size balanced"), **counts, "layers": layers}


def to_json(value: object) -> str:
    """Write JSON in ASCII, indented; integers are exact however long they are.

    >>> to_json({"max": 9**25})
    '{\\n  "max": 717897987691852588770249\\n}'
    """
    return json.dumps(plain(value), indent=2).replace("\x7f", "\\u007f")


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write CSV with a header line; no name becomes a formula in a spreadsheet.

    >>> print(to_csv(["layer", "skew"], [["=cmd()", -0.5], [None, "-0.5"]]))
    layer,skew
    '=cmd(),-0.5
    ,-0.5
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows(map(_cell, row) for row in rows)
    return buffer.getvalue().rstrip("\n")


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
