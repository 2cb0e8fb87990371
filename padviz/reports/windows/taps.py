"""The report of `taps`: how often each tap of a window reads a real pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padviz.counting.shares.summary import percent
from padviz.geometry.tap_exposure import TapExposure
from padviz.network.network import ENDS, Network, Size
from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Lines, Report, Table
from padviz.reports.tables import by, once
from padviz.reports.windows.uneven import POOL, kind

LAYER = (Column("layer"), kind(lambda row: row))
COUNTED = (
    Column("taps", of=lambda row: by(row.grid.shape)),
    Column("units"),
    Column("least", of=lambda row: int(row.grid.min())),
    Column("most", of=lambda row: int(row.grid.max())),
)
ENDED = (Column("uneven"), Column("convolution"))


def _sheet(axes: Sequence[str]) -> tuple[Column, ...]:
    """List the columns of CSV: the imbalance from one end of each axis to the other, the last axis first."""
    return (Column("layer"), Column("kind"), *COUNTED, *map(_across, reversed(axes)), *ENDED)


def _across(axis: str) -> Column:
    return Column("_".join(ENDS[axis]), of=lambda row: row.imbalance[axis])


def report_of(rows: Sequence[TapExposure], network: Network, size: Size, files: Sequence[str] = ()) -> Report:
    """Report the tap exposure of some layers of a network."""
    facts = {"network": network.name, "size": [*size], "layers": [*map(tap_facts, rows)]}
    table = Table((*LAYER, *COUNTED, Column("imbalance", of=_imbalance)), rows, marked=lambda row: row.uneven)
    heading = Heading(f"{network.title}, {by(size)}: units whose tap reads a real pixel")
    marks = () if all(row.convolution for row in rows) else (POOL,)
    return Report(
        "taps", facts, [[heading, table, Lines((), marks=marks)]], Table(_sheet(network.axes), rows), files=files
    )


def tap_facts(row: TapExposure) -> dict[str, Any]:
    """Pick the taps of one layer for JSON.

    >>> import padviz
    >>> tap_facts(padviz.taps("resnet18", 224, layer="layer4.0.conv1")[0])["grid"][0]
    [36, 42, 42]
    """
    return picked(row, "layer kind convolution uneven units grid imbalance")


def _imbalance(row: TapExposure) -> str:
    both = once(percent(share, 2, "+") for share in row.imbalance.values())
    return f"{both} uneven" if row.uneven else both if any(row.imbalance.values()) else "0"
