"""The report of `responses`: the border energy of a trained network's convolutions, as trained and padded otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padviz.reports.documents import flat, picked
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.tables import by, named
from padviz.trained.border_responses import READING, BorderResponse, BorderResponses


def report_of(found: BorderResponses, files: Sequence[str] = ()) -> Report:
    """Report the border responses of a network."""
    inputs = "1 input" if found.count == 1 else f"{found.count} inputs"
    title = Heading(f"{found.title}, {by(found.size)}, {inputs} ({found.inputs}): E at the border")
    means = [{"padding": padding, "energy": found.mean(padding)} for padding in found.paddings]
    facts = {**picked(found, "network size inputs"), "n": found.count, "verdict": found.verdict, "means": means}
    layers = [*map(_row, found.rows)]
    facts |= {"layers": layers, "notes": found.notes}
    sheet = [*map(flat, layers)]
    screen = [Lines([found.verdict]), title, _table(found), Lines([READING])]
    return Report("responses", facts, [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def _row(row: BorderResponse) -> dict[str, Any]:
    scale = None if row.note else row.scale
    return {**picked(row, "layer padding channels shape energy t aware"), "scale": scale, "note": row.note or None}


def _table(found: BorderResponses) -> Table:
    """Tabulate E by layer and padding, and its mean over layers; what is wrong with a layer stands in place of E."""
    rows: dict[str, dict[str, Any]] = {}
    for row in found.rows:
        about = {"layer": row.layer, "map": by((row.channels, *row.shape)), "aware": row.aware}
        energy = row.note or ("-" if row.energy.mean is None else row.energy.mean)
        rows[row.layer] = {**about, **rows.get(row.layer, {}), named(row.padding): energy}
    mean = {"layer": "mean", **{named(padding): found.mean(padding) for padding in found.paddings}}
    shown = (*columns("layer map"), *map(Column, map(named, found.paddings)), Column("aware", show="{:.0%}"))
    return Table(shown, [*rows.values(), mean])
