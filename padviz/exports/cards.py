"""What the gallery shows of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from padviz.counting.shares.summary import Summary, percent
from padviz.exports.manifest import WHATS
from padviz.exports.record import THUMBS, Record, Taps, result_of
from padviz.figures.canvas import hex_stops
from padviz.geometry.ledger import Ledger
from padviz.reports.tables import readable, rounded
from padviz.reports.windows.uneven import reads_of

MAPS = ("usage", "coverage")
MINI, GRIDS = 7, 3  # lines of a small ledger, and small grids
LONG = 10**9  # counts from here on are rounded on a card
Facts = list[tuple[str, str]]


def card(record: Record) -> dict[str, Any]:
    """What the gallery shows of a record, and what its filters look at."""
    files = [name for name in record.files if not name.startswith(f"{THUMBS}/")]
    found = result_of(record)
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
        "bar": _bar(record, found) if isinstance(found, Summary) else None,
        "ledger": _lines(found) if isinstance(found, Ledger) else None,
        "taps": _grids(found.layers) if record.what == "taps" else None,
        "facts": FACTS[record.what](found),
        "rank": _rank(record, found),
    }


def _bar(record: Record, found: Summary) -> dict[str, Any] | None:
    """The colours of a map, from the lowest on, and what the highest stands for."""
    stops = hex_stops(str(record.figures.get("cmap")))
    most = "1" if record.what == "coverage" else f"{_short(found.max)} paths"
    return {"colours": stops, "most": most} if stops else None


def _short(count: float) -> str:
    return rounded(int(count)) if count >= LONG else readable(count)


def _lines(found: Ledger) -> list[tuple[str, int, int, bool]]:
    """The first uneven layers of a ledger: what each reads before and after, and whether it is learned."""
    rows = [(layer, reads_of(layer)[0].pair) for layer in found.uneven[:MINI]]
    return [(readable(layer.layer), *pair, layer.learned) for layer, pair in rows]


def _lean(row: Taps) -> float:
    return max(abs(row.imbalance.height), abs(row.imbalance.width))


def _grids(layers: list[Taps]) -> list[tuple[str, list[list[float]]]]:
    """The tap grids that lean most: the share of the units, in percent, that read a real pixel with each tap."""
    return [
        (readable(each.layer), [[round(100 * reads / (each.units or 1)) for reads in row] for row in each.grid])
        for each in sorted(layers, key=lambda each: -_lean(each))[:GRIDS]
    ]


def _map(found: Summary, first: Facts) -> Facts:
    """The figures of a map, behind those that are its own."""
    skew = max(found.skew.height, found.skew.width, key=abs)
    return [
        *first,
        ("target", str(found.target.layer)),
        ("paths, max", _short(found.max)),
        ("asymmetry", readable(float(max(found.asymmetry.height, found.asymmetry.width)))),
        ("skew", f"{skew:+.3g}"),
    ]


def _fair(found: Summary) -> Facts:
    """Who gets less, or more, than a pixel far from all borders; or why nobody can tell."""
    share = found.share
    if share is None:
        return [("fair share", f"none: {found.share_reason}")]
    return [
        *([("rim", f"{found.rim.short} px")] if found.rim else []),
        ("starved", percent(share.starved)),
        ("overused", percent(share.overused)),
        ("fair shares", f"{share.least:.2g} to {share.most:.3g}"),
        ("lean", f"{max(share.lean.height, share.lean.width, key=abs):+.3g}"),
    ]


def _ledger(found: Ledger) -> Facts:
    rigid = f", {len(found.uneven_rigid)} rigid" if found.uneven_rigid else ""
    drops = sum(layer.drops for layer in found.layers)
    return [("uneven", f"{len(found.uneven)} of {len(found.layers)}{rigid}"), ("drop rows", str(drops))]


def _taps(found: Any) -> Facts:
    return [("layers", str(len(found.layers))), ("imbalance, most", f"{max(map(_lean, found.layers)):.2%}")]


def _skews(found: Any) -> Facts:
    """The mean skew of strided convolutions, and of the others."""
    facts = []
    for name, strided in (("strided", True), ("stride 1", False)):
        own = [group for group in found.groups if group.strided is strided]
        axes = sum(group.axes for group in own)
        mean = sum(group.axes * group.skew for group in own) / (axes or 1)
        facts.append((name, f"D {mean:+.3f}, {axes} axes" if axes else "none"))
    return facts


def _means(found: Any) -> Facts:
    return [(f"E, {each.padding or 'own'}", f"{each.energy:.3f}") for each in found.means if each.energy is not None]


FACTS: dict[str, Callable[[Any], Facts]] = {
    "usage": lambda found: _map(found, _fair(found)),
    "coverage": lambda found: _map(found, [("least share", percent(found.least_share))]),
    "uneven": _ledger,
    "taps": _taps,
    "filters": _skews,
    "responses": _means,
    "compare": lambda found: [(found.varies, ", ".join(found.values))],
    "kernel": lambda found: [("padding", ", ".join(found.uses))],
}


def _rank(record: Record, found: Any) -> dict[str, float]:
    """Numbers to sort cards by; what a record lacks comes last."""
    share = found.share if record.what == "usage" else None
    return {
        "starved": share.starved if share else -1.0,
        "overused": share.overused if share else -1.0,
        "skew": max(abs(found.skew.height), abs(found.skew.width)) if isinstance(found, Summary) else -1.0,
        "pixels": max((height * width for height, width in record.sizes), default=0),
    }
