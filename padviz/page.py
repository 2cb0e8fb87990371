"""The index of an export's folder: JSON and CSV for scripts, and a gallery that opens from disk."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from padviz import __version__
from padviz.batch import Outcome
from padviz.errors import OptionError, PadvizError
from padviz.files import opened
from padviz.manifest import WHATS, Item
from padviz.records import THUMBS, Record, facts_of, records
from padviz.staging import alone, aside
from padviz.tables import readable, rounded, to_csv, to_json

SCHEMA_VERSION = 1
SUFFIXES = ("json", "csv", "html")
MAPS = ("usage", "coverage")
COLUMNS = (
    "name", "what", "network", "height", "width", "padding", "target", "min", "max", "mean", "marginalised",
    "asymmetry_height", "asymmetry_width", "skew_height", "skew_width", "uneven", "windows", "files", "error",
)  # fmt: skip
LONG = 10**9  # counts from here on are rounded on a card


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
        texts = to_json({**whole, "items": found}), to_csv(COLUMNS, rows), gallery(title, found, failed)
        for suffix, text in zip(SUFFIXES, texts, strict=True):
            with aside(folder / f"index.{suffix}") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
    return found


def gallery(title: str, found: Sequence[Record], failed: Sequence[Outcome] = ()) -> str:
    """The gallery as HTML; it fetches nothing but the pictures beside it.

    >>> "<h1>Maps</h1>" in gallery("Maps", [])
    True
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("padviz"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    cards = [_card(record) for record in found]
    filters = {
        key: sorted({value for card in cards for value in card[key] if value}, key=natural)
        for key in ("what", "network", "size", "padding")
    }
    page = environment.get_template("gallery.html.j2")
    return page.render(title=title, cards=cards, filters=filters, failed=failed, version=__version__)


def _card(record: Record) -> dict[str, Any]:
    """What the gallery shows of a record, and what its filters look at."""
    files = [name for name in record.files if not name.startswith(f"{THUMBS}/")]
    return {
        "name": record.name,
        "title": record.networks[0] if len(record.networks) == 1 and record.what in WHATS else record.name,
        "what": [record.what],
        "network": record.networks,
        "size": ["×".join(map(str, size)) for size in record.sizes],
        "padding": record.paddings,
        "is_map": record.what in MAPS,
        "thumb": next((name for name in record.files if name not in files), ""),
        "picture": next((name for name in files if name.endswith(".png")), ""),
        "files": [(name, name.rpartition(".")[2]) for name in (*files, f"{record.name}.json")],
        "facts": _facts(record),
        "rank": _rank(record),
    }


def _facts(record: Record) -> list[tuple[str, str]]:
    """The figures on a card."""
    figures = record.figures
    if record.what in MAPS:
        corner = figures["corners"]["top_left"] / figures["max"] if figures["max"] else 0.0
        first = ("least share", f"{figures['least_share']:.1%}") if record.what == "coverage" else None
        lean = max(figures["skew"].values(), key=abs)
        return [
            *([first] if first else []),
            ("target", str(figures["target"]["layer"])),
            ("paths, max", rounded(figures["max"]) if figures["max"] >= LONG else readable(figures["max"])),
            ("corner / max", f"{corner:.3%}"),
            ("below half", f"{figures['marginalised']:.1%}"),
            ("asymmetry", readable(float(max(figures["asymmetry"].values())))),
            ("skew", f"{lean:+.3g}"),
        ]
    if record.what == "uneven":
        drops = [layer for layer in figures["layers"] if layer["height"]["dropped"] or layer["width"]["dropped"]]
        return [("uneven", f"{figures['uneven']} of {figures['windows']}"), ("drop rows", str(len(drops)))]
    if record.what == "taps":
        leans = [max(map(abs, layer["imbalance"].values())) for layer in figures["layers"]]
        return [("layers", str(len(leans))), ("imbalance, most", f"{max(leans):.2%}")]
    if record.what == "compare":
        return [(figures["varies"], ", ".join(figures["values"]))]
    return [("padding", ", ".join(figures["uses"]))]


def _map_figures(record: Record) -> dict[str, Any]:
    """The figures of a map; others have none of these."""
    return record.figures if record.what in MAPS else {}


def _rank(record: Record) -> dict[str, float]:
    """Numbers to sort cards by; what a record lacks comes last."""
    figures = _map_figures(record)
    skew = max(map(abs, figures["skew"].values())) if "skew" in figures else -1.0
    pixels = max((height * width for height, width in record.sizes), default=0)
    return {"marginalised": figures.get("marginalised", -1.0), "skew": skew, "pixels": pixels}


def _row(record: Record) -> tuple[Any, ...]:
    figures = _map_figures(record)
    target = figures.get("target", {}).get("layer")
    pairs = [figures.get(name, {}).get(axis) for name in ("asymmetry", "skew") for axis in ("height", "width")]
    counts = [figures.get(name) for name in ("min", "max", "mean", "marginalised")]
    ledger = [record.figures[key] if record.what == "uneven" else None for key in ("uneven", "windows")]
    head = _head(record.name, record.what, record.networks, record.sizes, record.paddings)
    return (*head, target, *counts, *pairs, *ledger, " ".join(record.files), None)


def _head(name: str, what: str, networks: list[str], sizes: list[list[int]], paddings: list[str]) -> tuple[str, ...]:
    """The first cells of a row; several values are apart by blanks."""
    heights, widths = (" ".join(str(size[axis]) for size in sizes) for axis in (0, 1))
    return name, what, " ".join(networks), heights, widths, " ".join(paddings)


def natural(text: str) -> list[tuple[int, str]]:
    """Numbers in a text, however long, sort as numbers.

    >>> sorted(["a-100", "a-64"], key=natural)
    ['a-64', 'a-100']
    """
    parts = ((part, part.lstrip("0")) for part in re.split(r"(\d+)", text))
    return [(len(digits), digits) if part.isdecimal() else (-1, part) for part, digits in parts]
