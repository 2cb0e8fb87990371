"""The report of `responses`: the border energy of a trained network's convolutions, as trained and padded otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padviz.reports.documents import flat, picked
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.tables import by, named
from padviz.trained.border_responses import READING, BorderResponse, BorderResponses


def report_of(responses: BorderResponses, files: Sequence[str] = ()) -> Report:
    """Report the border responses of a network."""
    inputs = "1 input" if responses.count == 1 else f"{responses.count} inputs"
    title = Heading(f"{responses.title}, {by(responses.size)}, {inputs} ({responses.inputs}): E at the border")
    means = [{"padding": padding, "energy": responses.mean(padding)} for padding in responses.paddings]
    facts = {
        **picked(responses, "network size inputs"),
        "n": responses.count,
        "verdict": responses.verdict,
        "means": means,
    }
    layers = [*map(_row, responses.rows)]
    facts |= {"layers": layers, "notes": responses.notes}
    sheet = [*map(flat, layers)]
    screen = [Lines([responses.verdict]), title, _table(responses), Lines([READING])]
    return Report("responses", facts, [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def _row(row: BorderResponse) -> dict[str, Any]:
    scale = None if row.note else row.scale
    return {**picked(row, "layer padding channels shape energy t aware"), "scale": scale, "note": row.note or None}


def _table(responses: BorderResponses) -> Table:
    """Tabulate E by layer and padding, and its mean over layers; what is wrong with a layer stands in place of E."""
    rows: dict[str, dict[str, Any]] = {}
    for row in responses.rows:
        about = {"layer": row.layer, "map": by((row.channels, *row.shape)), "aware": row.aware}
        energy = row.note or ("-" if row.energy.mean is None else row.energy.mean)
        rows[row.layer] = {**about, **rows.get(row.layer, {}), named(row.padding): energy}
    mean = {"layer": "mean", **{named(padding): responses.mean(padding) for padding in responses.paddings}}
    headings = (*columns("layer map"), *map(Column, map(named, responses.paddings)), Column("aware", show="{:.0%}"))
    return Table(headings, [*rows.values(), mean])
