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


def trial(tried: Trial, files: Sequence[str] = ()) -> Report:
    """Report what changes do to a network as it is."""
    sentence, heading = answer(tried), f"{_about(tried, f'{tried.count} crops')}; against it as trained"
    sheet = [_flat(row, [*tried.shift.figures]) for row in tried.rows]
    table = Table(
        (
            Column("name", "change"),
            *(_figure(name) for name in tried.shift.figures),
            Column("against_shift", "minus the shift's, points", of=against),
            Column("note", "not compared"),
        ),
        tried.rows,
    )
    screen = [Lines([sentence]), Heading(heading), table, Lines(needs(tried))]
    facts = {"answer": sentence, **trial_facts(tried)}
    return Report("trial", facts, [screen], Table([*map(Column, sheet[0])], sheet), files=files)


def _about(outcome: Trial | Seen, what: str) -> str:
    pictures = f"{outcome.pictures} picture{'' if outcome.pictures == 1 else 's'} in {outcome.images}"
    return f"{outcome.title}, {by(outcome.size)}; {what} of {pictures}"


def _figure(name: str) -> Column:
    return Column(name, HEADINGS[name], lambda value: cell(name, value), lambda row: row.figures.get(name))


def trial_facts(tried: Trial) -> dict[str, Any]:
    """Pick the figures of a trial for JSON."""
    rows = [_row(row) for row in tried.rows]
    return {**picked(tried, "network size images count pictures output"), "rows": rows, **picked(tried, "notes")}


def _row(row: TrialRow) -> dict[str, Any]:
    about = {"change": row.kind, **picked(row, "size how padding")}
    return {**about, **row.figures, **picked(row, "against_shift needs note")}


def _flat(row: TrialRow, names: Sequence[str]) -> dict[str, Any]:
    """Lay a change out for CSV: a column for each figure and each end of its interval."""
    figures = {name: row.figures.get(name) for name in names}
    figures |= {f"{name}_against_shift": row.against_shift.get(name) for name in names}
    cells = {"change": row.kind, "size": pixels(row.size), **picked(row, "how padding needs note")}
    for name, value in figures.items():
        cells |= {name: value and value.value, f"{name}_low": value and value.low, f"{name}_high": value and value.high}
    return cells


def seen(seen_map: Seen, files: Sequence[str] = ()) -> Report:
    """Report where a network sees, beside what its geometry says."""
    sentence = explained(seen_map)
    rows = [
        {"": "Spearman with usage", "seen": with_ends(seen_map.by_usage)},
        {"": "Spearman with distance to the border", "seen": with_ends(seen_map.by_distance)},
        {"": "usage's minus distance's", "seen": with_ends(seen_map.gain)},
        {"": "edge over inside", "seen": with_ends(seen_map.edge), "usage": f"{seen_map.edge_usage:.2f}"},
    ]
    what = f"a patch of {seen_map.patch} px at {len(seen_map.tops)} x {len(seen_map.lefts)} places"
    screen = [Lines([sentence]), Heading(_about(seen_map, f"{what}; {seen_map.count} crops")), Table(SEEN, rows)]
    keys = ["top", "left", "seen", "usage", "distance"]
    grids = (grid.ravel().tolist() for grid in (seen_map.values, seen_map.usage, seen_map.distance))
    places = zip(product(seen_map.tops, seen_map.lefts), *grids, strict=True)
    sheet = [dict(zip(keys, (*place, *figures), strict=True)) for place, *figures in places]
    facts = {"answer": sentence, **picked(seen_map, "network size images count pictures output patch tops lefts")}
    edge = {"seen": seen_map.edge, "usage": seen_map.edge_usage}
    facts |= {**picked(seen_map, "by_usage by_distance gain"), "edge": edge}
    facts |= picked(seen_map, "values usage distance notes")
    return Report("seen", facts, [screen], Table([*map(Column, keys)], sheet), files=files)
