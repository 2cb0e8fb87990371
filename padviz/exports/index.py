"""The index of an export's folder: JSON and CSV for scripts, and a gallery that opens from disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from padviz.analyses.usage import FIGURES
from padviz.counting.shares.summary import Summary
from padviz.errors import OptionError, PadvizError
from padviz.exports.batch import Outcome
from padviz.exports.cards import card
from padviz.exports.items import Item
from padviz.exports.record import Record, facts_of, records, result_of
from padviz.files.atomic import atomic_path, locked
from padviz.files.opened import opened
from padviz.geometry.ledger import Ledger
from padviz.pages.html import gallery, natural
from padviz.reports.documents import to_csv, to_json
from padviz.reports.report import Table
from padviz.version import SCHEMAS, __version__

SUFFIXES = ("json", "csv", "html")
HEAD = ("name", "what", "network", "height", "width", "padding")
COLUMNS = (*HEAD, *(column.key for column in FIGURES), "uneven", "windows", "files", "error")


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
    failed = sorted(
        (outcome for outcome in outcomes if outcome.state == "failed"), key=lambda outcome: natural(outcome.name)
    )
    named = {item.name: item for item in items}
    heads = [(outcome.name, named[outcome.name].what, *facts_of(named[outcome.name])) for outcome in failed]
    keys = ("name", "what", "networks", "sizes", "paddings", "error")
    errors = [dict(zip(keys, (*head, outcome.error), strict=True)) for head, outcome in zip(heads, failed, strict=True)]
    whole = {"schema_version": SCHEMAS["export"], "version": __version__, "title": title, "failed": errors}
    lost = [{**_head(*head), "error": outcome.error} for head, outcome in zip(heads, failed, strict=True)]
    with locked(folder):  # of several exports at once, the last lists the items of all
        listed = sorted(records(folder), key=lambda record: natural(record.name))
        rows = [[row.get(key) for key in COLUMNS] for row in (*map(_row, listed), *lost)]
        page = gallery(title, [*map(card, listed)], {outcome.name: outcome.error for outcome in failed})
        texts = to_json({**whole, "items": listed}), to_csv(COLUMNS, rows), page
        for suffix, text in zip(SUFFIXES, texts, strict=True):
            with atomic_path(folder / f"index.{suffix}") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
    return listed


def _row(record: Record) -> dict[str, Any]:
    """Pick the figures of a record by their columns, as far as it has them."""
    head = _head(record.name, record.what, record.networks, record.sizes, record.paddings)
    row, result = {**head, "files": " ".join(record.files)}, result_of(record)
    if isinstance(result, Ledger):
        return {**row, "uneven": len(result.uneven), "windows": len(result.layers)}
    if not isinstance(result, Summary):
        return row
    fair = result if record.what == "usage" else structs.replace(result, share=None)
    return {**row, **Table(FIGURES, [fair]).records[0]}


def _head(name: str, what: str, networks: list[str], sizes: list[list[int]], paddings: list[str]) -> dict[str, str]:
    """Write the first cells of a row; several values are apart by blanks."""
    heights, widths = (" ".join(str(size[axis]) for size in sizes) for axis in (0, 1))
    cells = name, what, " ".join(networks), heights, widths, " ".join(paddings)
    return dict(zip(HEAD, cells, strict=True))
