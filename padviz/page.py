"""The index of an export's folder: JSON and CSV for scripts, and a gallery that opens from disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from padviz import __version__
from padviz.batch import THUMBS, Outcome, Record, records
from padviz.manifest import DECLARED, WHATS
from padviz.store import aside
from padviz.tables import readable, rounded, to_csv, to_json

SCHEMA_VERSION = 1
MAPS = ("usage", "coverage")
COLUMNS = (
    "name", "what", "network", "height", "width", "padding", "target", "min", "max", "mean", "marginalised",
    "asymmetry_height", "asymmetry_width", "skew_height", "skew_width", "uneven", "windows", "files", "error",
)  # fmt: skip
LONG = 10**9  # counts from here on are rounded on a card


def write_index(folder: Path, title: str, outcomes: Sequence[Outcome]) -> list[Record]:
    """Write index.json, index.csv and index.html for all records in `folder`, and for what failed just now."""
    found = sorted(records(folder), key=lambda record: _natural(record.name))
    failed = sorted((each for each in outcomes if each.state == "failed"), key=lambda each: _natural(each.name))
    errors = [{"name": each.name, "error": each.error} for each in failed]
    whole = {"schema_version": SCHEMA_VERSION, "version": __version__, "title": title, "items": found, "failed": errors}
    rows = [_row(record) for record in found]
    rows += [(each.name, *[None] * (len(COLUMNS) - 2), each.error) for each in failed]
    texts = {"json": to_json(whole), "csv": to_csv(COLUMNS, rows), "html": gallery(title, found, failed)}
    for suffix, text in texts.items():
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
        key: sorted({value for card in cards for value in card[key] if value}, key=_natural)
        for key in ("what", "network", "size", "padding")
    }
    page = environment.get_template("gallery.html.j2")
    return page.render(title=title, cards=cards, filters=filters, failed=failed, version=__version__)


def _card(record: Record) -> dict[str, Any]:
    """What the gallery shows of a record, and what its filters look at."""
    files = [name for name in record.files if not name.startswith(f"{THUMBS}/")]
    size = record.size and "×".join(map(str, record.size))
    return {
        "name": record.name,
        "title": record.networks[0] if len(record.networks) == 1 and record.what in WHATS else record.name,
        "what": [record.what],
        "network": record.networks,
        "size": [size] if size else [],
        "padding": [record.padding or DECLARED] if record.what in MAPS else [],
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


def _rank(record: Record) -> dict[str, float]:
    """Numbers to sort cards by; what a record lacks comes last."""
    figures = record.figures
    skew = max(map(abs, figures["skew"].values())) if "skew" in figures else -1.0
    pixels = record.size[0] * record.size[1] if record.size else 0
    return {"marginalised": figures.get("marginalised", -1.0), "skew": skew, "pixels": pixels}


def _row(record: Record) -> tuple[Any, ...]:
    figures = record.figures
    size = record.size or (None, None)
    target = figures.get("target", {}).get("layer")
    pairs = [figures.get(name, {}).get(axis) for name in ("asymmetry", "skew") for axis in ("height", "width")]
    counts = [figures.get(name) for name in ("min", "max", "mean", "marginalised")]
    ledger = [figures.get("uneven"), figures.get("windows")]
    head = record.name, record.what, " ".join(record.networks), *size, record.padding, target
    return (*head, *counts, *pairs, *ledger, " ".join(record.files), None)


def _natural(text: str) -> list[tuple[int, str]]:
    """Numbers in a text sort as numbers.

    >>> sorted(["a-100", "a-64"], key=_natural)
    ['a-64', 'a-100']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
