"""What the gallery shows of a record."""

from __future__ import annotations

from typing import Any

from padviz.counting.shares.summary import Rim, percent
from padviz.exports.manifest import WHATS
from padviz.exports.record import THUMBS, Record
from padviz.figures.canvas import hex_stops
from padviz.reports.tables import readable, rounded

MAPS = ("usage", "coverage")
MINI, GRIDS = 7, 3  # lines of a small ledger, and small grids
LONG = 10**9  # counts from here on are rounded on a card


def card(record: Record) -> dict[str, Any]:
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
        "bar": _bar(record),
        "ledger": _uneven(record) if record.what == "uneven" else None,
        "taps": _grids(record) if record.what == "taps" else None,
        "facts": _facts(record),
        "rank": _rank(record),
    }


def _bar(record: Record) -> dict[str, Any] | None:
    """The colours of a map, from the lowest on, and what the highest stands for."""
    stops = hex_stops(str(record.figures.get("cmap"))) if record.what in MAPS else []
    if not stops:
        return None
    most = record.figures["max"]
    label = "1" if record.what == "coverage" else f"{rounded(most) if most >= LONG else readable(most)} paths"
    return {"colours": stops, "most": label}


def _uneven(record: Record) -> list[tuple[str, int, int, bool]]:
    """The first uneven layers of a ledger: what each reads before and after, and whether it is learned."""
    found = []
    for layer in record.figures["layers"]:
        pairs = [(axis["consumed"][0], axis["consumed"][1] + axis["overhang"]) for axis in _axes(layer)]
        uneven = [pair for pair in pairs if pair[0] != pair[1]]
        if uneven:
            found.append((readable(layer["layer"]), *uneven[0], bool(layer["learned"])))
    return found[:MINI]


def _axes(layer: dict[str, Any]) -> list[dict[str, Any]]:
    return [layer["height"], layer["width"]]


def _grids(record: Record) -> list[tuple[str, list[list[float]]]]:
    """The tap grids that lean most: the share of the units, in percent, that read a real pixel with each tap."""
    layers = sorted(record.figures["layers"], key=lambda layer: -max(map(abs, layer["imbalance"].values())))
    return [
        (
            readable(layer["layer"]),
            [[round(100 * reads / (layer["units"] or 1)) for reads in row] for row in layer["grid"]],
        )
        for layer in layers[:GRIDS]
    ]


def _facts(record: Record) -> list[tuple[str, str]]:
    """The figures on a card."""
    figures = record.figures
    if record.what in MAPS:
        first = [("least share", percent(figures["least_share"]))] if record.what == "coverage" else []
        return [
            *(first or _fairness(figures)),
            ("target", str(figures["target"]["layer"])),
            ("paths, max", rounded(figures["max"]) if figures["max"] >= LONG else readable(figures["max"])),
            ("asymmetry", readable(float(max(figures["asymmetry"].values())))),
            ("skew", f"{max(figures['skew'].values(), key=abs):+.3g}"),
        ]
    if record.what == "uneven":
        drops = [layer for layer in figures["layers"] if layer["height"]["dropped"] or layer["width"]["dropped"]]
        rigid = figures.get("uneven_rigid")
        uneven = f"{figures['uneven']} of {figures['windows']}" + (f", {rigid} rigid" if rigid else "")
        return [("uneven", uneven), ("drop rows", str(len(drops)))]
    if record.what == "taps":
        leans = [max(map(abs, layer["imbalance"].values())) for layer in figures["layers"]]
        return [("layers", str(len(leans))), ("imbalance, most", f"{max(leans):.2%}")]
    if record.what == "filters":
        return [_skew(figures["groups"], strided) for strided in (True, False)]
    if record.what == "responses":
        known = [each for each in figures["means"] if each["energy"] is not None]
        return [(f"E, {each['padding'] or 'own'}", f"{each['energy']:.3f}") for each in known]
    if record.what == "compare":
        return [(figures["varies"], ", ".join(figures["values"]))]
    return [("padding", ", ".join(figures["uses"]))]


def _fairness(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Who gets less, or more, than a pixel far from all borders; or why nobody can tell."""
    share = figures["share"]
    if share is None:
        return [("fair share", f"none: {figures['share_reason']}")]
    rim = [("rim", f"{Rim(**figures['rim']).short} px")] if figures["rim"] else []
    return [
        *rim,
        ("starved", percent(share["starved"])),
        ("overused", percent(share["overused"])),
        ("fair shares", f"{share['least']:.2g} to {share['most']:.3g}"),
        ("lean", f"{max(share['lean'].values(), key=abs):+.3g}"),
    ]


def shares(record: Record) -> dict[str, Any]:
    """The fair shares of a usage map; nothing of what has none."""
    return (record.figures.get("share") or {}) if record.what == "usage" else {}


def _skew(groups: list[dict[str, Any]], strided: bool) -> tuple[str, str]:
    """The mean skew of strided convolutions, or of the others."""
    own = [group for group in groups if group["strided"] is strided]
    axes = sum(group["axes"] for group in own)
    mean = sum(group["axes"] * group["skew"] for group in own) / (axes or 1)
    return ("strided" if strided else "stride 1", f"D {mean:+.3f}, {axes} axes" if axes else "none")


def map_figures(record: Record) -> dict[str, Any]:
    """The figures of a map; others have none of these."""
    return record.figures if record.what in MAPS else {}


def _rank(record: Record) -> dict[str, float]:
    """Numbers to sort cards by; what a record lacks comes last."""
    share, skews = shares(record), map_figures(record).get("skew", {})
    skew = max(map(abs, skews.values()), default=-1.0)
    pixels = max((height * width for height, width in record.sizes), default=0)
    return {
        "starved": share.get("starved", -1.0),
        "overused": share.get("overused", -1.0),
        "skew": skew,
        "pixels": pixels,
    }
