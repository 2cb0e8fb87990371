"""The reports of `coverage`: what share of each unit's paths starts at real pixels, and how far padding reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.geometry.reaching.border_margins import Barrier, Margin
from padviz.network.network import Size
from padviz.reports.documents import flat
from padviz.reports.maps.usage import MANY
from padviz.reports.report import Column, Facts, Heading, Report, Table, columns
from padviz.reports.tables import by, rounded

SIDES = ("top", "bottom", "left", "right")
SHEET = columns("layer height width full max min share_mean share_centre share_corner")
SCREEN = (
    Column("layer"),
    Column("units", of=lambda row: by((row["height"], row["width"]))),
    Column("full", "paths", lambda full: _rounded(full)),
    Column("least", of=lambda row: row["min"] / (row["full"] or 1)),
    Column("share_mean", "mean"),
    Column("share_centre", "centre"),
    Column("share_corner", "corner"),
)


def _rounded(value: int | float) -> str:
    return rounded(int(value)) if value >= MANY else f"{value:,.4g}" if value % 1 else f"{int(value):,}"


def coverage(maps: Sequence[CountMap], files: Sequence[str]) -> Report:
    """Report coverage maps of one network: counts are exact, shares are floats."""
    rows, first = [*map(_row, maps)], maps[0]
    heading = Heading(f"{first.network.title}, {by(first.size)}: share of each unit's paths that starts at real pixels")
    facts = {"network": first.network.name, "size": [*first.size], "padding": first.padding, "pooling": first.pooling}
    screen = [heading, Table(SCREEN, rows), Facts(("file", file) for file in files)]
    return Report("coverage", {**facts, "layers": rows}, [screen], Table(SHEET, rows), files=files)


def _row(counts: CountMap) -> dict[str, Any]:
    (height, width), full = counts.shape, counts.full or 1
    shares = counts.total / full / (height * width), counts.at(height // 2, width // 2) / full, counts.at(0, 0) / full
    figures = counts.target.layer, height, width, counts.full or 1, counts.max, counts.min, *shares
    return dict(zip((column.key for column in SHEET), figures, strict=True))


def _pair(key: str, heading: str, stop: str = "") -> Column:
    """Make the column of rows before and after the image; without them, of the layer behind which there are none."""

    def of(row: Margin) -> str:
        pair = getattr(row, key)
        return "+".join(map(str, pair)) if pair else _barrier(getattr(row, stop))

    return Column(key, heading, of=of)


MARGINS = (
    *columns("layer kind"),
    _pair("height", "unit rows"),
    _pair("width", "columns"),
    _pair("halo_height", "pixel rows", "barrier_height"),
    _pair("halo_width", "columns", "barrier_width"),
)


def margins(rows: Sequence[Margin], network: str, size: Size) -> Report:
    """Report how many units next to each border padding touches; behind what all positions depend on, no pixels."""
    layers = [*map(_margin, rows)]
    heading = Heading(f"{network}, {by(size)}: rows (top+bottom), columns (left+right) near padding")
    stops = [{"none_height": _barrier(row.barrier_height), "none_width": _barrier(row.barrier_width)} for row in rows]
    sheet = [
        {**flat({key: layer[key] for key in layer if key != "none"}), **stop}
        for layer, stop in zip(layers, stops, strict=True)
    ]
    facts = {"network": network, "size": [*size], "layers": layers}
    sides = " ".join(f"{of}_{side}" for of in ("units", "pixels") for side in SIDES)
    heads = columns(f"layer kind {sides} none_height none_width")
    return Report("margins", facts, [[heading, Table(MARGINS, rows)]], Table(heads, sheet))


def _margin(row: Margin) -> dict[str, Any]:
    """Pick the margins of a layer for JSON."""
    pixels = *(row.halo_height or (None, None)), *(row.halo_width or (None, None))
    sides = {"units": (*row.height, *row.width), "pixels": pixels}
    none = {"height": _fact(row.barrier_height), "width": _fact(row.barrier_width)}
    named = {key: dict(zip(SIDES, figures, strict=True)) for key, figures in sides.items()}
    return {"layer": row.layer, "kind": row.kind, **named, "none": none}


def _barrier(stop: Barrier | None) -> str:
    return f"none: {stop.layer} ({stop.why})" if stop else ""


def _fact(stop: Barrier | None) -> dict[str, str] | None:
    return stop._asdict() if stop else None
