"""The report of `detect`: how well a trained network sees something at each position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from padviz.counting.shares.summary import percent
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


def report_of(scores: Detectability, files: Sequence[str] = ()) -> Report:
    """Report the scores, or thresholds, by position under each padding."""
    threshold = scores.maps[0].threshold
    contrast = {"contrast": None if threshold else scores.contrast}
    about = {**picked(scores, "network size stimulus shape"), **contrast}
    about |= {"output": scores.output, "class": scores.class_}
    maps = [{**_facts(score_map), "values": _finite(score_map)} for score_map in scores.maps]
    sheet = [
        {"padding": named(score_map.padding), "top": top, "left": left, "value": value}
        for score_map in scores.maps
        for top, line in zip(scores.tops, _finite(score_map), strict=True)
        for left, value in zip(scores.lefts, line, strict=True)
    ]
    value = Column("contrast" if threshold else "score", of=lambda row: row["value"])
    return Report(
        "detect",
        {**about, **picked(scores, "tops lefts notes"), "maps": maps},
        [[Facts(_stimulus_facts(scores)), figures(scores)]],
        Table((*columns("padding top left"), value), sheet),
        files=files,
    )


def _facts(score_map: PositionMap) -> dict[str, Any]:
    """Pick the figures of one map for JSON."""
    return {key: plain(getattr(score_map, name)) for key, name in KEYS.items()}


def _finite(score_map: PositionMap) -> list[list[float | None]]:
    """List the values row by row; None where no contrast is enough, or where the network makes NaN."""
    return [[value if isfinite(value) else None for value in row] for row in score_map.values.tolist()]


def _stimulus_facts(scores: Detectability) -> list[tuple[str, Any]]:
    """Say what was shown to what."""
    contrast = "" if scores.maps[0].threshold else f", at a contrast of {scores.contrast:.3g}"
    stimulus = f"{scores.stimulus}{contrast}, at {len(scores.tops)} x {len(scores.lefts)} positions"
    if scores.shifted:
        stimulus = f"{scores.stimulus}, shifted under the frame by up to {scores.tops[-1]} px"
    below = "the contrast at which this class, the background's, is no longer seen"
    return [
        ("network", f"{scores.title}, {by(scores.size)} pixels"),
        ("shown", stimulus),
        ("output", printable(scores.output)),
        *(() if scores.class_ is None else [("class", scores.class_)]),
        *([("looked for", below)] if scores.maps[0].below else []),
    ]


def figures(scores: Detectability) -> Table:
    """Tabulate the figures of all maps, a column for each padding."""
    what = "contrast needed" if scores.maps[0].threshold else "score"
    of = " where enough" if any(map(_unseen, scores.maps)) else ""
    stride = scores.maps[0].phase.stride
    every = once(map(str, stride)) if stride else "the total stride"
    lines: dict[str, Callable[[PositionMap], Any]] = {
        f"{what}, min{of}": lambda score_map: score_map.least,
        f"{what}, max{of}": lambda score_map: score_map.most,
        f"{what}, median{of}": lambda score_map: score_map.median,
        "score without a stimulus": lambda score_map: score_map.without,
        "no contrast tried is enough": _unseen,
        "NaN": lambda score_map: _share(score_map.lost),
        "sd": lambda score_map: score_map.sd,
        "blind spots": lambda score_map: "-" if score_map.blind is None else percent(score_map.blind),
        **{f"{side} minus inside": partial(_edge, side) for side in scores.maps[0].edges._fields},
        f"explained by position mod {every}": lambda score_map: score_map.phase.explained,
        "the same, by chance": lambda score_map: score_map.phase.chance,
        "neighbours that decide alike": lambda score_map: score_map.consistency,
        "saturated scores": lambda score_map: _share(score_map.saturated),
    }
    rows = [[name, *map(figure, scores.maps)] for name, figure in lines.items()]
    heads = ["", *(named(score_map.padding) for score_map in scores.maps)]
    maps = [Column(head, of=partial(_at, i)) for i, head in enumerate(heads)]
    return Table(maps, [row for row in rows if any(cell is not None for cell in row[1:])])


def _at(i: int, row: Sequence[Any]) -> Any:
    return row[i]


def _edge(side: str, score_map: PositionMap) -> float | None:
    figure: float | None = getattr(score_map.edges, side)
    return figure


def _share(share: float) -> str | None:
    return percent(share) if share else None


def _unseen(score_map: PositionMap) -> str | None:
    """Write the share of the positions at which no contrast that was tried is enough."""
    return _share(float(np.isinf(score_map.values).mean()))
