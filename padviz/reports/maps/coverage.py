"""The report of `coverage`: what share of each unit's paths starts at real pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.network.network import ENDS
from padviz.reports.maps.usage import MANY
from padviz.reports.report import Column, Heading, Report, Table, columns
from padviz.reports.tables import by, rounded

SHEET = "full max min share_mean share_centre share_corner"
SCREEN = (
    Column("layer"),
    Column("units", of=lambda row: by([row[axis] for axis in ENDS if axis in row])),
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
    axes = first.network.axes
    size = first.size[-len(axes) :]
    heading = Heading(f"{first.network.title}, {by(size)}: share of each unit's paths that starts at real pixels")
    facts = {"network": first.network.name, "size": [*size], "padding": first.padding, "pooling": first.pooling}
    screen = [heading, Table(SCREEN, rows)]
    return Report(
        "coverage",
        {**facts, "layers": rows},
        [screen],
        Table(columns(f"layer {' '.join(axes)} {SHEET}"), rows),
        files=files,
    )


def _row(counts: CountMap) -> dict[str, Any]:
    (height, width), full = counts.shape, counts.full or 1
    shares = counts.total / full / (height * width), counts.at(height // 2, width // 2) / full, counts.at(0, 0) / full
    axes = counts.network.axes
    figures = dict(zip(SHEET.split(), (counts.full or 1, counts.max, counts.min, *shares), strict=True))
    return {"layer": counts.target.layer, **dict(zip(axes, counts.shape[-len(axes) :], strict=True)), **figures}
