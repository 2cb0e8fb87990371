"""The index of an export's folder: JSON and CSV for scripts, and a gallery that opens from disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from padviz.errors import OptionError, PadvizError
from padviz.exports.batch import Outcome
from padviz.exports.cards import card, map_figures, shares
from padviz.exports.items import Item
from padviz.exports.record import Record, facts_of, records
from padviz.files.atomic import alone, aside
from padviz.files.opened import opened
from padviz.pages.gallery import gallery, natural
from padviz.reports.documents import to_csv, to_json
from padviz.version import __version__

SCHEMA_VERSION = 2
SUFFIXES = ("json", "csv", "html")
COLUMNS = (
    "name", "what", "network", "height", "width", "padding", "target", "min", "max", "mean", "marginalised",
    "asymmetry_height", "asymmetry_width", "skew_height", "skew_width", "starved", "overused", "unused", "least_share",
    "most_share", "lean_height", "lean_width", "rim_top", "rim_bottom", "rim_left", "rim_right", "uneven",
    "windows", "files", "error",
)  # fmt: skip


def check_index(folder: Path) -> None:
    """Refuse a folder whose index somebody else wrote.

    Raises
    ------
    OptionError
        Naming the file that would be replaced.
    """
    there = [path for suffix in SUFFIXES if os.path.lexists(path := folder / f"index.{suffix}")]
    try:
        with opened(folder / "index.json", "an index") as file:
            ours = isinstance(msgspec.json.decode(file.read(), type=_Index), _Index)
    except (PadvizError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        ours = False
    if there and not ours:
        raise OptionError("is there already, and not by padviz", where=str(there[0]), hint="name another folder")


class _Index(msgspec.Struct):
    schema_version: int
    version: str
    items: list[dict[str, Any]]
    failed: list[dict[str, Any]]


def write_index(folder: Path, title: str, outcomes: Sequence[Outcome], items: Sequence[Item]) -> list[Record]:
    """Write index.json, index.csv and index.html for all records in `folder`, and for what failed just now."""
    failed = sorted((each for each in outcomes if each.state == "failed"), key=lambda each: natural(each.name))
    named = {item.name: item for item in items}
    heads = [(each.name, named[each.name].what, *facts_of(named[each.name])) for each in failed]
    keys = ("name", "what", "networks", "sizes", "paddings", "error")
    errors = [dict(zip(keys, (*head, each.error), strict=True)) for head, each in zip(heads, failed, strict=True)]
    whole = {"schema_version": SCHEMA_VERSION, "version": __version__, "title": title, "failed": errors}
    blank = [None] * (len(COLUMNS) - 7)
    lost = [(*_head(*head), *blank, each.error) for head, each in zip(heads, failed, strict=True)]
    with alone(folder):  # of several exports at once, the last lists the items of all
        found = sorted(records(folder), key=lambda record: natural(record.name))
        rows = [*map(_row, found), *lost]
        texts = to_json({**whole, "items": found}), to_csv(COLUMNS, rows), _gallery(title, found, failed)
        for suffix, text in zip(SUFFIXES, texts, strict=True):
            with aside(folder / f"index.{suffix}") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
    return found


def _gallery(title: str, found: Sequence[Record], failed: Sequence[Outcome]) -> str:
    return gallery(title, [*map(card, found)], {each.name: each.error for each in failed})


def _row(record: Record) -> tuple[Any, ...]:
    figures = map_figures(record)
    target = figures.get("target", {}).get("layer")
    pairs = [figures.get(name, {}).get(axis) for name in ("asymmetry", "skew") for axis in ("height", "width")]
    counts = [figures.get(name) for name in ("min", "max", "mean", "marginalised")]
    share = shares(record)
    fair = [share.get(name) for name in ("starved", "overused", "unused", "least", "most")]
    fair += [share.get("lean", {}).get(axis) for axis in ("height", "width")]
    rim = figures.get("rim") or {}
    fair += [*rim.get("height", (None, None)), *rim.get("width", (None, None))]
    ledger = [record.figures[key] if record.what == "uneven" else None for key in ("uneven", "windows")]
    head = _head(record.name, record.what, record.networks, record.sizes, record.paddings)
    return (*head, target, *counts, *pairs, *fair, *ledger, " ".join(record.files), None)


def _head(name: str, what: str, networks: list[str], sizes: list[list[int]], paddings: list[str]) -> tuple[str, ...]:
    """The first cells of a row; several values are apart by blanks."""
    heights, widths = (" ".join(str(size[axis]) for size in sizes) for axis in (0, 1))
    return name, what, " ".join(networks), heights, widths, " ".join(paddings)
