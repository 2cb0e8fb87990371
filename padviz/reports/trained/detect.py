"""The report of `detect`: how well a trained network sees something at each position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from padviz.errors import printable
from padviz.reports.documents import picked, plain
from padviz.reports.report import Column, Facts, Report, Table, columns
from padviz.reports.tables import by, named, once
from padviz.trained.detecting.detectability import Detectability, PositionMap

KEYS = {  # of a map, in JSON: by its attributes
    "padding": "padding", "threshold": "threshold", "below": "below", "min": "least", "max": "most",
    "median": "median", "sd": "sd", "without": "without", "nan": "lost", "blind": "blind", "edges": "edges",
    "phase": "phase", "consistency": "consistency", "saturated": "saturated",
}  # fmt: skip


def report_of(found: Detectability, files: Sequence[str] = ()) -> Report:
    """Report the scores, or thresholds, by position under each padding."""
    threshold = found.maps[0].threshold
    contrast = {"contrast": None if threshold else found.contrast}
    about = {**picked(found, "network size stimulus shape"), **contrast, "output": found.output, "class": found.class_}
    maps = [{**_facts(each), "values": _finite(each)} for each in found.maps]
    sheet = [
        {"padding": named(each.padding), "top": top, "left": left, "value": value}
        for each in found.maps
        for top, line in zip(found.tops, _finite(each), strict=True)
        for left, value in zip(found.lefts, line, strict=True)
    ]
    value = Column("contrast" if threshold else "score", of=lambda row: row["value"])
    return Report(
        "detect",
        {**about, **picked(found, "tops lefts notes"), "maps": maps},
        [[Facts(_shown(found)), figures(found), Facts(("file", file) for file in files)]],
        Table((*columns("padding top left"), value), sheet),
        files=files,
    )


def _facts(each: PositionMap) -> dict[str, Any]:
    """Pick the figures of one map for JSON."""
    return {key: plain(getattr(each, name)) for key, name in KEYS.items()}


def _finite(each: PositionMap) -> list[list[float | None]]:
    """List the values row by row; None where no contrast is enough, or where the network makes NaN."""
    return [[value if isfinite(value) else None for value in row] for row in each.values.tolist()]


def _shown(found: Detectability) -> list[tuple[str, Any]]:
    """Say what was shown to what."""
    contrast = "" if found.maps[0].threshold else f", at a contrast of {found.contrast:.3g}"
    shown = f"{found.stimulus}{contrast}, at {len(found.tops)} x {len(found.lefts)} positions"
    if found.shifted:
        shown = f"{found.stimulus}, shifted under the frame by up to {found.tops[-1]} px"
    below = "the contrast at which this class, the background's, is no longer seen"
    return [
        ("network", f"{found.title}, {by(found.size)} pixels"),
        ("shown", shown),
        ("output", printable(found.output)),
        *(() if found.class_ is None else [("class", found.class_)]),
        *([("looked for", below)] if found.maps[0].below else []),
    ]


def figures(found: Detectability) -> Table:
    """Tabulate the figures of all maps, a column for each padding."""
    what = "contrast needed" if found.maps[0].threshold else "score"
    of = " where enough" if any(map(_unseen, found.maps)) else ""
    stride = found.maps[0].phase.stride
    every = once(map(str, stride)) if stride else "the total stride"
    lines: dict[str, Callable[[PositionMap], Any]] = {
        f"{what}, min{of}": lambda each: each.least,
        f"{what}, max{of}": lambda each: each.most,
        f"{what}, median{of}": lambda each: each.median,
        "score without a stimulus": lambda each: each.without,
        "no contrast tried is enough": _unseen,
        "NaN": lambda each: _share(each.lost),
        "sd": lambda each: each.sd,
        "blind spots": lambda each: "-" if each.blind is None else f"{each.blind:.1%}",
        **{f"{side} minus inside": partial(_edge, side) for side in found.maps[0].edges._fields},
        f"explained by position mod {every}": lambda each: each.phase.explained,
        "the same, by chance": lambda each: each.phase.chance,
        "neighbours that decide alike": lambda each: each.consistency,
        "saturated scores": lambda each: _share(each.saturated),
    }
    rows = [[name, *map(figure, found.maps)] for name, figure in lines.items()]
    heads = ["", *(named(each.padding) for each in found.maps)]
    shown = [Column(head, of=partial(_at, i)) for i, head in enumerate(heads)]
    return Table(shown, [row for row in rows if any(cell is not None for cell in row[1:])])


def _at(i: int, row: Sequence[Any]) -> Any:
    return row[i]


def _edge(side: str, each: PositionMap) -> float | None:
    figure: float | None = getattr(each.edges, side)
    return figure


def _share(share: float) -> str | None:
    return f"{share:.1%}" if share else None


def _unseen(each: PositionMap) -> str | None:
    """Write the share of the positions at which no contrast that was tried is enough."""
    return _share(float(np.isinf(each.values).mean()))
