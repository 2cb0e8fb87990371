"""The rows of JSON and CSV: records whose keys are the paths of their figures, joined by `_`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast, get_args, get_type_hints

from padviz.reports.documents import plain
from padviz.reports.report import ABOUT, Column, Table

# Figures by the records that hold them: of an image, and of a signal where its own differ.
PARTS = {
    "PerAxis": ("height width", "length"),
    "Corners": ("top_left top_right bottom_left bottom_right", "first last"),
    "Rim": ("top bottom left right", "before after"),
    "Sides": ("top bottom left right",),
    "Estimate": ("value low high",),
}
# What a reader looks for first is a figure of the row itself, in Python too.
FAIR = ("starved", "overused", "unused")


def record_in(hint: object) -> type | None:
    """Return the record among the types that a field may have, if there is one.

    >>> from padviz.intervals import Estimate
    >>> record_in(Estimate | None) is Estimate, record_in(float | None)
    (True, None)
    """
    for kind in get_args(hint) or (hint,):
        if getattr(kind, "__name__", "") in PARTS or hasattr(kind, "__struct_fields__"):
            return cast("type", kind)
    return None


def parts_of(record: type, signal: bool = False) -> list[str]:
    """Return the names of the figures that a record of `PARTS` holds."""
    names = PARTS[record.__name__]
    return names[-1 if signal else 0].split()


def flat_key(name: str, part: str) -> str:
    """Return the key of a figure of a record; that of an estimate has the name of the record.

    >>> flat_key("rim", "top"), flat_key("kept", "low"), flat_key("kept", "value")
    ('rim_top', 'kept_low', 'kept')
    """
    if part == "value":
        return name
    if part in FAIR and name == "share":
        return part
    return f"{name}_{part}"


def flat(kind: type, row: object, signal: bool = False) -> dict[str, object]:
    """Return the figures of a row of a kind by the paths of their attributes.

    A record that is None has no figures: all of its keys are None. An optional key that a dict
    lacks is left out.

    >>> from padviz.counting.shares.summary import Rim
    >>> from typing import TypedDict
    >>> Row = TypedDict("Row", {"layer": str, "rim": Rim | None})
    >>> flat(Row, {"layer": "a", "rim": Rim([1, 2], [3, 4])})
    {'layer': 'a', 'rim_top': 1, 'rim_bottom': 2, 'rim_left': 3, 'rim_right': 4}
    """
    figures: dict[str, object] = {}
    for name, hint in get_type_hints(kind).items():
        if isinstance(row, Mapping):
            if name not in row:
                continue
            value = row[name]
        else:
            value = None if row is None else getattr(row, name)
        record = record_in(hint)
        if record is None:
            figures[name] = plain(value)
        elif record.__name__ in PARTS:
            for part in parts_of(record, signal):
                figures[flat_key(name, part)] = None if value is None else getattr(value, part)
        else:
            inner = flat(record, value, signal)
            figures |= {flat_key(name, key): figure for key, figure in inner.items()}
    return figures


def rows_of(rows: Sequence[object], kind: type) -> Table:
    """Return the table of rows of a kind, for JSON and CSV."""
    records = [flat(kind, row) for row in rows]
    return table_of(records or [flat(kind, None)], records)


def table_of(known: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of rows, under all keys that are known."""
    return Table([*map(Column, dict.fromkeys(chain(*known)))], rows)


def about(network: str, size: Sequence[int], padding: str | None = None) -> dict[str, object]:
    """Return what a report is about, with the keys that all share."""
    return {"network": network, "size": [*size], "padding": padding}


def about_all(rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return what all rows are about: None where they differ."""
    shared: dict[str, object] = {}
    for key in ABOUT:
        first = rows[0].get(key)
        shared[key] = first if all(row.get(key) == first for row in rows) else None
    return shared
