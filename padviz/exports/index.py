"""The index of an export's folder: JSON and CSV for scripts, and a gallery that opens from disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from padviz.analyses.uneven import kinds, reads_of
from padviz.analyses.usage import FIGURES
from padviz.counting.shares.summary import Summary, percent
from padviz.errors import OptionError, PadvizError
from padviz.exports.batch import ItemOutcome
from padviz.exports.items import Item
from padviz.exports.manifest import MAPS, WHATS
from padviz.exports.record import (
    THUMBS,
    ComparedFigures,
    Coverage,
    Energies,
    ItemFigures,
    Record,
    Skews,
    TapGrids,
    facts_of,
    figures_of,
    records,
)
from padviz.figures.colours import hex_stops
from padviz.files.atomic import atomic_path, locked
from padviz.files.opened import opened
from padviz.geometry.ledger import Ledger
from padviz.pages.html import gallery, natural
from padviz.reports.documents import to_csv, to_json
from padviz.reports.rendering import in_html
from padviz.reports.report import Facts, Table
from padviz.reports.tables import readable, rounded
from padviz.version import SCHEMAS, __version__

SUFFIXES = ("json", "csv", "html")
COLUMNS = (
    *("name", "what", "network", "height", "width", "padding", *(column.key for column in FIGURES)),
    *("uneven", "windows", "files", "error"),
)
LEDGER_LINES, GRIDS = 7, 3  # most on a card
LONG = 10**9  # counts from here on are rounded on a card


class _Index(msgspec.Struct):
    schema_version: int
    version: str
    items: list[dict[str, object]]
    failed: list[dict[str, object]]


def check_index(folder: Path) -> None:
    """Reject a folder whose index somebody else wrote."""
    there = [path for suffix in SUFFIXES if os.path.lexists(path := folder / f"index.{suffix}")]
    try:
        with opened(folder / "index.json", "an index") as file:
            msgspec.json.decode(file.read(), type=_Index)
    except (PadvizError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if there:
            hint = "name another folder"
            raise OptionError("exists, and was not written by padviz", where=str(there[0]), hint=hint) from None


def write_index(folder: Path, title: str, outcomes: Sequence[ItemOutcome], items: Sequence[Item]) -> None:
    """Write index.json, index.csv and index.html of all records in `folder`, and of the items that failed just now."""
    named = {item.name: item for item in items}
    errors = {outcome.name: outcome.error for outcome in outcomes if outcome.state == "failed"}
    errors = {name: errors[name] for name in sorted(errors, key=natural)}
    failed = [{**facts_of(named[name]), "error": error} for name, error in errors.items()]
    whole = {"schema_version": SCHEMAS["export"], "version": __version__, "title": title, "failed": failed}
    with locked(folder):  # of several exports at once, the last lists the items of all
        listed = sorted(records(folder), key=lambda record: natural(record.name))
        rows = [*(_row(structs.asdict(record), figures_of(record)) for record in listed), *map(_row, failed)]
        page = gallery(title, [*map(_card, listed)], errors)
        texts = to_json({**whole, "items": listed}), to_csv(COLUMNS, rows), page
        for suffix, text in zip(SUFFIXES, texts, strict=True):
            with atomic_path(folder / f"index.{suffix}") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")


def _row(item: dict[str, Any], figures: ItemFigures | None = None) -> list[object]:
    """Return the cells of a record with its figures, or of what `facts_of` says of an item that failed."""
    row: dict[str, object] = {"network": " ".join(item["networks"]), "padding": " ".join(item["paddings"])}
    row |= {name: " ".join(str(size[axis]) for size in item["sizes"]) for axis, name in enumerate(("height", "width"))}
    row["files"] = " ".join(item.get("files", ()))
    if isinstance(figures, Ledger):
        row |= {"uneven": len(figures.uneven), "windows": len(figures.layers)}
    if isinstance(figures, Summary):
        fair = structs.replace(figures, share=None) if isinstance(figures, Coverage) else figures
        row |= Table(FIGURES, [fair]).records[0]
    return [(item | row).get(key) for key in COLUMNS]


def _card(record: Record) -> dict[str, object]:
    """Return what the gallery shows of a record, and what it filters and sorts by; -1 sorts last."""
    files = [name for name in record.files if not name.startswith(f"{THUMBS}/")]
    figures = figures_of(record)
    share = figures.share if record.what == "usage" and isinstance(figures, Summary) else None
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
        "bar": _bar(str(record.figures.get("cmap")), figures) if isinstance(figures, Summary) else None,
        "ledger": _ledger_lines(figures) if isinstance(figures, Ledger) else None,
        "taps": _grids(figures) if isinstance(figures, TapGrids) else None,
        "figures": in_html(Facts(card_facts(figures))),
        "rank": {
            "starved": share.starved if share else -1.0,
            "overused": share.overused if share else -1.0,
            "skew": max(abs(figures.skew.height), abs(figures.skew.width)) if isinstance(figures, Summary) else -1.0,
            "pixels": max((height * width for height, width in record.sizes), default=0),
        },
    }


def _bar(cmap: str, summary: Summary) -> dict[str, list[str]] | None:
    """Return the colours of a map, lowest first, and their labels; None for an unknown colour map."""
    labels = ["0", "1 fair", "2+"] if summary.share else ["0", f"{_short(summary.max)} paths"]
    stops, labels = hex_stops(cmap), ["0", "1"] if isinstance(summary, Coverage) else labels
    return {"colours": stops, "labels": labels} if stops else None


def _ledger_lines(ledger: Ledger) -> list[tuple[str, int, int, bool]]:
    """List the first uneven layers: name, lines read before and after, and whether it is a convolution."""
    rows = [(layer, reads_of(layer)[0].row.reads) for layer in ledger.uneven[:LEDGER_LINES]]
    return [(readable(layer.layer), *reads, layer.convolution) for layer, reads in rows]


def _grids(taps: TapGrids) -> list[tuple[str, list[list[float]]]]:
    """List the least even grids: the percentage of units that read a real pixel with each tap."""
    return [
        (readable(layer.layer), [[round(100 * reads / (layer.units or 1)) for reads in row] for row in layer.grid])
        for layer in sorted(taps.layers, key=lambda layer: -layer.worst)[:GRIDS]
    ]


def card_facts(figures: ItemFigures) -> list[tuple[str, object]]:
    """List the figures on a card."""
    if isinstance(figures, Summary):
        return _map_facts(figures)
    if isinstance(figures, Ledger):
        split = f": {kinds(figures)}" if figures.uneven else ""
        uneven = f"{len(figures.uneven)} of {len(figures.layers)}{split}"
        return [("uneven", uneven), ("remainders", len(figures.remainders))]
    if isinstance(figures, TapGrids):
        worst = max(layer.worst for layer in figures.layers)
        return [("layers", len(figures.layers)), ("imbalance, most", percent(worst, 2))]
    if isinstance(figures, Skews):
        return [_mean_skew(figures, "strided", True), _mean_skew(figures, "stride 1", False)]
    if isinstance(figures, Energies):
        means = [mean for mean in figures.means if mean.energy is not None]
        return [(f"E, {mean.padding or 'as trained'}", f"{mean.energy:.3f}") for mean in means]
    if isinstance(figures, ComparedFigures):
        return [(figures.varies, ", ".join(figures.values))]
    return [("padding", ", ".join(figures.uses))]


def _map_facts(summary: Summary) -> list[tuple[str, object]]:
    share = summary.share
    facts: list[tuple[str, object]]
    if isinstance(summary, Coverage):
        facts = [("least share", percent(summary.least_share))]
    elif share is None:
        facts = [("fair share", f"none: {summary.share_reason}")]
    else:
        facts = [
            *([("rim", f"{summary.rim.short} px")] if summary.rim else []),
            ("starved", percent(share.starved)),
            ("overused", percent(share.overused)),
            ("fair shares", f"{share.least:.2g} to {share.most:.3g}"),
            ("skew of shares", f"{max(share.skew.height, share.skew.width, key=abs):+.3g}"),
        ]
    return [
        *facts,
        ("target", ", ".join(summary.target.names)),
        ("paths, max", _short(summary.max)),
        ("asymmetry", readable(float(max(summary.asymmetry.height, summary.asymmetry.width)))),
        ("skew of usage", f"{max(summary.skew.height, summary.skew.width, key=abs):+.3g}"),
    ]


def _mean_skew(skews: Skews, name: str, strided: bool) -> tuple[str, str]:
    """Average the skew of convolutions with or without a stride, weighted by axes."""
    own = [group for group in skews.groups if group.strided is strided]
    axes = sum(group.axes for group in own)
    mean = sum(group.axes * group.skew for group in own) / (axes or 1)
    return name, f"D {mean:+.3f}, {axes} axes" if axes else "none"


def _short(count: float) -> str:
    return rounded(int(count)) if count >= LONG else readable(count)
