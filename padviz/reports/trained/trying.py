"""The reports of `trial` and `seen`: what changes do to a trained network, and where it sees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.tables import by, pixels
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.trial import Trial, TrialRow
from padviz.trained.trying.wording import against, answer, cell, explained, needs, with_ends

HEADINGS = {"kept": "top-1 kept", "kl": "KL", "relative": "change", "correlation": "correlation"}
SEEN = (Column(""), *columns("seen usage"))


def trial(found: Trial, files: Sequence[str] = ()) -> Report:
    """Report what changes do to a network as it is."""
    said, heading = answer(found), f"{_about(found, f'{found.count} crops')}; against it as trained"
    sheet = [_flat(row, [*found.shift.figures]) for row in found.rows]
    shown = Table(
        (
            Column("name", "change"),
            *(_figure(name) for name in found.shift.figures),
            Column("against_shift", "minus the shift's, points", of=against),
            Column("note", "not compared"),
        ),
        found.rows,
    )
    screen = [Lines([said]), Heading(heading), shown, Lines(needs(found))]
    facts = {"answer": said, **trial_facts(found)}
    return Report("trial", facts, [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def _about(found: Trial | Seen, what: str) -> str:
    pictures = f"{found.pictures} picture{'' if found.pictures == 1 else 's'} in {found.images}"
    return f"{found.title}, {by(found.size)}; {what} of {pictures}"


def _figure(name: str) -> Column:
    return Column(name, HEADINGS[name], lambda value: cell(name, value), lambda row: row.figures.get(name))


def trial_facts(found: Trial) -> dict[str, Any]:
    """Pick the figures of a trial for JSON."""
    rows = [_row(row) for row in found.rows]
    return {**picked(found, "network size images count pictures output"), "rows": rows, **picked(found, "notes")}


def _row(row: TrialRow) -> dict[str, Any]:
    about = {"change": row.kind, **picked(row, "size how padding")}
    return {**about, **row.figures, **picked(row, "against_shift needs note")}


def _flat(row: TrialRow, names: Sequence[str]) -> dict[str, Any]:
    """Lay a change out for CSV: a column for each figure and each end of its interval."""
    figures = {name: row.figures.get(name) for name in names} | {"against_shift": row.against_shift}
    cells = {"change": row.kind, "size": pixels(row.size), **picked(row, "how padding needs note")}
    for name, each in figures.items():
        cells |= {name: each and each.mean, f"{name}_low": each and each.low, f"{name}_high": each and each.high}
    return cells


def seen(found: Seen, files: Sequence[str] = ()) -> Report:
    """Report where a network sees, beside what its geometry says."""
    said = explained(found)
    rows = [
        {"": "Spearman with usage", "seen": with_ends(found.by_usage)},
        {"": "Spearman with distance to the border", "seen": with_ends(found.by_distance)},
        {"": "usage's minus distance's", "seen": with_ends(found.gain)},
        {"": "edge over inside", "seen": with_ends(found.edge), "usage": f"{found.edge_usage:.2f}"},
    ]
    what = f"a patch of {found.patch} px at {len(found.tops)} x {len(found.lefts)} places"
    screen = [Lines([said]), Heading(_about(found, f"{what}; {found.count} crops")), Table(SEEN, rows)]
    keys = ["top", "left", "seen", "usage", "distance"]
    grids = (grid.ravel().tolist() for grid in (found.values, found.usage, found.distance))
    places = zip(product(found.tops, found.lefts), *grids, strict=True)
    sheet = [dict(zip(keys, (*place, *figures), strict=True)) for place, *figures in places]
    facts = {"answer": said, **picked(found, "network size images count pictures output patch tops lefts")}
    facts |= picked(found, "by_usage by_distance gain") | {"edge": {"seen": found.edge, "usage": found.edge_usage}}
    facts |= picked(found, "values usage distance notes")
    return Report("seen", facts, [screen], Table([*map(Column, keys)], sheet), files=files)
