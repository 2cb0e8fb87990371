"""What the gallery shows of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from padviz.analyses.uneven import kinds, reads_of
from padviz.counting.shares.summary import Summary, percent
from padviz.exports.manifest import WHATS
from padviz.exports.record import THUMBS, Record, Taps, result_of
from padviz.figures.colours import hex_stops
from padviz.geometry.ledger import Ledger
from padviz.reports.rendering import in_html
from padviz.reports.report import Facts
from padviz.reports.tables import readable, rounded

MAPS = ("usage", "coverage")
MINI, GRIDS = 7, 3  # lines of a small ledger, and small grids
LONG = 10**9  # counts from here on are rounded on a card
Figures = list[tuple[str, Any]]


def card(record: Record) -> dict[str, Any]:
    """Take from a record what the gallery shows of it, and what its filters look at."""
    files = [name for name in record.files if not name.startswith(f"{THUMBS}/")]
    result = result_of(record)
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
        "bar": _bar(record, result) if isinstance(result, Summary) else None,
        "ledger": _lines(result) if isinstance(result, Ledger) else None,
        "taps": _grids(result.layers) if record.what == "taps" else None,
        "figures": in_html(Facts(FIGURES[record.what](result))),
        "rank": _rank(record, result),
    }


def _bar(record: Record, summary: Summary) -> dict[str, Any] | None:
    """List the colours of a map, from the lowest on, and what they stand for."""
    stops = hex_stops(str(record.figures.get("cmap")))
    most = (
        ["1"] if record.what == "coverage" else ["1 fair", "2+"] if summary.share else [f"{_short(summary.max)} paths"]
    )
    return {"colours": stops, "labels": ["0", *most]} if stops else None


def _short(count: float) -> str:
    return rounded(int(count)) if count >= LONG else readable(count)


def _lines(ledger: Ledger) -> list[tuple[str, int, int, bool]]:
    """List the first uneven layers of a ledger: what each reads before and after, and whether it is a convolution."""
    rows = [(layer, reads_of(layer)[0].row.reads) for layer in ledger.uneven[:MINI]]
    return [(readable(layer.layer), *pair, layer.convolution) for layer, pair in rows]


def _imbalance(row: Taps) -> float:
    return max(abs(row.imbalance.height), abs(row.imbalance.width))


def _grids(layers: list[Taps]) -> list[tuple[str, list[list[float]]]]:
    """List the least even tap grids: the share of the units, in percent, that read a real pixel with each tap."""
    return [
        (readable(layer.layer), [[round(100 * reads / (layer.units or 1)) for reads in row] for row in layer.grid])
        for layer in sorted(layers, key=lambda layer: -_imbalance(layer))[:GRIDS]
    ]


def _map(summary: Summary, first: Figures) -> Figures:
    """List the figures of a map, behind those that are its own."""
    skew = max(summary.skew.height, summary.skew.width, key=abs)
    return [
        *first,
        ("target", ", ".join(summary.target.names)),
        ("paths, max", _short(summary.max)),
        ("asymmetry", readable(float(max(summary.asymmetry.height, summary.asymmetry.width)))),
        ("skew of usage", f"{skew:+.3g}"),
    ]


def _fair(summary: Summary) -> Figures:
    """Say who gets less, or more, than an interior pixel; or why nobody can tell."""
    share = summary.share
    if share is None:
        return [("fair share", f"none: {summary.share_reason}")]
    return [
        *([("rim", f"{summary.rim.short} px")] if summary.rim else []),
        ("starved", percent(share.starved)),
        ("overused", percent(share.overused)),
        ("fair shares", f"{share.least:.2g} to {share.most:.3g}"),
        ("skew of shares", f"{max(share.skew.height, share.skew.width, key=abs):+.3g}"),
    ]


def _ledger(ledger: Ledger) -> Figures:
    split = kinds(ledger) if ledger.uneven else ""
    uneven = f"{len(ledger.uneven)} of {len(ledger.layers)}{split and f': {split}'}"
    return [("uneven", uneven), ("remainders", len(ledger.remainders))]


def _taps(taps: Any) -> Figures:
    return [("layers", len(taps.layers)), ("imbalance, most", percent(max(map(_imbalance, taps.layers)), 2))]


def _skews(filters: Any) -> Figures:
    """Average the skew of strided convolutions, and of the others."""
    facts = []
    for name, strided in (("strided", True), ("stride 1", False)):
        own = [group for group in filters.groups if group.strided is strided]
        axes = sum(group.axes for group in own)
        mean = sum(group.axes * group.skew for group in own) / (axes or 1)
        facts.append((name, f"D {mean:+.3f}, {axes} axes" if axes else "none"))
    return facts


def _means(responses: Any) -> Figures:
    return [
        (f"E, {mean.padding or 'as trained'}", f"{mean.energy:.3f}")
        for mean in responses.means
        if mean.energy is not None
    ]


FIGURES: dict[str, Callable[[Any], Figures]] = {
    "usage": lambda summary: _map(summary, _fair(summary)),
    "coverage": lambda summary: _map(summary, [("least share", percent(summary.least_share))]),
    "uneven": _ledger,
    "taps": _taps,
    "filters": _skews,
    "responses": _means,
    "compare": lambda comparison: [(comparison.varies, ", ".join(comparison.values))],
    "kernel": lambda kernel: [("padding", ", ".join(kernel.uses))],
}


def _rank(record: Record, result: Any) -> dict[str, float]:
    """Give a card numbers to sort it by; what a record lacks comes last."""
    share = result.share if record.what == "usage" else None
    return {
        "starved": share.starved if share else -1.0,
        "overused": share.overused if share else -1.0,
        "skew": max(abs(result.skew.height), abs(result.skew.width)) if isinstance(result, Summary) else -1.0,
        "pixels": max((height * width for height, width in record.sizes), default=0),
    }
